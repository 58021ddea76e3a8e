//! Profile `f`: framed messages with a CRC (specification section 1.3).
//!
//! `type:u8 | len:u16 BE | payload[len] | crc:u32 BE`, the CRC-32 over everything before it. One
//! frame per WebSocket message: 7 to 4096 bytes, no trailing bytes. Pure functions.

use core::fmt::{self, Write as _};

use super::{ErrorCode, Refusal, check_file_size, split_array};
use crate::checksum::Crc32;
use crate::defect::{self, Defect};

/// Opens an upload.
pub const PUT_BEGIN: u8 = 0x10;
/// A piece of the file.
pub const PUT_DATA: u8 = 0x11;
/// Ends an upload.
pub const PUT_END: u8 = 0x12;
/// Controls the playback.
pub const CONTROL: u8 = 0x20;
/// Deletes a pattern.
pub const DELETE: u8 = 0x21;
/// Lists the patterns.
pub const LIST: u8 = 0x22;
/// Asks for the device's status, and answers every request that went well.
pub const STATUS: u8 = 0x30;
/// Answers a request that was refused.
pub const ERROR: u8 = 0xFF;

/// Bytes of type, length and CRC around a payload.
pub const OVERHEAD: usize = 7;
/// Bytes of the longest frame.
pub const FRAME_MAX: usize = crate::WS_MESSAGE_MAX;
/// Bytes of the longest payload, 4089; STATUS reports it as `max_chunk`.
pub const PAYLOAD_MAX: usize = FRAME_MAX - OVERHEAD;
/// Characters of the longest name in a request.
pub const NAME_MAX: usize = 63;
/// Bytes of the longest reply other than LIST's: an ERROR with 80 characters of text.
pub const SHORT_REPLY_MAX: usize = OVERHEAD + 1 + 80;
/// Bytes of a LIST entry besides its name: length, size, time.
pub const LIST_ENTRY_OVERHEAD: usize = 2 + 4 + 4;

/// A message of profile `f`. Names are as received, not normalised.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Request<'a> {
    /// Opens an upload.
    PutBegin {
        /// 1 to 63 bytes.
        name: &'a [u8],
        /// Bytes of the file, 1 to 262,144.
        size: u32,
        /// CRC-32 of the whole file.
        crc: u32,
    },
    /// A piece of the file.
    PutData {
        /// Where in the file it begins, in bytes.
        offset: u32,
        /// 0 to 4085 bytes.
        data: &'a [u8],
    },
    /// Ends an upload. The payload's content is ignored.
    PutEnd,
    /// Plays a stored pattern.
    Play {
        /// 1 to 63 bytes.
        name: &'a [u8],
    },
    /// Goes dark.
    Stop,
    /// Ramps the brightness.
    Brightness {
        /// Where to, 0 to 255.
        target: u8,
        /// Milliseconds, not limited yet.
        duration_ms: u16,
    },
    /// Ramps the gamma.
    Gamma {
        /// Where to, in hundredths, not limited yet.
        x100: u16,
        /// Milliseconds, not limited yet.
        duration_ms: u16,
    },
    /// Plays an embedded template.
    DeployTemplate {
        /// 1 to 63 bytes.
        id: &'a [u8],
    },
    /// Deletes a pattern.
    Delete {
        /// 1 to 64 bytes.
        name: &'a [u8],
    },
    /// Lists the patterns.
    List,
    /// Asks for the device's status.
    Status,
}

