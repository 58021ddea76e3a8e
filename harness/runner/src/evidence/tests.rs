use std::fs;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rigor_core::event::{
    Burst, BytesEncoding, ConnectionId, DeviceEvent, Direction, FlashBusy, FlashOperation, Flow, FlowKind,
    Serial, Symbol,
};
use rigor_core::evidence::{Evidence, Lane, LaneKind};
use rigor_core::part::Console;
use rigor_core::rig::{Drive, Parts};
use rigor_core::task::{TaskStart, TaskState};
use rigor_core::unit::Unit;
use rigor_core::verdict::{RigError, Verdict};
use rigor_core::{Fidelity, Instant, Kind, Level, Rig, Timeline};
use rigor_decode::websocket::ClientFrame;

use super::{FilesOf, Reading, Shelf, Vocabulary, Wanted};

struct Still;

impl Drive for Still {
    fn run(&mut self, _: Instant, _: &dyn Fn() -> bool) -> Result<(), RigError> {
        Ok(())
    }
    fn self_check(&self) -> Result<(), RigError> {
        Ok(())
    }
}

fn millis(millis: u64) -> Instant {
    Instant::from_nanos(millis * 1_000_000)
}

/// A rig with one lane of two pixels, on which `events` happened at these milliseconds.
fn rig(events: Vec<(&str, u64, Kind)>, until: u64) -> Rig {
    let timeline = Timeline::new();
    let lane = timeline.source("gpio9");
    for (name, at, kind) in events {
        timeline.push(timeline.source(name), millis(at), Duration::ZERO, kind).unwrap();
    }
    timeline.advance(millis(until));
    let leds = vec![rigor_core::rig::Lane { signal: "leds.0".to_owned(), source: lane, pixels: 2 }];
    Rig {
        name: "toy".to_owned(),
        fidelity: Fidelity::Modelled,
        timeline,
        parts: Parts { leds, ..Parts::default() },
        drive: Box::new(Still),
    }
}

fn burst() -> Kind {
    let zero = Symbol { high_ns: 400, low_ns: 850 };
    let one = Symbol { high_ns: 800, low_ns: 450 };
    let bytes = Arc::from([0, 255, 0, 0, 0, 255]);
    Kind::Burst(Burst { bytes, encoding: BytesEncoding { zero, one }, idle: Level::Low })
}

fn wanted(shelf: Option<Arc<Shelf>>) -> Wanted {
    let words = Vocabulary {
        dissect: |_, bytes| (bytes == b"hi").then(|| "GREETING".to_owned()),
        read: |log| {
            let value = log.message.strip_prefix("pool ")?.parse().ok()?;
            Some(Reading { name: "pool".to_owned(), unit: Unit::Count, value })
        },
    };
    Wanted { words, shelf }
}

fn shown(rig: &Rig, verdict: Verdict) -> Evidence {
    super::of(rig, "case", verdict, &[], &wanted(None))
}

fn lane(evidence: &Evidence, kind: LaneKind) -> &Lane {
    evidence.lanes.iter().find(|lane| lane.kind == kind).unwrap()
}

fn texts(lane: &Lane) -> Vec<&str> {
    lane.marks.iter().map(|mark| mark.text.as_str()).collect()
}

#[test]
fn frames_long_ago_share_a_mark_until_their_rhythm_breaks() {
    // 100 frames 8 ms apart, one of them 24 ms late, and 60 more.
    let at = (0..100).map(|n| n * 8).chain((0..60).map(|n| 824 + n * 8));
    let rig = rig(at.map(|at| ("gpio9", at, burst())).collect(), 2000);
    let evidence = shown(&rig, Verdict::Fail);
    let leds = lane(&evidence, LaneKind::Burst);
    assert_eq!(leds.name, "leds.0");
    assert_eq!(texts(leds)[..2], ["100 frames, 8 ms apart", "12 frames, 8 ms apart"]);
    assert_eq!(leds.marks.len(), 2 + 48);
    assert_eq!(leds.marks[1].at_ns, 824_000_000);
    assert_eq!(texts(leds)[2], "2 pixels");
    assert_eq!((evidence.from_ns, evidence.until_ns), (0, 2_000_000_000));
}

#[test]
fn what_passes_keeps_the_end_and_says_what_it_left_out() {
    let at = (0..500).map(|n| ("note", n * 2, Kind::Note("tick".into())));
    let device = [("device", 0, Kind::Device(DeviceEvent::PowerOn))];
    let rig = rig(device.into_iter().chain(at).collect(), 1000);
    let evidence = shown(&rig, Verdict::Pass);
    let notes = lane(&evidence, LaneKind::Note);
    assert_eq!((notes.marks.len(), notes.left_out), (80, 420));
    assert_eq!(evidence.from_ns, notes.marks[0].at_ns);
    assert!(evidence.lanes.iter().all(|lane| lane.kind != LaneKind::Device), "it lies before the slice");
    assert_eq!(shown(&rig, Verdict::Fail).marks(), 501);
}

