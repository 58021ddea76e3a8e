use rstest::rstest;

use super::*;
use crate::budget::BudgetTable;
use crate::requirement::Requirement;
use crate::unit::Unit;

fn requirement(class: Class) -> Requirement {
    let mut budget = BudgetTable::new("frame period", Unit::Milliseconds);
    (budget.nominal, budget.tolerance_percent) = (Some(8.333), Some(5.0));
    Requirement {
        id: RequirementId::new("K1-LED-002").unwrap(),
        title: "frame period".to_owned(),
        clause: "section 5".to_owned(),
        text: "Frames leave at 120 per second.".to_owned(),
        class,
        budget: Some(budget.check().unwrap()),
        reading: None,
        planned: None,
        file: "requirements.toml".into(),
        line: 1,
    }
}

/// A decision written as `case rig verdict`, the verdict as in results.
fn decision(spec: &str) -> Decision {
    let words: Vec<&str> = spec.split_whitespace().collect();
    let verdict = serde_json::from_str(&format!("\"{}\"", words[2])).unwrap();
    let mut decision = Decision::new(words[0], words[1], Fidelity::Modelled, verdict);
    decision.reason = Some(format!("because of {}", words[0]));
    decision
}

fn combine(decisions: &[&str]) -> RequirementResult {
    let decisions: Vec<Decision> = decisions.iter().map(|spec| decision(spec)).collect();
    RequirementResult::combine("prism-k1", &requirement(Class::Must), &decisions)
}

#[rstest]
#[case("a v pass", "pass", None)]
#[case("a v pass; b v pass", "pass", None)]
#[case("a v not-run", "not-run", Some("because of a"))]
// Half a proof is none.
#[case(
    "a v pass; b v not-run",
    "not-run",
    Some("it holds in 1 of 2 cases, but `b` did not run: because of b")
)]
// The same case ran elsewhere: somebody looked.
#[case("a v pass; a q not-run", "pass", None)]
#[case("a v pass; a q not-run; b q pass; b v not-run", "pass", None)]
#[case("a v pass; b v inconclusive", "inconclusive", Some("case `b`: because of b"))]
#[case("a v not-run; b v inconclusive", "inconclusive", Some("because of b"))]
#[case("a v inconclusive; b v rig-fault", "rig-fault", Some("because of b"))]
#[case("a v rig-fault; b v harness-bug", "harness-bug", Some("because of b"))]
#[case("a v harness-bug; b v fail", "fail", Some("because of b"))]
#[case("a v fail; a q pass; b v fail", "fail", Some("case `a` and 1 more: because of a"))]
fn the_worst_verdict_wins(#[case] decisions: &str, #[case] verdict: &str, #[case] reason: Option<&str>) {
    let mut decisions: Vec<&str> = decisions.split("; ").collect();
    let combined = combine(&decisions);
    let expected: Verdict = serde_json::from_str(&format!("\"{verdict}\"")).unwrap();
    assert_eq!((combined.verdict, combined.reason.as_deref()), (expected, reason));
    assert_eq!(combined.not_run.is_some(), expected == Verdict::NotRun);
    decisions.reverse();
    assert_eq!(combine(&decisions), combined, "the order of arrival matters");
}

#[test]
fn a_planned_requirement_is_not_run_with_its_plan() {
    let mut planned = requirement(Class::Must);
    planned.planned = Some("The bench will tell.".to_owned());
    let result = RequirementResult::combine("prism-k1", &planned, &[]);
    assert_eq!((result.verdict, result.not_run), (Verdict::NotRun, Some(NotRun::Planned)));
    assert_eq!(result.reason.as_deref(), Some("The bench will tell."));
    assert_eq!(combine(&[]).not_run, Some(NotRun::NotSelected));
}

