//! The run as a table for the terminal: one line per requirement, grouped by system.
//!
//! ```text
//! prism-k1  firmware prism-k1 1.0.0
//!   K1-LED-002  frame period   p50 8.333 ms  p99 8.341 ms  budget mean 8.333 ms ±5 %  PASS  modelled
//!   K1-LED-006  pixel mapping  159 of 160 pixels                                      FAIL  modelled
//!       lane 2 shows pixel 0 instead of 160
//!       repeat: RIGOR_SEED=1 cargo test --test hil -- --exact prism-k1::K1-LED-006::pixel_mapping
//! ```
//!
//! Text from a device or a file is made [`visible`](crate::visible) and cut to its column, so that
//! nothing in it can move the cursor or break the alignment.

use std::collections::BTreeSet;
use std::fmt::Write;

use rigor_core::budget::{Bound, Budget};
use rigor_core::distribution::Summary;
use rigor_core::requirement::Class;
use rigor_core::result::{
    Counts, EXIT_HARNESS, EXIT_OK, EXIT_PRODUCT, Measured, NotRun, RequirementResult, RunResult,
};
use rigor_core::unit::{Amount, Unit};
use rigor_core::verdict::Verdict;

use crate::text::clip;

/// Characters of a title, a figure or a budget.
const MAX_CELL: usize = 48;
/// Characters of words that stand across the figures and the budget.
const MAX_WORDS: usize = 88;
/// Characters of a line that stands alone.
const MAX_LINE: usize = 400;
/// Characters of a line of names.
const LISTING_WIDTH: usize = 110;

/// What a requirement's line says of its figures.
enum Figures {
    /// One to three figures, each in a column of its own.
    Columns(Vec<String>),
    /// Words, across the columns.
    Words(String),
}

struct Row {
    id: String,
    title: String,
    figures: Figures,
    budget: String,
    verdict: Verdict,
    verdict_text: String,
    /// Fidelity, or why nothing was tried.
    remark: String,
    below: Vec<String>,
}

/// The table and a last line with the counts. `colours` adds ANSI colours to verdicts; without it
/// the text holds no control character but line feeds. Requirements of which a filter
/// left out every case have no line; they are counted at the end. Those that no case decides yet
/// are named together below their system, unless a filter was at work; `results.json` has their
/// reasons.
///
/// An id of more than three parts belongs to a row of a table of attempts, such as `WS-5-1-03-B`.
/// Without a filter, those of one table that passed share a line.
pub fn render(result: &RunResult, colours: bool) -> String {
    let shown: Vec<&RequirementResult> = result
        .requirements
        .iter()
        .filter(|requirement| match requirement.not_run {
            Some(NotRun::Planned) => false,
            Some(NotRun::NotSelected) => was_tried(result, requirement),
            _ => true,
        })
        .collect();
    let filtered = result.cases.iter().any(|case| case.not_run == Some(NotRun::NotSelected));
    let (systems, rows) = rows(result, &shown, !filtered);
    let mut table = lines(result, systems, &rows, colours);
    if !filtered {
        table.push_str(&holes(result));
    }
    table.push_str(&troubles(result));
    table.push_str(&summary(result, colours));
    table.push('\n');
    table
}

/// What was tried and did not pass, as [`render`] shows it, and the last line with the counts.
pub fn brief(result: &RunResult, colours: bool) -> String {
    let amiss = |found: &&RequirementResult| !matches!(found.verdict, Verdict::Pass | Verdict::NotRun);
    let shown: Vec<&RequirementResult> = result.requirements.iter().filter(amiss).collect();
    let (systems, rows) = rows(result, &shown, false);
    let mut table = lines(result, systems, &rows, colours);
    table.push_str(&summary(result, colours));
    table.push('\n');
    table
}

/// The rows below the headings of their systems, with an empty line after them.
fn lines(result: &RunResult, systems: Vec<&str>, rows: &[Row], colours: bool) -> String {
    let widths = Widths::of(rows);
    let mut table = String::new();
    let mut system = None;
    for (of, row) in systems.into_iter().zip(rows) {
        if system != Some(of) {
            if system.is_some() {
                table.push('\n');
            }
            heading(&mut table, result, of);
            system = Some(of);
        }
        line(&mut table, row, &widths, colours);
    }
    if !rows.is_empty() {
        table.push('\n');
    }
    table
}

