//! What a run is told to do: rigs, seed, folder, fault.

use std::env::VarError;
use std::io::Read;
use std::path::{Path, PathBuf};

use rigor_reports::visible;
use rigor_rigs::RigFile;
use rigor_rigs::file::MAX_FILE_BYTES;

use super::Complaints;

/// A choice with the name of who made it, for complaints about it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Choice {
    /// What was chosen.
    pub text: String,
    /// The variable or the option: `RIGOR_RIG`, `--rig`.
    pub by: &'static str,
}

/// What was asked for, before any file is read.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Choices {
    /// Rig files or folders of them, separated by `:`, relative to the workspace's root; `rigs/virtual`
    /// by default.
    pub rig: Option<Choice>,
    /// The seed of every rig; 1 by default.
    pub seed: Option<u64>,
    /// The folder that receives a folder for each run, relative to the workspace's root;
    /// `target/rigor` by default.
    pub out: Option<PathBuf>,
    /// What is to be wrong with the rigs: a name from a suite's list of faults.
    pub fault: Option<Choice>,
}

impl Choices {
    /// What the variables `RIGOR_RIG`, `RIGOR_SEED`, `RIGOR_OUT` and `RIGOR_FAULT` say. An empty one says
    /// nothing.
    ///
    /// # Errors
    /// A variable that is not UTF-8, or a seed that is no whole number.
    pub fn from_variables() -> Result<Self, Complaints> {
        let choice = |by| Ok::<_, Complaints>(variable(by)?.map(|text| Choice { text, by }));
        let seed = match variable("RIGOR_SEED")? {
            None => None,
            Some(text) => Some(text.parse().map_err(|_| {
                format!("RIGOR_SEED is {text:?}; write a whole number from 0 to {}", u64::MAX)
            })?),
        };
        Ok(Choices {
            rig: choice("RIGOR_RIG")?,
            seed,
            out: variable("RIGOR_OUT")?.map(PathBuf::from),
            fault: choice("RIGOR_FAULT")?,
        })
    }
}

/// The choices of one run, and the rig files that they name.
#[derive(Clone)]
pub struct Environment {
    /// What was said of rigs, if anything.
    pub rig: Option<Choice>,
    /// The rigs; at least one, each with a name of its own.
    pub rigs: Vec<RigFile>,
    /// The seed of every rig.
    pub seed: u64,
    /// The folder that receives a folder for each run.
    pub out: PathBuf,
    /// What is to be wrong with the rigs, if anything.
    pub fault: Option<Choice>,
    /// The command that repeats the run of a case, up to the case's name; that of the test binary if there
    /// is none.
    pub repeat: Option<String>,
}

const DEFAULT_RIGS: &str = "rigs/virtual";
const DEFAULT_SEED: u64 = 1;
const DEFAULT_OUT: &str = "target/rigor";

impl Environment {
    /// Reads the rig files that were chosen.
    ///
    /// # Errors
    /// Outside of a workspace; a file that cannot be read or is malformed; two rigs of one name.
    pub fn read(choices: Choices) -> Result<Self, Complaints> {
        let root = workspace_root()?;
        let (paths, by) = choices
            .rig
            .as_ref()
            .map_or((DEFAULT_RIGS, "RIGOR_RIG"), |choice| (choice.text.as_str(), choice.by));
        let mut files = Vec::new();
        for path in paths.split(':').filter(|path| !path.is_empty()) {
            files.extend(rig_files(&root.join(path), by)?);
        }
        if files.is_empty() {
            let text = format!("{by}: no path stands between the `:`; name a rig file or a folder");
            return Err(text.into());
        }
        let rigs = files.iter().map(|file| read_rig(&root, file)).collect::<Result<Vec<_>, _>>()?;
        Environment::of(rigs, choices)
    }

