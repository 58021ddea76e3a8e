//! The pulse transmitter: lanes, bursts, ticks, and what a reset cuts.

// The exception for tests in clippy.toml does not reach their helpers.
#![allow(clippy::unwrap_used)]

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::*;
use embassy_futures::select::select;
use embassy_time::{Duration as Ticks, Instant as Uptime, Timer};
use rigor_core::event::{Burst, BytesEncoding, Event, Kind, Level, Symbol};
use rigor_core::timeline::Next;

const WS2812: BytesEncoding =
    BytesEncoding { zero: Symbol { high_ns: 400, low_ns: 850 }, one: Symbol { high_ns: 800, low_ns: 450 } };
/// One bit of either value.
const BIT: u64 = 1_250;

fn bursts(bench: &Bench, source: &str) -> Vec<(u64, Burst)> {
    bench
        .events(source)
        .into_iter()
        .map(|event| match event.kind {
            Kind::Burst(burst) => (event.at.as_nanos() - BOOT, burst),
            other => panic!("{other:?}"),
        })
        .collect()
}

#[test]
fn two_lanes_begin_at_the_same_nanosecond() {
    let bench = bench_with(free_switches(), |chip, probe| {
        let (mut leds, probe) = (chip.pulse_transmitter(&[9, 10]), probe.clone());
        spawn(chip, "leds", 0, 1, async move {
            leds.transmit(WS2812, &[&[0xFF; 10], &[0x00; 30]]).await;
            probe.mark("done");
            leds.transmit(WS2812, &[&[1]]).await;
            leds.transmit(WS2812, &[&[], &[2]]).await;
        });
    });
    bench.on();
    bench.run_to(BOOT + MS);
    let long = 30 * 8 * BIT;
    assert_eq!(bench.marked("done"), [long], "the longest lane");
    let nine = bursts(&bench, "gpio9");
    let ten = bursts(&bench, "gpio10");
    assert_eq!(
        nine.iter().map(|(at, burst)| (*at, burst.bytes.len())).collect::<Vec<_>>(),
        [(0, 10), (long, 1), (long + 8 * BIT, 0)]
    );
    assert_eq!(
        ten.iter().map(|(at, burst)| (*at, burst.bytes.len())).collect::<Vec<_>>(),
        [(0, 30), (long + 8 * BIT, 1)]
    );
    assert!(nine.iter().chain(&ten).all(|(_, burst)| burst.encoding == WS2812 && burst.idle == Level::Low));
}

#[test]
fn a_burst_is_delivered_at_its_end_and_owed_until_then() {
    let bench = bench_with(free_switches(), |chip, _| {
        let mut leds = chip.pulse_transmitter(&[9, 10]);
        spawn(chip, "leds", 0, 1, async move {
            Timer::at(Uptime::from_millis(1)).await;
            leds.transmit(WS2812, &[&[0x55; 10], &[0x55; 20]]).await;
        });
    });
    bench.on();
    let (short, long) = (bench.board.pin_source(9), bench.board.pin_source(10));
    let ends = BOOT + MS + 80 * BIT;
    bench.run_to(ends - 1);
    assert!(bench.events("gpio9").is_empty());
    assert_eq!(bench.timeline.complete_until(short).as_nanos(), BOOT + MS);
    bench.run_to(ends);
    assert_eq!(bursts(&bench, "gpio9").len(), 1);
    assert_eq!(bench.timeline.complete_until(short).as_nanos(), ends);
    assert_eq!(bench.timeline.complete_until(long).as_nanos(), BOOT + MS, "the longer one is still owed");
    bench.run_to(ends + 80 * BIT);
    assert_eq!(bench.timeline.complete_until(long).as_nanos(), ends + 80 * BIT);
}

#[test]
fn an_absence_waits_for_the_burst_in_flight() {
    let bench = bench_with(free_switches(), |chip, _| {
        let mut leds = chip.pulse_transmitter(&[9]);
        spawn(chip, "leds", 0, 1, async move { leds.transmit(WS2812, &[&[0x55; 100]]).await });
    });
    bench.on();
    let mut cursor = bench.timeline.cursor(bench.board.pin_source(9));
    bench.run_to(BOOT + 100_000);
    let deadline = Instant::from_nanos(BOOT + 50_000);
    let mut wait = std::pin::pin!(cursor.next_before(deadline));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(wait.as_mut().poll(&mut context).is_pending(), "50 us are over, but what began in them is not");
    bench.run_to(BOOT + 2 * MS);
    let std::task::Poll::Ready(Next::Event(Event { at, .. })) = wait.as_mut().poll(&mut context) else {
        panic!("the burst was delivered");
    };
    assert_eq!(at.as_nanos(), BOOT);
}

