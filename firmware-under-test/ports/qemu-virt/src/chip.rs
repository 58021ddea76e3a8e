//! The machine as the chip that a firmware asks for.

use firmware_platform as platform;
use firmware_platform::{AccessPoint, JoinError, TaskBody, TaskSpec};
use rigor_agent::Record;
use rigor_agent::layout::Reason;

use crate::console::{ConsoleRx, ConsoleTx};
use crate::flash::Flash;
use crate::leds::Leds;
use crate::machine::Machine;
use crate::net::Net;
use crate::{agent, clock, kernel};

/// Data pins of the two LED lanes: pixels 0 to 159 and 160 to 319 (PRISM K1's firmware specification,
/// section 1).
const LED_PINS: [u8; 2] = [9, 10];

/// QEMU's `virt` as a chip with two LED pins.
pub struct QemuVirt;

impl platform::Chip<2> for QemuVirt {
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

/// All peripherals.
///
/// # Safety
/// To be called once in a start: there is one of each.
pub unsafe fn peripherals() -> platform::Peripherals<2, QemuVirt> {
    platform::Peripherals {
        cpu: Cpu,
        tasks: Tasks,
        machine: Machine,
        flash: Flash,
        leds: Leds::new(LED_PINS),
        console_rx: ConsoleRx,
        console_tx: ConsoleTx,
        net: Net::new(),
        wifi: Wifi,
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
        kernel::spawn(spec, body);
    }

    fn for_each(&self, each: &mut dyn FnMut(&TaskSpec, Option<usize>)) {
        kernel::for_each(each);
    }
}

/// A radio without air: its access point's link is the one to the rig, and there is no other network.
pub struct Wifi;

impl platform::Wifi for Wifi {
    async fn open(&mut self, access_point: AccessPoint<'_>) -> bool {
        // As long as the virtual board's radio takes.
        embassy_time::Timer::after_millis(150).await;
        let AccessPoint { ssid, channel, .. } = access_point;
        agent::record(clock::now(), &Record::AccessPoint { channel, ssid: ssid.as_bytes() });
        agent::meet(Reason::Record);
        true
    }

    /// Looks on all channels, as the virtual board does, and finds nobody.
    async fn join(&mut self, _: &str, _: Option<&str>) -> Result<core::net::Ipv4Addr, JoinError> {
        embassy_time::Timer::after_millis(13 * 120).await;
        Err(JoinError::NotFound)
    }

    async fn lost(&mut self) {}
}
