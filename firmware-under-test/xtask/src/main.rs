//! `cargo xtask firmware`: builds the firmware under test for a chip.
//!
//! Firmware for a chip is a cargo workspace of its own (`firmware-under-test/ports/qemu-virt` and `esp32`), with its
//! own profiles and lock file, because `panic = "abort"` and link-time optimisation would hit the harness
//! as well. What it needs besides is a compiler that has the library `core` for its target, and not every
//! machine has rustup's. This command finds one ([`compiler`]), builds the library if only its sources are
//! there ([`sysroot`]), calls cargo in an [`environment`] that does not depend on the caller's, and leaves
//! the image where rig files name it ([`image`]). It also counts what the firmware's computing takes
//! ([`costs`]).
//!
//! `cargo xtask controller` does the same with the firmware of the bench's own instrument ([`controller`]).

mod commands;
mod compiler;
mod controller;
mod costs;
mod environment;
mod error;
#[cfg(feature = "chips")]
mod flash_image;
mod image;
mod port;
#[cfg(test)]
mod stand_in;
mod sysroot;

use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};

use commands::Options;
use error::TaskError;
use port::{Chip, Port, Radio, Variant};

#[derive(Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    max_term_width = 110,
    disable_help_subcommand = true
)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// The firmware under test as images for chips, emulated and real
    ///
    /// Looks for a compiler with the library `core` for the chip's target: first in the active toolchain
    /// (`rustup target add riscv32imac-unknown-none-elf`), then in Debian's packages (`apt-get install
    /// rustc-web cargo-web rust-web-src lld-19`), of whose sources it builds the library once for each target.
    #[command(
        verbatim_doc_comment,
        disable_help_subcommand = true,
        after_long_help = "\
Exit codes:
  0  all is well
  1  the firmware does not build, does not please clippy or rustdoc, or takes something else than the table
     of its costs says
  2  there is no compiler for it, or no emulator; what to install is told
  3  anything else, also a malformed command line

Examples:
  cargo xtask firmware build                  the image that rigs/qemu names
  cargo xtask firmware build --release-image  the one without what only a test bench wants
  cargo xtask firmware build --chip esp32c6   the one for a board with an ESP32-C6
  cargo xtask firmware build --chip esp32c6 --wifi
                                              the one that opens its access point
  cargo xtask firmware sizes                  what the images take of flash and RAM
  cargo xtask firmware costs                  count instructions for the virtual board"
    )]
    Firmware {
        #[command(subcommand)]
        job: Job,
        /// Without defects on demand and without the echo: what would be shipped
        #[arg(long, global = true)]
        release_image: bool,
        /// The chip that it is for
        #[arg(long, global = true, value_enum, default_value_t = Chip::QemuVirt)]
        chip: Chip,
        /// With the driver of the chip's radio, which is not in the image otherwise
        #[arg(long, global = true)]
        wifi: bool,
        /// Fail if the port's Cargo.lock would change
        #[arg(long, global = true)]
        locked: bool,
    },
    /// The firmware of the bench controller, as the file that is copied to a Pico
    ///
    /// Looks for a compiler as `firmware` does, for thumbv6m-none-eabi.
    #[command(
        disable_help_subcommand = true,
        after_long_help = "\
Exit codes:
  0  all is well
  1  the firmware does not build, or does not please clippy or rustdoc
  2  there is no compiler for it; what to install is told
  3  anything else, also a malformed command line

Examples:
  cargo xtask controller           the ELF file, and the UF2 file that is copied to the Pico
  cargo xtask controller clippy    its lints"
    )]
    Controller {
        /// What to do with it
        #[arg(value_enum, default_value_t = ControllerJob::Build)]
        job: ControllerJob,
        /// Fail if its Cargo.lock would change
        #[arg(long)]
        locked: bool,
    },
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum ControllerJob {
    /// Build it, and say how it gets on the Pico
    Build,
    /// Run clippy on it, with warnings denied
    Clippy,
    /// Make its reference, with warnings denied
    Doc,
    /// Tell which compiler would be taken
    Compiler,
}

