//! A stretch of a wire as run lengths: what a logic analyser or a bench controller delivers.

use std::sync::Arc;
use std::time::Duration;

use super::Level;
use crate::rate::{NANOS_PER_SECOND, SampleRate};

/// A stretch of a wire as an instrument sampled it: for how many samples each level lasted.
///
/// Nobody knows when an edge came between two samples, so a phase of `n` samples lasted `n` samples
/// plus or minus one, however long it was ([`Phases::resolution`]). Nothing else is uncertain within a
/// stretch, because one clock has counted all of it.
///
/// The event's instant is that of the first phase's beginning, and its uncertainty that of every edge's
/// place on the rig's clock: what is not known of the instrument's clock, and at least one sample.
///
/// Where one stretch follows another, the wire keeps the last level of the first until the second
/// begins. A source cuts its stretches as it likes, best where the wire rests: a pulse that two
/// stretches share is known no better than their instants are. The first stretch of a source, and the
/// first one after a [`Gap`](super::Gap), does not begin with an edge but with the sample at which
/// watching began. A single phase of one sample there says at which level the wire was found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Phases {
    /// Level of the first phase; each further one has the other level.
    pub first: Level,
    /// Samples in a second of the rig's clock. An instrument whose clock was measured to be off says
    /// what it really is.
    pub rate: SampleRate,
    /// How many samples each phase lasted, none of them 0.
    pub lengths: Arc<[u32]>,
}

impl Phases {
    /// From the beginning of the first phase to the end of the last one, which need not be an edge.
    /// Rounded down to a nanosecond; saturates at 584 years.
    pub fn duration(&self) -> Duration {
        self.rate.duration_of(self.lengths.iter().map(|&length| u64::from(length)).sum())
    }

    /// Level of the last phase, at which the wire stays until the source says otherwise.
    pub fn last(&self) -> Level {
        if self.lengths.len().is_multiple_of(2) && !self.lengths.is_empty() {
            !self.first
        } else {
            self.first
        }
    }

    /// The beginning of each phase: its distance from that of the first one, in nanoseconds, and its
    /// level. Distances are rounded down and do not add up errors.
    pub fn edges(&self) -> impl Iterator<Item = (u64, Level)> + '_ {
        let rate = self.rate.as_hertz();
        let (mut at, mut rest, mut level) = (0_u64, 0_u64, self.first);
        self.lengths.iter().map(move |&length| {
            let edge = (at, level);
            // Below 2^32 * 10^9 + 10^12, which is below 2^63.
            let parts = u64::from(length) * NANOS_PER_SECOND + rest;
            at = at.saturating_add(parts / rate);
            rest = parts % rate;
            level = !level;
            edge
        })
    }

    /// By how much the length of a phase, or the time between any two edges of the stretch, may be
    /// wrong in either direction: a sample, and what [`edges`](Self::edges) has to round.
    pub fn resolution(&self) -> Duration {
        let rate = self.rate.as_hertz();
        let rounded = u64::from(!NANOS_PER_SECOND.is_multiple_of(rate));
        Duration::from_nanos(NANOS_PER_SECOND.div_ceil(rate) + rounded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn phases(first: Level, hertz: u64, lengths: &[u32]) -> Phases {
        Phases { first, rate: SampleRate::hertz(hertz).expect("a rate"), lengths: lengths.into() }
    }

    #[test]
    fn a_phase_begins_where_the_one_before_ends() {
        let stretch = phases(Level::High, 125_000_000, &[50, 106, 100]);
        let edges: Vec<_> = stretch.edges().collect();
        assert_eq!(edges, [(0, Level::High), (400, Level::Low), (1_248, Level::High)]);
        assert_eq!((stretch.duration().as_nanos(), stretch.last()), (2_048, Level::High));
        assert_eq!(stretch.resolution().as_nanos(), 8);
        assert_eq!(phases(Level::Low, 125_000_000, &[1, 1]).last(), Level::High);
        assert_eq!(phases(Level::Low, 125_000_000, &[7]).last(), Level::Low);
    }

    #[test]
    fn a_sample_that_is_no_whole_number_of_nanoseconds_adds_up_no_error() {
        let stretch = phases(Level::Low, 24_000_000, &[1; 24_000_001]);
        assert_eq!(stretch.edges().last(), Some((1_000_000_000, Level::Low)));
        assert_eq!(stretch.edges().take(4).map(|(at, _)| at).collect::<Vec<_>>(), [0, 41, 83, 125]);
        assert_eq!(stretch.duration().as_nanos(), 1_000_000_041);
        assert_eq!(stretch.resolution().as_nanos(), 43);
    }

    #[test]
    fn the_longest_of_everything_is_no_overflow() {
        for hertz in [1, 3, 1_000_000_000_000] {
            let stretch = phases(Level::High, hertz, &[u32::MAX; 9]);
            assert!(stretch.edges().is_sorted_by_key(|(at, _)| at));
            assert!(stretch.edges().all(|(at, _)| u128::from(at) <= stretch.duration().as_nanos()));
        }
        let nothing = phases(Level::High, 1, &[]);
        assert_eq!(
            (nothing.edges().count(), nothing.duration(), nothing.last()),
            (0, Duration::ZERO, Level::High)
        );
    }
}
