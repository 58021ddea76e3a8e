//! A conversation with a server, without any input or output of its own.
//!
//! A driver asks [`Talk::act`] what to do, does it, and tells what it [received](Talk::received).
//! So the same rows run over a rig's link and over a socket of this host. Times are durations since
//! the conversation began, on whatever clock the driver has.

use std::time::Duration;

use rigor_decode::websocket::{
    Breach, ClientFrame, Close, CloseCode, HandshakeFault, Message, Opcode, Response, ServerEvent,
    ServerStream, Violation,
};

use crate::limits::Limits;
use crate::script::{Kind, Out, Said, Script};
use crate::table::By;
use crate::verdict::{self, Verdicts};

/// Masking key of the Close frames that the conversation itself sends.
const KEY: [u8; 4] = [0xC1, 0x05, 0xED, 0x0F];

/// What a driver is to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Act {
    /// Send these bytes.
    Send(Vec<u8>),
    /// Receive, but not beyond this time.
    Listen(Duration),
    /// End its side of the TCP connection (FIN).
    Finish,
    /// Nothing: it is over.
    Over,
}

/// How the server ended the TCP connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// In order (FIN).
    Finished,
    /// By a RST.
    Reset,
}

/// How the handshake was answered.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Answered {
    /// 101, as the RFC asks for.
    Accepted(Response),
    /// 101, but no client may take it.
    Faulty(Vec<HandshakeFault>),
    /// Another status.
    Refused(Response),
    /// Not HTTP.
    Nonsense(String),
}

/// What was seen.
#[derive(Clone, Default, PartialEq, Debug)]
pub(crate) struct Seen {
    pub(crate) answer: Option<Answered>,
    pub(crate) said: Vec<Said>,
    /// The server's Close frame.
    pub(crate) close: Option<Close>,
    /// What the server did against the RFC, of its own.
    pub(crate) breaches: Vec<Violation>,
    pub(crate) ended: Option<End>,
    /// The row expects the server to close, and it did not in time: the client began.
    pub(crate) stayed: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    /// The script.
    Sending,
    /// Until the server has said what is expected, or has closed.
    Listening,
    /// Until the server has answered the client's Close frame.
    Closing,
    /// Until the server has ended TCP.
    Ending,
    /// The client ends TCP.
    Leaving,
    Over,
}

/// A conversation under way.
pub struct Talk {
    script: Script,
    limits: Limits,
    stream: ServerStream,
    seen: Seen,
    stage: Stage,
    /// When the wait under way is given up.
    until: Option<Duration>,
    has_closed: bool,
    has_finished: bool,
}

impl Talk {
    /// The conversation of `script`, in which nothing was said yet.
    pub fn new(script: Script, limits: Limits) -> Self {
        Talk {
            stream: ServerStream::new(script.handshake.clone()),
            script,
            limits,
            seen: Seen::default(),
            stage: Stage::Sending,
            until: None,
            has_closed: false,
            has_finished: false,
        }
    }

    /// What to do at `now`.
    pub fn act(&mut self, now: Duration) -> Act {
        loop {
            let act = match self.stage {
                Stage::Sending => self.send(now),
                Stage::Listening => self.listen(now),
                Stage::Closing => self.close(now),
                Stage::Ending => self.end(now),
                Stage::Leaving => self.leave(),
                Stage::Over => Some(Act::Over),
            };
            if let Some(act) = act {
                return act;
            }
        }
    }

    /// Takes bytes from the server.
    pub fn received(&mut self, bytes: &[u8]) {
        let mut events = Vec::new();
        self.stream.push(bytes, &mut events);
        for event in events {
            self.note(event);
        }
    }

    /// The server ended the connection.
    pub fn ended(&mut self, end: End) {
        self.seen.ended.get_or_insert(end);
    }

    /// Whether the server ended the connection.
    pub fn is_ended(&self) -> bool {
        self.seen.ended.is_some()
    }

    /// What follows from all that.
    pub fn conclude(mut self) -> Verdicts {
        self.seen.breaches.extend(self.stream.finish().filter(|_| self.seen.ended.is_some()));
        verdict::of(&self.script, &self.seen, &self.limits)
    }

    fn note(&mut self, event: ServerEvent) {
        match event {
            ServerEvent::HandshakeAccepted(response) => {
                self.seen.answer = Some(Answered::Accepted(response));
            }
            ServerEvent::HandshakeFaulty { faults, .. } => self.seen.answer = Some(Answered::Faulty(faults)),
            ServerEvent::HandshakeRefused(response) => self.seen.answer = Some(Answered::Refused(response)),
            ServerEvent::NotHttp(bad) => self.seen.answer = Some(Answered::Nonsense(bad.to_string())),
            ServerEvent::Body(_) => {}
            ServerEvent::Frame(frame) if frame.opcode == Opcode::PONG => {
                self.seen.said.push(Said { kind: Kind::Pong, payload: frame.payload });
            }
            // What a ping of the server's is, is not asked; data follows as a message.
            ServerEvent::Frame(_) => {}
            ServerEvent::Message(Message::Text(text)) => {
                self.seen.said.push(Said { kind: Kind::Text, payload: text.into_bytes().into() });
            }
            ServerEvent::Message(Message::Binary(payload)) => {
                self.seen.said.push(Said { kind: Kind::Binary, payload });
            }
            ServerEvent::Close(close) => {
                self.seen.close.get_or_insert(close);
            }
            ServerEvent::Violation(violation) => self.seen.breaches.push(violation),
        }
    }

