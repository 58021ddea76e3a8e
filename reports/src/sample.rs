//! A run in which everything happens, for tests.

use std::time::Duration;

use rigor_core::distribution::Distribution;
use rigor_core::evidence::{Evidence, Lane, LaneKind, LogLine, Mark, Picture, Series, Waterfall};
use rigor_core::qualification::{LoopBack, Qualification, RoundTrip};
use rigor_core::recovery::{Climbed, Recovery, Step};
use rigor_core::requirement::{Catalogue, RequirementId};
use rigor_core::result::{
    CaseResult, Decision, Firmware, Measured, Memory, MemoryLimit, MemoryUse, NotRun, RequirementResult,
    RigUsed, Run, RunResult, SourcePlace,
};
use rigor_core::time::Fidelity;
use rigor_core::unit::{Amount, Unit};
use rigor_core::verdict::Verdict;

const CATALOGUE: &str = r#"
schema = 1
system = "prism-k1"
title = "PRISM K1 LED controller"

[[requirement]]
id = "K1-LED-002"
title = "frame period"
clause = "section 5"
text = "Frames leave at 120 per second."
class = "must"
budget = { quantity = "frame period", unit = "ms", bound = "mean", nominal = 8.333, tolerance_percent = 5 }
reading = "Pass within 5 %, so that 125 per second stays visible."

[[requirement]]
id = "K1-LED-003"
title = "frame jitter"
clause = "section 9"
text = "Ninety-nine per cent of the frames are on time."
class = "must"
budget = { quantity = "frame period", unit = "ms", bound = "share-within", share_percent = 99, nominal = 8.333, tolerance_percent = 5 }

[[requirement]]
id = "K1-LED-004"
title = "longest gap"
clause = "section 9"
text = "No frame is later than two periods."
class = "must"
budget = { quantity = "frame period", unit = "ms", at_most = 16.67, min_samples = 100 }

[[requirement]]
id = "K1-LED-006"
title = "pixel mapping"
clause = "section 1"
text = "Pixels 0 to 159 are on GPIO 9, 160 to 319 on GPIO 10."
class = "must"
budget = { quantity = "pixels right", unit = "pixels", equals = 320 }

[[requirement]]
id = "K1-LED-011"
title = "a day without a gap"
clause = "section 14"
text = "No frame is missing in 24 h."
class = "must"
planned = "A day of wall time; the nightly run on the bench will decide it."

[[requirement]]
id = "K1-NET-002"
title = "third client"
clause = "section 4"
text = "A third client is refused."
class = "must"

[[requirement]]
id = "K1-NET-004"
title = "idle close"
clause = "section 4"
text = "A silent connection is closed after 5 to 7 s."
class = "must"
budget = { quantity = "idle time", unit = "s", between = [5, 7] }

[[requirement]]
id = "K1-SYS-008"
title = "access point"
clause = "section 8"
text = "The access point is visible."
class = "report"

[[requirement]]
id = "K1-UPL-014"
title = "upload speed"
clause = "section 4"
text = "Uploads reach 100 KB/s."
class = "should"
budget = { quantity = "upload speed", unit = "KB/s", bound = "p50", at_least = 100 }

[[requirement]]
id = "K1-UPL-015"
title = "power cut"
clause = "section 6"
text = "A power cut leaves the old pattern or the new one."
class = "must"
"#;

fn figures(case: &str, catalogue: &Catalogue, id: &str, distribution: &Distribution) -> Decision {
    let budget = catalogue.get(id).unwrap().budget.clone().unwrap();
    let judgement = budget.judge(distribution).unwrap();
    Decision::judged(case, "virtual", Fidelity::Modelled, distribution, &budget, judgement)
}

fn words(case: &str, verdict: Verdict, text: &str, reason: &str) -> Decision {
    let mut decision = Decision::new(case, "virtual", Fidelity::Modelled, verdict);
    decision.measured = (!text.is_empty()).then(|| Measured::Text(text.to_owned()));
    decision.reason = (!reason.is_empty()).then(|| reason.to_owned());
    decision
}

fn run_of(id: &str) -> Run {
    Run {
        id: id.to_owned(),
        started: "2025-01-01T00:00:00Z".to_owned(),
        wall_ms: 7900,
        seed: 1,
        args: vec!["--test-threads=2".to_owned()],
    }
}

