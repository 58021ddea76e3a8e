//! How long the pulses were, and how many lay outside the windows.

/// High times above this are a 1, in nanoseconds; up to and including it a 0.
///
/// It is where the windows of [`PERMISSIVE`] meet, so that each value is judged on the whole of its
/// window, and lies between the longest T0H (550 ns) and the shortest T1H (650 ns) of [`STRICT`].
/// PRISM K1 specification, section 12: "threshold about 0.55 us high".
pub const ONE_ABOVE_NS: u64 = 550;

/// A range of times in nanoseconds, both ends included.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Window {
    /// Shortest.
    pub min_ns: u64,
    /// Longest.
    pub max_ns: u64,
}

impl Window {
    const fn around(nominal_ns: u64, tolerance_ns: u64) -> Self {
        Window { min_ns: nominal_ns - tolerance_ns, max_ns: nominal_ns + tolerance_ns }
    }

    /// Whether `ns` lies in the window.
    pub const fn contains(self, ns: u64) -> bool {
        self.min_ns <= ns && ns <= self.max_ns
    }
}

/// The windows of the four parts of the two bits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Windows {
    /// T0H: high time of a 0.
    pub zero_high: Window,
    /// T0L: low time of a 0.
    pub zero_low: Window,
    /// T1H: high time of a 1.
    pub one_high: Window,
    /// T1L: low time of a 1.
    pub one_low: Window,
}

/// WS2812B datasheet, "Data transfer time": T0H 400, T0L 850, T1H 800, T1L 450, each +-150 ns.
pub const STRICT: Windows = Windows {
    zero_high: Window::around(400, 150),
    zero_low: Window::around(850, 150),
    one_high: Window::around(800, 150),
    one_low: Window::around(450, 150),
};

/// T0H 250 to 550 ns, T1H 550 to 950 ns: a 0 must not be taken for a 1 and no pulse may be lost.
/// Lows are not limited here; the limit for a low inside a frame is
/// [`Config::longest_bit_low`](super::Config::longest_bit_low).
///
/// PRISM K1 specification, requirement L7, "permissive class".
pub const PERMISSIVE: Windows = Windows {
    zero_high: Window { min_ns: 250, max_ns: 550 },
    zero_low: Window { min_ns: 0, max_ns: u64::MAX },
    one_high: Window { min_ns: 550, max_ns: 950 },
    one_low: Window { min_ns: 0, max_ns: u64::MAX },
};

/// Count, extremes and mean of some times.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Span {
    count: u64,
    sum_ns: u64,
    // Neutral elements while nothing was counted.
    min_ns: u64,
    max_ns: u64,
}

impl Default for Span {
    fn default() -> Self {
        Span { count: 0, sum_ns: 0, min_ns: u64::MAX, max_ns: 0 }
    }
}

impl Span {
    pub(super) const fn from_parts(count: u64, sum_ns: u64, min_ns: u64, max_ns: u64) -> Self {
        Span { count, sum_ns, min_ns, max_ns }
    }

    /// Adds a time in nanoseconds; the sum saturates.
    pub fn add(&mut self, ns: u64) {
        self.merge(&Span { count: 1, sum_ns: ns, min_ns: ns, max_ns: ns });
    }

    /// Adds all of `other`.
    pub fn merge(&mut self, other: &Span) {
        self.count = self.count.saturating_add(other.count);
        self.sum_ns = self.sum_ns.saturating_add(other.sum_ns);
        self.min_ns = self.min_ns.min(other.min_ns);
        self.max_ns = self.max_ns.max(other.max_ns);
    }

    /// How many times were added.
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// The shortest in nanoseconds; `None` if there is none.
    pub fn min_ns(&self) -> Option<u64> {
        (self.count > 0).then_some(self.min_ns)
    }

    /// The longest in nanoseconds; `None` if there is none.
    pub fn max_ns(&self) -> Option<u64> {
        (self.count > 0).then_some(self.max_ns)
    }

    /// The mean in nanoseconds; `None` if there is none.
    pub fn mean_ns(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum_ns as f64 / self.count as f64)
    }
}

