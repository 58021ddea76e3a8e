//! The kill matrix: which requirement turns red under which fault. The contents of
//! `target/rigor/<run>/faults.json`.
//!
//! A suite proves itself by faults that it notices. Each fault is *claimed* by requirements that
//! must turn red; each `must` requirement that the rig can decide must turn red under at least one
//! fault. What is amiss has three names: a **survivor** is a fault that turns nothing red, a
//! **broken claim** a requirement that stays green under a fault that claims it, and an
//! **unproven** requirement a `must` that no fault turns red.
//!
//! The family `rig` is the other way about: the bench is broken, and the requirements that claim such a
//! fault must *not* turn red but come to a rig fault, a harness bug or an undecided verdict, whichever
//! it [wants](Tried::wanted).

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::requirement::{Class, RequirementId};
use crate::result::{EXIT_HARNESS, EXIT_OK, EXIT_PRODUCT};
use crate::verdict::Verdict;

/// The version of the format. It grows with every change.
pub const SCHEMA_VERSION: u32 = 2;

/// Everything that one run over faults has to say.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultsResult {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// Name of the run's folder.
    pub id: String,
    /// When it began: RFC 3339, as the caller's clock tells.
    pub started: String,
    /// How long it took by the host's clock, in milliseconds.
    pub wall_ms: u64,
    /// Seed of every rig.
    pub seed: u64,
    /// The kill matrix of each system.
    pub systems: Vec<KillMatrix>,
    /// What the process exits with: the loudest of the systems' [`KillMatrix::exit_code`].
    pub exit_code: u8,
}

/// What faults did to the requirements of one system.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KillMatrix {
    /// The system under test.
    pub system: String,
    /// The rig.
    pub rig: String,
    /// Every requirement that a case decides, in the order of the catalogue.
    pub subjects: Vec<Subject>,
    /// Every fault that was tried, in the order of its list.
    pub faults: Vec<Tried>,
    /// Whether every fault of the list was tried; if not, no requirement counts as unproven.
    pub complete: bool,
}

/// A requirement that faults are to turn red.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subject {
    /// Its id in the catalogue.
    pub id: RequirementId,
    /// Its title.
    pub title: String,
    /// Whether it gates.
    pub class: Class,
    /// Its verdict without any fault. Only what passes can turn red. `not-run` where only long
    /// cases decide it and no fault that was tried claims it.
    pub without_fault: Verdict,
}

/// What one fault did.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tried {
    /// Its name in the list of faults.
    pub name: String,
    /// `board`, `link`, `firmware` or `rig`.
    pub family: String,
    /// What the requirements that claim it must come to: a failure, unless it is the bench that is
    /// broken.
    pub wanted: Verdict,
    /// What it models, in a sentence.
    pub models: String,
    /// The requirements that must come to it.
    pub claimed_by: Vec<RequirementId>,
    /// How many cases were held against it.
    pub cases: u32,
    /// How many of them needed no run of their own, because their run without a fault never comes by
    /// the place of this one.
    pub repeated: u32,
    /// What the requirements came to that did not pass, by id, and which were green without the
    /// fault.
    pub found: BTreeMap<RequirementId, Found>,
    /// How long it took by the host's clock, in milliseconds, summed over those of its cases that ran.
    pub wall_ms: u64,
}

/// What a requirement came to under a fault.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Found {
    /// Its verdict, the worst of its cases'.
    pub verdict: Verdict,
    /// The case that gave it.
    pub case: String,
    /// What the case said.
    pub reason: String,
}

impl Tried {
    /// The requirements that noticed: those that came to what is [wanted](Self::wanted). Under a fault of
    /// the device they turned red.
    pub fn noticed(&self) -> impl Iterator<Item = &RequirementId> {
        self.found.iter().filter(|(_, found)| found.verdict == self.wanted).map(|(id, _)| id)
    }

    /// Whether requirement `id` noticed.
    pub fn is_noticed_by(&self, id: &RequirementId) -> bool {
        self.found.get(id).is_some_and(|found| found.verdict == self.wanted)
    }

    /// The requirements that turned red: the device was found wrong.
    pub fn red(&self) -> impl Iterator<Item = &RequirementId> {
        self.found.iter().filter(|(_, found)| found.verdict == Verdict::Fail).map(|(id, _)| id)
    }

    /// Claims that were not kept: requirements that should have noticed and did not.
    pub fn broken_claims(&self) -> impl Iterator<Item = &RequirementId> {
        self.claimed_by.iter().filter(|id| !self.is_noticed_by(id))
    }

