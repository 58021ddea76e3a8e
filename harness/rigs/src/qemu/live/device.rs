//! An emulated device in the host's time.
//!
//! It rings as in exact time and is answered at once, once a millisecond at least. Its clock is the host's
//! from the start of the machine, so the rig's clock goes by what it says; without a machine it goes by the
//! host's own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use rigor_agent::layout::{Command, Network, Reason, boot, flash, order};
use rigor_agent::{Record, Records};
use rigor_board::BoardConfig;
use rigor_core::event::{DeviceEvent, ResetCause};
use rigor_core::time::nanos;
use rigor_core::{Instant, Timeline};

use super::super::boot::write_block;
use super::super::command_line::Time;
use super::super::ends::{Ends, Lanes};
use super::super::error::QemuError;
use super::super::forward::Forward;
use super::super::guest::Guest;
use super::super::life::Life;
use super::super::machine::{Machine, Prepared};
use super::super::mailbox::{Answer, Report};
use super::super::parts::Emulated;
use super::super::ram::GuestRam;
use super::clock::HostClock;
use super::loopback::Loopback;

/// How long a device may not ring, of the host's time.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long it runs between two meetings at most: what arrives on the console comes no later.
const SLICE: Duration = Duration::from_millis(1);

/// A machine with power.
struct Powered {
    guest: Guest,
    /// When its clock stood at zero, once it has said what it shows.
    base: Option<Instant>,
    life: Life,
    /// When it is to ring at the latest.
    due: Option<Instant>,
    /// The reset pin was pulsed since it was answered last.
    reset: bool,
}

/// The emulated device, and the rig's ends of its wires.
pub(super) struct LiveDevice {
    machine: Machine,
    forwards: Vec<Forward>,
    config: BoardConfig,
    defect: Option<String>,
    timeline: Timeline,
    clock: HostClock,
    powered: Option<Powered>,
    ends: Ends,
    net: Loopback,
    interrupt: Arc<AtomicBool>,
}

impl LiveDevice {
    /// A device without power.
    pub(super) fn new(
        prepared: Prepared,
        net: Loopback,
        timeline: &Timeline,
        interrupt: Arc<AtomicBool>,
        uncertainty: Duration,
    ) -> Result<Self, QemuError> {
        let Prepared { machine, config, defect, flash_image, memory_mib } = prepared;
        Ok(LiveDevice {
            clock: HostClock::new(timeline, uncertainty),
            ends: Ends::new(timeline, &config, memory_mib, flash_image, uncertainty)?,
            forwards: net.forwards(),
            net,
            timeline: timeline.clone(),
            powered: None,
            machine,
            config,
            defect,
            interrupt,
        })
    }

    /// Where what happens at its wires is recorded.
    pub(super) fn lanes(&self) -> Lanes {
        self.ends.lanes()
    }

    /// Lets the device run until it rings, and takes in what it tells.
    fn meet(&mut self) -> Result<(), QemuError> {
        let Some(powered) = &mut self.powered else { return Ok(()) };
        match powered.guest.wait_for_bell(PATIENCE, &self.interrupt) {
            Ok(()) => {}
            Err(QemuError::Interrupted) => return Ok(()),
            // It has come so far: what does not ring is the device, not the emulator.
            Err(QemuError::Silent { within, .. }) if powered.base.is_some() => {
                self.give_up(&format!("it hangs: without an interrupt for {within:?}"));
                return Ok(());
            }
            Err(error) => return Err(error),
        }
        let report = Report::read(&self.ends.ram)?;
        let known =
            Instant::from_nanos(nanos(self.clock.now().since(Instant::ZERO).saturating_sub(report.clock)));
        let at = *powered.base.get_or_insert(known) + report.clock;
        match self.take(&report.records, at) {
            Err(QemuError::OutsideRam(error)) => self.give_up(&format!("its records are damaged: {error}")),
            taken => taken?,
        }
        self.take_first_allocations(at)?;
        if report.reason == Some(Reason::Reset) {
            self.enter_reset(at)?;
        }
        self.advance_to(at)?;
        self.note_delay(at);
        if let Some(error) = self.ends.wires.refused() {
            self.give_up(&format!("its records contradict each other: {error}"));
            return Ok(());
        }
        self.answer(at)
    }

