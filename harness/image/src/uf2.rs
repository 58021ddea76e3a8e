//! Images as UF2 files, which the boot ROM of an RP2040 takes from whoever copies them to the drive that it pretends
//! to be.
//!
//! A UF2 file is a row of blocks of 512 bytes, each of which says by itself where its 256 bytes belong, so that it
//! does not matter in which order an operating system writes them. The format: <https://github.com/microsoft/uf2>.

use std::collections::{BTreeMap, BTreeSet};

use object::LittleEndian;
use object::elf::{self, EM_ARM, FileHeader32};
use object::read::elf::{FileHeader, ProgramHeader};

/// Bytes of contents in a block: a page of the flash, which is written at once.
const PAGE: u32 = 256;
/// Bytes that the flash erases at once. The boot ROM erases them when the first of their pages comes, so a file has all
/// pages of each sector, and none that was there before remains in between.
const SECTOR: u32 = 4096;
/// Bytes of a block.
const BLOCK: usize = 512;
/// A page after erasing.
const ERASED: [u8; PAGE as usize] = [0xFF; PAGE as usize];
const MAGIC: [u32; 2] = [0x0A32_4655, 0x9E5D_5157];
const END_MAGIC: u32 = 0x0AB1_6F30;
/// The block says for which chips it is.
const HAS_FAMILY: u32 = 0x2000;
/// The RP2040, in the list of families of the format.
const RP2040: u32 = 0xE48B_FF56;
/// Where the flash of an RP2040 is, and how much of it may be there; RP2040 datasheet, 2.2 and 2.6.3.
const FLASH: std::ops::Range<u64> = 0x1000_0000..0x1100_0000;

/// Why an ELF file makes no UF2 file for an RP2040.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Uf2Error {
    /// It is something else, or damaged.
    #[error(
        "it is no ELF file that was linked for a 32-bit Arm chip; name the one that cargo made of rigs/controller"
    )]
    NotArm,
    /// Something of it would not be in the flash.
    #[error(
        "it has {bytes} bytes at {address:#010x}, where an RP2040 has no flash; look at its linker script"
    )]
    OutsideOfFlash {
        /// Where they would be loaded.
        address: u64,
        /// How many.
        bytes: u64,
    },
    /// Two parts of it want the same place.
    #[error("two of its segments have contents for {address:#010x}; look at its linker script")]
    Twice {
        /// The place.
        address: u64,
    },
    /// There is nothing to write.
    #[error("it has nothing that belongs to the flash; look at its linker script")]
    Empty,
}

/// The UF2 file of `elf`, the contents of an ELF file that was linked for an RP2040.
///
/// # Errors
/// [`Uf2Error`] for anything that could not start there; never a panic.
pub fn uf2_of(elf: &[u8]) -> Result<Vec<u8>, Uf2Error> {
    let pages = pages(elf)?;
    let count = u32::try_from(pages.len()).map_err(|_| Uf2Error::Empty)?;
    let mut file = Vec::with_capacity(pages.len() * BLOCK);
    for (number, (&page, contents)) in (0..).zip(&pages) {
        let head = [MAGIC[0], MAGIC[1], HAS_FAMILY, page, PAGE, number, count, RP2040];
        file.extend(head.iter().flat_map(|word| word.to_le_bytes()));
        file.extend(contents);
        file.resize(file.len() + BLOCK - 4 - 4 * head.len() - contents.len(), 0);
        file.extend(END_MAGIC.to_le_bytes());
    }
    Ok(file)
}

/// What is in the flash, by the addresses of its pages. What nobody says is as after erasing.
fn pages(file: &[u8]) -> Result<BTreeMap<u32, [u8; PAGE as usize]>, Uf2Error> {
    let not_arm = |_: object::read::Error| Uf2Error::NotArm;
    let header = FileHeader32::<LittleEndian>::parse(file).map_err(not_arm)?;
    let order = header.endian().map_err(not_arm)?;
    if header.e_machine(order) != EM_ARM || header.e_type(order) != elf::ET_EXEC {
        return Err(Uf2Error::NotArm);
    }
    let mut pages = BTreeMap::new();
    let mut ends = 0;
    let mut segments: Vec<(u64, &[u8])> = Vec::new();
    for segment in header.program_headers(order, file).map_err(not_arm)? {
        let contents = segment.data(order, file).map_err(|()| Uf2Error::NotArm)?;
        if segment.p_type(order) == elf::PT_LOAD && !contents.is_empty() {
            segments.push((u64::from(segment.p_paddr(order)), contents));
        }
    }
    segments.sort_by_key(|(address, _)| *address);
    for (address, contents) in segments {
        let bytes = contents.len() as u64;
        if !FLASH.contains(&address) || address + bytes > FLASH.end {
            return Err(Uf2Error::OutsideOfFlash { address, bytes });
        }
        if address < ends {
            return Err(Uf2Error::Twice { address });
        }
        ends = address + bytes;
        for (place, &byte) in (address as u32..).zip(contents) {
            let page = pages.entry(place & !(PAGE - 1)).or_insert(ERASED);
            page[(place % PAGE) as usize] = byte;
        }
    }
    let sectors: BTreeSet<u32> = pages.keys().map(|page| page & !(SECTOR - 1)).collect();
    for page in
        sectors.into_iter().flat_map(|sector| (sector..=sector + (SECTOR - PAGE)).step_by(PAGE as usize))
    {
        pages.entry(page).or_insert(ERASED);
    }
    if pages.is_empty() { Err(Uf2Error::Empty) } else { Ok(pages) }
}

#[cfg(test)]
mod tests;
