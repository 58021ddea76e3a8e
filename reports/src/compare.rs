//! Two runs beside each other: which verdicts changed, which figures moved by more than noise, what is new
//! and what is gone.
//!
//! A figure has **moved** if it differs by more than both instruments can be wrong together and, where there
//! are samples to judge by, by more than chance explains: see [`noise`]. What differs by less is not
//! mentioned, so that two runs of one firmware compare as equal.

use std::collections::BTreeMap;
use std::fmt::Write;

use rigor_core::budget::Budget;
use rigor_core::distribution::Summary;
use rigor_core::requirement::{Class, RequirementId};
use rigor_core::result::{EXIT_OK, RequirementResult, RunResult};
use rigor_core::unit::Amount;
use rigor_core::verdict::Verdict;

use crate::figure;
use crate::text::clip;

mod page;

/// Characters of a line.
const MAX_LINE: usize = 200;

/// What differs between two runs.
#[derive(Clone, PartialEq, Debug)]
pub struct Comparison {
    /// What was compared.
    pub before: Side,
    /// With what.
    pub after: Side,
    /// Requirements whose verdict became worse, the worst first.
    pub worse: Vec<Changed>,
    /// Requirements whose verdict became better.
    pub better: Vec<Changed>,
    /// Figures that moved, those that moved furthest for their noise first.
    pub moved: Vec<Moved>,
    /// Requirements whose budget is another one, with the old and the new.
    pub budgets: Vec<(Subject, String, String)>,
    /// Requirements that only the second run knows, with their verdict.
    pub new: Vec<(Subject, Verdict)>,
    /// Requirements that only the first run knows, with their verdict.
    pub gone: Vec<(Subject, Verdict)>,
    /// Requirements that both know and of which nothing above is told.
    pub alike: usize,
}

/// One of two runs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Side {
    /// Name of the run's folder.
    pub id: String,
    /// When it began.
    pub started: String,
    /// Firmware and rigs, for people.
    pub what: String,
    /// What its process exited with.
    pub exit_code: u8,
}

/// A requirement's name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Subject {
    /// The system's short name.
    pub system: String,
    /// Its id.
    pub id: RequirementId,
    /// Its title.
    pub title: String,
    /// Whether it gates.
    pub class: Class,
}

/// A verdict that changed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Changed {
    /// Of what.
    pub subject: Subject,
    /// In the first run.
    pub before: Verdict,
    /// In the second.
    pub after: Verdict,
    /// What the second run says of it.
    pub reason: Option<String>,
}

/// A figure that moved.
#[derive(Clone, PartialEq, Debug)]
pub struct Moved {
    /// Of what.
    pub subject: Subject,
    /// `p50`, or the figure that the budget judges.
    pub figure: &'static str,
    /// In the first run, in the unit of the second.
    pub before: Amount,
    /// In the second.
    pub after: Amount,
    /// What a difference has to exceed to be mentioned.
    pub noise: Amount,
    /// Whether it moved towards a limit or beyond it; `None` without a budget.
    pub worse: Option<bool>,
}

impl Moved {
    /// The difference.
    pub fn by(&self) -> Amount {
        Amount::new(self.after.value - self.before.value, self.after.unit)
    }

    fn strength(&self) -> f64 {
        if self.noise.value > 0.0 { self.by().value.abs() / self.noise.value } else { f64::INFINITY }
    }
}

/// What lies between `before` and `after`.
pub fn compare(before: &RunResult, after: &RunResult) -> Comparison {
    type Known<'a> = BTreeMap<(&'a str, &'a str), &'a RequirementResult>;
    fn known(run: &RunResult) -> Known<'_> {
        run.requirements.iter().map(|found| ((found.system.as_str(), found.id.as_str()), found)).collect()
    }
    let (old, young) = (known(before), known(after));
    let mut found = Comparison {
        before: side(before),
        after: side(after),
        worse: Vec::new(),
        better: Vec::new(),
        moved: Vec::new(),
        budgets: Vec::new(),
        new: Vec::new(),
        gone: Vec::new(),
        alike: 0,
    };
    for (key, now) in &young {
        match old.get(key) {
            None => found.new.push((subject(now), now.verdict)),
            Some(then) => found.pair(then, now),
        }
    }
    let gone = old.iter().filter(|(key, _)| !young.contains_key(*key));
    found.gone = gone.map(|(_, then)| (subject(then), then.verdict)).collect();
    found.worse.sort_by_key(|changed| (changed.subject.class, std::cmp::Reverse(changed.after)));
    found.moved.sort_by(|a, b| b.strength().total_cmp(&a.strength()));
    found
}

