//! What a display was sent and what it showed.

use std::path::Path;
use std::time::Duration;

use rigor_core::event::Kind;
use rigor_core::time::nanos;
use rigor_decode::capture::{Capture, Signal};
use rigor_decode::picture::png::{self, Still};
use rigor_decode::spi::{Pins, Sampling, Traffic, transfers};
use rigor_decode::st7789::{Config, Frame, Limits, Panel, Record};
use serde::Serialize;

use super::{Finding, Format, input};
use crate::error::CommandError;
use crate::output;
use crate::print::count;

/// How the display is wired.
#[derive(clap::Args, Debug)]
#[group(skip)]
#[command(next_help_heading = "st7789")]
pub(super) struct Arguments {
    /// The signal of the clock.
    #[arg(long, value_name = "NAME")]
    clock: Option<String>,
    /// The signal of the data to the display.
    #[arg(long, value_name = "NAME")]
    data: Option<String>,
    /// The signal that is high for data and low for commands.
    #[arg(long, value_name = "NAME")]
    dc: Option<String>,
    /// The signal that is low while the display is addressed [default: it always is].
    #[arg(long, value_name = "NAME")]
    select: Option<String>,
    /// The module: WIDTHxHEIGHT, +COLUMN+ROW of its first pixel, rotation, inverted, bgr.
    #[arg(long, value_name = "PANEL", default_value = "240x320,inverted")]
    panel: Panel,
}

/// How long the last picture of an animation is seen.
const LAST: Duration = Duration::from_secs(1);

pub(super) fn run(
    capture: &Capture,
    arguments: &Arguments,
    format: Format,
    to: Option<&Path>,
) -> Result<Finding, CommandError> {
    let traffic = traffic(capture, arguments)?;
    let config = Config { byte_time: byte_time(&traffic), ..Config::new(arguments.panel) };
    let record = Record::of(&config, Limits::default(), &traffic.events);
    match format {
        Format::Text => output::text(to, &text(&traffic, &record))?,
        Format::Json => output::text(to, &super::as_json(&json(&traffic, &record))?)?,
        Format::Png if record.frames.is_empty() => {}
        Format::Png => output::bytes(to, &picture(&record.frames)?)?,
    }
    Ok(if traffic.events.is_empty() {
        Finding::Nothing
    } else if record.findings > 0 || traffic.incomplete_bytes > 0 {
        Finding::Broken
    } else {
        Finding::Fine
    })
}

fn traffic(capture: &Capture, arguments: &Arguments) -> Result<Traffic, CommandError> {
    let needed = |option: &str, name: &Option<String>| match name {
        Some(name) => input::signal(capture, name),
        None => Err(CommandError::Refused(format!(
            "name the signals with --clock, --data and --dc ({option} is missing); there are: {}",
            input::listed(capture)
        ))),
    };
    let optional =
        |name: &Option<String>| name.as_deref().map(|name| input::signal(capture, name)).transpose();
    let select: Option<&Signal> = optional(&arguments.select)?;
    let pins = Pins {
        clock: needed("--clock", &arguments.clock)?,
        data: needed("--data", &arguments.data)?,
        select,
        data_command: Some(needed("--dc", &arguments.dc)?),
    };
    Ok(transfers(&pins, Sampling::Rising))
}

/// How long a byte was on the bus: of the longest transfer, up to the next one, at most. Its last bit is
/// known of the last transfer only.
fn byte_time(traffic: &Traffic) -> Duration {
    let bytes = |kind: &Kind| match kind {
        Kind::Bus(transfer) => transfer.bytes.len() as u64,
        _ => 0,
    };
    let last = traffic.last_bit.zip(traffic.events.last());
    let ends = traffic.events.iter().skip(1).map(|event| event.at).chain(last.map(|(at, _)| at));
    traffic
        .events
        .iter()
        .zip(ends)
        .filter(|(event, _)| bytes(&event.kind) > 0)
        .map(|(event, end)| nanos(end.since(event.at)) / bytes(&event.kind))
        // Pauses between transfers only make it longer.
        .min()
        .map_or(Duration::ZERO, Duration::from_nanos)
}

fn text(traffic: &Traffic, record: &Record) -> String {
    let mut text = String::new();
    for line in &record.lines {
        text.push_str(&format!("{line}\n"));
    }
    let left_out = record.left_out;
    if left_out.lines + left_out.findings + left_out.frames > 0 {
        text.push_str(&format!(
            "left out, beyond the limits: {} lines, {} findings, {} frames\n",
            left_out.lines, left_out.findings, left_out.frames
        ));
    }
    let counts = [
        (traffic.events.len() as u64, "transfer"),
        (record.frames.len() as u64, "frame"),
        (record.findings, "finding"),
    ];
    text.push_str(&counts.map(|(number, what)| count(number, what)).join(", "));
    if let Some(at) = traffic.first_incomplete {
        text.push_str(&format!(", {} cut short, the first at {at}", count(traffic.incomplete_bytes, "byte")));
    }
    text.push('\n');
    text
}

#[derive(Serialize)]
struct Json<'a> {
    transfers: usize,
    incomplete_bytes: u64,
    #[serde(flatten)]
    record: &'a Record,
}

fn json<'a>(traffic: &Traffic, record: &'a Record) -> Json<'a> {
    Json { transfers: traffic.events.len(), incomplete_bytes: traffic.incomplete_bytes, record }
}

/// The only frame, or all of them as an animation.
fn picture(frames: &[Frame]) -> Result<Vec<u8>, CommandError> {
    let made = match frames {
        [frame] => png::still(&frame.picture),
        frames => {
            let next = frames.iter().skip(1).map(|frame| Some(frame.start)).chain([None]);
            let stills: Vec<Still> = frames
                .iter()
                .zip(next)
                .map(|(frame, next)| Still {
                    picture: frame.picture.clone(),
                    shown: next.map_or(LAST, |next| next.since(frame.start)),
                })
                .collect();
            png::animation(&stills)
        }
    };
    made.map_err(|error| CommandError::Refused(format!("no picture: {error}")))
}
