//! A comparison for people: a line for each case, a table at the end, and the whole of it as a document.

use std::collections::BTreeMap;
use std::fmt::Write;

use rigor_reports::visible;
use rigor_runner::parity::{Difference, Row, Side, What};

use super::{Comparison, Pair};
use crate::print::{columns, count};

/// Rows that the terminal shows; the document has all.
const MAX_SHOWN: usize = 40;

/// Characters of a text in the table.
const MAX_TEXT: usize = 60;

/// How a case went.
pub(super) fn line(pair: &Pair) -> String {
    if let Some(why) = &pair.not_had {
        return format!("{}: {}", pair.case, visible(why));
    }
    let sum = |declared: bool| -> u64 {
        pair.rows.iter().filter(|row| row.declared.is_some() == declared).map(|row| row.count).sum()
    };
    format!("{}: {} undeclared, {} declared", pair.case, sum(false), sum(true))
}

/// The table of what is not declared, the sums of what is, and what became of the declarations.
pub(super) fn summary(comparison: &Comparison) -> String {
    let mut text = String::new();
    let mut table = vec![
        ["case", "lane", "kind", "count", "first", comparison.rig_a.as_str(), comparison.rig_b.as_str()]
            .map(str::to_owned)
            .to_vec(),
    ];
    let open: Vec<(&Pair, &Row)> = comparison
        .cases
        .iter()
        .flat_map(|pair| pair.rows.iter().map(move |row| (pair, row)))
        .filter(|(_, row)| row.declared.is_none())
        .collect();
    for (pair, row) in open.iter().take(MAX_SHOWN) {
        let Some(first) = row.examples.first() else { continue };
        let name = pair.case.rsplit("::").next().unwrap_or_default();
        let about = short(first.text());
        table.push(vec![
            name.to_owned(),
            row.lane.clone(),
            row.what.name().to_owned(),
            row.count.to_string(),
            about,
            at(first.a.as_ref(), row.what),
            at(first.b.as_ref(), row.what),
        ]);
    }
    if !open.is_empty() {
        let _ = write!(text, "\n{}", columns(&table));
    }
    if open.len() > MAX_SHOWN {
        let _ = writeln!(text, "and {} more rows in parity.md", open.len() - MAX_SHOWN);
    }
    for (place, entry) in comparison.tolerances.iter().enumerate() {
        let of = comparison.rows().filter(|row| row.declared == Some(place));
        let (rows, all) = of.fold((0, 0), |(rows, all), row| (rows + 1, all + row.count));
        if rows > 0 {
            let told = count(all, "difference");
            let _ = writeln!(
                text,
                "declared: {told} in {}, {}: {}",
                count(rows, "row"),
                entry.cause.name(),
                visible(&entry.reason)
            );
        }
    }
    for place in &comparison.stale {
        let told = comparison.tolerances.get(*place).map_or("", |entry| entry.reason.as_str());
        let _ =
            writeln!(text, "stale: declaration {} matches nothing; remove it: {}", place + 1, visible(told));
    }
    let lost = comparison.cases.iter().filter(|pair| pair.not_had.is_some()).count();
    if lost > 0 {
        let _ = writeln!(text, "not compared: {}", count(lost as u64, "case"));
    }
    let equal = comparison.cases.iter().filter(|pair| pair.rows.is_empty() && pair.not_had.is_none()).count();
    let differing: u64 = open.iter().map(|(_, row)| row.count).sum();
    let _ = writeln!(
        text,
        "\n{}: {equal} without any difference; {} undeclared",
        count(comparison.cases.len() as u64, "case"),
        count(differing, "difference")
    );
    text
}

