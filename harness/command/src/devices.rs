//! `rigor devices`: what is plugged in that could be part of a bench.

use std::path::Path;
use std::process::ExitCode;

use rigor_core::result::EXIT_OK;
use rigor_reports::visible;
use rigor_rigs::ports::{Device, Host, PortName, Usb};
use serde::Serialize;

use crate::error::CommandError;
use crate::print::{columns, print};

/// List serial ports and boards that are plugged in
///
/// Says of each what it probably is, its numbers on USB, the serial number by which a rig file can name it,
/// and the path that stays the same when it is plugged in again. Opens no port: that could reset a board.
/// Reads sysfs of Linux.
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
#[command(after_help = "Examples:
  rigor devices
  rigor devices --json | jq -r '.devices[] | select(.kind == \"espressif-usb\") | .usb.serial'

Exit codes:
  0  they are listed, were there none
  3  the command line is wrong")]
pub(crate) struct Arguments {
    /// As JSON, for other programs.
    #[arg(long)]
    json: bool,
}

/// A device, for other programs. Texts are as the device says them.
#[derive(Serialize)]
struct Listed<'a> {
    kind: &'static str,
    what: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stable: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    interface: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usb: Option<ListedUsb<'a>>,
}

#[derive(Serialize)]
struct ListedUsb<'a> {
    /// Four hexadecimal digits, as everybody writes it.
    vendor: String,
    product: String,
    serial: Option<&'a str>,
    maker: Option<&'a str>,
    name: Option<&'a str>,
}

#[derive(Serialize)]
struct Listing<'a> {
    devices: Vec<Listed<'a>>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, CommandError> {
    let devices = Host::default().devices();
    print(&if arguments.json { json(&devices)? } else { told(&devices) });
    Ok(ExitCode::from(EXIT_OK))
}

/// What `--port` names.
pub(crate) fn port_name(text: &str) -> PortName {
    if text.contains('/') || Path::new(text).exists() {
        PortName::Path(text.into())
    } else {
        PortName::UsbSerial(text.to_owned())
    }
}

fn json(devices: &[Device]) -> Result<String, CommandError> {
    let listing = Listing { devices: devices.iter().map(listed).collect() };
    let text = serde_json::to_string_pretty(&listing)
        .map_err(|error| CommandError::Refused(format!("not to be written as JSON: {error}")))?;
    Ok(format!("{text}\n"))
}

fn listed(device: &Device) -> Listed<'_> {
    let port = device.port.as_ref();
    let text = |path: &Path| path.display().to_string();
    Listed {
        kind: device.kind.name(),
        what: device.kind.to_string(),
        port: port.map(|port| text(&port.path)),
        stable: port.and_then(|port| Some(text(port.stable.as_ref()?))),
        interface: port.and_then(|port| port.interface),
        usb: device.usb.as_ref().map(|usb| ListedUsb {
            vendor: format!("{:04x}", usb.vendor),
            product: format!("{:04x}", usb.product),
            serial: usb.serial.as_deref(),
            maker: usb.maker.as_deref(),
            name: usb.name.as_deref(),
        }),
    }
}

fn told(devices: &[Device]) -> String {
    if devices.is_empty() {
        return "no serial port and no known board is plugged in; in a container or a virtual machine, hand it through\n"
            .to_owned();
    }
    let heading = ["PORT", "USB", "SERIAL NUMBER", "WHAT IT PROBABLY IS"].map(str::to_owned).to_vec();
    let mut rows = vec![heading];
    rows.extend(devices.iter().map(row));
    let lines = columns(&rows);
    let mut text = String::new();
    for (index, line) in lines.lines().enumerate() {
        text.push_str(&format!("{line}\n"));
        let device = index.checked_sub(1).and_then(|index| devices.get(index));
        if let Some(stable) = device.and_then(|device| device.port.as_ref()?.stable.as_ref()) {
            text.push_str(&format!("  {}\n", visible(&stable.display().to_string())));
        }
    }
    text
}

fn row(device: &Device) -> Vec<String> {
    let port = device.port.as_ref().map_or("no port".to_owned(), |port| port.path.display().to_string());
    let usb = device.usb.as_ref();
    let numbers = usb.map_or_else(String::new, |usb| format!("{:04x}:{:04x}", usb.vendor, usb.product));
    let serial = usb.and_then(|usb| usb.serial.as_deref()).unwrap_or_default();
    let itself = usb.and_then(|usb: &Usb| usb.name.as_deref()).map(|name| format!(": {}", visible(name)));
    vec![visible(&port), numbers, visible(serial), format!("{}{}", device.kind, itself.unwrap_or_default())]
}

#[cfg(test)]
mod tests {
    use rigor_rigs::ports::{Kind, PortPath};

    use super::*;

    fn board() -> Device {
        let usb = Usb {
            vendor: 0x303A,
            product: 0x1001,
            serial: Some("F4:12".to_owned()),
            maker: Some("Espressif".to_owned()),
            name: Some("USB \u{1b}[2J unit".to_owned()),
        };
        let port = PortPath {
            path: "/dev/ttyACM0".into(),
            stable: Some("/dev/serial/by-id/usb-Espressif-if00".into()),
            interface: Some(0),
        };
        Device { port: Some(port), usb: Some(usb), kind: Kind::EspressifUsb }
    }

    #[test]
    fn a_port_stands_above_its_stable_name_and_its_texts_are_harmless() {
        let built_in = PortPath { path: "/dev/ttyAMA0".into(), stable: None, interface: None };
        let devices = [board(), Device { port: Some(built_in), usb: None, kind: Kind::BuiltIn }];
        assert_eq!(
            told(&devices),
            "PORT          USB        SERIAL NUMBER  WHAT IT PROBABLY IS\n\
             /dev/ttyACM0  303a:1001  F4:12          ESP32-S3, -C3 or -C6 on its own USB port: USB \\u{1b}[2J unit\n  \
             /dev/serial/by-id/usb-Espressif-if00\n\
             /dev/ttyAMA0                            built-in port\n"
        );
        assert!(told(&[]).starts_with("no serial port"));
    }

    #[test]
    fn a_port_is_a_path_or_a_serial_number() {
        assert_eq!(port_name("/dev/ttyACM0"), PortName::Path("/dev/ttyACM0".into()));
        assert_eq!(port_name("F4:12:FA"), PortName::UsbSerial("F4:12:FA".to_owned()));
    }

    #[test]
    fn programs_get_the_same() {
        let text = json(&[board()]).expect("it is JSON");
        let value: serde_json::Value = serde_json::from_str(&text).expect("it is JSON");
        let first = &value["devices"][0];
        assert_eq!(first["kind"], "espressif-usb");
        assert_eq!(first["port"], "/dev/ttyACM0");
        assert_eq!(first["usb"]["vendor"], "303a");
        assert_eq!(first["usb"]["serial"], "F4:12");
    }
}
