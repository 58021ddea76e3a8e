//! The history of a suite, from nothing but a folder of `results.json`: how figures and verdicts went from
//! run to run, and where they changed for good.
//!
//! Runs stand in the order of [`Run::started`](rigor_core::result::Run::started), whatever their folders are
//! called. Each requirement on each rig is a [`Line`]. Where a figure changed is decided by a test and not by
//! eye: see [`change`].

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use chrono::DateTime;
use rigor_core::budget::Budget;
use rigor_core::distribution::Summary;
use rigor_core::requirement::RequirementId;
use rigor_core::result::{RequirementResult, RunResult};
use rigor_core::unit::{Amount, Unit};
use rigor_core::verdict::Verdict;

use crate::store;
use crate::text::{clip, visible};

pub mod change;
mod page;

use change::Change;

/// Runs that a history takes in: the newest ones.
pub const MAX_RUNS: usize = 200;
/// Folders that are looked into.
const MAX_FOLDERS: usize = 10_000;
/// Characters of a line.
const MAX_LINE: usize = 200;

/// The folder could not be listed.
#[derive(Debug, thiserror::Error)]
#[error("cannot list {}: {source}; name a folder that holds runs, such as target/rigor", path.display())]
pub struct TrendError {
    /// The folder.
    pub path: PathBuf,
    /// The answer of the operating system.
    pub source: io::Error,
}

/// Many runs, reduced to what a history shows.
#[derive(Clone, PartialEq, Debug)]
pub struct Trend {
    /// The runs, the oldest first.
    pub runs: Vec<Past>,
    /// A line for each requirement on each rig, by system, id and rig.
    pub lines: Vec<Line>,
    /// What was left out, each with the reason.
    pub left_out: Vec<String>,
}

/// One run of a history.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Past {
    /// Name of its folder.
    pub id: String,
    /// When it began.
    pub started: String,
    /// Firmware with its version, for people.
    pub firmware: String,
    /// What its process exited with.
    pub exit_code: u8,
}

/// One requirement on one rig, over all runs.
#[derive(Clone, PartialEq, Debug)]
pub struct Line {
    /// The system's short name.
    pub system: String,
    /// The requirement.
    pub id: RequirementId,
    /// Its title, as the newest run has it.
    pub title: String,
    /// The rig.
    pub rig: String,
    /// Its budget, as the newest run has it.
    pub budget: Option<Budget>,
    /// Unit of the figures.
    pub unit: Option<Unit>,
    /// For each run what was found, if it was tried at all.
    pub points: Vec<Option<Point>>,
    /// Where the median changed, the oldest first.
    pub medians: Vec<Change>,
    /// Where the figure that the budget judges changed, if that is not the median.
    pub judged: Vec<Change>,
}

/// What one run found.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Point {
    /// The conclusion.
    pub verdict: Verdict,
    /// The figures, in [`Line::unit`].
    pub measured: Option<Summary>,
}

impl Line {
    /// The places at which the verdict is another than the time before.
    pub fn flips(&self) -> usize {
        let verdicts: Vec<Verdict> = self
            .points
            .iter()
            .flatten()
            .map(|point| point.verdict)
            .filter(|verdict| *verdict != Verdict::NotRun)
            .collect();
        verdicts.windows(2).filter(|pair| pair[0] != pair[1]).count()
    }

    /// The figure that the budget judges, by name; `p50` without one.
    pub fn judged_name(&self) -> &'static str {
        let newest = self.points.iter().rev().flatten().find_map(|point| point.measured);
        let judged = newest.and_then(|summary| self.budget.as_ref()?.judged_figure(&summary));
        judged.map_or("p50", |(name, _)| name)
    }

    /// One figure of every run that has it, with the run's place.
    fn figures(&self, name: &str) -> Vec<(usize, f64)> {
        let figure = |summary: Summary| match name {
            "mean" => summary.mean,
            "p95" => summary.p95,
            "p99" => summary.p99,
            "max" => summary.max,
            "min" => summary.min,
            _ => summary.p50,
        };
        let measured = |point: &Option<Point>| point.as_ref()?.measured;
        self.points
            .iter()
            .enumerate()
            .filter_map(|(run, point)| Some((run, figure(measured(point)?))))
            .collect()
    }

    fn is_news(&self) -> bool {
        self.flips() > 0 || !self.medians.is_empty() || !self.judged.is_empty()
    }
}

