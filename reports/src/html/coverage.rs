//! Requirements against rigs: a small square for each requirement on each rig, in the groups of their ids.
//! Seven hundred are seen at once, and what is not green has a letter.

use std::collections::{BTreeMap, BTreeSet};

use rigor_core::result::RunResult;
use rigor_core::verdict::Verdict;

use super::markup::Markup;
use super::page::{class, glyph};
use super::view::{Row, VERDICTS, rank};

/// Rigs that get a column.
const MAX_RIGS: usize = 8;

pub(super) fn render(page: &mut Markup, result: &RunResult, rows: &[Row<'_>]) {
    let mut rigs: Vec<&str> = result.rigs.iter().map(|rig| rig.name.as_str()).collect();
    rigs.dedup();
    let left_out = rigs.len().saturating_sub(MAX_RIGS);
    rigs.truncate(MAX_RIGS);
    let mut groups: BTreeMap<(&str, &str), Vec<&Row<'_>>> = BTreeMap::new();
    for row in rows {
        groups.entry((row.found.system.as_str(), row.group())).or_default().push(row);
    }
    let systems: BTreeSet<&str> = groups.keys().map(|(system, _)| *system).collect();
    page.element("section", &[("id", "coverage")], |page| {
        page.element("h2", &[], |page| {
            page.text("Coverage");
            page.classed("small", "what", "a square for each requirement on each rig");
        });
        page.element("table", &[("class", "mosaic")], |page| {
            page.element("thead", &[], |page| {
                page.element("tr", &[], |page| {
                    page.leaf("th", &[("scope", "col")], "group");
                    for rig in &rigs {
                        page.leaf("th", &[("scope", "col")], rig);
                    }
                    if rigs.is_empty() {
                        page.leaf("th", &[("scope", "col")], "no rig");
                    }
                });
            });
            page.element("tbody", &[], |page| {
                for ((system, group), own) in &groups {
                    page.element("tr", &[], |page| {
                        page.element("th", &[("scope", "row")], |page| {
                            page.text(group);
                            if systems.len() > 1 {
                                page.classed("small", "what", system);
                            }
                        });
                        for rig in &rigs {
                            cells(page, own, Some(rig));
                        }
                        if rigs.is_empty() {
                            cells(page, own, None);
                        }
                    });
                }
            });
        });
        if left_out > 0 {
            page.leaf("p", &[], &format!("{left_out} more rigs are in results.json."));
        }
    });
}

/// What `rig` found of a requirement; where results name no rigs, what was found at all.
fn on(row: &Row<'_>, rig: Option<&str>) -> Verdict {
    let Some(rig) = rig else { return row.found.verdict };
    match row.found.rigs.iter().find(|on_rig| on_rig.rig == rig) {
        Some(on_rig) => on_rig.verdict,
        None if row.found.rigs.is_empty() && row.found.rig.as_deref() == Some(rig) => row.found.verdict,
        None => Verdict::NotRun,
    }
}

fn cells(page: &mut Markup, rows: &[&Row<'_>], rig: Option<&str>) {
    let mut counts = [0_usize; 6];
    for row in rows {
        counts[usize::from(rank(on(row, rig)))] += 1;
    }
    page.element("td", &[], |page| {
        page.element("span", &[("class", "tally")], |page| {
            let parts = VERDICTS.into_iter().zip(counts).filter(|(_, count)| *count > 0);
            for ((_, class, _, name), count) in parts {
                page.element("span", &[("class", "tell"), ("title", name)], |page| {
                    glyph(page, class);
                    page.text(&count.to_string());
                    page.classed("span", "hidden", &format!(" {name} "));
                });
            }
        });
        // For the eye and the mouse; whoever reads by keyboard or ear has the counts and the table.
        page.element("span", &[("class", "cells"), ("aria-hidden", "true")], |page| {
            for row in rows {
                let verdict = on(row, rig);
                let (class, letter) = (class(verdict), VERDICTS[usize::from(rank(verdict))].2);
                let title = format!("{} {}: {verdict}", row.found.id, row.found.title);
                let link = format!("#{}", row.anchor);
                page.leaf(
                    "a",
                    &[("href", &link), ("class", class), ("tabindex", "-1"), ("title", &title)],
                    letter,
                );
            }
        });
    });
}
