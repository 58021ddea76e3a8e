//! The serial line: byte times, FIFOs, and what a reset cuts.

// The exception for tests in clippy.toml does not reach their helpers.
#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use embassy_time::{Instant as Uptime, Timer};
use embedded_io_async::{Read, Write};
use rigor_core::event::{Direction, Kind, Serial};
use rigor_core::part::Console;
use std::rc::Rc;

/// Ten bits at 115200 baud.
const BYTE: u64 = 86_805;

fn serials(bench: &Bench, source: &str) -> Vec<(u64, Serial)> {
    bench
        .events(source)
        .into_iter()
        .map(|event| match event.kind {
            Kind::Serial(serial) => (event.at.as_nanos() - BOOT, serial),
            other => panic!("{other:?}"),
        })
        .collect()
}

/// Start, end and length of what the device sent.
fn sent(bench: &Bench) -> Vec<(u64, u64, usize)> {
    let chunk = |(at, serial): (u64, Serial)| {
        assert_eq!(serial.direction, Direction::FromDut);
        (at, at + serial.duration().as_nanos() as u64, serial.bytes.len())
    };
    serials(bench, "console").into_iter().map(chunk).collect()
}

#[test]
fn bytes_leave_back_to_back_however_long_the_text() {
    let bench = bench_with(free_switches(), |chip, probe| {
        let (mut tx, probe) = (chip.uart_tx(), probe.clone());
        spawn(chip, "task", 0, 1, async move {
            let text: Vec<u8> = (0..1000).map(|index| b'a' + (index % 26) as u8).collect();
            tx.write_all(&text).await.unwrap();
            probe.mark("written");
            tx.flush().await.unwrap();
            probe.mark("flushed");
            Timer::at(Uptime::from_millis(200)).await;
            assert_eq!(tx.write(&[]).await, Ok(0));
            tx.write_all(b"end").await.unwrap();
        });
    });
    bench.on();
    bench.run_to(BOOT + 300 * MS);
    let chunks = sent(&bench);
    let mut expected: Vec<(u64, u64, usize)> = (0..8)
        .map(|index| {
            (index * 128 * BYTE, (index * 128 + 128).min(1000) * BYTE, 128.min(1000 - index as usize * 128))
        })
        .collect();
    expected.push((200 * MS, 200 * MS + 3 * BYTE, 3));
    assert_eq!(chunks, expected);
    assert_eq!(bench.marked("flushed"), [1000 * BYTE]);
    assert_eq!(bench.printed().len(), 1003);
    assert!(bench.printed().starts_with("abcdefghijklmnopqrstuvwxyzab") && bench.printed().ends_with("end"));
}

#[test]
fn a_busy_core_makes_no_gap_while_the_buffer_lasts() {
    let bench = bench(|chip, _| {
        let mut tx = chip.uart_tx();
        spawn(chip, "printer", 0, 1, async move { tx.write_all(&[b'x'; 1000]).await.unwrap() });
        let cpu = chip.cpu();
        spawn(chip, "busy", 0, 9, async move {
            for millis in 0..20 {
                Timer::at(Uptime::from_millis(5 * millis)).await;
                cpu.work(160_000 * 4);
            }
        });
    });
    bench.run_to(BOOT + 300 * MS);
    for pair in sent(&bench).windows(2) {
        assert_eq!(pair[0].1, pair[1].0);
    }
    assert_eq!(bench.printed().len(), 1000);
}

#[test]
fn what_is_being_sent_is_delivered_at_its_end() {
    let bench = bench_with(free_switches(), |chip, _| {
        let mut tx = chip.uart_tx();
        spawn(chip, "task", 0, 1, async move { tx.write_all(b"hello").await.unwrap() });
    });
    bench.on();
    let source = bench.board.console().source();
    bench.run_to(BOOT + 5 * BYTE - 1);
    assert!(sent(&bench).is_empty());
    assert_eq!(bench.timeline.complete_until(source).as_nanos(), BOOT);
    bench.run_to(BOOT + 5 * BYTE);
    assert_eq!(sent(&bench), [(0, 5 * BYTE, 5)]);
    assert_eq!(bench.timeline.complete_until(source).as_nanos(), BOOT + 5 * BYTE);
}

