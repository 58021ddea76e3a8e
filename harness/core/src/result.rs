//! What a run leaves behind: the contents of `target/rigor/<run>/results.json`.
//!
//! The format is versioned ([`SCHEMA_VERSION`]) and described for other programs by
//! `reports/schema/results-v2.json`. Two runs of the same firmware with one seed on a
//! deterministic rig differ in nothing but `run.id`, `run.started` and the fields named `wall_ms`.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::budget::{Budget, Judgement};
use crate::distribution::{Distribution, Shape, Summary};
use crate::evidence::{self, Evidence};
use crate::qualification::Qualification;
use crate::recovery::Recovery;
use crate::requirement::{Class, RequirementId, quote};
use crate::time::Fidelity;
use crate::unit::Amount;
use crate::verdict::Verdict;

mod combine;
mod json;
mod memory;

pub use combine::Decision;
pub use memory::{MAX_MEMORIES, Memory, MemoryLimit, MemoryUse};

/// The version of the format. It grows with every change, because readers refuse fields that they
/// do not know.
pub const SCHEMA_VERSION: u32 = 2;

/// The largest file that [`RunResult::read`] accepts, in bytes.
pub const MAX_FILE: usize = 64 << 20;

/// Lines of log that a case keeps.
pub const LOG_TAIL_LINES: usize = 40;

/// Most lines of [`CaseResult::backtrace`].
pub const BACKTRACE_LINES: usize = 24;

/// Characters that a line of log, a reason or an observation keeps.
pub const MAX_TEXT: usize = 2000;

/// Every `must` that was decided holds, and something was decided.
pub const EXIT_OK: u8 = 0;
/// The product fails a `must`.
pub const EXIT_PRODUCT: u8 = 1;
/// The run could not decide and the product is not to blame: a rig fault, an inconclusive `must`,
/// one that no rig of the run could try, or no case that ran at all.
pub const EXIT_UNDECIDED: u8 = 2;
/// The harness or a case is wrong.
pub const EXIT_HARNESS: u8 = 3;

/// Everything one run has to say.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunResult {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// The run itself.
    pub run: Run,
    /// The rigs that took part, by name.
    pub rigs: Vec<RigUsed>,
    /// What was tested, by system; empty if the rig does not know.
    pub firmware: Vec<Firmware>,
    /// Every requirement of every system of the run, by system and id, decided or not.
    pub requirements: Vec<RequirementResult>,
    /// Every case on every rig, by system, name and rig.
    pub cases: Vec<CaseResult>,
    /// Counts by verdict.
    pub totals: Totals,
    /// What the process exits with; see [`exit_code`].
    pub exit_code: u8,
}

/// One invocation of the runner.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// Name of the run's folder.
    pub id: String,
    /// When it began: RFC 3339, as the caller's clock tells.
    pub started: String,
    /// How long it took by the host's clock, in milliseconds.
    pub wall_ms: u64,
    /// What every case's seed derives from.
    pub seed: u64,
    /// The arguments it was started with, as far as they choose what runs.
    pub args: Vec<String>,
}

/// A rig that took part.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RigUsed {
    /// Name from the rig file.
    pub name: String,
    /// Its kind, as rig files write it: `virtual`, `replay`.
    pub back_end: String,
    /// What its clock is worth.
    pub fidelity: Fidelity,
    /// What it has found out of itself, at worst in this run; left out of a rig that has no instruments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub qualification: Option<Qualification>,
}

/// The firmware under test.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Firmware {
    /// The system's short name.
    pub system: String,
    /// Name of the image.
    pub name: String,
    /// Its version, as the build states it.
    pub version: String,
    /// SHA-256 of the image that ran, in hexadecimal, if the rig knows it. On a virtual board that is
    /// the program which holds both board and firmware.
    pub image: Option<String>,
    /// What it takes of the chip's memories, in their order, at most [`MAX_MEMORIES`]; left out if the rig
    /// knows nothing of it. Flash and RAM are known of an image for a chip, stacks where the rig sees tasks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub memory: Vec<MemoryUse>,
}

/// What was observed of a requirement.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Measured {
    /// Figures.
    Distribution(Summary),
    /// An observation in a few words, where there is nothing to count.
    Text(String),
}

impl Measured {
    /// The figures of `distribution`, in the budget's unit if there is a budget of that kind.
    pub fn figures(distribution: &Distribution, budget: Option<&Budget>) -> Self {
        let own = distribution.summary();
        let converted = budget.and_then(|budget| own.to(budget.unit()));
        Measured::Distribution(converted.unwrap_or(own))
    }
}

