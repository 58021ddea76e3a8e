//! Which rig is simulated.

use std::fs::File;
use std::io::Read;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use rigor_rigs::RigFile;
use rigor_rigs::file::{BackEnd, MAX_FILE_BYTES, Qemu, QemuBoard};

use crate::SimulateError;
use crate::arguments::Arguments;
use crate::pace::Speed;

/// The rig file that `arguments` name, whose board can be simulated.
pub(crate) fn read(arguments: &Arguments) -> Result<RigFile, SimulateError> {
    let path = match &arguments.rig {
        Some(folder) if folder.is_dir() => folder.join(format!("{}.toml", plain(&arguments.system)?)),
        Some(path) => path.clone(),
        None => find(plain(&arguments.system)?)?,
    };
    let shown = path.display().to_string();
    let mut file = read_file(&path)?;
    let complain = |complaint: &str| SimulateError::RigFile(format!("{shown}: {complaint}"));
    match &file.back_end {
        BackEnd::Virtual(_) => {}
        _ if arguments.bench => {
            return Err(complain("only a virtual board can be put into a bench; leave --rig or --bench out"));
        }
        BackEnd::Replay(_) => {
            return Err(complain("a recording answers nobody; name a rig with a board with --rig"));
        }
        BackEnd::Bench(_) => {
            return Err(complain(
                "its board is on the desk and needs no stand-in; name a rig of a virtual board",
            ));
        }
        BackEnd::Qemu(Qemu { board: QemuBoard::Exact(_), .. }) => {
            return Err(complain(
                "a board in exact time waits for the rig and for nobody else; name a rig of `mode = \"live\"`, \
                 such as rigs/qemu-live",
            ));
        }
        BackEnd::Qemu(_) if arguments.speed != Speed::REAL_TIME => {
            return Err(complain("a board in the host's time has the host's speed; leave --speed out"));
        }
        BackEnd::Qemu(_) if arguments.address != Ipv4Addr::LOCALHOST => {
            return Err(complain("ports that lead to QEMU are on 127.0.0.1 only; leave --address out"));
        }
        BackEnd::Qemu(_) => {
            file.look_up(&root());
            forward(&mut file, arguments);
        }
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

/// The ports of this machine that are to lead to the device: what somebody has said, else what everybody else's
/// board has.
fn forward(file: &mut RigFile, arguments: &Arguments) {
    let Some(net) = &mut file.net else { return };
    for (service, &device) in &net.ports {
        if arguments.chosen(service).is_none() && net.forward.contains_key(service) {
            continue;
        }
        match arguments.port_of(service, device) {
            // The rig chooses.
            0 => drop(net.forward.remove(service)),
            port => drop(net.forward.insert(service.clone(), port)),
        }
    }
}

/// Where relative paths of a rig file start: at the workspace, here or above.
pub(crate) fn root() -> PathBuf {
    let here = std::env::current_dir().unwrap_or_default();
    let root = here.ancestors().find(|folder| folder.join("rigs").is_dir()).map(Path::to_owned);
    root.unwrap_or(here)
}

/// `system`, which can be a part of a file's name.
fn plain(system: &str) -> Result<&str, SimulateError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if system.is_empty() || !system.chars().all(plain) {
        let complaint = format!("{system:?} is no system; names are letters, digits, `-` and `_`");
        return Err(SimulateError::RigFile(complaint));
    }
    Ok(system)
}

/// `rigs/virtual/<system>.toml`, here or in the nearest folder above.
fn find(system: &str) -> Result<PathBuf, SimulateError> {
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
