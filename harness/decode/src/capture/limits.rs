//! How much a reader takes, and why it took no more.

use std::io;

/// How much a reader of captures keeps at most.
///
/// An edge takes eight bytes, so the default is 512 MiB at the worst: 36 s of two WS2812B lanes of 160
/// pixels at 120 frames a second.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Edges of all signals together. 2^26 by default.
    pub edges: usize,
    /// Signals. 4,096 by default.
    pub signals: usize,
    /// Bytes of packed samples that are looked at, after decompression. 16 GiB by default: they are not
    /// kept, but looking takes time.
    pub sample_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { edges: 1 << 26, signals: 4096, sample_bytes: 16 << 30 }
    }
}

/// Why a capture cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The operating system refused.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Something in a line of text is wrong.
    #[error("line {line}: {what}")]
    Line {
        /// The line, from 1.
        line: u64,
        /// What is wrong and how it should be.
        what: String,
    },
    /// Something in a binary file, or in an entry of an archive, is wrong.
    #[error("{entry}offset {offset}: {what}", entry = entry_of(.entry))]
    Offset {
        /// The archive's entry; empty for the file itself.
        entry: String,
        /// The byte at which it was noticed, from 0.
        offset: u64,
        /// What is wrong and how it should be.
        what: String,
    },
    /// It holds more than the [`Limits`] allow.
    #[error("{place}: more than {limit} {of_what}; read a shorter piece, or raise the limit")]
    TooLarge {
        /// How far the reader came.
        place: String,
        /// What there is too much of.
        of_what: &'static str,
        /// How much is allowed.
        limit: u64,
    },
}

fn entry_of(entry: &str) -> String {
    if entry.is_empty() { String::new() } else { format!("entry `{entry}`, ") }
}

/// Counts edges against [`Limits::edges`].
#[derive(Debug)]
pub(super) struct EdgeBudget {
    limit: usize,
    left: usize,
}

impl EdgeBudget {
    pub(super) fn new(limits: &Limits) -> Self {
        EdgeBudget { limit: limits.edges, left: limits.edges }
    }

    /// Takes one; `place` says how far the reader has come.
    pub(super) fn take(&mut self, place: impl FnOnce() -> String) -> Result<(), ReadError> {
        match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => Err(ReadError::TooLarge { place: place(), of_what: "edges", limit: self.limit as u64 }),
        }
    }
}

/// At most 64 characters of `text`, without control characters: enough to recognise it in an error.
pub(super) fn excerpt(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(&text[..text.len().min(256)]);
    text.chars().filter(|character| !character.is_control()).take(64).collect()
}
