//! What tells one chip from another: its number, where its registers are, and what it prints when it starts.
//!
//! Sources: the addresses are those of Espressif's technical reference manuals (chapters "SPI Controller" and
//! "eFuse Controller"), the numbers those of its serial protocol's documentation, the texts what the chips
//! print.

use std::fmt;
use std::str::FromStr;

/// A chip whose loader can be simulated.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Chip {
    /// ESP32-S3, revision 0.2.
    Esp32S3,
    /// ESP32-C3, revision 0.4.
    Esp32C3,
    /// ESP32-C6, revision 0.1.
    Esp32C6,
}

/// Which way a chip starts, by the level of its boot pin when reset ends.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Boot {
    /// Into the loader in its ROM: the pin is low.
    Download,
    /// Into the application in its flash: the pin is high.
    Flash,
}

impl Chip {
    /// All of them.
    pub const ALL: [Chip; 3] = [Chip::Esp32S3, Chip::Esp32C3, Chip::Esp32C6];

    /// Its name, as rig files and flashing tools write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Chip::Esp32S3 => "esp32s3",
            Chip::Esp32C3 => "esp32c3",
            Chip::Esp32C6 => "esp32c6",
        }
    }

    /// The number in the answer to `GET_SECURITY_INFO`, and in the header of its images.
    pub(crate) fn number(self) -> u32 {
        match self {
            Chip::Esp32S3 => 9,
            Chip::Esp32C3 => 5,
            Chip::Esp32C6 => 13,
        }
    }

    /// The word at 0x40001000 of its ROM, by which old tools know it.
    pub(crate) fn magic(self) -> u32 {
        match self {
            Chip::Esp32S3 => 9,
            Chip::Esp32C3 => 0x1B31_506F,
            Chip::Esp32C6 => 0x2CE0_806F,
        }
    }

    /// The first register of the controller that the flash is connected to (SPI1).
    pub(crate) fn spi_base(self) -> u32 {
        match self {
            Chip::Esp32S3 | Chip::Esp32C3 => 0x6000_2000,
            Chip::Esp32C6 => 0x6000_3000,
        }
    }

    /// The first word of eFuse block 1: the MAC address, and from the fourth word on the revision.
    pub(crate) fn efuse_block1(self) -> u32 {
        0x44 + match self {
            Chip::Esp32S3 => 0x6000_7000,
            Chip::Esp32C3 => 0x6000_8800,
            Chip::Esp32C6 => 0x600B_0800,
        }
    }

    /// The fourth word of eFuse block 1 without a package: the revision's minor number.
    pub(crate) fn revision_word(self) -> u32 {
        let minor = match self {
            Chip::Esp32S3 => 2,
            Chip::Esp32C3 => 4,
            Chip::Esp32C6 => 1,
        };
        minor << 18
    }

    /// What it prints at the end of reset, before anything that is not in its ROM has a say.
    pub(crate) fn boot_text(self, boot: Boot) -> String {
        let (version, date) = match self {
            Chip::Esp32S3 => ("esp32s3-20210327", "Mar 27 2021"),
            Chip::Esp32C3 => ("esp32c3-api1-20210207", "Feb  7 2021"),
            Chip::Esp32C6 => ("esp32c6-20220919", "Sep 19 2022"),
        };
        let mode = match (boot, self) {
            (Boot::Download, Chip::Esp32S3) => "0x0 (DOWNLOAD(USB/UART0))",
            (Boot::Download, Chip::Esp32C3) => "0x4 (DOWNLOAD(USB/UART0/1))",
            (Boot::Download, Chip::Esp32C6) => "0x4 (DOWNLOAD(USB/UART0/SDIO_REI_FEO))",
            (Boot::Flash, Chip::Esp32S3) => "0x8 (SPI_FAST_FLASH_BOOT)",
            (Boot::Flash, Chip::Esp32C3 | Chip::Esp32C6) => "0xc (SPI_FAST_FLASH_BOOT)",
        };
        let mut text = format!("ESP-ROM:{version}\r\nBuild:{date}\r\nrst:0x1 (POWERON),boot:{mode}\r\n");
        if boot == Boot::Download {
            text.push_str("waiting for download\r\n");
        }
        text
    }
}

impl fmt::Display for Chip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// No chip whose loader can be simulated has this name.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("`{0}` is no chip whose loader can be simulated; write esp32s3, esp32c3 or esp32c6")]
pub struct UnknownChip(pub String);

impl FromStr for Chip {
    type Err = UnknownChip;

    fn from_str(name: &str) -> Result<Self, UnknownChip> {
        let chip = Chip::ALL.into_iter().find(|chip| chip.name() == name);
        chip.ok_or_else(|| UnknownChip(name.to_owned()))
    }
}
