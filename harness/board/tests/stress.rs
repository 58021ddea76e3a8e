//! The rig's hand on cores and heap, the record of the tasks, and the watchdog.

// The exception for tests in clippy.toml does not reach their helpers.
#![allow(clippy::unwrap_used)]

mod common;

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use common::*;
use embassy_time::Timer;
use rigor_core::event::{DeviceEvent, Kind, ResetCause};
use rigor_core::task::{TaskStart, TaskState};

#[global_allocator]
static ALLOCATOR: rigor_board::DeviceAllocator = rigor_board::DeviceAllocator;

/// The kinds of a lane with nanoseconds since the firmware's start.
fn lane(bench: &Bench, name: &str) -> Vec<(u64, Kind)> {
    let events = bench.timeline.events(bench.timeline.source(name), Instant::ZERO, Instant::MAX);
    events.into_iter().map(|event| (event.at.as_nanos() - BOOT, event.kind)).collect()
}

fn states(bench: &Bench, name: &str) -> Vec<(u64, TaskState)> {
    lane(bench, name).iter().filter_map(|(at, kind)| Some((*at, TaskState::of(kind)?))).collect()
}

/// A task that computes for 1 ms at every 10 ms.
fn periodic(chip: &Chip, name: &'static str, priority: u8) {
    let cpu = chip.cpu();
    spawn(chip, name, 0, priority, async move {
        for round in 1.. {
            Timer::at(embassy_time::Instant::from_millis(round * 10)).await;
            cpu.work(160_000);
        }
    });
}

#[test]
fn a_task_s_start_is_always_recorded_and_its_states_on_demand() {
    let bench = bench_with(free_switches(), |chip, _| {
        periodic(chip, "high", 5);
        periodic(chip, "low", 3);
    });
    bench.on();
    bench.run_to(BOOT + 15 * MS);
    assert_eq!(states(&bench, "task.high"), []);
    let starts: Vec<_> =
        lane(&bench, "task.low").iter().filter_map(|(_, kind)| TaskStart::of(kind)).collect();
    assert!(matches!(starts[..], [TaskStart { core: 0, priority: 3, .. }]), "{starts:?}");
    bench.board.scheduler().record().unwrap();
    bench.run_to(BOOT + 25 * MS);
    use TaskState::{Ready, Running, Waiting};
    assert_eq!(states(&bench, "task.high"), [(20 * MS, Running), (21 * MS, Waiting)]);
    assert_eq!(states(&bench, "task.low"), [(20 * MS, Ready), (21 * MS, Running), (22 * MS, Waiting)]);
    bench.off();
    bench.run_for(MS);
    assert_eq!(states(&bench, "task.low").len(), 3, "nothing runs, so nothing changes");
}

#[test]
fn a_core_is_occupied_against_lower_priorities_only() {
    let bench = bench_with(free_switches(), |chip, _| {
        periodic(chip, "high", 5);
        periodic(chip, "low", 3);
    });
    bench.on();
    bench.board.scheduler().record().unwrap();
    bench.run_to(BOOT + 9 * MS);
    bench.board.stress().occupy(0, 4, Duration::from_millis(5)).unwrap();
    bench.run_to(BOOT + 18 * MS);
    use TaskState::{Ready, Running, Waiting};
    assert_eq!(states(&bench, "task.high"), [(10 * MS, Running), (11 * MS, Waiting)]);
    assert_eq!(states(&bench, "task.low"), [(10 * MS, Ready), (15 * MS, Running), (16 * MS, Waiting)]);
    assert_eq!(
        states(&bench, "task.(rig)"),
        [(9 * MS, Running), (10 * MS, Ready), (11 * MS, Running), (15 * MS, Waiting)]
    );
    assert!(bench.board.stress().occupy(2, 4, Duration::ZERO).is_err());
}

#[test]
fn an_occupied_core_costs_no_memory_and_is_no_task_of_the_firmware_s() {
    let bench = bench(|chip, probe| {
        let (tasks, probe) = (chip.tasks(), probe.clone());
        spawn(chip, "task", 1, 1, async move {
            Timer::after_millis(10).await;
            probe.mark(tasks.living().len().to_string());
        });
    });
    bench.run_to(BOOT + MS);
    let before = bench.board.heap();
    bench.board.stress().occupy(0, 200, Duration::MAX).unwrap();
    bench.run_to(BOOT + 5 * MS);
    assert_eq!(bench.board.heap(), before);
    bench.run_to(BOOT + 100 * MS);
    assert_eq!(bench.marks()[0].1, "1");
    bench.off();
    bench.on();
    bench.run_for(100 * MS);
    assert_eq!(bench.marks().len(), 2, "over with the next start");
}

