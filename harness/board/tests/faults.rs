//! What is wrong with a board or its link on purpose, as its wires show it.

// The exception for tests in clippy.toml does not reach their helpers.
#![allow(clippy::unwrap_used)]

mod common;

use std::net::SocketAddr;
use std::num::NonZeroU32;

use common::*;
use edge_nal::{Close, TcpAccept, TcpBind, TcpShutdown};
use embassy_time::{Instant as Uptime, Timer};
use embedded_hal::digital::{InputPin, OutputPin};
use embedded_io_async::{Read, Write};
use embedded_storage::nor_flash::{NorFlash, ReadNorFlash};
use rigor_board::fault::{Bit, BoardFault, Clock, LinkFault, Stuck, Way};
use rigor_core::event::{
    Burst, BytesEncoding, ConnectionId, Direction, FlowKind, Kind, Level, Serial, Symbol,
};
use rigor_core::part::Drive;
use rstest::rstest;

const WS2812: BytesEncoding =
    BytesEncoding { zero: Symbol { high_ns: 400, low_ns: 850 }, one: Symbol { high_ns: 800, low_ns: 450 } };
/// One bit of either value.
const BIT: u64 = 1_250;
const BYTE: u64 = 8 * BIT;

fn every(count: u32) -> NonZeroU32 {
    NonZeroU32::new(count).unwrap()
}

fn faulty(fault: BoardFault, start: impl Fn(&Chip, &Probe) + 'static) -> Bench {
    let bench = bench_with(free_switches(), start);
    bench.board.inject(fault);
    bench.on();
    bench
}

