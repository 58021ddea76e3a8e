use std::collections::BTreeMap;

use rigor_core::Fidelity;
use rigor_core::distribution::Distribution;
use rigor_core::result::{Decision, Measured};
use rigor_core::unit::Unit;
use rigor_core::verdict::Verdict;

use super::{Bounds, Difference, Found, Tolerances, What, compare, rows};
use crate::account::{Account, Entry, Lane};

/// Entries at these milliseconds.
fn lane(told: &[(u64, &str)]) -> Lane {
    let entries = told.iter().map(|(at, what)| Entry::text(at * 1_000_000, *what)).collect();
    Lane { entries, left_out: 0 }
}

fn account(stimuli: &[(u64, &str)], lanes: &[(&str, &[(u64, &str)])]) -> Account {
    let lanes = lanes.iter().map(|(name, told)| ((*name).to_owned(), lane(told))).collect();
    Account { ended_ns: 1_000_000_000, stimuli: lane(stimuli), lanes, figures: BTreeMap::new() }
}

fn between(a: &Account, b: &Account, tolerances: &Tolerances) -> Vec<Difference> {
    let found = |account| Found { decisions: &[], account: Some(account) };
    compare(found(a), found(b), tolerances)
}

fn kinds(a: &Account, b: &Account, tolerances: &Tolerances) -> Vec<(String, What, String)> {
    between(a, b, tolerances)
        .into_iter()
        .map(|found| (found.lane.clone(), found.what, found.text().to_owned()))
        .collect()
}

/// Latencies may differ by so many milliseconds.
fn latency(millis: f64) -> Tolerances {
    let latency = Bounds { absolute: Some(millis * 1000.0), relative: None };
    Tolerances { latency, ..Tolerances::default() }
}

#[test]
fn the_same_is_the_same_however_much_later_its_causes_are() {
    let a = account(&[(0, "power on"), (100, "ping")], &[("console", &[(30, "ready"), (101, "pong")])]);
    let b = account(&[(0, "power on"), (900, "ping")], &[("console", &[(30, "ready"), (901, "pong")])]);
    assert_eq!(between(&a, &a, &Tolerances::default()), []);
    // The case acts later; the answer is as fast as before.
    assert_eq!(between(&a, &b, &Tolerances::default()), []);
}

#[test]
fn a_missing_line_is_missing_and_an_extra_frame_is_extra() {
    let a = account(&[(0, "on")], &[("console", &[(1, "one"), (2, "two"), (3, "three")])]);
    let b = account(&[(0, "on")], &[("console", &[(1, "one"), (3, "three")])]);
    let one = ("console".to_owned(), What::Missing, "two".to_owned());
    assert_eq!(kinds(&a, &b, &Tolerances::default()), [one]);
    let two = ("console".to_owned(), What::Extra, "two".to_owned());
    assert_eq!(kinds(&b, &a, &Tolerances::default()), [two]);
    assert_eq!(between(&a, &b, &Tolerances::default())[0].cause, "on");
}

#[test]
fn a_late_response_is_late_after_its_cause() {
    let a = account(&[(0, "on"), (50, "ask")], &[("net 0", &[(52, "answer")])]);
    let b = account(&[(0, "on"), (60, "ask")], &[("net 0", &[(67, "answer")])]);
    let told = between(&a, &b, &latency(11.0));
    assert_eq!(told, [], "within the bounds, the later question included");
    let told = between(&a, &b, &latency(4.9));
    let late = told.iter().find(|found| found.lane == "net 0").expect("it is late");
    assert_eq!((late.what, late.cause.as_str()), (What::Latency, "ask"));
    assert_eq!(late.values(), Some((2000.0, 7000.0)));
}

