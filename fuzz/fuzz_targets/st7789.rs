//! Traffic of a display: any bytes, from any state, cut anywhere, and never more kept than allowed.
#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use rigor_core::event::{BusTransfer, Gap};
use rigor_core::{Event, Instant, Kind};
use rigor_decode::st7789::{Config, Decoder, Limits, Panel, Record, Scan, Start};

const LIMITS: Limits = Limits { lines: 200, frames: 4 };

const PANELS: [&str; 4] = ["240x320", "240x240", "170x320+35+0,270,inverted", "1x1+239+319,90,bgr"];

/// Transfers of one to a few bytes or runs of one byte, so that whole windows can be painted.
fn events(data: &[u8]) -> Vec<Event> {
    let mut events = Vec::new();
    let mut now = 0_u64;
    let mut rest = data;
    while let [head, tail @ ..] = rest {
        let length = usize::from(head >> 3 & 0x0F).min(tail.len());
        let (payload, tail) = tail.split_at(length);
        rest = tail;
        now = now.saturating_add(if head & 2 == 0 { 1_000 } else { 1 << (length * 4).min(40) });
        let bytes: Vec<u8> = if head & 4 == 0 { payload.to_vec() } else { payload.repeat(300) };
        let kind = match (head & 0x80, length) {
            (0x80, 0) => Kind::Gap(Gap { length: Duration::from_nanos(now), reason: "lost".into() }),
            _ => Kind::Bus(BusTransfer { data: head & 1 == 1, bytes: bytes.into() }),
        };
        events.push(Event { at: Instant::from_nanos(now), uncertainty: Duration::ZERO, kind });
    }
    events
}

fuzz_target!(|data: &[u8]| {
    let [choice, madctl, colmod, rest @ ..] = data else { return };
    let panel: Panel = PANELS[usize::from(choice & 3)].parse().expect("a panel");
    let start = match choice & 4 {
        0 => Start::Reset,
        _ => Start::Running { madctl: *madctl, colmod: *colmod, inverted: choice & 8 == 0 },
    };
    let scan = (choice & 16 == 16).then(|| Scan {
        first_line: Instant::from_nanos(u64::from(*madctl)),
        period: Duration::from_nanos(u64::from(*colmod) << 16),
        lines: Duration::from_nanos(u64::from(*colmod) << 15),
    });
    let byte_time = Duration::from_nanos(u64::from(choice >> 5) * 100);
    let config = Config { start, scan, byte_time, ..Config::new(panel) };
    let events = events(rest);
    let record = Record::of(&config, LIMITS, &events);
    assert!(record.frames.len() <= LIMITS.frames);
    assert!(record.lines.len() <= LIMITS.lines);
    for line in &record.lines {
        assert!(!line.to_string().contains('\n'), "a line is one");
    }

    let mut decoder = Decoder::new(&config);
    for (index, event) in events.iter().enumerate() {
        decoder.event(event, |_, _| {});
        if index % 7 == 6 {
            decoder.hardware_reset(event.at, |_, _| {});
            decoder.scan_began(event.at);
        }
    }
    let screen = decoder.finish(|_, _| {});
    std::hint::black_box(screen.shown());
});
