//! Units of measured quantities, as catalogues and results write them and as people read them.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::time::nanos;

/// The unit of a quantity. In TOML and JSON it is written as [`Unit::name`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Unit {
    /// `ns`
    #[serde(rename = "ns")]
    Nanoseconds,
    /// `us`, shown as `µs`
    #[serde(rename = "us")]
    Microseconds,
    /// `ms`
    #[serde(rename = "ms")]
    Milliseconds,
    /// `s`
    #[serde(rename = "s")]
    Seconds,
    /// `Hz`: events per second
    #[serde(rename = "Hz")]
    Hertz,
    /// `fps`: frames per second
    #[serde(rename = "fps")]
    FramesPerSecond,
    /// `%`
    #[serde(rename = "%")]
    Percent,
    /// `bytes`
    #[serde(rename = "bytes")]
    Bytes,
    /// `KB/s`: thousands of bytes per second
    #[serde(rename = "KB/s")]
    KilobytesPerSecond,
    /// `bits`
    #[serde(rename = "bits")]
    Bits,
    /// `pixels`
    #[serde(rename = "pixels")]
    Pixels,
    /// `frames`
    #[serde(rename = "frames")]
    Frames,
    /// `levels`: steps of an 8-bit colour channel
    #[serde(rename = "levels")]
    Levels,
    /// `count`: a number of anything, shown without a unit
    #[serde(rename = "count")]
    Count,
}

impl Unit {
    /// Every unit, in the order in which error messages list them.
    pub const ALL: [Unit; 14] = [
        Unit::Nanoseconds,
        Unit::Microseconds,
        Unit::Milliseconds,
        Unit::Seconds,
        Unit::Hertz,
        Unit::FramesPerSecond,
        Unit::Percent,
        Unit::Bytes,
        Unit::KilobytesPerSecond,
        Unit::Bits,
        Unit::Pixels,
        Unit::Frames,
        Unit::Levels,
        Unit::Count,
    ];

    /// The name in catalogues and results.
    pub const fn name(self) -> &'static str {
        match self {
            Unit::Nanoseconds => "ns",
            Unit::Microseconds => "us",
            Unit::Milliseconds => "ms",
            Unit::Seconds => "s",
            Unit::Hertz => "Hz",
            Unit::FramesPerSecond => "fps",
            Unit::Percent => "%",
            Unit::Bytes => "bytes",
            Unit::KilobytesPerSecond => "KB/s",
            Unit::Bits => "bits",
            Unit::Pixels => "pixels",
            Unit::Frames => "frames",
            Unit::Levels => "levels",
            Unit::Count => "count",
        }
    }

    /// The unit that is written `name`, if there is one.
    pub fn from_name(name: &str) -> Option<Unit> {
        Unit::ALL.into_iter().find(|unit| unit.name() == name)
    }

    /// Nanoseconds in one of this unit, if it measures time.
    const fn in_nanos(self) -> Option<f64> {
        match self {
            Unit::Nanoseconds => Some(1.0),
            Unit::Microseconds => Some(1e3),
            Unit::Milliseconds => Some(1e6),
            Unit::Seconds => Some(1e9),
            _ => None,
        }
    }

    /// `value` of this unit expressed in `to`; `None` if the two measure different things.
    ///
    /// Going to a larger unit divides once, so that whole nanoseconds become the very number that
    /// a catalogue writes: 16,670,000 ns are 16.67 ms to the last bit.
    pub fn convert(self, value: f64, to: Unit) -> Option<f64> {
        if self == to {
            return Some(value);
        }
        let (from, into) = (self.in_nanos()?, to.in_nanos()?);
        Some(if from < into { value / (into / from) } else { value * (from / into) })
    }

    /// `value` and the unit as somebody wrote them down: every digit, no change of scale.
    pub(crate) fn verbatim(self, value: f64) -> String {
        self.attach(&exact(value), value)
    }

    fn attach(self, number: &str, value: f64) -> String {
        let symbol = match self {
            Unit::Count => return number.to_owned(),
            Unit::Microseconds => "µs",
            Unit::Bytes | Unit::Bits | Unit::Pixels | Unit::Frames | Unit::Levels if value.abs() == 1.0 => {
                self.name().trim_end_matches('s')
            }
            _ => self.name(),
        };
        format!("{number} {symbol}")
    }
}

/// The [`Unit::name`].
impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A quantity: a number and its unit.
///
/// It prints for people: durations in the unit that suits their size (`8.333 ms`), numbers with
/// at most three decimals, or three significant digits below one.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Amount {
    /// The number; finite wherever this crate makes one.
    pub value: f64,
    /// Its unit.
    pub unit: Unit,
}

