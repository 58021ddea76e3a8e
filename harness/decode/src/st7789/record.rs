//! All that a trace says, in bounded memory: what `rigor decode --as st7789` prints.

use rigor_core::{Event, Instant};
use serde::Serialize;

use super::config::Config;
use super::decoder::Decoder;
use super::finding::Finding;
use super::frame::{Frame, Grouping};
use super::item::{Command, Item};
use super::pass::Pass;

/// How much a [`Record`] holds. What is beyond is counted, not kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Lines of commands, passes and findings together.
    pub lines: usize,
    /// Frames, each with a picture of at most 230 KB.
    pub frames: usize,
}

impl Default for Limits {
    /// 100,000 lines, which are 20 MB, and 256 frames, which are 60 MB.
    fn default() -> Self {
        Limits { lines: 100_000, frames: 256 }
    }
}

/// One line of a record. In JSON each has a `kind`, and instants and durations in nanoseconds.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Line {
    /// A command.
    Command(Command),
    /// A pass over a window.
    Pass(Pass),
    /// The frame that ended here; its number among [`Record::frames`], from 0.
    Frame {
        /// Which.
        number: usize,
        /// The frame, without its picture.
        #[serde(flatten)]
        frame: FrameLine,
    },
    /// Something that should not be.
    Finding(Finding),
}

/// A [`Frame`] without its picture.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct FrameLine {
    /// See [`Frame::start`].
    #[serde(rename = "start_ns")]
    pub start: Instant,
    /// See [`Frame::end`].
    #[serde(rename = "end_ns")]
    pub end: Instant,
    /// What the frame says in words.
    pub text: String,
}

impl Line {
    /// When it began.
    pub fn at(&self) -> Instant {
        match self {
            Line::Command(command) => command.at,
            Line::Pass(pass) => pass.start,
            Line::Frame { frame, .. } => frame.start,
            Line::Finding(finding) => finding.at,
        }
    }
}

/// With its instant, as in `0.130000 s  command  DISPON`.
impl std::fmt::Display for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}  ", self.at())?;
        match self {
            Line::Command(command) => write!(f, "command  {command}"),
            Line::Pass(pass) => write!(f, "pass     {pass}"),
            Line::Frame { number, frame } => write!(f, "frame    #{number}: {}", frame.text),
            Line::Finding(finding) => write!(f, "FINDING  {finding}"),
        }
    }
}

/// What was beyond the limits of a record.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize)]
pub struct LeftOut {
    /// Lines of commands and passes.
    pub lines: u64,
    /// Lines of findings.
    pub findings: u64,
    /// Frames.
    pub frames: u64,
}

/// All that a trace says.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
pub struct Record {
    /// In the order in which they were known: a pass or frame comes when it is over.
    pub lines: Vec<Line>,
    /// With their pictures, which are not in its JSON.
    pub frames: Vec<Frame>,
    /// Findings, listed or not.
    pub findings: u64,
    /// What was beyond the limits.
    pub left_out: LeftOut,
}

impl Record {
    /// Decodes all of `events` to the end of the trace.
    pub fn of<'a>(config: &Config, limits: Limits, events: impl IntoIterator<Item = &'a Event>) -> Self {
        let mut decoder = Decoder::new(config);
        let mut grouping = Grouping::new(config.pause);
        let mut record = Record::default();
        for event in events {
            decoder.event(event, |screen, item| {
                let frame = grouping.item(screen, &item);
                record.add(item, frame, limits);
            });
        }
        let screen = decoder.finish(|screen, item| {
            let frame = grouping.item(screen, &item);
            record.add(item, frame, limits);
        });
        if let Some(frame) = grouping.close(&screen) {
            record.add_frame(frame, limits);
        }
        record
    }

    fn add(&mut self, item: Item, frame: Option<Frame>, limits: Limits) {
        if let Some(frame) = frame {
            self.add_frame(frame, limits);
        }
        let line = match item {
            Item::Command(command) => Line::Command(command),
            Item::Pass(pass) => Line::Pass(pass),
            Item::Finding(finding) => Line::Finding(finding),
            Item::PassBegins { .. } | Item::ShowsOtherwise { .. } => return,
        };
        let is_finding = matches!(line, Line::Finding(_));
        self.findings += u64::from(is_finding);
        if self.lines.len() < limits.lines {
            self.lines.push(line);
        } else if is_finding {
            self.left_out.findings += 1;
        } else {
            self.left_out.lines += 1;
        }
    }

    fn add_frame(&mut self, frame: Frame, limits: Limits) {
        if self.frames.len() >= limits.frames {
            self.left_out.frames += 1;
            return;
        }
        if self.lines.len() < limits.lines {
            let line = FrameLine { start: frame.start, end: frame.end, text: frame.to_string() };
            self.lines.push(Line::Frame { number: self.frames.len(), frame: line });
        } else {
            self.left_out.lines += 1;
        }
        self.frames.push(frame);
    }
}
