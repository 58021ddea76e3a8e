//! `rigor monitor`: what a board's console says, with the host's time, and where its panics come from.

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
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
#[command(after_help = "Examples:
  rigor monitor --port /dev/ttyUSB0
  rigor monitor --port F4:12:FA:59:00:31 --elf firmware.elf
  rigor monitor --port /dev/ttyACM0 --for 10 > boot.log

Exit codes:
  0  it was listened to until Ctrl-C, or for as long as was asked
  2  the port cannot be opened
  3  the ELF file cannot be read, or the command line is wrong")]
pub(crate) struct Arguments {
    /// The board's port: a path, or the serial number of its USB device.
    #[arg(long, value_name = "PORT")]
    port: String,
    /// The ELF file that the board runs, to explain addresses by.
    #[arg(long, value_name = "FILE")]
    elf: Option<PathBuf>,
    /// Bits per second.
    #[arg(long, value_name = "BITS", default_value_t = 115_200)]
    baud: u32,
    /// End after so many seconds.
    #[arg(long = "for", value_name = "SECONDS")]
    seconds: Option<u32>,
}

/// How often it is looked whether somebody wants the end, or whether a port is there again.
const TICK: Duration = Duration::from_millis(100);

/// Who wants the end.
pub(crate) struct End {
    asked: Arc<AtomicBool>,
    at: Option<Instant>,
}

impl End {
    pub(crate) fn listen(seconds: Option<u32>) -> Result<Self, CommandError> {
        let asked = interrupt::wanted()?;
        let at = seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds.into()));
        Ok(End { asked, at })
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

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, CommandError> {
    let image = match &arguments.elf {
        Some(path) => {
            Some(Image::read_of_chip(path).map_err(|error| CommandError::Refused(error.to_string()))?)
        }
        None => None,
    };
    let reader = match &image {
        Some(image) => Reader::of(image).map_err(|error| CommandError::Refused(error.to_string()))?,
        None => Reader::default(),
    };
    let end = End::listen(arguments.seconds)?;
    let host = Host::default();
    let mut name = port_name(&arguments.port);
    let (path, mut lines) = match open(&host, &name, arguments.baud) {
        Ok(opened) => opened,
        Err(text) => {
            complain(&format!("{text}\n"));
            return Ok(ExitCode::from(EXIT_UNDECIDED));
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
    complain(&format!("--- {} at {} baud; Ctrl-C ends\n", shown(&path), arguments.baud));
    while !end.is_wanted() {
        match lines.next(end.next_look()) {
            Ok(Some(line)) => {
                if tell(&reader, &line).is_err() {
                    break;
                }
            }
            Ok(None) => {}
            Err(error) => {
                complain(&format!("--- {error}; waiting for it to come back\n"));
                let Some((path, opened)) = wait(&host, &name, arguments.baud, &end) else { break };
                complain(&format!("--- back as {}\n", shown(&path)));
                lines = opened;
            }
        }
    }
    complain("--- end\n");
    Ok(ExitCode::from(EXIT_OK))
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

/// Prints `line` and what is known of the addresses in it.
fn tell(reader: &Reader<'_>, line: &rigor_rigs::serial::Line) -> Result<(), GoneAway> {
    let at = chrono::Local::now() - line.at.elapsed();
    let mut text = format!("{}  {}\n", at.format("%H:%M:%S%.3f"), line::harmless(&line.bytes));
    for explained in reader.explain(&line.text()) {
        text.push_str(&format!("{:14}{explained}\n", ""));
    }
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|_| GoneAway)
}
