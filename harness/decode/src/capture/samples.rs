//! Packed samples: at each tick of a clock one bit a channel, the first in the lowest bit.
//!
//! It is what sigrok's sessions and most analysers' raw files hold. Both ways go in pieces of any
//! length, so that neither a long capture nor a hostile one has to be in memory.

use rigor_core::rate::SampleRate;
use rigor_core::{Instant, Level};

use super::limits::{EdgeBudget, Limits, ReadError};
use super::signal::Capture;

/// Bits of a byte.
const BITS: usize = 8;

/// Bytes of a sample of so many channels.
pub(super) fn unit_of(channels: usize) -> usize {
    channels.div_ceil(BITS).max(1)
}

/// Makes edges of samples.
pub(super) struct Unpacker {
    rate: SampleRate,
    unit: usize,
    /// For each bit of a sample the signal that it belongs to.
    channels: Vec<Option<usize>>,
    /// The last whole sample, of the bits that belong to a signal; empty before the first.
    last: Vec<u8>,
    /// Which bits belong to a signal.
    mask: Vec<u8>,
    /// The beginning of a sample that is not whole yet.
    rest: Vec<u8>,
    /// Samples so far.
    samples: u64,
    budget: EdgeBudget,
    bytes_limit: u64,
}

impl Unpacker {
    /// For samples of `unit` bytes; bit `n` of a sample is of the signal `channels[n]` of the capture.
    pub(super) fn new(rate: SampleRate, unit: usize, channels: Vec<Option<usize>>, limits: &Limits) -> Self {
        let mut mask = vec![0; unit];
        for (bit, _) in channels.iter().enumerate().filter(|(_, signal)| signal.is_some()) {
            if let Some(byte) = mask.get_mut(bit / BITS) {
                *byte |= 1 << (bit % BITS);
            }
        }
        Unpacker {
            rate,
            unit,
            channels,
            last: Vec::new(),
            mask,
            rest: Vec::new(),
            samples: 0,
            budget: EdgeBudget::new(limits),
            bytes_limit: limits.sample_bytes,
        }
    }

    /// Takes the next bytes.
    pub(super) fn feed(&mut self, capture: &mut Capture, mut bytes: &[u8]) -> Result<(), ReadError> {
        if !self.rest.is_empty() {
            let missing = (self.unit - self.rest.len()).min(bytes.len());
            self.rest.extend_from_slice(&bytes[..missing]);
            bytes = &bytes[missing..];
            if self.rest.len() < self.unit {
                return Ok(());
            }
            let whole = std::mem::take(&mut self.rest);
            self.whole(capture, &whole)?;
        }
        let whole = bytes.len() / self.unit * self.unit;
        self.whole(capture, &bytes[..whole])?;
        self.rest.extend_from_slice(&bytes[whole..]);
        Ok(())
    }

    fn whole(&mut self, capture: &mut Capture, bytes: &[u8]) -> Result<(), ReadError> {
        let mut at = 0;
        while at < bytes.len() {
            if !self.last.is_empty() {
                at += same(&self.last, &self.mask, &bytes[at..]);
                if at >= bytes.len() {
                    break;
                }
            }
            let index = self.samples + (at / self.unit) as u64;
            self.sample(capture, index, &bytes[at..at + self.unit])?;
            at += self.unit;
        }
        self.samples += (bytes.len() / self.unit) as u64;
        let looked_at = self.samples.saturating_mul(self.unit as u64);
        if looked_at > self.bytes_limit {
            return Err(ReadError::TooLarge {
                place: format!("sample {}", self.samples),
                of_what: "bytes of samples",
                limit: self.bytes_limit,
            });
        }
        Ok(())
    }

    fn sample(&mut self, capture: &mut Capture, index: u64, sample: &[u8]) -> Result<(), ReadError> {
        let masked = sample.iter().zip(&self.mask).map(|(byte, mask)| byte & mask);
        if self.last.is_empty() {
            self.last = masked.collect();
            for (bit, signal) in self.channels.iter().enumerate() {
                let Some(signal) = *signal else { continue };
                let high = self.last.get(bit / BITS).is_some_and(|byte| byte >> (bit % BITS) & 1 == 1);
                capture.signals_mut()[signal].presume(if high { Level::High } else { Level::Low });
            }
            return Ok(());
        }
        let at = self.rate.time_of(capture.start(), index);
        for (place, new) in masked.enumerate() {
            let mut changed = self.last[place] ^ new;
            self.last[place] = new;
            while changed != 0 {
                let bit = changed.trailing_zeros() as usize;
                changed &= changed - 1;
                let Some(Some(signal)) = self.channels.get(place * BITS + bit) else { continue };
                let level = if new >> bit & 1 == 1 { Level::High } else { Level::Low };
                self.budget.take(|| format!("sample {index}"))?;
                // Samples come in the order of time.
                let _ = capture.signals_mut()[*signal].change(at, level);
            }
        }
        Ok(())
    }

