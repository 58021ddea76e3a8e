//! The device as a whole: whether it runs, crashed or restarted.

use std::time::Duration;

use rigor_core::event::{DeviceEvent, Kind};
use rigor_core::timeline::Next;
use rigor_core::unit::Amount;
use rigor_core::verdict::{Blame, ProductError};
use rigor_core::{Instant, Source, Timeline};

use super::{Bench, Missing, Need};

/// What the rig knows of the device's life. On rigs without a supply or reset sense the lane stays
/// empty, and so do the answers.
pub struct Device {
    bench: Bench,
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

    /// How often it started from `from` on, but for what the rig restarted to read its flash chip.
    pub fn starts_since(&self, from: Instant) -> usize {
        let events = self.events_since(from);
        let starts = events.iter().filter(|(_, what)| matches!(what, DeviceEvent::Started(_)));
        self.bench.own_starts(from, &starts.map(|(at, _)| *at).collect::<Vec<_>>())
    }

    /// Waits for the crash that the case has just brought about; when it came and what the device
    /// said. This one crash does not fail the case, any other one does.
    ///
    /// # Errors
    /// The product's, if it does not come within `limit`.
    pub async fn expect_crash(&self, limit: Duration) -> Result<(Instant, String), Blame> {
        let mut cursor = self.timeline.cursor(self.source);
        let deadline = self.timeline.now() + limit;
        self.bench.expect_crash(deadline);
        while let Next::Event(event) = cursor.next_before(deadline).await {
            if let Kind::Device(DeviceEvent::Crashed(message)) = event.kind {
                return Ok((event.at, message.to_string()));
            }
        }
        Err(ProductError(format!("the device did not give up within {}", Amount::from(limit))).into())
    }
}

impl Need for Device {
    fn take(bench: &Bench) -> Result<Self, Missing> {
        let power = bench.parts.power.as_ref().ok_or_else(|| bench.missing("supply switch", "[power]"))?;
        Ok(Device { bench: bench.clone(), timeline: bench.timeline.clone(), source: power.source() })
    }
}
