//! What a requirement allows, and whether what was measured keeps to it.
//!
//! A budget names the figure it judges ([`Bound`]) and the values it allows ([`Comparison`]). The
//! instrument's uncertainty is honoured both ways: a figure passes only if every value it may
//! truly have is allowed, and fails only if none is. Between the two nobody can tell, so a 2 ms
//! budget judged with a 5 ms instrument is inconclusive, never a pass.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::distribution::{Distribution, Summary};
use crate::unit::{Amount, Unit, exact};
use crate::verdict::{Blame, HarnessError, Verdict};

mod table;

pub use table::{BoundName, BudgetError, BudgetErrors, BudgetTable};

/// The largest number a budget may hold: whole numbers are exact up to here (2^53).
pub const LARGEST: f64 = 9_007_199_254_740_992.0;

/// Limits are inclusive, and binary floating point cannot hold most of them: 5 % below 8.333 is
/// not the double nearest to 7.91635. A value that misses a limit by less than this part of it is
/// on it. That is a hundred femtoseconds in 0.1 s, far below any instrument.
const ROUNDING: f64 = 1e-12;

/// The figure of a distribution that a budget judges.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Bound {
    /// The arithmetic mean.
    Mean,
    /// The median.
    P50,
    /// The 95th percentile.
    P95,
    /// The 99th percentile.
    P99,
    /// The largest sample.
    Max,
    /// The smallest sample.
    Min,
    /// Every single sample.
    Every,
    /// At least this percentage of the samples, in (0, 100].
    ShareWithin(f64),
}

/// The values that a budget allows, in its unit. Limits are inclusive.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Comparison {
    /// This or less.
    AtMost(f64),
    /// This or more.
    AtLeast(f64),
    /// From the first to the second.
    Between(f64, f64),
    /// A nominal value, give or take a percentage of it.
    NominalPercent {
        /// The value aimed at.
        nominal: f64,
        /// Allowed deviation in per cent of `nominal`, 0 to 100.
        percent: f64,
    },
    /// A nominal value, give or take an amount in the same unit.
    NominalAbsolute {
        /// The value aimed at.
        nominal: f64,
        /// Allowed deviation.
        tolerance: f64,
    },
    /// Exactly this. With an uncertain instrument it can fail but not pass.
    Equals(f64),
}

impl Comparison {
    /// The smallest and the largest allowed value; infinite where there is no limit.
    pub fn limits(self) -> (f64, f64) {
        match self {
            Comparison::AtMost(high) => (f64::NEG_INFINITY, high),
            Comparison::AtLeast(low) => (low, f64::INFINITY),
            Comparison::Between(low, high) => (low, high),
            Comparison::NominalPercent { nominal, percent } => {
                let tolerance = nominal * percent / 100.0;
                (nominal - tolerance, nominal + tolerance)
            }
            Comparison::NominalAbsolute { nominal, tolerance } => (nominal - tolerance, nominal + tolerance),
            Comparison::Equals(value) => (value, value),
        }
    }
}

/// What a requirement allows of one quantity.
///
/// It prints as `mean 8.333 ms ±5 %`, `every <= 16.67 ms` or `>= 99 % within 8.333 ms ±5 %`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(try_from = "BudgetTable", into = "BudgetTable")]
pub struct Budget {
    quantity: String,
    unit: Unit,
    bound: Bound,
    comparison: Comparison,
    min_samples: u64,
}

/// What a budget says of a distribution.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Finding {
    /// Every value that the figure may truly have is allowed.
    Pass,
    /// No value that the figure may truly have is allowed.
    Fail,
    /// The uncertainty spans a limit, or there are too few samples.
    Inconclusive,
}

impl From<Finding> for Verdict {
    fn from(finding: Finding) -> Verdict {
        match finding {
            Finding::Pass => Verdict::Pass,
            Finding::Fail => Verdict::Fail,
            Finding::Inconclusive => Verdict::Inconclusive,
        }
    }
}

/// The answer of [`Budget::judge`].
#[derive(Clone, PartialEq, Debug)]
pub struct Judgement {
    /// The conclusion.
    pub finding: Finding,
    /// The figure that was judged, in the budget's unit; in per cent for a share. For
    /// [`Bound::Every`] it is the extreme that is nearest to its limit or furthest beyond it.
    pub figure: Amount,
    /// How far inside the nearest limit the figure lies, negative if outside, uncertainty left
    /// aside; in the unit of `figure`.
    pub margin: Amount,
    /// One sentence for the report.
    pub reason: String,
}

/// A budget was asked about another kind of quantity: a defect of the case.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
#[error("the budget of `{quantity}` is in {budget}, but the samples are in {samples}; measure in {budget}")]
pub struct UnitMismatch {
    /// Name of the budget's quantity.
    pub quantity: String,
    /// Unit of the budget.
    pub budget: Unit,
    /// Unit of the samples.
    pub samples: Unit,
}

impl From<UnitMismatch> for Blame {
    fn from(error: UnitMismatch) -> Self {
        HarnessError(error.to_string()).into()
    }
}

