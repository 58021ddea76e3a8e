//! Rig files: what is wired to which device, in TOML.
//!
//! The schema is documented in `rigs/README.md`. A part that the file does not name does not
//! exist. Every error says file, line, and what to write instead.

pub mod bench;
mod qemu;
mod raw;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rigor_board::BoardConfig;
use rigor_board::net::{LinkConfig, Via};
use rigor_core::Fidelity;
use serde::Deserialize;

use crate::recording::FirmwareId;

pub use bench::Bench;
pub use qemu::{Chip, Exact, Lacking, Qemu, QemuBoard};

/// Larger files are not rig files, in bytes.
pub const MAX_FILE_BYTES: usize = 64 * 1024;
/// Characters of a complaint that are kept.
const MAX_COMPLAINT: usize = 400;
/// An exact machine executes some 500 million instructions a second at worst, and takes 8 ns for each.
const EXACT_PACE: u32 = 6;
/// The schema that this code reads.
const SCHEMA: i64 = 1;

/// A rig as its file describes it.
#[derive(Clone, PartialEq, Debug)]
pub struct RigFile {
    /// The file, for messages.
    pub path: String,
    /// What it says, for recordings.
    pub text: String,
    /// Name of the rig, for reports.
    pub name: String,
    /// The device on it: a suite's name.
    pub dut: String,
    /// What moves its clock.
    pub back_end: BackEnd,
    /// The serial console.
    pub console: Option<Console>,
    /// The supply switch.
    pub power: Option<Present>,
    /// The reset line.
    pub reset: Option<Present>,
    /// The flash programmer.
    pub flash: Option<Present>,
    /// The network.
    pub net: Option<Net>,
    /// The view of the device's scheduler.
    pub scheduler: Option<Present>,
    /// The hand on the device's cores and memory.
    pub stress: Option<Present>,
    /// A radio of the rig's own.
    pub air: Option<Present>,
    /// LED lanes in the order of their pixels.
    pub leds: Vec<LedLane>,
    /// Wires that the rig can drive.
    pub pins: Vec<PinWire>,
}

/// The back end that a rig file names.
#[derive(Clone, PartialEq, Debug)]
pub enum BackEnd {
    /// A modelled board in this process.
    Virtual(VirtualBoard),
    /// Recordings of another rig.
    Replay(Replay),
    /// A device that QEMU emulates.
    Qemu(Qemu),
    /// A real board.
    Bench(Bench),
}

/// Recordings in place of a rig.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Replay {
    /// Their folder, or one of them.
    pub recording: PathBuf,
    /// The rig that was recorded; needed only if the folder has those of several.
    pub rig: Option<String>,
    /// What is known of the recorded rig, once somebody [looked](RigFile::look_up).
    pub recorded: Option<RecordedRig>,
}

/// What recordings say of the rig that they are of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RecordedRig {
    /// What its clock was worth.
    pub fidelity: Fidelity,
    /// The firmware on its device, if it was known.
    pub firmware: Option<FirmwareId>,
    /// The seed of everything random on it.
    pub seed: u64,
}

/// The model of a virtual board. What the file leaves out is the default of
/// [`BoardConfig`].
#[derive(Clone, PartialEq, Default, Debug)]
pub struct VirtualBoard {
    /// Clock of the cores, in MHz.
    pub cpu_mhz: Option<u32>,
    /// Heap of the device, in KiB.
    pub heap_kib: Option<u32>,
    /// Flash capacity, in MiB.
    pub flash_mib: Option<u32>,
    /// Time to erase a sector, in microseconds.
    pub erase_sector_us: Option<u32>,
    /// Time to program a page, in microseconds.
    pub program_page_us: Option<u32>,
}

impl VirtualBoard {
    /// `base` with what the file says.
    pub(crate) fn config(&self, base: BoardConfig, file: &RigFile) -> BoardConfig {
        let micros =
            |value: Option<u32>, otherwise| value.map_or(otherwise, |us| Duration::from_micros(us.into()));
        let mut config = base;
        config.cpu_hz = self.cpu_mhz.map_or(base.cpu_hz, |mhz| u64::from(mhz) * 1_000_000);
        config.heap_bytes = self.heap_kib.map_or(base.heap_bytes, |kib| kib as usize * 1024);
        config.flash.bytes = self.flash_mib.map_or(base.flash.bytes, |mib| mib as usize * 1024 * 1024);
        config.flash.erase_sector = micros(self.erase_sector_us, base.flash.erase_sector);
        config.flash.program_page = micros(self.program_page_us, base.flash.program_page);
        if let Some(console) = &file.console {
            config.baud = console.baud;
        }
        if let Some(net) = &file.net {
            config.link = LinkConfig {
                latency: micros(net.latency_us, base.link.latency),
                bits_per_second: net
                    .mbit_per_s
                    .map_or(base.link.bits_per_second, |mbit| u64::from(mbit) * 1_000_000),
            };
        }
        config
    }
}

