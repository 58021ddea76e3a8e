//! `cargo test --test hil`: the suites as a test binary.
//!
//! Names, filters, `--list`, `--exact`, `--skip`, `--ignored` and `--test-threads` are
//! libtest's, by libtest-mimic, so that cargo and nextest know their way about. What counts is the
//! record that the run leaves: `results.json`, `junit.xml` and the table. No case is ignored, so
//! `--ignored` runs none, which is never green.
//!
//! | Variable | Chooses | Default |
//! |---|---|---|
//! | `RIGOR_RIG` | rig files or folders of them, separated by `:` | `rigs/virtual` |
//! | `RIGOR_SEED` | the seed of every rig | 1 |
//! | `RIGOR_OUT` | the folder that receives a folder for each run | `target/rigor` |
//! | `RIGOR_FAULT` | what is to be wrong with the rig: a name from the suite's faults | nothing |
//!
//! `--record` keeps a [recording](rigor_rigs::recording) of every case in the run's folder, and
//! `recorded` beside it points to the newest run that has some. A rig file with
//! `back_end = "replay"` judges them again with no rig.
//!
//! Relative paths start at the workspace's root, wherever cargo starts the binary.

pub(crate) mod environment;
mod plan;
pub(crate) mod record;

use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use clap::Parser;
use libtest_mimic::{Arguments, Completion, Failed, FormatSetting};
use rigor_core::requirement::{Catalogue, Class};
use rigor_core::result::{EXIT_HARNESS, EXIT_OK, EXIT_PRODUCT, RunResult};
use rigor_core::verdict::Verdict;
use rigor_reports::store::{LATEST, RECORDED, RunFolder, StoreError};
use rigor_rigs::recording::Kept;
use rigor_rigs::{Firmwares, Recordings};

use crate::suite::{Suite, SuiteError};
use crate::trial::Trial;
use environment::Environment;
use plan::{Planned, Seat, plan};
use record::{Begun, Records};

/// The whole test binary: reads the arguments, runs what they choose, leaves the record, and says
/// by its exit code whose fault it is (see [`rigor_core::result::exit_code`]).
pub fn main(suites: Result<Vec<Suite>, SuiteError>, firmwares: Firmwares) -> ExitCode {
    let Options { libtest: arguments, record, short } = match options() {
        Ok(options) => options,
        Err(code) => return code,
    };
    let begun = Begun::now();
    let planned = match planned(suites, firmwares, record.then_some(&begun)) {
        Ok(planned) => planned,
        Err(complaint) => {
            eprintln!("{complaint}");
            return ExitCode::from(EXIT_HARNESS);
        }
    };
    let records = Arc::new(Mutex::new(Records::default()));
    let several_rigs = planned.several_rigs();
    let mut chosen: Vec<_> = planned.seats.iter().filter(|seat| !(short && seat.case.is_long())).collect();
    if !arguments.list {
        // First what takes longest, so that no core is left with it at the end.
        chosen.sort_by_key(|seat| !seat.case.is_long());
    }
    let trials: Vec<_> = chosen.into_iter().map(|seat| as_trial(seat, several_rigs, &records)).collect();
    if arguments.list {
        print(&list(&arguments, &trials), false);
        return ExitCode::SUCCESS;
    }
    // Before anything runs: nobody should learn at the end that nothing can be kept.
    let folder = match RunFolder::create(&planned.environment.out, &begun.id) {
        Ok(folder) => folder,
        Err(complaint) => {
            eprintln!("the results cannot be kept: {complaint}");
            return ExitCode::from(EXIT_HARNESS);
        }
    };
    // Its conclusion knows no blame; the record does.
    let _ = libtest_mimic::run(&arguments, trials);
    let records = std::mem::take(&mut *records.lock().unwrap_or_else(PoisonError::into_inner));
    let result = record::assemble(&planned, records, &begun);
    let table = rigor_reports::table::render(&result, use_colours());
    // libtest's machine-readable formats own the standard output.
    let machine_readable = matches!(arguments.format, Some(FormatSetting::Json));
    print(&table, machine_readable);
    let kept = planned.recordings.as_ref().map(|recordings| recordings.kept());
    let unkept = kept.as_ref().map_or(&[][..], |kept| &kept.complaints);
    for complaint in unkept {
        eprintln!("a recording could not be kept: {complaint}");
    }
    // A failure of the product stays the loudest.
    let loudest = if result.exit_code == EXIT_PRODUCT { EXIT_PRODUCT } else { EXIT_HARNESS };
    if let Err(complaint) = keep(&folder, &result, kept.as_ref()) {
        eprintln!("the results could not be kept: {complaint}");
        return ExitCode::from(loudest);
    }
    print(&format!("\nresults: {}\n", folder.path().display()), machine_readable);
    if let (Some(recordings), Some(kept)) = (&planned.recordings, &kept) {
        let folder = recordings.folder().display();
        let kib = kept.size.bytes.div_ceil(1024);
        print(&format!("recordings: {folder} ({} cases, {kib} KiB)\n", kept.files), machine_readable);
    }
    ExitCode::from(if unkept.is_empty() { result.exit_code } else { loudest })
}

