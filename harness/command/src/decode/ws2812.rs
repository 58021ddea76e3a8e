//! LED frames, their pixels, and their pulses against the data sheet.

use std::num::NonZeroU32;
use std::path::Path;

use rigor_core::Instant;
use rigor_core::time::nanos;
use rigor_decode::capture::{Capture, Signal};
use rigor_decode::picture::leds::{self, Layout};
use rigor_decode::picture::png;
use rigor_decode::ws2812::{ColourOrder, Config, Ending, Frame, Rgb, Row, Span, Summary, Window, decode};
use rigor_reports::visible;
use serde::Serialize;

use super::{Finding, Format, input};
use crate::error::CommandError;
use crate::output;
use crate::print::{columns, count};

/// How the LEDs are wired.
#[derive(clap::Args, Debug)]
#[group(skip)]
#[command(next_help_heading = "ws2812")]
pub(super) struct Arguments {
    /// Pixels of a strip, if known: tells a reset that was too short from a stall.
    #[arg(long, value_name = "N")]
    pixels: Option<u32>,
    /// The order of colours on the wire: grb, rgb, rbg, gbr, brg, bgr.
    #[arg(long, value_name = "ORDER", default_value = "grb")]
    order: ColourOrder,
    /// Pixels in a row of the picture, for a matrix [default: all].
    #[arg(long, value_name = "N")]
    row: Option<NonZeroU32>,
}

/// Pixels of a frame that a line shows.
const SHOWN_PIXELS: usize = 8;
/// Lines of frames; what is left out is counted.
const SHOWN_FRAMES: usize = 200;

/// One signal, decoded.
struct Lane<'a> {
    name: &'a str,
    frames: Vec<Frame>,
    summary: Summary,
}

pub(super) fn run(
    capture: &Capture,
    names: &[String],
    arguments: &Arguments,
    format: Format,
    to: Option<&Path>,
) -> Result<Finding, CommandError> {
    let config = arguments.pixels.map_or_else(Config::default, Config::strip);
    let wanted = input::signals(capture, names)?;
    let lanes: Vec<Lane> = wanted
        .into_iter()
        .map(|signal| lane(signal, capture.end(), config))
        // Of signals that nobody named those that carry LED data.
        .filter(|lane| !names.is_empty() || lane.frames.iter().any(|frame| frame.body.bits() >= 24))
        .collect();
    match format {
        Format::Text => output::text(to, &told(&lanes, arguments.order))?,
        Format::Json => output::text(to, &json(&lanes, arguments.order)?)?,
        Format::Png if lanes.iter().all(Lane::is_empty) => {}
        Format::Png => output::bytes(to, &picture(&lanes, arguments)?)?,
    }
    Ok(if lanes.iter().all(Lane::is_empty) {
        Finding::Nothing
    } else if lanes.iter().any(Lane::is_broken) {
        Finding::Broken
    } else {
        Finding::Fine
    })
}

fn lane(signal: &Signal, end: Instant, config: Config) -> Lane<'_> {
    let frames = decode(signal, end, config);
    let summary = Summary::of(&frames);
    Lane { name: signal.name(), frames, summary }
}

impl Lane<'_> {
    /// Whether not one bit was sent.
    fn is_empty(&self) -> bool {
        self.summary.bits == 0
    }

    fn is_broken(&self) -> bool {
        self.summary.defects > 0 || self.summary.rows().iter().any(|row| row.outside > 0)
    }
}

// ---- for people ------------------------------------------------------------------------------

fn told(lanes: &[Lane], order: ColourOrder) -> String {
    let mut text = String::new();
    if lanes.is_empty() {
        text.push_str("no signal carries LED data\n");
    }
    for (index, lane) in lanes.iter().enumerate() {
        if index > 0 {
            text.push('\n');
        }
        text.push_str(&format!("{}: {}\n", visible(lane.name), count(lane.frames.len() as u64, "frame")));
        let frames = lane.frames.iter().take(SHOWN_FRAMES).enumerate();
        let rows: Vec<Vec<String>> =
            frames.map(|(number, frame)| frame_cells(number, frame, order)).collect();
        text.push_str(&columns(&rows));
        let more = lane.frames.len().saturating_sub(SHOWN_FRAMES);
        if more > 0 {
            text.push_str(&format!("  {} more; --format json has all\n", count(more as u64, "frame")));
        }
        if !lane.frames.is_empty() {
            text.push_str(&timing(lane));
        }
    }
    text
}