    /// The device has rung at `at`. If that is later than it was told to, it is the host's doing, on either
    /// side of the bell: nothing in the firmware keeps interrupts off for long.
    fn note_delay(&mut self, at: Instant) {
        let due = self.powered.as_mut().and_then(|powered| powered.due.take());
        self.clock.note_delay(at, due.map_or(Duration::ZERO, |due| at.since(due)));
    }

    /// Tells a device that has rung what there is, and how far it may run.
    fn answer(&mut self, now: Instant) -> Result<(), QemuError> {
        let next_end = self.ends.wires.next_end();
        let Some(powered) = self.powered.as_mut().filter(|powered| powered.life != Life::Dead) else {
            return Ok(());
        };
        let Some(base) = powered.base else { return Ok(()) };
        let (command, cause) = if std::mem::take(&mut powered.reset) {
            (Command::Reset, None)
        } else {
            powered.life.command(now)
        };
        if let Some(cause) = cause {
            self.ends.begin_life(cause)?;
        }
        let slice = now + SLICE;
        let until = match powered.life {
            // To the first sample of the heap, before the firmware's first instruction.
            _ if cause.is_some() => now,
            Life::Reset { until, .. } => until.min(slice),
            // The end of a flash operation is an instant that the device waits for.
            _ => next_end.map_or(slice, |end| end.clamp(now, slice)),
        };
        let mut typed = self.ends.typing.arrived(now, order::CONSOLE_MAX);
        if !powered.life.runs() {
            // Nobody is there to hear.
            typed.clear();
        }
        let answer = Answer {
            until: until.since(base),
            command,
            sample_heap: powered.life.samples_heap(until),
            typed: &typed,
            frames: &[],
        };
        answer.write(&self.ends.ram)?;
        powered.guest.answer()?;
        powered.due = powered.life.runs().then_some(until);
        if let Some(cause) = cause {
            self.ends.tell(now, DeviceEvent::Started(cause));
        }
        Ok(())
    }

    /// Takes in the records that the device has made up to `now`.
    fn take(&mut self, told: &[u8], now: Instant) -> Result<(), QemuError> {
        let Some(base) = self.powered.as_ref().and_then(|powered| powered.base) else { return Ok(()) };
        for record in Records::new(told) {
            let (at, record) = match record {
                Ok((at, record)) => (base + Duration::from_nanos(at), record),
                Err(error) => {
                    self.give_up(&format!("its records are damaged: {error}"));
                    return Ok(());
                }
            };
            let at = at.min(now);
            // What was on a wire before is over: a flash chip does one thing after the other.
            self.ends.end_what_is_due(at)?;
            if let Record::Crash(words) = record {
                self.ends.wires.device_halted(at);
                self.ends.tell(at, DeviceEvent::Crashed(String::from_utf8_lossy(words).into()));
                if let Some(powered) = &mut self.powered {
                    powered.life = Life::Dying;
                }
            } else {
                self.ends.wires.take(at, &record)?;
            }
        }
        Ok(())
    }

    /// The device is in reset, by its own doing or as it was told.
    fn enter_reset(&mut self, at: Instant) -> Result<(), QemuError> {
        let Some(powered) = &mut self.powered else { return Ok(()) };
        if matches!(powered.life, Life::Reset { .. }) {
            return Ok(());
        }
        let cause = self.ends.cause()?;
        powered.life = Life::Reset { until: at + self.config.boot_rom, cause };
        self.ends.wires.device_halted(at);
        Ok(())
    }