/// Sends `frame` on pins 9 and 10 so many times, once a millisecond.
fn sends(times: u64, frame: [&'static [u8]; 2]) -> impl Fn(&Chip, &Probe) {
    move |chip, probe| {
        let (mut leds, probe) = (chip.pulse_transmitter(&[9, 10]), probe.clone());
        spawn(chip, "leds", 0, 1, async move {
            for millis in 0..times {
                Timer::at(Uptime::from_millis(millis)).await;
                leds.transmit(WS2812, &frame).await;
                probe.mark("sent");
            }
        });
    }
}

/// What a pin's lane holds, with nanoseconds since the first start.
fn lane(bench: &Bench, source: &str) -> Vec<(u64, Kind)> {
    bench
        .events(source)
        .into_iter()
        .map(|event| (event.at.as_nanos().saturating_sub(BOOT), event.kind))
        .collect()
}

fn bursts(bench: &Bench, source: &str) -> Vec<(u64, Burst)> {
    let burst = |(at, kind)| match kind {
        Kind::Burst(burst) => (at, burst),
        other => panic!("{other:?}"),
    };
    lane(bench, source).into_iter().map(burst).collect()
}

fn bytes(bench: &Bench, source: &str) -> Vec<Vec<u8>> {
    bursts(bench, source).into_iter().map(|(_, burst)| burst.bytes.to_vec()).collect()
}

fn edge_list(bench: &Bench, source: &str) -> Vec<(u64, Level)> {
    let edges = lane(bench, source).into_iter().flat_map(|(at, kind)| match kind {
        Kind::Burst(burst) => burst.edges().map(|(offset, level)| (at + offset, level)).collect::<Vec<_>>(),
        Kind::Edge(level) => vec![(at, level)],
        other => panic!("{other:?}"),
    });
    edges.collect()
}

#[test]
fn swapped_colours_change_places_in_whole_pixels() {
    let bench = faulty(BoardFault::ColoursSwapped {}, sends(1, [&[1, 2, 3, 4, 5, 6, 7], &[8]]));
    bench.run_to(BOOT + MS);
    assert_eq!(bytes(&bench, "gpio9"), [[2, 1, 3, 5, 4, 6, 7]]);
    assert_eq!(bytes(&bench, "gpio10"), [[8]]);
}

#[test]
fn a_lane_that_is_shorted_to_ground_shows_nothing_and_costs_its_time() {
    let fault = BoardFault::LaneStuck { pin: 10, level: Stuck::Low };
    let bench = faulty(fault, sends(1, [&[1], &[1, 2, 3]]));
    bench.run_to(BOOT + MS);
    assert_eq!(bytes(&bench, "gpio9"), [[1]]);
    assert!(lane(&bench, "gpio10").is_empty());
    assert_eq!(bench.marked("sent"), [3 * BYTE]);
    assert_eq!(bench.timeline.complete_until(bench.board.pin_source(10)).as_nanos(), BOOT + MS);
}

#[test]
fn a_wire_that_is_shorted_to_the_supply_is_high_while_there_is_one() {
    let fault = BoardFault::LaneStuck { pin: 9, level: Stuck::High };
    let bench = faulty(fault, |chip, _| {
        let (mut leds, mut pin) = (chip.pulse_transmitter(&[9]), chip.output(9));
        spawn(chip, "leds", 0, 1, async move {
            pin.set_low().unwrap();
            leds.transmit(WS2812, &[&[1]]).await;
        });
    });
    bench.run_to(BOOT + MS);
    bench.board.pin(9).drive(Drive::Low).unwrap();
    bench.off();
    bench.run_to(BOOT + 2 * MS);
    let edges: Vec<_> =
        bench.events("gpio9").into_iter().map(|event| (event.at.as_nanos(), event.kind)).collect();
    assert_eq!(edges, [(0, Kind::Edge(Level::High)), (BOOT + MS, Kind::Edge(Level::Low))]);
}

#[test]
fn exchanged_connectors_carry_each_other_s_signals() {
    let bench = faulty(BoardFault::LanesExchanged { pins: [9, 10] }, |chip, probe| {
        sends(1, [&[1], &[2]])(chip, probe);
        let (mut nine, probe) = (chip.input(9, Level::Low), probe.clone());
        spawn(chip, "pin", 0, 1, async move {
            Timer::at(Uptime::from_millis(2)).await;
            probe.mark(format!("nine is high: {}", nine.is_high().unwrap()));
        });
    });
    bench.run_to(BOOT + MS);
    assert_eq!((bytes(&bench, "gpio9"), bytes(&bench, "gpio10")), (vec![vec![2]], vec![vec![1]]));
    bench.board.pin(10).drive(Drive::High).unwrap();
    bench.run_to(BOOT + 3 * MS);
    assert_eq!(bench.marked("nine is high: true"), [2 * MS]);
}

#[test]
fn a_late_lane_begins_late_and_keeps_the_transmitter() {
    let fault = BoardFault::LaneLate { pin: 10, by_ns: 70_000, every: every(2) };
    let bench = faulty(fault, sends(4, [&[1; 5], &[2; 5]]));
    bench.run_to(BOOT + 5 * MS);
    let starts = |source| bursts(&bench, source).into_iter().map(|(at, _)| at).collect::<Vec<_>>();
    assert_eq!(starts("gpio9"), [0, MS, 2 * MS, 3 * MS]);
    assert_eq!(starts("gpio10"), [0, MS + 70_000, 2 * MS, 3 * MS + 70_000]);
    assert_eq!(bench.marked("sent")[1], MS + 70_000 + 5 * BYTE);
}

#[test]
fn a_lost_pulse_leaves_the_rest_of_the_burst_as_it_was() {
    let fault = BoardFault::PulseLost { pin: 9, every: every(30) };
    let good = bench_with(free_switches(), sends(3, [&[0xA5; 7], &[1]]));
    good.on();
    let bad = faulty(fault, sends(3, [&[0xA5; 7], &[1]]));
    for bench in [&good, &bad] {
        bench.run_to(BOOT + 4 * MS);
    }
    assert_eq!(lane(&good, "gpio10"), lane(&bad, "gpio10"));
    let mut expected = edge_list(&good, "gpio9");
    // 3 bursts of 56 pulses: the 30th, 60th, ... of all, from the last so that indices stay right.
    for pulse in [150, 120, 90, 60, 30] {
        expected.drain(2 * (pulse - 1)..2 * pulse);
    }
    assert_eq!(edge_list(&bad, "gpio9"), expected);
    assert!(lane(&bad, "gpio9").len() < 3 + 5 * 16, "compact");
}

#[rstest]
#[case(-200, 300, [(200, 1_050), (1_100, 150)])]
#[case(10_000, -10_000, [(1_249, 1), (1, 1_249)])]
fn a_pulse_of_another_width_keeps_its_period(
    #[case] zero_ns: i32,
    #[case] one_ns: i32,
    #[case] expected: [(u32, u32); 2],
) {
    let bench = faulty(BoardFault::PulseWidth { zero_ns, one_ns }, sends(1, [&[1], &[2]]));
    bench.run_to(BOOT + MS);
    let encoding = bursts(&bench, "gpio10")[0].1.encoding;
    let times = [encoding.zero, encoding.one].map(|symbol| (symbol.high_ns, symbol.low_ns));
    assert_eq!(times, expected);
}

#[test]
fn a_starved_transmitter_sends_its_memory_and_then_waits_for_the_flash() {
    let bench = faulty(BoardFault::TransmitterStarved {}, |chip, probe| {
        sends(2, [&[0x55; 20], &[0x55; 10]])(chip, probe);
        let mut flash = chip.flash();
        spawn(chip, "storage", 1, 1, async move {
            // After two bytes and a bit, until after the second frame would have begun.
            Timer::at(Uptime::from_micros(21)).await;
            flash.write(0, &[0; 256]).unwrap();
            Timer::at(Uptime::from_micros(900)).await;
            flash.write(256, &[0; 256]).unwrap();
        });
    });
    bench.run_to(BOOT + 5 * MS);
    let program = 400_000 + 256 * 25;
    let seen = |source| {
        bursts(&bench, source).iter().map(|(at, burst)| (*at, burst.bytes.len())).collect::<Vec<_>>()
    };
    let (resumes, resumes_again) = (21_000 + program, 900_000 + program);
    assert_eq!(seen("gpio9"), [(0, 9), (resumes, 11), (MS, 6), (resumes_again, 14)]);
    assert_eq!(seen("gpio10"), [(0, 9), (resumes, 1), (MS, 6), (resumes_again, 4)]);
    assert_eq!(bench.marked("sent"), [resumes + 11 * BYTE, resumes_again + 14 * BYTE]);
}

#[test]
fn power_can_go_in_the_pause_of_a_starved_transmitter() {
    let bench = faulty(BoardFault::TransmitterStarved {}, |chip, probe| {
        sends(1, [&[0x55; 20], &[]])(chip, probe);
        let mut flash = chip.flash();
        spawn(chip, "storage", 1, 1, async move {
            flash.erase(0, 4096).unwrap();
        });
    });
    bench.run_to(BOOT + MS);
    bench.off();
    bench.run_to(BOOT + 100 * MS);
    assert_eq!(edge_list(&bench, "gpio9").len(), 6 * 8 * 2);
}

#[rstest]
#[case(20_000)]
#[case(-20_000)]
fn a_crystal_that_drifts_takes_all_clocks_of_the_chip_with_it(#[case] ppm: i32) {
    let fault = BoardFault::ClockDrift { clock: Clock::Crystal, ppm };
    let bench = faulty(fault, |chip, probe| {
        let (cpu, mut leds, mut tx) = (chip.cpu(), chip.pulse_transmitter(&[9]), chip.uart_tx());
        let probe = probe.clone();
        spawn(chip, "task", 0, 1, async move {
            probe.mark("starts");
            Timer::at(Uptime::from_millis(1000)).await;
            assert_eq!(Uptime::now().as_millis(), 1000);
            probe.mark("timer");
            cpu.work(160_000_000);
            probe.mark("work");
            leds.transmit(WS2812, &[&[0; 10]]).await;
            probe.mark("pulses");
            tx.write_all(&[0; 100]).await.unwrap();
            tx.flush().await.unwrap();
            probe.mark("console");
        });
    });
    bench.run_to(4_000 * MS);
    let at: Vec<u64> = bench.mark_times();
    let rate = 1.0 + f64::from(ppm) / 1e6;
    let nominal = [BOOT, 1_000 * MS, 1_000 * MS, 10 * BYTE, 8_680_500];
    let spans = std::iter::once(at[0]).chain(at.windows(2).map(|pair| pair[1] - pair[0]));
    for (took, nominal) in spans.zip(nominal) {
        let expected = nominal as f64 / rate;
        // A pulse's times are whole nanoseconds.
        assert!((took as f64 - expected).abs() < 5e-4 * expected, "{took} instead of {expected}");
    }
}

#[rstest]
#[case(Clock::Console, 8_510_300, 10 * BYTE)]
#[case(Clock::Pulses, 8_680_500, 80 * 1_225)]
fn a_divider_that_is_off_concerns_nothing_else(
    #[case] clock: Clock,
    #[case] console: u64,
    #[case] pulses: u64,
) {
    let bench = faulty(BoardFault::ClockDrift { clock, ppm: 20_000 }, |chip, probe| {
        let (mut leds, mut tx, probe) = (chip.pulse_transmitter(&[9]), chip.uart_tx(), probe.clone());
        spawn(chip, "task", 0, 1, async move {
            tx.write_all(&[0; 100]).await.unwrap();
            tx.flush().await.unwrap();
            probe.mark("console");
            leds.transmit(WS2812, &[&[0; 10]]).await;
            probe.mark("pulses");
        });
    });
    bench.run_to(BOOT + 100 * MS);
    assert_eq!(bench.marked("console"), [console]);
    assert_eq!(bench.marked("pulses"), [console + pulses]);
}

#[test]
fn a_slow_flash_takes_its_time_and_is_as_quick_to_read() {
    let bench = faulty(BoardFault::SlowFlash { factor: every(8) }, |chip, probe| {
        let (mut flash, probe) = (chip.flash(), probe.clone());
        spawn(chip, "storage", 0, 1, async move {
            flash.erase(0, 4096).unwrap();
            probe.mark("erased");
            flash.write(0, &[0; 4]).unwrap();
            probe.mark("programmed");
            flash.read(0, &mut [0; 400]).unwrap();
            probe.mark("read");
        });
    });
    bench.run_to(BOOT + 1_000 * MS);
    let erased = 8 * 45 * MS;
    let programmed = erased + 8 * 400_000 + 100;
    let marks: Vec<u64> = bench.marks().into_iter().map(|(at, _)| at).collect();
    assert_eq!(marks, [erased, programmed, programmed + 10_000]);
}

#[rstest]
#[case(Bit::Zero, [0xFB, 0xFF, 0xFB], [0, 0, 0])]
#[case(Bit::One, [0xFF, 0xFF, 0xFF], [0x04, 0, 0x04])]
fn a_stuck_cell_reads_the_same_whatever_is_done(
    #[case] reads: Bit,
    #[case] erased: [u8; 3],
    #[case] cleared: [u8; 3],
) {
    let fault = BoardFault::FlashBitStuck { address: 4096 + 10, every: Some(every(256)), bit: 2, reads };
    let bench = faulty(fault, |chip, _| {
        let mut flash = chip.flash();
        spawn(chip, "storage", 0, 1, async move {
            Timer::at(Uptime::from_millis(1)).await;
            flash.write(4096, &[0; 4096]).unwrap();
        });
    });
    // Two that are stuck and one before the first that is not.
    let look = || [4096 + 10 + 256, 10, 4096 + 10].map(|at| bench.board.flash().read(at, 1).unwrap()[0]);
    assert_eq!(look(), erased);
    bench.run_to(BOOT + 100 * MS);
    bench.board.flash().write(10, &[cleared[1]]).unwrap();
    assert_eq!(look(), cleared);
    let sector = bench.board.flash().read(4096, 4096).unwrap();
    assert_eq!(sector.iter().filter(|&&byte| byte == 0x04).count(), if reads == Bit::One { 16 } else { 0 });
}

#[test]
fn a_single_stuck_cell_is_one() {
    let fault = BoardFault::FlashBitStuck { address: 5, every: None, bit: 7, reads: Bit::Zero };
    let bench = faulty(fault, |_, _| {});
    let all = bench.board.flash().read(0, 8192).unwrap();
    assert_eq!(all.iter().position(|&byte| byte != 0xFF), Some(5));
    assert_eq!(all.iter().filter(|&&byte| byte == 0x7F).count(), 1);
}

#[test]
fn noise_shifts_every_so_many_bytes_of_one_direction() {
    let fault = |direction| BoardFault::ConsoleGarbled { direction, every: every(3) };
    let repeats = |chip: &Chip, _: &Probe| {
        let (mut rx, mut tx) = (chip.uart_rx(), chip.uart_tx());
        spawn(chip, "console", 0, 1, async move {
            let mut buffer = [0; 16];
            loop {
                let count = rx.read(&mut buffer).await.unwrap();
                tx.write_all(&buffer[..count]).await.unwrap();
            }
        });
    };
    for direction in [Way::ToDevice, Way::FromDevice] {
        let bench = faulty(fault(direction), repeats);
        bench.run_to(BOOT);
        bench.board.console().write(&[0x40; 7]).unwrap();
        bench.run_for(100 * MS);
        let said: Vec<u8> = bench
            .events("console")
            .into_iter()
            .flat_map(|event| match event.kind {
                Kind::Serial(Serial { bytes, .. }) => bytes.to_vec(),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(said, [0x40, 0x40, 0xA0, 0x40, 0x40, 0xA0, 0x40], "{direction:?}");
    }
}

#[test]
fn a_contact_bounces_and_comes_to_rest() {
    let edges = |seed| {
        let config = BoardConfig { seed, ..free_switches() };
        let bench = bench_with(config, |chip, probe| {
            let (mut button, probe) = (chip.input(4, Level::High), probe.clone());
            spawn(chip, "button", 0, 1, async move {
                Timer::at(Uptime::from_millis(20)).await;
                probe.mark(format!("low: {}", button.is_low().unwrap()));
            });
        });
        bench.board.inject(BoardFault::Bounce { pin: 4, returns: 3, within_us: 5_000 });
        bench.on();
        bench.run_to(BOOT + MS);
        bench.board.pin(4).drive(Drive::Low).unwrap();
        // Pressed already: no movement, no bounce.
        bench.run_for(10 * MS);
        bench.board.pin(4).drive(Drive::Low).unwrap();
        bench.run_for(10 * MS);
        assert_eq!(bench.marked("low: true").len(), 1);
        lane(&bench, "gpio4")
    };
    let pressed = edges(1);
    let levels: Vec<_> = pressed.iter().map(|(_, kind)| kind.clone()).collect();
    let (high, low) = (Kind::Edge(Level::High), Kind::Edge(Level::Low));
    assert_eq!(levels, [&high, &low, &high, &low, &high, &low, &high, &low].map(Clone::clone));
    assert!(pressed[1].0 == MS && pressed[7].0 <= 6 * MS, "{pressed:?}");
    assert_eq!(edges(1), pressed, "a seed repeats");
    assert_ne!(edges(2), pressed);
}

#[test]
fn a_release_ends_the_bounce_of_the_press() {
    let bench = faulty(BoardFault::Bounce { pin: 4, returns: 50, within_us: 50_000 }, |chip, _| {
        drop(chip.input(4, Level::High));
    });
    bench.run_to(BOOT);
    bench.board.pin(4).drive(Drive::Low).unwrap();
    bench.run_for(MS);
    bench.board.pin(4).drive(Drive::Release).unwrap();
    bench.run_for(100 * MS);
    assert_eq!(lane(&bench, "gpio4").last().map(|(_, kind)| kind.clone()), Some(Kind::Edge(Level::High)));
}

// ---- the link --------------------------------------------------------------------------------

/// A board that answers every byte with itself.
fn echo(fault: LinkFault) -> Bench {
    let bench = bench_with(free_switches(), |chip, probe| {
        let (net, probe) = (chip.net(), probe.clone());
        spawn(chip, "server", 0, 1, async move {
            let acceptor = net.bind(SocketAddr::from(([0, 0, 0, 0], 80))).await.unwrap();
            loop {
                let (_, mut socket) = acceptor.accept().await.unwrap();
                probe.mark("accepted");
                let mut buffer = [0; 2000];
                loop {
                    match socket.read(&mut buffer).await {
                        Ok(0) => break,
                        Ok(count) => socket.write_all(&buffer[..count]).await.unwrap(),
                        Err(error) => {
                            probe.mark(error.to_string());
                            break;
                        }
                    }
                }
                let _ = socket.close(Close::Write).await;
            }
        });
    });
    bench.board.inject_into_link(fault);
    bench.on();
    bench.run_to(BOOT);
    bench
}

fn connect(bench: &Bench) -> ConnectionId {
    bench.board.net().connect(80).unwrap()
}

fn send(bench: &Bench, id: ConnectionId, bytes: &[u8]) {
    bench.board.net().send(id, bytes).unwrap();
}

/// Ends of the connection, without data and acknowledgements.
fn milestones(bench: &Bench, id: ConnectionId) -> Vec<FlowKind> {
    let mine = bench.flows().into_iter().filter(|(_, connection, _)| *connection == id.0);
    let what = mine.map(|(_, _, what)| what);
    what.filter(|what| !matches!(what, FlowKind::Data(..) | FlowKind::Acknowledged(_))).collect()
}

#[rstest]
#[case(LinkFault::ByteDropped { direction: Way::ToDevice, nth: 3 }, b"abdefg")]
#[case(LinkFault::ByteDropped { direction: Way::FromDevice, nth: 7 }, b"abcdef")]
#[case(LinkFault::ByteDropped { direction: Way::FromDevice, nth: 8 }, b"abcdefg")]
#[case(LinkFault::ByteCorrupted { direction: Way::ToDevice, nth: 1 }, b"`bcdefg")]
#[case(LinkFault::ByteCorrupted { direction: Way::FromDevice, nth: 5 }, b"abcddfg")]
fn one_byte_of_every_connection_is_damaged(#[case] fault: LinkFault, #[case] expected: &[u8]) {
    let bench = echo(fault);
    for _ in 0..2 {
        let id = connect(&bench);
        for piece in [&b"abc"[..], b"d", b"efg"] {
            bench.run_for(100 * MS);
            send(&bench, id, piece);
        }
        bench.board.net().finish(id).unwrap();
        bench.run_for(100 * MS);
        assert_eq!(bench.received(id.0), expected);
        // Nobody knows that anything is missing.
        let ends =
            [FlowKind::Opened, FlowKind::Finished(Direction::ToDut), FlowKind::Finished(Direction::FromDut)];
        assert_eq!(milestones(&bench, id), ends);
        let acknowledged = bench.flows().into_iter().filter_map(|(_, connection, what)| match what {
            FlowKind::Acknowledged(count) if connection == id.0 => Some(count),
            _ => None,
        });
        assert_eq!(acknowledged.max(), Some(7));
    }
}

#[test]
fn a_reset_hits_both_ends_after_so_many_bytes() {
    let bench = echo(LinkFault::Reset { after_bytes: 5 });
    let id = connect(&bench);
    bench.run_for(100 * MS);
    send(&bench, id, b"abc");
    bench.run_for(100 * MS);
    assert_eq!(bench.received(id.0), b"abc");
    send(&bench, id, b"defg");
    bench.run_for(100 * MS);
    assert_eq!(milestones(&bench, id), [FlowKind::Opened, FlowKind::Reset(Direction::FromDut)]);
    assert_eq!(bench.marked("connection reset").len(), 1);
    let next = connect(&bench);
    send(&bench, next, b"hi");
    bench.run_for(100 * MS);
    assert_eq!(bench.received(next.0), b"hi", "each connection has its own");
}

#[test]
fn a_stall_holds_up_everything_once_for_each_connection() {
    let bench = echo(LinkFault::Stall { after_bytes: 4, for_ms: 500 });
    let id = connect(&bench);
    bench.run_for(100 * MS);
    send(&bench, id, b"abcd");
    bench.run_for(400 * MS);
    assert_eq!(bench.received(id.0), b"");
    bench.run_for(200 * MS);
    assert_eq!(bench.received(id.0), b"abcd");
    send(&bench, id, b"efgh");
    bench.run_for(100 * MS);
    assert_eq!(bench.received(id.0), b"abcdefgh");
}

#[test]
fn a_segment_that_is_held_back_comes_after_its_successor_or_by_itself() {
    let bench = echo(LinkFault::Reordered { every: every(2) });
    let id = connect(&bench);
    bench.run_for(100 * MS);
    for piece in [&b"1"[..], b"2", b"3", b"4"] {
        send(&bench, id, piece);
        bench.run_for(10 * MS);
    }
    assert_eq!(bench.received(id.0), b"132");
    let waited = rigor_board::net::REORDERED_AFTER.as_nanos() as u64;
    bench.run_for(waited);
    assert_eq!(bench.received(id.0), b"1324");
    send(&bench, id, b"5");
    bench.run_for(10 * MS);
    send(&bench, id, b"6");
    bench.board.net().finish(id).unwrap();
    bench.run_for(10 * MS);
    assert_eq!(bench.received(id.0), b"132456", "a farewell hurries it on");
    assert_eq!(milestones(&bench, id).len(), 3);
}

#[test]
fn a_half_open_connection_tells_nobody() {
    let bench = echo(LinkFault::HalfOpen { after_bytes: 3 });
    let id = connect(&bench);
    bench.run_for(100 * MS);
    send(&bench, id, b"abcd");
    bench.run_for(1_000 * MS);
    bench.board.net().finish(id).unwrap();
    bench.run_for(10_000 * MS);
    assert_eq!(bench.received(id.0), b"");
    assert_eq!(milestones(&bench, id), [FlowKind::Opened, FlowKind::Finished(Direction::ToDut)]);
    assert!(bench.marked("connection reset").is_empty());
}

#[test]
fn a_slow_link_carries_as_much_as_it_says() {
    let bench = echo(LinkFault::Slow { bits_per_second: 80_000 });
    let id = connect(&bench);
    // 54 bytes of headers, each way, and 2 ms of latency.
    let trip = |payload: u64| (payload + 54) * 100_000 + 2 * MS;
    bench.run_for(2 * trip(0) - 1);
    assert!(milestones(&bench, id).is_empty());
    bench.run_for(1);
    assert_eq!(milestones(&bench, id), [FlowKind::Opened]);
}

#[test]
fn a_refused_connection_never_reaches_the_device() {
    let bench = echo(LinkFault::Refuses {});
    let id = connect(&bench);
    bench.run_for(100 * MS);
    assert_eq!(milestones(&bench, id), [FlowKind::Refused]);
    assert!(bench.marked("accepted").is_empty());
}
