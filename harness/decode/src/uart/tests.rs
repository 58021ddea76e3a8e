use std::time::Duration;

use proptest::prelude::*;
use rigor_core::event::{Direction, Serial};
use rigor_core::{Instant, Kind, Level, Timeline};
use rstest::rstest;

use super::*;
use crate::capture::{Capture, MAX_EDGES, Signal};
use crate::console::LineDecoder;

fn at(ns: u64) -> Instant {
    Instant::from_nanos(ns)
}

/// The bytes on a pin, back to back from 10 us on; each takes `byte_ns`.
fn pin(bytes: &[u8], byte_ns: u64) -> Capture {
    let timeline = Timeline::new();
    let console = timeline.source("console");
    let byte_time = Duration::from_nanos(byte_ns);
    let serial = Serial { direction: Direction::FromDut, bytes: bytes.into(), byte_time };
    timeline.push(console, at(10_000), Duration::ZERO, Kind::Serial(serial)).unwrap();
    let end = at(10_000 + byte_ns * (bytes.len() as u64 + 2));
    Capture::of_timeline(&timeline, &[console], Instant::ZERO..end, MAX_EDGES)
}

fn decoded(capture: &Capture, baud: u32) -> Vec<Character> {
    decode(&capture.signals()[0], capture.end(), BitTime::of_baud(baud).unwrap())
}

fn line(edges: &[(u64, Level)], end: u64) -> Capture {
    let mut capture = Capture::new(Instant::ZERO);
    let signal = capture.add("rx", Level::High);
    for &(ns, level) in edges {
        signal.change(at(ns), level).unwrap();
    }
    capture.ends_at(at(end));
    capture
}

#[test]
fn bytes_of_a_timeline_come_back_with_their_times() {
    let text = b"I (301) main: ready\r\n\x00\xff\x55";
    let capture = pin(text, 86_805);
    let characters = decoded(&capture, 115_200);
    let bytes: Vec<u8> = characters.iter().map(|character| character.byte).collect();
    assert_eq!(bytes, text);
    for (index, character) in characters.iter().enumerate() {
        assert_eq!((character.start, character.fault), (at(10_000 + 86_805 * index as u64), None));
    }
}

/// A receiver bears what makes less than half a bit in ten.
#[rstest]
#[case(110_800, true)]
#[case(119_800, true)]
#[case(102_000, false)]
#[case(130_000, false)]
fn a_rate_need_not_be_exact(#[case] baud: u32, #[case] reads: bool) {
    let text = b"the quick brown fox";
    let characters = decoded(&pin(text, 86_805), baud);
    let bytes: Vec<u8> = characters.iter().map(|character| character.byte).collect();
    assert_eq!(bytes == text, reads);
}

#[test]
fn a_missing_stop_bit_is_a_fault_and_the_next_start_bit_counts() {
    // 1 us a bit: a start bit, 0x01, and a stop bit that is low; then 0xFF.
    let edges = [
        (1_000, Level::Low),
        (2_000, Level::High),
        (3_000, Level::Low),
        (12_000, Level::High),
        (13_000, Level::Low),
        (14_000, Level::High),
    ];
    let characters = decoded(&line(&edges, 30_000), 1_000_000);
    let seen: Vec<_> = characters.iter().map(|it| (it.start, it.byte, it.fault)).collect();
    assert_eq!(seen, [(at(1_000), 0x01, Some(Fault::Framing)), (at(13_000), 0xFF, None)]);
}

#[test]
fn a_break_is_one_fault_however_long() {
    let characters = decoded(&line(&[(1_000, Level::Low), (100_000, Level::High)], 200_000), 1_000_000);
    assert_eq!(characters.len(), 1);
    assert_eq!(characters[0].fault, Some(Fault::Break));
    let event = characters[0].event(Direction::FromDut);
    assert!(matches!(event.kind, Kind::Gap(_)));
}

