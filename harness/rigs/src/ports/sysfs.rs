//! Reading of sysfs.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use super::{Device, Kind, PortPath, Usb};

/// Devices that are looked at; no bench has as many.
const MAX_DEVICES: usize = 256;
/// Folders between a port and its USB device; the kernel has three.
const MAX_DEPTH: usize = 8;
/// The driver of ports that a PC may or may not have: four are always there.
const PHANTOM_DRIVER: &str = "serial8250";

/// What is plugged in, by the trees of a host.
pub(super) fn devices(sys: &Path, dev: &Path) -> Vec<Device> {
    let stable = stable_names(dev);
    let mut found = Vec::new();
    let mut with_port = Vec::new();
    for tty in entries(&sys.join("class/tty")) {
        let Ok(interface) = fs::canonicalize(tty.join("device")) else { continue };
        let Some(name) = tty.file_name() else { continue };
        let usb_folder =
            interface.ancestors().take(MAX_DEPTH).find(|folder| folder.join("idVendor").exists());
        if usb_folder.is_none() && is_phantom(&interface) {
            continue;
        }
        let usb = usb_folder.and_then(usb);
        with_port.extend(usb_folder.map(Path::to_owned));
        let path = dev.join(name);
        let port = PortPath {
            stable: stable.get(&path).cloned(),
            path,
            interface: usb_folder.and_then(|_| interface_number(&interface)),
        };
        found.push(Device { kind: Kind::of(usb.as_ref()), port: Some(port), usb });
    }
    for folder in entries(&sys.join("bus/usb/devices")) {
        let folder = fs::canonicalize(&folder).unwrap_or(folder);
        if with_port.contains(&folder) {
            continue;
        }
        let Some(usb) = usb(&folder) else { continue };
        let kind = Kind::of(Some(&usb));
        if kind.is_of_use_without_port() {
            found.push(Device { port: None, usb: Some(usb), kind });
        }
    }
    found
}

/// The numbers of the bus and of the device on it to which the port called `tty` belongs.
pub(super) fn address_of(sys: &Path, tty: &OsStr) -> Option<(u16, u16)> {
    let interface = fs::canonicalize(sys.join("class/tty").join(tty).join("device")).ok()?;
    let folder = interface.ancestors().take(MAX_DEPTH).find(|folder| folder.join("idVendor").exists())?;
    Some((text(folder, "busnum")?.parse().ok()?, text(folder, "devnum")?.parse().ok()?))
}

/// The entries of a folder, in the order of their names; numbers in them by their value.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    let mut found: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    found.sort_by_key(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let begin = name.trim_end_matches(|c: char| c.is_ascii_digit()).len();
        let number = name[begin..].parse::<u64>().unwrap_or(0);
        (name[..begin].to_owned(), number)
    });
    found.truncate(MAX_DEVICES);
    found
}

fn is_phantom(device: &Path) -> bool {
    let driver = fs::read_link(device.join("driver")).unwrap_or_default();
    // Without a driver nobody answers; newer kernels put a port of its own between.
    driver.file_name().is_none_or(|name| name == PHANTOM_DRIVER)
}

fn usb(folder: &Path) -> Option<Usb> {
    let number = |file| u16::from_str_radix(&text(folder, file)?, 16).ok();
    Some(Usb {
        vendor: number("idVendor")?,
        product: number("idProduct")?,
        serial: text(folder, "serial"),
        maker: text(folder, "manufacturer"),
        name: text(folder, "product"),
    })
}

/// `bInterfaceNumber` of the interface that a port belongs to: a ttyUSB stands one folder below it.
fn interface_number(device: &Path) -> Option<u8> {
    let folder = device.ancestors().take(2).find(|folder| folder.join("bInterfaceNumber").exists())?;
    u8::from_str_radix(&text(folder, "bInterfaceNumber")?, 16).ok()
}

/// What a file says, without blanks around it; `None` if it says nothing.
fn text(folder: &Path, file: &str) -> Option<String> {
    let bytes = fs::read(folder.join(file)).ok()?;
    let text = String::from_utf8_lossy(&bytes).trim().to_owned();
    (!text.is_empty()).then_some(text)
}

/// The names below `serial/by-id`, by the device file that each leads to.
fn stable_names(dev: &Path) -> BTreeMap<PathBuf, PathBuf> {
    let links = entries(&dev.join("serial/by-id"));
    let leads = |link: PathBuf| {
        let target = fs::read_link(&link).ok()?;
        Some((dev.join(target.file_name()?), link))
    };
    links.into_iter().filter_map(leads).collect()
}
