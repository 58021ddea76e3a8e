//! `cargo xtask firmware costs`: counts what the firmware's computing takes, for the virtual board.
//!
//! An image of the port ([`Port::counting_image`]) runs every workload under an emulator that counts
//! instructions ([`emulator`]), and says on its serial port what it counted ([`told`]). That becomes the table
//! by which the virtual board charges ([`table`]), or is compared with it.

mod emulator;
mod table;
mod told;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::commands::{self, Options};
use crate::error::TaskError;
use crate::port::{Port, Variant};
use crate::sysroot::lock;
use emulator::Emulator;
use table::Table;
use told::Told;

/// How long all workloads may take: they take a second.
const PATIENCE: Duration = Duration::from_secs(60);

/// Writes the table anew, or with `check` only compares what is counted now with what stands there.
pub(crate) fn run(port: &Port, options: &Options, check: bool) -> Result<(), TaskError> {
    // What would be shipped: without the questions for defects, which no release image has.
    let options = Options { variant: Variant::Release, locked: options.locked };
    let emulator = Emulator::find("qemu-system-riscv32")?;
    let target = port.target();
    fs::create_dir_all(&target).map_err(TaskError::io("make the folder", &target))?;
    let told = {
        // Until it has run, nobody is to build another in its place.
        let _lock = lock(&target.join("lock"), "an image")?;
        let image = commands::build_counting_image(port, &options)?;
        Told::read(&emulator.run(&image, PATIENCE)?)?
    };
    let compiler = commands::find(port)?.version();
    let counted = Table::new(&told, &compiler, emulator.version());
    settle(&counted, &place(port), check)?;
    println!("{}", told.coverage());
    Ok(())
}

/// Where the table is.
fn place(port: &Port) -> PathBuf {
    port.root().join("firmware-under-test/prism-k1/src/cost/table.rs")
}

/// Puts `counted` in the place of the table at `path`, or with `check` compares them.
fn settle(counted: &Table, path: &Path, check: bool) -> Result<(), TaskError> {
    let present = match fs::read_to_string(path) {
        Ok(text) => Some(Table::read(&text)?),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !check => None,
        Err(error) => return Err(TaskError::io("read", path)(error)),
    };
    if let Some(present) = &present {
        counted.has_all_of(present)?;
    }
    if check {
        let differences = present.map_or_else(Vec::new, |present| present.differences(counted));
        if differences.is_empty() {
            println!("{} is what the firmware takes, within {} %", path.display(), table::TOLERANCE_PERCENT);
            return Ok(());
        }
        for difference in &differences {
            println!("{difference}");
        }
        return Err(TaskError::CostsDiffer { path: path.to_owned(), count: differences.len() });
    }
    let folder = path.parent().unwrap_or(path);
    fs::create_dir_all(folder).map_err(TaskError::io("make the folder", folder))?;
    let unfinished = path.with_added_extension("unfinished");
    fs::write(&unfinished, counted.to_string()).map_err(TaskError::io("write", &unfinished))?;
    fs::rename(&unfinished, path).map_err(TaskError::io("rename to", path))?;
    println!("{}", path.display());
    Ok(())
}

#[cfg(test)]
mod tests;
