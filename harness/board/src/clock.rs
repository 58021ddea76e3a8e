//! How a clock of the chip and the rig's go apart.

/// How fast a clock runs, in parts per million of what it should.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Rate(u64);

const NOMINAL: u64 = 1_000_000;

impl Rate {
    /// As fast as it should.
    pub(crate) const EXACT: Rate = Rate(NOMINAL);

    /// Fast by so many parts per million. A clock never stands still.
    pub(crate) fn fast_by(ppm: i32) -> Self {
        Rate(NOMINAL.saturating_add_signed(ppm.into()).max(1))
    }

    /// What the rig's clock counts while this one counts `nanos`, rounded up: then this one has
    /// certainly counted as many.
    pub(crate) fn true_nanos(self, nanos: u64) -> u64 {
        if self == Rate::EXACT {
            return nanos;
        }
        let exact = (u128::from(nanos) * u128::from(NOMINAL)).div_ceil(u128::from(self.0));
        u64::try_from(exact).unwrap_or(u64::MAX)
    }

    /// The same, rounded to the nearest.
    pub(crate) fn nearest_nanos(self, nanos: u32) -> u32 {
        let exact = (u64::from(nanos) * NOMINAL + self.0 / 2) / self.0;
        u32::try_from(exact).unwrap_or(u32::MAX)
    }

    /// What this clock counts while the rig's counts `nanos`.
    pub(crate) fn counted_nanos(self, nanos: u64) -> u64 {
        if self == Rate::EXACT {
            return nanos;
        }
        let exact = u128::from(nanos) * u128::from(self.0) / u128::from(NOMINAL);
        u64::try_from(exact).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timer_never_fires_before_the_clock_shows_its_time() {
        for ppm in [-999_000, -20_000, -1, 0, 1, 20_000, 999_999, i32::MAX] {
            let rate = Rate::fast_by(ppm);
            for nanos in [0, 1, 24, 25, 999_999_937, 86_400_000_000_000] {
                assert!(rate.counted_nanos(rate.true_nanos(nanos)) >= nanos, "{ppm} {nanos}");
            }
        }
        assert_eq!(Rate::fast_by(20_000).true_nanos(1_020_000), 1_000_000);
        assert_eq!(Rate::fast_by(-20_000).counted_nanos(1_000_000), 980_000);
    }
}
