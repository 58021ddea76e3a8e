//! `cargo test --test hil`: the suites as a test binary.
//!
//! Names, filters, `--list`, `--exact`, `--skip`, `--ignored` and `--test-threads` are
//! libtest's, by libtest-mimic, so that cargo and nextest know their way about. What counts is the
//! record that the run leaves: `results.json`, `junit.xml` and the table.
//!
//! | Variable | Chooses | Default |
//! |---|---|---|
//! | `RIGOR_RIG` | rig files or folders of them, separated by `:` | `rigs/virtual` |
//! | `RIGOR_SEED` | the seed of every rig | 1 |
//! | `RIGOR_OUT` | the folder that receives a folder for each run | `target/rigor` |
//!
//! Relative paths start at the workspace's root, wherever cargo starts the binary.

mod environment;
mod record;

use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant as WallInstant;

use libtest_mimic::{Arguments, Completion, Failed, FormatSetting};
use rigor_core::requirement::{Catalogue, CatalogueErrors, Class};
use rigor_core::result::{EXIT_HARNESS, EXIT_PRODUCT};
use rigor_core::verdict::Verdict;
use rigor_rigs::Firmwares;

use crate::case::Case;
use crate::suite::Suite;
use crate::trial::{self, Setup, Trial};
use environment::Environment;
use record::{Record, Records};

/// The whole test binary: reads the arguments, runs what they choose, leaves the record, and says
/// by its exit code whose fault it is (see [`rigor_core::result::exit_code`]).
pub fn main(suites: Result<Vec<Suite>, CatalogueErrors>, firmwares: Firmwares) -> ExitCode {
    let arguments = Arguments::from_args();
    let suites = suites.map_err(|errors| errors.to_string());
    let planned = match suites.and_then(|suites| plan(suites, firmwares)) {
        Ok(planned) => planned,
        Err(complaint) => {
            eprintln!("{complaint}");
            return ExitCode::from(EXIT_HARNESS);
        }
    };
    let Planned { environment, catalogues, seats } = planned;
    let records = Arc::new(Mutex::new(Records::default()));
    let several_rigs = environment.rigs.len() > 1;
    let trials = seats.iter().map(|seat| seat.as_trial(several_rigs, &records)).collect();
    let started = WallInstant::now();
    let conclusion = libtest_mimic::run(&arguments, trials);
    if arguments.list {
        return conclusion.exit_code();
    }
    let records = std::mem::take(&mut *records.lock().unwrap_or_else(PoisonError::into_inner));
    let result = record::assemble(&environment, &catalogues, &seats, records, started);
    let table = rigor_reports::table::render(&result, use_colours());
    // libtest's machine-readable formats own the standard output.
    let machine_readable = matches!(arguments.format, Some(FormatSetting::Json));
    print(&table, machine_readable);
    match record::keep(&environment, &result) {
        Ok(folder) => print(&format!("\nresults: {}\n", folder.display()), machine_readable),
        Err(complaint) => {
            eprintln!("the results could not be kept: {complaint}");
            // A failure of the product stays the loudest.
            return ExitCode::from(if result.exit_code == EXIT_PRODUCT {
                EXIT_PRODUCT
            } else {
                EXIT_HARNESS
            });
        }
    }
    ExitCode::from(result.exit_code)
}

/// Writes to the standard output, or the standard error if `aside`. A reader that went away, such
/// as `head`, is no reason to lose the record.
fn print(text: &str, aside: bool) {
    let written = if aside {
        std::io::stderr().write_all(text.as_bytes())
    } else {
        std::io::stdout().write_all(text.as_bytes())
    };
    let _ = written;
}

/// Colours only on a terminal whose user wants them (<https://no-color.org>).
fn use_colours() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// A case with the rig that it would run on.
struct Seat {
    catalogue: Arc<Catalogue>,
    case: Arc<Case>,
    setup: Arc<Setup>,
}

struct Planned {
    environment: Environment,
    catalogues: Vec<Arc<Catalogue>>,
    seats: Vec<Seat>,
}

/// Every case of every suite on every rig that holds its device. Touches no rig.
fn plan(suites: Vec<Suite>, firmwares: Firmwares) -> Result<Planned, String> {
    let environment = Environment::read()?;
    let mut complaints = Vec::new();
    let mut catalogues = Vec::new();
    let mut seats = Vec::new();
    for suite in suites {
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
        let (catalogue, cases) = suite.into_parts();
        for rig in environment.rigs.iter().filter(|rig| rig.dut == catalogue.system) {
            let setup = Arc::new(Setup {
                rig: rig.clone(),
                firmwares: firmwares.clone(),
                seed: environment.seed,
                wall_time: trial::DEFAULT_WALL_TIME,
            });
            seats.extend(cases.iter().map(|case| Seat {
                catalogue: catalogue.clone(),
                case: case.clone(),
                setup: setup.clone(),
            }));
        }
        catalogues.push(catalogue);
    }
    if complaints.is_empty() {
        Ok(Planned { environment, catalogues, seats })
    } else {
        Err(complaints.join("\n"))
    }
}

impl Seat {
    fn full_name(&self, several_rigs: bool) -> String {
        let name = self.case.full_name(&self.catalogue.system);
        if several_rigs { format!("{name}@{}", self.setup.rig.name) } else { name }
    }

    fn as_trial(&self, several_rigs: bool, records: &Arc<Mutex<Records>>) -> libtest_mimic::Trial {
        let (catalogue, case, setup) = (self.catalogue.clone(), self.case.clone(), self.setup.clone());
        let records = records.clone();
        let name = self.full_name(several_rigs);
        let full_name = name.clone();
        libtest_mimic::Trial::ignorable_test(name, move || {
            let trial = trial::run(&catalogue, &case, &setup);
            let completion = completion(&catalogue, &trial);
            let record = Record { full_name, trial };
            let key = (catalogue.system.clone(), case.name().to_owned(), setup.rig.name.clone());
            records.lock().unwrap_or_else(PoisonError::into_inner).insert(key, record);
            completion
        })
    }
}

/// What libtest is told. It knows no classes and no blame: a case that gates is a failure.
fn completion(catalogue: &Catalogue, trial: &Trial) -> Result<Completion, Failed> {
    let gates = trial.decisions.iter().any(|(id, decision)| match decision.verdict {
        Verdict::Pass | Verdict::NotRun => false,
        Verdict::RigFault | Verdict::HarnessBug => true,
        Verdict::Fail | Verdict::Inconclusive => {
            catalogue.get(id).is_none_or(|requirement| requirement.class == Class::Must)
        }
    });
    let verdict = trial.verdict();
    let reason = rigor_reports::visible(trial.reason().unwrap_or_default());
    if gates {
        let mut text = format!("{verdict}: {reason}");
        for line in &trial.log_tail {
            text.push_str("\n    | ");
            text.push_str(&rigor_reports::visible(line));
        }
        Err(Failed::from(text))
    } else if verdict == Verdict::NotRun {
        Ok(Completion::ignored_with(reason))
    } else {
        Ok(Completion::Completed)
    }
}