#[derive(Subcommand)]
enum Job {
    /// Build the image, and say what it takes of flash and RAM
    Build,
    /// Make of a board's image the file that a flashing tool writes: the whole flash
    #[cfg(feature = "chips")]
    FlashImage,
    /// See whether the firmware compiles, without making an image
    Check,
    /// Run clippy on the port, with warnings denied
    Clippy,
    /// Make the port's reference, with warnings denied
    Doc,
    /// Show what the images take of flash and RAM, as they are
    Sizes,
    /// Count what the firmware's computing takes, and write the table that the virtual board charges by
    ///
    /// Builds an image that runs each kind of work by itself, and runs it on QEMU (`apt-get install
    /// qemu-system-misc`), whose clock counts its instructions.
    Costs {
        /// Write nothing; compare, and fail where it differs from the table by more than a tenth
        #[arg(long)]
        check: bool,
    },
    /// Tell which compiler would be taken
    Compiler,
    /// Remove all that was built for chips, the compiler's library included
    Clean,
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(complaint) => {
            // Nothing can be done about a closed standard output.
            let _ = complaint.print();
            return ExitCode::from(if complaint.use_stderr() { error::EXIT_OTHERWISE } else { 0 });
        }
    };
    match run(arguments.task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(complaint) => {
            eprintln!("{complaint}");
            ExitCode::from(complaint.exit_code())
        }
    }
}

fn run(task: Task) -> Result<(), TaskError> {
    match task {
        Task::Firmware { job, release_image, chip, wifi, locked } => {
            let radio = if wifi { Radio::Driven } else { Radio::Absent };
            let variant = if release_image { Variant::Release } else { Variant::Suite };
            run_on_firmware(job, chip, radio, &Options { variant, locked })
        }
        Task::Controller { job, locked } => run_on_controller(job, locked),
    }
}

fn run_on_controller(job: ControllerJob, locked: bool) -> Result<(), TaskError> {
    let port = Port::of_controller();
    let options = Options { variant: Variant::Suite, locked };
    match job {
        ControllerJob::Build => controller::build(&port, &options),
        ControllerJob::Clippy => commands::clippy(&port, &options),
        ControllerJob::Doc => commands::doc(&port, &options),
        ControllerJob::Compiler => commands::compiler(&port),
    }
}

fn run_on_firmware(job: Job, chip: Chip, radio: Radio, options: &Options) -> Result<(), TaskError> {
    let port = Port::of_chip(chip, radio)?;
    match job {
        Job::Build => commands::build(&port, options),
        #[cfg(feature = "chips")]
        Job::FlashImage => flash_image::make(&port, chip, options.variant),
        Job::Check => commands::check(&port, options),
        Job::Clippy => commands::clippy(&port, options),
        Job::Doc => commands::doc(&port, options),
        Job::Costs { .. } if chip != Chip::QemuVirt => Err(TaskError::NotCounted),
        Job::Costs { check } => costs::run(&port, options, check),
        Job::Sizes => commands::sizes(&port),
        Job::Compiler => commands::compiler(&port),
        Job::Clean => commands::clean(&port),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Arguments::command().debug_assert();
        for line in [
            "build --release-image",
            "--locked clippy",
            "sizes",
            "costs --check",
            "clean",
            "doc --chip esp32c6",
            "build --chip esp32c3 --wifi",
        ] {
            let words = ["xtask", "firmware"].into_iter().chain(line.split(' '));
            assert!(Arguments::try_parse_from(words).is_ok(), "{line}");
        }
        for line in ["controller", "controller --locked", "controller clippy"] {
            let words = ["xtask"].into_iter().chain(line.split(' '));
            assert!(Arguments::try_parse_from(words).is_ok(), "{line}");
        }
    }

    #[test]
    fn costs_are_counted_on_no_other_chip() {
        let words = ["xtask", "firmware", "costs", "--check", "--chip", "esp32c6"];
        let arguments = Arguments::try_parse_from(words).expect("well-formed");
        let error = run(arguments.task).expect_err("it has no image that counts");
        assert_eq!(error.exit_code(), error::EXIT_OTHERWISE, "{error}");
    }
}
