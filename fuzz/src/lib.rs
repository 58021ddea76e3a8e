//! What several fuzz targets share: how bytes become signals and events.

use std::time::Duration;

use rigor_core::event::{
    Burst, BytesEncoding, ConnectionId, Direction, FlashBusy, FlashOperation, Flow, FlowKind, Gap, Phases,
    Serial, Symbol,
};
use rigor_core::rate::SampleRate;
use rigor_core::{Event, Instant, Kind, Level};
use rigor_decode::capture::{Capture, Limits};

/// So small that a fuzzer comes to them, and so large that something fits in.
pub const LIMITS: Limits = Limits { edges: 4096, signals: 64, sample_bytes: 1 << 20 };

/// No reader may give more than its limits allow.
pub fn check_limits(capture: &Capture) {
    let edges: usize = capture.signals().iter().map(|signal| signal.edges().len()).sum();
    assert!(edges <= LIMITS.edges, "{edges} edges");
    assert!(capture.start() <= capture.end());
    for signal in capture.signals() {
        let ordered = signal.edges().windows(2).all(|pair| {
            pair[0].at() < pair[1].at() && pair[0].level() != pair[1].level() && pair[1].at() <= capture.end()
        });
        assert!(ordered, "edges are ordered and alternate");
    }
}

/// Signals of `count` pins, of which two bytes make a change: the pin, and how long after the last one.
/// Times grow fast for large bytes, so that both pulses and days come up.
pub fn capture(data: &[u8], count: usize) -> Capture {
    let mut capture = Capture::new(Instant::ZERO);
    let mut now = 0_u64;
    let mut changes: Vec<Vec<(u64, Level)>> = vec![Vec::new(); count];
    for pair in data.chunks_exact(2) {
        let distance = match pair[1] {
            short @ 0..=0xBF => u64::from(short) * 10,
            long => 1_u64 << (long & 0x3F).min(50),
        };
        now = now.saturating_add(distance);
        let level = if pair[0] & 0x80 == 0 { Level::Low } else { Level::High };
        changes[usize::from(pair[0] & 0x7F) % count].push((now, level));
    }
    for (index, changes) in changes.into_iter().enumerate() {
        let signal = capture.add(format!("D{index}"), Level::Low);
        for (at, level) in changes {
            signal.change(Instant::from_nanos(at), level).expect("times do not go back");
        }
    }
    capture.ends_at(Instant::from_nanos(now));
    capture
}

/// Events of all kinds that a wire can have, in the order of time.
pub fn events(data: &[u8]) -> Vec<Event> {
    let mut events = Vec::new();
    let mut now = 0_u64;
    let mut rest = data;
    while let [kind, distance, length, tail @ ..] = rest {
        let (payload, tail) = tail.split_at(usize::from(*length).min(tail.len()));
        rest = tail;
        now = now.saturating_add(1 << (distance & 0x3F));
        let direction = if kind & 0x80 == 0 { Direction::FromDut } else { Direction::ToDut };
        let duration = Duration::from_nanos(1 << (length & 0x3F));
        let flow = |what| Kind::Flow(Flow { connection: ConnectionId(u32::from(*distance >> 6)), what });
        let symbol = |high_ns, low_ns| Symbol { high_ns, low_ns };
        let kind = match kind & 0x0F {
            0 => Kind::Edge(Level::Low),
            1 => Kind::Edge(Level::High),
            2 => Kind::Serial(Serial { direction, bytes: payload.into(), byte_time: duration }),
            3 => Kind::Burst(Burst {
                bytes: payload.into(),
                encoding: BytesEncoding { zero: symbol(400, 850), one: symbol(800, 450) },
                idle: if kind & 0x40 == 0 { Level::Low } else { Level::High },
            }),
            4 => Kind::Gap(Gap { length: duration, reason: "lost".into() }),
            5 => Kind::FlashBusy(FlashBusy {
                operation: FlashOperation::Erase,
                address: 0,
                length: u32::MAX,
                duration,
            }),
            6 => flow(FlowKind::Opened),
            7 => flow(FlowKind::Data(direction, payload.into())),
            8 => flow(FlowKind::Acknowledged(1 << (length & 0x3F))),
            9 => flow(FlowKind::Finished(direction)),
            10 => flow(FlowKind::Reset(direction)),
            11 => flow(FlowKind::Refused),
            12 => Kind::Action(String::from_utf8_lossy(payload).into()),
            13 => Kind::Note(String::from_utf8_lossy(payload).into()),
            14 => Kind::Gauge(now),
            15 if kind & 0x40 != 0 => Kind::Phases(Phases {
                first: if kind & 0x20 == 0 { Level::Low } else { Level::High },
                rate: SampleRate::hertz(1 << (distance >> 2)).unwrap_or(SampleRate::FINEST),
                lengths: payload.iter().map(|&length| 1 << (length & 0x1F)).collect(),
            }),
            _ => Kind::Burst(Burst {
                bytes: payload.into(),
                encoding: BytesEncoding { zero: symbol(0, 0), one: symbol(u32::MAX, u32::MAX) },
                idle: Level::Low,
            }),
        };
        events.push(Event { at: Instant::from_nanos(now), uncertainty: Duration::ZERO, kind });
    }
    events
}
