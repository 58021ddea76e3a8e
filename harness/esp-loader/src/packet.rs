//! Requests and their answers: a header of eight bytes, and what belongs to it.
//!
//! Source of the layout, of the operations and of the errors: Espressif, esptool documentation, "Serial
//! Protocol".

use crate::slip;

const DIRECTION_REQUEST: u8 = 0;
const DIRECTION_ANSWER: u8 = 1;
const HEADER_BYTES: usize = 8;
/// What the checksum of a block begins with.
const CHECKSUM_SEED: u8 = 0xEF;

/// What a host asks a loader to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Operation {
    FlashBegin,
    FlashData,
    FlashEnd,
    MemBegin,
    MemEnd,
    MemData,
    Sync,
    WriteReg,
    ReadReg,
    SpiSetParams,
    SpiAttach,
    ReadFlashSlow,
    ChangeBaudrate,
    FlashDeflBegin,
    FlashDeflData,
    FlashDeflEnd,
    SpiFlashMd5,
    GetSecurityInfo,
    EraseFlash,
    EraseRegion,
    ReadFlash,
    RunUserCode,
}

impl Operation {
    fn of(code: u8) -> Option<Self> {
        Some(match code {
            0x02 => Operation::FlashBegin,
            0x03 => Operation::FlashData,
            0x04 => Operation::FlashEnd,
            0x05 => Operation::MemBegin,
            0x06 => Operation::MemEnd,
            0x07 => Operation::MemData,
            0x08 => Operation::Sync,
            0x09 => Operation::WriteReg,
            0x0A => Operation::ReadReg,
            0x0B => Operation::SpiSetParams,
            0x0D => Operation::SpiAttach,
            0x0E => Operation::ReadFlashSlow,
            0x0F => Operation::ChangeBaudrate,
            0x10 => Operation::FlashDeflBegin,
            0x11 => Operation::FlashDeflData,
            0x12 => Operation::FlashDeflEnd,
            0x13 => Operation::SpiFlashMd5,
            0x14 => Operation::GetSecurityInfo,
            0xD0 => Operation::EraseFlash,
            0xD1 => Operation::EraseRegion,
            0xD2 => Operation::ReadFlash,
            0xD3 => Operation::RunUserCode,
            _ => return None,
        })
    }
}

/// A request, as far as its header can be believed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Request {
    pub(crate) code: u8,
    /// How many bytes its payload has, by its header.
    size: usize,
    checksum: u32,
    payload: Vec<u8>,
}

impl Request {
    /// The request in `frame`, if it is one at all. No loader answers what is none.
    pub(crate) fn parse(frame: &[u8]) -> Option<Self> {
        let (header, payload) = frame.split_at_checked(HEADER_BYTES)?;
        let &[DIRECTION_REQUEST, code, low, high, a, b, c, d] = header else { return None };
        Some(Request {
            code,
            size: usize::from(u16::from_le_bytes([low, high])),
            checksum: u32::from_le_bytes([a, b, c, d]),
            payload: payload.to_vec(),
        })
    }

    pub(crate) fn operation(&self) -> Option<Operation> {
        Operation::of(self.code)
    }

    /// All that follows the header.
    pub(crate) fn payload(&self) -> Result<&[u8], Refusal> {
        if self.payload.len() == self.size { Ok(&self.payload) } else { Err(Refusal::Length) }
    }

    /// A payload of just `N` words.
    pub(crate) fn words<const N: usize>(&self) -> Result<[u32; N], Refusal> {
        let (words, rest) = words(self.payload()?)?;
        if rest.is_empty() { Ok(words) } else { Err(Refusal::Length) }
    }

    /// A payload that is a block: its length, its number (which no loader looks at), two words without
    /// meaning, and its bytes, whose checksum holds.
    pub(crate) fn block(&self) -> Result<&[u8], Refusal> {
        let ([length, _, _, _], bytes) = words(self.payload()?)?;
        if usize::try_from(length).ok() != Some(bytes.len()) {
            return Err(Refusal::Length);
        }
        let checksum = bytes.iter().fold(CHECKSUM_SEED, |sum, byte| sum ^ byte);
        if self.checksum != u32::from(checksum) {
            return Err(Refusal::Checksum);
        }
        Ok(bytes)
    }
}

/// The first `N` words of `bytes`, and what follows.
pub(crate) fn words<const N: usize>(bytes: &[u8]) -> Result<([u32; N], &[u8]), Refusal> {
    let (head, rest) = bytes.split_at_checked(4 * N).ok_or(Refusal::Length)?;
    let mut words = [0; N];
    for (word, bytes) in words.iter_mut().zip(head.chunks_exact(4)) {
        *word = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    }
    Ok((words, rest))
}

/// Who speaks: the loader in the chip's ROM, or the stub that was loaded into its RAM. Their answers differ
/// in more than one place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Dialect {
    Rom,
    Stub,
}

/// Why a request is not done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Refusal {
    /// A payload is not as long as it should be.
    Length,
    Checksum,
    /// No such operation, or not one of this loader's.
    Unknown,
    /// The flash did not do it, or has no such address.
    Flash,
    /// Data without a beginning, or something else out of its order.
    OutOfOrder,
    /// Compressed data that cannot be decompressed.
    Inflate,
    /// More than was announced.
    TooMuch,
}

impl Refusal {
    /// The two bytes of status that say so.
    fn status(self, dialect: Dialect) -> [u8; 2] {
        match dialect {
            Dialect::Rom => {
                let reason = match self {
                    Refusal::Length | Refusal::Unknown => 0x05,
                    Refusal::OutOfOrder | Refusal::TooMuch => 0x06,
                    Refusal::Checksum => 0x07,
                    Refusal::Flash => 0x08,
                    Refusal::Inflate => 0x0B,
                };
                [1, reason]
            }
            Dialect::Stub => {
                let reason = match self {
                    Refusal::Length => 0xC0,
                    Refusal::Checksum => 0xC1,
                    Refusal::Flash => 0xC4,
                    Refusal::OutOfOrder => 0xC6,
                    Refusal::Inflate => 0xC7,
                    Refusal::TooMuch => 0xC9,
                    Refusal::Unknown => 0xFF,
                };
                [reason, 0]
            }
        }
    }
}

/// What is said to a request that was done.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Answer {
    pub(crate) value: u32,
    pub(crate) data: Vec<u8>,
}

impl Answer {
    pub(crate) fn value(value: u32) -> Self {
        Answer { value, data: Vec::new() }
    }

    pub(crate) fn data(data: impl Into<Vec<u8>>) -> Self {
        Answer { value: 0, data: data.into() }
    }
}

/// The answer to the request with `code` as bytes for the line. The ROM's has two more bytes of status, which
/// say nothing.
pub(crate) fn answer(dialect: Dialect, code: u8, result: Result<Answer, Refusal>, line: &mut Vec<u8>) {
    let (answer, status) = match result {
        Ok(answer) => (answer, [0, 0]),
        Err(refusal) => (Answer::default(), refusal.status(dialect)),
    };
    let mut payload = answer.data;
    payload.extend(status);
    if dialect == Dialect::Rom {
        payload.extend([0, 0]);
    }
    let size = u16::try_from(payload.len()).expect("no answer carries more than 64 bytes");
    let mut frame = vec![DIRECTION_ANSWER, code];
    frame.extend(size.to_le_bytes());
    frame.extend(answer.value.to_le_bytes());
    frame.extend(payload);
    slip::encode(&frame, line);
}
