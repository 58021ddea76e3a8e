//! From recordings of the lanes to the samples that the LED requirements are judged on.
//!
//! Nothing here knows a limit. What is missing counts: a lane that falls silent has intervals as
//! long as its silence, and a burst without its partner on the other lane has no bits there.

use std::time::Duration;

use rigor_core::Instant;
use rigor_core::distribution::Distribution;
use rigor_core::time::nanos;
use rigor_core::unit::{Amount, Unit};
use rigor_core::verdict::{Blame, HarnessError, Inconclusive};
use rigor_decode::console::Line;
use rigor_decode::ws2812::relation::{overlap, pair, skew};
use rigor_decode::ws2812::{ColourOrder, Config, Cut, Ending, Frame, Rgb, Span, Timing};
use rigor_runner::need::Recording;

/// Bursts of the two lanes whose starts are at most this far apart belong to one frame. Just below
/// the frame period, so that lanes that are driven one after the other find their partners too.
const SAME_FRAME: Duration = Duration::from_millis(8);

/// A burst that no other follows for this long shows nothing but a cleared strip (our bound).
const CLEARED: Duration = Duration::from_millis(100);

/// A log line about an overrun comes at most this long after the overrun: other lines may be in
/// its way on a slow console (our bound).
pub(crate) const LOGGED_WITHIN: Duration = Duration::from_millis(500);

/// One frame: its burst on each of the two lanes, or on one only.
#[derive(Clone, Debug)]
pub(super) struct Shown {
    pub(super) bursts: [Option<Frame>; 2],
    /// Pixels wired to each lane.
    pub(super) pixels: [usize; 2],
}

impl Shown {
    fn frames(&self) -> impl Iterator<Item = &Frame> {
        self.bursts.iter().flatten()
    }

    /// When its first burst began.
    pub(super) fn start(&self) -> Option<Instant> {
        self.frames().map(|frame| frame.start).min()
    }

    fn both(&self) -> Option<(&Frame, &Frame)> {
        self.bursts[0].as_ref().zip(self.bursts[1].as_ref())
    }

    /// Red, green and blue of every pixel of the strip as its chips read the wire; black where a
    /// burst is missing.
    pub(super) fn rgb_bytes(&self) -> Vec<u8> {
        let lanes = self.bursts.iter().zip(self.pixels);
        lanes
            .flat_map(|(burst, pixels)| match burst {
                Some(frame) => frame.pixels(ColourOrder::Grb).collect(),
                None => vec![Rgb::default(); pixels],
            })
            .flat_map(|Rgb { r, g, b }| [r, g, b])
            .collect()
    }
}

/// What both lanes did in a span of time.
pub(super) struct Evidence {
    /// The bursts of each lane that began in the span.
    lanes: Vec<Vec<Frame>>,
    /// Those that ended in it too, frame by frame.
    pub(super) frames: Vec<Shown>,
    from: Instant,
    until: Instant,
    doubt: Doubt,
}

/// How far times may be off at the worst.
#[derive(Clone, Copy, Debug)]
struct Doubt {
    /// Those of a pulse.
    pulse: Duration,
    /// Those between two instants.
    span: Duration,
}

impl Evidence {
    /// Looks at a recording of two lanes.
    ///
    /// # Errors
    /// The harness's if the rig has not got two lanes; inconclusive if a source lost data.
    pub(super) fn of(recording: Recording) -> Result<Evidence, Blame> {
        let Recording { lanes, pixels, from, until } = recording;
        let Ok(pixels) = <[usize; 2]>::try_from(pixels) else {
            return Err(HarnessError(format!(
                "the rig has {} LED lanes; these cases judge two",
                lanes.len()
            ))
            .into());
        };
        if let Some(cut) = lanes.iter().flatten().find(|frame| frame.ending == Ending::Cut(Cut::Gap)) {
            return Err(Inconclusive(format!("the recording of the lanes has a hole at {}", cut.end)).into());
        }
        let worst = |of: fn(&Frame) -> Duration| lanes.iter().flatten().map(of).max().unwrap_or_default();
        let doubt = Doubt {
            pulse: worst(|frame| frame.pulse_uncertainty),
            span: worst(|frame| frame.uncertainty) * 2,
        };
        let frames = join(whole(&lanes[0], until), whole(&lanes[1], until), pixels, from, until);
        Ok(Evidence { lanes, frames, from, until, doubt })
    }

