//! The pulses of a captured wire, at half a byte each.
//!
//! A wire that shifts bits out as pulses (WS2812B) has only a handful of different pulses, even when each
//! edge is seen a sample early or late. So a packet has a table of up to [`TABLE`] pulses, and then half
//! a byte for each pulse: its place in the table, or [`LITERAL`] for one that had no room there.
//!
//! | Bytes | What |
//! |---|---|
//! | 1 | pulses in the table, n |
//! | n pulses | the table |
//! | 2 | pulses in the packet, little-endian |
//! | half a byte each, the first in the upper half | where the pulse stands in the table |
//! | the rest | the pulses that stand in none, in their order |
//!
//! A pulse is two numbers (LEB128): ticks at the active level, and ticks at the idle level after it. The
//! last pulse of a packet has no ticks after it (0) if the wire is still idle.

use crate::message::MAX_PACKED;

/// Pulses in a table at most.
pub const TABLE: usize = 15;
/// Half a byte that stands for a pulse outside of the table.
pub const LITERAL: u8 = 15;
/// A wire that is idle for longer than so many nanoseconds has ended its burst. Half of the reset time
/// that any WS2812 asks for (50 us), and ten times the longest pause that one allows within a bit.
pub const IDLE_NANOS: u32 = 25_000;

/// Bytes of a number at most: 32 bits, 7 in each.
const MAX_NUMBER: usize = 5;
/// Bytes of a pulse at most.
const MAX_PULSE: usize = 2 * MAX_NUMBER;
/// Bytes before and between the parts: the length of the table, the number of pulses.
const HEAD: usize = 3;
/// Pulses in a packet at most: what is left for them if the table is full of pulses of a byte a number.
const MAX_PULSES: usize = 2 * (MAX_PACKED - HEAD - 2 * TABLE);
/// Room for pulses outside of the table.
const LITERALS: usize = 128;
/// Slots in which a place of the table is looked up; a power of two.
const SLOTS: usize = 64;

/// One pulse.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub struct Pulse {
    /// Ticks at the active level.
    pub active: u32,
    /// Ticks at the idle level that follow; 0 for a last pulse whose end nobody has seen.
    pub idle: u32,
}

/// Packs pulses as they come, without a heap: some 800 bytes. A controller without a cache has about a hundred
/// cycles for each, so a pulse that is known already is found without a search.
pub struct Packer {
    table: [Pulse; TABLE],
    known: usize,
    /// Where a pulse may stand in the table, by its [slot](slot).
    places_by_slot: [u8; SLOTS],
    /// Pulses that there is room for, as long as no new one comes.
    room: usize,
    /// Bytes that the table takes.
    table_bytes: usize,
    places: [u8; MAX_PULSES / 2],
    pulses: usize,
    literals: [u8; LITERALS],
    literal_bytes: usize,
}

impl Default for Packer {
    fn default() -> Self {
        Packer::new()
    }
}

impl Packer {
    /// An empty packet.
    pub const fn new() -> Self {
        Packer {
            table: [Pulse { active: 0, idle: 0 }; TABLE],
            known: 0,
            places_by_slot: [0; SLOTS],
            room: MAX_PULSES,
            table_bytes: 0,
            places: [0; MAX_PULSES / 2],
            pulses: 0,
            literals: [0; LITERALS],
            literal_bytes: 0,
        }
    }

    /// There is no pulse in it.
    pub const fn is_empty(&self) -> bool {
        self.pulses == 0
    }

    /// Adds `pulse`, if there is room for it; else the packet is full and has to be
    /// [finished](Self::finish) first.
    #[inline]
    pub fn push(&mut self, pulse: Pulse) -> bool {
        let place = usize::from(self.places_by_slot[slot(pulse)]);
        if place < self.known && self.table[place] == pulse {
            return self.put(place as u8);
        }
        self.push_rare(pulse)
    }

    /// Adds a pulse that is not known, or whose slot was taken by another.
    #[cold]
    fn push_rare(&mut self, pulse: Pulse) -> bool {
        if let Some(place) = self.table[..self.known].iter().position(|&known| known == pulse) {
            self.places_by_slot[slot(pulse)] = place as u8;
            return self.put(place as u8);
        }
        let bytes = number_bytes(pulse.active) + number_bytes(pulse.idle);
        let room = room(self.table_bytes + self.literal_bytes + bytes);
        if self.pulses >= room {
            return false;
        }
        let place = if self.known < TABLE {
            self.table[self.known] = pulse;
            self.places_by_slot[slot(pulse)] = self.known as u8;
            self.known += 1;
            self.table_bytes += bytes;
            (self.known - 1) as u8
        } else if self.literal_bytes + bytes <= LITERALS {
            self.literal_bytes += write_pulse(&mut self.literals[self.literal_bytes..], pulse);
            LITERAL
        } else {
            return false;
        };
        self.room = room;
        self.put(place)
    }

    /// Where a pulse stands in the table, if it does. Valid until the packet is [finished](Self::finish).
    pub fn place_of(&self, pulse: Pulse) -> Option<u8> {
        self.table[..self.known].iter().position(|&known| known == pulse).map(|place| place as u8)
    }

    /// Room for pulses by their [places](Self::place_of), two in a byte with the first in its upper half. For
    /// whoever finds places faster than [`push`](Self::push) can; how many bytes were [filled](Self::fill) is said
    /// afterwards. None while the number of pulses is odd.
    pub fn vacant(&mut self) -> &mut [u8] {
        let end = if self.pulses.is_multiple_of(2) { self.room / 2 } else { 0 };
        self.places.get_mut(self.pulses / 2..end).unwrap_or_default()
    }

