use std::io::{Cursor, Write};

use rigor_core::{Instant, Level};
use rstest::rstest;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::{read, write};
use crate::capture::{Capture, Limits, SampleRate, Signal};

const METADATA: &str = "[global]\nsigrok version=0.5.2\n\n[device 1]\ncapturefile=logic-1\ntotal probes=2\n\
                        samplerate=1 MHz\ntotal analog=0\nprobe1=D0\nprobe2=D1\nunitsize=1\n";

fn archive(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in entries {
        archive.start_file(*name, SimpleFileOptions::default()).unwrap();
        archive.write_all(content).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

fn parse(entries: &[(&str, &[u8])], limits: &Limits) -> Result<Capture, String> {
    read(Cursor::new(archive(entries)), limits).map_err(|error| error.to_string())
}

fn edges(signal: &Signal) -> Vec<u64> {
    signal.edges().iter().map(|edge| edge.at().as_nanos()).collect()
}

#[test]
fn chunks_are_read_in_the_order_of_their_numbers() {
    let mut entries: Vec<(String, Vec<u8>)> =
        (1..=11).map(|number| (format!("logic-1-{number}"), vec![u8::from(number > 9); 2])).collect();
    // As the names are sorted, 10 comes before 2.
    entries.sort();
    entries.push(("version".into(), b"2".to_vec()));
    entries.push(("metadata".into(), METADATA.into()));
    let entries: Vec<(&str, &[u8])> =
        entries.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
    let capture = parse(&entries, &Limits::default()).unwrap();
    assert_eq!(edges(capture.signal("D0").unwrap()), [18_000]);
    assert_eq!(edges(capture.signal("D1").unwrap()), [0_u64; 0]);
    assert_eq!(capture.end().as_nanos(), 22_000);
}

#[test]
fn one_entry_of_samples_is_read_too() {
    let entries: [(&str, &[u8]); 3] =
        [("version", b"1"), ("metadata", METADATA.as_bytes()), ("logic-1", &[0, 1, 3])];
    let capture = parse(&entries, &Limits::default()).unwrap();
    assert_eq!(edges(capture.signal("D0").unwrap()), [1_000]);
    assert_eq!(edges(capture.signal("D1").unwrap()), [2_000]);
}

#[test]
fn what_is_written_is_read() {
    let mut capture = Capture::new(Instant::from_nanos(5_000));
    let rate = SampleRate::hertz(1_000_000).unwrap();
    for index in 0..10_u64 {
        let signal = capture.add(format!("signal {index}"), Level::High);
        signal.change(rate.time_of(capture_start(), index * 600_000 + 1), Level::Low).unwrap();
    }
    capture.ends_at(Instant::from_nanos(7_000_005_000));
    let mut file = Cursor::new(Vec::new());
    write(&capture, rate, &mut file).unwrap();
    // Fourteen megabytes of samples, in more than one entry.
    assert!(file.get_ref().len() < 100_000);
    let again = read(file, &Limits::default()).unwrap();
    assert_eq!(again.signals().len(), 10);
    for (signal, original) in again.signals().iter().zip(capture.signals()) {
        assert_eq!((signal.name(), signal.initial()), (original.name(), Level::High));
        let expected: Vec<u64> = edges(original).iter().map(|at| at - 5_000).collect();
        assert_eq!(edges(signal), expected);
    }
    assert_eq!(again.end().as_nanos(), 7_000_001_000);
}

fn capture_start() -> Instant {
    Instant::from_nanos(5_000)
}

#[test]
fn a_capture_of_nothing_is_no_session() {
    let refused =
        write(&Capture::new(Instant::ZERO), SampleRate::FINEST, Cursor::new(Vec::new())).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::InvalidInput);
}

#[test]
fn an_hour_of_nanoseconds_is_not_written() {
    let mut capture = Capture::new(Instant::ZERO);
    capture.add("D0", Level::Low);
    capture.ends_at(Instant::from_nanos(3_600_000_000_000));
    let refused = write(&capture, SampleRate::FINEST, Cursor::new(Vec::new())).unwrap_err().to_string();
    assert!(refused.starts_with("3600 s of 1 signals at 1 GHz are more than"), "{refused}");
}

#[test]
fn an_archive_that_expands_without_end_is_refused() {
    let bomb = vec![0; 50 << 20];
    let entries: [(&str, &[u8]); 3] =
        [("version", b"2"), ("metadata", METADATA.as_bytes()), ("logic-1-1", &bomb)];
    assert!(archive(&entries).len() < 100_000);
    let limits = Limits { sample_bytes: 1 << 20, ..Limits::default() };
    let refused = parse(&entries, &limits).unwrap_err();
    assert!(refused.contains("more than 1048576 bytes of samples"), "{refused}");
    let entries: [(&str, &[u8]); 2] = [("version", b"2"), ("metadata", &bomb)];
    let refused = parse(&entries, &limits).unwrap_err();
    assert_eq!(
        refused,
        "entry `metadata`: more than 1048576 bytes; read a shorter piece, or raise the limit"
    );
}

#[rstest]
#[case::no_device("[global]\n", "line 1: `metadata`: there is no `[device 1]`")]
#[case::no_rate(
    "[device 1]\ncapturefile=logic-1\n",
    "line 2: `metadata`: the first device has no `samplerate`"
)]
#[case::bad_rate(
    "[device 1]\nsamplerate=often\n",
    "line 2: `metadata`: samplerate: `often` is no sample rate"
)]
#[case::no_file(
    "[device 1]\nsamplerate=1 MHz\n",
    "line 2: `metadata`: the first device has no `capturefile`"
)]
#[case::unit("[device 1]\nunitsize=65\n", "line 2: `metadata`: `unitsize=65` is not a number from 1 to 64")]
#[case::probe("[device 1]\nprobe0=a\n", "line 2: `metadata`: `probe=0` is not a number from 1 to 512")]
#[case::no_probe(
    "[device 1]\nsamplerate=1 MHz\ncapturefile=logic-1",
    "line 3: `metadata`: the first device: there is no channel"
)]
#[case::beyond(
    "[device 1]\nsamplerate=1 MHz\ncapturefile=logic-1\nunitsize=1\nprobe9=a",
    "line 5: `metadata`: the first device: channel `a` is bit 8"
)]
#[case::no_samples(METADATA, "offset 0: the archive has neither `logic-1` nor `logic-1-1`")]
fn refuses_metadata_with_its_line(#[case] metadata: &str, #[case] reason: &str) {
    let entries: [(&str, &[u8]); 2] = [("version", b"2"), ("metadata", metadata.as_bytes())];
    let refused = parse(&entries, &Limits::default()).unwrap_err();
    assert!(refused.starts_with(reason), "{refused}");
}