    /// The same from the first burst on that another one follows: what was before is not a silence
    /// but the start, even if the strip was cleared once.
    pub(super) fn since_first_burst(mut self) -> Self {
        let is_followed = |pair: &&[Frame]| pair[1].start.since(pair[0].start) < CLEARED;
        let begins = |lane: &Vec<Frame>| {
            let begin = lane.windows(2).find(is_followed).map(|pair| &pair[0]).or(lane.first());
            begin.map(|frame| frame.start)
        };
        if let Some(first) = self.lanes.iter().filter_map(begins).min() {
            self.from = first.max(self.from);
        }
        let from = self.from;
        self.lanes.iter_mut().for_each(|lane| lane.retain(|frame| frame.start >= from));
        self
    }

    /// The time between the starts of consecutive bursts, lane by lane.
    pub(super) fn intervals(&self) -> Vec<Vec<Interval>> {
        self.lanes.iter().map(|lane| intervals(lane, self.from, self.until)).collect()
    }

    /// The share of every whole interval, in per cent, during which the lane shifted bits; lane by
    /// lane.
    pub(super) fn busy(&self) -> Vec<Vec<f64>> {
        let share = |pair: &[Frame]| {
            let period = pair[1].start.since(pair[0].start);
            nanos(pair[0].duration()) as f64 * 100.0 / nanos(period) as f64
        };
        self.lanes.iter().map(|lane| lane.windows(2).map(share).collect()).collect()
    }

    /// Samples of time in nanoseconds; `None` if there are none.
    pub(super) fn times(
        &self,
        samples: impl IntoIterator<Item = f64>,
    ) -> Result<Option<Distribution>, Blame> {
        distribution(Unit::Nanoseconds, samples, self.doubt.span)
    }

    /// What `measure` gives for all of it; `None` if there is nothing to measure.
    pub(super) fn measure(&self, measure: &Measure) -> Result<Option<Distribution>, Blame> {
        measure.of(&self.frames, self.doubt)
    }

    /// What `measure` gives for one frame of it.
    pub(super) fn measure_one(
        &self,
        measure: &Measure,
        frame: &Shown,
    ) -> Result<Option<Distribution>, Blame> {
        measure.of(std::slice::from_ref(frame), self.doubt)
    }
}

/// Without the burst that was on the wire when the recording ended. A burst that is followed by
/// the low that ends it is whole, however short it is.
fn whole(lane: &[Frame], until: Instant) -> &[Frame] {
    match lane.split_last() {
        Some((last, before)) if until.since(last.end) < Config::default().latch => before,
        _ => lane,
    }
}

/// The bursts that belong together. One without a partner is judged as it is, unless its partner
/// may lie outside the recording.
fn join(first: &[Frame], second: &[Frame], pixels: [usize; 2], from: Instant, until: Instant) -> Vec<Shown> {
    let pairing = pair(first, second, SAME_FRAME);
    let inside =
        |frame: &&Frame| frame.start.since(from) > SAME_FRAME && until.since(frame.start) > SAME_FRAME;
    let both = pairing.pairs.iter().map(|&(a, b)| [Some(first[a].clone()), Some(second[b].clone())]);
    let lonely = |lane: &[Frame], indices: &[usize]| -> Vec<Frame> {
        indices.iter().map(|&index| &lane[index]).filter(inside).cloned().collect()
    };
    let only_first = lonely(first, &pairing.only_first).into_iter().map(|frame| [Some(frame), None]);
    let only_second = lonely(second, &pairing.only_second).into_iter().map(|frame| [None, Some(frame)]);
    let mut frames: Vec<Shown> =
        both.chain(only_first).chain(only_second).map(|bursts| Shown { bursts, pixels }).collect();
    frames.sort_by_key(|shown| shown.frames().map(|frame| frame.start).min());
    frames
}

