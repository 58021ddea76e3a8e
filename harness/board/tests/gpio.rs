//! Pins: edges, who drives them, and waiting for them.

// The exception for tests in clippy.toml does not reach their helpers.
#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use embassy_futures::select::select;
use embassy_time::{Duration as Ticks, Instant as Uptime, Timer};
use embedded_hal::digital::{InputPin, OutputPin, StatefulOutputPin};
use embedded_hal_async::digital::Wait;
use rigor_core::event::{Kind, Level};
use rigor_core::part::{Drive, Pin};
use std::rc::Rc;

fn edges(bench: &Bench, source: &str) -> Vec<(u64, Level)> {
    bench
        .events(source)
        .into_iter()
        .map(|event| match event.kind {
            Kind::Edge(level) => (event.at.as_nanos().saturating_sub(BOOT), level),
            other => panic!("{other:?}"),
        })
        .collect()
}

fn drive(bench: &Bench, pin: u8, how: Drive) {
    let pin: Rc<dyn Pin> = bench.board.pin(pin);
    pin.drive(how).unwrap();
}

#[test]
fn an_output_makes_edges_where_its_level_changes() {
    let bench = bench_with(free_switches(), |chip, _| {
        let mut pin = chip.output(4);
        spawn(chip, "task", 0, 1, async move {
            pin.set_low().unwrap();
            for millis in 1..=3 {
                Timer::at(Uptime::from_millis(millis)).await;
                pin.set_high().unwrap();
                pin.set_high().unwrap();
                assert!(pin.is_set_high().unwrap());
                Timer::after(Ticks::from_micros(10)).await;
                pin.toggle().unwrap();
                assert!(pin.is_set_low().unwrap());
            }
        });
    });
    bench.on();
    bench.run_to(BOOT + 10 * MS);
    let expected: Vec<_> =
        (1..=3).flat_map(|millis| [(millis * MS, Level::High), (millis * MS + 10_000, Level::Low)]).collect();
    assert_eq!(edges(&bench, "gpio4"), expected);
    assert_eq!(bench.board.pin(4).source(), bench.board.pin_source(4));
}

#[test]
fn an_output_falls_when_the_device_stops() {
    let bench = bench_with(free_switches(), |chip, _| chip.output(4).set_high().unwrap());
    bench.on();
    bench.run_to(BOOT + MS);
    bench.off();
    bench.run_to(BOOT + 2 * MS);
    assert_eq!(edges(&bench, "gpio4"), [(0, Level::High), (MS, Level::Low)]);
}

fn button(chip: &Chip, probe: &Probe) {
    let (mut button, probe) = (chip.input(0, Level::High), probe.clone());
    spawn(chip, "button", 0, 1, async move {
        loop {
            button.wait_for_low().await.unwrap();
            probe.mark("pressed");
            assert!(button.is_low().unwrap());
            button.wait_for_high().await.unwrap();
            probe.mark("released");
            assert!(button.is_high().unwrap());
        }
    });
}

#[test]
fn a_button_wakes_the_firmware() {
    let bench = bench_with(free_switches(), button);
    bench.on();
    for (millis, how) in [(5, Drive::Low), (7, Drive::Release), (9, Drive::Low), (11, Drive::High)] {
        bench.run_to(BOOT + millis * MS);
        drive(&bench, 0, how);
    }
    bench.run_to(BOOT + 20 * MS);
    let marks: Vec<_> = bench.marks().into_iter().map(|(at, what)| (at / MS, what)).collect();
    let expected = [(5, "pressed"), (7, "released"), (9, "pressed"), (11, "released")];
    assert_eq!(marks, expected.map(|(at, what)| (at, what.to_owned())));
    let (high, low) = (Level::High, Level::Low);
    let expected = [(0, high), (5 * MS, low), (7 * MS, high), (9 * MS, low), (11 * MS, high)];
    assert_eq!(edges(&bench, "gpio0"), expected, "the pull-up first");
}

#[test]
fn a_button_that_is_held_while_the_device_boots_is_seen() {
    let bench = bench_with(free_switches(), button);
    drive(&bench, 0, Drive::Low);
    bench.on();
    bench.run_to(BOOT + MS);
    assert_eq!(bench.marked("pressed"), [0]);
    bench.pin_reset();
    bench.run_to(3 * BOOT);
    assert_eq!(bench.marked("pressed"), [0, MS + BOOT], "a reset does not let go of it");
    assert!(edges(&bench, "gpio0").is_empty());
}

#[test]
fn the_rig_wins_over_an_output() {
    let bench = bench_with(free_switches(), |chip, _| {
        let mut pin = chip.output(4);
        pin.set_high().unwrap();
        spawn(chip, "task", 0, 1, async move {
            Timer::at(Uptime::from_millis(2)).await;
            assert!(pin.is_set_high().unwrap(), "what it was told, not what the wire shows");
            pin.set_high().unwrap();
        });
    });
    bench.on();
    bench.run_to(BOOT + MS);
    drive(&bench, 4, Drive::Low);
    bench.run_to(BOOT + 3 * MS);
    drive(&bench, 4, Drive::Release);
    assert_eq!(edges(&bench, "gpio4"), [(0, Level::High), (MS, Level::Low), (3 * MS, Level::High)]);
    assert_eq!(bench.crashes(), Vec::<String>::new());
}

#[test]
fn an_edge_that_is_over_when_the_task_runs_was_still_an_edge() {
    let bench = bench_with(free_switches(), |chip, probe| {
        let cpu = chip.cpu();
        spawn(chip, "busy", 0, 9, async move {
            Timer::at(Uptime::from_millis(1)).await;
            cpu.work(160_000 * 10);
        });
        for (name, core) in [("rise", 0), ("fall", 0), ("any", 1)] {
            let (mut pin, probe) = (chip.input(1, Level::Low), probe.clone());
            spawn(chip, name, core, 1, async move {
                match name {
                    "rise" => pin.wait_for_rising_edge().await.unwrap(),
                    "fall" => pin.wait_for_falling_edge().await.unwrap(),
                    _ => pin.wait_for_any_edge().await.unwrap(),
                }
                probe.mark(name);
            });
        }
    });
    bench.on();
    bench.run_to(BOOT + 2 * MS);
    drive(&bench, 1, Drive::High);
    bench.run_to(BOOT + 3 * MS);
    drive(&bench, 1, Drive::Release);
    bench.run_to(BOOT + 20 * MS);
    assert_eq!(bench.marked("any"), [2 * MS]);
    assert_eq!(bench.marked("rise"), [11 * MS]);
    assert_eq!(bench.marked("fall"), [11 * MS]);
}

#[test]
fn waiting_with_time_outs_gathers_nothing() {
    let bench = bench(|chip, probe| {
        let (mut pin, probe) = (chip.input(1, Level::Low), probe.clone());
        spawn(chip, "patient", 0, 1, async move {
            for _ in 0..10_000 {
                select(pin.wait_for_high(), Timer::after(Ticks::from_micros(100))).await;
            }
            probe.mark("done");
        });
    });
    bench.run_to(BOOT + 2000 * MS);
    assert_eq!(bench.marked("done").len(), 1);
}
