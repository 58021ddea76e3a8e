//! An emulated device in exact time: rig and device move on together.
//!
//! The device runs until it has something to tell or until the next instant at which the rig has; then
//! it stands still, and both exchange what there is. So whatever the host's load, the same seed gives
//! the same run. What the rig's end of a wire needs to do between two meetings happens here, in the order
//! of time.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use rigor_agent::layout::{Command, Network, Reason, boot, flash, order};
use rigor_agent::{Record, Records};
use rigor_board::BoardConfig;
use rigor_core::event::{DeviceEvent, ResetCause};
use rigor_core::{Instant, Timeline};

use super::boot::write_block;
use super::command_line::Time;
use super::ends::{Ends, Lanes};
use super::error::QemuError;
use super::guest::Guest;
use super::life::Life;
use super::link::Link;
use super::machine::{Machine, Prepared};
use super::mailbox::{Answer, Report};
use super::parts::Emulated;
use super::ram::GuestRam;
use crate::file::Exact;

/// How long a device may compute until it rings, of the host's time. At full speed that is minutes of its
/// own time without an interrupt.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often a device may ring while its clock stands still.
const RINGS_AT_ONCE: u32 = 10_000;

/// A machine with power.
struct Powered {
    guest: Guest,
    /// When its clock stood at zero.
    base: Instant,
    /// It has rung and waits for the answer.
    stands: bool,
    life: Life,
    /// The reset pin was pulsed since it was answered last.
    reset: bool,
    /// How often it has rung at this instant.
    rings: u32,
}

/// The emulated device, and the rig's ends of its wires.
pub(super) struct Device {
    machine: Machine,
    exact: Exact,
    config: BoardConfig,
    defect: Option<String>,
    timeline: Timeline,
    powered: Option<Powered>,
    ends: Ends,
    pub(super) link: Link,
    /// Frames that the device has not fetched yet.
    arrived: Vec<Vec<u8>>,
    interrupt: Arc<AtomicBool>,
}

impl Device {
    /// A device without power.
    pub(super) fn new(
        prepared: Prepared,
        exact: Exact,
        timeline: &Timeline,
        interrupt: Arc<AtomicBool>,
    ) -> Result<Self, QemuError> {
        let Prepared { machine, config, defect, flash_image, memory_mib } = prepared;
        Ok(Device {
            ends: Ends::new(timeline, &config, memory_mib, flash_image, Duration::ZERO)?,
            link: Link::new(config.link, timeline),
            arrived: Vec::new(),
            timeline: timeline.clone(),
            powered: None,
            machine,
            exact,
            config,
            defect,
            interrupt,
        })
    }

    /// Where what happens at its wires is recorded.
    pub(super) fn lanes(&self) -> Lanes {
        self.ends.lanes()
    }

    /// When something happens at the rig's ends of the wires that the device does not know of yet.
    fn next_event(&self) -> Option<Instant> {
        let life = self.powered.as_ref().and_then(|powered| powered.life.next());
        let (wire, typed) = (self.ends.wires.next_end(), self.ends.typing.next());
        [wire, typed, self.link.next_event(), life].into_iter().flatten().min()
    }

    /// Lets the device run until it rings, at `until` at the latest, and takes in what it tells.
    fn meet(&mut self, until: Instant) -> Result<(), QemuError> {
        self.answer(until)?;
        let Some(powered) = &mut self.powered else { return Ok(()) };
        match powered.guest.wait_for_bell(PATIENCE, &self.interrupt) {
            Ok(()) => {}
            // Who interrupts knows why.
            Err(QemuError::Interrupted) => return Ok(()),
            // It has come so far: what does not ring is the device, not the emulator.
            Err(QemuError::Silent { within, .. }) if powered.stands => {
                self.give_up(&format!(
                    "it hangs: without an interrupt for {within:?} of the host's time, which are minutes of its own"
                ));
                return Ok(());
            }
            Err(error) => return Err(error),
        }
        powered.stands = true;
        let report = Report::read(&self.ends.ram)?;
        let at = powered.base + report.clock;
        let now = self.timeline.now();
        powered.rings = if at > now { 0 } else { powered.rings + 1 };
        if powered.rings > RINGS_AT_ONCE {
            self.give_up("it talks to the rig without letting time pass");
            return Ok(());
        }
        match self.take(&report.records, at) {
            Err(QemuError::OutsideRam(error)) => self.give_up(&format!("its records are damaged: {error}")),
            taken => taken?,
        }
        self.take_first_allocations(at)?;
        if report.reason == Some(Reason::Reset) {
            self.enter_reset(at)?;
        }
        self.advance_to(at)?;
        if let Some(error) = self.ends.wires.refused() {
            self.give_up(&format!("its records contradict each other: {error}"));
        }
        Ok(())
    }

    /// Tells a device that stands what there is, and how far it may run.
    fn answer(&mut self, until: Instant) -> Result<(), QemuError> {
        let now = self.timeline.now();
        self.carry_until(now);
        let Some(powered) = &mut self.powered else { return Ok(()) };
        if !powered.stands {
            // It has just been switched on and runs to its first bell.
            return Ok(());
        }
        let (command, cause) = if std::mem::take(&mut powered.reset) {
            (Command::Reset, None)
        } else {
            powered.life.command(now)
        };
        let mut until = until;
        if let Some(cause) = cause {
            self.ends.begin_life(cause)?;
            // To the first sample of the heap, before the firmware's first instruction.
            until = now;
        }
        let mut typed = self.ends.typing.arrived(now, order::CONSOLE_MAX);
        let mut carried = Vec::new();
        for frame in self.arrived.drain(..) {
            let room = order::FRAMES_MAX - carried.len();
            if let Some(length) = u16::try_from(frame.len()).ok().filter(|_| frame.len() + 2 <= room) {
                carried.extend_from_slice(&length.to_le_bytes());
                carried.extend_from_slice(&frame);
            }
        }
        if !powered.life.runs() {
            // Nobody is there to hear.
            typed.clear();
            carried.clear();
        }
        let answer = Answer {
            until: until.since(powered.base),
            command,
            sample_heap: powered.life.samples_heap(until),
            typed: &typed,
            frames: &carried,
        };
        answer.write(&self.ends.ram)?;
        powered.guest.answer()?;
        if let Some(cause) = cause {
            self.link.device_is_up(true);
            self.ends.tell(now, DeviceEvent::Started(cause));
        }
        Ok(())
    }