    /// Moves the rig's clock to `now`, with what is over on its wires by then.
    fn advance_to(&mut self, now: Instant) -> Result<(), QemuError> {
        while let Some(at) = self.ends.wires.next_end().filter(|&at| at <= now) {
            self.timeline.advance(at);
            self.ends.end_what_is_due(at)?;
        }
        self.timeline.advance(now);
        self.sample_heap(now)
    }

    fn sample_heap(&mut self, now: Instant) -> Result<(), QemuError> {
        if self.powered.as_mut().is_some_and(|powered| powered.life.heap_is_due(now)) {
            self.ends.sample_heap(now)?;
        }
        Ok(())
    }

    /// Takes in the first allocations of this life that have come about up to `now`.
    fn take_first_allocations(&mut self, now: Instant) -> Result<(), QemuError> {
        let Some(Powered { base: Some(base), life: Life::Running { .. }, .. }) = self.powered else {
            return Ok(());
        };
        if let Some(damage) = self.ends.take_first_allocations(base, now)? {
            self.give_up(&damage);
        }
        Ok(())
    }

    /// The firmware has done what no firmware may; the machine is stopped.
    fn give_up(&mut self, why: &str) {
        let now = self.timeline.now();
        self.ends.wires.device_halted(now);
        self.ends.tell(now, DeviceEvent::Crashed(why.into()));
        if let Some(powered) = &mut self.powered {
            powered.guest.kill();
            powered.life = Life::Dead;
        }
    }
}

impl Emulated for LiveDevice {
    fn run(&mut self, until: Instant, woken: &dyn Fn() -> bool) -> Result<(), QemuError> {
        loop {
            self.net.attend();
            if woken() || self.timeline.now() >= until || self.interrupt.load(Ordering::Relaxed) {
                return Ok(());
            }
            if self.powered.as_ref().is_some_and(|powered| powered.life != Life::Dead) {
                self.meet()?;
            } else {
                thread::sleep(SLICE.min(until.since(self.timeline.now())));
                self.advance_to(self.clock.now().min(until))?;
            }
        }
    }

    fn check(&mut self) -> Result<(), QemuError> {
        match &mut self.powered {
            Some(powered) if powered.life != Life::Dead => powered.guest.check(),
            _ => Ok(()),
        }
    }

    fn power_on(&mut self) -> Result<(), QemuError> {
        if self.powered.is_some() {
            return Ok(());
        }
        self.advance_to(self.clock.now())?;
        let now = self.timeline.now();
        write_block(&self.ends.ram, Network::Interface, &self.config, self.defect.as_deref())?;
        let guest = Guest::start(&self.machine.launch(Time::Live(&self.forwards)), &self.ends.ram)?;
        self.ends.tell(now, DeviceEvent::PowerOn);
        let life = Life::Reset { until: now + self.config.boot_rom, cause: ResetCause::PowerOn };
        self.powered = Some(Powered { guest, base: None, life, due: None, reset: false });
        Ok(())
    }

    fn power_off(&mut self) -> Result<(), QemuError> {
        let Some(mut powered) = self.powered.take() else { return Ok(()) };
        powered.guest.kill();
        let now = self.timeline.now();
        self.ends.wires.device_halted(now);
        self.ends.power_cut(now)
    }

    fn reset(&mut self) -> Result<(), QemuError> {
        let Some(powered) = self.powered.as_mut().filter(|powered| powered.life != Life::Dead) else {
            return Ok(());
        };
        powered.reset = true;
        let now = self.timeline.now();
        powered.life = Life::Reset { until: now + self.config.boot_rom, cause: ResetCause::Pin };
        self.ends.wires.device_halted(now);
        Ok(())
    }

    fn type_in(&mut self, bytes: &[u8]) {
        self.ends.typing.type_in(bytes);
    }

    fn record_tasks(&self) -> Result<(), QemuError> {
        Ok(self.ends.ram.write_u32(boot::RECORD_TASKS, 1)?)
    }

    fn cells(&self) -> (&GuestRam, usize, usize) {
        (&self.ends.ram, flash::OFFSET, flash::BYTES)
    }
}
