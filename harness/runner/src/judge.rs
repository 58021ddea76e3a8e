//! From findings to verdicts.
//!
//! A case says what it saw; the catalogue's budgets say whether that is good enough. A case that
//! says nothing of a requirement that it claims to decide, or something of another one, is a
//! defect of the case; so is one that calls a requirement kept without asking its budget.

use std::time::Duration;

use rigor_core::Fidelity;
use rigor_core::distribution::Distribution;
use rigor_core::host::HostDelay;
use rigor_core::requirement::{Catalogue, Class, Requirement};
use rigor_core::result::{Decision, Measured};
use rigor_core::unit::Amount;
use rigor_core::verdict::{Blame, Verdict};

use crate::case::{Finding, Findings, Outcome};

/// Who found it, and where.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Witness {
    /// Name of the case.
    pub case: String,
    /// Name of the rig.
    pub rig: String,
    /// What the rig's clock is worth.
    pub fidelity: Fidelity,
    /// What the host did to it, if it lives in the host's time.
    pub host: Option<HostDelay>,
    /// How far from the truth an instant that the host has stamped may be, on a rig whose clock is an instrument's.
    pub stamps: Option<Duration>,
    /// The shortest round trip over the rig's network, of a case that has used it.
    pub floor: Option<Duration>,
}

impl Witness {
    /// A decision without a figure.
    pub fn says(&self, verdict: Verdict, text: impl Into<String>) -> Decision {
        let mut decision = Decision::new(&self.case, &self.rig, self.fidelity, verdict);
        let text = text.into();
        if verdict == Verdict::Pass {
            decision.measured = Some(Measured::Text(text));
        } else {
            decision.reason = Some(text);
        }
        decision
    }

    /// `samples` as far as the rig's clock can be trusted; as they are if they are no durations.
    fn trusts(&self, samples: &Distribution) -> Distribution {
        let mut samples = samples.clone();
        // A time has two ends. What an instrument saw by itself says so, by an uncertainty of its own.
        if let Some(stamps) = self.stamps.filter(|_| samples.uncertainty() == 0.0) {
            samples = samples.clone().uncertain_by(stamps * 2).unwrap_or(samples);
        }
        match self.host {
            Some(host) => samples.clone().uncertain_by(host.longest).unwrap_or(samples),
            None => samples,
        }
    }

    /// What is to be shown beside `samples` of the network that they were measured over. Nothing beside what is no
    /// time, or was seen by an instrument.
    fn floor_of(&self, samples: &Distribution) -> Option<Amount> {
        let is_time = samples.clone().uncertain_by(Duration::ZERO).is_ok();
        let floor = self.floor.filter(|_| is_time && samples.uncertainty() == 0.0)?;
        Some(Amount::from(floor))
    }

    /// The same decision, but no failure where the host was too slow: a device that is held up misses frames
    /// and deadlines too, and whatever depends on them.
    fn excuses(&self, mut decision: Decision) -> Decision {
        if let Some(host) = self.host.filter(|host| !host.is_kept() && decision.verdict == Verdict::Fail) {
            decision.verdict = Verdict::Inconclusive;
            let seen = decision.reason.take().unwrap_or_default();
            let (longest, promised) = (Amount::from(host.longest), Amount::from(host.promised));
            decision.reason = Some(format!(
                "{seen}; but the host held the device up for {longest}, and only up to {promised} can be told from \
                 its own doing: run fewer cases at a time (--test-threads=1), or on a rig in exact time"
            ));
        }
        decision
    }

    /// The same blame for each of `decides`.
    pub fn blames(&self, decides: &[String], blame: &Blame) -> Vec<(String, Decision)> {
        let decision = self.excuses(self.says(blame.verdict(), blame.to_string()));
        decides.iter().map(|id| (id.clone(), decision.clone())).collect()
    }
}

/// One decision for each of the ids that the case `decides`, in that order.
pub fn decide(
    catalogue: &Catalogue,
    decides: &[String],
    witness: &Witness,
    outcome: &Outcome,
) -> Vec<(String, Decision)> {
    let findings = match outcome {
        Err(blame) => return witness.blames(decides, blame),
        Ok(findings) => findings,
    };
    if let Some((stray, _)) = findings.0.iter().find(|(id, _)| !decides.contains(id)) {
        let reason = format!("the case reports on {stray} but does not claim to decide it");
        return decides.iter().map(|id| (id.clone(), witness.says(Verdict::HarnessBug, &reason))).collect();
    }
    let decide = |id: &String| witness.excuses(decide_one(catalogue, id, witness, findings));
    decides.iter().map(|id| (id.clone(), decide(id))).collect()
}

