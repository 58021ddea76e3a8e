//! What was said on a network connection, told in the words of its protocols: HTTP's first line,
//! WebSocket messages, and what the system itself calls them.

use std::collections::BTreeMap;

use rigor_core::event::{ConnectionId, Direction, FlowKind};
use rigor_core::evidence::{Mark, Waterfall};
use rigor_core::{Instant, Kind, Rig};
use rigor_decode::websocket::{Limits, Message, Opcode, ServerEvent, ServerStream};

use super::Dissect;

/// The longest HTTP head that is waited for.
const MAX_HEAD: usize = 16 << 10;

/// One thing that was said or happened.
struct Turn {
    at: Instant,
    /// `None`: it happened to the connection.
    by: Option<Direction>,
    text: String,
}

/// One connection.
pub(super) struct Conversation {
    connection: ConnectionId,
    turns: Vec<Turn>,
}

/// What one side has sent.
#[derive(Default)]
struct Side {
    /// What waits to be understood.
    head: Vec<u8>,
    /// It has asked over HTTP, and the answer will tell what comes next.
    asked: bool,
    /// After an upgrade.
    frames: Option<ServerStream>,
    /// Neither HTTP nor WebSocket: bytes are counted only.
    plain: bool,
}

/// What an answer over HTTP leads to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Answer {
    /// WebSocket frames follow on both sides.
    Upgraded,
    /// More HTTP.
    Other,
}

/// Every connection that the rig's network saw, in the order in which they began.
pub(super) fn all(rig: &Rig, dissect: Dissect) -> Vec<Conversation> {
    let mut talks: BTreeMap<ConnectionId, (Conversation, [Side; 2])> = BTreeMap::new();
    for source in rig.timeline.sources() {
        for event in rig.timeline.events(source, Instant::ZERO, Instant::MAX) {
            let Kind::Flow(flow) = &event.kind else { continue };
            let (talk, sides) = talks.entry(flow.connection).or_insert_with(|| {
                (
                    Conversation { connection: flow.connection, turns: Vec::new() },
                    [Side::default(), Side::default()],
                )
            });
            talk.hear(sides, event.at, &flow.what, dissect);
        }
    }
    talks.into_values().map(|(talk, _)| talk).collect()
}

impl Conversation {
    pub(super) fn name(&self) -> String {
        format!("connection {}", self.connection.0)
    }

    pub(super) fn marks(&self) -> Vec<Mark> {
        self.turns
            .iter()
            .map(|turn| Mark { at_ns: turn.at.as_nanos(), length_ns: 0, text: turn.told() })
            .collect()
    }

    /// Where the time went: from each thing that was said to the next. What one side says several
    /// times without an answer is one step. `None` if nothing was said.
    pub(super) fn waterfall(&self, most: usize) -> Option<Waterfall> {
        self.turns.iter().find(|turn| turn.by.is_some())?;
        let mut steps: Vec<(Mark, u64)> = Vec::new();
        for (index, turn) in self.turns.iter().enumerate() {
            let at_ns = turn.at.as_nanos();
            let until = self.turns.get(index + 1).map_or(at_ns, |next| next.at.as_nanos());
            let text = turn.told();
            let kind = |text: &str| text.split([' ', ',']).take(2).collect::<Vec<_>>().join(" ");
            match steps.last_mut() {
                Some((step, count)) if kind(&step.text) == kind(&text) => {
                    step.length_ns = until.saturating_sub(step.at_ns);
                    *count += 1;
                }
                _ => steps.push((Mark { at_ns, length_ns: until.saturating_sub(at_ns), text }, 1)),
            }
        }
        let skip = steps.len().saturating_sub(most);
        let told = |(mut step, count): (Mark, u64)| {
            if count > 1 {
                step.text = format!("{} (× {count})", step.text);
            }
            step
        };
        Some(Waterfall { name: self.name(), steps: steps.into_iter().skip(skip).map(told).collect() })
    }