/// A part without settings.
#[derive(Clone, PartialEq, Eq, Default, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Present {}

/// The serial console.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Console {
    /// Bits per second.
    pub baud: u32,
}

/// The network.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Net {
    /// TCP ports of the device's services, by name.
    pub ports: BTreeMap<String, u16>,
    /// How the rig gets there.
    pub via: Via,
    /// One way, in microseconds (where the rig has a clock of its own).
    pub latency_us: Option<u32>,
    /// Each way (where the rig has a clock of its own).
    pub mbit_per_s: Option<u32>,
    /// Ports of the host's loopback interface that lead to the services, by name (where the device lives in
    /// the host's time). A service without one gets any that is free. On a bench: ports of the device's
    /// address, where others than its own lead to the services.
    pub forward: BTreeMap<String, u16>,
}

/// One lane of an addressable LED strip.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LedLane {
    /// Name of the signal.
    pub signal: String,
    /// Pin of the device.
    pub pin: u8,
    /// Pixels on the lane.
    pub pixels: usize,
}

/// A wire that the rig can drive.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PinWire {
    /// Name of the signal.
    pub signal: String,
    /// Pin of the device.
    pub pin: u8,
}

/// What is wrong with a rig file.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{path}:{line}: {what}; {instead}")]
pub struct RigFileError {
    /// The file.
    pub path: String,
    /// Its line, from 1.
    pub line: usize,
    /// What is wrong.
    pub what: String,
    /// What to write instead.
    pub instead: String,
}

/// Finds lines by byte offset.
pub(crate) struct Place<'a> {
    pub(crate) path: &'a str,
    pub(crate) text: &'a str,
}

impl Place<'_> {
    pub(crate) fn error(
        &self,
        offset: usize,
        what: impl Into<String>,
        instead: impl Into<String>,
    ) -> RigFileError {
        let before = self.text.get(..offset).unwrap_or(self.text);
        let line = before.bytes().filter(|&byte| byte == b'\n').count() + 1;
        // It may quote the file, whatever that holds and however long it is.
        let printable = |c: char| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c };
        let what = what.into().chars().take(MAX_COMPLAINT).map(printable).collect();
        RigFileError { path: self.path.to_owned(), line, what, instead: instead.into() }
    }
}

impl BackEnd {
    /// The word for it in rig files.
    pub fn name(&self) -> &'static str {
        match self {
            BackEnd::Virtual(_) => "virtual",
            BackEnd::Replay(_) => "replay",
            BackEnd::Qemu(_) => "qemu",
            BackEnd::Bench(_) => "bench",
        }
    }
}

impl RigFile {
    /// What durations on this rig's clock are worth.
    pub fn fidelity(&self) -> Fidelity {
        match &self.back_end {
            BackEnd::Virtual(_) => Fidelity::Modelled,
            BackEnd::Qemu(_) => Fidelity::Emulated,
            BackEnd::Bench(_) => Fidelity::Measured,
            // Where nothing was recorded, nothing is measured either.
            BackEnd::Replay(_) => self.recorded().map_or(Fidelity::Modelled, |recorded| recorded.fidelity),
        }
    }

    /// How many seconds of its device's time the rig gets through in a second of the host's at least, on a
    /// machine that has other things to do too. `None` if that is no concern: a modelled board takes as
    /// long as there is to do.
    pub fn pace(&self) -> Option<u32> {
        match &self.back_end {
            BackEnd::Virtual(_) | BackEnd::Replay(_) => None,
            BackEnd::Qemu(qemu) => Some(match qemu.board {
                QemuBoard::Exact(_) => EXACT_PACE,
                QemuBoard::Live | QemuBoard::Espressif(_) => 1,
            }),
            BackEnd::Bench(_) => Some(1),
        }
    }

    /// How far from the truth durations on this rig's clock may be, whatever its instruments say: 10 ms where
    /// a device lives in the host's time, else nothing.
    pub fn uncertainty(&self) -> Duration {
        /// A time slice or two of a busy host's scheduler.
        const IN_THE_HOST_S_TIME: Duration = Duration::from_millis(10);
        match &self.back_end {
            BackEnd::Qemu(Qemu { board: QemuBoard::Live | QemuBoard::Espressif(_), .. }) => {
                IN_THE_HOST_S_TIME
            }
            BackEnd::Virtual(_) | BackEnd::Replay(_) | BackEnd::Qemu(_) | BackEnd::Bench(_) => Duration::ZERO,
        }
    }

