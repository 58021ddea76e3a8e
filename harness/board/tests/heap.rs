//! The device's heap: what is charged, what comes back, and what happens when it is full.

// The exception for tests in clippy.toml does not reach their helpers.
#![allow(clippy::unwrap_used)]

mod common;

use std::cell::RefCell;
use std::rc::Rc;

use common::*;
use embassy_time::{Duration as Ticks, Instant as Uptime, Timer};
use embedded_storage::nor_flash::NorFlash;
use rigor_board::board::MachineHandle;
use rigor_core::event::{DeviceEvent, Kind, ResetCause};

#[global_allocator]
static ALLOCATOR: rigor_board::DeviceAllocator = rigor_board::DeviceAllocator;

const HEAP: usize = 320 * 1024;

/// Free bytes that `f` leaves less than before, with what it returns still alive.
fn cost<R>(machine: &MachineHandle, f: impl FnOnce() -> R) -> (isize, R) {
    let before = machine.heap().free as isize;
    let result = f();
    (before - machine.heap().free as isize, result)
}

/// Runs `body` as the device's only task.
fn task(body: impl Fn(MachineHandle) + Clone + 'static) -> Bench {
    let bench = bench(move |chip, _| {
        let (machine, body) = (chip.machine(), body.clone());
        spawn(chip, "task", 0, 1, async move { body(machine) });
    });
    bench.run_to(BOOT + MS);
    bench
}

fn healthy(bench: &Bench) {
    assert_eq!(bench.crashes(), Vec::<String>::new());
}

#[test]
fn a_block_costs_its_size_rounded_up_and_a_header() {
    healthy(&task(|machine| {
        for (bytes, expected) in [(1, 8), (4, 8), (5, 12), (1000, 1004)] {
            let (taken, block) = cost(&machine, || Vec::<u8>::with_capacity(bytes));
            assert_eq!(taken, expected);
            let (given, ()) = cost(&machine, || drop(block));
            assert_eq!(given, -expected);
        }
        let before = machine.heap();
        let block = vec![0u8; 100];
        let during = machine.heap();
        drop(block);
        let after = machine.heap();
        assert_eq!((during.allocations, during.frees), (before.allocations + 1, before.frees));
        assert_eq!((after.allocations, after.frees), (before.allocations + 1, before.frees + 1));
        assert_eq!(after.minimum_free, before.minimum_free.min(during.free));
        assert_eq!(after.free, before.free);
    }));
}

#[test]
fn the_harnesss_own_blocks_are_none_of_the_devices_business() {
    let bench = bench(|chip, _| spawn(chip, "task", 0, 1, std::future::pending()));
    bench.run_to(BOOT + MS);
    let before = bench.board.heap();
    let mine: Vec<Vec<u8>> = (0..100).map(|size| vec![0; size * 100]).collect();
    bench.board.console().write(&[0; 500]).unwrap();
    bench.board.net().connect(80).unwrap();
    bench.run_to(BOOT + 100 * MS);
    drop(mine);
    assert_eq!(bench.board.heap(), before);
}

#[test]
fn what_peripherals_need_is_not_the_firmwares() {
    healthy(&task(|machine| {
        // Timers, wakers and the task's own stack on the host are the model's.
        let (taken, ()) = cost(&machine, || {
            let _ = Uptime::now();
        });
        assert_eq!(taken, 0);
    }));
    let bench = bench(|chip, _| {
        let (machine, mut flash) = (chip.machine(), chip.flash());
        spawn(chip, "task", 0, 1, async move {
            let before = machine.heap().free;
            flash.erase(0, 8192).unwrap();
            flash.write(0, &[0; 1024]).unwrap();
            Timer::after(Ticks::from_millis(5)).await;
            assert_eq!(machine.heap().free, before);
        });
    });
    bench.run_to(BOOT + 200 * MS);
    healthy(&bench);
}

