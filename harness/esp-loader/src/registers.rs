//! The chip's registers, as far as flashing tools look at them: who the chip is, and the controller through
//! which they talk to the flash behind the loader's back.

use std::collections::BTreeMap;

use crate::chip::Chip;

/// Where each chip's ROM has a word that tells which one it is.
const MAGIC: u32 = 0x4000_1000;
/// How many written registers are remembered.
const MAX_WRITTEN: usize = 1024;

/// Registers of the SPI controller, from its first one on.
const SPI_CMD: u32 = 0x00;
const SPI_USR2: u32 = 0x20;
const SPI_MISO_DLEN: u32 = 0x28;
const SPI_W0: u32 = 0x58;
/// The bit of the first that starts a command which the other registers describe.
const START: u32 = 1 << 18;

/// Commands of serial flash chips (W25Q64JV's data sheet, 8.1).
const READ_ID: u32 = 0x9F;
const READ_STATUS: [u32; 3] = [0x05, 0x35, 0x15];
/// Winbond's number, and that of its chips with 3.3 V and quad transfers.
const WINBOND: u32 = 0xEF;
const W25Q: u32 = 0x40;

pub(crate) struct Registers {
    chip: Chip,
    mac: [u8; 6],
    /// The base-two logarithm of the flash's size.
    capacity: u32,
    written: BTreeMap<u32, u32>,
}

impl Registers {
    pub(crate) fn new(chip: Chip, mac: [u8; 6], flash_size: u32) -> Self {
        Registers { chip, mac, capacity: flash_size.checked_ilog2().unwrap_or(0), written: BTreeMap::new() }
    }

    /// What reset does.
    pub(crate) fn reset(&mut self) {
        self.written.clear();
    }

    pub(crate) fn read(&self, address: u32) -> u32 {
        let [a, b, c, d, e, f] = self.mac;
        let efuse = self.chip.efuse_block1();
        match address {
            MAGIC => self.chip.magic(),
            _ if address == efuse => u32::from_be_bytes([c, d, e, f]),
            _ if address == efuse + 4 => u32::from_be_bytes([0, 0, a, b]),
            _ if address == efuse + 12 => self.chip.revision_word(),
            // A command is over as soon as it was started.
            _ if address == self.chip.spi_base() + SPI_CMD => 0,
            _ => self.written.get(&address).copied().unwrap_or(0),
        }
    }

    /// Writes the bits of `mask`.
    pub(crate) fn write(&mut self, address: u32, value: u32, mask: u32) {
        let value = (value & mask) | (self.read(address) & !mask);
        let spi = self.chip.spi_base();
        if address == spi + SPI_CMD {
            if value & START != 0 {
                let answer = self.flash_answers();
                self.remember(spi + SPI_W0, answer);
            }
        } else {
            self.remember(address, value);
        }
    }

    /// What the flash puts into the first data register, at most as many bits as were asked for.
    fn flash_answers(&self) -> u32 {
        let spi = self.chip.spi_base();
        let answer = match self.read(spi + SPI_USR2) & 0xFF {
            READ_ID => WINBOND | (W25Q << 8) | (self.capacity << 16),
            // Not busy, nothing protected.
            command if READ_STATUS.contains(&command) => 0,
            _ => return self.read(spi + SPI_W0),
        };
        let bits = (self.read(spi + SPI_MISO_DLEN) & 0x3FF) + 1;
        answer & u32::MAX.checked_shr(32_u32.saturating_sub(bits)).unwrap_or(0)
    }

    fn remember(&mut self, address: u32, value: u32) {
        if self.written.len() < MAX_WRITTEN || self.written.contains_key(&address) {
            self.written.insert(address, value);
        }
    }
}
