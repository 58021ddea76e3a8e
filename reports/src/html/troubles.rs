//! What did not pass, first and in full: the sentence, the figure against what is allowed, how far apart
//! the two are, why, and how to see it again. Then what did not run, and why.

use std::collections::BTreeMap;

use rigor_core::result::{Measured, NotRun, RunResult};
use rigor_core::verdict::Verdict;

use super::detail::repeat;
use super::head::worst_first;
use super::markup::Markup;
use super::page::{allowed, class, glyph};
use super::plot;
use super::view::Row;
use crate::figure;
use crate::text::clip;

/// Cards of one kind; more than these are named in a line each, because nobody reads fifty.
const MAX_CARDS: usize = 12;
/// Characters of a reason in a line.
const MAX_REASON: usize = 160;

/// The kinds of trouble, in the order of what to look at first: the verdict, whose fault it is, and what
/// that means.
const KINDS: [(Verdict, &str); 4] = [
    (Verdict::Fail, "The product fails"),
    (Verdict::HarnessBug, "The harness is wrong; nothing was decided"),
    (Verdict::RigFault, "The bench failed; nothing was decided"),
    (Verdict::Inconclusive, "Nobody can tell; the evidence does not suffice"),
];

/// Every requirement that was tried and did not pass: first what keeps the run from being green.
pub(super) fn failed(page: &mut Markup, result: &RunResult, rows: &[Row<'_>]) {
    let sorted = worst_first(rows);
    let of = |gates| -> Vec<&Row<'_>> {
        sorted.iter().copied().filter(|row| row.is_trouble() && row.gates() == gates).collect()
    };
    group(page, result, "failed", "What failed", &of(true));
    group(page, result, "ungated", "Not met, but does not gate", &of(false));
}