/// The lines, each with its system. `folds`: those of one table of attempts that passed share one.
fn rows<'a>(result: &RunResult, shown: &[&'a RequirementResult], folds: bool) -> (Vec<&'a str>, Vec<Row>) {
    let series_of = |found: &'a RequirementResult| {
        let series = series(found.id.as_str()).filter(|_| folds && found.verdict == Verdict::Pass)?;
        Some((found.system.as_str(), series))
    };
    let (mut systems, mut rows) = (Vec::new(), Vec::new());
    let mut told = BTreeSet::new();
    for requirement in shown {
        let row = match series_of(requirement) {
            None => row(result, requirement),
            Some(key) if told.insert(key) => {
                let alike = shown.iter().filter(|other| series_of(other) == Some(key)).count();
                Row {
                    id: format!("{}-*", key.1),
                    title: clip(&requirement.clause, MAX_CELL),
                    figures: Figures::Words(format!("{alike} hold; a filter shows each")),
                    ..row(result, requirement)
                }
            }
            Some(_) => continue,
        };
        systems.push(requirement.system.as_str());
        rows.push(row);
    }
    (systems, rows)
}

/// What the ids of one table of attempts have in common: all but the attempt and its aspect.
fn series(id: &str) -> Option<&str> {
    let (rest, _aspect) = id.rsplit_once('-')?;
    let (series, _attempt) = rest.rsplit_once('-')?;
    series.contains('-').then_some(series)
}

/// Whether a case that decides `requirement` ran: a filter may have left out only some of them.
fn was_tried(result: &RunResult, requirement: &RequirementResult) -> bool {
    result
        .cases
        .iter()
        .filter(|case| case.system == requirement.system && case.verdict != Verdict::NotRun)
        .any(|case| case.requirements.contains(&requirement.id))
}

/// The requirements that no case decides yet, by name.
fn holes(result: &RunResult) -> String {
    let planned = result.requirements.iter().filter(|found| found.not_run == Some(NotRun::Planned));
    let names = planned.map(|found| format!("{} {}", found.id, clip(&found.title, MAX_CELL))).collect();
    listing("not decided yet, reasons in results.json", names)
}

/// What was tried and did not pass, once more by name: in a long table it scrolls away.
fn troubles(result: &RunResult) -> String {
    let tried = |verdict| !matches!(verdict, Verdict::Pass | Verdict::NotRun);
    let names = result
        .requirements
        .iter()
        .filter(|found| tried(found.verdict))
        .map(|found| format!("{} {}", found.id, verdict_text(found)))
        .collect();
    listing("did not pass", names)
}

/// A heading with the number of `names`, and these in lines of bearable length; nothing for none.
fn listing(heading: &str, names: Vec<String>) -> String {
    if names.is_empty() {
        return String::new();
    }
    let mut text = format!("{heading} ({}):\n", names.len());
    let mut line = String::new();
    for name in names {
        if !line.is_empty() && width(&line) + width(&name) > LISTING_WIDTH {
            let _ = writeln!(text, " {line}");
            line.clear();
        }
        let _ = write!(line, " {name},");
    }
    let _ = writeln!(text, " {}\n", line.trim_end_matches(','));
    text
}

/// The verdict, with the class where that is not the gating one.
fn verdict_text(requirement: &RequirementResult) -> String {
    match requirement.class {
        Class::Must => requirement.verdict.to_string(),
        class => format!("{} ({class})", requirement.verdict),
    }
}

fn heading(table: &mut String, result: &RunResult, system: &str) {
    table.push_str(&clip(system, MAX_CELL));
    for firmware in result.firmware.iter().filter(|firmware| firmware.system == system) {
        // Most are called like their system.
        let name = if firmware.name == system { "" } else { &firmware.name };
        let text = format!("  firmware {name}{}{}", if name.is_empty() { "" } else { " " }, firmware.version);
        table.push_str(&clip(&text, MAX_CELL));
    }
    table.push('\n');
}

fn row(result: &RunResult, requirement: &RequirementResult) -> Row {
    let figures = match &requirement.measured {
        None => Figures::Columns(Vec::new()),
        Some(Measured::Text(text)) => {
            Figures::Words(clip(text, if requirement.budget.is_none() { MAX_WORDS } else { MAX_CELL }))
        }
        Some(Measured::Distribution(summary)) => {
            figures(summary, requirement.budget.as_ref(), requirement.margin)
        }
    };
    let budget = match &requirement.budget {
        Some(budget) => clip(&format!("budget {budget}"), MAX_CELL),
        None => String::new(),
    };
    let mut below = Vec::new();
    let reason = requirement.reason.as_deref().unwrap_or_default();
    let remark = match requirement.verdict {
        Verdict::NotRun => clip(reason, 3 * MAX_CELL),
        _ => requirement.fidelity.map(|fidelity| fidelity.to_string()).unwrap_or_default(),
    };
    if !matches!(requirement.verdict, Verdict::Pass | Verdict::NotRun) {
        below.push(clip(reason, MAX_LINE));
        below.extend(repeat(result, requirement));
    }
    Row {
        id: requirement.id.to_string(),
        title: clip(&requirement.title, MAX_CELL),
        figures,
        budget,
        verdict: requirement.verdict,
        verdict_text: verdict_text(requirement),
        remark,
        below,
    }
}

