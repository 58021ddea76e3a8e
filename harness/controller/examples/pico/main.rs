//! Asks the firmware of the bench controller, on an emulated RP2040, whether it does what it says: it is driven
//! through this crate's own frames, and what it tells is compared with the emulator's pins, cycle by cycle.
//!
//! `fixtures/oracles/controller.sh` starts it. Arguments: the emulator's script, and the firmware's ELF file.

mod board;
mod bus;
mod edges;
mod lanes;
mod lines;

use board::{Board, Event, MICRO, MILLI};
use rigor_controller::frame::{self, MAX_FRAME};
use rigor_controller::message::Answer;
use rigor_controller::{Command, PRODUCT, PROTOCOL, Request};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [script, image] = &arguments[..] else { panic!("usage: pico <board.mjs> <firmware.elf>") };
    let mut board = Board::start(script, image);
    identifies_itself(&mut board);
    reads_the_clock(&mut board);
    lines::are_driven_down_or_not_at_all(&mut board);
    lines::play_waveforms_to_the_tick(&mut board);
    lanes::are_measured_to_the_tick(&mut board);
    lanes::are_measured_by_whatever_clock(&mut board);
    lanes::say_what_a_host_that_does_not_read_has_lost(&mut board);
    lanes::survive_noise(&mut board);
    edges::are_told_of_eight_inputs(&mut board);
    edges::come_back_by_the_pair(&mut board);
    edges::say_what_a_flood_has_lost(&mut board);
    bus::is_told_byte_for_byte(&mut board);
    bus::keeps_up_with_usb(&mut board);
    bus::survives_noise(&mut board);
    bus::begins_with_a_whole_transfer(&mut board);
    survives_garbage(&mut board);
    tells_its_version(&mut board);
    lines::are_let_go_when_the_port_is_closed(&mut board);
    println!("{} ms of the controller's time", board.cycle / MILLI);
}

fn identifies_itself(board: &mut Board) {
    board.run(15 * MILLI);
    assert_eq!(board.text(2), PRODUCT);
    let number = board.text(3);
    // What others have left on the line ends before the first request.
    board.send(&[1, 2, 3, 0]);
    let Answer::Identity(identity) = board.ask(Command::Identify) else { panic!("no identity") };
    assert_eq!(format!("{:016X}", identity.serial), number);
    assert_eq!((identity.clock_hz, identity.lanes, identity.lines), (125_000_000, 2, 4));
    assert!(identity.has_reset && identity.has_power && !identity.stepped);
    println!("it is {} with number {number}", identity.name);
}

fn reads_the_clock(board: &mut Board) {
    let read = |board: &mut Board| {
        let Answer::Clock { received, sent } = board.ask(Command::ReadClock) else { panic!("no clock") };
        assert!(sent.since(received) < 200 * MICRO, "{received:?} {sent:?}");
        (received, board.cycle)
    };
    let (first, then) = read(board);
    board.run(2 * MILLI);
    let (second, now) = read(board);
    // The board is looked at every 20 us.
    assert!(second.since(first).abs_diff(now - then) < 60 * MICRO);
}

fn survives_garbage(board: &mut Board) {
    let mut garbage = 0x9E37_79B9_u32;
    for _ in 0..20 {
        let bytes: Vec<u8> = (0..100)
            .map(|_| {
                garbage = garbage.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (garbage >> 24) as u8
            })
            .collect();
        board.send(&bytes);
    }
    // No end for longer than any frame.
    board.send(&[0x55; 2000]);
    board.send(&[0]);
    board.run(5 * MILLI);
    assert!(matches!(board.ask(Command::ReadClock), Answer::Clock { .. }), "it answers after garbage");
    println!("4,000 bytes of garbage did nothing");
}

/// A host of another version hears which one this is; and one that knows it is served.
fn tells_its_version(board: &mut Board) {
    // The port is opened anew, so nobody has asked yet.
    board.tell("open off");
    board.run(2 * MILLI);
    board.tell("open on");
    board.run(MILLI);
    board.forget();
    let mut frame = [0; MAX_FRAME];
    let frame =
        frame::encode(&Request { id: 1, command: Command::Identify }, &mut frame).expect("it is short");
    let mut plain = [0; MAX_FRAME];
    let length = cobs::decode(frame, &mut plain).expect("it is a frame");
    plain[0] = PROTOCOL + 1;
    let (body, end) = plain[..length].split_at_mut(length - 4);
    let checksum = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC).checksum(body);
    end.copy_from_slice(&checksum.to_le_bytes());
    let mut other = [0; MAX_FRAME];
    let length = cobs::encode(&plain[..length], &mut other);
    board.send(&other[..=length]);
    board.run(3 * MILLI);
    let events = board.take();
    assert!(matches!(events[..], [Event::Complete(_)]), "it says something, in its own version: {events:?}");
    assert!(matches!(board.ask(Command::Identify), Answer::Identity(_)), "and serves who speaks its own");
    println!("another version of the protocol is answered in this one");
}
