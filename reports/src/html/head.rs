//! The top of the page: the verdict and whose fault it is, what ran, and how much of it.

use rigor_core::qualification::Qualification;
use rigor_core::requirement::Class;
use rigor_core::result::{Counts, EXIT_HARNESS, EXIT_OK, EXIT_PRODUCT, RunResult};
use rigor_core::verdict::Verdict;

use super::markup::{Markup, place};
use super::page::glyph;
use super::view::{Row, VERDICTS, rank};
use crate::memory;

/// The page's title: the verdict first, for a row of tabs.
pub(super) fn title(result: &RunResult) -> String {
    let systems = systems(result);
    format!("{} {} {}", word(result.exit_code), systems.join(", "), result.run.id)
}

fn systems(result: &RunResult) -> Vec<&str> {
    let mut systems: Vec<&str> = result.requirements.iter().map(|found| found.system.as_str()).collect();
    systems.dedup();
    systems
}

/// The verdict on the run in a word.
pub(super) fn word(exit_code: u8) -> &'static str {
    match exit_code {
        EXIT_OK => "PASS",
        EXIT_PRODUCT => "FAIL",
        EXIT_HARNESS => "HARNESS BUG",
        _ => "UNDECIDED",
    }
}

fn mark(exit_code: u8) -> &'static str {
    match exit_code {
        EXIT_OK => "pass",
        EXIT_PRODUCT => "fail",
        EXIT_HARNESS => "bug",
        _ => "vague",
    }
}

