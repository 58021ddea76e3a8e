//! What the device's wires did, from its records to the timeline.
//!
//! A record comes when something begins; what it is for how long follows from it. Until it is over its lane
//! is held, and a device that stops in the middle leaves of it what was on the wire by then.

use std::sync::Arc;
use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rigor_agent::Record;
use rigor_agent::layout::flash::{BYTES, OFFSET, SECTOR_BYTES};
use rigor_board::flash::{tear_erase, tear_program};
use rigor_core::event::{
    Burst, BusTransfer, BytesEncoding, Direction, FlashBusy, FlashOperation, Serial, Symbol,
};
use rigor_core::task::{TASK_LANES, TaskStart, TaskState};
use rigor_core::timeline::TimelineError;
use rigor_core::{Instant, Kind, Level, Source, Timeline};

use super::error::QemuError;
use super::ram::{GuestRam, OutsideRam};

/// Something that is on a wire now.
struct OnWire {
    source: Source,
    started: Instant,
    ends: Instant,
    what: What,
}

enum What {
    Burst(Burst),
    Console { bytes: Arc<[u8]>, byte_time: Duration },
    Erase { address: u32 },
    Program { address: u32, bytes: Vec<u8> },
}

/// A task as the device has announced it.
struct Task {
    number: u8,
    lane: Source,
    /// Where the free bytes of its stack are recorded.
    stack: Source,
    state: TaskState,
}

/// All wires of the device.
pub(super) struct Wires {
    timeline: Timeline,
    console: Source,
    flash: Source,
    panel: Source,
    byte_time: Duration,
    /// How far from the truth the device's clock may be.
    uncertainty: Duration,
    on_wire: Vec<OnWire>,
    tasks: Vec<Task>,
    refused: Option<TimelineError>,
}

impl Wires {
    pub(super) fn new(timeline: &Timeline, baud: u32, uncertainty: Duration) -> Self {
        Wires {
            console: timeline.source("console"),
            flash: timeline.source("flash"),
            panel: timeline.source("panel"),
            byte_time: Duration::from_nanos(10_000_000_000 / u64::from(baud.max(1))),
            uncertainty,
            on_wire: Vec::new(),
            tasks: Vec::new(),
            refused: None,
            timeline: timeline.clone(),
        }
    }

    /// Where the console's bytes are recorded.
    pub(super) fn console(&self) -> Source {
        self.console
    }

    /// Where the flash chip's operations are recorded.
    pub(super) fn flash(&self) -> Source {
        self.flash
    }

    /// How long a byte is on the console's wire.
    pub(super) fn byte_time(&self) -> Duration {
        self.byte_time
    }

    /// What the timeline did not accept, once: the device's clock went back.
    pub(super) fn refused(&mut self) -> Option<TimelineError> {
        self.refused.take()
    }

    /// When the next thing on a wire is over.
    pub(super) fn next_end(&self) -> Option<Instant> {
        self.on_wire.iter().map(|thing| thing.ends).min()
    }

