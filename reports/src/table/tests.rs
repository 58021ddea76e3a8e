use std::collections::BTreeSet;

use rigor_core::budget::BudgetTable;
use rigor_core::result::{Firmware, RigUsed};
use rigor_core::time::Fidelity;
use rigor_core::unit::Unit;

use super::*;
use crate::sample;

const LOOK: &str = "\
prism-k1  firmware 1.0.0
  K1-LED-002  frame period   p50 8.333 ms   p99 8.341 ms                  budget mean 8.333 ms ±5 %            PASS              modelled
  K1-LED-003  frame jitter   p50 8.333 ms   p99 8.341 ms    100 % within  budget >= 99 % within 8.333 ms ±5 %  PASS              modelled
  K1-LED-004  longest gap    p50 8.333 ms   p99 8.341 ms                  budget every <= 16.67 ms             PASS              modelled
  K1-LED-006  pixel mapping  319 pixels                                   budget every = 320 pixels            FAIL              modelled
      pixels right: worst 319 pixels misses `every = 320 pixels` by 1 pixel
      repeat: RIGOR_SEED=1 cargo test --test hil -- --exact prism-k1::K1-LED-006::pixel_mapping
  K1-NET-002  third client                                                                                     RIG FAULT         modelled
      the link of the rig is down
      repeat: RIGOR_SEED=1 cargo test --test hil -- --exact prism-k1::K1-NET-002::third_client
  K1-NET-004  idle close     5.2 s                                        budget every 5 to 7 s                INCONCLUSIVE      modelled
      idle time: worst 5.2 s lies 200 ms from the limit of `every 5 to 7 s`, which an instrument of ±1 s cannot tell; use a better one
      repeat: RIGOR_SEED=1 cargo test --test hil -- --exact prism-k1::K1-NET-004::idle_close
  K1-SYS-008  access point                                                                                     NOT RUN (report)  rig `virtual` has no radio
  K1-UPL-014  upload speed   p50 90.5 KB/s  p99 97.25 KB/s                budget p50 >= 100 KB/s               FAIL (should)     modelled
      upload speed: p50 90.5 KB/s misses `p50 >= 100 KB/s` by 9.5 KB/s
      repeat: RIGOR_SEED=1 cargo test --test hil -- --exact prism-k1::K1-UPL-014::upload_speed
  K1-UPL-015  power cut      cut 7 of 20                                                                       HARNESS BUG       modelled
      the case forgot to power up
      repeat: RIGOR_SEED=1 cargo test --test hil -- --exact prism-k1::K1-UPL-015::power_cut

not decided yet, reasons in results.json (1):
  K1-LED-011 a day without a gap

did not pass (5):
  K1-LED-006 FAIL, K1-NET-002 RIG FAULT, K1-NET-004 INCONCLUSIVE, K1-UPL-014 FAIL (should),
  K1-UPL-015 HARNESS BUG

3 pass, 2 fail, 1 harness bug, 1 rig fault, 1 inconclusive, 2 not run (1 planned, 1 for want of a part) of 10 requirements; 8 of 9 cases ran (1 retry) on virtual (modelled), seed 1, 7.9 s
exit code 1: the product fails a `must`
";

#[test]
fn the_table_reads_well() {
    let table = render(&sample::run(), false);
    assert_eq!(table, LOOK, "\n{table}");
}

/// The table of a run with only its `index`th requirement, changed.
fn only(index: usize, change: impl FnOnce(&mut RequirementResult)) -> String {
    let mut run = sample::run();
    let mut requirement = run.requirements.swap_remove(index);
    change(&mut requirement);
    run.requirements = vec![requirement];
    render(&run, false)
}

fn summary_of(figures: [f64; 5]) -> Summary {
    let [min, p50, p99, max, mean] = figures;
    Summary { unit: Unit::Milliseconds, count: 600, min, p50, p95: p99, p99, max, mean, uncertainty: 0.0 }
}

