//! What is plugged in and could be a part of the new rig.

use std::path::Path;
use std::str::FromStr;

use rigor_reports::visible;
use rigor_rigs::ports::{Device, Kind};

/// How a rig file is to name a port.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum PortChoice {
    /// By its path.
    Path(String),
    /// By the serial number of its USB device, wherever that turns up.
    UsbSerial(String),
}

/// What somebody says of a port; `none` is none.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct PortAnswer(pub(super) Option<PortChoice>);

/// A word that is meant as a path, and read as a serial number would never be found.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("`{0}` is a port's name and no serial number; write /dev/{0}")]
pub(super) struct HalfAPath(String);

impl FromStr for PortAnswer {
    type Err = HalfAPath;

    /// A path if it looks like one, else a serial number.
    fn from_str(words: &str) -> Result<Self, HalfAPath> {
        let is_device = |words: &str| {
            words.starts_with("tty")
                || Path::new("/dev").join(words).metadata().is_ok_and(|device| !device.is_dir())
        };
        match words {
            "none" => Ok(PortAnswer(None)),
            path if path.contains('/') => Ok(PortAnswer(Some(PortChoice::Path(path.to_owned())))),
            name if is_device(name) => Err(HalfAPath(visible(name))),
            serial => Ok(PortAnswer(Some(PortChoice::UsbSerial(serial.to_owned())))),
        }
    }
}

/// A port that can be proposed.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) choice: PortChoice,
    /// What a person sees. Harmless on a terminal.
    pub(super) shown: String,
}

/// The ports of this machine, by what they may be; the likeliest first.
#[derive(Default, Debug)]
pub(super) struct Plugged {
    pub(super) boards: Vec<Found>,
    pub(super) controllers: Vec<Found>,
}

impl Plugged {
    pub(super) fn of(devices: &[Device]) -> Self {
        let with = |rank: fn(Kind) -> Option<u8>| -> Vec<Found> {
            let mut ranked: Vec<(u8, Found)> = devices
                .iter()
                .filter_map(|device| Some((rank(device.kind)?, found(device, devices)?)))
                .collect();
            ranked.sort_by_key(|(rank, _)| *rank);
            ranked.into_iter().map(|(_, found)| found).collect()
        };
        Plugged { boards: with(as_board), controllers: with(as_controller) }
    }
}

fn as_board(kind: Kind) -> Option<u8> {
    match kind {
        // Behind them is UART0, on which the ROM and nearly all firmware speak.
        Kind::Cp210x | Kind::Ch34x => Some(0),
        Kind::Ftdi => Some(1),
        Kind::EspressifUsb => Some(2),
        Kind::OtherUsb => Some(3),
        Kind::Controller
        | Kind::PicoBoot
        | Kind::DebugProbe
        | Kind::Pico
        | Kind::JLink
        | Kind::LogicAnalyser
        | Kind::BuiltIn => None,
    }
}

fn as_controller(kind: Kind) -> Option<u8> {
    match kind {
        Kind::Controller => Some(0),
        Kind::Pico => Some(1),
        _ => None,
    }
}

/// A device with a port, by the name that holds the longest: a serial number of its own, or else a path that
/// stays.
fn found(device: &Device, all: &[Device]) -> Option<Found> {
    let port = device.port.as_ref()?;
    let serial = |device: &Device| device.usb.as_ref().and_then(|usb| usb.serial.clone());
    // Adapters tend to share one, such as 0001.
    let own = serial(device).filter(|own| {
        let plain = own.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, ':' | '-' | '_' | '.'));
        own.len() > 4 && plain && all.iter().filter(|other| serial(other).as_ref() == Some(own)).count() == 1
    });
    let path = port.stable.as_ref().unwrap_or(&port.path).to_str()?.to_owned();
    let shown = visible(&format!("{}  {}", port.path.display(), device.kind));
    let (choice, shown) = match own {
        Some(serial) => (PortChoice::UsbSerial(serial.clone()), format!("{shown}, {serial}")),
        None => (PortChoice::Path(path), shown),
    };
    Some(Found { choice, shown })
}
