//! What a run could do: every case on every rig that holds its device.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use rigor_core::requirement::Catalogue;
use rigor_core::result::{Memory, MemoryLimit};
use rigor_reports::visible;
use rigor_rigs::file::BackEnd;
use rigor_rigs::{Firmwares, Recordings, RigFile};

use super::Complaints;
use super::environment::Environment;
use crate::account::Accounts;
use crate::case::Case;
use crate::evidence::{Shelf, Wanted};
use crate::progress::Onlooker;
use crate::suggest;
use crate::suite::Suite;
use crate::trial::Setup;

/// A case with the rig that it would run on.
#[derive(Clone)]
pub struct Seat {
    pub(super) catalogue: Arc<Catalogue>,
    pub(super) case: Arc<Case>,
    pub(super) setup: Arc<Setup>,
    pub(super) full_name: String,
}

impl Seat {
    /// The requirements of its system.
    pub fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }

    /// The case.
    pub fn case(&self) -> &Case {
        &self.case
    }

    /// The rig, with the name that the record has for it.
    pub fn rig(&self) -> &RigFile {
        &self.setup.rig
    }

    /// The firmware that virtual boards are handed.
    pub(super) fn firmwares(&self) -> &Firmwares {
        &self.setup.firmwares
    }

    /// The case's full name; if the plan has several rigs, followed by `@` and the rig's.
    pub fn full_name(&self) -> &str {
        &self.full_name
    }
}

/// What all trials of a run have in common, besides the choices.
#[derive(Clone, Default)]
pub struct Setting {
    /// The firmware of virtual boards.
    pub firmwares: Firmwares,
    /// Where trials are recorded, if they are.
    pub recordings: Option<Arc<Recordings>>,
    /// Where files of evidence go, if any are left.
    pub shelf: Option<Arc<Shelf>>,
    /// Where trials leave their accounts, if they do.
    pub accounts: Option<Arc<Accounts>>,
    /// Who looks on while long cases run, if anybody does.
    pub onlooker: Option<Onlooker>,
    /// Set when somebody wants the end of the run.
    pub ending: Arc<AtomicBool>,
}

/// What a run could do: every case of every suite on every rig that holds its device.
pub struct Plan {
    pub(super) environment: Environment,
    pub(super) catalogues: Vec<Arc<Catalogue>>,
    /// What firmware may take of memories, by system.
    pub(super) limits: BTreeMap<String, BTreeMap<Memory, MemoryLimit>>,
    pub(super) seats: Vec<Seat>,
}

impl Plan {
    /// Puts suites and rigs together. Touches no rig.
    ///
    /// # Errors
    /// Everything that does not fit together.
    pub fn new(environment: Environment, suites: Vec<Suite>, setting: &Setting) -> Result<Self, Complaints> {
        let (plan, complaints) = plan(environment, suites, setting);
        if complaints.is_empty() { Ok(plan) } else { Err(Complaints(complaints)) }
    }

    /// What was chosen.
    pub fn environment(&self) -> &Environment {
        &self.environment
    }

    /// The requirements of every suite.
    pub fn catalogues(&self) -> &[Arc<Catalogue>] {
        &self.catalogues
    }

    /// Every case on every rig.
    pub fn seats(&self) -> &[Seat] {
        &self.seats
    }
}

/// Every case of every suite on every rig that holds its device, and what does not fit together.
fn plan(environment: Environment, suites: Vec<Suite>, setting: &Setting) -> (Plan, Vec<String>) {
    let several_rigs = environment.rigs.len() > 1;
    let systems: Vec<&str> = suites.iter().map(Suite::system).collect();
    // Left alone, it would be a rig on which nothing runs and of which nobody hears.
    let mut complaints: Vec<String> = environment
        .rigs
        .iter()
        .filter(|rig| !systems.contains(&rig.dut.as_str()))
        .map(|rig| {
            format!("{}: no suite is for `{}`; write a `dut` of: {}", rig.path, rig.dut, systems.join(", "))
        })
        .collect();
    let mut broken = false;
    let mut known_faults = Vec::new();
    for rig in environment.rigs.iter().filter(|rig| matches!(rig.back_end, BackEnd::Replay(_))) {
        if setting.recordings.is_some() {
            let what = "a replay is not recorded; leave out `--record`, or choose another rig";
            complaints.push(format!("{}: {what}", rig.path));
        }
        if let Some(fault) = &environment.fault {
            let what = format!("a recording cannot be broken; leave out {}, or choose another rig", fault.by);
            complaints.push(format!("{}: {what}", rig.path));
        }
    }
    let mut catalogues = Vec::new();
    let mut limits = BTreeMap::new();
    let mut seats = Vec::new();
    for suite in suites {
        match suite.limits() {
            Ok(of_system) => drop(limits.insert(suite.system().to_owned(), of_system)),
            Err(wrong) => complaints.extend(wrong),
        }
        let decided = suite.cases().iter().map(|case| (case.name(), case.decides()));
        if let Err(errors) = suite.catalogue().cross_check(decided) {
            complaints.extend(errors.iter().map(ToString::to_string));
        }
        let mut names: Vec<&str> = suite.cases().iter().map(Case::name).collect();
        names.sort_unstable();
        if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            complaints.push(format!(
                "suite {}: two cases are called `{}`; rename one",
                suite.system(),
                twice[0]
            ));
        }
        let wanted = environment.fault.as_ref().map(|fault| fault.text.as_str());
        known_faults.extend(suite.faults().faults.iter().map(|fault| fault.name.clone()));
        let fault = suite.faults().faults.iter().find(|fault| Some(fault.name.as_str()) == wanted).cloned();
        broken |= fault.is_some();
        let evidence = Wanted { words: suite.words, shelf: setting.shelf.clone() };
        let (catalogue, cases) = suite.into_parts();
        for rig in environment.rigs.iter().filter(|rig| rig.dut == catalogue.system) {
            let mut rig = rig.clone();
            if let Some(fault) = &fault {
                // Nobody may take the record for that of a rig that is well.
                rig.name = format!("{}+{}", rig.name, fault.name);
            }
            // A recording has the seed that it was made with.
            let seed = rig.recorded().map_or(environment.seed, |recorded| recorded.seed);
            let setup = Arc::new(Setup {
                fault: fault.as_ref().map(|fault| fault.model.clone()),
                evidence: Some(evidence.clone()),
                recordings: setting.recordings.clone(),
                accounts: setting.accounts.clone(),
                onlooker: setting.onlooker.clone(),
                ending: setting.ending.clone(),
                ..Setup::new(rig, setting.firmwares.clone(), seed)
            });
            seats.extend(cases.iter().map(|case| {
                let name = case.full_name(&catalogue.system);
                let full_name = if several_rigs { format!("{name}@{}", setup.rig.name) } else { name };
                Seat { catalogue: catalogue.clone(), case: case.clone(), setup: setup.clone(), full_name }
            }));
        }
        catalogues.push(catalogue);
    }
    if let Some(fault) = environment.fault.as_ref().filter(|_| !broken) {
        let remedy = suggest::remedy(
            &fault.text,
            &known_faults,
            "those that there are stand in suites/<system>/faults.toml",
        );
        complaints.push(format!("{}: no suite has a fault `{}`; {remedy}", fault.by, visible(&fault.text)));
    }
    (Plan { environment, catalogues, limits, seats }, complaints)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::case::Findings;

    const CATALOGUE: &str = r#"
