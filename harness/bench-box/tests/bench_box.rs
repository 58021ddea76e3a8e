//! The box from outside: what its ports carry, and when on the board's clock.

mod common;

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::time::Duration;

use common::*;
use rigor_controller::message::{Drive, LOOP_BACK_INPUT, Level, Refusal, Step, Wanted, Waveform, Wire};
use rigor_controller::stepped::Crossed;
use rigor_controller::{Answer, Command, Ticks};
use rstest::rstest;

const POWER: Wire = Wire::Power;

#[test]
fn it_says_who_it_is_and_goes_without_a_trace() {
    let bench = Bench::new();
    let identity = bench.host().identity.expect("it says so");
    assert!(identity.stepped && identity.has_power && identity.has_reset && !identity.has_bus);
    assert_eq!((identity.lanes, identity.lines, identity.inputs), (2, 1, 1));
    assert_eq!(identity.clock_hz, 1_000_000_000);
    let folder = bench.folder.clone();
    assert!(folder.join("console").exists());
    // The folder goes with the bench; its names have gone before.
    let kept = tempfile::tempdir().expect("a folder");
    let names = |folder: &std::path::Path| std::fs::read_dir(folder).expect("a folder").count();
    assert_eq!((names(&folder), names(kept.path())), (2, 0));
    drop(bench);
    assert!(std::fs::symlink_metadata(folder.join("console")).is_err());
}

#[rstest]
#[case::no_line(Command::Drive { wire: Wire::Line(1), drive: Drive::Low }, Refusal::NoSuchWire)]
#[case::own_pair(Command::Drive { wire: Wire::LoopBack, drive: Drive::Low }, Refusal::NoSuchWire)]
#[case::pull_up(Command::Drive { wire: Wire::Line(0), drive: Drive::High }, Refusal::NeverHigh)]
#[case::reset_up(Command::Drive { wire: Wire::Reset, drive: Drive::High }, Refusal::NeverHigh)]
#[case::no_lane(Command::Record(Wanted { lanes: 4, edges: 0, bus: false }), Refusal::NoSuchWire)]
#[case::no_input(Command::Record(Wanted { lanes: 0, edges: 2, bus: false }), Refusal::NoSuchWire)]
#[case::no_bus(Command::Record(Wanted { lanes: 0, edges: 0, bus: true }), Refusal::NoSuchWire)]
#[case::no_edges(Command::LoopBack { edges: 0, spacing: 1 }, Refusal::OutOfRange)]
fn what_cannot_be_is_refused(#[case] command: Command, #[case] refusal: Refusal) {
    let bench = Bench::new();
    assert_eq!(bench.host().ask(command), Answer::Refused(refusal));
}

#[test]
fn nothing_happens_but_by_the_hosts_word() {
    let bench = Bench::new();
    let mut host = bench.running();
    // It has no clock but the board's, whatever passes outside.
    std::thread::sleep(Duration::from_millis(20));
    assert_eq!(host.proceed(0).at, Ticks(0));
    let Answer::Clock { received, sent } = host.ask(Command::ReadClock) else { panic!("no clock") };
    assert_eq!((received, sent), (Ticks(0), Ticks(0)));
    host.run_to(7);
    assert_eq!(host.proceed(0).at, Ticks(7));
}

#[test]
fn printed_bytes_come_when_the_last_has_left_the_board() {
    let bench = Bench::new();
    // Twice: each host has a board of its own.
    for _ in 0..2 {
        let mut host = bench.running();
        while host.proceed(1_000 * MS).crossed.console == 0 {}
        let took = host.stands.at.0 - BOOT - 5 * BYTE;
        assert!(took < MS, "{took} ns after the firmware began to print");
        assert_eq!(host.stands.crossed.console, 5);
        assert_eq!(host.read_console(5), b"hello");
    }
}

#[test]
fn typed_bytes_are_there_when_they_are_counted() {
    let bench = Bench::new();
    let mut host = bench.running();
    host.run_to(BOOT + 10 * MS);
    host.console.write_all(b"a").expect("it goes");
    host.run_to(BOOT + 20 * MS);
    assert_eq!(host.stands.crossed.console, 5, "nobody has counted it");
    host.crossed.console += 1;
    host.type_in(b"bc");
    host.run_to(BOOT + 30 * MS);
    assert_eq!(host.stands.crossed.console, 8);
    assert_eq!(host.read_console(8), b"helloABC");
}

