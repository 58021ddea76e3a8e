//! Lives of a device: power, reset, restart, panics, and the end of a board in any state.

// The exception for tests in clippy.toml does not reach their helpers.
#![allow(clippy::unwrap_used)]

mod common;
#[path = "common/counting.rs"]
mod counting;

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

use common::*;
use edge_nal::{TcpAccept, TcpBind};
use embassy_time::{Duration as Ticks, Instant as Uptime, Ticker, Timer};
use embedded_hal::digital::OutputPin;
use embedded_io_async::{Read, Write};
use embedded_storage::nor_flash::NorFlash;
use rigor_board::board::MachineHandle;
use rigor_board::cpu::{CpuHandle, TaskSpec, TasksHandle};
use rigor_board::flash::FlashHandle;
use rigor_board::gpio::OutputHandle;
use rigor_core::event::{BytesEncoding, DeviceEvent, ResetCause, Symbol};
use rstest::rstest;

#[global_allocator]
static ALLOCATOR: counting::Counting = counting::Counting;

const WS2812: BytesEncoding =
    BytesEncoding { zero: Symbol { high_ns: 400, low_ns: 850 }, one: Symbol { high_ns: 800, low_ns: 450 } };

fn started(cause: ResetCause) -> DeviceEvent {
    DeviceEvent::Started(cause)
}

/// Marks its start and the cause of it.
fn says_why(chip: &Chip, probe: &Probe) {
    probe.mark(format!("{:?}", chip.machine().start_cause()));
}

#[test]
fn without_power_nothing_happens() {
    let bench = bench_with(BoardConfig::default(), says_why);
    bench.pin_reset();
    bench.off();
    bench.run_to(1_000 * MS);
    assert!(bench.device().is_empty() && bench.marks().is_empty());
}

#[test]
fn power_and_reset_start_the_device_after_its_boot_rom() {
    let bench = bench_with(BoardConfig::default(), says_why);
    bench.run_to(MS);
    bench.on();
    bench.on();
    bench.run_to(100 * MS);
    bench.pin_reset();
    bench.run_to(120 * MS);
    bench.pin_reset();
    bench.run_to(200 * MS);
    bench.off();
    bench.off();
    bench.run_to(300 * MS);
    bench.on();
    bench.run_to(320 * MS);
    bench.off();
    bench.run_to(500 * MS);
    let expected = [
        (1, DeviceEvent::PowerOn),
        (51, started(ResetCause::PowerOn)),
        (170, started(ResetCause::Pin)),
        (200, DeviceEvent::PowerOff),
        (300, DeviceEvent::PowerOn),
        (320, DeviceEvent::PowerOff),
    ];
    assert_eq!(bench.device(), expected.map(|(at, event)| (at * MS, event)));
    let causes: Vec<_> = bench.marks().into_iter().map(|(_, cause)| cause).collect();
    assert_eq!(causes, ["PowerOn", "Pin"]);
}

#[test]
fn a_restart_from_a_task_ends_it_there() {
    let bench = bench(|chip, probe| {
        says_why(chip, probe);
        let (machine, other, probe) = (chip.machine(), probe.clone(), probe.clone());
        spawn(chip, "other", 1, 1, async move {
            let mut ticker = Ticker::every(Ticks::from_millis(1));
            loop {
                ticker.next().await;
                other.mark("tick");
            }
        });
        spawn(chip, "restarts", 0, 1, async move {
            Timer::at(Uptime::from_micros(2_500)).await;
            machine.restart();
            probe.mark("unreachable");
        });
    });
    bench.run_to(BOOT + 60 * MS);
    let expected: Vec<_> = [
        (0, "PowerOn"),
        (1_000, "tick"),
        (2_000, "tick"),
        (52_500, "Software"),
        (53_500, "tick"),
        (54_500, "tick"),
    ]
    .map(|(micros, what)| (micros * 1_000, what.to_owned()))
    .into();
    // The ticker begins at the other core's first switch.
    let marks: Vec<_> = bench.marks().into_iter().map(|(at, what)| (at / 100_000 * 100_000, what)).collect();
    assert_eq!(marks, expected);
    assert_eq!(bench.device().last(), Some(&(BOOT * 2 + 2_500_000, started(ResetCause::Software))));
}

