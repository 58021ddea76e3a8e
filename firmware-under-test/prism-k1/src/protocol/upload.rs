//! One client's upload: from BEGIN to END, or until the client is gone.

use embassy_time::{Duration, with_timeout};

use super::{ErrorCode, Refusal};
use crate::defect::{self, Defect};
use crate::log::Log;
use crate::pool::Block;
use crate::storage::{PatternName, Storage, StoreError, UploadId};

/// How long the flash may take to make room for one piece, or to complete a file. Erasing the 64
/// sectors of the longest pattern takes up to 26 s by the data sheets of usual NOR chips (400 ms
/// each at worst), besides what the file system moves around.
const FLASH_DEADLINE: Duration = Duration::from_secs(60);

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        let (code, text) = match error {
            StoreError::NotFound => (ErrorCode::NotFound, "not found"),
            StoreError::NoSpace => (ErrorCode::Storage, "storage full"),
            StoreError::SizeExceeded => (ErrorCode::SizeExceeded, "size exceeded"),
            StoreError::OutOfOrder { .. } => (ErrorCode::Invalid, "offset out of order"),
            StoreError::CrcMismatch { .. } => (ErrorCode::CrcMismatch, "file CRC mismatch"),
            StoreError::Incomplete { .. } => (ErrorCode::Invalid, "upload incomplete"),
            StoreError::Busy => (ErrorCode::Invalid, "busy: another upload is in progress"),
            StoreError::NoSession => (ErrorCode::Invalid, "no upload in progress"),
            StoreError::NoMemory => (ErrorCode::Storage, "no memory"),
            StoreError::NotMounted => (ErrorCode::Storage, "storage not mounted"),
            StoreError::Io => (ErrorCode::Storage, "storage error"),
        };
        Self::new(code, text)
    }
}

struct Open {
    id: UploadId,
    /// What the file's CRC-32 is to be, when BEGIN said it.
    crc: Option<u32>,
}

/// The uploads of one client, one at a time. Dropping it gives an unfinished one up, so that the
/// next client's can begin.
pub struct Upload {
    storage: Storage,
    log: Log,
    open: Option<Open>,
}

impl Upload {
    /// A client that uploads nothing yet.
    #[must_use]
    pub fn new(storage: Storage, log: Log) -> Self {
        Self { storage, log, open: None }
    }

    /// Whether an upload is in progress.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Opens the upload of `size` bytes under `name`. `crc` is given when BEGIN states it.
    ///
    /// # Errors
    ///
    /// `Invalid` while any client's upload is in progress (one of this client's own is given up);
    /// `SizeExceeded`; `Storage`.
    pub async fn begin(&mut self, name: &PatternName, size: u32, crc: Option<u32>) -> Result<(), Refusal> {
        if self.is_open() && !defect::present(Defect::UploadsMixed) {
            self.abort();
            return Err(StoreError::Busy.into());
        }
        if defect::present(Defect::WholeFileInMemory) && !self.storage.has_memory(size as usize) {
            return Err(StoreError::NoMemory.into());
        }
        let id = with_timeout(FLASH_DEADLINE, self.storage.begin(name, size))
            .await
            .unwrap_or(Err(StoreError::Io))?;
        self.open = Some(Open { id, crc });
        match crc {
            Some(crc) => {
                self.log.info(
                    "protocol",
                    format_args!("PUT_BEGIN: filename='{name}' size={size} crc=0x{crc:08X}"),
                );
            }
            None => self.log.info("protocol", format_args!("PUT_BEGIN: filename='{name}' size={size}")),
        }
        Ok(())
    }

    /// Hands over the next piece: `data` without its first `skip` bytes. Waits while the flash is
    /// busy.
    ///
    /// # Errors
    ///
    /// `Invalid` without a BEGIN or for an offset that does not continue; `SizeExceeded`;
    /// `Storage`. The upload is given up.
    pub async fn data(&mut self, offset: u32, data: Block, skip: usize) -> Result<(), Refusal> {
        let id = self.open.as_ref().ok_or(StoreError::NoSession)?.id;
        let done = with_timeout(FLASH_DEADLINE, self.storage.append_from(id, offset, data, skip)).await;
        done.unwrap_or(Err(StoreError::Io)).map_err(|error| {
            self.abort();
            error.into()
        })
    }

    /// Ends the upload and waits until the file is stored. `crc` is given when END states it.
    ///
    /// # Errors
    ///
    /// `Invalid` without a BEGIN or before all data; `CrcMismatch`; `Storage`. The upload is over.
    pub async fn end(&mut self, crc: Option<u32>) -> Result<PatternName, Refusal> {
        if !self.is_open() && defect::present(Defect::StrayMessagesIgnored) {
            return Ok(PatternName::unnamed());
        }
        let open = self.open.take().ok_or(StoreError::NoSession)?;
        // Each profile states it once: `n` here, `f` in BEGIN. A client may even mix them.
        let Some(crc) = crc.or(open.crc) else {
            self.storage.abort(open.id);
            return Err(Refusal::invalid("no CRC was stated"));
        };
        let crc = if defect::present(Defect::CrcNotInverted) { !crc } else { crc };
        let stored = with_timeout(FLASH_DEADLINE, self.storage.finish(open.id, crc))
            .await
            .unwrap_or(Err(StoreError::Io));
        let log = &self.log;
        match stored {
            Ok(stored) => {
                log.info(
                    "protocol",
                    format_args!("PUT_END: CRC32 validation - expected=0x{crc:08X} calculated=0x{crc:08X}"),
                );
                log.info(
                    "protocol",
                    format_args!(
                        "PUT_END: Pattern '{}' uploaded successfully ({} bytes)",
                        stored.name, stored.size
                    ),
                );
                Ok(stored.name)
            }
            Err(error) => {
                if let StoreError::CrcMismatch { expected, calculated } = error {
                    log.info(
                        "protocol",
                        format_args!(
                            "PUT_END: CRC32 validation - expected=0x{expected:08X} calculated=0x{calculated:08X}"
                        ),
                    );
                    log.error("protocol", format_args!("PUT_END: CRC32 mismatch!"));
                } else {
                    log.error("protocol", format_args!("PUT_END: {error}"));
                }
                Err(error.into())
            }
        }
    }

    /// Gives the upload in progress up, if there is one.
    pub fn abort(&mut self) {
        if let Some(open) = self.open.take() {
            self.storage.abort(open.id);
        }
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if defect::present(Defect::UploadOutlivesClient) {
            return;
        }
        self.abort();
    }
}
