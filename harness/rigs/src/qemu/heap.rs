//! What the rig sees of an emulated device's heap: its first allocations, and now and then how full it is.

use std::time::Duration;

use rigor_agent::layout::report;
use rigor_core::timeline::TimelineError;
use rigor_core::{Instant, Kind, Source, Timeline};

use super::error::QemuError;
use super::ram::GuestRam;

/// As often as the virtual board looks at its device's heap.
pub(super) const SAMPLE_PERIOD: Duration = Duration::from_secs(1);

/// The lanes of a device's heap.
pub(super) struct Heap {
    timeline: Timeline,
    free: Source,
    largest: Source,
    allocations: Source,
    /// How far from the truth the device's clock may be.
    uncertainty: Duration,
    /// How many allocations of this life are recorded.
    recorded: u32,
}

impl Heap {
    pub(super) fn new(timeline: &Timeline, uncertainty: Duration) -> Self {
        Heap {
            free: timeline.source("heap.free"),
            largest: timeline.source("heap.largest"),
            allocations: timeline.source("heap.allocations"),
            timeline: timeline.clone(),
            uncertainty,
            recorded: 0,
        }
    }

    /// A life begins.
    pub(super) fn device_starts(&mut self) {
        self.recorded = 0;
    }

    /// Takes in the first allocations of this life that have come about up to `now`, on a clock that showed
    /// zero at `base`. What the timeline refuses, the device has not told as it was.
    pub(super) fn take_first(
        &mut self,
        ram: &GuestRam,
        base: Instant,
        now: Instant,
    ) -> Result<Result<(), TimelineError>, QemuError> {
        let count = ram.read_u32(report::HEAP_FIRST_COUNT)?.min(report::HEAP_FIRST_MAX as u32);
        for index in self.recorded..count {
            let bytes = ram.read_u32(report::HEAP_FIRST + 4 * index as usize)?;
            let at = ram.read_u64(report::HEAP_FIRST_AT + 8 * index as usize)?;
            let at = (base + Duration::from_nanos(at)).min(now);
            let gauge = Kind::Gauge(bytes.into());
            if let Err(refused) = self.timeline.push(self.allocations, at, self.uncertainty, gauge) {
                return Ok(Err(refused));
            }
        }
        self.recorded = self.recorded.max(count);
        Ok(Ok(()))
    }

    /// Takes in how full it is.
    pub(super) fn sample(&self, ram: &GuestRam, now: Instant) -> Result<(), QemuError> {
        for (source, word) in [(self.free, report::HEAP_FREE), (self.largest, report::HEAP_LARGEST)] {
            let gauge = Kind::Gauge(ram.read_u32(word)?.into());
            // The clock only moves forward, and nobody else records here.
            let _ = self.timeline.push(source, now, self.uncertainty, gauge);
        }
        Ok(())
    }
}
