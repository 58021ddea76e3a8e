//! Which rig is simulated.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use rigor_rigs::RigFile;
use rigor_rigs::file::{BackEnd, MAX_FILE_BYTES};

use crate::SimulateError;
use crate::arguments::Arguments;

/// The rig file that `arguments` name, whose board can be simulated.
pub(crate) fn read(arguments: &Arguments) -> Result<RigFile, SimulateError> {
    let path = match &arguments.rig {
        Some(path) => path.clone(),
        None => find(&arguments.system)?,
    };
    let shown = path.display().to_string();
    let file = read_file(&path)?;
    if !matches!(file.back_end, BackEnd::Virtual(_)) {
        let complaint =
            "only a board of `back_end = \"virtual\"` can be simulated; name such a rig with --rig";
        return Err(SimulateError::RigFile(format!("{shown}: {complaint}")));
    }
    if file.dut != arguments.system {
        let complaint = format!(
            "its device is `{}` and not `{}`; name another rig with --rig",
            file.dut, arguments.system
        );
        return Err(SimulateError::RigFile(format!("{shown}: {complaint}")));
    }
    Ok(file)
}

/// `rigs/virtual/<system>.toml`, here or in the nearest folder above.
fn find(system: &str) -> Result<PathBuf, SimulateError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if system.is_empty() || !system.chars().all(plain) {
        let complaint = format!("{system:?} is no system; names are letters, digits, `-` and `_`");
        return Err(SimulateError::RigFile(complaint));
    }
    let wanted = Path::new("rigs/virtual").join(format!("{system}.toml"));
    let here = std::env::current_dir().unwrap_or_default();
    here.ancestors().map(|folder| folder.join(&wanted)).find(|path| path.is_file()).ok_or_else(|| {
        SimulateError::RigFile(format!(
            "there is no {} at or above {}; run from within the workspace, or name a rig file with --rig",
            wanted.display(),
            here.display()
        ))
    })
}

fn read_file(path: &Path) -> Result<RigFile, SimulateError> {
    let shown = path.display().to_string();
    let mut text = String::new();
    // One byte too many tells a file that is too large, were it endless.
    let limit = MAX_FILE_BYTES as u64 + 1;
    File::open(path)
        .and_then(|file| file.take(limit).read_to_string(&mut text))
        .map_err(|error| SimulateError::RigFile(format!("{shown}: {error}; name a readable rig file")))?;
    RigFile::parse(&shown, &text).map_err(|error| SimulateError::RigFile(error.to_string()))
}