/// Finding, figure and margin before they are dressed up.
struct Weighed {
    finding: Finding,
    figure: f64,
    margin: f64,
}

impl Budget {
    /// What is measured, as the catalogue calls it.
    pub fn quantity(&self) -> &str {
        &self.quantity
    }

    /// Unit of the limits.
    pub fn unit(&self) -> Unit {
        self.unit
    }

    /// The figure that is judged.
    pub fn bound(&self) -> Bound {
        self.bound
    }

    /// The allowed values.
    pub fn comparison(&self) -> Comparison {
        self.comparison
    }

    /// Fewer samples than this prove nothing; at least 1.
    pub fn min_samples(&self) -> u64 {
        self.min_samples
    }

    /// Judges what was measured. Samples in another unit of time are converted.
    ///
    /// ```
    /// use std::time::Duration;
    /// use rigor_core::budget::{BoundName, BudgetTable, Finding};
    /// use rigor_core::distribution::Distribution;
    /// use rigor_core::unit::Unit;
    ///
    /// let mut table = BudgetTable::new("frame period", Unit::Milliseconds);
    /// (table.bound, table.at_most) = (BoundName::Max, Some(16.67));
    /// let budget = table.check().expect("a budget");
    /// let measured = Distribution::of_durations([8, 9, 12].map(Duration::from_millis)).expect("samples");
    /// assert_eq!(budget.judge(&measured)?.finding, Finding::Pass);
    /// // An instrument that is 5 ms off cannot tell 12 ms from 17 ms.
    /// let vague = measured.uncertain_by(Duration::from_millis(5)).expect("a size");
    /// assert_eq!(budget.judge(&vague)?.finding, Finding::Inconclusive);
    /// # Ok::<(), rigor_core::budget::UnitMismatch>(())
    /// ```
    ///
    /// Limits are inclusive. Where samples are too few, a pass becomes inconclusive, and so does
    /// a failure, unless every sample has to keep the limit: then one that breaks it suffices.
    ///
    /// # Errors
    /// [`UnitMismatch`] if the samples measure something else than the budget.
    pub fn judge(&self, measured: &Distribution) -> Result<Judgement, UnitMismatch> {
        let mismatch =
            || UnitMismatch { quantity: self.quantity.clone(), budget: self.unit, samples: measured.unit() };
        let own = |value| measured.unit().convert(value, self.unit).ok_or_else(mismatch);
        let uncertainty = own(measured.uncertainty())?;
        let weighed = match self.bound {
            Bound::Mean => self.weigh(own(measured.mean())?, uncertainty),
            Bound::P50 => self.weigh(own(measured.percentile(50))?, uncertainty),
            Bound::P95 => self.weigh(own(measured.percentile(95))?, uncertainty),
            Bound::P99 => self.weigh(own(measured.percentile(99))?, uncertainty),
            Bound::Max => self.weigh(own(measured.max())?, uncertainty),
            Bound::Min => self.weigh(own(measured.min())?, uncertainty),
            Bound::Every => self.weigh_every(own(measured.min())?, own(measured.max())?, uncertainty),
            Bound::ShareWithin(percent) => {
                let samples: Result<Vec<f64>, _> =
                    measured.samples().iter().map(|&sample| own(sample)).collect();
                self.weigh_share(&samples?, uncertainty, percent)
            }
        };
        Ok(self.explain(weighed, measured.count() as u64, uncertainty))
    }

    /// One figure.
    fn weigh(&self, figure: f64, uncertainty: f64) -> Weighed {
        let (low, high) = self.comparison.limits();
        let (least, most) = (figure - uncertainty, figure + uncertainty);
        let finding = if at_most(low, least) && at_most(most, high) {
            Finding::Pass
        } else if at_most(low, most) && at_most(least, high) {
            Finding::Inconclusive
        } else {
            Finding::Fail
        };
        let margin = (high - figure).min(figure - low);
        let inside = at_most(low, figure) && at_most(figure, high);
        // A figure on its limit is inside by nothing, not outside by a rounding error.
        Weighed { finding, figure, margin: if inside { margin.max(0.0) } else { margin } }
    }

    /// All samples lie between the extremes, so these decide for all.
    fn weigh_every(&self, min: f64, max: f64, uncertainty: f64) -> Weighed {
        let (smallest, largest) = (self.weigh(min, uncertainty), self.weigh(max, uncertainty));
        let finding = match (smallest.finding, largest.finding) {
            (Finding::Fail, _) | (_, Finding::Fail) => Finding::Fail,
            (Finding::Pass, Finding::Pass) => Finding::Pass,
            _ => Finding::Inconclusive,
        };
        let worse = if smallest.margin < largest.margin { smallest } else { largest };
        Weighed { finding, ..worse }
    }