fn qualification() -> Qualification {
    let loop_back =
        LoopBack { sent: 16, seen: 16, offset: Duration::from_nanos(24), jitter: Duration::from_nanos(8) };
    Qualification {
        instrument: Some("controller `pico` 00000000000000e6, 125000000 ticks a second".to_owned()),
        loop_back: Some(loop_back),
        clocks: Some(Duration::from_micros(60)),
        console: Some(Duration::from_millis(3)),
        echo: Some(Duration::from_micros(1200)),
        network: vec![RoundTrip { service: "n".to_owned(), trips: 8, floor: Duration::from_micros(1900) }],
    }
}

fn recovery() -> Recovery {
    let steps = vec![
        Climbed { step: Step::Reset, helped: false, told: Some("the console is gone".to_owned()) },
        Climbed { step: Step::ReEnumerate, helped: true, told: None },
    ];
    Recovery { fault: "the controller fell silent".to_owned(), steps }
}

/// A bit of everything.
fn evidence() -> Evidence {
    let mark = |at_ns, length_ns, text: &str| Mark { at_ns, length_ns, text: text.to_owned() };
    let lane = |name: &str, kind, marks| Lane { name: name.to_owned(), kind, marks, left_out: 0 };
    let frames = (0..4).map(|frame| mark(4_800_000_000 + frame * 8_333_333, 4_800_000, "160 pixels"));
    Evidence {
        from_ns: 4_800_000_000,
        until_ns: 5_000_000_000,
        lanes: vec![
            lane("leds.a", LaneKind::Burst, frames.clone().collect()),
            Lane { left_out: 7, ..lane("leds.b", LaneKind::Burst, frames.collect()) },
            lane("button", LaneKind::Level, vec![mark(4_850_000_000, 100_000_000, "")]),
            lane("net", LaneKind::Network, vec![mark(4_900_000_000, 0, "-> text, 12 bytes")]),
            lane("console", LaneKind::Serial, vec![mark(4_910_000_000, 3_000_000, "playing")]),
            lane("flash", LaneKind::Flash, vec![mark(4_920_000_000, 45_000_000, "erase 4096 bytes")]),
        ],
        pictures: vec![Picture {
            at_ns: 4_995_000_000,
            caption: "the last frame".to_owned(),
            width: 2,
            height: 1,
            png: RED_AND_BLUE.to_owned(),
        }],
        series: vec![Series {
            name: "frame period, leds.a".to_owned(),
            unit: Unit::Milliseconds,
            points: (0..4_u32)
                .map(|frame| (u64::from(frame) * 8_333_333, 8.333 + f64::from(frame % 3) / 50.0))
                .collect(),
            left_out: 576,
            limits: vec![7.916, 8.75],
        }],
        waterfalls: vec![Waterfall {
            name: "upload".to_owned(),
            steps: vec![
                mark(4_900_000_000, 12_000_000, "connect"),
                mark(4_912_000_000, 30_000_000, "upgrade"),
            ],
        }],
        log: vec![LogLine {
            at_ns: 4_913_000_000,
            text: "I (4913) playback: \u{1b}[0;32mframe 600".to_owned(),
        }],
        files: vec!["evidence/frame_period/leds.vcd".to_owned()],
    }
}

/// A PNG of a red pixel beside a blue one.
const RED_AND_BLUE: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAIAAAABCAIAAAB7QOjdAAAADUlEQVR4nGP4zwAE/wEHAAH/4iOeWQAAAABJRU5ErkJggg==";

/// No rig, no requirement, no case.
pub(crate) fn empty() -> RunResult {
    RunResult::new(run_of("empty"), Vec::new(), Vec::new(), Vec::new(), Vec::new())
}

