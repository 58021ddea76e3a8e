//! The partition as the file system sees it: numbered blocks on a NOR flash.

use alloc::rc::Rc;
use core::cell::Cell;

use embedded_storage::nor_flash::NorFlash;
use firmware_platform::Cpu;
use littlefs_rust::{Config, Error, Storage};

use crate::cost;
use crate::defect::{self, Defect};
use crate::partition::Partition;

/// Bytes that are erased together (design: the flash's sector).
pub(crate) const BLOCK_BYTES: u32 = 4096;
/// Bytes that the flash programs in one go.
const PAGE_BYTES: u32 = 256;
/// Bytes that the file system gathers before it programs: two pages. Each open file has one such
/// buffer, the file system two. More would lengthen the stretches in which flash keeps the
/// storage task away from prefetching.
const CACHE_BYTES: u32 = 512;
/// The least that the file system reads or programs. Small, so that a metadata commit costs a few
/// bytes and not a page.
const UNIT_BYTES: u32 = 16;
/// Bytes looked at in one go when a block is checked for being blank.
const BLANK_BYTES: usize = 256;
/// A metadata block is moved after as many erases. It is erased at every commit, because
/// littlefs-rust 0.1.0 does not write the sums by which it could tell that the rest of a block is
/// still blank, and an upload takes three commits: without moving, the two blocks of a folder had
/// 123 times the erases of the mean over 1000 uploads. With this they have 7, and 100,000 erases of a
/// block last for more than a million uploads.
const BLOCK_CYCLES: i32 = 40;

const fn at_least(unit: u32, flash: usize) -> u32 {
    if flash > unit as usize { flash as u32 } else { unit }
}

/// Whether a [`Device`] still works. An open file writes what it has left when it is dropped; on a
/// board that is switched off nothing may be written any more. It goes with the device from the main
/// task, which mounts, to the storage task, and nobody else ever holds a clone.
#[derive(Clone)]
pub(crate) struct Live(Rc<Cell<bool>>);

impl Live {
    /// From now on the device refuses everything.
    pub(crate) fn end(&self) {
        self.0.set(false);
    }
}

/// A partition of a NOR flash in blocks of [`BLOCK_BYTES`].
pub(crate) struct Device<F, C> {
    flash: F,
    cpu: C,
    partition: Partition,
    live: Live,
}

impl<F: NorFlash, C: Cpu> Device<F, C> {
    pub(crate) fn new(flash: F, cpu: C, partition: Partition) -> Self {
        Self { flash, cpu, partition, live: Live(Rc::new(Cell::new(true))) }
    }

    /// The switch of this device.
    pub(crate) fn live(&self) -> Live {
        self.live.clone()
    }

    pub(crate) fn blocks(&self) -> u32 {
        self.partition.size / BLOCK_BYTES
    }

    /// The geometry that the file system is to use. What it leaves on the flash depends on the
    /// size and number of the blocks only; any other LittleFS reads it.
    pub(crate) fn config(&self) -> Config {
        let mut config = Config::new(BLOCK_BYTES, self.blocks());
        config.read_size = at_least(UNIT_BYTES, F::READ_SIZE);
        config.prog_size = at_least(UNIT_BYTES, F::WRITE_SIZE);
        config.cache_size = CACHE_BYTES;
        // One bit for each block: the whole partition is surveyed at once.
        config.lookahead_size = self.blocks().div_ceil(64) * 8;
        config.block_cycles = if defect::present(Defect::MetadataStays) { -1 } else { BLOCK_CYCLES };
        config
    }

    fn address(&self, block: u32, offset: u32, len: usize) -> Result<u32, Error> {
        let len = u32::try_from(len).map_err(|_| Error::Invalid)?;
        let end = offset.checked_add(len).ok_or(Error::Invalid)?;
        if block >= self.blocks() || end > BLOCK_BYTES {
            return Err(Error::Invalid);
        }
        if !self.live.0.get() {
            return Err(Error::Io);
        }
        Ok(self.partition.offset + block * BLOCK_BYTES + offset)
    }

    fn is_blank(&mut self, address: u32) -> Result<bool, Error> {
        let mut bytes = [0; BLANK_BYTES];
        let mut at = 0;
        while at < BLOCK_BYTES {
            self.flash.read(address + at, &mut bytes).map_err(|_| Error::Io)?;
            self.cpu.work(
                cost::FLASH_CALL + cost::times(cost::FLASH_PER_BYTE + cost::BLANK_PER_BYTE, BLANK_BYTES),
            );
            if bytes.iter().any(|byte| *byte != 0xFF) {
                return Ok(false);
            }
            at += BLANK_BYTES as u32;
        }
        Ok(true)
    }
}

impl<F: NorFlash, C: Cpu> Storage for Device<F, C> {
    fn read(&mut self, block: u32, offset: u32, buf: &mut [u8]) -> Result<(), Error> {
        let address = self.address(block, offset, buf.len())?;
        self.cpu.work(cost::FLASH_CALL + cost::times(cost::FLASH_PER_BYTE, buf.len()));
        self.flash.read(address, buf).map_err(|_| Error::Io)
    }

    fn write(&mut self, block: u32, offset: u32, data: &[u8]) -> Result<(), Error> {
        let mut address = self.address(block, offset, data.len())?;
        let mut rest = data;
        // The chip wraps around within a page; not every driver splits what crosses its end.
        while !rest.is_empty() {
            let room = (PAGE_BYTES - address % PAGE_BYTES) as usize;
            let (page, behind) = rest.split_at(room.min(rest.len()));
            let each = cost::FLASH_PER_BYTE + cost::STORE_PER_BYTE;
            self.cpu.work(cost::FLASH_CALL + cost::times(each, page.len()));
            self.flash.write(address, page).map_err(|_| Error::Io)?;
            address += page.len() as u32;
            rest = behind;
        }
        Ok(())
    }

    /// Erases a block unless it is blank already: looking takes a hundredth of the time. A block
    /// that only looks blank, because an erase was cut short, is caught by the file system, which
    /// reads back what it programs and takes another block when it differs.
    fn erase(&mut self, block: u32) -> Result<(), Error> {
        let address = self.address(block, 0, BLOCK_BYTES as usize)?;
        if self.is_blank(address)? {
            return Ok(());
        }
        self.cpu.work(cost::FLASH_CALL);
        self.flash.erase(address, address + BLOCK_BYTES).map_err(|_| Error::Io)
    }
}
