//! `back_end = "bench"`: which board is on the desk, and how each of its wires is reached.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::Spanned;

use super::raw::{Number, RawFile, number, optional};
use super::{Lacking, Place, RigFileError};
use crate::instrument::gpio;
use crate::ports::PortName;

/// Larger than any text of these tables that means something.
const MAX_TEXT: usize = 256;
/// What a controller can number: bits of a byte, and as many lines as it likes.
const LANES: RangeInclusive<i64> = 0..=7;
const LINES: RangeInclusive<i64> = 0..=31;
/// Ports of a USB hub.
const HUB_PORTS: RangeInclusive<i64> = 1..=31;

/// A real board, and the instruments around it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Bench {
    /// What is on the board.
    pub chip: Chip,
    /// The firmware that is to be on it: an ELF file, or an image of the flash chip.
    pub image: Option<PathBuf>,
    /// Labels of the runner that has it; none if only people use it.
    pub labels: Vec<String>,
    /// The bench controller's port.
    pub controller: Option<PortName>,
    /// The console's port. There where the file has a `[console]`.
    pub console: Option<PortName>,
    /// How the supply is switched. There where the file has a `[power]`.
    pub power: Option<PowerVia>,
    /// How the reset pin is pulled. There where the file has a `[reset]`.
    pub reset: Option<ResetVia>,
    /// How the flash chip is reached. There where the file has a `[flash]`.
    pub flash: Option<FlashVia>,
    /// Where the device is on the network. There where the file has a `[net]`.
    pub address: Option<NetAddress>,
    /// Which lane of the controller listens to a signal of `[[leds]]`, by its name.
    pub lanes: BTreeMap<String, u8>,
    /// Which line of the controller drives a signal of `[[pins]]`, by its name.
    pub lines: BTreeMap<String, u8>,
    /// Which input of the controller tells the edges of a signal of `[[pins]]`, by its name.
    pub inputs: BTreeMap<String, u8>,
}

/// A chip of Espressif's.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Chip {
    /// Two Xtensa cores.
    Esp32s3,
    /// One RISC-V core.
    Esp32c3,
    /// One RISC-V core, Wi-Fi 6.
    Esp32c6,
}

impl Chip {
    const ALL: [Chip; 3] = [Chip::Esp32s3, Chip::Esp32c3, Chip::Esp32c6];

    /// The word for it in rig files, and among Espressif's tools.
    pub fn name(self) -> &'static str {
        match self {
            Chip::Esp32s3 => "esp32s3",
            Chip::Esp32c3 => "esp32c3",
            Chip::Esp32c6 => "esp32c6",
        }
    }
}

/// How the supply of the device is switched.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PowerVia {
    /// By the controller's power switch.
    Controller,
    /// By a USB hub that switches the supply of its ports.
    Hub {
        /// The hub, as the kernel names it: `1-1`.
        hub: String,
        /// Its port, from 1.
        port: u8,
    },
}

/// How the reset pin of the device is pulled.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ResetVia {
    /// By the controller.
    Controller,
    /// By DTR and RTS of the console's port.
    ModemLines,
    /// By lines of the host itself.
    Gpio {
        /// The one that is wired to the reset pin.
        reset: gpio::Place,
        /// The one that is wired to the strap that chooses the loader, if there is one.
        boot: Option<gpio::Place>,
    },
}

/// How the flash chip of the device is read and written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FlashVia {
    /// By the loader in the chip's ROM, over the console's port.
    Loader,
    /// By a debug probe.
    Probe,
}

/// Where the device is on the network.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum NetAddress {
    /// There.
    Ip(Ipv4Addr),
    /// Where its console says.
    Console,
    /// Where this name is, which ends in `.local` (mDNS).
    Name(String),
}

/// What no instrument of a bench can do.
const NOWHERE: [Lacking; 3] = [
    Lacking { table: "[scheduler]", reason: "nothing tells a bench of the firmware's tasks" },
    Lacking {
        table: "[stress]",
        reason: "no instrument has a hand on the cores and the memory of a real chip",
    },
    Lacking { table: "[air]", reason: "a bench has no radio of its own yet" },
];

impl Bench {
    /// The tables that are of no use on a bench, with the reason.
    pub fn lacking() -> impl Iterator<Item = Lacking> {
        NOWHERE.into_iter()
    }