#[test]
fn a_connection_is_told_in_the_words_of_its_protocols() {
    let talk = |at, what| {
        let flow = Flow { connection: ConnectionId(7), what };
        ("net", at, Kind::Flow(flow))
    };
    let to = |at, bytes: &[u8]| talk(at, FlowKind::Data(Direction::ToDut, bytes.into()));
    let from = |at, bytes: &[u8]| talk(at, FlowKind::Data(Direction::FromDut, bytes.into()));
    let frame = ClientFrame::binary(*b"hi").masked([1, 2, 3, 4]).encode();
    let rig = rig(
        vec![
            talk(1, FlowKind::Opened),
            to(2, b"GET /ws HTTP/1.1\r\nUpgrade: websocket\r\n\r\n"),
            // A client that does not wait for the answer.
            to(3, &frame),
            from(5, b"HTTP/1.1 101 Switching Protocols\r\n\r\n\x81\x02yo"),
            to(6, &frame),
            to(7, &frame),
            from(9, b"\x88\x02\x03\xe8"),
            talk(10, FlowKind::Finished(Direction::FromDut)),
        ],
        20,
    );
    let evidence = shown(&rig, Verdict::Pass);
    let expected = [
        "open",
        "→ GET /ws HTTP/1.1",
        "← HTTP/1.1 101 Switching Protocols",
        "← text, 2 bytes: yo",
        "→ GREETING",
        "→ GREETING",
        "→ GREETING",
        "← close, 2 bytes",
        "← FIN",
    ];
    let mut told = texts(lane(&evidence, LaneKind::Network));
    told.sort_unstable();
    let mut sorted = expected;
    sorted.sort_unstable();
    assert_eq!(told, sorted);
    let waterfall = &evidence.waterfalls[0];
    assert_eq!(waterfall.name, "connection 7");
    let steps: Vec<_> =
        waterfall.steps.iter().map(|step| (step.text.as_str(), step.length_ns / 1_000_000)).collect();
    assert!(steps.contains(&("→ GET /ws HTTP/1.1", 3)), "{steps:?}");
    assert!(steps.contains(&("→ GREETING (× 3)", 4)), "{steps:?}");
}

#[test]
fn flash_wires_and_console_have_lanes() {
    let busy = |at, operation, length, millis| {
        let duration = Duration::from_millis(millis);
        ("flash", at, Kind::FlashBusy(FlashBusy { operation, address: 0x1000, length, duration }))
    };
    let serial = Serial {
        direction: Direction::FromDut,
        bytes: Arc::from(*b"I (1) POOL: \x1b[31mready\n"),
        byte_time: Duration::from_micros(87),
    };
    let rig = rig(
        vec![
            ("button", 1, Kind::Edge(Level::High)),
            ("button", 3, Kind::Edge(Level::Low)),
            ("button", 18, Kind::Edge(Level::High)),
            ("console", 4, Kind::Serial(serial)),
            busy(5, FlashOperation::Erase, 4096, 4),
            busy(10, FlashOperation::Program, 256, 1),
            busy(11, FlashOperation::Program, 256, 1),
            busy(15, FlashOperation::Program, 256, 1),
        ],
        20,
    );
    let evidence = shown(&rig, Verdict::Pass);
    let highs: Vec<_> =
        lane(&evidence, LaneKind::Level).marks.iter().map(|mark| (mark.at_ns, mark.length_ns)).collect();
    assert_eq!(highs, [(1_000_000, 2_000_000), (18_000_000, 2_000_000)]);
    assert_eq!(texts(lane(&evidence, LaneKind::Serial)), ["I (1) POOL: ready"]);
    let expected =
        ["erase, 4096 bytes at 0x1000", "program × 2, 512 bytes at 0x1000", "program, 256 bytes at 0x1000"];
    assert_eq!(texts(lane(&evidence, LaneKind::Flash)), expected);
}

struct Mouth(rigor_core::Source);

impl Console for Mouth {
    fn write(&self, _: &[u8]) -> Result<(), RigError> {
        Ok(())
    }
    fn source(&self) -> rigor_core::Source {
        self.0
    }
}

