//! What a server sends, from the first byte of its HTTP answer to the last.

use std::sync::Arc;

use super::close::Close;
use super::frame::{Opcode, apply_mask};
use super::handshake::{Handshake, HandshakeFault};
use super::message::{Assembly, Message};
use super::response::{BadHead, Response};
use super::violation::{Breach, Violation};

/// How much a [`ServerStream`] keeps at most, in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Head of the HTTP answer. 16 KiB by default.
    pub head: usize,
    /// Payload of a frame, and of a message of several frames. 1 MiB by default. What is longer is
    /// reported and skipped.
    pub message: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { head: 16 << 10, message: 1 << 20 }
    }
}

/// A frame as the server sent it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ServerFrame {
    /// FIN: the last frame of its message.
    pub fin: bool,
    /// RSV1 (4), RSV2 (2) and RSV3 (1).
    pub rsv: u8,
    /// What it is.
    pub opcode: Opcode,
    /// Whether it was masked, which a server must not do.
    pub masked: bool,
    /// The payload, unmasked.
    pub payload: Arc<[u8]>,
}

/// What a server said, in the order in which it was complete.
///
/// A frame comes before what follows from it: `Violation`s of its head, then the `Frame`, then the
/// `Message` or `Close` that it completes, then violations of its content.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ServerEvent {
    /// 101, as the RFC asks for.
    HandshakeAccepted(Response),
    /// 101, but a client must not accept it. Frames are decoded all the same.
    HandshakeFaulty {
        /// The answer.
        response: Response,
        /// What is wrong with it, at least one thing.
        faults: Vec<HandshakeFault>,
    },
    /// Another status: the device refuses. What follows is [`ServerEvent::Body`].
    HandshakeRefused(Response),
    /// The answer is not HTTP; nothing more is decoded.
    NotHttp(BadHead),
    /// The next bytes after a refusal.
    Body(Arc<[u8]>),
    /// A frame.
    Frame(ServerFrame),
    /// A whole message, of one frame or several.
    Message(Message),
    /// What a close frame says.
    Close(Close),
    /// The server broke the RFC.
    Violation(Violation),
}

/// The head of a frame.
#[derive(Clone, Copy)]
struct Head {
    /// Its first byte in the stream.
    offset: u64,
    fin: bool,
    rsv: u8,
    opcode: Opcode,
    length: u64,
    /// Size of the length's own field.
    length_bits: u8,
    mask: Option<[u8; 4]>,
}

/// Longest head of a frame: 2 bytes, 8 of length, 4 of mask.
const FRAME_HEAD: usize = 14;

/// How an HTTP answer begins. As the head of a frame it would be a fragment of a close frame with a
/// reserved bit, wrong twice, so that no frame worth showing is taken for HTTP.
const HTTP: &[u8] = b"HT";

enum State {
    /// Collecting the HTTP head.
    Http(Vec<u8>),
    /// Collecting the head of a frame.
    FrameHead(Vec<u8>),
    Payload(Head, Vec<u8>),
    /// Passing over a payload that is not kept: bytes left.
    Skip(u64),
    /// After a refusal.
    Body,
    /// Nothing more can be told.
    Dead,
}

/// Decodes the bytes that a server sends on one connection, however they are cut.
///
/// Memory: [`Limits`] bytes for the head, the frame under way and the message under way each. A
/// length that a frame merely claims is never allocated.
pub struct ServerStream {
    handshake: Handshake,
    limits: Limits,
    state: State,
    assembly: Assembly,
    /// Bytes taken from the stream.
    offset: u64,
    closed: bool,
    reported_after_close: bool,
}

impl ServerStream {
    /// The stream that answers `handshake`.
    pub fn new(handshake: Handshake) -> Self {
        ServerStream::with_limits(handshake, Limits::default())
    }

    /// The same with other limits.
    pub fn with_limits(handshake: Handshake, limits: Limits) -> Self {
        ServerStream {
            handshake,
            limits,
            state: State::Http(Vec::new()),
            assembly: Assembly::default(),
            offset: 0,
            closed: false,
            reported_after_close: false,
        }
    }

    /// A stream that begins after the handshake, with the first byte of a frame.
    pub fn upgraded(limits: Limits) -> Self {
        let handshake = Handshake::new("", "", [0; 16]);
        ServerStream { state: State::FrameHead(Vec::new()), ..ServerStream::with_limits(handshake, limits) }
    }

