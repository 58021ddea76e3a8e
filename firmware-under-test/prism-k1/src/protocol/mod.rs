//! What clients say to the device: type-length-value messages in two profiles.
//!
//! Profile `n` ([`seed`]) is the seed's (section 4): types 0x01 to 0x03, little-endian, no frame
//! CRC. Profile `f` ([`framed`]) is the interoperability profile of specification section 1.3:
//! types 0x10 to 0x30, big-endian, a CRC-32 on every frame. Their type bytes are disjoint, so one
//! socket serves both and a message's first byte says which it is. Replies are always framed in
//! profile `f` (specification section 15 a).

pub mod framed;
pub mod seed;
pub mod session;
pub mod upload;

use crate::PATTERN_BYTES_MAX;
use crate::defect::{self, Defect};

/// Why a request was refused, as the ERROR frame says it (specification section 1.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum ErrorCode {
    /// The message is malformed, or does not fit the state (a second BEGIN, DATA without BEGIN).
    Invalid = 0x01,
    /// A frame's or a file's CRC-32 does not match.
    CrcMismatch = 0x02,
    /// A size beyond what was declared or what the device takes.
    SizeExceeded = 0x03,
    /// The storage is full or failed, or no memory was left.
    Storage = 0x04,
    /// No pattern or template of that name.
    NotFound = 0x05,
}

/// A refused request: the ERROR frame's contents.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Refusal {
    /// The code.
    pub code: ErrorCode,
    /// What a human should read, at most 80 characters of ASCII.
    pub text: &'static str,
}

impl Refusal {
    pub(crate) const fn new(code: ErrorCode, text: &'static str) -> Self {
        Self { code, text }
    }

    pub(crate) const fn invalid(text: &'static str) -> Self {
        Self::new(ErrorCode::Invalid, text)
    }
}

/// Checks a file's declared size: 1 to 262,144 bytes (seed section 4, specification 11 row 22).
pub(crate) fn check_file_size(size: u32) -> Result<u32, Refusal> {
    match size {
        PATTERN_BYTES_MAX if defect::present(Defect::FileLimitTooLow) => {
            Err(Refusal::new(ErrorCode::SizeExceeded, "pattern exceeds 262143 bytes"))
        }
        1..=PATTERN_BYTES_MAX => Ok(size),
        0 if defect::present(Defect::EmptyFileAccepted) => Ok(size),
        1.. if defect::present(Defect::FileSizeUnchecked) => Ok(size),
        0 => Err(Refusal::new(ErrorCode::SizeExceeded, "pattern size must not be 0")),
        _ => Err(Refusal::new(ErrorCode::SizeExceeded, "pattern exceeds 262144 bytes")),
    }
}

/// Takes integers off the front of a payload; `None` when it is too short.
pub(crate) fn split_array<const N: usize>(bytes: &[u8]) -> Option<([u8; N], &[u8])> {
    bytes.split_first_chunk::<N>().map(|(head, rest)| (*head, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_garbage_makes_a_parser_panic() {
        let mut state = 0x2545_F491u32;
        let mut random = move || {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state
        };
        let mut message = [0; 80];
        for _ in 0..200_000 {
            let len = random() as usize % message.len();
            let message = &mut message[..len];
            message.fill_with(|| random() as u8);
            if let [first, high, low, ..] = message {
                // Often a known type and a right length, so that the payload is looked at.
                *first = [1, 2, 3, 0x10, 0x11, 0x12, 0x20, 0x21, 0x22, 0x30, 0xFF][random() as usize % 11];
                let is_seed = seed::is_type(*first);
                let payload = len.saturating_sub(if is_seed { 3 } else { 7 }) as u16;
                let bytes = if is_seed { payload.to_le_bytes() } else { payload.to_be_bytes() };
                (*high, *low) = (bytes[0], bytes[1]);
                if let Some((framed, crc)) = message.split_last_chunk_mut::<4>()
                    && !is_seed
                {
                    *crc = crate::checksum::Crc32::of(framed).to_be_bytes();
                }
            }
            let _ = seed::parse(message);
            let _ = framed::parse(message);
            let _ = crate::console::parse(message);
            let _ = crate::net::upgrade::parse(message);
        }
    }
}
