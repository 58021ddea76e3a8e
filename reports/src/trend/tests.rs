use rigor_core::result::{Measured, OnRig};

use super::*;
use crate::sample;

/// A run of the sample that began on a certain day and whose frame period is off by `by`.
fn run(day: u32, by: f64) -> RunResult {
    let mut run = sample::run();
    run.run.id = format!("run-{day}");
    run.run.started = format!("2025-01-{day:02}T12:00:00.5+00:00");
    for found in &mut run.requirements {
        let summary = match &mut found.measured {
            Some(Measured::Distribution(summary)) => {
                if found.id.as_str() == "K1-LED-002" {
                    for figure in [&mut summary.p50, &mut summary.p95, &mut summary.p99, &mut summary.max] {
                        *figure += by;
                    }
                }
                Some(*summary)
            }
            _ => None,
        };
        found.rigs = vec![OnRig {
            rig: "virtual".to_owned(),
            case: String::new(),
            verdict: found.verdict,
            fidelity: rigor_core::time::Fidelity::Modelled,
            measured: summary,
            margin: found.margin,
        }];
    }
    run
}

fn history(days: u32) -> Vec<RunResult> {
    (1..=days).map(|day| run(day, if day > days / 2 { 0.25 } else { 0.0 })).collect()
}

#[test]
fn runs_stand_in_the_order_of_their_beginning_and_a_change_is_found() {
    let mut runs = history(24);
    runs.reverse();
    // Earlier than it looks: noon in the east.
    runs[0].run.started = "2025-01-01T05:00:00+09:00".to_owned();
    let trend = of(&runs);
    assert_eq!((trend.runs[0].id.as_str(), trend.runs[1].id.as_str()), ("run-24", "run-1"));
    let trend = of(&history(24));
    let line = trend.lines.iter().find(|line| line.id.as_str() == "K1-LED-002").unwrap();
    assert_eq!(line.medians.len(), 1, "{line:?}");
    assert_eq!(line.medians[0].at, 12);
    assert_eq!(trend.news().count(), 1);
    let text = trend.text();
    assert!(
        text.contains(
            "K1-LED-002 frame period on virtual\n  p50 8.333 ms -> 8.583 ms from run run-13 on (p "
        ),
        "{text}"
    );
}

#[test]
fn verdicts_that_flip_are_news() {
    let mut runs = history(1);
    runs.push(run(2, 0.0));
    runs.push(run(3, 0.0));
    runs[1].requirements[2].rigs[0].verdict = Verdict::Fail;
    let trend = of(&runs);
    let news: Vec<&Line> = trend.news().collect();
    assert_eq!((news.len(), news[0].flips()), (1, 2));
    assert!(trend.text().contains("  verdicts .F.\n"), "{}", trend.text());
}

#[test]
fn a_run_without_a_time_is_left_out_by_name() {
    let mut runs = history(3);
    runs[1].run.started = "yesterday\u{1b}".to_owned();
    let trend = of(&runs);
    assert_eq!(trend.runs.len(), 2);
    assert_eq!(trend.left_out, ["run run-2: `yesterday\\u{1b}` is no time that can be put in order"]);
}

#[test]
fn a_folder_is_read_with_what_is_broken_left_out() {
    let folder = std::env::temp_dir().join(format!("rigor-trend-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    for run in history(3) {
        let own = store::RunFolder::create(&folder, &run.run.id).unwrap();
        own.publish(&run).unwrap();
        own.point_here(store::LATEST).unwrap();
    }
    std::fs::create_dir_all(folder.join("broken")).unwrap();
    std::fs::write(folder.join("broken/results.json"), "{").unwrap();
    std::fs::create_dir_all(folder.join("empty")).unwrap();
    let trend = read_folder(&folder).unwrap();
    let _ = std::fs::remove_dir_all(&folder);
    assert_eq!(trend.runs.len(), 3, "`latest` is a name of a run that counts already");
    assert_eq!(trend.left_out.len(), 1);
    assert!(trend.left_out[0].contains("broken"), "{:?}", trend.left_out);
    let error = read_folder(&folder).unwrap_err().to_string();
    assert!(error.contains("cannot list") && error.contains("name a folder"), "{error}");
}

#[test]
fn the_page_escapes_what_it_shows() {
    let mut runs = history(3);
    let evil = "<script>alert(1)</script>\u{202e}";
    for run in &mut runs {
        run.run.id = evil.to_owned();
        for found in &mut run.requirements {
            found.title = evil.to_owned();
            found.rigs[0].rig = evil.to_owned();
        }
    }
    let page = of(&runs).html();
    assert_eq!(page.matches("<script>").count(), 1, "only ours");
    assert!(!page.contains('\u{202e}'));
    assert!(of(&[]).html().contains("0 runs"));
}
