//! From a captured signal to frames, and what their pulses come to.

use rigor_core::time::nanos;
use rigor_core::{Instant, Level};

use super::decoder::{Config, Decoder};
use super::frame::{Ending, Frame};
use super::timing::{PERMISSIVE, STRICT, Span, Timing, Window};
use crate::capture::Signal;

/// RES of the WS2812B datasheet: the wire must be low for more than 50 us, and for 280 us with later
/// revisions of the part.
const RESET: Window = Window { min_ns: 50_000, max_ns: u64::MAX };

/// Decodes all of `signal`, which was watched until `end`.
///
/// A frame that was under way when the capture began has no [`low_before`](Frame::low_before), and its
/// first bits are missing. An analyser of 24 MHz is off by up to 42 ns at each edge, and the pulse
/// widths of the frames with it.
pub fn decode(signal: &Signal, end: Instant, config: Config) -> Vec<Frame> {
    let mut decoder = Decoder::new(config);
    let mut frames = Vec::new();
    if signal.initial() == Level::High {
        frames.extend(decoder.edge(signal.start(), Level::High));
    }
    decoder.edges(signal.edges(), &mut frames);
    frames.extend(decoder.quiet_until(end));
    frames.extend(decoder.finish());
    frames
}

/// The pulses of many frames against the limits of the data sheet.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Summary {
    /// Frames, whole or not.
    pub frames: u64,
    /// Frames of which the beginning or the end was not seen.
    pub cut: u64,
    /// Frames after which the wire was low for less than a reset.
    pub short_resets: u64,
    /// Bits of all frames.
    pub bits: u64,
    /// Defects of all frames ([`DefectKind`](super::DefectKind)).
    pub defects: u64,
    /// Pulse widths.
    pub timing: Timing,
    /// The lows before frames, where they were seen.
    pub resets: Span,
    /// From the start of a frame to that of the next.
    pub periods: Span,
}

/// One kind of pulse against its limits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Row {
    /// As the data sheet calls it: `T0H`, `T0L`, `T1H`, `T1L`, `RES`.
    pub name: &'static str,
    /// What was measured.
    pub measured: Span,
    /// What the data sheet allows ([`STRICT`]).
    pub allowed: Window,
    /// What most parts bear ([`PERMISSIVE`]).
    pub borne: Window,
    /// How many were not allowed.
    pub outside: u64,
}

impl Summary {
    /// Of all `frames` of one lane, in their order.
    pub fn of(frames: &[Frame]) -> Summary {
        let mut summary = Summary::default();
        for frame in frames {
            summary.frames += 1;
            summary.cut += u64::from(!frame.is_whole());
            summary.short_resets += u64::from(frame.ending == Ending::ShortReset);
            summary.bits += frame.body.bits();
            summary.defects += frame.body.defect_count;
            summary.timing.merge(&frame.body.timing);
            if let Some(low) = frame.low_before {
                summary.resets.add(nanos(low));
            }
        }
        for pair in frames.windows(2) {
            summary.periods.add(nanos(pair[1].start.since(pair[0].start)));
        }
        summary
    }

    /// A row for each kind of pulse.
    pub fn rows(&self) -> [Row; 5] {
        let Timing { zero_high, zero_low, one_high, one_low, outside_strict: outside, .. } = self.timing;
        let row = |name, measured, allowed, borne, outside| Row { name, measured, allowed, borne, outside };
        [
            row("T0H", zero_high, STRICT.zero_high, PERMISSIVE.zero_high, outside.zero_high),
            row("T0L", zero_low, STRICT.zero_low, PERMISSIVE.zero_low, outside.zero_low),
            row("T1H", one_high, STRICT.one_high, PERMISSIVE.one_high, outside.one_high),
            row("T1L", one_low, STRICT.one_low, PERMISSIVE.one_low, outside.one_low),
            row("RES", self.resets, RESET, RESET, self.short_resets),
        ]
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rigor_core::event::{Burst, BytesEncoding, Symbol};
    use rigor_core::{Kind, Timeline};

    use super::super::LaneDecoder;
    use super::*;
    use crate::capture::{Capture, MAX_EDGES};

    const PERIOD: u64 = 1_000_000;

    /// Three frames of two pixels, the last with its zeros 200 ns too long.
    fn timeline() -> (Timeline, rigor_core::Source) {
        let timeline = Timeline::new();
        let lane = timeline.source("leds.0");
        for frame in 0..3 {
            let zero = if frame == 2 { 600 } else { 400 };
            let burst = Burst {
                bytes: [frame, 0x80, 0xFF, 1, 2, 3].into(),
                encoding: BytesEncoding {
                    zero: Symbol { high_ns: zero, low_ns: 850 },
                    one: Symbol { high_ns: 800, low_ns: 450 },
                },
                idle: Level::Low,
            };
            let at = Instant::from_nanos(10_000 + u64::from(frame) * PERIOD);
            timeline.push(lane, at, Duration::ZERO, Kind::Burst(burst)).unwrap();
        }
        (timeline, lane)
    }

    #[test]
    fn a_captured_pin_gives_the_frames_of_its_events() {
        let (timeline, lane) = timeline();
        let end = Instant::from_nanos(4 * PERIOD);
        let capture = Capture::of_timeline(&timeline, &[lane], Instant::ZERO..end, MAX_EDGES);
        let frames = decode(&capture.signals()[0], end, Config::default());
        let mut expected =
            LaneDecoder::decode(Config::default(), &timeline.events(lane, Instant::ZERO, Instant::MAX));
        // The capture was long enough to see the last reset.
        expected.last_mut().unwrap().ending = Ending::Latched;
        assert_eq!(frames, expected);
    }

    #[test]
    fn a_capture_that_begins_in_a_frame_has_its_rest() {
        let (timeline, lane) = timeline();
        let slice = Instant::from_nanos(10_100)..Instant::from_nanos(PERIOD);
        let capture = Capture::of_timeline(&timeline, &[lane], slice.clone(), MAX_EDGES);
        let frames = decode(&capture.signals()[0], slice.end, Config::default());
        assert_eq!((frames.len(), frames[0].low_before, frames[0].body.bits()), (1, None, 48));
        assert_eq!(frames[0].start, slice.start);
        assert!(!frames[0].is_whole());
    }

    #[test]
    fn pulses_are_held_against_the_data_sheet() {
        let (timeline, lane) = timeline();
        let events = timeline.events(lane, Instant::ZERO, Instant::MAX);
        let summary = Summary::of(&LaneDecoder::decode(Config::default(), &events));
        assert_eq!((summary.frames, summary.bits, summary.cut), (3, 144, 2));
        assert_eq!((summary.periods.min_ns(), summary.periods.max_ns()), (Some(PERIOD), Some(PERIOD)));
        let [t0h, _, t1h, _, reset] = summary.rows();
        // Zeros of 600 ns are read as ones, so they are ones that are too short for the data sheet.
        assert_eq!((t0h.measured.max_ns(), t0h.outside), (Some(400), 0));
        assert_eq!((t1h.measured.min_ns(), t1h.outside), (Some(600), 34));
        assert_eq!((t1h.name, t1h.allowed.min_ns), ("T1H", 650));
        assert_eq!((reset.measured.count(), reset.outside), (2, 0));
    }
}
