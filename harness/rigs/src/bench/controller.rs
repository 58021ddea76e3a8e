//! The bench controller: who it is, and what it can be asked to do.

use std::collections::VecDeque;
use std::path::Path;
use std::time::{Duration, Instant};

use rigor_controller::message::{Command, Drive, Wanted, Waveform, Wire};
use rigor_controller::stepped::{Proceed, Stands};
use rigor_controller::{Answer, Identity, Ticks};

use super::bell::Bell;
use super::error::BenchError;
use super::line::{Line, Told};

/// It answers within a millisecond or two, on a busy host later.
const ANSWERS_WITHIN: Duration = Duration::from_secs(2);
/// So long one that is given back is waited for.
const LETS_GO_WITHIN: Duration = Duration::from_millis(500);
/// So long a simulated device may take to get on.
const PROCEEDS_WITHIN: Duration = Duration::from_secs(30);

/// A controller that answers. Ours alone until it is dropped.
pub(super) struct Controller {
    line: Line,
    identity: Identity,
}

impl Controller {
    /// Opens the controller at `path` and asks who it is: whatever was asked for before ends.
    pub(super) fn open(path: &Path, bell: &Bell) -> Result<Self, BenchError> {
        let mut line = Line::open(path, bell)?;
        match line.ask(Command::Identify, "who it is", ANSWERS_WITHIN) {
            Ok(Answer::Identity(identity)) if identity.clock_hz > 0 => Ok(Controller { line, identity }),
            Ok(_) => Err(BenchError::OtherAnswer { port: path.to_owned(), asked: "who it is" }),
            Err(BenchError::Stuck { within, .. }) => Err(line.stranger(within)),
            Err(error) => Err(error),
        }
    }

    /// Who it is, and what it has.
    pub(super) fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.line.path
    }

    /// What its clock showed when it was asked, and when that was on the host's clock: before and after.
    pub(super) fn read_clock(&mut self) -> Result<(Instant, Ticks, Ticks, Instant), BenchError> {
        let before = Instant::now();
        let answer = self.line.ask(Command::ReadClock, "what its clock shows", ANSWERS_WITHIN)?;
        let after = Instant::now();
        match answer {
            Answer::Clock { received, sent } => Ok((before, received, sent, after)),
            other => Err(self.unexpected("tell its clock", other)),
        }
    }

    /// Drives a wire; since when.
    pub(super) fn drive(&mut self, wire: Wire, drive: Drive) -> Result<Ticks, BenchError> {
        self.done(Command::Drive { wire, drive }, "drive that wire")
    }

    /// Plays a waveform; when it was taken.
    pub(super) fn play(&mut self, waveform: Waveform) -> Result<Ticks, BenchError> {
        self.done(Command::Play(waveform), "play that waveform")
    }

    /// Records these from now on; since when.
    pub(super) fn record(&mut self, wanted: Wanted) -> Result<Ticks, BenchError> {
        self.done(Command::Record(wanted), "record that")
    }

    /// Sends edges to itself; since when.
    pub(super) fn loop_back(&mut self, edges: u16, spacing: u32) -> Result<Ticks, BenchError> {
        self.done(Command::LoopBack { edges, spacing }, "check its loop-back pair")
    }

    /// Lets a simulated device run; where it stands then.
    pub(super) fn proceed(&mut self, proceed: Proceed) -> Result<Stands, BenchError> {
        let asked = "let the device run";
        match self.line.ask(Command::Proceed(proceed), asked, PROCEEDS_WITHIN)? {
            Answer::Stands(stands) => Ok(stands),
            other => Err(self.unexpected(asked, other)),
        }
    }

    fn done(&mut self, command: Command, asked: &'static str) -> Result<Ticks, BenchError> {
        match self.line.ask(command, asked, ANSWERS_WITHIN)? {
            Answer::Done { at } => Ok(at),
            other => Err(self.unexpected(asked, other)),
        }
    }

    fn unexpected(&self, asked: &'static str, answer: Answer) -> BenchError {
        match answer {
            Answer::Refused(reason) => BenchError::Refused { port: self.line.path.clone(), asked, reason },
            _ => BenchError::OtherAnswer { port: self.line.path.clone(), asked },
        }
    }

    /// What it has told since, in order. Never waits.
    ///
    /// # Errors
    /// [`BenchError`] if it is gone, or speaks another language than it did.
    pub(super) fn told(&mut self) -> Result<VecDeque<Told>, BenchError> {
        self.line.told()
    }
}

impl Drop for Controller {
    /// Lets go of every wire.
    fn drop(&mut self) {
        // It is gone, or it does; nobody is left to be told.
        let _ = self.line.ask(Command::Identify, "let everything go", LETS_GO_WITHIN);
    }
}
