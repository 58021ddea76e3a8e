//! The run for the page of a CI job: `summary.md`, GitHub's Markdown.
//!
//! What failed stands first, each with a plot of one line: the allowed range as `─` between its limits `┃`,
//! what was measured as `━` from its smallest to its largest, the figure that the budget judges as `◆`.

use std::fmt::Write;

use rigor_core::budget::Budget;
use rigor_core::distribution::Summary;
use rigor_core::qualification::Qualification;
use rigor_core::requirement::Class;
use rigor_core::result::{
    Counts, EXIT_HARNESS, EXIT_OK, EXIT_PRODUCT, Measured, NotRun, RequirementResult, RunResult,
};
use rigor_core::verdict::Verdict;

use crate::figure;
use crate::memory::{self, Words};
use crate::text::clip;

/// Rows of what failed; GitHub cuts a summary at a megabyte.
const MAX_ROWS: usize = 50;
/// Characters of a cell.
const MAX_CELL: usize = 300;
/// Characters of a plot.
const PLOT: usize = 24;
/// Passed requirements that are named because they are near their limit.
const NEAREST: usize = 5;

/// The text of `summary.md`.
pub fn render(result: &RunResult) -> String {
    let mut page = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(page, "## {}\n", headline(result));
    let _ = writeln!(page, "{}\n", counts(&result.totals.requirements));
    what_ran(&mut page, result);
    qualified(&mut page, result);
    troubles(&mut page, result);
    nearest(&mut page, result);
    recovered(&mut page, result);
    not_run(&mut page, result);
    page
}

fn headline(result: &RunResult) -> &'static str {
    match result.exit_code {
        EXIT_OK => "✅ Every `must` that was decided holds",
        EXIT_PRODUCT => "❌ The product fails",
        EXIT_HARNESS => "⚠️ The harness is at fault",
        _ => "⚠️ Nobody can tell, and the product is not to blame",
    }
}

fn counts(counts: &Counts) -> String {
    let all = [
        (counts.fail, "fail"),
        (counts.harness_bug, "harness bug"),
        (counts.rig_fault, "rig fault"),
        (counts.inconclusive, "inconclusive"),
        (counts.not_run, "not run"),
        (counts.pass, "pass"),
    ];
    let told: Vec<String> = all
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, name)| format!("**{count}** {name}"))
        .collect();
    if told.is_empty() { "No requirement.".to_owned() } else { told.join(" · ") }
}

fn what_ran(page: &mut String, result: &RunResult) {
    let mut parts = Vec::new();
    for firmware in &result.firmware {
        let image = firmware.image.as_deref().map(|image| format!(" (image {})", code(&clip(image, 12))));
        parts.push(format!(
            "{} {}{}",
            text(&firmware.name),
            text(&firmware.version),
            image.unwrap_or_default()
        ));
    }
    for rig in &result.rigs {
        parts.push(format!("on {} ({})", text(&rig.name), rig.fidelity));
    }
    parts.push(format!("seed {}", result.run.seed));
    let ran = result.cases.len() as u64 - result.totals.cases.not_run.min(result.cases.len() as u64);
    parts.push(format!("{ran} of {} cases", result.cases.len()));
    parts.push(format!("{:.1} s", result.run.wall_ms as f64 / 1000.0));
    let _ = writeln!(page, "{}\n", parts.join(", "));
    for firmware in &result.firmware {
        let bold = |words: &Words| {
            let told = text(&words.text);
            if words.over { format!("**{told}**") } else { told }
        };
        let told: Vec<String> = memory::words(firmware).iter().map(bold).collect();
        if !told.is_empty() {
            let _ = writeln!(page, "{} takes {}\n", text(&firmware.name), told.join(", "));
        }
    }
}

