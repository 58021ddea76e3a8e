//! The whole flash of a board as one file: bootloader, partition table and firmware, and the rest blank. Whatever
//! flashing tool there is can write it, and it is what an emulator wants.
//!
//! espflash's library makes it of the ELF file. The bootloader is ESP-IDF's, which comes with that library.

use std::fs;
use std::path::PathBuf;

use espflash::flasher::{FlashData, FlashMode, FlashSettings, FlashSize};
use espflash::image_format::idf::IdfBootloaderFormat;
use espflash::target::Chip as Target;
use rigor_image::{Built, hash_of_file};

use crate::error::TaskError;
use crate::image::put;
use crate::port::{Chip, Port, Variant};

/// Flash that the partition table needs; the header says so to the bootloader.
const FLASH: FlashSize = FlashSize::_8Mb;
/// Where the firmware goes: the first of two slots.
const SLOT: &str = "app0";
/// What flash is like where nothing was written.
const BLANK: u8 = 0xFF;

/// Makes the file of the image that was built, and tells of it.
///
/// # Errors
/// [`TaskError`] if the chip has no such file, if there is no image or one older than its sources, or if the
/// image does not fit.
pub(crate) fn make(port: &Port, chip: Chip, variant: Variant) -> Result<(), TaskError> {
    let target = match chip {
        Chip::QemuVirt => return Err(TaskError::NoFlash),
        Chip::Esp32c3 => Target::Esp32c3,
        Chip::Esp32c6 => Target::Esp32c6,
    };
    let elf = port.image(variant);
    let built = Built::at(&elf);
    built.check()?;
    let bytes = flash_of(port, &elf, target)?;
    let path = elf.with_extension("bin");
    let made =
        fs::metadata(&elf).and_then(|about| about.modified()).map_err(TaskError::io("look at", &elf))?;
    put(&path, &bytes, made)?;
    let hash = hash_of_file(&path).map_err(TaskError::io("read", &path))?;
    println!("{}\n  sha256 {hash}\n  {} bytes: the whole flash", path.display(), bytes.len());
    Ok(())
}

fn flash_of(port: &Port, elf: &PathBuf, target: Target) -> Result<Vec<u8>, TaskError> {
    let refused =
        |error: espflash::Error| TaskError::FlashImage { elf: elf.clone(), what: error.to_string() };
    let program = fs::read(elf).map_err(TaskError::io("read", elf))?;
    let settings = FlashSettings::new(Some(FlashMode::Dio), Some(FLASH), None);
    let about = FlashData::new(settings, 0, None, target, target.default_xtal_frequency());
    let table = port.folder().join("partitions.csv");
    let format = IdfBootloaderFormat::new(&program, &about, Some(&table), None, None, Some(SLOT));
    let mut flash = vec![BLANK; FLASH.size() as usize];
    for part in format.map_err(refused)?.flash_segments() {
        let start = part.addr as usize;
        let place = flash.get_mut(start..start + part.data.len());
        // espflash has compared what it was given with the table, and the table with the flash.
        place.expect("it is within the flash").copy_from_slice(&part.data);
    }
    Ok(flash)
}
