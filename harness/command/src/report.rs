//! `rigor report`, `rigor compare` and `rigor trend`: what runs have left, for people and for CI.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::ValueEnum;
use rigor_core::kill::{self, FaultsResult};
use rigor_core::result::{EXIT_OK, EXIT_PRODUCT, EXIT_UNDECIDED, MAX_FILE, RunResult};
use rigor_reports::store::{self, LATEST};
use rigor_reports::{annotations, compare, html, junit, summary, table, trend};
use rigor_runner::engine::{Choices, workspace_root};

use crate::error::CommandError;
use crate::output;
use crate::print::{print, use_colours};

/// Make a report of what a run has left
///
/// Everything comes from results.json alone, so anybody who has one can make every report again.
/// report.html is one file: it asks for nothing over a network and runs no script but its own.
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
#[command(after_help = "Examples:
  rigor report                                         report.html of the newest run, beside its results.json
  rigor report results.json --faults faults.json       with the kill matrix
  rigor report night/results.json -o night.html
  rigor report --format table                          the table on the terminal
  rigor report --format summary >> \"$GITHUB_STEP_SUMMARY\"
  rigor report --format annotations                    failures beside the lines of their cases, on GitHub

Exit codes: 0 the report is made, whatever it says; 3 a file cannot be read or written.")]
pub(crate) struct Arguments {
    /// A results.json, or the folder of a run [default: the newest run].
    #[arg(value_name = "RESULTS")]
    results: Option<PathBuf>,
    /// What to make.
    #[arg(long, value_enum, default_value_t = Format::Html)]
    format: Format,
    /// The kill matrix that goes into report.html.
    #[arg(long, value_name = "FAULTS.JSON")]
    faults: Option<PathBuf>,
    /// Where to [default: report.html beside the results; everything else to the standard output].
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// report.html, for browsers.
    Html,
    /// summary.md, for the page of a CI job.
    Summary,
    /// junit.xml, for CI systems.
    Junit,
    /// GitHub's workflow commands: a line for each failure, with file and line of its case.
    Annotations,
    /// The table of `rigor run --table`.
    Table,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, CommandError> {
    let path = match &arguments.results {
        Some(results) => results_at(results),
        None => newest()?,
    };
    let result = store::read(&path)?;
    if arguments.faults.is_some() && arguments.format != Format::Html {
        let text = "--faults goes into report.html only; leave it out, or use --format html";
        return Err(CommandError::Refused(text.to_owned()));
    }
    let faults = arguments.faults.as_deref().map(read_faults).transpose()?;
    let text = match arguments.format {
        Format::Html => html::render(&result, faults.as_ref()),
        Format::Summary => summary::render(&result),
        Format::Junit => junit::render(&result).map_err(|error| CommandError::Refused(error.to_string()))?,
        Format::Annotations => annotations::render(&result),
        Format::Table => table::render(&result, use_colours() && arguments.output.is_none()),
    };
    let to = arguments.output.clone().or_else(|| {
        let beside = path.with_file_name("report.html");
        (arguments.format == Format::Html).then_some(beside)
    });
    output::text(to.as_deref(), &text)?;
    Ok(ExitCode::from(EXIT_OK))
}

/// Say what changed from one run to another
///
/// Verdicts that became worse or better, figures that moved by more than noise and instruments
/// explain, budgets that are others, requirements that are new or gone.
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
#[command(after_help = "Examples:
  rigor compare target/rigor/20261120T220000Z-812 target/rigor/latest
  rigor compare main/results.json branch/results.json
  rigor compare before.json after.json -o change.html

Exit codes: 0 no `must` is worse; 1 one is; 3 a file cannot be read or written.")]
pub(crate) struct CompareArguments {
    /// The results.json before, or the folder of the run.
    #[arg(value_name = "BEFORE")]
    before: PathBuf,
    /// The results.json after, or the folder of the run.
    #[arg(value_name = "AFTER")]
    after: PathBuf,
    /// A page for browsers, besides the lines on the terminal.
    #[arg(long, short, value_name = "FILE.html")]
    output: Option<PathBuf>,
}

pub(crate) fn compare(arguments: &CompareArguments) -> Result<ExitCode, CommandError> {
    let read = |path: &Path| -> Result<RunResult, CommandError> { Ok(store::read(&results_at(path))?) };
    let found = compare::compare(&read(&arguments.before)?, &read(&arguments.after)?);
    print(&found.text());
    if let Some(path) = &arguments.output {
        output::text(Some(path), &found.html())?;
    }
    Ok(ExitCode::from(if found.is_worse() { EXIT_PRODUCT } else { EXIT_OK }))
}

/// Show the history of many runs, and where figures changed for good
///
/// A change is found by a stated test with a stated rate of false alarms, not by eye. The history
/// is nothing but a folder of runs: copy in what is to be compared.
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
#[command(after_help = "Examples:
  rigor trend                            the runs in target/rigor
  rigor trend nights -o trend.html       each nights/<run>/results.json, as a page
 
Exit codes: 0 the history is shown, whatever it says; 2 there is no run in the folder; 3 it cannot be read.")]
pub(crate) struct TrendArguments {
    /// A folder of runs' folders [default: target/rigor].
    #[arg(value_name = "FOLDER")]
    folder: Option<PathBuf>,
    /// A page for browsers, besides the lines on the terminal.
    #[arg(long, short, value_name = "FILE.html")]
    output: Option<PathBuf>,
}

pub(crate) fn trend(arguments: &TrendArguments) -> Result<ExitCode, CommandError> {
    let folder = match &arguments.folder {
        Some(folder) => folder.clone(),
        None => runs()?,
    };
    let history = trend::read_folder(&folder).map_err(|error| CommandError::Refused(error.to_string()))?;
    print(&history.text());
    if let Some(path) = &arguments.output {
        output::text(Some(path), &history.html())?;
    }
    Ok(ExitCode::from(if history.runs.is_empty() { EXIT_UNDECIDED } else { EXIT_OK }))
}

/// The folder of all runs.
fn runs() -> Result<PathBuf, CommandError> {
    let out = Choices::from_variables()?.out.unwrap_or_else(|| "target/rigor".into());
    Ok(workspace_root()?.join(out))
}

fn newest() -> Result<PathBuf, CommandError> {
    Ok(runs()?.join(LATEST).join("results.json"))
}

/// A run's folder stands for the results in it.
fn results_at(path: &Path) -> PathBuf {
    if path.is_dir() { path.join("results.json") } else { path.to_owned() }
}

fn read_faults(path: &Path) -> Result<FaultsResult, CommandError> {
    let refused = |source| CommandError::Io {
        action: "read",
        path: path.to_owned(),
        source,
        remedy: "name a faults.json that `rigor faults` wrote",
    };
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(refused)?;
    // One byte more than allowed tells a file that is too large, however much more there is.
    file.take(MAX_FILE as u64 + 1).read_to_string(&mut text).map_err(refused)?;
    if text.len() > MAX_FILE {
        let text = format!("{}: more than {MAX_FILE} bytes are no kill matrix", path.display());
        return Err(CommandError::Refused(text));
    }
    let wrong = |why: String| {
        let path = path.display();
        CommandError::Refused(format!("{path}: {why}; name a faults.json that this `rigor faults` wrote"))
    };
    let result: FaultsResult = serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
    if result.schema_version != kill::SCHEMA_VERSION {
        let (found, known) = (result.schema_version, kill::SCHEMA_VERSION);
        return Err(wrong(format!("it has `schema_version` {found} and not {known}")));
    }
    Ok(result)
}
