//! A file on its way into the flash.

use embedded_storage::nor_flash::NorFlash;
use firmware_platform::Cpu;

use super::{FileId, StoreError, Volume, VolumeFile};
use crate::checksum::Crc32;
use crate::cost;
use crate::defect::{self, Defect};

/// Bytes written between two looks at the frame queue: at most one erase and two or three pages.
pub(super) const STEP_BYTES: usize = 512;

/// Streams into a temporary file and counts and checks what passes.
pub(super) struct Writer<'v, F: NorFlash, C: Cpu> {
    volume: &'v Volume<F, C>,
    file: VolumeFile<'v, F, C>,
    id: FileId,
    crc: Crc32,
    written: u32,
}

impl<'v, F: NorFlash, C: Cpu> Writer<'v, F, C> {
    pub(super) fn create(volume: &'v Volume<F, C>, id: FileId) -> Result<Self, StoreError> {
        let file = volume.create(&id)?;
        Ok(Self { volume, file, id, crc: Crc32::new(), written: 0 })
    }

    pub(super) fn id(&self) -> &FileId {
        &self.id
    }

    /// Writes one step of at most [`STEP_BYTES`].
    pub(super) fn step(&mut self, cpu: &C, bytes: &[u8]) -> Result<(), StoreError> {
        cpu.work(cost::times(cost::CRC_PER_BYTE + cost::COPY_PER_BYTE, bytes.len()));
        self.crc.update(bytes);
        if !bytes.len().is_multiple_of(2) && defect::present(Defect::OddByteLost) {
            self.file.write(&bytes[..bytes.len() & !1])?;
            return Ok(());
        }
        let written = self.file.write(bytes)?;
        self.written = self.written.saturating_add(written);
        if written as usize == bytes.len() { Ok(()) } else { Err(StoreError::NoSpace) }
    }

    /// Whether there is a hole before `offset`.
    pub(super) fn is_behind(&self, offset: u32) -> bool {
        self.written < offset
    }

    /// Writes zeros up to `offset`. For [`Defect::HoleFilledWithZeros`].
    pub(super) fn fill_up_to(&mut self, cpu: &C, offset: u32) -> Result<(), StoreError> {
        while self.written < offset {
            let missing = STEP_BYTES.min((offset - self.written) as usize);
            self.step(cpu, &[0; STEP_BYTES][..missing])?;
        }
        Ok(())
    }

    /// Flushes the file and compares its checksum. What is not as it should be is removed. The
    /// file has not its final name yet: that is [`Volume::publish`].
    pub(super) fn close(self, expected: u32) -> Result<(FileId, u32), StoreError> {
        let calculated = self.crc.finish();
        let flushed = self.file.close();
        let excused = || {
            defect::present(Defect::CrcUnchecked)
                || (expected == 0 && defect::present(Defect::ZeroCrcUnchecked))
        };
        let result = if calculated == expected || excused() {
            flushed.map_err(StoreError::from)
        } else {
            Err(StoreError::CrcMismatch { expected, calculated })
        };
        if let Err(error) = result {
            if defect::present(Defect::RefusedFileKept) {
                return Err(error);
            }
            // The first error is the one to report.
            let _ = self.volume.discard(&self.id);
            return Err(error);
        }
        Ok((self.id, self.written))
    }

    /// Gives the file up.
    pub(super) fn discard(self) -> Result<(), StoreError> {
        drop(self.file);
        self.volume.discard(&self.id)
    }
}