fn side(run: &RunResult) -> Side {
    let firmware = run.firmware.iter().map(|firmware| {
        let image = firmware.image.as_deref().map(|image| format!(" ({})", clip(image, 13)));
        format!("{} {}{}", firmware.name, firmware.version, image.unwrap_or_default())
    });
    let rigs = run.rigs.iter().map(|rig| format!("on {}", rig.name));
    let what: Vec<String> = firmware.chain(rigs).chain([format!("seed {}", run.run.seed)]).collect();
    Side {
        id: run.run.id.clone(),
        started: run.run.started.clone(),
        what: what.join(", "),
        exit_code: run.exit_code,
    }
}

fn subject(found: &RequirementResult) -> Subject {
    Subject {
        system: found.system.clone(),
        id: found.id.clone(),
        title: found.title.clone(),
        class: found.class,
    }
}

impl Comparison {
    fn pair(&mut self, then: &RequirementResult, now: &RequirementResult) {
        let mut told = false;
        if then.verdict != now.verdict {
            told = true;
            let changed = Changed {
                subject: subject(now),
                before: then.verdict,
                after: now.verdict,
                reason: now.reason.clone(),
            };
            // In the order of `Verdict` a requirement that no longer runs is worse than one that holds.
            if now.verdict > then.verdict { self.worse.push(changed) } else { self.better.push(changed) }
        }
        let budgets =
            [then, now].map(|found| found.budget.as_ref().map(Budget::to_string).unwrap_or_default());
        if budgets[0] != budgets[1] {
            told = true;
            let [before, after] = budgets;
            self.budgets.push((subject(now), before, after));
        }
        if let (Some(old), Some(young)) = (figure::summary(then), figure::summary(now))
            && let Some(old) = old.to(young.unit)
        {
            let moved = moved(&old, young, now);
            told |= !moved.is_empty();
            self.moved.extend(moved);
        }
        self.alike += usize::from(!told);
    }

    /// Whether a `must` is worse than it was: no longer green, or gone while it was.
    pub fn is_worse(&self) -> bool {
        let (worse, gone) = self.lost();
        worse + gone > 0 || (self.before.exit_code == EXIT_OK && self.after.exit_code != EXIT_OK)
    }

    /// How many `must` became worse, and how many that held are gone.
    fn lost(&self) -> (usize, usize) {
        let must = |subject: &Subject| subject.class == Class::Must;
        let held = |verdict: Verdict| verdict == Verdict::Pass;
        (
            self.worse.iter().filter(|changed| must(&changed.subject)).count(),
            self.gone.iter().filter(|(subject, verdict)| must(subject) && held(*verdict)).count(),
        )
    }

    /// Why it is worse, or that it is not, in a sentence.
    fn blame(&self) -> String {
        let many =
            |count: usize| if count == 1 { "requirement".to_owned() } else { "requirements".to_owned() };
        let parts: Vec<String> = match self.lost() {
            (0, 0) if self.is_worse() => vec!["the run is not green any more".to_owned()],
            (worse, gone) => [(worse, "worse than before"), (gone, "gone that held before")]
                .into_iter()
                .filter(|(count, _)| *count > 0)
                .map(|(count, what)| format!("{count} `must` {} {what}", many(count)))
                .collect(),
        };
        if parts.is_empty() {
            "No `must` requirement is worse.".to_owned()
        } else {
            format!("{}.", parts.join(", "))
        }
    }

    /// The comparison as lines for a terminal, without colours.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for (name, side) in [("before", &self.before), ("after", &self.after)] {
            let line = format!("{name:<6}  {}  {}  {}", side.id, side.started, side.what);
            put(&mut text, &format!("{line}, exit code {}", side.exit_code));
        }
        for (heading, list) in [("worse", &self.worse), ("better", &self.better)] {
            section(&mut text, heading, list.len());
            for changed in list {
                let reason =
                    changed.reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
                let line =
                    format!("{}  {} -> {}{reason}", name(&changed.subject), changed.before, changed.after);
                put(&mut text, &format!("  {line}"));
            }
        }
        section(&mut text, "figures that moved", self.moved.len());
        for moved in &self.moved {
            put(&mut text, &format!("  {}  {}", name(&moved.subject), shift(moved)));
        }
        section(&mut text, "other budgets", self.budgets.len());
        for (subject, before, after) in &self.budgets {
            put(&mut text, &format!("  {}  `{before}` -> `{after}`", name(subject)));
        }
        for (heading, list) in [("new", &self.new), ("gone", &self.gone)] {
            section(&mut text, heading, list.len());
            for (subject, verdict) in list {
                put(&mut text, &format!("  {}  {verdict}", name(subject)));
            }
        }
        put(&mut text, "");
        put(&mut text, &self.blame());
        put(&mut text, &self.conclusion());
        text
    }

    /// The counts in a sentence.
    fn conclusion(&self) -> String {
        format!(
            "{} worse, {} better, {} figures moved, {} new, {} gone, {} alike",
            self.worse.len(),
            self.better.len(),
            self.moved.len(),
            self.new.len(),
            self.gone.len(),
            self.alike
        )
    }

    /// The comparison as a page of the same make as `report.html`.
    pub fn html(&self) -> String {
        page::render(self)
    }
}

