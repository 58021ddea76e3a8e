//! `rigor decode`: what a capture that somebody else made says, and whether it keeps the data sheet.

mod input;
mod st7789;
mod uart;
mod ws2812;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::ValueEnum;
use rigor_core::result::{EXIT_OK, EXIT_PRODUCT, EXIT_UNDECIDED};

use crate::error::CommandError;

/// Decode a capture of a logic analyser: WS2812 LEDs, UART, ST7789 displays
///
/// Reads value change dumps (.vcd), sigrok sessions (.sr) and raw samples, whoever made them, with
/// the decoders by which the suites judge. Tells what was sent, how the timing compares with the data
/// sheet, and what is wrong with it.
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
#[command(after_help = "Examples:
  rigor decode strip.sr --as ws2812                           every signal of the capture
  rigor decode strip.vcd --as ws2812 --signal din --pixels 160
  rigor decode strip.sr --as ws2812 --format png -o strip.png  an animation, if there are several frames
  rigor decode boot.vcd --as uart --signal tx                 the rate is measured
  rigor decode boot.raw --rate 24MHz --channels 8 --as uart --signal D3 --baud 115200
  rigor decode panel.sr --as st7789 --clock SCK --data MOSI --dc DC --select CS --panel 240x240,inverted
  rigor decode panel.sr --as st7789 ... --format json | jq '.lines[] | select(.kind == \"finding\")'

`bin` and `raw` files are samples of equal distance, each of as many whole bytes as the channels
need; the lowest bit of the first byte is D0. An analyser of 24 MHz is off by up to 42 ns at each
edge, and pulse widths with it.

Exit codes:
  0  it was decoded, and nothing is wrong with it
  1  what was sent breaks the data sheet or the protocol
  2  there is nothing to decode in it
  3  the file cannot be read, or the command line is wrong")]
pub(crate) struct Arguments {
    /// The capture.
    file: PathBuf,
    /// What was captured.
    #[arg(long = "as", value_enum, value_name = "PROTOCOL")]
    protocol: Protocol,
    /// How to tell it.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Where to [default: the standard output].
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    input: input::Arguments,
    #[command(flatten)]
    ws2812: ws2812::Arguments,
    #[command(flatten)]
    uart: uart::Arguments,
    #[command(flatten)]
    st7789: st7789::Arguments,
}

#[derive(Clone, Copy, ValueEnum)]
enum Protocol {
    /// The one-wire protocol of WS2812B LEDs and kin.
    Ws2812,
    /// A serial line: 8 data bits, no parity, one stop bit.
    Uart,
    /// The SPI bus of a display of the ST7789 family.
    St7789,
}

/// How to tell what was decoded.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Lines for people.
    Text,
    /// For programs: everything, times in nanoseconds.
    Json,
    /// What the LEDs or the display show; an animation of several frames.
    Png,
}

/// What decoding came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Finding {
    /// There was something, and nothing is wrong with it.
    Fine,
    /// It breaks the data sheet or the protocol.
    Broken,
    /// There was nothing.
    Nothing,
}

impl Finding {
    fn exit_code(self) -> ExitCode {
        ExitCode::from(match self {
            Finding::Fine => EXIT_OK,
            Finding::Broken => EXIT_PRODUCT,
            Finding::Nothing => EXIT_UNDECIDED,
        })
    }
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, CommandError> {
    let capture = input::read(&arguments.file, &arguments.input)?;
    let (format, to) = (arguments.format, arguments.output.as_deref());
    let found = match arguments.protocol {
        Protocol::Ws2812 => ws2812::run(&capture, &arguments.input.signal, &arguments.ws2812, format, to),
        Protocol::Uart => uart::run(&capture, &arguments.input.signal, &arguments.uart, format, to),
        Protocol::St7789 => st7789::run(&capture, &arguments.st7789, format, to),
    }?;
    Ok(found.exit_code())
}

/// `value` as indented JSON with a newline at its end.
fn as_json(value: &impl serde::Serialize) -> Result<String, CommandError> {
    let text = serde_json::to_string_pretty(value);
    let mut text =
        text.map_err(|error| CommandError::Refused(format!("not to be written as JSON: {error}")))?;
    text.push('\n');
    Ok(text)
}