    /// Takes in the records that the device has made up to `now`.
    fn take(&mut self, told: &[u8], now: Instant) -> Result<(), QemuError> {
        let Some(base) = self.powered.as_ref().map(|powered| powered.base) else { return Ok(()) };
        for record in Records::new(told) {
            let (at, record) = match record {
                Ok((at, record)) => (base + Duration::from_nanos(at), record),
                Err(error) => {
                    self.give_up(&format!("its records are damaged: {error}"));
                    return Ok(());
                }
            };
            let at = at.min(now);
            match record {
                Record::Frame(frame) => self.link.sent_by_device(at, frame),
                Record::Crash(words) => {
                    self.halt(at);
                    self.ends.tell(at, DeviceEvent::Crashed(String::from_utf8_lossy(words).into()));
                    if let Some(powered) = &mut self.powered {
                        powered.life = Life::Dying;
                    }
                }
                _ => self.ends.wires.take(at, &record)?,
            }
        }
        Ok(())
    }

    /// Takes in the first allocations of this life that have come about up to `now`.
    fn take_first_allocations(&mut self, now: Instant) -> Result<(), QemuError> {
        let Some(Powered { base, life: Life::Running { .. }, .. }) = self.powered else { return Ok(()) };
        if let Some(damage) = self.ends.take_first_allocations(base, now)? {
            self.give_up(&damage);
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
        self.halt(at);
        Ok(())
    }

    /// Moves the rig's clock to `now`, with everything that happens at its ends of the wires until then.
    fn advance_to(&mut self, now: Instant) -> Result<(), QemuError> {
        let next =
            |device: &Device| device.ends.wires.next_end().into_iter().chain(device.link.next_event()).min();
        while let Some(at) = next(self).filter(|&at| at <= now) {
            self.carry_until(at);
            self.timeline.advance(at);
            self.ends.end_what_is_due(at)?;
        }
        self.carry_until(now);
        self.timeline.advance(now);
        self.sample_heap(now)
    }

    /// Moves the link to `now`, and keeps what arrives at the device until it is met.
    fn carry_until(&mut self, now: Instant) {
        self.arrived.extend(self.link.advance(now).into_iter().map(|(_, frame)| frame));
    }

    fn sample_heap(&mut self, now: Instant) -> Result<(), QemuError> {
        if self.powered.as_mut().is_some_and(|powered| powered.life.heap_is_due(now)) {
            self.ends.sample_heap(now)?;
        }
        Ok(())
    }

    /// The firmware of this life does nothing any more.
    fn halt(&mut self, at: Instant) {
        self.link.device_is_up(false);
        self.arrived.clear();
        self.ends.wires.device_halted(at);
    }

    /// The firmware has done what no firmware may; the machine is stopped.
    fn give_up(&mut self, why: &str) {
        let now = self.timeline.now();
        self.halt(now);
        self.ends.tell(now, DeviceEvent::Crashed(why.into()));
        if let Some(powered) = &mut self.powered {
            powered.guest.kill();
            powered.life = Life::Dead;
        }
    }
}

impl Emulated for Device {
    fn run(&mut self, until: Instant, woken: &dyn Fn() -> bool) -> Result<(), QemuError> {
        loop {
            if woken() {
                return Ok(());
            }
            let now = self.timeline.now();
            if now >= until {
                return Ok(());
            }
            let next = self.next_event().map_or(until, |next| next.clamp(now, until));
            let alive = self.powered.as_ref().is_some_and(|powered| powered.life != Life::Dead);
            if alive {
                self.meet(next)?;
            } else {
                self.advance_to(next)?;
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
        let now = self.timeline.now();
        write_block(&self.ends.ram, Network::Carried, &self.config, self.defect.as_deref())?;
        let guest = Guest::start(&self.machine.launch(Time::Exact(self.exact)), &self.ends.ram)?;
        self.ends.tell(now, DeviceEvent::PowerOn);
        let life = Life::Reset { until: now + self.config.boot_rom, cause: ResetCause::PowerOn };
        self.powered = Some(Powered { guest, base: now, stands: false, life, reset: false, rings: 0 });
        Ok(())
    }

    /// In the middle of whatever the device does: the emulator is killed.
    fn power_off(&mut self) -> Result<(), QemuError> {
        let Some(mut powered) = self.powered.take() else { return Ok(()) };
        powered.guest.kill();
        let now = self.timeline.now();
        self.halt(now);
        self.ends.power_cut(now)
    }

    fn reset(&mut self) -> Result<(), QemuError> {
        let Some(powered) = &mut self.powered else { return Ok(()) };
        if powered.life == Life::Dead {
            return Ok(());
        }
        powered.reset = true;
        let now = self.timeline.now();
        powered.life = Life::Reset { until: now + self.config.boot_rom, cause: ResetCause::Pin };
        self.halt(now);
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

#[cfg(test)]
mod tests;
