//! What has to be known of a bench, by flag or by question.

use rigor_rigs::RigFile;
use rigor_rigs::file::BackEnd;

use super::ask::Ask;
use super::plugged::{Plugged, PortChoice};
use crate::error::CommandError;

/// Chips that a rig file can name.
const CHIPS: [&str; 3] = ["esp32s3", "esp32c3", "esp32c6"];
/// The word for a wire that is not there.
const NONE: &str = "none";
/// What a wire of the Pico may do for the board.
const BY_CONTROLLER: [&str; 2] = ["controller", NONE];

/// What the command line says.
#[derive(clap::Args, Default)]
pub(super) struct Given {
    /// The device on the board: a system of `rigor list systems`.
    #[arg(long, value_name = "SYSTEM")]
    pub(super) dut: Option<String>,
    /// The chip on the board.
    #[arg(long, value_parser = CHIPS)]
    pub(super) chip: Option<String>,
    /// Name of the rig, for reports [default: desk-<SYSTEM>].
    #[arg(long)]
    pub(super) name: Option<String>,
    /// The board's serial port: its path, or the serial number of its USB device.
    #[arg(long, value_name = "PORT")]
    pub(super) board: Option<String>,
    /// The Pico's serial port, likewise; `none` if there is no Pico.
    #[arg(long, value_name = "PORT|none")]
    pub(super) controller: Option<String>,
    /// What switches the board's supply: the Pico's GP1, if that is wired [default: none].
    #[arg(long, value_parser = BY_CONTROLLER)]
    pub(super) power: Option<String>,
    /// What resets the board: the Pico's GP14 and GP15 [default: the controller if there is one].
    #[arg(long, value_parser = BY_CONTROLLER)]
    pub(super) reset: Option<String>,
    /// The board's IPv4 address on the network [default: none].
    #[arg(long, value_name = "ADDRESS|none")]
    pub(super) address: Option<String>,
    /// The firmware that is to be on the board: an ELF file or a merged image [default: whatever is on it].
    #[arg(long, value_name = "FILE")]
    pub(super) image: Option<String>,
    /// A label of the runner that has this bench; may be given several times [default: none].
    #[arg(long = "label", value_name = "LABEL")]
    pub(super) labels: Vec<String>,
}

/// What is known without asking anybody.
pub(super) struct Known<'a> {
    /// Systems that there are suites for.
    pub(super) duts: &'a [&'a str],
    /// Rig files that there are: one of the same device says what its pins are.
    pub(super) models: &'a [RigFile],
    /// What is plugged in.
    pub(super) plugged: &'a Plugged,
}

/// Everything that a rig file of a bench says.
pub(super) struct Answers {
    pub(super) dut: String,
    pub(super) chip: String,
    pub(super) name: String,
    pub(super) board: Option<PortChoice>,
    pub(super) controller: Option<PortChoice>,
    pub(super) power: Option<String>,
    pub(super) reset: Option<String>,
    pub(super) address: Option<String>,
    pub(super) image: Option<String>,
    pub(super) labels: Vec<String>,
    /// A rig file of the same device, for its baud rate, its ports and its pins.
    pub(super) model: Option<RigFile>,
}

impl Given {
    /// What the flags say, and for the rest what `ask` is told. All questions are asked before any answer is
    /// looked at more closely: whoever cannot be asked hears of all flags at once.
    pub(super) fn answers(self, known: &Known<'_>, ask: &mut impl Ask) -> Result<Answers, CommandError> {
        let dut = match (self.dut, known.duts) {
            (Some(dut), _) => dut,
            (None, [only]) => (*only).to_owned(),
            (None, several) => ask.one_of("--dut", "Which system is on the board?", several)?,
        };
        let chip = match self.chip {
            Some(chip) => chip,
            None => ask.one_of("--chip", "Which chip has it?", &CHIPS)?,
        };
        let of = |text: String| (text != NONE).then_some(text);
        let board = match self.board {
            Some(board) => of(board).map(PortChoice::from_words),
            None => ask.port("--board", "Which port is the board's?", &known.plugged.boards)?,
        };
        let controller = match self.controller {
            Some(controller) => of(controller).map(PortChoice::from_words),
            None => ask.port("--controller", "Which port is the Pico's?", &known.plugged.controllers)?,
        };
        let power = match self.power {
            Some(power) => power,
            None if controller.is_some() => {
                ask.text("Does the Pico's GP1 switch the board's supply? (controller, none)", NONE)?
            }
            None => NONE.to_owned(),
        };
        let reset = self.reset.unwrap_or_else(|| BY_CONTROLLER[usize::from(controller.is_none())].to_owned());
        let model = model(known.models, &dut, &chip);
        let address = match self.address {
            Some(address) => address,
            None if model.as_ref().is_none_or(|model| model.net.is_none()) => NONE.to_owned(),
            None => {
                ask.text("Which IPv4 address has the board on the network? (none if it has none)", NONE)?
            }
        };
        let name = match self.name {
            Some(name) => name,
            None => ask.text("What is the rig to be called?", &format!("desk-{dut}"))?,
        };
        ask.all_is_said()?;
        if !known.duts.contains(&dut.as_str()) {
            let remedy = rigor_runner::suggest::remedy(&dut, known.duts, "`rigor list systems` shows them");
            return Err(CommandError::Unknown { what: "system", name: dut, remedy });
        }
        Ok(Answers {
            power: of(power),
            reset: of(reset),
            address: of(address),
            image: self.image,
            labels: self.labels,
            dut,
            chip,
            name,
            board,
            controller,
            model,
        })
    }
}

/// A rig file that says most of this device on this chip.
fn model(files: &[RigFile], dut: &str, chip: &str) -> Option<RigFile> {
    let worth = |file: &&RigFile| match &file.back_end {
        BackEnd::Bench(bench) if bench.chip.name() == chip => 0,
        BackEnd::Virtual(_) => 1,
        BackEnd::Qemu(_) | BackEnd::Bench(_) => 2,
        // A recording's wires are in the recording.
        BackEnd::Replay(_) => 3,
    };
    files.iter().filter(|file| file.dut == dut).min_by_key(worth).cloned()
}