#[test]
fn the_least_margin_is_shown() {
    let requirement = requirement(Class::Must);
    let budget = requirement.budget.clone().unwrap();
    let decisions: Vec<Decision> = [("idle", 8_333_000), ("upload", 8_700_000), ("text", 0)]
        .into_iter()
        .map(|(case, nanos)| {
            if nanos == 0 {
                return Decision::new(case, "virtual", Fidelity::Modelled, Verdict::Pass);
            }
            let measured = Distribution::of_nanos([nanos]).unwrap();
            let judgement = budget.judge(&measured).unwrap();
            Decision::judged(case, "virtual", Fidelity::Modelled, &measured, &budget, judgement)
        })
        .collect();
    let result = RequirementResult::combine("prism-k1", &requirement, &decisions);
    let Some(Measured::Distribution(summary)) = result.measured else { panic!("{result:?}") };
    assert_eq!((summary.p50, summary.unit), (8.7, Unit::Milliseconds));
    assert_eq!(result.cases, ["idle", "text", "upload"]);
    assert_eq!(result.uncertainty, Some(Amount::new(0.0, Unit::Milliseconds)));
    assert_eq!((result.reason, result.fidelity), (None, Some(Fidelity::Modelled)));
}

fn case(verdict: Verdict) -> CaseResult {
    CaseResult {
        name: "prism-k1::K1-LED-002::frame_period".to_owned(),
        system: "prism-k1".to_owned(),
        rig: Some("virtual".to_owned()),
        seed: 1,
        requirements: vec![RequirementId::new("K1-LED-002").unwrap()],
        verdict,
        not_run: (verdict == Verdict::NotRun).then_some(NotRun::NeedMissing),
        reason: None,
        rig_time_ns: 5_000_000_000,
        wall_ms: 3,
        retries: 0,
        recoveries: Vec::new(),
        log_tail: Vec::new(),
        backtrace: Vec::new(),
        repeat: None,
        source: None,
        evidence: None,
    }
}

fn run_of(class: Class, verdict: Verdict) -> RunResult {
    let decision = Decision::new("frame_period", "virtual", Fidelity::Modelled, verdict);
    let requirement = RequirementResult::combine("prism-k1", &requirement(class), &[decision]);
    RunResult::new(
        Run {
            id: "r1".to_owned(),
            started: "2025-01-01T00:00:00Z".to_owned(),
            wall_ms: 5,
            seed: 1,
            args: Vec::new(),
        },
        vec![RigUsed {
            name: "virtual".to_owned(),
            back_end: "virtual".to_owned(),
            fidelity: Fidelity::Modelled,
            qualification: None,
        }],
        Vec::new(),
        vec![requirement],
        vec![case(verdict)],
    )
}

#[rstest]
#[case(Verdict::Pass, 0, 0)]
#[case(Verdict::Fail, 1, 0)]
#[case(Verdict::Inconclusive, 2, 0)]
#[case(Verdict::RigFault, 2, 2)]
#[case(Verdict::HarnessBug, 3, 3)]
// The only case did not run: nothing that ran zero cases is green.
#[case(Verdict::NotRun, 2, 2)]
fn exit_codes(#[case] verdict: Verdict, #[case] must: u8, #[case] other: u8) {
    assert_eq!(run_of(Class::Must, verdict).exit_code, must);
    assert_eq!(run_of(Class::Should, verdict).exit_code, other);
    assert_eq!(run_of(Class::Report, verdict).exit_code, other);
}

#[test]
fn the_worst_exit_code_wins() {
    let fail = run_of(Class::Must, Verdict::Fail);
    let bug = run_of(Class::Must, Verdict::HarnessBug);
    let fault = run_of(Class::Must, Verdict::RigFault);
    let both = |a: &RunResult, b: &RunResult| {
        let requirements = [&a.requirements[..], &b.requirements[..]].concat();
        exit_code(&requirements, &[&a.cases[..], &b.cases[..]].concat())
    };
    assert_eq!(both(&fail, &bug), EXIT_PRODUCT);
    assert_eq!(both(&fault, &bug), EXIT_HARNESS);
    assert_eq!(both(&fault, &fail), EXIT_PRODUCT);
}

#[test]
fn nothing_at_all_is_not_green() {
    assert_eq!(exit_code(&[], &[]), EXIT_UNDECIDED);
}

