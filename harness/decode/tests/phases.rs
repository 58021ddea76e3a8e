//! What an instrument samples of a wire against the wire itself: the same frames, and pulses that are
//! wrong by no more than the decoder says.

use std::time::Duration;

use proptest::prelude::*;
use rigor_core::event::{Burst, BytesEncoding, Gap, Phases, Symbol};
use rigor_core::rate::SampleRate;
use rigor_core::time::nanos;
use rigor_core::{Event, Instant, Kind, Level};
use rigor_decode::ws2812::{Config, Cut, Ending, Frame, LaneDecoder, Span};

/// WS2812B datasheet.
const DATASHEET: BytesEncoding =
    BytesEncoding { zero: Symbol { high_ns: 400, low_ns: 850 }, one: Symbol { high_ns: 800, low_ns: 450 } };

const US: u64 = 1_000;
const LATCH: u64 = 50 * US;

/// Where an edge is and what the wire is from there on.
type Edge = (u64, Level);

fn event(at: u64, kind: Kind) -> Event {
    Event { at: Instant::from_nanos(at), uncertainty: Duration::ZERO, kind }
}

/// Frames with rests before them, in nanoseconds.
#[derive(Clone, Debug)]
struct Wire {
    frames: Vec<(u64, Vec<u8>)>,
    encoding: BytesEncoding,
}

impl Wire {
    fn of(frames: &[(u64, &[u8])]) -> Wire {
        let frames = frames.iter().map(|&(rest, bytes)| (rest, bytes.to_vec())).collect();
        Wire { frames, encoding: DATASHEET }
    }

    fn bursts(&self) -> Vec<Event> {
        let mut at = 0;
        let mut events = Vec::new();
        for (rest, bytes) in &self.frames {
            at += rest;
            let burst = Burst { bytes: bytes.as_slice().into(), encoding: self.encoding, idle: Level::Low };
            let length = nanos(burst.duration());
            events.push(event(at, Kind::Burst(burst)));
            at += length;
        }
        events
    }

    fn edges(&self) -> Vec<Edge> {
        let bursts = self.bursts();
        let edges = bursts.iter().flat_map(|event| {
            let Kind::Burst(burst) = &event.kind else { return Vec::new() };
            burst.edges().map(|(offset, level)| (event.at.as_nanos() + offset, level)).collect()
        });
        edges.collect()
    }

    fn frames(&self) -> Vec<Frame> {
        LaneDecoder::decode(Config::default(), &self.bursts())
    }
}

/// A logic analyser.
#[derive(Clone, Debug)]
struct Instrument {
    /// What it says of its clock.
    rate: SampleRate,
    /// How much slower its clock really is, in millionths.
    off_ppm: f64,
    /// When it takes its first sample, in nanoseconds.
    from: f64,
    /// Which way it takes an edge that lies between two samples; repeated.
    rounds_up: Vec<bool>,
}

impl Instrument {
    fn exact(hertz: u64) -> Self {
        let rate = SampleRate::hertz(hertz).expect("a rate");
        Instrument { rate, off_ppm: 0.0, from: 0.0, rounds_up: vec![true] }
    }

    /// Real length of a sample, in nanoseconds.
    fn sample(&self) -> f64 {
        1e9 / self.rate.as_hertz() as f64 * (1.0 + self.off_ppm * 1e-6)
    }

    /// The sample that each edge comes with. No time between two of them is wrong by more than one.
    fn samples(&self, edges: &[Edge]) -> Vec<(u64, Level)> {
        let mut before = 0.0;
        let mut samples = Vec::new();
        for ((at, level), &up) in edges.iter().zip(self.rounds_up.iter().cycle()) {
            let exact = (*at as f64 - self.from) / self.sample();
            let far = |taken: f64| (taken - exact - before).abs() > 1.0;
            let [near, other] =
                if up { [exact.ceil(), exact.floor()] } else { [exact.floor(), exact.ceil()] };
            let taken = if far(near) { other } else { near };
            before = taken - exact;
            samples.push((taken as u64, *level));
        }
        samples
    }

