//! The one figure of a requirement that people ask for: what was judged, what is allowed, and how far
//! apart the two are.

use rigor_core::budget::{Bound, Budget};
use rigor_core::distribution::Summary;
use rigor_core::result::{Measured, RequirementResult};
use rigor_core::unit::{Amount, Unit};
use rigor_core::verdict::Verdict;

/// A figure with its name, such as `p99` and `8.341 ms`.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Figure {
    /// `mean`, `p50`, `max` and so on; `worst` where every sample counts, `within` for a share.
    pub(crate) name: &'static str,
    /// In the unit of what was measured; per cent for a share.
    pub(crate) amount: Amount,
}

/// What was measured as figures, if it was.
pub(crate) fn summary(found: &RequirementResult) -> Option<&Summary> {
    match &found.measured {
        Some(Measured::Distribution(summary)) => Some(summary),
        _ => None,
    }
}

/// The figure that the budget judges, or the median where there is no budget.
pub(crate) fn judged(found: &RequirementResult) -> Option<Figure> {
    of(summary(found)?, found.budget.as_ref(), found.margin)
}

/// The same of what one rig measured.
pub(crate) fn of(summary: &Summary, budget: Option<&Budget>, margin: Option<Amount>) -> Option<Figure> {
    let Some(budget) = budget else {
        return Some(Figure { name: "p50", amount: Amount::new(summary.p50, summary.unit) });
    };
    match (budget.judged_figure(summary), budget.bound(), margin) {
        // The extreme that is nearest to a limit or furthest beyond it.
        (Some((_, amount)), Bound::Every, _) => Some(Figure { name: "worst", amount }),
        (Some((name, amount)), ..) => Some(Figure { name, amount }),
        // A share is not in the summary; the margin tells it.
        (None, Bound::ShareWithin(required), Some(margin)) => {
            Some(Figure { name: "within", amount: Amount::new(required + margin.value, Unit::Percent) })
        }
        _ => None,
    }
}

/// How much of the room that the budget leaves is left, as a share: 1 is all of it, 0 none, and below 0
/// the figure is outside by that part of the limit. `None` where a budget leaves no room at all.
pub(crate) fn room(found: &RequirementResult) -> Option<f64> {
    let (budget, margin) = (found.budget.as_ref()?, found.margin?);
    let margin = margin.to(budget.unit()).unwrap_or(margin).value;
    let whole = match (budget.bound(), budget.comparison().limits()) {
        (Bound::ShareWithin(required), _) if margin < 0.0 => required,
        (Bound::ShareWithin(required), _) => 100.0 - required,
        (_, (low, high)) if low.is_finite() && high.is_finite() => (high - low) / 2.0,
        (_, (low, high)) => if low.is_finite() { low } else { high }.abs(),
    };
    (whole > 0.0 && margin.is_finite()).then(|| margin / whole)
}

/// By how much the budget is missed or kept, in words: `over by 4.73 ms (28 %)`, `412 µs to spare`.
pub(crate) fn distance(found: &RequirementResult) -> Option<String> {
    let margin = found.margin?;
    let size = Amount::new(margin.value.abs(), margin.unit);
    if margin.value >= 0.0 && found.verdict != Verdict::Fail {
        let unsure = found.uncertainty.filter(|amount| amount.value > 0.0);
        let unsure = unsure.map(|amount| format!(", known to ±{amount}")).unwrap_or_default();
        let spare = if margin.value == 0.0 { "on the limit".to_owned() } else { format!("{size} to spare") };
        return Some(spare + &unsure);
    }
    let budget = found.budget.as_ref()?;
    let figure = judged(found)?;
    if let Bound::ShareWithin(_) = budget.bound() {
        return Some(format!("short by {} percentage points", Amount::new(size.value, Unit::Count)));
    }
    let (low, high) = budget.comparison().limits();
    let value = figure.amount.to(budget.unit()).map_or(figure.amount.value, |amount| amount.value);
    let (word, limit) = match value {
        _ if low == high => ("off by", low),
        value if value > high => ("over by", high),
        _ => ("short by", low),
    };
    let part = margin.to(budget.unit()).unwrap_or(margin).value.abs() / limit.abs() * 100.0;
    Some(match part {
        // Of nothing there is no part, and thousands of per cent tell nobody anything.
        part if part.is_finite() && (0.1..1000.0).contains(&part) => {
            format!("{word} {size} ({part:.digits$} %)", digits = usize::from(part < 10.0))
        }
        _ => format!("{word} {size}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    fn found(id: &str) -> RequirementResult {
        let run = sample::run();
        run.requirements.into_iter().find(|found| found.id.as_str() == id).unwrap()
    }

    #[test]
    fn the_judged_figure_is_told_with_its_distance() {
        let told = |id| (judged(&found(id)).map(|figure| figure.name), distance(&found(id)));
        assert_eq!(told("K1-UPL-014"), (Some("p50"), Some("short by 9.5 KB/s (9.5 %)".to_owned())));
        assert_eq!(told("K1-LED-006"), (Some("worst"), Some("off by 1 pixel (0.3 %)".to_owned())));
        assert_eq!(told("K1-LED-003"), (Some("within"), Some("1 % to spare".to_owned())));
        assert_eq!(told("K1-NET-004"), (Some("worst"), Some("200 ms to spare, known to ±1 s".to_owned())));
        assert_eq!(told("K1-NET-002"), (None, None));
    }

    #[test]
    fn room_is_a_share_of_what_the_budget_leaves() {
        assert_eq!(room(&found("K1-UPL-014")), Some(-0.095));
        assert!((room(&found("K1-NET-004")).unwrap() - 0.2).abs() < 1e-9);
        assert_eq!(room(&found("K1-LED-003")), Some(1.0), "one of one per cent");
        assert_eq!(room(&found("K1-LED-006")), None, "`equals` leaves none");
        assert_eq!(room(&found("K1-NET-002")), None);
    }
}
