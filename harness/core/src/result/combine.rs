//! One verdict per requirement, out of what several cases found on several rigs.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use super::{Measured, NotRun, OnRig, RequirementResult};
use crate::distribution::Shape;
use crate::requirement::Requirement;
use crate::time::Fidelity;
use crate::unit::Amount;
use crate::verdict::Verdict;

/// What one case found about one requirement on one rig.
#[derive(Clone, PartialEq, Debug)]
pub struct Decision {
    /// The case.
    pub case: String,
    /// The rig.
    pub rig: String,
    /// What the rig's clock is worth.
    pub fidelity: Fidelity,
    /// The conclusion.
    pub verdict: Verdict,
    /// Why nothing was tried, if the verdict is [`Verdict::NotRun`].
    pub not_run: Option<NotRun>,
    /// Why the verdict is not a pass.
    pub reason: Option<String>,
    /// What was observed.
    pub measured: Option<Measured>,
    /// What the figures look like.
    pub shape: Option<Shape>,
    /// Distance to the nearest limit; negative outside.
    pub margin: Option<Amount>,
    /// How far from the truth the instrument may be.
    pub uncertainty: Option<Amount>,
    /// The shortest round trip over the network that the figures were measured over.
    pub floor: Option<Amount>,
}

impl Decision {
    /// A bare verdict; fill in what there is to say about it.
    pub fn new(
        case: impl Into<String>,
        rig: impl Into<String>,
        fidelity: Fidelity,
        verdict: Verdict,
    ) -> Self {
        Decision {
            case: case.into(),
            rig: rig.into(),
            fidelity,
            verdict,
            not_run: (verdict == Verdict::NotRun).then_some(NotRun::NeedMissing),
            reason: None,
            measured: None,
            shape: None,
            margin: None,
            uncertainty: None,
            floor: None,
        }
    }

    /// `case` was not tried on `rig`, and why.
    pub fn not_run(
        case: impl Into<String>,
        rig: impl Into<String>,
        fidelity: Fidelity,
        cause: NotRun,
        reason: impl Into<String>,
    ) -> Self {
        let mut decision = Decision::new(case, rig, fidelity, Verdict::NotRun);
        decision.not_run = Some(cause);
        decision.reason = Some(reason.into());
        decision
    }
}

impl RequirementResult {
    /// The verdict on `requirement` of `system`, out of `decisions` in any order.
    ///
    /// 1. A case that did not run on one rig but ran on another counts as run: somebody looked.
    /// 2. Of what is left the worst verdict wins, in the order of [`Verdict`]: fail, harness bug,
    ///    rig fault, inconclusive, not run, pass. So a requirement of which one case passed and
    ///    another never ran is not run: half a proof is none, and a filter cannot turn a
    ///    requirement green by leaving out the case that fails.
    /// 3. Among equals the one with figures and the least margin is shown; then the first by rig
    ///    and case.
    ///
    /// Without any decision it is not run: as planned, or because no rig of the run holds the system.
    pub fn combine(system: &str, requirement: &Requirement, decisions: &[Decision]) -> Self {
        let all: Vec<&Decision> = decisions.iter().collect();
        let counted = counted(&all);
        let worst = counted.first().copied();
        let verdict = worst.map_or(Verdict::NotRun, |worst| worst.verdict);
        let (not_run, reason) = match worst {
            None => match &requirement.planned {
                Some(plan) => (Some(NotRun::Planned), Some(plan.clone())),
                None => (Some(NotRun::NotSelected), Some("no rig of the run holds its device".to_owned())),
            },
            Some(worst) => (
                (verdict == Verdict::NotRun).then_some(worst.not_run.unwrap_or(NotRun::NeedMissing)),
                reason(worst, &counted),
            ),
        };
        let cases: BTreeSet<&str> = decisions.iter().map(|d| d.case.as_str()).collect();
        RequirementResult {
            id: requirement.id.clone(),
            system: system.to_owned(),
            title: requirement.title.clone(),
            clause: requirement.clause.clone(),
            text: requirement.text.clone(),
            reading: requirement.reading.clone(),
            class: requirement.class,
            verdict,
            not_run,
            reason,
            measured: worst.and_then(|worst| worst.measured.clone()),
            shape: worst.and_then(|worst| worst.shape.clone()),
            budget: requirement.budget.clone(),
            margin: worst.and_then(|worst| worst.margin),
            // Nothing was measured, so there is nothing to qualify.
            fidelity: worst.filter(|_| verdict != Verdict::NotRun).map(|worst| worst.fidelity),
            uncertainty: worst.and_then(|worst| worst.uncertainty),
            floor: worst.and_then(|worst| worst.floor),
            cases: cases.into_iter().map(str::to_owned).collect(),
            rig: worst.map(|worst| worst.rig.clone()),
            case: worst.map(|worst| worst.case.clone()),
            rigs: by_rig(&all),
        }
    }
}

