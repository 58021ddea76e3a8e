//! What the decoder gives, one after the other.

use std::time::Duration;

use rigor_core::Instant;
use serde::Serialize;

use super::address::{Access, Rect};
use super::finding::Finding;
use super::instruction::{Opcode, opcode};
use super::pass::Pass;

/// Parameters of a command that are kept; more are only counted. The longest table of the controller has 64.
pub const MAX_PARAMETERS: usize = 64;

/// A command with its parameters.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Command {
    /// When its code was sent.
    #[serde(rename = "at_ns")]
    pub at: Instant,
    /// Which.
    pub opcode: Opcode,
    /// The datasheet's name, if it has one.
    pub name: Option<&'static str>,
    /// The first [`MAX_PARAMETERS`] parameters; of one that has a number of them, only those. None of RAMWR
    /// and RAMWRC, whose pixels are a [`Pass`].
    pub parameters: Vec<u8>,
}

/// What it does, as in `CASET columns 0 to 239`.
impl std::fmt::Display for Command {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.name {
            Some(name) => f.write_str(name)?,
            None => write!(f, "{}", self.opcode)?,
        }
        let words: Vec<u16> =
            self.parameters.as_chunks().0.iter().map(|word| u16::from_be_bytes(*word)).collect();
        match (self.opcode.0, words.as_slice(), self.parameters.as_slice()) {
            (opcode::CASET, [start, end], _) => write!(f, " columns {start} to {end}"),
            (opcode::RASET, [start, end], _) => write!(f, " rows {start} to {end}"),
            (opcode::PTLAR, [start, end], _) => write!(f, " lines {start} to {end}"),
            (opcode::VSCRDEF, [top, moving, bottom], _) => write!(f, " lines {top} + {moving} + {bottom}"),
            (opcode::VSCSAD, [line], _) => write!(f, " from line {line}"),
            (opcode::MADCTL, _, [bits]) => write!(f, " {bits:02X}h ({})", Access(*bits)),
            (_, _, parameters) => parameters.iter().try_for_each(|byte| write!(f, " {byte:02X}")),
        }
    }
}

/// Something that the decoder saw.
#[derive(Clone, PartialEq, Debug)]
pub enum Item {
    /// A command with all its parameters, or as many as came.
    Command(Command),
    /// The picture is about to change: the first byte of a pass has come. The screen is as it was before.
    PassBegins {
        /// When that byte began.
        at: Instant,
        /// `at` is right within plus or minus this.
        uncertainty: Duration,
        /// The part of the picture that the window covers; `None` if it is not seen.
        area: Option<Rect>,
    },
    /// A pass ended, or was broken off. The screen is as it is now.
    Pass(Pass),
    /// What is seen is about to change, without a pixel being written. The screen is as it was before.
    ShowsOtherwise {
        /// When.
        at: Instant,
        /// `at` is right within plus or minus this.
        uncertainty: Duration,
        /// Whether anything will be seen.
        lit: bool,
    },
    /// Something that should not be.
    Finding(Finding),
}