/// What the rigs have found out of themselves.
fn qualified(page: &mut String, result: &RunResult) {
    for rig in &result.rigs {
        let lines = rig.qualification.iter().flat_map(Qualification::lines);
        let told: Vec<String> = lines.map(|line| text(&clip(&line, MAX_CELL))).collect();
        if !told.is_empty() {
            let _ = writeln!(page, "{}: {}\n", text(&rig.name), told.join("; "));
        }
    }
}

/// Where a bench has failed and was helped, or not.
fn recovered(page: &mut String, result: &RunResult) {
    let told =
        result.cases.iter().flat_map(|case| case.recoveries.iter().map(move |recovery| (case, recovery)));
    let mut told: Vec<_> = told.collect();
    if told.is_empty() {
        return;
    }
    let left_out = told.len().saturating_sub(MAX_ROWS);
    told.truncate(MAX_ROWS);
    let _ = writeln!(page, "Where the bench failed under a case, and what was done about it:\n");
    for (case, recovery) in told {
        let rig = case.rig.as_deref().unwrap_or("no rig");
        let line = text(&clip(&recovery.line(), MAX_CELL));
        let _ = writeln!(page, "- {} on {}: {line}", code(&clip(&case.name, MAX_CELL)), text(rig));
    }
    if left_out > 0 {
        let _ = writeln!(page, "- and {left_out} more");
    }
    let _ = writeln!(page);
}

fn troubles(page: &mut String, result: &RunResult) {
    let mut troubles: Vec<&RequirementResult> = result
        .requirements
        .iter()
        .filter(|found| !matches!(found.verdict, Verdict::Pass | Verdict::NotRun))
        .collect();
    if troubles.is_empty() {
        return;
    }
    troubles.sort_by_key(|found| (found.class, std::cmp::Reverse(found.verdict)));
    let _ = writeln!(page, "| | requirement | figure | allowed | | why |\n|---|---|---|---|---|---|");
    for found in troubles.iter().take(MAX_ROWS) {
        row(page, found);
    }
    if troubles.len() > MAX_ROWS {
        let _ = writeln!(page, "\nand {} more.", troubles.len() - MAX_ROWS);
    }
    let mut commands = String::new();
    for found in troubles.iter().take(MAX_ROWS) {
        let case = result.cases.iter().find(|case| {
            case.system == found.system
                && case.rig == found.rig
                && case.verdict >= found.verdict
                && case.requirements.contains(&found.id)
        });
        if let Some(command) = case.and_then(|case| case.repeat.as_deref()) {
            let _ = writeln!(commands, "{}  # {}", clip(command, MAX_CELL), found.id);
        }
    }
    if !commands.is_empty() {
        // A fence that is longer than any in the commands, so that none of them can end it.
        let fence = "`".repeat(longest_run(&commands, '`').max(2) + 1);
        let _ = writeln!(
            page,
            "\n<details><summary>Repeat</summary>\n\n{fence}sh\n{commands}{fence}\n\n</details>"
        );
    }
    page.push('\n');
}

fn row(page: &mut String, found: &RequirementResult) {
    let class = if found.class == Class::Must { String::new() } else { format!(" ({})", found.class) };
    let name = format!("**{}** {}<br>{}", found.id, text(&found.title), text(&found.text));
    let (figure, drawn) = match &found.measured {
        Some(Measured::Distribution(summary)) => {
            let told = figure::judged(found).map(|figure| format!("{} {}", figure.name, figure.amount));
            let distance =
                figure::distance(found).map(|distance| format!("<br>{distance}")).unwrap_or_default();
            (format!("{}{distance}", told.unwrap_or_default()), code(&plot(summary, found.budget.as_ref())))
        }
        Some(Measured::Text(seen)) => (text(seen), String::new()),
        None => (String::new(), String::new()),
    };
    let budget = found.budget.as_ref().map(|budget| text(&budget.to_string())).unwrap_or_default();
    let reason = text(found.reason.as_deref().unwrap_or_default());
    let _ =
        writeln!(page, "| {}{class} | {name} | {figure} | {budget} | {drawn} | {reason} |", found.verdict);
}