#[test]
fn what_the_device_says_of_itself_is_a_curve() {
    let said = |at, text: &[u8]| {
        let serial = Serial {
            direction: Direction::FromDut,
            bytes: text.into(),
            byte_time: Duration::from_micros(87),
        };
        ("console", at, Kind::Serial(serial))
    };
    let told =
        vec![said(1, b"I (1) POOL: pool 3\n"), said(8, b"nothing\n"), said(16, b"I (16) POOL: pool 5\n")];
    let mut rig = rig(told, 40);
    let source = rig.timeline.source("console");
    rig.parts.console = Some(Rc::new(Mouth(source)));
    let evidence = shown(&rig, Verdict::Pass);
    let [pool] = &evidence.series[..] else { panic!("{:?}", evidence.series) };
    assert_eq!((pool.name.as_str(), pool.unit), ("pool", Unit::Count));
    assert_eq!(pool.points.iter().map(|point| point.1).collect::<Vec<_>>(), [3.0, 5.0]);
    assert!(pool.points[0].0 > 1_000_000 && pool.points[1].0 > 16_000_000, "when they were heard");
    assert_eq!(evidence.log.len(), 3);
}

#[test]
fn tasks_stand_last_and_share_a_lane_for_their_starts() {
    let start = |core| TaskStart { core, priority: 3, stack_bytes: 2048 }.event();
    let rig = rig(
        vec![
            ("task.playback", 1, start(0)),
            ("task.network", 2, start(1)),
            ("task.playback", 4, TaskState::Running.event()),
            ("task.playback", 6, TaskState::Ready.event()),
            ("task.playback", 7, TaskState::Waiting.event()),
            ("flash", 8, Kind::Note("worn".into())),
        ],
        20,
    );
    let evidence = shown(&rig, Verdict::Pass);
    let names: Vec<_> = evidence.lanes.iter().map(|lane| lane.name.as_str()).collect();
    assert_eq!(names, ["flash", "tasks", "playback runs"]);
    assert_eq!(texts(&evidence.lanes[1])[1], "network started: core 1, priority 3, stack 2048");
    let runs: Vec<_> = evidence.lanes[2].marks.iter().map(|mark| (mark.at_ns, mark.length_ns)).collect();
    assert_eq!(runs, [(4_000_000, 2_000_000)]);
}

#[test]
fn a_shelf_holds_files_that_others_read_and_complains_of_those_that_it_cannot() {
    let run = std::env::temp_dir().join(format!("rigor-evidence-{}", std::process::id()));
    let _ = fs::remove_dir_all(&run);
    let rig = rig(vec![("gpio9", 5, burst()), ("gpio9", 13, burst())], 20);
    let shelf = Shelf::new(&run, FilesOf::WhatDoesNotPass);
    let passed = super::of(&rig, "passes", Verdict::Pass, &[], &wanted(Some(shelf.clone())));
    assert_eq!(passed.files, [""; 0]);
    assert!(!run.exists());
    let failed = super::of(&rig, "fails", Verdict::Fail, &[], &wanted(Some(shelf.clone())));
    for name in ["wires.vcd", "wires.sr", "strip.png", "events.jsonl"] {
        let path = format!("evidence/toy/fails/{name}");
        assert!(failed.files.contains(&path) && run.join(&path).exists(), "{path}: {:?}", failed.files);
    }
    let vcd = fs::read_to_string(run.join("evidence/toy/fails/wires.vcd")).unwrap();
    assert!(vcd.contains("leds.0") && !vcd.contains("gpio9"), "{vcd}");
    assert_eq!(shelf.complaints(), [""; 0]);
    // Where the folder ought to be there is a file.
    fs::write(run.join("evidence/toy/blocked"), "").unwrap();
    let blocked = super::of(&rig, "blocked", Verdict::Fail, &[], &wanted(Some(shelf.clone())));
    assert_eq!(blocked.files, [""; 0]);
    assert!(!blocked.lanes.is_empty(), "what goes into the results is there all the same");
    assert_eq!(shelf.complaints().len(), 1);
    fs::remove_dir_all(&run).unwrap();
}

#[test]
fn pictures_show_what_the_strip_was_sent() {
    let rig = rig((0..40).map(|n| ("gpio9", 5 + n * 8, burst())).collect(), 400);
    let evidence = shown(&rig, Verdict::Fail);
    // It shows the same all the time, so one picture says it.
    assert_eq!(evidence.pictures.len(), 1);
    assert_eq!((evidence.pictures[0].width, evidence.pictures[0].height), (2, 1));
    assert!(evidence.pictures[0].png.starts_with("iVBORw0KGgo"));
    assert_eq!(evidence.series[0].name, "frame period, leds.0");
    assert_eq!(evidence.series[0].points.len(), 39);
}