    /// Takes in a record of `at`. Those that concern the device as a whole are not for wires.
    ///
    /// # Errors
    /// [`QemuError::OutsideRam`] for an operation on cells that the flash chip does not have.
    pub(super) fn take(&mut self, at: Instant, record: &Record<'_>) -> Result<(), QemuError> {
        match *record {
            Record::Burst { pin, symbols: [zero_high, zero_low, one_high, one_low], bytes } => {
                let encoding = BytesEncoding {
                    zero: Symbol { high_ns: zero_high, low_ns: zero_low },
                    one: Symbol { high_ns: one_high, low_ns: one_low },
                };
                let burst = Burst { bytes: Arc::from(bytes), encoding, idle: Level::Low };
                let source = self.pin(pin);
                self.begin(source, at, burst.duration(), What::Burst(burst));
            }
            Record::Console(bytes) => {
                let byte_time = self.byte_time;
                let length = byte_time.saturating_mul(bytes.len() as u32);
                self.begin(self.console, at, length, What::Console { bytes: Arc::from(bytes), byte_time });
            }
            Record::Erase { address, duration } => {
                check(address, SECTOR_BYTES)?;
                self.begin(self.flash, at, Duration::from_nanos(duration.into()), What::Erase { address });
            }
            Record::Program { address, duration, bytes } => {
                check(address, bytes.len())?;
                let what = What::Program { address, bytes: bytes.to_vec() };
                self.begin(self.flash, at, Duration::from_nanos(duration.into()), what);
            }
            Record::Edge { pin, high } => {
                let source = self.pin(pin);
                self.push(source, at, Kind::Edge(if high { Level::High } else { Level::Low }));
            }
            Record::Bus { data, bytes } => {
                self.push(self.panel, at, Kind::Bus(BusTransfer { data, bytes: Arc::from(bytes) }));
            }
            Record::TaskStart { number, core, priority, stack_bytes, name } => {
                let name = String::from_utf8_lossy(name);
                let lane = self.timeline.source(&format!("{TASK_LANES}{name}"));
                self.tasks.retain(|task| task.number != number);
                let stack = self.timeline.source(&format!("stack.{name}"));
                self.tasks.push(Task { number, lane, stack, state: TaskState::Waiting });
                let start = TaskStart { core: core.into(), priority, stack_bytes: stack_bytes as usize };
                self.push(lane, at, start.event());
            }
            Record::TaskState { number, state } => {
                let state = match state {
                    2 => TaskState::Running,
                    1 => TaskState::Ready,
                    _ => TaskState::Waiting,
                };
                let task = self.tasks.iter_mut().find(|task| task.number == number);
                if let Some(lane) = task.map(|task| {
                    task.state = state;
                    task.lane
                }) {
                    self.push(lane, at, state.event());
                }
            }
            Record::StackFree { number, bytes } => {
                let task = self.tasks.iter().find(|task| task.number == number);
                if let Some(stack) = task.map(|task| task.stack) {
                    self.push(stack, at, Kind::Gauge(bytes.into()));
                }
            }
            Record::Frame(_) | Record::Crash(_) | Record::AccessPoint { .. } => {}
        }
        Ok(())
    }

    /// Delivers what is over by `now`, and changes the cells of the flash chip in `ram`.
    pub(super) fn end_what_is_due(&mut self, now: Instant, ram: &GuestRam) -> Result<(), QemuError> {
        while let Some(index) = self.first_until(now) {
            let thing = self.on_wire.remove(index);
            if let What::Erase { address } = thing.what {
                ram.write(sector(address), &[0xFF; SECTOR_BYTES])?;
            }
            if let What::Program { address, bytes } = &thing.what {
                change(ram, OFFSET + *address as usize, bytes.len(), |cells| {
                    cells.iter_mut().zip(bytes).for_each(|(cell, byte)| *cell &= byte);
                })?;
            }
            let length = thing.ends.since(thing.started);
            self.deliver(thing, length);
        }
        Ok(())
    }

    /// The firmware stops at `now`: its wires fall. The flash chip does not hear of it.
    pub(super) fn device_halted(&mut self, now: Instant) {
        let (on_wire, kept) = std::mem::take(&mut self.on_wire)
            .into_iter()
            .partition(|thing| matches!(thing.what, What::Burst(_) | What::Console { .. }));
        self.on_wire = kept;
        let on_wire: Vec<OnWire> = on_wire;
        for thing in on_wire {
            let length = now.since(thing.started);
            self.deliver(thing, length);
        }
        for task in std::mem::take(&mut self.tasks) {
            if task.state != TaskState::Waiting {
                self.push(task.lane, now, TaskState::Waiting.event());
            }
        }
    }

    /// The supply goes away at `now`: what the flash chip was doing is torn.
    pub(super) fn power_cut(
        &mut self,
        now: Instant,
        ram: &GuestRam,
        random: &mut ChaCha8Rng,
    ) -> Result<(), QemuError> {
        for thing in std::mem::take(&mut self.on_wire) {
            let length = now.since(thing.started);
            let whole = thing.ends.since(thing.started).as_nanos().max(1) as f64;
            let progress = length.as_nanos() as f64 / whole;
            match &thing.what {
                What::Erase { address } => {
                    change(ram, sector(*address), SECTOR_BYTES, |cells| tear_erase(cells, progress, random))?;
                }
                What::Program { address, bytes } => {
                    let from = OFFSET + *address as usize;
                    change(ram, from, bytes.len(), |cells| tear_program(cells, bytes, progress, random))?;
                }
                What::Burst(_) | What::Console { .. } => {}
            }
            self.deliver(thing, length);
        }
        Ok(())
    }

