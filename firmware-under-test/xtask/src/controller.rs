//! The firmware of the bench controller, as the file that is copied to a Pico.

use std::fs;
use std::path::PathBuf;
use std::time::SystemTime;

use rigor_image::{hash_of_file, uf2_of};

use crate::commands::{self, Options};
use crate::error::TaskError;
use crate::image::put;
use crate::port::{Port, Variant};
use crate::sysroot::{lock, run};

/// Builds the firmware, and says how it gets on the Pico.
///
/// # Errors
/// [`TaskError`] if it does not build, or if what was built could not start on an RP2040.
pub(crate) fn build(port: &Port, options: &Options) -> Result<(), TaskError> {
    let mut command = commands::cargo(port, "build", options)?;
    command.args(["--bin", port.binary]);
    let target = port.target();
    fs::create_dir_all(&target).map_err(TaskError::io("make the folder", &target))?;
    let _lock = lock(&target.join("lock"), "an image")?;
    run(&mut command, "building the firmware of the bench controller")?;
    let copied = deliver(port)?;
    let hash = hash_of_file(&copied).map_err(TaskError::io("read", &copied))?;
    println!(
        "{}\n{}\n  sha256 {hash}\n\
         Hold BOOTSEL of the Pico while you plug it in, and copy the .uf2 file to the drive RPI-RP2 that appears.\n\
         The drive goes away, and a serial port comes that calls itself \"rigor bench controller\".",
        port.image(Variant::Suite).display(),
        copied.display(),
    );
    Ok(())
}

/// Puts the ELF file that cargo left, and the UF2 file of it, beside the other images; where the latter is.
fn deliver(port: &Port) -> Result<PathBuf, TaskError> {
    let artefact = port.artefact();
    let elf = fs::read(&artefact).map_err(TaskError::io("read", &artefact))?;
    let file = uf2_of(&elf).map_err(|source| TaskError::Uf2 { elf: artefact, source })?;
    let path = port.image(Variant::Suite);
    let folder = path.parent().unwrap_or(&path);
    fs::create_dir_all(folder).map_err(TaskError::io("make the folder", folder))?;
    let copied = path.with_extension("uf2");
    let now = SystemTime::now();
    put(&path, &elf, now)?;
    put(&copied, &file, now)?;
    Ok(copied)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_start_is_not_delivered() {
        let root = tempfile::tempdir().unwrap();
        let port = Port::qemu_virt(root.path());
        fs::create_dir_all(port.artefact().parent().unwrap()).unwrap();
        // An ELF file for another chip.
        let panic = include_bytes!("../../../harness/image/tests/fixtures/panic.elf");
        fs::write(port.artefact(), panic).unwrap();
        let error = deliver(&port).expect_err("it is for RISC-V");
        assert_eq!(error.exit_code(), 1);
        assert!(error.to_string().contains("makes no UF2 file"), "{error}");
        assert!(!port.image(Variant::Suite).exists());
    }
}
