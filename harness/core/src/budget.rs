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

/// Why a budget makes no sense. [`BudgetError::field`] names the key to look at.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum BudgetError {
    /// Without a name nobody knows what was measured.
    #[error("the budget's `quantity` is empty; name what is measured, as in `quantity = \"frame period\"`")]
    NoQuantity,
    /// Nothing is compared.
    #[error(
        "the budget compares with nothing; write one of `at_most`, `at_least`, `between`, `equals`, or `nominal` with `tolerance_percent` or `tolerance`"
    )]
    NoComparison,
    /// Two answers to one question.
    #[error(
        "the budget has both `{first}` and `{second}`; keep one, and write a range as `between = [low, high]`"
    )]
    Contradiction {
        /// One comparison.
        first: &'static str,
        /// Another one.
        second: &'static str,
    },
    /// How far from nominal?
    #[error(
        "the budget has a `nominal` value without a tolerance; add `tolerance_percent = 5` or `tolerance = 1`"
    )]
    NoTolerance,
    /// How far from what?
    #[error("the budget has `{0}` without `nominal`; add `nominal = …`")]
    NoNominal(&'static str),
    /// How many?
    #[error("the bound `share-within` needs a share; add `share_percent = 99`")]
    NoShare,
    /// A share that nobody reads.
    #[error(
        "the budget has a `share_percent` that its bound does not use; write `bound = \"share-within\"` or drop it"
    )]
    UnusedShare,
    /// NaN, infinite, negative or beyond [`LARGEST`].
    #[error("`{field}` is {}; write a number from 0 to {LARGEST}", exact(*value))]
    BadNumber {
        /// The key.
        field: &'static str,
        /// Its value.
        value: f64,
    },
    /// Not a percentage.
    #[error("`{field}` is {value}; write a percentage above 0 and at most 100")]
    BadPercentage {
        /// The key.
        field: &'static str,
        /// Its value.
        value: f64,
    },
    /// A range that holds nothing.
    #[error("`between = [{low}, {high}]` is empty; write the smaller limit first")]
    Reversed {
        /// The first limit.
        low: f64,
        /// The second limit.
        high: f64,
    },
    /// Zero samples cannot be judged, so asking for that many is a mistake.
    #[error("`min_samples` is below 1; write 1 or more, or drop it")]
    NoSamples,
}

impl BudgetError {
    /// The key of the budget's table that is to blame, if it is there at all.
    pub fn field(&self) -> Option<&'static str> {
        match self {
            BudgetError::NoQuantity => Some("quantity"),
            BudgetError::NoComparison => None,
            BudgetError::Contradiction { second, .. } => Some(second),
            BudgetError::NoTolerance => Some("nominal"),
            BudgetError::NoNominal(field) => Some(field),
            BudgetError::NoShare => Some("bound"),
            BudgetError::UnusedShare => Some("share_percent"),
            BudgetError::BadNumber { field, .. } | BudgetError::BadPercentage { field, .. } => Some(field),
            BudgetError::Reversed { .. } => Some("between"),
            BudgetError::NoSamples => Some("min_samples"),
        }
    }
}

/// How a budget names its [`Bound`] in TOML and JSON.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BoundName {
    /// [`Bound::Mean`]
    Mean,
    /// [`Bound::P50`]
    P50,
    /// [`Bound::P95`]
    P95,
    /// [`Bound::P99`]
    P99,
    /// [`Bound::Max`]
    Max,
    /// [`Bound::Min`]
    Min,
    /// [`Bound::Every`], the strictest, holds where a budget names none.
    #[default]
    Every,
    /// [`Bound::ShareWithin`]
    ShareWithin,
}

