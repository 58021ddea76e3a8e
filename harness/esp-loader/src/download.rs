//! An image on its way into the flash, plain or compressed.

use flate2::{Decompress, FlushDecompress, Status};

use crate::flash::{FlashChip, SECTOR, within};
use crate::packet::{Dialect, Refusal};

/// Decompressed at once.
const CHUNK_BYTES: usize = 32 * 1024;

/// What comes between a beginning and an end.
pub(crate) struct Download {
    dialect: Dialect,
    encoding: Encoding,
    /// Where the next byte goes.
    at: u32,
    /// Bytes that are still to come.
    left: u32,
    /// Up to here it is erased.
    erased: u32,
}

enum Encoding {
    Plain,
    /// A zlib stream.
    Deflated(Box<Decompress>),
}

/// What a host says before it sends an image. The words of `FLASH_BEGIN` and `FLASH_DEFL_BEGIN`.
#[derive(Clone, Copy)]
pub(crate) struct Announcement {
    /// Bytes to be erased for it.
    pub(crate) size: u32,
    pub(crate) blocks: u32,
    pub(crate) block_size: u32,
    /// Where it goes.
    pub(crate) address: u32,
}

impl Download {
    /// A plain image. The ROM erases all that it needs now, a stub as it goes.
    pub(crate) fn plain(
        dialect: Dialect,
        said: Announcement,
        flash: &mut impl FlashChip,
    ) -> Result<Self, Refusal> {
        // The ROM counts the blocks, of which the last may be filled up, a stub the bytes.
        let bytes = match dialect {
            Dialect::Rom => said.blocks.checked_mul(said.block_size).ok_or(Refusal::Flash)?,
            Dialect::Stub => said.size,
        };
        Self::begin(dialect, said, bytes, Encoding::Plain, flash)
    }

    /// A compressed one, of whose bytes only the number is known that it has at the end.
    pub(crate) fn deflated(
        dialect: Dialect,
        said: Announcement,
        flash: &mut impl FlashChip,
    ) -> Result<Self, Refusal> {
        let encoding = Encoding::Deflated(Box::new(Decompress::new(true)));
        Self::begin(dialect, said, said.size, encoding, flash)
    }

    fn begin(
        dialect: Dialect,
        said: Announcement,
        bytes: u32,
        encoding: Encoding,
        flash: &mut impl FlashChip,
    ) -> Result<Self, Refusal> {
        within(flash, said.address, bytes)?;
        within(flash, said.address, said.size)?;
        let first = said.address - said.address % SECTOR;
        let mut download = Download { dialect, encoding, at: said.address, left: bytes, erased: first };
        if dialect == Dialect::Rom {
            download.erase_to(said.address + said.size, flash)?;
        }
        Ok(download)
    }

    /// Takes the next block.
    pub(crate) fn take(&mut self, block: &[u8], flash: &mut impl FlashChip) -> Result<(), Refusal> {
        if matches!(self.encoding, Encoding::Plain) {
            return self.write(block, flash);
        }
        let mut rest = block;
        loop {
            let Encoding::Deflated(stream) = &mut self.encoding else { return Ok(()) };
            let (taken, given) = (stream.total_in(), stream.total_out());
            let mut bytes = vec![0; CHUNK_BYTES];
            let status =
                stream.decompress(rest, &mut bytes, FlushDecompress::None).map_err(|_| Refusal::Inflate)?;
            // Both are differences within one call, and no longer than its buffers.
            let taken = (stream.total_in() - taken) as usize;
            let given = (stream.total_out() - given) as usize;
            rest = &rest[taken..];
            self.write(&bytes[..given], flash)?;
            if status == Status::StreamEnd || (taken == 0 && given == 0) {
                break;
            }
        }
        // What follows the stream's end belongs to nothing.
        if rest.is_empty() { Ok(()) } else { Err(Refusal::TooMuch) }
    }

    /// Whether all that was announced has come.
    pub(crate) fn is_whole(&self) -> bool {
        self.left == 0
    }

    fn write(&mut self, bytes: &[u8], flash: &mut impl FlashChip) -> Result<(), Refusal> {
        let mut length = u32::try_from(bytes.len()).map_err(|_| Refusal::TooMuch)?;
        if length > self.left {
            // The host fills the last block up. A stub knows how much of it counts.
            match (self.dialect, &self.encoding) {
                (Dialect::Stub, Encoding::Plain) => length = self.left,
                _ => return Err(Refusal::TooMuch),
            }
        }
        if self.dialect == Dialect::Stub {
            self.erase_to(self.at + length, flash)?;
        }
        flash.program(self.at, &bytes[..length as usize]).map_err(|_| Refusal::Flash)?;
        self.at += length;
        self.left -= length;
        Ok(())
    }

    /// Erases whole sectors up to `end`.
    fn erase_to(&mut self, end: u32, flash: &mut impl FlashChip) -> Result<(), Refusal> {
        if end <= self.erased {
            return Ok(());
        }
        let length = (end - self.erased).next_multiple_of(SECTOR);
        flash.erase(self.erased, length).map_err(|_| Refusal::Flash)?;
        self.erased += length;
        Ok(())
    }
}
