//! What it records of a display's bus.

use rigor_controller::message::{Answer, Stream, Wanted};
use rigor_controller::{Command, Ticks};

use crate::board::{Board, Event, MICRO, MILLI};

const SELECT: u8 = 8;
const CLOCK: u8 = 9;
/// Ticks by which a transfer may be told before the first byte of it was whole, and after.
const EARLY: u64 = MICRO;
const LATE: u64 = 100;

/// Bytes under one level of the data/command line, while the chip is selected.
struct Piece {
    is_data: bool,
    /// The cycle of the eighth bit.
    whole: u64,
    bytes: Vec<u8>,
}

/// A transfer as it is sent; half of a clock takes so many cycles.
struct Sender {
    half: u64,
    cycle: u64,
    sent: Vec<Piece>,
}

impl Sender {
    fn new(board: &Board, half: u64) -> Self {
        Sender { half, cycle: board.cycle + 20 * MICRO, sent: Vec::new() }
    }

    /// Sends bytes of commands and of data in turn, the former first, and pauses for as long as is said.
    fn send(&mut self, board: &mut Board, parts: &[&[u8]], pause: u64) {
        let mut line = format!("spi {} {}", self.cycle, self.half);
        self.cycle += self.half;
        for (number, &bytes) in parts.iter().enumerate().filter(|(_, bytes)| !bytes.is_empty()) {
            let is_data = number % 2 == 1;
            let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            line.push_str(&format!(" {}{digits}", if is_data { 'd' } else { 'c' }));
            let whole = self.cycle + 15 * self.half;
            self.sent.push(Piece { is_data, whole, bytes: bytes.to_vec() });
            self.cycle += bytes.len() as u64 * 16 * self.half;
        }
        board.tell(&line);
        self.cycle += self.half + pause;
    }

    /// Compares what was told with what was sent. Bytes of a piece may come in several reports; how many are missing, at the
    /// end of pieces, because something was lost there.
    fn compare(&self, board: &Board, events: &[Event], lost: &[(Ticks, Ticks)]) -> usize {
        let mut told = events.iter().filter_map(|event| match event {
            Event::Transfer { at, data, bytes } => Some((*at, *data, bytes)),
            _ => None,
        });
        let mut next = told.next();
        let mut missing = 0;
        for (number, piece) in self.sent.iter().enumerate() {
            let byte = 16 * self.half;
            let mut place = 0;
            while place < piece.bytes.len() {
                let whole = board.instant_of(piece.whole + place as u64 * byte);
                match next.filter(|(at, ..)| *at + EARLY > whole && at.since(whole) <= LATE) {
                    Some((at, is_data, bytes)) => {
                        assert_eq!(is_data, piece.is_data, "piece {number} at {at:?}");
                        let rest = &piece.bytes[place..];
                        assert!(
                            rest.starts_with(bytes),
                            "piece {number} at {at:?} from byte {place} on: {bytes:02x?}"
                        );
                        place += bytes.len();
                        next = told.next();
                    }
                    None => {
                        let is_lost =
                            lost.iter().any(|(from, until)| whole + LATE >= *from && whole <= *until + EARLY);
                        assert!(
                            is_lost,
                            "byte {place} of piece {number} at {whole:?} is neither told nor lost: {next:?}, {lost:?}"
                        );
                        missing += 1;
                        place += 1;
                    }
                }
            }
        }
        assert!(next.is_none(), "nothing else is told: {next:?}");
        missing
    }
}

fn record(board: &mut Board, bus: bool) {
    let wanted = Wanted { bus, ..Wanted::default() };
    assert!(matches!(board.ask(Command::Record(wanted)), Answer::Done { .. }));
}

fn lost(events: &[Event]) -> Vec<(Ticks, Ticks)> {
    let lost = |event: &Event| match event {
        Event::Lost { stream: Stream::Bus, from, until } => Some((*from, *until)),
        _ => None,
    };
    events.iter().filter_map(lost).collect()
}

/// Commands and data as a display gets them, at clocks up to 31 MHz: every byte, with the level of the data/command line, and
/// no two transfers as one.
pub(crate) fn is_told_byte_for_byte(board: &mut Board) {
    board.tell(&format!("level {SELECT} {} 1", board.cycle));
    board.run(10 * MICRO);
    record(board, true);
    let pixels: Vec<u8> = (0..600_usize).map(|at| (at * 151 + at / 256) as u8).collect();
    for half in [2, 3, 4, 10, 63] {
        board.take();
        let mut sender = Sender::new(board, half);
        // A whole window in one transfer, and then each part of it by itself.
        sender.send(board, &[&[0x2A], &[0, 0, 0, 239], &[0x2B], &[0, 0, 1, 63], &[0x2C], &pixels], 2 * MICRO);
        for parts in [
            &[&[0x29][..]][..],
            &[&[0x29]],
            &[&[0x36], &[0x70]],
            &[&[], &[1, 2, 3]],
            &[&[], &[4]],
            &[&[0x00]],
        ] {
            sender.send(board, parts, 4 * half);
        }
        board.run(sender.cycle - board.cycle + 4 * MILLI);
        let events = board.take();
        assert!(
            lost(&events).is_empty(),
            "nothing is lost at {half}: {:?} {:?}",
            lost(&events),
            board.instant_of(sender.sent[0].whole)
        );
        assert_eq!(sender.compare(board, &events, &[]), 0);
    }
    println!("transfers at clocks from 1 to 31 MHz: every byte, with its level and its bounds");
}

