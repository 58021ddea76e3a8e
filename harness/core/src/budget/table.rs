//! How budgets are written in catalogues and results, and what can be wrong with one.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Bound, Budget, Comparison, LARGEST};
use crate::unit::{Unit, exact};

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
