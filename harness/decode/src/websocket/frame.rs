//! Building frames, legal or not.

use super::close::CloseCode;

/// Opcodes of RFC 6455 section 5.2. As a number it is 0 to 15; see [`ClientFrame::opcode`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Opcode(u8);

impl Opcode {
    /// A further fragment of a message.
    pub const CONTINUATION: Opcode = Opcode(0x0);
    /// The first (or only) frame of a text message.
    pub const TEXT: Opcode = Opcode(0x1);
    /// The first (or only) frame of a binary message.
    pub const BINARY: Opcode = Opcode(0x2);
    /// Close.
    pub const CLOSE: Opcode = Opcode(0x8);
    /// Ping.
    pub const PING: Opcode = Opcode(0x9);
    /// Pong.
    pub const PONG: Opcode = Opcode(0xA);

    /// The opcode of this number, of which the low four bits count.
    pub const fn new(number: u8) -> Self {
        Opcode(number & 0xF)
    }

    /// 0 to 15.
    pub const fn number(self) -> u8 {
        self.0
    }

    /// Whether it belongs to a control frame (8 to 15, section 5.5).
    pub const fn is_control(self) -> bool {
        self.0 >= 0x8
    }

    /// Whether the RFC leaves it without a meaning (3 to 7 and 11 to 15).
    pub const fn is_reserved(self) -> bool {
        matches!(self.0, 0x3..=0x7 | 0xB..=0xF)
    }
}

impl std::fmt::Display for Opcode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match *self {
            Opcode::CONTINUATION => f.pad("continuation"),
            Opcode::TEXT => f.pad("text"),
            Opcode::BINARY => f.pad("binary"),
            Opcode::CLOSE => f.pad("close"),
            Opcode::PING => f.pad("ping"),
            Opcode::PONG => f.pad("pong"),
            Opcode(number) => write!(f, "0x{number:X}"),
        }
    }
}

/// How a frame states the length of its payload (RFC 6455 section 5.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum LengthField {
    /// The true length in the shortest form: what the RFC asks for.
    #[default]
    Minimal,
    /// The low 7 bits of this number, with no field after them. 126 and 127 announce a field that
    /// then is not there.
    Bits7(u8),
    /// 126, then this number in 16 bits.
    Bits16(u16),
    /// 127, then this number in 64 bits. The RFC wants the highest bit 0.
    Bits64(u64),
}

/// A frame as a client sends it. Every field may be wrong.
///
/// The constructors give correct frames but for the masking, which needs a key; the methods change
/// one thing each.
///
/// ```
/// use rigor_decode::websocket::{ClientFrame, LengthField};
/// let key = [0x37, 0xfa, 0x21, 0x3d];
/// let hello = ClientFrame::text("Hello").masked(key);
/// assert_eq!(hello.encode()[..2], [0x81, 0x85]);
/// // The same frame that claims to be longer than it is, and never was masked:
/// let lie = ClientFrame::text("Hello").length(LengthField::Bits16(4096));
/// assert_eq!(lie.encode()[..4], [0x81, 0x7e, 0x10, 0x00]);
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClientFrame {
    /// FIN: the last frame of its message.
    pub fin: bool,
    /// RSV1 (4), RSV2 (2) and RSV3 (1), of which the low three bits count.
    pub rsv: u8,
    /// What it is.
    pub opcode: Opcode,
    /// The masking key; a client must have one (section 5.3), so `None` is wrong.
    pub mask: Option<[u8; 4]>,
    /// How the length is stated.
    pub length: LengthField,
    /// The payload before masking.
    pub payload: Vec<u8>,
}

impl ClientFrame {
    /// An unmasked frame with FIN and a minimal length.
    pub fn new(opcode: Opcode, payload: impl Into<Vec<u8>>) -> Self {
        ClientFrame {
            fin: true,
            rsv: 0,
            opcode,
            mask: None,
            length: LengthField::Minimal,
            payload: payload.into(),
        }
    }

    /// A text message in one frame.
    pub fn text(text: &str) -> Self {
        ClientFrame::new(Opcode::TEXT, text)
    }

    /// A binary message in one frame.
    pub fn binary(payload: impl Into<Vec<u8>>) -> Self {
        ClientFrame::new(Opcode::BINARY, payload)
    }

    /// The next fragment of a message.
    pub fn continuation(payload: impl Into<Vec<u8>>) -> Self {
        ClientFrame::new(Opcode::CONTINUATION, payload)
    }

    /// A ping. More than 125 bytes are against section 5.5.
    pub fn ping(payload: impl Into<Vec<u8>>) -> Self {
        ClientFrame::new(Opcode::PING, payload)
    }

    /// A pong. More than 125 bytes are against section 5.5.
    pub fn pong(payload: impl Into<Vec<u8>>) -> Self {
        ClientFrame::new(Opcode::PONG, payload)
    }

    /// A close frame with code and reason (section 5.5.1); for an empty one use
    /// [`new`](Self::new).
    pub fn close(code: CloseCode, reason: &str) -> Self {
        let mut payload = code.0.to_be_bytes().to_vec();
        payload.extend_from_slice(reason.as_bytes());
        ClientFrame::new(Opcode::CLOSE, payload)
    }

