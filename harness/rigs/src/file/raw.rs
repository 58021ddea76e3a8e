//! A rig file as TOML gives it, and what it takes to be a rig.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use rigor_board::net::Via;
use serde::Deserialize;
use toml::Spanned;

use super::bench::{self, RawBench, RawController, RawPower, RawReset, RawVia};
use super::qemu::{self, RawQemu};
use super::{
    BackEnd, Bench, Console, Lacking, LedLane, Net, PinWire, Place, Present, Qemu, Replay, RigFile,
    RigFileError, SCHEMA, VirtualBoard,
};

/// Any number, with its place: ranges are checked here, so that a complaint can name key and range.
pub(super) type Number = Spanned<i64>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawFile {
    schema: Number,
    name: Spanned<String>,
    dut: Spanned<String>,
    back_end: Spanned<String>,
    #[serde(rename = "virtual")]
    board: Option<Spanned<RawBoard>>,
    replay: Option<Spanned<RawReplay>>,
    qemu: Option<Spanned<RawQemu>>,
    bench: Option<Spanned<RawBench>>,
    pub(super) controller: Option<Spanned<RawController>>,
    pub(super) console: Option<RawConsole>,
    pub(super) power: Option<Spanned<RawPower>>,
    pub(super) reset: Option<Spanned<RawReset>>,
    pub(super) flash: Option<Spanned<RawVia>>,
    pub(super) net: Option<RawNet>,
    scheduler: Option<Spanned<Present>>,
    stress: Option<Spanned<Present>>,
    air: Option<Spanned<Present>>,
    #[serde(default)]
    pub(super) leds: Vec<RawLane>,
    #[serde(default)]
    pub(super) pins: Vec<RawPin>,
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
struct RawReplay {
    recording: Spanned<String>,
    rig: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawConsole {
    pub(super) baud: Number,
    pub(super) port: Option<Spanned<String>>,
    pub(super) usb_serial: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawNet {
    pub(super) ports: BTreeMap<String, Number>,
    pub(super) address: Option<Spanned<String>>,
    pub(super) via: Option<Spanned<String>>,
    pub(super) latency_us: Option<Number>,
    pub(super) mbit_per_s: Option<Number>,
    #[serde(default)]
    pub(super) forward: BTreeMap<String, Number>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawLane {
    pub(super) signal: Spanned<String>,
    pin: Number,
    pixels: Number,
    pub(super) lane: Option<Number>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawPin {
    pub(super) signal: Spanned<String>,
    pin: Number,
    pub(super) line: Option<Number>,
    pub(super) input: Option<Number>,
}

/// The value of `key`, if it is one of `range`.
pub(super) fn number<T: TryFrom<i64>>(
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

pub(super) fn optional<T: TryFrom<i64>>(
    place: &Place<'_>,
    key: &str,
    value: Option<&Number>,
    range: RangeInclusive<i64>,
) -> Result<Option<T>, RigFileError> {
    value.map(|value| number(place, key, value, range)).transpose()
}

/// Names of rigs and devices become names of folders.
fn check_name(place: &Place<'_>, key: &str, name: &Spanned<String>) -> Result<(), RigFileError> {
    let valid = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if name.get_ref().is_empty() || !name.get_ref().chars().all(valid) {
        let what = format!("`{key}` is {:?}", name.get_ref());
        return Err(place.error(name.span().start, what, "write letters, digits, `-` and `_`"));
    }
    Ok(())
}

/// The ESP32-S3 has 49 GPIOs; other chips have more.
const PINS: RangeInclusive<i64> = 0..=255;

impl RawFile {
    /// The rig that the file describes.
    pub(super) fn check(mut self, place: &Place<'_>) -> Result<RigFile, RigFileError> {
        if *self.schema.get_ref() != SCHEMA {
            return Err(place.error(
                self.schema.span().start,
                format!("schema {} is unknown", self.schema.get_ref()),
                format!("write `schema = {SCHEMA}`"),
            ));
        }
        for (key, value) in [("name", &self.name), ("dut", &self.dut)] {
            check_name(place, key, value)?;
        }
        self.check_wires(place)?;
        let back_end = self.back_end(place)?;
        Ok(RigFile {
            path: place.path.to_owned(),
            text: place.text.to_owned(),
            name: self.name.into_inner(),
            dut: self.dut.into_inner(),
            back_end,
            console: self.console.map(|console| console.check(place)).transpose()?,
            power: self.power.map(|_| Present {}),
            reset: self.reset.map(|_| Present {}),
            flash: self.flash.map(|_| Present {}),
            net: self.net.map(|net| net.check(place)).transpose()?,
            scheduler: self.scheduler.map(Spanned::into_inner),
            stress: self.stress.map(Spanned::into_inner),
            air: self.air.map(Spanned::into_inner),
            leds: self.leds.into_iter().map(|lane| lane.check(place)).collect::<Result<_, _>>()?,
            pins: self.pins.into_iter().map(|pin| pin.check(place)).collect::<Result<_, _>>()?,
        })
    }

    /// What the file says of its back end. Takes that back end's table out.
    fn back_end(&mut self, place: &Place<'_>) -> Result<BackEnd, RigFileError> {
        let at = self.back_end.span().start;
        let name = self.back_end.get_ref().as_str();
        let own = [
            ("virtual", self.board.as_ref().map(Spanned::span)),
            ("replay", self.replay.as_ref().map(Spanned::span)),
            ("qemu", self.qemu.as_ref().map(Spanned::span)),
            ("bench", self.bench.as_ref().map(Spanned::span)),
        ];
        if own.iter().all(|(known, _)| *known != name) {
            return Err(place.error(
                at,
                format!("no back end is called {name:?}"),
                "write `back_end = \"virtual\"`, `\"replay\"`, `\"qemu\"` or `\"bench\"`",
            ));
        }
        for (table, span) in own {
            if let Some(span) = span.filter(|_| table != name) {
                let what = format!("there is a `{table}` and the back end is `{name}`");
                let instead = format!("remove the table, or write `back_end = \"{table}\"`");
                return Err(place.error(span.start, what, instead));
            }
        }
        if name != "bench" {
            bench::refuse_keys(self, place, name)?;
        }
        if name != "qemu"
            && name != "bench"
            && let Some(net) = &self.net
            && let Some(port) = net.forward.values().next()
        {
            let what = format!("there is a `forward` and the back end is `{name}`");
            return Err(place.error(port.span().start, what, "remove `forward`"));
        }
        if name == "virtual" {
            let board = self.board.take().map(Spanned::into_inner).unwrap_or_default();
            return Ok(BackEnd::Virtual(board.check(place)?));
        }
        if name == "qemu" {
            let raw = self.qemu.take().map(Spanned::into_inner).unwrap_or_default();
            let qemu = raw.check(place, self.dut.get_ref())?;
            self.check_machine(place, &qemu)?;
            return Ok(BackEnd::Qemu(qemu));
        }
        if name == "bench" {
            return self.bench(place, at);
        }
        let Some(replay) = self.replay.take() else {
            let instead = "write a table `[replay]` with its path in `recording`";
            return Err(place.error(at, "no recording is named", instead));
        };
        if let Some(table) = self.wired() {
            let what = format!("there is a `{table}`, but the recording says what is wired");
            return Err(place.error(at, what, "remove the table"));
        }
        Ok(BackEnd::Replay(replay.into_inner().check(place)?))
    }

    /// The bench that the file describes; `at` is where it says that it is one.
    fn bench(&mut self, place: &Place<'_>, at: usize) -> Result<BackEnd, RigFileError> {
        let Some(raw) = self.bench.take() else {
            let instead = "write a table `[bench]` with its `chip`";
            return Err(place.error(at, "the bench does not say which chip is on it", instead));
        };
        self.check_lacking(place, Bench::lacking())?;
        Ok(BackEnd::Bench(raw.into_inner().check(self, place)?))
    }

    fn check_machine(&self, place: &Place<'_>, machine: &Qemu) -> Result<(), RigFileError> {
        self.check_lacking(place, machine.lacking())?;
        self.net.as_ref().map_or(Ok(()), |net| qemu::check_net(place, net, &machine.board))
    }

    /// Refuses parts that the rig lacks: a table that nothing answers would be a case that is not run, or
    /// worse, one that fails.
    fn check_lacking(
        &self,
        place: &Place<'_>,
        lacking: impl Iterator<Item = Lacking>,
    ) -> Result<(), RigFileError> {
        for Lacking { table, reason } in lacking {
            let start = |part: &Option<Spanned<Present>>| part.as_ref().map(|part| part.span().start);
            let at = match table {
                "[scheduler]" => start(&self.scheduler),
                "[stress]" => start(&self.stress),
                "[air]" => start(&self.air),
                "[[leds]]" => self.leds.first().map(|lane| lane.signal.span().start),
                "[[pins]]" => self.pins.first().map(|pin| pin.signal.span().start),
                _ => None,
            };
            if let Some(at) = at {
                let what = format!("there is a `{table}`, but {reason}");
                let instead = "remove the table: cases that need it are then left to other rigs";
                return Err(place.error(at, what, instead));
            }
        }
        Ok(())
    }

    /// The first table of a part.
    fn wired(&self) -> Option<&'static str> {
        [
            ("console", self.console.is_some()),
            ("power", self.power.is_some()),
            ("reset", self.reset.is_some()),
            ("flash", self.flash.is_some()),
            ("net", self.net.is_some()),
            ("scheduler", self.scheduler.is_some()),
            ("stress", self.stress.is_some()),
            ("leds", !self.leds.is_empty()),
            ("pins", !self.pins.is_empty()),
        ]
        .into_iter()
        .find_map(|(table, is_there)| is_there.then_some(table))
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

impl RawReplay {
    fn check(self, place: &Place<'_>) -> Result<Replay, RigFileError> {
        if self.recording.get_ref().is_empty() {
            let instead = "write the path of a recording or of their folder";
            return Err(place.error(self.recording.span().start, "`recording` is empty", instead));
        }
        if let Some(rig) = &self.rig {
            // One that was broken on purpose has the fault after a `+`.
            let plain = Spanned::new(rig.span(), rig.get_ref().replacen('+', "-", 1));
            check_name(place, "rig", &plain)?;
        }
        Ok(Replay {
            recording: self.recording.into_inner().into(),
            rig: self.rig.map(Spanned::into_inner),
            recorded: None,
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
        let mut forward = BTreeMap::new();
        for (name, port) in &self.forward {
            let at = port.span().start;
            if !ports.contains_key(name) {
                let what = format!("`forward` leads to `{name}`, which is none of the `ports`");
                return Err(place.error(at, what, "write the name of one of them"));
            }
            let value: u16 = number(place, name, port, 1..=65_535)?;
            if forward.values().any(|known| *known == value) {
                let what = format!("port {value} of the host leads to another service already");
                return Err(place.error(at, what, "give each service a port of its own"));
            }
            forward.insert(name.clone(), value);
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
            forward,
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
