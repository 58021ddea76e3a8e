//! What the firmware under test asks of a chip beyond the embedded ecosystem's traits.
//!
//! Pins, serial lines, flash, sockets and timers are `embedded-hal`, `embedded-io-async`,
//! `embedded-storage`, `edge-nal` and `embassy-time`. This crate adds what these do not cover:
//! tasks with core, priority and stack size, the cost of computing, a pulse transmitter like the
//! ESP32's RMT, Wi-Fi, and what the allocator knows. Each port under `ports/` implements [`Chip`] once.
//!
//! # Tasks pre-empt each other anywhere
//!
//! On a real chip a task of higher priority takes the core from a lower one between any two
//! instructions, the tasks of the other core run at the same time, and each task has a stack of its
//! own. (On the virtual board it happens where firmware calls into the board: [`Cpu::work`], flash,
//! an await.) Bodies of tasks are not `Send`, so the compiler checks nothing of this. It asks:
//!
//! - **of a firmware**: what more than one *task* can reach is `portable_atomic_util::Arc`, with
//!   `portable_atomic`'s atomics or with a mutex over `critical_section` inside. An `Rc`, a `Cell`, a `RefCell` or a `NoopRawMutex` may be shared by
//!   futures of one task only. A body may hold such things when it is spawned: whoever spawned it has
//!   let go of them. A critical section is short. It contains no [`Cpu::work`], no call into the flash,
//!   no await, and no computing that grows with the data beyond the copy of a frame.
//! - **of a port**: `critical_section` excludes all tasks of all cores, and nests. The handles that can
//!   be cloned ([`Cpu`], [`Tasks`], [`Machine`], [`Chip::Flash`]) are used by several tasks at once, as
//!   are the global allocator, `embassy-time`'s driver, and the wakers of all tasks, which any task may
//!   wake. The other peripherals move to one task each.
//! - **of the chip**: nothing. `riscv32imac` and ESP32-S3 have atomic read-modify-write operations, and
//!   `portable_atomic` is what the compiler has there; ESP32-C3's `riscv32imc` has none, and the port tells
//!   the crate what stands in for them (a single core without its interrupts). `alloc::sync::Arc` does not
//!   exist there.
#![no_std]

extern crate alloc;

use alloc::boxed::Box;
use core::future::Future;
use core::net::Ipv4Addr;
use core::pin::Pin;
use core::time::Duration;

use embedded_storage::nor_flash::NorFlash;

/// A core of the chip.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Core {
    /// The protocol core of the ESP32 family (`PRO_CPU`).
    Zero,
    /// The application core (`APP_CPU`).
    One,
}

/// How a task is to run, as the system's specification lists it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct TaskSpec {
    /// For logs and stack reports.
    pub name: &'static str,
    /// Higher runs first and pre-empts lower, as in FreeRTOS; 0 is the idle level.
    pub priority: u8,
    /// Bytes of stack reserved for it.
    pub stack_bytes: usize,
    /// Where it runs.
    pub core: Core,
}

/// A task's body. It ends with the board or with its own return.
///
/// Not `Send`, for the handles of a simulated chip are not. Nevertheless the task that spawns it and the
/// one that it becomes are different ones: see the [crate]'s rules for what they share.
pub type TaskBody = Pin<Box<dyn Future<Output = ()>>>;

/// Starts tasks.
pub trait Tasks: Clone + 'static {
    /// Starts `body` as `spec` says. It first runs when nothing of a higher priority wants the core.
    fn spawn(&self, spec: TaskSpec, body: TaskBody);
    /// Calls `each` with every living task's specification and the fewest bytes of its stack that
    /// were ever free. A port that cannot measure stacks gives `None`.
    fn for_each(&self, each: &mut dyn FnMut(&TaskSpec, Option<usize>));
}

/// The processor.
pub trait Cpu: Clone + 'static {
    /// Says that the code just before or after this call takes `cycles` of the core's clock.
    ///
    /// A real port does nothing here, for there the code itself takes the time. The virtual board
    /// charges it: the task keeps its core that long unless a higher priority pre-empts it. Must
    /// not be called within a critical section.
    fn work(&self, cycles: u32);
}

/// One pulse: the active level, then the idle level.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pulse {
    /// Nanoseconds high. The transmitter rounds to its tick (ESP32 RMT at 40 MHz: 25 ns).
    pub high_ns: u32,
    /// Nanoseconds low that follow.
    pub low_ns: u32,
}

/// Turns bytes into pulses, most significant bit first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BytesEncoder {
    /// The pulse of a 0 bit.
    pub zero: Pulse,
    /// The pulse of a 1 bit.
    pub one: Pulse,
}

/// A pulse transmitter with `LANES` pins that start together, like the ESP32-S3's RMT channels
/// under a sync manager.
#[allow(
    async_fn_in_trait,
    reason = "the firmware's tasks are not Send: each stays on the core that its TaskSpec names"
)]
pub trait PulseTransmitter<const LANES: usize>: 'static {
    /// Shifts `lanes[i]` out on the i-th pin, all beginning at the same instant, and returns when
    /// the last symbol of the longest lane has left; the pins then idle low.
    async fn transmit(&mut self, encoder: &BytesEncoder, lanes: [&[u8]; LANES]);
}

