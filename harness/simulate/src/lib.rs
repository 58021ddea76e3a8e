//! `rigor simulate`: a virtual or an emulated board in real time.
//!
//! In the flow (action, event, decode, **show**) this crate stands beside the runner: it takes the same
//! rig, and instead of a case it puts people and programs in front of it. The board's clock follows the
//! host's ([`pace`]); its TCP ports are ports of this machine ([`bridge`]); its console is a terminal
//! ([`console`]); and what its wires do is decoded and shown ([`scene`], [`frames`]). A board that QEMU emulates
//! has the host's clock already, and ports of this machine that lead to it without us.
//!
//! With `--bench` nothing of that follows the host's clock: the board is what stands behind a bench's
//! ports ([`rigor_bench_box`]), and its clock is whose who has the controller.
//!
//! One thread owns board, sockets, terminals and files, and waits for all of them at once. A second one
//! hears signals. Both end with [`run`], and with them everything that they opened.

pub mod arguments;
mod bench;
pub mod bridge;
pub mod console;
pub mod frames;
pub mod pace;
pub mod ready;
mod rig_file;
pub mod scene;
mod simulation;
mod stop;
pub mod view;
mod wait;

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use rigor_core::result::{EXIT_OK, EXIT_UNDECIDED};
use rigor_core::verdict::RigError;
use rigor_rigs::fault::Model;
use rigor_rigs::{Firmwares, Order, Refusal};

pub use arguments::Arguments;
use arguments::{ConsoleChoice, ViewChoice};
use bridge::{Bridge, Door, PortTaken};
use console::Console;
use frames::FrameFile;
use ready::{Service, Whereabouts};
use simulation::{Simulation, Surroundings};
use stop::Stop;
use view::{Browser, Terminal, View};

/// Bits per second of a console that the rig file does not have.
const NO_CONSOLE_BAUD: u32 = 115_200;

