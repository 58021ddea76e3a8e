//! The device's serial console: lines with exact times, and what we type.

use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use rigor_core::Instant;
use rigor_core::part;
use rigor_core::timeline::{Cursor, Next};
use rigor_core::unit::Amount;
use rigor_core::verdict::{Blame, ProductError};
use rigor_decode::console::{Line, LineDecoder};

use super::{Bench, Missing, Need};

/// The console. Each one taken reads all lines from the start, whoever else reads them.
pub struct Console {
    bench: Bench,
    part: Rc<dyn part::Console>,
    cursor: Cursor,
    decoder: LineDecoder,
    ready: VecDeque<Line>,
    /// All lines read so far, for messages.
    seen: Vec<Line>,
}

impl Console {
    /// Types `text` as it is.
    ///
    /// # Errors
    /// The rig's, if the line is gone.
    pub fn write(&self, text: &str) -> Result<(), Blame> {
        self.bench.act(format!("console: type {text:?}"))?;
        Ok(self.part.write(text.as_bytes())?)
    }

    /// Reads over everything that the device has said until now.
    pub fn skip_what_was_said(&mut self) {
        self.cursor = self.bench.timeline.cursor(self.part.source());
        self.decoder = LineDecoder::default();
        self.ready.clear();
    }

    /// The next line that is complete before `deadline`, if there is one.
    pub async fn next_line(&mut self, deadline: Instant) -> Option<Line> {
        loop {
            if let Some(line) = self.ready.pop_front() {
                self.seen.push(line.clone());
                return Some(line);
            }
            match self.cursor.next_before(deadline).await {
                Next::Absent => return None,
                Next::Event(event) => {
                    let mut lines = Vec::new();
                    self.decoder.event(&event, &mut lines);
                    self.ready.extend(lines);
                }
            }
        }
    }

    /// The next line that `matches`; lines before it are read over.
    ///
    /// # Errors
    /// The product's, if no such line comes within `limit`: the message names `what` and the last
    /// lines instead.
    pub async fn expect(
        &mut self,
        what: &str,
        limit: Duration,
        matches: impl Fn(&Line) -> bool,
    ) -> Result<Line, Blame> {
        let deadline = self.bench.timeline.now() + limit;
        while let Some(line) = self.next_line(deadline).await {
            if matches(&line) {
                return Ok(line);
            }
        }
        let last: Vec<&str> = self.seen.iter().rev().take(3).rev().map(|line| line.text.as_str()).collect();
        Err(ProductError(format!(
            "no line with {what} within {}; the last lines: {last:?}",
            Amount::from(limit)
        ))
        .into())
    }

    /// The next line that contains `text`.
    ///
    /// # Errors
    /// As [`Console::expect`].
    pub async fn expect_text(&mut self, text: &str, limit: Duration) -> Result<Line, Blame> {
        self.expect(&format!("{text:?}"), limit, |line| line.text.contains(text)).await
    }

    /// Every line of the next `duration`.
    pub async fn lines_for(&mut self, duration: Duration) -> Vec<Line> {
        let deadline = self.bench.timeline.now() + duration;
        let mut lines = Vec::new();
        while let Some(line) = self.next_line(deadline).await {
            lines.push(line);
        }
        lines
    }

    /// The lines read so far.
    pub fn seen(&self) -> &[Line] {
        &self.seen
    }
}

impl Need for Console {
    fn take(bench: &Bench) -> Result<Self, Missing> {
        let part = bench.parts.console.clone().ok_or_else(|| bench.missing("console", "[console]"))?;
        let cursor = bench.timeline.cursor_at_start(part.source());
        Ok(Console {
            bench: bench.clone(),
            part,
            cursor,
            decoder: LineDecoder::default(),
            ready: VecDeque::new(),
            seen: Vec::new(),
        })
    }
}