    /// With this masking key.
    #[must_use]
    pub fn masked(self, key: [u8; 4]) -> Self {
        ClientFrame { mask: Some(key), ..self }
    }

    /// Not the last frame of its message.
    #[must_use]
    pub fn unfinished(self) -> Self {
        ClientFrame { fin: false, ..self }
    }

    /// With these reserved bits: RSV1 is 4, RSV2 is 2, RSV3 is 1.
    #[must_use]
    pub fn reserved_bits(self, rsv: u8) -> Self {
        ClientFrame { rsv, ..self }
    }

    /// With the length stated like this.
    #[must_use]
    pub fn length(self, length: LengthField) -> Self {
        ClientFrame { length, ..self }
    }

    /// The bytes of the frame. The payload follows whole, whatever the length says of it.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.payload.len() + 14);
        bytes.push(u8::from(self.fin) << 7 | (self.rsv & 7) << 4 | self.opcode.number());
        let masked = u8::from(self.mask.is_some()) << 7;
        match self.length {
            LengthField::Minimal => match self.payload.len() {
                short @ 0..=125 => bytes.push(masked | short as u8),
                medium @ 126..=0xFFFF => {
                    bytes.push(masked | 126);
                    bytes.extend_from_slice(&(medium as u16).to_be_bytes());
                }
                long => {
                    bytes.push(masked | 127);
                    bytes.extend_from_slice(&(long as u64).to_be_bytes());
                }
            },
            LengthField::Bits7(claim) => bytes.push(masked | claim & 0x7F),
            LengthField::Bits16(claim) => {
                bytes.push(masked | 126);
                bytes.extend_from_slice(&claim.to_be_bytes());
            }
            LengthField::Bits64(claim) => {
                bytes.push(masked | 127);
                bytes.extend_from_slice(&claim.to_be_bytes());
            }
        }
        let start = bytes.len() + if self.mask.is_some() { 4 } else { 0 };
        bytes.extend(self.mask.iter().flatten());
        bytes.extend_from_slice(&self.payload);
        if let Some(key) = self.mask {
            apply_mask(&mut bytes[start..], key, 0);
        }
        bytes
    }
}

/// XORs `bytes` with the key, of which `offset` bytes are used already (section 5.3). Doing it
/// twice undoes it.
pub(super) fn apply_mask(bytes: &mut [u8], key: [u8; 4], offset: u64) {
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte ^= key[(offset as usize).wrapping_add(index) % 4];
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

    /// The examples of RFC 6455 section 5.7, as far as a client can build them.
    #[rstest]
    #[case::unmasked_text(ClientFrame::text("Hello"), b"\x81\x05\x48\x65\x6c\x6c\x6f")]
    #[case::masked_text(ClientFrame::text("Hello").masked(KEY), b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58")]
    #[case::first_fragment(ClientFrame::text("Hel").unfinished(), b"\x01\x03\x48\x65\x6c")]
    #[case::last_fragment(ClientFrame::continuation("lo"), b"\x80\x02\x6c\x6f")]
    #[case::ping(ClientFrame::ping("Hello"), b"\x89\x05\x48\x65\x6c\x6c\x6f")]
    #[case::pong(ClientFrame::pong("Hello").masked(KEY), b"\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58")]
    fn rfc_examples(#[case] frame: ClientFrame, #[case] bytes: &[u8]) {
        assert_eq!(frame.encode(), bytes);
    }

    #[rstest]
    #[case(256, &[0x82, 0x7E, 0x01, 0x00])]
    #[case(65536, &[0x82, 0x7F, 0, 0, 0, 0, 0, 1, 0, 0])]
    #[case(125, &[0x82, 125])]
    #[case(126, &[0x82, 126, 0, 126])]
    #[case(65535, &[0x82, 126, 0xFF, 0xFF])]
    fn minimal_lengths(#[case] length: usize, #[case] head: &[u8]) {
        let bytes = ClientFrame::binary(vec![0; length]).encode();
        assert_eq!(&bytes[..head.len()], head);
        assert_eq!(bytes.len(), head.len() + length);
    }

    #[rstest]
    #[case(LengthField::Bits7(3), &[0x82, 3, 9])]
    #[case(LengthField::Bits7(0xFF), &[0x82, 127, 9])]
    #[case(LengthField::Bits16(1), &[0x82, 126, 0, 1, 9])]
    #[case(LengthField::Bits64(1 << 63), &[0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0, 9])]
    fn forced_lengths(#[case] length: LengthField, #[case] bytes: &[u8]) {
        assert_eq!(ClientFrame::binary([9]).length(length).encode(), bytes);
    }

    #[test]
    fn reserved_bits_and_opcodes() {
        let frame = ClientFrame::new(Opcode::new(0xFB), []).reserved_bits(0b101).unfinished();
        assert_eq!(frame.encode(), [0b0101_1011, 0]);
        let reserved: Vec<u8> = (0..16).filter(|&number| Opcode::new(number).is_reserved()).collect();
        assert_eq!(reserved, [3, 4, 5, 6, 7, 11, 12, 13, 14, 15]);
    }
}
