//! The clock and the processor: timers, priorities, charged work, and firmware that spins.

// The exception for tests in clippy.toml does not reach their helpers.
#![allow(clippy::unwrap_used)]

mod common;

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use common::*;
use embassy_futures::select::{Either, select};
use embassy_futures::{join::join, yield_now};
use embassy_time::{Duration as Ticks, Instant as Uptime, Ticker, Timer};
use embedded_hal_async::digital::Wait;
use embedded_storage::nor_flash::NorFlash;
use rigor_core::event::{DeviceEvent, Level, ResetCause};
use rigor_core::part::Drive;
use rstest::rstest;

fn marks(expected: &[(u64, &str)]) -> Vec<(u64, String)> {
    expected.iter().map(|&(at, what)| (at, what.to_owned())).collect()
}

#[test]
fn timers_are_exact_to_the_tick() {
    let bench = bench_with(free_switches(), |chip, probe| {
        let probe = probe.clone();
        spawn(chip, "timers", 0, 1, async move {
            Timer::after(Ticks::from_micros(1)).await;
            probe.mark("1 us");
            Timer::at(Uptime::from_millis(7)).await;
            probe.mark("7 ms");
            let mut ticker = Ticker::every(Ticks::from_hz(120));
            for _ in 0..3 {
                ticker.next().await;
                probe.mark("tick");
            }
        });
    });
    bench.on();
    bench.run_to(BOOT + 60 * MS);
    let period = 8_333_000; // 120 Hz in whole microseconds
    let expected = [
        (1_000, "1 us"),
        (7 * MS, "7 ms"),
        (7 * MS + period, "tick"),
        (7 * MS + 2 * period, "tick"),
        (7 * MS + 3 * period, "tick"),
    ];
    assert_eq!(bench.marks(), marks(&expected));
}

#[test]
fn a_run_ends_exactly_where_it_was_told_to() {
    let bench = bench(|_, _| {});
    bench.run_to(12_345);
    assert_eq!(bench.now(), 12_345);
    bench.run_to(100);
    assert_eq!(bench.now(), 12_345, "never backwards");
}

#[test]
fn a_run_ends_when_somebody_is_woken() {
    let bench = bench(|chip, probe| {
        let probe = probe.clone();
        spawn(chip, "task", 0, 1, async move {
            Timer::at(Uptime::from_millis(3)).await;
            probe.mark("now");
        });
    });
    bench.board.run(Instant::MAX, &|| !bench.marks().is_empty());
    assert_eq!(bench.now(), BOOT + 3 * MS);
}

#[test]
fn the_devices_clock_starts_again_at_zero_with_every_reset() {
    let bench = bench(|chip, probe| {
        probe.mark(format!("start at {}", Uptime::now().as_micros()));
        let probe = probe.clone();
        spawn(chip, "task", 0, 1, async move {
            Timer::at(Uptime::from_millis(2)).await;
            probe.mark(format!("task at {}", Uptime::now().as_micros()));
        });
    });
    bench.run_to(BOOT + 10 * MS);
    bench.pin_reset();
    bench.run_to(BOOT + 100 * MS);
    let second = 60 * MS;
    let expected = [
        (0, "start at 0"),
        (2 * MS, "task at 2000"),
        (second, "start at 0"),
        (second + 2 * MS, "task at 2000"),
    ];
    assert_eq!(bench.marks(), marks(&expected));
    assert_eq!(Uptime::now().as_micros(), 0, "no firmware runs here");
}

#[test]
fn timers_of_several_tasks_and_of_one_task_all_fire() {
    let bench = bench_with(free_switches(), |chip, probe| {
        for (name, millis) in [("a", 5), ("b", 3), ("c", 5)] {
            let probe = probe.clone();
            spawn(chip, name, 0, 1, async move {
                Timer::at(Uptime::from_millis(millis)).await;
                probe.mark(name);
            });
        }
        let probe = probe.clone();
        spawn(chip, "both", 1, 1, async move {
            let (early, late) = (probe.clone(), probe.clone());
            join(
                async move {
                    Timer::at(Uptime::from_millis(9)).await;
                    late.mark("late");
                },
                async move {
                    Timer::at(Uptime::from_millis(4)).await;
                    early.mark("early");
                },
            )
            .await;
            probe.mark("joined");
        });
    });
    bench.on();
    bench.run_to(BOOT + 20 * MS);
    let expected = [(3, "b"), (4, "early"), (5, "a"), (5, "c"), (9, "late"), (9, "joined")];
    assert_eq!(bench.marks(), marks(&expected.map(|(at, what)| (at * MS, what))));
}

