//! The flash behind the loader: what it has to be able to do, and one in memory.

use crate::packet::Refusal;

/// Bytes that are erased together.
pub const SECTOR: u32 = 4096;
/// What an erased byte is.
const ERASED: u8 = 0xFF;

/// The chip did not do it. The loader tells the host so.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the flash did not do what it was told; look at what its owner says of it")]
pub struct FlashFailed;

/// A serial flash chip. Its owner implements it, over whatever holds the bytes. It is asked for nothing beyond
/// its end.
pub trait FlashChip {
    /// Bytes that it has: whole sectors, a power of two on a real one.
    fn size(&self) -> u32;

    /// Reads `bytes.len()` bytes from `address` on.
    ///
    /// # Errors
    /// [`FlashFailed`].
    fn read(&mut self, address: u32, bytes: &mut [u8]) -> Result<(), FlashFailed>;

    /// Makes `length` bytes from `address` on 0xFF: whole [`SECTOR`]s.
    ///
    /// # Errors
    /// [`FlashFailed`].
    fn erase(&mut self, address: u32, length: u32) -> Result<(), FlashFailed>;

    /// Programs `bytes` from `address` on: bits go from 1 to 0, and never back.
    ///
    /// # Errors
    /// [`FlashFailed`].
    fn program(&mut self, address: u32, bytes: &[u8]) -> Result<(), FlashFailed>;
}

/// Whether `flash` has all of so many bytes.
pub(crate) fn within(flash: &impl FlashChip, address: u32, length: u32) -> Result<(), Refusal> {
    let size = flash.size();
    let whole = size - size % SECTOR;
    let fits = address.checked_add(length).is_some_and(|end| end <= whole);
    if fits { Ok(()) } else { Err(Refusal::Flash) }
}

/// A flash chip in memory, erased at first.
#[derive(Clone, PartialEq, Eq)]
pub struct MemoryFlash(Vec<u8>);

impl MemoryFlash {
    /// One of so many sectors.
    #[must_use]
    pub fn new(sectors: u16) -> Self {
        MemoryFlash(vec![ERASED; usize::from(sectors) * SECTOR as usize])
    }

    /// All that it holds.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    fn at(&mut self, address: u32, length: usize) -> Result<&mut [u8], FlashFailed> {
        let start = usize::try_from(address).map_err(|_| FlashFailed)?;
        let end = start.checked_add(length).ok_or(FlashFailed)?;
        self.0.get_mut(start..end).ok_or(FlashFailed)
    }
}

impl FlashChip for MemoryFlash {
    fn size(&self) -> u32 {
        u32::try_from(self.0.len()).expect("65,535 sectors are less than 4 GiB")
    }

    fn read(&mut self, address: u32, bytes: &mut [u8]) -> Result<(), FlashFailed> {
        bytes.copy_from_slice(self.at(address, bytes.len())?);
        Ok(())
    }

    fn erase(&mut self, address: u32, length: u32) -> Result<(), FlashFailed> {
        let length = usize::try_from(length).map_err(|_| FlashFailed)?;
        self.at(address, length)?.fill(ERASED);
        Ok(())
    }

    fn program(&mut self, address: u32, bytes: &[u8]) -> Result<(), FlashFailed> {
        for (cell, byte) in self.at(address, bytes.len())?.iter_mut().zip(bytes) {
            *cell &= byte;
        }
        Ok(())
    }
}
