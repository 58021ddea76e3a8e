//! What a server did that RFC 6455 forbids.

use super::close::CloseCode;
use super::frame::Opcode;

/// A breach of the RFC and where in the stream it was.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("at byte {offset} of what the server sent: {breach}")]
pub struct Violation {
    /// First byte of the frame (or of the HTTP answer) in question, counted from the first byte of
    /// the connection.
    pub offset: u64,
    /// What was wrong.
    #[source]
    pub breach: Breach,
}

/// The ways to break RFC 6455 that a [`ServerStream`](super::ServerStream) tells apart. The
/// messages say what the server should have done, with the section.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Breach {
    /// A server's frames are not masked.
    #[error("the frame is masked; a server must not mask (section 5.1)")]
    Masked,
    /// No extension was negotiated.
    #[error("reserved bits {rsv:#05b} are set; without an extension they must be 0 (section 5.2)")]
    ReservedBits {
        /// RSV1 is 4, RSV2 is 2, RSV3 is 1.
        rsv: u8,
    },
    /// The opcode has no meaning.
    #[error("opcode {opcode} is reserved; send 0, 1, 2, 8, 9 or 10 (section 5.2)")]
    ReservedOpcode {
        /// The opcode.
        opcode: Opcode,
    },
    /// A control frame is short.
    #[error("the {opcode} frame has {length} bytes; a control frame may have 125 (section 5.5)")]
    LongControl {
        /// Its opcode.
        opcode: Opcode,
        /// Its length in bytes.
        length: u64,
    },
    /// A control frame is whole.
    #[error("the {opcode} frame has FIN 0; control frames must not be fragmented (section 5.5)")]
    FragmentedControl {
        /// Its opcode.
        opcode: Opcode,
    },
    /// Lengths have one form.
    #[error("length {length} is stated in {bits} bits; use the shortest form (section 5.2)")]
    LengthNotMinimal {
        /// The length in bytes.
        length: u64,
        /// Size of the field used: 16 or 64.
        bits: u8,
    },
    /// The stream cannot be followed any further.
    #[error(
        "length {length:#x} has the highest bit set, which must be 0 (section 5.2); the rest of the stream is not decoded"
    )]
    LengthHighBit {
        /// The length as stated.
        length: u64,
    },
    /// A continuation belongs to a message.
    #[error("continuation of no message; begin one with a text or binary frame (section 5.4)")]
    LoneContinuation,
    /// Messages do not interleave.
    #[error("a {opcode} frame begins a message inside another; finish that with continuations (section 5.4)")]
    Interleaved {
        /// Opcode of the frame.
        opcode: Opcode,
    },
    /// Text is UTF-8.
    #[error(
        "the text message is not UTF-8 from byte {valid} on; send it as binary or encode it (section 8.1)"
    )]
    TextNotUtf8 {
        /// Bytes of the message that are good.
        valid: usize,
    },
    /// A close body is empty or has a code.
    #[error("the close frame has one byte; send none, or a code of two (section 5.5.1)")]
    CloseOfOneByte,
    /// The code may not be sent.
    #[error(
        "close code {code} must not be sent; use 1000 to 1003, 1007 to 1014 or 3000 to 4999 (section 7.4)"
    )]
    CloseCode {
        /// The code.
        code: CloseCode,
    },
    /// The reason is UTF-8.
    #[error("the reason in the close frame is not UTF-8 (section 5.5.1)")]
    CloseReasonNotUtf8,
    /// Nothing follows a close frame. Reported once.
    #[error("bytes follow the close frame; it must be the last (sections 1.4 and 5.5.1)")]
    AfterClose,
    /// An HTTP answer on an upgraded connection.
    #[error(
        "an HTTP answer where a frame should begin; refuse before the 101 or close with a frame (section 4.2.2); the rest of the stream is not decoded"
    )]
    HttpInsteadOfFrame,
    /// Beyond the decoder's limit: not against the RFC, but not shown either.
    #[error(
        "the message has at least {length} bytes, more than the {limit} that the rig keeps; its content is skipped (raise Limits::message)"
    )]
    MessageTooLong {
        /// Bytes announced so far.
        length: u64,
        /// The limit.
        limit: usize,
    },
    /// The connection ended inside something.
    #[error("the stream ends inside {inside}")]
    Truncated {
        /// What was not complete.
        inside: &'static str,
    },
}