#[test]
fn the_judged_figure_is_shown_where_it_says_more() {
    let with = |index: usize, figures| {
        only(index, |r| r.measured = Some(Measured::Distribution(summary_of(figures))))
    };
    // A mean that differs from the median, and a largest sample beyond the 99th percentile.
    let table = with(0, [8.0, 8.333, 8.341, 20.0, 8.4]);
    assert!(table.contains("p50 8.333 ms  p99 8.341 ms  mean 8.4 ms  budget mean"), "{table}");
    let table = with(2, [8.0, 8.333, 8.341, 20.0, 8.4]);
    assert!(table.contains("p99 8.341 ms  max 20 ms  budget every <= 16.67 ms"), "{table}");
    let table = with(2, [8.333; 5]);
    assert!(table.contains("longest gap  8.333 ms  budget every"), "{table}");
    // Without a budget, the extreme is of interest.
    let table = only(2, |r| {
        r.measured = Some(Measured::Distribution(summary_of([8.0, 8.333, 8.341, 20.0, 8.4])));
        r.budget = None;
    });
    assert!(table.contains("p99 8.341 ms  max 20 ms  PASS  modelled"), "{table}");
}

/// Without a budget there is room to the verdict's column, and words need it.
#[test]
fn words_stand_across_figures_and_budget_and_break_no_column() {
    let long = "14 of 14: the next request on the connection is answered, and no slot is lost";
    let mut run = sample::run();
    for requirement in run.requirements.iter_mut().filter(|r| r.budget.is_none()) {
        requirement.measured = Some(Measured::Text(long.to_owned()));
        requirement.verdict = Verdict::Pass;
    }
    let table = render(&run, false);
    assert!(table.contains(long), "{table}");
    let verdicts: BTreeSet<Option<usize>> = table
        .lines()
        .filter(|line| line.starts_with("  K1-") && line.contains("PASS"))
        .map(|line| line.split("PASS").next().map(width))
        .collect();
    assert_eq!(verdicts.len(), 1, "{table}");
}

#[test]
fn a_bare_number_says_what_it_counts() {
    let table = only(3, |r| {
        let mut budget = BudgetTable::new("bursts that are torn", Unit::Count);
        budget.at_most = Some(0.0);
        r.budget = Some(budget.check().unwrap());
        let none = summary_of([0.0; 5]);
        r.measured = Some(Measured::Distribution(Summary { unit: Unit::Count, ..none }));
    });
    assert!(table.contains("  0 (bursts that are torn)  budget every <= 0  "), "{table}");
}

#[test]
fn a_failure_that_does_not_gate_says_so() {
    let mut run = sample::run();
    run.requirements.retain(|r| matches!(r.id.as_str(), "K1-LED-002" | "K1-UPL-014"));
    run.cases.retain(|case| case.verdict == Verdict::Pass);
    let run = RunResult::new(run.run, run.rigs, run.firmware, run.requirements, run.cases);
    let table = render(&run, false);
    assert!(table.contains("1 pass, 1 fail (no `must`) of 2"), "{table}");
}

#[test]
fn an_empty_run_says_so() {
    assert_eq!(
        render(&sample::empty(), false),
        "0 pass of 0 requirements; 0 of 0 cases ran on no rig, seed 1, 7.9 s\nexit code 2: no case ran\n"
    );
}

#[test]
fn what_a_filter_left_out_is_counted() {
    let mut run = sample::run();
    for requirement in &mut run.requirements[1..] {
        requirement.verdict = Verdict::NotRun;
        requirement.not_run = Some(NotRun::NotSelected);
    }
    // Of the second requirement one case ran and another was left out.
    run.requirements[1].reason = Some("it holds in 1 of 2 cases".to_owned());
    run.cases.truncate(2);
    let run = RunResult::new(run.run, run.rigs, run.firmware, run.requirements, run.cases);
    let table = render(&run, false);
    assert!(table.contains("NOT RUN  it holds in 1 of 2 cases\n"), "{table}");
    assert!(table.contains("1 pass, 9 not run (9 not selected) of 10 requirements"), "{table}");
    assert_eq!(table.matches("K1-").count(), 2, "{table}");
}

#[test]
fn systems_are_grouped() {
    let mut run = sample::run();
    run.requirements.truncate(2);
    run.requirements[1].system = "badge".to_owned();
    let run = RunResult::new(run.run, run.rigs, run.firmware, run.requirements, run.cases);
    let table = render(&run, false);
    assert!(table.starts_with("badge\n  K1-LED-003"), "{table}");
    assert!(table.contains("\n\nprism-k1  firmware 1.0.0\n  K1-LED-002"), "{table}");
}

