//! A chip of Espressif's on the rig: what comes from its console, what is typed there, and its supply.
//!
//! Nothing in it rings, so the rig looks whenever the console has something, once a millisecond at least. How
//! late the chip itself is for want of the host's time cannot be seen, only how late the rig is.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use rigor_core::event::{DeviceEvent, ResetCause};
use rigor_core::{Instant, Kind, Source, Timeline};

use super::super::command_line::EspressifLaunch;
use super::super::error::QemuError;
use super::super::forward::Forward;
use super::super::live::clock::HostClock;
use super::super::live::loopback::Loopback;
use super::super::parts::Emulated;
use super::super::ram::GuestRam;
use super::super::typing::Typing;
use super::printing::Printing;
use super::{Board, Kept};
use crate::file::Chip;

/// How often the rig looks at least.
const SLICE: Duration = Duration::from_millis(1);
/// Bytes that are taken from the console at a time.
const AT_ONCE: usize = 4096;

/// The machine as QEMU is told of it.
pub(super) struct ChipMachine {
    pub(super) binary: PathBuf,
    pub(super) name: String,
    pub(super) chip: Chip,
    pub(super) memory_mib: Option<u32>,
    pub(super) arguments: Vec<String>,
}

/// The chip, and the rig's ends of its wires.
pub(super) struct ChipDevice {
    machine: ChipMachine,
    forwards: Vec<Forward>,
    kept: Kept,
    board: Option<Board>,
    timeline: Timeline,
    clock: HostClock,
    printing: Printing,
    typing: Typing,
    /// What has been typed and the emulator has not taken yet.
    untaken: Vec<u8>,
    net: Loopback,
    source: Source,
    interrupt: Arc<AtomicBool>,
}

impl ChipDevice {
    /// A chip without power.
    pub(super) fn new(
        machine: ChipMachine,
        kept: Kept,
        net: Loopback,
        timeline: &Timeline,
        byte_time: Duration,
        uncertainty: Duration,
        interrupt: Arc<AtomicBool>,
    ) -> Self {
        ChipDevice {
            forwards: net.forwards(),
            clock: HostClock::new(timeline, uncertainty),
            printing: Printing::new(timeline, byte_time, uncertainty),
            typing: Typing::new(timeline, byte_time, uncertainty),
            untaken: Vec::new(),
            source: timeline.source("device"),
            timeline: timeline.clone(),
            board: None,
            machine,
            kept,
            net,
            interrupt,
        }
    }

    /// Where its console is recorded.
    pub(super) fn console(&self) -> Source {
        self.printing.source
    }

    /// Where is recorded what becomes of it.
    pub(super) fn source(&self) -> Source {
        self.source
    }

    /// Lets it run until its console has something, for a slice at most, and exchanges what there is.
    fn look(&mut self) -> Result<(), QemuError> {
        let begun = self.clock.now();
        let listens = self.printing.room() >= AT_ONCE;
        match &mut self.board {
            Some(board) if listens => board.wait(SLICE)?,
            _ => thread::sleep(SLICE),
        }
        let now = self.clock.now();
        if let Some(board) = &mut self.board {
            board.check()?;
            if listens {
                self.printing.take(&board.hear(AT_ONCE), now);
            }
            self.untaken.extend(self.typing.arrived(now, AT_ONCE));
            let taken = board.say(&self.untaken);
            self.untaken.drain(..taken);
        }
        self.advance();
        let now = self.timeline.now();
        self.clock.note_delay(now, now.since(begun).saturating_sub(SLICE));
        Ok(())
    }

    /// Moves the rig's clock to the host's.
    fn advance(&mut self) {
        let now = self.clock.now();
        self.printing.pass(now);
        self.timeline.advance(now);
    }

    fn tell(&self, event: DeviceEvent) {
        let uncertainty = self.clock.uncertainty();
        // The clock only moves forward, and nobody else records here.
        let _ = self.timeline.push(self.source, self.timeline.now(), uncertainty, Kind::Device(event));
    }

    fn start(&mut self, cause: ResetCause) -> Result<(), QemuError> {
        let launch = EspressifLaunch {
            binary: &self.machine.binary,
            machine: &self.machine.name,
            chip: self.machine.chip,
            memory_mib: self.machine.memory_mib,
            forwards: &self.forwards,
            arguments: &self.machine.arguments,
        };
        self.board = Some(Board::start(&launch, &self.kept)?);
        self.tell(DeviceEvent::Started(cause));
        Ok(())
    }

    /// The process ends, if there is one; what was on the wires is lost.
    fn stop(&mut self) -> bool {
        let Some(mut board) = self.board.take() else { return false };
        self.advance();
        board.kill();
        self.printing.cut(self.timeline.now());
        self.untaken.clear();
        true
    }
}

impl Emulated for ChipDevice {
    fn run(&mut self, until: Instant, woken: &dyn Fn() -> bool) -> Result<(), QemuError> {
        loop {
            self.net.attend();
            if woken() || self.timeline.now() >= until || self.interrupt.load(Ordering::Relaxed) {
                return Ok(());
            }
            self.look()?;
        }
    }

    fn check(&mut self) -> Result<(), QemuError> {
        self.board.as_mut().map_or(Ok(()), Board::check)
    }

