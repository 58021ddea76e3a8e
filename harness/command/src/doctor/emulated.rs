//! Rigs whose device is emulated: whether there is the emulator, and an image for it.

use std::path::Path;

use rigor_reports::visible;
use rigor_rigs::RigFile;
use rigor_rigs::file::{BackEnd, Qemu, QemuBoard};
use rigor_rigs::qemu::{self, QemuError};
use rigor_runner::engine::workspace_root;

use super::{Check, Status};
use crate::choices::rig_files;

/// The emulator and the image of every rig file below `rigs` that wants them.
pub(super) fn checks() -> Vec<Check> {
    let Ok(root) = workspace_root() else { return Vec::new() };
    let rigs = rig_files(&root).into_iter().filter_map(|found| found.rig.ok());
    rigs.filter_map(|mut rig| {
        rig.look_up(&root);
        match &rig.back_end {
            BackEnd::Qemu(qemu) => Some(check_of(&rig, qemu, &root)),
            BackEnd::Virtual(_) | BackEnd::Replay(_) | BackEnd::Bench(_) => None,
        }
    })
    .collect()
}

/// The emulator and the image of one rig.
pub(super) fn check_of(rig: &RigFile, qemu: &Qemu, root: &Path) -> Check {
    let (status, found, remedy) = look(qemu, root);
    check(rig, status, &found, remedy)
}

fn check(rig: &RigFile, status: Status, found: &str, remedy: Option<String>) -> Check {
    Check {
        group: "emulated rigs",
        name: format!("{} ({})", rig.name, visible(&rig.path)),
        status,
        found: visible(found),
        purpose: "the requirements, on an image for a chip",
        remedy,
    }
}

/// How to get Espressif's QEMU.
const FORK: &str = "idf_tools.py install qemu-xtensa qemu-riscv32 (of ESP-IDF), and name it in `binary`";

fn look(qemu: &Qemu, root: &Path) -> (Status, String, Option<String>) {
    let installed = match qemu::installed(&qemu.binary) {
        Ok(installed) => installed,
        Err(error) => {
            let status = match error {
                QemuError::NotFound { .. } => Status::Missing,
                _ => Status::Unusable,
            };
            let text = error.to_string();
            let (found, remedy) = text.split_once("; ").unwrap_or((&text, "name another `binary`"));
            let remedy = match qemu.board {
                QemuBoard::Exact(_) | QemuBoard::Live => remedy.to_owned(),
                QemuBoard::Espressif(_) => FORK.to_owned(),
            };
            return (status, found.to_owned(), Some(remedy));
        }
    };
    // A QEMU of a distribution has the fork's name and none of its chips.
    if matches!(qemu.board, QemuBoard::Espressif(_)) && !qemu::emulates(&installed.path, &qemu.machine) {
        let found = format!("QEMU {} without the machine `{}`", installed.version, qemu.machine);
        return (Status::Unusable, found, Some(FORK.to_owned()));
    }
    let image = qemu.image.strip_prefix(root).unwrap_or(&qemu.image).display();
    let emulator = format!("QEMU {}", installed.version);
    match std::fs::metadata(&qemu.image) {
        Ok(found) if found.is_file() => {
            (Status::Ok, format!("{emulator}, {image} with {} KiB", found.len().div_ceil(1024)), None)
        }
        _ => {
            let remedy = match qemu.board {
                QemuBoard::Exact(_) | QemuBoard::Live => {
                    "cargo xtask firmware build (cargo xtask firmware compiler says what that needs)"
                }
                QemuBoard::Espressif(_) => "espflash save-image --merge",
            };
            (Status::Missing, format!("{emulator}, but no {image}"), Some(remedy.to_owned()))
        }
    }
}
