//! Traces that were written by hand, with what the decoder has to say of them to the byte.
//!
//! See `fixtures/st7789/README.md`.

#![allow(clippy::unwrap_used)]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{env, fs};

use rigor_core::event::BusTransfer;
use rigor_core::{Event, Instant, Kind};
use rigor_decode::picture::png;
use rigor_decode::st7789::{Config, Limits, Panel, Record};
use rstest::rstest;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/st7789")
}

/// `F800*2 12` and the like.
fn bytes(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    for group in text.split_whitespace() {
        let (digits, times) = group.split_once('*').unwrap_or((group, "1"));
        let pair = |at: usize| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok();
        let group = (0..digits.len()).step_by(2).map(pair).collect::<Option<Vec<u8>>>()?;
        bytes.extend(group.repeat(times.parse().ok()?));
    }
    Some(bytes)
}

fn event(line: &str) -> Option<Event> {
    let (at, rest) = line.split_once(' ')?;
    let (kind, rest) = rest.trim_start().split_once(' ')?;
    let data = match kind {
        "C" => false,
        "D" => true,
        _ => return None,
    };
    let kind = Kind::Bus(BusTransfer { data, bytes: bytes(rest)?.into() });
    Some(Event { at: Instant::from_nanos(at.parse().ok()?), uncertainty: Duration::ZERO, kind })
}

fn read(trace: &str) -> (Panel, Vec<Event>) {
    let mut lines = trace.lines().zip(1..).filter(|(line, _)| !line.is_empty() && !line.starts_with('#'));
    let (first, _) = lines.next().expect("a trace has lines");
    let panel = first.strip_prefix("panel ").expect("a trace begins with `panel `").parse().unwrap();
    let event =
        |(line, number)| event(line).unwrap_or_else(|| panic!("line {number}: `{line}` is no transfer"));
    (panel, lines.map(event).collect())
}

fn compare(file: &Path, made: &[u8]) {
    if env::var_os("RIGOR_RENEW_FIXTURES").is_some() {
        fs::write(file, made).unwrap();
    }
    let kept = fs::read(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let same = kept == made;
    assert!(same, "{}: is not what the decoder makes any more; see the README beside it", file.display());
}

#[rstest]
#[case("badge", 4)]
#[case("square", 5)]
fn a_trace_is_decoded_to_the_byte(#[case] name: &str, #[case] frames: usize) {
    let folder = folder();
    let (panel, events) = read(&fs::read_to_string(folder.join(format!("{name}.trace"))).unwrap());
    let config = Config { byte_time: Duration::from_nanos(100), ..Config::new(panel) };
    let record = Record::of(&config, Limits::default(), &events);
    let mut log = String::new();
    record.lines.iter().for_each(|line| writeln!(log, "{line}").unwrap());
    compare(&folder.join(format!("{name}.log")), log.as_bytes());
    assert_eq!(record.frames.len(), frames);
    for (number, frame) in record.frames.iter().enumerate() {
        compare(&folder.join(format!("{name}-{number}.png")), &png::still(&frame.picture).unwrap());
    }
}