/// How many times lay outside [`STRICT`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub struct Outside {
    /// High times of 0 bits.
    pub zero_high: u64,
    /// Low times of 0 bits.
    pub zero_low: u64,
    /// High times of 1 bits.
    pub one_high: u64,
    /// Low times of 1 bits.
    pub one_low: u64,
}

impl Outside {
    /// All four.
    pub const fn total(&self) -> u64 {
        self.zero_high + self.zero_low + self.one_high + self.one_low
    }
}

/// The pulse widths of a frame, or of many ([`Timing::merge`]).
///
/// The low time of a frame's last bit is in none of the figures: on the wire it is one with the
/// reset that follows.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub struct Timing {
    /// T0H.
    pub zero_high: Span,
    /// T0L.
    pub zero_low: Span,
    /// T1H.
    pub one_high: Span,
    /// T1L.
    pub one_low: Span,
    /// Pulses whose high time lay outside [`PERMISSIVE`]; each is a
    /// [`DefectKind::HighTime`](super::DefectKind::HighTime) too.
    pub outside_permissive: u64,
    /// Times outside [`STRICT`].
    pub outside_strict: Outside,
}

impl Timing {
    /// The longest low inside a frame, in nanoseconds; `None` for frames of less than two bits.
    pub fn longest_low_ns(&self) -> Option<u64> {
        self.zero_low.max_ns().max(self.one_low.max_ns())
    }

    /// Adds the figures of another frame.
    pub fn merge(&mut self, other: &Timing) {
        self.zero_high.merge(&other.zero_high);
        self.zero_low.merge(&other.zero_low);
        self.one_high.merge(&other.one_high);
        self.one_low.merge(&other.one_low);
        self.outside_permissive += other.outside_permissive;
        self.outside_strict.zero_high += other.outside_strict.zero_high;
        self.outside_strict.zero_low += other.outside_strict.zero_low;
        self.outside_strict.one_high += other.outside_strict.one_high;
        self.outside_strict.one_low += other.outside_strict.one_low;
    }

    /// Adds the high time of a bit of this value; whether it lay inside [`PERMISSIVE`].
    pub(super) fn add_high(&mut self, one: bool, ns: u64) -> bool {
        let strict = &mut self.outside_strict;
        // Selected one by one, these become conditional moves: a branch on the value of a bit is
        // mispredicted every other time.
        let permissive = if one { PERMISSIVE.one_high } else { PERMISSIVE.zero_high };
        let window = if one { STRICT.one_high } else { STRICT.zero_high };
        let span = if one { &mut self.one_high } else { &mut self.zero_high };
        let outside = if one { &mut strict.one_high } else { &mut strict.zero_high };
        span.add(ns);
        *outside += u64::from(!window.contains(ns));
        let inside = permissive.contains(ns);
        self.outside_permissive += u64::from(!inside);
        inside
    }

    /// Adds the low time of a bit of this value.
    pub(super) fn add_low(&mut self, one: bool, ns: u64) {
        let strict = &mut self.outside_strict;
        let window = if one { STRICT.one_low } else { STRICT.zero_low };
        let span = if one { &mut self.one_low } else { &mut self.zero_low };
        let outside = if one { &mut strict.one_low } else { &mut strict.zero_low };
        span.add(ns);
        *outside += u64::from(!window.contains(ns));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn span_of_nothing_has_no_figures() {
        let span = Span::default();
        assert_eq!((span.count(), span.min_ns(), span.max_ns(), span.mean_ns()), (0, None, None, None));
    }

    #[test]
    fn permissive_windows_meet_at_the_threshold() {
        assert_eq!(PERMISSIVE.zero_high.max_ns, ONE_ABOVE_NS);
        assert_eq!(PERMISSIVE.one_high.min_ns, ONE_ABOVE_NS);
    }

    #[test]
    fn longest_low_is_that_of_either_bit() {
        let mut timing = Timing::default();
        assert_eq!(timing.longest_low_ns(), None);
        timing.add_low(true, 450);
        assert_eq!(timing.longest_low_ns(), Some(450));
        timing.add_low(false, 5_001);
        assert_eq!(timing.longest_low_ns(), Some(5_001));
    }
}
