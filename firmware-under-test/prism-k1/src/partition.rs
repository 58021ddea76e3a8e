//! The partition table, in ESP-IDF's binary format, as it stands in the flash.
//!
//! Specification section 5: the firmware reads the table from the flash at 0x8000 and does not
//! assume it. A table is a row of 32-byte records: magic `AA 50`, type, subtype, offset u32, size
//! u32 (little-endian), label of 16 bytes, flags u32; then, optionally, a record `EB EB` with the
//! MD5 digest of the records before it; then `FF`. The whole table is checked before anything in it
//! is believed.

use core::fmt;

use embedded_storage::nor_flash::ReadNorFlash;

mod md5;

/// Where the table begins in the flash (ESP-IDF's default, specification section 11 item 19).
pub const TABLE_OFFSET: u32 = 0x8000;
/// Bytes that a table can have: 96 records.
pub const TABLE_BYTES: u32 = 0xC00;

const RECORD_BYTES: usize = 32;
const LABEL_BYTES: usize = 16;
/// Records before which no end was seen are one too many.
const MAX_RECORDS: usize = TABLE_BYTES as usize / RECORD_BYTES - 1;
const ENTRY_MAGIC: [u8; 2] = [0xAA, 0x50];
const DIGEST_MAGIC: [u8; 2] = [0xEB, 0xEB];
const TYPE_APP: u8 = 0;
/// Sectors are erased as a whole, so partitions cannot share one.
const SECTOR_BYTES: u32 = 0x1000;
/// The memory mapping of code works in pages of this size.
const APP_ALIGNMENT: u32 = 0x10000;

/// A stretch of the flash.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Partition {
    /// First byte, from the start of the flash.
    pub offset: u32,
    /// Bytes.
    pub size: u32,
}

impl Partition {
    /// The byte after the last, in a width that cannot overflow.
    fn end(self) -> u64 {
        u64::from(self.offset) + u64::from(self.size)
    }

    fn overlaps(self, other: Self) -> bool {
        u64::from(self.offset) < other.end() && u64::from(other.offset) < self.end()
    }
}

/// Why a partition was not found. `record` counts from 0.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PartitionError {
    /// The flash could not be read.
    Flash,
    /// A record is neither an entry nor a digest nor the end.
    BadMagic {
        /// Which one.
        record: usize,
    },
    /// Offset or size of an entry is zero, not on a sector's edge, or (apps) not on 64 KiB.
    Misaligned {
        /// Which one.
        record: usize,
    },
    /// An entry covers the table itself or ends behind the flash.
    OutOfFlash {
        /// Which one.
        record: usize,
    },
    /// An entry covers bytes of an earlier one.
    Overlap {
        /// Which one.
        record: usize,
    },
    /// The label was seen in an earlier record.
    Duplicate {
        /// Which one.
        record: usize,
    },
    /// The digest does not fit the records before it.
    Digest,
    /// No end within [`TABLE_BYTES`].
    NoEnd,
    /// The table is sound and has no such label.
    NotFound,
}

impl fmt::Display for PartitionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flash => write!(f, "flash read failed"),
            Self::BadMagic { record } => write!(f, "record {record}: bad magic"),
            Self::Misaligned { record } => write!(f, "record {record}: offset or size misaligned"),
            Self::OutOfFlash { record } => write!(f, "record {record}: outside the flash"),
            Self::Overlap { record } => write!(f, "record {record}: overlaps an earlier one"),
            Self::Duplicate { record } => write!(f, "record {record}: label used twice"),
            Self::Digest => write!(f, "digest mismatch"),
            Self::NoEnd => write!(f, "no end of table"),
            Self::NotFound => write!(f, "no such label"),
        }
    }
}

impl core::error::Error for PartitionError {}

fn u32_at(record: &[u8; RECORD_BYTES], at: usize) -> u32 {
    let mut bytes = [0; 4];
    for (byte, from) in bytes.iter_mut().zip(record.iter().skip(at)) {
        *byte = *from;
    }
    u32::from_le_bytes(bytes)
}

/// The label without its padding.
fn label_of(record: &[u8; RECORD_BYTES]) -> &[u8] {
    let label = record.get(12..12 + LABEL_BYTES).unwrap_or_default();
    let end = label.iter().position(|byte| *byte == 0).unwrap_or(label.len());
    label.get(..end).unwrap_or_default()
}