#[test]
fn a_select_with_a_time_out_loses_no_timer() {
    let bench = bench_with(free_switches(), |chip, probe| {
        let probe = probe.clone();
        spawn(chip, "select", 0, 1, async move {
            let mut ticker = Ticker::every(Ticks::from_millis(10));
            let mut ticks = 0;
            let mut timeouts = 0;
            while ticks < 100 {
                // The short one wins two times of three, the dropped one leaves a stale entry.
                match select(ticker.next(), Timer::after(Ticks::from_millis(4))).await {
                    Either::First(()) => ticks += 1,
                    Either::Second(()) => timeouts += 1,
                }
            }
            probe.mark(format!("{ticks} ticks, {timeouts} time-outs"));
            let never = select(Timer::after(Ticks::from_secs(3600)), Timer::after(Ticks::from_millis(1)));
            assert!(matches!(never.await, Either::Second(())));
            probe.mark("after");
            Timer::after(Ticks::from_millis(50)).await;
            probe.mark("50 ms later");
        });
    });
    bench.on();
    bench.run_to(BOOT + 2_000 * MS);
    let expected =
        [(1000 * MS, "100 ticks, 200 time-outs"), (1001 * MS, "after"), (1051 * MS, "50 ms later")];
    assert_eq!(bench.marks(), marks(&expected));
}

#[rstest]
#[case(1, 7)] // 6.25 ns, rounded up
#[case(160, 1_000)]
#[case(160_000_000, 1_000_000_000)]
#[case(u32::MAX, 26_843_545_594)]
fn work_takes_its_cycles_of_160_mhz(#[case] cycles: u32, #[case] nanos: u64) {
    let bench = bench(move |chip, probe| {
        let (cpu, probe) = (chip.cpu(), probe.clone());
        spawn(chip, "worker", 0, 1, async move {
            probe.mark("begin");
            cpu.work(cycles);
            probe.mark("end");
        });
    });
    bench.run_to(BOOT + 30_000 * MS);
    assert_eq!(bench.marks(), marks(&[(SWITCH, "begin"), (SWITCH + nanos, "end")]));
}

#[test]
fn work_outside_of_a_task_is_free() {
    let bench = bench(|chip, probe| {
        chip.cpu().work(160_000_000);
        probe.mark("done");
    });
    bench.run_to(BOOT + MS);
    assert_eq!(bench.marks(), marks(&[(0, "done")]));
}

/// High wakes every millisecond: it costs low the switch there and the switch back.
#[rstest]
#[case::with_switches(2_000, 10 * MS + 44_000)]
#[case::without(0, 10 * MS)]
fn a_higher_priority_takes_the_core_in_the_middle_of_work(#[case] switch: u64, #[case] done: u64) {
    let config = BoardConfig { context_switch: Duration::from_nanos(switch), ..BoardConfig::default() };
    let bench = bench_with(config, |chip, probe| {
        let (cpu, low) = (chip.cpu(), probe.clone());
        spawn(chip, "low", 0, 1, async move {
            cpu.work(1_600_000);
            low.mark("low done");
        });
        let high = probe.clone();
        spawn(chip, "high", 0, 9, async move {
            for millis in 1..=12 {
                Timer::at(Uptime::from_millis(millis)).await;
                high.mark("high");
            }
        });
    });
    bench.on();
    bench.run_to(BOOT + 20 * MS);
    let expected: Vec<u64> = (1..=12).map(|millis| millis * MS + switch).collect();
    // At 11 ms low has ended and the core still holds high's registers or low's, as the case may be.
    assert_eq!(bench.marked("high")[..11], expected[..11]);
    assert_eq!(bench.marked("low done"), [done]);
}

#[test]
fn a_task_that_wakes_on_an_idle_core_that_holds_its_registers_pays_no_switch() {
    let bench = bench(|chip, probe| {
        let probe = probe.clone();
        spawn(chip, "only", 0, 1, async move {
            for millis in 1..=3 {
                Timer::at(Uptime::from_millis(millis)).await;
                probe.mark("awake");
            }
        });
    });
    bench.run_to(BOOT + 5 * MS);
    assert_eq!(bench.marked("awake"), [MS, 2 * MS, 3 * MS]);
}

#[test]
fn equal_priorities_run_in_the_order_in_which_they_became_ready() {
    let bench = bench_with(free_switches(), |chip, probe| {
        for name in ["a", "b", "c"] {
            let (cpu, probe) = (chip.cpu(), probe.clone());
            spawn(chip, name, 0, 3, async move {
                cpu.work(160_000);
                cpu.work(160_000);
                probe.mark(name);
                yield_now().await;
                cpu.work(160_000);
                probe.mark(format!("{name} again"));
            });
        }
    });
    bench.on();
    bench.run_to(BOOT + 20 * MS);
    let expected = [(2, "a"), (4, "b"), (6, "c"), (7, "a again"), (8, "b again"), (9, "c again")];
    assert_eq!(bench.marks(), marks(&expected.map(|(at, what)| (at * MS, what))));
}

