//! Reads captures, whatever their format.

use std::fs::File;
use std::io::{BufRead, BufReader, Seek};
use std::path::Path;

use clap::ValueEnum;
use rigor_decode::capture::{Capture, Limits, ReadError, SampleRate, Signal, raw, sigrok, vcd};
use rigor_reports::visible;
use rigor_runner::suggest;

use crate::error::CommandError;

/// Which signals of which file.
#[derive(clap::Args, Debug)]
#[group(skip)]
#[command(next_help_heading = "The capture")]
pub(super) struct Arguments {
    /// A signal, by name; may be given several times [default: all for ws2812, the only one for uart].
    #[arg(long, value_name = "NAME")]
    pub(super) signal: Vec<String>,
    /// The format of the file [default: as its contents and its name say].
    #[arg(long, value_enum)]
    input: Option<Format>,
    /// Samples a second of raw samples: 24MHz, 500k, 1000000.
    #[arg(long, value_name = "RATE")]
    rate: Option<SampleRate>,
    /// Channels of raw samples.
    #[arg(long, value_name = "N", default_value_t = 8)]
    channels: usize,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// Value change dump, IEEE 1364.
    Vcd,
    /// sigrok session, version 2.
    Sr,
    /// Packed samples; needs --rate.
    Raw,
}

/// The capture in the file `path`.
pub(super) fn read(path: &Path, arguments: &Arguments) -> Result<Capture, CommandError> {
    let refused = |source| CommandError::Io {
        action: "read",
        path: path.to_owned(),
        source,
        remedy: "name a capture: a .vcd, a .sr or raw samples",
    };
    let mut file = BufReader::new(File::open(path).map_err(refused)?);
    let format = match arguments.input {
        Some(format) => format,
        None => format_of(path, file.fill_buf().map_err(refused)?),
    };
    let limits = Limits::default();
    let read = match format {
        Format::Vcd => vcd::read(&mut file, &limits),
        Format::Sr => file.rewind().map_err(ReadError::from).and_then(|()| sigrok::read(&mut file, &limits)),
        Format::Raw => {
            let Some(rate) = arguments.rate else {
                let text = format!(
                    "{}: neither a value change dump nor a sigrok session; if it is raw samples, say how many \
                     a second with --rate, as in --rate 24MHz",
                    path.display()
                );
                return Err(CommandError::Refused(text));
            };
            let layout = raw::Layout::plain(rate, arguments.channels)
                .map_err(|error| CommandError::Refused(format!("--channels: {error}")))?;
            raw::read(&mut file, &layout, &limits)
        }
    };
    read.map_err(|error| CommandError::Refused(format!("{}: {error}", path.display())))
}

/// By the first bytes where they tell, and else by the name.
fn format_of(path: &Path, first: &[u8]) -> Format {
    // A local file header of a zip archive, or the end of an empty one.
    if first.starts_with(b"PK\x03\x04") || first.starts_with(b"PK\x05\x06") {
        return Format::Sr;
    }
    let text = first.iter().find(|byte| !byte.is_ascii_whitespace());
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("vcd") => Format::Vcd,
        Some("sr") => Format::Sr,
        _ if text == Some(&b'$') => Format::Vcd,
        _ => Format::Raw,
    }
}

/// The signal `name`.
pub(super) fn signal<'a>(capture: &'a Capture, name: &str) -> Result<&'a Signal, CommandError> {
    capture.signal(name).map_err(|_| {
        let names: Vec<&str> = capture.signals().iter().map(Signal::name).collect();
        let remedy = suggest::remedy(name, &names, &format!("the capture has: {}", listed(capture)));
        CommandError::Unknown { what: "signal", name: name.to_owned(), remedy }
    })
}

/// The wanted signals; all if none is named.
pub(super) fn signals<'a>(capture: &'a Capture, names: &[String]) -> Result<Vec<&'a Signal>, CommandError> {
    if names.is_empty() {
        return Ok(capture.signals().iter().collect());
    }
    names.iter().map(|name| signal(capture, name)).collect()
}

/// The names of the capture's signals, a few of them.
pub(super) fn listed(capture: &Capture) -> String {
    const SHOWN: usize = 16;
    let names: Vec<String> =
        capture.signals().iter().take(SHOWN).map(|signal| visible(signal.name())).collect();
    let more = capture.signals().len().saturating_sub(SHOWN);
    if more == 0 { names.join(", ") } else { format!("{} and {more} more", names.join(", ")) }
}
