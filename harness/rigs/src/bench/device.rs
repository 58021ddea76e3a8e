//! What becomes of the device as a whole: its supply, its starts, its crashes.

use std::time::Duration;

use rigor_controller::Ticks;
use rigor_controller::message::{Drive, Wire};
use rigor_core::event::{DeviceEvent, ResetCause};
use rigor_core::{Instant, Kind, Source, Timeline};

use super::line::Told;

/// The device, as far as the rig knows of it.
pub(super) struct Device {
    pub(super) source: Source,
    /// Whether its supply is on; nobody can tell where nobody switches it.
    pub(super) powered: bool,
    /// Nothing here is older.
    last: Instant,
}

impl Device {
    pub(super) fn new(timeline: &Timeline, powered: bool) -> Self {
        Device { source: timeline.source("device"), powered, last: Instant::ZERO }
    }

    /// Something happened to it at `at`.
    pub(super) fn note(
        &mut self,
        at: Instant,
        uncertainty: Duration,
        event: DeviceEvent,
        timeline: &Timeline,
    ) {
        self.last = self.last.max(at);
        // In order, and nobody else records here.
        let _ = timeline.push(self.source, self.last, uncertainty, Kind::Device(event));
    }

    /// A wire of it was driven: the end of a reset is its start.
    pub(super) fn hear(&mut self, told: &Told, timeline: &Timeline, at: impl Fn(Ticks) -> Instant) {
        if let Told::Driven(Wire::Reset, since, Drive::Release) = told
            && self.powered
        {
            self.note(at(*since), Duration::ZERO, DeviceEvent::Started(ResetCause::Pin), timeline);
        }
    }
}
