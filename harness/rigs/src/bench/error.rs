//! What can go wrong on a bench, with what to do about it.

use std::net::SocketAddrV4;
use std::path::PathBuf;
use std::time::Duration;

use rigor_controller::message::Refusal;
use rigor_controller::packed::PackedError;
use rigor_controller::{FrameError, PRODUCT};
use rigor_core::verdict::RigError;

use super::loader::LoaderError;
use crate::instrument::ToolError;
use crate::instrument::gpio::GpioError;
use crate::instrument::modem::ModemError;
use crate::ports::PortError;
use crate::serial::SerialError;

/// Why a bench does not work.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// A serial port.
    #[error(transparent)]
    Serial(#[from] SerialError),
    /// A program that switches or resets.
    #[error(transparent)]
    Tool(#[from] ToolError),
    /// A line of the host itself.
    #[error(transparent)]
    Gpio(#[from] GpioError),
    /// The loader in the chip's ROM.
    #[error(transparent)]
    Loader(#[from] LoaderError),
    /// A port of the rig file is not there.
    #[error("[{table}] of the rig file: {reason}")]
    NotPluggedIn {
        /// The table.
        table: &'static str,
        /// Why.
        reason: PortError,
    },
    /// The rig file leads past the simulated device.
    #[error(
        "nobody stands in for the board at {to}; correct `address` and `forward` in [net] of the rig file"
    )]
    Elsewhere {
        /// Where it leads.
        to: SocketAddrV4,
    },
    /// The board does not say a word.
    #[error(
        "{}: not one byte has come from the board since it was started, and even a chip without firmware says something \
         then; look at its supply, at the wire of its TX pin, at `baud`, and whether this is the port on which it speaks \
         (UART0, for firmware of ours)",
        path.display()
    )]
    Mute {
        /// The console's port.
        path: PathBuf,
    },
    /// The controller does not say a word.
    #[error(
        "{}: nothing there answers as a bench controller within {within:?}; is it the port of the Pico (`{PRODUCT}`), and \
         does it run rigs/controller?",
        port.display()
    )]
    Silent {
        /// Its port.
        port: PathBuf,
        /// How long was waited.
        within: Duration,
    },
    /// Something else is there.
    #[error(
        "{}: what is there sends {bytes} bytes that are no word of a bench controller; correct [controller] in the rig \
         file, the console's port may be in its place",
        port.display()
    )]
    NoController {
        /// Its port.
        port: PathBuf,
        /// What it has sent.
        bytes: usize,
    },
    /// The controller's words cannot be understood.
    #[error("{}: the bench controller: {reason}", port.display())]
    Frame {
        /// Its port.
        port: PathBuf,
        /// Why.
        reason: FrameError,
    },
    /// Its pulses cannot be understood.
    #[error("{}: the bench controller: {reason}", port.display())]
    Packed {
        /// Its port.
        port: PathBuf,
        /// Why.
        reason: PackedError,
    },
    /// The controller stopped answering.
    #[error("{}: the bench controller did not answer {asked} within {within:?}; plug it in again", port.display())]
    Stuck {
        /// Its port.
        port: PathBuf,
        /// What it was asked for.
        asked: &'static str,
        /// How long was waited.
        within: Duration,
    },
    /// The controller cannot do it.
    #[error("{}: the bench controller does not {asked}: {reason}", port.display())]
    Refused {
        /// Its port.
        port: PathBuf,
        /// What it was asked for.
        asked: &'static str,
        /// Why.
        reason: Refusal,
    },
    /// The controller answers something that was not asked.
    #[error(
        "{}: the bench controller answers {asked} with something else; write rigs/controller of this version to it",
        port.display()
    )]
    OtherAnswer {
        /// Its port.
        port: PathBuf,
        /// What it was asked for.
        asked: &'static str,
    },
    /// The rig file wants what the controller lacks.
    #[error("the rig file wants {wanted}, and the controller `{name}` has {has}; correct the rig file")]
    Lacks {
        /// What.
        wanted: String,
        /// What it runs.
        name: String,
        /// What there is of it.
        has: String,
    },
    /// Nobody knows where the device is.
    #[error(
        "nobody knows where the device is on the network: {who}; write `address = \"...\"` in [net], or have it told"
    )]
    Nowhere {
        /// Who should have said so, and has not.
        who: String,
    },
    /// DTR and RTS.
    #[error(transparent)]
    Modem(#[from] ModemError),
    /// What a simulated device sent did not arrive.
    #[error(
        "the simulated device has sent {sent} {what}, and {arrived} arrived within {within:?}; does another program \
         read its console, or hold its ports?"
    )]
    Lost {
        /// Bytes of what.
        what: &'static str,
        /// By its own count.
        sent: u64,
        /// By ours.
        arrived: u64,
        /// How long was waited.
        within: Duration,
    },
    /// The operating system refuses.
    #[error("{what}: {why}; {remedy}")]
    Host {
        /// What was wanted.
        what: String,
        /// What it says.
        why: String,
        /// What to do.
        remedy: &'static str,
    },
    /// Nothing more is known.
    #[error("{0}")]
    Other(String),
}

impl From<BenchError> for RigError {
    fn from(error: BenchError) -> Self {
        RigError(error.to_string())
    }
}