/// From one burst's start to the next one's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Interval {
    pub(super) start: Instant,
    pub(super) end: Instant,
}

impl Interval {
    pub(super) fn nanos(self) -> f64 {
        nanos(self.length()) as f64
    }

    fn length(self) -> Duration {
        self.end.since(self.start)
    }

    /// Whether a line at `logged` may be about this interval: it has begun, and not ended long ago.
    fn told_at(self, logged: Instant) -> bool {
        self.start <= logged && logged.since(self.end) <= LOGGED_WITHIN
    }
}

/// The intervals of a lane. At either end of the recording one is open: its true length is at
/// least what was seen of it, so it counts if that is longer than every whole one.
fn intervals(lane: &[Frame], from: Instant, until: Instant) -> Vec<Interval> {
    let mut all: Vec<Interval> =
        lane.windows(2).map(|pair| Interval { start: pair[0].start, end: pair[1].start }).collect();
    let longest = all.iter().map(|interval| interval.length()).max().unwrap_or_default();
    let open = match (lane.first(), lane.last()) {
        (Some(first), Some(last)) => {
            vec![Interval { start: from, end: first.start }, Interval { start: last.start, end: until }]
        }
        _ => vec![Interval { start: from, end: until }],
    };
    all.extend(open.into_iter().filter(|interval| interval.length() > longest));
    all
}

/// When the console spoke of an overrun, from `lines`.
pub(super) fn overruns(lines: &[Line]) -> Vec<Instant> {
    lines.iter().filter_map(overrun).collect()
}

/// When `line` began, if it speaks of an overrun. A count of overruns, as in `underruns=0`, does not.
pub(crate) fn overrun(line: &Line) -> Option<Instant> {
    let text = line.text.to_lowercase();
    let is_count = |rest: &str| rest.strip_prefix('s').is_some_and(|rest| rest.starts_with(['=', ':']));
    let told = ["underrun", "overrun"].iter().flat_map(|word| text.split(word).skip(1));
    told.into_iter().any(|rest| !is_count(rest)).then_some(line.start)
}

/// Whether an overrun that the console spoke of at `logged` can be one of `intervals`.
pub(super) fn explains(intervals: &[Interval], logged: Instant) -> bool {
    intervals.iter().any(|interval| interval.told_at(logged))
}

/// The intervals of one lane without those for which an overrun was logged: each log line excuses
/// the longest one that ended shortly before it.
pub(super) fn unexcused(mut intervals: Vec<Interval>, overruns: &[Instant]) -> Vec<Interval> {
    for &logged in overruns {
        let excused = intervals
            .iter()
            .enumerate()
            .filter(|(_, interval)| interval.told_at(logged))
            .max_by_key(|(_, interval)| interval.length())
            .map(|(index, _)| index);
        if let Some(index) = excused {
            intervals.remove(index);
        }
    }
    intervals
}

/// Something that is measured of every frame, and the requirement that asks for it.
pub(super) struct Measure {
    pub(super) id: &'static str,
    figure: Figure,
    sample: fn(&Shown, &mut Vec<f64>),
}

/// What kind of figure it is, which says how far it may be off.
#[derive(Clone, Copy)]
enum Figure {
    /// Counted, and exact.
    Counted(Unit),
    /// The time of a pulse within a burst, in nanoseconds.
    Pulse,
    /// The time between two instants, in nanoseconds.
    Span,
}

impl Measure {
    fn of(&self, frames: &[Shown], doubt: Doubt) -> Result<Option<Distribution>, Blame> {
        let mut samples = Vec::new();
        for frame in frames {
            (self.sample)(frame, &mut samples);
        }
        match self.figure {
            Figure::Counted(unit) => distribution(unit, samples, Duration::ZERO),
            Figure::Pulse => distribution(Unit::Nanoseconds, samples, doubt.pulse),
            Figure::Span => distribution(Unit::Nanoseconds, samples, doubt.span),
        }
    }
}

