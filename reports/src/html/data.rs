//! The evidence of cases as data blocks, which the script draws when somebody opens a row.
//!
//! It is the bulk of a page, so it has a room: what did not pass is put in whole as long as it fits, then
//! the others share what is left, thinned out where their share is too small. What is missing says so.

use rigor_core::evidence::Evidence;
use rigor_core::result::RunResult;
use rigor_core::verdict::Verdict;
use serde_json::{Value, json};

use super::markup::Markup;
use super::page;
use crate::text::visible;

/// Bytes of a page, evidence included: what a mail or a ticket still takes.
const PAGE: usize = 4_750_000;
/// Bytes of evidence that there is room for, however much else a page holds.
const LEAST: usize = 500_000;

/// How much of a case's evidence goes in.
#[derive(Clone, Copy)]
struct Measure {
    marks: usize,
    points: usize,
    pictures: usize,
    lines: usize,
    /// Of exchanges the last ones: what went wrong is at the end.
    falls: usize,
}

const WHOLE: Measure = Measure {
    marks: usize::MAX,
    points: usize::MAX,
    pictures: usize::MAX,
    lines: usize::MAX,
    falls: usize::MAX,
};
const THIN: Measure = Measure { marks: 60, points: 120, pictures: 2, lines: 40, falls: 6 };
const SCANT: Measure = Measure { marks: 16, points: 40, pictures: 1, lines: 12, falls: 2 };
const BARE: Measure = Measure { marks: 6, points: 24, pictures: 0, lines: 6, falls: 1 };

pub(super) fn render(body: &mut Markup, result: &RunResult) {
    let mut order: Vec<usize> = (0..result.cases.len()).collect();
    // A stable sort: among equals the order of the result.
    order.sort_by_key(|&place| match result.cases[place].verdict {
        Verdict::Pass => 1,
        Verdict::NotRun => 2,
        _ => 0,
    });
    let with: Vec<(usize, &Evidence)> =
        order.into_iter().filter_map(|place| Some((place, result.cases[place].evidence.as_ref()?))).collect();
    let (start, total) = (body.len(), with.len());
    let room = PAGE.saturating_sub(start + page::STYLE.len() + page::SCRIPT.len()).max(LEAST);
    for (turn, (place, evidence)) in with.into_iter().enumerate() {
        let left = room.saturating_sub(body.len() - start);
        let passed = result.cases[place].verdict == Verdict::Pass;
        let share = if passed { left / (total - turn) } else { left / 2 };
        let text = [WHOLE, THIN, SCANT, BARE]
            .into_iter()
            // Most are far too large for their share, and making them only to see that is most of the work.
            .filter(|measure| least(evidence, *measure) <= share)
            .map(|measure| block(evidence, measure).to_string())
            .find(|text| text.len() <= share);
        let text = text.unwrap_or_else(|| json!({ "outside": true }).to_string());
        body.data(&format!("evidence-{place}"), &text);
    }
}

/// Bytes that [`block`] gives at the very least: its texts, and a digit and a separator for each number.
fn least(evidence: &Evidence, measure: Measure) -> usize {
    let marks = |marks: &[rigor_core::evidence::Mark], most: usize| -> usize {
        marks.iter().take(most).map(|mark| mark.text.len() + 8).sum()
    };
    let first = evidence.waterfalls.len().saturating_sub(measure.falls);
    let from = evidence.log.len().saturating_sub(measure.lines);
    evidence.lanes.iter().map(|lane| marks(&lane.marks, measure.marks)).sum::<usize>()
        + evidence.waterfalls[first..].iter().map(|fall| marks(&fall.steps, measure.marks)).sum::<usize>()
        + evidence.series.iter().map(|series| 5 * thinned_to(&series.points, measure.points)).sum::<usize>()
        + evidence.pictures.iter().take(measure.pictures).map(|picture| picture.png.len()).sum::<usize>()
        + evidence.log[from..].iter().map(|line| line.text.len() + 5).sum::<usize>()
}

/// How many points [`thinned`] leaves at least.
fn thinned_to(points: &[(u64, f64)], most: usize) -> usize {
    if points.len() <= most { points.len() } else { points.len() / points.len().div_ceil((most / 2).max(1)) }
}

