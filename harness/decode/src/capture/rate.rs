//! How often to look at a capture, for formats that have samples and not edges.

use rigor_core::rate::SampleRate;
use rigor_core::time::nanos;

use super::Capture;

/// Rates whose period is a whole number of nanoseconds and that sigrok writes without a fraction, in Hz.
const USUAL: [u64; 15] = [
    1_000_000,
    2_000_000,
    4_000_000,
    5_000_000,
    8_000_000,
    10_000_000,
    20_000_000,
    25_000_000,
    40_000_000,
    50_000_000,
    100_000_000,
    200_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
];

/// Samples that the shortest pulse of a capture gets from [`Capture::resolving_rate`].
const SAMPLES_PER_PULSE: u64 = 10;

impl Capture {
    /// The lowest usual rate, from 1 MHz to 1 GHz, at which the shortest pulse of the capture lasts ten
    /// samples.
    ///
    /// An edge is then off by a twentieth of that pulse at most. A WS2812B's shortest pulse, 400 ns, makes
    /// it 25 MHz, off by 20 ns of the 150 ns that its data sheet leaves; bits of 115,200 baud alone make
    /// it 2 MHz.
    pub fn resolving_rate(&self) -> SampleRate {
        let shortest = self.signals().iter().filter_map(|signal| signal.shortest_pulse()).min();
        let wanted = shortest.map_or(0, |pulse| {
            (SAMPLES_PER_PULSE * SampleRate::FINEST.as_hertz()).div_ceil(nanos(pulse).max(1))
        });
        let usual = USUAL.into_iter().find(|&rate| rate >= wanted);
        usual.and_then(|rate| SampleRate::hertz(rate).ok()).unwrap_or(SampleRate::FINEST)
    }
}

#[cfg(test)]
mod tests {
    use rigor_core::{Instant, Level};
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(400, 25_000_000)]
    #[case(8_680, 2_000_000)]
    #[case(12, 1_000_000_000)]
    #[case(1, 1_000_000_000)]
    fn a_rate_resolves_the_shortest_pulse(#[case] pulse_ns: u64, #[case] hertz: u64) {
        let mut capture = Capture::new(Instant::ZERO);
        let signal = capture.add("a", Level::Low);
        signal.change(Instant::from_nanos(1_000), Level::High).unwrap();
        signal.change(Instant::from_nanos(1_000 + pulse_ns), Level::Low).unwrap();
        capture.ends_at(Instant::from_nanos(100_000));
        assert_eq!(capture.resolving_rate().as_hertz(), hertz);
    }

    #[test]
    fn a_signal_that_rests_needs_no_more_than_the_lowest() {
        let mut capture = Capture::new(Instant::ZERO);
        capture.add("a", Level::Low);
        assert_eq!(capture.resolving_rate().as_hertz(), 1_000_000);
    }
}
