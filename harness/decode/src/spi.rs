//! Transfers of an SPI bus from the edges of its pins.
//!
//! In the flow (action, event, **decode**, measure, verdict, report) this module stands before the
//! decoders of displays where somebody captured pins and not transfers: signals of a
//! [`Capture`](crate::capture::Capture) go in, and out come the [`Kind::Bus`] events that a rig with a
//! panel would have delivered.
//!
//! Bytes have eight bits, the most significant first. A display's data/command line is looked at with
//! the last bit of each byte (ST7789V datasheet, "4-line serial interface": D/CX is read on the eighth
//! rising edge of the clock).

use std::time::Duration;

use rigor_core::event::BusTransfer;
use rigor_core::{Event, Instant, Kind, Level};

use crate::capture::{PackedEdge, Signal};

/// A transfer of more bytes is given in pieces of as many, so that no reader needs more at a time.
pub const MAX_TRANSFER: usize = 1 << 16;

/// Bits of a byte.
const BITS: u8 = 8;

/// On which edge of the clock the receiver looks at the data.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub enum Sampling {
    /// On the rising one: modes 0 and 3, and every display controller known here.
    #[default]
    Rising,
    /// On the falling one: modes 1 and 2.
    Falling,
}

/// The pins of a bus.
#[derive(Clone, Copy, Debug)]
pub struct Pins<'a> {
    /// The clock.
    pub clock: &'a Signal,
    /// The data to the device.
    pub data: &'a Signal,
    /// Low while the device is addressed; without it, it always is, and the capture must begin
    /// between two bytes.
    pub select: Option<&'a Signal>,
    /// High for data, low for commands; without it all is data.
    pub data_command: Option<&'a Signal>,
}

/// What went over a bus.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Traffic {
    /// The transfers, each a [`Kind::Bus`] at the clock edge of its first bit.
    pub events: Vec<Event>,
    /// When the last bit of the last byte was clocked.
    pub last_bit: Option<Instant>,
    /// Bytes that were not whole when the device was deselected or the capture ended; they are left
    /// out.
    pub incomplete_bytes: u64,
    /// When the first of these began.
    pub first_incomplete: Option<Instant>,
}

/// Goes through the edges of a signal.
struct Walk<'a> {
    edges: &'a [PackedEdge],
    passed: usize,
    level: Level,
}

impl<'a> Walk<'a> {
    fn new(signal: &'a Signal) -> Self {
        Walk { edges: signal.edges(), passed: 0, level: signal.initial() }
    }

    /// The level just before `at`, which must not go back: a receiver sees what was there before the
    /// clock's edge, not what changes with it. And whether the signal was high since the last call.
    fn before(&mut self, at: Instant) -> (Level, bool) {
        let mut high = self.level == Level::High;
        while let Some(edge) = self.edges.get(self.passed).filter(|edge| edge.at() < at) {
            self.level = edge.level();
            high |= self.level == Level::High;
            self.passed += 1;
        }
        (self.level, high)
    }
}

/// Bytes and bits that have not been given yet.
#[derive(Default)]
struct Open {
    start: Option<Instant>,
    data: bool,
    bytes: Vec<u8>,
    bit_start: Option<Instant>,
    bits: u8,
    value: u8,
}

impl Traffic {
    fn flush(&mut self, open: &mut Open) {
        let Some(at) = open.start.take() else { return };
        let transfer = BusTransfer { data: open.data, bytes: open.bytes.as_slice().into() };
        open.bytes.clear();
        self.events.push(Event { at, uncertainty: Duration::ZERO, kind: Kind::Bus(transfer) });
    }

    /// The device was deselected.
    fn deselected(&mut self, open: &mut Open) {
        self.flush(open);
        if open.bits > 0 {
            self.incomplete_bytes += 1;
            self.first_incomplete = self.first_incomplete.or(open.bit_start);
        }
        *open = Open::default();
    }

    fn byte(&mut self, open: &mut Open, at: Instant, data: bool) {
        if open.start.is_some() && (open.data != data || open.bytes.len() == MAX_TRANSFER) {
            self.flush(open);
        }
        open.start = open.start.or(open.bit_start);
        open.data = data;
        open.bytes.push(open.value);
        (open.bits, open.value) = (0, 0);
        self.last_bit = Some(at);
    }
}