fn distribution(
    unit: Unit,
    samples: impl IntoIterator<Item = f64>,
    uncertainty: Duration,
) -> Result<Option<Distribution>, Blame> {
    let mut samples = samples.into_iter().peekable();
    if samples.peek().is_none() {
        return Ok(None);
    }
    let distribution = Distribution::new(unit, samples)?;
    if uncertainty == Duration::ZERO {
        return Ok(Some(distribution));
    }
    Ok(Some(distribution.uncertain_by(Amount::new(nanos(uncertainty) as f64, Unit::Nanoseconds))?))
}

/// What is measured of the lanes' bursts. Of times that a frame holds by the thousand, its shortest
/// and its longest are the samples: with them "every one" is exact.
pub(super) const MEASURES: [Measure; 15] = [
    Measure { id: "K1-LED-001", figure: Figure::Counted(Unit::Count), sample: bits },
    Measure { id: "K1-LED-004", figure: Figure::Counted(Unit::Count), sample: apart },
    Measure {
        id: "K1-LED-007",
        figure: Figure::Pulse,
        sample: |shown, to| extremes(shown, to, |t| &t.zero_high),
    },
    Measure { id: "K1-LED-008", figure: Figure::Span, sample: low_before },
    Measure { id: "K1-LED-009", figure: Figure::Pulse, sample: longest_low },
    Measure { id: "K1-LED-013", figure: Figure::Span, sample: start_skew },
    Measure { id: "K1-LED-014", figure: Figure::Span, sample: start_skew },
    Measure {
        id: "K1-LED-016",
        figure: Figure::Pulse,
        sample: |shown, to| extremes(shown, to, |t| &t.one_high),
    },
    Measure {
        id: "K1-LED-017",
        figure: Figure::Pulse,
        sample: |shown, to| extremes(shown, to, |t| &t.zero_low),
    },
    Measure {
        id: "K1-LED-018",
        figure: Figure::Pulse,
        sample: |shown, to| extremes(shown, to, |t| &t.one_high),
    },
    Measure {
        id: "K1-LED-019",
        figure: Figure::Pulse,
        sample: |shown, to| extremes(shown, to, |t| &t.one_low),
    },
    Measure { id: "K1-LED-020", figure: Figure::Span, sample: low_before },
    Measure { id: "K1-LED-024", figure: Figure::Counted(Unit::Bytes), sample: bytes },
    Measure { id: "K1-LED-026", figure: Figure::Pulse, sample: bit_period },
    Measure { id: "K1-LED-027", figure: Figure::Span, sample: shift_out },
];

/// A missing burst has none.
fn bits(shown: &Shown, to: &mut Vec<f64>) {
    to.extend(shown.bursts.iter().map(|burst| burst.as_ref().map_or(0.0, |frame| frame.body.bits() as f64)));
}

fn bytes(shown: &Shown, to: &mut Vec<f64>) {
    to.push(shown.frames().map(|frame| frame.body.bits() as f64 / 8.0).sum());
}

/// 1 if the two bursts do not overlap, or there are no two.
fn apart(shown: &Shown, to: &mut Vec<f64>) {
    let together = shown.both().is_some_and(|(a, b)| overlap(a, b) > Duration::ZERO);
    to.push(f64::from(u8::from(!together)));
}

/// A partner that is missing is at least as far away as pairs are looked for.
fn start_skew(shown: &Shown, to: &mut Vec<f64>) {
    to.push(nanos(shown.both().map_or(SAME_FRAME, |(a, b)| skew(a, b))) as f64);
}

fn extremes(shown: &Shown, to: &mut Vec<f64>, span: fn(&Timing) -> &Span) {
    for frame in shown.frames() {
        let span = span(&frame.body.timing);
        to.extend(span.min_ns().into_iter().chain(span.max_ns()).map(|ns| ns as f64));
    }
}

fn low_before(shown: &Shown, to: &mut Vec<f64>) {
    to.extend(shown.frames().filter_map(|frame| frame.low_before).map(|low| nanos(low) as f64));
}

fn longest_low(shown: &Shown, to: &mut Vec<f64>) {
    to.extend(shown.frames().filter_map(|frame| frame.body.timing.longest_low_ns()).map(|ns| ns as f64));
}

