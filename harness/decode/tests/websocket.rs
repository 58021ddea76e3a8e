//! The rig's WebSocket side against `tungstenite`, the examples of RFC 6455, and hostile servers.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::sync::Arc;

use proptest::prelude::*;
use rigor_decode::websocket::{
    BadHead, Breach, ClientFrame, Close, CloseCode, Handshake, HandshakeFault, LengthField, Limits, Message,
    Opcode, ServerEvent, ServerFrame, ServerStream, accept_for,
};
use rstest::rstest;
use tungstenite::protocol::frame::coding::CloseCode as TheirCode;
use tungstenite::protocol::{CloseFrame, Role, WebSocket};
use tungstenite::{HandshakeError, Message as Theirs};

const NONCE: [u8; 16] = *b"the sample nonce";
const KEY: [u8; 4] = [0x12, 0x34, 0x56, 0x78];

/// A connection in memory: reads give one queued piece each and then block, writes are kept.
#[derive(Default)]
struct Wire {
    incoming: VecDeque<Vec<u8>>,
    outgoing: Vec<u8>,
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(mut piece) = self.incoming.pop_front() else {
            return Err(io::ErrorKind::WouldBlock.into());
        };
        let length = piece.len().min(buffer.len());
        buffer[..length].copy_from_slice(&piece[..length]);
        if length < piece.len() {
            self.incoming.push_front(piece.split_off(length));
        }
        Ok(length)
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.outgoing.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn handshake() -> Handshake {
    Handshake::new("prism-k1.local", "/ws", NONCE)
}

/// Their server after our handshake.
fn their_server(handshake: &Handshake) -> Result<WebSocket<Wire>, Box<dyn std::error::Error>> {
    let wire = Wire { incoming: [handshake.request()].into(), outgoing: Vec::new() };
    match tungstenite::accept(wire) {
        Ok(server) => Ok(server),
        Err(HandshakeError::Failure(error)) => Err(error.into()),
        Err(HandshakeError::Interrupted(_)) => Err("the request is not complete".into()),
    }
}

fn decode(stream: &mut ServerStream, bytes: &[u8]) -> Vec<ServerEvent> {
    let mut events = Vec::new();
    stream.push(bytes, &mut events);
    events
}

/// What frames say, without the handshake.
fn decode_frames(bytes: &[u8]) -> Vec<ServerEvent> {
    decode(&mut ServerStream::upgraded(Limits::default()), bytes)
}

fn breaches(events: &[ServerEvent]) -> Vec<Breach> {
    events
        .iter()
        .filter_map(|event| match event {
            ServerEvent::Violation(violation) => Some(violation.breach.clone()),
            _ => None,
        })
        .collect()
}

fn frame(opcode: Opcode, payload: &[u8]) -> ServerEvent {
    ServerEvent::Frame(ServerFrame { fin: true, rsv: 0, opcode, masked: false, payload: payload.into() })
}

#[test]
fn their_server_understands_our_client() {
    let mut server = their_server(&handshake()).unwrap();
    let long = vec![0xA5; 70_000];
    let sent = [
        ClientFrame::text("Gr\u{fc}\u{df}e"),
        ClientFrame::binary([0; 126]),
        ClientFrame::binary(long.clone()),
        ClientFrame::ping("?"),
        ClientFrame::binary([1, 2]).unfinished(),
        ClientFrame::pong(""),
        ClientFrame::continuation([3]),
        ClientFrame::close(CloseCode::GOING_AWAY, "bye"),
    ];
    for frame in sent {
        server.get_mut().incoming.push_back(frame.masked(KEY).encode());
    }
    let mut next = || server.read().unwrap();
    assert_eq!(next(), Theirs::text("Gr\u{fc}\u{df}e"));
    assert_eq!(next(), Theirs::binary(vec![0; 126]));
    assert_eq!(next(), Theirs::binary(long));
    assert_eq!(next(), Theirs::Ping("?".into()));
    assert_eq!(next(), Theirs::Pong("".into()));
    assert_eq!(next(), Theirs::binary(vec![1, 2, 3]));
    assert_eq!(next(), Theirs::Close(Some(CloseFrame { code: TheirCode::Away, reason: "bye".into() })));
}

#[test]
fn we_understand_their_server() {
    let mut server = their_server(&handshake()).unwrap();
    let long = vec![0x5A; 70_000];
    let messages = [
        Theirs::text("h\u{e9}"),
        Theirs::binary(vec![7; 126]),
        Theirs::binary(long.clone()),
        Theirs::Ping("?".into()),
        Theirs::Close(Some(CloseFrame { code: TheirCode::Size, reason: "too big".into() })),
    ];
    for message in messages {
        server.send(message).unwrap();
    }
    let bytes = std::mem::take(&mut server.get_mut().outgoing);
    let mut stream = ServerStream::new(handshake());
    let mut events = decode(&mut stream, &bytes);
    assert_eq!(stream.finish(), None);
    let ServerEvent::HandshakeAccepted(response) = events.remove(0) else { panic!("{events:?}") };
    assert_eq!(
        response.header("Sec-WebSocket-Accept"),
        Some(accept_for("dGhlIHNhbXBsZSBub25jZQ==").as_str())
    );
    assert_eq!(
        events,
        [
            frame(Opcode::TEXT, "h\u{e9}".as_bytes()),
            ServerEvent::Message(Message::Text("h\u{e9}".to_owned())),
            frame(Opcode::BINARY, &[7; 126]),
            ServerEvent::Message(Message::Binary([7; 126].into())),
            frame(Opcode::BINARY, &long),
            ServerEvent::Message(Message::Binary(long.into())),
            frame(Opcode::PING, b"?"),
            frame(Opcode::CLOSE, b"\x03\xf1too big"),
            ServerEvent::Close(Close { code: Some(CloseCode::TOO_BIG), reason: "too big".to_owned() }),
        ]
    );
}

/// What we take for wrong, they take for wrong: each frame makes their server fail.
#[rstest]
#[case::unmasked(ClientFrame::text("x"))]
#[case::reserved_bit(ClientFrame::text("x").masked(KEY).reserved_bits(4))]
#[case::reserved_opcode(ClientFrame::new(Opcode::new(3), "x").masked(KEY))]
#[case::reserved_control(ClientFrame::new(Opcode::new(11), "x").masked(KEY))]
#[case::long_ping(ClientFrame::ping([0; 126]).masked(KEY))]
#[case::fragmented_ping(ClientFrame::ping("x").masked(KEY).unfinished())]
#[case::lone_continuation(ClientFrame::continuation("x").masked(KEY))]
#[case::bad_text(ClientFrame::new(Opcode::TEXT, [0xFF]).masked(KEY))]
#[case::bad_close(ClientFrame::new(Opcode::CLOSE, [3]).masked(KEY))]
fn illegal_frames_are_illegal(#[case] frame: ClientFrame) {
    let mut server = their_server(&handshake()).unwrap();
    server.get_mut().incoming.push_back(frame.encode());
    let answer = server.read();
    assert!(matches!(&answer, Err(error) if !matches!(error, tungstenite::Error::Io(_))), "{answer:?}");
}

#[rstest]
#[case::no_key(Handshake { key: None, ..handshake() })]
#[case::no_upgrade(Handshake { upgrade: None, ..handshake() })]
#[case::wrong_upgrade(Handshake { upgrade: Some("h2c".to_owned()), ..handshake() })]
#[case::no_connection(Handshake { connection: None, ..handshake() })]
#[case::old_version(Handshake { version: Some("8".to_owned()), ..handshake() })]
#[case::post(Handshake { method: "POST".to_owned(), ..handshake() })]
#[case::http_1_0(Handshake { http_version: "HTTP/1.0".to_owned(), ..handshake() })]
fn illegal_handshakes_are_illegal(#[case] handshake: Handshake) {
    assert!(their_server(&handshake).is_err());
}

/// RFC 6455 section 5.7.
#[rstest]
#[case::text(b"\x81\x05\x48\x65\x6c\x6c\x6f", &[frame(Opcode::TEXT, b"Hello"), ServerEvent::Message(Message::Text("Hello".into()))])]
#[case::fragments(b"\x01\x03\x48\x65\x6c\x80\x02\x6c\x6f", &[
    ServerEvent::Frame(ServerFrame { fin: false, rsv: 0, opcode: Opcode::TEXT, masked: false, payload: b"Hel"[..].into() }),
    frame(Opcode::CONTINUATION, b"lo"),
    ServerEvent::Message(Message::Text("Hello".into())),
])]
#[case::ping(b"\x89\x05\x48\x65\x6c\x6c\x6f", &[frame(Opcode::PING, b"Hello")])]
#[case::pong(b"\x8a\x05\x48\x65\x6c\x6c\x6f", &[frame(Opcode::PONG, b"Hello")])]
fn rfc_examples(#[case] bytes: &[u8], #[case] expected: &[ServerEvent]) {
    assert_eq!(decode_frames(bytes), expected);
}