    fn weigh_share(&self, samples: &[f64], uncertainty: f64, required: f64) -> Weighed {
        let (mut surely, mut nominally, mut possibly) = (0_u64, 0_u64, 0_u64);
        for &sample in samples {
            let finding = self.weigh(sample, uncertainty).finding;
            surely += u64::from(finding == Finding::Pass);
            possibly += u64::from(finding != Finding::Fail);
            nominally += u64::from(self.weigh(sample, 0.0).finding == Finding::Pass);
        }
        let enough = |count: u64| at_most(required * samples.len() as f64, count as f64 * 100.0);
        let finding = if enough(surely) {
            Finding::Pass
        } else if enough(possibly) {
            Finding::Inconclusive
        } else {
            Finding::Fail
        };
        let share = nominally as f64 * 100.0 / samples.len() as f64;
        Weighed { finding, figure: share, margin: share - required }
    }

    fn explain(&self, weighed: Weighed, count: u64, uncertainty: f64) -> Judgement {
        let unit = match self.bound {
            Bound::ShareWithin(_) => Unit::Percent,
            _ => self.unit,
        };
        let figure = Amount::new(weighed.figure, unit);
        let margin = Amount::new(weighed.margin, unit);
        let distance = Amount::new(weighed.margin.abs(), unit);
        let spread = Amount::new(uncertainty, self.unit);
        let quantity = &self.quantity;
        let what = match self.bound {
            Bound::Mean => "mean ",
            Bound::P50 => "p50 ",
            Bound::P95 => "p95 ",
            Bound::P99 => "p99 ",
            Bound::Max => "max ",
            Bound::Min => "min ",
            Bound::Every => "worst ",
            Bound::ShareWithin(_) => "share ",
        };
        let (low, high) = self.comparison.limits();
        // More samples cannot make an extreme less extreme.
        let one_suffices = weighed.finding == Finding::Fail
            && match self.bound {
                Bound::Every => true,
                Bound::Max => weighed.figure > high,
                Bound::Min => weighed.figure < low,
                _ => false,
            };
        let (finding, reason) = if count < self.min_samples && !one_suffices {
            let needed = self.min_samples;
            let plural = if count == 1 { "" } else { "s" };
            let reason = format!(
                "{quantity}: {count} sample{plural}, but `{self}` asks for {needed}; observe for longer"
            );
            (Finding::Inconclusive, reason)
        } else {
            let reason = match weighed.finding {
                Finding::Pass => {
                    format!("{quantity}: {what}{figure} keeps `{self}` with {distance} to spare")
                }
                Finding::Fail => format!("{quantity}: {what}{figure} misses `{self}` by {distance}"),
                Finding::Inconclusive => format!(
                    "{quantity}: {what}{figure} lies {distance} from the limit of `{self}`, which an instrument of ±{spread} cannot tell; use a better one"
                ),
            };
            (weighed.finding, reason)
        };
        Judgement { finding, figure, margin, reason }
    }

    /// The figure of `measured` that this budget judges, with the name to print before it, in the
    /// summary's unit. `None` for a share, which a summary does not hold. For [`Bound::Every`] it
    /// is the extreme that is nearest to its limit or furthest beyond it.
    pub fn judged_figure(&self, measured: &Summary) -> Option<(&'static str, Amount)> {
        let (name, value) = match self.bound {
            Bound::Mean => ("mean", measured.mean),
            Bound::P50 => ("p50", measured.p50),
            Bound::P95 => ("p95", measured.p95),
            Bound::P99 => ("p99", measured.p99),
            Bound::Max => ("max", measured.max),
            Bound::Min => ("min", measured.min),
            Bound::Every => {
                let (low, high) = self.comparison.limits();
                let own = measured.to(self.unit)?;
                if own.min - low < high - own.max { ("min", measured.min) } else { ("max", measured.max) }
            }
            Bound::ShareWithin(_) => return None,
        };
        Some((name, Amount::new(value, measured.unit)))
    }
}

/// `value <= limit`, give or take what binary floating point loses of decimal numbers.
fn at_most(value: f64, limit: f64) -> bool {
    value <= limit || value - limit <= ROUNDING * value.abs().min(limit.abs())
}

/// The limits as the catalogue writes them, in their own unit and with every digit.
impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let show = |value| self.unit.verbatim(value);
        let range = match self.comparison {
            Comparison::AtMost(value) => format!("<= {}", show(value)),
            Comparison::AtLeast(value) => format!(">= {}", show(value)),
            Comparison::Between(low, high) => format!("{} to {}", exact(low), show(high)),
            Comparison::NominalPercent { nominal, percent } => {
                format!("{} ±{} %", show(nominal), exact(percent))
            }
            Comparison::NominalAbsolute { nominal, tolerance } => {
                format!("{} ±{}", show(nominal), show(tolerance))
            }
            Comparison::Equals(value) => format!("= {}", show(value)),
        };
        let text = match self.bound {
            Bound::Mean => format!("mean {range}"),
            Bound::P50 => format!("p50 {range}"),
            Bound::P95 => format!("p95 {range}"),
            Bound::P99 => format!("p99 {range}"),
            Bound::Max => format!("max {range}"),
            Bound::Min => format!("min {range}"),
            Bound::Every => format!("every {range}"),
            Bound::ShareWithin(percent) => format!(">= {} % within {range}", exact(percent)),
        };
        f.pad(&text)
    }
}

#[cfg(test)]
mod tests;
