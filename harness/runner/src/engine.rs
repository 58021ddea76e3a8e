//! One run of the suites, whoever asks for it: `cargo test --test hil` or `rigor run`.
//!
//! ```text
//! Choices -> Environment -> Plan -> Session -> Ended
//! ```
//!
//! [`Choices`] say which rigs, seed and folder; an [`Environment`] has read the rig files; a [`Plan`] is
//! every case on every rig that holds its device; a [`Session`] is the run itself, which remembers the
//! trials of the [seats](Seat) that its owner [tries](Session::try_out), in any order and on any threads;
//! and [`Ended`] is what it leaves. The owner decides which cases run and what a person sees
//! meanwhile. Nothing here prints.

mod environment;
mod firmware;
mod image;
mod plan;
mod record;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};

use rigor_core::result::{EXIT_HARNESS, EXIT_PRODUCT, RunResult};
use rigor_reports::store::{LATEST, RECORDED, RunFolder, StoreError};
use rigor_rigs::recording::Kept;
use rigor_rigs::{Firmwares, Recordings};

use crate::account::{Account, Accounts};
use crate::evidence::{self, FilesOf, Shelf};
use crate::progress::Onlooker;
use crate::suite::{Suite, SuiteError};
use crate::trial::{self, Trial};

pub use environment::{Choice, Choices, Environment, is_rig_file, workspace_root};
pub use plan::{Plan, Seat, Setting};
pub use record::{Begun, LeftOut};

/// Everything that is wrong with catalogues, rig files and choices, each with its remedy.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct Complaints(pub Vec<String>);

impl From<String> for Complaints {
    fn from(complaint: String) -> Self {
        Complaints(vec![complaint])
    }
}

/// What a run keeps and what it leaves out, whatever else is chosen.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Extent {
    /// Whether every trial is recorded.
    pub record: bool,
    /// Whether [long](crate::case::Case::long) cases are left out.
    pub short: bool,
    /// Which cases leave files of their evidence in the run's folder, if any do.
    pub files: Option<FilesOf>,
    /// Whether every trial leaves an account, for [`Session::take_account`].
    pub accounts: bool,
}

/// A run.
pub struct Session {
    begun: Begun,
    ending: Arc<AtomicBool>,
    plan: Plan,
    short: bool,
    recordings: Option<Arc<Recordings>>,
    shelf: Option<Arc<Shelf>>,
    accounts: Option<Arc<Accounts>>,
    trials: Mutex<record::Records>,
    given_up: Mutex<BTreeSet<record::Key>>,
}

impl Session {
    /// A run that begins now. Touches no rig and writes nothing. The `onlooker` is told how long cases
    /// get on.
    ///
    /// # Errors
    /// Everything that is wrong with the suites, and what does not fit together.
    pub fn begin(
        suites: Result<Vec<Suite>, SuiteError>,
        firmwares: Firmwares,
        environment: Environment,
        extent: Extent,
        onlooker: Option<Onlooker>,
    ) -> Result<Self, Complaints> {
        let begun = Begun::now();
        let suites = suites.map_err(|errors| errors.to_string())?;
        let recordings =
            extent.record.then(|| Recordings::new(environment.out.join(&begun.id).join("recordings")));
        let shelf = extent.files.map(|of| Shelf::new(environment.out.join(&begun.id), of));
        let accounts = extent.accounts.then(Arc::<Accounts>::default);
        let setting = Setting {
            firmwares,
            recordings: recordings.clone(),
            shelf: shelf.clone(),
            accounts: accounts.clone(),
            onlooker,
            ending: Arc::default(),
        };
        let plan = Plan::new(environment, suites, &setting)?;
        Ok(Session {
            begun,
            ending: setting.ending,
            plan,
            short: extent.short,
            recordings,
            shelf,
            accounts,
            trials: Mutex::default(),
            given_up: Mutex::default(),
        })
    }

    /// What it could do.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The seats that the run's extent leaves. What takes longest comes first, so that no core is left
    /// with it at the end.
    pub fn seats(&self) -> Vec<&Seat> {
        let (long, short): (Vec<_>, Vec<_>) = self.plan.seats.iter().partition(|seat| seat.case.is_long());
        let long = if self.short { Vec::new() } else { long };
        long.into_iter().chain(short).collect()
    }

    /// To be set when somebody wants the end of the run: what runs on a bench is cut then, and who waits for one waits no
    /// longer. Other cases come to their own ends.
    pub fn ending(&self) -> Arc<AtomicBool> {
        self.ending.clone()
    }

