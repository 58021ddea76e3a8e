//! A suite against faults: every case on a rig with one thing wrong with it.
//!
//! Cases and faults are independent of each other, so the work is a list of pairs that any number
//! of threads share. The result is a [`KillMatrix`].

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rigor_core::kill::{Found, KillMatrix, Subject, Tried};
use rigor_core::requirement::{Catalogue, Requirement, RequirementId};
use rigor_core::verdict::Verdict;
use rigor_rigs::fault::Fault;
use rigor_rigs::{Firmwares, RigFile};

use crate::case::Case;
use crate::trial::{self, Setup, Trial};

/// Wall-clock time of a trial before the device is interrupted. Shorter than without a fault: some
/// defects make a firmware spin.
const WALL_TIME: Duration = Duration::from_secs(20);

/// What a campaign needs to know.
pub struct Campaign {
    /// The requirements.
    pub catalogue: Arc<Catalogue>,
    /// The cases that decide them.
    pub cases: Vec<Arc<Case>>,
    /// What is to go wrong, one thing at a time.
    pub faults: Vec<Fault>,
    /// Whether `faults` are all that the suite has.
    pub complete: bool,
    /// The rig.
    pub rig: RigFile,
    /// The firmware of virtual boards.
    pub firmwares: Firmwares,
    /// Seed of every rig.
    pub seed: u64,
    /// Threads that share the work.
    pub jobs: usize,
}

/// A case to run, without a fault or with the one of this index.
struct Pair {
    fault: Option<usize>,
    case: Arc<Case>,
}

/// What is known of one column of the matrix so far.
#[derive(Default)]
struct Column {
    worst: BTreeMap<RequirementId, Found>,
    left: usize,
    cases: u32,
    wall: Duration,
}

impl Campaign {
    /// Runs everything and says what became of it. `told` hears of every fault whose last case has
    /// ended, in any order, with the number of faults that are done.
    pub fn run(&self, told: &(dyn Fn(&Tried, usize) + Sync)) -> KillMatrix {
        let pairs = self.pairs();
        // The first column is the one without a fault.
        let columns: Vec<Mutex<Column>> = (0..=self.faults.len()).map(|_| Mutex::default()).collect();
        for pair in &pairs {
            lock(&columns[column_of(pair)]).left += 1;
        }
        let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..self.jobs.max(1) {
                scope.spawn(|| {
                    while let Some(pair) = pairs.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let trial = self.trial(pair);
                        let mut column = lock(&columns[column_of(pair)]);
                        column.add(pair.case.name(), &trial);
                        if column.left == 0
                            && let Some(index) = pair.fault
                        {
                            told(&self.tried(index, &column), done.fetch_add(1, Ordering::Relaxed) + 1);
                        }
                    }
                });
            }
        });
        let healthy = lock(&columns[0]);
        let faults: Vec<Tried> = (0..self.faults.len())
            .map(|index| self.tried(index, &lock(&columns[index + 1])))
            .map(|tried| only_what_was_green(tried, &healthy))
            .collect();
        KillMatrix {
            system: self.catalogue.system.clone(),
            rig: self.rig.name.clone(),
            subjects: self.subjects(&healthy),
            faults,
            complete: self.complete,
        }
    }

    /// Every short case without a fault and against every fault, and long ones against the faults
    /// that claim them.
    fn pairs(&self) -> Vec<Pair> {
        let mut pairs = Vec::new();
        let short = |case: &&Arc<Case>| !case.is_long();
        // First what takes longest, so that no thread is left with it at the end.
        for (index, fault) in self.faults.iter().enumerate() {
            let claims = |case: &&Arc<Case>| {
                case.is_long()
                    && case.decides().iter().any(|id| fault.claimed_by.iter().any(|by| by.as_str() == id))
            };
            let long = self.cases.iter().filter(claims);
            pairs.extend(long.map(|case| Pair { fault: Some(index), case: case.clone() }));
        }
        for fault in std::iter::once(None).chain((0..self.faults.len()).map(Some)) {
            pairs.extend(self.cases.iter().filter(short).map(|case| Pair { fault, case: case.clone() }));
        }
        pairs
    }

    fn trial(&self, pair: &Pair) -> Trial {
        let setup = Setup {
            wall_time: WALL_TIME,
            fault: pair.fault.map(|index| self.faults[index].model.clone()),
            ..Setup::new(self.rig.clone(), self.firmwares.clone(), self.seed)
        };
        trial::run(&self.catalogue, &pair.case, &Arc::new(setup))
    }

    fn subjects(&self, healthy: &Column) -> Vec<Subject> {
        let deciding = |requirement: &Requirement| -> Vec<&Case> {
            let decides = |case: &Case| case.decides().iter().any(|id| id == requirement.id.as_str());
            self.cases.iter().map(Arc::as_ref).filter(|case| decides(case)).collect()
        };
        self.catalogue
            .requirements
            .iter()
            .map(|requirement| (requirement, deciding(requirement)))
            .filter(|(_, cases)| !cases.is_empty())
            .map(|(requirement, cases)| {
                let tried = cases.iter().any(|case| !case.is_long());
                let without_fault = match healthy.worst.get(&requirement.id) {
                    Some(found) => found.verdict,
                    None if tried => Verdict::Pass,
                    None => Verdict::NotRun,
                };
                Subject {
                    id: requirement.id.clone(),
                    title: requirement.title.clone(),
                    class: requirement.class,
                    without_fault,
                }
            })
            .collect()
    }

    fn tried(&self, index: usize, column: &Column) -> Tried {
        let fault = &self.faults[index];
        Tried {
            name: fault.name.clone(),
            family: fault.model.family().to_owned(),
            wanted: fault.model.verdict(),
            models: fault.models.clone(),
            claimed_by: fault.claimed_by.clone(),
            cases: column.cases,
            found: column.worst.clone(),
            wall_ms: millis(column.wall),
        }
    }
}

/// A requirement that fails on a healthy rig proves nothing under a fault.
fn only_what_was_green(mut tried: Tried, healthy: &Column) -> Tried {
    tried.found.retain(|id, _| !healthy.worst.contains_key(id));
    tried
}

impl Column {
    fn add(&mut self, case: &str, trial: &Trial) {
        self.left -= 1;
        self.cases += 1;
        self.wall += trial.wall_time;
        for (id, decision) in &trial.decisions {
            let Ok(id) = RequirementId::new(id) else { continue };
            if decision.verdict == Verdict::Pass {
                continue;
            }
            let found = Found {
                verdict: decision.verdict,
                case: case.to_owned(),
                reason: decision.reason.clone().unwrap_or_default(),
            };
            // Among equals the first name, so that the order of threads does not show.
            let rank = |found: &Found| (found.verdict, std::cmp::Reverse(found.case.clone()));
            match self.worst.get(&id) {
                Some(known) if rank(known) >= rank(&found) => {}
                _ => {
                    self.worst.insert(id, found);
                }
            }
        }
    }
}

fn column_of(pair: &Pair) -> usize {
    pair.fault.map_or(0, |index| index + 1)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
