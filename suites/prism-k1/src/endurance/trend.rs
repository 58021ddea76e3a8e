//! The heap of a device at rest, again and again: whether it stays what it was.

use std::time::Duration;

use rigor_core::Instant;
use rigor_core::distribution::Distribution;
use rigor_core::unit::Unit;
use rigor_core::verdict::{Blame, RigError};
use rigor_runner::need::Heap;

/// The gauges of a rig are sampled at least this often (a virtual board does so every second).
const SAMPLED_EVERY: Duration = Duration::from_secs(2);

#[derive(Clone, Copy, PartialEq, Debug)]
struct AtRest {
    free: f64,
    largest: f64,
}

impl AtRest {
    /// Percent of the free heap that a largest block cannot have.
    fn fragmentation(self) -> f64 {
        100.0 - self.largest * 100.0 / self.free.max(1.0)
    }
}

/// Samples of the heap at rest, in the order of time.
#[derive(Default)]
pub(crate) struct Trend(Vec<AtRest>);

impl Trend {
    /// Takes the latest sample of a device that has been at rest for more than two seconds.
    ///
    /// # Errors
    /// The rig's, if its gauges have none.
    pub(crate) fn sample(&mut self, heap: &Heap, now: Instant) -> Result<(), Blame> {
        let from = now - SAMPLED_EVERY;
        let (free, largest) = (heap.free(from, now), heap.largest(from, now));
        let (Some((_, free)), Some((_, largest))) = (free.last(), largest.last()) else {
            return Err(RigError("the heap gauges have no samples".to_owned()).into());
        };
        self.0.push(AtRest { free: *free as f64, largest: *largest as f64 });
        Ok(())
    }

    /// The first `cycle` samples, each with the one that is a whole number of cycles later and among
    /// the last: what a device holds at rest may depend on what it plays, and that comes round.
    /// `None` if the two overlap.
    fn ends(&self, cycle: usize) -> Option<impl Iterator<Item = (AtRest, AtRest)>> {
        let whole = self.0.len() / cycle.max(1) * cycle;
        let last = whole.checked_sub(cycle).filter(|&last| last >= cycle && cycle > 0)?;
        Some(self.0[..cycle].iter().copied().zip(self.0[last..].iter().copied()))
    }

    /// Percent of the free heap that was lost between the first cycle and the last one.
    pub(crate) fn loss(&self, cycle: usize) -> Option<Result<Distribution, Blame>> {
        let loss = |(first, last): (AtRest, AtRest)| (first.free - last.free) * 100.0 / first.free.max(1.0);
        let losses: Vec<f64> = self.ends(cycle)?.map(loss).collect();
        Some(Distribution::new(Unit::Percent, losses).map_err(Blame::from))
    }

    /// By how many points of a percent fragmentation has risen between the first cycle and the last.
    pub(super) fn fragmentation(&self, cycle: usize) -> Option<Result<Distribution, Blame>> {
        let rise = |(first, last): (AtRest, AtRest)| last.fragmentation() - first.fragmentation();
        let rises: Vec<f64> = self.ends(cycle)?.map(rise).collect();
        Some(Distribution::new(Unit::Percent, rises).map_err(Blame::from))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trend(samples: &[(f64, f64)]) -> Trend {
        Trend(samples.iter().map(|&(free, largest)| AtRest { free, largest }).collect())
    }

    fn max(distribution: Option<Result<Distribution, Blame>>) -> Option<f64> {
        distribution.map(|distribution| distribution.expect("finite").max())
    }

    #[test]
    fn like_is_compared_with_like() {
        // A cycle of two: the second kind needs 20 more, and nothing is lost.
        let even = trend(&[(100.0, 50.0), (80.0, 40.0)].repeat(3));
        assert_eq!((max(even.loss(2)), max(even.fragmentation(2))), (Some(0.0), Some(0.0)));
        let leaking = trend(&[(100.0, 100.0), (80.0, 80.0), (99.0, 49.5), (72.0, 72.0), (1.0, 1.0)]);
        assert_eq!((max(leaking.loss(2)), max(leaking.fragmentation(2))), (Some(10.0), Some(50.0)));
    }

    #[test]
    fn a_single_cycle_has_no_trend() {
        let short = trend(&[(100.0, 50.0); 3]);
        assert_eq!((max(short.loss(2)), max(short.loss(0))), (None, None));
        assert_eq!(max(short.loss(1)), Some(0.0));
    }
}