fn decide_one(catalogue: &Catalogue, id: &str, witness: &Witness, findings: &Findings) -> Decision {
    let Some(requirement) = catalogue.get(id) else {
        return witness.says(Verdict::HarnessBug, format!("the catalogue has no {id}"));
    };
    let found = findings.0.iter().filter(|(found, _)| found == id);
    // A budget that is never asked could not fail.
    let only_words = found.clone().all(|(_, finding)| matches!(finding, Finding::Holds(_)));
    if requirement.budget.is_some() && only_words && found.clone().next().is_some() {
        let reason = format!("{id} has a budget, but the case measured nothing and says that it holds");
        return witness.says(Verdict::HarnessBug, reason);
    }
    let broken = found.clone().find_map(|(_, finding)| match finding {
        Finding::Broken(seen) => Some(seen),
        _ => None,
    });
    // The worst of several findings decides; among equals the one with the least margin.
    let mut decision = found
        .map(|(_, finding)| weigh(requirement, witness, finding))
        .max_by(|a, b| {
            let margin = |decision: &Decision| decision.margin.map_or(f64::INFINITY, |margin| margin.value);
            a.verdict.cmp(&b.verdict).then_with(|| margin(b).total_cmp(&margin(a)))
        })
        .unwrap_or_else(|| {
            witness.says(
                Verdict::HarnessBug,
                format!("the case claims to decide {id} and ended without a finding"),
            )
        });
    // A figure says by how much; what was seen says where to look.
    if decision.verdict == Verdict::Fail
        && decision.measured.is_some()
        && let (Some(reason), Some(seen)) = (&mut decision.reason, broken)
        && reason != seen
    {
        *reason = format!("{reason}: {seen}");
    }
    decision
}

fn weigh(requirement: &Requirement, witness: &Witness, finding: &Finding) -> Decision {
    match finding {
        Finding::Holds(seen) => witness.says(Verdict::Pass, seen),
        Finding::Broken(seen) => witness.says(Verdict::Fail, seen),
        Finding::Unclear(reason) => witness.says(Verdict::Inconclusive, reason),
        Finding::Measured(samples) => match &requirement.budget {
            Some(budget) => match budget.judge(&witness.trusts(samples)) {
                Ok(judgement) => Decision {
                    floor: witness.floor_of(samples),
                    ..Decision::judged(
                        &witness.case,
                        &witness.rig,
                        witness.fidelity,
                        &witness.trusts(samples),
                        budget,
                        judgement,
                    )
                },
                Err(mismatch) => witness.says(Verdict::HarnessBug, mismatch.to_string()),
            },
            // There is nothing to fail; the figure is wanted for the record.
            None if requirement.class == Class::Report => {
                let mut decision =
                    Decision::new(&witness.case, &witness.rig, witness.fidelity, Verdict::Pass);
                decision.measured = Some(Measured::figures(&witness.trusts(samples), None));
                decision.floor = witness.floor_of(samples);
                decision
            }
            None => witness.says(
                Verdict::HarnessBug,
                format!("{} has no budget to judge samples by; add one to the catalogue", requirement.id),
            ),
        },
    }
}

#[cfg(test)]
mod tests {
    use rigor_core::unit::Unit;
    use rigor_core::verdict::ProductError;

    use super::*;

    const CATALOGUE: &str = r#"
schema = 1
system = "toy"
title = "Toy"

[[requirement]]
id = "T-ONE"
title = "with budget"
clause = "1"
text = "It takes at most 5 ms."
class = "must"
budget = { quantity = "time", unit = "ms", bound = "max", at_most = 5 }

[[requirement]]
id = "T-TWO"
title = "without"
clause = "2"
text = "It works."
class = "must"
"#;

    fn witness() -> Witness {
        let fidelity = Fidelity::Modelled;
        Witness { case: "c".into(), rig: "r".into(), fidelity, host: None, stamps: None, floor: None }
    }

