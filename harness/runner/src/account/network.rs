//! Messages out of byte streams: what was said, however TCP cut it.

use rigor_core::Instant;
use rigor_core::event::{Direction, FlowKind};
use rigor_decode::websocket::{Limits, Message, ServerEvent, ServerStream};

use super::Entry;

/// Bytes that wait until the other side speaks; more is told in pieces of this size.
const MAX_WAITING: usize = 1 << 20;

/// What one side has said since the other one spoke.
#[derive(Default)]
struct Said {
    at: Option<Instant>,
    bytes: Vec<u8>,
}

/// One connection.
#[derive(Default)]
pub(super) struct Talk {
    said: [Said; 2],
    /// After an upgrade: frames of both sides.
    frames: Option<[ServerStream; 2]>,
}

fn index(by: Direction) -> usize {
    match by {
        Direction::ToDut => 0,
        Direction::FromDut => 1,
    }
}

fn other(by: Direction) -> Direction {
    match by {
        Direction::ToDut => Direction::FromDut,
        Direction::FromDut => Direction::ToDut,
    }
}

impl Talk {
    /// Hears the next event of the connection, and tells whose saying or doing it completes.
    pub(super) fn hear(&mut self, at: Instant, what: &FlowKind, tell: &mut dyn FnMut(Direction, Entry)) {
        let at_ns = at.as_nanos();
        match what {
            FlowKind::Opened => tell(Direction::FromDut, Entry::text(at_ns, "open")),
            FlowKind::Refused => tell(Direction::FromDut, Entry::text(at_ns, "refused")),
            FlowKind::Acknowledged(_) => {}
            FlowKind::Finished(by) => {
                self.finish(tell);
                tell(*by, Entry::text(at_ns, "FIN"));
            }
            FlowKind::Reset(by) => {
                self.finish(tell);
                tell(*by, Entry::text(at_ns, "RST"));
            }
            FlowKind::Data(by, bytes) => self.data(at, *by, bytes, tell),
        }
    }

    fn data(&mut self, at: Instant, by: Direction, bytes: &[u8], tell: &mut dyn FnMut(Direction, Entry)) {
        if let Some(frames) = &mut self.frames {
            let mut events = Vec::new();
            frames[index(by)].push(bytes, &mut events);
            events.iter().filter_map(|event| message(at, event)).for_each(|entry| tell(by, entry));
            return;
        }
        self.tell_said(other(by), tell);
        let said = &mut self.said[index(by)];
        said.at.get_or_insert(at);
        said.bytes.extend_from_slice(bytes);
        if by == Direction::FromDut && said.bytes.starts_with(b"HTTP/1.1 101") {
            let Some(end) = said.bytes.windows(4).position(|end| end == b"\r\n\r\n") else { return };
            let rest = said.bytes.split_off(end + 4);
            self.tell_said(by, tell);
            let stream = || ServerStream::upgraded(Limits::default());
            self.frames = Some([stream(), stream()]);
            self.data(at, by, &rest, tell);
        } else if said.bytes.len() >= MAX_WAITING {
            self.tell_said(by, tell);
        }
    }

    /// Nothing follows: tells what waits.
    pub(super) fn finish(&mut self, tell: &mut dyn FnMut(Direction, Entry)) {
        self.tell_said(Direction::ToDut, tell);
        self.tell_said(Direction::FromDut, tell);
    }

    fn tell_said(&mut self, by: Direction, tell: &mut dyn FnMut(Direction, Entry)) {
        let Said { at, bytes } = std::mem::take(&mut self.said[index(by)]);
        let Some(at) = at else { return };
        tell(by, saying(at, &bytes));
    }
}

/// Bytes as text if they are one.
fn saying(at: Instant, bytes: &[u8]) -> Entry {
    let printable =
        |text: &&str| text.chars().all(|letter| !letter.is_control() || "\r\n\t".contains(letter));
    match std::str::from_utf8(bytes).ok().filter(printable) {
        Some(text) => Entry::text(at.as_nanos(), text.replace("\r\n", "⏎").replace('\n', "⏎")),
        None => Entry::bytes(at.as_nanos(), format!("{} bytes", bytes.len()), bytes),
    }
}

fn message(at: Instant, event: &ServerEvent) -> Option<Entry> {
    match event {
        ServerEvent::Message(Message::Text(text)) => Some(saying(at, text.as_bytes())),
        ServerEvent::Message(Message::Binary(bytes)) => Some(saying(at, bytes)),
        ServerEvent::Frame(frame) if frame.opcode.is_control() => {
            let what = format!("control frame {:?}, {} bytes", frame.opcode, frame.payload.len());
            Some(Entry::bytes(at.as_nanos(), what, &frame.payload))
        }
        ServerEvent::NotHttp(_) => Some(Entry::text(at.as_nanos(), "not HTTP")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(events: &[FlowKind]) -> Vec<(Direction, String)> {
        let mut told = Vec::new();
        let mut talk = Talk::default();
        let mut tell = |by, entry: Entry| told.push((by, entry.what));
        for event in events {
            talk.hear(Instant::ZERO, event, &mut tell);
        }
        talk.finish(&mut tell);
        told
    }

    #[test]
    fn how_tcp_cut_the_stream_is_not_told() {
        let to = |text: &str| FlowKind::Data(Direction::ToDut, text.as_bytes().into());
        let from = |text: &str| FlowKind::Data(Direction::FromDut, text.as_bytes().into());
        let whole = told(&[to("GET /a"), from("one two")]);
        assert_eq!(told(&[to("GET"), to(" /a"), from("one "), from("two")]), whole);
        assert_eq!(whole.len(), 2);
        // Frames after an upgrade are messages of their own, however close together.
        let up = from("HTTP/1.1 101 Switching Protocols\r\n\r\n\u{1}");
        let mut frames = told(&[to("GET /ws"), up.clone()]);
        assert_eq!(frames.len(), 2, "{frames:?}");
        frames = told(&[
            to("GET /ws"),
            from("HTTP/1.1 101 Switching Protocols\r\n\r\n"),
            FlowKind::Data(Direction::FromDut, (*b"\x81\x02yo\x81\x02hi").into()),
        ]);
        assert_eq!(frames[2..].iter().map(|(_, what)| what.as_str()).collect::<Vec<_>>(), ["yo", "hi"]);
    }
}
