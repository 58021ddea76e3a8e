//! A row made for an endpoint: the bytes, and what they may come to.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use rigor_decode::websocket::{ClientFrame, Handshake, LengthField, Opcode};

use crate::limits::Limits;
use crate::table::{
    Answer, By, Closing, Count, Delivery, Ending, Frame, Item, Length, Mask, Payload, Request, Row, Status,
    Step,
};

/// Where an echo server is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Endpoint {
    /// The TCP port: the name that the rig file gives it.
    pub port: String,
    /// The path of the echo service, beginning with `/`.
    pub path: String,
    /// The longest message that the server takes, in bytes; `None` if it takes those of all rows
    /// (65,536 bytes).
    pub message_max: Option<usize>,
}

/// Nonce of the handshakes: a constant, so that runs are alike.
const NONCE: [u8; 16] = *b"conformance row!";

/// What a server said.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Said {
    /// What it is.
    pub kind: Kind,
    /// Its payload.
    pub payload: Arc<[u8]>,
}

/// What the payload of something said is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A text message.
    Text,
    /// A binary message.
    Binary,
    /// A pong.
    Pong,
}

/// What the client does next.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Out {
    /// It sends bytes.
    Send(Vec<u8>),
    /// It waits for the answer to the handshake.
    AwaitAnswer,
    /// It listens.
    Pause(Duration),
    /// It has sent its Close frame.
    HasClosed,
    /// It ends its side of TCP.
    Finish,
}

/// A row made for an endpoint.
#[derive(Clone, PartialEq, Debug)]
pub struct Script {
    pub(crate) handshake: Handshake,
    pub(crate) out: VecDeque<Out>,
    pub(crate) answer: Answer,
    pub(crate) expect: Vec<Said>,
    pub(crate) tolerate: Vec<Vec<Said>>,
    pub(crate) close: Closing,
}

impl Script {
    /// The script of `row` for `endpoint`, whose authority (`host:port`) is `host`; `None` if the
    /// row is about a limit that the endpoint has not got.
    pub fn new(row: &Row, endpoint: &Endpoint, host: &str, limits: &Limits) -> Option<Script> {
        let limit = endpoint.message_max;
        if limit.is_none() && row.names_the_limit() {
            return None;
        }
        let (request, handshake) = head(&row.request, endpoint, host);
        let request = in_pieces(Out::Send(request), row.request.cut, limits.piece);
        let mut frames: Vec<Out> = Vec::new();
        for (index, step) in row.steps.iter().enumerate() {
            match step {
                Step::Frame(frame) => {
                    frames.push(Out::Send(encode(frame, index, limit)));
                    if frame.opcode == Opcode::CLOSE {
                        frames.push(Out::HasClosed);
                    }
                }
                Step::Raw(bytes) => frames.push(Out::Send(bytes.clone())),
                Step::Pause(duration) => frames.push(Out::Pause(*duration)),
                Step::Finish => frames.push(Out::Finish),
            }
        }
        let answered = vec![Out::AwaitAnswer];
        let out: Vec<Out> = match row.delivery {
            Delivery::Frames => [request, answered, frames].concat(),
            Delivery::Together => [request, answered, joined(frames)].concat(),
            Delivery::Early => [joined([request, frames].concat()), answered].concat(),
            Delivery::Pieces(octets) => {
                let pieces = frames.into_iter().flat_map(|out| in_pieces(out, octets, limits.piece));
                [request, answered, pieces.collect()].concat()
            }
        };
        let too_long = limit.is_some_and(|limit| row.longest_message(limit) > limit);
        let said = |items: &[Item]| items.iter().map(|item| Said::of(item, limit)).collect::<Vec<Said>>();
        let (expect, tolerate, close) = if too_long && row.close.by != By::Server {
            let (ok, tolerate) = (vec![Ending::Code(1009)], vec![Ending::Drop]);
            (Vec::new(), Vec::new(), Closing { by: By::Server, ok, tolerate, mute: false })
        } else {
            let tolerate = row.tolerate.iter().map(|items| said(items)).collect();
            (said(&row.expect), tolerate, row.close.clone())
        };
        Some(Script { handshake, out: out.into(), answer: row.answer.clone(), expect, tolerate, close })
    }
}

impl Script {
    /// Whether the answer to the handshake is more than a plain 101.
    pub(crate) fn asks_the_handshake(&self) -> bool {
        let Answer { ok, tolerate, headers, absent, chosen } = &self.answer;
        let plain = headers.is_empty() && absent.is_empty() && chosen.is_empty() && tolerate.is_empty();
        !plain || *ok != [Status::Code(101)]
    }
}

impl Row {
    fn names_the_limit(&self) -> bool {
        self.steps.iter().any(|step| matches!(step, Step::Frame(frame) if frame.payload.names_the_limit()))
    }

    /// Bytes of the longest message among the steps.
    fn longest_message(&self, limit: usize) -> usize {
        let (mut longest, mut message) = (0, 0);
        for step in &self.steps {
            let Step::Frame(frame) = step else { continue };
            match frame.opcode {
                Opcode::TEXT | Opcode::BINARY => message = frame.payload.len(Some(limit)),
                Opcode::CONTINUATION => message += frame.payload.len(Some(limit)),
                _ => {}
            }
            longest = longest.max(message);
        }
        longest
    }
}

impl Said {
    fn of(item: &Item, limit: Option<usize>) -> Said {
        let (kind, payload) = match item {
            Item::Text(payload) => (Kind::Text, payload),
            Item::Binary(payload) => (Kind::Binary, payload),
            Item::Pong(payload) => (Kind::Pong, payload),
        };
        Said { kind, payload: payload.bytes(limit).into() }
    }
}

