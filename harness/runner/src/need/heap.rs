//! The device's heap, as the rig's own accounting sees it.

use rigor_core::event::Kind;
use rigor_core::{Instant, Source, Timeline};

use super::{Bench, Missing, Need};

/// Free bytes of the heap over time, from the allocator's accounts and not from the device's log.
pub struct Heap {
    timeline: Timeline,
    source: Source,
}

impl Heap {
    /// The samples of the given span.
    pub fn free(&self, from: Instant, until: Instant) -> Vec<(Instant, u64)> {
        self.timeline
            .events(self.source, from, until)
            .into_iter()
            .filter_map(|event| match event.kind {
                Kind::Gauge(value) => Some((event.at, value)),
                _ => None,
            })
            .collect()
    }
}

impl Need for Heap {
    fn take(bench: &Bench) -> Result<Self, Missing> {
        let source = bench.parts.gauges.get("heap.free").copied().ok_or_else(|| Missing {
            part: "heap gauge".to_owned(),
            remedy: "only a virtual board keeps accounts of the device's heap".to_owned(),
        })?;
        Ok(Heap { timeline: bench.timeline.clone(), source })
    }
}
