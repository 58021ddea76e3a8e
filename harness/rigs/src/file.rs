//! Rig files: what is wired to which device, in TOML.
//!
//! The schema is documented in `rigs/README.md`. A part that the file does not name does not
//! exist. Every error says file, line, and what to write instead.

use std::collections::BTreeMap;
use std::time::Duration;

use rigor_board::BoardConfig;
use rigor_board::net::LinkConfig;
use rigor_core::Fidelity;
use serde::Deserialize;
use toml::Spanned;

/// Larger files are not rig files, in bytes.
pub const MAX_FILE_BYTES: usize = 64 * 1024;
/// Characters of a complaint that are kept.
const MAX_COMPLAINT: usize = 400;
/// The schema that this code reads.
const SCHEMA: u32 = 1;

/// A rig as its file describes it.
#[derive(Clone, PartialEq, Debug)]
pub struct RigFile {
    /// The file, for messages.
    pub path: String,
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
}

/// The model of a virtual board. What the file leaves out is the default of
/// [`BoardConfig`].
#[derive(Clone, PartialEq, Default, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
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
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Console {
    /// Bits per second.
    pub baud: u32,
}

/// The network.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Net {
    /// TCP ports of the device's services, by name.
    pub ports: BTreeMap<String, u16>,
    /// One way, in microseconds (virtual rig).
    pub latency_us: Option<u32>,
    /// Each way (virtual rig).
    pub mbit_per_s: Option<u32>,
}

/// One lane of an addressable LED strip.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LedLane {
    /// Name of the signal.
    pub signal: String,
    /// Pin of the device.
    pub pin: u8,
    /// Pixels on the lane.
    pub pixels: usize,
}

/// A wire that the rig can drive.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    schema: Spanned<u32>,
    name: Spanned<String>,
    dut: Spanned<String>,
    back_end: Spanned<String>,
    #[serde(rename = "virtual")]
    board: Option<Spanned<VirtualBoard>>,
    console: Option<Spanned<Console>>,
    power: Option<Present>,
    reset: Option<Present>,
    flash: Option<Present>,
    net: Option<Spanned<Net>>,
    #[serde(default)]
    leds: Vec<Spanned<LedLane>>,
    #[serde(default)]
    pins: Vec<Spanned<PinWire>>,
}

/// Finds lines by byte offset.
struct Place<'a> {
    path: &'a str,
    text: &'a str,
}

impl Place<'_> {
    fn error(&self, offset: usize, what: impl Into<String>, instead: impl Into<String>) -> RigFileError {
        let before = self.text.get(..offset).unwrap_or(self.text);
        let line = before.bytes().filter(|&byte| byte == b'\n').count() + 1;
        // It may quote the file, whatever that holds and however long it is.
        let printable = |c: char| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c };
        let what = what.into().chars().take(MAX_COMPLAINT).map(printable).collect();
        RigFileError { path: self.path.to_owned(), line, what, instead: instead.into() }
    }
}

