//! Any timeline becomes a capture, packets, a log and lines of JSON.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rigor_core::{Instant, Timeline};
use rigor_decode::capture::Capture;
use rigor_decode::lines::{json, log};
use rigor_decode::pcap;

const MAX_EDGES: usize = 1000;

fuzz_target!(|data: &[u8]| {
    let [from, length, rest @ ..] = data else { return };
    let timeline = Timeline::new();
    let sources = [timeline.source("a"), timeline.source("b")];
    for (index, event) in rigor_fuzz::events(rest).into_iter().enumerate() {
        let source = sources[index / 3 % 2];
        timeline.push(source, event.at, event.uncertainty, event.kind).expect("in the order of time");
    }
    let start = Instant::from_nanos(1 << (from & 0x3F));
    let slice = start..Instant::from_nanos(start.as_nanos().saturating_add(1 << (length & 0x3F)));
    let capture = Capture::of_timeline(&timeline, &sources, slice.clone(), MAX_EDGES);
    assert!(capture.end() <= slice.end && capture.start() == slice.start);
    for signal in capture.signals() {
        assert!(signal.edges().len() <= MAX_EDGES);
    }
    pcap::write(&timeline, &sources, slice.clone(), pcap::Addresses::default(), Vec::new())
        .expect("memory takes it");
    let mut text = Vec::new();
    log::write(&timeline, &sources, slice.clone(), &mut text).expect("memory takes it");
    text.clear();
    let lines = json::write(&timeline, &sources, slice, &mut text).expect("memory takes it");
    assert_eq!(text.iter().filter(|&&byte| byte == b'\n').count() as u64, lines);
});