/// The mean one of each burst. Its last low is one with the reset and belongs to no bit.
fn bit_period(shown: &Shown, to: &mut Vec<f64>) {
    for frame in shown.frames() {
        let Timing { zero_high, one_high, zero_low, one_low, .. } = &frame.body.timing;
        let mean = |a: &Span, b: &Span| {
            let sum = |span: &Span| span.mean_ns().unwrap_or_default() * span.count() as f64;
            (sum(a) + sum(b)) / (a.count() + b.count()).max(1) as f64
        };
        to.push(mean(zero_high, one_high) + mean(zero_low, one_low));
    }
}

/// From the first edge on either lane to the last one.
fn shift_out(shown: &Shown, to: &mut Vec<f64>) {
    let start = shown.frames().map(|frame| frame.start).min();
    let end = shown.frames().map(|frame| frame.end).max();
    to.extend(start.zip(end).map(|(start, end)| nanos(end.since(start)) as f64));
}

#[cfg(test)]
mod tests {
    use rigor_core::event::{Burst, BytesEncoding, Kind, Symbol};
    use rigor_core::{Event, Level};
    use rigor_decode::console::LineEnd;
    use rigor_decode::ws2812::LaneDecoder;

    use super::*;

    const WS2812B: BytesEncoding = BytesEncoding {
        zero: Symbol { high_ns: 400, low_ns: 850 },
        one: Symbol { high_ns: 800, low_ns: 450 },
    };

    /// A lane of two pixels that sends these bytes at these times.
    fn lane(bursts: &[(u64, &[u8])]) -> Vec<Frame> {
        let events: Vec<Event> = bursts
            .iter()
            .map(|&(at_us, bytes)| Event {
                at: at(at_us),
                uncertainty: Duration::ZERO,
                kind: Kind::Burst(Burst { bytes: bytes.into(), encoding: WS2812B, idle: Level::Low }),
            })
            .collect();
        LaneDecoder::decode(Config::strip(2), &events)
    }

    fn at(us: u64) -> Instant {
        Instant::from_nanos(us * 1000)
    }

    fn evidence(first: &[(u64, &[u8])], second: &[(u64, &[u8])]) -> Evidence {
        Evidence::of(Recording {
            lanes: vec![lane(first), lane(second)],
            pixels: vec![2, 2],
            from: at(0),
            until: at(50_000),
        })
        .expect("two lanes without gaps")
    }

    fn samples(evidence: &Evidence, id: &str) -> Vec<f64> {
        let measure = MEASURES.iter().find(|measure| measure.id == id).expect("a measure");
        evidence.measure(measure).expect("samples").map_or(Vec::new(), |all| all.samples().to_vec())
    }

    const PIXELS: &[u8] = &[0, 255, 0, 1, 2, 3];

    #[test]
    fn a_good_strip_measures_as_its_data_sheet_says() {
        let good = [(10_000, PIXELS), (18_333, PIXELS), (26_666, PIXELS)];
        let seen = evidence(&good, &good);
        assert_eq!(samples(&seen, "K1-LED-001"), [48.0; 6]);
        assert_eq!(samples(&seen, "K1-LED-004"), [0.0; 3]);
        assert_eq!(samples(&seen, "K1-LED-007"), [400.0; 12]);
        assert_eq!(samples(&seen, "K1-LED-016"), [800.0; 12]);
        assert_eq!(samples(&seen, "K1-LED-017"), [850.0; 12]);
        assert_eq!(samples(&seen, "K1-LED-019"), [450.0; 12]);
        assert_eq!(samples(&seen, "K1-LED-009"), [850.0; 6]);
        assert_eq!(samples(&seen, "K1-LED-013"), [0.0; 3]);
        assert_eq!(samples(&seen, "K1-LED-024"), [12.0; 3]);
        assert_eq!(
            samples(&seen, "K1-LED-008").len(),
            4,
            "nothing is known of the low before the first burst"
        );
        assert!(samples(&seen, "K1-LED-026").iter().all(|period| (period - 1250.0).abs() < 10.0));
        assert!(samples(&seen, "K1-LED-027").iter().all(|time| (time - 48.0 * 1250.0).abs() <= 850.0));
    }

