//! The table of all requirements, worst first. The script filters and sorts it, and opens a row's
//! evidence.

use std::collections::BTreeSet;

use rigor_core::requirement::Class;
use rigor_core::result::{Measured, RunResult};
use rigor_core::unit::Amount;

use super::head::worst_first;
use super::markup::Markup;
use super::page::{allowed, class, glyph};
use super::view::{Row, VERDICTS, rank};
use super::{detail, plot};
use crate::figure;
use crate::text::clip;

/// Characters of an observation in the table.
const MAX_SEEN: usize = 90;

/// The columns: key for the script, heading.
const COLUMNS: [(&str, &str); 7] = [
    ("worst", "Verdict"),
    ("id", "Requirement"),
    ("", "Budget"),
    ("", "Measured against it"),
    ("", "Figure"),
    ("room", "Margin"),
    ("fidelity", "Fidelity"),
];

pub(super) fn render(page: &mut Markup, result: &RunResult, rows: &[Row<'_>]) {
    page.element("section", &[("id", "requirements")], |page| {
        page.element("h2", &[], |page| {
            page.text("Requirements");
            page.classed("span", "count", &rows.len().to_string());
            page.classed("small", "what", "worst first; open a row for its evidence");
        });
        filters(page, result);
        page.element("table", &[("class", "requirements")], |page| {
            page.element("thead", &[], |page| {
                page.element("tr", &[], |page| {
                    for (key, heading) in COLUMNS {
                        let sorted = if key == "worst" { "ascending" } else { "none" };
                        let attributes = [("scope", "col"), ("aria-sort", sorted)];
                        let sortable = if key.is_empty() { &attributes[..1] } else { &attributes[..] };
                        page.element("th", sortable, |page| match key {
                            "" => page.text(heading),
                            key => page.leaf("button", &[("type", "button"), ("data-sort", key)], heading),
                        });
                    }
                });
            });
            for (place, row) in worst_first(rows).into_iter().enumerate() {
                entry(page, result, row, place);
            }
        });
        page.leaf(
            "p",
            &[("id", "nothing"), ("hidden", "")],
            "Nothing matches. Escape shows everything again.",
        );
    });
}

fn filters(page: &mut Markup, result: &RunResult) {
    page.element("form", &[("id", "filters"), ("role", "search")], |page| {
        page.element("label", &[("class", "find")], |page| {
            page.classed("span", "hidden", "Find");
            page.mark(
                "input",
                &[
                    ("type", "search"),
                    ("id", "find"),
                    ("placeholder", "Find by id, word or clause   /"),
                    ("autocomplete", "off"),
                    ("spellcheck", "false"),
                ],
            );
        });
        page.element("fieldset", &[], |page| {
            page.classed("legend", "hidden", "Verdicts to show");
            let present: BTreeSet<u8> = result.requirements.iter().map(|found| rank(found.verdict)).collect();
            for (verdict, class, _, name) in VERDICTS {
                if !present.contains(&rank(verdict)) {
                    continue;
                }
                page.element("label", &[("class", "chip")], |page| {
                    page.mark(
                        "input",
                        &[("type", "checkbox"), ("name", "verdict"), ("value", class), ("checked", "")],
                    );
                    glyph(page, class);
                    page.text(name);
                });
            }
        });
        let classes: BTreeSet<&str> = result
            .requirements
            .iter()
            .filter_map(|found| Class::ALL.iter().find(|(_, class)| *class == found.class))
            .map(|(name, _)| *name)
            .collect();
        choice(page, "class", "Every class", classes);
        choice(
            page,
            "system",
            "Every system",
            result.requirements.iter().map(|found| found.system.as_str()).collect(),
        );
        choice(page, "rig", "Every rig", result.rigs.iter().map(|rig| rig.name.as_str()).collect());
        page.element("output", &[("id", "shown"), ("aria-live", "polite")], |_| {});
    });
}

fn choice(page: &mut Markup, name: &'static str, every: &'static str, values: BTreeSet<&str>) {
    // With one value there is nothing to choose.
    if values.len() < 2 {
        return;
    }
    page.element("label", &[], |page| {
        page.classed("span", "hidden", name);
        page.element("select", &[("name", name)], |page| {
            page.leaf("option", &[("value", "")], every);
            for value in values {
                page.leaf("option", &[("value", value)], value);
            }
        });
    });
}

fn entry(page: &mut Markup, result: &RunResult, row: &Row<'_>, place: usize) {
    let (found, verdict) = (row.found, class(row.found.verdict));
    let mut rigs: Vec<&str> = found.rigs.iter().map(|on_rig| on_rig.rig.as_str()).collect();
    rigs.extend(found.rig.as_deref().filter(|_| found.rigs.is_empty()));
    let room = row.room.map(|room| format!("{room:.6}")).unwrap_or_default();
    let place = place.to_string();
    let gate = if row.gates() { "gates" } else { "" };
    let class_name = found.class.to_string();
    let mut attributes = vec![
        ("id", row.anchor.as_str()),
        ("class", gate),
        ("data-verdict", verdict),
        ("data-class", &class_name),
        ("data-system", &found.system),
        ("data-place", &place),
        ("data-room", &room),
    ];
    let rigs = rigs.join("\n");
    attributes.push(("data-rig", &rigs));
    page.element("tbody", &attributes, |page| {
        page.element("tr", &[], |page| {
            page.element("td", &[("class", "verdict")], |page| {
                glyph(page, verdict);
                page.text(&found.verdict.to_string().to_lowercase());
                if found.class != Class::Must {
                    page.classed("small", "tag", &class_name);
                }
            });
            page.element("th", &[("scope", "row")], |page| {
                page.leaf(
                    "button",
                    &[("type", "button"), ("class", "open"), ("aria-expanded", "false")],
                    found.id.as_str(),
                );
                page.classed("span", "title", &found.title);
                page.classed("span", "sentence", &found.text);
            });
            figures(page, row);
        });
        page.element("tr", &[("class", "detail")], |page| {
            page.element("td", &[("colspan", "7")], |page| detail::render(page, result, row));
        });
    });
}

fn figures(page: &mut Markup, row: &Row<'_>) {
    let found = row.found;
    let budget = found.budget.as_ref();
    page.classed("td", "budget", &budget.map(allowed).unwrap_or_default());
    match (&found.measured, figure::summary(found)) {
        (_, Some(summary)) => {
            page.element("td", &[("class", "plot")], |page| plot::strip(page, summary, budget));
            page.element("td", &[("class", "figure")], |page| {
                if let Some(figure) = figure::judged(found) {
                    page.leaf("b", &[], &figure.amount.to_string());
                    let alike = summary.min == summary.max;
                    let name = if alike && summary.count > 1 { "each" } else { figure.name };
                    page.classed("small", "of", &format!("{name} of {}", summary.count));
                }
            });
        }
        (Some(Measured::Text(text)), None) => {
            page.leaf("td", &[("class", "seen"), ("colspan", "2")], &clip(text, MAX_SEEN));
        }
        (_, None) => {
            let reason = found.reason.as_deref().unwrap_or_default();
            page.leaf("td", &[("class", "seen"), ("colspan", "2")], &clip(reason, MAX_SEEN));
        }
    }
    page.element("td", &[("class", "margin")], |page| {
        if let Some(margin) = found.margin {
            // Zero room was asked for, so zero margin is no news.
            let exact = margin.value == 0.0 && row.room.is_none();
            page.text(&if exact { "exact".to_owned() } else { signed(margin) });
        }
    });
    page.element("td", &[("class", "fidelity")], |page| {
        if let Some(fidelity) = found.fidelity {
            page.text(&fidelity.to_string());
        }
        if let Some(uncertainty) = found.uncertainty.filter(|amount| amount.value > 0.0) {
            page.classed("small", "of", &format!("±{uncertainty}"));
        }
        if let Some(floor) = found.floor {
            page.classed("small", "of", &format!("network floor {floor}"));
        }
    });
}

fn signed(margin: Amount) -> String {
    if margin.value > 0.0 { format!("+{margin}") } else { margin.to_string().replace('-', "\u{2212}") }
}
