//! The rows: what is sent, and what may come of it.
//!
//! A file holds the rows of one section of RFC 6455. Its schema is documented in
//! `suites/websocket/README.md`; [`Group::parse`] reads it and says everything that it does not
//! understand with the line.

mod raw;

use std::time::Duration;

use rigor_core::requirement::Class;
use rigor_decode::websocket::Opcode;

/// The schema of the files that this crate reads.
pub const SCHEMA: i64 = 1;

/// A file of rows that is not well-formed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{file}:{line}: {what}; {instead}")]
pub struct TableError {
    /// The file.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// What is wrong.
    pub what: String,
    /// What to write instead.
    pub instead: String,
}

/// The rows of one section of RFC 6455.
#[derive(Clone, PartialEq, Debug)]
pub struct Group {
    /// The file, for messages.
    pub file: String,
    /// The section, such as `5.1`.
    pub clause: String,
    /// What it is about, in a few words.
    pub title: String,
    /// What the section asks of a server, in one sentence.
    pub rule: String,
    /// In the order of the file; no number twice.
    pub rows: Vec<Row>,
}

/// One attempt on one connection.
#[derive(Clone, PartialEq, Debug)]
pub struct Row {
    /// Its number in the group, from 1. Never reused.
    pub number: u8,
    /// What is tried, in a few words.
    pub title: String,
    /// What a failure means for the run.
    pub class: Class,
    /// Which reading was chosen where the RFC leaves a choice, and why.
    pub reading: Option<String>,
    /// The opening handshake.
    pub request: Request,
    /// How the bytes are handed to TCP.
    pub delivery: Delivery,
    /// What is sent once the handshake is accepted.
    pub steps: Vec<Step>,
    /// What the handshake may be answered with.
    pub answer: Answer,
    /// What the server is to say, in this order and no more. Close frames are judged apart.
    pub expect: Vec<Item>,
    /// What else passes, as non-strict.
    pub tolerate: Vec<Vec<Item>>,
    /// How the connection is to end.
    pub close: Closing,
    /// Line of its header in the file.
    pub line: usize,
}

/// An opening handshake: a correct one with something changed.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Request {
    /// The method instead of `GET`.
    pub method: Option<String>,
    /// The target instead of the endpoint's path. `{path}` and `{host}` stand for the endpoint's.
    pub target: Option<String>,
    /// The version instead of `HTTP/1.1`.
    pub version: Option<String>,
    /// Header fields that are left out.
    pub without: Vec<String>,
    /// Header fields with another value.
    pub set: Vec<(String, String)>,
    /// Further lines, as they are.
    pub lines: Vec<String>,
    /// Characters of a further header field.
    pub pad: usize,
    /// It is sent in pieces of this many octets, with a pause after each; 0 for one piece.
    pub cut: usize,
    /// Bytes that are sent instead of all that.
    pub raw: Option<Vec<u8>>,
}

/// How bytes are handed to TCP.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Delivery {
    /// The request, and after its answer each frame by itself.
    Frames,
    /// The request, and after its answer all frames at once.
    Together,
    /// The request and all frames at once: the answer is not waited for.
    Early,
    /// The request, and after its answer the frames in pieces of this many octets, with a pause
    /// after each.
    Pieces(usize),
}

/// Something that the client does.
#[derive(Clone, PartialEq, Debug)]
pub enum Step {
    /// Sends a frame.
    Frame(Frame),
    /// Sends bytes as they are.
    Raw(Vec<u8>),
    /// Listens for so long.
    Pause(Duration),
    /// Ends its side of the TCP connection (FIN).
    Finish,
}

/// A frame, legal or not.
#[derive(Clone, PartialEq, Debug)]
pub struct Frame {
    /// What it is.
    pub opcode: Opcode,
    /// FIN.
    pub fin: bool,
    /// RSV1 (4), RSV2 (2) and RSV3 (1).
    pub rsv: u8,
    /// How it is masked.
    pub mask: Mask,
    /// How its length is stated.
    pub length: Length,
    /// Its payload; of a Close frame with a code, the reason.
    pub payload: Payload,
    /// The code of a Close frame.
    pub code: Option<u16>,
}