/// Passed requirements with a budget that leaves room, the nearest to their limit first.
fn nearest(page: &mut String, result: &RunResult) {
    let mut near: Vec<(f64, &RequirementResult)> = result
        .requirements
        .iter()
        .filter(|found| found.verdict == Verdict::Pass)
        .filter_map(|found| Some((figure::room(found)?, found)))
        .filter(|(room, _)| *room < 0.25)
        .collect();
    near.sort_by(|a, b| a.0.total_cmp(&b.0));
    if near.is_empty() {
        return;
    }
    let _ = writeln!(page, "<details><summary>Held, with the least room</summary>\n");
    let _ = writeln!(page, "| requirement | figure | allowed | | room left |\n|---|---|---|---|---|");
    for (room, found) in near.iter().take(NEAREST) {
        let Some(summary) = figure::summary(found) else { continue };
        let told = figure::judged(found).map(|figure| format!("{} {}", figure.name, figure.amount));
        let _ = writeln!(
            page,
            "| **{}** {} | {} | {} | {} | {:.0} % |",
            found.id,
            text(&found.title),
            told.unwrap_or_default(),
            text(&found.budget.as_ref().map(ToString::to_string).unwrap_or_default()),
            code(&plot(summary, found.budget.as_ref())),
            room * 100.0
        );
    }
    page.push_str("\n</details>\n\n");
}

fn not_run(page: &mut String, result: &RunResult) {
    let count = |cause| result.requirements.iter().filter(|found| found.not_run == Some(cause)).count();
    let (missing, planned, left) =
        (count(NotRun::NeedMissing), count(NotRun::Planned), count(NotRun::NotSelected));
    if missing + planned + left > 0 {
        let _ =
            writeln!(page, "Not run: {missing} for want of a part, {planned} planned, {left} not selected.");
    }
    let interrupted = count(NotRun::Interrupted);
    if interrupted > 0 {
        let _ = writeln!(page, "**The run was interrupted**: {interrupted} not run for that alone.");
    }
}

/// One line of [`PLOT`] characters.
fn plot(summary: &Summary, budget: Option<&Budget>) -> String {
    let (low, high) = budget
        .map(|budget| {
            let (low, high) = budget.comparison().limits();
            let convert = |limit: f64| budget.unit().convert(limit, summary.unit).unwrap_or(limit);
            (convert(low), convert(high))
        })
        .unwrap_or((f64::NEG_INFINITY, f64::INFINITY));
    let ends = [summary.min, summary.max, low, high].into_iter().filter(|value| value.is_finite());
    let (mut least, most) = ends.fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(v), b.max(v)));
    if least > 0.0 && least < most / 2.0 {
        least = 0.0;
    }
    let span = most - least;
    let column = |value: f64| {
        let share = if span > 0.0 { (value - least) / span } else { 0.5 };
        // One column stays free at each end.
        (1.0 + share.clamp(0.0, 1.0) * (PLOT - 3) as f64).round() as usize
    };
    let end = |limit: f64, edge: usize| if limit.is_finite() { column(limit) } else { edge };
    let mut cells = vec![' '; PLOT];
    if budget.is_some() {
        cells[end(low, 0)..=end(high, PLOT - 1)].fill('─');
    }
    cells[column(summary.min)..=column(summary.max)].fill('━');
    for limit in [low, high].into_iter().filter(|limit| limit.is_finite()) {
        cells[column(limit)] = '┃';
    }
    if let Some((_, figure)) = budget.and_then(|budget| budget.judged_figure(summary)) {
        cells[column(figure.value)] = '◆';
    }
    cells.into_iter().collect()
}