/// Why a simulation cannot begin, or could not go on. All of them are the bench's: exit code 2.
#[derive(Debug, thiserror::Error)]
pub enum SimulateError {
    /// The rig file cannot be used.
    #[error("{0}")]
    RigFile(String),
    /// The board cannot have the fault that is wanted.
    #[error("a device on the rig `{rig}` cannot have a fault of the {family}; name a virtual rig with --rig")]
    Fault {
        /// The rig.
        rig: String,
        /// What the fault is in: see [`Model::family`].
        family: &'static str,
    },
    /// The rig cannot be had.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The rig failed.
    #[error(transparent)]
    Rig(#[from] RigError),
    /// A port cannot be had.
    #[error(transparent)]
    Port(#[from] PortTaken),
    /// A bench in a box cannot be had, or broke.
    #[error(transparent)]
    Bench(#[from] rigor_bench_box::BoxError),
    /// Signals cannot be heard.
    #[error("signals cannot be heard: {0}")]
    Signals(#[source] io::Error),
    /// The console cannot be had, or broke.
    #[error("the console: {0}; choose another place with --console")]
    Console(#[source] io::Error),
    /// The view cannot be had, or broke.
    #[error("the view: {0}; choose another with --view")]
    View(#[source] io::Error),
    /// The kernel refuses to wait.
    #[error("waiting for sockets and terminals: {0}; close other programs' files")]
    Wait(#[source] io::Error),
    /// The file of frames cannot be written.
    #[error("the file of --frames: {0}; free some space, or name another file")]
    Frames(#[source] io::Error),
    /// The file that says where everything is cannot be written.
    #[error("{}: {reason}; name another file with --ready", path.display())]
    Ready {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: io::Error,
    },
}

/// The whole of `rigor simulate`: does what `arguments` ask, with `fault` on the board, and says by its exit code how
/// it went.
pub fn command(arguments: &Arguments, firmwares: &Firmwares, fault: Option<&Model>) -> ExitCode {
    match run(arguments, firmwares, fault) {
        Ok(()) => ExitCode::from(EXIT_OK),
        Err(complaint) => {
            eprintln!("{complaint}");
            ExitCode::from(EXIT_UNDECIDED)
        }
    }
}

/// Runs what `arguments` describe, with `fault` on the board, until somebody asks for the end.
///
/// # Errors
/// [`SimulateError`], with what to do about it.
pub fn run(arguments: &Arguments, firmwares: &Firmwares, fault: Option<&Model>) -> Result<(), SimulateError> {
    let file = rig_file::read(arguments)?;
    if let Some(family) = fault.filter(|fault| !fault.fits(&file.back_end)).map(Model::family) {
        return Err(SimulateError::Fault { rig: file.name, family });
    }
    if arguments.bench {
        return bench::run(arguments, firmwares, &file, fault);
    }
    let interrupt = Arc::new(AtomicBool::new(false));
    let stop = Stop::listen(interrupt.clone(), last_words).map_err(SimulateError::Signals)?;
    let order = Order { fault, ..Order::new(&file, firmwares, arguments.seed, &interrupt) };
    let rig = rigor_rigs::take(&order)?;
    let ports = rig.parts.ports.iter().map(|(service, &port)| {
        let here = arguments.port_of(service, port);
        (service.clone(), port, here)
    });
    let bridge = match &rig.parts.net {
        // Others reach it without us.
        Some(_) if !rig.parts.forwards.is_empty() => None,
        Some(net) => Some(Bridge::open(net.clone(), arguments.address, ports)?),
        None => None,
    };
    let forwarded = rig.parts.forwards.iter().filter_map(|(service, &address)| {
        let (service, &device_port) = rig.parts.ports.get_key_value(service)?;
        Some(Door { service: service.clone(), device_port, address })
    });
    let forwarded: Vec<Door> = forwarded.collect();
    let frames = arguments.frames.as_deref().map(FrameFile::create).transpose();
    let frames = frames.map_err(SimulateError::Frames)?;
    let choice = arguments.view.unwrap_or_else(default_view);
    let console = match (choice, arguments.console) {
        // It has a pane of the view.
        (ViewChoice::Terminal, ConsoleChoice::Terminal) => ConsoleChoice::None,
        (_, console) => console,
    };
    let console = Console::open(console).map_err(SimulateError::Console)?;
    let page = (choice == ViewChoice::Browser).then(|| Browser::open(arguments.address, arguments.view_port));
    let page = page.transpose().map_err(SimulateError::View)?;
    let whereabouts = Whereabouts {
        rig: rig.name.clone(),
        firmware: firmwares.get(&file.dut).map_or(String::new(), |firmware| firmware.version().to_owned()),
        services: bridge.iter().flat_map(Bridge::doors).chain(&forwarded).map(Service::from).collect(),
        console: console.path().map(Into::into),
        view: page.as_ref().map(|page| format!("http://{}/", page.address())),
    };
    tell(&whereabouts, arguments.ready.as_deref())?;
    let view = match (choice, page) {
        (ViewChoice::Terminal, _) => View::Terminal(Box::new(Terminal::take().map_err(SimulateError::View)?)),
        (_, Some(page)) => View::Browser(Box::new(page)),
        (_, None) => View::None,
    };
    let baud = file.console.as_ref().map_or(NO_CONSOLE_BAUD, |console| console.baud);
    let around = Surroundings { bridge, console, view, frames, whereabouts };
    Simulation::new(rig, arguments, baud, around).run(&stop)
}

/// Tells where everything is, on the terminal and where `--ready` says.
fn tell(whereabouts: &Whereabouts, ready: Option<&Path>) -> Result<(), SimulateError> {
    // Nobody is there to read it if that fails.
    let _ = whereabouts.tell(io::stderr());
    let Some(path) = ready else { return Ok(()) };
    let reason = |reason| SimulateError::Ready { path: path.to_owned(), reason };
    whereabouts.publish(path).map_err(reason)
}

/// Before the process is ended by force.
fn last_words() {
    view::restore();
    view::tell(io::stderr(), b"the simulation does not end by itself: ended by force\n");
}

/// On the terminal, if somebody sits there.
fn default_view() -> ViewChoice {
    let is_terminal = io::stdin().is_terminal() && io::stdout().is_terminal();
    if is_terminal { ViewChoice::Terminal } else { ViewChoice::None }
}
