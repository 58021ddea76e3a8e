//! The flash chip.

use std::collections::VecDeque;
use std::time::Duration;

use rigor_core::Instant;
use rigor_core::event::{FlashBusy, FlashOperation};

const SECOND: Duration = Duration::from_secs(1);
/// The shortest operation of a NOR flash takes some 20 us: so many fit into a second.
const MAX_OPERATIONS: usize = 50_000;

/// What it was busy with.
#[derive(Default)]
pub struct Flash {
    /// Sectors erased so far.
    pub erased: u64,
    /// Bytes programmed so far.
    pub programmed: u64,
    /// From when to when it was busy, of the last second.
    busy: VecDeque<(Instant, Instant)>,
}

impl Flash {
    pub(super) fn busy(&mut self, at: Instant, busy: FlashBusy) {
        match busy.operation {
            FlashOperation::Erase => self.erased += 1,
            FlashOperation::Program => self.programmed += u64::from(busy.length),
        }
        if self.busy.len() < MAX_OPERATIONS {
            self.busy.push_back((at, at + busy.duration));
        }
    }

    pub(super) fn forget(&mut self, now: Instant) {
        while self.busy.front().is_some_and(|(_, until)| now.since(*until) > SECOND) {
            self.busy.pop_front();
        }
    }

    /// How much of the second before `now` it was busy, from 0 to 1.
    pub fn share(&self, now: Instant) -> f64 {
        let from = now - SECOND;
        let busy: Duration =
            self.busy.iter().map(|(begin, end)| (*end).min(now).since((*begin).max(from))).sum();
        busy.as_secs_f64().min(1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_is_of_the_last_second() {
        let at = |millis: u64| Instant::from_nanos(millis * 1_000_000);
        let mut flash = Flash::default();
        for (from, millis) in [(0, 100), (950, 100), (1500, 45)] {
            let duration = Duration::from_millis(millis);
            let operation = FlashOperation::Erase;
            flash.busy(at(from), FlashBusy { operation, address: 0, length: 4096, duration });
        }
        flash.forget(at(2000));
        assert_eq!(flash.busy.len(), 2);
        assert!((flash.share(at(2000)) - 0.095).abs() < 1e-9);
        assert_eq!(flash.erased, 3);
    }
}