/// The instant of the next answer that names an opened connection.
fn opened(host: &mut Host, number: u32) -> u64 {
    while host.proceed(5_000 * MS).opened.is_none() {
        assert!(host.stands.at.0 < 5_000 * MS, "nobody takes it");
    }
    assert_eq!(host.stands.opened, Some(number));
    host.stands.at.0
}

#[test]
fn a_connection_is_open_when_the_device_has_taken_it() {
    let bench = Bench::new();
    let mut host = bench.running();
    host.run_to(BOOT + 10 * MS);
    let mut socket = bench.connect("echo");
    host.run_to(BOOT + 20 * MS);
    assert_eq!(host.stands.opened, None, "nobody has counted it");
    host.crossed.opened += 1;
    let at = opened(&mut host, 1);
    // Two ways of the link, and as long as a segment without payload is on the air.
    assert_eq!(at, BOOT + 24 * MS + 2 * 54 * 8 * 1000 / 20);

    socket.write_all(b"ping").expect("it goes");
    host.crossed.network += 4;
    while host.proceed(at + 100 * MS).crossed.network < 4 {}
    let mut buffer = [0; 4];
    socket.read_exact(&mut buffer).expect("it comes back");
    assert_eq!(&buffer, b"ping");

    socket.shutdown(Shutdown::Write).expect("it goes");
    host.crossed.ended += 1;
    while host.proceed(at + 200 * MS).crossed.ended < 1 {}
    assert_eq!(socket.read(&mut buffer).expect("the end"), 0);
    assert!(host.stands.at.0 < at + 200 * MS);
}

#[test]
fn a_refused_connection_is_reset_and_never_opened() {
    let bench = Bench::new();
    let mut host = bench.running();
    host.run_to(BOOT + 10 * MS);
    let mut socket = bench.connect("nothing");
    host.crossed.opened += 1;
    while host.proceed(1_000 * MS).crossed.ended < 1 {
        assert_eq!(host.stands.opened, None);
        assert!(host.stands.at.0 < 1_000 * MS, "nobody refuses it");
    }
    let end = socket.read(&mut [0]).expect_err("it is reset");
    assert_eq!(end.kind(), ErrorKind::ConnectionReset);
    assert_eq!(host.stands.crossed.ended, 1);
}

#[test]
fn a_reset_of_the_host_reaches_the_device() {
    let bench = Bench::new();
    let mut host = bench.running();
    host.run_to(BOOT + 10 * MS);
    let socket = bench.connect("echo");
    host.crossed.opened += 1;
    opened(&mut host, 1);
    rustix::net::sockopt::set_socket_linger(&socket, Some(Duration::ZERO)).expect("no linger");
    drop(socket);
    host.crossed.ended += 1;
    host.hand_over();
    // The device serves one at a time: another is echoed only if the first is over.
    let mut other = bench.connect("echo");
    host.crossed.opened += 1;
    opened(&mut host, 2);
    other.write_all(b"x").expect("it goes");
    host.crossed.network += 1;
    while host.proceed(2_000 * MS).crossed.network < 1 {
        assert!(host.stands.at.0 < 2_000 * MS, "the first one is still served");
    }
}

#[test]
fn what_is_counted_and_never_comes_is_said() {
    let bench = Bench::waiting(Duration::from_millis(50));
    let mut host = bench.running();
    let crossed = Crossed { console: 1, ..Crossed::default() };
    let proceed = rigor_controller::stepped::Proceed { until: Ticks(5), crossed };
    assert_eq!(host.ask(Command::Proceed(proceed)), Answer::Refused(Refusal::OutOfRange));
    assert_eq!(host.proceed(5).at, Ticks(5), "it goes on");
}

/// The bytes of pulses of a lane, and when each packet begins.
fn lane(told: &[Told], lane: u8) -> Vec<(u64, Vec<u8>)> {
    let bytes = |pulses: &[(u32, u32)]| {
        let bits = pulses.iter().map(|&(active, idle)| match (active, idle) {
            (400, 850 | 0) => 0,
            (800, 450 | 0) => 1_u8,
            other => panic!("{other:?}"),
        });
        let bits: Vec<u8> = bits.collect();
        bits.chunks(8).map(|byte| byte.iter().fold(0, |all, bit| all << 1 | bit)).collect()
    };
    let told = told.iter().filter_map(|told| match told {
        Told::Pulses { lane: number, at, pulses } if *number == lane => Some((*at, bytes(pulses))),
        _ => None,
    });
    told.collect()
}