/// Why nothing was tried.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NotRun {
    /// The catalogue says that no case decides it yet.
    Planned,
    /// A filter left it out.
    NotSelected,
    /// The rig lacks what the case needs.
    NeedMissing,
    /// The rig is a recording, and this case was not recorded.
    NotRecorded,
    /// Somebody ended the run before its turn.
    Interrupted,
}

/// What a run says of one requirement.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequirementResult {
    /// Its id in the catalogue.
    pub id: RequirementId,
    /// The system's short name.
    pub system: String,
    /// Two to four words.
    pub title: String,
    /// Where the source says so.
    pub clause: String,
    /// The requirement in one sentence.
    pub text: String,
    /// The reading chosen where sources disagree, and why.
    pub reading: Option<String>,
    /// What a failure means.
    pub class: Class,
    /// The conclusion over all cases and rigs.
    pub verdict: Verdict,
    /// Why nothing was tried; there exactly if the verdict is [`Verdict::NotRun`].
    pub not_run: Option<NotRun>,
    /// Why the verdict is not a pass.
    pub reason: Option<String>,
    /// What was observed where it was decided.
    pub measured: Option<Measured>,
    /// What the figures look like, in the unit of `measured`.
    pub shape: Option<Shape>,
    /// What is allowed.
    pub budget: Option<Budget>,
    /// How far inside the nearest limit the judged figure lies; negative outside.
    pub margin: Option<Amount>,
    /// What the deciding rig's clock is worth.
    pub fidelity: Option<Fidelity>,
    /// How far from the truth the deciding instrument may be.
    pub uncertainty: Option<Amount>,
    /// The shortest round trip over the network of the deciding rig, of a time that was measured over it. It is part
    /// of the figures and not subtracted; left out where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub floor: Option<Amount>,
    /// The cases that decide it, by name.
    pub cases: Vec<String>,
    /// The rig whose evidence decided.
    pub rig: Option<String>,
    /// The case whose evidence decided.
    pub case: Option<String>,
    /// What each rig that was offered it found, by name.
    pub rigs: Vec<OnRig>,
}

/// What one rig found of one requirement.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OnRig {
    /// The rig.
    pub rig: String,
    /// The case whose evidence decided there.
    pub case: String,
    /// The conclusion over all cases on this rig.
    pub verdict: Verdict,
    /// What its clock is worth.
    pub fidelity: Fidelity,
    /// The figures, if there are any.
    pub measured: Option<Summary>,
    /// How far inside the nearest limit the judged figure lies; negative outside.
    pub margin: Option<Amount>,
}

/// A place in the suite's source.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourcePlace {
    /// The file, relative to the workspace's root.
    pub file: String,
    /// Line, from 1.
    pub line: u32,
}

/// What became of one case on one rig.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaseResult {
    /// Unique within its system.
    pub name: String,
    /// The system's short name.
    pub system: String,
    /// The rig it ran on, or would have run on; `None` if it was not even offered one.
    pub rig: Option<String>,
    /// The seed of this case.
    pub seed: u64,
    /// The requirements it decides, in the order in which it names them.
    pub requirements: Vec<RequirementId>,
    /// The worst of what it found.
    pub verdict: Verdict,
    /// Why it was not tried; there exactly if the verdict is [`Verdict::NotRun`].
    pub not_run: Option<NotRun>,
    /// Why the verdict is not a pass.
    pub reason: Option<String>,
    /// Time that passed on the rig's clock, in nanoseconds.
    pub rig_time_ns: u64,
    /// Time that passed on the host's clock, in milliseconds.
    pub wall_ms: u64,
    /// How often a rig fault made it start again.
    pub retries: u32,
    /// Each rig fault, and what was done about it; left out if there was none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub recoveries: Vec<Recovery>,
    /// The last lines of the device's log, at most [`LOG_TAIL_LINES`], if it did not pass. They
    /// come from the device and may hold anything.
    pub log_tail: Vec<String>,
    /// What the addresses in the device's last crash mean, call by call, innermost first, or why nobody can tell; at most
    /// [`BACKTRACE_LINES`]. Left out if there is nothing to tell. The names come from the firmware and may be anything.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub backtrace: Vec<String>,
    /// The command that repeats exactly this case.
    pub repeat: Option<String>,
    /// Where the suite adds the case.
    pub source: Option<SourcePlace>,
    /// What there is to look at, if it ran.
    pub evidence: Option<Evidence>,
}