    /// Whether nothing noticed it.
    pub fn survived(&self) -> bool {
        self.noticed().next().is_none()
    }

    /// Where blame fell on somebody else: a fault of the device that came out as a defect of the harness
    /// or the rig, or a fault of the rig that came out as a failure of the device.
    pub fn troubles(&self) -> impl Iterator<Item = (&RequirementId, &Found)> {
        let somebody = [Verdict::Fail, Verdict::HarnessBug, Verdict::RigFault];
        self.found
            .iter()
            .filter(move |(_, found)| found.verdict != self.wanted && somebody.contains(&found.verdict))
    }
}

impl FaultsResult {
    /// The result of a run, with its exit code.
    pub fn new(id: String, started: String, wall_ms: u64, seed: u64, systems: Vec<KillMatrix>) -> Self {
        let exit_code = match systems.iter().map(KillMatrix::exit_code).max() {
            Some(code) => code,
            None => EXIT_HARNESS,
        };
        FaultsResult { schema_version: SCHEMA_VERSION, id, started, wall_ms, seed, systems, exit_code }
    }

    /// The file's text.
    ///
    /// # Errors
    /// [`serde_json::Error`] never in practice: every key is a string.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string_pretty(self).map(|text| text + "\n")
    }
}

impl KillMatrix {
    /// The faults that nothing noticed.
    pub fn survivors(&self) -> impl Iterator<Item = &Tried> {
        self.faults.iter().filter(|fault| fault.survived())
    }

    /// The faults of the device and of the link to it. One of the rig that blames the device proves
    /// nothing.
    fn of_the_device(&self) -> impl Iterator<Item = &Tried> {
        self.faults.iter().filter(|fault| fault.wanted == Verdict::Fail)
    }

    /// `must` requirements that no fault turned red; none unless every fault was tried.
    pub fn unproven(&self) -> Vec<&Subject> {
        let red: BTreeSet<&RequirementId> = self.of_the_device().flat_map(Tried::red).collect();
        self.subjects
            .iter()
            .filter(|subject| self.complete && subject.class == Class::Must && !red.contains(&subject.id))
            .collect()
    }

    /// `must` requirements that turned red only by the way, under faults that they do not claim;
    /// none unless every fault was tried. They are proven, but nobody has said by what.
    pub fn unclaimed(&self) -> Vec<&Subject> {
        let claimed: BTreeSet<&RequirementId> = self
            .of_the_device()
            .flat_map(|fault| fault.claimed_by.iter().filter(|id| fault.is_noticed_by(id)))
            .collect();
        let red: BTreeSet<&RequirementId> = self.of_the_device().flat_map(Tried::red).collect();
        self.subjects
            .iter()
            .filter(|subject| self.complete && subject.class == Class::Must)
            .filter(|subject| red.contains(&subject.id) && !claimed.contains(&subject.id))
            .collect()
    }

