//! The kill matrix: every requirement against every fault. One column a fault, one row a requirement, as
//! a drawing of one path for each kind of cell, so that two hundred thousand cells stay small; what matters
//! of each fault stands in a table below, what is amiss above.

use std::collections::BTreeMap;

use rigor_core::kill::{KillMatrix, Subject, Tried};
use rigor_core::verdict::Verdict;
use serde_json::json;

use super::markup::Markup;
use crate::kill::{self, Cell};
use crate::text::visible;

/// Ids named of one fault.
const MAX_IDS: usize = 12;

pub(super) fn render(page: &mut Markup, matrix: &KillMatrix) {
    page.element("section", &[("id", "kills")], |page| {
        page.element("h2", &[], |page| {
            page.text("Kill matrix");
            let what = format!(
                "{} on {}: {} faults against {} requirements",
                matrix.system,
                matrix.rig,
                matrix.faults.len(),
                matrix.subjects.len()
            );
            page.classed("small", "what", &what);
        });
        proof(page, matrix);
        drawing(page, matrix);
        page.element("details", &[], |page| {
            page.element("summary", &[], |page| page.text(&format!("All {} faults", matrix.faults.len())));
            faults(page, matrix);
        });
    });
}

/// Whether the proof is whole, and where it is not.
fn proof(page: &mut Markup, matrix: &KillMatrix) {
    let survivors: Vec<&Tried> = matrix.survivors().collect();
    let broken: Vec<&Tried> =
        matrix.faults.iter().filter(|fault| fault.broken_claims().next().is_some()).collect();
    let unproven = matrix.unproven();
    let unclaimed = matrix.unclaimed();
    let items = [
        (survivors.len(), "faults that nothing notices", survivors.iter().map(|f| f.name.as_str()).collect()),
        (
            broken.len(),
            "faults with a claim that is not kept",
            broken.iter().map(|f| f.name.as_str()).collect(),
        ),
        (unproven.len(), "`must` that no fault turns red", ids(&unproven)),
        (unclaimed.len(), "`must` red only under faults that they do not claim", ids(&unclaimed)),
    ];
    page.element("ul", &[("class", "proof")], |page| {
        for (count, what, names) in items {
            let names: Vec<&str> = names;
            page.element("li", &[("class", if count == 0 { "good" } else { "amiss" })], |page| {
                page.leaf("b", &[], &count.to_string());
                page.text(" ");
                page.prose(what);
                if count > 0 {
                    let more = names.len().saturating_sub(MAX_IDS);
                    let named = names[..names.len().min(MAX_IDS)].join(", ");
                    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
                    page.classed("span", "names", &format!("{named}{more}"));
                }
            });
        }
        if !matrix.complete {
            page.leaf("li", &[], "Not every fault was tried, so no requirement counts as unproven.");
        }
    });
}

fn ids<'a>(subjects: &[&'a Subject]) -> Vec<&'a str> {
    subjects.iter().map(|subject| subject.id.as_str()).collect()
}

/// Kinds of cells that are drawn, with their class and what they mean. Green is the ground.
const KINDS: [(Cell, &str, &str); 5] = [
    (Cell::Kept, "kept", "red as claimed"),
    (Cell::ByTheWay, "way", "red by the way"),
    (Cell::Broken, "broken", "claimed and not red"),
    (Cell::Undecided, "open", "undecided"),
    (Cell::Blamed, "blamed", "blamed on the device, but the rig's"),
];

