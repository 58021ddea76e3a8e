//! What was recorded is judged again with no board, and the verdicts and figures are the same.

mod sampled;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use std::{env, fs, thread};

use rigor_core::requirement::Catalogue;
use rigor_core::verdict::Verdict;
use rigor_rigs::fault::Model;
use rigor_rigs::recording::path_of;
use rigor_rigs::{Firmwares, Recordings, RigFile};
use rigor_runner::case::Case;
use rigor_runner::trial::{self, Setup, Trial};

const RIG: &str = include_str!("../../../rigs/virtual/prism-k1.toml");
const REPLAY_RIG: &str = include_str!("../../../rigs/replay/prism-k1.toml");

/// A folder of recordings below cargo's for this test, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path =
            Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("recorded-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        Folder(path)
    }

    fn rig(&self) -> RigFile {
        RigFile::parse("rigs/virtual/prism-k1.toml", RIG).expect("a valid rig file")
    }

    /// The shipped replay rig, with this folder in place of the newest run's and the recorded rig's name,
    /// which every decision bears.
    fn replay_rig(&self) -> RigFile {
        let folder = self.0.display().to_string();
        let text = REPLAY_RIG
            .replace("target/rigor/recorded/recordings", &folder)
            .replace("replay-k1", &self.rig().name);
        assert!(text.contains(&folder), "the shipped file names another folder");
        let mut rig = RigFile::parse("rigs/replay/prism-k1.toml", &text).expect("a valid rig file");
        rig.look_up(Path::new("/"));
        rig
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Every case on the rig of `setup`, on two threads; what a wall clock says is left out, and the way
/// that the firmware's code took, of which a recording knows nothing.
fn run(catalogue: &Arc<Catalogue>, cases: &[Arc<Case>], setup: Setup) -> Vec<Trial> {
    let (setup, next) = (Arc::new(setup), AtomicUsize::new(0));
    let work = || {
        let mut done = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(case) = cases.get(index) else { return done };
            let trial = trial::run(catalogue, case, &setup);
            done.push((index, Trial { wall_time: Duration::ZERO, reached_defects: None, ..trial }));
        }
    };
    let mut done = thread::scope(|scope| {
        let threads = [scope.spawn(work), scope.spawn(work)];
        threads.map(|thread| thread.join().expect("no panic")).concat()
    });
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, trial)| trial).collect()
}

/// The chosen cases, recorded with `fault` and judged again: both times.
fn twice(name: &str, fault: Option<Model>, chosen: impl Fn(&Case) -> bool) -> (Vec<Trial>, Vec<Trial>) {
    twice_with(name, fault, chosen, |_| {})
}

/// The same, where something is done to each recording in between.
fn twice_with(
    name: &str,
    fault: Option<Model>,
    chosen: impl Fn(&Case) -> bool,
    change: impl Fn(&Path),
) -> (Vec<Trial>, Vec<Trial>) {
    let folder = Folder::new(name);
    let (catalogue, mut cases) =
        rigor_suites::suites().expect("valid suites").into_iter().next().expect("a suite").into_parts();
    cases.retain(|case| chosen(case));
    assert!(!cases.is_empty(), "no case was chosen");
    let recordings = Recordings::new(&folder.0);
    let setup = Setup::new(folder.rig(), rigor_suites::firmwares(), 1);
    let recorded = run(&catalogue, &cases, Setup { fault, recordings: Some(recordings.clone()), ..setup });
    let kept = recordings.kept();
    assert_eq!((kept.files, kept.complaints), (cases.len() as u64, Vec::new()));
    for case in &cases {
        change(&path_of(&folder.0, &folder.rig().name, case.name()));
    }
    // Without any firmware: nothing can run but what was recorded.
    let replayed = run(&catalogue, &cases, Setup::new(folder.replay_rig(), Firmwares::new(), 1));
    (recorded, replayed)
}

#[test]
fn a_whole_run_is_judged_again_with_the_same_verdicts_and_figures() {
    let (recorded, replayed) = twice("whole", None, |case| !case.is_long());
    assert!(recorded.len() > 50, "{} cases", recorded.len());
    let passed = recorded.iter().filter(|trial| trial.verdict() == Verdict::Pass).count();
    assert!(passed > 50, "{passed} cases passed");
    for (one, other) in recorded.iter().zip(&replayed) {
        assert_eq!(one, other);
    }
}

/// What fails with a fault fails again, for the same reasons, with no board and no fault.
#[test]
fn a_run_that_failed_fails_again_for_the_same_reasons() {
    let suites = rigor_suites::suites().expect("valid suites");
    let faults = &suites[0].faults().faults;
    // A few of each family, spread over the list.
    for fault in faults.iter().step_by(faults.len().div_ceil(8)) {
        let claims = |case: &Case| {
            let decides = |id: &str| case.decides().iter().any(|decided| decided == id);
            !case.is_long() && fault.claimed_by.iter().any(|id| decides(id.as_str()))
        };
        if !suites[0].cases().iter().any(claims) {
            continue;
        }
        let (recorded, replayed) = twice(&fault.name, Some(fault.model.clone()), claims);
        let red = |trials: &[Trial]| -> Vec<String> {
            let decisions = trials.iter().flat_map(|trial| &trial.decisions);
            decisions.filter(|(_, found)| found.verdict != Verdict::Pass).map(|(id, _)| id.clone()).collect()
        };
        assert!(!red(&recorded).is_empty(), "{} turns nothing red", fault.name);
        assert_eq!(red(&recorded), red(&replayed), "{}", fault.name);
        for (one, other) in recorded.iter().zip(&replayed) {
            assert_eq!(one.decisions, other.decisions, "{}", fault.name);
        }
    }
}