    /// Stretches that begin with these edges, after one that says that the wire is low.
    fn stretches(&self, edges: &[Edge], cuts: &[usize]) -> Vec<Event> {
        let samples = self.samples(edges);
        let mut cuts = cuts.to_vec();
        cuts.extend([0, samples.len()]);
        cuts.sort_unstable();
        cuts.dedup();
        let mut events = vec![self.stretch(0, Level::Low, &[1])];
        for range in cuts.windows(2) {
            let stretch = &samples[range[0]..range[1]];
            // The last phase ends where the next stretch begins, or a little after the last edge.
            let end = samples.get(range[1]).map_or(stretch[stretch.len() - 1].0 + 9, |next| next.0);
            let ends = stretch[1..].iter().map(|sample| sample.0).chain([end]);
            let lengths: Vec<u32> =
                stretch.iter().zip(ends).map(|(sample, end)| (end - sample.0) as u32).collect();
            events.push(self.stretch(stretch[0].0, stretch[0].1, &lengths));
        }
        events
    }

    fn stretch(&self, sample: u64, first: Level, lengths: &[u32]) -> Event {
        let at = (self.from + sample as f64 * self.sample()).round() as u64;
        let phases = Phases { first, rate: self.rate, lengths: lengths.into() };
        // A sample, what it was rounded by, and what its clock has gone wrong by at the end.
        let drift = phases.duration().as_nanos() as f64 * self.off_ppm.abs() * 1e-6;
        let uncertainty = Duration::from_nanos((self.sample() + 1.0 + drift).ceil() as u64);
        Event { uncertainty, ..event(at, Kind::Phases(phases)) }
    }
}

fn apart(a: Instant, b: Instant) -> Duration {
    a.since(b).max(b.since(a))
}

/// `seen` is what `meant` says, as well as it claims to know.
fn agrees(seen: &Frame, meant: &Frame) -> Result<(), TestCaseError> {
    prop_assert_eq!(&seen.body.bytes, &meant.body.bytes);
    prop_assert_eq!(seen.body.tail, meant.body.tail);
    prop_assert!(apart(seen.start, meant.start) <= seen.uncertainty, "{seen:?} {meant:?}");
    prop_assert!(apart(seen.end, meant.end) <= seen.uncertainty, "{seen:?} {meant:?}");
    let limit = nanos(seen.pulse_uncertainty);
    prop_assert!(limit > 0);
    let (a, b) = (&seen.body.timing, &meant.body.timing);
    let spans = [
        (a.zero_high, b.zero_high),
        (a.zero_low, b.zero_low),
        (a.one_high, b.one_high),
        (a.one_low, b.one_low),
    ];
    let ends = |span: &Span| span.min_ns().zip(span.max_ns());
    for (one, other) in spans {
        prop_assert_eq!(one.count(), other.count());
        if let (Some(one), Some(other)) = (ends(&one), ends(&other)) {
            prop_assert!(one.0.abs_diff(other.0) <= limit, "{one:?} {other:?} by {limit}");
            prop_assert!(one.1.abs_diff(other.1) <= limit, "{one:?} {other:?} by {limit}");
        }
    }
    Ok(())
}

/// Pulses that no decoder may misread for being a sample and a half off at 10 MHz.
fn wires() -> impl Strategy<Value = Wire> {
    let bytes = proptest::collection::vec(any::<u8>(), 1..40);
    let frames = proptest::collection::vec((60 * US..9_000 * US, bytes), 1..5);
    let encoding = (400u32..=440, 300u32..4_500, 700u32..=790, 300u32..4_500).prop_map(|(a, b, c, d)| {
        BytesEncoding { zero: Symbol { high_ns: a, low_ns: b }, one: Symbol { high_ns: c, low_ns: d } }
    });
    (frames, encoding).prop_map(|(frames, encoding)| Wire { frames, encoding })
}