    /// Relative paths start at `root`.
    pub(super) fn look_up(&mut self, root: &Path) {
        if let Some(image) = &mut self.image {
            *image = root.join(&*image);
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawBench {
    chip: Spanned<String>,
    image: Option<Spanned<String>>,
    #[serde(default)]
    labels: Vec<Spanned<String>>,
}

/// A serial port, wherever it is named.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawController {
    port: Option<Spanned<String>>,
    usb_serial: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawPower {
    via: Option<Spanned<String>>,
    hub: Option<Spanned<String>>,
    port: Option<Number>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawReset {
    via: Option<Spanned<String>>,
    line: Option<Spanned<String>>,
    boot: Option<Spanned<String>>,
}

/// A part that may say how it is reached and nothing else.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawVia {
    via: Option<Spanned<String>>,
}

/// Refuses keys that only a bench has, in a file whose back end is `name`.
pub(super) fn refuse_keys(file: &RawFile, place: &Place<'_>, name: &str) -> Result<(), RigFileError> {
    let start = |text: &Option<Spanned<String>>| text.as_ref().map(|text| text.span().start);
    let number = |number: &Option<Number>| number.as_ref().map(|number| number.span().start);
    let keys = [
        ("port", file.console.as_ref().and_then(|console| start(&console.port))),
        ("usb_serial", file.console.as_ref().and_then(|console| start(&console.usb_serial))),
        ("via", file.power.as_ref().and_then(|power| start(&power.get_ref().via))),
        ("hub", file.power.as_ref().and_then(|power| start(&power.get_ref().hub))),
        ("port", file.power.as_ref().and_then(|power| number(&power.get_ref().port))),
        ("via", file.reset.as_ref().and_then(|reset| start(&reset.get_ref().via))),
        ("line", file.reset.as_ref().and_then(|reset| start(&reset.get_ref().line))),
        ("boot", file.reset.as_ref().and_then(|reset| start(&reset.get_ref().boot))),
        ("via", file.flash.as_ref().and_then(|flash| start(&flash.get_ref().via))),
        ("address", file.net.as_ref().and_then(|net| start(&net.address))),
        ("lane", file.leds.iter().find_map(|lane| number(&lane.lane))),
        ("line", file.pins.iter().find_map(|pin| number(&pin.line))),
        ("input", file.pins.iter().find_map(|pin| number(&pin.input))),
    ];
    if let Some((key, at)) = keys.into_iter().find_map(|(key, at)| Some((key, at?))) {
        let what = format!("there is a `{key}` and the back end is `{name}`");
        return Err(place.error(at, what, format!("remove `{key}`: only a bench has it")));
    }
    match &file.controller {
        None => Ok(()),
        Some(table) => {
            let what = format!("there is a `[controller]` and the back end is `{name}`");
            Err(place.error(table.span().start, what, "remove the table: only a bench has one"))
        }
    }
}

impl RawBench {
    /// The bench that `file` describes, whose table this was.
    pub(super) fn check(self, file: &RawFile, place: &Place<'_>) -> Result<Bench, RigFileError> {
        let controller = file.controller.as_ref().map(|table| {
            let RawController { port, usb_serial } = table.get_ref();
            address(place, "[controller]", table.span().start, port.as_ref(), usb_serial.as_ref())
        });
        let console = file.console.as_ref().map(|console| {
            let (port, usb_serial) = (console.port.as_ref(), console.usb_serial.as_ref());
            address(place, "[console]", console.baud.span().start, port, usb_serial)
        });
        let wires = Wires { place, controlled: controller.is_some(), heard: console.is_some() };
        let bench = Bench {
            chip: chip(place, &self.chip)?,
            image: self
                .image
                .as_ref()
                .map(|image| text(place, "image", image))
                .transpose()?
                .map(PathBuf::from),
            labels: labels(place, &self.labels)?,
            power: file.power.as_ref().map(|power| wires.power(power)).transpose()?,
            reset: file.reset.as_ref().map(|reset| wires.reset(reset)).transpose()?,
            flash: file.flash.as_ref().map(|flash| wires.flash(flash)).transpose()?,
            address: file.net.as_ref().map(|net| wires.address(net.address.as_ref(), net)).transpose()?,
            lanes: wires.lanes(file)?,
            lines: wires.lines(file)?,
            inputs: wires.inputs(file)?,
            controller: controller.transpose()?,
            console: console.transpose()?,
        };
        if let (Some(controller), Some(console)) = (&bench.controller, &bench.console)
            && controller == console
            && let Some(table) = &file.controller
        {
            let instead =
                "name the Pico's port here and the board's in [console]; `rigor devices` lists both";
            return Err(place.error(
                table.span().start,
                "controller and console have the same port",
                instead,
            ));
        }
        Ok(bench)
    }
}

fn chip(place: &Place<'_>, given: &Spanned<String>) -> Result<Chip, RigFileError> {
    let known = Chip::ALL.into_iter().find(|chip| chip.name() == given.get_ref());
    known.ok_or_else(|| {
        let instead = "write `chip = \"esp32s3\"`, `\"esp32c3\"` or `\"esp32c6\"`";
        place.error(given.span().start, format!("`chip` is {:?}", given.get_ref()), instead)
    })
}

/// A text that is no trap for who prints it or hands it on.
fn text(place: &Place<'_>, key: &str, given: &Spanned<String>) -> Result<String, RigFileError> {
    let value = given.get_ref();
    let wrong = if value.is_empty() {
        "is empty"
    } else if value.len() > MAX_TEXT {
        "is longer than 256 bytes"
    } else if value.contains(char::is_control) {
        "holds a control character"
    } else {
        return Ok(value.clone());
    };
    let instead = "write what it is, or leave it out; rigs/README.md has examples";
    Err(place.error(given.span().start, format!("`{key}` {wrong}"), instead))
}

fn labels(place: &Place<'_>, given: &[Spanned<String>]) -> Result<Vec<String>, RigFileError> {
    let mut labels = Vec::new();
    for label in given {
        let valid = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let value = text(place, "labels", label)?;
        if !value.chars().all(valid) {
            let what = format!("a label is {value:?}");
            return Err(place.error(label.span().start, what, "write letters, digits, `-`, `_` and `.`"));
        }
        if labels.contains(&value) {
            let what = format!("the label {value:?} is there twice");
            return Err(place.error(label.span().start, what, "remove one of them"));
        }
        labels.push(value);
    }
    Ok(labels)
}

/// The port that `table`, which begins at `at`, names.
fn address(
    place: &Place<'_>,
    table: &str,
    at: usize,
    port: Option<&Spanned<String>>,
    usb_serial: Option<&Spanned<String>>,
) -> Result<PortName, RigFileError> {
    match (port, usb_serial) {
        (Some(port), None) => Ok(PortName::Path(text(place, "port", port)?.into())),
        (None, Some(serial)) => Ok(PortName::UsbSerial(text(place, "usb_serial", serial)?)),
        (Some(_), Some(serial)) => {
            let what = format!("{table} has a `port` and a `usb_serial`");
            Err(place.error(serial.span().start, what, "remove one of them"))
        }
        (None, None) => {
            let what = format!("{table} names no port");
            let instead =
                "write its path in `port`, or its serial number in `usb_serial`; `rigor devices` lists both";
            Err(place.error(at, what, instead))
        }
    }
}

/// What the wires of the file lead to.
struct Wires<'a> {
    place: &'a Place<'a>,
    /// There is a controller.
    controlled: bool,
    /// There is a console.
    heard: bool,
}

impl Wires<'_> {
    fn needs_controller(&self, at: usize, what: &str) -> Result<(), RigFileError> {
        if self.controlled {
            return Ok(());
        }
        let instead = "add a table [controller] with its port, or remove this";
        Err(self.place.error(at, format!("{what}, and the file has no controller"), instead))
    }

    fn needs_console(&self, at: usize, what: &str) -> Result<(), RigFileError> {
        if self.heard {
            return Ok(());
        }
        let instead = "add a table [console] with its port, or remove this";
        Err(self.place.error(at, format!("{what}, and the file has no console"), instead))
    }

    /// Which of `words` the table `table` has as its `via`; the first one if it says nothing.
    fn via<T: Copy, const WORDS: usize>(
        &self,
        table: &str,
        given: Option<&Spanned<String>>,
        words: [(&str, T); WORDS],
    ) -> Result<T, RigFileError> {
        let Some(given) = given else { return Ok(words[0].1) };
        let known = words.iter().find(|(word, _)| word == given.get_ref()).map(|(_, meaning)| *meaning);
        known.ok_or_else(|| {
            let what = format!("`via` of {table} is {:?}", given.get_ref());
            let ways: Vec<String> = words.iter().map(|(word, _)| format!("`via = {word:?}`")).collect();
            let instead = format!("write {}", ways.join(" or "));
            self.place.error(given.span().start, what, instead)
        })
    }

    fn power(&self, table: &Spanned<RawPower>) -> Result<PowerVia, RigFileError> {
        let (at, power) = (table.span().start, table.get_ref());
        let by_hub = self.via("[power]", power.via.as_ref(), [("controller", false), ("hub", true)])?;
        let hub = power.hub.as_ref().map(|hub| (hub, text(self.place, "hub", hub))).map(|(hub, text)| {
            let text = text?;
            if text.chars().all(|c| c.is_ascii_digit() || matches!(c, '-' | '.')) {
                return Ok(text);
            }
            let what = format!("`hub` is {text:?}");
            Err(self.place.error(
                hub.span().start,
                what,
                "write it as the kernel does, such as \"1-1\" or \"1-1.4\"",
            ))
        });
        let hub = hub.transpose()?;
        let port = optional(self.place, "port", power.port.as_ref(), HUB_PORTS)?;
        match (by_hub, hub, port) {
            (true, Some(hub), Some(port)) => Ok(PowerVia::Hub { hub, port }),
            (true, _, _) => {
                let instead = "write, for example, `hub = \"1-1\"` and `port = 2`; `uhubctl` lists both";
                Err(self.place.error(
                    at,
                    "[power] goes by a hub and does not say which, or which port",
                    instead,
                ))
            }
            (false, None, None) => {
                self.needs_controller(at, "[power] goes by the controller")?;
                Ok(PowerVia::Controller)
            }
            (false, _, _) => {
                let instead = "write `via = \"hub\"`, or remove `hub` and `port`";
                Err(self.place.error(at, "[power] goes by the controller, and names a hub", instead))
            }
        }
    }

    fn reset(&self, table: &Spanned<RawReset>) -> Result<ResetVia, RigFileError> {
        #[derive(Clone, Copy, PartialEq)]
        enum By {
            Controller,
            ModemLines,
            Gpio,
        }
        let words = [("controller", By::Controller), ("modem-lines", By::ModemLines), ("gpio", By::Gpio)];
        let (at, raw) = (table.span().start, table.get_ref());
        let by = self.via("[reset]", raw.via.as_ref(), words)?;
        let [reset, boot] = [("line", &raw.line), ("boot", &raw.boot)]
            .map(|(key, line)| line.as_ref().map(|line| self.gpio(key, line)).transpose());
        match (by, reset?, boot?) {
            (By::Gpio, Some(reset), boot) if boot.as_ref() == Some(&reset) => {
                let instead = "give each pin a line of its own";
                Err(self.place.error(at, format!("[reset] has {reset} as `line` and as `boot`"), instead))
            }
            (By::Gpio, Some(reset), boot) => Ok(ResetVia::Gpio { reset, boot }),
            (By::Gpio, None, _) => {
                let instead = "write which one is wired to the reset pin: `line = \"gpiochip0:17\"`";
                Err(self.place.error(
                    at,
                    "[reset] goes by a line of this host and does not say which",
                    instead,
                ))
            }
            (By::Controller, None, None) => {
                self.needs_controller(at, "[reset] goes by the controller")?;
                Ok(ResetVia::Controller)
            }
            (By::ModemLines, None, None) => {
                self.needs_console(at, "[reset] goes by the console's port")?;
                Ok(ResetVia::ModemLines)
            }
            (By::Controller | By::ModemLines, _, _) => {
                let instead = "write `via = \"gpio\"`, or remove `line` and `boot`";
                Err(self.place.error(at, "[reset] names a line of this host and does not go by it", instead))
            }
        }
    }

    /// The line of this host that `key` names.
    fn gpio(&self, key: &str, given: &Spanned<String>) -> Result<gpio::Place, RigFileError> {
        text(self.place, key, given)?.parse().map_err(|gpio::NoPlace(text)| {
            let instead = "write a chip and a number: `\"gpiochip0:17\"`; `gpioinfo` lists them";
            self.place.error(given.span().start, format!("`{key}` is {text:?}"), instead)
        })
    }

    fn flash(&self, table: &Spanned<RawVia>) -> Result<FlashVia, RigFileError> {
        let words = [("loader", FlashVia::Loader), ("probe", FlashVia::Probe)];
        let via = self.via("[flash]", table.get_ref().via.as_ref(), words)?;
        if via == FlashVia::Loader {
            self.needs_console(table.span().start, "[flash] goes by the console's port")?;
        }
        Ok(via)
    }

    fn address(
        &self,
        given: Option<&Spanned<String>>,
        net: &super::raw::RawNet,
    ) -> Result<NetAddress, RigFileError> {
        let place = self.place;
        if let Some(via) = &net.via {
            let what = "there is a `via` in [net], but this host is in the device's network or it is not";
            let instead = "remove `via`, and join the network before the run";
            return Err(place.error(via.span().start, what, instead));
        }
        for (key, value) in [("latency_us", &net.latency_us), ("mbit_per_s", &net.mbit_per_s)] {
            if let Some(value) = value {
                let what = format!("there is a `{key}`, but a real network has its own");
                return Err(place.error(value.span().start, what, format!("remove `{key}`")));
            }
        }
        let Some(given) = given else {
            let at = net.ports.values().next().map_or(0, |port| port.span().start);
            let instead = "write, for example, `address = \"192.168.4.1\"`, or `address = \"console\"`";
            return Err(place.error(at, "[net] does not say where the device is", instead));
        };
        let value = text(place, "address", given)?;
        if value == "console" {
            self.needs_console(given.span().start, "the address is the one that the console tells")?;
            return Ok(NetAddress::Console);
        }
        if let Ok(address) = value.parse() {
            return Ok(NetAddress::Ip(address));
        }
        if is_local(&value) {
            return Ok(NetAddress::Name(value));
        }
        let instead = "write an IPv4 address, `\"console\"`, or a name that ends in `.local`";
        Err(place.error(given.span().start, format!("`address` is {value:?}"), instead))
    }

    fn lanes(&self, file: &RawFile) -> Result<BTreeMap<String, u8>, RigFileError> {
        let lanes = file.leds.iter().map(|lane| (&lane.signal, lane.lane.as_ref()));
        self.numbers("lane", lanes.map(|(signal, lane)| (signal, lane.ok_or(()))), LANES)
    }

    fn lines(&self, file: &RawFile) -> Result<BTreeMap<String, u8>, RigFileError> {
        let lines = file.pins.iter().map(|pin| (&pin.signal, pin.line.as_ref()));
        self.numbers("line", lines.map(|(signal, line)| (signal, line.ok_or(()))), LINES)
    }

    fn inputs(&self, file: &RawFile) -> Result<BTreeMap<String, u8>, RigFileError> {
        let inputs = file.pins.iter().filter_map(|pin| Some((&pin.signal, Ok(pin.input.as_ref()?))));
        self.numbers("input", inputs, LANES)
    }

    /// The number of each signal on the controller: one of its own, within `range`.
    fn numbers<'a>(
        &self,
        key: &str,
        signals: impl Iterator<Item = (&'a Spanned<String>, Result<&'a Number, ()>)>,
        range: RangeInclusive<i64>,
    ) -> Result<BTreeMap<String, u8>, RigFileError> {
        let mut numbers: BTreeMap<String, u8> = BTreeMap::new();
        for (signal, given) in signals {
            let name = signal.get_ref();
            let at = signal.span().start;
            self.needs_controller(at, &format!("signal `{name}` goes to the controller"))?;
            let given = given.map_err(|()| {
                let what = format!("signal `{name}` has no `{key}`");
                self.place.error(
                    at,
                    what,
                    format!("write to which {key} of the controller it is wired: `{key} = 0`"),
                )
            })?;
            let value = number(self.place, key, given, range.clone())?;
            if let Some((other, _)) = numbers.iter().find(|(_, known)| **known == value) {
                let what = format!("{key} {value} is signal `{other}` already");
                return Err(self.place.error(
                    given.span().start,
                    what,
                    format!("give each signal a {key} of its own"),
                ));
            }
            numbers.insert(name.clone(), value);
        }
        Ok(numbers)
    }
}

/// Whether `name` is one of the local network (RFC 6762): labels of letters, digits and `-`, the last of them
/// `local`.
fn is_local(name: &str) -> bool {
    let valid = |label: &str| {
        (1..=63).contains(&label.len())
            && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.strip_suffix(".local").is_some_and(|rest| rest.split('.').all(valid))
}

#[cfg(test)]
mod tests;