/// Writes the record. Under nextest each case is a process and a run of its own, of which none is
/// the newest.
fn keep(folder: &RunFolder, result: &RunResult, recorded: Option<&Kept>) -> Result<(), StoreError> {
    folder.publish(result)?;
    if std::env::var_os("NEXTEST").is_some() {
        return Ok(());
    }
    if recorded.is_some_and(|kept| kept.files > 0) {
        folder.point_here(RECORDED)?;
    }
    folder.point_here(LATEST)
}

/// libtest's command line, and what is added to it.
#[derive(Parser)]
#[command(
    help_template = "USAGE: [OPTIONS] [FILTER]\n\n{all-args}\n\n\n{after-help}",
    disable_version_flag = true,
    after_help = "RIGOR_RIG, RIGOR_SEED and RIGOR_OUT choose rigs (rigs/virtual), seed (1) and the folder of the\n\
        results (target/rigor). RIGOR_RIG=rigs/replay judges the newest recordings again with no rig.\n\
        RIGOR_FAULT puts a fault of suites/<system>/faults.toml into every virtual rig.\n\n\
        The exit code is 1 if the product fails a `must`, 3 if the harness or a case is wrong, 2 if it\n\
        cannot be decided, and else 0."
)]
struct Options {
    #[command(flatten)]
    libtest: Arguments,
    /// Keep what happened on the rigs, a recording for each case
    #[arg(long)]
    record: bool,
    /// Leave out the long cases: what they decide is then not run
    #[arg(long)]
    short: bool,
}

/// The command line, or libtest's answer to a wrong one. Its exit code for that would be taken for
/// an undecided run.
fn options() -> Result<Options, ExitCode> {
    Options::try_parse().map_err(|complaint| {
        // Nothing can be done about a closed standard output.
        let _ = complaint.print();
        ExitCode::from(if complaint.use_stderr() { EXIT_HARNESS } else { EXIT_OK })
    })
}

/// A run without a command line: every case of every suite on every rig that the environment
/// chooses, one after the other on this thread, but for [long](crate::case::Case::long) ones, which
/// count as left out by a filter. Nothing is printed and nothing kept.
///
/// # Errors
/// Everything that is wrong with catalogues, rig files and variables, a line each.
pub fn run_short(suites: Result<Vec<Suite>, SuiteError>, firmwares: Firmwares) -> Result<RunResult, String> {
    let planned = planned(suites, firmwares, None)?;
    let begun = Begun::now();
    let several_rigs = planned.several_rigs();
    let short = planned.seats.iter().filter(|seat| !seat.case.is_long());
    let records = short.map(|seat| seat.run(several_rigs)).collect();
    Ok(record::assemble(&planned, records, &begun))
}

/// What the environment chooses of the suites, or everything that is wrong, a line each. The run that
/// is `recorded` has a folder for its recordings.
fn planned(
    suites: Result<Vec<Suite>, SuiteError>,
    firmwares: Firmwares,
    recorded: Option<&Begun>,
) -> Result<Planned, String> {
    let suites = suites.map_err(|errors| errors.to_string())?;
    let environment = Environment::read()?;
    let recordings = recorded.map(|run| Recordings::new(environment.out.join(&run.id).join("recordings")));
    let (planned, complaints) = plan(environment, suites, firmwares, recordings);
    if complaints.is_empty() { Ok(planned) } else { Err(complaints.join("\n")) }
}