#[test]
fn a_reset_cuts_a_burst_into_edges() {
    let bench = bench_with(free_switches(), |chip, _| {
        let mut leds = chip.pulse_transmitter(&[9]);
        spawn(chip, "leds", 0, 1, async move { leds.transmit(WS2812, &[&[0b1000_0000; 100]]).await });
    });
    bench.on();
    // Bits of 1,250 ns: a 1 (high for 800), a 0 (high for 400), and 100 ns of the third.
    bench.run_to(BOOT + 2 * BIT + 100);
    bench.off();
    bench.run_to(BOOT + 2 * MS);
    let edges: Vec<(u64, Kind)> =
        bench.events("gpio9").into_iter().map(|event| (event.at.as_nanos() - BOOT, event.kind)).collect();
    let (high, low) = (Kind::Edge(Level::High), Kind::Edge(Level::Low));
    let expected = [
        (0, high.clone()),
        (800, low.clone()),
        (BIT, high.clone()),
        (BIT + 400, low.clone()),
        (2 * BIT, high),
        (2 * BIT + 100, low),
    ];
    assert_eq!(edges, expected);
    assert_eq!(bench.timeline.complete_until(bench.board.pin_source(9)), bench.timeline.now());
}

#[test]
fn repeated_contents_share_their_memory() {
    let bench = bench_with(free_switches(), |chip, _| {
        let mut leds = chip.pulse_transmitter(&[9, 10]);
        spawn(chip, "leds", 0, 1, async move {
            for frame in 0..3000u32 {
                let bytes = (frame % 3).to_le_bytes();
                leds.transmit(WS2812, &[&bytes, &bytes]).await;
            }
        });
    });
    bench.on();
    bench.run_to(BOOT + 1000 * MS);
    let (nine, ten) = (bursts(&bench, "gpio9"), bursts(&bench, "gpio10"));
    assert_eq!((nine.len(), ten.len()), (3000, 3000));
    for frame in 3..3000 {
        assert!(Arc::ptr_eq(&nine[frame].1.bytes, &nine[frame - 3].1.bytes));
        assert!(Arc::ptr_eq(&nine[frame].1.bytes, &ten[frame].1.bytes));
    }
    assert!(!Arc::ptr_eq(&nine[0].1.bytes, &nine[1].1.bytes));
}

#[test]
fn contents_that_never_repeat_stay_right() {
    let bench = bench_with(free_switches(), |chip, _| {
        let mut leds = chip.pulse_transmitter(&[9]);
        spawn(chip, "leds", 0, 1, async move {
            for frame in (0..3000u32).chain(0..10) {
                leds.transmit(WS2812, &[&frame.to_le_bytes()]).await;
            }
        });
    });
    bench.on();
    bench.run_to(BOOT + 1000 * MS);
    for (frame, (_, burst)) in (0..3000u32).chain(0..10).zip(bursts(&bench, "gpio9")) {
        assert_eq!(burst.bytes[..], frame.to_le_bytes());
    }
}

#[test]
fn symbols_are_rounded_to_the_transmitters_tick() {
    let bench = bench_with(free_switches(), |chip, _| {
        let mut leds = chip.pulse_transmitter(&[9]);
        spawn(chip, "leds", 0, 1, async move {
            let encoding = BytesEncoding {
                zero: Symbol { high_ns: 412, low_ns: 838 },
                one: Symbol { high_ns: 0, low_ns: u32::MAX },
            };
            leds.transmit(encoding, &[&[0]]).await;
        });
    });
    bench.on();
    bench.run_to(BOOT + MS);
    let (_, burst) = &bursts(&bench, "gpio9")[0];
    assert_eq!(burst.encoding.zero, Symbol { high_ns: 400, low_ns: 850 });
    assert_eq!(burst.encoding.one.low_ns, u32::MAX / 25 * 25);
    assert_eq!(burst.duration(), Duration::from_nanos(8 * 1250));
}

#[test]
fn a_transmission_that_nobody_waits_for_goes_on_and_the_next_one_follows_it() {
    let bench = bench_with(free_switches(), |chip, probe| {
        let (mut leds, probe) = (chip.pulse_transmitter(&[9]), probe.clone());
        spawn(chip, "leds", 0, 1, async move {
            select(leds.transmit(WS2812, &[&[1; 100]]), Timer::after(Ticks::from_micros(100))).await;
            probe.mark("gave up");
            leds.transmit(WS2812, &[&[2; 100]]).await;
            probe.mark("done");
        });
    });
    bench.on();
    bench.run_to(BOOT + 10 * MS);
    let frame = 800 * BIT;
    assert_eq!(bench.marked("gave up"), [100_000]);
    assert_eq!(bench.marked("done"), [2 * frame]);
    let seen: Vec<_> = bursts(&bench, "gpio9").iter().map(|(at, burst)| (*at, burst.bytes[0])).collect();
    assert_eq!(seen, [(0, 1), (frame, 2)]);
}

#[test]
fn more_lanes_than_pins_are_the_firmwares_fault() {
    let bench = bench(|chip, _| {
        let mut leds = chip.pulse_transmitter(&[9]);
        spawn(chip, "leds", 0, 1, async move { leds.transmit(WS2812, &[&[1], &[2]]).await });
    });
    bench.run_to(BOOT + MS);
    assert!(bench.crashes()[0].starts_with("the transmitter has 1 lanes"), "{:?}", bench.crashes());
}