/// The transfers of a bus.
///
/// A transfer ends where the device is deselected, where the data/command line changes, and after
/// [`MAX_TRANSFER`] bytes.
pub fn transfers(pins: &Pins<'_>, sampling: Sampling) -> Traffic {
    let wanted = match sampling {
        Sampling::Rising => Level::High,
        Sampling::Falling => Level::Low,
    };
    let mut data = Walk::new(pins.data);
    let mut select = pins.select.map(Walk::new);
    let mut data_command = pins.data_command.map(Walk::new);
    let mut traffic = Traffic::default();
    let mut open = Open::default();
    for edge in pins.clock.edges().iter().filter(|edge| edge.level() == wanted) {
        let at = edge.at();
        if let Some(select) = &mut select {
            let (level, was_high) = select.before(at);
            if was_high {
                traffic.deselected(&mut open);
            }
            if level == Level::High {
                continue;
            }
        }
        if open.bits == 0 {
            open.bit_start = Some(at);
        }
        let (level, _) = data.before(at);
        open.value = open.value << 1 | u8::from(level == Level::High);
        open.bits += 1;
        if open.bits == BITS {
            let high = data_command.as_mut().is_none_or(|line| line.before(at).0 == Level::High);
            traffic.byte(&mut open, at, high);
        }
    }
    traffic.deselected(&mut open);
    traffic
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::capture::Capture;

    /// A master with a clock of 10 MHz: bits change with the falling edge and are read with the rising
    /// one.
    struct Master {
        clock: Vec<(u64, Level)>,
        data: Vec<(u64, Level)>,
        select: Vec<(u64, Level)>,
        data_command: Vec<(u64, Level)>,
        now: u64,
    }

    fn level(high: bool) -> Level {
        if high { Level::High } else { Level::Low }
    }

    impl Master {
        fn new() -> Self {
            let none = Vec::new;
            Master { clock: none(), data: none(), select: none(), data_command: none(), now: 1_000 }
        }

        fn select(&mut self, selected: bool) {
            self.now += 500;
            self.select.push((self.now, level(!selected)));
            self.now += 500;
        }

        fn bits(&mut self, byte: u8, count: u8) {
            for bit in (8 - count..8).rev() {
                self.data.push((self.now, level(byte >> bit & 1 == 1)));
                self.clock.push((self.now + 50, Level::High));
                self.now += 100;
                self.clock.push((self.now, Level::Low));
            }
        }

        fn send(&mut self, data: bool, bytes: &[u8]) {
            self.data_command.push((self.now, level(data)));
            bytes.iter().for_each(|&byte| self.bits(byte, 8));
        }

        fn capture(&self) -> Capture {
            let mut capture = Capture::new(Instant::ZERO);
            let signals = [
                ("clk", Level::Low, &self.clock),
                ("mosi", Level::Low, &self.data),
                ("cs", Level::High, &self.select),
                ("dc", Level::Low, &self.data_command),
            ];
            for (name, initial, edges) in signals {
                let signal = capture.add(name, initial);
                for &(ns, level) in edges {
                    signal.change(Instant::from_nanos(ns), level).unwrap();
                }
            }
            capture.ends_at(Instant::from_nanos(self.now));
            capture
        }
    }

    fn pins(capture: &Capture) -> Pins<'_> {
        let [clock, data, select, data_command] = capture.signals() else { panic!("four signals") };
        Pins { clock, data, select: Some(select), data_command: Some(data_command) }
    }

    fn seen(traffic: &Traffic) -> Vec<(u64, bool, Vec<u8>)> {
        let event = |event: &Event| match &event.kind {
            Kind::Bus(transfer) => (event.at.as_nanos(), transfer.data, transfer.bytes.to_vec()),
            other => panic!("{other:?}"),
        };
        traffic.events.iter().map(event).collect()
    }

    #[test]
    fn commands_and_data_are_told_apart() {
        let mut master = Master::new();
        master.select(true);
        master.send(false, &[0x2A]);
        master.send(true, &[0, 1, 0, 0xEF]);
        master.select(false);
        master.select(true);
        master.send(true, &[0x55]);
        master.select(false);
        let capture = master.capture();
        let traffic = transfers(&pins(&capture), Sampling::Rising);
        let expected =
            [(2_050, false, vec![0x2A]), (2_850, true, vec![0, 1, 0, 0xEF]), (8_050, true, vec![0x55])];
        assert_eq!(seen(&traffic), expected);
        assert_eq!((traffic.incomplete_bytes, traffic.last_bit), (0, Some(Instant::from_nanos(8_750))));
    }

    #[test]
    fn bits_of_half_a_byte_are_counted_and_do_not_shift_the_next() {
        let mut master = Master::new();
        master.select(true);
        master.send(true, &[0x12]);
        master.bits(0xFF, 3);
        master.select(false);
        master.bits(0xFF, 8); // nobody listens
        master.select(true);
        master.send(true, &[0x34]);
        let capture = master.capture();
        let traffic = transfers(&pins(&capture), Sampling::Rising);
        let bytes: Vec<Vec<u8>> = seen(&traffic).into_iter().map(|(_, _, bytes)| bytes).collect();
        assert_eq!(bytes, [vec![0x12], vec![0x34]]);
        assert_eq!(traffic.incomplete_bytes, 1);
        assert_eq!(traffic.first_incomplete, Some(Instant::from_nanos(2_850)));
    }

    #[test]
    fn without_select_and_data_command_all_is_data() {
        let mut master = Master::new();
        master.send(false, &[1, 2, 3]);
        let capture = master.capture();
        let pins = Pins { select: None, data_command: None, ..pins(&capture) };
        let traffic = transfers(&pins, Sampling::Rising);
        assert_eq!(seen(&traffic), [(1_050, true, vec![1, 2, 3])]);
        // Looked at half a bit later, on the falling edge, each bit is still there: it changes with it.
        assert_eq!(seen(&transfers(&pins, Sampling::Falling))[0].2, [1, 2, 3]);
    }

    #[test]
    fn a_long_transfer_comes_in_pieces() {
        let mut master = Master::new();
        master.select(true);
        master.send(true, &vec![0xA5; MAX_TRANSFER + 1]);
        master.select(false);
        let capture = master.capture();
        let lengths: Vec<usize> =
            seen(&transfers(&pins(&capture), Sampling::Rising)).iter().map(|it| it.2.len()).collect();
        assert_eq!(lengths, [MAX_TRANSFER, 1]);
    }

    proptest! {
        #[test]
        fn every_byte_survives(parts in prop::collection::vec((any::<bool>(), prop::collection::vec(any::<u8>(), 1..20)), 1..10)) {
            let mut master = Master::new();
            for (data, bytes) in &parts {
                master.select(true);
                master.send(*data, bytes);
                master.select(false);
            }
            let capture = master.capture();
            let traffic = transfers(&pins(&capture), Sampling::Rising);
            let read: Vec<(bool, Vec<u8>)> =
                seen(&traffic).into_iter().map(|(_, data, bytes)| (data, bytes)).collect();
            prop_assert_eq!(read, parts);
        }
    }
}