#[test]
fn a_device_without_memory_can_ask_for_its_tasks() {
    let found = Rc::new(Cell::new(0));
    let count = found.clone();
    let bench = bench(move |chip, _| {
        let (tasks, count) = (chip.tasks(), count.clone());
        spawn(chip, "task", 0, 1, async move {
            Timer::after_millis(10).await;
            count.set(tasks.living().len());
            std::future::pending().await
        });
    });
    bench.run_to(BOOT + MS);
    bench.board.stress().take_memory(0).unwrap();
    bench.run_to(BOOT + 20 * MS);
    assert_eq!((bench.crashes(), found.get()), (Vec::new(), 1));
}

#[test]
fn memory_is_taken_and_given_back_on_the_record() {
    let bench = bench(|chip, _| spawn(chip, "task", 0, 1, std::future::pending()));
    bench.run_to(BOOT + 100 * MS);
    let whole = bench.board.heap();
    bench.board.stress().take_memory(10_000).unwrap();
    assert_eq!(bench.board.heap().free, 10_000);
    bench.run_for(MS);
    let free: Vec<_> = lane(&bench, "heap.free");
    assert_eq!(free.last(), Some(&(100 * MS, Kind::Gauge(10_000))));
    bench.board.stress().give_memory_back().unwrap();
    assert_eq!(bench.board.heap().free, whole.free);
    bench.board.stress().cut_up_memory(60).unwrap();
    let cut = bench.board.heap();
    assert!(cut.largest_free_block * 100 / cut.free <= 40, "{cut:?}");
    assert!(bench.board.stress().cut_up_memory(100).is_err());
    bench.board.stress().take_memory(0).unwrap();
    bench.off();
    bench.on();
    bench.run_for(100 * MS);
    assert_eq!(bench.board.heap().free, whole.free, "over with the next start");
}

#[test]
fn the_first_allocations_of_each_start_are_recorded_in_their_order() {
    let bench = bench(|chip, _| {
        let first: Vec<u8> = Vec::with_capacity(1000);
        let second: Vec<u8> = Vec::with_capacity(77);
        spawn(chip, "task", 0, 1, async move {
            let _kept = (first, second);
            std::future::pending().await
        });
    });
    bench.run_to(BOOT + MS);
    let sizes: Vec<_> = lane(&bench, "heap.allocations").into_iter().map(|(_, kind)| kind).collect();
    assert_eq!(sizes[..2], [Kind::Gauge(1000), Kind::Gauge(77)]);
    bench.pin_reset();
    bench.run_for(100 * MS);
    assert_eq!(lane(&bench, "heap.allocations").len(), 2 * sizes.len());
}

#[test]
fn a_watchdog_bites_when_it_is_not_fed_and_only_then() {
    let bench = bench(|chip, probe| {
        let (watchdog, cause) = (chip.watchdog(), chip.machine().start_cause());
        probe.mark(format!("{cause:?}"));
        spawn(chip, "fed", 0, 1, async move {
            if cause != ResetCause::PowerOn {
                return;
            }
            watchdog.feed();
            watchdog.start(Duration::from_millis(100));
            for _ in 0..3 {
                Timer::after_millis(90).await;
                watchdog.feed();
            }
        });
    });
    bench.run_to(BOOT + 370 * MS);
    assert_eq!(bench.crashes(), Vec::<String>::new());
    bench.run_to(BOOT + 2000 * MS);
    assert_eq!(bench.crashes().len(), 1, "the next start begins without it");
    let device = bench.device();
    let crash = device.iter().find(|(_, event)| matches!(event, DeviceEvent::Crashed(_))).unwrap();
    assert!((370 * MS..371 * MS).contains(&(crash.0 - BOOT)), "{crash:?}");
    assert_eq!(device.last().unwrap().1, DeviceEvent::Started(ResetCause::Watchdog));
    assert_eq!(bench.marks().last().unwrap().1, "Watchdog");
}