/// The history of every run in `folder`: each `results.json` one level down, links aside, which only name
/// a run once more. What cannot be read is named in [`Trend::left_out`] and does not stop the rest.
///
/// # Errors
/// [`TrendError`] if the folder cannot be listed.
pub fn read_folder(folder: &Path) -> Result<Trend, TrendError> {
    let error = |source| TrendError { path: folder.to_owned(), source };
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(error)?.take(MAX_FOLDERS) {
        let entry = entry.map_err(error)?;
        let file = entry.path().join("results.json");
        let real = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if real && file.is_file() {
            files.push(file);
        }
    }
    files.sort();
    let (mut runs, mut left_out) = (Vec::new(), Vec::new());
    for file in files {
        match store::read(&file) {
            // What is not compared is not kept: evidence of two hundred runs would fill the memory.
            Ok(run) => runs.push(bare(run)),
            Err(error) => left_out.push(visible(&error.to_string())),
        }
    }
    let mut trend = of(&runs);
    trend.left_out.splice(0..0, left_out);
    Ok(trend)
}

fn bare(mut run: RunResult) -> RunResult {
    run.cases.clear();
    run
}

/// The history of `runs`, in any order. The newest [`MAX_RUNS`] count.
pub fn of(runs: &[RunResult]) -> Trend {
    let mut left_out = Vec::new();
    let mut timed = Vec::new();
    for run in runs {
        match DateTime::parse_from_rfc3339(&run.run.started) {
            Ok(started) => timed.push((started, run)),
            Err(_) => {
                let (id, started) = (visible(&run.run.id), visible(&run.run.started));
                left_out.push(format!("run {id}: `{started}` is no time that can be put in order"));
            }
        }
    }
    timed.sort_by(|a, b| (a.0, &a.1.run.id).cmp(&(b.0, &b.1.run.id)));
    let surplus = timed.len().saturating_sub(MAX_RUNS);
    if surplus > 0 {
        left_out.push(format!("the {surplus} oldest runs: a history shows {MAX_RUNS}"));
    }
    let runs: Vec<&RunResult> = timed[surplus..].iter().map(|(_, run)| *run).collect();
    let mut lines: BTreeMap<(&str, &str, &str), Line> = BTreeMap::new();
    for (place, run) in runs.iter().enumerate() {
        for found in &run.requirements {
            for (rig, point) in points(found) {
                let key = (found.system.as_str(), found.id.as_str(), rig);
                let line = lines.entry(key).or_insert_with(|| Line {
                    system: found.system.clone(),
                    id: found.id.clone(),
                    title: String::new(),
                    rig: rig.to_owned(),
                    budget: None,
                    unit: None,
                    points: vec![None; runs.len()],
                    medians: Vec::new(),
                    judged: Vec::new(),
                });
                (line.title, line.budget) = (found.title.clone(), found.budget.clone());
                line.unit = point.measured.map(|summary| summary.unit).or(line.unit);
                line.points[place] = Some(point);
            }
        }
    }
    let mut lines: Vec<Line> = lines.into_values().collect();
    for line in &mut lines {
        // What was measured in another unit once is brought to today's, or left out where it is none of it.
        let Some(unit) = line.unit else { continue };
        for point in line.points.iter_mut().flatten() {
            point.measured = point.measured.and_then(|summary| summary.to(unit));
        }
    }
    find_changes(&mut lines);
    let runs = runs.into_iter().map(past).collect();
    Trend { runs, lines, left_out }
}

