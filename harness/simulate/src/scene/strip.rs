//! One LED lane, as its data pin has it.

use std::collections::VecDeque;
use std::time::Duration;

use rigor_core::rig::Lane;
use rigor_core::timeline::{Cursor, Timeline};
use rigor_core::{Instant, Source};
use rigor_decode::ws2812::{ColourOrder, Config, Ending, Frame, LaneDecoder, Rgb};

/// Frames of the last second are counted; more than these are not.
const MAX_STARTS: usize = 2000;
const SECOND: Duration = Duration::from_secs(1);
/// A strip that gets no frames for this long is silent.
const SILENCE: Duration = Duration::from_millis(250);

/// A strip of WS2812 LEDs on one data pin.
pub struct Strip {
    /// Its signal's name in the rig file.
    pub signal: String,
    /// What its LEDs show.
    pub colours: Vec<Rgb>,
    /// Frames so far.
    pub frames: u64,
    /// Frames that did not fit the strip, or were cut.
    pub odd: u64,
    timeline: Timeline,
    source: Source,
    cursor: Cursor,
    decoder: LaneDecoder,
    starts: VecDeque<Instant>,
}

impl Strip {
    pub(super) fn new(lane: &Lane, timeline: &Timeline) -> Self {
        let pixels = u32::try_from(lane.pixels).unwrap_or(u32::MAX);
        Strip {
            signal: lane.signal.clone(),
            colours: vec![Rgb::default(); lane.pixels],
            frames: 0,
            odd: 0,
            timeline: timeline.clone(),
            source: lane.source,
            cursor: timeline.cursor_at_start(lane.source),
            decoder: LaneDecoder::new(Config::strip(pixels)),
            starts: VecDeque::new(),
        }
    }

    /// Of the second before `now`: 0 if the strip has been silent for a quarter of a second.
    pub fn frames_per_second(&self, now: Instant) -> f64 {
        let (Some(first), Some(last)) = (self.starts.front(), self.starts.back()) else { return 0.0 };
        let span = last.since(*first).as_secs_f64();
        if now.since(*last) > SILENCE || span <= 0.0 {
            return 0.0;
        }
        (self.starts.len() - 1) as f64 / span
    }

    /// The shortest and the longest time from one frame's start to the next, of the last second.
    pub fn periods(&self) -> Option<(Duration, Duration)> {
        let pairs = self.starts.iter().zip(self.starts.iter().skip(1));
        let periods: Vec<Duration> = pairs.map(|(one, next)| next.since(*one)).collect();
        Some((*periods.iter().min()?, *periods.iter().max()?))
    }

    pub(super) fn collect(&mut self, now: Instant, frame: &mut impl FnMut(&Strip, u64, &Frame)) {
        let mut frames = Vec::new();
        while let Some(event) = self.cursor.try_next() {
            self.decoder.event(&event, &mut frames);
        }
        frames.extend(self.decoder.quiet_until(self.timeline.complete_until(self.source)));
        for decoded in &frames {
            self.take(decoded);
            frame(self, self.frames - 1, decoded);
        }
        while self.starts.front().is_some_and(|start| now.since(*start) > SECOND) {
            self.starts.pop_front();
        }
    }

    fn take(&mut self, frame: &Frame) {
        let pixels = frame.pixels(ColourOrder::Grb);
        let is_cut = matches!(frame.ending, Ending::Cut(_));
        self.odd += u64::from(pixels.len() != self.colours.len() || is_cut);
        self.frames += 1;
        // LEDs that a short frame does not reach keep what they show, as the chips do.
        for (led, colour) in self.colours.iter_mut().zip(pixels) {
            *led = colour;
        }
        if self.starts.len() < MAX_STARTS {
            self.starts.push_back(frame.start);
        }
    }

    /// The LEDs hang on the device's supply.
    pub(super) fn lose_power(&mut self) {
        self.colours.fill(Rgb::default());
    }
}