#[test]
fn what_came_before_a_question_on_one_rig_does_not_answer_it() {
    let a = account(&[(0, "on"), (50, "ask")], &[("console", &[(60, "line")])]);
    let b = account(&[(0, "on"), (58, "ask")], &[("console", &[(55, "line")])]);
    let told = between(&a, &b, &Tolerances::default());
    assert_eq!((told.len(), told[0].cause.as_str()), (1, "on"));
    assert_eq!(told[0].values(), Some((60_000.0, 55_000.0)));
}

#[test]
fn figures_in_a_text_do_not_keep_it_from_its_like() {
    let a = account(&[], &[("console", &[(1, "heap 120 of 300"), (2, "up")])]);
    let b = account(&[], &[("console", &[(1, "heap 90 of 300"), (2, "up")])]);
    let told = between(&a, &b, &Tolerances::default());
    assert_eq!(told.len(), 1);
    assert_eq!((told[0].what, told[0].values()), (What::Figure, Some((120.0, 90.0))));
    // Bytes have no figures: others are others.
    let bytes = |content: &[u8]| {
        let entries = vec![Entry::bytes(0, "frame, 1 pixels", content)];
        let lane = Lane { entries, left_out: 0 };
        Account {
            ended_ns: 1_000_000_000,
            lanes: BTreeMap::from([("leds.0".to_owned(), lane)]),
            ..Account::default()
        }
    };
    let told: Vec<What> =
        between(&bytes(b"one"), &bytes(b"two"), &latency(1.0)).iter().map(|found| found.what).collect();
    assert_eq!(told, [What::Missing, What::Extra]);
}

#[test]
fn lanes_are_independent_of_each_other() {
    let console: &[(u64, &str)] = &[(5, "a"), (9, "b")];
    let one = account(&[(0, "on")], &[("console", console), ("net 0", &[(6, "x"), (8, "y")])]);
    // The network has moved between the lines of the console: order across lanes says nothing.
    let other = account(&[(0, "on")], &[("console", console), ("net 0", &[(4, "x"), (10, "y")])]);
    assert_eq!(between(&one, &other, &latency(2.0)), []);
    let swapped =
        account(&[(0, "on")], &[("console", &[(5, "b"), (9, "a")]), ("net 0", &[(6, "x"), (8, "y")])]);
    assert_eq!(between(&one, &swapped, &latency(4.0)), [], "two tasks, each of them in time");
    assert_ne!(between(&one, &swapped, &latency(3.9)), [], "one of them is late");
    let turned = account(&[(0, "on")], &[("console", console), ("net 0", &[(6, "y"), (8, "x")])]);
    assert_ne!(between(&one, &turned, &latency(10.0)), [], "a connection has an order");
}

#[test]
fn a_delay_is_told_once_and_slow_drift_when_it_is_large() {
    let lines: Vec<String> = (0..20).map(|line| format!("line {}", char::from(b'a' + line))).collect();
    let told = |at: &dyn Fn(u64) -> u64| {
        let lines: Vec<(u64, &str)> =
            lines.iter().enumerate().map(|(place, line)| (at(place as u64), line.as_str())).collect();
        account(&[(0, "on")], &[("console", &lines)])
    };
    let punctual = told(&|place| 20 * place);
    let once = told(&|place| 20 * place + if place < 7 { 0 } else { 9 });
    let found = between(&punctual, &once, &latency(2.0));
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!((found[0].text(), found[0].values()), ("line h", Some((140_000.0, 149_000.0))));
    // A millisecond more with each line: told when it is 3 ms, and then every 3 ms.
    let drifting = told(&|place| 21 * place);
    let found = between(&punctual, &drifting, &latency(2.0));
    assert_eq!(found.len(), 6, "{found:?}");
    assert_eq!(
        (found[1].cause.as_str(), found[1].values()),
        ("on, +3000.0 µs already", Some((120_000.0, 123_000.0)))
    );
}