/// What `--list` prints, as libtest does. libtest-mimic would panic if its reader went away.
fn list(arguments: &Arguments, trials: &[libtest_mimic::Trial]) -> String {
    let chosen = trials.iter().filter(|trial| !arguments.is_filtered_out(trial));
    chosen.map(|trial| format!("{}: test\n", trial.name())).collect()
}

/// Writes to the standard output, or the standard error if `aside`. A reader that went away is no
/// reason to lose the record.
pub(crate) fn print(text: &str, aside: bool) {
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

/// `seat` as libtest-mimic runs it, leaving its record in `records`.
fn as_trial(seat: &Seat, several_rigs: bool, records: &Arc<Mutex<Records>>) -> libtest_mimic::Trial {
    let (seat, records) = (seat.clone(), records.clone());
    libtest_mimic::Trial::ignorable_test(seat.full_name(several_rigs), move || {
        let (key, record) = seat.run(several_rigs);
        let completion = completion(&seat.catalogue, &record.trial);
        records.lock().unwrap_or_else(PoisonError::into_inner).insert(key, record);
        completion
    })
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
    if gates {
        let mut text = grievances(trial).join("\n");
        for line in &trial.log_tail {
            text.push_str("\n    | ");
            text.push_str(&rigor_reports::visible(line));
        }
        Err(Failed::from(text))
    } else if trial.verdict() == Verdict::NotRun {
        Ok(Completion::ignored_with(rigor_reports::visible(trial.reason().unwrap_or_default())))
    } else {
        Ok(Completion::Completed)
    }
}

/// A line for each thing that was found amiss, with the requirements that it concerns.
fn grievances(trial: &Trial) -> Vec<String> {
    let mut told: Vec<(Verdict, &str, Vec<&str>)> = Vec::new();
    for (id, decision) in trial.decisions.iter().filter(|(_, decision)| decision.verdict != Verdict::Pass) {
        let reason = decision.reason.as_deref().unwrap_or_default();
        match told.iter_mut().find(|(verdict, known, _)| (*verdict, *known) == (decision.verdict, reason)) {
            Some((_, _, ids)) => ids.push(id),
            None => told.push((decision.verdict, reason, vec![id])),
        }
    }
    let line = |(verdict, reason, ids): (Verdict, &str, Vec<&str>)| {
        format!("{verdict} {}: {}", ids.join(" "), rigor_reports::visible(reason))
    };
    told.into_iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rigor_core::Fidelity;
    use rigor_core::result::Decision;

    use super::*;

    #[test]
    fn the_list_is_libtest_s_and_follows_the_filter() {
        let trials = ["toy::T-ONE::works", "toy::T-TWO::rests"]
            .map(|name| libtest_mimic::Trial::test(name, || Ok(())));
        let listed = |arguments: &[&str]| {
            let arguments = Arguments::from_iter([&["hil", "--list"], arguments].concat());
            list(&arguments, &trials)
        };
        assert_eq!(listed(&[]), "toy::T-ONE::works: test\ntoy::T-TWO::rests: test\n");
        assert_eq!(listed(&["T-TWO"]), "toy::T-TWO::rests: test\n");
        assert_eq!(listed(&["--ignored"]), "", "no case is ignored");
    }

    #[test]
    fn a_failure_names_its_requirements_and_says_each_thing_once() {
        let decision = |id: &str, verdict, reason: &str| {
            let mut decision = Decision::new("case", "rig", Fidelity::Modelled, verdict);
            decision.reason = Some(reason.to_owned());
            (id.to_owned(), decision)
        };
        let trial = Trial {
            decisions: vec![
                decision("T-ONE", Verdict::Fail, "it is slow"),
                decision("T-TWO", Verdict::Pass, ""),
                decision("T-THREE", Verdict::Inconclusive, "\u{1b}[2J"),
                decision("T-FOUR", Verdict::Fail, "it is slow"),
            ],
            rig_time: Duration::ZERO,
            wall_time: Duration::ZERO,
            retries: 0,
            log_tail: Vec::new(),
            reached_defects: None,
        };
        let told = ["FAIL T-ONE T-FOUR: it is slow", "INCONCLUSIVE T-THREE: \\u{1b}[2J"];
        assert_eq!(grievances(&trial), told);
    }
}
