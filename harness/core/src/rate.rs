//! How often an instrument looks.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::time::{Instant, nanos};

/// Samples a second.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SampleRate(u64);

/// The text or figure is no rate.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("`{0}` is no sample rate; write a whole number of Hz from 1 to 1000000000000, or one like `24 MHz`")]
pub struct BadRate(String);

pub(crate) const NANOS_PER_SECOND: u64 = 1_000_000_000;

impl SampleRate {
    /// A sample each nanosecond: as fine as a rig's clock is.
    pub const FINEST: SampleRate = SampleRate(NANOS_PER_SECOND);

    /// The rate of so many samples a second.
    ///
    /// # Errors
    /// [`BadRate`] for zero and for more than 1 THz.
    pub fn hertz(hertz: u64) -> Result<Self, BadRate> {
        if (1..=1_000 * NANOS_PER_SECOND).contains(&hertz) {
            Ok(SampleRate(hertz))
        } else {
            Err(BadRate(hertz.to_string()))
        }
    }

    /// Samples a second.
    pub fn as_hertz(self) -> u64 {
        self.0
    }

    /// How long so many samples take, rounded down to a nanosecond; saturates at 584 years.
    pub fn duration_of(self, samples: u64) -> Duration {
        let nanos = u128::from(samples) * u128::from(NANOS_PER_SECOND) / u128::from(self.0);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// When sample `index` is taken, `start` being that of sample 0; rounded to a nanosecond.
    pub fn time_of(self, start: Instant, index: u64) -> Instant {
        let offset = match index.checked_mul(NANOS_PER_SECOND) {
            Some(product) => product.saturating_add(self.0 / 2) / self.0,
            None => {
                let product = u128::from(index) * u128::from(NANOS_PER_SECOND) + u128::from(self.0 / 2);
                u64::try_from(product / u128::from(self.0)).unwrap_or(u64::MAX)
            }
        };
        Instant::from_nanos(start.as_nanos().saturating_add(offset))
    }

    /// The sample that is nearest to `at`, sample 0 being taken at `start`; 0 for what is earlier.
    pub fn index_of(self, start: Instant, at: Instant) -> u64 {
        let offset = u128::from(nanos(at.since(start)));
        let product = offset * u128::from(self.0) + u128::from(NANOS_PER_SECOND / 2);
        u64::try_from(product / u128::from(NANOS_PER_SECOND)).unwrap_or(u64::MAX)
    }
}

/// As sigrok writes it: `25 MHz`.
impl fmt::Display for SampleRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (unit, hertz) in [("GHz", NANOS_PER_SECOND), ("MHz", 1_000_000), ("kHz", 1_000)] {
            if self.0.is_multiple_of(hertz) {
                return write!(f, "{} {unit}", self.0 / hertz);
            }
        }
        write!(f, "{} Hz", self.0)
    }
}

/// Reads `25000000`, `25 MHz`, `25mhz`, `25M` and `12.5 MHz`.
///
/// # Errors
/// [`BadRate`] for anything else.
impl FromStr for SampleRate {
    type Err = BadRate;

    fn from_str(text: &str) -> Result<Self, BadRate> {
        let bad = || BadRate(text.chars().filter(|character| !character.is_control()).take(32).collect());
        let compact = text.trim();
        let digits = compact
            .find(|character: char| !(character.is_ascii_digit() || character == '.'))
            .unwrap_or(compact.len());
        let (number, unit) = compact.split_at(digits);
        let unit = unit.trim().to_ascii_lowercase();
        let factor: u64 = match unit.strip_suffix("hz").unwrap_or(&unit) {
            "" => 1,
            "k" => 1_000,
            "m" => 1_000_000,
            "g" => NANOS_PER_SECOND,
            _ => return Err(bad()),
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() || fraction.len() > 9 || fraction.contains('.') {
            return Err(bad());
        }
        let whole: u64 = whole.parse().map_err(|_| bad())?;
        let mut hertz = whole.checked_mul(factor).ok_or_else(bad)?;
        if !fraction.is_empty() {
            let parts: u64 = fraction.parse().map_err(|_| bad())?;
            let scale = 10_u64.pow(fraction.len() as u32);
            let product = parts * factor;
            if !product.is_multiple_of(scale) {
                return Err(bad());
            }
            hertz = hertz.checked_add(product / scale).ok_or_else(bad)?;
        }
        SampleRate::hertz(hertz).map_err(|_| bad())
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("25000000", 25_000_000)]
    #[case("25 MHz", 25_000_000)]
    #[case(" 25m ", 25_000_000)]
    #[case("12.5 MHz", 12_500_000)]
    #[case("1GHz", 1_000_000_000)]
    #[case("0.5 kHz", 500)]
    fn reads_what_people_and_sigrok_write(#[case] text: &str, #[case] hertz: u64) {
        assert_eq!(text.parse::<SampleRate>().unwrap().as_hertz(), hertz);
    }

    #[rstest]
    #[case("")]
    #[case("MHz")]
    #[case("0")]
    #[case("-1")]
    #[case("1.5 Hz")]
    #[case("1.2.3 MHz")]
    #[case("25 m/s")]
    #[case("1001 GHz")]
    #[case("99999999999999999999")]
    #[case("1.0000000001 GHz")]
    fn refuses_the_rest(#[case] text: &str) {
        assert!(text.parse::<SampleRate>().unwrap_err().to_string().contains("whole number of Hz"));
    }

    #[test]
    fn what_it_writes_it_reads() {
        for hertz in [1, 999, 1_000, 24_000_000, 2_500_000, 1_000_000_000, 3_000_000_001] {
            let rate = SampleRate::hertz(hertz).unwrap();
            assert_eq!(rate.to_string().parse(), Ok(rate));
        }
        assert_eq!(SampleRate::hertz(2_500_000).unwrap().to_string(), "2500 kHz");
    }

    #[test]
    fn a_sample_and_its_time_belong_together() {
        let start = Instant::from_nanos(77);
        for hertz in [3, 24_000_000, 1_000_000_000] {
            let rate = SampleRate::hertz(hertz).unwrap();
            for index in [0, 1, 2, 1_000_003, 40_000_000_000] {
                assert_eq!(rate.index_of(start, rate.time_of(start, index)), index, "{hertz} Hz");
            }
        }
        assert_eq!(SampleRate::FINEST.index_of(start, Instant::ZERO), 0);
        assert_eq!(SampleRate(1).time_of(start, u64::MAX), Instant::MAX);
    }
}