fn instruments() -> impl Strategy<Value = Instrument> {
    let rates = prop_oneof![
        3 => Just(125_000_000),
        2 => Just(24_000_000),
        1 => Just(10_000_000),
        1 => 10_000_000..1_000_000_000u64,
    ];
    let rounds_up = proptest::collection::vec(any::<bool>(), 1..50);
    (rates, -50.0..50.0, 0.0..1_000.0, rounds_up).prop_map(|(hertz, off_ppm, from, rounds_up)| Instrument {
        rate: SampleRate::hertz(hertz).expect("a rate"),
        off_ppm,
        from,
        rounds_up,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    /// With any phase, with jitter and with a clock that is off, in one stretch for each frame and in one
    /// for all of them.
    #[test]
    fn samples_of_a_wire_are_its_frames(wire in wires(), instrument in instruments(), apart_from_each_other in any::<bool>()) {
        let mut begins = vec![0];
        for (_, bytes) in &wire.frames {
            begins.push(begins[begins.len() - 1] + bytes.len() * 16);
        }
        begins.pop();
        let cuts = if apart_from_each_other { begins } else { Vec::new() };
        let seen = LaneDecoder::decode(Config::default(), &instrument.stretches(&wire.edges(), &cuts));
        let meant = wire.frames();
        prop_assert_eq!(seen.len(), meant.len());
        let mut before = Duration::ZERO;
        for (seen, meant) in seen.iter().zip(&meant) {
            agrees(seen, meant)?;
            prop_assert_eq!(seen.ending, meant.ending);
            prop_assert_eq!(seen.low_before.is_some(), meant.low_before.is_some());
            if let (Some(a), Some(b)) = (seen.low_before, meant.low_before) {
                // Between an instant of the frame before and one of this one.
                let limit = before + seen.uncertainty;
                prop_assert!(a.abs_diff(b) <= limit, "{:?} {:?} by {:?}", a, b, limit);
            }
            before = seen.uncertainty;
            // A frame's pulses are known to a sample, wherever it is cut from its neighbours.
            let sample = 1_000_000_000u64.div_ceil(instrument.rate.as_hertz());
            prop_assert!(nanos(seen.pulse_uncertainty) <= sample + 1);
        }
    }

    /// A source may cut anywhere, also within a pulse.
    #[test]
    fn where_stretches_are_cut_is_no_matter(
        wire in wires(),
        instrument in instruments(),
        cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..20),
    ) {
        let instrument = Instrument { off_ppm: 0.0, ..instrument };
        let edges = wire.edges();
        let cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(edges.len())).collect();
        let seen = LaneDecoder::decode(Config::default(), &instrument.stretches(&edges, &cuts));
        let meant = wire.frames();
        prop_assert_eq!(seen.len(), meant.len());
        for (seen, meant) in seen.iter().zip(&meant) {
            agrees(seen, meant)?;
        }
    }

    /// Who begins to watch anywhere sees the frames after the next rest, and none that there was not.
    #[test]
    fn watching_begins_anywhere(wire in wires(), from in any::<prop::sample::Index>(), within in 0u64..20_000) {
        let edges = wire.edges();
        let first = from.index(edges.len());
        let from = edges[first].0.saturating_sub(within);
        let (before, rest): (Vec<Edge>, Vec<Edge>) = edges.iter().partition(|edge| edge.0 <= from);
        let found = before.last().map_or(Level::Low, |edge| edge.1);
        let instrument = Instrument { from: from as f64, ..Instrument::exact(125_000_000) };
        let mut events = vec![instrument.stretch(0, found, &[1])];
        if !rest.is_empty() {
            events.extend(instrument.stretches(&rest, &[]).split_off(1));
        }
        let seen = LaneDecoder::decode(Config::default(), &events);
        let meant: Vec<Frame> =
            wire.frames().into_iter().filter(|frame| frame.start.as_nanos() >= from + LATCH + 8).collect();
        prop_assert!(seen.len() == meant.len() || seen.len() == meant.len() + 1, "{} {}", seen.len(), meant.len());
        // One whose rest was seen for just about the latch time may be there or not.
        for (seen, meant) in seen.iter().rev().zip(wire.frames().iter().rev()) {
            agrees(seen, meant)?;
        }
    }

    /// What is lost in the middle makes no frame, whatever it was.
    #[test]
    fn a_gap_makes_no_frame(wire in wires(), from in any::<prop::sample::Index>(), length in 1usize..200) {
        let edges = wire.edges();
        let from = from.index(edges.len());
        let after = (from + length).min(edges.len());
        let instrument = Instrument::exact(125_000_000);
        let mut events = vec![instrument.stretch(0, Level::Low, &[1])];
        if from > 0 {
            events.extend(instrument.stretches(&edges[..from], &[]).split_off(1));
        }
        let lost = edges[from].0;
        let gap = Gap { length: Duration::from_nanos(5), reason: "overrun".into() };
        events.push(event(lost, Kind::Gap(gap)));
        if after < edges.len() {
            events.extend(instrument.stretches(&edges[after..], &[]).split_off(1));
        }
        let seen = LaneDecoder::decode(Config::default(), &events);
        let meant = wire.frames();
        for frame in &seen {
            let whole = meant.iter().find(|meant| apart(meant.start, frame.start).as_nanos() < 16);
            let Some(whole) = whole else { return Err(TestCaseError::fail(format!("{frame:?} was never sent"))) };
            if frame.ending == Ending::Cut(Cut::Gap) {
                prop_assert!(frame.body.bits() <= whole.body.bits());
            } else {
                agrees(frame, whole)?;
            }
        }
        prop_assert!(seen.iter().filter(|frame| frame.ending == Ending::Cut(Cut::Gap)).count() <= 1);
    }

    /// Anything at all: no panic, and nothing longer than allowed.
    #[test]
    fn any_stretches_do_not_panic(
        stretches in proptest::collection::vec(
            (any::<u64>(), any::<bool>(), 1..=1_000_000_000_000u64, proptest::collection::vec(any::<u32>(), 0..40)),
            0..20,
        ),
        max_bits in 0u32..100,
    ) {
        let config = Config { max_bits, ..Config::default() };
        let events = stretches.into_iter().map(|(at, high, hertz, lengths)| {
            let first = if high { Level::High } else { Level::Low };
            event(at, Kind::Phases(Phases { first, rate: SampleRate::hertz(hertz).expect("a rate"), lengths: lengths.into() }))
        });
        let events: Vec<Event> = events.collect();
        let frames = LaneDecoder::decode(config, &events);
        let most = u64::from(max_bits.div_ceil(8).max(1)) * 8;
        prop_assert!(frames.iter().all(|frame| frame.body.bits() <= most && frame.end >= frame.start));
    }
}