    fn power_on(&mut self) -> Result<(), QemuError> {
        if self.board.is_some() {
            return Ok(());
        }
        self.advance();
        self.tell(DeviceEvent::PowerOn);
        self.start(ResetCause::PowerOn)
    }

    fn power_off(&mut self) -> Result<(), QemuError> {
        if self.stop() {
            self.tell(DeviceEvent::PowerOff);
        }
        Ok(())
    }

    /// Another process on the same flash: the firmware itself reads that its supply came up.
    fn reset(&mut self) -> Result<(), QemuError> {
        if self.stop() { self.start(ResetCause::Pin) } else { Ok(()) }
    }

    fn type_in(&mut self, bytes: &[u8]) {
        self.typing.type_in(bytes);
    }

    /// A rig with such a chip has no part that asks for it.
    fn record_tasks(&self) -> Result<(), QemuError> {
        Ok(())
    }

    fn cells(&self) -> (&GuestRam, usize, usize) {
        (&self.kept.flash, 0, self.kept.flash.size())
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{PATIENCE, image};
    use super::*;
    use crate::qemu::stand_in;

    fn device(binary: &str) -> (ChipDevice, Timeline) {
        let (_file, path) = image(2 * 1024 * 1024);
        let timeline = Timeline::new();
        let machine = ChipMachine {
            binary: stand_in(binary),
            name: "esp32c3".to_owned(),
            chip: Chip::Esp32c3,
            memory_mib: None,
            arguments: Vec::new(),
        };
        let uncertainty = Duration::from_millis(10);
        let net = Loopback::new(Vec::new(), &timeline, uncertainty);
        let kept = Kept::new(&path).expect("a flash chip");
        let byte_time = Duration::from_micros(87);
        let device = ChipDevice::new(machine, kept, net, &timeline, byte_time, uncertainty, Arc::default());
        (device, timeline)
    }

    fn printed(device: &ChipDevice, timeline: &Timeline) -> String {
        let events = timeline.events(device.console(), Instant::ZERO, Instant::MAX);
        let bytes = events.into_iter().flat_map(|event| match event.kind {
            Kind::Serial(serial) => serial.bytes.to_vec(),
            _ => Vec::new(),
        });
        String::from_utf8_lossy(&bytes.collect::<Vec<_>>()).into_owned()
    }

    /// Lets it live until `done`, or until it fails.
    fn live(
        device: &mut ChipDevice,
        timeline: &Timeline,
        done: impl Fn(&ChipDevice) -> bool,
    ) -> Result<(), QemuError> {
        let until = timeline.now() + PATIENCE;
        while !done(device) {
            assert!(timeline.now() < until, "only {:?}", printed(device, timeline));
            device.run(timeline.now() + Duration::from_millis(5), &|| false)?;
        }
        Ok(())
    }

    #[test]
    fn its_console_is_heard_over_power_cuts_and_resets() {
        let (mut device, timeline) = device("esp-that-talks");
        for starts in 1..=3 {
            match starts {
                1 => device.power_on(),
                2 => device.reset(),
                _ => device.power_off().and_then(|()| device.power_on()),
            }
            .expect("a process");
            let said = |device: &ChipDevice| printed(device, &timeline).matches("boot0c\n").count() == starts;
            live(&mut device, &timeline, said).expect("it runs");
        }
        device.power_off().expect("it ends");
        let events = timeline.events(device.source(), Instant::ZERO, Instant::MAX);
        let told: Vec<Kind> = events.into_iter().map(|event| event.kind).collect();
        let expected = [
            DeviceEvent::PowerOn,
            DeviceEvent::Started(ResetCause::PowerOn),
            DeviceEvent::Started(ResetCause::Pin),
            DeviceEvent::PowerOff,
            DeviceEvent::PowerOn,
            DeviceEvent::Started(ResetCause::PowerOn),
            DeviceEvent::PowerOff,
        ];
        assert_eq!(told, expected.map(Kind::Device));
        let cells = device.cells();
        let mut word = [0; 4];
        cells.0.read(0, &mut word).expect("within");
        assert_eq!((&word, cells.2), (b"boot", 2 * 1024 * 1024));
    }

    #[test]
    fn what_is_typed_reaches_it() {
        let (mut device, timeline) = device("qemu-of-espressif");
        device.power_on().expect("a process");
        live(&mut device, &timeline, |device| printed(device, &timeline).ends_with("ready\n"))
            .expect("it runs");
        device.type_in(b"STATUS\n");
        let answered = |device: &ChipDevice| printed(device, &timeline).ends_with("ready\nheard STATUS\n");
        live(&mut device, &timeline, answered).expect("it runs");
    }

    #[test]
    fn one_that_dies_is_a_fault_of_the_rig() {
        let (mut device, timeline) = device("dies-at-start");
        device.power_on().expect("a process");
        let told = live(&mut device, &timeline, |_| false).expect_err("it dies").to_string();
        assert!(told.contains("unsupported machine type") && told.contains("idf_tools.py"), "{told}");
        assert!(device.check().is_err());
        device.power_off().expect("it is gone");
        device.check().expect("nothing is amiss without a supply");
    }
}