#[test]
fn colours_come_only_on_demand_and_change_nothing_else() {
    let run = sample::run();
    let coloured = render(&run, true);
    assert!(coloured.contains("\u{1b}[32mPASS\u{1b}[0m"), "{coloured}");
    let mut plain = String::new();
    let mut rest = coloured.as_str();
    while let Some((before, after)) = rest.split_once("\u{1b}[") {
        plain.push_str(before);
        rest = after.split_once('m').unwrap().1;
    }
    plain.push_str(rest);
    assert_eq!(plain, render(&run, false));
}

#[test]
fn hostile_text_can_neither_steer_the_terminal_nor_break_the_columns() {
    let evil = format!("\u{1b}[2J\r\n\u{202e}PASS{}", "x".repeat(10_000));
    let mut run = sample::run();
    run.rigs = vec![RigUsed {
        name: evil.clone(),
        back_end: evil.clone(),
        fidelity: Fidelity::Modelled,
        qualification: None,
    }];
    run.firmware = vec![Firmware {
        system: "prism-k1".to_owned(),
        name: evil.clone(),
        version: evil.clone(),
        image: Some(evil.clone()),
        memory: Vec::new(),
    }];
    for requirement in &mut run.requirements {
        requirement.title = evil.clone();
        requirement.reason = Some(evil.clone());
        requirement.measured = Some(Measured::Text(evil.clone()));
    }
    for case in &mut run.cases {
        case.repeat = Some(evil.clone());
    }
    let table = render(&run, false);
    assert!(table.chars().all(|c| c == '\n' || !c.is_control() && c != '\u{202e}'), "{table}");
    // A title of full width leaves the names of undecided requirements a line each.
    assert!(table.lines().count() <= LOOK.lines().count() + 1, "{table}");
    assert!(table.lines().all(|line| line.chars().count() < 500), "{table}");
    let starts: Vec<usize> = table
        .lines()
        .filter(|line| line.starts_with("  K1-"))
        .filter(|line| line.contains("  \\u{1b}"))
        .map(|line| line.find("\\u{1b}").unwrap())
        .collect();
    assert!(starts.iter().all(|start| *start == starts[0]), "{table}");
}

#[test]
fn extreme_figures_keep_the_table_narrow() {
    let extremes = summary_of([-1e20, 1e-300, 1e19, 1e20, 1e19]);
    let table = only(0, |r| {
        r.measured = Some(Measured::Distribution(extremes));
        r.margin = Some(Amount::new(f64::MAX, Unit::Milliseconds));
    });
    assert!(table.lines().next().is_some_and(|line| line.len() < 200), "{table}");
}

#[test]
fn attempts_that_passed_share_a_line_unless_a_filter_asks_for_them() {
    let sample = sample::run();
    let ids = ["T-TEN-10-B", "WS-5-1-01-B", "WS-5-1-01-C", "WS-5-1-02-B", "WS-5-2-01-B", "WS-ONE-TWO"];
    let like = &sample.requirements[0];
    let requirements: Vec<RequirementResult> = ids
        .iter()
        .map(|id| RequirementResult {
            id: rigor_core::requirement::RequirementId::new(id).unwrap(),
            verdict: if *id == "WS-5-1-02-B" { Verdict::Fail } else { Verdict::Pass },
            measured: None,
            budget: None,
            margin: None,
            ..like.clone()
        })
        .collect();
    let mut case = sample.cases[0].clone();
    case.requirements = requirements.iter().map(|found| found.id.clone()).collect();
    let table = |cases| {
        let run = RunResult::new(sample.run.clone(), Vec::new(), Vec::new(), requirements.clone(), cases);
        render(&run, false)
    };
    let lines = |table: &str| -> Vec<String> {
        let ids = table.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
        ids.filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
    };
    let whole = table(vec![case.clone()]);
    let folded = ["T-TEN-*", "WS-5-1-*", "WS-5-1-02-B", "WS-5-2-*", "WS-ONE-TWO", "WS-5-1-02-B"];
    assert_eq!(lines(&whole), folded, "and the failure once more by name");
    assert!(whole.contains("2 hold"), "{whole}");
    let left_out = rigor_core::result::CaseResult {
        name: "left_out".to_owned(),
        verdict: Verdict::NotRun,
        not_run: Some(NotRun::NotSelected),
        ..case.clone()
    };
    assert_eq!(lines(&table(vec![case, left_out]))[..6], ids);
}