#[test]
fn a_panic_is_a_crash_with_its_text_and_place_and_a_reboot() {
    let bench = bench_with(free_switches(), |chip, probe| {
        let first = probe.count() == 0;
        says_why(chip, probe);
        spawn(chip, "panics", 0, 1, async move {
            Timer::at(Uptime::from_millis(5)).await;
            assert!(!first, "frame {} is missing", 7);
        });
    });
    bench.on();
    bench.run_to(BOOT + 200 * MS);
    let crashes = bench.crashes();
    assert_eq!(crashes.len(), 1);
    assert!(
        crashes[0].starts_with("frame 7 is missing at harness/board/tests/life.rs:")
            || crashes[0].starts_with("frame 7 is missing at tests/life.rs:"),
        "{crashes:?}"
    );
    let text = format!("\r\npanic: {}\r\nRebooting...\r\n", crashes[0]);
    assert_eq!(bench.printed(), text);
    let printed = text.len() as u64 * 86_805;
    let expected = [
        (0, DeviceEvent::PowerOn),
        (BOOT, started(ResetCause::PowerOn)),
        (BOOT + 5 * MS, DeviceEvent::Crashed(crashes[0].as_str().into())),
        (BOOT + 5 * MS + printed + BOOT, started(ResetCause::Panic)),
    ];
    assert_eq!(bench.device(), expected, "the text leaves before the reboot");
    assert_eq!(bench.marks()[1].1, "Panic");
}

#[test]
fn a_panic_in_the_reset_vector_is_a_crash_too() {
    let bench = bench(|_, probe| {
        probe.mark("start");
        panic!("no memory for the pools");
    });
    bench.run_to(BOOT * 5);
    assert!(bench.probe.count() >= 3, "it reboots for ever");
    assert!(bench.crashes().iter().all(|text| text.starts_with("no memory for the pools at ")));
}

/// Counts its drops, and panics on the first one if it is told to.
struct Guard(Rc<Cell<u32>>, bool);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.set(self.0.get() + 1);
        assert!(!self.1, "a destructor's own");
    }
}

#[test]
fn destructors_that_run_while_a_panic_unwinds_do_nothing_to_the_device() {
    struct Farewell(FlashHandle, CpuHandle, OutputHandle, TasksHandle, MachineHandle);
    impl Drop for Farewell {
        fn drop(&mut self) {
            self.1.work(1_000_000);
            self.0.erase(0, 4096).expect("aligned");
            self.2.set_high().expect("infallible");
            let spec = TaskSpec { name: "posthumous", priority: 1, stack_bytes: 4096, core: 0 };
            self.3.spawn(spec, Box::pin(async { panic!("posthumous") }));
            self.4.restart();
        }
    }
    for how in ["panic", "reset", "power"] {
        let bench = bench_with(free_switches(), move |chip, _| {
            let farewell = Farewell(chip.flash(), chip.cpu(), chip.output(3), chip.tasks(), chip.machine());
            spawn(chip, "task", 0, 1, async move {
                let _farewell = farewell;
                Timer::at(Uptime::from_millis(1)).await;
                if how == "panic" {
                    panic!("first");
                }
                std::future::pending::<()>().await;
            });
        });
        bench.on();
        bench.run_to(BOOT + 2 * MS);
        match how {
            "reset" => bench.pin_reset(),
            "power" => bench.off(),
            _ => assert_eq!(bench.crashes().len(), 1),
        }
        let crashes = bench.crashes().len();
        bench.run_to(BOOT + 20 * MS);
        assert!(bench.events("flash").is_empty() && bench.events("gpio3").is_empty(), "{how}");
        let starts =
            bench.device().into_iter().filter(|(_, event)| matches!(event, DeviceEvent::Started(_))).count();
        assert_eq!(bench.crashes().len(), crashes, "{how}");
        assert_eq!(starts, 1, "{how}: not restarted by a destructor");
    }
}

#[test]
fn a_destructor_that_panics_as_its_task_is_stopped_is_nobodys() {
    let drops = Rc::new(Cell::new(0));
    let seen = drops.clone();
    let bench = bench(move |chip, _| {
        for panics in [true, false] {
            let guard = Guard(seen.clone(), panics);
            spawn(chip, "task", 0, 1, async move {
                let _guard = guard;
                std::future::pending::<()>().await;
            });
        }
    });
    bench.run_to(BOOT + MS);
    bench.pin_reset();
    assert_eq!(drops.get(), 2);
    bench.run_to(3 * BOOT);
    drop(bench);
    assert_eq!(drops.get(), 4);
}

