//! Random numbers that belong to the rig's seed.

use std::ops::Range;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use super::{Bench, Missing, Need};

/// A source of random numbers: the same ones in every run with the same seed, others with another.
/// Each one taken begins anew.
pub struct Chance(ChaCha8Rng);

impl Chance {
    /// A number from 0 up to, and without, 1.
    pub fn share(&mut self) -> f64 {
        // The 53 bits that a double can hold.
        (self.0.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A number of `range`; its start if the range is empty.
    pub fn within(&mut self, range: Range<f64>) -> f64 {
        range.start + self.share() * (range.end - range.start).max(0.0)
    }
}

impl Need for Chance {
    fn take(bench: &Bench) -> Result<Self, Missing> {
        Ok(Chance(ChaCha8Rng::seed_from_u64(bench.seed)))
    }
}

#[cfg(test)]
mod tests {
    use rigor_core::rig::Parts;
    use rigor_core::{Fidelity, Timeline};

    use super::*;

    fn shares(seed: u64) -> Vec<f64> {
        let bench = Bench::new(Timeline::new(), Parts::default(), Fidelity::Modelled).with_seed(seed);
        let mut chance = Chance::take(&bench).expect("every rig has a seed");
        (0..100).map(|_| chance.share()).collect()
    }

    #[test]
    fn a_seed_gives_its_own_numbers_again() {
        assert_eq!(shares(1), shares(1));
        assert_ne!(shares(1), shares(2));
        assert!(shares(1).iter().all(|share| (0.0..1.0).contains(share)));
        let mean = shares(1).iter().sum::<f64>() / 100.0;
        assert!((0.3..0.7).contains(&mean), "{mean}");
    }

    #[test]
    fn a_range_is_kept_and_an_empty_one_gives_its_start() {
        let bench = Bench::new(Timeline::new(), Parts::default(), Fidelity::Modelled);
        let mut chance = Chance::take(&bench).expect("every rig has a seed");
        assert!((0..100).all(|_| (2.0..3.0).contains(&chance.within(2.0..3.0))));
        assert_eq!(chance.within(5.0..1.0), 5.0);
    }
}
