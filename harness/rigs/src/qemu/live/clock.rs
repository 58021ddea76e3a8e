//! The host's clock, on a rig's timeline.

use std::time::{Duration, Instant as HostInstant};

use rigor_core::host::{HOST_LANE, HostDelay};
use rigor_core::{Instant, Source, Timeline};

/// The host's clock, and the record of when the host had no time for the rig.
pub(in crate::qemu) struct HostClock {
    timeline: Timeline,
    lane: Source,
    /// When the timeline's clock stood at zero.
    epoch: HostInstant,
    promised: Duration,
}

impl HostClock {
    /// From now on. No instant is to be further from the truth than `promised`.
    pub(in crate::qemu) fn new(timeline: &Timeline, promised: Duration) -> Self {
        let lane = timeline.source(HOST_LANE);
        // Nothing is on this lane yet, and nobody else records here.
        let _ = timeline.push(lane, timeline.now(), Duration::ZERO, HostDelay::event(promised));
        HostClock { timeline: timeline.clone(), lane, epoch: HostInstant::now(), promised }
    }

    /// How far from the truth an instant may be.
    pub(in crate::qemu) fn uncertainty(&self) -> Duration {
        self.promised
    }

    /// What it shows, never less than the timeline's own clock.
    pub(in crate::qemu) fn now(&self) -> Instant {
        (Instant::ZERO + self.epoch.elapsed()).max(self.timeline.now())
    }

    /// Something was `late` at `at` for want of the host's time: recorded if it is more than was promised.
    pub(in crate::qemu) fn note_delay(&self, at: Instant, late: Duration) {
        if late > self.promised {
            // The clock only moves forward, and nobody else records here.
            let _ = self.timeline.push(self.lane, at, self.promised, HostDelay::event(late));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_breaks_the_promise_is_noted() {
        const MS: Duration = Duration::from_millis(1);
        let timeline = Timeline::new();
        let clock = HostClock::new(&timeline, 10 * MS);
        clock.note_delay(Instant::ZERO, 10 * MS);
        assert!(HostDelay::of(&timeline).is_some_and(|host| host.is_kept()));
        clock.note_delay(Instant::ZERO, 11 * MS);
        let host = HostDelay::of(&timeline).expect("a promise");
        assert_eq!((host.promised, host.longest), (10 * MS, 11 * MS));
    }

    #[test]
    fn it_never_goes_back_behind_the_timeline() {
        let timeline = Timeline::new();
        let clock = HostClock::new(&timeline, Duration::ZERO);
        let later = Instant::ZERO + Duration::from_secs(1000);
        timeline.advance(later);
        assert_eq!(clock.now(), later);
    }
}
