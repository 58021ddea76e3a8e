//! The host's clock, on a rig's timeline.

use std::collections::VecDeque;
use std::time::{Duration, Instant as HostInstant};

use rigor_core::host::{HOST_LANE, HostDelay};
use rigor_core::{Instant, Source, Timeline};

/// A host that has nothing else to do is late by less.
const NOTEWORTHY: Duration = Duration::from_millis(1);
/// Delays that come within this time may have met one thing that the device did.
const TOGETHER: Duration = Duration::from_millis(100);

/// The host's clock, and the record of when the host had no time for the rig.
pub(in crate::qemu) struct HostClock {
    timeline: Timeline,
    lane: Source,
    /// When the timeline's clock stood at zero.
    epoch: HostInstant,
    promised: Duration,
    /// The latest delays that are worth a note.
    recent: VecDeque<(Instant, Duration)>,
}

impl HostClock {
    /// From now on. No instant is to be further from the truth than `promised`.
    pub(in crate::qemu) fn new(timeline: &Timeline, promised: Duration) -> Self {
        let lane = timeline.source(HOST_LANE);
        // Nothing is on this lane yet, and nobody else records here.
        let _ = timeline.push(lane, timeline.now(), Duration::ZERO, HostDelay::event(promised));
        HostClock {
            timeline: timeline.clone(),
            lane,
            epoch: HostInstant::now(),
            promised,
            recent: VecDeque::new(),
        }
    }

    /// How far from the truth an instant may be.
    pub(in crate::qemu) fn uncertainty(&self) -> Duration {
        self.promised
    }

    /// What it shows, never less than the timeline's own clock.
    pub(in crate::qemu) fn now(&self) -> Instant {
        (Instant::ZERO + self.epoch.elapsed()).max(self.timeline.now())
    }

    /// Something was `late` at `at` for want of the host's time: recorded if that is more than was promised,
    /// by itself or with others of late.
    pub(in crate::qemu) fn note_delay(&mut self, at: Instant, late: Duration) {
        // What a promise of less forbids counts whatever hosts are like.
        if late < NOTEWORTHY.min(self.promised) {
            return;
        }
        while self.recent.front().is_some_and(|&(then, _)| at.since(then) > TOGETHER) {
            self.recent.pop_front();
        }
        self.recent.push_back((at, late));
        let together = self.recent.iter().map(|&(_, late)| late).sum();
        if together > self.promised {
            // The clock only moves forward, and nobody else records here.
            let _ = self.timeline.push(self.lane, at, self.promised, HostDelay::event(together));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn only_what_breaks_the_promise_is_noted() {
        let timeline = Timeline::new();
        let mut clock = HostClock::new(&timeline, 10 * MS);
        clock.note_delay(Instant::ZERO, 10 * MS);
        assert!(HostDelay::of(&timeline).is_some_and(|host| host.is_kept()));
        clock.note_delay(Instant::ZERO + 101 * MS, 11 * MS);
        let host = HostDelay::of(&timeline).expect("a promise");
        assert_eq!((host.promised, host.longest), (10 * MS, 11 * MS));
    }

    #[test]
    fn many_short_delays_are_a_long_one() {
        let timeline = Timeline::new();
        let mut clock = HostClock::new(&timeline, 10 * MS);
        let mut late = |at: u32, late: Duration| clock.note_delay(Instant::ZERO + at * MS, late);
        for at in 0..1000 {
            late(at, MS / 2);
        }
        for round in 0..5 {
            late(1000 + 200 * round, 9 * MS);
        }
        assert!(HostDelay::of(&timeline).is_some_and(|host| host.is_kept()), "each by itself is little");
        for round in 0..3 {
            late(3000 + 20 * round, 4 * MS);
        }
        assert_eq!(HostDelay::of(&timeline).map(|host| host.longest), Some(12 * MS));
        late(3060, 4 * MS);
        assert_eq!(HostDelay::of(&timeline).map(|host| host.longest), Some(16 * MS), "and it goes on");
    }

    #[test]
    fn a_promise_of_less_than_a_host_does_by_itself_is_held_to() {
        let timeline = Timeline::new();
        let mut clock = HostClock::new(&timeline, MS / 2);
        clock.note_delay(Instant::ZERO, MS * 3 / 5);
        assert_eq!(HostDelay::of(&timeline).map(|host| host.longest), Some(MS * 3 / 5));
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