/// The command that shows the verdict again: of the case that gave it.
fn repeat(result: &RunResult, requirement: &RequirementResult) -> Option<String> {
    result
        .cases
        .iter()
        .filter(|case| case.system == requirement.system && case.rig == requirement.rig)
        .filter(|case| case.verdict >= requirement.verdict)
        .filter(|case| case.requirements.contains(&requirement.id))
        .find_map(|case| case.repeat.as_deref())
        .map(|command| format!("repeat: {}", clip(command, MAX_LINE)))
}

/// The figures worth a column: the median, the 99th percentile, and the one that the budget
/// judges unless it reads the same. Where all samples are alike, that one value; a bare number is
/// followed by what it counts.
fn figures(measured: &Summary, budget: Option<&Budget>, margin: Option<Amount>) -> Figures {
    let show = |value| Amount::new(value, measured.unit).to_string();
    if measured.min == measured.max {
        let value = show(measured.max);
        return match budget.filter(|_| measured.unit == Unit::Count) {
            Some(budget) => Figures::Words(clip(&format!("{value} ({})", budget.quantity()), MAX_CELL)),
            None => Figures::Columns(vec![value]),
        };
    }
    let (p50, p99) = (show(measured.p50), show(measured.p99));
    let judged = match budget.map(|budget| (budget, budget.judged_figure(measured))) {
        Some((_, Some((name, figure)))) => {
            let figure = figure.to_string();
            let news = !(figure == p50 || figure == p99 && name != "min");
            news.then(|| format!("{name} {figure}"))
        }
        // A share is not in the summary; the margin tells it.
        Some((budget, None)) => share(budget, margin),
        None => Some(format!("max {}", show(measured.max))),
    };
    let mut columns = vec![format!("p50 {p50}"), format!("p99 {p99}")];
    columns.extend(judged);
    Figures::Columns(columns)
}

fn share(budget: &Budget, margin: Option<Amount>) -> Option<String> {
    match (budget.bound(), margin) {
        (Bound::ShareWithin(required), Some(margin)) => {
            let share = Amount::new(required + margin.value, margin.unit);
            Some(format!("{share} within"))
        }
        _ => None,
    }
}

/// Column widths in characters.
#[derive(Default)]
struct Widths {
    id: usize,
    title: usize,
    columns: [usize; 3],
    figures: usize,
    budget: usize,
    /// Of figures and budget together; a row without a budget has all of it for its figures.
    middle: usize,
    verdict: usize,
}

fn width(text: &str) -> usize {
    text.chars().count()
}

impl Widths {
    fn of(rows: &[Row]) -> Self {
        let mut widths = Widths::default();
        let grow = |own: &mut usize, text: &str| *own = (*own).max(width(text));
        for row in rows {
            grow(&mut widths.id, &row.id);
            grow(&mut widths.title, &row.title);
            grow(&mut widths.budget, &row.budget);
            grow(&mut widths.verdict, &row.verdict_text);
            match &row.figures {
                // A value that stands alone needs no column that others line up with.
                Figures::Columns(cells) if cells.len() > 1 => {
                    for (own, cell) in widths.columns.iter_mut().zip(cells) {
                        grow(own, cell);
                    }
                }
                Figures::Columns(_) | Figures::Words(_) => {}
            }
        }
        let mut alone = 0;
        for row in rows {
            let own = if row.budget.is_empty() { &mut alone } else { &mut widths.figures };
            grow(own, &figures_text(&row.figures, &widths.columns));
        }
        let apart = if widths.budget > 0 { 2 } else { 0 };
        widths.middle = alone.max(widths.figures + apart + widths.budget);
        widths
    }
}

fn figures_text(figures: &Figures, columns: &[usize; 3]) -> String {
    let cells = match figures {
        Figures::Words(words) => return words.clone(),
        Figures::Columns(cells) => cells,
    };
    let mut text = String::new();
    for (index, (cell, width)) in cells.iter().zip(columns).enumerate() {
        if index > 0 {
            text.push_str("  ");
        }
        let last = index + 1 == cells.len();
        let width = if last { 0 } else { *width };
        // Writing to a string cannot fail.
        let _ = write!(text, "{cell:<width$}");
    }
    text
}

