//! The WS2812B decoder against an encoder of its own, hand-made traces and hostile input.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use rigor_core::event::{Burst, BytesEncoding, Gap, Symbol};
use rigor_core::{Event, Instant, Kind, Level};
use rigor_decode::ws2812::{
    ColourOrder, Config, Cut, Decoder, Defect, DefectKind, Ending, Frame, LaneDecoder, MAX_DEFECTS,
    MEMO_BURSTS, PackedEdge, Rgb, relation,
};
use rstest::rstest;

/// WS2812B datasheet.
const DATASHEET: BytesEncoding =
    BytesEncoding { zero: Symbol { high_ns: 400, low_ns: 850 }, one: Symbol { high_ns: 800, low_ns: 450 } };

/// PRISM K1 specification, section 7: what the first firmware sends.
const PRISM: BytesEncoding =
    BytesEncoding { zero: Symbol { high_ns: 400, low_ns: 600 }, one: Symbol { high_ns: 700, low_ns: 600 } };

const US: u64 = 1_000;

/// A trace under construction: pulses one after the other.
#[derive(Default)]
struct Trace {
    now: u64,
    edges: Vec<(u64, Level)>,
}

impl Trace {
    fn pulse(&mut self, high: u64, low: u64) {
        self.edges.push((self.now, Level::High));
        self.edges.push((self.now + high, Level::Low));
        self.now += high + low;
    }

    fn bytes(&mut self, bytes: &[u8], encoding: BytesEncoding) {
        for byte in bytes {
            for bit in (0..8).rev() {
                let symbol = if byte >> bit & 1 == 1 { encoding.one } else { encoding.zero };
                self.pulse(symbol.high_ns.into(), symbol.low_ns.into());
            }
        }
    }

    fn low(&mut self, ns: u64) {
        self.now += ns;
    }

    fn one_by_one(&self, config: Config) -> Vec<Frame> {
        let mut decoder = Decoder::new(config);
        let mut frames: Vec<Frame> = self
            .edges
            .iter()
            .filter_map(|&(at, level)| decoder.edge(Instant::from_nanos(at), level))
            .collect();
        frames.extend(decoder.finish());
        frames
    }

    fn by_slices(&self, config: Config, length: usize) -> Vec<Frame> {
        let packed: Vec<PackedEdge> =
            self.edges.iter().map(|&(at, level)| PackedEdge::new(Instant::from_nanos(at), level)).collect();
        let mut decoder = Decoder::new(config);
        let mut frames = Vec::new();
        for slice in packed.chunks(length.max(1)) {
            decoder.edges(slice, &mut frames);
        }
        frames.extend(decoder.finish());
        frames
    }

    fn decode(&self, config: Config) -> Vec<Frame> {
        let frames = self.by_slices(config, usize::MAX);
        assert_eq!(frames, self.one_by_one(config));
        frames
    }
}

fn event(at: u64, kind: Kind) -> Event {
    Event { at: Instant::from_nanos(at), uncertainty: Duration::ZERO, kind }
}

fn burst(at: u64, bytes: &[u8], encoding: BytesEncoding) -> Event {
    event(at, Kind::Burst(Burst { bytes: bytes.into(), encoding, idle: Level::Low }))
}

