use core::ops::{Add, Sub};

use serde::{Deserialize, Serialize};

/// An instant on the controller's clock, in its ticks since it started. How long a tick is,
/// [`Identity::clock_hz`](crate::Identity::clock_hz) says: 8 ns at 125 MHz. At that rate the count
/// would run over after 4,600 years.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug, Serialize, Deserialize)]
pub struct Ticks(pub u64);

impl Ticks {
    /// The ticks from `earlier` until this instant; none if it is the later one.
    pub const fn since(self, earlier: Ticks) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<u64> for Ticks {
    type Output = Ticks;
    fn add(self, ticks: u64) -> Ticks {
        Ticks(self.0.saturating_add(ticks))
    }
}

impl Sub<u64> for Ticks {
    type Output = Ticks;
    fn sub(self, ticks: u64) -> Ticks {
        Ticks(self.0.saturating_sub(ticks))
    }
}