fn line(table: &mut String, row: &Row, widths: &Widths, colours: bool) {
    let figures = figures_text(&row.figures, &widths.columns);
    let middle = match row.budget.as_str() {
        "" => figures,
        budget => format!("{figures:<0$}  {budget}", widths.figures),
    };
    let mut text = format!("  {:<2$}  {:<3$}", row.id, row.title, widths.id, widths.title);
    if widths.middle > 0 {
        let _ = write!(text, "  {middle:<0$}", widths.middle);
    }
    let padding = widths.verdict - width(&row.verdict_text);
    let _ = write!(text, "  {}", paint(&row.verdict_text, row.verdict, colours));
    if !row.remark.is_empty() {
        let _ = write!(text, "{:padding$}  {}", "", row.remark);
    }
    table.push_str(&text);
    table.push('\n');
    for line in row.below.iter().filter(|line| !line.is_empty()) {
        let _ = writeln!(table, "      {line}");
    }
}

/// `text` in the colour of `verdict` (ANSI), if there are to be `colours`.
pub fn paint(text: &str, verdict: Verdict, colours: bool) -> String {
    let code = match verdict {
        _ if !colours => return text.to_owned(),
        Verdict::Pass => "32",
        Verdict::Fail => "1;31",
        Verdict::RigFault => "35",
        Verdict::HarnessBug => "1;35",
        Verdict::Inconclusive => "33",
        Verdict::NotRun => "2",
    };
    format!("\u{1b}[{code}m{text}\u{1b}[0m")
}

fn summary(result: &RunResult, colours: bool) -> String {
    let counts = &result.totals.requirements;
    let mut parts = Vec::new();
    for (count, verdict, name) in by_verdict(counts) {
        if count > 0 || verdict == Verdict::Pass {
            // Next to an exit code of 0 a failure wants an explanation.
            let mild = verdict == Verdict::Fail && result.exit_code != EXIT_PRODUCT;
            let note = if mild { " (no `must`)" } else { "" };
            parts.push(format!("{}{note}", paint(&format!("{count} {name}"), verdict, colours && count > 0)));
        }
    }
    let causes: Vec<String> = [
        (NotRun::Planned, "planned"),
        (NotRun::NotSelected, "not selected"),
        (NotRun::NeedMissing, "for want of a part"),
        (NotRun::NotRecorded, "not recorded"),
        (NotRun::Interrupted, "interrupted"),
    ]
    .into_iter()
    .map(|(cause, name)| {
        let count = result.requirements.iter().filter(|r| r.not_run == Some(cause)).count();
        (count, name)
    })
    .filter(|(count, _)| *count > 0)
    .map(|(count, name)| format!("{count} {name}"))
    .collect();
    let causes = if causes.is_empty() { String::new() } else { format!(" ({})", causes.join(", ")) };
    let rigs: Vec<String> =
        result.rigs.iter().map(|rig| format!("{} ({})", clip(&rig.name, MAX_CELL), rig.fidelity)).collect();
    let rigs = if rigs.is_empty() { "no rig".to_owned() } else { rigs.join(", ") };
    let ran = result.cases.len() as u64 - result.totals.cases.not_run;
    let retries: u64 = result.cases.iter().map(|case| u64::from(case.retries)).sum();
    let retries = match retries {
        0 => String::new(),
        1 => " (1 retry)".to_owned(),
        more => format!(" ({more} retries)"),
    };
    let meaning = match result.exit_code {
        EXIT_OK => "every `must` that was decided holds",
        EXIT_PRODUCT => "the product fails a `must`",
        EXIT_HARNESS => "the harness is at fault",
        _ if ran == 0 => "no case ran",
        _ => "undecided, and the product is not to blame",
    };
    format!(
        "{}{causes} of {} requirements; {ran} of {} cases ran{retries} on {rigs}, seed {}, {:.1} s\nexit code {}: {meaning}",
        parts.join(", "),
        result.requirements.len(),
        result.cases.len(),
        result.run.seed,
        result.run.wall_ms as f64 / 1000.0,
        result.exit_code,
    )
}

fn by_verdict(counts: &Counts) -> [(u64, Verdict, &'static str); 6] {
    [
        (counts.pass, Verdict::Pass, "pass"),
        (counts.fail, Verdict::Fail, "fail"),
        (counts.harness_bug, Verdict::HarnessBug, "harness bug"),
        (counts.rig_fault, Verdict::RigFault, "rig fault"),
        (counts.inconclusive, Verdict::Inconclusive, "inconclusive"),
        (counts.not_run, Verdict::NotRun, "not run"),
    ]
}

#[cfg(test)]
mod tests;
