//! The device as a whole: whether it runs, crashed or restarted.

use rigor_core::event::{DeviceEvent, Kind};
use rigor_core::{Instant, Source, Timeline};

use super::{Bench, Missing, Need};

/// What the rig knows of the device's life. On rigs without a supply or reset sense the lane stays
/// empty, and so do the answers.
pub struct Device {
    timeline: Timeline,
    source: Source,
}

impl Device {
    /// What happened to the device from `from` on.
    pub fn events_since(&self, from: Instant) -> Vec<(Instant, DeviceEvent)> {
        self.timeline
            .events(self.source, from, Instant::MAX)
            .into_iter()
            .filter_map(|event| match event.kind {
                Kind::Device(what) => Some((event.at, what)),
                _ => None,
            })
            .collect()
    }

    /// How often it started from `from` on.
    pub fn starts_since(&self, from: Instant) -> usize {
        self.events_since(from).iter().filter(|(_, what)| matches!(what, DeviceEvent::Started(_))).count()
    }
}

impl Need for Device {
    fn take(bench: &Bench) -> Result<Self, Missing> {
        let power = bench.parts.power.as_ref().ok_or_else(|| Missing::table("supply switch", "[power]"))?;
        Ok(Device { timeline: bench.timeline.clone(), source: power.source() })
    }
}