impl Amount {
    /// `value` of `unit`.
    pub const fn new(value: f64, unit: Unit) -> Self {
        Amount { value, unit }
    }

    /// The same quantity in `unit`; `None` if `unit` measures something else.
    pub fn to(self, unit: Unit) -> Option<Amount> {
        Some(Amount::new(self.unit.convert(self.value, unit)?, unit))
    }
}

/// Whole nanoseconds; saturates after 584 years.
impl From<Duration> for Amount {
    fn from(duration: Duration) -> Self {
        Amount::new(nanos(duration) as f64, Unit::Nanoseconds)
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = match self.unit.convert(self.value, Unit::Nanoseconds) {
            Some(nanos) if self.value != 0.0 => {
                let unit = match nanos.abs() {
                    size if size >= 1e9 => Unit::Seconds,
                    size if size >= 1e6 => Unit::Milliseconds,
                    size if size >= 1e3 => Unit::Microseconds,
                    _ => Unit::Nanoseconds,
                };
                self.to(unit).unwrap_or(*self)
            }
            _ => *self,
        };
        f.pad(&shown.unit.attach(&rounded(shown.value), shown.value))
    }
}

/// Beyond these sizes numbers print with an exponent, so that no value prints hundreds of digits.
fn has_plain_size(value: f64) -> bool {
    value == 0.0 || (1e-6..1e15).contains(&value.abs())
}

/// Every digit of `value`.
pub(crate) fn exact(value: f64) -> String {
    if has_plain_size(value) { format!("{value}") } else { format!("{value:e}") }
}

/// Three decimals, or three significant digits below one, without trailing zeros.
fn rounded(value: f64) -> String {
    if !has_plain_size(value) {
        return format!("{value:.3e}");
    }
    let size = value.abs();
    let decimals = if size >= 1.0 || size == 0.0 { 3 } else { (2.0 - size.log10().floor()) as usize };
    let text = format!("{value:.decimals$}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[test]
    fn names_are_unique_and_are_what_serde_writes() {
        for unit in Unit::ALL {
            assert_eq!(Unit::from_name(unit.name()), Some(unit));
            assert_eq!(serde_json::to_string(&unit).unwrap(), format!("\"{}\"", unit.name()));
        }
    }

    #[rstest]
    #[case(8_333_000.0, Unit::Nanoseconds, "8.333 ms")]
    #[case(8.333, Unit::Milliseconds, "8.333 ms")]
    #[case(8.0, Unit::Milliseconds, "8 ms")]
    #[case(0.05, Unit::Milliseconds, "50 µs")]
    #[case(0.25, Unit::Nanoseconds, "0.25 ns")]
    #[case(-417_000.0, Unit::Nanoseconds, "-417 µs")]
    #[case(0.0, Unit::Seconds, "0 s")]
    #[case(86_400.0, Unit::Seconds, "86400 s")]
    #[case(1_000_000_000.0, Unit::Nanoseconds, "1 s")]
    #[case(262_144.0, Unit::Bytes, "262144 bytes")]
    #[case(1.0, Unit::Bytes, "1 byte")]
    #[case(160.0, Unit::Count, "160")]
    #[case(99.96, Unit::Percent, "99.96 %")]
    #[case(0.012_345, Unit::Percent, "0.0123 %")]
    #[case(1e300, Unit::Count, "1.000e300")]
    #[case(1e-300, Unit::Percent, "1.000e-300 %")]
    #[case(f64::INFINITY, Unit::Count, "inf")]
    fn amounts_print_for_people(#[case] value: f64, #[case] unit: Unit, #[case] shown: &str) {
        assert_eq!(Amount::new(value, unit).to_string(), shown);
    }

    #[rstest]
    #[case(16_670_000.0, Unit::Nanoseconds, Unit::Milliseconds, Some(16.67))]
    #[case(8_333.0, Unit::Microseconds, Unit::Milliseconds, Some(8.333))]
    #[case(5.0, Unit::Seconds, Unit::Nanoseconds, Some(5e9))]
    #[case(5.0, Unit::Bytes, Unit::Bytes, Some(5.0))]
    #[case(5.0, Unit::Bytes, Unit::Bits, None)]
    #[case(5.0, Unit::Seconds, Unit::Hertz, None)]
    fn only_times_convert(
        #[case] value: f64,
        #[case] from: Unit,
        #[case] to: Unit,
        #[case] expected: Option<f64>,
    ) {
        assert_eq!(from.convert(value, to), expected);
    }
}
