//! The partition table, by the rules of ESP-IDF's bootloader (`bootloader_utility.c`, `flash_partitions.c`) and of
//! the tool that makes it (`gen_esp32part.py`).
//!
//! Read here and not by the crate esp-idf-part: that panics on a subtype or a flag that it does not know, which
//! the bootloader does not mind.

use md5::{Digest, Md5};

use crate::error::ImageError;
use crate::image::{BLANK, SECTOR};

/// Where it is (ESP-IDF's default, and what both tools write).
pub(crate) const TABLE_ADDRESS: u32 = 0x8000;
/// Bytes of the table with its MD5, padded (ESP-IDF Programming Guide, "Partition Tables").
pub(crate) const TABLE_BYTES: u32 = 0xC00;
/// Where a partition can begin: behind the table's sector.
const FIRST_PARTITION: u32 = TABLE_ADDRESS + SECTOR;

const ENTRY_BYTES: usize = 32;
const ENTRY_MAGIC: [u8; 2] = [0xAA, 0x50];
/// What stands before the MD5 of the entries; the rest of its 16 bytes is blank.
const MD5_MAGIC: [u8; 2] = [0xEB, 0xEB];
const MD5_AT: usize = 16;
/// The type of a partition for an app.
const APP: u8 = 0;
/// What its begin is a multiple of: a page of the flash, as the address space shows it.
const APP_ALIGNMENT: u32 = 0x1_0000;

/// A partition.
pub(crate) struct Place {
    pub(crate) name: String,
    pub(crate) at: u32,
    pub(crate) bytes: u32,
    kind: u8,
}

impl Place {
    fn parse(entry: &[u8]) -> Self {
        let word = |at: usize| u32::from_le_bytes([entry[at], entry[at + 1], entry[at + 2], entry[at + 3]]);
        let name = entry[12..28].split(|&byte| byte == 0).next().unwrap_or_default();
        let name = String::from_utf8_lossy(name).escape_debug().to_string();
        Place { name, at: word(4), bytes: word(8), kind: entry[2] }
    }

    fn end(&self) -> u64 {
        u64::from(self.at) + u64::from(self.bytes)
    }

    /// Whether it can be where it is, on a flash of `flash` bytes.
    fn fits(&self, flash: u32) -> Result<(), ImageError> {
        let Place { name, at, bytes, .. } = self;
        let text = if self.end() > flash.into() {
            format!("`{name}` ends beyond the {flash} bytes of flash that the bootloader's header declares")
        } else if *at < FIRST_PARTITION {
            format!(
                "`{name}` begins at {at:#x}, within bootloader or table; {FIRST_PARTITION:#x} is the first address"
            )
        } else if *bytes == 0 || bytes % SECTOR != 0 || at % SECTOR != 0 {
            format!("`{name}`, {bytes:#x} bytes at {at:#x}, is not made of whole sectors of {SECTOR:#x}")
        } else if self.kind == APP && at % APP_ALIGNMENT != 0 {
            format!("`{name}` is for an app and begins at {at:#x}, no multiple of {APP_ALIGNMENT:#x}")
        } else {
            return Ok(());
        };
        Err(ImageError::Table(text))
    }
}

/// A table that the bootloader takes.
pub(crate) struct Table(Vec<Place>);

impl Table {
    /// The table that `bytes` begins with, on a flash of `flash` bytes.
    pub(crate) fn parse(bytes: &[u8], flash: u32) -> Result<Self, ImageError> {
        let Some(bytes) = bytes.get(..TABLE_BYTES as usize) else {
            return Err(ImageError::Truncated {
                what: "the partition table".to_owned(),
                at: TABLE_ADDRESS,
                needed: TABLE_BYTES.into(),
                left: bytes.len() as u64,
            });
        };
        let unfit = |text: String| Err(ImageError::Table(text));
        let is_entry = |entry: &&[u8]| entry.starts_with(&ENTRY_MAGIC);
        let count = bytes.chunks_exact(ENTRY_BYTES).take_while(is_entry).count();
        let (entries, rest) = bytes.split_at(count * ENTRY_BYTES);
        match rest.get(..ENTRY_BYTES) {
            Some(end) if end.iter().all(|&byte| byte == BLANK) => {}
            Some(end) if end.starts_with(&MD5_MAGIC) => {
                if end[MD5_AT..] != Md5::digest(entries)[..] && !cfg!(fuzzing) {
                    return unfit("its MD5 is not that of its entries".to_owned());
                }
            }
            Some(_) => {
                return unfit(format!("what follows its {count} entries is neither one more nor its end"));
            }
            None => return unfit("it has no end".to_owned()),
        }
        let mut places: Vec<Place> = entries.chunks_exact(ENTRY_BYTES).map(Place::parse).collect();
        places.iter().try_for_each(|place| place.fits(flash))?;
        if !places.iter().any(|place| place.kind == APP) {
            return unfit("it has no partition for an app".to_owned());
        }
        places.sort_by_key(|place| place.at);
        if let Some(pair) = places.windows(2).find(|pair| pair[0].end() > pair[1].at.into()) {
            return unfit(format!("`{}` and `{}` overlap", pair[0].name, pair[1].name));
        }
        Ok(Table(places))
    }

    /// The partitions for apps, by their addresses.
    pub(crate) fn apps(&self) -> impl Iterator<Item = &Place> {
        self.0.iter().filter(|place| place.kind == APP)
    }
}