/// What the script reads. Texts are made visible here, because the script puts them in as they are.
fn block(evidence: &Evidence, measure: Measure) -> Value {
    let marks = |marks: &[rigor_core::evidence::Mark], most: usize| -> Vec<Value> {
        marks.iter().take(most).map(|mark| json!([mark.at_ns, mark.length_ns, visible(&mark.text)])).collect()
    };
    let lanes: Vec<Value> = evidence
        .lanes
        .iter()
        .map(|lane| {
            let surplus = lane.marks.len().saturating_sub(measure.marks) as u64;
            json!({
                "name": visible(&lane.name),
                "kind": lane.kind,
                "marks": marks(&lane.marks, measure.marks),
                "left": lane.left_out.saturating_add(surplus),
            })
        })
        .collect();
    let pictures: Vec<Value> = evidence
        .pictures
        .iter()
        .take(measure.pictures)
        .map(|picture| {
            json!({
                "at": picture.at_ns,
                "caption": visible(&picture.caption),
                "size": [picture.width, picture.height],
                "png": picture.png,
            })
        })
        .collect();
    let series: Vec<Value> = evidence
        .series
        .iter()
        .map(|series| {
            let points = thinned(&series.points, measure.points);
            let surplus = (series.points.len() - points.len()) as u64;
            json!({
                "name": visible(&series.name),
                "unit": series.unit,
                "points": points,
                "limits": series.limits,
                "left": series.left_out.saturating_add(surplus),
            })
        })
        .collect();
    let first = evidence.waterfalls.len().saturating_sub(measure.falls);
    let falls: Vec<Value> = evidence.waterfalls[first..]
        .iter()
        .map(|fall| json!({ "name": visible(&fall.name), "steps": marks(&fall.steps, measure.marks) }))
        .collect();
    let from = evidence.log.len().saturating_sub(measure.lines);
    let log: Vec<Value> =
        evidence.log[from..].iter().map(|line| json!([line.at_ns, visible(&line.text)])).collect();
    json!({
        "from": evidence.from_ns,
        "until": evidence.until_ns,
        "lanes": lanes,
        "pictures": pictures,
        "unshown": evidence.pictures.len() - pictures.len(),
        "series": series,
        "falls": falls,
        "unfallen": first,
        "log": log,
        "unlogged": from,
        "files": evidence.files.iter().map(|file| visible(file)).collect::<Vec<_>>(),
    })
}

/// At most `most` points: of each stretch the smallest and the largest, because what sticks out is what
/// people look for.
fn thinned(points: &[(u64, f64)], most: usize) -> Vec<(u64, f64)> {
    if points.len() <= most {
        return points.to_vec();
    }
    let stretch = points.len().div_ceil((most / 2).max(1));
    points
        .chunks(stretch)
        .flat_map(|chunk| {
            let by_value = |a: &&(u64, f64), b: &&(u64, f64)| a.1.total_cmp(&b.1);
            let mut ends: Vec<(u64, f64)> = [chunk.iter().min_by(by_value), chunk.iter().max_by(by_value)]
                .into_iter()
                .flatten()
                .copied()
                .collect();
            ends.sort_by_key(|point| point.0);
            ends.dedup();
            ends
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Otherwise evidence that fits would stay outside.
    #[test]
    fn no_block_is_smaller_than_the_least() {
        let runs = [crate::html::large::large(8), crate::sample::run()];
        let cases = runs.iter().flat_map(|run| &run.cases);
        let mut asked = 0;
        for evidence in cases.filter_map(|case| case.evidence.as_ref()) {
            for measure in [WHOLE, THIN, SCANT, BARE] {
                let (bound, size) = (least(evidence, measure), block(evidence, measure).to_string().len());
                assert!(bound <= size && size < 8 * bound + 2000, "{bound} {size}");
                asked += 1;
            }
        }
        assert!(asked >= 32, "{asked}");
    }

    #[test]
    fn thinning_keeps_what_sticks_out() {
        let mut points: Vec<(u64, f64)> = (0..1000).map(|at| (at, 8.333)).collect();
        points[777].1 = 25.0;
        points[13].1 = 1.0;
        let kept = thinned(&points, 40);
        assert!(kept.len() <= 40, "{}", kept.len());
        assert!(kept.contains(&(777, 25.0)) && kept.contains(&(13, 1.0)), "{kept:?}");
        assert!(kept.is_sorted_by_key(|point| point.0));
        assert_eq!(thinned(&points, 1000), points);
    }
}
