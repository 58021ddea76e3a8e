//! `rigor flash`: firmware onto a board.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use rigor_core::result::{EXIT_OK, EXIT_UNDECIDED};
use rigor_flasher::{Chip, FlashError, FlashImage};
use rigor_rigs::ports::Host;

use crate::devices::port_name;
use crate::error::CommandError;
use crate::print::{complain, print};

#[cfg(any(feature = "espflash", feature = "probe-rs"))]
pub(crate) mod onto;

/// Bring firmware onto a board's flash
///
/// Looks at the image first: a bootloader, a partition table and an app, each whole, each in its place and
/// all for the board's chip. What does not fit is refused before anything is erased. Then writes what is not
/// there already, and has the chip verify all of it. The header by which the chip knows that there is
/// something to boot is erased first and written last: a board whose cable was pulled boots nothing, and the
/// same command repairs it.
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
#[command(after_help = "Examples:
  rigor flash firmware.bin --port /dev/ttyACM0
  rigor flash firmware.elf --port F4:12:FA:59:00:31         by the serial number that `rigor devices` shows
  rigor flash firmware.elf --port /dev/ttyUSB0 --chip esp32c3 --baud 921600
  rigor flash firmware.bin --port /dev/pts/3 --no-stub

The loader is an optional part of the command, with a hundred crates more:
  cargo run --release --features espflash --bin rigor -- flash firmware.bin --port /dev/ttyACM0

Exit codes:
  0  the flash holds the image, all of it verified
  2  the board could not be reached, or not be written; try again
  3  the image is not fit, this build has no loader, or the command line is wrong")]
pub(crate) struct Arguments {
    /// An ELF file, or a merged image with everything from address 0 on.
    image: PathBuf,
    /// The board's port: a path, or the serial number of its USB device.
    #[arg(long, value_name = "PORT")]
    port: String,
    /// The chip that the image has to be for; an ELF file that does not say so itself needs it.
    #[arg(long, value_name = "CHIP")]
    chip: Option<Chip>,
    /// Have the chip's ROM write: slower, and nothing is loaded into the RAM.
    #[arg(long)]
    no_stub: bool,
    /// Bits per second, after the first words at 115200.
    #[arg(long, value_name = "BITS")]
    baud: Option<u32>,
    /// The board is in its loader already, by BOOT and RESET, and will be reset by hand.
    #[arg(long)]
    no_reset: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, CommandError> {
    let image = match FlashImage::read(&arguments.image, arguments.chip) {
        Ok(image) => image,
        Err(error) => return Err(CommandError::Refused(error.to_string())),
    };
    let port = port_name(&arguments.port);
    print(&format!(
        "{}: for {}, {} in {}\n",
        rigor_reports::visible(&arguments.image.display().to_string()),
        image.chip(),
        size(image.parts().iter().map(|part| part.bytes.len() as u64).sum()),
        crate::print::count(image.parts().len() as u64, "part"),
    ));
    let path = Host::default().resolve(&port).map_err(|error| CommandError::Refused(error.to_string()))?;
    match onto_board(arguments, &image, &path)? {
        Ok(told) => {
            print(&told);
            Ok(ExitCode::from(EXIT_OK))
        }
        Err(error) => {
            complain(&format!("{error}\n"));
            Ok(ExitCode::from(EXIT_UNDECIDED))
        }
    }
}

/// What came of it, for people.
#[cfg(feature = "espflash")]
fn onto_board(
    arguments: &Arguments,
    image: &FlashImage,
    port: &Path,
) -> Result<Result<String, FlashError>, CommandError> {
    Ok(onto::board(arguments, image, port))
}

#[cfg(not(feature = "espflash"))]
fn onto_board(
    _arguments: &Arguments,
    _image: &FlashImage,
    _port: &Path,
) -> Result<Result<String, FlashError>, CommandError> {
    let text = "the image is fit, but this build of rigor has no loader to write it with; use \
                `cargo run --release --features espflash --bin rigor -- flash ...`";
    Err(CommandError::Refused(text.to_owned()))
}

/// Bytes, for people.
fn size(bytes: u64) -> String {
    match bytes {
        bytes if bytes >= 1 << 20 => format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20)),
        bytes => format!("{} KiB", bytes.div_ceil(1 << 10)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_told_as_people_do() {
        assert_eq!(size(1), "1 KiB");
        assert_eq!(size(73_728), "72 KiB");
        assert_eq!(size(4 << 20), "4.0 MiB");
    }
}