    /// With these `rigs`, whatever the choices say of rigs.
    ///
    /// # Errors
    /// Outside of a workspace; two rigs of one name.
    pub fn of(mut rigs: Vec<RigFile>, choices: Choices) -> Result<Self, Complaints> {
        let root = workspace_root()?;
        let out = root.join(choices.out.unwrap_or_else(|| DEFAULT_OUT.into()));
        let rig = choices.rig;
        let by = rig.as_ref().map_or("RIGOR_RIG", |choice| choice.by);
        rigs.iter_mut().for_each(|rig| rig.look_up(&root));
        // A run of nothing but recordings has the seed that they were made with.
        let mut recorded = rigs.iter().map(|rig| rig.recorded().map(|recorded| recorded.seed));
        let first = recorded.next().flatten();
        let seed = choices.seed.unwrap_or(DEFAULT_SEED);
        let seed = first.filter(|_| recorded.all(|other| other == first)).unwrap_or(seed);
        let mut names: Vec<&str> = rigs.iter().map(|rig| rig.name.as_str()).collect();
        names.sort_unstable();
        if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            let text = format!("{by}: two rigs are called `{}`; give each a `name` of its own", twice[0]);
            return Err(text.into());
        }
        Ok(Environment { rig, rigs, seed, out, fault: choices.fault, repeat: None })
    }
}

/// What the variable says; `None` if it is not set or empty.
fn variable(name: &str) -> Result<Option<String>, String> {
    match std::env::var(name) {
        Ok(value) => Ok(Some(value).filter(|value| !value.is_empty())),
        Err(VarError::NotPresent) => Ok(None),
        Err(VarError::NotUnicode(value)) => Err(format!("{name} is {value:?}; write it in UTF-8")),
    }
}

/// The folder above the current one that holds the workspace: cargo starts a test binary in its
/// package's folder.
///
/// # Errors
/// Outside of a workspace.
pub fn workspace_root() -> Result<PathBuf, Complaints> {
    let here =
        std::env::current_dir().map_err(|error| format!("the current folder cannot be read: {error}"))?;
    here.ancestors()
        .find(|folder| folder.join("rigs").is_dir() && folder.join("Cargo.lock").is_file())
        .map(Path::to_path_buf)
        .ok_or_else(|| {
            let here = here.display();
            format!("no workspace with a `rigs` folder at or above {here}; run from within it").into()
        })
}

/// What cargo calls the file of a package; the controller's firmware lies below `rigs`.
const MANIFEST: &str = "Cargo.toml";

/// Whether a file of a folder of rigs describes one: its name ends in `.toml`, and it is neither the
/// [file of differences](crate::parity::TOLERANCES) between them nor a package's.
pub fn is_rig_file(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "toml")
        && path.file_name().is_none_or(|name| name != crate::parity::TOLERANCES && name != MANIFEST)
}

/// The file itself, or the rig files of a folder in the order of their names.
fn rig_files(path: &Path, by: &str) -> Result<Vec<PathBuf>, String> {
    let complain = |error: std::io::Error| {
        let path = visible(&path.display().to_string());
        format!("{by}: {path}: {error}; name a rig file or a folder of them")
    };
    if !std::fs::metadata(path).map_err(complain)?.is_dir() {
        return Ok(vec![path.to_path_buf()]);
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).map_err(complain)? {
        let file = entry.map_err(complain)?.path();
        if is_rig_file(&file) {
            files.push(file);
        }
    }
    files.sort();
    if files.is_empty() {
        return Err(format!("{by}: {} holds no .toml file; name a rig file", path.display()));
    }
    Ok(files)
}

fn read_rig(root: &Path, file: &Path) -> Result<RigFile, String> {
    let shown = visible(&file.strip_prefix(root).unwrap_or(file).display().to_string());
    let mut text = String::new();
    // One byte too many tells a file that is too large, were it endless.
    let limit = MAX_FILE_BYTES as u64 + 1;
    std::fs::File::open(file)
        .and_then(|file| file.take(limit).read_to_string(&mut text))
        .map_err(|error| format!("{shown}: {error}; name a readable rig file"))?;
    RigFile::parse(&shown, &text).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn an_endless_file_is_refused() {
        let error = read_rig(Path::new("/dev"), Path::new("/dev/zero")).expect_err("no rig file");
        assert!(error.starts_with("zero:1: more than 65536 bytes"), "{error}");
    }

    #[test]
    fn a_path_that_leads_nowhere_is_named_with_the_remedy() {
        let error = rig_files(Path::new("no/such/folder"), "--rig").expect_err("nothing there");
        assert!(error.starts_with("--rig: no/such/folder") && error.contains("name a rig file"), "{error}");
    }
}