fn drawing(page: &mut Markup, matrix: &KillMatrix) {
    let (wide, tall) = (matrix.faults.len(), matrix.subjects.len());
    if wide == 0 || tall == 0 {
        return;
    }
    let mut paths: BTreeMap<Cell, String> = BTreeMap::new();
    for (y, subject) in matrix.subjects.iter().enumerate() {
        // Neighbours alike become one stroke.
        let mut x = 0;
        while x < wide {
            let kind = kill::cell(subject, &matrix.faults[x]);
            let run =
                matrix.faults[x..].iter().take_while(|fault| kill::cell(subject, fault) == kind).count();
            if kind != Cell::Green {
                paths.entry(kind).or_default().push_str(&format!("M{x} {y}h{run}v1h-{run}z"));
            }
            x += run;
        }
    }
    page.element("ul", &[("class", "kinds")], |page| {
        for (kind, class, meaning) in KINDS {
            if paths.contains_key(&kind) {
                page.element("li", &[], |page| {
                    page.element("svg", &[("class", "swatch"), ("viewBox", "0 0 1 1")], |page| {
                        page.mark("path", &[("class", class), ("d", "M0 0h1v1h-1z")]);
                    });
                    page.text(meaning);
                });
            }
        }
    });
    page.element("figure", &[("class", "matrix")], |page| {
        let size = format!("0 0 {wide} {tall}");
        let name = format!("{wide} faults across, {tall} requirements down");
        let attributes = [
            ("viewBox", size.as_str()),
            ("role", "img"),
            ("tabindex", "0"),
            ("aria-label", &name),
            ("shape-rendering", "crispEdges"),
            ("preserveAspectRatio", "none"),
        ];
        page.element("svg", &attributes, |page| {
            for (kind, class, meaning) in KINDS {
                if let Some(path) = paths.get(&kind) {
                    page.mark("path", &[("class", class), ("data-meaning", meaning), ("d", path)]);
                }
            }
        });
        page.element("figcaption", &[("aria-live", "polite")], |page| {
            page.text(
                "Faults across, requirements down. Point at a cell, or go over them with the arrow keys.",
            );
        });
    });
    let names: Vec<String> = matrix.faults.iter().map(|fault| visible(&fault.name)).collect();
    let rows: Vec<String> =
        matrix.subjects.iter().map(|subject| visible(&format!("{} {}", subject.id, subject.title))).collect();
    page.data("kills-names", &json!({ "faults": names, "subjects": rows }).to_string());
}

fn faults(page: &mut Markup, matrix: &KillMatrix) {
    page.element("table", &[("class", "small faults")], |page| {
        page.element("thead", &[], |page| {
            page.element("tr", &[], |page| {
                for heading in ["", "fault", "claims kept", "notice", "who claims it"] {
                    page.leaf("th", &[("scope", "col")], heading);
                }
            });
        });
        page.element("tbody", &[], |page| {
            for (number, fault) in matrix.faults.iter().enumerate() {
                one(page, number + 1, fault);
            }
        });
    });
}

fn one(page: &mut Markup, number: usize, fault: &Tried) {
    let broken = fault.broken_claims().count();
    let state = if fault.survived() || broken > 0 { "amiss" } else { "" };
    page.element("tr", &[("class", state)], |page| {
        page.leaf("td", &[], &number.to_string());
        page.element("th", &[("scope", "row")], |page| {
            page.text(&fault.name);
            page.classed("small", "of", &format!("{}: {}", fault.family, fault.models));
        });
        page.leaf("td", &[], &format!("{} of {}", fault.claimed_by.len() - broken, fault.claimed_by.len()));
        let noticed = match (fault.survived(), fault.wanted) {
            (true, _) => "none: survives".to_owned(),
            (false, Verdict::Fail) => fault.noticed().count().to_string(),
            (false, wanted) => {
                format!("{} by {}", fault.noticed().count(), wanted.to_string().to_lowercase())
            }
        };
        page.leaf("td", &[], &noticed);
        page.element("td", &[("class", "ids")], |page| {
            for id in fault.claimed_by.iter().take(MAX_IDS) {
                let class = if fault.is_noticed_by(id) { "" } else { "amiss" };
                page.leaf("span", &[("class", class)], &format!("{id} "));
            }
            if fault.claimed_by.len() > MAX_IDS {
                page.text(&format!("and {} more", fault.claimed_by.len() - MAX_IDS));
            }
        });
    });
}
