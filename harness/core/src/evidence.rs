//! What a case leaves for people to look at: a slice of its timeline, reduced to what fits a page.
//!
//! The runner projects the timeline to this, results carry it, reports draw it; nothing is decided by
//! it. All instants are nanoseconds on the rig's clock since the case's rig was taken. All texts may
//! come from the device, a rig file or the network and hold anything.

use serde::{Deserialize, Serialize};

use crate::unit::Unit;

/// Lanes that a case keeps.
pub const MAX_LANES: usize = 32;
/// Marks that all lanes of a case keep together.
pub const MAX_MARKS: usize = 4000;
/// Points that a series keeps.
pub const MAX_POINTS: usize = 2000;
/// Pictures that a case keeps.
pub const MAX_PICTURES: usize = 16;
/// Base64 characters of a picture: a panel of 320 x 240 in PNG, with room.
pub const MAX_PICTURE: usize = 400_000;
/// Characters of a mark, a caption or a name.
pub const MAX_LABEL: usize = 200;
/// Lines of log.
pub const MAX_LOG_LINES: usize = 400;

/// What one case shows of what happened.
#[derive(Clone, PartialEq, Default, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// Where the slice that the lanes show begins.
    pub from_ns: u64,
    /// Where it ends.
    pub until_ns: u64,
    /// The slice, on one time axis; at most [`MAX_LANES`].
    pub lanes: Vec<Lane>,
    /// What LEDs and panels showed, in the order of time; at most [`MAX_PICTURES`].
    pub pictures: Vec<Picture>,
    /// Quantities over the whole case.
    pub series: Vec<Series>,
    /// Exchanges, step by step.
    pub waterfalls: Vec<Waterfall>,
    /// The device's console; at most [`MAX_LOG_LINES`], the last ones.
    pub log: Vec<LogLine>,
    /// Files with the slice for other tools, as paths relative to the run's folder.
    pub files: Vec<String>,
}

/// One source of the timeline.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lane {
    /// Name of the signal or source.
    pub name: String,
    /// What its marks are.
    pub kind: LaneKind,
    /// What happened, in the order of time.
    pub marks: Vec<Mark>,
    /// How many marks it had before the slice.
    pub left_out: u64,
}

/// What a lane shows.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LaneKind {
    /// A wire: a mark is the time that it is high.
    Level,
    /// Shift-outs such as WS2812 frames.
    Burst,
    /// Bytes on a serial line.
    Serial,
    /// Messages and events of network connections.
    Network,
    /// Transfers to a panel or another bus device.
    Bus,
    /// What the radio heard.
    Air,
    /// Times in which the flash chip was busy.
    Flash,
    /// What happened to the device as a whole: power, resets, crashes.
    Device,
    /// What the harness did.
    Action,
    /// Notes for people.
    Note,
}

/// One thing that happened. In JSON it is an array: instant, length, text.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(from = "(u64, u64, String)", into = "(u64, u64, String)")]
pub struct Mark {
    /// When it began, in nanoseconds.
    pub at_ns: u64,
    /// How long it took, in nanoseconds; 0 for what has no length.
    pub length_ns: u64,
    /// What it was, in a few words.
    pub text: String,
}

impl From<(u64, u64, String)> for Mark {
    fn from((at_ns, length_ns, text): (u64, u64, String)) -> Self {
        Mark { at_ns, length_ns, text }
    }
}

impl From<Mark> for (u64, u64, String) {
    fn from(mark: Mark) -> Self {
        (mark.at_ns, mark.length_ns, mark.text)
    }
}

/// What an LED strip or a panel showed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Picture {
    /// When it was complete, in nanoseconds.
    pub at_ns: u64,
    /// What it shows.
    pub caption: String,
    /// Pixels across.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
    /// A PNG file in base64 (RFC 4648, section 4), at most [`MAX_PICTURE`] characters.
    pub png: String,
}

/// A quantity over time.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Series {
    /// What it is.
    pub name: String,
    /// Unit of the values.
    pub unit: Unit,
    /// Nanoseconds and value, in the order of time; at most [`MAX_POINTS`]. Where some were left out,
    /// the extremes of each stretch are kept.
    pub points: Vec<(u64, f64)>,
    /// How many points there were beyond those that are kept.
    pub left_out: u64,
    /// Values worth a line: the limits of a budget.
    pub limits: Vec<f64>,
}

/// An exchange, step by step: where the time of an upload went.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Waterfall {
    /// What was exchanged.
    pub name: String,
    /// Its steps, in the order in which they began.
    pub steps: Vec<Mark>,
}

/// A line of the device's console.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(from = "(u64, String)", into = "(u64, String)")]
pub struct LogLine {
    /// When its last byte arrived, in nanoseconds.
    pub at_ns: u64,
    /// The text, without its line end.
    pub text: String,
}

impl From<(u64, String)> for LogLine {
    fn from((at_ns, text): (u64, String)) -> Self {
        LogLine { at_ns, text }
    }
}

impl From<LogLine> for (u64, String) {
    fn from(line: LogLine) -> Self {
        (line.at_ns, line.text)
    }
}

impl Evidence {
    /// How many marks its lanes have together.
    pub fn marks(&self) -> usize {
        self.lanes.iter().map(|lane| lane.marks.len()).sum()
    }

    /// What no runner could have left, if anything: for readers of files.
    pub(crate) fn fault(&self) -> Option<String> {
        let too_many = |what: &str, count: usize, limit: usize| {
            (count > limit).then(|| format!("{count} {what}, but at most {limit} are kept"))
        };
        let base64 = |byte: u8| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte);
        let bad_picture = || {
            let bad = self.pictures.iter().position(|picture| !picture.png.bytes().all(base64))?;
            Some(format!("picture {bad} is not base64"))
        };
        let endless = || {
            let finite = |series: &Series| {
                series.points.iter().all(|(_, value)| value.is_finite())
                    && series.limits.iter().all(|limit| limit.is_finite())
            };
            let bad = self.series.iter().position(|series| !finite(series))?;
            Some(format!("series {bad} has a value that is not finite"))
        };
        (self.from_ns > self.until_ns)
            .then(|| "`from_ns` is later than `until_ns`".to_owned())
            .or_else(|| too_many("lanes", self.lanes.len(), MAX_LANES))
            .or_else(|| too_many("marks", self.marks(), MAX_MARKS))
            .or_else(|| too_many("pictures", self.pictures.len(), MAX_PICTURES))
            .or_else(|| too_many("lines of log", self.log.len(), MAX_LOG_LINES))
            .or_else(|| {
                let longest = self.series.iter().map(|series| series.points.len()).max().unwrap_or(0);
                too_many("points of a series", longest, MAX_POINTS)
            })
            .or_else(|| {
                let largest = self.pictures.iter().map(|picture| picture.png.len()).max().unwrap_or(0);
                too_many("characters of a picture", largest, MAX_PICTURE)
            })
            .or_else(bad_picture)
            .or_else(endless)
    }
}
