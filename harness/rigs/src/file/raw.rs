//! A rig file as TOML gives it, and what it takes to be a rig.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use rigor_board::net::Via;
use serde::Deserialize;
use toml::Spanned;

use super::{
    BackEnd, Console, LedLane, Net, PinWire, Place, Present, RigFile, RigFileError, SCHEMA, VirtualBoard,
};

/// Any number, with its place: ranges are checked here, so that a complaint can name key and range.
type Number = Spanned<i64>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawFile {
    schema: Number,
    name: Spanned<String>,
    dut: Spanned<String>,
    back_end: Spanned<String>,
    #[serde(rename = "virtual")]
    board: Option<RawBoard>,
    console: Option<RawConsole>,
    power: Option<Present>,
    reset: Option<Present>,
    flash: Option<Present>,
    net: Option<RawNet>,
    scheduler: Option<Present>,
    stress: Option<Present>,
    air: Option<Present>,
    #[serde(default)]
    leds: Vec<RawLane>,
    #[serde(default)]
    pins: Vec<RawPin>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawBoard {
    cpu_mhz: Option<Number>,
    heap_kib: Option<Number>,
    flash_mib: Option<Number>,
    erase_sector_us: Option<Number>,
    program_page_us: Option<Number>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawConsole {
    baud: Number,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawNet {
    ports: BTreeMap<String, Number>,
    via: Option<Spanned<String>>,
    latency_us: Option<Number>,
    mbit_per_s: Option<Number>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLane {
    signal: Spanned<String>,
    pin: Number,
    pixels: Number,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPin {
    signal: Spanned<String>,
    pin: Number,
}

/// The value of `key`, if it is one of `range`.
fn number<T: TryFrom<i64>>(
    place: &Place<'_>,
    key: &str,
    number: &Number,
    range: RangeInclusive<i64>,
) -> Result<T, RigFileError> {
    let value = *number.get_ref();
    let within = range.contains(&value).then(|| T::try_from(value).ok()).flatten();
    within.ok_or_else(|| {
        let instead = format!("write a number from {} to {}", range.start(), range.end());
        place.error(number.span().start, format!("`{key} = {value}` is out of range"), instead)
    })
}

fn optional<T: TryFrom<i64>>(
    place: &Place<'_>,
    key: &str,
    value: Option<&Number>,
    range: RangeInclusive<i64>,
) -> Result<Option<T>, RigFileError> {
    value.map(|value| number(place, key, value, range)).transpose()
}

/// The ESP32-S3 has 49 GPIOs; other chips have more.
const PINS: RangeInclusive<i64> = 0..=255;

impl RawFile {
    /// The rig that the file describes.
    pub(super) fn check(self, place: &Place<'_>) -> Result<RigFile, RigFileError> {
        if *self.schema.get_ref() != SCHEMA {
            return Err(place.error(
                self.schema.span().start,
                format!("schema {} is unknown", self.schema.get_ref()),
                format!("write `schema = {SCHEMA}`"),
            ));
        }
        for (key, value) in [("name", &self.name), ("dut", &self.dut)] {
            let valid = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
            if value.get_ref().is_empty() || !value.get_ref().chars().all(valid) {
                return Err(place.error(
                    value.span().start,
                    format!("`{key}` is {:?}", value.get_ref()),
                    "write letters, digits, `-` and `_`",
                ));
            }
        }
        self.check_wires(place)?;
        let back_end = match self.back_end.get_ref().as_str() {
            "virtual" => BackEnd::Virtual(self.board.unwrap_or_default().check(place)?),
            other => {
                return Err(place.error(
                    self.back_end.span().start,
                    format!("no back end is called {other:?}"),
                    "write `back_end = \"virtual\"`",
                ));
            }
        };
        Ok(RigFile {
            path: place.path.to_owned(),
            name: self.name.into_inner(),
            dut: self.dut.into_inner(),
            back_end,
            console: self.console.map(|console| console.check(place)).transpose()?,
            power: self.power,
            reset: self.reset,
            flash: self.flash,
            net: self.net.map(|net| net.check(place)).transpose()?,
            scheduler: self.scheduler,
            stress: self.stress,
            air: self.air,
            leds: self.leds.into_iter().map(|lane| lane.check(place)).collect::<Result<_, _>>()?,
            pins: self.pins.into_iter().map(|pin| pin.check(place)).collect::<Result<_, _>>()?,
        })
    }

    /// Each wire has a name and a pin of its own.
    fn check_wires(&self, place: &Place<'_>) -> Result<(), RigFileError> {
        let leds = self.leds.iter().map(|lane| (&lane.signal, &lane.pin));
        let pins = self.pins.iter().map(|pin| (&pin.signal, &pin.pin));
        let (mut names, mut wired) = (BTreeMap::new(), BTreeMap::new());
        for (signal, pin) in leds.chain(pins) {
            let (at, name) = (signal.span().start, signal.get_ref().as_str());
            if name.is_empty() {
                let instead = "write, for example, `signal = \"leds.0\"`";
                return Err(place.error(at, "a signal has no name", instead));
            }
            if let Some(other) = names.insert(name, *pin.get_ref()) {
                let what = format!("signal `{name}` is on pin {other} already");
                return Err(place.error(at, what, "give each wire a name of its own"));
            }
            if let Some(other) = wired.insert(*pin.get_ref(), name) {
                let what = format!("pin {} is signal `{other}` already", pin.get_ref());
                return Err(place.error(pin.span().start, what, "give each signal a pin of its own"));
            }
        }
        Ok(())
    }
}

impl RawBoard {
    fn check(self, place: &Place<'_>) -> Result<VirtualBoard, RigFileError> {
        let get = |key, value: &Option<Number>, range| optional(place, key, value.as_ref(), range);
        Ok(VirtualBoard {
            cpu_mhz: get("cpu_mhz", &self.cpu_mhz, 1..=1_000)?,
            heap_kib: get("heap_kib", &self.heap_kib, 16..=65_536)?,
            flash_mib: get("flash_mib", &self.flash_mib, 1..=128)?,
            erase_sector_us: get("erase_sector_us", &self.erase_sector_us, 1..=10_000_000)?,
            program_page_us: get("program_page_us", &self.program_page_us, 1..=1_000_000)?,
        })
    }
}

impl RawConsole {
    fn check(self, place: &Place<'_>) -> Result<Console, RigFileError> {
        Ok(Console { baud: number(place, "baud", &self.baud, 300..=5_000_000)? })
    }
}

impl RawNet {
    fn check(self, place: &Place<'_>) -> Result<Net, RigFileError> {
        let mut ports = BTreeMap::new();
        for (name, port) in &self.ports {
            let value: u16 = number(place, name, port, 1..=65_535)?;
            if let Some((other, _)) = ports.iter().find(|(_, known)| **known == value) {
                let what = format!("port {value} is service `{other}` already");
                return Err(place.error(port.span().start, what, "give each service a port of its own"));
            }
            ports.insert(name.clone(), value);
        }
        let via = match self.via.as_ref().map(|via| (via.span().start, via.get_ref().as_str())) {
            None | Some((_, "wire")) => Via::Wire,
            Some((_, "access-point")) => Via::AccessPoint,
            Some((at, other)) => {
                let instead = "write `via = \"wire\"` or `via = \"access-point\"`";
                return Err(place.error(at, format!("`via` is {other:?}"), instead));
            }
        };
        Ok(Net {
            ports,
            via,
            latency_us: optional(place, "latency_us", self.latency_us.as_ref(), 0..=60_000_000)?,
            mbit_per_s: optional(place, "mbit_per_s", self.mbit_per_s.as_ref(), 1..=100_000)?,
        })
    }
}

impl RawLane {
    fn check(self, place: &Place<'_>) -> Result<LedLane, RigFileError> {
        Ok(LedLane {
            pin: number(place, "pin", &self.pin, PINS)?,
            pixels: number(place, "pixels", &self.pixels, 1..=100_000)?,
            signal: self.signal.into_inner(),
        })
    }
}

impl RawPin {
    fn check(self, place: &Place<'_>) -> Result<PinWire, RigFileError> {
        Ok(PinWire { pin: number(place, "pin", &self.pin, PINS)?, signal: self.signal.into_inner() })
    }
}
