//! A flash image of an ELF file: bootloader and table of the library of espflash, and the app.

use espflash::flasher::{FlashData, FlashSettings, FlashSize};
use espflash::image_format::idf::IdfBootloaderFormat;
use espflash::image_format::{ImageFormat, Metadata};

use crate::chip::Chip;
use crate::error::ImageError;
use crate::image::Part;

/// The flash that the image is for: what the smallest of the boards have. A larger one boots it as well.
const FLASH: FlashSize = FlashSize::_4Mb;

/// The parts of `elf`, for the chip that it says it is for, or else for `chip`.
pub(crate) fn parts(elf: &[u8], chip: Option<Chip>) -> Result<Vec<Part>, ImageError> {
    let said = Metadata::from_bytes(Some(elf)).chip_name().map(str::to_owned);
    let chip = match (said, chip) {
        (Some(name), wanted) => {
            let built_for: Option<Chip> = name.parse().ok();
            if built_for.is_none() || wanted.is_some_and(|wanted| Some(wanted) != built_for) {
                return Err(other_chip(&name, wanted));
            }
            built_for
        }
        (None, wanted) => wanted,
    };
    let chip = chip.ok_or(ImageError::WhichChip)?;
    // The library slices as the file says.
    let made = std::panic::catch_unwind(|| make(elf, chip));
    made.unwrap_or_else(|_| Err(ImageError::UnfitElf("its tables contradict each other".to_owned())))
}

fn make(elf: &[u8], chip: Chip) -> Result<Vec<Part>, ImageError> {
    let unfit = |error: espflash::Error| ImageError::UnfitElf(told(&error));
    let target = espflash::target::Chip::try_from(chip.id()).map_err(unfit)?;
    let settings = FlashSettings::new(None, Some(FLASH), None);
    let flash = FlashData::new(settings, 0, None, target, target.default_xtal_frequency());
    let format = IdfBootloaderFormat::new(elf, &flash, None, None, None, None).map_err(unfit)?;
    let segments = ImageFormat::from(format).flash_segments();
    Ok(segments
        .into_iter()
        .map(|segment| Part { at: segment.addr, bytes: segment.data().to_vec() })
        .collect())
}

fn other_chip(name: &str, wanted: Option<Chip>) -> ImageError {
    let chip = name.chars().take(32).flat_map(char::escape_default).collect();
    let instead = match wanted {
        Some(wanted) => format!("not for {wanted}; build it for {wanted}"),
        None => "and only esp32c3, esp32c6 and esp32s3 are flashed here".to_owned(),
    };
    ImageError::OtherChip { what: "the ELF file".to_owned(), at: 0, chip, instead }
}

/// The words of an error and of what led to it.
fn told(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    text
}