#[test]
fn refuses_what_is_no_session() {
    let refused = |bytes: &[u8]| read(Cursor::new(bytes), &Limits::default()).unwrap_err().to_string();
    assert!(refused(b"").starts_with("offset 0: it is no whole zip archive"));
    assert!(refused(&archive(&[("a", b"b")])).starts_with("offset 0: the archive has no `version`"));
    assert!(refused(&archive(&[("version", b"3")])).starts_with("entry `version`, offset 0: version `3`"));
    let not_text = archive(&[("version", b"2"), ("metadata", b"[device\xff")]);
    assert_eq!(refused(&not_text), "entry `metadata`, offset 7: it is not UTF-8");
}

#[test]
fn damage_inside_an_entry_is_named_by_its_place() {
    let mut capture = Capture::new(Instant::ZERO);
    let signal = capture.add("D0", Level::Low);
    for step in 1..20_000_u64 {
        let level = if step % 2 == 1 { Level::High } else { Level::Low };
        signal.change(Instant::from_nanos(step * 1_000 + step * step % 977), level).unwrap();
    }
    capture.ends_at(Instant::from_nanos(21_000_000));
    let mut file = Cursor::new(Vec::new());
    write(&capture, SampleRate::hertz(100_000_000).unwrap(), &mut file).unwrap();
    let mut bytes = file.into_inner();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 8].fill(0xFF);
    let refused = read(Cursor::new(bytes), &Limits::default()).unwrap_err().to_string();
    assert!(refused.starts_with("entry `logic-1-1`, offset "), "{refused}");
}
