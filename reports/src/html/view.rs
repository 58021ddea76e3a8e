//! What the parts of a page need to know of a requirement, worked out once.

use std::collections::{BTreeMap, BTreeSet};

use rigor_core::requirement::Class;
use rigor_core::result::{CaseResult, NotRun, RequirementResult, RunResult};
use rigor_core::verdict::Verdict;

use crate::figure;

/// A requirement with where it stands on the page and which case shows what happened.
pub(super) struct Row<'a> {
    pub(super) found: &'a RequirementResult,
    /// The name that links use: the id, with a number if another system has the same.
    pub(super) anchor: String,
    /// Place of the deciding case in [`RunResult::cases`].
    pub(super) case: Option<usize>,
    /// What is left of the room; see [`figure::room`].
    pub(super) room: Option<f64>,
}

/// The rows of `result`, in its order.
pub(super) fn rows(result: &RunResult) -> Vec<Row<'_>> {
    let mut cases: BTreeMap<(&str, &str), Vec<usize>> = BTreeMap::new();
    for (place, case) in result.cases.iter().enumerate() {
        for id in &case.requirements {
            cases.entry((case.system.as_str(), id.as_str())).or_default().push(place);
        }
    }
    let mut taken = BTreeSet::new();
    let mut rows = Vec::with_capacity(result.requirements.len());
    for found in &result.requirements {
        let mut anchor = found.id.to_string();
        if !taken.insert(anchor.clone()) {
            anchor = format!("{anchor}-{}", rows.len());
            taken.insert(anchor.clone());
        }
        let own = cases.get(&(found.system.as_str(), found.id.as_str()));
        let case = own.and_then(|own| deciding(result, found, own));
        rows.push(Row { found, anchor, case, room: figure::room(found) });
    }
    rows
}

/// The case that gave the verdict; where the result does not name it, the first on the deciding rig that
/// is not milder.
fn deciding(result: &RunResult, found: &RequirementResult, own: &[usize]) -> Option<usize> {
    let on_rig = |case: &CaseResult| case.rig == found.rig;
    let named = |case: &CaseResult| found.case.as_deref() == Some(case.name.as_str());
    let pick = |wanted: &dyn Fn(&CaseResult) -> bool| {
        own.iter().copied().find(|&place| result.cases.get(place).is_some_and(wanted))
    };
    pick(&|case| on_rig(case) && named(case))
        .or_else(|| pick(&|case| on_rig(case) && case.verdict >= found.verdict))
        .or_else(|| pick(&on_rig))
}

impl Row<'_> {
    /// Tried, and not found to hold.
    pub(super) fn is_trouble(&self) -> bool {
        !matches!(self.found.verdict, Verdict::Pass | Verdict::NotRun)
    }

    /// Whether it keeps the run from being green: see [`rigor_core::result::exit_code`].
    pub(super) fn gates(&self) -> bool {
        match self.found.verdict {
            Verdict::Pass => false,
            Verdict::HarnessBug | Verdict::RigFault => true,
            Verdict::Fail | Verdict::Inconclusive => self.found.class == Class::Must,
            Verdict::NotRun => {
                self.found.class == Class::Must && self.found.not_run == Some(NotRun::NeedMissing)
            }
        }
    }

    /// What the first two parts of its id say: `K1-LED`, `WS-5`.
    pub(super) fn group(&self) -> &str {
        group(self.found.id.as_str())
    }

    /// Worst first: what gates, then by verdict, then by what is left of the room.
    pub(super) fn urgency(&self) -> (bool, u8, f64) {
        (!self.gates(), rank(self.found.verdict), self.room.unwrap_or(f64::INFINITY))
    }
}

fn group(id: &str) -> &str {
    let mut dashes = id.match_indices('-').map(|(place, _)| place);
    match (dashes.next(), dashes.next()) {
        (Some(_), Some(second)) => &id[..second],
        (Some(first), None) => &id[..first],
        _ => id,
    }
}

/// The order of verdicts in lists, worst first; not run comes after pass, because nothing is known.
pub(super) fn rank(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Fail => 0,
        Verdict::HarnessBug => 1,
        Verdict::RigFault => 2,
        Verdict::Inconclusive => 3,
        Verdict::NotRun => 4,
        Verdict::Pass => 5,
    }
}

/// Every verdict, in the order of lists, with the class of its mark in the style sheet, the letter that
/// says it without colour, and its name in a sentence.
pub(super) const VERDICTS: [(Verdict, &str, &str, &str); 6] = [
    (Verdict::Fail, "fail", "F", "fail"),
    (Verdict::HarnessBug, "bug", "H", "harness bug"),
    (Verdict::RigFault, "rig", "R", "rig fault"),
    (Verdict::Inconclusive, "vague", "?", "inconclusive"),
    (Verdict::NotRun, "none", "\u{2013}", "not run"),
    (Verdict::Pass, "pass", "", "pass"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::html::page::class;
    use crate::sample;

    #[test]
    fn verdicts_stand_at_their_rank() {
        for (place, (verdict, ..)) in VERDICTS.into_iter().enumerate() {
            let (orders, named) = ([rank(verdict) == 4, rank(verdict) == 5], class(verdict));
            assert_eq!(VERDICTS[place].1, named);
            assert_eq!(orders, [verdict == Verdict::NotRun, verdict == Verdict::Pass]);
        }
    }

    #[test]
    fn rows_know_their_case_and_have_names_of_their_own() {
        let mut run = sample::run();
        let mut twin = run.requirements[0].clone();
        twin.system = "another".to_owned();
        run.requirements.push(twin);
        let rows = rows(&run);
        assert_eq!(rows[0].anchor, "K1-LED-002");
        assert_eq!(rows.last().unwrap().anchor, "K1-LED-002-10");
        assert!(rows.last().unwrap().case.is_none(), "no case of that system names it");
        let case = &run.cases[rows[3].case.unwrap()];
        assert!(case.name.ends_with("pixel_mapping"), "{}", case.name);
        assert!(rows[3].gates() && rows[3].is_trouble());
        assert_eq!([rows[0].group(), group("WS-5-2-16-B"), group("A-1")], ["K1-LED", "WS-5", "A"]);
    }
}