fn frame_cells(number: usize, frame: &Frame, order: ColourOrder) -> Vec<String> {
    let pixels = frame.pixels(order);
    let pixel_count = pixels.len();
    let mut shown: Vec<String> = pixels.take(SHOWN_PIXELS).map(hex).collect();
    if pixel_count > SHOWN_PIXELS {
        shown.push("…".to_owned());
    }
    let mut remarks = Vec::new();
    match frame.ending {
        Ending::Latched => {}
        Ending::ShortReset => remarks.push("short reset".to_owned()),
        Ending::TraceEnded => remarks.push("the capture ends".to_owned()),
        Ending::Cut(why) => remarks.push(format!("cut: {why:?}").to_lowercase()),
    }
    if frame.low_before.is_none() {
        // Whether it had begun before the capture did, nobody knows.
        remarks.push("no reset was seen before it".to_owned());
    }
    if frame.body.incomplete_bits() > 0 {
        remarks.push(format!("{} too many", count(frame.body.incomplete_bits().into(), "bit")));
    }
    if frame.body.defect_count > 0 {
        remarks.push(count(frame.body.defect_count, "defect"));
    }
    vec![
        format!("  #{number}"),
        frame.start.to_string(),
        duration(nanos(frame.duration())),
        count(pixel_count as u64, "pixel"),
        shown.join(" "),
        remarks.join(", "),
    ]
}

fn hex(Rgb { r, g, b }: Rgb) -> String {
    format!("{r:02x}{g:02x}{b:02x}")
}

fn timing(lane: &Lane) -> String {
    let heading = ["", "count", "min", "mean", "max", "data sheet", "outside"];
    let mut rows = vec![heading.map(str::to_owned).to_vec()];
    rows.extend(lane.summary.rows().iter().map(|row| {
        let limits = match row.allowed {
            Window { min_ns, max_ns: u64::MAX } => format!(">= {}", duration(min_ns)),
            Window { min_ns, max_ns } => format!("{min_ns} to {max_ns} ns"),
        };
        span_cells(row.name, &row.measured, &limits, &row.outside.to_string())
    }));
    rows.push(span_cells("period", &lane.summary.periods, "", ""));
    let Summary { bits, cut, short_resets, defects, .. } = lane.summary;
    let counts = [(bits, "bit"), (defects, "defect"), (short_resets, "short reset")];
    let counts = counts.map(|(number, what)| count(number, what)).join(", ");
    let rows: Vec<Vec<String>> = rows
        .into_iter()
        .map(|mut row| {
            row[0] = format!("  {}", row[0]);
            row
        })
        .collect();
    format!(
        "timing against the WS2812B data sheet: {counts}, {cut} of the frames not seen whole\n{}",
        columns(&rows)
    )
}

fn span_cells(name: &str, span: &Span, limits: &str, outside: &str) -> Vec<String> {
    let figure = |ns: Option<u64>| ns.map_or_else(|| "-".to_owned(), duration);
    let mean = span.mean_ns().map_or_else(|| "-".to_owned(), duration_of);
    let (min, max) = (figure(span.min_ns()), figure(span.max_ns()));
    [name, &span.count().to_string(), &min, &mean, &max, limits, outside].map(str::to_owned).to_vec()
}

/// `412 ns`, `8.333 ms`.
fn duration(ns: u64) -> String {
    duration_of(ns as f64)
}

fn duration_of(ns: f64) -> String {
    match ns {
        ns if ns < 10_000.0 => format!("{} ns", (ns * 10.0).round() / 10.0),
        ns if ns < 1e6 => format!("{:.3} µs", ns / 1e3),
        ns if ns < 1e9 => format!("{:.3} ms", ns / 1e6),
        ns => format!("{:.6} s", ns / 1e9),
    }
}

// ---- for programs ----------------------------------------------------------------------------