    /// Takes the next bytes and appends what they complete to `events`: at most two events a byte.
    pub fn push(&mut self, bytes: &[u8], events: &mut Vec<ServerEvent>) {
        let mut rest = bytes;
        while !rest.is_empty() {
            let taken = self.step(rest, events);
            self.offset += taken as u64;
            rest = &rest[taken..];
        }
    }

    /// The stream is over. Whether it ended inside something.
    pub fn finish(self) -> Option<Violation> {
        let inside = match &self.state {
            State::Http(_) => "the HTTP answer",
            State::FrameHead(head) if !head.is_empty() => "the head of a frame",
            State::Payload(..) | State::Skip(_) => "the payload of a frame",
            State::FrameHead(_) if !self.assembly.is_idle() && !self.closed => "a fragmented message",
            State::FrameHead(_) | State::Body | State::Dead => return None,
        };
        Some(Violation { offset: self.offset, breach: Breach::Truncated { inside } })
    }

    /// Takes at least one byte; how many.
    fn step(&mut self, rest: &[u8], events: &mut Vec<ServerEvent>) -> usize {
        match &mut self.state {
            State::Http(head) => {
                let end = head_end(head, rest);
                let taken = end.unwrap_or(rest.len()).min(self.limits.head.saturating_sub(head.len()).max(1));
                head.extend_from_slice(&rest[..taken]);
                if end == Some(taken) {
                    let head = std::mem::take(head);
                    self.answer(&head, events);
                } else if head.len() >= self.limits.head {
                    events.push(ServerEvent::NotHttp(BadHead::TooLong { limit: self.limits.head }));
                    self.state = State::Dead;
                }
                taken
            }
            State::FrameHead(head) => {
                if self.closed && !self.reported_after_close {
                    self.reported_after_close = true;
                    let breach = Breach::AfterClose;
                    events.push(ServerEvent::Violation(Violation { offset: self.offset, breach }));
                }
                head.push(rest[0]);
                if head == HTTP {
                    let offset = self.offset + 1 - HTTP.len() as u64;
                    events.push(ServerEvent::Violation(Violation {
                        offset,
                        breach: Breach::HttpInsteadOfFrame,
                    }));
                    self.state = State::Dead;
                } else if let Some(head) = parse_head(head, self.offset + 1) {
                    self.begin(head, events);
                }
                1
            }
            State::Payload(head, payload) => {
                let left = usize::try_from(head.length).unwrap_or(usize::MAX) - payload.len();
                let taken = left.min(rest.len());
                payload.extend_from_slice(&rest[..taken]);
                if taken == left {
                    let (head, payload) = (*head, std::mem::take(payload));
                    self.complete(head, payload, events);
                }
                taken
            }
            State::Skip(left) => {
                let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(rest.len());
                *left -= taken as u64;
                if *left == 0 {
                    self.state = State::FrameHead(Vec::with_capacity(FRAME_HEAD));
                }
                taken
            }
            State::Body => {
                events.push(ServerEvent::Body(rest.into()));
                rest.len()
            }
            State::Dead => rest.len(),
        }
    }

    fn answer(&mut self, head: &[u8], events: &mut Vec<ServerEvent>) {
        self.state = State::Body;
        match Response::parse(head) {
            Ok(response) if response.status == 101 => {
                self.state = State::FrameHead(Vec::with_capacity(FRAME_HEAD));
                let faults = self.handshake.faults_of(&response);
                events.push(if faults.is_empty() {
                    ServerEvent::HandshakeAccepted(response)
                } else {
                    ServerEvent::HandshakeFaulty { response, faults }
                });
            }
            Ok(response) => events.push(ServerEvent::HandshakeRefused(response)),
            Err(bad) => {
                self.state = State::Dead;
                events.push(ServerEvent::NotHttp(bad));
            }
        }
    }

