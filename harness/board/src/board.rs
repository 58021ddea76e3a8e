//! A board from the rig's side: power, wires, link and clock.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use rigor_core::event::{ConnectionId, Level, ResetCause};
use rigor_core::part::{self, Drive};
use rigor_core::verdict::RigError;
use rigor_core::{Instant, Source, Timeline};

use crate::cpu::{CpuHandle, TasksHandle};
use crate::fault::{BoardFault, LinkFault};
use crate::flash::{FlashConfig, FlashHandle};
use crate::gpio::{InputHandle, OutputHandle};
use crate::heap::{HeapStatus, outside_firmware};
use crate::kernel::Kernel;
use crate::net::{LinkConfig, NetHandle, Via};
use crate::pulse::PulseTransmitter;
use crate::radio::{RadioConfig, RadioHandle};
use crate::stress::Hand;
use crate::uart::{UartRx, UartTx};
use crate::watchdog::WatchdogHandle;

/// What a board is made of.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct BoardConfig {
    /// Seed of everything random, such as which bits a torn erase has set.
    pub seed: u64,
    /// Clock of both cores, in hertz.
    pub cpu_hz: u64,
    /// Time to switch a core from one task to another.
    pub context_switch: Duration,
    /// Time from reset to the firmware's first instruction.
    pub boot_rom: Duration,
    /// Bytes that the firmware can allocate.
    pub heap_bytes: usize,
    /// Baud rate of the console.
    pub baud: u32,
    /// The flash chip.
    pub flash: FlashConfig,
    /// The network link.
    pub link: LinkConfig,
    /// The air.
    pub radio: RadioConfig,
}

impl Default for BoardConfig {
    /// An ESP32-S3 at 160 MHz with 320 KiB of heap (what ESP-IDF leaves of 512 KiB of SRAM without
    /// PSRAM), 2 µs for a context switch (estimated: about 300 cycles with the window registers
    /// spilled), 50 ms for ROM and second-stage loader (estimated), a console at 115200 baud.
    fn default() -> Self {
        BoardConfig {
            seed: 0,
            cpu_hz: 160_000_000,
            context_switch: Duration::from_micros(2),
            boot_rom: Duration::from_millis(50),
            heap_bytes: 320 * 1024,
            baud: 115_200,
            flash: FlashConfig::default(),
            link: LinkConfig::default(),
            radio: RadioConfig::default(),
        }
    }
}

/// A firmware as a value: what a board runs.
pub trait Firmware {
    /// Its name, for reports.
    fn name(&self) -> &str;
    /// Its version, as the build states it.
    fn version(&self) -> &str;
    /// What a flashing tool writes before the first start: addresses and contents.
    fn flash_image(&self) -> Vec<(u32, Vec<u8>)>;
    /// The names of the defects that this build can be given, to prove that a suite finds them.
    fn defects(&self) -> Vec<&'static str> {
        Vec::new()
    }
    /// The same firmware with the defect of this name.
    fn with_defect(&self, _name: &str) -> Option<Rc<dyn Firmware>> {
        None
    }
    /// Those of the [`defects`](Self::defects) whose place this thread's firmware has come by since the
    /// thread began; `None` if the build does not keep count. A run that never comes by the place of
    /// a defect goes the same with the defect and without.
    fn reached_defects(&self) -> Option<Vec<&'static str>> {
        None
    }
    /// The reset vector: starts the firmware's tasks. Called at every start of the device, as the
    /// device's code.
    fn start(&self, chip: Chip);
}

/// The peripherals of the chip, handed to a firmware at each start.
pub struct Chip {
    kernel: Rc<Kernel>,
}

impl Chip {
    pub(crate) fn new(kernel: Rc<Kernel>) -> Self {
        Chip { kernel }
    }

    /// The processor.
    pub fn cpu(&self) -> CpuHandle {
        CpuHandle(self.kernel.clone())
    }

    /// The task starter.
    pub fn tasks(&self) -> TasksHandle {
        TasksHandle(self.kernel.clone())
    }