    /// So many bytes of what was [vacant](Self::vacant) have places of pulses now.
    pub fn fill(&mut self, bytes: usize) {
        self.pulses = (self.pulses + 2 * bytes).min(self.room);
    }

    #[inline]
    fn put(&mut self, place: u8) -> bool {
        if self.pulses >= self.room {
            return false;
        }
        let byte = &mut self.places[self.pulses / 2];
        *byte = if self.pulses.is_multiple_of(2) { place << 4 } else { *byte | place };
        self.pulses += 1;
        true
    }

    /// Writes the packet to `out` and begins a new one; its length.
    pub fn finish(&mut self, out: &mut [u8; MAX_PACKED]) -> usize {
        out[0] = self.known as u8;
        let mut length = 1;
        for &pulse in &self.table[..self.known] {
            length += write_pulse(&mut out[length..], pulse);
        }
        out[length..length + 2].copy_from_slice(&(self.pulses as u16).to_le_bytes());
        length += 2;
        for part in [&self.places[..self.pulses.div_ceil(2)], &self.literals[..self.literal_bytes]] {
            out[length..length + part.len()].copy_from_slice(part);
            length += part.len();
        }
        self.known = 0;
        self.room = MAX_PULSES;
        self.table_bytes = 0;
        self.pulses = 0;
        self.literal_bytes = 0;
        length
    }
}

/// Bytes are no packet of pulses: the controller and its host do not mean the same.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "pulses that cannot be unpacked; the controller runs other firmware, write rigs/controller to it again"
)]
pub struct PackedError;

/// The pulses of a packet.
///
/// # Errors
/// [`PackedError`] if `bytes` are none. It is found before the first pulse is handed out.
pub fn unpack(bytes: &[u8]) -> Result<Pulses<'_>, PackedError> {
    let (&known, mut rest) = bytes.split_first().ok_or(PackedError)?;
    let known = usize::from(known);
    if known > TABLE {
        return Err(PackedError);
    }
    let mut table = [Pulse::default(); TABLE];
    for pulse in &mut table[..known] {
        *pulse = read_pulse(&mut rest)?;
    }
    let (&count, rest) = rest.split_first_chunk::<2>().ok_or(PackedError)?;
    let count = usize::from(u16::from_le_bytes(count));
    let (places, literals) = rest.split_at_checked(count.div_ceil(2)).ok_or(PackedError)?;
    let pulses = Pulses { table, known, places, at: 0, count, literals };
    let mut checked = pulses.clone();
    for _ in 0..count {
        checked.read()?;
    }
    if checked.literals.is_empty() { Ok(pulses) } else { Err(PackedError) }
}

/// Pulses in their order; of [`unpack`].
#[derive(Clone, Debug)]
pub struct Pulses<'a> {
    table: [Pulse; TABLE],
    known: usize,
    places: &'a [u8],
    at: usize,
    count: usize,
    literals: &'a [u8],
}

impl Pulses<'_> {
    fn read(&mut self) -> Result<Pulse, PackedError> {
        let byte = self.places.get(self.at / 2).ok_or(PackedError)?;
        let place = if self.at.is_multiple_of(2) { byte >> 4 } else { byte & 0x0F };
        self.at += 1;
        match place {
            LITERAL => read_pulse(&mut self.literals),
            known => self.table[..self.known].get(usize::from(known)).copied().ok_or(PackedError),
        }
    }
}

impl Iterator for Pulses<'_> {
    type Item = Pulse;

    fn next(&mut self) -> Option<Pulse> {
        if self.at == self.count {
            return None;
        }
        self.read().ok()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.count - self.at, Some(self.count - self.at))
    }
}

impl ExactSizeIterator for Pulses<'_> {}

/// Pulses that a packet can have whose table and literals take so many bytes.
const fn room(bytes: usize) -> usize {
    let pulses = 2 * (MAX_PACKED - HEAD).saturating_sub(bytes);
    if pulses < MAX_PULSES { pulses } else { MAX_PULSES }
}

/// Pulses of a wire are a few ticks apart from each other.
const fn slot(pulse: Pulse) -> usize {
    (pulse.active ^ pulse.idle.wrapping_mul(5)) as usize % SLOTS
}

const fn number_bytes(number: u32) -> usize {
    let bits = 32 - number.leading_zeros() as usize;
    if bits == 0 { 1 } else { bits.div_ceil(7) }
}

fn write_number(out: &mut [u8], number: u32) -> usize {
    let (mut rest, mut length) = (number, 0);
    loop {
        let low = (rest & 0x7F) as u8;
        rest >>= 7;
        out[length] = if rest == 0 { low } else { low | 0x80 };
        length += 1;
        if rest == 0 {
            return length;
        }
    }
}

fn write_pulse(out: &mut [u8], pulse: Pulse) -> usize {
    let active = write_number(out, pulse.active);
    active + write_number(&mut out[active..], pulse.idle)
}

fn read_number(bytes: &mut &[u8]) -> Result<u32, PackedError> {
    let mut number = 0_u64;
    for digit in 0..MAX_NUMBER {
        let (&byte, rest) = bytes.split_first().ok_or(PackedError)?;
        *bytes = rest;
        number |= u64::from(byte & 0x7F) << (7 * digit);
        if byte < 0x80 {
            return u32::try_from(number).map_err(|_| PackedError);
        }
    }
    Err(PackedError)
}

fn read_pulse(bytes: &mut &[u8]) -> Result<Pulse, PackedError> {
    Ok(Pulse { active: read_number(bytes)?, idle: read_number(bytes)? })
}

const _: () = assert!(LITERALS >= MAX_PULSE && MAX_PACKED > HEAD + TABLE * MAX_PULSE);

#[cfg(test)]
mod tests;