fn past(run: &RunResult) -> Past {
    let firmware: Vec<String> =
        run.firmware.iter().map(|firmware| format!("{} {}", firmware.name, firmware.version)).collect();
    Past {
        id: run.run.id.clone(),
        started: run.run.started.clone(),
        firmware: firmware.join(", "),
        exit_code: run.exit_code,
    }
}

/// What was found on each rig.
fn points(found: &RequirementResult) -> Vec<(&str, Point)> {
    found
        .rigs
        .iter()
        .map(|on_rig| (on_rig.rig.as_str(), Point { verdict: on_rig.verdict, measured: on_rig.measured }))
        .collect()
}

/// Tests every line's median and judged figure, all as one family.
fn find_changes(lines: &mut [Line]) {
    let mut series = Vec::new();
    for (place, line) in lines.iter().enumerate() {
        series.push((place, true, line.figures("p50")));
        let judged = line.judged_name();
        if judged != "p50" {
            series.push((place, false, line.figures(judged)));
        }
    }
    let values: Vec<Vec<f64>> =
        series.iter().map(|(_, _, points)| points.iter().map(|(_, value)| *value).collect()).collect();
    for ((place, median, points), found) in series.into_iter().zip(change::find(&values)) {
        let changes = found.into_iter().map(|change| Change { at: points[change.at].0, ..change }).collect();
        if median {
            lines[place].medians = changes;
        } else {
            lines[place].judged = changes;
        }
    }
}

impl Trend {
    /// The lines with a change or with verdicts that flip.
    pub fn news(&self) -> impl Iterator<Item = &Line> {
        self.lines.iter().filter(|line| line.is_news())
    }

    /// The history as lines for a terminal, without colours.
    pub fn text(&self) -> String {
        let mut text = String::new();
        let count = self.runs.len();
        // Writing to a string cannot fail.
        let _ = match (self.runs.first(), self.runs.last()) {
            (Some(first), Some(last)) => writeln!(
                text,
                "{count} runs from {} to {}, {} requirements on rigs",
                clip(&first.started, MAX_LINE),
                clip(&last.started, MAX_LINE),
                self.lines.len()
            ),
            _ => writeln!(text, "no runs"),
        };
        for line in self.news() {
            let _ = writeln!(text, "\n{} {} on {}", line.id, clip(&line.title, 60), clip(&line.rig, 60));
            if line.flips() > 0 {
                let letters: String = line.points.iter().map(letter).collect();
                let _ = writeln!(text, "  verdicts {letters}");
            }
            for (name, changes) in [("p50", &line.medians), (line.judged_name(), &line.judged)] {
                for change in changes {
                    let _ = writeln!(text, "  {}", self.told(line, name, change));
                }
            }
        }
        for reason in &self.left_out {
            let _ = writeln!(text, "\nleft out: {}", clip(reason, MAX_LINE));
        }
        let _ = writeln!(text, "\n{}", change::METHOD);
        text
    }

    fn told(&self, line: &Line, name: &str, change: &Change) -> String {
        let unit = line.unit.unwrap_or(Unit::Count);
        let (before, after) = (Amount::new(change.before, unit), Amount::new(change.after, unit));
        let run = self.runs.get(change.at).map(|run| clip(&run.id, 60)).unwrap_or_default();
        format!("{name} {before} -> {after} from run {run} on (p {})", probability(change.p))
    }

    /// The history as a page of the same make as `report.html`.
    pub fn html(&self) -> String {
        page::render(self)
    }
}

/// A probability, adjusted for the number of tests.
fn probability(p: f64) -> String {
    if p < 0.001 { format!("{p:.1e}") } else { format!("{p:.3}") }
}

/// A verdict in one character, as the kill matrix and the report have it.
fn letter(point: &Option<Point>) -> char {
    match point.map(|point| point.verdict) {
        None | Some(Verdict::NotRun) => '-',
        Some(Verdict::Pass) => '.',
        Some(Verdict::Fail) => 'F',
        Some(Verdict::RigFault) => 'R',
        Some(Verdict::HarnessBug) => 'H',
        Some(Verdict::Inconclusive) => '?',
    }
}

#[cfg(test)]
mod tests;