#[test]
fn a_destructor_that_panics_at_the_end_of_its_task_is_a_crash() {
    let drops = Rc::new(Cell::new(0));
    let bench = bench(move |chip, _| {
        let guard = Guard(drops.clone(), true);
        // Dropped with the future, after the last poll.
        let body = std::future::poll_fn(move |_| {
            let _ = &guard;
            std::task::Poll::Ready(())
        });
        spawn(chip, "task", 0, 1, body);
    });
    bench.run_to(BOOT + MS);
    assert_eq!(bench.crashes().len(), 1);
    assert!(bench.crashes()[0].starts_with("a destructor's own"));
}

fn text_of(panic: Box<dyn std::any::Any + Send>) -> String {
    match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(panic) => panic.downcast_ref::<&str>().copied().unwrap_or_default().to_owned(),
    }
}

/// A firmware with something going on everywhere: a waiting task, one within a call, one that works.
fn busy(chip: &Chip, _: &Probe) {
    let (mut flash, cpu, mut leds, mut tx, net) =
        (chip.flash(), chip.cpu(), chip.pulse_transmitter(&[9, 10]), chip.uart_tx(), chip.net());
    let mut rx = chip.uart_rx();
    spawn(chip, "stores", 0, 1, async move {
        loop {
            flash.erase(0, 4096).unwrap();
            flash.write(0, &[0x55; 4096]).unwrap();
        }
    });
    spawn(chip, "plays", 1, 9, async move {
        let mut ticker = Ticker::every(Ticks::from_hz(120));
        loop {
            cpu.work(16_000);
            leds.transmit(WS2812, &[&[1; 480], &[2; 480]]).await;
            ticker.next().await;
        }
    });
    spawn(chip, "talks", 1, 1, async move {
        let text = vec![b'x'; 1000];
        loop {
            tx.write_all(&text).await.unwrap();
        }
    });
    spawn(chip, "listens", 1, 2, async move {
        let acceptor = net.bind(std::net::SocketAddr::from(([0, 0, 0, 0], 80))).await.unwrap();
        let (_, mut socket) = acceptor.accept().await.unwrap();
        let mut buffer = [0; 100];
        while socket.read(&mut buffer).await.is_ok() {}
    });
    spawn(chip, "reads", 1, 2, async move { while rx.read(&mut [0; 10]).await.is_ok() {} });
}

#[test]
fn a_panic_of_the_tests_own_code_is_the_tests() {
    let outcome = catch_unwind(|| {
        let bench = bench(busy);
        bench.run_to(BOOT + 10 * MS);
        assert_eq!(1 + 1, 3, "the test's own");
    });
    assert!(text_of(outcome.unwrap_err()).contains("the test's own"));

    let bench = bench(busy);
    bench.run_to(BOOT + 10 * MS);
    let outcome = catch_unwind(AssertUnwindSafe(|| bench.board.run(Instant::MAX, &|| panic!("the waker's"))));
    assert_eq!(text_of(outcome.unwrap_err()), "the waker's");
    assert_eq!(bench.crashes(), Vec::<String>::new());
    bench.run_for(10 * MS);
}

#[test]
fn a_panic_of_the_board_model_is_not_the_products() {
    let bench = bench_with(free_switches(), |chip, _| {
        let mut pin = chip.output(4);
        spawn(chip, "other", 1, 1, async { std::future::pending().await });
        spawn(chip, "task", 0, 1, async move {
            Timer::at(Uptime::from_millis(1)).await;
            assert!(catch_unwind(|| panic!("caught by the firmware itself")).is_err());
            pin.set_high().unwrap();
        });
    });
    bench.on();
    // Somebody broke the board's promise for it.
    bench.timeline.promise(bench.timeline.source("gpio4"), Instant::MAX);
    let outcome = catch_unwind(AssertUnwindSafe(|| bench.run_to(BOOT + 2 * MS)));
    assert!(
        text_of(outcome.unwrap_err()).starts_with("the virtual board broke its own order: source `gpio4`")
    );
    assert_eq!(bench.crashes(), Vec::<String>::new());
    assert_eq!(Uptime::now().as_micros(), 0, "no firmware runs here any more");
    drop(bench);
}

#[test]
fn a_firmware_that_catches_its_own_panic_goes_on() {
    let bench = bench(|chip, probe| {
        let probe = probe.clone();
        spawn(chip, "task", 0, 1, async move {
            assert!(catch_unwind(|| panic!("caught")).is_err());
            probe.mark("on");
            Timer::after(Ticks::from_millis(1)).await;
            panic!("not caught");
        });
    });
    bench.run_to(BOOT + 2 * MS);
    assert_eq!(bench.marked("on").len(), 1);
    assert!(bench.crashes()[0].starts_with("not caught"));
}

