//! What the host does to a device that lives in the host's time, on the [timeline](crate::timeline).
//!
//! Such a device, and the rig around it, get on only while the host has time for them. The rig promises that
//! no instant is further from the truth than so and so, and records each time at which the host let it break
//! that word. The record is a lane like any other, so recordings repeat it and reports show it. This
//! module is both ends: the back end writes by it, and whoever judges reads by it.

use std::time::Duration;

use crate::event::Kind;
use crate::time::nanos;
use crate::timeline::Timeline;

/// The lane that says it: a gauge in nanoseconds. Rigs in a time of their own have none.
pub const HOST_LANE: &str = "host.delay";

/// How long the host has held a rig up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HostDelay {
    /// As long as this at any time: the first event of the lane.
    pub promised: Duration,
    /// Really, the longest time: the largest event of the lane.
    pub longest: Duration,
}

impl HostDelay {
    /// The event of a promise, or of a delay beyond what was promised.
    pub fn event(delay: Duration) -> Kind {
        Kind::Gauge(nanos(delay))
    }

    /// What `timeline` says; `None` of a rig that is independent of the host's speed.
    pub fn of(timeline: &Timeline) -> Option<HostDelay> {
        let lane = timeline.sources().into_iter().find(|&source| timeline.name(source) == HOST_LANE)?;
        let delays = timeline.find_all(lane, |event| matches!(event.kind, Kind::Gauge(_)));
        let mut delays = delays.into_iter().filter_map(|event| match event.kind {
            Kind::Gauge(delay) => Some(Duration::from_nanos(delay)),
            _ => None,
        });
        let promised = delays.next()?;
        Some(HostDelay { promised, longest: delays.fold(promised, Duration::max) })
    }

    /// Whether the host let the rig keep its promise.
    pub fn is_kept(&self) -> bool {
        self.longest <= self.promised
    }
}

/// The lane that says how far from the truth what the host stamps may be, on a rig whose clock is an instrument's: a
/// gauge in nanoseconds, once at the beginning and whenever it gets worse.
pub const STAMP_LANE: &str = "host.stamps";

/// How far from the truth what the host stamps on `timeline` may be, at worst: bytes of a console, and what happens on
/// connections. `None` where the host stamps nothing that counts.
pub fn stamps_within(timeline: &Timeline) -> Option<Duration> {
    let lane = timeline.sources().into_iter().find(|&source| timeline.name(source) == STAMP_LANE)?;
    let said = timeline.find_all(lane, |event| matches!(event.kind, Kind::Gauge(_)));
    let said = said.into_iter().filter_map(|event| match event.kind {
        Kind::Gauge(within) => Some(Duration::from_nanos(within)),
        _ => None,
    });
    said.max()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Instant;

    #[test]
    fn the_longest_delay_is_found_and_no_lane_is_made_by_looking() {
        const MS: Duration = Duration::from_millis(1);
        let timeline = Timeline::new();
        assert_eq!(HostDelay::of(&timeline), None);
        assert!(timeline.sources().is_empty());
        let lane = timeline.source(HOST_LANE);
        assert_eq!(HostDelay::of(&timeline), None, "nothing is promised yet");
        let push = |delay| {
            timeline.push(lane, Instant::ZERO, Duration::ZERO, HostDelay::event(delay)).expect("in order");
            HostDelay::of(&timeline).expect("a promise")
        };
        let kept = push(10 * MS);
        assert_eq!((kept.promised, kept.longest, kept.is_kept()), (10 * MS, 10 * MS, true));
        push(134 * MS);
        let broken = push(40 * MS);
        assert_eq!((broken.promised, broken.longest, broken.is_kept()), (10 * MS, 134 * MS, false));
    }
}
