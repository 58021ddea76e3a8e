//! Serial ports that are plugged in, and the names by which they are found again.
//!
//! In the flow this comes before all events: a rig file names a port by its path or by the serial number of the USB
//! device that it belongs to ([`PortName`]), and here is who finds it ([`Host::resolve`]), also after the device went
//! away and came back as another `/dev/ttyACM*`. Nothing is opened, which could reset a board: all of it is read from
//! sysfs (`Documentation/ABI/testing/sysfs-bus-usb` of Linux), without libudev.

mod kind;
mod sysfs;

use std::path::{Path, PathBuf};

pub use kind::Kind;

/// A USB device, as it describes itself. Its texts may hold anything.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Usb {
    /// The vendor's number.
    pub vendor: u16,
    /// The product's number.
    pub product: u16,
    /// Its serial number.
    pub serial: Option<String>,
    /// Who made it.
    pub maker: Option<String>,
    /// What it calls itself.
    pub name: Option<String>,
}

/// A serial port.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PortPath {
    /// Its device file: `/dev/ttyACM0`. Another one after it was plugged in again.
    pub path: PathBuf,
    /// The name that stays: `/dev/serial/by-id/...`.
    pub stable: Option<PathBuf>,
    /// Which interface of the USB device it is.
    pub interface: Option<u8>,
}

/// A device that is plugged in: a serial port, or what a bench has a use for without one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Device {
    /// Its port; none of a probe, an analyser, and a Pico that waits for a file.
    pub port: Option<PortPath>,
    /// Its USB device; none of a port that is built in.
    pub usb: Option<Usb>,
    /// What it probably is.
    pub kind: Kind,
}

/// How a rig file names a port.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PortName {
    /// By its path, best one of `/dev/serial/by-id`.
    Path(PathBuf),
    /// By the serial number of its USB device.
    UsbSerial(String),
}

/// Why a port is not found.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PortError {
    /// No port has this name.
    #[error("no serial port has the USB serial number `{serial}`; {known}, and `rigor devices` lists them")]
    Absent {
        /// The serial number.
        serial: String,
        /// What there is, in words.
        known: String,
    },
    /// More than one has it.
    #[error(
        "{count} serial ports have the USB serial number `{serial}`; name one of them by its path: {paths}"
    )]
    Several {
        /// The serial number.
        serial: String,
        /// How many.
        count: usize,
        /// Their paths.
        paths: String,
    },
}

/// Where a host tells of its devices.
#[derive(Clone, Debug)]
pub struct Host {
    sys: PathBuf,
    dev: PathBuf,
}

impl Default for Host {
    /// This machine.
    fn default() -> Self {
        Host { sys: "/sys".into(), dev: "/dev".into() }
    }
}

impl Host {
    /// A host whose `sys` and `dev` are in the folder `root`, for tests.
    pub fn within(root: &Path) -> Self {
        Host { sys: root.join("sys"), dev: root.join("dev") }
    }

    /// Everything that is plugged in and could be part of a bench: ports first, by their paths. Empty where there is no
    /// sysfs.
    pub fn devices(&self) -> Vec<Device> {
        sysfs::devices(&self.sys, &self.dev)
    }

    /// What is known of the port at `path`, by whichever of its names.
    pub fn device_at(&self, path: &Path) -> Option<Device> {
        let meant = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let is_meant = |port: &PortPath| port.path == meant || port.stable.as_deref() == Some(path);
        self.devices().into_iter().find(|device| device.port.as_ref().is_some_and(is_meant))
    }

    /// The device file of the USB device that the port at `path` belongs to; `None` of one that is not on USB.
    pub fn usb_device_of(&self, path: &Path) -> Option<PathBuf> {
        let meant = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let (bus, device) = sysfs::address_of(&self.sys, meant.file_name()?)?;
        Some(self.dev.join(format!("bus/usb/{bus:03}/{device:03}")))
    }

    /// The path of the port that `name` names, now.
    ///
    /// # Errors
    /// [`PortError`] if no port of this machine has the serial number, or more than one. A path is not looked at: to
    /// open it says more.
    pub fn resolve(&self, name: &PortName) -> Result<PathBuf, PortError> {
        let serial = match name {
            PortName::Path(path) => return Ok(path.clone()),
            PortName::UsbSerial(serial) => serial,
        };
        let devices = self.devices();
        let has_it =
            |device: &&Device| device.usb.as_ref().is_some_and(|usb| usb.serial.as_ref() == Some(serial));
        let mut paths: Vec<&Path> = devices
            .iter()
            .filter(has_it)
            .filter_map(|device| Some(device.port.as_ref()?.path.as_path()))
            .collect();
        let shown = serial.escape_debug().to_string();
        match paths.len() {
            1 => Ok(paths.remove(0).to_owned()),
            0 => Err(PortError::Absent { serial: shown, known: known(&devices) }),
            count => {
                let paths: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
                Err(PortError::Several { serial: shown, count, paths: paths.join(", ") })
            }
        }
    }
}

/// The serial numbers of the ports, for people.
fn known(devices: &[Device]) -> String {
    let with_port = devices.iter().filter(|device| device.port.is_some());
    let serials: Vec<String> = with_port
        .filter_map(|device| Some(device.usb.as_ref()?.serial.as_ref()?.escape_debug().to_string()))
        .collect();
    match serials.as_slice() {
        [] => "no port of this machine has one".to_owned(),
        serials => format!("those of this machine have {}", serials.join(", ")),
    }
}

#[cfg(test)]
mod tests;