#[test]
fn two_cores_work_at_the_same_time() {
    let bench = bench(|chip, probe| {
        for (name, core) in [("zero", 0), ("one", 1), ("after zero", 0)] {
            let (cpu, probe) = (chip.cpu(), probe.clone());
            spawn(chip, name, core, 1, async move {
                cpu.work(1_600_000);
                probe.mark(name);
            });
        }
    });
    bench.run_to(BOOT + 100 * MS);
    let first = SWITCH + 10 * MS;
    assert_eq!(bench.marks(), marks(&[(first, "zero"), (first, "one"), (2 * first, "after zero")]));
}

#[test]
fn polling_keeps_the_core_from_lower_priorities_and_yields_to_higher_ones() {
    let bench = bench(|chip, probe| {
        let (mut flash, poller) = (chip.flash(), probe.clone());
        spawn(chip, "poller", 0, 5, async move {
            flash.erase(0, 4096).unwrap();
            poller.mark("erased");
        });
        for (name, core, priority, millis) in [("low", 0, 1, 1), ("high", 0, 9, 10), ("other core", 1, 1, 1)]
        {
            let probe = probe.clone();
            spawn(chip, name, core, priority, async move {
                Timer::at(Uptime::from_millis(millis)).await;
                probe.mark(name);
            });
        }
    });
    bench.run_to(BOOT + 100 * MS);
    // High runs first, so the poller begins after two switches.
    let erased = 2 * SWITCH + 45 * MS;
    let expected = [
        (MS, "other core"),
        (10 * MS + SWITCH, "high"),
        (erased, "erased"),
        // Its first poll, delayed until now, arms a timer that is already over.
        (erased + SWITCH, "low"),
    ];
    assert_eq!(bench.marks(), marks(&expected));
}

#[test]
fn a_poller_that_lost_its_core_past_the_end_goes_on_when_it_gets_it_back() {
    let bench = bench(|chip, probe| {
        let (mut flash, poller) = (chip.flash(), probe.clone());
        spawn(chip, "poller", 0, 5, async move {
            flash.erase(0, 4096).unwrap();
            poller.mark("erased");
        });
        let cpu = chip.cpu();
        spawn(chip, "high", 0, 9, async move {
            Timer::at(Uptime::from_millis(40)).await;
            cpu.work(1_600_000);
        });
    });
    bench.run_to(BOOT + 100 * MS);
    assert_eq!(bench.marked("erased"), [50 * MS + 2 * SWITCH]);
}

#[test]
fn a_task_that_was_woken_twice_before_it_ran_is_polled_once() {
    let polls = Rc::new(Cell::new(0));
    let count = polls.clone();
    let bench = bench(move |chip, _| {
        let cpu = chip.cpu();
        spawn(chip, "busy", 0, 9, async move {
            Timer::at(Uptime::from_millis(1)).await;
            cpu.work(1_600_000);
        });
        let (mut early, mut late) = (Timer::at(Uptime::from_millis(2)), chip.input(0, Level::Low));
        let count = count.clone();
        spawn(chip, "woken", 0, 1, async move {
            let mut edge = pin!(late.wait_for_high());
            poll_fn(|context| {
                count.set(count.get() + 1);
                let _ = Pin::new(&mut early).poll(context);
                let _ = edge.as_mut().poll(context);
                Poll::<()>::Pending
            })
            .await;
        });
    });
    bench.run_to(BOOT + 3 * MS);
    assert_eq!(polls.get(), 1);
    bench.board.pin(0).drive(Drive::High).unwrap();
    bench.run_to(BOOT + 20 * MS);
    assert_eq!(polls.get(), 2);
}

#[test]
fn a_task_that_ends_gives_its_stack_back() {
    let bench = bench(|chip, probe| {
        let chip_again = (chip.machine(), chip.tasks(), probe.clone());
        spawn(chip, "parent", 0, 1, async move {
            let (machine, tasks, probe) = chip_again;
            let before = machine.heap().free;
            for _ in 0..1000 {
                let spec =
                    rigor_board::cpu::TaskSpec { name: "child", priority: 2, stack_bytes: 100_000, core: 1 };
                tasks.spawn(spec, Box::pin(async {}));
                assert_eq!(tasks.living().len(), 2);
                assert_eq!(machine.heap().free, before - 100_004);
                Timer::after(Ticks::from_millis(1)).await;
                assert_eq!(tasks.living().len(), 1);
                assert_eq!(machine.heap().free, before);
            }
            probe.mark("done");
        });
    });
    bench.run_to(BOOT + 2_000 * MS);
    assert_eq!(bench.crashes(), Vec::<String>::new());
    assert_eq!(bench.marked("done").len(), 1);
}

