//! `rigor replay`: recorded runs, judged again by today's cases with no rig.

use std::fs::{self, File};
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use rigor_reports::store::RECORDED;
use rigor_rigs::file::{BackEnd, RigFile};
use rigor_rigs::recording::{EXTENSION, Header, Reader, path_of};
use rigor_runner::engine::{Choices, Environment, Extent, Seat, workspace_root};
use serde::Serialize;

use crate::Systems;
use crate::choices::here;
use crate::error::CommandError;
use crate::run::filter::Filter;
use crate::run::{Showing, run_shown};

/// Judge recorded runs again, by today's cases and with no rig
///
/// Timeline, clock and answers are the recorded ones, so an unchanged case comes to the same verdict
/// and the same figures. A case may assert other things and end earlier; one that acts differently is
/// inconclusive, because nobody knows what the device would have done. Cases that were not recorded
/// are left out.
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
#[command(after_help = "Examples:
  rigor run --record                                   record a run
  rigor replay                                         the newest recorded run
  rigor replay target/rigor/20261121T095105Z-19090     the recordings of this run
  rigor replay night/recordings K1-LED                 some cases of somebody else's recordings
  rigor replay --requirement K1-LED-002                some cases of the newest recorded run
  rigor replay picture.rec                             one recording

Exit codes: as of `rigor run`; 3 also if there are no recordings.")]
pub(crate) struct Arguments {
    /// A run's folder, its `recordings`, one rig's in there, or one file [default: the newest recorded run].
    #[arg(value_name = "RECORDINGS")]
    from: Option<PathBuf>,
    #[command(flatten)]
    filter: Filter,
    /// The folder that receives a folder for each run [default: target/rigor].
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    #[command(flatten)]
    showing: Showing,
}

pub(crate) fn run(arguments: &Arguments, systems: Systems) -> Result<ExitCode, CommandError> {
    let mut choices = Choices { rig: None, fault: None, ..Choices::from_variables()? };
    if let Some(out) = &arguments.out {
        choices.out = Some(here(out)?);
    }
    let root = workspace_root()?;
    let from = match &arguments.from {
        Some(from) => here(from)?,
        None => root.join(choices.out.as_deref().unwrap_or(Path::new("target/rigor"))).join(RECORDED),
    };
    let recorded = recorded(&from)?;
    let rigs = recorded.iter().map(|rig| rig.file.clone()).collect();
    let mut environment = Environment::of(rigs, choices)?;
    environment.repeat = Some(format!("rigor replay '{}' --case", shown(&from, &root)));
    let has = |seat: &Seat| {
        recorded.iter().any(|rig| rig.file.name == seat.rig().name && rig.has(seat.case().name()))
    };
    run_shown(systems, environment, Extent::default(), &arguments.showing, |plan, seats| {
        arguments.filter.choose(plan, seats.into_iter().filter(|seat| has(seat)).collect())
    })
}

/// `path` as the record is to name it, whoever reads it wherever the workspace is.
fn shown(path: &Path, root: &Path) -> String {
    path.strip_prefix(root).unwrap_or(path).display().to_string()
}

/// A rig that was recorded.
struct Recorded {
    /// The rig that replays it.
    file: RigFile,
    /// The only case that there is a recording of, if one recording was named.
    only: Option<String>,
}

impl Recorded {
    /// Whether there is a recording of `case`.
    fn has(&self, case: &str) -> bool {
        match (&self.only, &self.file.back_end) {
            (Some(only), _) => only == case,
            (None, BackEnd::Replay(replay)) => {
                let rig = replay.rig.as_deref().unwrap_or_default();
                path_of(&replay.recording, rig, case).is_file()
            }
            (None, BackEnd::Virtual(_) | BackEnd::Qemu(_) | BackEnd::Bench(_)) => false,
        }
    }
}

/// The recordings at `from`: a run, its recordings, those of one rig, or one of them.
fn recorded(from: &Path) -> Result<Vec<Recorded>, CommandError> {
    if from.is_file() {
        let header = header(from)?;
        return Ok(vec![Recorded { file: rig_file(from, None, &header)?, only: Some(header.case) }]);
    }
    let folder = Some(from.join("recordings")).filter(|folder| folder.is_dir()).unwrap_or(from.to_owned());
    let rigs = if first_recording(&folder).is_some() { vec![folder.clone()] } else { entries(&folder) };
    let mut found = Vec::new();
    for rig in rigs {
        let Some(first) = first_recording(&rig) else { continue };
        let name = rig.file_name().map(|name| name.to_string_lossy().into_owned());
        let recordings = rig.parent().unwrap_or(&folder);
        let file = rig_file(recordings, name.as_deref(), &header(&first)?)?;
        found.push(Recorded { file, only: None });
    }
    if found.is_empty() {
        let text = format!(
            "there are no recordings in {}; name a run's folder, or record a run with `rigor run --record`",
            from.display()
        );
        return Err(CommandError::Refused(text));
    }
    Ok(found)
}

/// What `folder` holds, by name; nothing if it cannot be read.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    paths
}

fn first_recording(folder: &Path) -> Option<PathBuf> {
    let is_recording = |path: &PathBuf| path.extension().is_some_and(|end| end == EXTENSION);
    entries(folder).into_iter().find(is_recording)
}

fn header(path: &Path) -> Result<Header, CommandError> {
    let file = File::open(path).map_err(|source| CommandError::Io {
        action: "open",
        path: path.to_owned(),
        source,
        remedy: "name a recording that may be read",
    })?;
    let reader = Reader::open(BufReader::new(file))
        .map_err(|error| CommandError::Refused(format!("{}: {error}", path.display())))?;
    Ok(reader.header().clone())
}

/// A rig file over these recordings.
fn rig_file(recording: &Path, rig: Option<&str>, header: &Header) -> Result<RigFile, CommandError> {
    #[derive(Serialize)]
    struct Raw<'a> {
        schema: u32,
        name: String,
        dut: &'a str,
        back_end: &'a str,
        replay: RawReplay<'a>,
    }
    #[derive(Serialize)]
    struct RawReplay<'a> {
        recording: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        rig: Option<&'a str>,
    }

    let refused = |why: String| CommandError::Refused(format!("{}: {why}", recording.display()));
    let path = recording.to_str().ok_or_else(|| refused("the path is not UTF-8; rename it".into()))?;
    // A fault follows its rig after a `+`, which no rig file may have in its name.
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-_".contains(c) { c } else { '-' };
    let raw = Raw {
        schema: 1,
        name: format!("replay-{}", header.rig.chars().map(plain).collect::<String>()),
        dut: &header.system,
        back_end: "replay",
        replay: RawReplay { recording: path, rig },
    };
    let text = toml::to_string(&raw).map_err(|error| refused(error.to_string()))?;
    RigFile::parse(path, &text).map_err(|error| refused(error.to_string()))
}
