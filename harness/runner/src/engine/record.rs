//! From trials to the record of the run.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant as WallInstant};

use chrono::{DateTime, SecondsFormat, Utc};
use rigor_core::Fidelity;
use rigor_core::qualification::Qualification;
use rigor_core::requirement::RequirementId;
use rigor_core::result::{
    CaseResult, Decision, NotRun, RequirementResult, RigUsed, Run, RunResult, SourcePlace,
};
use rigor_core::verdict::Verdict;
use rigor_rigs::RigFile;

use super::environment::{Choice, Environment};
use super::firmware::Firmwares;
use super::plan::{Plan, Seat};
use crate::trial::Trial;

/// System, case and rig.
pub(super) type Key = (String, String, String);

/// The trials that took place.
pub(super) type Records = BTreeMap<Key, Trial>;

/// The beginning of a run.
pub struct Begun {
    /// Name of the run, unique on this machine.
    pub id: String,
    at: DateTime<Utc>,
    wall: WallInstant,
}

impl Begun {
    /// A run that begins now.
    pub fn now() -> Self {
        let at = Utc::now();
        let id = format!("{}-{}", at.format("%Y%m%dT%H%M%SZ"), std::process::id());
        Begun { id, at, wall: WallInstant::now() }
    }

    /// When that was: RFC 3339.
    pub fn started(&self) -> String {
        self.at.to_rfc3339_opts(SecondsFormat::Millis, true)
    }

    /// Milliseconds since then.
    pub fn wall_ms(&self) -> u64 {
        millis(self.wall.elapsed())
    }
}

/// Why a case was not run that could have been.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum LeftOut {
    /// It was not among those that were chosen.
    #[default]
    ByFilter,
    /// It is a [long](crate::case::Case::long) one, and only short ones were wanted.
    AsLong,
    /// Somebody ended the run before its turn.
    ByInterrupt,
}

impl LeftOut {
    fn reason(self) -> &'static str {
        match self {
            LeftOut::ByFilter => "the filter left it out",
            LeftOut::AsLong => "it takes long, and `--short` leaves such cases out",
            LeftOut::ByInterrupt => "the run was interrupted before its turn",
        }
    }

    fn not_run(self) -> NotRun {
        match self {
            LeftOut::ByFilter | LeftOut::AsLong => NotRun::NotSelected,
            LeftOut::ByInterrupt => NotRun::Interrupted,
        }
    }
}

/// The result of the run: every requirement of every suite, decided or not.
/// `short` if only short cases were wanted; `given_up` are those whose turn never came.
pub(super) fn assemble(
    plan: &Plan,
    records: &Records,
    given_up: &BTreeSet<Key>,
    begun: &Begun,
    short: bool,
) -> RunResult {
    let Plan { environment, catalogues, limits, seats } = plan;
    let mut cases = Vec::new();
    let mut decisions: BTreeMap<(&str, &str), Vec<Decision>> = BTreeMap::new();
    let mut rigs = Vec::new();
    let mut firmwares = Firmwares::default();
    for seat in seats {
        let system = seat.catalogue.system.as_str();
        let rig = &seat.setup.rig;
        let trial = records.get(&key(seat));
        let left_out = match () {
            () if given_up.contains(&key(seat)) => LeftOut::ByInterrupt,
            () if short && seat.case.is_long() => LeftOut::AsLong,
            () => LeftOut::ByFilter,
        };
        if let Some(trial) = trial {
            rigs.push(RigUsed {
                name: rig.name.clone(),
                back_end: rig.back_end.name().to_owned(),
                fidelity: fidelity(seats, records, rig),
                qualification: qualified(seats, records, &rig.name),
            });
            firmwares.add(seat, trial);
        }
        for id in seat.case.decides() {
            let decision = match trial {
                Some(trial) => trial
                    .decisions
                    .iter()
                    .find(|(decided, _)| decided == id)
                    .map(|(_, decision)| decision.clone()),
                None => Some(Decision::not_run(
                    seat.case.name(),
                    &rig.name,
                    rig.fidelity(),
                    left_out.not_run(),
                    left_out.reason(),
                )),
            };
            decisions.entry((system, id)).or_default().extend(decision);
        }
        cases.push(case_result(seat, environment, trial, left_out));
    }
    let requirements = catalogues
        .iter()
        .flat_map(|catalogue| catalogue.requirements.iter().map(move |requirement| (catalogue, requirement)))
        .map(|(catalogue, requirement)| {
            let found = decisions.get(&(catalogue.system.as_str(), requirement.id.as_str()));
            RequirementResult::combine(&catalogue.system, requirement, found.map_or(&[], Vec::as_slice))
        })
        .collect();
    let run = Run {
        id: begun.id.clone(),
        started: begun.started(),
        wall_ms: begun.wall_ms(),
        seed: environment.seed,
        args: std::env::args().skip(1).collect(),
    };
    RunResult::new(run, rigs, firmwares.with_limits(limits), requirements, cases)
}