    /// The exit code of the run: [`EXIT_OK`] if the proof is whole; [`EXIT_PRODUCT`] for survivors,
    /// broken claims, unproven requirements and a `must` that fails without a fault;
    /// [`EXIT_HARNESS`] if the harness or the rig failed, or nothing was tried.
    pub fn exit_code(&self) -> u8 {
        let trouble = self.faults.iter().any(|fault| fault.troubles().next().is_some());
        if trouble || self.faults.is_empty() {
            return EXIT_HARNESS;
        }
        let sick = |subject: &Subject| subject.class == Class::Must && subject.without_fault == Verdict::Fail;
        let whole = self.survivors().next().is_none()
            && self.faults.iter().all(|fault| fault.broken_claims().next().is_none())
            && self.unproven().is_empty()
            && !self.subjects.iter().any(sick);
        if whole { EXIT_OK } else { EXIT_PRODUCT }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> RequirementId {
        RequirementId::new(text).expect("a valid id")
    }

    fn subject(name: &str, class: Class) -> Subject {
        Subject { id: id(name), title: name.to_owned(), class, without_fault: Verdict::Pass }
    }

    fn fault(name: &str, claims: &[&str], found: &[(&str, Verdict)]) -> Tried {
        let found = found.iter().map(|(name, verdict)| {
            (id(name), Found { verdict: *verdict, case: "case".into(), reason: "seen".into() })
        });
        Tried {
            name: name.into(),
            family: "board".into(),
            wanted: Verdict::Fail,
            models: "Something breaks.".into(),
            claimed_by: claims.iter().map(|name| id(name)).collect(),
            cases: 1,
            repeated: 0,
            found: found.collect(),
            wall_ms: 1,
        }
    }

    fn matrix(faults: Vec<Tried>) -> KillMatrix {
        KillMatrix {
            system: "toy".into(),
            rig: "desk".into(),
            subjects: vec![subject("T-ONE", Class::Must), subject("T-TWO", Class::Should)],
            faults,
            complete: true,
        }
    }

    #[test]
    fn a_whole_proof_needs_every_must_red_and_every_claim_kept() {
        let kept = fault("kept", &["T-ONE"], &[("T-ONE", Verdict::Fail)]);
        assert_eq!(matrix(vec![kept.clone()]).exit_code(), EXIT_OK, "a `should` need not be proven");
        let survivor = fault("survivor", &["T-TWO"], &[]);
        let proof = matrix(vec![kept.clone(), survivor]);
        assert_eq!(proof.survivors().count(), 1);
        assert_eq!(proof.exit_code(), EXIT_PRODUCT);
        let broken = fault("broken", &["T-ONE", "T-TWO"], &[("T-TWO", Verdict::Fail)]);
        assert_eq!(broken.broken_claims().map(RequirementId::as_str).collect::<Vec<_>>(), ["T-ONE"]);
        assert!(!broken.survived());
        assert_eq!(matrix(vec![kept, broken.clone()]).exit_code(), EXIT_PRODUCT);
        let unproven = matrix(vec![broken]);
        assert_eq!(unproven.unproven().len(), 1);
        let by_the_way = matrix(vec![fault("other", &["T-TWO"], &[("T-ONE", Verdict::Fail)])]);
        assert!(by_the_way.unproven().is_empty());
        assert_eq!(by_the_way.unclaimed().len(), 1);
    }

    #[test]
    fn an_undecided_requirement_is_not_a_kill() {
        let vague = fault("vague", &["T-ONE"], &[("T-ONE", Verdict::Inconclusive)]);
        assert!(vague.survived());
        assert_eq!(matrix(vec![vague]).exit_code(), EXIT_PRODUCT);
    }

    #[test]
    fn a_failure_of_the_harness_is_the_loudest_and_so_is_an_empty_matrix() {
        let kept = fault("kept", &["T-ONE"], &[("T-ONE", Verdict::Fail)]);
        let sick = fault("sick", &["T-ONE"], &[("T-ONE", Verdict::Fail), ("T-TWO", Verdict::HarnessBug)]);
        assert_eq!(matrix(vec![kept, sick]).exit_code(), EXIT_HARNESS);
        assert_eq!(matrix(Vec::new()).exit_code(), EXIT_HARNESS);
    }

    #[test]
    fn a_fault_of_the_rig_must_not_be_blamed_on_the_device() {
        let of_the_rig = |found: &[(&str, Verdict)]| Tried {
            family: "rig".into(),
            wanted: Verdict::RigFault,
            ..fault("unplugged", &["T-ONE"], found)
        };
        let kept = fault("kept", &["T-ONE"], &[("T-ONE", Verdict::Fail)]);
        let noticed = of_the_rig(&[("T-ONE", Verdict::RigFault), ("T-TWO", Verdict::Inconclusive)]);
        assert_eq!(matrix(vec![kept.clone(), noticed.clone()]).exit_code(), EXIT_OK);
        assert_eq!(matrix(vec![noticed]).exit_code(), EXIT_PRODUCT, "it proves no `must`");
        let blamed = of_the_rig(&[("T-ONE", Verdict::RigFault), ("T-TWO", Verdict::Fail)]);
        assert_eq!(blamed.troubles().count(), 1);
        assert_eq!(matrix(vec![kept.clone(), blamed]).exit_code(), EXIT_HARNESS);
        let unnoticed = of_the_rig(&[]);
        assert!(unnoticed.survived() && unnoticed.broken_claims().count() == 1);
        assert_eq!(matrix(vec![kept, unnoticed]).exit_code(), EXIT_PRODUCT);
    }

    #[test]
    fn a_choice_of_faults_leaves_no_requirement_unproven() {
        let mut some = matrix(vec![fault("kept", &["T-TWO"], &[("T-TWO", Verdict::Fail)])]);
        assert_eq!(some.exit_code(), EXIT_PRODUCT);
        some.complete = false;
        assert_eq!(some.exit_code(), EXIT_OK);
    }
}
