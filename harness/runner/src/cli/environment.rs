//! What the environment chooses: rigs, seed, folder, fault.

use std::env::VarError;
use std::io::Read;
use std::path::{Path, PathBuf};

use rigor_rigs::RigFile;
use rigor_rigs::file::MAX_FILE_BYTES;

/// The choices of one run.
pub(crate) struct Environment {
    /// What `RIGOR_RIG` says, if it says anything.
    pub(crate) rig: Option<String>,
    pub(crate) rigs: Vec<RigFile>,
    pub(crate) seed: u64,
    pub(crate) out: PathBuf,
    /// What is to be wrong with the rigs: a name from a suite's list of faults.
    pub(crate) fault: Option<String>,
}

const DEFAULT_SEED: u64 = 1;

impl Environment {
    /// Reads the variables and the rig files that they name.
    pub(crate) fn read() -> Result<Self, String> {
        let root = workspace_root()?;
        let seed = match variable("RIGOR_SEED")? {
            None => DEFAULT_SEED,
            Some(text) => text.parse().map_err(|_| {
                format!("RIGOR_SEED is {text:?}; write a whole number from 0 to {}", u64::MAX)
            })?,
        };
        let out = root.join(variable("RIGOR_OUT")?.unwrap_or_else(|| "target/rigor".to_owned()));
        let rig = variable("RIGOR_RIG")?;
        let mut files = Vec::new();
        for path in rig.as_deref().unwrap_or("rigs/virtual").split(':').filter(|path| !path.is_empty()) {
            files.extend(rig_files(&root.join(path))?);
        }
        if files.is_empty() {
            return Err("RIGOR_RIG: no path stands between the `:`; name a rig file or a folder".to_owned());
        }
        let mut rigs = files.iter().map(|file| read_rig(&root, file)).collect::<Result<Vec<_>, _>>()?;
        rigs.iter_mut().for_each(|rig| rig.look_up(&root));
        // A run of nothing but recordings has the seed that they were made with.
        let mut recorded = rigs.iter().map(|rig| rig.recorded().map(|recorded| recorded.seed));
        let first = recorded.next().flatten();
        let seed = first.filter(|_| recorded.all(|other| other == first)).unwrap_or(seed);
        let mut names: Vec<&str> = rigs.iter().map(|rig| rig.name.as_str()).collect();
        names.sort_unstable();
        if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(format!(
                "RIGOR_RIG: two rigs are called `{}`; give each a `name` of its own",
                twice[0]
            ));
        }
        Ok(Environment { rig, rigs, seed, out, fault: variable("RIGOR_FAULT")? })
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
fn workspace_root() -> Result<PathBuf, String> {
    let here =
        std::env::current_dir().map_err(|error| format!("the current folder cannot be read: {error}"))?;
    here.ancestors()
        .find(|folder| folder.join("rigs").is_dir() && folder.join("Cargo.lock").is_file())
        .map(Path::to_path_buf)
        .ok_or_else(|| {
            format!("no workspace with a `rigs` folder at or above {}; run from within it", here.display())
        })
}

/// The file itself, or the `.toml` files of a folder in the order of their names.
fn rig_files(path: &Path) -> Result<Vec<PathBuf>, String> {
    let complain = |error: std::io::Error| {
        format!("RIGOR_RIG: {}: {error}; name a rig file or a folder of them", path.display())
    };
    if !std::fs::metadata(path).map_err(complain)?.is_dir() {
        return Ok(vec![path.to_path_buf()]);
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).map_err(complain)? {
        let file = entry.map_err(complain)?.path();
        if file.extension().is_some_and(|extension| extension == "toml") {
            files.push(file);
        }
    }
    files.sort();
    if files.is_empty() {
        return Err(format!("RIGOR_RIG: {} holds no .toml file; name a rig file", path.display()));
    }
    Ok(files)
}

fn read_rig(root: &Path, file: &Path) -> Result<RigFile, String> {
    let shown = file.strip_prefix(root).unwrap_or(file).display().to_string();
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
        let error = rig_files(Path::new("no/such/folder")).expect_err("nothing there");
        assert!(error.contains("no/such/folder") && error.contains("name a rig file"), "{error}");
    }
}