    fn verdicts(decides: &[&str], outcome: Outcome) -> Vec<Verdict> {
        let catalogue = Catalogue::parse(CATALOGUE, "toy.toml").expect("valid");
        let witness = witness();
        let decides: Vec<String> = decides.iter().map(|&id| id.to_owned()).collect();
        decide(&catalogue, &decides, &witness, &outcome)
            .into_iter()
            .map(|(_, decision)| decision.verdict)
            .collect()
    }

    fn samples(ms: f64) -> Distribution {
        Distribution::new(Unit::Milliseconds, [1.0, ms]).expect("samples")
    }

    #[test]
    fn a_figure_that_fails_is_joined_by_what_was_seen() {
        let catalogue = Catalogue::parse(CATALOGUE, "toy.toml").expect("valid");
        let witness = witness();
        let mut findings = Findings::new();
        findings.measured("T-ONE", samples(7.0)).observed("T-ONE", false, "the third was late");
        let decision = decide_one(&catalogue, "T-ONE", &witness, &findings);
        let reason = decision.reason.expect("a failure has a reason");
        assert!(reason.ends_with("by 2 ms: the third was late"), "{reason}");
        assert!(decision.measured.is_some());
    }

    #[test]
    fn a_clock_that_cannot_tell_decides_nothing() {
        let catalogue = Catalogue::parse(CATALOGUE, "toy.toml").expect("valid");
        let vague = Witness { host: Some(held_up(10)), ..witness() };
        let decided = |ms| {
            let mut findings = Findings::new();
            findings.measured("T-ONE", samples(ms));
            decide_one(&catalogue, "T-ONE", &vague, &findings)
        };
        assert_eq!(
            [4.0, 7.0, 100.0].map(|ms| decided(ms).verdict),
            [Verdict::Inconclusive, Verdict::Inconclusive, Verdict::Fail]
        );
        // The report says by how much.
        let Some(Measured::Distribution(figures)) = decided(4.0).measured else { panic!("no figures") };
        assert_eq!(figures.uncertainty, 10.0);
    }

    #[test]
    fn what_the_host_stamps_decides_nothing_finer_than_its_stamps() {
        let catalogue = Catalogue::parse(CATALOGUE, "toy.toml").expect("valid");
        let [stamps, floor] = [2, 1].map(|ms| Some(Duration::from_millis(ms)));
        let bench = Witness { stamps, floor, ..witness() };
        let decided = |samples: Distribution| {
            let mut findings = Findings::new();
            findings.measured("T-ONE", samples);
            decide_one(&catalogue, "T-ONE", &bench, &findings)
        };
        // Both ends are uncertain by 2 ms; 5 ms are allowed.
        assert_eq!(
            [0.5, 1.5, 4.0, 8.5, 9.5].map(|ms| decided(samples(ms)).verdict),
            [
                Verdict::Pass,
                Verdict::Inconclusive,
                Verdict::Inconclusive,
                Verdict::Inconclusive,
                Verdict::Fail
            ]
        );
        let shown = decided(samples(0.5));
        assert_eq!(shown.uncertainty.map(|amount| amount.value), Some(4.0));
        assert_eq!(shown.floor, Some(Amount::from(Duration::from_millis(1))), "shown");
        let Some(Measured::Distribution(figures)) = shown.measured else { panic!("no figures") };
        assert_eq!(figures.max, 1.0, "and not subtracted");
        // What an instrument saw by its own clock is as good as that.
        let seen = samples(4.999).uncertain_by(Duration::from_nanos(8)).expect("a size");
        let decided = decided(seen);
        assert_eq!((decided.verdict, decided.floor), (Verdict::Pass, None));
        let kept = samples(1.0).uncertain_by(Duration::from_nanos(8)).expect("a size");
        assert_eq!(bench.trusts(&kept), kept);
        let count = Distribution::new(Unit::Count, [3.0]).expect("samples");
        assert_eq!(bench.trusts(&count), count, "no time");
    }

    /// By a host that was to hold it up for 10 ms at most.
    fn held_up(longest_ms: u64) -> HostDelay {
        let [promised, longest] = [10, longest_ms].map(Duration::from_millis);
        HostDelay { promised, longest }
    }