    /// What is known of the rig that this one replays; `None` if it replays none, or if nobody
    /// [looked](Self::look_up).
    pub fn recorded(&self) -> Option<&RecordedRig> {
        match &self.back_end {
            BackEnd::Replay(replay) => replay.recorded.as_ref(),
            BackEnd::Virtual(_) | BackEnd::Qemu(_) | BackEnd::Bench(_) => None,
        }
    }

    /// Why parts cannot be had on this rig at all, by their table, for [`rigor_core::rig::Parts`].
    pub(crate) fn lacking(&self) -> BTreeMap<&'static str, String> {
        match &self.back_end {
            BackEnd::Virtual(_) | BackEnd::Replay(_) => BTreeMap::new(),
            BackEnd::Qemu(qemu) => {
                qemu.lacking().map(|Lacking { table, reason }| (table, reason.to_owned())).collect()
            }
            BackEnd::Bench(_) => {
                Bench::lacking().map(|Lacking { table, reason }| (table, reason.to_owned())).collect()
            }
        }
    }

    /// Looks where the rig's files are: a relative path starts at `root`, and recordings say what rig
    /// they are of. What is not there is missed only by the case that needs it.
    pub fn look_up(&mut self, root: &Path) {
        match &mut self.back_end {
            BackEnd::Virtual(_) => {}
            BackEnd::Replay(replay) => {
                replay.recording = root.join(&replay.recording);
                replay.recorded = crate::replay::recorded_rig(replay);
            }
            BackEnd::Qemu(qemu) => qemu.look_up(root),
            BackEnd::Bench(bench) => bench.look_up(root),
        }
    }

    /// Reads `text`, the contents of the file `path`.
    ///
    /// ```
    /// use rigor_rigs::RigFile;
    ///
    /// let text = "schema = 1\nname = \"desk\"\ndut = \"toy\"\nback_end = \"virtual\"\n[power]";
    /// let rig = RigFile::parse("rigs/desk.toml", text)?;
    /// // The part is the capability: what the file does not name does not exist.
    /// assert!(rig.power.is_some() && rig.console.is_none());
    /// # Ok::<(), rigor_rigs::RigFileError>(())
    /// ```
    ///
    /// # Errors
    /// [`RigFileError`] for the first thing that is wrong.
    pub fn parse(path: &str, text: &str) -> Result<Self, RigFileError> {
        let place = Place { path, text };
        if text.len() > MAX_FILE_BYTES {
            return Err(place.error(
                0,
                format!("more than {MAX_FILE_BYTES} bytes are no rig file"),
                "keep it below 64 KiB",
            ));
        }
        let raw: raw::RawFile = toml::from_str(text).map_err(|error| {
            let offset = error.span().map_or(0, |span| span.start);
            place.error(
                offset,
                error.message().replace('\n', " "),
                "rigs/README.md lists every table and key",
            )
        })?;
        raw.check(&place)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const GOOD: &str = r#"
schema = 1
name = "bench"
dut = "prism-k1"
back_end = "virtual"

[virtual]
heap_kib = 320

[console]
baud = 115200

[net]
ports = { n = 8080 }
via = "access-point"

[air]

[[leds]]
signal = "leds.0"
pin = 9
pixels = 160
"#;

    #[test]
    fn a_part_exists_where_the_file_names_it() {
        let file = RigFile::parse("rig.toml", GOOD).expect("valid");
        assert!(file.console.is_some());
        assert!(file.power.is_none() && file.flash.is_none());
        assert!(file.air.is_some() && file.net.is_some_and(|net| net.via == Via::AccessPoint));
        assert_eq!(file.leds[0].pixels, 160);
    }

    #[rstest]
    #[case("schema = 1", "schema = 2", 2, "schema 2 is unknown")]
    #[case("\"bench\"", "\"be nch\"", 3, "`name` is \"be nch\"")]
    #[case("\"virtual\"\n", "\"quantum\"\n", 5, "no back end is called \"quantum\"")]
    #[case("heap_kib = 320", "heap_kib = 1", 8, "`heap_kib = 1` is out of range")]
    #[case("heap_kib = 320", "heap = 1", 8, "unknown field `heap`")]
    #[case("baud = 115200", "baud = 1", 11, "`baud = 1` is out of range")]
    #[case("baud = 115200", "baud = \"fast\"", 11, "invalid type")]
    #[case("n = 8080", "n = 0", 14, "`n = 0` is out of range")]
    #[case("n = 8080", "n = 80800", 14, "`n = 80800` is out of range")]
    #[case("pixels = 160", "pixels = 0", 22, "`pixels = 0` is out of range")]
    #[case("pixels = 160", "pixels = 160\n[[pins]]\nsignal = \"leds.0\"\npin = 1", 24, "is on pin 9 already")]
    #[case("\"access-point\"", "\"modem\"", 15, "`via` is \"modem\"")]
    #[case("[air]", "[air]\nssid = \"lab\"", 18, "unknown field `ssid`")]
    #[case("n = 8080", "n = 8080, f = 8080", 14, "port 8080 is service `f` already")]
    #[case("pin = 9", "pin = 300", 21, "`pin = 300` is out of range")]
    #[case("pixels = 160", "pixels = -1", 22, "`pixels = -1` is out of range")]
    #[case(
        "pixels = 160",
        "pixels = 160\n[[pins]]\nsignal = \"button\"\npin = 9",
        25,
        "pin 9 is signal `leds.0` already"
    )]
    #[case("\"virtual\"\n", "\"replay\"\n", 7, "a `virtual` and the back end is `replay`")]
    #[case(
        "[console]",
        "[replay]\nrecording = \"x\"\n[console]",
        10,
        "a `replay` and the back end is `virtual`"
    )]
    #[case("[console]", "[qemu]\n[console]", 10, "a `qemu` and the back end is `virtual`")]
    #[case("via =", "forward = { n = 8080 }\nvia =", 15, "a `forward` and the back end is `virtual`")]
    #[case("pin = 9", "pin = = 9", 21, "")]
    fn an_error_names_its_line_and_the_remedy(
        #[case] from: &str,
        #[case] to: &str,
        #[case] line: usize,
        #[case] what: &str,
    ) {
        let error = RigFile::parse("rig.toml", &GOOD.replace(from, to)).expect_err("invalid");
        assert!(error.what.contains(what), "{error}");
        assert_eq!(error.line, line, "{error}");
        assert!(!error.instead.is_empty());
    }

    const REPLAY: &str = r#"schema = 1
