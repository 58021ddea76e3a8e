//! WebSocket frames: what a client may send next, and its messages put together (RFC 6455
//! sections 5.2 to 5.5). Every limit is checked on a frame's header, before its payload is read.

use edge_nal::TcpShutdown;
use edge_ws::{FrameHeader, FrameType};
use embassy_futures::yield_now;
use embedded_io_async::{Read, Write};

use super::stream::{Gone, Stream};
use crate::defect::{self, Defect};
use crate::protocol::{ErrorCode, Refusal};

/// Bytes of the longest control frame's payload (RFC 6455 section 5.5).
const CONTROL_MAX: usize = 125;

/// Bits of a frame's first byte (RFC 6455 section 5.2).
const FINAL: u8 = 0x80;
const RESERVED_BITS: u8 = 0x70;
const OPCODE: u8 = 0x0F;
/// The opcode of a binary message.
const BINARY: u8 = 0x02;

/// Whether an opcode has no meaning.
const fn is_reserved(opcode: u8) -> bool {
    matches!(opcode, 0x3..=0x7 | 0xB..=0xF)
}

/// Close status codes (RFC 6455 section 7.4.1).
pub mod close_code {
    /// The device is going away, here: it closes an idle connection.
    pub const GOING_AWAY: u16 = 1001;
    /// The peer broke the protocol.
    pub const PROTOCOL_ERROR: u16 = 1002;
    /// A kind of message that the device does not take: text.
    pub const UNSUPPORTED: u16 = 1003;
    /// A message that is not what its kind promises: text that is not UTF-8.
    pub const INVALID_DATA: u16 = 1007;
    /// A message that the device refuses for what it says.
    pub const POLICY: u16 = 1008;
    /// A message longer than the receive buffer.
    pub const TOO_BIG: u16 = 1009;
    /// The device could not do what it was asked to.
    pub const INTERNAL_ERROR: u16 = 1011;
}

/// Why no further message comes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// The connection is over already.
    Gone,
    /// The peer sent a Close frame, with this code if any. It wants one in return.
    Closed(Option<u16>),
    /// The device refuses what the peer sent: the ERROR frame to send, and the Close code.
    Refused(Refusal, u16),
}

impl From<Gone> for End {
    fn from(_: Gone) -> Self {
        Self::Gone
    }
}

const fn protocol_error(text: &'static str) -> End {
    End::Refused(Refusal::invalid(text), close_code::PROTOCOL_ERROR)
}

/// A message's kind.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Kind {
    /// Text, which is UTF-8.
    Text,
    /// Bytes.
    #[default]
    Binary,
}

/// What may come in a connection's messages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Takes {
    /// Text, beside binary.
    pub text: bool,
    /// Bytes of the longest message.
    pub len: usize,
}

/// A control frame's kind.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Control {
    Close,
    Ping,
    Pong,
}

/// What a frame that passed all checks is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Frame {
    /// Its payload has at most 125 bytes.
    Control(Control, usize),
    /// Payload bytes of a message, which fit the message buffer.
    Data { kind: Kind, len: usize, is_final: bool },
}

/// How far the message under way has come.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
struct Assembly {
    /// A first fragment came and its last has not.
    open: bool,
    /// What it is.
    kind: Kind,
    /// Bytes so far.
    len: usize,
    /// Of these, how many are whole characters of a text.
    checked: usize,
}

impl Assembly {
    /// Checks the text in `bytes`, the message so far, as soon as it is there: a client that sends
    /// what is no text hears of it at once (RFC 6455 section 8.1).
    fn check_text(&mut self, bytes: &[u8], is_final: bool) -> Result<(), End> {
        if defect::present(Defect::Utf8Unchecked) {
            return Ok(());
        }
        let is_final = is_final || defect::present(Defect::Utf8ByFragment);
        match core::str::from_utf8(&bytes[self.checked..]) {
            Ok(text) => self.checked += text.len(),
            // A character may go on in the next fragment.
            Err(error) if error.error_len().is_none() && !is_final => self.checked += error.valid_up_to(),
            Err(_) => {
                return Err(End::Refused(Refusal::invalid("text is not UTF-8"), close_code::INVALID_DATA));
            }
        }
        Ok(())
    }
}

