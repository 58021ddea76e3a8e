//! The device's console outside of the board: on the terminal, or on a pseudo-terminal.

mod pty;
mod terminal;
mod visible;

use std::io;
use std::path::Path;
use std::time::Duration;

use rigor_core::Instant;

use crate::arguments::ConsoleChoice;
use crate::wait::{Ready, Wanted};

pub use pty::Pty;
pub use terminal::Terminal;
pub use visible::Visible;

/// Bytes typed at once.
const TYPED_BYTES: usize = 4096;
/// What is typed may wait for the line by this much: then nothing more is read, and the typist waits.
const MAX_WAITING: Duration = Duration::from_millis(50);

/// Where the console is.
pub(crate) enum Console {
    Terminal(Terminal),
    Pty(Pty),
    None,
}

impl Console {
    /// # Errors
    /// If a pseudo-terminal cannot be had.
    pub(crate) fn open(choice: ConsoleChoice) -> io::Result<Self> {
        Ok(match choice {
            ConsoleChoice::Terminal => Console::Terminal(Terminal::new()),
            ConsoleChoice::Pty => Console::Pty(Pty::open()?),
            ConsoleChoice::None => Console::None,
        })
    }

    pub(crate) fn path(&self) -> Option<&Path> {
        match self {
            Console::Pty(pty) => Some(pty.path()),
            Console::Terminal(_) | Console::None => None,
        }
    }

    pub(crate) fn wanted<'a>(&'a self, line: &Line, now: Instant, wanted: &mut Wanted<'a>) {
        let takes_input = line.takes_input(now);
        match self {
            Console::Terminal(terminal) => terminal.wanted(takes_input, wanted),
            Console::Pty(pty) => pty.wanted(takes_input, wanted),
            Console::None => {}
        }
    }

    /// What was typed.
    ///
    /// # Errors
    /// If the console is broken; that its user is gone is no error.
    pub(crate) fn attend(&mut self, ready: &Ready) -> io::Result<Vec<u8>> {
        match self {
            Console::Terminal(terminal) => terminal.attend(ready),
            Console::Pty(pty) => pty.attend(ready),
            Console::None => Ok(Vec::new()),
        }
    }

    /// The device printed `bytes`.
    ///
    /// # Errors
    /// If the console is broken.
    pub(crate) fn print(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Console::Terminal(terminal) => terminal.print(bytes),
            Console::Pty(pty) => pty.print(bytes),
            Console::None => Ok(()),
        }
    }
}

/// How long the line to the device is busy with what was typed.
pub(crate) struct Line {
    byte_time: Duration,
    busy_until: Instant,
}

impl Line {
    /// A line of so many bits per second, with ten bits a byte.
    pub(crate) fn new(baud: u32) -> Self {
        let byte_time = Duration::from_nanos(10_000_000_000 / u64::from(baud.max(1)));
        Line { byte_time, busy_until: Instant::ZERO }
    }

    fn takes_input(&self, now: Instant) -> bool {
        self.busy_until.since(now) < MAX_WAITING
    }

    pub(crate) fn type_in(&mut self, bytes: usize, now: Instant) {
        let time = self.byte_time.saturating_mul(u32::try_from(bytes).unwrap_or(u32::MAX));
        self.busy_until = self.busy_until.max(now) + time;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_types_faster_than_the_line_waits() {
        let mut line = Line::new(115_200);
        let now = Instant::from_nanos(1_000_000_000);
        assert!(line.takes_input(now));
        line.type_in(TYPED_BYTES, now);
        assert!(!line.takes_input(now + Duration::from_millis(300)));
        assert!(line.takes_input(now + Duration::from_millis(310)));
    }
}