schema = 1
system = "toy"
title = "Toy"

[[requirement]]
id = "T-ONE"
title = "it works"
clause = "1"
text = "It works."
class = "must"
"#;

    fn plan_for(duts: &[&str], cases: &[(&'static str, &'static str)]) -> (Plan, Vec<String>) {
        let rig = |(index, dut): (usize, &&str)| {
            let text = format!("schema = 1\nname = \"rig-{index}\"\ndut = \"{dut}\"\nback_end = \"virtual\"");
            RigFile::parse("desk.toml", &text).expect("a valid rig file")
        };
        let rigs = duts.iter().enumerate().map(rig).collect();
        let environment =
            Environment { rig: None, rigs, seed: 1, out: PathBuf::new(), fault: None, repeat: None };
        let mut suite = Suite::new(Catalogue::parse(CATALOGUE, "toy.toml").expect("a valid catalogue"));
        for (name, id) in cases {
            suite.case(*name, &[id], || async { Ok(Findings::new()) });
        }
        plan(environment, vec![suite], &Setting::default())
    }

    #[test]
    fn every_case_has_a_seat_on_every_rig_of_its_device() {
        let (planned, complaints) =
            plan_for(&["toy", "toy"], &[("works", "T-ONE"), ("works_still", "T-ONE")]);
        assert_eq!(complaints, [""; 0]);
        let names: Vec<String> = planned.seats.iter().map(|seat| seat.full_name().to_owned()).collect();
        let expected = [
            "toy::T-ONE::works@rig-0",
            "toy::T-ONE::works_still@rig-0",
            "toy::T-ONE::works@rig-1",
            "toy::T-ONE::works_still@rig-1",
        ];
        assert_eq!(names, expected);
    }

    #[test]
    fn a_limit_has_to_be_one() {
        let limited = |budget: &str, id: &str| {
            let text = format!("{CATALOGUE}{budget}");
            let suite = Suite::new(Catalogue::parse(&text, "toy.toml").expect("a valid catalogue"))
                .with_limit(Memory::Flash, id);
            suite.limits().map(|limits| limits.get(&Memory::Flash).map(|limit| limit.bytes))
        };
        let budget = "budget = { quantity = \"size\", unit = \"bytes\", bound = \"max\", at_most = 1024 }";
        assert_eq!(limited(budget, "T-ONE"), Ok(Some(1024)));
        let complaint =
            "toy.toml: `T-TWO` sets no upper limit in bytes for the flash; name a requirement that does";
        assert_eq!(limited(budget, "T-TWO"), Err(vec![complaint.to_owned()]));
        assert!(limited("", "T-ONE").is_err());
    }

    #[test]
    fn what_would_run_nothing_or_run_unseen_is_complained_of() {
        let complaint =
            |duts: &[&str], cases: &[(&'static str, &'static str)]| plan_for(duts, cases).1.join("\n");
        let works = ("works", "T-ONE");
        let told = complaint(&["toy", "tyo"], &[works]);
        assert_eq!(told, "desk.toml: no suite is for `tyo`; write a `dut` of: toy");
        let told = complaint(&["toy"], &[works, works]);
        assert!(told.contains("two cases are called `works`"), "{told}");
        let told = complaint(&["toy"], &[("works", "T-TWO")]);
        assert!(told.contains("no case decides `T-ONE`") && told.contains("`T-TWO`"), "{told}");
    }
}