    /// The chip as a whole.
    pub fn machine(&self) -> MachineHandle {
        MachineHandle(self.kernel.clone())
    }

    /// The watchdog.
    pub fn watchdog(&self) -> WatchdogHandle {
        WatchdogHandle(self.kernel.clone())
    }

    /// The flash chip.
    pub fn flash(&self) -> FlashHandle {
        FlashHandle(self.kernel.clone())
    }

    /// The console's receiver. There is one FIFO: take one handle.
    pub fn uart_rx(&self) -> UartRx {
        UartRx(self.kernel.clone())
    }

    /// The console's transmitter. There is one FIFO: take one handle.
    pub fn uart_tx(&self) -> UartTx {
        UartTx(self.kernel.clone())
    }

    /// The network stack.
    pub fn net(&self) -> NetHandle {
        NetHandle(self.kernel.clone())
    }

    /// The radio.
    pub fn radio(&self) -> RadioHandle {
        RadioHandle(self.kernel.clone())
    }

    /// A pulse transmitter on `pins`, one channel each.
    pub fn pulse_transmitter(&self, pins: &[u8]) -> PulseTransmitter {
        outside_firmware(|| PulseTransmitter::new(self.kernel.clone(), pins))
    }

    /// Pin `number` as an output.
    pub fn output(&self, number: u8) -> OutputHandle {
        OutputHandle::new(self.kernel.clone(), crate::gpio::wire_of(&self.kernel, number))
    }

    /// Pin `number` as an input, pulled to `pull`.
    pub fn input(&self, number: u8, pull: Level) -> InputHandle {
        outside_firmware(|| {
            InputHandle::new(self.kernel.clone(), crate::gpio::wire_of(&self.kernel, number), pull)
        })
    }
}

/// The firmware's view of the chip as a whole.
#[derive(Clone)]
pub struct MachineHandle(Rc<Kernel>);

impl MachineHandle {
    /// What the allocator knows now.
    pub fn heap(&self) -> HeapStatus {
        outside_firmware(|| crate::cpu::note_call(&self.0));
        self.0.heap.status()
    }

    /// Why the chip began to run.
    pub fn start_cause(&self) -> ResetCause {
        self.0.cause()
    }

    /// Restarts the chip. The calling firmware goes no further; the call returns only in a
    /// destructor that runs because the device was stopped anyway.
    pub fn restart(&self) {
        outside_firmware(|| {
            crate::cpu::note_call(&self.0);
            crate::cpu::restart();
        });
    }
}

/// A virtual board and the rig around it. Dropping it ends the firmware.
pub struct Board {
    kernel: Rc<Kernel>,
}

impl Board {
    /// A board without power whose flash holds the firmware's image.
    pub fn new(config: BoardConfig, timeline: Timeline, firmware: Rc<dyn Firmware>) -> Self {
        let kernel = Kernel::new(config, timeline, firmware.clone());
        for (address, bytes) in firmware.flash_image() {
            kernel.flash.borrow_mut().load(address as usize, &bytes);
        }
        Board { kernel }
    }

    /// Lets the board live until `woken` says so, its clock shows `until`, or the flag of
    /// [`interrupt_by`](Self::interrupt_by) is set.
    ///
    /// # Panics
    /// On a defect of the board model. A panic of the firmware is a crash of the device instead.
    pub fn run(&self, until: Instant, woken: &dyn Fn() -> bool) {
        self.kernel.run(until, woken);
    }

    /// When [`run`](Self::run) will have something to do, unless the rig acts before; `None` if never.
    /// It may turn out to be nothing: what was scheduled by firmware that was stopped since.
    pub fn next_event(&self) -> Option<Instant> {
        self.kernel.next_event()
    }

    /// Once `flag` is set, [`run`](Self::run) crashes the device if its firmware lives and returns
    /// at once, then and whenever it is called again. For firmware that never waits while the
    /// harness's patience runs out; one that spins without calling into the board keeps the thread.
    pub fn interrupt_by(&self, flag: Arc<AtomicBool>) {
        self.kernel.cpu.set_interrupt(flag);
    }

