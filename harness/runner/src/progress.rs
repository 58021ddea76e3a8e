//! A sign of life on the terminal from cases that take long.

use std::future::poll_fn;
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant as WallInstant};

use rigor_core::{Instant, Timeline};

use crate::case::Running;

/// The line is written again this often, on the wall clock.
const EVERY: Duration = Duration::from_secs(1);

/// What a terminal is told (ECMA-48 and, for the cursor, DEC's VT100). The cursor stays where it was, so
/// that whoever writes next, the name of another case or this one's result, writes over the line.
const SAVE: &str = "\x1b7";
const RESTORE: &str = "\x1b8";
const WIPE: &str = "\x1b[K";

/// `case` as it is, and while it runs a line on the standard error that says how far the rig's clock
/// has come. Only on a terminal: elsewhere nobody could wipe it away again.
pub(crate) fn told(name: &str, timeline: Timeline, mut case: Running) -> Running {
    if !std::io::stderr().is_terminal() {
        return case;
    }
    let mut line = Line { name: name.to_owned(), written: None, begun: WallInstant::now() };
    Box::pin(poll_fn(move |context| {
        line.tell(timeline.now());
        case.as_mut().poll(context)
    }))
}

struct Line {
    name: String,
    begun: WallInstant,
    written: Option<WallInstant>,
}

impl Line {
    fn tell(&mut self, now: Instant) {
        if self.written.unwrap_or(self.begun).elapsed() >= EVERY {
            self.written = Some(WallInstant::now());
            write(&format!("{SAVE}{WIPE}{}: {} on the rig's clock{RESTORE}", self.name, clock(now)));
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if self.written.is_some() {
            write(WIPE);
        }
    }
}

/// Who cannot be told need not be.
fn write(text: &str) {
    let _ = std::io::stderr().write_all(text.as_bytes());
}

/// Hours, minutes and seconds.
fn clock(at: Instant) -> String {
    let seconds = at.since(Instant::ZERO).as_secs();
    format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_told_in_hours() {
        assert_eq!(clock(Instant::ZERO), "00:00:00");
        assert_eq!(clock(Instant::ZERO + Duration::from_secs(100_000)), "27:46:40");
    }
}