/// How a frame is masked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mask {
    /// With a key of its own.
    Key,
    /// With the key 0, which changes nothing.
    Zero,
    /// Not at all, which a client must not do.
    Unmasked,
}

/// How a frame states its length.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Length {
    /// In the shortest form.
    Minimal,
    /// The true length in 16 bits.
    Bits16,
    /// The true length in 64 bits.
    Bits64,
    /// This length in 64 bits, whatever follows.
    Claims(u64),
}

/// Payload bytes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Payload {
    /// The UTF-8 of a text.
    Text(String),
    /// These bytes.
    Octets(Vec<u8>),
    /// So many bytes that tell their places apart.
    Filler(Count),
    /// Several, one after the other.
    Parts(Vec<Payload>),
}

/// How many bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Count {
    /// So many.
    Exactly(usize),
    /// As many as the endpoint takes in a message, and so many more or fewer.
    Limit(i32),
}

/// Something that the server says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Item {
    /// A text message.
    Text(Payload),
    /// A binary message.
    Binary(Payload),
    /// A pong.
    Pong(Payload),
}

/// What a handshake may be answered with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answer {
    /// What passes.
    pub ok: Vec<Status>,
    /// What else passes, as non-strict.
    pub tolerate: Vec<Status>,
    /// Header fields that the answer has, with a value or an item of a list.
    pub headers: Vec<(String, String)>,
    /// Header fields that it has not.
    pub absent: Vec<String>,
    /// Header fields that it may have, as non-strict: the server chooses what was offered.
    pub chosen: Vec<String>,
}

/// An answer to a handshake.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Status {
    /// This status code.
    Code(u16),
    /// A status code of this hundred.
    Class(u16),
    /// None: the server ended the TCP connection.
    Drop,
}

/// How a connection is to end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Closing {
    /// Who begins.
    pub by: By,
    /// What passes.
    pub ok: Vec<Ending>,
    /// What else passes, as non-strict.
    pub tolerate: Vec<Ending>,
    /// The client does not answer the server's Close frame.
    pub mute: bool,
}

/// Who begins to close.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum By {
    /// The client, with code 1000, once the server has said what is expected.
    Client,
    /// The client, with what is among the steps.
    Row,
    /// The server.
    Server,
}

/// The server's part in the end of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ending {
    /// A Close frame with this code, then the end of TCP.
    Code(u16),
    /// A Close frame without a code, then the end of TCP.
    Empty,
    /// The end of TCP without a Close frame.
    Drop,
    /// None: it stays, and a closing handshake that the client begins succeeds.
    Open,
}

impl Group {
    /// Reads the text of a file of rows; `file` names it in messages.
    ///
    /// # Errors
    /// [`TableError`] for the first thing that is wrong.
    pub fn parse(file: &str, text: &str) -> Result<Group, TableError> {
        raw::parse(file, text)
    }
}

impl Row {
    /// Its title as part of a name: a Rust identifier.
    pub fn identifier(&self) -> String {
        let mut identifier = String::new();
        for word in self.title.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()) {
            if !identifier.is_empty() {
                identifier.push('_');
            }
            identifier.push_str(&word.to_ascii_lowercase());
        }
        identifier
    }
}

impl Frame {
    /// A correct frame with this payload.
    pub fn new(opcode: Opcode, payload: Payload) -> Self {
        Frame { opcode, fin: true, rsv: 0, mask: Mask::Key, length: Length::Minimal, payload, code: None }
    }
}

impl Payload {
    /// Whether its size depends on the endpoint.
    pub(crate) fn names_the_limit(&self) -> bool {
        match self {
            Payload::Filler(Count::Limit(_)) => true,
            Payload::Parts(parts) => parts.iter().any(Payload::names_the_limit),
            _ => false,
        }
    }
}
