//! The commands of the controller: names, codes, and what follows them.

use serde::Serialize;

/// Codes of the commands that the decoder acts on.
///
/// ST7789V datasheet (Sitronix, version 1.3), chapter 9.1 "System Function Command Table 1", sections 9.1.1
/// to 9.1.35, and 9.2.1 for [`RAMCTRL`](opcode::RAMCTRL).
pub mod opcode {
    /// No operation, 9.1.1.
    pub const NOP: u8 = 0x00;
    /// Software reset, 9.1.2.
    pub const SWRESET: u8 = 0x01;
    /// Sleep in, 9.1.11.
    pub const SLPIN: u8 = 0x10;
    /// Sleep out, 9.1.12.
    pub const SLPOUT: u8 = 0x11;
    /// Partial display mode on, 9.1.13.
    pub const PTLON: u8 = 0x12;
    /// Normal display mode on: neither partial nor scrolling, 9.1.14.
    pub const NORON: u8 = 0x13;
    /// Display inversion off, 9.1.15.
    pub const INVOFF: u8 = 0x20;
    /// Display inversion on, 9.1.16.
    pub const INVON: u8 = 0x21;
    /// Display off, 9.1.18.
    pub const DISPOFF: u8 = 0x28;
    /// Display on, 9.1.19.
    pub const DISPON: u8 = 0x29;
    /// Column address set, 9.1.20.
    pub const CASET: u8 = 0x2A;
    /// Row address set, 9.1.21.
    pub const RASET: u8 = 0x2B;
    /// Memory write, 9.1.22.
    pub const RAMWR: u8 = 0x2C;
    /// Partial area, 9.1.24.
    pub const PTLAR: u8 = 0x30;
    /// Vertical scrolling definition, 9.1.25.
    pub const VSCRDEF: u8 = 0x33;
    /// Tearing effect line off, 9.1.26.
    pub const TEOFF: u8 = 0x34;
    /// Tearing effect line on, 9.1.27.
    pub const TEON: u8 = 0x35;
    /// Memory data access control, 9.1.28.
    pub const MADCTL: u8 = 0x36;
    /// Vertical scroll start address, 9.1.29.
    pub const VSCSAD: u8 = 0x37;
    /// Idle mode off, 9.1.30.
    pub const IDMOFF: u8 = 0x38;
    /// Idle mode on: eight colours, 9.1.31.
    pub const IDMON: u8 = 0x39;
    /// Interface pixel format, 9.1.32.
    pub const COLMOD: u8 = 0x3A;
    /// Memory write continue (the datasheet's WRMEMC), 9.1.33.
    pub const RAMWRC: u8 = 0x3C;
    /// RAM control, 9.2.1.
    pub const RAMCTRL: u8 = 0xB0;
}

/// What follows a command.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Follows {
    /// This many parameters.
    Parameters(u8),
    /// Pixels, without end.
    Pixels,
    /// Something that does not change what the panel shows: analogue set-up, or what is read back. It is
    /// skipped, and not counted.
    Skipped,
}

/// The datasheet's name of a command; `None` if the ST7789V has no such command.
pub fn name(opcode: u8) -> Option<&'static str> {
    find(opcode).map(|(name, _)| name)
}