fn check(record: &[u8; RECORD_BYTES], index: usize, capacity: u64) -> Result<Partition, PartitionError> {
    let partition = Partition { offset: u32_at(record, 4), size: u32_at(record, 8) };
    let alignment = if record[2] == TYPE_APP { APP_ALIGNMENT } else { SECTOR_BYTES };
    if partition.size == 0
        || !partition.offset.is_multiple_of(alignment)
        || !partition.size.is_multiple_of(SECTOR_BYTES)
    {
        return Err(PartitionError::Misaligned { record: index });
    }
    if partition.offset < TABLE_OFFSET + SECTOR_BYTES || partition.end() > capacity {
        return Err(PartitionError::OutOfFlash { record: index });
    }
    Ok(partition)
}

/// Finds the partition `label` in the table of `flash`, after checking the whole table.
///
/// # Errors
/// See [`PartitionError`]; whatever the flash holds, this ends with one of them or a partition
/// that lies within the flash.
pub fn find<F: ReadNorFlash>(flash: &mut F, label: &str) -> Result<Partition, PartitionError> {
    let capacity = u64::try_from(flash.capacity()).unwrap_or(u64::MAX);
    let mut seen: heapless::Vec<([u8; LABEL_BYTES], Partition), MAX_RECORDS> = heapless::Vec::new();
    let mut digest = md5::Md5::new();
    let mut found = None;
    let mut digested = false;
    for index in 0..=MAX_RECORDS {
        let mut record = [0; RECORD_BYTES];
        let at = TABLE_OFFSET + u32::try_from(index * RECORD_BYTES).map_err(|_| PartitionError::NoEnd)?;
        flash.read(at, &mut record).map_err(|_| PartitionError::Flash)?;
        if record == [0xFF; RECORD_BYTES] {
            return found.ok_or(PartitionError::NotFound);
        }
        let magic = [record[0], record[1]];
        if magic == DIGEST_MAGIC && !digested {
            if record.get(16..) != Some(&digest.clone().finish()[..]) {
                return Err(PartitionError::Digest);
            }
            digested = true;
            continue;
        }
        if magic != ENTRY_MAGIC || digested {
            return Err(PartitionError::BadMagic { record: index });
        }
        digest.update(&record);
        let partition = check(&record, index, capacity)?;
        let mut name = [0; LABEL_BYTES];
        for (to, from) in name.iter_mut().zip(label_of(&record)) {
            *to = *from;
        }
        if seen.iter().any(|(_, other)| other.overlaps(partition)) {
            return Err(PartitionError::Overlap { record: index });
        }
        if seen.iter().any(|(other, _)| *other == name) {
            return Err(PartitionError::Duplicate { record: index });
        }
        if label_of(&record) == label.as_bytes() {
            found = Some(partition);
        }
        seen.push((name, partition)).map_err(|_| PartitionError::NoEnd)?;
    }
    Err(PartitionError::NoEnd)
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;
    use crate::storage::ram_flash::RamFlash;

    fn entry(kind: u8, subtype: u8, offset: u32, size: u32, label: &str) -> [u8; 32] {
        let mut record = [0; 32];
        record[..4].copy_from_slice(&[0xAA, 0x50, kind, subtype]);
        record[4..8].copy_from_slice(&offset.to_le_bytes());
        record[8..12].copy_from_slice(&size.to_le_bytes());
        record[12..12 + label.len()].copy_from_slice(label.as_bytes());
        record
    }

    fn seed_layout() -> Vec<[u8; 32]> {
        alloc::vec![
            entry(1, 2, 0x9000, 0x6000, "nvs"),
            entry(1, 0, 0xF000, 0x2000, "otadata"),
            entry(0, 0x10, 0x20000, 0x180000, "app0"),
            entry(0, 0x11, 0x1A0000, 0x180000, "app1"),
            entry(1, 0x82, 0x320000, 0x180000, "littlefs"),
        ]
    }

    fn with_digest(records: &[[u8; 32]]) -> Vec<u8> {
        let mut table = records.concat();
        let mut digest = md5::Md5::new();
        digest.update(&table);
        table.extend([0xEB; 2]);
        table.extend([0xFF; 14]);
        table.extend(digest.finish());
        table
    }

    fn flash_with(table: &[u8]) -> RamFlash {
        let flash = RamFlash::new(8 * 1024 * 1024);
        flash.poke(TABLE_OFFSET, table);
        flash
    }

    #[test]
    fn the_seeds_layout_is_found() {
        for table in [seed_layout().concat(), with_digest(&seed_layout())] {
            let mut flash = flash_with(&table);
            assert_eq!(find(&mut flash, "littlefs"), Ok(Partition { offset: 0x320000, size: 0x180000 }));
            assert_eq!(find(&mut flash, "nvs"), Ok(Partition { offset: 0x9000, size: 0x6000 }));
            assert_eq!(find(&mut flash, "little"), Err(PartitionError::NotFound));
        }
    }

    #[test]
    fn a_label_of_sixteen_bytes_has_no_terminator() {
        let mut flash = flash_with(&entry(1, 2, 0x9000, 0x1000, "sixteen-bytes-ab"));
        assert!(find(&mut flash, "sixteen-bytes-ab").is_ok());
    }

    #[test]
    fn the_broken_layouts_of_the_specification_are_refused() {
        let mut table = seed_layout();
        table[2] = entry(0, 0x10, 0x11000, 0x180000, "app0");
        assert_eq!(
            find(&mut flash_with(&table.concat()), "nvs"),
            Err(PartitionError::Misaligned { record: 2 })
        );
        let mut table = seed_layout();
        table[3] = entry(0, 0x11, 0x190000, 0x180000, "app1");
        assert_eq!(find(&mut flash_with(&table.concat()), "nvs"), Err(PartitionError::Overlap { record: 3 }));
    }

    #[test]
    fn hostile_tables_are_refused() {
        let refused = |records: &[[u8; 32]]| find(&mut flash_with(&records.concat()), "x");
        assert_eq!(
            refused(&[entry(1, 2, 0xFFFF_F000, 0xFFFF_F000, "x")]),
            Err(PartitionError::OutOfFlash { record: 0 })
        );
        assert_eq!(
            refused(&[entry(1, 2, 0x7FF000, 0x2000, "x")]),
            Err(PartitionError::OutOfFlash { record: 0 })
        );
        assert_eq!(
            refused(&[entry(1, 2, 0x8000, 0x1000, "x")]),
            Err(PartitionError::OutOfFlash { record: 0 })
        );
        assert_eq!(refused(&[entry(1, 2, 0, 0, "x")]), Err(PartitionError::Misaligned { record: 0 }));
        assert_eq!(refused(&[entry(1, 2, 0x9000, 1, "x")]), Err(PartitionError::Misaligned { record: 0 }));
        assert_eq!(
            refused(&[entry(1, 2, 0x9000, 0x1000, "x"), entry(1, 2, 0xA000, 0x1000, "x")]),
            Err(PartitionError::Duplicate { record: 1 })
        );
        assert_eq!(refused(&[[0; 32]]), Err(PartitionError::BadMagic { record: 0 }));
        let mut table = with_digest(&seed_layout());
        table[2] ^= 2;
        assert_eq!(find(&mut flash_with(&table), "nvs"), Err(PartitionError::Digest));
        let many: Vec<[u8; 32]> =
            (0..200).map(|i| entry(1, 2, 0x9000 + i * 0x1000, 0x1000, &alloc::format!("p{i}"))).collect();
        assert_eq!(refused(&many), Err(PartitionError::NoEnd));
        assert_eq!(find(&mut RamFlash::new(0x8010), "x"), Err(PartitionError::Flash));
        assert_eq!(find(&mut RamFlash::new(0x10000), "x"), Err(PartitionError::NotFound));
    }

    #[test]
    fn no_garbage_makes_it_panic() {
        let mut state = 1u32;
        for _ in 0..300 {
            let mut table = with_digest(&seed_layout());
            for _ in 0..3 {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let at = (state >> 8) as usize % table.len();
                table[at] = (state >> 24) as u8;
            }
            if let Ok(found) = find(&mut flash_with(&table), "littlefs") {
                assert!(found.end() <= 8 * 1024 * 1024);
            }
        }
    }
}
