//! `rigor run`: the suites on the chosen rigs, with the engine of `cargo test --test hil`.

mod display;
mod estimate;
pub(crate) mod filter;

use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant as WallInstant;

use rigor_core::result::RunResult;
use rigor_core::verdict::Verdict;
use rigor_reports::table;
use rigor_runner::engine::{Choice, Ended, Environment, Extent, Plan, Seat, Session};
use rigor_runner::evidence::FilesOf;
use rigor_runner::interrupt::Interrupt;

use crate::Systems;
use crate::choices::RigArguments;
use crate::error::CommandError;
use crate::print::{complain, print, use_colours};
use display::{Bars, Display};
use estimate::Estimate;
use filter::Filter;

/// Requirements that were tried, up to which the whole table is shown unasked.
const SMALL_TABLE: usize = 40;

/// Run the suites on the chosen rigs and say of every requirement whether it holds
///
/// The engine, the record and the exit code are those of `cargo test --test hil`. On a terminal
/// bars show what is being decided and about how long it will still take, going by the last run;
/// elsewhere each case has a line. What does not pass is shown at once, with the reason and the end
/// of the device's log. At the end come the requirements that did not pass, or the whole table
/// where it is short, and where the record is. Ctrl-C ends a run after the cases that have begun, with the record of
/// what was decided; a second one ends it at once.
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
#[command(after_help = "Examples:
  rigor run                                 everything on every rig in rigs/virtual
  rigor run --short                         all but the long cases
  rigor run K1-LED K1-UPL                   cases with one of these in their name
  rigor run --requirement K1-LED-002        what decides this requirement
  rigor run --fault red-first K1-LED        with colours swapped: what notices?
  rigor run --record && rigor replay        record it, and judge it again with no rig
  rigor run --rig virtual-k1 --seed 7 --table

Exit codes:
  1  the product fails a `must`
  3  the harness or a case is wrong, or a file, a variable, the command line; or the record was not kept
  2  undecided, and the product is not to blame: a rig fault, an inconclusive `must`, nothing that ran
  0  every `must` that was decided holds, and something was decided")]
pub(crate) struct Arguments {
    #[command(flatten)]
    filter: Filter,
    /// Leave out the long cases: what they decide is then not run.
    #[arg(long, help_heading = "Which cases")]
    short: bool,
    #[command(flatten)]
    rigs: RigArguments,
    /// Put this fault of suites/<system>/faults.toml into every virtual rig.
    #[arg(long, value_name = "NAME", help_heading = "Rigs")]
    fault: Option<String>,
    /// Keep what happened on the rigs, a recording for each case.
    #[arg(long)]
    record: bool,
    /// Leave files of every case's evidence for other tools, not only of those that do not pass.
    #[arg(long)]
    evidence: bool,
    #[command(flatten)]
    showing: Showing,
}

pub(crate) fn run(arguments: Arguments, systems: Systems) -> Result<ExitCode, CommandError> {
    let mut choices = arguments.rigs.choices()?;
    if let Some(text) = arguments.fault {
        choices.fault = Some(Choice { text, by: "--fault" });
    }
    let files = if arguments.evidence { FilesOf::All } else { FilesOf::WhatDoesNotPass };
    let extent =
        Extent { record: arguments.record, short: arguments.short, files: Some(files), accounts: false };
    let environment = Environment::read(choices)?;
    let filter = arguments.filter;
    run_shown(systems, environment, extent, &arguments.showing, |plan, seats| filter.choose(plan, seats))
}

/// How a run is driven and shown.
#[derive(clap::Args, Debug)]
pub(crate) struct Showing {
    /// Cases at once [default: the number of cores].
    #[arg(long, value_name = "N")]
    jobs: Option<NonZeroUsize>,
    /// Show the whole table at the end, however long.
    #[arg(long)]
    table: bool,
    /// No bars, and no line for a case that passes.
    #[arg(long, short)]
    quiet: bool,
}

/// Runs what `choose` leaves of the seats, shows it, and leaves the record.
pub(crate) fn run_shown(
    systems: Systems,
    environment: Environment,
    extent: Extent,
    showing: &Showing,
    choose: impl for<'a> FnOnce(&Plan, Vec<&'a Seat>) -> Result<Vec<&'a Seat>, CommandError>,
) -> Result<ExitCode, CommandError> {
    let jobs =
        showing.jobs.or_else(|| std::thread::available_parallelism().ok()).map_or(1, NonZeroUsize::get);
    let bars = if showing.quiet { None } else { Bars::new(jobs) };
    let onlooker = bars.as_ref().map(Bars::onlooker);
    let session = Session::begin(systems.suites, systems.firmwares, environment, extent, onlooker)?;
    let seats = choose(session.plan(), session.seats())?;
    let folder = session.folder()?;
    let display = Display::new(bars.clone(), showing.quiet, use_colours());
    let name = |seat: &Seat| (seat.catalogue().system.clone(), seat.case().name().to_owned());
    let estimate = Arc::new(Estimate::new(seats.iter().map(|seat| name(seat)), jobs));
    if let Some(bars) = &bars {
        bars.begin(seats.len(), estimate.clone());
        let (out, estimate) = (session.plan().environment().out.clone(), estimate.clone());
        // Beside the run: the record may be large, and nothing waits for it.
        std::thread::spawn(move || estimate.know(estimate::last_time(&out)));
    }
    let interrupt = Interrupt::listen(session.ending(), |told| complain(&format!("{told}\n")))
        .map_err(|error| CommandError::Refused(format!("no signal can be waited for: {error}")))?;
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for thread in 0..jobs.min(seats.len()) {
            let (next, seats, session, display, estimate) = (&next, &seats, &session, &display, &estimate);
            let interrupt = &interrupt;
            scope.spawn(move || {
                while let Some(seat) = seats.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if interrupt.is_asked() {
                        session.give_up(seat);
                        continue;
                    }
                    let (system, case) = name(seat);
                    display.begins(thread, seat);
                    estimate.begins(&system, &case, WallInstant::now());
                    let trial = session.try_out(seat);
                    estimate.ends(&system, &case, WallInstant::now());
                    display.ends(thread, seat, &trial);
                }
            });
        }
    });
    display.clear();
    let ended = session.end(&folder, true);
    print(&summary(&ended, showing.table, use_colours()));
    for complaint in &ended.complaints {
        complain(&format!("{complaint}\n"));
    }
    print(&ended.whereabouts());
    Ok(ExitCode::from(ended.exit_code))
}

/// The whole table where it is wanted or short, and else what did not pass.
fn summary(ended: &Ended, whole_table: bool, colours: bool) -> String {
    let tried = |result: &RunResult| {
        result.requirements.iter().filter(|found| found.verdict != Verdict::NotRun).count()
    };
    if whole_table || tried(&ended.result) <= SMALL_TABLE {
        format!("\n{}", table::render(&ended.result, colours))
    } else {
        format!("\n{}", table::brief(&ended.result, colours))
    }
}
