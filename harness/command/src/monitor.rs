//! `rigor monitor`: what a board's console says, with the host's time, and where its panics come from.

mod bench;
mod line;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rigor_core::result::{EXIT_OK, EXIT_UNDECIDED};
use rigor_image::Image;
use rigor_rigs::ports::{Host, PortName};
use rigor_rigs::serial::{Lines, Port, SerialError};

use crate::devices::port_name;
use crate::error::CommandError;
use crate::interrupt;
use crate::print::complain;
use line::Reader;

/// Print what a board's console says
///
/// Each line stands behind the time at which its last byte was there. Addresses of code in it, as in a
/// panic's backtrace, are told as lines of the source if an ELF file is given. A board on its own USB port
/// vanishes when it is reset: it is waited for, found again by its serial number, and both are said. Ctrl-C
/// ends it.
///
/// With --rig the board is a bench's: nobody else gets it meanwhile, it is started as a case would start it, its
/// lines have the rig's time, and its starts and crashes are said. In the end the bench lets go of it, so a board
/// whose supply the bench switches is off then.
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
#[command(after_help = "Examples:
  rigor monitor --port /dev/ttyUSB0
  rigor monitor --port F4:12:FA:59:00:31 --elf firmware.elf
  rigor monitor --port /dev/ttyACM0 --for 10 > boot.log
  rigor monitor --rig rigs/bench/desk-prism-k1.toml              takes its lease, and starts the board
  rigor monitor --rig rigs/bench/desk-prism-k1.toml --no-reset   listens to what is running

Exit codes:
  0  it was listened to until Ctrl-C, or for as long as was asked
  2  the port cannot be opened, or the bench does not work
  3  the ELF file cannot be read, or the command line is wrong")]
#[command(group(clap::ArgGroup::new("board").required(true).args(["port", "rig"])))]
pub(crate) struct Arguments {
    /// The board's port: a path, or the serial number of its USB device.
    #[arg(long, value_name = "PORT")]
    port: Option<String>,
    /// The bench that has the board.
    #[arg(long, value_name = "RIG")]
    rig: Option<String>,
    /// Neither reset the board nor switch its supply: listen to what runs.
    #[arg(long, requires = "rig")]
    no_reset: bool,
    /// The ELF file that the board runs, to explain addresses by; with --rig, the one that the rig file names, if it is
    /// one.
    #[arg(long, value_name = "FILE")]
    elf: Option<PathBuf>,
    /// Bits per second [default: 115200].
    #[arg(long, value_name = "BITS", conflicts_with = "rig")]
    baud: Option<u32>,
    /// End after so many seconds.
    #[arg(long = "for", value_name = "SECONDS")]
    seconds: Option<u32>,
}

/// How often it is looked whether somebody wants the end, or whether a port is there again.
const TICK: Duration = Duration::from_millis(100);

/// Who wants the end.
pub(crate) struct End {
    asked: Arc<AtomicBool>,
    limit: Option<Duration>,
    at: Option<Instant>,
}

impl End {
    pub(crate) fn listen(seconds: Option<u32>) -> Result<Self, CommandError> {
        let asked = interrupt::wanted()?;
        let mut end =
            End { asked, limit: seconds.map(|seconds| Duration::from_secs(seconds.into())), at: None };
        end.begin();
        Ok(end)
    }

    /// The time that was asked for begins now.
    fn begin(&mut self) {
        self.at = self.limit.map(|limit| Instant::now() + limit);
    }

    /// What a signal sets.
    fn asked(&self) -> &Arc<AtomicBool> {
        &self.asked
    }

    pub(crate) fn is_wanted(&self) -> bool {
        self.asked.load(Ordering::Relaxed) || self.at.is_some_and(|at| Instant::now() >= at)
    }

    /// When to look again.
    fn next_look(&self) -> Instant {
        let tick = Instant::now() + TICK;
        self.at.map_or(tick, |at| at.min(tick))
    }
}