    /// A frame's head is complete.
    fn begin(&mut self, head: Head, events: &mut Vec<ServerEvent>) {
        let mut report = |breach| {
            events.push(ServerEvent::Violation(Violation { offset: head.offset, breach }));
        };
        if head.rsv != 0 {
            report(Breach::ReservedBits { rsv: head.rsv });
        }
        if head.opcode.is_reserved() {
            report(Breach::ReservedOpcode { opcode: head.opcode });
        }
        if head.mask.is_some() {
            report(Breach::Masked);
        }
        if head.opcode.is_control() {
            if !head.fin {
                report(Breach::FragmentedControl { opcode: head.opcode });
            }
            if head.length > 125 {
                report(Breach::LongControl { opcode: head.opcode, length: head.length });
            }
        }
        let needed = match head.length {
            0..=125 => 7,
            126..=0xFFFF => 16,
            _ => 64,
        };
        if head.length >> 63 != 0 {
            report(Breach::LengthHighBit { length: head.length });
            self.state = State::Dead;
            return;
        }
        if head.length_bits > needed {
            report(Breach::LengthNotMinimal { length: head.length, bits: head.length_bits });
        }
        let is_data = !head.opcode.is_control() && !head.opcode.is_reserved();
        let before = if head.opcode == Opcode::CONTINUATION { self.assembly.len() } else { 0 };
        let length = head.length.saturating_add(before as u64);
        if length > self.limits.message as u64 {
            report(Breach::MessageTooLong { length, limit: self.limits.message });
            if is_data {
                self.assembly.skip(head.fin);
            }
            self.state = State::Skip(head.length);
        } else if head.length == 0 {
            self.complete(head, Vec::new(), events);
        } else {
            self.state = State::Payload(head, Vec::new());
        }
    }

    /// A frame's payload is complete.
    fn complete(&mut self, head: Head, mut payload: Vec<u8>, events: &mut Vec<ServerEvent>) {
        self.state = State::FrameHead(Vec::with_capacity(FRAME_HEAD));
        if let Some(key) = head.mask {
            apply_mask(&mut payload, key, 0);
        }
        let payload: Arc<[u8]> = payload.into();
        let Head { offset, fin, rsv, opcode, mask, .. } = head;
        events.push(ServerEvent::Frame(ServerFrame {
            fin,
            rsv,
            opcode,
            masked: mask.is_some(),
            payload: payload.clone(),
        }));
        let breach = match opcode {
            Opcode::CLOSE => {
                let (close, breach) = Close::parse(&payload);
                self.closed = true;
                events.push(ServerEvent::Close(close));
                breach
            }
            Opcode::CONTINUATION | Opcode::TEXT | Opcode::BINARY => {
                let (message, breach) = self.assembly.frame(opcode, fin, &payload);
                events.extend(message.map(ServerEvent::Message));
                breach
            }
            _ => None,
        };
        events.extend(breach.map(|breach| ServerEvent::Violation(Violation { offset, breach })));
    }
}

/// Where in `rest` the HTTP head ends that began with `head`: the first byte after its empty line.
fn head_end(head: &[u8], rest: &[u8]) -> Option<usize> {
    const EMPTY_LINE: &[u8; 4] = b"\r\n\r\n";
    // The empty line may have begun in what came before.
    let overlap = head.len().min(3);
    let mut seam = head[head.len() - overlap..].to_vec();
    seam.extend_from_slice(&rest[..rest.len().min(3)]);
    let across = seam.windows(4).position(|window| window == EMPTY_LINE).map(|start| start + 4 - overlap);
    across.or_else(|| rest.windows(4).position(|window| window == EMPTY_LINE).map(|start| start + 4))
}

/// The frame head that `bytes` are, if they are complete. `end` is the place of the first byte
/// after them in the stream.
fn parse_head(bytes: &[u8], end: u64) -> Option<Head> {
    let (&[first, second], rest) = bytes.split_first_chunk::<2>()?;
    let (length, length_bits, rest) = match second & 0x7F {
        126 => {
            let (field, rest) = rest.split_first_chunk::<2>()?;
            (u64::from(u16::from_be_bytes(*field)), 16, rest)
        }
        127 => {
            let (field, rest) = rest.split_first_chunk::<8>()?;
            (u64::from_be_bytes(*field), 64, rest)
        }
        short => (u64::from(short), 7, rest),
    };
    let mask = if second & 0x80 != 0 { Some(*rest.first_chunk::<4>()?) } else { None };
    Some(Head {
        offset: end - bytes.len() as u64,
        fin: first & 0x80 != 0,
        rsv: first >> 4 & 7,
        opcode: Opcode::new(first),
        length,
        length_bits,
        mask,
    })
}
