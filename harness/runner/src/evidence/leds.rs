//! The strip, decoded for people: its frames as marks, and what it showed as pictures.

use std::time::Duration;

use rigor_core::evidence::{Mark, Picture};
use rigor_core::unit::Amount;
use rigor_core::{Instant, Rig, Source};
use rigor_decode::picture::leds::Layout;
use rigor_decode::picture::{self, png};
use rigor_decode::ws2812::{ColourOrder, Config, Ending, Frame, LaneDecoder};

/// Frames at the end of a lane that have a mark each; those before share marks in runs.
const SINGLE_MARKS: usize = 48;

/// Frames of each lane in an animation: a second at 120 per second.
const ANIMATED: usize = 120;

/// How much the distance of two frames may differ, in per cent, for both to belong to one run.
const SAME_PERIOD_PERCENT: u64 = 25;

/// Everything that the rig's LED lanes were sent, as far as the timeline still has it.
pub(super) struct Strips {
    pub(super) lanes: Vec<Strip>,
}

/// One lane.
pub(super) struct Strip {
    pub(super) signal: String,
    pub(super) source: Source,
    pixels: usize,
    pub(super) frames: Vec<Frame>,
}

impl Strips {
    pub(super) fn decode(rig: &Rig) -> Self {
        let strip = |lane: &rigor_core::rig::Lane| {
            let events = rig.timeline.events(lane.source, Instant::ZERO, Instant::MAX);
            let pixels = u32::try_from(lane.pixels).unwrap_or(u32::MAX);
            Strip {
                signal: lane.signal.clone(),
                source: lane.source,
                pixels: lane.pixels,
                frames: LaneDecoder::decode(Config::strip(pixels), &events),
            }
        };
        Strips { lanes: rig.parts.leds.iter().map(strip).collect() }
    }

    /// What the whole strip showed at the end and, if there is room for more, at even distances before.
    pub(super) fn pictures(&self, most: usize) -> Vec<Picture> {
        let Some(longest) = self.lanes.iter().max_by_key(|strip| strip.frames.len()) else {
            return Vec::new();
        };
        let shown = longest.frames.iter().filter(|frame| was_understood(frame)).count();
        let chosen = (0..most.min(shown)).map(|index| shown - 1 - index * shown / most.max(1));
        let whole: Vec<&Frame> = longest.frames.iter().filter(|frame| was_understood(frame)).collect();
        let mut pictures: Vec<Picture> =
            chosen.filter_map(|index| self.picture_at(whole.get(index)?.end)).collect();
        pictures.reverse();
        pictures.dedup_by(|later, earlier| later.png == earlier.png);
        pictures
    }

    /// What the strip showed last, as an animated PNG file.
    pub(super) fn animation(&self) -> Option<Vec<u8>> {
        let last = |strip: &Strip| {
            let skip = strip.frames.len().saturating_sub(ANIMATED);
            strip.frames[skip..].iter().filter(|frame| was_understood(frame)).cloned().collect::<Vec<_>>()
        };
        let lanes: Vec<Vec<Frame>> = self.lanes.iter().map(last).collect();
        let lanes: Vec<&[Frame]> = lanes.iter().map(Vec::as_slice).collect();
        png::animation(&picture::leds::animate(&lanes, &Layout::default()).ok()?).ok()
    }

    /// What each lane had been sent by `at`, one lane a row.
    fn picture_at(&self, at: Instant) -> Option<Picture> {
        let width = self.lanes.iter().map(|strip| strip.pixels).max().filter(|&width| width > 0)?;
        let mut rgb = Vec::with_capacity(width * 3 * self.lanes.len());
        for strip in &self.lanes {
            // A lane's frame may end a little after its neighbour's and belong to the same picture.
            let until = at + Duration::from_millis(4);
            let shown = strip.frames.partition_point(|frame| frame.end <= until);
            let frame = strip.frames[..shown].iter().rev().find(|frame| was_understood(frame));
            let start = rgb.len();
            if let Some(frame) = frame {
                let pixels = frame.pixels(ColourOrder::Grb).take(width);
                rgb.extend(pixels.flat_map(|pixel| [pixel.r, pixel.g, pixel.b]));
            }
            rgb.resize(start + width * 3, 0);
        }
        let (width, height) = (u32::try_from(width).ok()?, u32::try_from(self.lanes.len()).ok()?);
        super::picture::of_rgb(at, format!("the strip at {at}"), width, height, rgb)
    }
}

impl Strip {
    /// Its frames as marks: the last ones one by one, those before in runs of equal distance, so that
    /// an interruption stands out however long ago it was.
    pub(super) fn marks(&self) -> Vec<Mark> {
        let singles = self.frames.len().saturating_sub(SINGLE_MARKS);
        let (before, last) = self.frames.split_at(singles);
        let mut marks = runs(before);
        marks.extend(last.iter().map(single));
        marks
    }
}

/// Whether the decoder did not lose the thread. Frames at the ends of a trace are good enough for people.
fn was_understood(frame: &Frame) -> bool {
    !matches!(frame.ending, Ending::Cut(_))
}

fn single(frame: &Frame) -> Mark {
    let pixels = frame.body.bits() / 24;
    let doubt = if was_understood(frame) { "" } else { ", cut short" };
    Mark {
        at_ns: frame.start.as_nanos(),
        length_ns: nanos_between(frame.start, frame.end),
        text: format!("{pixels} pixels{doubt}"),
    }
}

fn nanos_between(from: Instant, until: Instant) -> u64 {
    until.as_nanos().saturating_sub(from.as_nanos())
}

/// A run under way.
struct Run<'a> {
    first: &'a Frame,
    last: &'a Frame,
    count: u64,
}

impl Run<'_> {
    fn period(&self) -> Option<u64> {
        (self.count > 1).then(|| nanos_between(self.first.start, self.last.start) / (self.count - 1))
    }

    /// Whether a frame that begins at `start` goes on with the same rhythm.
    fn goes_on(&self, start: Instant) -> bool {
        let distance = nanos_between(self.last.start, start);
        self.period().is_none_or(|period| distance.abs_diff(period) * 100 <= period * SAME_PERIOD_PERCENT)
    }

    fn mark(&self) -> Mark {
        let Some(period) = self.period() else { return single(self.first) };
        let period = Amount::from(Duration::from_nanos(period));
        Mark {
            at_ns: self.first.start.as_nanos(),
            length_ns: nanos_between(self.first.start, self.last.end),
            text: format!("{} frames, {period} apart", self.count),
        }
    }
}

fn runs(frames: &[Frame]) -> Vec<Mark> {
    let mut marks = Vec::new();
    let mut run: Option<Run<'_>> = None;
    for frame in frames {
        match &mut run {
            Some(run) if was_understood(frame) && was_understood(run.last) && run.goes_on(frame.start) => {
                run.last = frame;
                run.count += 1;
            }
            _ => {
                marks.extend(run.replace(Run { first: frame, last: frame, count: 1 }).map(|run| run.mark()));
            }
        }
    }
    marks.extend(run.map(|run| run.mark()));
    marks
}
