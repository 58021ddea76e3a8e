//! What is said to a chip's loader and what it answers, as frames on a serial line.
//!
//! Source: Espressif, esptool documentation, "Serial Protocol": frames of SLIP (RFC 1055), each with a header of eight
//! bytes.

const END: u8 = 0xC0;
const ESCAPE: u8 = 0xDB;
const ESCAPED_END: u8 = 0xDC;
const ESCAPED_ESCAPE: u8 = 0xDD;
const REQUEST: u8 = 0;
const ANSWER: u8 = 1;
const HEADER_BYTES: usize = 8;
/// What the checksum of a block begins with.
const CHECKSUM_SEED: u8 = 0xEF;
/// The ROM's answers end with so many bytes of status, of which two say something.
const STATUS_BYTES: usize = 4;
/// No answer of a ROM is longer; what is longer is something else that talks there.
const MAX_FRAME: usize = 1024;

/// What is asked for, by its number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Ask {
    FlashBegin = 0x02,
    FlashData = 0x03,
    Sync = 0x08,
    WriteRegister = 0x09,
    ReadRegister = 0x0A,
    SetFlashSize = 0x0B,
    AttachFlash = 0x0D,
    ReadFlash = 0x0E,
    Md5 = 0x13,
    Security = 0x14,
}

impl Ask {
    /// In words, for messages.
    pub(super) fn words(self) -> &'static str {
        match self {
            Ask::FlashBegin => "erase a part of the flash",
            Ask::FlashData => "write a block",
            Ask::Sync => "answer",
            Ask::WriteRegister => "write a register",
            Ask::ReadRegister => "read a register",
            Ask::SetFlashSize => "take the flash's size",
            Ask::AttachFlash => "connect the flash",
            Ask::ReadFlash => "read the flash",
            Ask::Md5 => "compute an MD5",
            Ask::Security => "tell which fuses are burnt",
        }
    }
}

/// `ask` with `payload`, ready for the line.
pub(super) fn request(ask: Ask, payload: &[u8]) -> Vec<u8> {
    frame(ask, payload, 0)
}

/// `ask` with a block of data, which is number `number` of its download.
pub(super) fn block(ask: Ask, number: u32, data: &[u8]) -> Vec<u8> {
    let length = u32::try_from(data.len()).unwrap_or(u32::MAX);
    let mut payload = words(&[length, number, 0, 0]);
    payload.extend(data);
    let checksum = data.iter().fold(CHECKSUM_SEED, |sum, byte| sum ^ byte);
    frame(ask, &payload, checksum.into())
}

/// `words` as they are sent.
pub(super) fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

fn frame(ask: Ask, payload: &[u8], checksum: u32) -> Vec<u8> {
    // No payload here is longer than a block of 1 KiB and its header.
    let length = u16::try_from(payload.len()).unwrap_or(u16::MAX);
    let mut packet = vec![REQUEST, ask as u8];
    packet.extend(length.to_le_bytes());
    packet.extend(checksum.to_le_bytes());
    packet.extend(payload);
    let mut line = vec![END];
    for byte in packet {
        match byte {
            END => line.extend([ESCAPE, ESCAPED_END]),
            ESCAPE => line.extend([ESCAPE, ESCAPED_ESCAPE]),
            byte => line.push(byte),
        }
    }
    line.push(END);
    line
}

/// What a loader answered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Answer {
    /// The number of what was asked.
    code: u8,
    pub(super) value: u32,
    pub(super) data: Vec<u8>,
    /// The reason, if it did not do it.
    pub(super) refusal: Option<u8>,
}

impl Answer {
    pub(super) fn is_to(&self, ask: Ask) -> bool {
        self.code == ask as u8
    }

