//! A sign of life on the terminal from cases that take long.

use std::future::poll_fn;
use std::io::{IsTerminal, Write};
use std::sync::Arc;
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

/// Who looks on while a [long](crate::case::Case::long) case runs. It is told the case's name as it begins,
/// and what it returns is told the rig's time whenever the case goes on, and dropped when the case ends.
pub type Onlooker = Arc<dyn Fn(&str) -> Box<dyn FnMut(Instant)> + Send + Sync>;

/// A line on the standard error that says how far the rig's clock has come. `None` if that is no
/// terminal: elsewhere nobody could wipe it away again.
pub fn line() -> Option<Onlooker> {
    let onlooker = |name: &str| -> Box<dyn FnMut(Instant)> {
        let mut line = Line { name: name.to_owned(), written: None, begun: WallInstant::now() };
        Box::new(move |now| line.tell(now))
    };
    std::io::stderr().is_terminal().then(|| Arc::new(onlooker) as Onlooker)
}

/// `case` as it is, while `told` hears how far the rig's clock has come.
pub(crate) fn watched(mut told: Box<dyn FnMut(Instant)>, timeline: Timeline, mut case: Running) -> Running {
    Box::pin(poll_fn(move |context| {
        told(timeline.now());
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

/// Hours, minutes and seconds on the rig's clock: `01:30:00`.
pub fn clock(at: Instant) -> String {
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
