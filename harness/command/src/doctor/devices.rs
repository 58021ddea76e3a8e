//! Hardware that is plugged in: serial ports, GPIO chips, USB adapters. Nothing is opened: that could reset
//! a board.

use std::fs;
use std::path::{Path, PathBuf};

use rigor_reports::visible;
use rigor_rigs::ports::{Host, Kind};

use super::{Check, Status};

/// Devices that are listed of a kind.
const SHOWN: usize = 16;

pub(super) fn checks() -> Vec<Check> {
    let dev = Path::new("/dev");
    let me = Me::of(Path::new("/proc/self/status"));
    let mut checks = Vec::new();
    checks.extend(nodes(dev, &["ttyUSB", "ttyACM"], "serial port", "consoles and loaders of boards", &me));
    checks.extend(nodes(dev, &["gpiochip"], "GPIO chip", "buttons and captures by this machine's pins", &me));
    checks.extend(usb(&Host::default()));
    checks
        .push(udev(&["/etc/udev/rules.d", "/lib/udev/rules.d", "/usr/lib/udev/rules.d"].map(PathBuf::from)));
    checks
}

/// Who this process is, as far as permissions go.
struct Me {
    user: Option<u32>,
    groups: Vec<u32>,
}

impl Me {
    /// As Linux says it in `/proc/self/status` (proc_pid_status(5)); nobody elsewhere.
    fn of(status: &Path) -> Self {
        let text = fs::read_to_string(status).unwrap_or_default();
        let numbers = |name: &str| -> Vec<u32> {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            line.unwrap_or_default().split_whitespace().filter_map(|number| number.parse().ok()).collect()
        };
        // Real, effective, saved, file system.
        let effective = |name: &str| numbers(name).get(1).copied();
        let mut groups = numbers("Groups:");
        groups.extend(effective("Gid:"));
        Me { user: effective("Uid:"), groups }
    }

    /// Whether a file with this mode, owner and group may be read and written.
    fn may_use(&self, mode: u32, owner: u32, group: u32) -> bool {
        const READ_AND_WRITE: u32 = 6;
        let allowed = |shift: u32| mode >> shift & READ_AND_WRITE == READ_AND_WRITE;
        match self.user {
            Some(0) => true,
            Some(user) if user == owner => allowed(6),
            _ if self.groups.contains(&group) => allowed(3),
            _ => allowed(0),
        }
    }
}

/// A check for each device file whose name begins so; one that says that there is none.
fn nodes(dev: &Path, prefixes: &[&str], what: &str, purpose: &'static str, me: &Me) -> Vec<Check> {
    let mut names: Vec<String> = listing(dev)
        .into_iter()
        .filter(|name| prefixes.iter().any(|prefix| name.starts_with(prefix)))
        .collect();
    names.sort();
    let devices = |name: String, status, found: String, remedy| Check {
        group: "devices",
        name,
        status,
        found,
        purpose,
        remedy,
    };
    if names.is_empty() {
        let shown: Vec<String> = prefixes.iter().map(|prefix| format!("/dev/{prefix}*")).collect();
        let remedy = "plug it in; in a container or a virtual machine, hand it through".to_owned();
        let found = format!("no {}", shown.join(", no "));
        return vec![devices(format!("{what}s"), Status::Missing, found, Some(remedy))];
    }
    let check = |name: &String| {
        let path = dev.join(name);
        let shown = format!("{what} {}", visible(&path.display().to_string()));
        match owner(&path) {
            Some((mode, owner, group)) if me.may_use(mode, owner, group) => {
                devices(shown, Status::Ok, "may be read and written".to_owned(), None)
            }
            Some((mode, _, group)) => {
                let group = group_name(group);
                let found = format!("mode {:03o}, group {group}: not for this user", mode & 0o777);
                let remedy = format!("sudo usermod -aG {group} \"$USER\", then log in again");
                devices(shown, Status::Unusable, found, Some(remedy))
            }
            None => devices(shown, Status::Unusable, "cannot be looked at".to_owned(), None),
        }
    };
    names.iter().take(SHOWN).map(check).collect()
}

#[cfg(unix)]
fn owner(path: &Path) -> Option<(u32, u32, u32)> {
    use std::os::unix::fs::MetadataExt;
    let found = fs::metadata(path).ok()?;
    Some((found.mode(), found.uid(), found.gid()))
}

#[cfg(not(unix))]
fn owner(_path: &Path) -> Option<(u32, u32, u32)> {
    None
}

/// The group's name by `/etc/group`, or its number.
fn group_name(group: u32) -> String {
    let text = fs::read_to_string("/etc/group").unwrap_or_default();
    let named = text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(group)).then(|| visible(name))
    });
    named.unwrap_or_else(|| group.to_string())
}

