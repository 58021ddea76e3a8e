//! `rigor rig new`: a rig file for a board on the desk, written for whoever has never seen one.

mod answers;
mod ask;
mod compose;
mod model;
mod plugged;
mod prism_k1;

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Subcommand;
use rigor_core::result::EXIT_OK;
use rigor_reports::visible;
use rigor_rigs::RigFile;
use rigor_rigs::ports::Host;
use rigor_runner::engine::workspace_root;

use crate::Systems;
use crate::choices::{here, rig_files};
use crate::error::CommandError;
use crate::print::print;
use answers::{Answers, Given};
use ask::{Asker, Nobody};

/// Make rig files
#[derive(clap::Args)]
#[command(after_help = "Examples:
  rigor rig new                         asks, and looks at what is plugged in
  rigor rig new --help                  the flags by which it need not ask

Exit codes: 0 the file is written; 3 it is not.")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    New(NewArguments),
}

/// Write a rig file for a board on the desk
///
/// Asks for what no flag says, and proposes what is plugged in. Opens no port: that could reset a board. The
/// file is commented and can be changed with an editor; one that is there is never overwritten. Where
/// there is no terminal it asks nothing, and says which flags it needs.
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
#[command(after_help = "Examples:
  rigor rig new
  rigor rig new --dut prism-k1 --chip esp32s3 --board /dev/ttyUSB0 --controller E6616407E3432B29
  rigor rig new --chip esp32c3 --board /dev/ttyACM0 --controller none --address 192.168.4.1 rigs/desk/k1.toml

Exit codes: 0 the file is written; 3 it is not, because it is there already or an answer is wrong or missing.")]
struct NewArguments {
    /// Where to write it [default: rigs/bench/<name>.toml].
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    #[command(flatten)]
    given: Given,
}

pub(crate) fn run(arguments: Arguments, systems: Systems) -> Result<ExitCode, CommandError> {
    let Action::New(new) = arguments.action;
    let suites = systems.suites?;
    let duts: Vec<&str> = suites.iter().map(|suite| suite.system()).collect();
    let root = workspace_root()?;
    let models: Vec<RigFile> = rig_files(&root).into_iter().filter_map(|file| file.rig.ok()).collect();
    let plugged = plugged::Plugged::of(&Host::default().devices());
    let known = answers::Known { duts: &duts, models: &models, plugged: &plugged };
    let answers = if io::stdin().is_terminal() && io::stdout().is_terminal() {
        new.given.answers(&known, &mut Asker::new(io::stdin().lock(), io::stdout()))?
    } else {
        new.given.answers(&known, &mut Nobody::default())?
    };
    let path = match &new.file {
        Some(path) => here(path)?,
        None => root.join("rigs/bench").join(format!("{}.toml", answers.name)),
    };
    write_new(&path, &text(&answers, &path)?)?;
    let shown = visible(&path.strip_prefix(&root).unwrap_or(&path).display().to_string());
    print(&format!(
        "{shown} is written. Look it over, and have the bench looked at:\n  rigor doctor --rig {shown}\nthen run the short \
         cases:\n  RIGOR_RIG=rigs/virtual:{shown} cargo test --test hil -- --short\n"
    ));
    Ok(ExitCode::from(EXIT_OK))
}

/// The file's text. It is read as every rig file is before it is written: an answer that makes no rig is
/// an answer to be given again.
fn text(answers: &Answers, path: &Path) -> Result<String, CommandError> {
    let text = compose::text(answers);
    RigFile::parse(&visible(&path.display().to_string()), &text)
        .map_err(|error| CommandError::Refused(format!("these answers make no rig file: {error}")))?;
    Ok(text)
}

/// Writes `text` to `path`, whole or not at all, and only if nothing is there.
fn write_new(path: &Path, text: &str) -> Result<(), CommandError> {
    let refused = |action: &'static str, remedy: &'static str| {
        move |source: io::Error| CommandError::Io { action, path: path.to_owned(), source, remedy }
    };
    const ELSEWHERE: &str = "name another file";
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(refused("make the folder of", ELSEWHERE))?;
    }
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(format!(".{}.new", std::process::id()));
    let temporary = PathBuf::from(temporary);
    let written = std::fs::write(&temporary, text)
        .map_err(refused("write", ELSEWHERE))
        // Unlike a renamed file, a second name for it never takes the place of another.
        .and_then(|()| {
            std::fs::hard_link(&temporary, path).map_err(|error| match error.kind() {
                io::ErrorKind::AlreadyExists => CommandError::Refused(format!(
                    "{} is there already, and a rig file is never overwritten: say another name by --name or another \
                     FILE, or remove this one",
                    visible(&path.display().to_string())
                )),
                _ => refused("write", ELSEWHERE)(error),
            })
        });
    let _ = std::fs::remove_file(&temporary);
    written
}

#[cfg(test)]
mod tests;