/// How many there are of each verdict.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Counts {
    /// [`Verdict::Pass`]
    pub pass: u64,
    /// [`Verdict::Fail`]
    pub fail: u64,
    /// [`Verdict::RigFault`]
    pub rig_fault: u64,
    /// [`Verdict::HarnessBug`]
    pub harness_bug: u64,
    /// [`Verdict::Inconclusive`]
    pub inconclusive: u64,
    /// [`Verdict::NotRun`]
    pub not_run: u64,
}

impl Counts {
    /// Counts `verdicts`.
    pub fn of(verdicts: impl IntoIterator<Item = Verdict>) -> Self {
        let mut counts = Counts::default();
        for verdict in verdicts {
            *match verdict {
                Verdict::Pass => &mut counts.pass,
                Verdict::Fail => &mut counts.fail,
                Verdict::RigFault => &mut counts.rig_fault,
                Verdict::HarnessBug => &mut counts.harness_bug,
                Verdict::Inconclusive => &mut counts.inconclusive,
                Verdict::NotRun => &mut counts.not_run,
            } += 1;
        }
        counts
    }
}

/// Counts by verdict.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Totals {
    /// Of [`RunResult::requirements`].
    pub requirements: Counts,
    /// Of [`RunResult::cases`].
    pub cases: Counts,
}

/// A result that cannot be read, or should not be written.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ResultError {
    /// Larger than [`MAX_FILE`].
    #[error("{size} bytes are too many for a result; the limit is {MAX_FILE}, so this is another file")]
    TooLarge {
        /// Its size in bytes.
        size: usize,
    },
    /// Written by another age of the harness.
    #[error(
        "the result has `schema_version` {found}, but this harness reads {SCHEMA_VERSION}; read it with the harness that wrote it, or run again"
    )]
    Version {
        /// What the file says.
        found: u64,
    },
    /// Not JSON, or not of this shape.
    #[error("line {line}, column {column}: {message}; see reports/schema/results-v2.json")]
    Shape {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// What is wrong there.
        message: String,
    },
    /// Each part is well-formed, but they contradict each other.
    #[error("{place}: {message}; the file was edited or its writer is broken, so run again")]
    Contradiction {
        /// The part.
        place: String,
        /// The contradiction.
        message: String,
    },
}

impl RunResult {
    /// Puts a result together: sorts its lists, shortens log tails and other texts to their
    /// limits, counts, and decides on the exit code.
    pub fn new(
        run: Run,
        mut rigs: Vec<RigUsed>,
        mut firmware: Vec<Firmware>,
        mut requirements: Vec<RequirementResult>,
        mut cases: Vec<CaseResult>,
    ) -> Self {
        rigs.sort();
        rigs.dedup();
        for Firmware { memory, .. } in &mut firmware {
            memory.sort();
            memory.truncate(MAX_MEMORIES);
            for MemoryUse { of, .. } in memory {
                if let Memory::Stack(task) = of {
                    shorten_to(task, evidence::MAX_LABEL);
                }
            }
        }
        firmware.sort();
        firmware.dedup();
        requirements.sort_by(|a, b| (&a.system, &a.id).cmp(&(&b.system, &b.id)));
        cases.sort_by(|a, b| (&a.system, &a.name, &a.rig).cmp(&(&b.system, &b.name, &b.rig)));
        for requirement in &mut requirements {
            requirement.reason.iter_mut().for_each(shorten);
            if let Some(Measured::Text(text)) = &mut requirement.measured {
                shorten(text);
            }
        }
        for case in &mut cases {
            case.reason.iter_mut().for_each(shorten);
            let surplus = case.log_tail.len().saturating_sub(LOG_TAIL_LINES);
            case.log_tail.drain(..surplus);
            case.log_tail.iter_mut().for_each(shorten);
            case.backtrace.truncate(BACKTRACE_LINES);
            case.backtrace.iter_mut().for_each(shorten);
            case.evidence.iter_mut().for_each(shorten_labels);
        }
        let totals = totals(&requirements, &cases);
        let exit_code = exit_code(&requirements, &cases);
        RunResult {
            schema_version: SCHEMA_VERSION,
            run,
            rigs,
            firmware,
            requirements,
            cases,
            totals,
            exit_code,
        }
    }