impl BoundName {
    /// Every name, in the order in which error messages list them.
    pub const ALL: [(&'static str, BoundName); 8] = [
        ("mean", BoundName::Mean),
        ("p50", BoundName::P50),
        ("p95", BoundName::P95),
        ("p99", BoundName::P99),
        ("max", BoundName::Max),
        ("min", BoundName::Min),
        ("every", BoundName::Every),
        ("share-within", BoundName::ShareWithin),
    ];
}

/// A budget as it is written, key by key, in a catalogue and in results:
///
/// ```toml
/// budget = { quantity = "frame period", unit = "ms", bound = "mean", nominal = 8.333, tolerance_percent = 5 }
/// ```
///
/// It may contradict itself; [`BudgetTable::check`] makes a [`Budget`] of it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BudgetTable {
    /// What is measured, in two or three words.
    pub quantity: String,
    /// Unit of every number below but percentages and counts.
    pub unit: Unit,
    /// The figure that is judged; every sample if absent.
    #[serde(default)]
    pub bound: BoundName,
    /// For `share-within`: the least percentage of samples, above 0 and at most 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share_percent: Option<f64>,
    /// The value aimed at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nominal: Option<f64>,
    /// Allowed deviation from `nominal` in per cent of it, 0 to 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tolerance_percent: Option<f64>,
    /// Allowed deviation from `nominal`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tolerance: Option<f64>,
    /// The largest allowed value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_most: Option<f64>,
    /// The smallest allowed value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_least: Option<f64>,
    /// The smallest and the largest allowed value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub between: Option<[f64; 2]>,
    /// The only allowed value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub equals: Option<f64>,
    /// Fewer samples than this prove nothing; 1 if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_samples: Option<u64>,
}

impl BudgetTable {
    /// A table with no comparison yet.
    pub fn new(quantity: impl Into<String>, unit: Unit) -> Self {
        BudgetTable {
            quantity: quantity.into(),
            unit,
            bound: BoundName::default(),
            share_percent: None,
            nominal: None,
            tolerance_percent: None,
            tolerance: None,
            at_most: None,
            at_least: None,
            between: None,
            equals: None,
            min_samples: None,
        }
    }

    /// The budget that is written here.
    ///
    /// # Errors
    /// Everything that is wrong with it, at least one [`BudgetError`].
    pub fn check(self) -> Result<Budget, Vec<BudgetError>> {
        let mut errors = Vec::new();
        if self.quantity.trim().is_empty() {
            errors.push(BudgetError::NoQuantity);
        }
        errors.extend(self.bad_numbers());
        let bound = self.bound().map_err(|error| errors.push(error));
        let comparison = self.comparison().map_err(|error| errors.push(error));
        if self.min_samples == Some(0) {
            errors.push(BudgetError::NoSamples);
        }
        match (bound, comparison) {
            (Ok(bound), Ok(comparison)) if errors.is_empty() => Ok(Budget {
                quantity: self.quantity,
                unit: self.unit,
                bound,
                comparison,
                min_samples: self.min_samples.unwrap_or(1),
            }),
            _ => Err(errors),
        }
    }

    fn bad_numbers(&self) -> Vec<BudgetError> {
        let numbers = [
            ("nominal", self.nominal),
            ("tolerance", self.tolerance),
            ("at_most", self.at_most),
            ("at_least", self.at_least),
            ("between", self.between.map(|[low, _]| low)),
            ("between", self.between.map(|[_, high]| high)),
            ("equals", self.equals),
        ];
        let bad_numbers = numbers
            .into_iter()
            .filter_map(|(field, value)| Some((field, value?)))
            .filter(|(_, value)| !(0.0..=LARGEST).contains(value))
            .map(|(field, value)| BudgetError::BadNumber { field, value });
        let percentages =
            [("tolerance_percent", self.tolerance_percent), ("share_percent", self.share_percent)];
        let bad_percentages = percentages
            .into_iter()
            .filter_map(|(field, value)| Some((field, value?)))
            .filter(|(_, value)| !(*value > 0.0 && *value <= 100.0))
            .map(|(field, value)| BudgetError::BadPercentage { field, value });
        bad_numbers.chain(bad_percentages).collect()
    }

    fn bound(&self) -> Result<Bound, BudgetError> {
        let bound = match (self.bound, self.share_percent) {
            (BoundName::ShareWithin, Some(percent)) => return Ok(Bound::ShareWithin(percent)),
            (BoundName::ShareWithin, None) => return Err(BudgetError::NoShare),
            (_, Some(_)) => return Err(BudgetError::UnusedShare),
            (BoundName::Mean, None) => Bound::Mean,
            (BoundName::P50, None) => Bound::P50,
            (BoundName::P95, None) => Bound::P95,
            (BoundName::P99, None) => Bound::P99,
            (BoundName::Max, None) => Bound::Max,
            (BoundName::Min, None) => Bound::Min,
            (BoundName::Every, None) => Bound::Every,
        };
        Ok(bound)
    }

