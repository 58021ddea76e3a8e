//! A history as a page: what changed first, then every requirement on every rig.

use rigor_core::unit::{Amount, Unit};
use rigor_core::verdict::Verdict;

use super::{Line, Trend, change};
use crate::html::markup::{Markup, place};
use crate::html::page;

/// Width of a drawing.
const WIDE: f64 = 420.0;
/// Height of it, the verdicts below included.
const FOOT: f64 = 56.0;

pub(super) fn render(trend: &Trend) -> String {
    let news: Vec<&Line> = trend.news().collect();
    let mut body = Markup::default();
    body.element("header", &[("class", "top")], |body| {
        body.element("nav", &[("aria-label", "parts of this page")], |body| {
            body.classed("b", "brand", "rigor");
            body.leaf("a", &[("href", "#news")], "What changed");
            body.leaf("a", &[("href", "#lines")], "All requirements");
            body.leaf("button", &[("id", "theme"), ("type", "button"), ("class", "quiet")], "Dark");
        });
        body.element("div", &[("class", "verdict")], |body| {
            body.leaf("h1", &[], &format!("{} runs", trend.runs.len()));
            let said = match news.len() {
                0 => "Nothing changed.".to_owned(),
                1 => "One requirement changed.".to_owned(),
                more => format!("{more} requirements changed."),
            };
            body.classed("p", "blame", &said);
        });
        body.element("dl", &[("class", "facts")], |body| {
            for (name, run) in [("From", trend.runs.first()), ("To", trend.runs.last())] {
                let Some(run) = run else { continue };
                body.element("div", &[], |body| {
                    body.leaf("dt", &[], name);
                    body.leaf("dd", &[], &format!("{} {} ({})", run.started, run.firmware, run.id));
                });
            }
        });
        body.classed("p", "legend", change::METHOD);
        body.classed(
            "p",
            "legend",
            "In a plot each run is a column: the dot is the median, the thin line goes from the smallest sample to the \
             largest, the thick one from the median to the 99th percentile, and a change is a step of the line \
             through the medians. Below it is the verdict of each run.",
        );
        for reason in trend.left_out.iter().take(20) {
            body.classed("p", "legend", &format!("Left out: {reason}"));
        }
    });
    body.element("main", &[], |body| {
        section(body, trend, "news", "What changed", &news);
        let quiet: Vec<&Line> = trend.lines.iter().filter(|line| !line.is_news()).collect();
        section(body, trend, "lines", "Steady", &quiet);
    });
    page::document(&format!("{} runs", trend.runs.len()), body)
}

fn section(page: &mut Markup, trend: &Trend, id: &'static str, heading: &'static str, lines: &[&Line]) {
    page.element("section", &[("id", id)], |page| {
        page.element("h2", &[], |page| {
            page.text(heading);
            page.classed("span", "count", &lines.len().to_string());
        });
        page.element("table", &[("class", "small wide trend")], |page| {
            page.element("tbody", &[], |page| {
                for line in lines {
                    row(page, trend, line);
                }
            });
        });
    });
}

fn row(page: &mut Markup, trend: &Trend, line: &Line) {
    page.element("tr", &[], |page| {
        page.element("th", &[("scope", "row")], |page| {
            page.leaf("code", &[], line.id.as_str());
            page.text(&format!(" {}", line.title));
            let budget =
                line.budget.as_ref().map(|budget| format!(", {}", page::allowed(budget))).unwrap_or_default();
            page.classed("small", "of", &format!("{}{budget}", line.rig));
        });
        page.element("td", &[], |page| drawing(page, trend, line));
        page.element("td", &[], |page| {
            for (name, changes) in [("p50", &line.medians), (line.judged_name(), &line.judged)] {
                for change in changes {
                    page.leaf("p", &[], &trend.told(line, name, change).replace("->", "\u{2192}"));
                }
            }
            match line.flips() {
                0 => {}
                1 => page.leaf("p", &[], "the verdict changed once"),
                more => page.leaf("p", &[], &format!("the verdict changed {more} times")),
            }
        });
    });
}

fn drawing(page: &mut Markup, trend: &Trend, line: &Line) {
    let count = trend.runs.len().max(1) as f64;
    let x = |run: usize| (run as f64 + 0.5) / count * (WIDE - 80.0);
    let measured: Vec<_> = line
        .points
        .iter()
        .enumerate()
        .filter_map(|(run, point)| Some((run, point.as_ref()?.measured?)))
        .collect();
    let unit = line.unit.unwrap_or(Unit::Count);
    let low = measured.iter().map(|(_, summary)| summary.min).fold(f64::INFINITY, f64::min);
    let high = measured.iter().map(|(_, summary)| summary.max).fold(f64::NEG_INFINITY, f64::max);
    let span = if high > low { high - low } else { 1.0 };
    let y = |value: f64| {
        let share = if high > low { (value - low) / span } else { 0.5 };
        FOOT - 6.0 - share * (FOOT - 12.0)
    };
    let name = format!("{} over {} runs", line.title, trend.runs.len());
    let attributes =
        [("class", "history"), ("viewBox", "0 0 420 70"), ("role", "img"), ("aria-label", &*name)];
    page.element("svg", &attributes, |page| {
        for (run, summary) in &measured {
            let at = place(x(*run));
            let mut upright = |class: &'static str, from: f64, until: f64| {
                page.mark(
                    "line",
                    &[
                        ("class", class),
                        ("x1", &at),
                        ("x2", &at),
                        ("y1", &place(y(from))),
                        ("y2", &place(y(until))),
                    ],
                );
            };
            upright("whole", summary.min, summary.max);
            upright("bulk", summary.p50, summary.p99);
            page.mark("circle", &[("class", "dot"), ("cx", &at), ("cy", &place(y(summary.p50))), ("r", "2")]);
        }
        steps(page, line, &x, &y);
        if !measured.is_empty() {
            let shown = if high > low { vec![(high, 12.0), (low, FOOT - 2.0)] } else { vec![(high, 34.0)] };
            for (value, at) in shown {
                let text = Amount::new(value, unit).to_string();
                page.leaf("text", &[("x", "344"), ("y", &place(at))], &text);
            }
        }
        for (run, point) in line.points.iter().enumerate() {
            let Some(point) = point else { continue };
            let class = page::class(point.verdict);
            let side = (WIDE - 80.0) / count;
            let width = (side * 0.8).clamp(0.8, 8.0);
            let tall = if point.verdict == Verdict::Pass { 3.0 } else { 9.0 };
            let attributes = [
                ("class", class),
                ("x", &*place(x(run) - width / 2.0)),
                ("y", &*place(69.0 - tall)),
                ("width", &*place(width)),
                ("height", &*place(tall)),
            ];
            page.element("rect", &attributes, |page| {
                let id = trend.runs.get(run).map_or("", |past| past.id.as_str());
                page.leaf("title", &[], &format!("{} in {id}", point.verdict));
            });
        }
    });
}

/// The medians between changes of the median, as a line with steps.
fn steps(page: &mut Markup, line: &Line, x: &dyn Fn(usize) -> f64, y: &dyn Fn(f64) -> f64) {
    let Some(first) = line.medians.first() else { return };
    let mut path = format!("M{} {}", place(x(0)), place(y(first.before)));
    for change in &line.medians {
        let middle = (x(change.at.saturating_sub(1)) + x(change.at)) / 2.0;
        path.push_str(&format!("H{}V{}", place(middle), place(y(change.after))));
    }
    path.push_str(&format!("H{}", place(x(line.points.len().saturating_sub(1)))));
    page.mark("path", &[("class", "curve"), ("d", &path)]);
}
