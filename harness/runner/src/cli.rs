//! `cargo test --test hil`: the suites as a test binary.
//!
//! Names, filters, `--list`, `--exact`, `--skip`, `--ignored` and `--test-threads` are
//! libtest's, by libtest-mimic, so that cargo and nextest know their way about. What counts is the
//! record that the run leaves: `results.json`, what is made from it, and the table. No case is ignored, so
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

use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use libtest_mimic::{Arguments, Completion, Failed, FormatSetting};
use rigor_core::requirement::Catalogue;
use rigor_core::result::{EXIT_HARNESS, EXIT_OK, RunResult};
use rigor_core::verdict::Verdict;
use rigor_rigs::Firmwares;

use crate::engine::{Choices, Complaints, Environment, Extent, Seat, Session};
use crate::evidence::FilesOf;
use crate::interrupt::Interrupt;
use crate::progress;
use crate::suite::{Suite, SuiteError};
use crate::trial::Trial;

/// The whole test binary: reads the arguments, runs what they choose, leaves the record, and says
/// by its exit code whose fault it is (see [`rigor_core::result::exit_code`]).
pub fn main(suites: Result<Vec<Suite>, SuiteError>, firmwares: Firmwares) -> ExitCode {
    let Options { libtest: arguments, record, short, evidence } = match options() {
        Ok(options) => options,
        Err(code) => return code,
    };
    let files = Some(if evidence { FilesOf::All } else { FilesOf::WhatDoesNotPass });
    let extent = Extent { record, short, files, accounts: false };
    let session = Choices::from_variables()
        .and_then(Environment::read)
        .and_then(|environment| Session::begin(suites, firmwares, environment, extent, progress::line()));
    let session = match session {
        Ok(session) => Arc::new(session),
        Err(complaints) => {
            print(&format!("{complaints}\n"), true);
            return ExitCode::from(EXIT_HARNESS);
        }
    };
    if arguments.list {
        let seats = session.plan().seats().iter().filter(|seat| !(short && seat.case().is_long()));
        let trials: Vec<_> = seats.map(|seat| as_trial(seat, &session, None)).collect();
        print(&list(&arguments, &trials), false);
        return ExitCode::SUCCESS;
    }
    let folder = match session.folder() {
        Ok(folder) => folder,
        Err(complaint) => {
            print(&format!("the results cannot be kept: {complaint}\n"), true);
            return ExitCode::from(EXIT_HARNESS);
        }
    };
    // A system that gives no signals ends the process at once, as ever.
    let interrupt =
        Interrupt::listen(session.ending(), |told| print(&format!("{told}\n"), true)).ok().map(Arc::new);
    let interruptible = |seat| as_trial(seat, &session, interrupt.clone());
    let trials = session.seats().into_iter().map(interruptible).collect();
    // Its conclusion knows no blame; the record does.
    let _ = libtest_mimic::run(&arguments, trials);
    // Under nextest each case is a process and a run of its own, of which none is the newest.
    let ended = session.end(&folder, std::env::var_os("NEXTEST").is_none());
    let table = rigor_reports::table::render(&ended.result, use_colours());
    // libtest's machine-readable formats own the standard output.
    let machine_readable = matches!(arguments.format, Some(FormatSetting::Json));
    print(&table, machine_readable);
    for complaint in &ended.complaints {
        print(&format!("{complaint}\n"), true);
    }
    print(&ended.whereabouts(), machine_readable);
    ExitCode::from(ended.exit_code)
}

/// libtest's command line, and what is added to it.
#[derive(Parser)]
#[command(
    help_template = "USAGE: [OPTIONS] [FILTER]\n\n{all-args}\n\n\n{after-help}",
    disable_version_flag = true,
    after_help = "RIGOR_RIG, RIGOR_SEED and RIGOR_OUT choose rigs (rigs/virtual), seed (1) and the folder of the\n\
        results (target/rigor). RIGOR_RIG=rigs/replay judges the newest recordings again with no rig.\n\
        RIGOR_FAULT puts a fault of suites/<system>/faults.toml into every virtual rig.\n\
        `cargo run --bin rigor -- run` is the same run with bars and filters by requirement.\n\n\
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
    /// Leave files of every case's evidence for other tools, not only of those that do not pass
    #[arg(long)]
    evidence: bool,
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
pub fn run_short(
    suites: Result<Vec<Suite>, SuiteError>,
    firmwares: Firmwares,
) -> Result<RunResult, Complaints> {
    let extent = Extent { short: true, ..Extent::default() };
    let session =
        Session::begin(suites, firmwares, Environment::read(Choices::from_variables()?)?, extent, None)?;
    for seat in session.seats() {
        session.try_out(seat);
    }
    Ok(session.result())
}

/// What `--list` prints, as libtest does. libtest-mimic would panic if its reader went away.
fn list(arguments: &Arguments, trials: &[libtest_mimic::Trial]) -> String {
    let chosen = trials.iter().filter(|trial| !arguments.is_filtered_out(trial));
    chosen.map(|trial| format!("{}: test\n", trial.name())).collect()
}

/// Writes to the standard output, or the standard error if `aside`. A reader that went away is no
/// reason to lose the record.
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

/// `seat` as libtest-mimic runs it.
fn as_trial(seat: &Seat, session: &Arc<Session>, interrupt: Option<Arc<Interrupt>>) -> libtest_mimic::Trial {
    let (seat, session) = (seat.clone(), session.clone());
    libtest_mimic::Trial::ignorable_test(seat.full_name().to_owned(), move || {
        if interrupt.as_ref().is_some_and(|interrupt| interrupt.is_asked()) {
            session.give_up(&seat);
            return Ok(Completion::ignored_with("interrupted"));
        }
        completion(seat.catalogue(), &session.try_out(&seat))
    })
}

/// What libtest is told. It knows no classes and no blame: a case that gates is a failure.
fn completion(catalogue: &Catalogue, trial: &Trial) -> Result<Completion, Failed> {
    if trial.gates(catalogue) {
        let mut text = trial.grievances().join("\n");
        for line in trial.log_tail.iter().chain(&trial.backtrace) {
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

#[cfg(test)]
mod tests {
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
}