    #[test]
    fn a_missing_burst_counts_against_its_frame() {
        let seen = evidence(&[(10_000, PIXELS), (18_333, PIXELS), (26_666, PIXELS)], &[(10_000, PIXELS)]);
        assert_eq!(samples(&seen, "K1-LED-001"), [0.0, 0.0, 48.0, 48.0, 48.0, 48.0]);
        assert_eq!(samples(&seen, "K1-LED-004"), [0.0, 1.0, 1.0]);
        assert_eq!(samples(&seen, "K1-LED-013"), [0.0, 8e6, 8e6]);
        assert_eq!(samples(&seen, "K1-LED-024"), [6.0, 6.0, 12.0]);
        assert_eq!(seen.frames[2].rgb_bytes()[6..], [0; 6]);
    }

    #[test]
    fn lanes_one_after_the_other_are_one_frame_that_does_not_overlap() {
        let seen = evidence(&[(10_000, PIXELS), (19_600, PIXELS)], &[(14_800, PIXELS), (24_400, PIXELS)]);
        assert_eq!(samples(&seen, "K1-LED-004"), [1.0, 1.0]);
        assert_eq!(samples(&seen, "K1-LED-013"), [4.8e6, 4.8e6]);
        assert!(samples(&seen, "K1-LED-027")[0] > 4.8e6);
    }

    #[test]
    fn a_burst_at_the_edge_of_the_recording_is_not_blamed_for_its_partner() {
        let seen = evidence(&[(10_000, PIXELS), (49_000, PIXELS)], &[(10_000, PIXELS)]);
        assert_eq!(samples(&seen, "K1-LED-004"), [0.0]);
    }

    fn lengths(intervals: &[Interval]) -> Vec<u64> {
        intervals.iter().map(|interval| interval.length().as_micros() as u64).collect()
    }

    #[test]
    fn silence_is_an_interval() {
        let seen = evidence(&[(8000, PIXELS), (16_000, PIXELS), (24_000, PIXELS)], &[]);
        assert_eq!(lengths(&seen.intervals()[0]), [8000, 8000, 26_000]);
        assert_eq!(lengths(&seen.intervals()[1]), [50_000]);
        let late = evidence(&[(40_000, PIXELS), (48_000, PIXELS)], &[]);
        assert_eq!(lengths(&late.intervals()[0]), [8000, 40_000]);
        assert_eq!(lengths(&late.since_first_burst().intervals()[0]), [8000]);
        let cleared = [(1_000_000, PIXELS), (3_000_000, PIXELS), (3_008_000, PIXELS)];
        let mut seen = evidence(&cleared, &cleared);
        seen.until = at(3_010_000);
        assert_eq!(lengths(&seen.since_first_burst().intervals()[1]), [8000]);
    }

    fn line(at_us: u64, text: &str) -> Line {
        Line {
            start: at(at_us),
            end: at(at_us),
            uncertainty: Duration::ZERO,
            raw: Box::default(),
            text: text.to_owned(),
            invalid_utf8: false,
            continues: false,
            ending: LineEnd::Newline,
        }
    }

    #[test]
    fn a_logged_overrun_excuses_one_interval_before_it() {
        let all: Vec<Interval> = [(0, 8000), (8000, 33_000), (33_000, 58_000), (58_000, 66_000)]
            .map(|(start, end)| Interval { start: at(start), end: at(end) })
            .to_vec();
        let logged = overruns(&[
            line(34_000, "W (34) led_driver: Frame underrun: 25000 us"),
            line(40_000, "I (40) playback: Frames: sent=7 underruns=0 dropped=0"),
        ]);
        assert_eq!(logged, [at(34_000)]);
        assert_eq!(lengths(&unexcused(all.clone(), &logged)).iter().filter(|&&us| us == 25_000).count(), 1);
        assert_eq!(lengths(&unexcused(all.clone(), &[at(2_000_000)])), lengths(&all), "too late");
        assert_eq!(lengths(&unexcused(all.clone(), &[])), lengths(&all));
    }
}