/// Ten requirements, nine cases, every verdict.
pub(crate) fn run() -> RunResult {
    let catalogue = Catalogue::parse(CATALOGUE, "requirements.toml").unwrap();
    let frames = (0..600).map(|frame| 8_333_000 + if frame % 50 == 0 { 8_000 } else { 0 });
    let frames = Distribution::of_nanos(frames).unwrap();
    let idle = Distribution::new(Unit::Seconds, [5.2])
        .unwrap()
        .uncertain_by(Amount::new(1.0, Unit::Seconds))
        .unwrap();
    let speed = Distribution::new(Unit::KilobytesPerSecond, [80.0, 90.5, 97.25]).unwrap();
    let mapped = Distribution::new(Unit::Pixels, [319.0]).unwrap();
    let floor = Some(Amount::new(1.9, Unit::Milliseconds));
    let decisions = [
        ("K1-LED-002", figures("frame_period", &catalogue, "K1-LED-002", &frames)),
        ("K1-LED-003", figures("frame_jitter", &catalogue, "K1-LED-003", &frames)),
        ("K1-LED-004", figures("frame_jitter", &catalogue, "K1-LED-004", &frames)),
        ("K1-LED-006", figures("pixel_mapping", &catalogue, "K1-LED-006", &mapped)),
        ("K1-NET-002", words("third_client", Verdict::RigFault, "", "the link of the rig is down")),
        ("K1-NET-004", Decision { floor, ..figures("idle_close", &catalogue, "K1-NET-004", &idle) }),
        (
            "K1-SYS-008",
            Decision::not_run(
                "access_point",
                "virtual",
                Fidelity::Modelled,
                NotRun::NeedMissing,
                "rig `virtual` has no radio",
            ),
        ),
        ("K1-UPL-014", figures("upload_speed", &catalogue, "K1-UPL-014", &speed)),
        ("K1-UPL-015", words("power_cut", Verdict::HarnessBug, "cut 7 of 20", "the case forgot to power up")),
    ];
    let requirements = catalogue
        .requirements
        .iter()
        .map(|requirement| {
            let own: Vec<Decision> = decisions
                .iter()
                .filter(|(id, _)| requirement.id.as_str() == *id)
                .map(|(_, decision)| decision.clone())
                .collect();
            RequirementResult::combine(&catalogue.system, requirement, &own)
        })
        .collect();
    let cases = decisions
        .iter()
        .map(|(id, decision)| CaseResult {
            name: format!("prism-k1::{id}::{}", decision.case),
            system: "prism-k1".to_owned(),
            rig: Some(decision.rig.clone()),
            seed: 1,
            requirements: vec![RequirementId::new(id).unwrap()],
            verdict: decision.verdict,
            not_run: decision.not_run,
            reason: decision.reason.clone(),
            rig_time_ns: 5_000_000_000,
            wall_ms: 12,
            retries: u32::from(decision.verdict == Verdict::RigFault),
            recoveries: (decision.verdict == Verdict::RigFault).then(recovery).into_iter().collect(),
            log_tail: if decision.verdict == Verdict::Fail {
                vec!["I (5012) playback: \u{1b}[0;32mframe 600\u{1b}[0m".to_owned()]
            } else {
                Vec::new()
            },
            backtrace: if decision.verdict == Verdict::Fail {
                vec!["at prism_k1::playback::task::show (src/playback/task.rs:310)".to_owned()]
            } else {
                Vec::new()
            },
            repeat: Some(format!(
                "RIGOR_SEED=1 cargo test --test hil -- --exact prism-k1::{id}::{}",
                decision.case
            )),
            source: Some(SourcePlace { file: "suites/prism-k1/src/playback.rs".to_owned(), line: 31 }),
            evidence: (decision.verdict == Verdict::Fail).then(evidence),
        })
        .collect();
    RunResult::new(
        run_of("sample"),
        vec![RigUsed {
            name: "virtual".to_owned(),
            back_end: "virtual".to_owned(),
            fidelity: Fidelity::Modelled,
            qualification: Some(qualification()),
        }],
        vec![Firmware {
            system: "prism-k1".to_owned(),
            name: "prism-k1".to_owned(),
            version: "1.0.0".to_owned(),
            image: Some("0123456789abcdef".repeat(4)),
            memory: vec![
                MemoryUse {
                    of: Memory::Flash,
                    bytes: 412_344,
                    limit: Some(MemoryLimit {
                        name: "image fits slot".to_owned(),
                        bytes: 1_572_864,
                        source: "K1-OTA-003: seed 2; spec 5".to_owned(),
                    }),
                },
                MemoryUse { of: Memory::Ram, bytes: 301_056, limit: None },
                MemoryUse {
                    of: Memory::Stack("playback".to_owned()),
                    bytes: 9000,
                    limit: Some(MemoryLimit {
                        name: "playback stack".to_owned(),
                        bytes: 8192,
                        source: "K1-TSK-005: seed 3".to_owned(),
                    }),
                },
            ],
        }],
        requirements,
        cases,
    )
}
