//! The chips that are flashed.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

/// A chip of Espressif's that a bench can hold. On all of them the second-stage bootloader begins at address 0 of
/// the flash.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Chip {
    /// One RISC-V core.
    Esp32c3,
    /// RISC-V, with Wi-Fi 6.
    Esp32c6,
    /// Two Xtensa cores.
    Esp32s3,
}

impl Chip {
    /// All of them.
    pub const ALL: [Chip; 3] = [Chip::Esp32c3, Chip::Esp32c6, Chip::Esp32s3];

    /// As rig files and tools write it.
    pub fn name(self) -> &'static str {
        match self {
            Chip::Esp32c3 => "esp32c3",
            Chip::Esp32c6 => "esp32c6",
            Chip::Esp32s3 => "esp32s3",
        }
    }

    /// Its number in the headers of images, and in what its loader says of itself (`esp_chip_id_t` in ESP-IDF's
    /// `esp_app_format.h`).
    pub fn id(self) -> u16 {
        match self {
            Chip::Esp32c3 => 5,
            Chip::Esp32s3 => 9,
            Chip::Esp32c6 => 13,
        }
    }

    /// The chip with this number.
    pub fn of_id(id: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|chip| chip.id() == id)
    }

    /// Where its address space shows the flash, a page at a time (`soc/ext_mem_defs.h` and `soc/soc.h` of ESP-IDF).
    pub(crate) fn flash_windows(self) -> [Range<u32>; 2] {
        match self {
            Chip::Esp32c3 => [0x3C00_0000..0x3C80_0000, 0x4200_0000..0x4280_0000],
            Chip::Esp32s3 => [0x3C00_0000..0x3E00_0000, 0x4200_0000..0x4400_0000],
            // One window for data and instructions.
            Chip::Esp32c6 => [0x4200_0000..0x4300_0000, 0..0],
        }
    }
}

impl fmt::Display for Chip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that no chip here has.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("no chip here is called `{0}`; write esp32c3, esp32c6 or esp32s3")]
pub struct UnknownChip(String);

impl FromStr for Chip {
    type Err = UnknownChip;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|chip| chip.name() == name);
        found.ok_or_else(|| UnknownChip(name.chars().take(32).flat_map(char::escape_default).collect()))
    }
}

/// The chip with this number, for people: other chips of the family by their names, too.
pub(crate) fn name_of_id(id: u16) -> String {
    let name = match id {
        0 => "esp32",
        2 => "esp32s2",
        12 => "esp32c2",
        16 => "esp32h2",
        18 => "esp32p4",
        20 => "esp32c61",
        23 => "esp32c5",
        _ => match Chip::of_id(id) {
            Some(chip) => chip.name(),
            None => return format!("a chip with number {id}"),
        },
    };
    name.to_owned()
}
