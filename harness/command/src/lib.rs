//! The `rigor` command: runs the suites, lists what there is, reads what runs have left.
//!
//! The library is here and the binary in the crate that knows the systems: it hands their suites
//! and firmware in, as `tests/hil.rs` does. Each module is a subcommand with its options, its help and
//! what it does; what a run is, the runner knows ([`rigor_runner::engine`]).
//!
//! The exit code says whose fault it is, and is the same for every subcommand: see
//! [`rigor_core::result::exit_code`].

mod choices;
mod completions;
mod decode;
mod devices;
mod doctor;
mod error;
mod faults;
mod flash;
mod interrupt;
mod list;
mod monitor;
mod output;
mod parity;
mod print;
mod probe;
mod replay;
mod report;
mod rig;
mod run;
mod simulate;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use rigor_core::result::{EXIT_HARNESS, EXIT_OK};
use rigor_rigs::Firmwares;
use rigor_runner::{Suite, SuiteError};

use error::CommandError;
use print::complain;

/// Hardware-in-the-loop conformance tests for ESP32-class firmware
///
/// Starts the firmware on a rig, acts on it, records what its wires did, and says of every
/// requirement of a written specification whether it holds, by how much, and how it knows.
#[derive(Parser)]
#[command(
    verbatim_doc_comment,
    name = "rigor",
    bin_name = "rigor",
    max_term_width = 110,
    version,
    after_help = "Try `rigor doctor` for what this machine can do, and `rigor run --short` for a first run.",
    after_long_help = "\
Exit codes, of every subcommand; the first rule that applies decides:
  1  the product fails a `must`; for `faults`, a fault survives; for `parity`, rigs differ
  3  the harness or a case is wrong; also a malformed file, variable or command line
  2  undecided, and the product is not to blame
  0  all is well

Environment:
  RIGOR_RIG    rig files or folders of them, separated by `:` [default: rigs/virtual]
  RIGOR_SEED   the seed of every rig [default: 1]
  RIGOR_OUT    the folder that receives a folder for each run [default: target/rigor]
  RIGOR_FAULT  what is to be wrong with every virtual rig: a name from suites/<system>/faults.toml
  NO_COLOR     no colours, as on anything but a terminal
  An option of the same meaning wins over its variable.

Examples:
  rigor run --short                   every case but the long ones
  rigor run K1-LED --fault red-first  what notices that the colours are swapped
  rigor list requirements             what is asked of the systems
  rigor <COMMAND> --help              the manual of a subcommand

The same runs as a test, with no binary to build: cargo test --test hil",
    disable_help_subcommand = true
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Run(run::Arguments),
    Rig(rig::Arguments),
    List(list::Arguments),
    Replay(replay::Arguments),
    Faults(faults::Arguments),
    Parity(parity::Arguments),
    Simulate(rigor_simulate::Arguments),
    Report(report::Arguments),
    Compare(report::CompareArguments),
    Trend(report::TrendArguments),
    Decode(Box<decode::Arguments>),
    Doctor(doctor::Arguments),
    Devices(devices::Arguments),
    Flash(flash::Arguments),
    Monitor(monitor::Arguments),
    Probe(probe::Arguments),
    Completions(completions::Arguments),
    Man(completions::ManArguments),
}

/// The systems that the command is about.
struct Systems {
    suites: Result<Vec<Suite>, SuiteError>,
    firmwares: Firmwares,
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
    let systems = Systems { suites, firmwares };
    let done = match arguments.command {
        Command::Run(arguments) => run::run(arguments, systems),
        Command::Rig(arguments) => rig::run(arguments, systems),
        Command::List(arguments) => list::run(&arguments, systems),
        Command::Replay(arguments) => replay::run(&arguments, systems),
        Command::Faults(arguments) => faults::run(&arguments, systems),
        Command::Report(arguments) => report::run(&arguments),
        Command::Compare(arguments) => report::compare(&arguments),
        Command::Trend(arguments) => report::trend(&arguments),
        Command::Decode(arguments) => decode::run(&arguments),
        Command::Doctor(arguments) => doctor::run(&arguments, systems),
        Command::Devices(arguments) => devices::run(&arguments),
        Command::Flash(arguments) => flash::run(&arguments),
        Command::Monitor(arguments) => monitor::run(&arguments),
        Command::Probe(arguments) => probe::run(&arguments),
        Command::Completions(arguments) => completions::run(&arguments, &mut Arguments::command()),
        Command::Man(arguments) => completions::manual(&arguments, Arguments::command()),
        Command::Parity(arguments) => parity::run(arguments, systems),
        Command::Simulate(arguments) => simulate::run(&arguments, systems),
    };
    done.unwrap_or_else(|complaint: CommandError| {
        complain(&format!("{complaint}\n"));
        ExitCode::from(EXIT_HARNESS)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn every_subcommand_shows_examples_and_says_what_its_exit_code_means() {
        for subcommand in Arguments::command().get_subcommands() {
            let name = subcommand.get_name();
            let help = subcommand.clone().render_long_help().to_string();
            assert!(help.contains(&format!("\n  rigor {name}")), "{name} has no example:\n{help}");
            // Those two can only be written or not.
            let plain = ["completions", "man"].contains(&name);
            assert!(plain || help.contains("Exit codes:"), "{name} says nothing of its exit code:\n{help}");
            assert!(
                help.lines().all(|line| line.chars().count() <= 130),
                "{name} has endless lines:\n{help}"
            );
        }
    }
}
