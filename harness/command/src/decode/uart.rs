//! Characters and lines of a serial line, and how well its bits keep their time.

use std::path::Path;

use rigor_core::event::Direction;
use rigor_core::time::nanos;
use rigor_core::{Event, Instant};
use rigor_decode::capture::{Capture, Signal};
use rigor_decode::console::{Line, LineDecoder};
use rigor_decode::uart::{BitTime, Character, Fault, decode, measure};
use rigor_reports::visible;
use serde::Serialize;

use super::{Finding, Format, input};
use crate::error::CommandError;
use crate::output;
use crate::print::count;

/// How the line is driven.
#[derive(clap::Args, Debug)]
#[group(skip)]
#[command(next_help_heading = "uart")]
pub(super) struct Arguments {
    /// Bits a second [default: measured from the pulses].
    #[arg(long, value_name = "N")]
    baud: Option<u32>,
}

/// Faults that have a line of their own; the others are counted.
const SHOWN_FAULTS: usize = 20;

/// A serial line, decoded.
struct Decoded<'a> {
    signal: &'a Signal,
    /// What bits were read with.
    bit: BitTime,
    /// What the pulses say, if they say enough.
    measured: Option<BitTime>,
    characters: Vec<Character>,
    lines: Vec<Line>,
}

pub(super) fn run(
    capture: &Capture,
    names: &[String],
    arguments: &Arguments,
    format: Format,
    to: Option<&Path>,
) -> Result<Finding, CommandError> {
    if format == Format::Png {
        let text = "a serial line has no picture; leave out --format png";
        return Err(CommandError::Refused(text.to_owned()));
    }
    let signal = match input::signals(capture, names)?[..] {
        [signal] => signal,
        [] => return Err(CommandError::Refused("the capture has no signal".to_owned())),
        _ => {
            let known = input::listed(capture);
            return Err(CommandError::Refused(format!("say which signal with --signal; there are: {known}")));
        }
    };
    let measured = measure(signal);
    let bit = match (arguments.baud, &measured) {
        (Some(baud), _) => {
            BitTime::of_baud(baud).map_err(|error| CommandError::Refused(format!("--baud: {error}")))?
        }
        (None, Ok(bit)) => *bit,
        (None, Err(_)) if signal.edges().is_empty() => {
            output::text(to, &format!("{}: nothing was sent\n", visible(signal.name())))?;
            return Ok(Finding::Nothing);
        }
        (None, Err(error)) => {
            let name = visible(signal.name());
            return Err(CommandError::Refused(format!("{name}: {error} with --baud, as in --baud 115200")));
        }
    };
    let characters = decode(signal, capture.end(), bit);
    let events: Vec<Event> = characters.iter().map(|each| each.event(Direction::FromDut)).collect();
    let lines = LineDecoder::decode(&events);
    let decoded = Decoded { signal, bit, measured: measured.ok(), characters, lines };
    output::text(to, &if format == Format::Json { decoded.json()? } else { decoded.text() })?;
    Ok(if decoded.characters.is_empty() {
        Finding::Nothing
    } else if decoded.is_off() || decoded.faults().any(|(_, fault)| fault != Fault::CutShort) {
        Finding::Broken
    } else {
        Finding::Fine
    })
}

impl Decoded<'_> {
    fn faults(&self) -> impl Iterator<Item = (Instant, Fault)> {
        self.characters.iter().filter_map(|each| Some((each.start, each.fault?)))
    }

    /// How far the measured rate is from the one that people set, in percent.
    fn off_percent(&self) -> Option<f64> {
        let usual = f64::from(self.bit.usual_baud()?);
        Some((self.measured?.baud() / usual - 1.0) * 100.0)
    }

    /// Whether a receiver would lose its place within a character: after ten bits by half a bit.
    fn is_off(&self) -> bool {
        self.off_percent().is_some_and(|off| off.abs() > 5.0)
    }

    fn text(&self) -> String {
        let mut text = String::new();
        for line in &self.lines {
            text.push_str(&format!("{}  {}\n", line.start, visible(&line.text)));
        }
        let rate = match self.bit.usual_baud() {
            Some(usual) => format!("{usual} baud"),
            None => format!("{:.0} baud", self.bit.baud()),
        };
        let measured = match (self.measured, self.off_percent()) {
            (Some(bit), Some(off)) => {
                format!("; a bit takes {:.1} ns, the rate is off by {off:+.2} %", bit.as_nanos())
            }
            (Some(bit), None) => format!("; a bit takes {:.1} ns", bit.as_nanos()),
            (None, _) => "; too few pulses to measure a bit".to_owned(),
        };
        let faults = self.faults().count();
        let name = visible(self.signal.name());
        let characters = count(self.characters.len() as u64, "character");
        let faulty = count(faults as u64, "fault");
        text.push_str(&format!("{name}: {characters} at {rate}, {faulty}{measured}\n"));
        for (at, fault) in self.faults().take(SHOWN_FAULTS) {
            text.push_str(&format!("  {at}  {fault}\n"));
        }
        if faults > SHOWN_FAULTS {
            text.push_str(&format!("  and {} more faults\n", faults - SHOWN_FAULTS));
        }
        text
    }

    fn json(&self) -> Result<String, CommandError> {
        let at = |instant: Instant| nanos(instant.since(Instant::ZERO));
        let lines = self.lines.iter().map(|line| JsonLine {
            start_ns: at(line.start),
            end_ns: at(line.end),
            text: &line.text,
            raw: line.raw.iter().map(|byte| format!("{byte:02x}")).collect(),
        });
        let faults =
            self.faults().map(|(instant, fault)| JsonFault { at_ns: at(instant), what: fault.to_string() });
        super::as_json(&Json {
            signal: self.signal.name(),
            baud: self.bit.baud(),
            usual_baud: self.bit.usual_baud(),
            measured_bit_ns: self.measured.map(BitTime::as_nanos),
            off_percent: self.off_percent(),
            characters: self.characters.len(),
            lines: lines.collect(),
            faults: faults.collect(),
        })
    }
}

#[derive(Serialize)]
struct Json<'a> {
    signal: &'a str,
    baud: f64,
    usual_baud: Option<u32>,
    measured_bit_ns: Option<f64>,
    off_percent: Option<f64>,
    characters: usize,
    lines: Vec<JsonLine<'a>>,
    faults: Vec<JsonFault>,
}

#[derive(Serialize)]
struct JsonLine<'a> {
    start_ns: u64,
    end_ns: u64,
    text: &'a str,
    /// The bytes in hexadecimal digits, without the line's end.
    raw: String,
}

#[derive(Serialize)]
struct JsonFault {
    at_ns: u64,
    what: String,
}
