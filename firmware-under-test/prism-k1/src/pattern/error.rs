//! Why a file is not a playable pattern.

use core::fmt;

/// Why a file cannot be played. `frame` counts from 0.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PatternError {
    /// Neither P11 nor a whole number of raw frames, or not even one raw frame.
    Unknown,
    /// The file ends before the format says so.
    Truncated,
    /// Bytes follow where the format ends.
    TrailingBytes,
    /// A version other than 1.0 and 1.1.
    Version(u16),
    /// A pixel count other than 160.
    LedCount(u16),
    /// No frame, or more than the file can hold.
    FrameCount(u32),
    /// More frames in a second than [`p11::MAX_RATE`](super::p11::MAX_RATE) allows.
    Rate(u32),
    /// The checksum over the header differs.
    HeaderCrc,
    /// The number of colours is not within 1..=64.
    PaletteCount(u16),
    /// The first frame refers to one before it.
    DeltaFirst,
    /// A frame's data ends before its last pixel.
    Segment {
        /// Which one.
        frame: u32,
    },
    /// A pixel has a colour that the palette has not.
    Index {
        /// Which one.
        frame: u32,
    },
    /// The checksum over palette and frames differs.
    PayloadCrc,
    /// The file could not be read.
    Read,
    /// There is no memory to unpack it in.
    Memory,
}

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("not a pattern"),
            Self::Truncated => f.write_str("truncated"),
            Self::TrailingBytes => f.write_str("trailing bytes"),
            Self::Version(version) => write!(f, "unknown version 0x{version:04x}"),
            Self::LedCount(count) => write!(f, "{count} LEDs, not 160"),
            Self::FrameCount(count) => write!(f, "impossible frame count {count}"),
            Self::Rate(rate) => write!(f, "{rate}/256 frames per second are too many"),
            Self::HeaderCrc => f.write_str("header CRC mismatch"),
            Self::PaletteCount(count) => write!(f, "{count} palette entries"),
            Self::DeltaFirst => f.write_str("first frame is a delta"),
            Self::Segment { frame } => write!(f, "frame {frame}: truncated segment"),
            Self::Index { frame } => write!(f, "frame {frame}: index outside the palette"),
            Self::PayloadCrc => f.write_str("payload CRC mismatch"),
            Self::Read => f.write_str("read failed"),
            Self::Memory => f.write_str("no memory"),
        }
    }
}

impl core::error::Error for PatternError {}

impl From<super::SourceError> for PatternError {
    fn from(_: super::SourceError) -> Self {
        Self::Read
    }
}