#[test]
fn rfc_example_of_a_masked_frame_is_a_violation_by_a_server() {
    let events = decode_frames(b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58");
    assert_eq!(breaches(&events), [Breach::Masked]);
    assert!(events.contains(&ServerEvent::Message(Message::Text("Hello".into()))));
}

#[rstest]
#[case(256, b"\x82\x7e\x01\x00")]
#[case(65536, b"\x82\x7f\0\0\0\0\0\x01\0\0")]
fn rfc_examples_of_lengths(#[case] length: usize, #[case] head: &[u8]) {
    let bytes = [head, &vec![1; length]].concat();
    let payload: Arc<[u8]> = vec![1; length].into();
    assert_eq!(
        decode_frames(&bytes),
        [frame(Opcode::BINARY, &payload), ServerEvent::Message(Message::Binary(payload))]
    );
}

#[rstest]
#[case::reserved_bits(ClientFrame::binary([1]).reserved_bits(0b101), Breach::ReservedBits { rsv: 0b101 })]
#[case::reserved_opcode(ClientFrame::new(Opcode::new(7), [1]), Breach::ReservedOpcode { opcode: Opcode::new(7) })]
#[case::long_control(ClientFrame::ping([1; 126]), Breach::LongControl { opcode: Opcode::PING, length: 126 })]
#[case::fragmented_control(ClientFrame::pong([1]).unfinished(), Breach::FragmentedControl { opcode: Opcode::PONG })]
#[case::wide_16(ClientFrame::binary([1]).length(LengthField::Bits16(1)), Breach::LengthNotMinimal { length: 1, bits: 16 })]
#[case::wide_64(ClientFrame::binary([1]).length(LengthField::Bits64(1)), Breach::LengthNotMinimal { length: 1, bits: 64 })]
#[case::lone(ClientFrame::continuation([1]), Breach::LoneContinuation)]
#[case::text(ClientFrame::new(Opcode::TEXT, [b'a', 0xC3]), Breach::TextNotUtf8 { valid: 1 })]
#[case::close_1(ClientFrame::new(Opcode::CLOSE, [3]), Breach::CloseOfOneByte)]
#[case::close_code(ClientFrame::close(CloseCode(1006), ""), Breach::CloseCode { code: CloseCode(1006) })]
#[case::close_text(ClientFrame::new(Opcode::CLOSE, [3, 0xE8, 0xFF]), Breach::CloseReasonNotUtf8)]
fn a_violation_does_not_stop_the_decoder(#[case] frame: ClientFrame, #[case] breach: Breach) {
    let first = ClientFrame::ping("before").encode();
    let bytes = [first.clone(), frame.encode()].concat();
    let events = decode_frames(&bytes);
    let violation = events.iter().find_map(|event| match event {
        ServerEvent::Violation(violation) => Some(violation),
        _ => None,
    });
    assert_eq!(
        violation.map(|violation| (violation.offset, &violation.breach)),
        Some((first.len() as u64, &breach))
    );
    let frames = events.iter().filter(|event| matches!(event, ServerEvent::Frame(_))).count();
    assert_eq!(frames, 2);
    let after = decode_frames(&[bytes, ClientFrame::ping("after").encode()].concat());
    assert!(matches!(after.last(), Some(ServerEvent::Frame(frame)) if &*frame.payload == b"after"));
}

#[test]
fn bytes_after_close_are_reported_once() {
    let close = ClientFrame::close(CloseCode::NORMAL, "").encode();
    let events = decode_frames(&[close.clone(), close.clone(), close].concat());
    assert_eq!(breaches(&events), [Breach::AfterClose]);
}

#[test]
fn interleaved_messages() {
    let bytes = [
        ClientFrame::text("lost").unfinished().encode(),
        ClientFrame::ping("fine").encode(),
        ClientFrame::binary([2]).encode(),
        ClientFrame::continuation([3]).encode(),
    ]
    .concat();
    let events = decode_frames(&bytes);
    assert_eq!(breaches(&events), [Breach::Interleaved { opcode: Opcode::BINARY }, Breach::LoneContinuation]);
    let messages: Vec<_> = events.iter().filter(|event| matches!(event, ServerEvent::Message(_))).collect();
    assert_eq!(messages, [&ServerEvent::Message(Message::Binary([2][..].into()))]);
}

#[test]
fn long_messages_are_skipped_not_kept() {
    let limits = Limits { message: 100, ..Limits::default() };
    let mut stream = ServerStream::upgraded(limits);
    let bytes = [
        ClientFrame::binary([1; 101]).encode(),
        ClientFrame::binary([2; 60]).unfinished().encode(),
        ClientFrame::continuation([2; 60]).unfinished().encode(),
        ClientFrame::continuation([2; 10]).encode(),
        ClientFrame::binary([3; 100]).encode(),
    ]
    .concat();
    let events = decode(&mut stream, &bytes);
    let too_long = |length| Breach::MessageTooLong { length, limit: 100 };
    assert_eq!(breaches(&events), [too_long(101), too_long(120)]);
    assert_eq!(events.last(), Some(&ServerEvent::Message(Message::Binary([3; 100].into()))));
    assert_eq!(stream.finish(), None);
}

#[test]
fn claimed_lengths_take_no_memory_and_end_as_truncated() {
    let mut stream = ServerStream::upgraded(Limits { message: usize::MAX, ..Limits::default() });
    let lie = ClientFrame::binary([0; 10]).length(LengthField::Bits64(u64::MAX >> 1)).encode();
    assert_eq!(decode(&mut stream, &lie), []);
    assert_eq!(
        stream.finish().unwrap().to_string(),
        "at byte 20 of what the server sent: the stream ends inside the payload of a frame"
    );
    let events = decode_frames(&ClientFrame::binary([]).length(LengthField::Bits64(1 << 63)).encode());
    assert_eq!(breaches(&events), [Breach::LengthHighBit { length: 1 << 63 }]);
}

#[test]
fn a_refusal_and_its_body() {
    let mut stream = ServerStream::new(handshake());
    let events = decode(&mut stream, b"HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nfull");
    let [ServerEvent::HandshakeRefused(response), ServerEvent::Body(body)] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!((response.status, &**body), (503, &b"full"[..]));
    assert_eq!(stream.finish(), None);
}

#[test]
fn a_wrong_accept_is_said() {
    let mut stream = ServerStream::new(handshake());
    let head = b"HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: no\r\n\r\n\x89\0";
    let events = decode(&mut stream, head);
    let ServerEvent::HandshakeFaulty { faults, .. } = &events[0] else { panic!("{events:?}") };
    assert!(matches!(&faults[..], [HandshakeFault::Accept { .. }]));
    assert_eq!(events[1], frame(Opcode::PING, b""));
}

/// PRISM K1 specification, section 2: a third client gets 101 and then a raw 500.
#[test]
fn http_on_an_upgraded_connection() {
    let mut server = their_server(&handshake()).unwrap();
    let mut bytes = std::mem::take(&mut server.get_mut().outgoing);
    let upgraded = bytes.len() as u64;
    bytes.extend_from_slice(b"HTTP/1.1 500 Internal Server Error\r\n\r\nMax WebSocket clients reached");
    let events = decode(&mut ServerStream::new(handshake()), &bytes);
    assert!(matches!(events[0], ServerEvent::HandshakeAccepted(_)));
    let [ServerEvent::Violation(violation)] = &events[1..] else { panic!("{events:?}") };
    assert_eq!((violation.offset, &violation.breach), (upgraded, &Breach::HttpInsteadOfFrame));
}

#[rstest]
#[case::not_http(&b"SSH-2.0-x\r\n\r\n"[..], "line 1")]
#[case::endless(&[b'x'; 20_000][..], "no empty line within 16384 bytes")]
fn not_http(#[case] bytes: &[u8], #[case] says: &str) {
    let mut stream = ServerStream::new(handshake());
    let events = decode(&mut stream, bytes);
    let [ServerEvent::NotHttp(bad)] = &events[..] else { panic!("{events:?}") };
    assert!(bad.to_string().contains(says), "{bad}");
    assert_eq!(stream.finish(), None);
}

#[test]
fn a_head_may_be_as_long_as_the_limit_and_no_longer() {
    let head = b"HTTP/1.1 404 No\r\n\r\n";
    for (limit, fits) in [(head.len(), true), (head.len() - 1, false)] {
        let limits = Limits { head: limit, ..Limits::default() };
        let events = decode(&mut ServerStream::with_limits(handshake(), limits), head);
        assert_eq!(matches!(events[0], ServerEvent::HandshakeRefused(_)), fits);
        assert_eq!(events[0] == ServerEvent::NotHttp(BadHead::TooLong { limit }), !fits);
    }
}

/// Joins the pieces of a refusal's body, which follow the cuts of the input.
fn join_bodies(events: Vec<ServerEvent>) -> Vec<ServerEvent> {
    let mut joined: Vec<ServerEvent> = Vec::new();
    for event in events {
        match (joined.last_mut(), &event) {
            (Some(ServerEvent::Body(body)), ServerEvent::Body(more)) => {
                *body = [&**body, &**more].concat().into()
            }
            _ => joined.push(event),
        }
    }
    joined
}

fn any_frame() -> impl Strategy<Value = ClientFrame> {
    let length = prop_oneof![
        8 => Just(LengthField::Minimal),
        1 => any::<u8>().prop_map(LengthField::Bits7),
        1 => any::<u16>().prop_map(LengthField::Bits16),
        1 => prop_oneof![any::<u64>(), 0u64..300].prop_map(LengthField::Bits64),
    ];
    let payload = prop::collection::vec(any::<u8>(), 0..200);
    let opcode = prop_oneof![3 => 0u8..3, 1 => any::<u8>()].prop_map(Opcode::new);
    (
        any::<bool>(),
        prop_oneof![5 => Just(0u8), 1 => any::<u8>()],
        opcode,
        any::<Option<[u8; 4]>>(),
        length,
        payload,
    )
        .prop_map(|(fin, rsv, opcode, mask, length, payload)| ClientFrame {
            fin,
            rsv,
            opcode,
            mask,
            length,
            payload,
        })
}

proptest! {
    /// However the bytes are cut, and whatever they are, the events are the same.
    #[test]
    fn cuts_do_not_matter(
        head in prop_oneof![
            Just(b"HTTP/1.1 101 X\r\n\r\n".to_vec()),
            Just(b"HTTP/1.1 500 X\r\nA: b\r\n\r\n".to_vec()),
            prop::collection::vec(any::<u8>(), 0..40),
        ],
        frames in prop::collection::vec(any_frame(), 0..12),
        pieces in prop::collection::vec(1usize..50, 1..10),
    ) {
        let bytes = [head, frames.iter().flat_map(ClientFrame::encode).collect()].concat();
        let limits = Limits { head: 64, message: 256 };
        let mut whole = ServerStream::with_limits(handshake(), limits);
        let expected = join_bodies(decode(&mut whole, &bytes));
        let mut stream = ServerStream::with_limits(handshake(), limits);
        let mut events = Vec::new();
        let mut rest = &bytes[..];
        for length in pieces.into_iter().cycle() {
            let (piece, after) = rest.split_at(length.min(rest.len()));
            stream.push(piece, &mut events);
            rest = after;
            if rest.is_empty() {
                break;
            }
        }
        prop_assert_eq!(join_bodies(events), expected);
        prop_assert_eq!(stream.finish(), whole.finish());
    }

    /// What we send correctly, their decoder reads, whatever it is.
    #[test]
    fn their_decoder_reads_our_binary(payload in prop::collection::vec(any::<u8>(), 0..70_000), key in any::<[u8; 4]>()) {
        let wire = Wire { incoming: [ClientFrame::binary(payload.clone()).masked(key).encode()].into(), ..Wire::default() };
        let mut server = WebSocket::from_raw_socket(wire, Role::Server, None);
        prop_assert_eq!(server.read().unwrap(), Theirs::binary(payload));
    }
}
