use std::fs;
use std::os::unix::fs::symlink;

use super::*;

/// A host of the tests, in a folder.
struct Made {
    folder: tempfile::TempDir,
}

impl Made {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["sys/class/tty", "sys/bus/usb/devices", "dev/serial/by-id"] {
            fs::create_dir_all(folder.path().join(name)).expect("a folder");
        }
        Made { folder }
    }

    fn at(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.at(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, text).expect("a file");
    }

    /// A USB device at `place`, as in `1-1.2`.
    fn usb(&self, place: &str, ids: (&str, &str), serial: &str, name: &str) {
        let folder = format!("sys/devices/pci/usb1/{place}");
        self.write(&format!("{folder}/idVendor"), &format!("{}\n", ids.0));
        self.write(&format!("{folder}/idProduct"), &format!("{}\n", ids.1));
        self.write(&format!("{folder}/serial"), &format!("{serial}\n"));
        self.write(&format!("{folder}/product"), &format!("{name}\n"));
        symlink(self.at(&folder), self.at(&format!("sys/bus/usb/devices/{place}"))).expect("a link");
    }

    /// A port of its interface `number`. A ttyUSB has a folder more than a ttyACM.
    fn tty(&self, place: &str, number: u8, tty: &str) {
        let interface = format!("sys/devices/pci/usb1/{place}/{place}:1.{number}");
        self.write(&format!("{interface}/bInterfaceNumber"), &format!("{number:02x}\n"));
        let device = if tty.starts_with("ttyUSB") { format!("{interface}/{tty}") } else { interface };
        let class = format!("{device}/tty/{tty}");
        fs::create_dir_all(self.at(&class)).expect("a folder");
        symlink(self.at(&device), self.at(&class).join("device")).expect("a link");
        symlink(self.at(&class), self.at("sys/class/tty").join(tty)).expect("a link");
    }

    fn stable(&self, name: &str, tty: &str) {
        symlink(format!("../../{tty}"), self.at("dev/serial/by-id").join(name)).expect("a link");
    }

    fn host(&self) -> Host {
        Host::within(self.folder.path())
    }
}

fn serial(text: &str) -> PortName {
    PortName::UsbSerial(text.to_owned())
}