/// Reads one message.
///
/// # Errors
///
/// `CrcMismatch` for a frame whose CRC is wrong; `SizeExceeded` for a file of 0 or more than
/// 262,144 bytes; `Invalid` for everything else, PAUSE and RESUME included.
pub fn parse(message: &[u8]) -> Result<Request<'_>, Refusal> {
    if message.len() > FRAME_MAX {
        return Err(Refusal::new(ErrorCode::SizeExceeded, "frame exceeds 4096 bytes"));
    }
    let too_short = Refusal::invalid("frame shorter than 7 bytes");
    let (framed, crc) = message.split_last_chunk::<4>().ok_or(too_short)?;
    let ([kind, high, low], payload) = split_array(framed).ok_or(too_short)?;
    if usize::from(u16::from_be_bytes([high, low])) != payload.len()
        && !defect::present(Defect::LengthUnchecked)
    {
        return Err(Refusal::invalid("length field does not match the frame"));
    }
    if u32::from_be_bytes(*crc) != Crc32::of(framed) && !defect::present(Defect::FrameCrcUnchecked) {
        return Err(Refusal::new(ErrorCode::CrcMismatch, "frame CRC mismatch"));
    }
    match kind {
        PUT_BEGIN => parse_begin(payload),
        PUT_DATA => {
            let (offset, data) = split_array(payload).ok_or(Refusal::invalid("PUT_DATA needs an offset"))?;
            if defect::present(Defect::OffsetByteOrder) {
                return Ok(Request::PutData { offset: u32::from_le_bytes(offset), data });
            }
            Ok(Request::PutData { offset: u32::from_be_bytes(offset), data })
        }
        PUT_END if payload.len() != 4 && defect::present(Defect::EndNeedsPayload) => {
            Err(Refusal::invalid("PUT_END needs 4 bytes"))
        }
        PUT_END => Ok(Request::PutEnd),
        CONTROL => parse_control(payload),
        DELETE => match payload.len() {
            1..=64 => Ok(Request::Delete { name: payload }),
            _ => Err(Refusal::invalid("DELETE needs a name of 1 to 64 bytes")),
        },
        LIST => Ok(Request::List),
        STATUS => Ok(Request::Status),
        _ if defect::present(Defect::UnknownTypeAcknowledged) => Ok(Request::Status),
        _ => Err(Refusal::invalid("unknown message type")),
    }
}

fn parse_begin(payload: &[u8]) -> Result<Request<'_>, Refusal> {
    let wrong = Refusal::invalid("PUT_BEGIN needs name length, name, size and CRC");
    let ([name_len], rest) = split_array(payload).ok_or(wrong)?;
    let name_len = usize::from(name_len);
    if defect::present(Defect::NameReadBeyondMessage) {
        let _ = rest.split_at(name_len);
    }
    if !(1..=NAME_MAX).contains(&name_len) && !defect::present(Defect::NameLengthUnchecked) {
        return Err(Refusal::invalid("name must have 1 to 63 bytes"));
    }
    let (name, rest) = rest.split_at_checked(name_len).ok_or(wrong)?;
    let (size, rest) = split_array(rest).ok_or(wrong)?;
    let crc = <[u8; 4]>::try_from(rest).map_err(|_| wrong)?;
    Ok(Request::PutBegin {
        name,
        size: check_file_size(u32::from_be_bytes(size))?,
        crc: u32::from_be_bytes(crc),
    })
}

fn parse_control(payload: &[u8]) -> Result<Request<'_>, Refusal> {
    let ([sub], params) = split_array(payload).ok_or(Refusal::invalid("CONTROL needs a sub-command"))?;
    let params = match (sub, params) {
        (0x10, [_, _, _, ..]) if defect::present(Defect::ControlLengthsUnchecked) => &params[..3],
        (0x11, [_, _, _, _, ..]) if defect::present(Defect::ControlLengthsUnchecked) => &params[..4],
        _ => params,
    };
    match (sub, params) {
        (0x01, _) => Ok(Request::Play { name: counted_name(params)? }),
        (0x02, []) => Ok(Request::Stop),
        (0x03 | 0x04, _) if defect::present(Defect::PauseAccepted) => Ok(Request::Stop),
        (0x03 | 0x04, _) => Err(Refusal::invalid("PAUSE and RESUME are not supported")),
        (0x10, [target, high, low]) => {
            Ok(Request::Brightness { target: *target, duration_ms: u16::from_be_bytes([*high, *low]) })
        }
        (0x11, [gamma_high, gamma_low, high, low]) => Ok(Request::Gamma {
            x100: u16::from_be_bytes([*gamma_high, *gamma_low]),
            duration_ms: u16::from_be_bytes([*high, *low]),
        }),
        (0x12, _) => Ok(Request::DeployTemplate { id: counted_name(params)? }),
        (0x02 | 0x10 | 0x11, _) => Err(Refusal::invalid("wrong number of CONTROL parameters")),
        _ => Err(Refusal::invalid("unknown CONTROL sub-command")),
    }
}

/// `len:u8, name[len]` with nothing behind it.
fn counted_name(params: &[u8]) -> Result<&[u8], Refusal> {
    match params.split_first() {
        Some((len, name)) if defect::present(Defect::ControlLengthsUnchecked) => {
            Ok(name.get(..usize::from(*len)).unwrap_or(name))
        }
        Some((len, name)) if (1..=NAME_MAX).contains(&name.len()) && usize::from(*len) == name.len() => {
            Ok(name)
        }
        _ => Err(Refusal::invalid("name must have 1 to 63 bytes")),
    }
}