    /// Runs the case of `seat` on its rig, and remembers how it went.
    pub fn try_out(&self, seat: &Seat) -> Trial {
        let trial = trial::run(&seat.catalogue, &seat.case, &seat.setup);
        let mut trials = self.trials.lock().unwrap_or_else(PoisonError::into_inner);
        trials.insert(record::key(seat), trial.clone());
        trial
    }

    /// Remembers that the turn of `seat` never came, because somebody has [interrupted](crate::interrupt) the run.
    pub fn give_up(&self, seat: &Seat) {
        let mut given_up = self.given_up.lock().unwrap_or_else(PoisonError::into_inner);
        given_up.insert(record::key(seat));
    }

    /// The account that the last trial of `seat` has left, which is not kept any longer. `None` if the
    /// session keeps none, or the trial did not come to its own end.
    pub fn take_account(&self, seat: &Seat) -> Option<Account> {
        self.accounts.as_ref()?.take(&seat.setup.rig.name, seat.case.name())
    }

    /// The result as far as it has come: every requirement of every suite, decided or not.
    pub fn result(&self) -> RunResult {
        let trials = self.trials.lock().unwrap_or_else(PoisonError::into_inner);
        let given_up = self.given_up.lock().unwrap_or_else(PoisonError::into_inner);
        record::assemble(&self.plan, &trials, &given_up, &self.begun, self.short)
    }

    /// Makes the folder that receives what the run leaves. To be called before anything runs: nobody
    /// should learn at the end that nothing can be kept.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be made.
    pub fn folder(&self) -> Result<RunFolder, StoreError> {
        RunFolder::create(&self.plan.environment.out, &self.begun.id)
    }

    /// Ends the run and writes its record to `folder`. `newest`: whether `latest` and `recorded` are to
    /// point there.
    pub fn end(&self, folder: &RunFolder, newest: bool) -> Ended {
        let result = self.result();
        let kept = self.recordings.as_ref().map(|recordings| recordings.kept());
        let mut complaints: Vec<String> = kept
            .iter()
            .flat_map(|kept| &kept.complaints)
            .map(|complaint| format!("a recording could not be kept: {complaint}"))
            .collect();
        let shelf = self.shelf.iter().flat_map(|shelf| shelf.complaints());
        complaints.extend(shelf.map(|complaint| format!("evidence could not be kept: {complaint}")));
        if let Err(error) = evidence::keep_repeats(folder, &result) {
            complaints.push(format!("evidence could not be kept: {error}"));
        }
        let recorded = kept.as_ref().is_some_and(|kept| kept.files > 0);
        let published = publish(folder, &result, recorded, newest);
        let is_kept = published.is_ok();
        complaints.extend(published.err().map(|error| format!("the results could not be kept: {error}")));
        // A failure of the product stays the loudest.
        let exit_code = match result.exit_code {
            code if complaints.is_empty() => code,
            EXIT_PRODUCT => EXIT_PRODUCT,
            _ => EXIT_HARNESS,
        };
        let recordings = self.recordings.as_ref().map(|recordings| recordings.folder().to_path_buf());
        Ended {
            result,
            folder: is_kept.then(|| folder.path()),
            recordings: recordings.zip(kept),
            complaints,
            exit_code,
        }
    }
}

fn publish(folder: &RunFolder, result: &RunResult, recorded: bool, newest: bool) -> Result<(), StoreError> {
    folder.publish(result)?;
    if !newest {
        return Ok(());
    }
    if recorded {
        folder.point_here(RECORDED)?;
    }
    folder.point_here(LATEST)
}

/// What a run has left.
#[derive(Debug)]
pub struct Ended {
    /// Everything that it has to say.
    pub result: RunResult,
    /// Where its record is; `None` if it could not be written.
    pub folder: Option<PathBuf>,
    /// Where its recordings are and what they take, if trials were recorded.
    pub recordings: Option<(PathBuf, Kept)>,
    /// What could not be kept, a line each.
    pub complaints: Vec<String>,
    /// What the process exits with: the result's, unless something could not be kept.
    pub exit_code: u8,
}

impl Ended {
    /// Where to look, a line each.
    pub fn whereabouts(&self) -> String {
        let mut text = String::new();
        if let Some(folder) = &self.folder {
            text.push_str(&format!("\nresults: {}\n", folder.display()));
            let report = folder.join("report.html");
            if report.is_file() {
                text.push_str(&format!("report: {}\n", report.display()));
            }
            if let Some((folder, kept)) = &self.recordings {
                let (folder, kib) = (folder.display(), kept.size.bytes.div_ceil(1024));
                text.push_str(&format!("recordings: {folder} ({} cases, {kib} KiB)\n", kept.files));
            }
        }
        text
    }
}
