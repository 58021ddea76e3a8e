//! The LED strip, decoded from what its data pins did.

use std::collections::VecDeque;
use std::time::Duration;

use rigor_core::rig::Lane;
use rigor_core::timeline::{Cursor, Next};
use rigor_core::unit::Amount;
use rigor_core::verdict::{Blame, ProductError};
use rigor_core::{Instant, Kind};
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

    /// A decoder of the events of `lane` from the instant `from` on.
    fn decoder(&self, lane: &Lane, from: Instant) -> LaneDecoder {
        let config = Config::strip(lane.pixels as u32);
        let before = self.bench.timeline.last_before(lane.source, from);
        // Where an instrument left the wire it does not say again.
        match before.filter(|event| matches!(event.kind, Kind::Phases(_))) {
            Some(event) => LaneDecoder::after(config, &event),
            None => LaneDecoder::new(config),
        }
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
            let under_way = self.bench.timeline.last_before(lane.source, before);
            let before = under_way.filter(|event| event.end() > before).map_or(before, |event| event.at);
            let mut cursor = self.bench.timeline.cursor(lane.source);
            while let Next::Event(_) = cursor.next_before(until).await {}
            let events = self.bench.timeline.events(lane.source, before, until);
            let mut decoder = self.decoder(lane, before);
            let mut frames = Vec::new();
            events.iter().for_each(|event| decoder.event(event, &mut frames));
            frames.extend(decoder.finish());
            lanes.push(frames.into_iter().filter(|frame| frame.start >= from).collect());
        }
        Ok(Recording { lanes, pixels: self.lane_pixels(), from, until })
    }

    /// Watches the strip picture by picture from now on.
    pub fn watch(&self) -> Watch<'_> {
        let lanes = self
            .lanes
            .iter()
            .map(|lane| (self.bench.timeline.cursor(lane.source), self.decoder(lane, Instant::MAX)))
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
        if let Some(capture) = &bench.parts.capture {
            bench.try_to(|| bench.parts.leds.iter().try_for_each(|lane| capture.begin(lane.source)));
        }
        Ok(Leds { bench: bench.clone(), lanes: bench.parts.leds.clone() })
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::pin::pin;
    use std::rc::Rc;
    use std::task::{Context, Poll, Waker};

    use rigor_core::event::Phases;
    use rigor_core::part::Capture;
    use rigor_core::rate::SampleRate;
    use rigor_core::rig::Parts;
    use rigor_core::verdict::RigError;
    use rigor_core::{Fidelity, Level, Source, Timeline};

    use super::*;

    #[derive(Default)]
    struct Instrument {
        watched: RefCell<Vec<Source>>,
        room: usize,
    }

    impl Capture for Instrument {
        fn begin(&self, source: Source) -> Result<(), RigError> {
            if self.watched.borrow().len() == self.room {
                return Err(RigError("no room for one more wire".to_owned()));
            }
            self.watched.borrow_mut().push(source);
            Ok(())
        }
    }

    fn bench(lanes: usize, room: usize) -> (Bench, Rc<Instrument>) {
        let timeline = Timeline::new();
        let leds = (0..lanes).map(|lane| {
            let signal = format!("leds.{lane}");
            Lane { source: timeline.source(&signal), signal, pixels: 1 }
        });
        let instrument = Rc::new(Instrument { room, ..Instrument::default() });
        let parts = Parts { leds: leds.collect(), capture: Some(instrument.clone()), ..Parts::default() };
        (Bench::new(timeline.clone(), parts, Fidelity::Measured), instrument)
    }

    #[test]
    fn lanes_are_captured_from_the_moment_on_at_which_somebody_wants_them() {
        let (bench, instrument) = bench(2, 2);
        assert_eq!(instrument.watched.borrow().len(), 0);
        let leds = Leds::take(&bench).expect("it has lanes");
        let lanes: Vec<Source> = leds.lanes.iter().map(|lane| lane.source).collect();
        assert_eq!(*instrument.watched.borrow(), lanes);
        assert_eq!(bench.is_well(), Ok(()));
    }

    #[test]
    fn an_instrument_without_room_is_told() {
        let (bench, _) = bench(2, 1);
        assert!(Leds::take(&bench).is_ok(), "the rig has them");
        assert_eq!(bench.is_well(), Err(RigError("no room for one more wire".to_owned())));
    }

    /// One pixel of this byte, at this millisecond.
    fn send(bench: &Bench, ms: u64, byte: u8) {
        let lane = bench.parts.leds[0].source;
        let bits = (0..24).rev().map(|bit| (u32::from_be_bytes([0, byte, byte, byte]) >> bit) & 1 == 1);
        let lengths = bits.flat_map(|one| if one { [100, 56] } else { [50, 106] }).collect();
        push(bench, lane, ms, Level::High, lengths);
    }

    fn push(bench: &Bench, lane: Source, ms: u64, first: Level, lengths: Vec<u32>) {
        let rate = SampleRate::hertz(125_000_000).expect("a rate");
        let phases = Phases { first, rate, lengths: lengths.into() };
        let at = Instant::from_nanos(ms * 1_000_000);
        bench.timeline.push(lane, at, Duration::from_nanos(8), Kind::Phases(phases)).expect("in order");
        bench.timeline.advance(at + Duration::from_millis(1));
    }

    /// What `future` gives at once.
    fn now<T>(future: impl Future<Output = T>) -> T {
        match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(value) => value,
            Poll::Pending => panic!("it waits"),
        }
    }

    /// An instrument tells the level of a wire once. Who looks later has to know it all the same.
    #[test]
    fn who_looks_late_misses_no_frame_and_sees_none_again() {
        let (bench, _) = bench(1, 1);
        let leds = Leds::take(&bench).expect("it has lanes");
        push(&bench, leds.lanes[0].source, 0, Level::Low, vec![1]);
        send(&bench, 10, 0x11);
        let mut watch = leds.watch();
        send(&bench, 2_000, 0x22);
        send(&bench, 2_010, 0x33);
        let deadline = Instant::from_nanos(2_011_000_000);
        let seen = |watch: &mut Watch<'_>| now(watch.next(deadline)).map(|picture| picture.rgb_bytes()[0]);
        assert_eq!([seen(&mut watch), seen(&mut watch), seen(&mut watch)], [Some(0x22), Some(0x33), None]);
        let at = |ms: u64| Instant::from_nanos(ms * 1_000_000);
        let recorded = |from, until| {
            let recording = now(leds.recorded(at(from), at(until))).expect("no failure");
            recording.frames().map(|frame| frame.body.bytes[0]).collect::<Vec<_>>()
        };
        assert_eq!(recorded(1_999, 2_005), [0x22]);
        assert_eq!(recorded(5, 2_011), [0x11, 0x22, 0x33]);
        assert_eq!(recorded(2_005, 2_011), [0x33]);
        assert_eq!(recorded(11, 1_999), [0; 0]);
    }

    /// Several frames of a stretch, and a look into its middle.
    #[test]
    fn a_stretch_that_is_under_way_is_looked_into() {
        let (bench, _) = bench(1, 1);
        let leds = Leds::take(&bench).expect("it has lanes");
        let frame = [[100, 56].repeat(23), vec![100, 12_500_000]].concat();
        push(&bench, leds.lanes[0].source, 0, Level::Low, vec![1]);
        push(&bench, leds.lanes[0].source, 10, Level::High, frame.repeat(5));
        bench.timeline.advance(Instant::from_nanos(600_000_000));
        let at = |ms: u64| Instant::from_nanos(ms * 1_000_000);
        let recording = now(leds.recorded(at(300), at(600))).expect("no failure");
        assert_eq!(recording.frames().count(), 2);
        assert!(recording.frames().all(|frame| frame.low_before.is_some() && frame.body.bits() == 24));
    }
}