#[test]
fn two_frames_of_the_datasheet() {
    let mut trace = Trace::default();
    trace.low(10 * US);
    trace.bytes(&[0xFF, 0x00, 0x80, 0x01, 0x02, 0x03], DATASHEET);
    trace.low(300 * US);
    trace.bytes(&[0x10, 0x20, 0x30], DATASHEET);
    let frames = trace.decode(Config::default());
    assert_eq!(frames.len(), 2);

    let first = &frames[0];
    assert_eq!(first.start, Instant::from_nanos(10 * US));
    // 48 bits of 1.25 us; the last is a 1, whose low of 450 ns is not part of the frame.
    assert_eq!(first.end, Instant::from_nanos(10 * US + 48 * 1250 - 450));
    assert_eq!(first.duration(), Duration::from_nanos(48 * 1250 - 450));
    assert_eq!((first.low_before, first.ending), (None, Ending::Latched));
    assert_eq!((first.body.bits(), first.body.incomplete_bits()), (48, 0));
    assert_eq!(
        first.pixels(ColourOrder::Grb).collect::<Vec<_>>(),
        [Rgb::new(0x00, 0xFF, 0x80), Rgb::new(0x02, 0x01, 0x03)]
    );
    let timing = &first.body.timing;
    assert_eq!((timing.zero_high.count(), timing.one_high.count()), (35, 13));
    assert_eq!((timing.zero_low.count(), timing.one_low.count()), (35, 12));
    assert_eq!((timing.zero_high.mean_ns(), timing.zero_low.mean_ns()), (Some(400.0), Some(850.0)));
    assert_eq!((timing.one_high.min_ns(), timing.one_high.max_ns()), (Some(800), Some(800)));
    assert_eq!(timing.longest_low_ns(), Some(850));
    assert_eq!((timing.outside_permissive, timing.outside_strict.total()), (0, 0));

    let second = &frames[1];
    assert_eq!(second.low_before, Some(Duration::from_nanos(300 * US + 450)));
    assert_eq!(second.ending, Ending::TraceEnded);
    assert!(!first.is_whole() && !second.is_whole());
    assert_eq!(relation::periods(&frames).collect::<Vec<_>>(), [Duration::from_nanos(48 * 1250 + 300 * US)]);
}

/// Section 7 of the specification: 0 bits of 1.0 us, 1 bits of 1.3 us; T0L is out of the strict
/// window, T1H and T1L are in.
#[test]
fn the_first_firmware_breaks_only_the_strict_window() {
    let mut trace = Trace::default();
    trace.bytes(&[0xF0; 480], PRISM);
    let frames = trace.decode(Config::strip(160));
    let timing = &frames[0].body.timing;
    assert_eq!(frames[0].body.bits(), 160 * 24);
    assert_eq!((timing.outside_permissive, frames[0].body.defect_count), (0, 0));
    // The last bit is a 0, whose low is not counted.
    assert_eq!(timing.outside_strict.zero_low, 480 * 4 - 1);
    assert_eq!(timing.outside_strict.total(), timing.outside_strict.zero_low);
}

#[rstest]
#[case::shortest_zero(250, 0, false)]
#[case::too_short(249, 0, true)]
#[case::threshold_is_a_zero(550, 0, false)]
#[case::just_a_one(551, 1, false)]
#[case::longest_one(950, 1, false)]
#[case::too_long(951, 1, true)]
#[case::glitch(0, 0, true)]
#[case::stuck(1_000_000_000, 1, true)]
fn high_time_decides(#[case] high: u64, #[case] bit: u8, #[case] is_defect: bool) {
    let mut trace = Trace::default();
    trace.bytes(&[0], DATASHEET);
    for _ in 0..8 {
        trace.pulse(high, 500);
    }
    let frames = trace.decode(Config::default());
    assert_eq!(*frames[0].body.bytes, [0, bit * 0xFF]);
    let expected = Defect { bit: 8, kind: DefectKind::HighTime { ns: high } };
    assert_eq!(frames[0].body.defects.first(), is_defect.then_some(&expected));
    assert_eq!(frames[0].body.timing.outside_permissive, if is_defect { 8 } else { 0 });
}

#[rstest]
#[case::most_of_a_bit(4_999, None, 1, 0)]
#[case::limit_of_a_bit(5_000, None, 1, 0)]
#[case::doubtful(5_001, None, 1, 1)]
#[case::just_short_of_a_latch(49_999, None, 1, 1)]
#[case::latch(50_000, None, 2, 0)]
#[case::long(10_000_000, None, 2, 0)]
#[case::short_reset(20_000, Some(24), 2, 0)]
#[case::stall_inside(20_000, Some(48), 1, 1)]
#[case::bit_after_a_whole_strip(5_000, Some(24), 1, 0)]
fn a_low_of(#[case] low: u64, #[case] bits: Option<u32>, #[case] frames: usize, #[case] defects: u64) {
    let mut trace = Trace::default();
    trace.bytes(&[1, 2, 4], DATASHEET);
    trace.low(low - u64::from(DATASHEET.zero.low_ns));
    trace.bytes(&[5, 6, 7], DATASHEET);
    let decoded = trace.decode(Config { frame_bits: bits, ..Config::default() });
    assert_eq!(decoded.len(), frames);
    assert_eq!(decoded[0].body.defect_count, defects);
    if frames == 2 {
        assert_eq!(decoded[1].low_before, Some(Duration::from_nanos(low)));
        assert_eq!(decoded[0].ending, if low < 50_000 { Ending::ShortReset } else { Ending::Latched });
    } else {
        assert_eq!(*decoded[0].body.bytes, [1, 2, 4, 5, 6, 7]);
        assert_eq!(decoded[0].body.timing.longest_low_ns(), Some(low));
    }
    if defects > 0 {
        assert_eq!(*decoded[0].body.defects, [Defect { bit: 23, kind: DefectKind::LongLow { ns: low } }]);
    }
}