    /// What [`Firmware::reached_defects`] says of the board's firmware.
    pub fn reached_defects(&self) -> Option<Vec<&'static str>> {
        self.kernel.firmware()?.reached_defects()
    }

    /// Breaks the board as `fault` says, for as long as it exists. To be called before it gets power.
    pub fn inject(&self, fault: BoardFault) {
        self.kernel.inject(fault);
    }

    /// Breaks the link to the board as `fault` says, for as long as the board exists. To be called
    /// before anything connects.
    pub fn inject_into_link(&self, fault: LinkFault) {
        self.kernel.net.borrow_mut().inject(fault);
    }

    /// Cuts the link: from now on nothing passes, in either direction, and nobody is told.
    pub fn unplug_link(&self) {
        self.kernel.net.borrow_mut().unplug();
    }

    /// The board's console as a part.
    pub fn console(&self) -> Rc<dyn part::Console> {
        Rc::new(Wire(self.kernel.clone()))
    }

    /// The board's supply as a part.
    pub fn power(&self) -> Rc<dyn part::Power> {
        Rc::new(Wire(self.kernel.clone()))
    }

    /// The board's reset pin as a part.
    pub fn reset(&self) -> Rc<dyn part::Reset> {
        Rc::new(Wire(self.kernel.clone()))
    }

    /// The board's flash chip as a programmer sees it.
    pub fn flash(&self) -> Rc<dyn part::Flash> {
        Rc::new(Wire(self.kernel.clone()))
    }

    /// The link to the board as a part: a cable.
    pub fn net(&self) -> Rc<dyn part::Net> {
        self.net_via(Via::Wire)
    }

    /// The link to one of the board's interfaces as a part.
    pub fn net_via(&self, via: Via) -> Rc<dyn part::Net> {
        Rc::new(Route { kernel: self.kernel.clone(), via })
    }

    /// The rig's radio as a part.
    pub fn air(&self) -> Rc<dyn part::Air> {
        Rc::new(Wire(self.kernel.clone()))
    }

    /// What sees the board's scheduler.
    pub fn scheduler(&self) -> Rc<dyn part::Scheduler> {
        Rc::new(Wire(self.kernel.clone()))
    }

    /// What takes cores and memory away.
    pub fn stress(&self) -> Rc<dyn part::Stress> {
        Rc::new(Hand(self.kernel.clone()))
    }

    /// Pin `number` as a wire that the rig can drive.
    pub fn pin(&self, number: u8) -> Rc<dyn part::Pin> {
        let source = crate::gpio::source(&self.kernel, number);
        Rc::new(PinWire { kernel: self.kernel.clone(), number, source })
    }

    /// Where the edges of pin `number` are recorded.
    pub fn pin_source(&self, number: u8) -> Source {
        crate::gpio::source(&self.kernel, number)
    }

    /// What the device's allocator knows now.
    pub fn heap(&self) -> HeapStatus {
        self.kernel.heap.status()
    }
}

impl Drop for Board {
    fn drop(&mut self) {
        self.kernel.dismantle();
    }
}

/// The rig's end of the board's wires. Nothing on a virtual bench can fail.
struct Wire(Rc<Kernel>);

impl part::Console for Wire {
    fn write(&self, bytes: &[u8]) -> Result<(), RigError> {
        crate::uart::type_in(&self.0, bytes);
        Ok(())
    }
    fn source(&self) -> Source {
        self.0.uart.borrow().source()
    }
}

impl part::Power for Wire {
    fn on(&self) -> Result<(), RigError> {
        self.0.power_on();
        Ok(())
    }
    fn off(&self) -> Result<(), RigError> {
        self.0.power_off();
        Ok(())
    }
    fn source(&self) -> Source {
        self.0.device_source
    }
}