/// Whose fault it is, in a sentence.
fn blame(result: &RunResult, rows: &[Row<'_>]) -> String {
    let gating = |verdict| rows.iter().filter(|row| row.found.verdict == verdict && row.gates()).count();
    let many = |count: usize, what: &str| match count {
        1 => format!("1 {what}"),
        more => format!("{more} {what}s"),
    };
    match result.exit_code {
        EXIT_PRODUCT => {
            let count = gating(Verdict::Fail);
            let verb = if count == 1 { "is" } else { "are" };
            format!("The product is to blame: {} {verb} not met.", many(count, "`must` requirement"))
        }
        EXIT_HARNESS => {
            "The harness or a case is to blame. Of the product this run says nothing that can be relied on."
                .to_owned()
        }
        EXIT_OK => "Every `must` requirement that was decided holds.".to_owned(),
        _ => {
            let rig = gating(Verdict::RigFault);
            let vague = gating(Verdict::Inconclusive);
            let missing = gating(Verdict::NotRun);
            let parts: Vec<String> = [
                (rig > 0).then(|| many(rig, "rig fault")),
                (vague > 0).then(|| format!("{vague} inconclusive")),
                (missing > 0).then(|| format!("{missing} that no rig of this run could try")),
            ]
            .into_iter()
            .flatten()
            .collect();
            let why = if parts.is_empty() { "no case ran".to_owned() } else { parts.join(", ") };
            format!("Nobody can tell, and the product is not to blame: {why}.")
        }
    }
}

/// The header's content.
pub(super) fn render(page: &mut Markup, result: &RunResult, rows: &[Row<'_>], has_kills: bool) {
    page.element("nav", &[("aria-label", "parts of this page")], |page| {
        page.classed("b", "brand", "rigor");
        let trouble = |gates| rows.iter().any(|row| row.is_trouble() && row.gates() == gates);
        let links = [
            (trouble(true), "#failed", "What failed"),
            (trouble(false), "#ungated", "Not met"),
            (true, "#coverage", "Coverage"),
            (true, "#requirements", "Requirements"),
            (has_kills, "#kills", "Kill matrix"),
        ];
        for (_, target, name) in links.into_iter().filter(|(there, ..)| *there) {
            page.leaf("a", &[("href", target)], name);
        }
        page.leaf("button", &[("id", "theme"), ("type", "button"), ("class", "quiet")], "Dark");
    });
    page.element("div", &[("class", "verdict")], |page| {
        let mark = mark(result.exit_code);
        page.element("h1", &[("class", mark)], |page| {
            glyph(page, mark);
            page.text(word(result.exit_code));
            page.classed("span", "of", &systems(result).join(", "));
        });
        page.element("p", &[("class", "blame")], |page| {
            page.prose(&blame(result, rows));
            page.classed("span", "code", &format!("exit code {}", result.exit_code));
        });
    });
    counts(page, &result.totals.requirements);
    facts(page, result);
}

fn count(counts: &Counts, verdict: Verdict) -> u64 {
    match verdict {
        Verdict::Pass => counts.pass,
        Verdict::Fail => counts.fail,
        Verdict::RigFault => counts.rig_fault,
        Verdict::HarnessBug => counts.harness_bug,
        Verdict::Inconclusive => counts.inconclusive,
        Verdict::NotRun => counts.not_run,
    }
}

/// One bar of all requirements and its legend, which is also a choice for the table.
fn counts(page: &mut Markup, counts_: &Counts) {
    let total: u64 = VERDICTS.iter().map(|(verdict, ..)| count(counts_, *verdict)).sum();
    page.element("div", &[("class", "counts")], |page| {
        let name = format!("{total} requirements by verdict");
        let attributes = [
            ("viewBox", "0 0 1000 14"),
            ("preserveAspectRatio", "none"),
            ("role", "img"),
            ("aria-label", &*name),
        ];
        page.element("svg", &attributes, |page| {
            let mut from = 0.0;
            let present: Vec<(&str, u64)> = VERDICTS
                .iter()
                .map(|(verdict, class, ..)| (*class, count(counts_, *verdict)))
                .filter(|(_, count)| *count > 0)
                .collect();
            // One failure of a thousand must still be seen: nothing is narrower than this.
            const LEAST: f64 = 8.0;
            let room = 1000.0 - LEAST * present.len() as f64;
            for (class, count) in present {
                let width = LEAST + room * count as f64 / total.max(1) as f64;
                let (x, shown) = (place(from), place((width - 2.0).max(1.0)));
                page.mark(
                    "rect",
                    &[("class", class), ("x", &x), ("y", "0"), ("width", &shown), ("height", "14")],
                );
                from += width;
            }
        });
        page.element("ul", &[], |page| {
            for (verdict, class, _, name) in VERDICTS {
                let count = count(counts_, verdict);
                let idle = count == 0 && verdict != Verdict::Pass && verdict != Verdict::Fail;
                if idle {
                    continue;
                }
                page.element("li", &[], |page| {
                    page.element("a", &[("href", "#requirements"), ("data-only", class)], |page| {
                        glyph(page, class);
                        page.leaf("b", &[], &count.to_string());
                        page.text(&format!(" {name}"));
                    });
                });
            }
            page.element("li", &[("class", "sum")], |page| {
                page.leaf("b", &[], &total.to_string());
                page.text(" requirements");
            });
        });
    });
}

fn facts(page: &mut Markup, result: &RunResult) {
    page.element("dl", &[("class", "facts")], |page| {
        for firmware in &result.firmware {
            fact(page, "Firmware", |page| {
                page.leaf("b", &[], &format!("{} {}", firmware.name, firmware.version));
                match &firmware.image {
                    Some(image) => {
                        page.text(" image ");
                        let short: String = image.chars().take(12).collect();
                        page.leaf("code", &[("title", &format!("SHA-256 {image}"))], &short);
                    }
                    None => page.text(" (the rig does not know its image)"),
                }
            });
            let memory = memory::words(firmware);
            if !memory.is_empty() {
                fact(page, "Memory", |page| {
                    for (at, words) in memory.iter().enumerate() {
                        page.text(if at == 0 { "" } else { ", " });
                        let class = if words.over { "over" } else { "within" };
                        page.leaf("span", &[("class", class), ("title", &words.source)], &words.text);
                    }
                });
            }
        }
        for rig in &result.rigs {
            fact(page, "Rig", |page| {
                page.leaf("b", &[], &rig.name);
                page.text(&format!(" {} back end, times are {}", rig.back_end, rig.fidelity));
                for line in rig.qualification.iter().flat_map(Qualification::lines) {
                    page.classed("small", "qualified", &line);
                }
            });
        }
        fact(page, "Seed", |page| page.leaf("b", &[], &result.run.seed.to_string()));
        fact(page, "Cases", |page| {
            let (cases, none) = (result.cases.len() as u64, result.totals.cases.not_run);
            page.leaf("b", &[], &(cases.saturating_sub(none)).to_string());
            page.text(&format!(" of {cases} ran"));
            let retries: u64 = result.cases.iter().map(|case| u64::from(case.retries)).sum();
            match retries {
                0 => {}
                1 => page.text(", 1 retry"),
                more => page.text(&format!(", {more} retries")),
            }
        });
        fact(page, "Began", |page| {
            page.leaf("b", &[], &result.run.started.replace('T', " ").replace('Z', " UTC"));
            page.text(&format!(" took {}", took(result.run.wall_ms)));
        });
        fact(page, "Run", |page| {
            page.leaf("code", &[], &result.run.id);
            if !result.run.args.is_empty() {
                page.text(" with ");
                page.leaf("code", &[], &result.run.args.join(" "));
            }
        });
    });
}

fn fact(page: &mut Markup, name: &'static str, content: impl FnOnce(&mut Markup)) {
    page.element("div", &[], |page| {
        page.leaf("dt", &[], name);
        page.element("dd", &[], content);
    });
}

/// A host's time for people.
pub(super) fn took(milliseconds: u64) -> String {
    match milliseconds {
        0..1000 => format!("{milliseconds} ms"),
        1000..120_000 => format!("{:.1} s", milliseconds as f64 / 1000.0),
        long => format!("{} min {} s", long / 60_000, long / 1000 % 60),
    }
}

/// The foot of the page: how to read its marks.
pub(super) fn legend(page: &mut Markup, result: &RunResult) {
    page.element("p", &[("class", "legend")], |page| {
        for (_, class, letter, name) in VERDICTS {
            page.element("span", &[], |page| {
                glyph(page, class);
                let name = if letter.is_empty() { name.to_owned() } else { format!("{name} ({letter})") };
                page.text(&format!(" {name}"));
            });
        }
    });
    page.element("p", &[("class", "legend")], |page| {
        page.text(
            "In a strip the shaded band is allowed and its edges are the limits; the thin line goes from the \
             smallest sample to the largest, the thick one from the median to the 99th percentile; the \
             diamond is the figure that the budget judges, hollow where it lies outside.",
        );
    });
    let musts = result.requirements.iter().filter(|found| found.class == Class::Must).count();
    page.element("p", &[("class", "legend")], |page| {
        page.prose(&format!(
            "Of {} requirements {musts} are a `must`: only these fail a run; a `should` or a `report` that \
             is not met is shown. Harness bugs and rig faults keep a run from being green whatever they concern. \
             results.json, format {}, holds all of this for programs.",
            result.requirements.len(),
            result.schema_version
        ));
    });
}

/// Rows in the order of urgency; see [`Row::urgency`].
pub(super) fn worst_first<'r, 'a>(rows: &'r [Row<'a>]) -> Vec<&'r Row<'a>> {
    let mut sorted: Vec<&Row<'_>> = rows.iter().collect();
    sorted.sort_by(|a, b| {
        let (first, second) = (a.urgency(), b.urgency());
        (first.0, first.1).cmp(&(second.0, second.1)).then_with(|| first.2.total_cmp(&second.2))
    });
    debug_assert!(sorted.is_sorted_by_key(|row| (!row.gates(), rank(row.found.verdict))));
    sorted
}
