//! Bytes that operations share: what has been written once is only referred to.
//!
//! Contents are numbered as they come. Once they are more than [`MAX_BYTES`] all are forgotten, by
//! reader and writer alike, so that memory stays bounded however long a recording is.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use super::hash::hash;
use super::wire::Unreadable;

/// A content has at most so many bytes.
pub(super) const MAX_CONTENT: usize = 1 << 20;
/// All that are remembered have at most so many.
const MAX_BYTES: usize = 8 << 20;
/// What remembering one costs beside its bytes; keeps empty ones from being free.
const OVERHEAD: usize = 64;

/// A content's number.
type Id = u64;

struct Entry {
    bytes: Arc<[u8]>,
    /// What followed it when it was last used.
    next: Option<Id>,
}

/// A sequence of references of its own, in which contents follow each other: that of a lane, or
/// [`Slot::NAMES`].
#[derive(Clone, Copy)]
pub(super) struct Slot(usize);

impl Slot {
    /// Names and reasons.
    pub(super) const NAMES: Slot = Slot(0);

    /// What the events of a lane hold.
    pub(super) fn lane(lane: u16) -> Slot {
        Slot(1 + usize::from(lane))
    }
}

/// The contents that reader and writer remember.
#[derive(Default)]
pub(super) struct Contents {
    entries: Vec<Entry>,
    /// The number of `entries[0]`.
    first: Id,
    bytes: usize,
    /// The last content of each slot.
    last: Vec<Option<Id>>,
}

/// The next one in its slot is the one that followed last time.
const AS_BEFORE: u64 = 0;

impl Contents {
    /// Remembers `bytes`; returns its number and whether all others had to be forgotten for it.
    fn add(&mut self, bytes: Arc<[u8]>) -> (Id, bool) {
        let size = bytes.len() + OVERHEAD;
        let forget = self.bytes + size > MAX_BYTES;
        if forget {
            self.first += self.entries.len() as u64;
            self.entries.clear();
            self.bytes = 0;
            self.last.fill(None);
        }
        self.bytes += size;
        self.entries.push(Entry { bytes, next: None });
        (self.first + self.entries.len() as u64 - 1, forget)
    }

    fn entry(&mut self, id: Id) -> Option<&mut Entry> {
        let index = usize::try_from(id.checked_sub(self.first)?).ok()?;
        self.entries.get_mut(index)
    }

    fn expected(&mut self, slot: Slot) -> Option<Id> {
        let last = (*self.last.get(slot.0)?)?;
        self.entry(last)?.next
    }

    fn follow(&mut self, slot: Slot, id: Id) {
        if self.last.len() <= slot.0 {
            self.last.resize(slot.0 + 1, None);
        }
        if let Some(last) = self.last[slot.0].replace(id)
            && let Some(entry) = self.entry(last)
        {
            entry.next = Some(id);
        }
    }

    /// What `reference` in `slot` stands for.
    pub(super) fn resolve(&mut self, slot: Slot, reference: u64) -> Result<Arc<[u8]>, Unreadable> {
        let unknown = Unreadable::Malformed("a reference to a content that there is not");
        let id = match reference {
            AS_BEFORE => self.expected(slot),
            distance => (self.first + self.entries.len() as u64).checked_sub(distance),
        };
        let id = id.ok_or_else(|| unknown.clone())?;
        let bytes = self.entry(id).ok_or(unknown)?.bytes.clone();
        self.follow(slot, id);
        Ok(bytes)
    }

    /// Remembers what a reader read.
    pub(super) fn read(&mut self, bytes: &[u8]) {
        self.add(bytes.into());
    }
}

/// The same for a writer, who has to find out whether a content is new.
#[derive(Default)]
pub(super) struct Dictionary {
    contents: Contents,
    /// By the hash of their bytes; among several of one hash the newest, so that two contents of one
    /// hash cost a second copy and nothing else.
    known: HashMap<u64, Id, BuildHasherDefault<AsItIs>>,
}

