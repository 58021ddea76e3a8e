//! What a server sends, cut anywhere: the same events, and no more kept than the limits allow.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rigor_decode::websocket::{Handshake, Limits, ServerEvent, ServerStream};

const LIMITS: Limits = Limits { head: 512, message: 1024 };

fn stream(upgraded: bool) -> ServerStream {
    if upgraded {
        ServerStream::upgraded(LIMITS)
    } else {
        ServerStream::with_limits(Handshake::new("device", "/ws", [7; 16]), LIMITS)
    }
}

fn all(upgraded: bool, pieces: &[&[u8]]) -> Vec<ServerEvent> {
    let mut stream = stream(upgraded);
    let mut events = Vec::new();
    pieces.iter().for_each(|piece| stream.push(piece, &mut events));
    events.extend(stream.finish().map(ServerEvent::Violation));
    events
}

/// Bytes of a refusal are handed on as they come, so where they are cut shows.
fn without_body(events: Vec<ServerEvent>) -> Vec<ServerEvent> {
    events.into_iter().filter(|event| !matches!(event, ServerEvent::Body(_))).collect()
}

fuzz_target!(|data: &[u8]| {
    let [choice, bytes @ ..] = data else { return };
    let upgraded = choice & 1 == 1;
    let whole = all(upgraded, &[bytes]);
    for event in &whole {
        if let ServerEvent::Message(message) = event {
            std::hint::black_box(message);
        }
    }
    let pieces: Vec<&[u8]> = bytes.chunks(usize::from(choice >> 1).max(1)).collect();
    assert_eq!(without_body(whole), without_body(all(upgraded, &pieces)));
});
