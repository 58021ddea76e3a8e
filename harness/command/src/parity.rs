//! `rigor parity`: the same cases on two rigs, and in what they differ.

mod show;

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};

use rigor_core::result::EXIT_HARNESS;
use rigor_core::verdict::Verdict;
use rigor_reports::store::write_atomically;
use rigor_runner::engine::{Choice, Choices, Environment, Extent, Seat, Session, workspace_root};
use rigor_runner::parity::{self, Found, Row, TOLERANCES, Tolerances};
use rigor_runner::trial::Trial;
use serde::Serialize;

use crate::Systems;
use crate::choices::{here, rig_path};
use crate::error::CommandError;
use crate::print::{complain, print};
use crate::run::filter::Filter;

/// Run the same cases on two rigs and list in what they differ
///
/// What a case does to the device is the same on both rigs, so what the device does in answer should
/// be, too. Verdicts and figures are held against each other, and what happened: lines of the console,
/// frames of the strips, messages on the network, operations on the flash chip, starts and crashes,
/// tasks. Each answer is placed by its distance from the latest thing that was done on both rigs.
///
/// rigs/parity.toml says which differences are known, how large they may be, and why. Everything else
/// is an undeclared difference: an error of one of the rigs, or of the firmware's port to it.
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
#[command(after_help = "Examples:
  rigor parity virtual qemu                       the short cases on rigs/virtual and rigs/qemu
  rigor parity virtual qemu K1-LED --seed 7       some cases, with another seed
  rigor parity virtual-k1 desk.toml --case boot   rigs by name and by file
  rigor parity virtual qemu --tolerances mine.toml

Everything found, with instants on both rigs, is in parity.md and parity.json of the run's folder.

Exit codes:
  1  an undeclared difference, whatever else happened
  3  a file, a variable or the command line is malformed, or the record could not be kept
  2  a rig could not be had for a case: nobody knows whether it differs
  0  every difference is declared")]
pub(crate) struct Arguments {
    /// A rig file, a folder with one, a rig's name, or the name of a folder of `rigs`.
    #[arg(value_name = "RIG_A")]
    a: String,
    /// The other rig, of the same device.
    #[arg(value_name = "RIG_B")]
    b: String,
    #[command(flatten)]
    filter: Filter,
    /// The long cases too.
    #[arg(long, help_heading = "Which cases")]
    long: bool,
    /// The seed of both rigs [default: 1].
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,
    /// The folder that receives a folder for each run [default: target/rigor].
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    /// The declared differences [default: rigs/parity.toml].
    #[arg(long, value_name = "FILE")]
    tolerances: Option<PathBuf>,
    /// Cases at once [default: the number of cores].
    #[arg(long, value_name = "N")]
    jobs: Option<NonZeroUsize>,
}

/// A case on both rigs.
#[derive(Serialize)]
struct Pair {
    /// System, requirements and name.
    case: String,
    /// Why nobody knows, if a rig could not be had.
    not_had: Option<String>,
    /// In what the rigs differ; what is not declared first.
    rows: Vec<Row>,
}

/// All that a comparison leaves: the content of `parity.json`.
#[derive(Serialize)]
struct Comparison {
    /// Grows with every change of the format.
    schema_version: u32,
    rig_a: String,
    rig_b: String,
    seed: u64,
    /// The declarations, which rows name by their place.
    tolerances: Vec<parity::Tolerance>,
    /// Places of declarations that nothing needed; only of a comparison of all cases.
    stale: Vec<usize>,
    cases: Vec<Pair>,
}

impl Comparison {
    fn rows(&self) -> impl Iterator<Item = &Row> {
        self.cases.iter().flat_map(|pair| &pair.rows)
    }

    fn exit_code(&self) -> u8 {
        if self.rows().any(|row| row.declared.is_none()) {
            1
        } else if self.cases.iter().any(|pair| pair.not_had.is_some()) {
            2
        } else {
            0
        }
    }
}

pub(crate) fn run(arguments: Arguments, systems: Systems) -> Result<ExitCode, CommandError> {
    let root = workspace_root()?;
    let tolerances = tolerances(&root, arguments.tolerances.as_deref())?;
    let mut choices = Choices { fault: None, ..Choices::from_variables()? };
    let both = [rig(&root, &arguments.a)?, rig(&root, &arguments.b)?];
    choices.rig = Some(Choice { text: both.join(":"), by: "the command line" });
    choices.seed = arguments.seed.or(choices.seed);
    if let Some(out) = &arguments.out {
        choices.out = Some(here(out)?);
    }
    let environment = Environment::read(choices)?;
    let names: Vec<String> = environment.rigs.iter().map(|rig| rig.name.clone()).collect();
    let [name_a, name_b] = &names[..] else {
        let text = format!("these are {} rigs ({}); name two", names.len(), names.join(", "));
        return Err(CommandError::Refused(text));
    };
    let seed = environment.seed;
    let extent = Extent { short: !arguments.long, accounts: true, ..Extent::default() };
    let session = Session::begin(systems.suites, systems.firmwares, environment, extent, None)?;
    let all = session.seats();
    let every = all.len();
    let seats = arguments.filter.choose(session.plan(), all)?;
    let complete = seats.len() == every;
    let pairs = pairs(&seats, name_a, name_b);
    if pairs.is_empty() {
        let text = format!("no case runs on both `{name_a}` and `{name_b}`; name two rigs of one device");
        return Err(CommandError::Refused(text));
    }
    let folder = session.folder()?;
    let cases = compared(&session, &pairs, &tolerances, arguments.jobs);
    let mut comparison = Comparison {
        schema_version: 1,
        rig_a: name_a.clone(),
        rig_b: name_b.clone(),
        seed,
        stale: Vec::new(),
        tolerances: tolerances.entries.clone(),
        cases,
    };
    if complete {
        comparison.stale = tolerances.stale(comparison.rows());
    }
    let ended = session.end(&folder, false);
    for complaint in &ended.complaints {
        complain(&format!("{complaint}\n"));
    }
    print(&show::summary(&comparison));
    let json = serde_json::to_string_pretty(&comparison)
        .map_err(|error| CommandError::Refused(format!("the comparison could not be kept: {error}")))?;
    write_atomically(&folder.path().join("parity.json"), json.as_bytes())?;
    let readable = folder.path().join("parity.md");
    write_atomically(&readable, show::document(&comparison).as_bytes())?;
    print(&format!("\ncomparison: {}\n", readable.display()));
    let code = match comparison.exit_code() {
        code if ended.complaints.is_empty() || code == 1 => code,
        _ => EXIT_HARNESS,
    };
    Ok(ExitCode::from(code))
}

