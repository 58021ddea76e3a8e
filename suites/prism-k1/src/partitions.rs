//! The partition table, read from flash where ESP-IDF's loader looks for it.
//!
//! The independent crate `esp-idf-part` decodes and validates it. A table that it refuses is taken
//! apart here as far as it goes, so that one bad entry does not condemn the others.

use esp_idf_part::PartitionTable;
use rigor_core::verdict::Blame;
use rigor_runner::need::Flash;

/// Where the table is (ESP-IDF's default; specification, section 11, reading 19).
const TABLE_ADDRESS: u32 = 0x8000;
/// Bytes of the table with its checksum, padded (ESP-IDF Programming Guide, "Partition Tables").
const TABLE_BYTES: u32 = 0xC00;
const ENTRY_BYTES: usize = 32;

/// Type of an app partition.
pub const APP: u8 = 0x00;
/// Type of a data partition.
pub const DATA: u8 = 0x01;

/// One entry.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// Its label.
    pub name: String,
    /// [`APP`], [`DATA`] or a type of one's own.
    pub kind: u8,
    /// What it means depends on the type.
    pub subtype: u8,
    /// Address of its first byte.
    pub offset: u32,
    /// Bytes.
    pub size: u32,
}

impl Entry {
    /// The entry of this name and these fields.
    pub fn new(name: &str, kind: u8, subtype: u8, offset: u32, size: u32) -> Self {
        Entry { name: name.to_owned(), kind, subtype, offset, size }
    }

    /// The address behind its last byte.
    pub fn end(&self) -> u64 {
        u64::from(self.offset) + u64::from(self.size)
    }

    /// How many of type, subtype, offset and size differ.
    pub fn differences(&self, other: &Entry) -> usize {
        let same = [
            self.kind == other.kind,
            self.subtype == other.subtype,
            self.offset == other.offset,
            self.size == other.size,
        ];
        same.iter().filter(|same| !**same).count()
    }

    /// As ESP-IDF writes it: magic number, type, subtype, offset, size, label, flags.
    fn parse(bytes: &[u8]) -> Option<Entry> {
        let (&[0xAA, 0x50, kind, subtype], rest) = bytes.split_first_chunk()? else { return None };
        let (offset, rest) = rest.split_first_chunk()?;
        let (size, rest) = rest.split_first_chunk()?;
        let label = rest.get(..16)?.split(|&byte| byte == 0).next()?;
        Some(Entry {
            name: String::from_utf8_lossy(label).into_owned(),
            kind,
            subtype,
            offset: u32::from_le_bytes(*offset),
            size: u32::from_le_bytes(*size),
        })
    }
}

/// The table of a device.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Table {
    /// Its entries in order.
    pub entries: Vec<Entry>,
    /// Why a loader would refuse it.
    pub fault: Option<String>,
}

impl Table {
    /// Decodes the bytes of the table's place in flash.
    pub fn decode(bytes: &[u8]) -> Table {
        let entries: Vec<Entry> = bytes.chunks_exact(ENTRY_BYTES).map_while(Entry::parse).collect();
        // The crate adds offset and size without a look.
        if let Some(entry) = entries.iter().find(|entry| entry.end() > u64::from(u32::MAX)) {
            let fault = Some(format!("partition `{}` ends beyond any flash", entry.name));
            return Table { entries, fault };
        }
        match PartitionTable::try_from_bytes(bytes) {
            Ok(table) => {
                let entries = table.partitions().iter().map(|partition| {
                    let (kind, subtype) = (partition.ty().into(), partition.subtype().into());
                    Entry::new(&partition.name(), kind, subtype, partition.offset(), partition.size())
                });
                Table { entries: entries.collect(), fault: None }
            }
            Err(fault) => Table { entries, fault: Some(fault.to_string()) },
        }
    }

    /// The table in the device's flash.
    ///
    /// # Errors
    /// The rig's, if it cannot be read.
    pub fn read(flash: &Flash) -> Result<Table, Blame> {
        Ok(Table::decode(&flash.read(TABLE_ADDRESS, TABLE_BYTES)?))
    }

    /// The entry `name`.
    pub fn find(&self, name: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.name == name)
    }

    /// The entries of app partitions.
    pub fn apps(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(|entry| entry.kind == APP)
    }

    /// Two entries that share a byte.
    pub fn overlap(&self) -> Option<(&Entry, &Entry)> {
        let mut pairs = self
            .entries
            .iter()
            .enumerate()
            .flat_map(|(index, a)| self.entries[index + 1..].iter().map(move |b| (a, b)));
        pairs.find(|(a, b)| u64::from(a.offset) < b.end() && u64::from(b.offset) < a.end())
    }
}

#[cfg(test)]
mod tests {
    use esp_idf_part::{AppType, DataType, Flags, Partition, SubType, Type};

    use super::*;

    fn encoded(app_offset: u32) -> Vec<u8> {
        let table = PartitionTable::new(vec![
            Partition::new("nvs", Type::Data, SubType::Data(DataType::Nvs), 0x9000, 0x6000, Flags::empty()),
            Partition::new(
                "app0",
                Type::App,
                SubType::App(AppType::Ota_0),
                app_offset,
                0x18_0000,
                Flags::empty(),
            ),
        ]);
        table.to_bin().expect("encodable")
    }

    #[test]
    fn a_refused_table_is_still_taken_apart() {
        let good = Table::decode(&encoded(0x2_0000));
        assert_eq!(good.fault, None);
        let expected =
            [Entry::new("nvs", DATA, 2, 0x9000, 0x6000), Entry::new("app0", APP, 0x10, 0x2_0000, 0x18_0000)];
        assert_eq!(good.entries, expected);
        // Not aligned, and overlapping as well: the crate refuses it, the entries are there.
        let bad = Table::decode(&encoded(0x1_1000));
        assert!(bad.fault.is_some());
        assert_eq!((&bad.entries[0], bad.entries[1].offset), (&expected[0], 0x1_1000));
        assert_eq!(bad.entries[1].differences(&expected[1]), 1);
        assert_eq!((bad.overlap(), Table::decode(&encoded(0xE000)).overlap().is_some()), (None, true));
    }

    #[test]
    fn a_wrong_checksum_and_an_empty_chip_are_refused() {
        let mut bytes = encoded(0x2_0000);
        bytes[64 + 16] ^= 1;
        let table = Table::decode(&bytes);
        assert!(table.fault.is_some() && table.entries.len() == 2);
        let mut huge = encoded(0x2_0000);
        huge[32 + 8..][..4].fill(0xFF);
        assert!(Table::decode(&huge).fault.is_some());
        let empty = Table::decode(&[0xFF; 0xC00]);
        assert!(empty.fault.is_some() && empty.entries.is_empty());
    }
}