#[test]
fn a_captured_frame_says_how_well_it_is_known() {
    let wire = Wire::of(&[(100 * US, &[0xA5, 0, 0xFF]), (300 * US, &[1, 2, 3])]);
    let frames =
        LaneDecoder::decode(Config::default(), &Instrument::exact(125_000_000).stretches(&wire.edges(), &[]));
    assert_eq!(frames.len(), 2);
    assert_eq!((frames[0].ending, frames[0].low_before), (Ending::Latched, None), "nobody saw the low begin");
    assert_eq!(frames[1].low_before, Some(Duration::from_nanos(300_448)), "of 300,450");
    for frame in &frames {
        assert_eq!((frame.uncertainty.as_nanos(), frame.pulse_uncertainty.as_nanos()), (9, 8));
        // 850 ns are 106 samples and a quarter.
        assert_eq!(
            (frame.body.timing.zero_low.min_ns(), frame.body.timing.one_high.max_ns()),
            (Some(848), Some(800))
        );
    }
}

#[test]
fn a_pulse_in_two_stretches_is_as_uncertain_as_their_places() {
    let wire = Wire::of(&[(100 * US, &[0x0F]), (300 * US, &[0x0F])]);
    let mut events = Instrument::exact(125_000_000).stretches(&wire.edges(), &[5]);
    events.iter_mut().for_each(|event| event.uncertainty = Duration::from_nanos(100));
    let frames = LaneDecoder::decode(Config::default(), &events);
    let known = |frame: &Frame| (frame.uncertainty.as_nanos(), frame.pulse_uncertainty.as_nanos());
    assert_eq!(frames.iter().map(known).collect::<Vec<_>>(), [(100, 200), (100, 8)]);
}