#[test]
fn a_stack_is_charged_and_a_task_that_ends_gives_all_back() {
    let bench = bench(|chip, _| {
        let (machine, tasks) = (chip.machine(), chip.tasks());
        spawn(chip, "parent", 0, 1, async move {
            let before = machine.heap().free;
            let spec = rigor_board::cpu::TaskSpec { name: "child", priority: 9, stack_bytes: 8192, core: 0 };
            let kept = vec![1u8; 1000];
            tasks.spawn(
                spec,
                Box::pin(async move {
                    let own = vec![2u8; 500];
                    Timer::after(Ticks::from_millis(5)).await;
                    drop((own, kept));
                }),
            );
            Timer::after(Ticks::from_millis(1)).await;
            let during = before - machine.heap().free;
            assert!(
                (8196 + 1004 + 504..8196 + 1004 + 504 + 300).contains(&during),
                "and its future: {during}"
            );
            Timer::after(Ticks::from_millis(10)).await;
            assert_eq!(machine.heap().free, before);
        });
    });
    bench.run_to(BOOT + 100 * MS);
    healthy(&bench);
}

#[test]
fn free_bytes_in_pieces_are_not_a_large_block() {
    healthy(&task(|machine| {
        let before = machine.heap();
        let mut blocks: Vec<Option<Vec<u8>>> = Vec::with_capacity(100);
        blocks.extend((0..100).map(|_| Some(Vec::with_capacity(2044))));
        let full = machine.heap();
        for block in blocks.iter_mut().step_by(2) {
            *block = None;
        }
        let holes = machine.heap();
        assert_eq!(holes.free, full.free + 50 * 2048);
        assert_eq!(holes.largest_free_block, full.largest_free_block, "no hole is joined with another");
        drop(blocks);
        let after = machine.heap();
        assert_eq!((after.free, after.largest_free_block), (before.free, before.largest_free_block));
    }));
}

#[test]
fn a_block_grows_and_shrinks_where_it_is_if_it_can() {
    healthy(&task(|machine| {
        // Fill the holes, so that what follows lies at the end of the heap's used part.
        let largest = machine.heap().largest_free_block;
        let mut growing: Vec<u8> = Vec::with_capacity(largest / 2);
        growing.extend(std::iter::repeat_n(7, largest / 2));
        let (taken, ()) = cost(&machine, || growing.reserve_exact(largest / 3));
        assert!(taken > 0 && taken < largest as isize / 2, "in place, for two would not fit: {taken}");
        growing.truncate(100);
        let (given, ()) = cost(&machine, || growing.shrink_to_fit());
        assert!(given < -(largest as isize / 2));
        assert!(growing.iter().all(|&byte| byte == 7));
        // A block with a neighbour moves.
        let neighbour = vec![0u8; 16];
        let before = machine.heap();
        growing.reserve_exact(10_000);
        assert_eq!(machine.heap().allocations, before.allocations + 1);
        assert!(growing.iter().all(|&byte| byte == 7));
        drop(neighbour);
    }));
}

#[test]
fn a_block_that_does_not_fit_crashes_the_device_and_not_the_process() {
    let bench = task(|_| {
        let huge: Vec<u8> = Vec::with_capacity(HEAP);
        unreachable!("{huge:?}");
    });
    let text = &bench.crashes()[0];
    assert!(text.starts_with("out of memory: no block of 327680 bytes (largest free: "), "{text}");
    bench.run_to(BOOT + 40 * MS);
    assert!(bench.printed().contains("out of memory"));
    bench.run_to(BOOT + 80 * MS);
    let reboots =
        bench.device().into_iter().filter(|(_, event)| *event == DeviceEvent::Started(ResetCause::Panic));
    assert_eq!(reboots.count(), 1);
}

#[test]
fn a_leak_ends_in_a_crash_and_the_reboot_gives_everything_back() {
    let bench = bench(|chip, probe| {
        let (machine, first) = (chip.machine(), probe.count() == 0);
        probe.mark("start");
        let free = machine.heap().free;
        assert!(free > HEAP - 2000, "{free}");
        spawn(chip, "leaker", 0, 1, async move {
            let mut leaked = Vec::new();
            let blocks = if first { usize::MAX } else { 0 };
            for _ in 0..blocks {
                leaked.push(vec![0u8; 1000]);
                Timer::after(Ticks::from_micros(10)).await;
            }
        });
    });
    bench.run_to(BOOT + 1000 * MS);
    assert_eq!(bench.crashes().len(), 1);
    assert!(bench.crashes()[0].starts_with("out of memory: no block of"));
    let heap = bench.board.heap();
    assert!(heap.free > HEAP - 2000, "{heap:?}");
    assert_eq!(heap.failures, 0, "counted since the start");
}