/// What the console says goes to a reader who may go away.
struct GoneAway;

/// Bits per second of most boards.
const BAUD: u32 = 115_200;

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, CommandError> {
    if let Some(rig) = &arguments.rig {
        return bench::run(arguments, rig);
    }
    let image = arguments.elf.as_deref().map(image).transpose()?;
    let reader = reader(image.as_ref())?;
    let end = End::listen(arguments.seconds)?;
    // It is there without a rig.
    let name = port_name(arguments.port.as_deref().unwrap_or_default());
    Ok(listen(name, arguments.baud.unwrap_or(BAUD), &reader, &end))
}

fn image(path: &Path) -> Result<Image, CommandError> {
    Image::read_of_chip(path).map_err(|error| CommandError::Refused(error.to_string()))
}

fn reader(image: Option<&Image>) -> Result<Reader<'_>, CommandError> {
    match image {
        Some(image) => Reader::of(image).map_err(|error| CommandError::Refused(error.to_string())),
        None => Ok(Reader::default()),
    }
}

/// Prints what the port `name` says until somebody wants the end.
fn listen(mut name: PortName, baud: u32, reader: &Reader<'_>, end: &End) -> ExitCode {
    let host = Host::default();
    let (path, mut lines) = match open(&host, &name, baud) {
        Ok(opened) => opened,
        Err(text) => {
            complain(&format!("{text}\n"));
            return ExitCode::from(EXIT_UNDECIDED);
        }
    };
    // By its path it may come back as another.
    if let Some(serial) = host.device_at(&path).and_then(|device| device.usb?.serial) {
        let by_serial = PortName::UsbSerial(serial);
        // A device with several ports is followed by the path alone.
        if host.resolve(&by_serial).is_ok() {
            name = by_serial;
        }
    }
    complain(&format!("--- {} at {baud} baud; Ctrl-C ends\n", shown(&path)));
    while !end.is_wanted() {
        match lines.next(end.next_look()) {
            Ok(Some(line)) => {
                let at = chrono::Local::now() - line.at.elapsed();
                if tell(reader, &at.format("%H:%M:%S%.3f").to_string(), &line.bytes).is_err() {
                    break;
                }
            }
            Ok(None) => {}
            Err(error) => {
                complain(&format!("--- {error}; waiting for it to come back\n"));
                let Some((path, opened)) = wait(&host, &name, baud, end) else { break };
                complain(&format!("--- back as {}\n", shown(&path)));
                lines = opened;
            }
        }
    }
    complain("--- end\n");
    ExitCode::from(EXIT_OK)
}

fn shown(path: &Path) -> String {
    rigor_reports::visible(&path.display().to_string())
}

/// The lines of the port `name`, and where it is now.
fn open(host: &Host, name: &PortName, baud: u32) -> Result<(PathBuf, Lines), String> {
    let path = host.resolve(name).map_err(|error| error.to_string())?;
    let port = Port::open(&path, baud).map_err(|error: SerialError| error.to_string())?;
    Ok((path, Lines::of(port)))
}

/// The same as soon as it is there again; `None` once somebody wants the end.
fn wait(host: &Host, name: &PortName, baud: u32, end: &End) -> Option<(PathBuf, Lines)> {
    while !end.is_wanted() {
        if let Ok(opened) = open(host, name, baud) {
            return Some(opened);
        }
        std::thread::sleep(TICK);
    }
    None
}

/// Prints a line of `bytes` behind its time, and what is known of the addresses in it.
fn tell(reader: &Reader<'_>, time: &str, bytes: &[u8]) -> Result<(), GoneAway> {
    let mut text = format!("{time}  {}\n", line::harmless(bytes));
    for explained in reader.explain(&String::from_utf8_lossy(bytes)) {
        text.push_str(&format!("{:14}{explained}\n", ""));
    }
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|_| GoneAway)
}