    fn hear(&mut self, sides: &mut [Side; 2], at: Instant, what: &FlowKind, dissect: Dissect) {
        let happened = |text: &str| Turn { at, by: None, text: text.to_owned() };
        match what {
            FlowKind::Opened => self.turns.push(happened("open")),
            FlowKind::Refused => self.turns.push(happened("refused")),
            FlowKind::Finished(by) => self.turns.push(Turn { at, by: Some(*by), text: "FIN".to_owned() }),
            FlowKind::Reset(by) => self.turns.push(Turn { at, by: Some(*by), text: "RST".to_owned() }),
            FlowKind::Acknowledged(_) => {}
            FlowKind::Data(by, bytes) => {
                let mut tell = |by, text| self.turns.push(Turn { at, by: Some(by), text });
                let answer =
                    sides[index(*by)].take(bytes, &mut |text| tell(*by, text), &|said| dissect(*by, said));
                if let (Some(answer), Direction::FromDut) = (answer, by) {
                    let other = Direction::ToDut;
                    let told = &mut |text| tell(other, text);
                    sides[index(other)].hear(answer, told, &|said| dissect(other, said));
                }
            }
        }
    }
}

fn index(direction: Direction) -> usize {
    match direction {
        Direction::ToDut => 0,
        Direction::FromDut => 1,
    }
}

impl Turn {
    fn told(&self) -> String {
        match self.by {
            Some(Direction::ToDut) => format!("→ {}", self.text),
            Some(Direction::FromDut) => format!("← {}", self.text),
            None => self.text.clone(),
        }
    }
}

impl Side {
    /// Takes the next bytes and tells what they complete; the answer that they hold, if they hold one.
    fn take(
        &mut self,
        bytes: &[u8],
        tell: &mut dyn FnMut(String),
        dissect: &dyn Fn(&[u8]) -> Option<String>,
    ) -> Option<Answer> {
        if let Some(frames) = &mut self.frames {
            let mut events = Vec::new();
            frames.push(bytes, &mut events);
            events.iter().filter_map(|event| told(event, dissect)).for_each(&mut *tell);
            return None;
        }
        if self.plain {
            tell(count(bytes));
            return None;
        }
        self.head.extend_from_slice(bytes);
        let end = self.head.windows(4).position(|end| end == b"\r\n\r\n").filter(|_| !self.asked);
        let Some(end) = end else {
            let http = self.asked || self.head.first().is_some_and(u8::is_ascii_uppercase);
            if self.head.len() > MAX_HEAD || !http {
                self.plain = true;
                tell(count(&std::mem::take(&mut self.head)));
            }
            return None;
        };
        let head = std::mem::take(&mut self.head);
        let first = head.split(|&byte| byte == b'\r').next().unwrap_or_default();
        let first = String::from_utf8_lossy(first).into_owned();
        let answer = first.strip_prefix("HTTP/").map(|rest| match rest.split(' ').nth(1) {
            Some("101") => Answer::Upgraded,
            _ => Answer::Other,
        });
        tell(first);
        match answer {
            Some(Answer::Upgraded) => self.frames = Some(ServerStream::upgraded(Limits::default())),
            Some(Answer::Other) => self.plain = true,
            None => self.asked = true,
        }
        let rest = &head[end + 4..];
        if !rest.is_empty() {
            self.take(rest, tell, dissect);
        }
        answer
    }

    /// The other side has answered: what waits can be understood.
    fn hear(
        &mut self,
        answer: Answer,
        tell: &mut dyn FnMut(String),
        dissect: &dyn Fn(&[u8]) -> Option<String>,
    ) {
        let early = std::mem::take(&mut self.head);
        self.asked = false;
        match answer {
            Answer::Upgraded => {
                self.frames = Some(ServerStream::upgraded(Limits::default()));
                self.take(&early, tell, dissect);
            }
            Answer::Other if early.is_empty() => {}
            Answer::Other => tell(count(&early)),
        }
    }
}

fn count(bytes: &[u8]) -> String {
    format!("{} bytes", bytes.len())
}

fn control(opcode: Opcode) -> &'static str {
    match opcode {
        Opcode::CLOSE => "close",
        Opcode::PING => "ping",
        Opcode::PONG => "pong",
        _ => "reserved control frame",
    }
}

/// A message or control frame in a few words.
fn told(event: &ServerEvent, dissect: &dyn Fn(&[u8]) -> Option<String>) -> Option<String> {
    match event {
        ServerEvent::Message(Message::Text(text)) => {
            Some(dissect(text.as_bytes()).unwrap_or_else(|| format!("text, {} bytes: {text}", text.len())))
        }
        ServerEvent::Message(Message::Binary(bytes)) => {
            Some(dissect(bytes).unwrap_or_else(|| format!("binary, {} bytes", bytes.len())))
        }
        ServerEvent::Frame(frame) if frame.opcode.is_control() => {
            Some(format!("{}, {} bytes", control(frame.opcode), frame.payload.len()))
        }
        ServerEvent::NotHttp(_) => Some("not HTTP".to_owned()),
        _ => None,
    }
}
