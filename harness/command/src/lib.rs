//! The `rigor` command: everything besides running the suite as a test.
//!
//! The library is here and the binary in the crate that knows the systems: it hands their suites
//! and firmware in, as `tests/hil.rs` does.

mod faults;
mod print;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use rigor_core::result::{EXIT_HARNESS, EXIT_OK};
use rigor_rigs::Firmwares;
use rigor_runner::{Suite, SuiteError};

/// Hardware-in-the-loop conformance tests for ESP32-class firmware.
#[derive(Parser)]
#[command(
    name = "rigor",
    version,
    after_help = "The suite itself runs as a test: cargo test --test hil.\n\
                  RIGOR_RIG, RIGOR_SEED and RIGOR_OUT choose rigs, seed and folder, as there.",
    disable_help_subcommand = true
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Faults(faults::Arguments),
}

/// The whole binary: reads the arguments, does what they ask, and says by its exit code how it
/// went.
pub fn main(suites: Result<Vec<Suite>, SuiteError>, firmwares: Firmwares) -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(complaint) => {
            // Nothing can be done about a closed standard output.
            let _ = complaint.print();
            return ExitCode::from(if complaint.use_stderr() { EXIT_HARNESS } else { EXIT_OK });
        }
    };
    let done = match arguments.command {
        Command::Faults(arguments) => faults::run(&arguments, suites, firmwares),
    };
    done.unwrap_or_else(|complaint| {
        eprintln!("{complaint}");
        ExitCode::from(EXIT_HARNESS)
    })
}