/// What the clock of `rig` was worth: a bench whose device is simulated says so only when it is taken.
fn fidelity(seats: &[Seat], records: &Records, rig: &RigFile) -> Fidelity {
    let own = seats.iter().filter(|seat| seat.setup.rig.name == rig.name);
    let decisions = own.filter_map(|seat| records.get(&key(seat))).flat_map(|trial| &trial.decisions);
    let mut tried = decisions.filter(|(_, decision)| decision.verdict != Verdict::NotRun);
    tried.next().map_or_else(|| rig.fidelity(), |(_, decision)| decision.fidelity)
}

/// What the rig of this name has found out of itself, at worst: before the first case and before each.
fn qualified(seats: &[Seat], records: &Records, rig: &str) -> Option<Qualification> {
    let own = seats.iter().filter(|seat| seat.setup.rig.name == rig);
    let found = own.flat_map(|seat| {
        let proof = seat.setup.proof.get().filter(|proof| **proof != Qualification::default());
        let trial = records.get(&key(seat)).and_then(|trial| trial.qualification.as_ref());
        proof.into_iter().chain(trial)
    });
    found.cloned().reduce(Qualification::worst_of)
}

/// What a trial of `seat` is recorded under.
pub(super) fn key(seat: &Seat) -> Key {
    (seat.catalogue.system.clone(), seat.case.name().to_owned(), seat.setup.rig.name.clone())
}

fn case_result(
    seat: &Seat,
    environment: &Environment,
    trial: Option<&Trial>,
    left_out: LeftOut,
) -> CaseResult {
    let verdict = trial.map_or(Verdict::NotRun, Trial::verdict);
    let not_run = match trial {
        None => Some(left_out.not_run()),
        Some(trial) => {
            let cause = trial.decisions.iter().find_map(|(_, decision)| decision.not_run);
            cause.filter(|_| verdict == Verdict::NotRun)
        }
    };
    let reason = trial.map_or(Some(left_out.reason()), Trial::reason).filter(|_| verdict != Verdict::Pass);
    CaseResult {
        name: seat.case.name().to_owned(),
        system: seat.catalogue.system.clone(),
        rig: Some(seat.setup.rig.name.clone()),
        seed: seat.setup.seed,
        // The cross-check has found every one of them in the catalogue.
        requirements: seat.case.decides().iter().filter_map(|id| RequirementId::new(id).ok()).collect(),
        verdict,
        not_run,
        reason: reason.map(str::to_owned),
        rig_time_ns: trial.map_or(0, |trial| rigor_core::time::nanos(trial.rig_time)),
        wall_ms: trial.map_or(0, |trial| millis(trial.wall_time)),
        retries: trial.map_or(0, |trial| trial.retries),
        recoveries: trial.map_or_else(Vec::new, |trial| trial.recoveries.clone()),
        log_tail: trial.map_or_else(Vec::new, |trial| trial.log_tail.clone()),
        backtrace: trial.map_or_else(Vec::new, |trial| trial.backtrace.clone()),
        repeat: trial.map(|_| {
            if let Some(repeat) = &environment.repeat {
                return format!("{repeat} {}", seat.case.name());
            }
            let set = |name: &str, choice: &Option<Choice>| {
                choice.as_ref().map_or_else(String::new, |choice| format!("{name}='{}' ", choice.text))
            };
            let rig = set("RIGOR_RIG", &environment.rig);
            let fault = set("RIGOR_FAULT", &environment.fault);
            format!(
                "{rig}{fault}RIGOR_SEED={} cargo test --test hil -- --exact '{}'",
                seat.setup.seed, seat.full_name
            )
        }),
        source: Some(SourcePlace {
            file: seat.case.added_at().file().to_owned(),
            line: seat.case.added_at().line(),
        }),
        evidence: trial.and_then(|trial| trial.evidence.clone()),
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