/// Builds one frame in a buffer of the caller's. A payload that does not fit is an error of
/// [`finish`](Self::finish); nothing is written beyond the buffer or [`FRAME_MAX`].
pub struct FrameWriter<'a> {
    buffer: &'a mut [u8],
    /// Bytes so far, header included.
    len: usize,
    overflow: bool,
}

impl<'a> FrameWriter<'a> {
    /// Begins a frame of type `kind`.
    pub fn new(buffer: &'a mut [u8], kind: u8) -> Self {
        let limit = buffer.len().min(FRAME_MAX);
        let buffer = &mut buffer[..limit];
        let mut writer = Self { buffer, len: 0, overflow: false };
        if limit < OVERHEAD {
            writer.overflow = true;
        } else {
            writer.buffer[0] = kind;
            writer.len = 3;
        }
        writer
    }

    /// Bytes of payload that still fit.
    #[must_use]
    pub fn room(&self) -> usize {
        if self.overflow { 0 } else { self.buffer.len() - 4 - self.len }
    }

    /// Appends bytes to the payload.
    pub fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        if bytes.len() > self.room() {
            self.overflow = true;
        } else {
            self.buffer[self.len..][..bytes.len()].copy_from_slice(bytes);
            self.len += bytes.len();
        }
        self
    }

    /// Overwrites bytes of the payload that are there already.
    pub fn patch(&mut self, at: usize, bytes: &[u8]) {
        if let Some(place) =
            self.buffer[..self.len].get_mut(3 + at..).and_then(|rest| rest.get_mut(..bytes.len()))
        {
            place.copy_from_slice(bytes);
        }
    }

    /// Fills in length and CRC and gives the bytes of the whole frame; `None` after an overflow.
    #[must_use]
    pub fn finish(self) -> Option<usize> {
        if self.overflow {
            return None;
        }
        let payload = u16::try_from(self.len - 3).ok()?;
        self.buffer[1..3].copy_from_slice(&payload.to_be_bytes());
        let crc = Crc32::of(&self.buffer[..self.len]);
        self.buffer[self.len..][..4].copy_from_slice(&crc.to_be_bytes());
        Some(self.len + 4)
    }
}

impl fmt::Write for FrameWriter<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.bytes(text.as_bytes());
        if self.overflow { Err(fmt::Error) } else { Ok(()) }
    }
}

/// A reply that fits a small buffer: every one but LIST's.
pub type ShortReply = heapless::Vec<u8, SHORT_REPLY_MAX>;

fn short(kind: u8, fill: impl FnOnce(&mut FrameWriter<'_>)) -> ShortReply {
    let mut reply = ShortReply::new();
    // All arrays and names that callers pass are shorter than the buffer, so nothing overflows.
    let _ = reply.resize_default(SHORT_REPLY_MAX);
    let mut writer = FrameWriter::new(&mut reply, kind);
    fill(&mut writer);
    let len = writer.finish().unwrap_or(0);
    reply.truncate(len);
    reply
}

/// An ERROR frame. Text beyond 80 bytes is cut.
#[must_use]
pub fn error(refusal: Refusal) -> ShortReply {
    short(ERROR, |frame| {
        frame.bytes(&[refusal.code as u8]);
        let text = refusal.text.as_bytes();
        let cut = text.len().min(frame.room());
        frame.bytes(&text[..cut]);
    })
}

/// The STATUS after a PUT_END that went well: `name_len:u8, name`, no leading zero.
#[must_use]
pub fn stored(name: &str) -> ShortReply {
    let name = &name.as_bytes()[..name.len().min(NAME_MAX)];
    short(STATUS, |frame| {
        frame.bytes(&[name.len() as u8]).bytes(name);
    })
}

/// The STATUS after a CONTROL or DELETE that went well: 0x00, then `detail`.
#[must_use]
pub fn done(detail: fmt::Arguments<'_>) -> ShortReply {
    short(STATUS, |frame| {
        if !defect::present(Defect::AnswersWithoutZero) {
            frame.bytes(&[0]);
        }
        let _ = frame.write_fmt(detail);
    })
}

/// What a STATUS request is answered with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DeviceStatus<'a> {
    /// The firmware's version, for example "1.0.0".
    pub version: &'a str,
    /// Pixels.
    pub led_count: u16,
    /// Bytes that the file system has free.
    pub bytes_free: u32,
    /// Embedded templates.
    pub template_count: u8,
}