#[test]
fn tasks_that_end_disturb_no_others() {
    let bench = bench_with(free_switches(), |chip, probe| {
        for (name, millis) in [("first", 2), ("second", 1), ("third", 4)] {
            let (cpu, probe) = (chip.cpu(), probe.clone());
            spawn(chip, name, 0, millis as u8, async move {
                cpu.work(160_000 * millis as u32);
                Timer::at(Uptime::from_millis(10 + millis)).await;
                probe.mark(name);
            });
        }
    });
    bench.on();
    bench.run_to(BOOT + 20 * MS);
    let expected = [(11 * MS, "second"), (12 * MS, "first"), (14 * MS, "third")];
    assert_eq!(bench.marks(), marks(&expected));
}

#[test]
fn a_stack_that_does_not_fit_is_a_crash() {
    let bench = bench(|chip, _| {
        let spec = rigor_board::cpu::TaskSpec { name: "huge", priority: 2, stack_bytes: 1 << 20, core: 1 };
        chip.tasks().spawn(spec, Box::pin(async {}));
    });
    bench.run_to(BOOT + MS);
    assert_eq!(bench.crashes(), ["out of memory: no 1048576 bytes for the stack of task `huge`"]);
}

fn spins_by_yielding(chip: &Chip) {
    spawn(chip, "spinner", 0, 1, async {
        loop {
            yield_now().await;
        }
    });
}

fn spins_by_asking(chip: &Chip) {
    let machine = chip.machine();
    spawn(chip, "spinner", 0, 1, async move { while machine.heap().free > 0 {} });
}

fn spins_on_the_clock(chip: &Chip) {
    spawn(chip, "spinner", 0, 1, async { while Uptime::now() < Uptime::from_secs(1) {} });
}

fn spins_in_the_reset_vector(chip: &Chip) {
    let cpu = chip.cpu();
    loop {
        cpu.work(1);
    }
}

fn spins_with_time_passing(chip: &Chip) {
    let cpu = chip.cpu();
    spawn(chip, "spinner", 0, 1, async move {
        loop {
            cpu.work(16);
        }
    });
}

fn restarts_for_ever(chip: &Chip) {
    chip.machine().restart();
}

#[rstest]
#[case(spins_by_yielding)]
#[case(spins_by_asking)]
#[case(spins_on_the_clock)]
#[case(spins_in_the_reset_vector)]
fn a_firmware_that_spins_without_time_passing_crashes(#[case] spin: fn(&Chip)) {
    let bench = bench(move |chip, _| spin(chip));
    bench.run_to(BOOT + MS);
    assert_eq!(bench.crashes(), ["the firmware spins: 2000000 calls without time passing"]);
    assert_eq!(bench.now(), BOOT + MS);
}

#[rstest]
#[case(spins_by_yielding, false)]
#[case(spins_by_asking, false)]
#[case(spins_on_the_clock, false)]
#[case(spins_in_the_reset_vector, false)]
#[case(spins_with_time_passing, false)]
#[case(restarts_for_ever, true)]
fn the_harness_can_stop_a_firmware_that_never_waits(#[case] spin: fn(&Chip), #[case] restarts: bool) {
    let bench = bench(move |chip, _| spin(chip));
    let flag = Arc::new(AtomicBool::new(false));
    bench.board.interrupt_by(flag.clone());
    let patience = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(50));
        flag.store(true, Ordering::Relaxed);
    });
    let begun = std::time::Instant::now();
    bench.board.run(Instant::MAX, &|| false);
    patience.join().unwrap();
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    // A crash is the product's failure; one that only restarts may be found between two lives.
    let failed = bench.crashes().iter().all(|text| text.starts_with("the firmware "));
    assert!(failed && (restarts || !bench.crashes().is_empty()), "{:?}", bench.crashes());
    let (at, crashed) = (bench.now(), bench.crashes().len());
    bench.board.run(Instant::MAX, &|| false);
    assert_eq!((bench.now(), bench.crashes().len()), (at, crashed), "no further step");
}

#[test]
fn restart_in_the_reset_vector_goes_no_further() {
    let bench = bench(|chip, probe| {
        probe.mark("start");
        if probe.count() < 3 {
            chip.machine().restart();
            probe.mark("unreachable");
        }
    });
    bench.run_to(BOOT + 300 * MS);
    assert_eq!(bench.marked("start"), [0, BOOT, 2 * BOOT]);
    assert!(bench.marked("unreachable").is_empty());
    let causes: Vec<_> = bench.device().into_iter().map(|(_, event)| event).collect();
    let started = DeviceEvent::Started;
    let expected = [
        DeviceEvent::PowerOn,
        started(ResetCause::PowerOn),
        started(ResetCause::Software),
        started(ResetCause::Software),
    ];
    assert_eq!(causes, expected);
}
