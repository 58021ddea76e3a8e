//! How many edges a second the WS2812B decoder takes: `cargo bench -p rigor-decode`.
//!
//! Each figure is of one core. "elem" in criterion's output is an edge, so 100 Melem/s is the
//! target; for bursts and for an instrument's phases it is the edges that they stand for. A lane has 0.92
//! million of them in a second.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use rigor_core::event::{Burst, BytesEncoding, Phases, Symbol};
use rigor_core::rate::SampleRate;
use rigor_core::{Event, Instant, Kind, Level};
use rigor_decode::ws2812::{Config, Decoder, LaneDecoder, PackedEdge};

const PIXELS: usize = 160;
const FRAMES: usize = 120;
const PERIOD_NS: u64 = 8_333_333;

/// One second of a PRISM K1 lane with data that no branch predictor can learn.
fn events() -> Vec<Event> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..FRAMES)
        .map(|frame| Event {
            at: Instant::from_nanos(frame as u64 * PERIOD_NS),
            uncertainty: Duration::ZERO,
            kind: Kind::Burst(Burst {
                bytes: (0..PIXELS * 3).map(|_| random()).collect::<Arc<[u8]>>(),
                encoding: BytesEncoding {
                    zero: Symbol { high_ns: 400, low_ns: 850 },
                    one: Symbol { high_ns: 800, low_ns: 450 },
                },
                idle: Level::Low,
            }),
        })
        .collect()
}

fn packed(events: &[Event], jitter_ns: u64) -> Vec<PackedEdge> {
    let mut edges = Vec::new();
    for event in events {
        if let Kind::Burst(burst) = &event.kind {
            edges.extend(burst.edges().enumerate().map(|(index, (offset, level))| {
                let jitter = (index as u64).wrapping_mul(0x9E37_79B9) % (jitter_ns + 1);
                PackedEdge::new(event.at + Duration::from_nanos(offset + jitter), level)
            }));
        }
    }
    edges
}

/// What an instrument at this clock sees of them, a stretch for each.
fn sampled(events: &[Event], hertz: u64) -> Vec<Event> {
    let rate = SampleRate::hertz(hertz).expect("a rate");
    let stretch = |event: &Event| {
        let Kind::Burst(burst) = &event.kind else { return event.clone() };
        let ends = [burst.duration().as_nanos() as u64];
        let edges: Vec<u64> = burst.edges().map(|(offset, _)| offset).chain(ends).collect();
        let index = |offset: &u64| rate.index_of(Instant::ZERO, Instant::from_nanos(*offset));
        let samples: Vec<u64> = edges.iter().map(index).collect();
        let lengths = samples.windows(2).map(|pair| (pair[1] - pair[0]) as u32).collect();
        Event { kind: Kind::Phases(Phases { first: Level::High, rate, lengths }), ..event.clone() }
    };
    let found = Phases { first: Level::Low, rate, lengths: Arc::from([1]) };
    let found = Event { at: Instant::ZERO, uncertainty: Duration::ZERO, kind: Kind::Phases(found) };
    let later = |event: Event| Event { at: event.at + Duration::from_millis(1), ..event };
    std::iter::once(found).chain(events.iter().map(stretch).map(later)).collect()
}

fn decode_edges(criterion: &mut Criterion) {
    let events = events();
    let edges = packed(&events, 0);
    let jittered = packed(&events, 100);
    let mut group = criterion.benchmark_group("ws2812");
    group.throughput(Throughput::Elements(edges.len() as u64));

    let mut slice = |name: &str, edges: &[PackedEdge]| {
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let mut decoder = Decoder::new(Config::strip(PIXELS as u32));
                let mut frames = Vec::new();
                decoder.edges(black_box(edges), &mut frames);
                frames
            });
        });
    };
    slice("slice of edges", &edges);
    slice("slice of edges, 100 ns jitter", &jittered);

    group.bench_function("one edge at a time", |bencher| {
        bencher.iter(|| {
            let mut decoder = Decoder::new(Config::strip(PIXELS as u32));
            black_box(&edges).iter().filter_map(|edge| decoder.edge(edge.at(), edge.level())).count()
        });
    });
    group.bench_function("bursts, expanded", |bencher| {
        bencher.iter(|| {
            let mut lane = LaneDecoder::without_memo(Config::strip(PIXELS as u32));
            let mut frames = Vec::new();
            black_box(&events).iter().for_each(|event| lane.event(event, &mut frames));
            frames
        });
    });
    for (name, hertz) in [("phases at 125 MHz", 125_000_000), ("phases at 24 MHz", 24_000_000)] {
        let stretches = sampled(&events, hertz);
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let mut lane = LaneDecoder::new(Config::strip(PIXELS as u32));
                let mut frames = Vec::new();
                black_box(&stretches).iter().for_each(|event| lane.event(event, &mut frames));
                assert!(frames.len() + 1 == FRAMES, "{} frames", frames.len());
                frames
            });
        });
    }
    group.bench_function("bursts, known", |bencher| {
        let mut lane = LaneDecoder::new(Config::strip(PIXELS as u32));
        let mut start = Duration::ZERO;
        bencher.iter(|| {
            let mut frames = Vec::new();
            for event in black_box(&events) {
                lane.event(&Event { at: event.at + start, ..event.clone() }, &mut frames);
            }
            start += Duration::from_secs(1);
            frames
        });
    });
    group.finish();
}

criterion_group!(benches, decode_edges);
criterion_main!(benches);