#[test]
fn the_reset_vector_can_run_out_of_memory_too() {
    let bench = bench(|_, probe| {
        probe.mark("start");
        let pools: Vec<Vec<u8>> = (0..100).map(|_| vec![0; 4096]).collect();
        probe.mark(format!("unreachable {}", pools.len()));
    });
    bench.run_to(BOOT + MS);
    assert_eq!(bench.probe.count(), 1);
    assert!(bench.crashes()[0].starts_with("out of memory: no block of 4096 bytes"), "{:?}", bench.crashes());
}

#[test]
fn a_panic_with_a_full_heap_is_still_that_panic() {
    let bench = task(|machine| {
        let mut blocks: Vec<Vec<u8>> = Vec::with_capacity(10_000);
        while machine.heap().largest_free_block >= 64 {
            blocks.push(Vec::with_capacity(machine.heap().largest_free_block / 2 + 16));
        }
        panic!("with {} bytes left of a heap that is full of {} blocks and a long text", 0, blocks.len());
    });
    assert!(bench.crashes()[0].contains("a heap that is full"), "{:?}", bench.crashes());
}

#[test]
fn a_reset_gives_everything_back() {
    let bench = bench(|chip, _| {
        let kept = Rc::new(RefCell::new(vec![0u8; 50_000]));
        let mut flash = chip.flash();
        spawn(chip, "waits", 0, 1, async move {
            let _kept = kept;
            std::future::pending::<()>().await;
        });
        spawn(chip, "in a call", 1, 1, async move {
            let _own = vec![0u8; 30_000];
            flash.erase(0, 1 << 20).unwrap();
        });
    });
    for _ in 0..20 {
        bench.run_for(BOOT + 20 * MS);
        let used = HEAP - bench.board.heap().free;
        assert!((80_000..95_000).contains(&used), "{used}");
        bench.pin_reset();
        assert_eq!(bench.board.heap().free, HEAP);
        assert_eq!(bench.board.heap().largest_free_block, HEAP - 4);
    }
    healthy(&bench);
}

#[test]
fn two_boards_on_one_thread_have_a_heap_each() {
    let greedy = |bytes: usize| {
        bench(move |chip, _| {
            spawn(chip, "task", 0, 1, async move {
                let mut kept = Vec::new();
                loop {
                    kept = [kept, vec![0u8; bytes]].concat();
                    Timer::after(Ticks::from_millis(10)).await;
                }
            });
        })
    };
    let (one, two) = (greedy(100), greedy(200));
    for step in 0..50 {
        one.run_to(BOOT + step * MS);
        two.run_to(BOOT + step * MS);
    }
    let used = |bench: &Bench| HEAP - bench.board.heap().free;
    let difference = used(&two) as isize - used(&one) as isize;
    assert!((450..600).contains(&difference), "five steps of 100 bytes: {difference}");
    let before = one.board.heap();
    drop(two);
    assert_eq!(one.board.heap(), before);
    one.run_for(10 * MS);
    healthy(&one);
}

#[test]
fn a_block_that_outlives_the_device_is_simply_freed() {
    let smuggled: Rc<RefCell<Vec<Vec<u8>>>> = Rc::default();
    let inside = smuggled.clone();
    let bench = bench(move |_, _| inside.borrow_mut().push(vec![1; 1000]));
    bench.run_to(BOOT + MS);
    bench.pin_reset();
    bench.run_for(BOOT + MS);
    let before = bench.board.heap().free;
    smuggled.borrow_mut().remove(0);
    assert_eq!(bench.board.heap().free, before, "it was of an earlier life");
    drop(bench);
    assert_eq!(smuggled.take(), [[1; 1000]]);
}

#[test]
fn free_bytes_are_sampled_every_second() {
    let bench = bench(|_, _| {});
    bench.run_to(BOOT + 3_500 * MS);
    bench.pin_reset();
    bench.run_for(BOOT + 1_500 * MS);
    let at: Vec<u64> = bench
        .events("heap.free")
        .into_iter()
        .map(|event| {
            assert!(matches!(event.kind, Kind::Gauge(_)));
            (event.at.as_nanos() - BOOT) / MS
        })
        .collect();
    assert_eq!(at, [0, 1000, 2000, 3000, 3550, 4550]);
}
