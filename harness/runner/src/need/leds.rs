//! The LED strip, decoded from what its data pins did.

use std::collections::VecDeque;
use std::time::Duration;

use rigor_core::Instant;
use rigor_core::rig::Lane;
use rigor_core::timeline::{Cursor, Next};
use rigor_core::unit::Amount;
use rigor_core::verdict::{Blame, ProductError};
use rigor_decode::ws2812::relation::{periods, skew};
use rigor_decode::ws2812::{ColourOrder, Config, Frame, LaneDecoder, Rgb};

use super::{Bench, Missing, Need};

/// Frames of two lanes whose starts are further apart belong to different pictures.
const PAIRED_WITHIN: Duration = Duration::from_millis(4);

/// The strip's lanes.
pub struct Leds {
    bench: Bench,
    lanes: Vec<Lane>,
}

/// What the lanes did in a span of time.
#[derive(Clone, PartialEq, Debug)]
pub struct Recording {
    /// The frames of each lane that began in the span, in the order of time.
    pub lanes: Vec<Vec<Frame>>,
    /// Pixels wired to each lane.
    pub pixels: Vec<usize>,
    /// The span's begin.
    pub from: Instant,
    /// The span's end.
    pub until: Instant,
}

/// One picture on the whole strip: a frame of each lane, side by side.
#[derive(Clone, PartialEq, Debug)]
pub struct Picture {
    /// One frame a lane.
    pub frames: Vec<Frame>,
}

impl Picture {
    /// When its first lane began to receive it.
    pub fn start(&self) -> Instant {
        self.frames.iter().map(|frame| frame.start).min().unwrap_or(Instant::ZERO)
    }

    /// When its last lane had received it.
    pub fn end(&self) -> Instant {
        self.frames.iter().map(|frame| frame.end).max().unwrap_or(Instant::ZERO)
    }

    /// The colours of all pixels, lane after lane, as the strip's chips read the wire.
    pub fn pixels(&self) -> Vec<Rgb> {
        self.frames.iter().flat_map(|frame| frame.pixels(ColourOrder::Grb)).collect()
    }

    /// The same as bytes: red, green, blue for each pixel.
    pub fn rgb_bytes(&self) -> Vec<u8> {
        self.pixels().into_iter().flat_map(|Rgb { r, g, b }| [r, g, b]).collect()
    }

    /// Whether no pixel shines.
    pub fn is_black(&self) -> bool {
        self.frames.iter().all(|frame| frame.body.bytes.iter().all(|&byte| byte == 0))
    }
}

impl Recording {
    /// From each frame's start to the next one's, of all lanes.
    pub fn periods(&self) -> Vec<Duration> {
        self.lanes.iter().flat_map(|lane| periods(lane)).collect()
    }

    /// All frames of all lanes.
    pub fn frames(&self) -> impl Iterator<Item = &Frame> {
        self.lanes.iter().flatten()
    }

    /// The pictures: frames of the lanes that belong together. A frame without a partner is in
    /// none.
    pub fn pictures(&self) -> Vec<Picture> {
        let mut queues: Vec<VecDeque<Frame>> =
            self.lanes.iter().map(|lane| lane.iter().cloned().collect()).collect();
        let mut pictures = Vec::new();
        while let Some(picture) = take_picture(&mut queues) {
            pictures.push(picture);
        }
        pictures
    }
}

/// The next picture of the lanes' queues, dropping frames that have no partner; `None` once a
/// queue is empty.
fn take_picture(queues: &mut [VecDeque<Frame>]) -> Option<Picture> {
    loop {
        let heads: Option<Vec<&Frame>> = queues.iter().map(VecDeque::front).collect();
        let heads = heads.filter(|heads| !heads.is_empty())?;
        let latest = heads.iter().copied().max_by_key(|frame| frame.start)?;
        let lonely = heads.iter().position(|frame| skew(frame, latest) > PAIRED_WITHIN);
        match lonely {
            Some(index) => {
                queues[index].pop_front();
            }
            None => {
                return Some(Picture { frames: queues.iter_mut().filter_map(VecDeque::pop_front).collect() });
            }
        }
    }
}

impl Leds {
    /// Pixels on all lanes.
    pub fn pixels(&self) -> usize {
        self.lanes.iter().map(|lane| lane.pixels).sum()
    }