#[test]
fn bits_at_the_tail_are_kept() {
    let mut trace = Trace::default();
    trace.bytes(&[9, 8, 7, 6], DATASHEET);
    for high in [800, 400, 800] {
        trace.pulse(high, 600);
    }
    let body = &trace.decode(Config::default())[0].body;
    assert_eq!((body.bits(), body.incomplete_bits()), (35, 11));
    assert_eq!((body.tail.bits, body.tail.value), (3, 0b101));
    assert_eq!(body.pixels(ColourOrder::Rgb).collect::<Vec<_>>(), [Rgb::new(9, 8, 7)]);
}

#[test]
fn a_missing_edge_is_a_defect() {
    let mut trace = Trace::default();
    trace.bytes(&[0x55; 30], DATASHEET);
    trace.edges.remove(101); // A fall: two pulses melt into one.
    let frames = trace.decode(Config::default());
    assert_eq!(frames.len(), 1);
    assert_eq!(frames[0].body.bits(), 239);
    assert_eq!(frames[0].body.defects[0], Defect { bit: 50, kind: DefectKind::RepeatedLevel });
    assert!(matches!(frames[0].body.defects[1].kind, DefectKind::HighTime { .. }));
}

#[test]
fn time_running_backwards_cuts() {
    let mut trace = Trace { now: 1_000_000, ..Trace::default() };
    trace.bytes(&[1, 2, 3], DATASHEET);
    trace.now = 0;
    trace.bytes(&[4, 5, 6], DATASHEET);
    let frames = trace.decode(Config::default());
    assert_eq!(frames.len(), 2);
    assert_eq!(frames[0].ending, Ending::Cut(Cut::TimeReversed));
    assert_eq!((&*frames[1].body.bytes, frames[1].low_before), (&[4, 5, 6][..], None));
}

#[test]
fn a_wire_that_never_rests_is_cut() {
    let mut trace = Trace::default();
    trace.bytes(&[0xA5; 100], DATASHEET);
    let frames = trace.decode(Config { max_bits: 30 * 8 - 3, ..Config::default() });
    assert_eq!(frames.iter().map(|frame| frame.body.bits()).collect::<Vec<_>>(), [240, 240, 240, 80]);
    assert_eq!(frames[0].ending, Ending::Cut(Cut::TooLong));
    assert_eq!(frames[1].low_before, Some(Duration::from_nanos(450)));
}

#[test]
fn listed_defects_are_bounded() {
    let mut trace = Trace::default();
    (0..1000).for_each(|_| trace.pulse(100, 500));
    let body = &trace.decode(Config::default())[0].body;
    assert_eq!((body.defects.len(), body.defect_count), (MAX_DEFECTS, 1000));
}

#[test]
fn quiet_gives_the_frame_once_it_is_latched() {
    let mut lane = LaneDecoder::new(Config::default());
    let mut frames = Vec::new();
    lane.event(&burst(0, &[1, 2, 3], DATASHEET), &mut frames);
    let fall = 24 * 1250 - 450;
    assert_eq!(frames, []);
    assert_eq!(lane.quiet_until(Instant::from_nanos(fall + 49_999)), None);
    let frame = lane.quiet_until(Instant::from_nanos(fall + 50_000)).unwrap();
    assert_eq!((frame.end, frame.ending), (Instant::from_nanos(fall), Ending::Latched));
    assert_eq!(lane.quiet_until(Instant::MAX), None);
    // The next frame still knows the low before it.
    lane.event(&burst(fall + 60_000, &[1, 2, 3], DATASHEET), &mut frames);
    let next = lane.finish().unwrap();
    assert_eq!(next.low_before, Some(Duration::from_micros(60)));
    assert!(Arc::ptr_eq(&next.body, &frame.body));
}

