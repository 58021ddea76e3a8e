//! From a rig's timeline to what people look at: the [`Evidence`] of a case.
//!
//! Everything here is a projection. The verdict has been reached before, and nothing here can change it.

mod conversation;
mod files;
mod lanes;
mod leds;
mod picture;
mod series;
mod tasks;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use rigor_core::budget::Budget;
use rigor_core::event::Direction;
use rigor_core::evidence::{Evidence, LogLine};
use rigor_core::unit::Unit;
use rigor_core::verdict::Verdict;
use rigor_core::{Instant, Rig};
use rigor_decode::console::{self, Line, LineDecoder};

pub(crate) use files::keep_repeats;
pub use files::{FilesOf, Shelf};

/// Says in a few words what a message of the system's own protocol is; `None` if it is none.
pub type Dissect = fn(Direction, &[u8]) -> Option<String>;

/// A figure that a device gives of itself on its console. It is for people to look at; nothing is judged
/// by it.
#[derive(Clone, PartialEq, Debug)]
pub struct Reading {
    /// What it is of.
    pub name: String,
    /// Its unit.
    pub unit: Unit,
    /// The figure, finite.
    pub value: f64,
}

/// Finds the reading in a line of the system's log; `None` if it has none.
pub type Read = fn(&console::LogLine<'_>) -> Option<Reading>;

/// What a suite knows of its system's words.
#[derive(Clone, Copy, Debug)]
pub struct Vocabulary {
    /// How to tell people what was said.
    pub dissect: Dissect,
    /// How to read what the device says of itself.
    pub read: Read,
}

impl Default for Vocabulary {
    /// Nothing is known.
    fn default() -> Self {
        Vocabulary { dissect: |_, _| None, read: |_| None }
    }
}

/// What is to be shown of the trials of a rig.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// How to read what was said.
    pub words: Vocabulary,
    /// Where files for other tools go, if any are to be left.
    pub shelf: Option<Arc<Shelf>>,
}

/// How much a case keeps. What passes is looked at less often than what does not.
struct Amount {
    marks: usize,
    points: usize,
    pictures: usize,
    steps: usize,
    lines: usize,
}

const OF_A_PASS: Amount = Amount { marks: 80, points: 48, pictures: 1, steps: 12, lines: 10 };
const OF_ANYTHING_ELSE: Amount = Amount { marks: 1500, points: 600, pictures: 6, steps: 120, lines: 200 };

/// What there is to look at of the case `name` that ended with `verdict`, and whose requirements have
/// `budgets`. Leaves files on the shelf if they are wanted.
pub(crate) fn of(rig: &Rig, name: &str, verdict: Verdict, budgets: &[&Budget], wanted: &Wanted) -> Evidence {
    let amount = if verdict == Verdict::Pass { &OF_A_PASS } else { &OF_ANYTHING_ELSE };
    let strips = leds::Strips::decode(rig);
    let conversations = conversation::all(rig, wanted.words.dissect);
    let said = said(rig);
    let mut lanes = lanes::all(rig, &strips, &conversations);
    let until_ns = rig.timeline.now().as_nanos();
    let from_ns = lanes::keep_the_last(&mut lanes, amount.marks, until_ns);
    let shelf = wanted.shelf.as_ref().filter(|shelf| shelf.wants(verdict == Verdict::Pass));
    let files = shelf.map(|shelf| shelf.keep(rig, name, strips.animation()));
    Evidence {
        from_ns,
        until_ns,
        lanes,
        pictures: strips.pictures(amount.pictures),
        series: series::all(rig, &strips, &said, wanted.words.read, budgets, amount.points),
        waterfalls: conversations.iter().filter_map(|talk| talk.waterfall(amount.steps)).collect(),
        log: log(said, amount.lines),
        files: files.unwrap_or_default(),
    }
}

/// What the device said on its console, line by line.
fn said(rig: &Rig) -> Vec<Line> {
    let Some(console) = &rig.parts.console else { return Vec::new() };
    LineDecoder::decode(&rig.timeline.events(console.source(), Instant::ZERO, Instant::MAX))
}

/// The last of what it said.
fn log(said: Vec<Line>, lines: usize) -> Vec<LogLine> {
    let skip = said.len().saturating_sub(lines);
    let line = |line: Line| LogLine { at_ns: line.end.as_nanos(), text: line.text };
    said.into_iter().skip(skip).map(line).collect()
}
