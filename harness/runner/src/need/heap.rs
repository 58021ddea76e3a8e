//! The device's heap, as the rig's own accounting sees it.

use rigor_core::event::Kind;
use rigor_core::{Instant, Source, Timeline};

use super::{Bench, Missing, Need};

/// The heap over time, from the allocator's accounts and not from the device's log. Both gauges
/// are sampled at the same instants; the first sample of each start is the untouched heap.
pub struct Heap {
    timeline: Timeline,
    free: Source,
    largest: Source,
    allocations: Source,
}

impl Heap {
    /// Free bytes, in however many pieces.
    pub fn free(&self, from: Instant, until: Instant) -> Vec<(Instant, u64)> {
        self.samples(self.free, from, until)
    }

    /// Bytes of the largest block that could be allocated.
    pub fn largest(&self, from: Instant, until: Instant) -> Vec<(Instant, u64)> {
        self.samples(self.largest, from, until)
    }

    /// Bytes of the first allocations of each start of the device, in their order: at least 100,
    /// or all of them.
    pub fn first_allocations(&self, from: Instant, until: Instant) -> Vec<(Instant, u64)> {
        self.samples(self.allocations, from, until)
    }

    fn samples(&self, source: Source, from: Instant, until: Instant) -> Vec<(Instant, u64)> {
        self.timeline
            .events(source, from, until)
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
        let gauge = |name: &str| {
            bench.parts.gauges.get(name).copied().ok_or_else(|| Missing {
                part: format!("gauge `{name}`"),
                remedy: "only a virtual board keeps accounts of the device's heap".to_owned(),
            })
        };
        Ok(Heap {
            timeline: bench.timeline.clone(),
            free: gauge("heap.free")?,
            largest: gauge("heap.largest")?,
            allocations: gauge("heap.allocations")?,
        })
    }
}