/// Judges a frame by its header. `raw` are the header's bytes as received.
fn judge(raw: &[u8], header: &FrameHeader, assembly: Assembly, takes: Takes) -> Result<Frame, End> {
    let first = raw.first().copied().unwrap_or_default();
    if first & RESERVED_BITS != 0 && !defect::present(Defect::ReservedBitsIgnored) {
        return Err(protocol_error("reserved bit"));
    }
    if is_reserved(first & OPCODE) && !defect::present(Defect::ReservedOpcodesTaken) {
        return Err(protocol_error("reserved opcode"));
    }
    if header.mask_key.is_none() && !defect::present(Defect::UnmaskedAccepted) {
        return Err(protocol_error("frames of a client must be masked"));
    }
    let minimal = match raw.get(1).map(|second| second & 0x7F) {
        Some(126) => header.payload_len > CONTROL_MAX as u64,
        Some(127) => header.payload_len > u64::from(u16::MAX) && header.payload_len >> 63 == 0,
        _ => true,
    };
    if !minimal {
        return Err(protocol_error("payload length is not minimally encoded"));
    }
    let control = match header.frame_type {
        FrameType::Close => Some(Control::Close),
        FrameType::Ping => Some(Control::Ping),
        FrameType::Pong => Some(Control::Pong),
        _ => None,
    };
    if let Some(control) = control {
        let is_final = first & FINAL != 0 || defect::present(Defect::FragmentedControlTaken);
        return match usize::try_from(header.payload_len) {
            _ if !is_final => Err(protocol_error("control frames must not be fragmented")),
            Ok(len) if len <= CONTROL_MAX || defect::present(Defect::LongControlCut) => {
                Ok(Frame::Control(control, len.min(CONTROL_MAX)))
            }
            _ => Err(protocol_error("control frame exceeds 125 bytes")),
        };
    }
    let (kind, is_final) = match (header.frame_type, assembly.open) {
        (FrameType::Text(fragmented), false) if takes.text => (Kind::Text, !fragmented),
        (FrameType::Text(fragmented), false) if defect::present(Defect::TextAccepted) => {
            (Kind::Binary, !fragmented)
        }
        (FrameType::Text(_), false) => {
            return Err(End::Refused(
                Refusal::invalid("text messages are not supported"),
                close_code::UNSUPPORTED,
            ));
        }
        (FrameType::Binary(fragmented), false) => (Kind::Binary, !fragmented),
        (FrameType::Text(fragmented) | FrameType::Binary(fragmented), true)
            if defect::present(Defect::MessagesInterleave) =>
        {
            (assembly.kind, !fragmented)
        }
        (FrameType::Continue(is_final), false) if defect::present(Defect::LoneContinuationTaken) => {
            (Kind::Binary, is_final)
        }
        (FrameType::Continue(is_final), true) => (assembly.kind, is_final),
        (_, true) => return Err(protocol_error("new message within a fragmented one")),
        (_, false) => return Err(protocol_error("continuation without a message")),
    };
    let is_final = is_final || defect::present(Defect::FragmentsAsMessages);
    let announced = match u32::try_from(header.payload_len) {
        Err(_) if defect::present(Defect::LengthCutTo32Bits) => u64::from(header.payload_len as u32),
        _ => header.payload_len,
    };
    let room = takes.len - assembly.len;
    match usize::try_from(announced) {
        Ok(len) if len < room => Ok(Frame::Data { kind, len, is_final }),
        Ok(len) if len == room && !defect::present(Defect::MessageLimitTooLow) => {
            Ok(Frame::Data { kind, len, is_final })
        }
        Ok(len) if defect::present(Defect::OversizeUnchecked) => Ok(Frame::Data { kind, len, is_final }),
        Ok(_) if defect::present(Defect::OversizeCut) => Ok(Frame::Data { kind, len: room, is_final }),
        _ => Err(End::Refused(
            Refusal::new(ErrorCode::SizeExceeded, "message exceeds 4096 bytes"),
            close_code::TOO_BIG,
        )),
    }
}