    /// The samples are over.
    pub(super) fn finish(self, capture: &mut Capture) {
        let end = self.rate.time_of(capture.start(), self.samples);
        capture.ends_at(end);
    }

    /// Bytes of a sample that was begun and is not whole.
    pub(super) fn incomplete(&self) -> usize {
        self.rest.len()
    }

    /// Whole samples so far.
    pub(super) fn samples(&self) -> u64 {
        self.samples
    }
}

/// How many bytes at the beginning of `bytes` are samples like `last`, where the mask looks.
fn same(last: &[u8], mask: &[u8], bytes: &[u8]) -> usize {
    let unit = last.len();
    let mut at = 0;
    if size_of::<u64>().is_multiple_of(unit) {
        let pattern = u64::from_ne_bytes(std::array::from_fn(|index| last[index % unit]));
        let mask = u64::from_ne_bytes(std::array::from_fn(|index| mask[index % unit]));
        for word in bytes.as_chunks::<8>().0 {
            if u64::from_ne_bytes(*word) & mask != pattern {
                break;
            }
            at += size_of::<u64>();
        }
    }
    for sample in bytes[at..].chunks_exact(unit) {
        if sample.iter().zip(mask).zip(last).any(|((byte, mask), last)| byte & mask != *last) {
            break;
        }
        at += unit;
    }
    at
}

/// Makes samples of a capture, piece by piece.
pub(super) struct Packer<'a> {
    capture: &'a Capture,
    rate: SampleRate,
    unit: usize,
    /// The next edge of each signal.
    next: Vec<usize>,
    /// The sample that is current.
    sample: Vec<u8>,
    index: u64,
    end: u64,
}

impl<'a> Packer<'a> {
    /// From the capture's start to its end; the last level is there for one sample at least.
    pub(super) fn new(capture: &'a Capture, rate: SampleRate) -> Self {
        let signals = capture.signals();
        let unit = unit_of(signals.len());
        let mut sample = vec![0; unit];
        for (bit, _) in signals.iter().enumerate().filter(|(_, signal)| signal.initial() == Level::High) {
            sample[bit / BITS] |= 1 << (bit % BITS);
        }
        let end = rate.index_of(capture.start(), capture.end()).saturating_add(1);
        Packer { capture, rate, unit, next: vec![0; signals.len()], sample, index: 0, end }
    }

    /// Bytes of a sample.
    pub(super) fn unit(&self) -> usize {
        self.unit
    }

    /// All samples.
    pub(super) fn samples(&self) -> u64 {
        self.end
    }

    fn edge_of(&self, signal: usize) -> Option<(u64, Level)> {
        let edge = self.capture.signals()[signal].edges().get(self.next[signal])?;
        Some((self.index_of(edge.at()), edge.level()))
    }

    fn index_of(&self, at: Instant) -> u64 {
        self.rate.index_of(self.capture.start(), at)
    }