    /// Reads what [`RunResult::to_json`] wrote.
    ///
    /// # Errors
    /// [`ResultError`] for anything else; never a panic, whatever the text.
    pub fn read(text: &str) -> Result<Self, ResultError> {
        if text.len() > MAX_FILE {
            return Err(ResultError::TooLarge { size: text.len() });
        }
        // The version first: with another one, complaints about fields would mislead.
        #[derive(Deserialize)]
        struct Version {
            schema_version: u64,
        }
        let found = serde_json::from_str::<Version>(text).map_err(shape)?.schema_version;
        if found != u64::from(SCHEMA_VERSION) {
            return Err(ResultError::Version { found });
        }
        let result: RunResult = serde_json::from_str(text).map_err(shape)?;
        result.check()?;
        Ok(result)
    }

    /// The text of `results.json`, indented for people down to evidence, which is for programs, and ending
    /// in a newline.
    ///
    /// # Errors
    /// [`ResultError`] if [`RunResult::read`] would refuse it, so that nobody finds out later.
    pub fn to_json(&self) -> Result<String, ResultError> {
        self.check()?;
        let mut text = json::write(self).map_err(shape)?;
        text.push('\n');
        if text.len() > MAX_FILE {
            return Err(ResultError::TooLarge { size: text.len() });
        }
        Ok(text)
    }

    fn check(&self) -> Result<(), ResultError> {
        let mut seen = BTreeSet::new();
        for requirement in &self.requirements {
            let contradiction = |message: String| {
                let place = format!("requirement {}", requirement.id);
                Err(ResultError::Contradiction { place, message })
            };
            if !seen.insert((&requirement.system, &requirement.id)) {
                return contradiction("it is listed twice".to_owned());
            }
            if (requirement.verdict == Verdict::NotRun) != requirement.not_run.is_some() {
                return contradiction("`verdict` and `not_run` do not agree".to_owned());
            }
            if let Some(Measured::Distribution(summary)) = &requirement.measured
                && let Some(fault) = summary.fault()
            {
                return contradiction(format!("`measured`: {fault}"));
            }
            if let Some(fault) = requirement.shape.as_ref().and_then(Shape::fault) {
                return contradiction(format!("`shape`: {fault}"));
            }
            let on_rigs = requirement.rigs.iter();
            if let Some(fault) = on_rigs.flat_map(|rig| rig.measured).find_map(|summary| summary.fault()) {
                return contradiction(format!("`rigs`: {fault}"));
            }
            let amounts = [requirement.margin, requirement.uncertainty];
            if amounts.iter().flatten().any(|amount| !amount.value.is_finite()) {
                return contradiction("`margin` or `uncertainty` is not a finite number".to_owned());
            }
        }
        for case in &self.cases {
            if let Some(message) = case.evidence.as_ref().and_then(Evidence::fault) {
                let place = format!("case {}: evidence", quote(&case.name));
                return Err(ResultError::Contradiction { place, message });
            }
            if (case.verdict == Verdict::NotRun) != case.not_run.is_some() {
                return Err(ResultError::Contradiction {
                    place: format!("case {}", quote(&case.name)),
                    message: "`verdict` and `not_run` do not agree".to_owned(),
                });
            }
        }
        let contradiction = |place: &str, message: String| {
            Err(ResultError::Contradiction { place: place.to_owned(), message })
        };
        if self.totals != totals(&self.requirements, &self.cases) {
            return contradiction("totals", "they are not the counts of the lists".to_owned());
        }
        let expected = exit_code(&self.requirements, &self.cases);
        if self.exit_code != expected {
            return contradiction("exit_code", format!("the verdicts give {expected}"));
        }
        Ok(())
    }
}

fn shape(error: serde_json::Error) -> ResultError {
    let text = error.to_string();
    // The place, which serde appends, is reported in fields of its own. Serde quotes unknown names
    // in full, whatever they hold and however long they are.
    let message = text.rsplit_once(" at line ").map_or(text.as_str(), |(message, _)| message);
    let printable = |c: char| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c };
    let message = message.chars().take(200).map(printable).collect();
    ResultError::Shape { line: error.line(), column: error.column(), message }
}

fn shorten(text: &mut String) {
    shorten_to(text, MAX_TEXT);
}

fn shorten_to(text: &mut String, characters: usize) {
    if let Some((end, _)) = text.char_indices().nth(characters) {
        text.truncate(end);
        text.push('…');
    }
}