name = "last-night"
dut = "prism-k1"
back_end = "replay"
[replay]
recording = "target/rigor/recorded/recordings"
rig = "virtual-k1+swapped"
"#;

    #[test]
    fn a_replay_has_nothing_but_its_recording() {
        let file = RigFile::parse("replay.toml", REPLAY).expect("valid");
        let BackEnd::Replay(replay) = &file.back_end else { panic!("{file:?}") };
        assert_eq!(replay.recording, Path::new("target/rigor/recorded/recordings"));
        assert_eq!(replay.rig.as_deref(), Some("virtual-k1+swapped"));
        assert_eq!(file.recorded(), None);
    }

    #[rstest]
    #[case("recording = \"target/rigor/recorded/recordings\"", "", 5, "missing field `recording`")]
    #[case(
        "[replay]\nrecording = \"target/rigor/recorded/recordings\"\nrig = \"virtual-k1+swapped\"",
        "",
        4,
        "no recording is named"
    )]
    #[case("\"target/rigor/recorded/recordings\"", "\"\"", 6, "`recording` is empty")]
    #[case("\"virtual-k1+swapped\"", "\"../k1\"", 7, "`rig` is \"../k1\"")]
    #[case(
        "\"virtual-k1+swapped\"",
        "\"virtual-k1+swapped\"\n[power]",
        4,
        "the recording says what is wired"
    )]
    #[case(
        "\"virtual-k1+swapped\"",
        "\"virtual-k1+swapped\"\n[virtual]",
        8,
        "a `virtual` and the back end is `replay`"
    )]
    fn an_error_of_a_replay_names_its_line(
        #[case] from: &str,
        #[case] to: &str,
        #[case] line: usize,
        #[case] what: &str,
    ) {
        let error = RigFile::parse("replay.toml", &REPLAY.replace(from, to)).expect_err("invalid");
        assert!(error.what.contains(what), "{error}");
        assert_eq!(error.line, line, "{error}");
    }

    #[rstest]
    #[case("")]
    #[case("\u{0}\u{ff}")]
    #[case("[[[[[[[[[[")]
    #[case("schema = 99999999999999999999")]
    #[case("a = {b = ")]
    fn hostile_files_are_refused(#[case] text: &str) {
        assert!(RigFile::parse("rig.toml", text).is_err());
        assert!(RigFile::parse("rig.toml", &text.repeat(1000)).is_err());
    }

    #[rstest]
    #[case("back_end = \"virtual\"", "back_end = \"virtual\"\n\"\\u001b[2J\\r\" = 1")]
    #[case("signal = \"leds.0\"", "\"\\u001b[2J\" = 1")]
    #[case("signal = \"leds.0\"", "signal = \"\"\npixel = 1\n\"LONG\" = 1")]
    fn what_a_file_holds_cannot_move_the_cursor(#[case] from: &str, #[case] to: &str) {
        let hostile = GOOD.replace(from, to).replace("LONG", &"x".repeat(10_000));
        let error = RigFile::parse("rig.toml", &hostile).expect_err("invalid").to_string();
        assert!(!error.contains(char::is_control), "{error:?}");
        assert!(error.len() < 1000, "{error}");
    }
}
