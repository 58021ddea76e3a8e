//! A run as large as they come, for the tests of this crate and for its benchmark.

use rigor_core::budget::{BoundName, BudgetTable};
use rigor_core::distribution::Distribution;
use rigor_core::evidence::{Evidence, Lane, LaneKind, LogLine, Mark, Series};
use rigor_core::requirement::Catalogue;
use rigor_core::result::{CaseResult, Decision, Firmware, RequirementResult, RigUsed, Run, RunResult};
use rigor_core::time::Fidelity;
use rigor_core::unit::Unit;
use rigor_core::verdict::Verdict;

/// A run of `count` requirements, each with five hundred samples, their shape, and a case of its own that
/// left plenty of evidence; every hundredth fails.
pub(crate) fn large(count: usize) -> RunResult {
    let mut table = BudgetTable::new("frame period", Unit::Milliseconds);
    (table.bound, table.at_most) = (BoundName::Max, Some(16.67));
    let budget = table.check().expect("a budget");
    let name = |number: usize| format!("T-{}-{number}", number / 40);
    let entries = (0..count).map(|number| {
        format!(
            r#"
[[requirement]]
id = "{}"
title = "period of lane {number}"
clause = "section 5, {number}"
text = "Every frame of the pattern leaves within two periods of the one before, whatever else the device has to do at the time, and no matter which of its profiles is in use."
class = "must"
reading = "The period is that of the wire, from the first edge of a burst to that of the next."
budget = {{ quantity = "frame period", unit = "ms", bound = "max", at_most = 16.67 }}
"#,
            name(number)
        )
    });
    let text = format!("schema = 1\nsystem = \"toy\"\ntitle = \"Toy\"\n{}", entries.collect::<String>());
    let catalogue = Catalogue::parse(&text, "toy.toml").expect("a catalogue");
    let (mut requirements, mut cases) = (Vec::new(), Vec::new());
    for (number, requirement) in catalogue.requirements.iter().enumerate() {
        let samples = (0..500_u32).map(|sample| {
            let late = if number % 100 == 7 && sample == 250 { 10.0 } else { 0.0 };
            8.333 + f64::from(sample * sample % 97) / 1000.0 + late
        });
        let measured = Distribution::new(Unit::Milliseconds, samples).expect("samples");
        let judgement = budget.judge(&measured).expect("the same unit");
        let case = format!("case_number_{number}");
        let decision =
            Decision::judged(case.clone(), "virtual", Fidelity::Modelled, &measured, &budget, judgement);
        requirements.push(RequirementResult::combine("toy", requirement, std::slice::from_ref(&decision)));
        cases.push(CaseResult {
            repeat: Some(format!(
                "RIGOR_SEED=1 cargo test --test hil -- --exact toy::{}::{case}",
                requirement.id
            )),
            name: case,
            system: "toy".to_owned(),
            rig: Some("virtual".to_owned()),
            seed: 1,
            requirements: vec![requirement.id.clone()],
            verdict: decision.verdict,
            not_run: None,
            reason: decision.reason,
            rig_time_ns: 5_000_000_000,
            wall_ms: 12,
            retries: 0,
            recoveries: Vec::new(),
            log_tail: if decision.verdict == Verdict::Fail {
                vec!["I (5012) late".to_owned()]
            } else {
                Vec::new()
            },
            backtrace: Vec::new(),
            source: None,
            evidence: Some(plenty()),
        });
    }
    let run = Run {
        id: "large".to_owned(),
        started: "2025-01-01T00:00:00Z".to_owned(),
        wall_ms: 7900,
        seed: 1,
        args: Vec::new(),
    };
    let rig = RigUsed {
        name: "virtual".to_owned(),
        back_end: "virtual".to_owned(),
        fidelity: Fidelity::Modelled,
        qualification: None,
    };
    let firmware = Firmware {
        system: "toy".to_owned(),
        name: "toy".to_owned(),
        version: "1.0.0".to_owned(),
        image: None,
        memory: Vec::new(),
    };
    let mut run = RunResult::new(run, vec![rig], vec![firmware], requirements, cases);
    // In the order of their numbers, as the tests count them.
    run.cases
        .sort_by_key(|case| case.name.rsplit('_').next().and_then(|number| number.parse::<usize>().ok()));
    run
}

/// As much as a busy case leaves.
fn plenty() -> Evidence {
    let lane = |name: &str, kind, step: u64| Lane {
        name: name.to_owned(),
        kind,
        marks: (0..400)
            .map(|at| Mark { at_ns: at * step, length_ns: step / 3, text: format!("{at} of 160 pixels") })
            .collect(),
        left_out: 0,
    };
    Evidence {
        from_ns: 0,
        until_ns: 4_000_000_000,
        lanes: vec![
            lane("leds.a", LaneKind::Burst, 8_333_333),
            lane("leds.b", LaneKind::Burst, 8_333_333),
            lane("console", LaneKind::Serial, 9_000_001),
            lane("flash", LaneKind::Flash, 7_000_003),
        ],
        series: vec![Series {
            name: "frame period".to_owned(),
            unit: Unit::Milliseconds,
            points: (0..2000_u32)
                .map(|frame| (u64::from(frame) * 8_333_333, 8.333 + f64::from(frame % 7) / 1e3))
                .collect(),
            left_out: 0,
            limits: vec![16.67],
        }],
        log: (0..200)
            .map(|line| LogLine {
                at_ns: line * 20_000_000,
                text: format!("I ({line}) playback: frame {line}"),
            })
            .collect(),
        ..Evidence::default()
    }
}