fn group(
    page: &mut Markup,
    result: &RunResult,
    id: &'static str,
    heading: &'static str,
    troubles: &[&Row<'_>],
) {
    if troubles.is_empty() {
        return;
    }
    page.element("section", &[("id", id)], |page| {
        page.element("h2", &[], |page| {
            page.text(heading);
            page.classed("span", "count", &troubles.len().to_string());
        });
        let (mut carded, mut listed) = (Vec::new(), Vec::new());
        for (verdict, _) in KINDS {
            let mut own = one_cause(troubles.iter().copied().filter(|row| row.found.verdict == verdict));
            listed.extend(own.split_off(own.len().min(MAX_CARDS)));
            carded.extend(own);
        }
        page.element("div", &[("class", "cards")], |page| {
            for rows in carded {
                card(page, result, &rows);
            }
        });
        if !listed.is_empty() {
            page.element("ul", &[("class", "lines")], |page| {
                for row in listed.into_iter().flatten() {
                    line(page, row);
                }
            });
        }
    });
}

/// Requirements of which one case says the same without any figure fell together, and are told together: in
/// the order of the first of each.
fn one_cause<'r, 'a>(rows: impl Iterator<Item = &'r Row<'a>>) -> Vec<Vec<&'r Row<'a>>> {
    let mut causes: Vec<Vec<&Row<'_>>> = Vec::new();
    let mut known: BTreeMap<(usize, &str), usize> = BTreeMap::new();
    for row in rows {
        let cause = match (row.case, &row.found.reason, figure::summary(row.found)) {
            (Some(case), Some(reason), None) => Some((case, reason.as_str())),
            _ => None,
        };
        match cause.and_then(|cause| known.get(&cause)) {
            Some(&place) => causes[place].push(row),
            None => {
                known.extend(cause.map(|cause| (cause, causes.len())));
                causes.push(vec![row]);
            }
        }
    }
    causes
}

/// One cause: a requirement with its figure, or several of which a case says the same.
fn card(page: &mut Markup, result: &RunResult, rows: &[&Row<'_>]) {
    let Some(row) = rows.first() else { return };
    let (found, verdict) = (row.found, class(row.found.verdict));
    let link = format!("#{}", row.anchor);
    page.element("article", &[("class", &format!("card {verdict}"))], |page| {
        let kind = KINDS.into_iter().find(|(verdict, _)| *verdict == found.verdict);
        page.element("p", &[("class", "kind")], |page| {
            glyph(page, verdict);
            page.text(match (row.gates(), kind) {
                (false, _) => "Not met; it is shown and does not gate",
                (true, Some((_, meaning))) => meaning,
                (true, None) => "",
            });
        });
        for row in rows {
            page.element("h3", &[], |page| {
                page.leaf("a", &[("href", &format!("#{}", row.anchor))], row.found.id.as_str());
                page.text(" ");
                page.text(&row.found.title);
                if !row.gates() {
                    page.classed("small", "tag", &row.found.class.to_string());
                }
            });
            // Of several the sentences would hide what they have in common.
            if rows.len() == 1 {
                page.classed("p", "sentence", &row.found.text);
            }
        }
        if let (Some(summary), Some(figure)) = (figure::summary(found), figure::judged(found)) {
            page.element("div", &[("class", "against")], |page| {
                page.element("p", &[("class", "figure")], |page| {
                    page.leaf("b", &[], &figure.amount.to_string());
                    page.text(&format!(" {}", figure.name));
                    if let Some(budget) = &found.budget {
                        page.classed("span", "allowed", &format!("allowed {}", allowed(budget)));
                    }
                    if let Some(distance) = figure::distance(found) {
                        page.classed("span", "distance", &distance);
                    }
                });
                plot::strip(page, summary, found.budget.as_ref());
            });
        } else if let Some(Measured::Text(text)) = &found.measured {
            page.classed("p", "seen", &clip(text, 300));
        }
        if let Some(reason) = &found.reason {
            page.element("p", &[("class", "reason")], |page| page.prose(reason));
        }
        page.element("p", &[("class", "next")], |page| {
            page.leaf("a", &[("href", &link)], "Evidence");
            if let Some(command) = repeat(result, row) {
                page.leaf("code", &[("class", "command")], command);
            }
        });
    });
}

fn line(page: &mut Markup, row: &Row<'_>) {
    page.element("li", &[], |page| {
        glyph(page, class(row.found.verdict));
        page.leaf("a", &[("href", &format!("#{}", row.anchor))], row.found.id.as_str());
        page.text(&format!(" {} ", row.found.title));
        let distance = figure::distance(row.found);
        let said = distance.or_else(|| row.found.reason.as_deref().map(|reason| clip(reason, MAX_REASON)));
        page.classed("span", "reason", &said.unwrap_or_default());
    });
}

/// Everything that did not run, by why.
pub(super) fn not_run(page: &mut Markup, rows: &[Row<'_>]) {
    let mut why: BTreeMap<(u8, &str), Vec<&Row<'_>>> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.found.verdict == Verdict::NotRun) {
        let kind = match row.found.not_run {
            Some(NotRun::NeedMissing | NotRun::Interrupted) => 0,
            Some(NotRun::Planned) => 1,
            _ => 2,
        };
        why.entry((kind, row.found.reason.as_deref().unwrap_or_default())).or_default().push(row);
    }
    if why.is_empty() {
        return;
    }
    let total: usize = why.values().map(Vec::len).sum();
    let kinds = [(0, "for want of a part"), (1, "planned"), (2, "not selected")];
    let of_kind =
        |kind: u8| why.iter().filter(|((own, _), _)| *own == kind).map(|(_, rows)| rows.len()).sum();
    let said: Vec<String> = kinds
        .iter()
        .map(|(kind, name)| (of_kind(*kind), name))
        .filter(|(count, _): &(usize, _)| *count > 0)
        .map(|(count, name)| format!("{count} {name}"))
        .collect();
    page.element("section", &[("id", "not-run")], |page| {
        page.element("details", &[], |page| {
            page.element("summary", &[], |page| {
                page.element("h2", &[], |page| {
                    page.text("What did not run, and why");
                    page.classed("span", "count", &total.to_string());
                    page.classed("small", "what", &said.join(", "));
                });
            });
            page.element("dl", &[("class", "why")], |page| {
                for ((kind, reason), rows) in &why {
                    let kind = kinds[usize::from(*kind)].1;
                    let reason = if reason.is_empty() { "no reason was given" } else { *reason };
                    page.element("dt", &[], |page| {
                        page.classed("b", "kind", kind);
                        page.text(" ");
                        page.prose(reason);
                    });
                    page.element("dd", &[], |page| {
                        for row in rows {
                            page.element("span", &[("class", "name")], |page| {
                                page.leaf(
                                    "a",
                                    &[("href", &format!("#{}", row.anchor))],
                                    row.found.id.as_str(),
                                );
                                page.text(&format!(" {}", row.found.title));
                            });
                            page.text(" ");
                        }
                    });
                }
            });
        });
    });
}