#[test]
fn a_reset_cuts_the_text_after_the_last_whole_byte() {
    let bench = bench_with(free_switches(), |chip, probe| {
        let mut tx = chip.uart_tx();
        let first = probe.count() == 0;
        probe.mark("start");
        spawn(chip, "task", 0, 1, async move {
            if first {
                tx.write_all(&[b'x'; 200]).await.unwrap();
            } else {
                tx.write_all(b"again").await.unwrap();
            }
        });
    });
    bench.on();
    bench.run_to(BOOT + 10 * BYTE + BYTE - 1);
    bench.pin_reset();
    bench.run_to(BOOT + 300 * MS);
    let again = 11 * BYTE - 1 + BOOT;
    assert_eq!(
        sent(&bench),
        [(0, 10 * BYTE, 10), (again, again + 5 * BYTE, 5)],
        "the queue behind it is lost"
    );
}

#[test]
fn a_power_cut_within_the_first_byte_leaves_nothing() {
    let bench = bench_with(free_switches(), |chip, _| {
        let mut tx = chip.uart_tx();
        spawn(chip, "task", 0, 1, async move { tx.write_all(b"hello").await.unwrap() });
    });
    bench.on();
    bench.run_to(BOOT + BYTE - 1);
    bench.off();
    bench.run_to(BOOT + 300 * MS);
    assert!(sent(&bench).is_empty());
    assert_eq!(bench.timeline.complete_until(bench.board.console().source()), bench.timeline.now());
}

fn echo(chip: &Chip, probe: &Probe) {
    let (mut rx, probe) = (chip.uart_rx(), probe.clone());
    spawn(chip, "reader", 0, 1, async move {
        loop {
            let mut buffer = [0; 64];
            let count = rx.read(&mut buffer).await.unwrap();
            probe.mark(String::from_utf8_lossy(&buffer[..count]));
        }
    });
}

#[test]
fn typed_bytes_arrive_one_by_one_and_wake_the_reader() {
    let bench = bench_with(free_switches(), echo);
    bench.on();
    bench.run_to(BOOT + MS);
    let console: Rc<dyn Console> = bench.board.console();
    console.write(b"ab").unwrap();
    console.write(b"c").unwrap();
    bench.run_to(BOOT + 10 * MS);
    let arrivals = [(1, "a"), (2, "b"), (3, "c")].map(|(index, text)| (MS + index * BYTE, text.to_owned()));
    assert_eq!(bench.marks(), arrivals);
    let typed = serials(&bench, "console.input");
    assert_eq!(typed.len(), 2);
    assert_eq!((typed[0].0, &typed[0].1.bytes[..]), (MS, &b"ab"[..]));
    assert_eq!(
        (typed[1].0, &typed[1].1.bytes[..]),
        (MS + 2 * BYTE, &b"c"[..]),
        "after what is still being sent"
    );
    assert!(typed.iter().all(|(_, serial)| serial.direction == Direction::ToDut));
}

#[test]
fn typing_at_a_device_that_is_off_or_boots_is_lost() {
    let bench = bench_with(free_switches(), echo);
    bench.board.console().write(b"off").unwrap();
    bench.run_to(MS);
    bench.on();
    bench.board.console().write(b"boot").unwrap();
    bench.run_to(BOOT + 10 * MS);
    bench.board.console().write(b"!").unwrap();
    bench.run_to(BOOT + 20 * MS);
    assert_eq!(bench.marks().into_iter().map(|(_, text)| text).collect::<String>(), "!");
}

#[test]
fn a_full_receive_buffer_loses_and_counts_bytes() {
    let bench = bench_with(free_switches(), |chip, probe| {
        let (mut rx, probe) = (chip.uart_rx(), probe.clone());
        spawn(chip, "sleeper", 0, 1, async move {
            Timer::at(Uptime::from_millis(500)).await;
            probe.mark(format!("{} lost", rx.overruns()));
            let mut total = 0;
            while total < 1024 {
                total += rx.read(&mut [0; 4096]).await.unwrap();
            }
            probe.mark(format!("{total} read"));
            assert_eq!(rx.read(&mut []).await, Ok(0));
            let count = rx.read(&mut [0; 10]).await.unwrap();
            probe.mark(format!("{count} more"));
        });
    });
    bench.on();
    bench.run_to(BOOT);
    bench.board.console().write(&[7; 1500]).unwrap();
    bench.run_to(BOOT + 600 * MS);
    bench.board.console().write(&[7]).unwrap();
    bench.run_to(BOOT + 700 * MS);
    let texts: Vec<String> = bench.marks().into_iter().map(|(_, text)| text).collect();
    assert_eq!(texts, ["476 lost", "1024 read", "1 more"]);
}