    #[test]
    fn nothing_fails_that_a_slow_host_may_have_spoilt() {
        let catalogue = Catalogue::parse(CATALOGUE, "toy.toml").expect("valid");
        let decides = ["T-TWO".to_owned()];
        let decided = |outcome: &Outcome, longest_ms| {
            let witness = Witness { host: Some(held_up(longest_ms)), ..witness() };
            decide(&catalogue, &decides, &witness, outcome).remove(0).1
        };
        let found = |holds| {
            let mut findings = Findings::new();
            findings.observed("T-TWO", holds, "5 of 60 frames");
            Ok(findings)
        };
        let gave_up = Err(ProductError("no answer".into()).into());
        for outcome in [found(false), gave_up] {
            assert_eq!(decided(&outcome, 10).verdict, Verdict::Fail, "the host had its time");
            let excused = decided(&outcome, 134);
            assert_eq!(excused.verdict, Verdict::Inconclusive);
            let reason = excused.reason.expect("a reason");
            assert!(reason.contains("held the device up for 134 ms, and only up to 10 ms"), "{reason}");
        }
        assert_eq!(decided(&found(true), 134).verdict, Verdict::Pass, "it came through all the same");
        // A figure that misses its limit by far still misses it by as much as the host is to blame for.
        let mut slow = Findings::new();
        slow.measured("T-ONE", samples(100.0));
        let witness = Witness { host: Some(held_up(20)), ..witness() };
        let decided = decide(&catalogue, &["T-ONE".to_owned()], &witness, &Ok(slow)).remove(0).1;
        assert_eq!(decided.verdict, Verdict::Inconclusive);
    }

    #[test]
    fn words_are_not_joined_to_words() {
        let catalogue = Catalogue::parse(CATALOGUE, "toy.toml").expect("valid");
        let witness = witness();
        let mut findings = Findings::new();
        findings.observed("T-TWO", false, "the first was late").observed("T-TWO", false, "all were late");
        let decision = decide_one(&catalogue, "T-TWO", &witness, &findings);
        assert_eq!(decision.verdict, Verdict::Fail);
        assert_eq!(decision.reason.as_deref(), Some("all were late"));
    }

    #[test]
    fn the_budget_decides_and_the_worst_finding_counts() {
        let mut findings = Findings::new();
        findings.measured("T-ONE", samples(5.0)).observed("T-TWO", true, "seen");
        assert_eq!(verdicts(&["T-ONE", "T-TWO"], Ok(findings.clone())), [Verdict::Pass, Verdict::Pass]);
        findings.measured("T-ONE", samples(5.1));
        assert_eq!(verdicts(&["T-ONE", "T-TWO"], Ok(findings)), [Verdict::Fail, Verdict::Pass]);
    }

    #[test]
    fn a_case_that_does_not_keep_its_word_is_a_harness_bug() {
        let mut findings = Findings::new();
        findings.observed("T-TWO", true, "seen");
        let silent = verdicts(&["T-ONE", "T-TWO"], Ok(findings.clone()));
        assert_eq!(silent, [Verdict::HarnessBug, Verdict::Pass]);
        assert_eq!(verdicts(&["T-ONE"], Ok(findings)), [Verdict::HarnessBug], "a stray finding");
        let mut figures = Findings::new();
        figures.measured("T-TWO", samples(1.0));
        assert_eq!(verdicts(&["T-TWO"], Ok(figures)), [Verdict::HarnessBug], "no budget to judge by");
        let mut words = Findings::new();
        words.observed("T-ONE", true, "fast enough");
        assert_eq!(
            verdicts(&["T-ONE"], Ok(words.clone())),
            [Verdict::HarnessBug],
            "the budget was not asked"
        );
        words.measured("T-ONE", samples(1.0));
        assert_eq!(verdicts(&["T-ONE"], Ok(words)), [Verdict::Pass], "words beside figures");
        let mut words = Findings::new();
        words.observed("T-ONE", false, "it never came");
        assert_eq!(verdicts(&["T-ONE"], Ok(words)), [Verdict::Fail], "there may be nothing to measure");
    }

    #[test]
    fn blame_falls_on_every_requirement_of_the_case() {
        let outcome = Err(ProductError("it fell over".into()).into());
        assert_eq!(verdicts(&["T-ONE", "T-TWO"], outcome), [Verdict::Fail, Verdict::Fail]);
    }
}
