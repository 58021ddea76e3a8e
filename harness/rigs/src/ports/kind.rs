//! What a device probably is, by its numbers on USB.

use std::fmt;

use rigor_controller::PRODUCT;

use super::Usb;

/// Espressif, for which the chip's own USB port has one product number (`esptool`'s `USB_JTAG_SERIAL_PID`).
const ESPRESSIF: u16 = 0x303A;
const ESPRESSIF_SERIAL_JTAG: u16 = 0x1001;
const SILICON_LABS: u16 = 0x10C4;
const WCH: u16 = 0x1A86;
const FTDI: u16 = 0x0403;
/// Raspberry Pi, with the numbers of its USB product list (`raspberrypi/usb-pid`).
const RASPBERRY_PI: u16 = 0x2E8A;
const RP2040_BOOT: u16 = 0x0003;
const RP2350_BOOT: u16 = 0x000F;
const DEBUG_PROBE: u16 = 0x000C;
const SEGGER: u16 = 0x1366;
/// Whose number Saleae's first analyser and its clones have.
const LAKEVIEW: u16 = 0x0925;
const LOGIC: u16 = 0x3881;

/// What a device probably is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A chip of Espressif's with its own USB port: serial and JTAG.
    EspressifUsb,
    /// A CP210x: on many boards with a chip of Espressif's.
    Cp210x,
    /// A CH340, CH343 or CH9102, likewise.
    Ch34x,
    /// An FTDI adapter, likewise.
    Ftdi,
    /// The controller of a bench.
    Controller,
    /// A Pico that waits for firmware on the disk that it shows.
    PicoBoot,
    /// A debug probe for Picos and kin.
    DebugProbe,
    /// A Pico with somebody's firmware.
    Pico,
    /// A debug probe of SEGGER's.
    JLink,
    /// A Saleae Logic with eight channels, or a clone of it, which sigrok reads.
    LogicAnalyser,
    /// Another adapter.
    OtherUsb,
    /// A port that is built in.
    BuiltIn,
}

impl Kind {
    /// Of a device on USB, or of none.
    pub(super) fn of(usb: Option<&Usb>) -> Self {
        let Some(usb) = usb else { return Kind::BuiltIn };
        if usb.name.as_deref() == Some(PRODUCT) {
            return Kind::Controller;
        }
        match (usb.vendor, usb.product) {
            (ESPRESSIF, ESPRESSIF_SERIAL_JTAG) => Kind::EspressifUsb,
            (SILICON_LABS, _) => Kind::Cp210x,
            (WCH, _) => Kind::Ch34x,
            (FTDI, _) => Kind::Ftdi,
            (RASPBERRY_PI, RP2040_BOOT | RP2350_BOOT) => Kind::PicoBoot,
            (RASPBERRY_PI, DEBUG_PROBE) => Kind::DebugProbe,
            (RASPBERRY_PI, _) => Kind::Pico,
            (SEGGER, _) => Kind::JLink,
            (LAKEVIEW, LOGIC) => Kind::LogicAnalyser,
            _ => Kind::OtherUsb,
        }
    }

    /// For programs.
    pub fn name(self) -> &'static str {
        match self {
            Kind::EspressifUsb => "espressif-usb",
            Kind::Cp210x => "cp210x",
            Kind::Ch34x => "ch34x",
            Kind::Ftdi => "ftdi",
            Kind::Controller => "controller",
            Kind::PicoBoot => "pico-boot",
            Kind::DebugProbe => "debug-probe",
            Kind::Pico => "pico",
            Kind::JLink => "j-link",
            Kind::LogicAnalyser => "logic-analyser",
            Kind::OtherUsb => "usb",
            Kind::BuiltIn => "built-in",
        }
    }

    /// Whether a bench has a use for it although it is no serial port.
    pub(super) fn is_of_use_without_port(self) -> bool {
        matches!(self, Kind::PicoBoot | Kind::DebugProbe | Kind::JLink | Kind::LogicAnalyser)
    }

    /// For people.
    pub fn words(self) -> &'static str {
        match self {
            Kind::EspressifUsb => "ESP32-S3, -C3 or -C6 on its own USB port",
            Kind::Cp210x => "CP210x adapter, as on many ESP32 boards",
            Kind::Ch34x => "CH34x adapter, as on many ESP32 boards",
            Kind::Ftdi => "FTDI adapter",
            Kind::Controller => "bench controller of rigor",
            Kind::PicoBoot => "Pico that waits for firmware (BOOTSEL)",
            Kind::DebugProbe => "debug probe (CMSIS-DAP)",
            Kind::Pico => "Pico with firmware of somebody's",
            Kind::JLink => "J-Link debug probe",
            Kind::LogicAnalyser => "Saleae Logic or a clone of it",
            Kind::OtherUsb => "adapter on USB",
            Kind::BuiltIn => "built-in port",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.words())
    }
}
