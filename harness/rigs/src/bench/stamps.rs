//! How far from the truth what the host stamps may be, told on the timeline for whoever judges
//! ([`rigor_core::host::STAMP_LANE`]).

use std::time::Duration;

use rigor_core::host::STAMP_LANE;
use rigor_core::time::nanos;
use rigor_core::{Kind, Timeline};

/// What was told of it.
#[derive(Default)]
pub(super) struct Stamps {
    /// At worst.
    said: Duration,
}

impl Stamps {
    /// Something was stamped that may be `within` from the truth. It is told if that is worse than what was said.
    pub(super) fn hear(&mut self, within: Duration, timeline: &Timeline) {
        if within > self.said {
            // It grows by a little all the time, while two clocks part.
            self.said = if self.said.is_zero() { within } else { within + within / 8 };
            let lane = timeline.source(STAMP_LANE);
            // The clock only moves forward, and nobody else records here.
            let _ = timeline.push(lane, timeline.now(), Duration::ZERO, Kind::Gauge(nanos(self.said)));
        }
    }
}

#[cfg(test)]
mod tests {
    use rigor_core::host::stamps_within;

    use super::*;

    #[test]
    fn what_is_judged_by_is_never_better_than_what_was_stamped() {
        let (timeline, mut stamps) = (Timeline::new(), Stamps::default());
        stamps.hear(Duration::ZERO, &timeline);
        assert_eq!(stamps_within(&timeline), None, "nothing is uncertain");
        for micros in [3_000, 3_001, 3_002, 2_000, 3_400] {
            stamps.hear(Duration::from_micros(micros), &timeline);
            let said = stamps_within(&timeline).expect("it was told");
            assert!(
                said >= Duration::from_micros(micros) && said <= Duration::from_micros(3_826),
                "{said:?}"
            );
        }
        let told =
            timeline.events(timeline.source(STAMP_LANE), rigor_core::Instant::ZERO, rigor_core::Instant::MAX);
        assert_eq!(told.len(), 3, "not at every byte");
    }
}
