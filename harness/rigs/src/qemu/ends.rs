//! The rig's ends of an emulated device's wires, and where is recorded what becomes of it: the same in any
//! time. Its network is not among them, which each time reaches in its own way.

use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rigor_board::BoardConfig;
use rigor_core::event::{DeviceEvent, ResetCause};
use rigor_core::{Instant, Kind, Source, Timeline};

use super::boot::{cause, new_memory, set_cause};
use super::error::QemuError;
use super::heap::Heap;
use super::ram::GuestRam;
use super::typing::Typing;
use super::wires::Wires;

/// The lanes of a device that its parts name.
#[derive(Clone, Copy)]
pub(super) struct Lanes {
    pub(super) console: Source,
    pub(super) flash: Source,
    pub(super) device: Source,
}

/// All ends but those of the network.
pub(super) struct Ends {
    timeline: Timeline,
    pub(super) ram: GuestRam,
    pub(super) wires: Wires,
    pub(super) typing: Typing,
    device: Source,
    heap: Heap,
    random: ChaCha8Rng,
    /// How far from the truth the device's clock may be.
    uncertainty: Duration,
}

impl Ends {
    /// Those of a device that was never switched on, whose flash chip holds `image`.
    pub(super) fn new(
        timeline: &Timeline,
        config: &BoardConfig,
        memory_mib: u32,
        image: Vec<(u32, Vec<u8>)>,
        uncertainty: Duration,
    ) -> Result<Self, QemuError> {
        let wires = Wires::new(timeline, config.baud, uncertainty);
        Ok(Ends {
            typing: Typing::new(timeline, wires.byte_time(), uncertainty),
            ram: new_memory(memory_mib, image)?,
            wires,
            device: timeline.source("device"),
            heap: Heap::new(timeline, uncertainty),
            random: ChaCha8Rng::seed_from_u64(config.seed),
            timeline: timeline.clone(),
            uncertainty,
        })
    }

    pub(super) fn lanes(&self) -> Lanes {
        Lanes { console: self.wires.console(), flash: self.wires.flash(), device: self.device }
    }

    /// Records what becomes of the device.
    pub(super) fn tell(&self, at: Instant, event: DeviceEvent) {
        // The clock only moves forward, and nobody else records here.
        let _ = self.timeline.push(self.device, at, self.uncertainty, Kind::Device(event));
    }

    /// The firmware is about to run, because of `cause`, and may ask for it.
    pub(super) fn begin_life(&mut self, cause: ResetCause) -> Result<(), QemuError> {
        self.heap.device_starts();
        set_cause(&self.ram, cause)
    }

    /// Why the device says that it is in reset. One that says nothing has done so by itself.
    pub(super) fn cause(&self) -> Result<ResetCause, QemuError> {
        cause(&self.ram, ResetCause::Software)
    }

    /// Ends what is over on the wires at `now`.
    pub(super) fn end_what_is_due(&mut self, now: Instant) -> Result<(), QemuError> {
        self.wires.end_what_is_due(now, &self.ram)
    }

    /// Records how full the heap is.
    pub(super) fn sample_heap(&self, now: Instant) -> Result<(), QemuError> {
        self.heap.sample(&self.ram, now)
    }

    /// Records the first allocations of this life that have come about up to `now`, on a clock that showed
    /// zero at `base`; what is wrong with them, if anything is.
    pub(super) fn take_first_allocations(
        &mut self,
        base: Instant,
        now: Instant,
    ) -> Result<Option<String>, QemuError> {
        let taken = self.heap.take_first(&self.ram, base, now)?;
        Ok(taken.err().map(|error| format!("its record of allocations is damaged: {error}")))
    }

    /// The supply is gone, whatever the flash chip was doing.
    pub(super) fn power_cut(&mut self, now: Instant) -> Result<(), QemuError> {
        self.wires.power_cut(now, &self.ram, &mut self.random)?;
        self.tell(now, DeviceEvent::PowerOff);
        Ok(())
    }
}
