//! sigrok's own demo analyser, captured by us and read twice: by our reader and by sigrok.

#![cfg(target_os = "linux")]

use std::fs::File;
use std::process::Command;

use rigor_core::Level;
use rigor_decode::capture::{Limits, sigrok};
use rigor_rigs::instrument::sigrok::{Analyser, Wanted};

const SAMPLES: usize = 2000;

#[test]
#[ignore = "needs sigrok-cli: fixtures/oracles/analyser.sh starts it"]
fn a_capture_of_an_analyser_is_read_as_sigrok_reads_it() {
    let demo = Analyser::new("demo");
    let found = demo.scan().expect("sigrok-cli is there");
    assert!(
        found.iter().any(|found| found.driver == "demo" && found.channels.iter().any(|name| name == "D1")),
        "{found:?}"
    );

    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("demo.sr");
    let channels: Vec<String> = ["D0", "D1"].map(str::to_owned).into();
    let wanted = Wanted { channels: channels.clone(), rate_hz: 1_000_000, samples: SAMPLES as u64 };
    demo.capture(&wanted, &path).expect("it captures");
    let capture = sigrok::read(File::open(&path).expect("a file"), &Limits::default()).expect("a session");
    assert_eq!(capture.duration().as_nanos(), 1000 * SAMPLES as u128, "a microsecond for each sample");

    let output = Command::new("sigrok-cli")
        .arg("-i")
        .arg(&path)
        .args(["-O", "csv"])
        .output()
        .expect("sigrok-cli is there");
    let csv = String::from_utf8(output.stdout).expect("UTF-8");
    let rows: Vec<&str> = csv.lines().filter(|line| line.starts_with(['0', '1'])).collect();
    assert_eq!(rows.len(), SAMPLES, "{csv}");
    let mut ones = 0;
    for (lane, name) in channels.iter().enumerate() {
        let signal = capture.signal(name).expect("it was wanted");
        for (index, row) in rows.iter().enumerate() {
            let theirs = row.split(',').nth(lane) == Some("1");
            let at = capture.start() + std::time::Duration::from_nanos(1000 * index as u64 + 500);
            assert_eq!(signal.level_at(at) == Level::High, theirs, "{name}, sample {index}");
            ones += usize::from(theirs);
        }
        assert!(signal.edges().len() > 10, "the demo's pattern changes: {}", signal.edges().len());
    }
    assert!((1..2 * SAMPLES).contains(&ones));
    let error = demo
        .capture(&Wanted { channels: vec!["D99".to_owned()], ..wanted }, &path)
        .expect_err("no such channel");
    assert!(error.to_string().contains("D99"), "{error}");
}