impl RigFile {
    /// What durations on this rig's clock are worth.
    pub fn fidelity(&self) -> Fidelity {
        match self.back_end {
            BackEnd::Virtual(_) => Fidelity::Modelled,
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
        let raw: Raw = toml::from_str(text).map_err(|error| {
            let offset = error.span().map_or(0, |span| span.start);
            place.error(
                offset,
                error.message().replace('\n', " "),
                "rigs/README.md lists every table and key",
            )
        })?;
        Self::check(&place, raw)
    }

    fn check(place: &Place<'_>, raw: Raw) -> Result<Self, RigFileError> {
        if *raw.schema.get_ref() != SCHEMA {
            return Err(place.error(
                raw.schema.span().start,
                format!("schema {} is unknown", raw.schema.get_ref()),
                format!("write `schema = {SCHEMA}`"),
            ));
        }
        for (key, value) in [("name", &raw.name), ("dut", &raw.dut)] {
            let valid = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
            if value.get_ref().is_empty() || !value.get_ref().chars().all(valid) {
                return Err(place.error(
                    value.span().start,
                    format!("`{key}` is {:?}", value.get_ref()),
                    "write letters, digits, `-` and `_`",
                ));
            }
        }
        let back_end = match raw.back_end.get_ref().as_str() {
            "virtual" => {
                let board = raw.board.as_ref();
                let sizes = board.map(|board| (board.span().start, board.get_ref()));
                if let Some((offset, board)) = sizes {
                    check_board(place, offset, board)?;
                }
                BackEnd::Virtual(board.map_or_else(VirtualBoard::default, |board| board.get_ref().clone()))
            }
            other => {
                return Err(place.error(
                    raw.back_end.span().start,
                    format!("no back end is called {other:?}"),
                    "write `back_end = \"virtual\"`",
                ));
            }
        };
        if let Some(console) =
            raw.console.as_ref().filter(|console| !(300..=5_000_000).contains(&console.get_ref().baud))
        {
            return Err(place.error(
                console.span().start,
                format!("{} baud is no console", console.get_ref().baud),
                "write a rate from 300 to 5000000",
            ));
        }
        if let Some(net) = raw.net.as_ref() {
            if let Some((name, _)) = net.get_ref().ports.iter().find(|(_, port)| **port == 0) {
                return Err(place.error(
                    net.span().start,
                    format!("port `{name}` is 0"),
                    "write a port from 1 to 65535",
                ));
            }
            if net.get_ref().mbit_per_s == Some(0) {
                return Err(place.error(
                    net.span().start,
                    "a link of 0 Mbit/s carries nothing",
                    "write at least 1",
                ));
            }
        }
        let mut signals = BTreeMap::new();
        let leds =
            raw.leds.iter().map(|lane| (lane.span().start, &lane.get_ref().signal, lane.get_ref().pin));
        let pins = raw.pins.iter().map(|pin| (pin.span().start, &pin.get_ref().signal, pin.get_ref().pin));
        for (offset, signal, pin) in leds.chain(pins) {
            if signal.is_empty() {
                return Err(place.error(
                    offset,
                    "a signal has no name",
                    "write, for example, `signal = \"leds.0\"`",
                ));
            }
            if let Some(other) = signals.insert(signal.clone(), pin) {
                return Err(place.error(
                    offset,
                    format!("signal `{signal}` is on pin {other} already"),
                    "give each wire a name of its own",
                ));
            }
        }
        if let Some(lane) = raw.leds.iter().find(|lane| !(1..=100_000).contains(&lane.get_ref().pixels)) {
            return Err(place.error(
                lane.span().start,
                format!("lane `{}` has {} pixels", lane.get_ref().signal, lane.get_ref().pixels),
                "write a number from 1 to 100000",
            ));
        }
        Ok(RigFile {
            path: place.path.to_owned(),
            name: raw.name.into_inner(),
            dut: raw.dut.into_inner(),
            back_end,
            console: raw.console.map(Spanned::into_inner),
            power: raw.power,
            reset: raw.reset,
            flash: raw.flash,
            net: raw.net.map(Spanned::into_inner),
            leds: raw.leds.into_iter().map(Spanned::into_inner).collect(),
            pins: raw.pins.into_iter().map(Spanned::into_inner).collect(),
        })
    }
}

fn check_board(place: &Place<'_>, offset: usize, board: &VirtualBoard) -> Result<(), RigFileError> {
    let ranges = [
        ("cpu_mhz", board.cpu_mhz, 1, 1_000),
        ("heap_kib", board.heap_kib, 16, 65_536),
        ("flash_mib", board.flash_mib, 1, 128),
        ("erase_sector_us", board.erase_sector_us, 1, 10_000_000),
        ("program_page_us", board.program_page_us, 1, 1_000_000),
    ];
    for (key, value, low, high) in ranges {
        if let Some(value) = value.filter(|value| !(low..=high).contains(value)) {
            return Err(place.error(
                offset,
                format!("`{key} = {value}` is out of range"),
                format!("write a number from {low} to {high}"),
            ));
        }
    }
    Ok(())
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

[[leds]]
signal = "leds.0"
pin = 9
pixels = 160
"#;

    #[test]
    fn a_part_exists_where_the_file_names_it() {
        let file = RigFile::parse("rig.toml", GOOD).expect("valid");
        assert!(file.console.is_some() && file.net.is_some());
        assert!(file.power.is_none() && file.flash.is_none());
        assert_eq!(file.leds[0].pixels, 160);
    }

    #[rstest]
    #[case("schema = 1", "schema = 2", 2, "schema 2 is unknown")]
    #[case("\"bench\"", "\"be nch\"", 3, "`name` is \"be nch\"")]
    #[case("\"virtual\"\n", "\"quantum\"\n", 5, "no back end is called \"quantum\"")]
    #[case("heap_kib = 320", "heap_kib = 1", 7, "`heap_kib = 1` is out of range")]
    #[case("heap_kib = 320", "heap = 1", 8, "unknown field `heap`")]
    #[case("baud = 115200", "baud = 1", 10, "1 baud is no console")]
    #[case("baud = 115200", "baud = \"fast\"", 11, "invalid type")]
    #[case("n = 8080", "n = 0", 13, "port `n` is 0")]
    #[case("n = 8080", "n = 80800", 14, "invalid value")]
    #[case("pixels = 160", "pixels = 0", 16, "has 0 pixels")]
    #[case("pixels = 160", "pixels = 160\n[[pins]]\nsignal = \"leds.0\"\npin = 1", 20, "is on pin 9 already")]
    #[case("pin = 9", "pin = = 9", 18, "")]
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
