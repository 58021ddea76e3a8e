//! What can go wrong with stored files.

use core::fmt;

/// Why the storage refused or failed. Sizes and offsets in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StoreError {
    /// No file of that name.
    NotFound,
    /// The file would not leave the reserve of the file system free, or there are
    /// [`MAX_PATTERNS`](super::MAX_PATTERNS) patterns already.
    NoSpace,
    /// A declared size outside `1..=262144`, or data beyond the declared size.
    SizeExceeded,
    /// Data that does not continue where the last piece ended.
    OutOfOrder {
        /// The only offset that would have been accepted.
        expected: u32,
    },
    /// The data that arrived has another CRC-32 than the one stated.
    CrcMismatch {
        /// Stated by the client.
        expected: u32,
        /// Of what arrived.
        calculated: u32,
    },
    /// The end was announced before all data had arrived.
    Incomplete {
        /// Arrived.
        received: u32,
        /// Declared.
        size: u32,
    },
    /// Another upload is in progress.
    Busy,
    /// No upload, or not this one, is in progress.
    NoSession,
    /// There is no memory for the request.
    NoMemory,
    /// The file system was not mounted.
    NotMounted,
    /// The flash chip or the file system failed.
    Io,
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound => f.write_str("not found"),
            Self::NoSpace => f.write_str("storage full"),
            Self::SizeExceeded => f.write_str("size exceeded"),
            Self::OutOfOrder { expected } => write!(f, "offset out of order, expected {expected}"),
            Self::CrcMismatch { expected, calculated } => {
                write!(f, "CRC mismatch, expected 0x{expected:08x}, calculated 0x{calculated:08x}")
            }
            Self::Incomplete { received, size } => {
                write!(f, "incomplete, {received} of {size} bytes")
            }
            Self::Busy => f.write_str("another upload is in progress"),
            Self::NoSession => f.write_str("no upload in progress"),
            Self::NoMemory => f.write_str("no memory"),
            Self::NotMounted => f.write_str("file system not mounted"),
            Self::Io => f.write_str("storage I/O error"),
        }
    }
}

impl core::error::Error for StoreError {}

impl From<littlefs_rust::Error> for StoreError {
    fn from(error: littlefs_rust::Error) -> Self {
        match error {
            littlefs_rust::Error::NoEntry => Self::NotFound,
            littlefs_rust::Error::NoSpace => Self::NoSpace,
            _ => Self::Io,
        }
    }
}
