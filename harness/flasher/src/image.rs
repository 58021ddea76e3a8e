//! What is to be in the flash of a board: bytes at addresses, looked at before anything is erased.
//!
//! It comes from a *merged image*, a file with everything from address 0 on, or from an ELF file of which the
//! library of espflash makes the same parts (feature `espflash`). Both are looked at in the same way, by what the
//! chip's ROM and ESP-IDF's bootloader will ask of them: a bootloader at 0, a partition table at 0x8000 with its
//! MD5, an app in an app partition, checksums and digests right, every part within its place.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::board::Board;
use crate::chip::Chip;
use crate::error::{FlashError, ImageError};
use crate::program::Program;
use crate::table::{TABLE_ADDRESS, TABLE_BYTES, Table};

/// Larger files are no images: the largest flash of these chips, in bytes, with room for the debug information of an
/// ELF file.
pub const MAX_FILE: u64 = 64 << 20;

/// Bytes that are erased at once.
pub(crate) const SECTOR: u32 = 0x1000;

const ELF_MAGIC: &[u8] = b"\x7fELF";

/// Bytes that belong together.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Part {
    /// Address of the first one in the flash.
    pub at: u32,
    /// The bytes.
    pub bytes: Vec<u8>,
}

impl Part {
    fn end(&self) -> u64 {
        u64::from(self.at) + self.bytes.len() as u64
    }
}

/// What is to be in the flash, fit to be written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FlashImage {
    chip: Chip,
    /// Bytes of flash that the bootloader takes for granted.
    declared: u32,
    parts: Vec<Part>,
}

impl FlashImage {
    /// Reads `path`, an ELF file or a merged image. `chip` says for which chip an ELF file is if it does not say so
    /// itself; another one than the image's is an error.
    ///
    /// # Errors
    /// [`FlashError::File`] and [`FlashError::Image`].
    pub fn read(path: &Path, chip: Option<Chip>) -> Result<Self, FlashError> {
        let mut bytes = Vec::new();
        File::open(path)
            // One byte too many tells a file that is too large, were it endless.
            .and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut bytes))
            .map_err(|reason| FlashError::File { path: path.to_owned(), reason })?;
        Self::of_file(bytes, chip).map_err(|reason| FlashError::Image { path: path.to_owned(), reason })
    }

    fn of_file(bytes: Vec<u8>, chip: Option<Chip>) -> Result<Self, ImageError> {
        if bytes.len() as u64 > MAX_FILE {
            return Err(ImageError::TooLarge {
                what: "the file".to_owned(),
                bytes: bytes.len() as u64,
                place: "any flash".to_owned(),
                room: MAX_FILE,
                remedy: "name an image",
            });
        }
        let image =
            if bytes.starts_with(ELF_MAGIC) { Self::of_elf(&bytes, chip)? } else { Self::merged(bytes)? };
        match chip {
            Some(chip) if chip != image.chip => Err(ImageError::OtherChip {
                what: "the bootloader".to_owned(),
                at: 0,
                chip: image.chip.to_string(),
                instead: format!("not for {chip}; build it for {chip}"),
            }),
            _ => Ok(image),
        }
    }

    #[cfg(feature = "espflash")]
    fn of_elf(elf: &[u8], chip: Option<Chip>) -> Result<Self, ImageError> {
        Self::of_parts(crate::elf::parts(elf, chip)?)
    }

    #[cfg(not(feature = "espflash"))]
    fn of_elf(_elf: &[u8], _chip: Option<Chip>) -> Result<Self, ImageError> {
        Err(ImageError::Elf)
    }

    /// The image whose first byte is to be at address 0.
    ///
    /// # Errors
    /// Whatever would keep a chip from booting it: see [`ImageError`].
    pub fn merged(bytes: Vec<u8>) -> Result<Self, ImageError> {
        Self::of_parts(vec![Part { at: 0, bytes }])
    }

    /// The image of these parts, in the order of their addresses.
    ///
    /// # Errors
    /// Whatever would keep a chip from booting it: see [`ImageError`].
    pub fn of_parts(parts: Vec<Part>) -> Result<Self, ImageError> {
        let bytes_from = |at: u32| bytes_from(&parts, at);
        let bootloader = Program::parse("the bootloader", 0, bytes_from(0))?;
        let chip = bootloader.chip();
        bootloader.within("the room before the partition table", TABLE_ADDRESS)?;
        let table = Table::parse(bytes_from(TABLE_ADDRESS), bootloader.declared_flash())?;
        let mut apps = 0;
        for place in table.apps() {
            let what = format!("the app in partition `{}`", place.name);
            let bytes = bytes_from(place.at);
            if bytes.first().is_none_or(|&first| first == BLANK) {
                continue;
            }
            let app = Program::parse(&what, place.at, bytes)?;
            app.within(&format!("partition `{}`", place.name), place.bytes)?;
            app.same_chip_as(&bootloader)?;
            app.aligned()?;
            apps += 1;
        }
        if apps == 0 {
            let first = table.apps().next().map_or(TABLE_ADDRESS + TABLE_BYTES, |place| place.at);
            let what = "an app in any app partition".to_owned();
            return Err(ImageError::Absent { what, at: first, found: "blank".to_owned() });
        }
        let mut end = 0;
        for part in &parts {
            if part.at % SECTOR != 0 || u64::from(part.at) < end {
                let text = format!("the part at {:#x} shares a sector with the one before it", part.at);
                return Err(ImageError::Table(text));
            }
            end = part.end().next_multiple_of(SECTOR.into());
        }
        let declared = bootloader.declared_flash();
        Ok(FlashImage { chip, declared, parts })
    }

    /// The chip that it is for.
    pub fn chip(&self) -> Chip {
        self.chip
    }

    /// Its parts, in the order of their addresses.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The address behind its last byte.
    pub fn end(&self) -> u64 {
        self.parts.last().map_or(0, Part::end)
    }

    /// Whether `board` can have it.
    ///
    /// # Errors
    /// [`FlashError::NotForChip`], [`FlashError::Locked`], [`FlashError::FlashTooSmall`].
    pub fn fits(&self, board: &Board) -> Result<(), FlashError> {
        if board.chip != self.chip {
            return Err(FlashError::NotForChip { image: self.chip, board: board.chip });
        }
        if let Some(what) = board.security.obstacle() {
            return Err(FlashError::Locked { what });
        }
        let has = board.flash_bytes;
        let end = self.end().next_multiple_of(SECTOR.into());
        if end > has.into() {
            let remedy = "leave away what it does not need, or take a board with more";
            return Err(FlashError::FlashTooSmall { what: "the image", needed: end, has, remedy });
        }
        if self.declared > has {
            let remedy =
                "make the image for that size (`--flash-size`); the bootloader would refuse to start";
            let needed = self.declared.into();
            return Err(FlashError::FlashTooSmall { what: "what the header declares", needed, has, remedy });
        }
        Ok(())
    }
}

/// What flash is like where nothing was written.
pub(crate) const BLANK: u8 = 0xFF;

/// What the parts have from address `at` on.
fn bytes_from(parts: &[Part], at: u32) -> &[u8] {
    let holds = |part: &&Part| part.at <= at && u64::from(at) < part.end();
    match parts.iter().find(holds) {
        Some(part) => &part.bytes[(at - part.at) as usize..],
        None => &[],
    }
}
