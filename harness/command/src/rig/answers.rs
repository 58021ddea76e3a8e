//! What has to be known of a bench, by flag or by question.

use rigor_rigs::RigFile;

use super::ask::Ask;
use super::model::Model;
use super::plugged::{Plugged, PortAnswer, PortChoice};
use super::prism_k1;
use crate::error::CommandError;

/// Chips that a rig file can name.
const CHIPS: [&str; 3] = ["esp32s3", "esp32c3", "esp32c6"];
/// The word for a wire that is not there.
const NONE: &str = "none";
/// What a wire of the Pico may do for the board.
const BY_CONTROLLER: [&str; 2] = [CONTROLLER, NONE];
/// What may reset the board. Lines of the host are for who knows their numbers, and an editor.
const RESETS: [&str; 3] = [CONTROLLER, MODEM_LINES, NONE];
const CONTROLLER: &str = "controller";
const MODEM_LINES: &str = "modem-lines";

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
    #[arg(long, value_name = "PORT|none")]
    pub(super) board: Option<PortAnswer>,
    /// The Pico's serial port, likewise; `none` if there is no Pico.
    #[arg(long, value_name = "PORT|none")]
    pub(super) controller: Option<PortAnswer>,
    /// What switches the board's supply: the Pico's GP1, if that is wired [default: none].
    #[arg(long, value_parser = BY_CONTROLLER)]
    pub(super) power: Option<String>,
    /// What resets the board: the Pico's GP14 and GP15, or DTR and RTS of the board's port [default: the controller
    /// if there is one, else modem-lines].
    #[arg(long, value_parser = RESETS)]
    pub(super) reset: Option<String>,
    /// The board on the network: its IPv4 address, `console` for the one that it tells there, or its name in
    /// `.local` [default: none].
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
    /// Rig files that there are: those of the same device say what it has.
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
    /// What other rig files say of the device.
    pub(super) model: Model,
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
            Some(PortAnswer(board)) => board,
            None => ask.port("--board", board_question(&dut), &known.plugged.boards)?,
        };
        let controller = match self.controller {
            Some(PortAnswer(controller)) => controller,
            None => ask.port("--controller", "Which port is the Pico's?", &known.plugged.controllers)?,
        };
        let power = match self.power {
            Some(power) => power,
            None if controller.is_some() => {
                ask.text("Does the Pico's GP1 switch the board's supply? (controller, none)", NONE)?
            }
            None => NONE.to_owned(),
        };
        let reset = match self.reset {
            Some(reset) => reset,
            None if controller.is_some() => CONTROLLER.to_owned(),
            None if board.is_some() => ask.text(
                "What resets the board? Most have DTR and RTS of their port wired for it. (modem-lines, none)",
                MODEM_LINES,
            )?,
            None => NONE.to_owned(),
        };
        let model = Model::of(known.models, &dut, &chip);
        let address = match self.address {
            Some(address) => address,
            None if model.services.is_none() => NONE.to_owned(),
            None => ask.text(
                "Where is the board on the network? (an IPv4 address, a name in .local, console if it is told there, none)",
                NONE,
            )?,
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
        if address != NONE && model.services.is_none() {
            return Err(CommandError::Refused(format!(
                "no rig file of `{dut}` has a [net], so nobody knows which services are at --address; leave it out, and \
                 add [net] to the new file as rigs/README.md has it"
            )));
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

fn board_question(dut: &str) -> &'static str {
    if prism_k1::is_for(dut) {
        "Which port is the board's? Its firmware speaks on UART0: the socket marked UART or COM, not the chip's own USB."
    } else {
        "Which port is the board's? It is the one on which the firmware speaks."
    }
}