#[derive(Serialize)]
struct JsonLane<'a> {
    signal: &'a str,
    frames: Vec<JsonFrame>,
    timing: Vec<JsonRow>,
    period: JsonSpan,
    bits: u64,
    defects: u64,
    short_resets: u64,
    cut: u64,
}

#[derive(Serialize)]
struct JsonFrame {
    start_ns: u64,
    end_ns: u64,
    low_before_ns: Option<u64>,
    ending: String,
    /// Red, green, blue: `52e6b4`.
    pixels: Vec<String>,
    incomplete_bits: u8,
    defects: u64,
}

#[derive(Serialize)]
struct JsonSpan {
    count: u64,
    min_ns: Option<u64>,
    mean_ns: Option<f64>,
    max_ns: Option<u64>,
}

#[derive(Serialize)]
struct JsonRow {
    name: &'static str,
    #[serde(flatten)]
    measured: JsonSpan,
    allowed_min_ns: u64,
    allowed_max_ns: Option<u64>,
    outside: u64,
}

impl From<&Span> for JsonSpan {
    fn from(span: &Span) -> Self {
        JsonSpan {
            count: span.count(),
            min_ns: span.min_ns(),
            mean_ns: span.mean_ns(),
            max_ns: span.max_ns(),
        }
    }
}

impl From<&Row> for JsonRow {
    fn from(row: &Row) -> Self {
        JsonRow {
            name: row.name,
            measured: (&row.measured).into(),
            allowed_min_ns: row.allowed.min_ns,
            allowed_max_ns: Some(row.allowed.max_ns).filter(|max| *max != u64::MAX),
            outside: row.outside,
        }
    }
}

fn json(lanes: &[Lane], order: ColourOrder) -> Result<String, CommandError> {
    let at = |instant: Instant| nanos(instant.since(Instant::ZERO));
    let frame = |frame: &Frame| JsonFrame {
        start_ns: at(frame.start),
        end_ns: at(frame.end),
        low_before_ns: frame.low_before.map(nanos),
        ending: match frame.ending {
            Ending::Latched => "latched".to_owned(),
            Ending::ShortReset => "short-reset".to_owned(),
            Ending::TraceEnded => "trace-ended".to_owned(),
            Ending::Cut(why) => format!("cut-{why:?}").to_lowercase(),
        },
        pixels: frame.pixels(order).map(hex).collect(),
        incomplete_bits: frame.body.incomplete_bits(),
        defects: frame.body.defect_count,
    };
    let lanes: Vec<JsonLane> = lanes
        .iter()
        .map(|lane| JsonLane {
            signal: lane.name,
            frames: lane.frames.iter().map(frame).collect(),
            timing: lane.summary.rows().iter().map(JsonRow::from).collect(),
            period: (&lane.summary.periods).into(),
            bits: lane.summary.bits,
            defects: lane.summary.defects,
            short_resets: lane.summary.short_resets,
            cut: lane.summary.cut,
        })
        .collect();
    super::as_json(&lanes)
}

// ---- as pictures -----------------------------------------------------------------------------

/// The lanes one above the other: a picture of the only frame, or an animation.
fn picture(lanes: &[Lane], arguments: &Arguments) -> Result<Vec<u8>, CommandError> {
    let refused = |error: String| CommandError::Refused(format!("no picture: {error}"));
    let layout = Layout { order: arguments.order, row: arguments.row, ..Layout::default() };
    let longest = lanes.iter().map(|lane| lane.frames.len()).max().unwrap_or_default();
    if longest <= 1 {
        let frames: Vec<&Frame> = lanes.iter().filter_map(|lane| lane.frames.first()).collect();
        let picture = leds::draw(&frames, &layout).map_err(|error| refused(error.to_string()))?;
        return png::still(&picture).map_err(|error| refused(error.to_string()));
    }
    let frames: Vec<&[Frame]> = lanes.iter().map(|lane| lane.frames.as_slice()).collect();
    let stills = leds::animate(&frames, &layout).map_err(|error| refused(error.to_string()))?;
    png::animation(&stills).map_err(|error| refused(error.to_string()))
}