#[rstest]
#[case(NotRun::Planned, Class::Must, EXIT_OK)]
#[case(NotRun::NotSelected, Class::Must, EXIT_OK)]
#[case(NotRun::NeedMissing, Class::Must, EXIT_UNDECIDED)]
#[case(NotRun::NotRecorded, Class::Must, EXIT_UNDECIDED)]
#[case(NotRun::NeedMissing, Class::Should, EXIT_OK)]
fn a_hole_gates_only_where_nobody_chose_it(#[case] cause: NotRun, #[case] class: Class, #[case] code: u8) {
    let mut passed = run_of(Class::Must, Verdict::Pass);
    let mut hole = run_of(class, Verdict::NotRun).requirements.remove(0);
    hole.id = RequirementId::new("K1-LED-003").unwrap();
    hole.not_run = Some(cause);
    passed.requirements.push(hole);
    assert_eq!(exit_code(&passed.requirements, &passed.cases), code);
}

#[test]
fn half_a_run_is_not_green_whatever_it_has_found() {
    let mut passed = run_of(Class::Must, Verdict::Pass);
    let mut left = case(Verdict::NotRun);
    left.not_run = Some(NotRun::Interrupted);
    passed.cases.push(left);
    assert_eq!(exit_code(&passed.requirements, &passed.cases), EXIT_UNDECIDED);
    passed.cases[0].verdict = Verdict::Fail;
    passed.requirements[0].verdict = Verdict::Fail;
    assert_eq!(exit_code(&passed.requirements, &passed.cases), EXIT_PRODUCT);
}

#[test]
fn a_forgotten_requirement_cannot_turn_a_failure_green() {
    assert_eq!(exit_code(&[], &[case(Verdict::Fail)]), EXIT_HARNESS);
    let mut elsewhere = run_of(Class::Must, Verdict::Pass);
    elsewhere.requirements[0].system = "other".to_owned();
    assert_eq!(exit_code(&elsewhere.requirements, &elsewhere.cases), EXIT_HARNESS);
}

#[test]
fn results_round_trip_to_the_byte() {
    let mut run = run_of(Class::Must, Verdict::Fail);
    run.requirements[0].margin = Some(Amount::new(-0.1 - 0.2, Unit::Milliseconds));
    run.requirements[0].measured = Some(Measured::Text("\u{1b}[31m \u{202e} \0".to_owned()));
    let text = run.to_json().unwrap();
    let again = RunResult::read(&text).unwrap();
    assert_eq!(again, run);
    assert_eq!(again.to_json().unwrap(), text);
}

#[test]
fn lists_are_sorted_and_texts_bounded() {
    let mut failed = case(Verdict::Fail);
    failed.log_tail = (0..100).map(|line| format!("{line} {}", "é".repeat(5000))).collect();
    failed.backtrace = failed.log_tail.clone();
    failed.reason = Some("x".repeat(100_000));
    let mut first = case(Verdict::Pass);
    first.name = "a".to_owned();
    let run = run_of(Class::Must, Verdict::Fail);
    let rigs = vec![run.rigs[0].clone(), run.rigs[0].clone()];
    let run = RunResult::new(run.run, rigs, run.firmware, run.requirements, vec![failed, first]);
    assert_eq!((run.rigs.len(), run.cases[0].name.as_str()), (1, "a"));
    let failed = &run.cases[1];
    assert_eq!(failed.log_tail.len(), LOG_TAIL_LINES);
    assert!(failed.log_tail[0].starts_with("60 "), "{}", failed.log_tail[0]);
    assert_eq!(failed.log_tail[0].chars().count(), MAX_TEXT + 1);
    assert_eq!(failed.backtrace.len(), BACKTRACE_LINES, "the innermost calls say most");
    assert!(failed.backtrace[0].starts_with("0 ") && failed.backtrace[0].chars().count() == MAX_TEXT + 1);
    assert_eq!(failed.reason.as_ref().unwrap().chars().count(), MAX_TEXT + 1);
}