/// What the allocator knows at one instant. All sizes in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct HeapStatus {
    /// Size of the whole heap.
    pub total: usize,
    /// Free now, in however many pieces.
    pub free: usize,
    /// The fewest that were ever free since the start.
    pub minimum_free: usize,
    /// The largest single piece that could be allocated now.
    pub largest_free_block: usize,
    /// Successful allocations since the start.
    pub allocations: u64,
    /// Blocks given back since the start.
    pub frees: u64,
    /// Allocations that were refused since the start.
    pub failures: u64,
}

/// Why the chip began to run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StartCause {
    /// The supply came up or the reset pin was pulsed.
    PowerOn,
    /// The firmware restarted itself.
    Software,
    /// The firmware panicked.
    Panic,
    /// A watchdog bit.
    Watchdog,
}

/// Which chip it is, as far as ESP-IDF's `esp_chip_info` tells. All of them have Wi-Fi and Bluetooth LE.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ChipModel {
    /// As Espressif writes it.
    pub name: &'static str,
    /// How many processors run the firmware: what [`Core`] asks for twice may be one.
    pub cores: u8,
    /// Whether it has a radio for IEEE 802.15.4 as well.
    pub ieee802154: bool,
}

impl ChipModel {
    /// PRISM K1's chip, and so that of boards which stand for it.
    pub const ESP32_S3: Self = Self { name: "ESP32-S3", cores: 2, ieee802154: false };
}

/// The chip as a whole.
pub trait Machine: Clone + 'static {
    /// Which chip it is.
    fn model(&self) -> ChipModel;
    /// What the allocator knows now.
    ///
    /// Whoever could do without memory looks at the largest free block before it allocates: an
    /// allocation that fails ends the firmware, on the virtual board a fallible one too.
    fn heap(&self) -> HeapStatus;
    /// Why the chip began to run.
    fn start_cause(&self) -> StartCause;
    /// Restarts the chip; does not return.
    fn restart(&self) -> !;
    /// From now on the chip is restarted when nobody feeds its watchdog for `timeout`.
    fn start_watchdog(&self, timeout: Duration);
    /// Says that the firmware is well. Without effect before the watchdog was started.
    fn feed_watchdog(&self);
}

/// An access point to open.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AccessPoint<'a> {
    /// The name of its network, which takes no password.
    pub ssid: &'a str,
    /// In the 2.4 GHz band, from 1.
    pub channel: u8,
    /// Stations at once.
    pub stations: u8,
}

/// Why a network could not be joined.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum JoinError {
    /// No network of this name was heard.
    NotFound,
    /// The network does not take this password, or none.
    Refused,
    /// Anything else: no address, a network that went away meanwhile, the radio.
    Failed,
}

/// A Wi-Fi radio that is an access point and a station at once, as ESP-IDF's `WIFI_MODE_APSTA`.
///
/// It covers what `esp-radio`'s controller does together with an IP stack's DHCP client: a port
/// configures, connects, and waits for the disconnection event and for the stack's configuration.
#[allow(
    async_fn_in_trait,
    reason = "the firmware's tasks are not Send: each stays on the core that its TaskSpec names"
)]
pub trait Wifi: 'static {
    /// Opens the access point, and returns when it sends beacons. It stays open whatever the
    /// station does. False if the radio does not start.
    async fn open(&mut self, access_point: AccessPoint<'_>) -> bool;
    /// Leaves the joined network, if there is one, looks for `ssid` once, joins it with `password`
    /// (none for an open network) and waits for an address.
    ///
    /// # Errors
    ///
    /// [`JoinError`]; the station is joined to nothing then.
    async fn join(&mut self, ssid: &str, password: Option<&str>) -> Result<Ipv4Addr, JoinError>;
    /// Waits until the station is joined to nothing.
    async fn lost(&mut self);
}

/// A chip with its board: one type for each peripheral. `LANES` is the number of LED data pins.
pub trait Chip<const LANES: usize>: 'static {
    /// The processor.
    type Cpu: Cpu;
    /// The task starter.
    type Tasks: Tasks;
    /// The chip as a whole.
    type Machine: Machine;
    /// The flash chip. Calls block the task for as long as the chip is busy; the clones of a
    /// handle wait for each other.
    type Flash: NorFlash + Clone + 'static;
    /// What drives the LEDs.
    type Leds: PulseTransmitter<LANES>;
    /// What the console receives.
    type ConsoleRx: embedded_io_async::Read + 'static;
    /// What the console sends.
    type ConsoleTx: embedded_io_async::Write + 'static;
    /// The network stack, on all interfaces of the radio at once. Sockets outlive the loss of one.
    type Net: edge_nal::TcpBind + edge_nal::UdpBind + 'static;
    /// The radio.
    type Wifi: Wifi;
}

/// Everything a port hands to a firmware.
#[allow(missing_docs, reason = "each field is named by its type in `Chip`")]
pub struct Peripherals<const LANES: usize, C: Chip<LANES>> {
    pub cpu: C::Cpu,
    pub tasks: C::Tasks,
    pub machine: C::Machine,
    pub flash: C::Flash,
    pub leds: C::Leds,
    pub console_rx: C::ConsoleRx,
    pub console_tx: C::ConsoleTx,
    pub net: C::Net,
    pub wifi: C::Wifi,
}
