//! What a recording is made of: everything that a timeline was told and every call of a part, one
//! operation after the other.

use std::fmt;
use std::sync::Arc;

use rigor_core::{Event, Instant};

use super::hash::hash;

/// One operation of a recording, with who did it.
#[derive(Clone, PartialEq, Debug)]
pub struct Step {
    /// What it was.
    pub op: Op,
    /// The case did it and not the rig. Whoever replays the recording leaves it out, because the
    /// case that is judged again does it again.
    pub by_case: bool,
}

/// An operation. Lanes are numbered in the order of their declaration.
#[derive(Clone, PartialEq, Debug)]
pub enum Op {
    /// The next lane, with the name of its source.
    Source(Arc<str>),
    /// The rig is as it was handed over.
    Ready,
    /// The clock moved forward to this instant.
    Advance {
        /// The new time.
        to: Instant,
        /// Whether the back end asked before, so that a case could have been woken.
        asked: bool,
    },
    /// The clock was to stop at this instant for the case and goes on beyond it: the device does not stand
    /// still while the rig is slow, or tells the time only at certain instants.
    Overrun(Instant),
    /// A source delivered an event.
    Event(u16, Event),
    /// A source owes what happens from this instant on.
    Hold(u16, Instant),
    /// A source owes nothing any more.
    Release(u16),
    /// A source delivers nothing older than this instant.
    Promise(u16, Instant),
    /// A part was called.
    Call(Call),
    /// The call came back, with this.
    Returned(Returned),
    /// The rig gave the word back to the case.
    Yielded,
    /// The bench failed while it ran.
    RunFailed(Arc<str>),
    /// The bench was asked whether it is well; if it was not, what was wrong.
    Checked(Option<Arc<str>>),
}

/// A call of a part.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Call {
    /// Part and method.
    pub name: Arc<str>,
    /// Its numbers, at most [`Call::MAX_NUMBERS`].
    pub numbers: Vec<u64>,
    /// Its bytes.
    pub bytes: Option<Digest>,
}

impl Call {
    /// More numbers than that no part takes.
    pub const MAX_NUMBERS: usize = 3;

    /// A call without bytes.
    pub fn new(name: &str, numbers: &[u64]) -> Self {
        Call { name: name.into(), numbers: numbers.to_vec(), bytes: None }
    }

    /// A call with bytes.
    pub fn with_bytes(name: &str, numbers: &[u64], bytes: &[u8]) -> Self {
        Call { bytes: Some(Digest::of(bytes)), ..Call::new(name, numbers) }
    }
}

/// As `net.send(1, 20 bytes [9e14ac3f])`.
impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}(", self.name)?;
        for (index, number) in self.numbers.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{number}")?;
        }
        if let Some(Digest { length, hash }) = self.bytes {
            let comma = if self.numbers.is_empty() { "" } else { ", " };
            // Eight digits tell calls apart for people.
            write!(f, "{comma}{length} bytes [{:08x}]", hash >> 32)?;
        }
        f.write_str(")")
    }
}

/// What tells the bytes of one call from those of another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Digest {
    /// How many.
    pub length: u64,
    /// Their hash.
    pub hash: u64,
}

impl Digest {
    /// Of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Digest { length: bytes.len() as u64, hash: hash(bytes) }
    }
}

/// What came back from a call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Returned {
    /// Nothing but success.
    Nothing,
    /// A number, such as a connection's.
    Number(u64),
    /// Bytes, such as a chip's contents.
    Bytes(Vec<u8>),
    /// The bench failed; the text is the error's.
    Failed(Arc<str>),
}