#[rstest]
#[case("", "", "line 1, column 0: EOF while parsing a value")]
#[case(
    "\"schema_version\": 2",
    "\"schema_version\": 1",
    "the result has `schema_version` 1, but this harness reads 2"
)]
#[case(
    "\"schema_version\": 2",
    "\"schema_version\": -1",
    "line 2, column 22: invalid value: integer `-1`, expected u64"
)]
#[case("\"seed\": 1,", "\"sed\": 1,", "unknown field `sed`, expected one of `id`, `started`")]
#[case("\"must\"", "\"shall\"", "unknown variant `shall`, expected one of `must`, `should`, `report`")]
#[case("K1-LED-002", "k1-led-002", "`k1-led-002` is no requirement id; write `K1-LED-002`")]
#[case("\"pass\": 0", "\"pass\": 1", "totals: they are not the counts of the lists; the file was edited")]
#[case("\"exit_code\": 1", "\"exit_code\": 0", "exit_code: the verdicts give 1; ")]
#[case(
    "\"not_run\": null",
    "\"not_run\": \"planned\"",
    "requirement K1-LED-002: `verdict` and `not_run` do not agree; "
)]
#[case(
    "\"measured\": null",
    "\"measured\": {\"distribution\":{\"unit\":\"ms\",\"count\":0,\"min\":1,\"p50\":1,\"p95\":1,\"p99\":1,\"max\":1,\"mean\":1,\"uncertainty\":0}}",
    "`measured`: `count` is 0, but"
)]
#[case(
    "\"measured\": null",
    "\"measured\": {\"distribution\":{\"unit\":\"ms\",\"count\":1,\"min\":2,\"p50\":1,\"p95\":1,\"p99\":1,\"max\":1,\"mean\":1,\"uncertainty\":0}}",
    "are not in ascending order"
)]
#[case(
    "\"measured\": null",
    "\"measured\": {\"distribution\":{\"unit\":\"ms\",\"count\":1,\"min\":1,\"p50\":1,\"p95\":1,\"p99\":1,\"max\":1,\"mean\":1e999,\"uncertainty\":0}}",
    "number out of range"
)]
fn broken_files_are_refused_clearly(#[case] from: &str, #[case] to: &str, #[case] message: &str) {
    let text = run_of(Class::Must, Verdict::Fail).to_json().unwrap();
    assert!(text.contains(from), "{text}");
    let broken = if from.is_empty() { String::new() } else { text.replacen(from, to, 1) };
    let error = RunResult::read(&broken).unwrap_err().to_string();
    assert!(error.contains(message), "{error}");
}

#[test]
fn hostile_files_are_refused_quickly() {
    assert!(matches!(RunResult::read(&" ".repeat(MAX_FILE + 1)), Err(ResultError::TooLarge { .. })));
    assert!(RunResult::read(&"[".repeat(1 << 20)).is_err());
    assert!(RunResult::read(&"{\"a\":".repeat(1 << 20)).is_err());
    let long_name = format!("{{\"schema_version\": 2, \"{}\": 1}}", "k".repeat(1 << 20));
    assert!(RunResult::read(&long_name).unwrap_err().to_string().len() < 400);
    let text = run_of(Class::Must, Verdict::Fail).to_json().unwrap();
    for end in (0..text.len()).filter(|end| text.is_char_boundary(*end)) {
        assert!(RunResult::read(&text[..end]).is_err() || text[end..].trim().is_empty());
    }
}

#[test]
fn what_could_not_be_read_is_not_written() {
    let mut run = run_of(Class::Must, Verdict::Pass);
    run.requirements[0].margin = Some(Amount::new(f64::NAN, Unit::Milliseconds));
    assert!(run.to_json().is_err());
    let mut run = run_of(Class::Must, Verdict::Pass);
    run.exit_code = 1;
    assert!(run.to_json().is_err());
    let mut run = run_of(Class::Must, Verdict::Pass);
    run.requirements.push(run.requirements[0].clone());
    assert!(run.to_json().unwrap_err().to_string().contains("listed twice"));
}
