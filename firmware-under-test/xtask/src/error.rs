//! Why a task could not be done.

use std::io;
use std::path::PathBuf;

use rigor_image::{ImageError, Uf2Error};

/// The firmware is at fault, or what was written of it.
const EXIT_FIRMWARE: u8 = 1;
/// This machine lacks something.
const EXIT_NOT_INSTALLED: u8 = 2;
/// Anything else.
pub(crate) const EXIT_OTHERWISE: u8 = 3;

/// Why a task could not be done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TaskError {
    /// Neither way to a compiler is open.
    #[error(
        "no compiler on this machine makes code for {target}:\n  {active}\n  {system}\ninstall one of\n  \
         rustup target add {target}\n  apt-get install rustc-web cargo-web rust-web-src lld-19"
    )]
    NoCompiler {
        /// What it would have to make code for.
        target: &'static str,
        /// What the active toolchain lacks.
        active: String,
        /// What the system's packages lack.
        system: String,
    },
    /// The compiler is there, and something that goes with it is not.
    #[error("there is no {what}; install it: {install}")]
    NotInstalled {
        /// What is missing.
        what: &'static str,
        /// The command that brings it.
        install: &'static str,
    },
    /// A program said why it failed, on the terminal.
    #[error("{what} failed; its own words are above")]
    Failed {
        /// What it was to do.
        what: String,
    },
    /// A program cannot be started, or says something that nobody understands.
    #[error("{program}: {what}; try it by hand")]
    Program {
        /// The program.
        program: String,
        /// What is wrong.
        what: String,
    },
    /// There is nothing to build.
    #[error("there is no port in {}; this is not a whole checkout of the repository", folder.display())]
    NoPort {
        /// Where it should be.
        folder: PathBuf,
    },
    /// What was built is no image.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// What was built cannot be copied to a Pico.
    #[error("{} makes no UF2 file: {source}", elf.display())]
    Uf2 {
        /// What was built.
        elf: PathBuf,
        /// What is wrong.
        source: Uf2Error,
    },
    /// What was counted is not to be relied on.
    #[error("{what}; the counting image is firmware-under-test/ports/qemu-virt/src/costs")]
    Counts {
        /// What is wrong.
        what: String,
    },
    /// Somebody asks for a driver where there is nothing to drive.
    #[error("qemu-virt has no radio; name a board's chip by `--chip`, or leave `--wifi` out")]
    NoRadio,
    /// Somebody asks for what is to be in a flash that there is not.
    #[cfg(feature = "chips")]
    #[error("qemu-virt has no flash that is written; name a board's chip by `--chip`")]
    NoFlash,
    /// What was built does not fit the flash.
    #[cfg(feature = "chips")]
    #[error("{} makes no flash image: {what}; compare it with firmware-under-test/ports/esp32/partitions.csv", elf.display())]
    FlashImage {
        /// What was built.
        elf: PathBuf,
        /// espflash's words.
        what: String,
    },
    /// Somebody asks for the costs on a chip that is not emulated.
    #[error("costs are counted on qemu-virt; leave `--chip` out")]
    NotCounted,
    /// The firmware takes something else than the table says.
    #[error(
        "{count} counts differ from {}; if that is meant, run `cargo xtask firmware costs`, and then the suite: \
         the virtual board charges by it",
        path.display()
    )]
    CostsDiffer {
        /// The table.
        path: PathBuf,
        /// How many.
        count: usize,
    },
    /// The operating system refused.
    #[error("cannot {action} {}: {source}; check that it may be written and that the disk is not full", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Its answer.
        source: io::Error,
    },
}

impl TaskError {
    /// What the process exits with.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            TaskError::NoCompiler { .. } | TaskError::NotInstalled { .. } => EXIT_NOT_INSTALLED,
            TaskError::Failed { .. }
            | TaskError::Image(_)
            | TaskError::Uf2 { .. }
            | TaskError::Counts { .. }
            | TaskError::CostsDiffer { .. } => EXIT_FIRMWARE,
            #[cfg(feature = "chips")]
            TaskError::FlashImage { .. } => EXIT_FIRMWARE,
            #[cfg(feature = "chips")]
            TaskError::NoFlash => EXIT_OTHERWISE,
            TaskError::Program { .. }
            | TaskError::NoPort { .. }
            | TaskError::NotCounted
            | TaskError::NoRadio
            | TaskError::Io { .. } => EXIT_OTHERWISE,
        }
    }

    /// For [`Result::map_err`]: `action` on `path` was refused.
    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| TaskError::Io { action, path, source }
    }
}
