//! Espressif's chips as the chip that a firmware asks for.

use esp_hal::peripherals::{FLASH, FROM_CPU_INTR2, RMT, RTC_TIMER, UART0, WIFI};
use firmware_platform as platform;
use firmware_platform::{TaskBody, TaskSpec};

use crate::board::Pins;
use crate::console::{self, ConsoleRx, ConsoleTx};
use crate::flash::Flash;
use crate::leds::Leds;
use crate::machine::{self, Machine};
use crate::radio::{self, Net, Wifi};
use crate::tasks;

/// A chip of the ESP32 family with two LED pins.
pub struct Esp32;

impl platform::Chip<2> for Esp32 {
    type Cpu = Cpu;
    type Tasks = Tasks;
    type Machine = Machine;
    type Flash = Flash;
    type Leds = Leds;
    type ConsoleRx = ConsoleRx;
    type ConsoleTx = ConsoleTx;
    type Net = Net;
    type Wifi = Wifi;
}

/// The parts of the chip that the firmware's peripherals are made of.
pub struct Parts {
    /// Of the board.
    pub pins: Pins,
    /// Sends the LED lanes.
    pub rmt: RMT<'static>,
    /// The console's.
    pub uart: UART0<'static>,
    /// Where code and files are.
    pub flash: FLASH<'static>,
    /// Its watchdog restarts the chip.
    pub watchdog: RTC_TIMER<'static>,
    /// The interrupt in which the LED lanes are refilled.
    pub refills: FROM_CPU_INTR2<'static>,
    /// The radio.
    pub wifi: WIFI<'static>,
}

/// All peripherals.
pub fn peripherals(parts: Parts) -> platform::Peripherals<2, Esp32> {
    let Parts { pins, rmt, uart, flash, watchdog, refills, wifi } = parts;
    machine::keep_watchdog(watchdog);
    let (console_rx, console_tx) = console::open(uart, pins.console_rx, pins.console_tx);
    let (net, wifi) = radio::start(wifi);
    platform::Peripherals {
        cpu: Cpu,
        tasks: Tasks,
        machine: Machine,
        flash: Flash::open(flash),
        leds: Leds::start(rmt, pins.leds, refills),
        console_rx,
        console_tx,
        net,
        wifi,
    }
}

/// A core whose code takes the time that it takes.
#[derive(Clone)]
pub struct Cpu;

impl platform::Cpu for Cpu {
    fn work(&self, _: u32) {}
}

/// The scheduler.
#[derive(Clone)]
pub struct Tasks;

impl platform::Tasks for Tasks {
    fn spawn(&self, spec: TaskSpec, body: TaskBody) {
        tasks::spawn(spec, body);
    }

    fn for_each(&self, each: &mut dyn FnMut(&TaskSpec, Option<usize>)) {
        tasks::for_each(each);
    }
}