/// Text for a cell of a table: nothing in it is markup, ends the cell or mentions anybody.
fn text(text: &str) -> String {
    let mut safe = String::new();
    for character in clip(text, MAX_CELL).chars() {
        match character {
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '&' => safe.push_str("&amp;"),
            // A mention would send somebody a message, a reference would link to what has nothing to do with it.
            '@' | '#' => {
                let _ = write!(safe, "&#{};", u32::from(character));
            }
            '\\' | '`' | '*' | '_' | '[' | ']' | '(' | ')' | '!' | '|' | '~' | '$' | ':' => {
                let _ = write!(safe, "&#{};", u32::from(character));
            }
            plain => safe.push(plain),
        }
    }
    safe
}

/// `text` as code in a cell.
fn code(text: &str) -> String {
    let mut safe = String::from("<code>");
    for character in text.chars() {
        match character {
            // Markdown would make one of several.
            ' ' => safe.push('\u{a0}'),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '&' => safe.push_str("&amp;"),
            '|' => safe.push_str("&#124;"),
            '`' => safe.push_str("&#96;"),
            plain => safe.push(plain),
        }
    }
    safe.push_str("</code>");
    safe
}

fn longest_run(text: &str, wanted: char) -> usize {
    text.split(|character| character != wanted).map(str::len).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use rigor_core::result::Memory;

    use super::*;
    use crate::sample;

    #[test]
    fn failures_stand_first_with_a_plot_and_how_to_repeat_them() {
        let page = render(&sample::run());
        assert!(page.starts_with("## ❌ The product fails\n\n**2** fail · **1** harness bug"), "{page}");
        let first = page.lines().find(|line| line.starts_with("| FAIL")).unwrap();
        assert!(first.contains("**K1-LED-006** pixel mapping<br>Pixels 0 to 159"), "{first}");
        assert!(first.contains("worst 319 pixels<br>off by 1 pixel"), "{first}");
        let should = page.find("| FAIL (should) |").unwrap();
        assert!(page.find("| INCONCLUSIVE |").unwrap() < should, "what gates comes first");
        assert!(page.contains("```sh\nRIGOR_SEED=1 cargo test"), "{page}");
        let memory = "prism-k1 takes flash 402.7 KiB of 1536 KiB &#40;26 %&#41;, RAM 294 KiB, **stacks";
        assert!(page.contains(memory), "{page}");
        assert!(page.contains("Not run: 1 for want of a part, 1 planned, 0 not selected."), "{page}");
    }

    #[test]
    fn a_plot_has_one_width_and_shows_what_is_outside() {
        let run = sample::run();
        let found = |id| run.requirements.iter().find(|found| found.id.as_str() == id).unwrap();
        let drawn = |id| plot(figure::summary(found(id)).unwrap(), found(id).budget.as_ref());
        assert_eq!(drawn("K1-UPL-014"), " ━━━━━━━━━━━◆━━━━━━━  ┃─");
        assert_eq!(drawn("K1-LED-006"), " ◆                    ┃ ");
        for found in &run.requirements {
            if let Some(summary) = figure::summary(found) {
                assert_eq!(plot(summary, found.budget.as_ref()).chars().count(), PLOT);
                assert_eq!(plot(summary, None).chars().count(), PLOT);
            }
        }
    }

    #[test]
    fn nothing_in_a_cell_is_markup() {
        let mut run = sample::run();
        let evil = "| x | <img src=x> `a` [b](http://c) @team #1 \u{202e}\n\n## heading \\|";
        for found in &mut run.requirements {
            (found.title, found.text, found.reason) = (evil.into(), evil.into(), Some(evil.into()));
        }
        for case in &mut run.cases {
            case.repeat = Some("```\n# out".to_owned());
        }
        run.firmware[0].memory[0].of = Memory::Stack(evil.into());
        let page = render(&run);
        for bad in ["<img", "[b]", "@team", "\u{202e}", "\n## heading", "m #1"] {
            assert!(!page.contains(bad), "{bad:?} in {page}");
        }
        let rows: Vec<&str> = page.lines().filter(|line| line.starts_with("| FAIL")).collect();
        assert!(rows.iter().all(|row| row.matches('|').count() == 7), "{rows:?}");
        assert!(page.contains("````sh\n"), "{page}");
    }
}