impl Payload {
    fn len(&self, limit: Option<usize>) -> usize {
        match self {
            Payload::Text(text) => text.len(),
            Payload::Octets(octets) => octets.len(),
            Payload::Filler(count) => count.of(limit),
            Payload::Parts(parts) => parts.iter().map(|part| part.len(limit)).sum(),
        }
    }

    /// The bytes. Filler is printable ASCII with a period of 89, so that a byte in the wrong place
    /// does not look like the right one, whatever power of two it is off by.
    pub(crate) fn bytes(&self, limit: Option<usize>) -> Vec<u8> {
        match self {
            Payload::Text(text) => text.clone().into_bytes(),
            Payload::Octets(octets) => octets.clone(),
            Payload::Filler(count) => (b'!'..b'!' + 89).cycle().take(count.of(limit)).collect(),
            Payload::Parts(parts) => parts.iter().flat_map(|part| part.bytes(limit)).collect(),
        }
    }
}

impl Count {
    fn of(self, limit: Option<usize>) -> usize {
        match self {
            Count::Exactly(count) => count,
            Count::Limit(delta) => limit.unwrap_or(0).saturating_add_signed(delta as isize),
        }
    }
}

/// The request's bytes, and the handshake that the answer is checked against.
fn head(request: &Request, endpoint: &Endpoint, host: &str) -> (Vec<u8>, Handshake) {
    let mut handshake = Handshake::new(host, endpoint.path.clone(), NONCE);
    if let Some(method) = &request.method {
        handshake.method.clone_from(method);
    }
    if let Some(target) = &request.target {
        handshake.path = target.replace("{path}", &endpoint.path).replace("{host}", host);
    }
    if let Some(version) = &request.version {
        handshake.http_version.clone_from(version);
    }
    let named = |name: &str, handshake: &mut Handshake, value: Option<String>| {
        let field = match name.to_ascii_lowercase().as_str() {
            "host" => &mut handshake.host,
            "upgrade" => &mut handshake.upgrade,
            "connection" => &mut handshake.connection,
            "sec-websocket-key" => &mut handshake.key,
            "sec-websocket-version" => &mut handshake.version,
            _ => {
                handshake.headers.extend(value.map(|value| (name.to_owned(), value)));
                return;
            }
        };
        *field = value;
    };
    for name in &request.without {
        named(name, &mut handshake, None);
    }
    for (name, value) in &request.set {
        named(name, &mut handshake, Some(value.clone()));
    }
    if request.pad > 0 {
        handshake.headers.push(("X-Pad".to_owned(), "x".repeat(request.pad)));
    }
    let bytes = match &request.raw {
        Some(raw) => raw.clone(),
        None => {
            let mut bytes = handshake.request();
            bytes.truncate(bytes.len() - 2);
            for line in &request.lines {
                bytes.extend_from_slice(line.replace("{host}", host).as_bytes());
                bytes.extend_from_slice(b"\r\n");
            }
            bytes.extend_from_slice(b"\r\n");
            bytes
        }
    };
    // An answer is checked against what was offered, wherever it stood.
    let offered = request.lines.iter().filter_map(|line| line.split_once(':'));
    for (name, value) in offered {
        let (name, value) = (name.trim(), value.trim().to_owned());
        if name.eq_ignore_ascii_case("sec-websocket-key") && handshake.key.is_none() {
            handshake.key = Some(value);
        } else {
            handshake.headers.push((name.to_owned(), value));
        }
    }
    (bytes, handshake)
}

/// The bytes of `frame`, the `index`th step of its row.
fn encode(frame: &Frame, index: usize, limit: Option<usize>) -> Vec<u8> {
    let mut payload: Vec<u8> = frame.code.map(u16::to_be_bytes).into_iter().flatten().collect();
    payload.extend(frame.payload.bytes(limit));
    let mask = match frame.mask {
        // Each frame has a key of its own, as it should (RFC 6455 section 5.3); none is 0.
        Mask::Key => Some(0x37FA_213D_u32.wrapping_mul(2 * index as u32 + 1).to_be_bytes()),
        Mask::Zero => Some([0; 4]),
        Mask::Unmasked => None,
    };
    let length = match frame.length {
        Length::Minimal => LengthField::Minimal,
        Length::Bits16 => LengthField::Bits16(u16::try_from(payload.len()).unwrap_or(u16::MAX)),
        Length::Bits64 => LengthField::Bits64(payload.len() as u64),
        Length::Claims(claims) => LengthField::Bits64(claims),
    };
    ClientFrame { fin: frame.fin, rsv: frame.rsv, opcode: frame.opcode, mask, length, payload }.encode()
}

/// The same with what is sent in one go.
fn joined(outs: Vec<Out>) -> Vec<Out> {
    let mut all: Vec<Out> = Vec::new();
    let (mut bytes, mut has_closed) = (Vec::new(), false);
    let flush = |all: &mut Vec<Out>, bytes: &mut Vec<u8>, has_closed: &mut bool| {
        if !bytes.is_empty() {
            all.push(Out::Send(std::mem::take(bytes)));
        }
        if std::mem::take(has_closed) {
            all.push(Out::HasClosed);
        }
    };
    for out in outs {
        match out {
            Out::Send(more) => bytes.extend(more),
            Out::HasClosed => has_closed = true,
            other => {
                flush(&mut all, &mut bytes, &mut has_closed);
                all.push(other);
            }
        }
    }
    flush(&mut all, &mut bytes, &mut has_closed);
    all
}

fn in_pieces(out: Out, octets: usize, pause: Duration) -> Vec<Out> {
    match out {
        Out::Send(bytes) if octets > 0 => {
            bytes.chunks(octets).flat_map(|piece| [Out::Send(piece.to_vec()), Out::Pause(pause)]).collect()
        }
        other => vec![other],
    }
}
