//! From edges to characters.

use std::time::Duration;

use rigor_core::event::{Direction, Gap, Serial};
use rigor_core::{Event, Instant, Kind, Level};

use super::rate::BitTime;
use crate::capture::{PackedEdge, Signal};

/// Data bits of a character.
const DATA_BITS: u32 = 8;
/// The stop bit's place, the start bit's being 0.
const STOP_BIT: u32 = DATA_BITS + 1;

/// What was on the line for the length of ten bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Character {
    /// The fall of the start bit.
    pub start: Instant,
    /// The end of the stop bit, as far as the rate says.
    pub end: Instant,
    /// The data bits; if there is a fault, what they would be.
    pub byte: u8,
    /// What is wrong with it.
    pub fault: Option<Fault>,
}

/// What is wrong with a character.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Fault {
    /// The stop bit was low: the rate is another one, or there was noise.
    Framing,
    /// The line was low for all of the character: a break, or nobody drives it.
    Break,
    /// The capture ended before the stop bit.
    CutShort,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Fault::Framing => "the stop bit is missing",
            Fault::Break => "the line was low",
            Fault::CutShort => "the capture ended",
        })
    }
}

impl Character {
    /// What a serial port would have delivered: the byte, or a gap where it could make nothing of the
    /// line.
    pub fn event(&self, direction: Direction) -> Event {
        let length = self.end.since(self.start);
        let kind = match self.fault {
            None => Kind::Serial(Serial { direction, bytes: [self.byte].into(), byte_time: length }),
            Some(fault) => Kind::Gap(Gap { length, reason: fault.to_string().into() }),
        };
        Event { at: self.start, uncertainty: Duration::ZERO, kind }
    }
}

/// A character that has begun.
#[derive(Clone, Copy)]
struct Open {
    start: Instant,
    /// Bits that were looked at, the start bit included.
    seen: u32,
    byte: u8,
}

/// Decodes the edges of a pin, one at a time. Keeps a few words, whatever comes.
pub struct Decoder {
    bit: BitTime,
    level: Level,
    open: Option<Open>,
}

impl Decoder {
    /// A decoder of a line that is high and idle, or low in the middle of something.
    pub fn new(bit: BitTime, initial: Level) -> Self {
        Decoder { bit, level: initial, open: None }
    }

    /// The line changed to `level` at `at`. Gives the character that was complete before.
    ///
    /// Edges must come in the order of time; one to the level that the line has is ignored. A low that
    /// is shorter than half a bit begins no character.
    pub fn edge(&mut self, at: Instant, level: Level) -> Option<Character> {
        if level == self.level {
            return None;
        }
        let character = self.look_until(at);
        self.level = level;
        // A line that was never high since the last fault has not begun anything new.
        if level == Level::Low && self.open.is_none() {
            self.open = Some(Open { start: at, seen: 0, byte: 0 });
        }
        character
    }

    /// There is no edge before `at`. Gives the character that is complete by then.
    pub fn quiet_until(&mut self, at: Instant) -> Option<Character> {
        self.look_until(at)
    }

    /// The capture ends at `at`. Gives what was begun.
    pub fn finish(mut self, at: Instant) -> Option<Character> {
        let character = self.look_until(at);
        character.or_else(|| {
            let open = self.open.filter(|open| open.seen > 0)?;
            Some(Character { end: at, fault: Some(Fault::CutShort), ..self.character(open, None) })
        })
    }

    fn character(&self, open: Open, fault: Option<Fault>) -> Character {
        Character { start: open.start, end: open.start + self.bit.character(), byte: open.byte, fault }
    }

    /// Looks at the bits whose middles lie before `at`: the line has kept its level until then.
    fn look_until(&mut self, at: Instant) -> Option<Character> {
        let mut open = self.open?;
        while self.bit.middle(open.start, open.seen) < at.as_nanos() {
            let high = self.level == Level::High;
            match open.seen {
                0 if high => {
                    self.open = None;
                    return None;
                }
                STOP_BIT => {
                    self.open = None;
                    let fault = match (high, open.byte) {
                        (true, _) => None,
                        (false, 0) => Some(Fault::Break),
                        (false, _) => Some(Fault::Framing),
                    };
                    return Some(self.character(open, fault));
                }
                0 => {}
                _ => open.byte = open.byte >> 1 | u8::from(high) << 7,
            }
            open.seen += 1;
        }
        self.open = Some(open);
        None
    }
}

/// Decodes all of `signal`, which was watched until `end`.
pub fn decode(signal: &Signal, end: Instant, bit: BitTime) -> Vec<Character> {
    decode_edges(signal.initial(), signal.edges(), end, bit)
}

pub(super) fn decode_edges(
    initial: Level,
    edges: &[PackedEdge],
    end: Instant,
    bit: BitTime,
) -> Vec<Character> {
    let mut decoder = Decoder::new(bit, initial);
    let mut characters: Vec<Character> =
        edges.iter().filter_map(|edge| decoder.edge(edge.at(), edge.level())).collect();
    characters.extend(decoder.finish(end));
    characters
}