    fn pin(&self, number: u8) -> Source {
        self.timeline.source(&format!("gpio{number}"))
    }

    fn begin(&mut self, source: Source, started: Instant, length: Duration, what: What) {
        // A lane does one thing after the other; what follows at once may come before the end was noticed.
        while let Some(index) = self.on_wire.iter().position(|thing| thing.source == source) {
            let before = self.on_wire.remove(index);
            let length = started.since(before.started).min(before.ends.since(before.started));
            self.deliver(before, length);
        }
        self.timeline.hold(source, started);
        self.on_wire.push(OnWire { source, started, ends: started + length, what });
    }

    fn first_until(&self, now: Instant) -> Option<usize> {
        let due = self.on_wire.iter().enumerate().filter(|(_, thing)| thing.ends <= now);
        due.min_by_key(|(_, thing)| thing.ends).map(|(index, _)| index)
    }

    /// Records a thing that was on its wire for `length`, and lets go of the lane.
    fn deliver(&mut self, thing: OnWire, length: Duration) {
        let OnWire { source, started, ends, what } = thing;
        let whole = started + length >= ends;
        match what {
            What::Burst(burst) if whole => self.push(source, started, Kind::Burst(burst)),
            // A burst that is cut short is no burst any more, but its edges so far and the wire's fall.
            What::Burst(burst) => {
                let stopped = started + length;
                let mut level = Level::Low;
                for (after, to) in burst.edges() {
                    let at = started + Duration::from_nanos(after);
                    if at > stopped {
                        break;
                    }
                    self.push(source, at, Kind::Edge(to));
                    level = to;
                }
                if level == Level::High {
                    self.push(source, stopped, Kind::Edge(Level::Low));
                }
            }
            What::Console { bytes, byte_time } => {
                // What was cut never was a byte.
                let sent = (length.as_nanos() / byte_time.as_nanos().max(1)) as usize;
                let bytes = if whole { bytes } else { Arc::from(&bytes[..sent.min(bytes.len())]) };
                if !bytes.is_empty() {
                    let serial = Serial { direction: Direction::FromDut, bytes, byte_time };
                    self.push(source, started, Kind::Serial(serial));
                }
            }
            What::Erase { address } => {
                let (operation, sector) = (FlashOperation::Erase, SECTOR_BYTES as u32);
                let busy = FlashBusy { operation, address, length: sector, duration: length };
                self.push(source, started, Kind::FlashBusy(busy));
            }
            What::Program { address, bytes } => {
                let operation = FlashOperation::Program;
                let busy = FlashBusy { operation, address, length: bytes.len() as u32, duration: length };
                self.push(source, started, Kind::FlashBusy(busy));
            }
        }
        self.timeline.release(source);
    }

    fn push(&mut self, source: Source, at: Instant, kind: Kind) {
        if let Err(error) = self.timeline.push(source, at, self.uncertainty, kind) {
            self.refused.get_or_insert(error);
        }
    }
}

/// Refuses an operation on cells that the flash chip does not have.
fn check(address: u32, bytes: usize) -> Result<(), OutsideRam> {
    let offset = address as usize;
    let within = offset.checked_add(bytes).is_some_and(|end| end <= BYTES);
    if within { Ok(()) } else { Err(OutsideRam { offset, bytes, size: BYTES }) }
}

fn sector(address: u32) -> usize {
    OFFSET + address as usize / SECTOR_BYTES * SECTOR_BYTES
}

/// Changes cells of the flash chip.
fn change(
    ram: &GuestRam,
    from: usize,
    length: usize,
    change: impl FnOnce(&mut [u8]),
) -> Result<(), QemuError> {
    let mut cells = vec![0; length];
    ram.read(from, &mut cells)?;
    change(&mut cells);
    Ok(ram.write(from, &cells)?)
}

#[cfg(test)]
mod tests;
