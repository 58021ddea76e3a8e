use rigor_core::result::Measured;

use super::*;
use crate::sample;

fn found<'a>(run: &'a mut RunResult, id: &str) -> &'a mut RequirementResult {
    run.requirements.iter_mut().find(|found| found.id.as_str() == id).unwrap()
}

fn figures<'a>(run: &'a mut RunResult, id: &str) -> &'a mut Summary {
    match &mut found(run, id).measured {
        Some(Measured::Distribution(summary)) => summary,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_run_is_like_itself() {
    let run = sample::run();
    let same = compare(&run, &run);
    assert_eq!((same.worse.len(), same.better.len(), same.moved.len(), same.alike), (0, 0, 0, 10));
    assert!(!same.is_worse());
    assert!(same.text().ends_with("0 worse, 0 better, 0 figures moved, 0 new, 0 gone, 10 alike\n"));
}

#[test]
fn verdicts_that_changed_are_told_with_the_reason() {
    let before = sample::run();
    let mut after = before.clone();
    let period = found(&mut after, "K1-LED-002");
    (period.verdict, period.reason) = (Verdict::Fail, Some("too slow\u{1b}[2J".to_owned()));
    found(&mut after, "K1-LED-006").verdict = Verdict::Pass;
    let told = compare(&before, &after);
    assert!(told.is_worse());
    let text = told.text();
    assert!(
        text.contains("worse (1):\n  K1-LED-002 frame period  PASS -> FAIL: too slow\\u{1b}[2J\n"),
        "{text}"
    );
    assert!(text.contains("better (1):\n  K1-LED-006 pixel mapping  FAIL -> PASS"), "{text}");
    assert!(!compare(&after, &after).is_worse(), "as bad as before is not worse");
}

#[test]
fn a_should_that_fails_is_told_and_does_not_make_it_worse() {
    let mut before = sample::run();
    found(&mut before, "K1-UPL-014").verdict = Verdict::Pass;
    let told = compare(&before, &sample::run());
    assert_eq!(told.worse.len(), 1);
    assert!(!told.is_worse());
}

#[test]
fn a_figure_has_moved_only_beyond_its_noise() {
    let before = sample::run();
    let shifted = |by: f64| {
        let mut after = before.clone();
        let summary = figures(&mut after, "K1-LED-002");
        for figure in [
            &mut summary.min,
            &mut summary.p50,
            &mut summary.p95,
            &mut summary.p99,
            &mut summary.max,
            &mut summary.mean,
        ] {
            *figure += by;
        }
        compare(&before, &after)
    };
    assert_eq!(shifted(1e-12).moved, [], "a last bit is no news");
    let told = shifted(0.1);
    assert_eq!(told.moved.len(), 1, "the mean moved as the median did: {:?}", told.moved);
    let moved = &told.moved[0];
    assert_eq!((moved.figure, moved.worse), ("p50", Some(true)));
    assert!(
        told.text().contains("p50 8.333 ms -> 8.433 ms (+100 µs, +1.2 %, nearer to the limit"),
        "{}",
        told.text()
    );
    assert!(!told.is_worse(), "it still holds");
}

#[test]
fn what_an_instrument_cannot_tell_has_not_moved() {
    let before = sample::run();
    let mut after = before.clone();
    let idle = figures(&mut after, "K1-NET-004");
    (idle.min, idle.p50, idle.p95, idle.p99, idle.max, idle.mean) = (6.9, 6.9, 6.9, 6.9, 6.9, 6.9);
    assert_eq!(compare(&before, &after).moved, [], "1.7 s, but each is known to a second only");
    figures(&mut after, "K1-NET-004").p50 = 7.3;
    assert_eq!(compare(&before, &after).moved.len(), 1);
}

#[test]
fn noise_shrinks_with_the_count_and_grows_with_the_spread() {
    let mut run = sample::run();
    let mut summary = *figures(&mut run, "K1-UPL-014");
    let wide = noise("p50", &summary);
    summary.count *= 100;
    assert!((noise("p50", &summary) - wide / 10.0).abs() < 1e-9);
    assert!(noise("p99", &summary) > noise("p50", &summary));
    summary.count = 1;
    assert_eq!(noise("p50", &summary), 0.0);
}

#[test]
fn new_and_vanished_requirements_and_other_budgets_are_named() {
    let before = sample::run();
    let mut after = before.clone();
    let gone = after.requirements.remove(0);
    after.requirements.push(RequirementResult { system: "other".to_owned(), ..gone });
    found(&mut after, "K1-LED-004").budget = None;
    let told = compare(&before, &after);
    assert_eq!((told.new.len(), told.gone.len(), told.budgets.len()), (1, 1, 1));
    assert!(told.is_worse(), "a `must` that held is gone");
    let text = told.text();
    assert!(text.contains("gone (1):\n  K1-LED-002 frame period  PASS"), "{text}");
    assert!(text.contains("K1-LED-004 longest gap  `every <= 16.67 ms` -> ``"), "{text}");
}

#[test]
fn the_page_escapes_what_it_shows() {
    let before = sample::run();
    let mut after = before.clone();
    let period = found(&mut after, "K1-LED-002");
    let evil = "<img src=x onerror=alert(1)>\u{202e}</script>";
    (period.verdict, period.reason) = (Verdict::Fail, Some(evil.to_owned()));
    period.title = evil.to_owned();
    after.run.id = evil.to_owned();
    let page = compare(&before, &after).html();
    assert!(!page.contains("<img") && !page.contains('\u{202e}'), "{page}");
    assert_eq!(page.matches("</script>").count(), 1);
}