/// The path of what was named: a folder of `rigs`, or whatever `--rig` knows.
fn rig(root: &Path, named: &str) -> Result<String, CommandError> {
    let is_plain = !named.is_empty() && !named.contains(['/', '\\', '.']);
    if is_plain && root.join("rigs").join(named).is_dir() {
        return Ok(format!("rigs/{named}"));
    }
    rig_path(root, named)
}

/// What is declared: in the file that was named, or in that of the workspace if it has one.
fn tolerances(root: &Path, named: Option<&Path>) -> Result<Tolerances, CommandError> {
    let path = named.map_or_else(|| Ok(root.join("rigs").join(TOLERANCES)), here)?;
    match std::fs::read_to_string(&path) {
        Ok(text) => {
            let shown = path.strip_prefix(root).unwrap_or(&path).display().to_string();
            Tolerances::parse(&shown, &text).map_err(|error| CommandError::Refused(error.to_string()))
        }
        Err(error) if named.is_none() && error.kind() == std::io::ErrorKind::NotFound => {
            Ok(Tolerances::default())
        }
        Err(source) => Err(CommandError::Io {
            action: "read",
            path,
            source,
            remedy: "name a file of declared differences, such as rigs/parity.toml",
        }),
    }
}

/// The seats of each case on the rigs of these names, in the order of cases.
fn pairs<'a>(seats: &[&'a Seat], a: &str, b: &str) -> Vec<(&'a Seat, &'a Seat)> {
    let same = |one: &Seat, other: &Seat| {
        one.catalogue().system == other.catalogue().system && one.case().name() == other.case().name()
    };
    let of_a: Vec<&Seat> = seats.iter().copied().filter(|seat| seat.rig().name == a).collect();
    let of_b: Vec<&Seat> = seats.iter().copied().filter(|seat| seat.rig().name == b).collect();
    of_a.into_iter()
        .filter_map(|one| Some((one, of_b.iter().copied().find(|other| same(one, other))?)))
        .collect()
}

/// Runs every pair and compares it at once, so that no more accounts are kept than cases run.
fn compared(
    session: &Session,
    pairs: &[(&Seat, &Seat)],
    tolerances: &Tolerances,
    jobs: Option<NonZeroUsize>,
) -> Vec<Pair> {
    let jobs = jobs.or_else(|| std::thread::available_parallelism().ok()).map_or(1, NonZeroUsize::get);
    let next = AtomicUsize::new(0);
    let done: Mutex<Vec<(usize, Pair)>> = Mutex::default();
    std::thread::scope(|scope| {
        for _ in 0..jobs.min(pairs.len()) {
            scope.spawn(|| {
                loop {
                    let place = next.fetch_add(1, Ordering::Relaxed);
                    let Some((a, b)) = pairs.get(place) else { break };
                    let pair = compare(session, a, b, tolerances);
                    let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
                    complain(&format!("[{:>3}/{}] {}\n", done.len() + 1, pairs.len(), show::line(&pair)));
                    done.push((place, pair));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(place, _)| *place);
    done.into_iter().map(|(_, pair)| pair).collect()
}

fn compare(session: &Session, a: &Seat, b: &Seat, tolerances: &Tolerances) -> Pair {
    let (one, other) = (session.try_out(a), session.try_out(b));
    let case = a.case().full_name(&a.catalogue().system);
    let lost = [(a, &one), (b, &other)].into_iter().find_map(|(seat, trial)| not_had(seat, trial));
    let (account_a, account_b) = (session.take_account(a), session.take_account(b));
    if lost.is_some() {
        return Pair { case, not_had: lost, rows: Vec::new() };
    }
    let found_a = Found { decisions: &one.decisions, account: account_a.as_ref() };
    let found_b = Found { decisions: &other.decisions, account: account_b.as_ref() };
    let differences = parity::compare(found_a, found_b, tolerances);
    let rows = parity::rows(a.case().name(), differences, tolerances);
    Pair { case, not_had: None, rows }
}

/// What kept the rig from running the case, if something did.
fn not_had(seat: &Seat, trial: &Trial) -> Option<String> {
    (trial.verdict() == Verdict::RigFault)
        .then(|| format!("{}: {}", seat.rig().name, trial.reason().unwrap_or_default()))
}