fn put(text: &mut String, line: &str) {
    text.push_str(&clip(line, MAX_LINE));
    text.push('\n');
}

fn section(text: &mut String, heading: &str, count: usize) {
    if count > 0 {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "\n{heading} ({count}):");
    }
}

fn name(subject: &Subject) -> String {
    let class = if subject.class == Class::Must { String::new() } else { format!(" ({})", subject.class) };
    format!("{} {}{class}", subject.id, subject.title)
}

fn shift(moved: &Moved) -> String {
    let by = moved.by();
    let sign = if by.value > 0.0 { "+" } else { "" };
    let part = by.value / moved.before.value.abs() * 100.0;
    let part =
        if part.is_finite() && part.abs() < 10_000.0 { format!(", {part:+.1} %") } else { String::new() };
    let towards = match moved.worse {
        Some(true) => ", nearer to the limit or beyond it",
        Some(false) => ", further from the limit",
        None => "",
    };
    format!("{} {} -> {} ({sign}{by}{part}{towards})", moved.figure, moved.before, moved.after)
}

/// The median and the judged figure, where they moved.
fn moved(old: &Summary, young: &Summary, now: &RequirementResult) -> Vec<Moved> {
    let budget = now.budget.as_ref();
    let mut figures: Vec<(&'static str, f64, f64)> = vec![("p50", old.p50, young.p50)];
    if let Some(budget) = budget
        && let Some((name, _)) = budget.judged_figure(young)
    {
        // The same figure of both: the nearer extreme of `every` may change sides.
        let of = |summary: &Summary| match name {
            "mean" => summary.mean,
            "p95" => summary.p95,
            "p99" => summary.p99,
            "max" => summary.max,
            "min" => summary.min,
            _ => summary.p50,
        };
        if name != "p50" && of(old) - of(young) != old.p50 - young.p50 {
            figures.push((name, of(old), of(young)));
        }
    }
    figures
        .into_iter()
        .filter_map(|(figure, before, after)| {
            let noise = noise(figure, old) + noise(figure, young) + old.uncertainty + young.uncertainty;
            // Of a figure that binary floating point rounded otherwise nobody wants to hear.
            let least = 1e-9 * before.abs().max(after.abs());
            ((after - before).abs() > noise.max(least)).then(|| Moved {
                subject: subject(now),
                figure,
                before: Amount::new(before, young.unit),
                after: Amount::new(after, young.unit),
                noise: Amount::new(noise, young.unit),
                worse: budget.map(|budget| nearness(budget, after, young) < nearness(budget, before, young)),
            })
        })
        .collect()
}

/// How far inside the nearest limit `value` lies.
fn nearness(budget: &Budget, value: f64, summary: &Summary) -> f64 {
    let (low, high) = budget.comparison().limits();
    let value = summary.unit.convert(value, budget.unit()).unwrap_or(value);
    (high - value).min(value - low)
}

/// How far a figure of a run may lie from that of another by chance alone, as far as a summary tells.
///
/// Three standard errors. The standard deviation is taken from the spread between the median and the 95th
/// percentile, or the smallest sample, whichever is wider for a normal distribution (1.645 deviations at
/// 95 %; the smallest sample is counted as the 5th percentile, which errs towards more noise). The error of
/// a mean is that over the root of the count, that of a median 1.2533 times as much; that of a 95th or 99th
/// percentile 2.11 and 3.74 times (asymptotic, for a normal distribution). A smallest or largest sample has
/// no such error; it may move by the whole distance to the nearest percentile that the summary holds.
///
/// With one sample nothing is known of noise and it counts as none: on a bench such a figure is mentioned
/// when it moves by more than its uncertainty.
pub fn noise(figure: &str, summary: &Summary) -> f64 {
    if summary.count < 2 {
        return 0.0;
    }
    let deviation = (summary.p95 - summary.p50).max(summary.p50 - summary.min) / 1.645;
    let error = 3.0 * deviation / (summary.count as f64).sqrt();
    match figure {
        "mean" => error,
        "p95" => 2.11 * error,
        "p99" => 3.74 * error,
        "max" => (summary.max - summary.p95).max(3.74 * error),
        "min" => (summary.p50 - summary.min).max(3.74 * error),
        _ => 1.2533 * error,
    }
}

#[cfg(test)]
mod tests;
