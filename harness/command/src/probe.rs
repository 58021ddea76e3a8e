//! `rigor probe`: chips, through their debug probes.

#[cfg(feature = "probe-rs")]
mod through;

use std::path::PathBuf;
use std::process::ExitCode;

use rigor_flasher::Chip;

use crate::error::CommandError;

/// Look into a chip through its debug probe
///
/// For a board whose serial port is taken, silent or not there. The USB port of an ESP32-S3, -C3 or -C6 is a
/// probe as well; others (ESP-Prog, J-Link, CMSIS-DAP) are wired to the JTAG pins. Each look may halt the
/// core for a moment, on the ESP32-S3 always: nothing here is done while a run times anything.
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
#[command(after_help = "Examples:
  rigor probe list
  rigor probe flash firmware.bin --chip esp32c6
  rigor probe reset --chip esp32s3 --serial F4:12:FA:59:00:31
  rigor probe read 0x3fc80000 64 --chip esp32c3
  rigor probe log --chip esp32c3 --elf firmware.elf --for 10

Probes are an optional part of the command, with two hundred crates more:
  cargo run --release --features probe-rs --bin rigor -- probe list

Exit codes:
  0  it is done
  2  the probe or the chip could not be reached, or failed; try again
  3  the file is not fit, this build knows no probes, or the command line is wrong")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand)]
enum What {
    /// List the probes that are plugged in
    List,
    /// Bring firmware onto the chip's flash, with the same checks as `rigor flash`
    Flash {
        /// An ELF file, or a merged image with everything from address 0 on.
        image: PathBuf,
        #[command(flatten)]
        board: Board,
    },
    /// Reset the chip; its firmware starts
    Reset {
        #[command(flatten)]
        board: Board,
    },
    /// Print a piece of the chip's memory
    Read {
        /// Where it begins, as `0x3fc80000` or decimal.
        #[arg(value_parser = address)]
        at: u32,
        /// How many bytes, up to 1 MiB.
        #[arg(value_parser = clap::value_parser!(u32).range(1..=1 << 20))]
        bytes: u32,
        /// Write the bytes to this file instead.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
        #[command(flatten)]
        board: Board,
    },
    /// Print the log that the firmware keeps in RAM (SEGGER RTT), until Ctrl-C
    Log {
        /// The ELF file that the chip runs: says where the log is, else all RAM is searched.
        #[arg(long, value_name = "FILE")]
        elf: Option<PathBuf>,
        /// End after so many seconds.
        #[arg(long = "for", value_name = "SECONDS")]
        seconds: Option<u32>,
        #[command(flatten)]
        board: Board,
    },
}

/// Which chip, behind which probe.
#[derive(clap::Args)]
struct Board {
    /// The chip: esp32c3, esp32c6 or esp32s3.
    #[arg(long, value_name = "CHIP")]
    chip: Chip,
    /// The probe with this serial number on USB, if there are several.
    #[arg(long, value_name = "SERIAL")]
    serial: Option<String>,
}

/// An address, in one of the two ways in which people write them.
fn address(text: &str) -> Result<u32, String> {
    let parsed = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => u32::from_str_radix(&digits.replace('_', ""), 16),
        None => text.parse(),
    };
    parsed.map_err(|_| "write an address of 32 bits, as 0x3fc80000".to_owned())
}

#[cfg(feature = "probe-rs")]
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, CommandError> {
    through::run(&arguments.what)
}

#[cfg(not(feature = "probe-rs"))]
pub(crate) fn run(_arguments: &Arguments) -> Result<ExitCode, CommandError> {
    let text = "this build of rigor knows no debug probes; use `cargo run --release --features probe-rs --bin rigor \
                -- probe ...`";
    Err(CommandError::Refused(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::address;

    #[test]
    fn addresses_are_read_as_people_write_them() {
        assert_eq!(address("0x3fc8_0000"), Ok(0x3FC8_0000));
        assert_eq!(address("4096"), Ok(4096));
        for wrong in ["", "0x", "3fc80000", "0x1_0000_0000", "-1"] {
            assert!(address(wrong).is_err(), "{wrong}");
        }
    }
}
