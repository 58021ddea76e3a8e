//! The board's handles as the peripherals that a firmware asks for.

use std::net::Ipv4Addr;
use std::time::Duration;

use firmware_platform as platform;
use rigor_board::board::MachineHandle;
use rigor_board::cpu::{CpuHandle, TaskSpec, TasksHandle};
use rigor_board::flash::FlashHandle;
use rigor_board::net::NetHandle;
use rigor_board::pulse::PulseTransmitter;
use rigor_board::radio::{JoinError, RadioHandle};
use rigor_board::uart::{UartRx, UartTx};
use rigor_board::watchdog::WatchdogHandle;
use rigor_core::event::{BytesEncoding, ResetCause, Symbol};

/// The virtual board as a chip with two LED pins.
pub struct VirtualChip;

impl platform::Chip<2> for VirtualChip {
    type Cpu = Cpu;
    type Tasks = Tasks;
    type Machine = Machine;
    type Flash = FlashHandle;
    type Leds = Leds;
    type ConsoleRx = UartRx;
    type ConsoleTx = UartTx;
    type Net = NetHandle;
    type Wifi = Wifi;
}

impl VirtualChip {
    /// All peripherals of `chip`, with the LEDs on `led_pins`.
    pub fn peripherals(chip: &rigor_board::Chip, led_pins: [u8; 2]) -> platform::Peripherals<2, Self> {
        platform::Peripherals {
            cpu: Cpu(chip.cpu()),
            tasks: Tasks(chip.tasks()),
            machine: Machine(chip.machine(), chip.watchdog()),
            flash: chip.flash(),
            leds: Leds(chip.pulse_transmitter(&led_pins)),
            console_rx: chip.uart_rx(),
            console_tx: chip.uart_tx(),
            net: chip.net(),
            wifi: Wifi(chip.radio()),
        }
    }
}

/// A core whose computing time is charged.
#[derive(Clone)]
pub struct Cpu(CpuHandle);

impl platform::Cpu for Cpu {
    fn work(&self, cycles: u32) {
        self.0.work(cycles);
    }
}

/// The board's scheduler.
#[derive(Clone)]
pub struct Tasks(TasksHandle);

impl platform::Tasks for Tasks {
    fn spawn(&self, spec: platform::TaskSpec, body: platform::TaskBody) {
        let core = match spec.core {
            platform::Core::Zero => 0,
            platform::Core::One => 1,
        };
        let platform::TaskSpec { name, priority, stack_bytes, .. } = spec;
        self.0.spawn(TaskSpec { name, priority, stack_bytes, core }, body);
    }

    /// Stacks of the host say nothing about stacks of the chip, so no watermark is known.
    fn for_each(&self, each: &mut dyn FnMut(&platform::TaskSpec, Option<usize>)) {
        for spec in self.0.living() {
            let core = if spec.core == 0 { platform::Core::Zero } else { platform::Core::One };
            let TaskSpec { name, priority, stack_bytes, .. } = spec;
            each(&platform::TaskSpec { name, priority, stack_bytes, core }, None);
        }
    }
}

/// The board as a whole.
#[derive(Clone)]
pub struct Machine(MachineHandle, WatchdogHandle);

impl platform::Machine for Machine {
    fn model(&self) -> platform::ChipModel {
        platform::ChipModel::ESP32_S3
    }

    fn heap(&self) -> platform::HeapStatus {
        let status = self.0.heap();
        platform::HeapStatus {
            total: status.total,
            free: status.free,
            minimum_free: status.minimum_free,
            largest_free_block: status.largest_free_block,
            allocations: status.allocations,
            frees: status.frees,
            failures: status.failures,
        }
    }

    fn start_cause(&self) -> platform::StartCause {
        match self.0.start_cause() {
            ResetCause::PowerOn | ResetCause::Pin => platform::StartCause::PowerOn,
            ResetCause::Software => platform::StartCause::Software,
            ResetCause::Panic => platform::StartCause::Panic,
            ResetCause::Watchdog => platform::StartCause::Watchdog,
        }
    }

    fn restart(&self) -> ! {
        self.0.restart();
        unreachable!("firmware restarts from its tasks, and a restarting task goes no further")
    }

    fn start_watchdog(&self, timeout: Duration) {
        self.1.start(timeout);
    }

    fn feed_watchdog(&self) {
        self.1.feed();
    }
}

/// The board's pulse transmitter.
pub struct Leds(PulseTransmitter);

impl platform::PulseTransmitter<2> for Leds {
    async fn transmit(&mut self, encoder: &platform::BytesEncoder, lanes: [&[u8]; 2]) {
        let symbol = |pulse: platform::Pulse| Symbol { high_ns: pulse.high_ns, low_ns: pulse.low_ns };
        let encoding = BytesEncoding { zero: symbol(encoder.zero), one: symbol(encoder.one) };
        self.0.transmit(encoding, &lanes).await;
    }
}

/// The board's radio.
pub struct Wifi(RadioHandle);

impl platform::Wifi for Wifi {
    async fn open(&mut self, access_point: platform::AccessPoint<'_>) -> bool {
        self.0.open_access_point(access_point.ssid, access_point.channel).await;
        true
    }

    async fn join(&mut self, ssid: &str, password: Option<&str>) -> Result<Ipv4Addr, platform::JoinError> {
        self.0.join(ssid, password).await.map_err(|error| match error {
            JoinError::NotFound => platform::JoinError::NotFound,
            JoinError::Refused => platform::JoinError::Refused,
            JoinError::Lost => platform::JoinError::Failed,
        })
    }

    async fn lost(&mut self) {
        self.0.lost().await;
    }
}
