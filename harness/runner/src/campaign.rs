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
use rigor_rigs::fault::{Fault, Model};
use rigor_rigs::{Firmwares, RigFile};

use crate::case::Case;
use crate::progress::Onlooker;
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
    /// Who looks on while long cases run without a fault, if anybody does.
    pub onlooker: Option<Onlooker>,
}

/// A case to run against the fault of this index.
struct Pair {
    fault: usize,
    case: Arc<Case>,
}

/// What is known of one column of the matrix so far.
#[derive(Default)]
struct Column {
    worst: BTreeMap<RequirementId, Found>,
    left: usize,
    cases: u32,
    repeated: u32,
    wall: Duration,
}

/// A case and how it goes without a fault.
type Healthy = (Arc<Case>, Trial);

impl Campaign {
    /// Runs everything and says what became of it. `told` hears of every fault whose last case has
    /// ended, in any order, with the number of faults that are done.
    pub fn run(&self, told: &(dyn Fn(&Tried, usize) + Sync)) -> KillMatrix {
        let healthy = self.without_fault();
        let mut without_fault = Column::default();
        for (case, trial) in &healthy {
            without_fault.add(case.name(), trial);
        }
        let mut columns: Vec<Column> = self.faults.iter().map(|_| Column::default()).collect();
        let pairs = self.pairs(&healthy, &mut columns);
        let columns: Vec<Mutex<Column>> = columns.into_iter().map(Mutex::new).collect();
        let done = AtomicUsize::new(0);
        let tell = |index: usize, column: &Column| {
            let tried = only_what_was_green(self.tried(index, column), &without_fault);
            told(&tried, done.fetch_add(1, Ordering::Relaxed) + 1);
        };
        for (index, column) in columns.iter().enumerate() {
            let column = lock(column);
            if column.left == 0 {
                tell(index, &column);
            }
        }
        self.share(&pairs, |pair| {
            let trial = self.trial(&pair.case, Some(&self.faults[pair.fault]));
            let mut column = lock(&columns[pair.fault]);
            column.add(pair.case.name(), &trial);
            column.left -= 1;
            if column.left == 0 {
                tell(pair.fault, &column);
            }
        });
        let faults: Vec<Tried> = (0..self.faults.len())
            .map(|index| self.tried(index, &lock(&columns[index])))
            .map(|tried| only_what_was_green(tried, &without_fault))
            .collect();
        KillMatrix {
            system: self.catalogue.system.clone(),
            rig: self.rig.name.clone(),
            subjects: self.subjects(&without_fault),
            faults,
            complete: self.complete,
        }
    }

    /// Whether `case` runs at all: short ones do, and long ones that some fault claims.
    fn runs(&self, case: &Case) -> bool {
        !case.is_long() || self.faults.iter().any(|fault| claims(fault, case))
    }

    /// Every case that runs, on the rig as it should be: one that is never green proves nothing by
    /// turning red.
    fn without_fault(&self) -> Vec<Healthy> {
        let running = self.cases.iter().filter(|case| self.runs(case)).cloned();
        // First what takes longest, so that no thread is left with it at the end.
        let (mut cases, short): (Vec<_>, Vec<_>) = running.partition(|case| case.is_long());
        cases.extend(short);
        let trials: Vec<Mutex<Option<Trial>>> = cases.iter().map(|_| Mutex::new(None)).collect();
        let work: Vec<usize> = (0..cases.len()).collect();
        self.share(&work, |&index| *lock(&trials[index]) = Some(self.trial(&cases[index], None)));
        let trials =
            trials.into_iter().map(|trial| trial.into_inner().unwrap_or_else(PoisonError::into_inner));
        cases.into_iter().zip(trials).filter_map(|(case, trial)| Some((case, trial?))).collect()
    }

    /// Hands each of `items` to one of the campaign's threads.
    fn share<T: Sync>(&self, items: &[T], work: impl Fn(&T) + Sync) {
        let next = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..self.jobs.max(1) {
                scope.spawn(|| {
                    while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
                        work(item);
                    }
                });
            }
        });
    }

    /// What there is to run: short cases against every fault, and long ones against the faults that
    /// claim them. A short case that would only repeat its run without the fault goes into its column
    /// at once.
    fn pairs(&self, healthy: &[Healthy], columns: &mut [Column]) -> Vec<Pair> {
        let mut pairs = Vec::new();
        let (long, short): (Vec<_>, Vec<_>) = healthy.iter().partition(|(case, _)| case.is_long());
        for (index, fault) in self.faults.iter().enumerate() {
            let claimed = long.iter().filter(|(case, _)| claims(fault, case));
            pairs.extend(claimed.map(|(case, _)| Pair { fault: index, case: case.clone() }));
        }
        for (index, fault) in self.faults.iter().enumerate() {
            for (case, trial) in &short {
                if goes_the_same(trial, &fault.model) {
                    columns[index].repeat(case.name(), trial);
                } else {
                    pairs.push(Pair { fault: index, case: case.clone() });
                }
            }
        }
        for pair in &pairs {
            columns[pair.fault].left += 1;
        }
        pairs
    }

    fn trial(&self, case: &Arc<Case>, fault: Option<&Fault>) -> Trial {
        let setup = Setup {
            wall_time: WALL_TIME,
            fault: fault.map(|fault| fault.model.clone()),
            // Faults come many at a time, and whoever tries them tells of each.
            onlooker: self.onlooker.clone().filter(|_| fault.is_none()),
            ..Setup::new(self.rig.clone(), self.firmwares.clone(), self.seed)
        };
        trial::run(&self.catalogue, case, &Arc::new(setup))
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
                let tried = cases.iter().any(|case| self.runs(case));
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
            repeated: column.repeated,
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

/// Whether `case` decides a requirement that claims `fault`.
fn claims(fault: &Fault, case: &Case) -> bool {
    case.decides().iter().any(|id| fault.claimed_by.iter().any(|by| by.as_str() == id))
}

/// Whether the case of `healthy`, its run without a fault, would go the same with a defect of the
/// firmware. Runs are functions of the seed and of what is wrong; a defect whose place the code never
/// comes by is wrong in no way that the run could show.
fn goes_the_same(healthy: &Trial, fault: &Model) -> bool {
    let Model::Firmware(defect) = fault else { return false };
    healthy.reached_defects.as_ref().is_some_and(|reached| !reached.contains(&defect.as_str()))
}

impl Column {
    /// A case that needs no run: its run without a fault stands for it.
    fn repeat(&mut self, case: &str, healthy: &Trial) {
        self.repeated += 1;
        self.add(case, &Trial { wall_time: Duration::ZERO, ..healthy.clone() });
    }

    fn add(&mut self, case: &str, trial: &Trial) {
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

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