/// As much as USB carries for long, and more than that for a while.
pub(crate) fn keeps_up_with_usb(board: &mut Board) {
    // For longer than any queue lasts; for as long as the rings last; and too much.
    for (half, count) in [(10, 12_000_usize), (2, 2_500), (4, 20_000)] {
        board.take();
        let pixels: Vec<u8> = (0..count).map(|at| (at * 151 + at / 256) as u8).collect();
        let mut sender = Sender::new(board, half);
        sender.send(board, &[&[0x2C], &pixels], 2 * MICRO);
        let busy = board.busy;
        board.run(sender.cycle - board.cycle);
        let busy = board.busy - busy;
        board.run(20 * MILLI);
        // And what comes then is whole.
        let whole = sender.sent.len();
        sender.cycle = board.cycle + 20 * MICRO;
        sender.send(board, &[&[0x2A], &[1, 2, 3, 4]], 0);
        board.run(5 * MILLI);
        let events = board.take();
        let lost = lost(&events);
        let missing = sender.compare(board, &events, &lost);
        assert_eq!(missing == 0, half != 4, "{missing} bytes are lost at half a clock of {half}");
        assert!(
            sender.sent[whole..]
                .iter()
                .all(|piece| lost.iter().all(|(_, until)| *until < board.instant_of(piece.whole)))
        );
        println!(
            "{count} bytes at {} kB/s: {missing} told as lost, {:.0}% of the core",
            125_000 / (16 * half),
            100.0 * busy as f64 / (count as u64 * 16 * half) as f64
        );
    }
}

/// Bits that are of no byte: what cannot be told for certain is told as lost, and then all is as it was.
pub(crate) fn survives_noise(board: &mut Board) {
    // Three bits while the chip is not selected, as of another chip on the same wires; and three while it is.
    for is_selected in [false, true] {
        board.take();
        let at = board.cycle + 10 * MICRO;
        if is_selected {
            board.tell(&format!("level {SELECT} {at} 0 1000"));
        }
        board.tell(&format!("level {CLOCK} {} 1 20 20 20 20 20", at + 100));
        board.run(30 * MICRO);
        let mut sender = Sender::new(board, 10);
        for _ in 0..3 {
            sender.send(board, &[&[0x2A], &[5, 6, 7]], 800 * MICRO);
        }
        board.run(sender.cycle - board.cycle + 5 * MILLI);
        let events = board.take();
        let missing = sender.compare(board, &events, &lost(&events));
        assert!(!lost(&events).is_empty() && missing == 4, "of three transfers one is lost: {missing} bytes");
    }
    // Whole bytes for another chip are nobody's business.
    board.take();
    let eights = " 20".repeat(16 * 5 - 1);
    board.tell(&format!("level {CLOCK} {} 1{eights}", board.cycle + 10 * MICRO));
    board.run(30 * MICRO);
    let mut sender = Sender::new(board, 10);
    sender.send(board, &[&[0x2A], &[5, 6, 7]], 0);
    board.run(sender.cycle - board.cycle + 5 * MILLI);
    let events = board.take();
    assert_eq!((sender.compare(board, &events, &[]), lost(&events).len()), (0, 0));
    record(board, false);
    println!("bits that are of no byte cost a transfer, which is told as lost");
}

/// Listening begins in the middle of a transfer: its rest is lost, and the next one is whole.
pub(crate) fn begins_with_a_whole_transfer(board: &mut Board) {
    board.take();
    let mut sender = Sender::new(board, 10);
    sender.send(board, &[&[0x2C], &[0xA5; 400]], 600 * MICRO);
    sender.sent.clear();
    board.run(50 * MICRO);
    record(board, true);
    sender.send(board, &[&[0x2A], &[5, 6, 7]], 0);
    board.run(sender.cycle - board.cycle + 5 * MILLI);
    let events = board.take();
    assert_eq!(sender.compare(board, &events, &[]), 0, "{events:?}");
    assert!(!lost(&events).is_empty(), "the rest of a transfer is told as lost");
    record(board, false);
}
