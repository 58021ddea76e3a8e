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
mod rig;

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
  rigor flash --rig rigs/bench/desk-prism-k1.toml                what its `image` names, with its wires and its lease
  rigor flash firmware.bin --rig rigs/bench/desk-prism-k1.toml

The loader is an optional part of the command, with a hundred crates more:
  cargo run --release --features espflash --bin rigor -- flash firmware.bin --port /dev/ttyACM0

Exit codes:
  0  the flash holds the image, all of it verified
  2  the board could not be reached, or not be written; try again
  3  the image is not fit, this build has no loader, or the command line is wrong")]
#[command(group(clap::ArgGroup::new("board").required(true).args(["port", "rig"])))]
pub(crate) struct Arguments {
    /// An ELF file, or a merged image with everything from address 0 on; with --rig, that of the rig file if none is
    /// named here.
    #[arg(required_unless_present = "rig")]
    image: Option<PathBuf>,
    /// The board's port: a path, or the serial number of its USB device.
    #[arg(long, value_name = "PORT")]
    port: Option<String>,
    /// The bench that has the board: its lease is taken, its supply switched on, and its reset and strap bring the chip
    /// into the loader.
    #[arg(long, value_name = "RIG", conflicts_with_all = ["chip", "no_reset"])]
    rig: Option<String>,
    /// Do nothing, and say so, if neither the command line nor the rig file names an image.
    #[arg(long, requires = "rig")]
    if_named: bool,
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
    if let Some(rig) = &arguments.rig {
        return rig::run(arguments, rig);
    }
    // Both are there without a rig.
    let (image, port) =
        (arguments.image.clone().unwrap_or_default(), arguments.port.clone().unwrap_or_default());
    let fit = fit(&image, arguments.chip)?;
    let path = Host::default().resolve(&port_name(&port));
    let path = path.map_err(|error| CommandError::Refused(error.to_string()))?;
    Ok(ended(onto_board(arguments, &fit, &path)?))
}

/// The image at `path`, if it can be brought onto such a chip.
fn fit(path: &Path, chip: Option<Chip>) -> Result<FlashImage, CommandError> {
    let image = FlashImage::read(path, chip).map_err(|error| CommandError::Refused(error.to_string()))?;
    print(&format!(
        "{}: for {}, {} in {}\n",
        rigor_reports::visible(&path.display().to_string()),
        image.chip(),
        size(image.parts().iter().map(|part| part.bytes.len() as u64).sum()),
        crate::print::count(image.parts().len() as u64, "part"),
    ));
    Ok(image)
}

/// Says what came of it.
pub(crate) fn ended(outcome: Result<String, FlashError>) -> ExitCode {
    match outcome {
        Ok(told) => {
            print(&told);
            ExitCode::from(EXIT_OK)
        }
        Err(error) => {
            complain(&format!("{error}\n"));
            ExitCode::from(EXIT_UNDECIDED)
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
    Err(no_loader())
}

#[cfg(not(feature = "espflash"))]
fn no_loader() -> CommandError {
    let text = "the image is fit, but this build of rigor has no loader to write it with; use \
                `cargo run --release --features espflash --bin rigor -- flash ...`";
    CommandError::Refused(text.to_owned())
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