/// Reads a Close frame's payload (RFC 6455 sections 5.5.1 and 7.4).
fn close_reason(payload: &[u8]) -> End {
    if defect::present(Defect::CloseUnread) {
        return End::Closed(payload.first_chunk().map(|code| u16::from_be_bytes(*code)));
    }
    match payload {
        [] => End::Closed(None),
        [high, low, reason @ ..] => match u16::from_be_bytes([*high, *low]) {
            1000..=1003 | 1007..=1014 | 3000..=4999 if core::str::from_utf8(reason).is_err() => {
                End::Refused(Refusal::invalid("reason is not UTF-8"), close_code::INVALID_DATA)
            }
            code @ (1000..=1003 | 1007..=1014 | 3000..=4999) => End::Closed(Some(code)),
            _ => protocol_error("malformed Close frame"),
        },
        [_] => protocol_error("malformed Close frame"),
    }
}

/// Reads a frame's header whatever it says, so that its payload can be skipped when it is refused.
async fn read_header<S: Read + Write + TcpShutdown>(
    stream: &mut Stream<S>,
    raw: &mut [u8; FrameHeader::MAX_LEN],
) -> Result<FrameHeader, Gone> {
    let mut have = 0;
    let mut want = FrameHeader::MIN_LEN;
    loop {
        stream.read_exact(&mut raw[have..want]).await?;
        have = want;
        // The parser refuses what is reserved before it looks at the length.
        let mut plain = *raw;
        plain[0] &= !RESERVED_BITS;
        if is_reserved(plain[0] & OPCODE) {
            plain[0] = plain[0] & FINAL | BINARY;
        }
        match FrameHeader::deserialize(&plain[..have]) {
            Ok((mut header, _)) => {
                if plain[1] & 0x7F == 126 && defect::present(Defect::LengthByteOrder) {
                    header.payload_len = u64::from((header.payload_len as u16).swap_bytes());
                }
                return Ok(header);
            }
            Err(edge_ws::Error::Incomplete(more)) if have + more <= raw.len() => want = have + more,
            Err(_) => return Err(Gone),
        }
    }
}

/// Receives one message into `buffer`, whose length is the limit, and gives its kind and length.
/// Text only comes if `text` is taken. PINGs in between are answered. Giving the future up loses the
/// place in the stream.
///
/// # Errors
///
/// The [`End`] of the conversation.
pub async fn receive<S: Read + Write + TcpShutdown>(
    stream: &mut Stream<S>,
    buffer: &mut [u8],
    text: bool,
) -> Result<(Kind, usize), End> {
    let takes = Takes { text, len: buffer.len() };
    let mut assembly = Assembly::default();
    loop {
        // All clients share one task: one whose bytes are always there already must not keep the
        // others waiting.
        yield_now().await;
        let mut raw = [0; FrameHeader::MAX_LEN];
        let header = read_header(stream, &mut raw).await?;
        let judged = judge(&raw, &header, assembly, takes);
        match judged.inspect_err(|_| stream.owe(header.payload_len))? {
            Frame::Control(control, len) => {
                let mut payload = [0; CONTROL_MAX];
                let payload = &mut payload[..len];
                stream.read_exact(payload).await?;
                header.mask(payload, 0);
                if defect::present(Defect::LongControlCut) {
                    stream.skip(header.payload_len - len as u64).await?;
                }
                if defect::present(Defect::ControlEndsMessage) {
                    assembly = Assembly::default();
                }
                match control {
                    Control::Close => return Err(close_reason(payload)),
                    Control::Ping if defect::present(Defect::PingRefused) => {
                        return Err(End::Refused(
                            Refusal::invalid("not a binary frame"),
                            close_code::UNSUPPORTED,
                        ));
                    }
                    Control::Ping if defect::present(Defect::PingPayloadLost) => {
                        send(stream, FrameType::Pong, &[]).await?;
                    }
                    Control::Ping => send(stream, FrameType::Pong, payload).await?,
                    Control::Pong if defect::present(Defect::PongAnswered) => {
                        send(stream, FrameType::Pong, payload).await?;
                    }
                    Control::Pong => {}
                }
            }
            Frame::Data { kind, len, is_final } => {
                let place = &mut buffer[assembly.len..assembly.len + len];
                stream.read_exact(place).await?;
                let used =
                    if assembly.len > 0 && defect::present(Defect::MaskRunsOn) { assembly.len } else { 0 };
                header.mask(place, used);
                if header.payload_len > len as u64 && defect::present(Defect::OversizeCut) {
                    stream.skip(header.payload_len - len as u64).await?;
                }
                assembly = Assembly { open: true, kind, len: assembly.len + len, ..assembly };
                if kind == Kind::Text {
                    assembly.check_text(&buffer[..assembly.len], is_final)?;
                }
                if is_final {
                    return Ok((kind, assembly.len));
                }
            }
        }
    }
}