#[test]
fn pulses_are_the_boards_to_the_nanosecond() {
    let bench = Bench::new();
    let mut host = bench.running();
    host.run_to(BOOT + 15 * MS);
    let (one, other) = (lane(&host.told, 0), lane(&host.told, 1));
    assert_eq!(one.len(), 2);
    assert!(one.iter().all(|(_, bytes)| bytes == &[0xA5, 0, 1, 2, 3, 0xFF]), "{one:?}");
    assert!(other.iter().all(|(_, bytes)| bytes == &[7; 6]), "{other:?}");
    let starts = |lane: &[(u64, Vec<u8>)]| lane.iter().map(|(at, _)| *at).collect::<Vec<_>>();
    assert_eq!(starts(&one), starts(&other), "both begin together");
    assert!((BOOT..BOOT + MS).contains(&one[0].0));

    // In the middle of a burst, all is told that was over before it.
    let (second, length) = (one[1].0, 48 * 1250);
    let next = second + (second - one[0].0);
    host.told.clear();
    host.run_to(next + length / 2);
    assert_eq!(host.told.last(), Some(&Told::Complete(next)));
    host.run_to(next + length + 1000);
    assert_eq!(starts(&lane(&host.told, 0)), [next]);
    assert_eq!(host.told.last(), Some(&Told::Complete(next + length + 1000)));
}

#[test]
fn what_nobody_wants_is_not_told() {
    let bench = Bench::new();
    let mut host = bench.running();
    host.done(Command::Record(Wanted { lanes: 2, edges: 0, bus: false }));
    host.drive(Wire::Line(0), Drive::Low);
    host.run_to(BOOT + 5 * MS);
    assert_eq!(lane(&host.told, 0), []);
    assert_eq!(lane(&host.told, 1).len(), 1);
    assert!(!host.told.iter().any(|told| matches!(told, Told::Edge { .. })));
}

#[test]
fn a_lost_supply_cuts_a_burst() {
    let bench = Bench::new();
    let mut host = bench.running();
    host.run_to(BOOT + 5 * MS);
    let first = lane(&host.told, 0)[0].0;
    let next = first + 10 * MS + 48 * 1250;
    host.run_to(next + 5 * 1250);
    host.told.clear();
    host.drive(POWER, Drive::Low);
    let cut: Vec<_> = host.told.iter().filter(|told| matches!(told, Told::Pulses { .. })).collect();
    let Told::Pulses { lane: 0, at, pulses } = cut[0] else { panic!("{cut:?}") };
    assert!((5..=6).contains(&pulses.len()), "{pulses:?}");
    assert!(*at < next + 1000);
    // Off is off.
    host.told.clear();
    let console = host.stands.crossed.console;
    host.run_to(next + 500 * MS);
    assert_eq!((lane(&host.told, 0), host.stands.crossed.console), (Vec::new(), console));
}

#[test]
fn a_held_reset_keeps_the_firmware_away() {
    let bench = Bench::new();
    let mut host = bench.running();
    host.run_to(BOOT + 3 * MS);
    host.drive(Wire::Reset, Drive::Low);
    host.run_to(BOOT + 503 * MS);
    assert_eq!(host.stands.crossed.console, 5);
    host.drive(Wire::Reset, Drive::Release);
    while host.proceed(2_000 * MS).crossed.console < 10 {}
    let took = host.stands.at.0 - (BOOT + 503 * MS) - BOOT - 5 * BYTE;
    assert!(took < MS, "{took} ns after the firmware began to print");
    assert_eq!(host.read_console(10), b"hellohello");
}

#[test]
fn a_waveform_is_played_on_the_boards_clock() {
    let bench = Bench::new();
    let mut host = bench.running();
    host.run_to(BOOT + 3 * MS);
    host.told.clear();
    let steps = [(Drive::Low, 2_000_000), (Drive::Release, 0)].map(|(drive, ticks)| Step { drive, ticks });
    let steps = steps.into_iter().collect();
    let at = BOOT + 4 * MS;
    let press = Waveform { wire: Wire::Line(0), at: Some(Ticks(at)), steps };
    assert_eq!(host.done(Command::Play(press.clone())), BOOT + 3 * MS);
    assert_eq!(host.ask(Command::Play(press)), Answer::Refused(Refusal::Busy));
    assert_eq!(host.proceed(BOOT + 9 * MS).at, Ticks(at), "it stands at each step");
    host.run_to(BOOT + 9 * MS);
    host.told.retain(|told| matches!(told, Told::Driven { .. }));
    let driven = |at, drive| Told::Driven { wire: Wire::Line(0), at, drive };
    assert_eq!(host.told, [driven(at, Drive::Low), driven(at + 2 * MS, Drive::Release)]);
}