#[test]
fn a_gap_cuts_and_forgets_the_low() {
    let gap = Kind::Gap(Gap { length: Duration::from_micros(10), reason: Arc::from("overflow") });
    let events = [
        burst(0, &[1, 2, 3], DATASHEET),
        event(40 * US, gap),
        burst(90 * US, &[4, 5, 6], DATASHEET),
        event(900 * US, Kind::Note(Arc::from("not an edge"))),
    ];
    let frames = LaneDecoder::decode(Config::default(), &events);
    assert_eq!(frames.len(), 2);
    assert_eq!(frames[0].ending, Ending::Cut(Cut::Gap));
    assert_eq!(frames[1].low_before, None);
}

#[test]
fn uncertainty_is_the_greatest_of_the_frame() {
    let with = |uncertainty, event: Event| Event { uncertainty: Duration::from_nanos(uncertainty), ..event };
    let events = [
        with(5, burst(0, &[1], DATASHEET)),
        with(7, burst(10_100, &[1], DATASHEET)),
        with(3, burst(100 * US, &[1], DATASHEET)),
        with(0, burst(200 * US, &[1], DATASHEET)),
    ];
    let frames = LaneDecoder::decode(Config::default(), &events);
    assert_eq!(frames.iter().map(|frame| frame.uncertainty.as_nanos()).collect::<Vec<_>>(), [7, 3, 0]);
}

#[test]
fn same_bytes_in_other_pulses_are_another_burst() {
    let slower = BytesEncoding { one: PRISM.one, ..DATASHEET };
    let events = [burst(0, &[7], DATASHEET), burst(900 * US, &[7], slower)];
    let frames = LaneDecoder::decode(Config::default(), &events);
    assert_eq!(frames[0].body.timing.one_high.max_ns(), Some(800));
    assert_eq!(frames[1].body.timing.one_high.max_ns(), Some(700));
}

#[test]
fn more_bursts_than_the_memo_holds() {
    let events: Vec<Event> = (0..MEMO_BURSTS as u64 * 3)
        .map(|index| burst(index * 200 * US, &(index % 700).to_be_bytes(), DATASHEET))
        .collect();
    let frames = LaneDecoder::decode(Config::default(), &events);
    assert_eq!(frames.len(), events.len());
    for (index, frame) in frames.iter().enumerate() {
        assert_eq!(*frame.body.bytes, (index as u64 % 700).to_be_bytes());
    }
}

#[test]
fn a_burst_on_a_wire_that_idles_high() {
    // The wire rises by itself at the end of the burst, so the last low is short and the idle time
    // is one long pulse: nothing to be read, but said.
    let high = |at| match burst(at, &[0x0F, 0xF0, 0x55], DATASHEET) {
        Event { at, uncertainty, kind: Kind::Burst(burst) } => {
            Event { at, uncertainty, kind: Kind::Burst(Burst { idle: Level::High, ..burst }) }
        }
        event => event,
    };
    let frames = LaneDecoder::decode(Config::default(), &[high(0), high(1_000 * US)]);
    assert_eq!(frames.len(), 1);
    assert!(frames[0].body.defect_count > 0);
}

/// A burst whose symbols take no time under a latch that needs none: as many frames as bits, all
/// at one instant. Its last frame must not be remembered as the whole.
#[test]
fn a_burst_of_many_frames_is_not_remembered() {
    let nothing = Symbol { high_ns: 0, low_ns: 0 };
    let encoding = BytesEncoding { zero: nothing, one: nothing };
    let config = Config { latch: Duration::ZERO, ..Config::default() };
    let events = [burst(5, &[1, 2], encoding), burst(9, &[1, 2], encoding)];
    assert_eq!(LaneDecoder::decode(config, &events).len(), 32);
}

#[test]
fn times_at_the_end_of_the_range_do_not_panic() {
    let events = [
        burst(u64::MAX - 100, &[0xFF; 10], DATASHEET),
        burst(u64::MAX, &[0xFF; 10], DATASHEET),
        event(u64::MAX, Kind::Edge(Level::High)),
        event(u64::MAX, Kind::Edge(Level::Low)),
    ];
    LaneDecoder::decode(Config::default(), &events);
}