/// The whole comparison, in Markdown.
pub(super) fn document(comparison: &Comparison) -> String {
    let (a, b) = (&comparison.rig_a, &comparison.rig_b);
    let mut text = format!("# {a} against {b}\n\nSeed {}.\n\n", comparison.seed);
    let _ = writeln!(
        text,
        "## By lane\n\n| lane | kind | declared | cases | differences |\n|---|---|---|---|---|"
    );
    let mut by_lane: BTreeMap<(bool, &str, What), (u64, u64)> = BTreeMap::new();
    for row in comparison.rows() {
        let sums = by_lane.entry((row.declared.is_some(), &row.lane, row.what)).or_default();
        *sums = (sums.0 + 1, sums.1 + row.count);
    }
    for ((declared, lane, what), (cases, all)) in by_lane {
        let declared = if declared { "yes" } else { "**no**" };
        let _ = writeln!(text, "| {} | {} | {declared} | {cases} | {all} |", cell(lane), what.name());
    }
    let _ =
        writeln!(text, "\n## Declared\n\n| | cause | reason | rows | differences |\n|---|---|---|---|---|");
    for (place, entry) in comparison.tolerances.iter().enumerate() {
        let of = comparison.rows().filter(|row| row.declared == Some(place));
        let (rows, all) = of.fold((0, 0), |(rows, all), row| (rows + 1, all + row.count));
        let (cause, reason) = (entry.cause.name(), cell(&entry.reason));
        let stale = if comparison.stale.contains(&place) { " (stale)" } else { "" };
        let _ = writeln!(text, "| {}{stale} | {cause} | {reason} | {rows} | {all} |", place + 1);
    }
    for pair in &comparison.cases {
        if pair.rows.is_empty() && pair.not_had.is_none() {
            continue;
        }
        let _ = writeln!(text, "\n## {}\n", pair.case);
        if let Some(why) = &pair.not_had {
            let _ = writeln!(text, "Not compared: {}", cell(why));
            continue;
        }
        for row in &pair.rows {
            let declared =
                row.declared.map_or("undeclared".to_owned(), |place| format!("declared by {}", place + 1));
            let _ =
                writeln!(text, "- **{}, {}** × {}, {declared}", cell(&row.lane), row.what.name(), row.count);
            let worst = row.worst.iter().filter(|worst| !row.examples.contains(worst));
            for difference in row.examples.iter().chain(worst) {
                let _ = writeln!(text, "  - {}", told(difference, a, b));
            }
        }
    }
    text
}

fn told(difference: &Difference, a: &str, b: &str) -> String {
    let has = |rig: &str, side: &Option<Side>| match side {
        Some(side) => {
            let value = match (difference.what, side.value) {
                (What::Latency, Some(late)) => format!(", {late:.1} µs after its cause"),
                (_, Some(value)) => format!(", {value}"),
                _ => String::new(),
            };
            let at = side.at_ns.map_or(String::new(), |at| format!(" at {:.6} s{value}", at as f64 / 1e9));
            format!("{rig}{at}: {}", cell(&side.text))
        }
        None => format!("{rig}: nothing"),
    };
    let (one, other) = (has(a, &difference.a), has(b, &difference.b));
    let cause = if difference.cause.is_empty() {
        String::new()
    } else {
        format!(" (after {})", cell(&short(&difference.cause)))
    };
    format!("{}: {one}; {other}{cause}", cell(&difference.lane))
}

/// Harmless in a table of Markdown, whatever the device said.
fn cell(text: &str) -> String {
    visible(text).replace('|', "\\|").replace('`', "'").replace('<', "&lt;")
}

fn short(text: &str) -> String {
    let text = visible(text);
    match text.char_indices().nth(MAX_TEXT) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// The instant or the figure of one side in a few characters.
fn at(side: Option<&Side>, what: What) -> String {
    let Some(side) = side else { return "-".to_owned() };
    match (what, side.value, side.at_ns) {
        (What::Latency, Some(late), Some(at)) => format!("{:.3} s (+{late:.0} µs)", at as f64 / 1e9),
        (_, Some(value), Some(at)) => format!("{:.3} s: {value}", at as f64 / 1e9),
        (_, Some(value), None) => format!("{value}"),
        (_, None, Some(at)) => format!("{:.3} s", at as f64 / 1e9),
        (What::Verdict, ..) => short(&side.text),
        _ => String::new(),
    }
}