#[test]
fn who_comes_later_is_given_what_comes_later() {
    let wire = Wire::of(&[(100 * US, &[1]), (300 * US, &[2]), (300 * US, &[3])]);
    let events = Instrument::exact(125_000_000).stretches(&wire.edges(), &[16, 32]);
    let read = |mut lane: LaneDecoder, events: &[Event]| -> Vec<u8> {
        let mut frames = Vec::new();
        events.iter().for_each(|event| lane.event(event, &mut frames));
        frames.extend(lane.finish());
        frames.iter().map(|frame| frame.body.bytes[0]).collect()
    };
    assert_eq!(events.len(), 4);
    assert_eq!(read(LaneDecoder::after(Config::default(), &events[1]), &events[2..]), [2, 3]);
    assert_eq!(read(LaneDecoder::after(Config::default(), &events[1]), &[]), [0; 0]);
    let mut quiet = LaneDecoder::after(Config::default(), &events[1]);
    assert_eq!(quiet.quiet_until(events[2].at), None, "it was over before");
    assert_eq!(read(quiet, &events[2..]), [2, 3]);
    // Without what was before, the second might be the end of the first.
    assert_eq!(read(LaneDecoder::new(Config::default()), &events[2..]), [3]);
    // What ended in the stretch before is known, although only the next rise would show it.
    let two = Instrument::exact(125_000_000).stretches(&wire.edges(), &[32]);
    assert_eq!(read(LaneDecoder::after(Config::default(), &two[1]), &two[2..]), [3]);
    assert_eq!(LaneDecoder::after(Config::default(), &two[1]).finish(), None);
    assert_eq!(LaneDecoder::after(Config::default(), &two[1]).quiet_until(two[2].at), None);
    // And nobody takes the rest of a frame for one.
    let cut = Instrument::exact(125_000_000).stretches(&wire.edges(), &[5, 32]);
    assert_eq!(read(LaneDecoder::after(Config::default(), &cut[1]), &cut[2..]), [2, 3]);
}

#[test]
fn a_stretch_may_go_on_with_the_level_of_the_one_before() {
    let rate = SampleRate::hertz(125_000_000).expect("a rate");
    let phases =
        |at, first, lengths: &[u32]| event(at, Kind::Phases(Phases { first, rate, lengths: lengths.into() }));
    let bit = [100, 50];
    let byte = bit.repeat(8);
    let events = [
        phases(0, Level::Low, &[10_000]),
        phases(80_000, Level::Low, &[10_000]),
        phases(160_000, Level::High, &byte),
        phases(160_000 + 8 * 1_200, Level::Low, &[1]),
        phases(400_000, Level::High, &byte),
    ];
    let frames = LaneDecoder::decode(Config::default(), &events);
    assert_eq!(frames.iter().map(|frame| &*frame.body.bytes).collect::<Vec<_>>(), [[0xFF], [0xFF]]);
    assert!(frames.iter().all(|frame| frame.body.defect_count == 0));
    assert_eq!(frames[1].low_before, Some(Duration::from_nanos(400_000 - 160_000 - 8 * 1_200 + 400)));
}