    fn parse(packet: &[u8]) -> Option<Self> {
        let (header, payload) = packet.split_at_checked(HEADER_BYTES)?;
        let &[ANSWER, code, low, high, a, b, c, d] = header else { return None };
        if usize::from(u16::from_le_bytes([low, high])) != payload.len() {
            return None;
        }
        let (data, status) = payload.split_at_checked(payload.len().checked_sub(STATUS_BYTES)?)?;
        Some(Answer {
            code,
            value: u32::from_le_bytes([a, b, c, d]),
            data: data.to_vec(),
            refusal: (status[0] != 0).then_some(status[1]),
        })
    }
}

/// Takes answers from what comes on a line. What is none is left out.
#[derive(Default)]
pub(super) struct Answers {
    frame: Vec<u8>,
    is_inside: bool,
    is_escaped: bool,
}

impl Answers {
    /// Takes the next byte, and gives the answer that it completes.
    pub(super) fn take(&mut self, byte: u8) -> Option<Answer> {
        if byte == END {
            let frame = std::mem::take(&mut self.frame);
            // An end may be the beginning of the next one as well, and nobody knows where the line was joined.
            self.is_inside = true;
            self.is_escaped = false;
            return Answer::parse(&frame);
        }
        if !self.is_inside {
            return None;
        }
        match (std::mem::take(&mut self.is_escaped), byte) {
            (false, ESCAPE) => self.is_escaped = true,
            (false, byte) => self.frame.push(byte),
            (true, ESCAPED_END) => self.frame.push(END),
            (true, ESCAPED_ESCAPE) => self.frame.push(ESCAPE),
            (true, _) => self.is_inside = false,
        }
        if self.frame.len() > MAX_FRAME {
            self.is_inside = false;
        }
        if !self.is_inside {
            self.frame.clear();
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(line: &[u8]) -> Vec<Answer> {
        let mut answers = Answers::default();
        line.iter().filter_map(|&byte| answers.take(byte)).collect()
    }

    #[test]
    fn a_request_is_framed_and_summed_as_the_protocol_says() {
        assert_eq!(
            request(Ask::ReadRegister, &words(&[0x4000_C0DB])),
            [0xC0, 0, 0x0A, 4, 0, 0, 0, 0, 0, 0xDB, 0xDD, 0xDB, 0xDC, 0, 0x40, 0xC0]
        );
        let block = block(Ask::FlashData, 2, &[1, 2, 4]);
        assert_eq!(block[..9], [0xC0, 0, 0x03, 19, 0, 0xEF ^ 7, 0, 0, 0]);
        assert_eq!(block[9..17], [3, 0, 0, 0, 2, 0, 0, 0]);
    }

    #[test]
    fn an_answer_is_found_within_what_a_console_says() {
        let line = b"rst:0x1\xC0\x01\x0A\x04\x00\x78\x56\x34\x12\0\0\0\0\xC0noise\xC0\x01\x13\x05\x00\0\0\0\0\xDB\xDC\x01\x07\0\0\xC0";
        let found = answers(line);
        assert_eq!((found.len(), found[0].value, found[0].refusal), (2, 0x1234_5678, None));
        assert!(found[0].is_to(Ask::ReadRegister) && found[0].data.is_empty());
        assert_eq!((found[1].data.as_slice(), found[1].refusal), (&[0xC0][..], Some(7)));
    }

    #[test]
    fn what_is_no_answer_is_left_out_and_takes_no_memory() {
        assert_eq!(answers(&request(Ask::Sync, &[0x55; 32])), [], "an echo");
        assert_eq!(answers(b"\xC0\x01\x0A\x05\0\0\0\0\0\0\0\0\0\xC0"), [], "another length");
        assert_eq!(
            answers(b"\xC0\x01\x0A\x04\0\0\0\0\0\xDB\x01\0\0\0\xC0"),
            [],
            "an escape that means nothing"
        );
        let mut taker = Answers::default();
        taker.take(END);
        for _ in 0..1_000_000 {
            assert_eq!(taker.take(0), None);
        }
        assert!(taker.frame.capacity() <= 4 * MAX_FRAME);
    }
}