    /// Pixels on each lane.
    pub fn lane_pixels(&self) -> Vec<usize> {
        self.lanes.iter().map(|lane| lane.pixels).collect()
    }

    fn decoder(lane: &Lane) -> LaneDecoder {
        LaneDecoder::new(Config::strip(lane.pixels as u32))
    }

    /// Records the next `duration`.
    ///
    /// # Errors
    /// None of its own today; the type leaves room for rigs that can fail here.
    pub async fn record(&self, duration: Duration) -> Result<Recording, Blame> {
        let from = self.bench.timeline.now();
        let until = from + duration;
        self.bench.timeline.sleep_until(until).await;
        self.recorded(from, until).await
    }

    /// What the lanes did from `from` to `until`, waiting until the sources have promised all of
    /// it.
    ///
    /// # Errors
    /// As [`Leds::record`].
    pub async fn recorded(&self, from: Instant, until: Instant) -> Result<Recording, Blame> {
        let mut lanes = Vec::new();
        for lane in &self.lanes {
            // The frame before tells how long the wire was low before the first one.
            let before = from - Duration::from_millis(50);
            let mut cursor = self.bench.timeline.cursor(lane.source);
            while let Next::Event(_) = cursor.next_before(until).await {}
            let events = self.bench.timeline.events(lane.source, before, until);
            let frames = LaneDecoder::decode(Config::strip(lane.pixels as u32), &events);
            lanes.push(frames.into_iter().filter(|frame| frame.start >= from).collect());
        }
        Ok(Recording { lanes, pixels: self.lane_pixels(), from, until })
    }

    /// Watches the strip picture by picture from now on.
    pub fn watch(&self) -> Watch<'_> {
        let lanes = self
            .lanes
            .iter()
            .map(|lane| (self.bench.timeline.cursor(lane.source), Self::decoder(lane)))
            .collect();
        Watch { leds: self, lanes, queues: vec![VecDeque::new(); self.lanes.len()] }
    }

    /// The first picture from now on that `shows` what is wanted.
    ///
    /// # Errors
    /// The product's, if none does within `limit`; the message names `what`.
    pub async fn expect(
        &self,
        what: &str,
        limit: Duration,
        shows: impl Fn(&Picture) -> bool,
    ) -> Result<Picture, Blame> {
        let deadline = self.bench.timeline.now() + limit;
        let mut watch = self.watch();
        while let Some(picture) = watch.next(deadline).await {
            if shows(&picture) {
                return Ok(picture);
            }
        }
        Err(ProductError(format!("the strip did not show {what} within {}", Amount::from(limit))).into())
    }
}

/// A view of the strip, picture by picture.
pub struct Watch<'a> {
    leds: &'a Leds,
    lanes: Vec<(Cursor, LaneDecoder)>,
    queues: Vec<VecDeque<Frame>>,
}

impl Watch<'_> {
    /// Drops from the log what this watch has read, so that days of playback need the memory of
    /// minutes. Nobody else can read it afterwards: for a case that looks at its lanes by this watch
    /// only.
    pub fn forget(&self) {
        for (cursor, _) in &self.lanes {
            cursor.forget_read();
        }
    }

    /// The next picture, or `None` if a lane is quiet until `deadline`.
    pub async fn next(&mut self, deadline: Instant) -> Option<Picture> {
        loop {
            if let Some(picture) = take_picture(&mut self.queues) {
                return Some(picture);
            }
            let index = self.queues.iter().position(VecDeque::is_empty)?;
            let (cursor, decoder) = &mut self.lanes[index];
            match cursor.next_before(deadline).await {
                Next::Event(event) => {
                    let mut frames = Vec::new();
                    decoder.event(&event, &mut frames);
                    self.queues[index].extend(frames);
                }
                Next::Absent => {
                    let complete = self.leds.bench.timeline.complete_until(cursor.source());
                    self.queues[index].push_back(decoder.quiet_until(complete)?);
                }
            }
        }
    }
}

impl Need for Leds {
    fn take(bench: &Bench) -> Result<Self, Missing> {
        if bench.parts.leds.is_empty() {
            return Err(bench.missing("LED lanes", "[[leds]]"));
        }
        Ok(Leds { bench: bench.clone(), lanes: bench.parts.leds.clone() })
    }
}
