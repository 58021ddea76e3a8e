//! The contents of a flash chip, read and written by pieces: what is known by its MD5 needs no reading, and what is there
//! already no writing.
//!
//! A case looks at the same megabytes many times, and a ROM gives 64 bytes at a time. So it is asked for the MD5 of
//! 64 KiB, then of the sectors of what is not known, and only what is not known of those is read.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::rom::{Digest, LoaderError, Rom, SECTOR, digest};

/// What is compared at once, in bytes.
const PIECE: u32 = 0x1_0000;
/// What erased flash reads as.
const BLANK: u8 = 0xFF;
/// Bytes that are kept at most; then all of them are forgotten.
const KEPT: usize = 64 << 20;

/// Contents that were seen on any chip, by their MD5: what is true of one board is true of all, and a board that is
/// taken anew for the next case holds what it held.
static KNOWN: Mutex<Option<Known>> = Mutex::new(None);

#[derive(Default)]
struct Known {
    pieces: HashMap<Digest, Vec<u8>>,
    bytes: usize,
}

impl Known {
    /// Nobody leaves it half changed.
    fn with<T>(use_it: impl FnOnce(&mut Known) -> T) -> T {
        let mut known: MutexGuard<'_, Option<Known>> = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        use_it(known.get_or_insert_default())
    }

    fn put(&mut self, digest: Digest, bytes: &[u8]) {
        if self.pieces.contains_key(&digest) {
            return;
        }
        if self.bytes + bytes.len() > KEPT {
            *self = Known::default();
        }
        self.bytes += bytes.len();
        self.pieces.insert(digest, bytes.to_vec());
    }
}

/// A flash chip, as far as its loader is asked for it.
pub(super) struct Contents<'a, 'b> {
    rom: &'a mut Rom<'b>,
    is_over: &'a dyn Fn() -> bool,
}

impl<'a, 'b> Contents<'a, 'b> {
    /// What the flash of `rom` holds. Gives up once `is_over`.
    pub(super) fn new(rom: &'a mut Rom<'b>, is_over: &'a dyn Fn() -> bool) -> Self {
        Contents { rom, is_over }
    }

    /// `length` bytes from `address` on.
    pub(super) fn read(&mut self, address: u32, length: u32) -> Result<Vec<u8>, LoaderError> {
        let (from, until) = self.sectors(address, length)?;
        let mut bytes = Vec::with_capacity((until - from) as usize);
        for (at, length) in pieces(from, until) {
            bytes.extend(self.fetch(at, length)?);
        }
        bytes.drain(..(address - from) as usize);
        bytes.truncate(length as usize);
        Ok(bytes)
    }

    /// Makes it hold `bytes` from `address` on. What else is in their first and last sector stays.
    pub(super) fn write(&mut self, address: u32, bytes: &[u8]) -> Result<(), LoaderError> {
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let (from, until) = self.sectors(address, length)?;
        if from == until {
            return Ok(());
        }
        let before = self.read(from, address - from)?;
        let end = address + length;
        let after = self.read(end, until - end)?;
        let whole = [&before[..], bytes, &after].concat();
        for (at, length) in pieces(from, until) {
            let offset = (at - from) as usize;
            self.put(at, &whole[offset..offset + length as usize])?;
        }
        Ok(())
    }

    /// Where the sectors of a stretch begin and end.
    fn sectors(&self, address: u32, length: u32) -> Result<(u32, u32), LoaderError> {
        let size = self.rom.size();
        let end = address.checked_add(length).filter(|&end| end <= size);
        let end = end.ok_or(LoaderError::Beyond { address, length, size })?;
        Ok((address - address % SECTOR, end.next_multiple_of(SECTOR)))
    }

    fn digest_at(&mut self, at: u32, length: u32) -> Result<Digest, LoaderError> {
        if (self.is_over)() {
            return Err(LoaderError::Interrupted);
        }
        self.rom.md5(at, length)
    }

    fn fetch(&mut self, at: u32, length: u32) -> Result<Vec<u8>, LoaderError> {
        let wanted = self.digest_at(at, length)?;
        if let Some(known) = Known::with(|known| known.pieces.get(&wanted).cloned()) {
            return Ok(known);
        }
        let blank = vec![BLANK; length as usize];
        let bytes = if digest(&blank) == wanted {
            blank
        } else if length > SECTOR {
            let sectors = (at..at + length).step_by(SECTOR as usize).map(|sector| self.fetch(sector, SECTOR));
            sectors.collect::<Result<Vec<_>, _>>()?.concat()
        } else {
            self.rom.read(at, length)?
        };
        if digest(&bytes) != wanted {
            return Err(LoaderError::Differs { at, done: "read" });
        }
        Known::with(|known| known.put(wanted, &bytes));
        Ok(bytes)
    }

    fn put(&mut self, at: u32, bytes: &[u8]) -> Result<(), LoaderError> {
        let (length, wanted) = (bytes.len() as u32, digest(bytes));
        if self.digest_at(at, length)? == wanted {
            return Ok(());
        }
        let mut changed: Vec<(u32, Vec<u8>)> = Vec::new();
        for (sector, bytes) in (at..).step_by(SECTOR as usize).zip(bytes.chunks(SECTOR as usize)) {
            if self.digest_at(sector, SECTOR)? == digest(bytes) {
                continue;
            }
            // What follows is written in one go.
            match changed.last_mut().filter(|(start, run)| start + run.len() as u32 == sector) {
                Some((_, run)) => run.extend(bytes),
                None => changed.push((sector, bytes.to_vec())),
            }
        }
        for (sector, bytes) in &changed {
            self.rom.write(*sector, bytes)?;
        }
        if self.digest_at(at, length)? != wanted {
            return Err(LoaderError::Differs { at, done: "written" });
        }
        Known::with(|known| known.put(wanted, bytes));
        Ok(())
    }
}

/// The stretch in pieces, none of which crosses a border between two.
fn pieces(from: u32, until: u32) -> impl Iterator<Item = (u32, u32)> {
    let next =
        move |&(at, length): &(u32, u32)| Some(piece(at + length, until)).filter(|&(_, length)| length > 0);
    std::iter::successors(Some(piece(from, until)).filter(|&(_, length)| length > 0), next)
}

fn piece(at: u32, until: u32) -> (u32, u32) {
    (at, (PIECE - at % PIECE).min(until - at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_cross_no_border_and_leave_nothing_out() {
        let found: Vec<_> = pieces(0xF000, 0x2_1000).collect();
        assert_eq!(found, [(0xF000, 0x1000), (0x1_0000, 0x1_0000), (0x2_0000, 0x1000)]);
        assert_eq!(pieces(0x3000, 0x3000).count(), 0);
    }
}
