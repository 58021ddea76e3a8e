//! The controller's clock and the host's: what one shows when the other shows so and so, and how sure that is.
//!
//! A round trip brackets the controller's answer between two readings of the host's clock. The answer was made
//! somewhere in between, so half of the time that nobody can account for is the uncertainty; the smallest round trip
//! is the best one. From then on both clocks run on their own crystals, which part by [`DRIFT_PPM`] millionths at most.

use std::time::{Duration, Instant as HostInstant};

use rigor_controller::Ticks;
use rigor_core::time::nanos;

/// Millionths by which two crystals part at most: 30 of a Pico's (its data sheet), and as many as a host's clock may
/// be slewed meanwhile.
const DRIFT_PPM: u32 = 530;

/// A reading of both clocks.
#[derive(Clone, Copy, Debug)]
struct Reading {
    host: HostInstant,
    controller: Ticks,
    uncertainty: Duration,
}

impl Reading {
    /// How sure it is at `now`.
    fn uncertainty_at(&self, now: HostInstant) -> Duration {
        self.uncertainty + now.saturating_duration_since(self.host) * DRIFT_PPM / 1_000_000
    }
}

/// What is known of both clocks.
#[derive(Clone, Debug)]
pub(super) struct Mapping {
    clock_hz: u32,
    best: Reading,
}

impl Mapping {
    /// From one round trip: the host's clock before and after, the controller's when the request was there and
    /// when its answer was made.
    pub(super) fn new(clock_hz: u32, trip: (HostInstant, Ticks, Ticks, HostInstant)) -> Self {
        Mapping { clock_hz, best: reading(clock_hz, trip) }
    }

    /// One more round trip. It counts if it says more than what is known already.
    pub(super) fn refine(&mut self, trip: (HostInstant, Ticks, Ticks, HostInstant)) {
        let new = reading(self.clock_hz, trip);
        if new.uncertainty <= self.best.uncertainty_at(new.host) {
            self.best = new;
        }
    }

    /// What the controller's clock shows at `host`, and how far from the truth that may be.
    pub(super) fn ticks_at(&self, host: HostInstant) -> (Ticks, Duration) {
        let ticks = match host.checked_duration_since(self.best.host) {
            Some(after) => self.best.controller + ticks_in(self.clock_hz, after),
            None => {
                self.best.controller - ticks_in(self.clock_hz, self.best.host.saturating_duration_since(host))
            }
        };
        let apart = host
            .saturating_duration_since(self.best.host)
            .max(self.best.host.saturating_duration_since(host));
        (ticks, self.best.uncertainty + apart * DRIFT_PPM / 1_000_000)
    }
}

fn reading(
    clock_hz: u32,
    (before, received, sent, after): (HostInstant, Ticks, Ticks, HostInstant),
) -> Reading {
    let trip = after.saturating_duration_since(before);
    let inside = duration_of(clock_hz, sent.since(received));
    Reading {
        host: before + trip / 2,
        controller: received + sent.since(received) / 2,
        uncertainty: trip.saturating_sub(inside) / 2 + Duration::from_nanos(1),
    }
}

/// How long so many ticks take.
pub(super) fn duration_of(clock_hz: u32, ticks: u64) -> Duration {
    let nanos = u128::from(ticks) * 1_000_000_000 / u128::from(clock_hz.max(1));
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

/// How many ticks there are in `time`.
pub(super) fn ticks_in(clock_hz: u32, time: Duration) -> u64 {
    let ticks = u128::from(nanos(time)) * u128::from(clock_hz) / 1_000_000_000;
    u64::try_from(ticks).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HZ: u32 = 125_000_000;
    const US: Duration = Duration::from_micros(1);

    #[test]
    fn the_truth_lies_within_what_is_said() {
        let zero = HostInstant::now();
        // The controller's clock shows 1000 ticks at `zero`, and its way back took nine tenths of the trip.
        let at = |after: Duration| Ticks(1_000 + ticks_in(HZ, after));
        let received = at(100 * US);
        let mapping = Mapping::new(HZ, (zero, received, received, zero + 1_000 * US));
        for after in [0, 500, 1_000, 3_000_000] {
            let (said, uncertainty) = mapping.ticks_at(zero + after * US);
            let error = said.since(at(after * US)).max(at(after * US).since(said));
            assert!(duration_of(HZ, error) <= uncertainty, "{after}: {error} ticks, {uncertainty:?}");
            assert!(uncertainty >= 500 * US && uncertainty < 2_500 * US, "{uncertainty:?}");
        }
    }

    #[test]
    fn a_shorter_trip_says_more_and_a_longer_one_nothing() {
        let zero = HostInstant::now();
        let trip = |from: u32, length: u32| {
            let ticks = Ticks(ticks_in(HZ, (from + length / 2) * US));
            (zero + from * US, ticks, ticks, zero + (from + length) * US)
        };
        let mut mapping = Mapping::new(HZ, trip(0, 1_000));
        let unsure = |mapping: &Mapping| mapping.ticks_at(zero + 20_000 * US).1;
        let first = unsure(&mapping);
        mapping.refine(trip(10_000, 5_000));
        assert_eq!(unsure(&mapping), first);
        mapping.refine(trip(10_000, 200));
        assert!(unsure(&mapping) < 110 * US, "{:?}", unsure(&mapping));
        // After a long while even a poor reading is better than an old one.
        mapping.refine(trip(10_000_000, 2_000));
        assert!(mapping.ticks_at(zero + 10_001_000 * US).1 < 1_100 * US);
    }

    #[test]
    fn ticks_and_time_fit() {
        assert_eq!(duration_of(HZ, 1), Duration::from_nanos(8));
        assert_eq!(ticks_in(HZ, Duration::from_secs(1)), u64::from(HZ));
        assert_eq!(duration_of(0, 7).as_nanos(), 7_000_000_000);
    }
}