/// Symbols in and around the windows.
fn encodings() -> impl Strategy<Value = BytesEncoding> {
    (200u32..=550, 1u32..6_000, 551u32..1_000, 1u32..6_000).prop_map(
        |(zero_high, zero_low, one_high, one_low)| BytesEncoding {
            zero: Symbol { high_ns: zero_high, low_ns: zero_low },
            one: Symbol { high_ns: one_high, low_ns: one_low },
        },
    )
}

/// Any symbols at all, zero and latching ones among them.
fn wild_encodings() -> impl Strategy<Value = BytesEncoding> {
    let ns = || prop_oneof![0u32..10, 300u32..1_000, 4_000u32..60_000, Just(u32::MAX)];
    (ns(), ns(), ns(), ns()).prop_map(|(a, b, c, d)| BytesEncoding {
        zero: Symbol { high_ns: a, low_ns: b },
        one: Symbol { high_ns: c, low_ns: d },
    })
}

fn configs() -> impl Strategy<Value = Config> {
    let us = |max| (0u64..max).prop_map(Duration::from_micros);
    prop_oneof![
        3 => Just(Config::default()),
        2 => (1u32..20).prop_map(Config::strip),
        1 => (us(100), us(20), prop::option::of(0u32..200), 0u32..300).prop_map(
            |(latch, longest_bit_low, frame_bits, max_bits)| Config { latch, longest_bit_low, frame_bits, max_bits }
        ),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// What an independent encoder sends comes back, with the figures that it used.
    #[test]
    fn round_trip(
        frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..100), 1..6),
        encoding in encodings(),
        jitter in prop::collection::vec(0u64..40, 1..50),
        reset in 51_000u64..1_000_000,
    ) {
        // Up to 5 us after jitter, so that it is part of a bit.
        let clip = |symbol: Symbol| Symbol { low_ns: symbol.low_ns.min(4_950), ..symbol };
        // The jitter must not make a 1 of a 0.
        let zero = clip(Symbol { high_ns: encoding.zero.high_ns.min(510), ..encoding.zero });
        let encoding = BytesEncoding { zero, one: clip(encoding.one) };
        let mut jitter = jitter.iter().copied().cycle();
        let mut trace = Trace::default();
        let mut highs: Vec<(bool, u64)> = Vec::new();
        let mut lows: Vec<(bool, u64)> = Vec::new();
        for bytes in &frames {
            for byte in bytes {
                for bit in (0..8).rev() {
                    let one = byte >> bit & 1 == 1;
                    let symbol = if one { encoding.one } else { encoding.zero };
                    let high = u64::from(symbol.high_ns) + jitter.next().unwrap_or(0);
                    let low = u64::from(symbol.low_ns) + jitter.next().unwrap_or(0);
                    trace.pulse(high, low);
                    highs.push((one, high));
                    lows.push((one, low));
                }
            }
            lows.pop();
            trace.low(reset);
        }
        let decoded = trace.decode(Config::default());
        prop_assert_eq!(decoded.len(), frames.len());
        let mut timing = rigor_decode::ws2812::Timing::default();
        for (frame, bytes) in decoded.iter().zip(&frames) {
            prop_assert_eq!(&*frame.body.bytes, &**bytes);
            timing.merge(&frame.body.timing);
        }
        let check = |times: &[(bool, u64)], value: bool, span: &rigor_decode::ws2812::Span| {
            let times: Vec<u64> = times.iter().filter(|(one, _)| *one == value).map(|&(_, ns)| ns).collect();
            assert_eq!(span.count(), times.len() as u64);
            assert_eq!((span.min_ns(), span.max_ns()), (times.iter().copied().min(), times.iter().copied().max()));
            let mean = times.iter().sum::<u64>() as f64 / times.len() as f64;
            assert_eq!(span.mean_ns(), (!times.is_empty()).then_some(mean));
        };
        check(&highs, false, &timing.zero_high);
        check(&highs, true, &timing.one_high);
        check(&lows, false, &timing.zero_low);
        check(&lows, true, &timing.one_low);
        let outside = |times: &[(bool, u64)], value, min, max| {
            times.iter().filter(|&&(one, ns)| one == value && !(min..=max).contains(&ns)).count() as u64
        };
        prop_assert_eq!(timing.outside_strict.zero_high, outside(&highs, false, 250, 550));
        prop_assert_eq!(timing.outside_strict.zero_low, outside(&lows, false, 700, 1000));
        prop_assert_eq!(timing.outside_strict.one_high, outside(&highs, true, 650, 950));
        prop_assert_eq!(timing.outside_strict.one_low, outside(&lows, true, 300, 600));
        prop_assert_eq!(
            timing.outside_permissive,
            outside(&highs, false, 250, 550) + outside(&highs, true, 550, 950)
        );
    }

    /// The fast path and the ordinary one agree, wherever the slices are cut and whatever the
    /// edges are: mostly plain bits, with odd steps between them.
    #[test]
    fn slices_and_edges_agree(
        steps in prop::collection::vec(
            prop_oneof![
                40 => (200u64..1_000).prop_map(|ns| (ns as i64, true)),
                2 => (0i64..60_000).prop_map(|ns| (ns, true)),
                1 => (-5_000i64..0).prop_map(|ns| (ns, true)),
                1 => (200i64..1_000).prop_map(|ns| (ns, false)),
            ],
            0..600,
        ),
        length in 1usize..100,
        config in configs(),
    ) {
        let mut trace = Trace { now: 1 << 20, ..Trace::default() };
        let mut level = Level::Low;
        for (step, toggles) in steps {
            trace.now = trace.now.saturating_add_signed(step);
            level = if toggles { !level } else { level };
            trace.edges.push((trace.now, level));
        }
        let expected = trace.one_by_one(config);
        prop_assert_eq!(&trace.by_slices(config, length), &expected);
        prop_assert_eq!(&trace.by_slices(config, usize::MAX), &expected);
    }

    /// Anything at all: no panic, and nothing longer than allowed.
    #[test]
    fn random_edges_do_not_panic(
        edges in prop::collection::vec((any::<u64>(), any::<bool>()), 0..200),
        config in configs(),
    ) {
        let edges = edges.into_iter().map(|(at, high)| (at, if high { Level::High } else { Level::Low })).collect();
        let frames = Trace { now: 0, edges }.one_by_one(config);
        let most = u64::from(config.max_bits.div_ceil(8).max(1)) * 8;
        prop_assert!(frames.iter().all(|frame| frame.body.bits() <= most && frame.end >= frame.start));
    }

    /// Known bursts, expanded bursts and bare edges give the same frames.
    #[test]
    fn memo_agrees_with_every_edge(
        contents in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 1..4),
        encodings in prop::collection::vec(prop_oneof![3 => encodings(), 1 => wild_encodings(), 3 => Just(DATASHEET)], 1..3),
        plan in prop::collection::vec(
            (any::<prop::sample::Index>(), any::<prop::sample::Index>(),
             prop_oneof![0u64..1_000, 4_000u64..6_000, 40_000u64..60_000, 60_000u64..10_000_000], 0u8..20),
            1..30,
        ),
        config in configs(),
    ) {
        let contents: Vec<Arc<[u8]>> = contents.into_iter().map(Into::into).collect();
        let mut at = 0u64;
        let mut events = Vec::new();
        let mut edges = Vec::new();
        for (content, encoding, gap, odd) in plan {
            let idle = if odd == 0 { Level::High } else { Level::Low };
            // Now and then a burst begins before the last one has ended.
            at = if odd == 1 { at.saturating_sub(gap) } else { at + gap };
            let burst = Burst {
                bytes: content.get(&contents).clone(),
                encoding: *encoding.get(&encodings),
                idle,
            };
            edges.extend(burst.edges().map(|(offset, level)| event(at + offset, Kind::Edge(level))));
            let end = at + burst.duration().as_nanos() as u64;
            if idle == Level::High {
                edges.push(event(end, Kind::Edge(Level::High)));
            }
            events.push(event(at, Kind::Burst(burst)));
            at = end;
            if odd == 2 {
                let stray = event(at, Kind::Edge(Level::High));
                edges.push(stray.clone());
                events.push(stray);
            }
        }
        let expected = LaneDecoder::decode(config, &edges);
        prop_assert_eq!(&LaneDecoder::decode(config, &events), &expected);
        let mut plain = LaneDecoder::without_memo(config);
        let mut frames = Vec::new();
        events.iter().for_each(|event| plain.event(event, &mut frames));
        frames.extend(plain.finish());
        prop_assert_eq!(&frames, &expected);
    }
}