impl part::Scheduler for Wire {
    fn record(&self) -> Result<(), RigError> {
        self.0.cpu.record();
        Ok(())
    }
}

impl part::Reset for Wire {
    fn pulse(&self) -> Result<(), RigError> {
        self.0.reset(ResetCause::Pin);
        Ok(())
    }
}

impl Wire {
    fn check_range(&self, address: u32, length: usize) -> Result<(), RigError> {
        let capacity = self.0.flash.borrow().capacity();
        match (address as usize).checked_add(length) {
            Some(end) if end <= capacity => Ok(()),
            _ => Err(RigError(format!(
                "{length} bytes at {address:#x} leave the flash chip of {capacity:#x} bytes; read within it"
            ))),
        }
    }
}

impl part::Flash for Wire {
    fn read(&self, address: u32, length: u32) -> Result<Vec<u8>, RigError> {
        self.check_range(address, length as usize)?;
        let mut bytes = vec![0; length as usize];
        self.0.flash.borrow().read(address as usize, &mut bytes);
        Ok(bytes)
    }
    fn write(&self, address: u32, bytes: &[u8]) -> Result<(), RigError> {
        self.check_range(address, bytes.len())?;
        self.0.flash.borrow_mut().load(address as usize, bytes);
        Ok(())
    }
    fn busy_source(&self) -> Option<Source> {
        Some(self.0.flash.borrow().source())
    }
}

impl part::Air for Wire {
    fn put_up(&self, network: &part::Network) -> Result<(), RigError> {
        crate::radio::put_up(&self.0, network);
        Ok(())
    }
    fn take_down(&self) -> Result<(), RigError> {
        crate::radio::take_down(&self.0);
        Ok(())
    }
    fn net(&self) -> Rc<dyn part::Net> {
        Rc::new(Route { kernel: self.0.clone(), via: Via::Station })
    }
    fn source(&self) -> Source {
        self.0.radio.borrow().source()
    }
}

/// The rig's way to one of the device's interfaces.
struct Route {
    kernel: Rc<Kernel>,
    via: Via,
}

impl part::Net for Route {
    fn connect(&self, port: u16) -> Result<ConnectionId, RigError> {
        Ok(crate::net::connect(&self.kernel, self.via, port))
    }
    fn send(&self, connection: ConnectionId, bytes: &[u8]) -> Result<(), RigError> {
        if !crate::net::datagram::send(&self.kernel, connection, bytes) {
            crate::net::send(&self.kernel, connection, bytes);
        }
        Ok(())
    }
    fn finish(&self, connection: ConnectionId) -> Result<(), RigError> {
        crate::net::finish(&self.kernel, connection);
        Ok(())
    }
    fn reset(&self, connection: ConnectionId) -> Result<(), RigError> {
        crate::net::reset(&self.kernel, connection);
        Ok(())
    }
    fn vanish(&self, connection: ConnectionId) -> Result<(), RigError> {
        crate::net::vanish(&self.kernel, connection);
        Ok(())
    }
    fn stop_reading(&self, connection: ConnectionId) -> Result<(), RigError> {
        crate::net::stop_reading(&self.kernel, connection);
        Ok(())
    }
    fn read_on(&self, connection: ConnectionId) -> Result<(), RigError> {
        crate::net::read_on(&self.kernel, connection);
        Ok(())
    }
    fn datagrams(&self, port: u16, to: part::Recipient) -> Result<ConnectionId, RigError> {
        Ok(crate::net::datagram::open(&self.kernel, self.via, port, to))
    }
    fn source(&self) -> Source {
        self.kernel.net.borrow().source()
    }
}

struct PinWire {
    kernel: Rc<Kernel>,
    number: u8,
    source: Source,
}

impl part::Pin for PinWire {
    fn drive(&self, drive: Drive) -> Result<(), RigError> {
        crate::gpio::drive(&self.kernel, self.number, drive);
        Ok(())
    }
    fn source(&self) -> Source {
        self.source
    }
}