fn shorten_labels(evidence: &mut Evidence) {
    let Evidence { lanes, pictures, series, waterfalls, log, .. } = evidence;
    let lanes = lanes.iter_mut().flat_map(|lane| {
        std::iter::once(&mut lane.name).chain(lane.marks.iter_mut().map(|mark| &mut mark.text))
    });
    let waterfalls = waterfalls.iter_mut().flat_map(|waterfall| {
        std::iter::once(&mut waterfall.name).chain(waterfall.steps.iter_mut().map(|step| &mut step.text))
    });
    lanes
        .chain(waterfalls)
        .chain(pictures.iter_mut().map(|picture| &mut picture.caption))
        .chain(series.iter_mut().map(|series| &mut series.name))
        .for_each(|label| shorten_to(label, evidence::MAX_LABEL));
    log.iter_mut().for_each(|line| shorten(&mut line.text));
}

fn totals(requirements: &[RequirementResult], cases: &[CaseResult]) -> Totals {
    Totals {
        requirements: Counts::of(requirements.iter().map(|requirement| requirement.verdict)),
        cases: Counts::of(cases.iter().map(|case| case.verdict)),
    }
}

/// What a process with these findings exits with; the first rule that applies decides:
///
/// | Finding | Code |
/// |---|---|
/// | a `must` fails | [`EXIT_PRODUCT`] |
/// | a harness bug anywhere, or a case names an id that is not listed | [`EXIT_HARNESS`] |
/// | a rig fault anywhere | [`EXIT_UNDECIDED`] |
/// | a `must` is inconclusive | [`EXIT_UNDECIDED`] |
/// | no rig of the run has what a `must` needs | [`EXIT_UNDECIDED`] |
/// | no case ran | [`EXIT_UNDECIDED`] |
/// | otherwise | [`EXIT_OK`] |
///
/// A `should` or `report` that fails or is inconclusive is shown and does not gate. Harness bugs
/// and rig faults gate whatever the class, because they say that the run is not what it claims to
/// be. What is planned, or was left out by a filter, is shown and does not gate: somebody decided
/// so. That a rig lacks a part nobody need have decided, so it must not read as green; where
/// another rig of the run has the part, the requirement was tried.
pub fn exit_code(requirements: &[RequirementResult], cases: &[CaseResult]) -> u8 {
    let must =
        |verdict| requirements.iter().any(|found| found.class == Class::Must && found.verdict == verdict);
    let anywhere = |verdict| {
        requirements.iter().any(|requirement| requirement.verdict == verdict)
            || cases.iter().any(|case| case.verdict == verdict)
    };
    let mut listed: BTreeMap<&str, BTreeSet<&RequirementId>> = BTreeMap::new();
    for requirement in requirements {
        listed.entry(&requirement.system).or_default().insert(&requirement.id);
    }
    // Without this, forgetting a requirement would turn its failure green.
    let unlisted = cases.iter().any(|case| {
        let known = listed.get(case.system.as_str());
        case.requirements.iter().any(|id| known.is_none_or(|known| !known.contains(id)))
    });
    // Nobody chose to leave these out.
    let hole =
        |found: &RequirementResult| matches!(found.not_run, Some(NotRun::NeedMissing | NotRun::NotRecorded));
    let out_of_reach = requirements.iter().any(|found| found.class == Class::Must && hole(found));
    let interrupted = cases.iter().any(|case| case.not_run == Some(NotRun::Interrupted));
    let nothing_ran = cases.iter().all(|case| case.verdict == Verdict::NotRun);
    if must(Verdict::Fail) {
        EXIT_PRODUCT
    } else if unlisted || anywhere(Verdict::HarnessBug) {
        EXIT_HARNESS
    } else if anywhere(Verdict::RigFault)
        || must(Verdict::Inconclusive)
        || out_of_reach
        || interrupted
        || nothing_ran
    {
        EXIT_UNDECIDED
    } else {
        EXIT_OK
    }
}

/// A judged distribution as one case's decision.
impl Decision {
    /// What `case` found on `rig`: the figures in the budget's unit, the margin, and a reason
    /// unless it passed.
    pub fn judged(
        case: impl Into<String>,
        rig: impl Into<String>,
        fidelity: Fidelity,
        measured: &Distribution,
        budget: &Budget,
        judgement: Judgement,
    ) -> Self {
        let verdict = Verdict::from(judgement.finding);
        let mut decision = Decision::new(case, rig, fidelity, verdict);
        decision.reason = (verdict != Verdict::Pass).then_some(judgement.reason);
        decision.margin = Some(judgement.margin);
        let uncertainty = Amount::new(measured.uncertainty(), measured.unit());
        decision.uncertainty = uncertainty.to(budget.unit());
        decision.measured = Some(Measured::figures(measured, Some(budget)));
        decision.shape = measured.shape().and_then(|shape| shape.to(budget.unit()));
        decision
    }
}

#[cfg(test)]
mod tests;