    fn comparison(&self) -> Result<Comparison, BudgetError> {
        let present = [
            ("at_most", self.at_most.map(Comparison::AtMost)),
            ("at_least", self.at_least.map(Comparison::AtLeast)),
            ("between", self.between.map(|[low, high]| Comparison::Between(low, high))),
            ("equals", self.equals.map(Comparison::Equals)),
        ];
        let mut found = present.into_iter().filter_map(|(field, value)| Some((field, value?)));
        let plain = found.next();
        if let (Some((first, _)), Some((second, _))) = (plain, found.next()) {
            return Err(BudgetError::Contradiction { first, second });
        }
        match (plain, self.nominal, self.tolerance_percent, self.tolerance) {
            (Some((first, _)), Some(_), ..) => Err(BudgetError::Contradiction { first, second: "nominal" }),
            (_, None, Some(_), _) => Err(BudgetError::NoNominal("tolerance_percent")),
            (_, None, None, Some(_)) => Err(BudgetError::NoNominal("tolerance")),
            (Some((_, Comparison::Between(low, high))), ..) if low > high => {
                Err(BudgetError::Reversed { low, high })
            }
            (Some((_, comparison)), None, None, None) => Ok(comparison),
            (None, None, None, None) => Err(BudgetError::NoComparison),
            (None, Some(_), Some(_), Some(_)) => {
                Err(BudgetError::Contradiction { first: "tolerance_percent", second: "tolerance" })
            }
            (None, Some(_), None, None) => Err(BudgetError::NoTolerance),
            (None, Some(nominal), Some(percent), None) => Ok(Comparison::NominalPercent { nominal, percent }),
            (None, Some(nominal), None, Some(tolerance)) => {
                Ok(Comparison::NominalAbsolute { nominal, tolerance })
            }
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
        let one_suffices = self.bound == Bound::Every && weighed.finding == Finding::Fail;
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

impl TryFrom<BudgetTable> for Budget {
    type Error = BudgetErrors;

    fn try_from(table: BudgetTable) -> Result<Self, Self::Error> {
        table.check().map_err(BudgetErrors)
    }
}

/// Everything that is wrong with a budget, one sentence after the other.
#[derive(Clone, PartialEq, Debug)]
pub struct BudgetErrors(pub Vec<BudgetError>);

impl fmt::Display for BudgetErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            write!(f, "{}{error}", if index == 0 { "" } else { "; " })?;
        }
        Ok(())
    }
}

impl std::error::Error for BudgetErrors {}

impl From<Budget> for BudgetTable {
    fn from(budget: Budget) -> Self {
        let mut table = BudgetTable::new(budget.quantity, budget.unit);
        (table.bound, table.share_percent) = match budget.bound {
            Bound::Mean => (BoundName::Mean, None),
            Bound::P50 => (BoundName::P50, None),
            Bound::P95 => (BoundName::P95, None),
            Bound::P99 => (BoundName::P99, None),
            Bound::Max => (BoundName::Max, None),
            Bound::Min => (BoundName::Min, None),
            Bound::Every => (BoundName::Every, None),
            Bound::ShareWithin(percent) => (BoundName::ShareWithin, Some(percent)),
        };
        match budget.comparison {
            Comparison::AtMost(value) => table.at_most = Some(value),
            Comparison::AtLeast(value) => table.at_least = Some(value),
            Comparison::Between(low, high) => table.between = Some([low, high]),
            Comparison::NominalPercent { nominal, percent } => {
                (table.nominal, table.tolerance_percent) = (Some(nominal), Some(percent));
            }
            Comparison::NominalAbsolute { nominal, tolerance } => {
                (table.nominal, table.tolerance) = (Some(nominal), Some(tolerance));
            }
            Comparison::Equals(value) => table.equals = Some(value),
        }
        table.min_samples = (budget.min_samples > 1).then_some(budget.min_samples);
        table
    }
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
