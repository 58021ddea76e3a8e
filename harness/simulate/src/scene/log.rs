//! What the device said, and what became of it.

use std::collections::{BTreeMap, VecDeque};

use rigor_core::Instant;
use rigor_core::event::DeviceEvent;
use rigor_decode::console::{Line, LogLevel};

use super::device;
use crate::console::Visible;

/// Lines that are kept.
const MAX_LINES: usize = 2000;
/// Characters of a line that are kept.
const MAX_CHARACTERS: usize = 512;
/// Parts of the firmware of which the last word is kept.
const MAX_TAGS: usize = 32;

/// A line of the log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// When it had been printed.
    pub at: Instant,
    /// How serious, if it is a line of a log.
    pub level: Option<LogLevel>,
    /// Whether the rig says so, and not the device.
    pub is_note: bool,
    /// What it says, printable.
    pub text: String,
}

/// The last word of a part of the firmware.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Said {
    /// When.
    pub at: Instant,
    /// How serious.
    pub level: LogLevel,
    /// What.
    pub message: String,
}

/// The log.
#[derive(Default)]
pub struct Log {
    /// The last lines, the newest last.
    pub entries: VecDeque<Entry>,
    /// The last word of each part of the firmware, by its tag.
    pub tags: BTreeMap<String, Said>,
    /// Lines so far.
    pub total: u64,
}

/// The begin of `text`, as it can be shown anywhere.
fn shortened(text: &str) -> String {
    let begin: String = text.chars().take(MAX_CHARACTERS).collect();
    let mut visible = Visible::default();
    visible.push(begin.as_bytes()) + &visible.finish()
}

impl Log {
    pub(super) fn line(&mut self, line: &Line) {
        let log = line.log();
        if let Some(log) = log {
            let said = Said { at: line.end, level: log.level, message: shortened(log.message) };
            self.tags.insert(shortened(log.tag), said);
            self.forget_a_tag();
        }
        let level = log.map(|log| log.level);
        self.add(Entry { at: line.end, level, is_note: false, text: shortened(&line.text) });
    }

    pub(super) fn note(&mut self, at: Instant, what: &DeviceEvent) {
        let text = match what {
            DeviceEvent::PowerOn => "power on".to_owned(),
            DeviceEvent::PowerOff => "power off".to_owned(),
            DeviceEvent::Started(cause) => format!("started by {}", device::cause(*cause)),
            // The text is the firmware's.
            DeviceEvent::Crashed(text) => format!("crashed: {}", shortened(&text.replace('\n', " "))),
        };
        if matches!(what, DeviceEvent::Started(_)) {
            self.tags.clear();
        }
        self.add(Entry { at, level: None, is_note: true, text });
    }

    fn add(&mut self, entry: Entry) {
        if self.entries.len() == MAX_LINES {
            self.entries.pop_front();
        }
        self.entries.push_back(entry);
        self.total += 1;
    }

    fn forget_a_tag(&mut self) {
        if self.tags.len() > MAX_TAGS
            && let Some(oldest) = self.tags.iter().min_by_key(|(_, said)| said.at).map(|(tag, _)| tag.clone())
        {
            self.tags.remove(&oldest);
        }
    }
}