/// The adapters that are known.
fn usb(host: &Host) -> Vec<Check> {
    let known = host.devices().into_iter().filter(|device| device.kind != Kind::OtherUsb);
    let mut found: Vec<Check> = known
        .filter_map(|device| {
            let usb = device.usb?;
            Some(Check {
                group: "devices",
                name: format!("USB {:04x}:{:04x}", usb.vendor, usb.product),
                status: Status::Ok,
                found: visible(&usb.name.unwrap_or_default()),
                purpose: device.kind.words(),
                remedy: None,
            })
        })
        .collect();
    found.sort_by(|one, other| (&one.name, &one.found).cmp(&(&other.name, &other.found)));
    found.truncate(SHOWN);
    found
}

/// Whether debug probes may be used by who is not root.
fn udev(folders: &[PathBuf]) -> Check {
    let named = |folder: &PathBuf| {
        let known = ["probe-rs", "espressif", "openocd", "picotool"];
        let names = listing(folder);
        names
            .into_iter()
            .find(|name| known.iter().any(|part| name.contains(part)))
            .map(|name| folder.join(name))
    };
    let found = folders.iter().find_map(named);
    Check {
        group: "devices",
        name: "udev rules".to_owned(),
        status: if found.is_some() { Status::Ok } else { Status::Missing },
        purpose: "debug probes without being root",
        remedy: found.is_none().then(|| "https://probe.rs/docs/getting-started/probe-setup/".to_owned()),
        found: found.map_or("none for debug probes".to_owned(), |path| visible(&path.display().to_string())),
    }
}

/// Names in `folder`; none if it cannot be listed.
fn listing(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permissions_are_those_of_the_first_class_that_fits() {
        let me = Me { user: Some(1000), groups: vec![20, 100] };
        assert!(me.may_use(0o660, 0, 20), "by the group");
        assert!(!me.may_use(0o660, 0, 21));
        assert!(me.may_use(0o666, 0, 21), "by everybody's");
        assert!(me.may_use(0o600, 1000, 0), "by the owner's");
        assert!(!me.may_use(0o066, 1000, 20), "the owner's come first");
        assert!(!me.may_use(0o440, 0, 20), "to be read only");
        assert!(Me { user: Some(0), groups: Vec::new() }.may_use(0, 1, 1), "root");
        assert!(!Me { user: None, groups: Vec::new() }.may_use(0o660, 0, 0), "unknown");
    }

    #[cfg(unix)]
    #[test]
    fn devices_are_listed_with_what_keeps_one_from_them() {
        use std::os::unix::fs::PermissionsExt;

        let dev = std::env::temp_dir().join(format!("rigor-dev-{}", std::process::id()));
        fs::create_dir_all(&dev).unwrap();
        for (name, mode) in [("ttyUSB0", 0o600), ("ttyUSB1", 0o666), ("tty0", 0o666)] {
            fs::write(dev.join(name), "").unwrap();
            fs::set_permissions(dev.join(name), fs::Permissions::from_mode(mode)).unwrap();
        }
        let me = Me { user: Some(u32::MAX), groups: Vec::new() };
        let found = nodes(&dev, &["ttyUSB", "ttyACM"], "serial port", "consoles", &me);
        let statuses: Vec<Status> = found.iter().map(|check| check.status).collect();
        assert_eq!(statuses, [Status::Unusable, Status::Ok]);
        assert!(found[0].found.starts_with("mode 600, group "), "{:?}", found[0]);
        assert!(found[0].remedy.as_ref().is_some_and(|remedy| remedy.starts_with("sudo usermod -aG ")));
        let none = nodes(&dev, &["gpiochip"], "GPIO chip", "pins", &me);
        assert_eq!((none.len(), none[0].found.as_str()), (1, "no /dev/gpiochip*"));
        fs::remove_dir_all(&dev).unwrap();
    }

    #[test]
    fn known_adapters_are_named() {
        let root = std::env::temp_dir().join(format!("rigor-usb-{}", std::process::id()));
        for (device, vendor, product) in [("1-1", "1366\n", "J-Link \u{1b}[2J\n"), ("1-2", "dead\n", "no")] {
            let folder = root.join("sys/bus/usb/devices").join(device);
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("idVendor"), vendor).unwrap();
            fs::write(folder.join("idProduct"), "0105\n").unwrap();
            fs::write(folder.join("product"), product).unwrap();
        }
        let found = usb(&Host::within(&root));
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].name.as_str(), found[0].found.as_str()), ("USB 1366:0105", "J-Link \\u{1b}[2J"));
        assert_eq!(found[0].purpose, "J-Link debug probe");
        fs::remove_dir_all(&root).unwrap();
    }
}