#[rstest]
fn a_board_can_be_dropped_in_any_state(
    #[values(0, 20, 50, 51, 60, 95, 200, 777)] millis: u64,
    #[values("run", "off", "reset", "crash")] then: &str,
) {
    let bench = bench(busy);
    let id = bench.board.net().connect(80).unwrap();
    bench.board.net().send(id, &[0; 10_000]).unwrap();
    bench.board.console().write(&[0; 10_000]).unwrap();
    bench.run_to(millis * MS);
    match then {
        "off" => bench.off(),
        "reset" => bench.pin_reset(),
        "crash" => {
            let flag = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true));
            bench.board.interrupt_by(flag);
            bench.run_for(MS);
        }
        _ => {}
    }
    drop(bench);
}

#[test]
fn parts_that_outlive_their_board_do_nothing() {
    let bench = bench(busy);
    bench.run_to(BOOT + 10 * MS);
    let Bench { board, timeline, .. } = bench;
    let (power, reset, console, flash, net, pin) =
        (board.power(), board.reset(), board.console(), board.flash(), board.net(), board.pin(4));
    drop(board);
    let before = timeline.merged(Instant::ZERO, Instant::MAX);
    power.off().unwrap();
    power.on().unwrap();
    reset.pulse().unwrap();
    console.write(b"hello").unwrap();
    flash.write(0, &[1]).unwrap();
    let id = net.connect(80).unwrap();
    net.send(id, b"hello").unwrap();
    net.reset(id).unwrap();
    pin.drive(rigor_core::part::Drive::Low).unwrap();
    assert_eq!(timeline.name(pin.source()), "gpio4");
    assert_eq!(timeline.merged(Instant::ZERO, Instant::MAX), before);
}

fn mappings() -> usize {
    std::fs::read_to_string("/proc/self/maps").map_or(0, |maps| maps.lines().count())
}

/// Boards one after the other, each with a case's worth of events; `stop` ends each.
fn many_boards(boards: usize, stop: fn(&Bench)) -> (isize, isize) {
    let one = || {
        let bench = bench(busy);
        let id = bench.board.net().connect(80).unwrap();
        bench.board.net().send(id, &[0; 3_000]).unwrap();
        bench.run_to(BOOT + 1_003 * MS);
        stop(&bench);
        assert!(bench.events("gpio9").len() > 100);
    };
    for _ in 0..10 {
        one();
    }
    let (bytes, maps) = (counting::live_bytes(), mappings());
    for _ in 0..boards {
        one();
    }
    let grown = counting::live_bytes() - bytes;
    (grown / boards as isize, mappings() as isize - maps as isize)
}

#[test]
fn hundreds_of_boards_keep_the_memory_bounded() {
    // Each is dropped within an erase, and leaks what that call owned. One run's record alone is
    // tens of kilobytes.
    let (bytes, maps) = many_boards(300, |_| {});
    assert!(bytes < 4_096, "{bytes} bytes a board");
    assert!(maps < 200, "{maps} mappings more, of stacks");
}

#[test]
fn hundreds_of_power_cuts_within_a_call_keep_the_memory_bounded() {
    let (bytes, maps) = many_boards(50, |bench| {
        for _ in 0..10 {
            bench.off();
            bench.on();
            bench.run_for(BOOT + 10 * MS);
        }
    });
    assert!(bytes < 8_192, "{bytes} bytes for eleven cuts");
    assert!(maps < 200, "{maps} mappings more, of stacks");
}

#[test]
fn a_board_without_a_call_in_progress_leaves_nothing() {
    let one = || {
        let bench = bench(|chip, _| {
            let mut tx = chip.uart_tx();
            spawn(chip, "talks", 0, 1, async move {
                loop {
                    tx.write_all(&[b'x'; 1000]).await.unwrap();
                }
            });
            spawn(chip, "waits", 1, 1, std::future::pending());
        });
        bench.run_to(BOOT + 100 * MS);
        bench.pin_reset();
        bench.run_for(BOOT + 100 * MS);
    };
    one();
    let before = counting::live_bytes();
    for _ in 0..100 {
        one();
    }
    assert_eq!(counting::live_bytes() - before, 0);
}

#[test]
fn a_crash_loop_without_a_boot_rom_does_not_stop_the_clock() {
    let config = BoardConfig { boot_rom: Duration::ZERO, ..BoardConfig::default() };
    let bench = bench_with(config, |chip, _| chip.machine().restart());
    bench.on();
    bench.run_to(1_000);
    assert_eq!(bench.now(), 1_000);
}
