//! What stands below a requirement's line: everything that is known of it, and the place where the script
//! draws the evidence of its case.

use rigor_core::distribution::Summary;
use rigor_core::result::{CaseResult, RequirementResult, RunResult};
use rigor_core::unit::Amount;
use rigor_core::verdict::Verdict;

use super::head::took;
use super::markup::Markup;
use super::page::{class, glyph};
use super::plot;
use super::view::Row;
use crate::figure;

/// Cases that are listed of one requirement.
const MAX_CASES: usize = 20;

/// The command that shows `row`'s verdict again.
pub(super) fn repeat<'a>(result: &'a RunResult, row: &Row<'_>) -> Option<&'a str> {
    result.cases.get(row.case?)?.repeat.as_deref()
}

pub(super) fn render(page: &mut Markup, result: &RunResult, row: &Row<'_>) {
    let found = row.found;
    page.element("div", &[("class", "told")], |page| {
        let clause = format!("{}; {}", found.clause, found.class);
        page.classed("p", "clause", &clause);
        if let Some(reading) = &found.reading {
            page.element("p", &[("class", "reading")], |page| {
                page.leaf("b", &[], "Reading ");
                page.prose(reading);
            });
        }
        if let Some(reason) = &found.reason {
            page.element("p", &[("class", "reason")], |page| page.prose(reason));
        }
        if let Some(command) = repeat(result, row) {
            page.leaf("code", &[("class", "command")], command);
        }
    });
    if let Some(summary) = figure::summary(found) {
        page.element("div", &[("class", "drawn")], |page| {
            figures(page, found, summary);
            if let Some(shape) = &found.shape {
                plot::histogram(page, summary, shape, found.budget.as_ref());
                plot::percentiles(page, shape, summary, found.budget.as_ref());
            }
        });
    }
    if found.rigs.len() > 1 {
        on_rigs(page, found);
    }
    cases(page, result, found);
    let Some(case) = row.case.and_then(|place| result.cases.get(place).map(|case| (place, case))) else {
        return;
    };
    evidence(page, case.0, case.1);
}

/// All figures in a line of pairs.
fn figures(page: &mut Markup, found: &RequirementResult, summary: &Summary) {
    let show = |value| Amount::new(value, summary.unit).to_string();
    page.element("dl", &[("class", "figures")], |page| {
        let mut pair = |name: &str, value: String| {
            page.element("div", &[], |page| {
                page.leaf("dt", &[], name);
                page.leaf("dd", &[], &value);
            });
        };
        pair("samples", summary.count.to_string());
        pair("min", show(summary.min));
        pair("p50", show(summary.p50));
        pair("p95", show(summary.p95));
        pair("p99", show(summary.p99));
        pair("max", show(summary.max));
        pair("mean", show(summary.mean));
        pair("uncertainty", format!("±{}", show(summary.uncertainty)));
        if let Some(floor) = found.floor {
            pair("network floor", floor.to_string());
        }
        if let Some(distance) = figure::distance(found) {
            pair("margin", distance);
        }
    });
}

fn on_rigs(page: &mut Markup, found: &RequirementResult) {
    page.element("table", &[("class", "small")], |page| {
        page.element("thead", &[], |page| {
            page.element("tr", &[], |page| {
                for heading in ["rig", "verdict", "figure", "margin", "fidelity"] {
                    page.leaf("th", &[("scope", "col")], heading);
                }
            });
        });
        page.element("tbody", &[], |page| {
            for on_rig in &found.rigs {
                page.element("tr", &[], |page| {
                    page.leaf("th", &[("scope", "row")], &on_rig.rig);
                    page.element("td", &[], |page| {
                        glyph(page, class(on_rig.verdict));
                        page.text(&on_rig.verdict.to_string().to_lowercase());
                    });
                    let figure = on_rig
                        .measured
                        .as_ref()
                        .and_then(|summary| figure::of(summary, found.budget.as_ref(), on_rig.margin))
                        .map(|figure| format!("{} {}", figure.name, figure.amount));
                    page.leaf("td", &[], &figure.unwrap_or_default());
                    page.leaf("td", &[], &on_rig.margin.map(|margin| margin.to_string()).unwrap_or_default());
                    page.leaf("td", &[], &on_rig.fidelity.to_string());
                });
            }
        });
    });
}

/// The cases that decide it, with their times and seeds.
fn cases(page: &mut Markup, result: &RunResult, found: &RequirementResult) {
    let own: Vec<&CaseResult> = result
        .cases
        .iter()
        .filter(|case| case.system == found.system && case.requirements.contains(&found.id))
        .collect();
    page.element("ul", &[("class", "cases")], |page| {
        for case in own.iter().take(MAX_CASES) {
            page.element("li", &[], |page| {
                glyph(page, class(case.verdict));
                page.leaf("code", &[], &case.name);
                let rig = case.rig.as_deref().unwrap_or("no rig");
                if case.verdict == Verdict::NotRun {
                    page.text(&format!(" on {rig}: {}", case.reason.as_deref().unwrap_or_default()));
                    return;
                }
                let rig_time = Amount::new(case.rig_time_ns as f64, rigor_core::unit::Unit::Nanoseconds);
                page.text(&format!(
                    " on {rig}, seed {}, {rig_time} of the rig's time in {} of ours",
                    case.seed,
                    took(case.wall_ms)
                ));
                match case.retries {
                    0 => {}
                    1 => page.text(", after 1 retry"),
                    more => page.text(&format!(", after {more} retries")),
                }
                if let Some(source) = &case.source {
                    page.text(", ");
                    page.leaf("code", &[], &format!("{}:{}", source.file, source.line));
                }
                for recovery in &case.recoveries {
                    page.classed("small", "qualified", &format!("the bench failed: {}", recovery.line()));
                }
            });
        }
        if own.len() > MAX_CASES {
            page.leaf("li", &[], &format!("and {} more", own.len() - MAX_CASES));
        }
    });
}

/// The place of the case's evidence. Its log is here as text where there is nothing better.
fn evidence(page: &mut Markup, place: usize, case: &CaseResult) {
    let place = place.to_string();
    if case.evidence.is_some() {
        page.element("div", &[("class", "evidence"), ("data-case", &place)], |_| {});
    }
    let told = case.evidence.as_ref().is_some_and(|evidence| !evidence.log.is_empty());
    if !told {
        lines(page, "The device's last words", &case.log_tail);
    }
    lines(page, "Where it crashed", &case.backtrace);
}

/// `lines` as they are, below `title`, if there are any.
fn lines(page: &mut Markup, title: &'static str, lines: &[String]) {
    if !lines.is_empty() {
        page.leaf("h4", &[], title);
        page.element("pre", &[("class", "log")], |page| {
            for line in lines {
                page.text(line);
                page.constant("\n");
            }
        });
    }
}