/// Name and what follows; `None` if the ST7789V has no such command.
pub(super) fn find(opcode: u8) -> Option<(&'static str, Follows)> {
    use Follows::{Parameters, Pixels, Skipped};
    Some(match opcode {
        opcode::NOP => ("NOP", Parameters(0)),
        opcode::SWRESET => ("SWRESET", Parameters(0)),
        0x04 => ("RDDID", Skipped),
        0x09 => ("RDDST", Skipped),
        0x0A => ("RDDPM", Skipped),
        0x0B => ("RDDMADCTL", Skipped),
        0x0C => ("RDDCOLMOD", Skipped),
        0x0D => ("RDDIM", Skipped),
        0x0E => ("RDDSM", Skipped),
        0x0F => ("RDDSDR", Skipped),
        opcode::SLPIN => ("SLPIN", Parameters(0)),
        opcode::SLPOUT => ("SLPOUT", Parameters(0)),
        opcode::PTLON => ("PTLON", Parameters(0)),
        opcode::NORON => ("NORON", Parameters(0)),
        opcode::INVOFF => ("INVOFF", Parameters(0)),
        opcode::INVON => ("INVON", Parameters(0)),
        0x26 => ("GAMSET", Skipped),
        opcode::DISPOFF => ("DISPOFF", Parameters(0)),
        opcode::DISPON => ("DISPON", Parameters(0)),
        opcode::CASET => ("CASET", Parameters(4)),
        opcode::RASET => ("RASET", Parameters(4)),
        opcode::RAMWR => ("RAMWR", Pixels),
        0x2E => ("RAMRD", Skipped),
        opcode::PTLAR => ("PTLAR", Parameters(4)),
        opcode::VSCRDEF => ("VSCRDEF", Parameters(6)),
        opcode::TEOFF => ("TEOFF", Parameters(0)),
        opcode::TEON => ("TEON", Parameters(1)),
        opcode::MADCTL => ("MADCTL", Parameters(1)),
        opcode::VSCSAD => ("VSCSAD", Parameters(2)),
        opcode::IDMOFF => ("IDMOFF", Parameters(0)),
        opcode::IDMON => ("IDMON", Parameters(0)),
        opcode::COLMOD => ("COLMOD", Parameters(1)),
        opcode::RAMWRC => ("RAMWRC", Pixels),
        0x3E => ("RAMRDC", Skipped),
        0x44 => ("TESCAN", Skipped),
        0x45 => ("RDTESCAN", Skipped),
        0x51 => ("WRDISBV", Skipped),
        0x52 => ("RDDISBV", Skipped),
        0x53 => ("WRCTRLD", Skipped),
        0x54 => ("RDCTRLD", Skipped),
        0x55 => ("WRCACE", Skipped),
        0x56 => ("RDCABC", Skipped),
        0x5E => ("WRCABCMB", Skipped),
        0x5F => ("RDCABCMB", Skipped),
        0x68 => ("RDABCSDR", Skipped),
        0xDA => ("RDID1", Skipped),
        0xDB => ("RDID2", Skipped),
        0xDC => ("RDID3", Skipped),
        opcode::RAMCTRL => ("RAMCTRL", Parameters(2)),
        0xB1 => ("RGBCTRL", Skipped),
        0xB2 => ("PORCTRL", Skipped),
        0xB3 => ("FRCTRL1", Skipped),
        0xB5 => ("PARCTRL", Skipped),
        0xB7 => ("GCTRL", Skipped),
        0xB8 => ("GTADJ", Skipped),
        0xBA => ("DGMEN", Skipped),
        0xBB => ("VCOMS", Skipped),
        0xBC => ("POWSAVE", Skipped),
        0xBD => ("DLPOFFSAVE", Skipped),
        0xC0 => ("LCMCTRL", Skipped),
        0xC1 => ("IDSET", Skipped),
        0xC2 => ("VDVVRHEN", Skipped),
        0xC3 => ("VRHS", Skipped),
        0xC4 => ("VDVS", Skipped),
        0xC5 => ("VCMOFSET", Skipped),
        0xC6 => ("FRCTRL2", Skipped),
        0xC7 => ("CABCCTRL", Skipped),
        0xC8 => ("REGSEL1", Skipped),
        0xCA => ("REGSEL2", Skipped),
        0xCC => ("PWMFRSEL", Skipped),
        0xD0 => ("PWCTRL1", Skipped),
        0xD2 => ("VAPVANEN", Skipped),
        0xDF => ("CMD2EN", Skipped),
        0xE0 => ("PVGAMCTRL", Skipped),
        0xE1 => ("NVGAMCTRL", Skipped),
        0xE2 => ("DGMLUTR", Skipped),
        0xE3 => ("DGMLUTB", Skipped),
        0xE4 => ("GATECTRL", Skipped),
        0xE7 => ("SPI2EN", Skipped),
        0xE8 => ("PWCTRL2", Skipped),
        0xE9 => ("EQCTRL", Skipped),
        0xEC => ("PROMCTRL", Skipped),
        0xFA => ("PROMEN", Skipped),
        0xFC => ("NVMSET", Skipped),
        0xFE => ("PROMACT", Skipped),
        _ => return None,
    })
}

/// A command's code. Shown as its name and code, as in `RAMWR (2Ch)`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
#[serde(transparent)]
pub struct Opcode(pub u8);

impl std::fmt::Display for Opcode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match name(self.0) {
            Some(name) => write!(f, "{name} ({:02X}h)", self.0),
            None => write!(f, "{:02X}h", self.0),
        }
    }
}
