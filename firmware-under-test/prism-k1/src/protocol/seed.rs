//! Profile `n`: the seed's three messages (seed section 4, layout in specification section 1.2).
//!
//! `type:u8 | len:u16 LE | value[len]`, one per WebSocket message. A message carries no frame CRC;
//! PUT_END carries the CRC-32 of the whole file.

use super::{Refusal, check_file_size, split_array};
use crate::defect::{self, Defect};

/// Opens an upload: the value is the file's size.
pub const PUT_BEGIN: u8 = 0x01;
/// A piece of the file: the value is its offset and its bytes.
pub const PUT_DATA: u8 = 0x02;
/// Ends an upload: the value is the CRC-32 of the whole file.
pub const PUT_END: u8 = 0x03;

/// A message of profile `n`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Request<'a> {
    /// Opens an upload.
    PutBegin {
        /// Bytes of the file, 1 to 262,144.
        size: u32,
    },
    /// A piece of the file.
    PutData {
        /// Where in the file it begins, in bytes.
        offset: u32,
        /// At least one byte. The whole message has at most 4096 bytes, so at most 4089.
        data: &'a [u8],
    },
    /// Ends an upload.
    PutEnd {
        /// CRC-32 of the whole file.
        crc: u32,
    },
}

/// Whether a message that begins with `first` is of this profile.
#[must_use]
pub fn is_type(first: u8) -> bool {
    matches!(first, PUT_BEGIN..=PUT_END)
}

/// Reads one message.
///
/// # Errors
///
/// `Invalid` for a wrong length or type; `SizeExceeded` for a file of 0 or more than 262,144 bytes.
pub fn parse(message: &[u8]) -> Result<Request<'_>, Refusal> {
    let too_short = Refusal::invalid("message shorter than its header");
    let ([kind, low, high], value) = split_array(message).ok_or(too_short)?;
    if usize::from(u16::from_le_bytes([low, high])) != value.len()
        && !defect::present(Defect::LengthUnchecked)
    {
        return Err(Refusal::invalid("length field does not match the message"));
    }
    match kind {
        PUT_END if defect::present(Defect::EndTypeMissing) => Err(Refusal::invalid("unknown message type")),
        PUT_END if value.is_empty() && defect::present(Defect::ZeroCrcUnchecked) => {
            Ok(Request::PutEnd { crc: 0 })
        }
        PUT_DATA if value.len() > 4089 && defect::present(Defect::OffsetCountsAsData) => {
            Err(Refusal::invalid("PUT_DATA exceeds 4089 bytes"))
        }
        PUT_BEGIN => {
            let size = <[u8; 4]>::try_from(value).map_err(|_| Refusal::invalid("PUT_BEGIN needs 4 bytes"))?;
            Ok(Request::PutBegin { size: check_file_size(u32::from_le_bytes(size))? })
        }
        PUT_DATA => match split_array(value) {
            Some((offset, data)) if !data.is_empty() => {
                Ok(Request::PutData { offset: u32::from_le_bytes(offset), data })
            }
            _ => Err(Refusal::invalid("PUT_DATA needs an offset and data")),
        },
        PUT_END => {
            let crc = <[u8; 4]>::try_from(value).map_err(|_| Refusal::invalid("PUT_END needs 4 bytes"))?;
            Ok(Request::PutEnd { crc: u32::from_le_bytes(crc) })
        }
        _ => Err(Refusal::invalid("unknown message type")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::ErrorCode;
    use super::*;

    #[test]
    fn the_vectors_of_the_specification_are_read() {
        assert_eq!(parse(&[1, 4, 0, 0, 1, 0, 0]), Ok(Request::PutBegin { size: 256 }));
        assert_eq!(parse(&[3, 4, 0, 0x73, 0x8c, 0x05, 0x29]), Ok(Request::PutEnd { crc: 0x2905_8C73 }));
        assert_eq!(
            parse(&[2, 6, 0, 1, 2, 0, 0, 0xAA, 0xBB]),
            Ok(Request::PutData { offset: 0x201, data: &[0xAA, 0xBB] })
        );
    }

    #[test]
    fn the_longest_message_is_read() {
        let mut message = std::vec![0x5A; 4096];
        message[..7].copy_from_slice(&[2, 0xFD, 0x0F, 0, 0, 0, 0]);
        match parse(&message) {
            Ok(Request::PutData { offset: 0, data }) => assert_eq!(data.len(), 4089),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn sizes_out_of_range_are_refused_with_their_code() {
        for (size, code) in [
            (0, Some(ErrorCode::SizeExceeded)),
            (1, None),
            (262_144, None),
            (262_145, Some(ErrorCode::SizeExceeded)),
            (u32::MAX, Some(ErrorCode::SizeExceeded)),
        ] {
            let mut message = [1, 4, 0, 0, 0, 0, 0];
            message[3..].copy_from_slice(&u32::to_le_bytes(size));
            assert_eq!(parse(&message).err().map(|refusal| refusal.code), code, "{size}");
        }
    }

    #[test]
    fn every_wrong_length_is_refused() {
        let good = [1u8, 4, 0, 0, 1, 0, 0];
        for len in 0..good.len() {
            assert!(parse(&good[..len]).is_err());
        }
        for declared in (0..=u16::MAX).filter(|declared| *declared != 4) {
            let mut message = good;
            message[1..3].copy_from_slice(&declared.to_le_bytes());
            assert!(parse(&message).is_err());
        }
        assert!(parse(&[2, 4, 0, 0, 0, 0, 0]).is_err(), "DATA without data");
        assert!(parse(&[3, 0, 0]).is_err());
        assert!(parse(&[1, 5, 0, 0, 1, 0, 0, 0]).is_err());
        assert!(parse(&[4, 0, 0]).is_err());
    }
}