/// Those of `decisions` that count, worst first: a case that did not run on one rig but ran on another
/// counts as run.
fn counted<'a>(decisions: &[&'a Decision]) -> Vec<&'a Decision> {
    let ran: BTreeSet<&str> = decisions
        .iter()
        .filter(|decision| decision.verdict != Verdict::NotRun)
        .map(|decision| decision.case.as_str())
        .collect();
    let counts =
        |decision: &&Decision| decision.verdict != Verdict::NotRun || !ran.contains(decision.case.as_str());
    let mut counted: Vec<&Decision> = decisions.iter().copied().filter(counts).collect();
    counted.sort_by(|a, b| worst_first(a, b));
    counted
}

/// The same conclusion for each rig by itself.
fn by_rig(decisions: &[&Decision]) -> Vec<OnRig> {
    let rigs: BTreeSet<&str> = decisions.iter().map(|decision| decision.rig.as_str()).collect();
    let on_rig = |rig: &str| {
        let own: Vec<&Decision> = decisions.iter().copied().filter(|decision| decision.rig == rig).collect();
        let worst = *counted(&own).first()?;
        let measured = match worst.measured {
            Some(Measured::Distribution(summary)) => Some(summary),
            _ => None,
        };
        Some(OnRig {
            rig: rig.to_owned(),
            case: worst.case.clone(),
            verdict: worst.verdict,
            fidelity: worst.fidelity,
            measured,
            margin: worst.margin,
        })
    };
    rigs.into_iter().filter_map(on_rig).collect()
}

fn worst_first(a: &Decision, b: &Decision) -> Ordering {
    let figures = |decision: &Decision| matches!(decision.measured, Some(Measured::Distribution(_)));
    let margin = |decision: &Decision| decision.margin.map_or(f64::INFINITY, |margin| margin.value);
    b.verdict
        .cmp(&a.verdict)
        .then_with(|| figures(b).cmp(&figures(a)))
        .then_with(|| margin(a).total_cmp(&margin(b)))
        .then_with(|| (&a.rig, &a.case).cmp(&(&b.rig, &b.case)))
}

/// Why it is not a pass; names the case where several decide.
fn reason(worst: &Decision, counted: &[&Decision]) -> Option<String> {
    if worst.verdict == Verdict::Pass {
        return None;
    }
    let told = worst.reason.as_deref().unwrap_or("no reason was given");
    let alike = counted.iter().filter(|decision| decision.verdict == worst.verdict).count();
    let better = counted.iter().filter(|decision| decision.verdict == Verdict::Pass).count();
    let case = &worst.case;
    Some(match (worst.verdict, alike, better) {
        (_, 1, 0) => told.to_owned(),
        (Verdict::NotRun, _, 1..) => {
            format!("it holds in {better} of {} cases, but `{case}` did not run: {told}", counted.len())
        }
        (_, 1, _) => format!("case `{case}`: {told}"),
        (_, more, _) => format!("case `{case}` and {} more: {told}", more - 1),
    })
}
