//! The strip's wires as an instrument would have sampled them, in place of what the model knows: the
//! verdicts are the same, as far as the instrument can tell.

use std::fs::File;
use std::io::{BufReader, BufWriter};
use std::path::Path;
use std::sync::Arc;

use rigor_core::event::Phases;
use rigor_core::rate::SampleRate;
use rigor_core::result::Measured;
use rigor_core::time::nanos;
use rigor_core::verdict::Verdict;
use rigor_core::{Event, Instant, Kind, Level};
use rigor_rigs::recording::{End, Op, Reader, Writer};
use rigor_runner::case::Case;
use rigor_runner::trial::Trial;

use super::twice_with;

/// An instrument at this clock, in place of the model on every lane of LEDs.
fn sample(path: &Path, hertz: u64) {
    let mut reader =
        Reader::open(BufReader::new(File::open(path).expect("it was recorded"))).expect("readable");
    let header = reader.header().clone();
    let lanes: Vec<u16> = header.parts.leds.iter().map(|led| led.lane).collect();
    assert_eq!(lanes.len(), 2);
    let rate = SampleRate::hertz(hertz).expect("a rate");
    let sampled = path.with_extension("sampled");
    let mut writer =
        Writer::new(BufWriter::new(File::create(&sampled).expect("a file")), &header).expect("a header");
    let mut stretches = 0;
    while let Some(step) = reader.next().expect("undamaged") {
        let op = match step.op {
            Op::Event(lane, event) if lanes.contains(&lane) => {
                stretches += 1;
                Op::Event(lane, seen(&event, rate))
            }
            op => op,
        };
        if op == Op::Ready {
            // Watching begins, and the wire is low.
            for &lane in &lanes {
                let found = stretch(Instant::ZERO, Level::Low, rate, &[1]);
                writer.op(&Op::Event(lane, found), false).expect("room on the disk");
            }
        }
        writer.op(&op, step.by_case).expect("room on the disk");
    }
    let Some(End::Whole(ending)) = reader.end().cloned() else { panic!("it was cut short") };
    writer.finish(&ending).expect("room on the disk");
    std::fs::rename(&sampled, path).expect("the same folder");
    assert!(stretches > 100, "{stretches} stretches");
}

fn stretch(at: Instant, first: Level, rate: SampleRate, lengths: &[u32]) -> Event {
    let phases = Phases { first, rate, lengths: Arc::from(lengths) };
    let uncertainty = phases.resolution();
    Event { at, uncertainty, kind: Kind::Phases(phases) }
}

/// What `event` looks like at this clock, whose samples are those of the rig's beginning: an edge comes
/// with the first sample after it.
fn seen(event: &Event, rate: SampleRate) -> Event {
    let edges: Vec<(u64, Level)> = match &event.kind {
        Kind::Burst(burst) => burst.edges().collect(),
        Kind::Edge(level) => vec![(0, *level)],
        other => panic!("{other:?} on a wire"),
    };
    let start = event.at.as_nanos();
    let end = nanos(event.end().since(event.at)) + 1_000;
    let index =
        |at: u64| (u128::from(start + at) * u128::from(rate.as_hertz())).div_ceil(1_000_000_000) as u64;
    let samples: Vec<u64> = edges.iter().map(|edge| index(edge.0)).chain([index(end)]).collect();
    let lengths: Vec<u32> = samples.windows(2).map(|pair| (pair[1] - pair[0]) as u32).collect();
    stretch(Instant::ZERO + rate.duration_of(samples[0]), edges[0].1, rate, &lengths)
}

/// A few cases of every kind that there is about the strip.
fn about_leds(case: &Case) -> bool {
    ["burst_anatomy", "cadence", "picture"].contains(&case.name())
}

fn verdicts(trials: &[Trial]) -> Vec<(&str, Verdict)> {
    trials.iter().flat_map(|trial| &trial.decisions).map(|(id, found)| (id.as_str(), found.verdict)).collect()
}

fn uncertainty_ns(trials: &[Trial], wanted: &str) -> f64 {
    let mut decisions = trials.iter().flat_map(|trial| &trial.decisions);
    let (_, decision) = decisions.find(|(id, _)| id == wanted).expect("it was decided");
    match &decision.measured {
        Some(Measured::Distribution(summary)) => summary.uncertainty,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_captured_strip_comes_to_the_same_verdicts() {
    let (known, captured) = twice_with("captured", None, about_leds, |path| sample(path, 125_000_000));
    assert_eq!(verdicts(&captured), verdicts(&known), "{:?}", captured[0].reason());
    assert!(verdicts(&known).iter().all(|(_, verdict)| *verdict == Verdict::Pass));
    assert_eq!(uncertainty_ns(&known, "K1-LED-007"), 0.0);
    assert_eq!(uncertainty_ns(&captured, "K1-LED-007"), 8.0);
}

#[test]
fn a_captured_strip_fails_where_the_strip_fails() {
    let suites = rigor_suites::suites().expect("valid suites");
    let faults = &suites[0].faults().faults;
    for name in ["zeros-too-short", "pulses-lost", "no-time-to-latch", "lane-late"] {
        let fault = faults.iter().find(|fault| fault.name == name).expect("a fault of that name");
        let claims = |case: &Case| {
            about_leds(case)
                && fault.claimed_by.iter().any(|id| case.decides().iter().any(|own| id.as_str() == own))
        };
        let (known, captured) =
            twice_with(name, Some(fault.model.clone()), claims, |path| sample(path, 125_000_000));
        assert!(verdicts(&known).iter().any(|(_, verdict)| *verdict == Verdict::Fail), "{name}");
        assert_eq!(verdicts(&captured), verdicts(&known), "{name}");
    }
}

/// At 6 MHz a pulse is known to 168 ns, which is too little for budgets of 150 either way and enough for
/// the rest. Nothing fails for it.
#[test]
fn what_an_instrument_cannot_resolve_is_undecided() {
    let (known, captured) = twice_with("coarse", None, about_leds, |path| sample(path, 6_000_000));
    let undecided: Vec<&str> = verdicts(&captured)
        .into_iter()
        .zip(verdicts(&known))
        .filter(|(captured, known)| captured != known)
        .map(|((id, verdict), _)| {
            assert_eq!(verdict, Verdict::Inconclusive, "{id}");
            id
        })
        .collect();
    let pulses = ["007", "016", "017", "018", "019", "026"].map(|number| format!("K1-LED-{number}"));
    assert_eq!(undecided, pulses);
}
