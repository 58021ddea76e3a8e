//! The options that choose rigs, seed and folder, which several subcommands share.

use std::path::{Path, PathBuf};

use rigor_rigs::RigFile;
use rigor_rigs::file::MAX_FILE_BYTES;
use rigor_runner::engine::{Choice, Choices, Environment, is_rig_file, workspace_root};
use rigor_runner::suggest;

use crate::error::CommandError;

/// Which rigs, with which seed, and where to.
#[derive(clap::Args, Clone, Default, Debug)]
#[command(next_help_heading = "Rigs")]
pub(crate) struct RigArguments {
    /// A rig file, a folder of them, or a rig's name; may be given several times [default: rigs/virtual].
    #[arg(long, value_name = "RIG")]
    rig: Vec<String>,
    /// The seed of every rig; one seed gives one run, to the byte [default: 1].
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,
    /// The folder that receives a folder for each run [default: target/rigor].
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
}

impl RigArguments {
    /// What the options choose, and the variables where no option does.
    pub(crate) fn choices(&self) -> Result<Choices, CommandError> {
        let mut choices = Choices::from_variables()?;
        if !self.rig.is_empty() {
            let root = workspace_root()?;
            let paths = self.rig.iter().map(|rig| rig_path(&root, rig)).collect::<Result<Vec<_>, _>>()?;
            choices.rig = Some(Choice { text: paths.join(":"), by: "--rig" });
        }
        choices.seed = self.seed.or(choices.seed);
        if let Some(out) = &self.out {
            choices.out = Some(here(out)?);
        }
        Ok(choices)
    }
}

/// `path` as it is meant on a command line: from the current folder.
pub(crate) fn here(path: &Path) -> Result<PathBuf, CommandError> {
    std::path::absolute(path).map_err(|source| CommandError::Io {
        action: "find",
        path: path.to_owned(),
        source,
        remedy: "write a path",
    })
}

/// The one rig that `--rig` names, with its paths looked up, and the root of the workspace.
pub(crate) fn one_rig(rig: &str) -> Result<(RigFile, PathBuf), CommandError> {
    let root = workspace_root()?;
    let text = rig_path(&root, rig)?;
    let choices = Choices { rig: Some(Choice { text, by: "--rig" }), ..Choices::default() };
    let mut rigs = Environment::read(choices)?.rigs;
    match (rigs.pop(), rigs.len()) {
        (Some(file), 0) => Ok((file, root)),
        (_, others) => Err(CommandError::Refused(format!(
            "--rig: {} holds {} rigs, and this is about one; name its file",
            rigor_reports::visible(rig),
            others + 1
        ))),
    }
}

/// The path that `rig` stands for: from the current folder, from the workspace's root, or of the rig file
/// with this name. Relative to the root where it can be, so that the record is the same wherever the
/// workspace is.
pub(crate) fn rig_path(root: &Path, rig: &str) -> Result<String, CommandError> {
    let from_here = here(Path::new(rig))?;
    let path = if from_here.exists() { from_here } else { root.join(rig) };
    let path = if path.exists() {
        path
    } else {
        let known = rig_files(root);
        match known.iter().find(|file| file.rig.as_ref().is_ok_and(|found| found.name == rig)) {
            Some(file) => file.path.clone(),
            None => {
                let names: Vec<&str> =
                    known.iter().filter_map(|file| Some(file.rig.as_ref().ok()?.name.as_str())).collect();
                let otherwise =
                    format!("write a path, or one of: {}; `rigor list rigs` shows them", names.join(", "));
                let remedy = suggest::remedy(rig, &names, &otherwise);
                return Err(CommandError::Unknown { what: "rig", name: rig.to_owned(), remedy });
            }
        }
    };
    let shown = path.strip_prefix(root).unwrap_or(&path);
    shown
        .to_str()
        .map(str::to_owned)
        .ok_or_else(|| CommandError::Refused(format!("--rig: {} is not UTF-8; rename it", path.display())))
}

/// A rig file below `rigs`.
pub(crate) struct FoundRig {
    /// Where it is.
    pub(crate) path: PathBuf,
    /// What it says, or what is wrong with it.
    pub(crate) rig: Result<RigFile, String>,
}

/// The rig files of the workspace: those in `rigs` and in the folders below it, by path.
pub(crate) fn rig_files(root: &Path) -> Vec<FoundRig> {
    let mut paths = Vec::new();
    for folder in std::iter::once(root.join("rigs")).chain(entries(&root.join("rigs"))) {
        paths.extend(entries(&folder).into_iter().filter(|path| is_rig_file(path) && path.is_file()));
    }
    paths.sort();
    paths.into_iter().map(|path| FoundRig { rig: read(root, &path), path }).collect()
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    entries.filter_map(|entry| Some(entry.ok()?.path())).collect()
}

fn read(root: &Path, path: &Path) -> Result<RigFile, String> {
    use std::io::Read;

    let shown = rigor_reports::visible(&path.strip_prefix(root).unwrap_or(path).display().to_string());
    let mut text = String::new();
    std::fs::File::open(path)
        // One byte too many tells a file that is too large, were it endless.
        .and_then(|file| file.take(MAX_FILE_BYTES as u64 + 1).read_to_string(&mut text))
        .map_err(|error| format!("{shown}: {error}"))?;
    RigFile::parse(&shown, &text).map_err(|error| error.to_string())
}