    /// Nobody listens to what the client says, or the client may say nothing more.
    fn is_over_for_data(&self) -> bool {
        self.seen.ended.is_some() || self.seen.close.is_some() || self.is_refused()
    }

    fn is_refused(&self) -> bool {
        matches!(self.seen.answer, Some(Answered::Refused(_) | Answered::Nonsense(_) | Answered::Faulty(_)))
    }

    /// Listens until the wait that begins now, or has begun, has lasted `limit`; `None` when it has.
    fn wait(&mut self, now: Duration, limit: Duration) -> Option<Act> {
        let until = *self.until.get_or_insert(now + limit);
        (now < until).then_some(Act::Listen(until))
    }

    fn turn_to(&mut self, stage: Stage) -> Option<Act> {
        (self.stage, self.until) = (stage, None);
        None
    }

    fn send(&mut self, now: Duration) -> Option<Act> {
        if self.is_over_for_data() {
            self.script.out.clear();
        }
        let Some(next) = self.script.out.front() else {
            return self.turn_to(match self.seen.answer {
                Some(Answered::Accepted(_)) => Stage::Listening,
                Some(Answered::Refused(_)) | None => Stage::Ending,
                // No client goes on after that (RFC 6455 section 4.1).
                Some(Answered::Faulty(_) | Answered::Nonsense(_)) => Stage::Leaving,
            });
        };
        let act = match next {
            Out::Send(bytes) => Some(Act::Send(bytes.clone())),
            Out::AwaitAnswer if self.seen.answer.is_none() => {
                let act = self.wait(now, self.limits.answer);
                if act.is_some() {
                    return act;
                }
                // No answer: nothing that follows would make sense.
                self.script.out.clear();
                return None;
            }
            Out::AwaitAnswer => None,
            Out::Pause(duration) => {
                let duration = *duration;
                let act = self.wait(now, duration);
                if act.is_some() {
                    return act;
                }
                None
            }
            Out::HasClosed => {
                self.has_closed = true;
                None
            }
            Out::Finish => {
                self.has_finished = true;
                Some(Act::Finish)
            }
        };
        self.until = None;
        self.script.out.pop_front();
        act
    }

    fn listen(&mut self, now: Duration) -> Option<Act> {
        if self.seen.ended.is_some() || self.seen.close.is_some() || self.script.close.by == By::Row {
            return self.turn_to(Stage::Closing);
        }
        let heard = self.script.close.by == By::Client && self.seen.said.len() >= self.script.expect.len();
        if !heard {
            let act = self.wait(now, self.limits.answer);
            if act.is_some() {
                return act;
            }
        }
        self.seen.stayed = self.script.close.by == By::Server;
        self.turn_to(Stage::Closing)
    }

    fn close(&mut self, now: Duration) -> Option<Act> {
        if self.seen.ended.is_some() {
            return self.turn_to(Stage::Ending);
        }
        if let Some(close) = &self.seen.close {
            if self.has_closed || self.script.close.mute || self.has_finished {
                return self.turn_to(Stage::Ending);
            }
            // A polite client answers with the code that it was told.
            let code = close.code.filter(|code| code.may_be_sent());
            self.has_closed = true;
            return Some(Act::Send(close_frame(code)));
        }
        if !self.has_closed && !self.has_finished {
            self.has_closed = true;
            return Some(Act::Send(close_frame(Some(CloseCode::NORMAL))));
        }
        let act = self.wait(now, self.limits.answer);
        if act.is_some() { act } else { self.turn_to(Stage::Ending) }
    }

    fn end(&mut self, now: Duration) -> Option<Act> {
        if self.seen.ended.is_none() {
            let act = self.wait(now, self.limits.end);
            if act.is_some() {
                return act;
            }
        }
        self.turn_to(Stage::Leaving)
    }

    fn leave(&mut self) -> Option<Act> {
        self.stage = Stage::Over;
        (!self.has_finished).then_some(Act::Finish)
    }
}

fn close_frame(code: Option<CloseCode>) -> Vec<u8> {
    let frame = match code {
        Some(code) => ClientFrame::close(code, ""),
        None => ClientFrame::new(Opcode::CLOSE, []),
    };
    frame.masked(KEY).encode()
}

/// Whether a breach is about the end of the connection.
pub(crate) fn is_of_the_end(violation: &Violation) -> bool {
    matches!(
        violation.breach,
        Breach::AfterClose | Breach::CloseOfOneByte | Breach::CloseCode { .. } | Breach::CloseReasonNotUtf8
    )
}
