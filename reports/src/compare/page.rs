//! A comparison as a page.

use rigor_core::verdict::Verdict;

use super::{Comparison, Moved, Side, Subject, shift};
use crate::html::markup::Markup;
use crate::html::page;

pub(super) fn render(comparison: &Comparison) -> String {
    let mut body = Markup::default();
    body.element("header", &[("class", "top")], |body| {
        body.element("nav", &[("aria-label", "this page")], |body| {
            body.classed("b", "brand", "rigor");
            body.leaf("button", &[("id", "theme"), ("type", "button"), ("class", "quiet")], "Dark");
        });
        body.element("div", &[("class", "verdict")], |body| {
            let (class, word) = if comparison.is_worse() { ("fail", "Worse") } else { ("pass", "Not worse") };
            body.element("h1", &[("class", class)], |body| {
                page::glyph(body, class);
                body.text(word);
            });
            body.element("p", &[("class", "blame")], |body| {
                body.prose(&comparison.blame());
                body.classed("span", "code", &comparison.conclusion());
            });
        });
        body.element("dl", &[("class", "facts")], |body| {
            side(body, "Before", &comparison.before);
            side(body, "After", &comparison.after);
        });
    });
    body.element("main", &[], |body| {
        for (heading, list) in [("Worse", &comparison.worse), ("Better", &comparison.better)] {
            section(body, heading, list.len(), |body| {
                for changed in list {
                    body.element("tr", &[], |body| {
                        subject(body, &changed.subject);
                        body.element("td", &[], |body| {
                            verdict(body, changed.before);
                            body.text(" \u{2192} ");
                            verdict(body, changed.after);
                        });
                        let reason = changed.reason.as_deref().unwrap_or_default();
                        body.element("td", &[], |body| body.prose(reason));
                    });
                }
            });
        }
        section(body, "Figures that moved", comparison.moved.len(), |body| {
            for moved in &comparison.moved {
                body.element("tr", &[], |body| {
                    subject(body, &moved.subject);
                    body.leaf("td", &[], &shift(moved).replace("->", "\u{2192}"));
                    body.leaf("td", &[], &beyond(moved));
                });
            }
        });
        section(body, "Other budgets", comparison.budgets.len(), |body| {
            for (of, before, after) in &comparison.budgets {
                body.element("tr", &[], |body| {
                    subject(body, of);
                    body.leaf("td", &[], before);
                    body.leaf("td", &[], after);
                });
            }
        });
        for (heading, list) in [("New", &comparison.new), ("Gone", &comparison.gone)] {
            section(body, heading, list.len(), |body| {
                for (of, what) in list {
                    body.element("tr", &[], |body| {
                        subject(body, of);
                        body.element("td", &[("colspan", "2")], |body| verdict(body, *what));
                    });
                }
            });
        }
    });
    page::document(&format!("{} and {}", comparison.before.id, comparison.after.id), body)
}

fn side(page: &mut Markup, name: &'static str, side: &Side) {
    page.element("div", &[], |page| {
        page.leaf("dt", &[], name);
        page.element("dd", &[], |page| {
            page.leaf("code", &[], &side.id);
            page.text(&format!(" {}, exit code {}", side.what, side.exit_code));
        });
    });
}

fn section(page: &mut Markup, heading: &'static str, count: usize, rows: impl FnOnce(&mut Markup)) {
    if count == 0 {
        return;
    }
    page.element("section", &[], |page| {
        page.element("h2", &[], |page| {
            page.text(heading);
            page.classed("span", "count", &count.to_string());
        });
        page.element("table", &[("class", "small wide")], |page| page.element("tbody", &[], rows));
    });
}

fn subject(page: &mut Markup, subject: &Subject) {
    page.element("th", &[("scope", "row")], |page| {
        page.leaf("code", &[], subject.id.as_str());
        page.text(&format!(" {}", subject.title));
        page.classed("small", "of", &subject.class.to_string());
    });
}

fn verdict(page: &mut Markup, verdict: Verdict) {
    page::glyph(page, page::class(verdict));
    page.text(&verdict.to_string().to_lowercase());
}

fn beyond(moved: &Moved) -> String {
    format!("noise and uncertainty ±{}", moved.noise)
}