#[test]
fn a_spike_begins_no_character() {
    let edges = [(1_000, Level::Low), (1_400, Level::High), (1_600, Level::Low), (2_600, Level::High)];
    let characters = decoded(&line(&edges, 30_000), 1_000_000);
    assert_eq!(characters.len(), 1);
    assert_eq!((characters[0].start, characters[0].byte), (at(1_600), 0xFF));
}

#[test]
fn what_the_capture_cuts_is_said() {
    let mut capture = pin(b"ab", 10_000);
    capture.cut_at(at(25_000));
    let characters = decoded(&capture, 1_000_000);
    assert_eq!(characters.len(), 2);
    assert_eq!((characters[0].byte, characters[0].fault), (b'a', None));
    assert_eq!((characters[1].end, characters[1].fault), (at(25_000), Some(Fault::CutShort)));
}

#[test]
fn characters_become_lines_of_a_console() {
    let capture = pin(b"one\r\ntwo\n", 86_805);
    let events: Vec<_> =
        decoded(&capture, 115_200).iter().map(|character| character.event(Direction::FromDut)).collect();
    let lines = LineDecoder::decode(&events);
    let texts: Vec<&str> = lines.iter().map(|line| line.text.as_str()).collect();
    assert_eq!(texts, ["one", "two"]);
    assert_eq!(lines[1].start, at(10_000 + 5 * 86_805));
}

#[rstest]
#[case(86_805, b"I (301) main_task: Started on CPU0\n", Some(115_200))]
#[case(10_850, b"I (301) main_task: Started on CPU0\n", Some(921_600))]
#[case(7_777, b"I (301) main_task: Started on CPU0\n", None)]
// No single bit anywhere: start and first bit, then pairs.
#[case(86_805, &[0b1100_1100; 40], Some(115_200))]
fn the_rate_is_measured(#[case] byte_ns: u64, #[case] text: &[u8], #[case] usual: Option<u32>) {
    let capture = pin(text, byte_ns);
    let signal: &Signal = &capture.signals()[0];
    let bit = measure(signal).unwrap();
    assert!((bit.as_nanos() * 10.0 / byte_ns as f64 - 1.0).abs() < 0.005, "{bit:?}");
    assert_eq!(bit.usual_baud(), usual);
    let bytes: Vec<u8> = decode(signal, capture.end(), bit).iter().map(|it| it.byte).collect();
    assert_eq!(bytes, text);
}

#[test]
fn few_pulses_are_no_measurement() {
    let capture = pin(b"a", 86_805);
    let refused = measure(&capture.signals()[0]).unwrap_err().to_string();
    assert!(refused.ends_with("say too little of the rate of a serial line; give it"), "{refused}");
    assert!(BitTime::of_baud(0).is_err());
}

proptest! {
    #[test]
    fn every_byte_survives(bytes in prop::collection::vec(any::<u8>(), 1..60), byte_ns in 3_000_u64..1_000_000) {
        let capture = pin(&bytes, byte_ns);
        let baud = (10_000_000_000 / byte_ns) as u32;
        let characters = decoded(&capture, baud);
        let read: Vec<u8> = characters.iter().map(|character| character.byte).collect();
        prop_assert_eq!(read, bytes);
        prop_assert!(characters.iter().all(|character| character.fault.is_none()));
    }

    #[test]
    fn any_edges_are_borne(distances in prop::collection::vec(0_u64..30_000, 0..200)) {
        let mut capture = Capture::new(Instant::ZERO);
        let signal = capture.add("rx", Level::High);
        let (mut ns, mut level) = (0, Level::High);
        for distance in distances {
            ns += distance;
            level = !level;
            signal.change(at(ns), level).unwrap();
        }
        capture.ends_at(at(ns));
        let characters = decoded(&capture, 1_000_000);
        prop_assert!(characters.windows(2).all(|pair| pair[0].start < pair[1].start));
        let _ = measure(&capture.signals()[0]);
    }
}