#[test]
fn ports_are_told_with_what_they_belong_to() {
    let made = Made::new();
    made.usb("1-1", ("303a", "1001"), "F4:12:FA:00:11:22", "USB JTAG/serial debug unit");
    made.tty("1-1", 0, "ttyACM10");
    made.usb("1-2", ("10c4", "ea60"), "0001", "CP2102N USB to UART");
    made.tty("1-2", 0, "ttyUSB0");
    made.stable("usb-Silicon_Labs_CP2102N_0001-if00-port0", "ttyUSB0");
    made.usb("1-3", ("2e8a", "000a"), "E6605481DB318834", rigor_controller::PRODUCT);
    made.tty("1-3", 2, "ttyACM2");
    let found = made.host().devices();
    let told: Vec<(&str, Kind, Option<u8>)> = found
        .iter()
        .map(|device| {
            let port = device.port.as_ref().expect("a port");
            (
                port.path.file_name().and_then(|name| name.to_str()).expect("a name"),
                device.kind,
                port.interface,
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            ("ttyACM2", Kind::Controller, Some(2)),
            ("ttyACM10", Kind::EspressifUsb, Some(0)),
            ("ttyUSB0", Kind::Cp210x, Some(0))
        ]
    );
    let usb = found[1].usb.as_ref().expect("it is on USB");
    assert_eq!((usb.vendor, usb.product, usb.serial.as_deref()), (0x303A, 0x1001, Some("F4:12:FA:00:11:22")));
    assert_eq!(usb.maker, None, "it has no such file");
    let stable = found[2].port.as_ref().and_then(|port| port.stable.clone()).expect("udev made one");
    assert!(stable.ends_with("by-id/usb-Silicon_Labs_CP2102N_0001-if00-port0"));
    let by_stable = made.host().device_at(&stable).expect("it is known by this name, too");
    assert_eq!(by_stable, found[2]);
}

#[test]
fn a_pico_that_waits_for_firmware_has_no_port_and_is_listed() {
    let made = Made::new();
    made.usb("1-1", ("2e8a", "0003"), "E0C9125B0D9B", "RP2 Boot");
    made.usb("1-2", ("046d", "c31c"), "", "Keyboard");
    let found = made.host().devices();
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!((found[0].kind, &found[0].port), (Kind::PicoBoot, &None));
}

#[test]
fn ports_that_are_not_there_are_not_listed() {
    let made = Made::new();
    // The four that every PC has, a virtual console, and one that is really built in.
    let built_in = |name: &str, driver: &str| {
        let device = format!("sys/devices/platform/{name}");
        fs::create_dir_all(made.at(&device)).expect("a folder");
        symlink(made.at("sys/bus/platform/drivers").join(driver), made.at(&device).join("driver"))
            .expect("a link");
        let class = format!("{device}/tty/{name}");
        fs::create_dir_all(made.at(&class)).expect("a folder");
        symlink(made.at(&device), made.at(&class).join("device")).expect("a link");
        symlink(made.at(&class), made.at("sys/class/tty").join(name)).expect("a link");
    };
    built_in("ttyS0", "serial8250");
    built_in("ttyAMA0", "uart-pl011");
    fs::create_dir_all(made.at("sys/class/tty/tty0")).expect("a folder");
    let found = made.host().devices();
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!((found[0].kind, &found[0].usb), (Kind::BuiltIn, &None));
}

#[test]
fn a_port_is_found_by_its_serial_number_under_whichever_path() {
    let made = Made::new();
    made.usb("1-1", ("303a", "1001"), "F4:12", "USB JTAG/serial debug unit");
    made.tty("1-1", 0, "ttyACM0");
    let host = made.host();
    assert!(host.resolve(&serial("F4:12")).is_ok_and(|path| path.ends_with("dev/ttyACM0")));
    fs::remove_file(made.at("sys/class/tty/ttyACM0")).expect("it goes away");
    let gone = host.resolve(&serial("F4:12")).expect_err("it went away").to_string();
    assert!(gone.contains("no port of this machine has one"), "{gone}");
    made.tty("1-1", 0, "ttyACM1");
    assert!(host.resolve(&serial("F4:12")).is_ok_and(|path| path.ends_with("dev/ttyACM1")));
    let other = host.resolve(&serial("F4:\u{1b}13")).expect_err("nobody has it").to_string();
    assert!(other.contains("`F4:\\u{1b}13`; those of this machine have F4:12"), "{other}");
    made.tty("1-1", 2, "ttyACM2");
    let several = host.resolve(&serial("F4:12")).expect_err("it has two").to_string();
    assert!(several.starts_with("2 serial ports") && several.contains("dev/ttyACM2"), "{several}");
    let path = PortName::Path("/dev/whatever".into());
    assert_eq!(host.resolve(&path), Ok("/dev/whatever".into()));
}

#[test]
fn a_host_without_sysfs_has_no_devices() {
    let empty = tempfile::tempdir().expect("a folder");
    assert_eq!(Host::within(empty.path()).devices(), []);
    let made = Made::new();
    made.usb("1-1", ("zzzz", "1001"), "F4:12", "a liar");
    made.tty("1-1", 0, "ttyACM0");
    assert!(
        made.host().devices().first().is_some_and(|device| device.port.is_some() && device.usb.is_none())
    );
}

#[test]
fn a_port_on_usb_has_a_device_file_of_its_device() {
    let made = Made::new();
    made.usb("1-1.2", ("303a", "1001"), "F4:12", "USB JTAG");
    made.tty("1-1.2", 0, "ttyACM0");
    assert_eq!(made.host().usb_device_of(Path::new("/dev/ttyACM0")), None, "it does not say its address");
    made.write("sys/devices/pci/usb1/1-1.2/busnum", "1\n");
    made.write("sys/devices/pci/usb1/1-1.2/devnum", "14\n");
    let found = made.host().usb_device_of(Path::new("/dev/ttyACM0"));
    assert_eq!(found, Some(made.at("dev/bus/usb/001/014")));
    assert_eq!(made.host().usb_device_of(Path::new("/dev/ttyS0")), None);
}