/// The STATUS reply to a STATUS request: the little-endian fields of specification section 1.3.
#[must_use]
pub fn device_status(status: &DeviceStatus<'_>) -> ShortReply {
    let version = &status.version.as_bytes()[..status.version.len().min(NAME_MAX)];
    short(STATUS, |frame| {
        frame
            .bytes(&(version.len() as u32).to_le_bytes())
            .bytes(version)
            .bytes(&status.led_count.to_le_bytes())
            .bytes(&status.bytes_free.to_le_bytes())
            .bytes(&(PAYLOAD_MAX as u16).to_le_bytes())
            .bytes(&[status.template_count]);
    })
}

/// Builds the reply to LIST: `count:u16 BE`, then per entry `name_len:u16 BE, name, size:u32 LE,
/// mtime:u32 LE`.
pub struct ListWriter<'a> {
    frame: FrameWriter<'a>,
    count: u16,
}

impl<'a> ListWriter<'a> {
    /// Begins the list in a buffer of the caller's, of at least 9 bytes.
    pub fn new(buffer: &'a mut [u8]) -> Self {
        let mut frame = FrameWriter::new(buffer, STATUS);
        frame.bytes(&[0, 0]);
        Self { frame, count: 0 }
    }

    /// Appends an entry. False, and nothing appended, when it does not fit. The time is always 0:
    /// the device has no calendar.
    pub fn entry(&mut self, name: &str, size: u32) -> bool {
        let Ok(name_len) = u16::try_from(name.len()) else {
            return false;
        };
        let full = self.frame.room() < name.len() + LIST_ENTRY_OVERHEAD;
        if full && !defect::present(Defect::ListOverflowsMessage) || self.count == u16::MAX {
            return false;
        }
        self.frame
            .bytes(&name_len.to_be_bytes())
            .bytes(name.as_bytes())
            .bytes(&size.to_le_bytes())
            .bytes(&[0; 4]);
        self.count += 1;
        true
    }

    /// Fills in the number of entries that the frame really holds and gives the frame's bytes.
    #[must_use]
    pub fn finish(mut self) -> Option<usize> {
        let count = self.count.to_be_bytes();
        self.frame.patch(0, &count);
        self.frame.finish()
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
    }

    fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
        let mut buffer = std::vec![0; payload.len() + OVERHEAD];
        let mut writer = FrameWriter::new(&mut buffer, kind);
        writer.bytes(payload);
        let len = writer.finish().unwrap();
        assert_eq!(len, buffer.len());
        buffer
    }

    fn code(message: &[u8]) -> Option<ErrorCode> {
        parse(message).err().map(|refusal| refusal.code)
    }

    #[test]
    fn the_vectors_of_the_specification_are_read() {
        assert_eq!(parse(&hex("300000db2a3c82")), Ok(Request::Status));
        assert_eq!(parse(&hex("220000c4884b9c")), Ok(Request::List));
        assert_eq!(parse(&hex("200001027663204f")), Ok(Request::Stop));
        assert_eq!(
            parse(&hex("20000b0109666c6f772d66616c6c7077f611")),
            Ok(Request::Play { name: b"flow-fall" })
        );
        assert_eq!(
            parse(&hex("200004108001f4b5b60b79")),
            Ok(Request::Brightness { target: 128, duration_ms: 500 })
        );
        assert_eq!(
            parse(&hex("10000e056d756c74690000010029058c73596342c5")),
            Ok(Request::PutBegin { name: b"multi", size: 256, crc: 0x2905_8C73 })
        );
        assert_eq!(parse(&hex("120000e0e3ae0c")), Ok(Request::PutEnd));
    }

    #[test]
    fn the_status_reply_is_the_specifications() {
        let status =
            DeviceStatus { version: "1.0.0", led_count: 320, bytes_free: 1_000_000, template_count: 15 };
        assert_eq!(
            device_status(&status).as_slice(),
            hex("30001205000000312e302e30400140420f00f90f0ff2945f9e")
        );
    }

    #[test]
    fn replies_have_the_shapes_of_the_specification() {
        assert_eq!(stored("multi").as_slice(), frame(STATUS, b"\x05multi"));
        assert_eq!(done(format_args!("")).as_slice(), frame(STATUS, b"\0"));
        assert_eq!(
            done(format_args!("brightness={} dur_ms={}", 128, 500)).as_slice(),
            frame(STATUS, b"\0brightness=128 dur_ms=500")
        );
        assert_eq!(error(Refusal::new(ErrorCode::NotFound, "no")).as_slice(), frame(ERROR, b"\x05no"));
        let long = Refusal::invalid(
            "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789",
        );
        assert_eq!(error(long).len(), SHORT_REPLY_MAX);
    }

    #[test]
    fn every_bit_flip_of_a_frame_is_refused() {
        let good = hex("10000e056d756c74690000010029058c73596342c5");
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(parse(&bad).is_err(), "bit {bit}");
        }
        for len in 0..good.len() {
            assert_eq!(code(&good[..len]), Some(ErrorCode::Invalid));
        }
        let mut long = good.clone();
        long.push(0);
        assert_eq!(code(&long), Some(ErrorCode::Invalid));
        let mut bad_crc = good;
        *bad_crc.last_mut().unwrap() ^= 1;
        assert_eq!(code(&bad_crc), Some(ErrorCode::CrcMismatch));
    }

    #[test]
    fn names_and_sizes_out_of_range_are_refused() {
        for (name_len, declared, refused) in
            [(0, 0, true), (1, 1, false), (63, 63, false), (64, 64, true), (10, 255, true), (10, 9, true)]
        {
            let mut payload = std::vec![declared];
            payload.extend(std::vec![b'a'; name_len]);
            assert_eq!(
                code(&frame(CONTROL, &[&[1], &payload[..]].concat())),
                refused.then_some(ErrorCode::Invalid)
            );
            payload.extend([0, 0, 1, 0, 1, 2, 3, 4]);
            assert_eq!(code(&frame(PUT_BEGIN, &payload)), refused.then_some(ErrorCode::Invalid));
        }
        for (size, expected) in [
            (0u32, Some(ErrorCode::SizeExceeded)),
            (262_144, None),
            (262_145, Some(ErrorCode::SizeExceeded)),
            (300_000, Some(ErrorCode::SizeExceeded)),
        ] {
            let payload = [&[1, b'a'], &size.to_be_bytes()[..], &[0; 4]].concat();
            assert_eq!(code(&frame(PUT_BEGIN, &payload)), expected);
        }
        assert!(parse(&frame(DELETE, &[])).is_err());
        assert!(parse(&frame(DELETE, &[b'a'; 64])).is_ok());
        assert!(parse(&frame(DELETE, &[b'a'; 65])).is_err());
    }

    #[test]
    fn control_is_checked() {
        assert_eq!(
            parse(&frame(CONTROL, &[0x11, 0, 220, 1, 0xF4])),
            Ok(Request::Gamma { x100: 220, duration_ms: 500 })
        );
        assert_eq!(parse(&frame(CONTROL, &[0x12, 2, b'a', b'b'])), Ok(Request::DeployTemplate { id: b"ab" }));
        for bad in [
            &[][..],
            &[2, 0],
            &[3],
            &[4],
            &[0x10, 1, 2],
            &[0x10, 1, 2, 3, 4],
            &[0x11, 1, 2, 3],
            &[0x99],
            &[1],
            &[0x12],
        ] {
            assert_eq!(code(&frame(CONTROL, bad)), Some(ErrorCode::Invalid), "{bad:?}");
        }
        assert_eq!(code(&frame(0x99, &[])), Some(ErrorCode::Invalid));
        assert_eq!(parse(&frame(PUT_DATA, &[0, 0, 0, 9])), Ok(Request::PutData { offset: 9, data: &[] }));
        assert_eq!(code(&frame(PUT_DATA, &[0, 0, 0])), Some(ErrorCode::Invalid));
        assert!(parse(&frame(PUT_DATA, &[0; 4089])).is_ok());
    }

    #[test]
    fn a_list_is_cut_where_its_frame_is_full_and_counts_what_it_holds() {
        let mut buffer = std::vec![0; 5000];
        let mut list = ListWriter::new(&mut buffer);
        let mut held = 0u16;
        while list.entry("0123456789", 7) {
            held += 1;
        }
        let len = list.finish().unwrap();
        assert_eq!(usize::from(held), (PAYLOAD_MAX - 2) / 20);
        assert_eq!(len, OVERHEAD + 2 + 20 * usize::from(held));
        assert_eq!(buffer[3..5], held.to_be_bytes());
        assert_eq!(&buffer[5..25], b"\0\x0a0123456789\x07\0\0\0\0\0\0\0");
        assert!(FrameWriter::new(&mut [0; 6], STATUS).finish().is_none());
    }
}