#[test]
fn nobody_misses_what_there_was_no_time_for() {
    let a = account(&[(0, "on"), (50, "off")], &[("console", &[(10, "one"), (47, "two")])]);
    let mut b = account(&[(0, "on"), (40, "off")], &[("console", &[(10, "one")])]);
    assert_eq!(between(&a, &b, &Tolerances::default()), [], "it was switched off before");
    b.stimuli = lane(&[(0, "on"), (48, "off")]);
    assert_eq!(kinds(&a, &b, &Tolerances::default()).len(), 1, "it had the time");
    let (a, mut b) = (account(&[(0, "on")], &[("leds.0", &[(500, "frame")])]), account(&[(0, "on")], &[]));
    assert_eq!(between(&a, &b, &Tolerances::default()).len(), 1);
    b.ended_ns = 499_000_000;
    assert_eq!(between(&a, &b, &Tolerances::default()), [], "the case was over");
}

#[test]
fn what_is_declared_has_its_reason_and_a_stale_reason_is_found_out() {
    let text = r#"
schema = 1
[[tolerance]]
lane = "console"
text = "heap *"
what = "figure"
relative = 0.5
cause = "port-difference"
reason = "Pointers are half as wide."
[[tolerance]]
lane = "panel"
cause = "model-error"
reason = "Once there was a panel."
"#;
    let tolerances = Tolerances::parse("parity.toml", text).expect("well formed");
    let a = account(&[], &[("console", &[(1, "heap 100")])]);
    let with = |figure: &str| account(&[], &[("console", &[(1, figure)])]);
    let tabled = |b: &Account| rows("case", between(&a, b, &tolerances), &tolerances);
    let near = tabled(&with("heap 60"));
    assert_eq!((near.len(), near[0].declared), (1, Some(0)));
    assert_eq!(tolerances.stale(&near), [1]);
    let far = tabled(&with("heap 10"));
    assert_eq!(far[0].declared, None, "beyond the bounds");
    assert_eq!(tolerances.stale(&far), [0, 1]);
}

#[test]
fn verdicts_and_measured_figures_are_held_against_each_other() {
    let decision = |verdict, ms: f64| {
        let mut decision = Decision::new("case", "rig", Fidelity::Modelled, verdict);
        let samples = Distribution::new(Unit::Milliseconds, [1.0, ms]).expect("samples");
        decision.measured = Some(Measured::figures(&samples, None));
        [("T-ONE".to_owned(), decision)]
    };
    let (pass, other, fail) =
        (decision(Verdict::Pass, 5.0), decision(Verdict::Pass, 5.4), decision(Verdict::Fail, 5.0));
    let found = |decisions| Found { decisions, account: None };
    let usual =
        Tolerances { figures: Bounds { absolute: None, relative: Some(0.1) }, ..Tolerances::default() };
    assert_eq!(compare(found(&pass), found(&other), &usual), []);
    let told = compare(found(&pass), found(&other), &Tolerances::default());
    assert_eq!(told.iter().map(|found| found.values()).collect::<Vec<_>>(), [Some((5.0, 5.4))]);
    let told = compare(found(&pass), found(&fail), &usual);
    assert_eq!((told.len(), told[0].what), (1, What::Verdict));
}

#[test]
fn rows_gather_what_is_alike_and_keep_the_first_and_the_worst() {
    let told = |lates: [u64; 8]| {
        let told: Vec<(u64, &str)> = lates
            .iter()
            .zip(["a", "b", "c", "d", "e", "f", "g", "h"])
            .map(|(at, what)| (*at, what))
            .collect();
        account(&[], &[("net 3", &told)])
    };
    let (a, b) = (told([1, 2, 3, 4, 5, 6, 7, 8]), told([2, 4, 6, 8, 10, 15, 17, 19]));
    let rows = rows("case", between(&a, &b, &Tolerances::default()), &Tolerances::default());
    assert_eq!(rows.len(), 1);
    assert_eq!((rows[0].lane.as_str(), rows[0].count, rows[0].examples.len()), ("net", 8, 5));
    assert_eq!(rows[0].worst.as_ref().map(Difference::text), Some("f"));
}