    /// Appends samples to `into` until it has at least `bytes` or there are no more; false if there
    /// were none.
    pub(super) fn fill(&mut self, into: &mut Vec<u8>, bytes: usize) -> bool {
        let begun = self.index;
        while into.len() < bytes && self.index < self.end {
            let mut until = self.end;
            for signal in 0..self.next.len() {
                while let Some((index, level)) = self.edge_of(signal) {
                    if index > self.index {
                        until = until.min(index);
                        break;
                    }
                    let (place, bit) = (signal / BITS, signal % BITS);
                    match level {
                        Level::High => self.sample[place] |= 1 << bit,
                        Level::Low => self.sample[place] &= !(1 << bit),
                    }
                    self.next[signal] += 1;
                }
            }
            let room = bytes.saturating_sub(into.len()).div_ceil(self.unit) as u64;
            let count = (until - self.index).min(room);
            if self.unit == 1 {
                into.resize(into.len() + count as usize, self.sample[0]);
            } else {
                (0..count).for_each(|_| into.extend_from_slice(&self.sample));
            }
            self.index += count;
        }
        self.index > begun
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn unpack(rate: SampleRate, signals: usize, pieces: &[&[u8]]) -> Capture {
        let mut capture = Capture::new(Instant::ZERO);
        (0..signals).for_each(|index| {
            capture.add(index.to_string(), Level::Low);
        });
        let unit = unit_of(signals);
        let mut unpacker = Unpacker::new(rate, unit, (0..signals).map(Some).collect(), &Limits::default());
        for piece in pieces {
            unpacker.feed(&mut capture, piece).unwrap();
        }
        unpacker.finish(&mut capture);
        capture
    }

    #[test]
    fn a_bit_that_changes_is_an_edge_of_its_signal() {
        let rate = SampleRate::hertz(100_000_000).unwrap();
        let capture = unpack(rate, 2, &[&[0b10, 0b10, 0b11, 0b01, 0b1111_1101]]);
        let edges = |signal: usize| -> Vec<(u64, Level)> {
            let edges = capture.signals()[signal].edges();
            edges.iter().map(|edge| (edge.at().as_nanos(), edge.level())).collect()
        };
        assert_eq!((capture.signals()[0].initial(), edges(0)), (Level::Low, vec![(20, Level::High)]));
        assert_eq!((capture.signals()[1].initial(), edges(1)), (Level::High, vec![(30, Level::Low)]));
        assert_eq!(capture.end().as_nanos(), 50);
    }

    #[test]
    fn looks_at_no_more_than_it_may() {
        let limits = Limits { sample_bytes: 1_000, edges: 3, ..Limits::default() };
        let feed = |bytes: &[u8]| {
            let mut capture = Capture::new(Instant::ZERO);
            capture.add("a", Level::Low);
            Unpacker::new(SampleRate::FINEST, 1, vec![Some(0)], &limits).feed(&mut capture, bytes)
        };
        assert!(feed(&[0; 1_000]).is_ok());
        assert!(feed(&[0; 1_001]).unwrap_err().to_string().contains("more than 1000 bytes of samples"));
        assert!(feed(&[0, 1, 0, 1]).is_ok());
        let refused = feed(&[0, 1, 0, 1, 0]).unwrap_err().to_string();
        assert_eq!(refused, "sample 4: more than 3 edges; read a shorter piece, or raise the limit");
    }

    /// A capture of as many signals as there are lists, each of whose edges come after so many samples.
    fn capture_of(distances: &[Vec<u64>], rate: SampleRate) -> Capture {
        let mut capture = Capture::new(Instant::ZERO);
        for (index, distances) in distances.iter().enumerate() {
            let mut level = if index % 2 == 0 { Level::Low } else { Level::High };
            let signal = capture.add(index.to_string(), level);
            let mut sample = 0;
            for distance in distances {
                sample += distance;
                level = !level;
                signal.change(rate.time_of(Instant::ZERO, sample), level).unwrap();
            }
        }
        capture.ends_at(Instant::ZERO);
        capture
    }

    proptest! {
        #[test]
        fn what_is_packed_is_unpacked(
            distances in prop::collection::vec(prop::collection::vec(1_u64..100, 0..20), 1..20),
            cut in 1_usize..50,
            hertz in prop::sample::select(vec![1_000_000_u64, 24_000_000, 1_000_000_000]),
        ) {
            let rate = SampleRate::hertz(hertz).unwrap();
            let capture = capture_of(&distances, rate);
            let mut packer = Packer::new(&capture, rate);
            let (mut bytes, mut piece) = (Vec::new(), Vec::new());
            while packer.fill(&mut piece, cut) {
                bytes.append(&mut piece);
            }
            prop_assert_eq!(bytes.len() as u64, packer.samples() * packer.unit() as u64);
            let pieces: Vec<&[u8]> = bytes.chunks(cut).collect();
            let again = unpack(rate, distances.len(), &pieces);
            for (signal, original) in again.signals().iter().zip(capture.signals()) {
                prop_assert_eq!(signal.initial(), original.initial());
                prop_assert_eq!(signal.edges(), original.edges());
            }
        }
    }
}