/// Sends one whole frame.
///
/// # Errors
///
/// [`Gone`] when the peer is or does not read.
pub async fn send<S: Read + Write + TcpShutdown>(
    stream: &mut Stream<S>,
    frame_type: FrameType,
    payload: &[u8],
) -> Result<(), Gone> {
    let header = FrameHeader { frame_type, payload_len: payload.len() as u64, mask_key: None };
    let mut raw = [0; FrameHeader::MAX_LEN];
    let len = header.serialize(&mut raw).map_err(|_| Gone)?;
    if payload.len() <= CONTROL_MAX {
        // One write, so that a short frame leaves in one TCP segment.
        let mut whole = [0; FrameHeader::MAX_LEN + CONTROL_MAX];
        whole[..len].copy_from_slice(&raw[..len]);
        whole[len..len + payload.len()].copy_from_slice(payload);
        return stream.write_all(&[&whole[..len + payload.len()]]).await;
    }
    stream.write_all(&[&raw[..len], payload]).await
}

/// Receives and throws away until the peer's Close frame, or its end. What the peer had under way
/// when the device refused something must not make its TCP stack reset the connection before the
/// ERROR frame was read.
pub async fn discard_until_close<S: Read + Write + TcpShutdown>(stream: &mut Stream<S>) {
    if stream.skip_owed().await.is_err() {
        return;
    }
    loop {
        let mut raw = [0; FrameHeader::MAX_LEN];
        match read_header(stream, &mut raw).await {
            Ok(header) => {
                if stream.skip(header.payload_len).await.is_err() || header.frame_type == FrameType::Close {
                    return;
                }
            }
            Err(Gone) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(raw: &[u8]) -> Result<Frame, End> {
        in_state(raw, Assembly::default())
    }

    fn in_state(raw: &[u8], assembly: Assembly) -> Result<Frame, End> {
        let (header, _) = FrameHeader::deserialize(raw).unwrap();
        judge(raw, &header, assembly, Takes { text: false, len: 4096 })
    }

    fn data(len: usize, is_final: bool) -> Frame {
        Frame::Data { kind: Kind::Binary, len, is_final }
    }

    fn close_code_of(result: Result<Frame, End>) -> u16 {
        match result {
            Err(End::Refused(_, code)) => code,
            other => panic!("{other:?}"),
        }
    }

    const MASK: [u8; 4] = [1, 2, 3, 4];

    fn short(first: u8, len: u8) -> std::vec::Vec<u8> {
        [&[first, 0x80 | len][..], &MASK].concat()
    }

    fn medium(first: u8, len: u16) -> std::vec::Vec<u8> {
        [&[first, 0xFE][..], &len.to_be_bytes(), &MASK].concat()
    }

    fn long(first: u8, len: u64) -> std::vec::Vec<u8> {
        [&[first, 0xFF][..], &len.to_be_bytes(), &MASK].concat()
    }

    #[test]
    fn binary_messages_up_to_the_limit_pass() {
        assert_eq!(header(&short(0x82, 0)), Ok(data(0, true)));
        assert_eq!(header(&short(0x02, 5)), Ok(data(5, false)));
        assert_eq!(header(&medium(0x82, 126)), Ok(data(126, true)));
        assert_eq!(header(&medium(0x82, 4096)), Ok(data(4096, true)));
        assert_eq!(close_code_of(header(&medium(0x82, 4097))), 1009);
        assert_eq!(close_code_of(header(&long(0x82, 65_536))), 1009);
        assert_eq!(close_code_of(header(&long(0x82, u64::MAX >> 1))), 1009);
    }

    #[test]
    fn lengths_must_be_encoded_minimally_and_have_63_bits() {
        assert_eq!(close_code_of(header(&medium(0x82, 125))), 1002);
        assert_eq!(close_code_of(header(&long(0x82, 4096))), 1002);
        assert_eq!(close_code_of(header(&long(0x82, 1 << 63))), 1002);
    }

    #[test]
    fn unmasked_and_text_frames_are_refused() {
        assert_eq!(close_code_of(header(&[0x82, 3])), 1002);
        assert_eq!(close_code_of(header(&[0x89, 0])), 1002);
        assert_eq!(close_code_of(header(&short(0x81, 1))), 1003);
        assert_eq!(close_code_of(header(&short(0x01, 1))), 1003);
    }

    #[test]
    fn text_is_taken_where_it_is_wanted() {
        let takes = Takes { text: true, len: 4096 };
        let judged =
            |raw: &[u8], assembly| judge(raw, &FrameHeader::deserialize(raw).unwrap().0, assembly, takes);
        let text = |len, is_final| Ok(Frame::Data { kind: Kind::Text, len, is_final });
        assert_eq!(judged(&short(0x81, 1), Assembly::default()), text(1, true));
        assert_eq!(judged(&short(0x01, 1), Assembly::default()), text(1, false));
        let open = Assembly { open: true, kind: Kind::Text, len: 1, checked: 1 };
        assert_eq!(judged(&short(0x80, 2), open), text(2, true));
        assert_eq!(close_code_of(judged(&short(0x81, 1), open)), 1002);
    }

    #[test]
    fn text_is_checked_as_it_comes() {
        let euro = "a\u{20ac}".as_bytes();
        for cut in 0..=euro.len() {
            let mut assembly = Assembly::default();
            assert_eq!(assembly.check_text(&euro[..cut], false), Ok(()), "{cut}");
            assert_eq!(assembly.check_text(euro, true), Ok(()), "{cut}");
            assert_eq!(assembly.checked, euro.len());
        }
        let refused = |bytes: &[u8], is_final| Assembly::default().check_text(bytes, is_final).is_err();
        assert!(refused(&euro[..2], true) && !refused(&euro[..2], false));
        for bad in [&[0x80][..], &[b'a', 0xFF], &[0xC0, 0xAF], &[0xED, 0xA0, 0x80], &[0xF4, 0x90]] {
            assert!(refused(bad, false), "{bad:?}");
        }
    }

    #[test]
    fn control_frames_are_short_and_whole() {
        assert_eq!(header(&short(0x89, 125)), Ok(Frame::Control(Control::Ping, 125)));
        assert_eq!(header(&short(0x8A, 0)), Ok(Frame::Control(Control::Pong, 0)));
        assert_eq!(close_code_of(header(&medium(0x89, 126))), 1002);
        for opcode in [8, 9, 10] {
            assert_eq!(close_code_of(header(&short(opcode, 0))), 1002);
        }
    }

    #[test]
    fn fragments_come_in_order_and_add_up_to_the_limit() {
        let open = Assembly { open: true, len: 4000, ..Assembly::default() };
        assert_eq!(in_state(&short(0x00, 96), open), Ok(data(96, false)));
        assert_eq!(in_state(&short(0x80, 96), open), Ok(data(96, true)));
        assert_eq!(close_code_of(in_state(&short(0x80, 97), open)), 1009);
        assert_eq!(in_state(&short(0x89, 1), open), Ok(Frame::Control(Control::Ping, 1)));
        assert_eq!(close_code_of(in_state(&short(0x82, 1), open)), 1002);
        assert_eq!(close_code_of(in_state(&short(0x81, 1), open)), 1002);
        assert_eq!(close_code_of(header(&short(0x80, 1))), 1002);
        assert_eq!(close_code_of(header(&short(0x00, 1))), 1002);
    }

    #[test]
    fn close_codes_are_those_that_may_be_sent() {
        assert_eq!(close_reason(&[]), End::Closed(None));
        assert_eq!(close_reason(&[0x03, 0xE8, b'o', b'k']), End::Closed(Some(1000)));
        for code in [0u16, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, u16::MAX] {
            assert!(matches!(close_reason(&code.to_be_bytes()), End::Refused(..)), "{code}");
        }
        assert!(matches!(close_reason(&[3]), End::Refused(..)));
        assert!(matches!(close_reason(&[0x03, 0xE8, 0xFF]), End::Refused(_, 1007)));
    }
}
