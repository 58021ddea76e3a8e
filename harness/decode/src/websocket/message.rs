//! Putting fragments together (RFC 6455 section 5.4).

use std::sync::Arc;

use super::frame::Opcode;
use super::violation::Breach;

/// A whole message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Message {
    /// Text.
    Text(String),
    /// Bytes; also a text that was not UTF-8, which is reported as a violation.
    Binary(Arc<[u8]>),
}

/// What a data frame led to.
pub(super) type Outcome = (Option<Message>, Option<Breach>);

/// A message under way. The owner asks for its [`len`](Assembly::len) and bounds it by calling
/// [`skip`](Assembly::skip) instead of [`frame`](Assembly::frame).
#[derive(Default)]
pub(super) struct Assembly {
    state: State,
}

#[derive(Default)]
enum State {
    #[default]
    Idle,
    /// The fragments so far of a message that began with this opcode.
    Collecting(Opcode, Vec<u8>),
    /// The message is too long: its end is awaited.
    Skipping,
}

impl Assembly {
    pub(super) fn is_idle(&self) -> bool {
        matches!(self.state, State::Idle)
    }

    /// Bytes of the message under way.
    pub(super) fn len(&self) -> usize {
        match &self.state {
            State::Collecting(_, bytes) => bytes.len(),
            State::Idle | State::Skipping => 0,
        }
    }

    /// The frame that comes next belongs to the message but is not kept.
    pub(super) fn skip(&mut self, fin: bool) {
        self.state = if fin { State::Idle } else { State::Skipping };
    }

    /// Takes the payload of a text, binary or continuation frame.
    pub(super) fn frame(&mut self, opcode: Opcode, fin: bool, payload: &Arc<[u8]>) -> Outcome {
        match (std::mem::replace(&mut self.state, State::Idle), opcode) {
            (State::Idle, Opcode::CONTINUATION) => (None, Some(Breach::LoneContinuation)),
            (State::Idle, first) if fin => complete(first, payload),
            (State::Idle, first) => {
                self.state = State::Collecting(first, payload.to_vec());
                (None, None)
            }
            (State::Skipping, Opcode::CONTINUATION) => {
                self.skip(fin);
                (None, None)
            }
            (State::Collecting(first, mut bytes), Opcode::CONTINUATION) => {
                bytes.extend_from_slice(payload);
                if fin {
                    complete(first, &bytes.into())
                } else {
                    self.state = State::Collecting(first, bytes);
                    (None, None)
                }
            }
            // The message that was under way is given up: the sender has forgotten it, too.
            (State::Collecting(..) | State::Skipping, first) => {
                let (message, _) = self.frame(first, fin, payload);
                (message, Some(Breach::Interleaved { opcode: first }))
            }
        }
    }
}

fn complete(first: Opcode, payload: &Arc<[u8]>) -> Outcome {
    if first != Opcode::TEXT {
        return (Some(Message::Binary(payload.clone())), None);
    }
    match std::str::from_utf8(payload) {
        Ok(text) => (Some(Message::Text(text.to_owned())), None),
        Err(error) => {
            (Some(Message::Binary(payload.clone())), Some(Breach::TextNotUtf8 { valid: error.valid_up_to() }))
        }
    }
}