impl Dictionary {
    /// The reference to `bytes` in `slot`. If they are new, `define` is called, and `share` for
    /// something to remember them by.
    pub(super) fn refer(
        &mut self,
        slot: Slot,
        bytes: &[u8],
        share: impl FnOnce() -> Arc<[u8]>,
        define: impl FnOnce(&[u8]),
    ) -> u64 {
        if let Some(expected) = self.contents.expected(slot)
            && let Some(entry) = self.contents.entry(expected)
            // Most often it is the very same.
            && (std::ptr::eq(&*entry.bytes, bytes) || *entry.bytes == *bytes)
        {
            self.contents.follow(slot, expected);
            return AS_BEFORE;
        }
        let id = self.find_or_add(bytes, share, define);
        self.contents.follow(slot, id);
        self.contents.first + self.contents.entries.len() as u64 - id
    }

    fn find_or_add(
        &mut self,
        bytes: &[u8],
        share: impl FnOnce() -> Arc<[u8]>,
        define: impl FnOnce(&[u8]),
    ) -> Id {
        let hash = hash(bytes);
        if let Some(&id) = self.known.get(&hash)
            && self.contents.entry(id).is_some_and(|entry| *entry.bytes == *bytes)
        {
            return id;
        }
        define(bytes);
        let (id, forgot) = self.contents.add(share());
        if forgot {
            self.known.clear();
        }
        self.known.insert(hash, id);
        id
    }
}

/// A hash that is one already.
#[derive(Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        self.0 = hash(bytes);
    }
    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A writer's references, resolved by a reader.
    fn through(contents: &[(u16, Vec<u8>)]) -> (usize, usize) {
        let (mut writer, mut reader) = (Dictionary::default(), Contents::default());
        let (mut defined, mut as_before) = (0, 0);
        for (lane, bytes) in contents {
            let bytes: Arc<[u8]> = bytes.as_slice().into();
            let define = |new: &[u8]| {
                defined += 1;
                reader.read(new);
            };
            let reference = writer.refer(Slot::lane(*lane), &bytes, || bytes.clone(), define);
            as_before += usize::from(reference == AS_BEFORE);
            assert_eq!(reader.resolve(Slot::lane(*lane), reference), Ok(bytes));
        }
        (defined, as_before)
    }

    #[test]
    fn a_cycle_of_pictures_is_written_once_and_foreseen_from_the_second_time() {
        let cycle = (0..1000u32).map(|number| (number % 100).to_le_bytes().repeat(120));
        let lanes = cycle.flat_map(|bytes| [(7, bytes.clone()), (8, bytes)]).collect::<Vec<_>>();
        let (defined, as_before) = through(&lanes);
        assert_eq!(defined, 100);
        assert!(as_before > 2 * 1000 - 2 * 110, "{as_before}");
    }

    #[test]
    fn memory_stays_bounded() {
        let (mut writer, mut reader) = (Dictionary::default(), Contents::default());
        for number in 0..40u64 {
            let large: Arc<[u8]> = number.to_le_bytes().repeat(MAX_CONTENT / 8).into();
            let define = |new: &[u8]| reader.read(new);
            let reference = writer.refer(Slot::lane(0), &large, || large.clone(), define);
            assert_eq!(reader.resolve(Slot::lane(0), reference), Ok(large));
            assert!(reader.bytes <= MAX_BYTES && reader.entries.len() <= 8);
        }
        let empty = through(&vec![(0, Vec::new()); 1000]);
        assert_eq!(empty.0, 1, "the same emptiness");
    }

    #[test]
    fn what_was_never_defined_cannot_be_referred_to() {
        let mut reader = Contents::default();
        for reference in [0, 1, 2, u64::MAX] {
            assert!(reader.resolve(Slot::NAMES, reference).is_err());
        }
        reader.read(b"one");
        assert_eq!(reader.resolve(Slot::NAMES, 1).as_deref(), Ok(b"one".as_slice()));
        for reference in [0, 2, u64::MAX] {
            assert!(reader.resolve(Slot::NAMES, reference).is_err());
        }
    }

    #[test]
    fn bytes_of_one_hash_are_told_apart() {
        let mut dictionary = Dictionary::default();
        dictionary.find_or_add(&[1], || [1].into(), |_| {});
        let collision = dictionary.known[&hash(&[1])];
        dictionary.known.insert(hash(&[2]), collision);
        let mut defined = Vec::new();
        dictionary.refer(Slot::NAMES, &[2], || [2].into(), |new| defined = new.to_vec());
        assert_eq!(defined, [2]);
    }
}