#[test]
fn edges_come_back_over_the_loop() {
    let bench = Bench::new();
    let mut host = bench.host();
    let at = host.done(Command::LoopBack { edges: 3, spacing: 250 });
    host.run_to(at + 10_000);
    host.told.retain(|told| matches!(told, Told::Edge { .. }));
    let edge = |after, level| Told::Edge { input: LOOP_BACK_INPUT, at: at + after, level };
    assert_eq!(host.told, [edge(250, Level::High), edge(500, Level::Low), edge(750, Level::High)]);
}

#[test]
fn a_host_that_vanishes_leaves_the_box_to_the_next() {
    let bench = Bench::new();
    let mut host = bench.running();
    host.run_to(BOOT + 15 * MS);
    let _left = bench.connect("echo");
    host.crossed.opened += 1;
    host.hand_over();
    // It waits for bytes that will never come, and for an answer that nobody will read.
    host.crossed.console += 1;
    let proceed = rigor_controller::stepped::Proceed { until: Ticks(u64::MAX), crossed: host.crossed };
    host.request(Command::Proceed(proceed));
    drop(host);
    let mut host = bench.running();
    assert_eq!(host.proceed(0).at, Ticks(0));
    while host.proceed(1_000 * MS).crossed.console == 0 {}
    assert_eq!(host.read_console(5), b"hello");
    assert_eq!(host.stands.crossed.ended, 0, "of connections of others it is told nothing");
}

/// A request to the loader, framed (esptool, "Serial Protocol").
fn request(op: u8, data: &[u8], checksum: u32) -> Vec<u8> {
    let mut packet = vec![0, op];
    packet.extend((data.len() as u16).to_le_bytes());
    packet.extend(checksum.to_le_bytes());
    packet.extend(data);
    let mut framed = vec![0xC0];
    for byte in packet {
        match byte {
            0xC0 => framed.extend([0xDB, 0xDC]),
            0xDB => framed.extend([0xDB, 0xDD]),
            _ => framed.push(byte),
        }
    }
    framed.push(0xC0);
    framed
}

/// Asks the loader; the data of its first answer to that. No answer here has a byte that is stuffed.
fn ask_loader(host: &Host, op: u8, data: &[u8]) -> Vec<u8> {
    (&host.console).write_all(&request(op, data, 0)).expect("it goes");
    let mut heard = Vec::new();
    loop {
        heard.extend(host.read_console(1));
        let mut frames = heard.split(|byte| *byte == 0xC0);
        let whole =
            frames.next_back().map(|_| ()).and_then(|()| frames.find(|frame| frame.starts_with(&[1, op])));
        if let Some(frame) = whole {
            return frame[8..].to_vec();
        }
    }
}

const SYNC: u8 = 0x08;
const SPI_ATTACH: u8 = 0x0D;
const SPI_FLASH_MD5: u8 = 0x13;

#[test]
fn a_reset_with_the_strap_low_ends_in_the_loader() {
    let bench = Bench::new();
    let mut host = bench.running();
    host.run_to(BOOT + 5 * MS);
    assert_eq!(host.read_console(5), b"hello");
    host.drive(Wire::Boot, Drive::Low);
    host.drive(Wire::Reset, Drive::Low);
    host.drive(Wire::Reset, Drive::Release);
    // The clock stands, and the loader answers.
    let mut sync = vec![0x07, 0x07, 0x12, 0x20];
    sync.extend([0x55; 32]);
    ask_loader(&host, SYNC, &sync);
    ask_loader(&host, SPI_ATTACH, &[0; 8]);
    let place: Vec<u8> = [0x8000_u32, 7, 0, 0].iter().flat_map(|word| word.to_le_bytes()).collect();
    let digest = ask_loader(&host, SPI_FLASH_MD5, &place);
    // Of `factory`, which is what the board has there.
    assert_eq!(&digest[..32], b"9549dd6065d019211460c59a86dd6536");

    // However long that takes, nothing of it counts, and the firmware does not run.
    host.run_to(BOOT + 505 * MS);
    assert_eq!(host.stands.crossed.console, 5);
    host.drive(Wire::Boot, Drive::Release);
    host.drive(Wire::Reset, Drive::Low);
    host.drive(Wire::Reset, Drive::Release);
    while host.proceed(2_000 * MS).crossed.console < 10 {}
    assert!(host.read_console(5).ends_with(b"hello"));
}
