//! Two rigs held against each other: the same case, what it found and what the device did.
//!
//! ```text
//! Account, decisions of rig A --+
//!                               +-> compare -> Differences -> Tolerances -> Row by Row -> table, files
//! Account, decisions of rig B --+
//! ```
//!
//! Everything here is pure: it knows accounts and nothing of rigs. What was done to the device on one rig
//! is paired with the same thing on the other (*the same cause*), what the device did is paired lane by
//! lane, and each pair's distance from its latest common cause is compared. So a device that starts late
//! is late once for each thing that it does of itself, and answers in time all the same.

mod align;
#[cfg(test)]
mod tests;
mod tolerance;

use rigor_core::result::{Decision, Measured};
use serde::{Deserialize, Serialize};

use crate::account::{Account, Entry, Lane, numbers};

pub use tolerance::{Bounds, Cause, Tolerance, ToleranceError, Tolerances};

/// Lane of differences between verdicts.
pub const VERDICT: &str = "verdict";
/// Lane of differences between figures that requirements were judged by.
pub const MEASURED: &str = "measured";
/// Lane of differences between figures over a whole case.
pub const FIGURES: &str = "figures";
/// Lane of differences in what was done to the device.
pub const STIMULI: &str = "stimuli";

/// In what two rigs differ.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// The conclusions are not the same.
    Verdict,
    /// Only rig A has it.
    Missing,
    /// Only rig B has it.
    Extra,
    /// Both have it, with other figures in it.
    Figure,
    /// Both have it, at another distance from its cause; in microseconds.
    Latency,
}

impl What {
    /// As files and tables write it.
    pub fn name(self) -> &'static str {
        match self {
            What::Verdict => "verdict",
            What::Missing => "missing",
            What::Extra => "extra",
            What::Figure => "figure",
            What::Latency => "latency",
        }
    }
}

/// What one rig has of a difference.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Side {
    /// When, in nanoseconds on the rig's clock, if it is of an instant.
    pub at_ns: Option<u64>,
    /// What it was.
    pub text: String,
    /// The figure that differs most, if figures differ.
    pub value: Option<f64>,
}

/// One thing in which two rigs differ.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Difference {
    /// Where: a lane of the account, or one of the lanes above.
    pub lane: String,
    /// How.
    pub what: What,
    /// The latest thing that was done on both rigs before it; empty if nothing was.
    pub cause: String,
    /// What rig A has, if it has it.
    pub a: Option<Side>,
    /// What rig B has, if it has it.
    pub b: Option<Side>,
}

impl Difference {
    /// What it is about, for people and patterns.
    pub fn text(&self) -> &str {
        self.a.as_ref().or(self.b.as_ref()).map_or("", |side| side.text.as_str())
    }

    /// The figures that differ, if figures do.
    pub fn values(&self) -> Option<(f64, f64)> {
        Some((self.a.as_ref()?.value?, self.b.as_ref()?.value?))
    }
}

/// What one rig found in a case.
#[derive(Clone, Copy, Debug)]
pub struct Found<'a> {
    /// For each requirement of the case.
    pub decisions: &'a [(String, Decision)],
    /// What happened, if the trial came to its own end.
    pub account: Option<&'a Account>,
}

/// Everything in which `a` and `b` differ, each lane by itself and in the order of lanes; within the
/// bounds of `tolerances` for all is no difference.
pub fn compare(a: Found<'_>, b: Found<'_>, tolerances: &Tolerances) -> Vec<Difference> {
    let mut found = Vec::new();
    for ((id, one), (_, other)) in a.decisions.iter().zip(b.decisions) {
        decisions(id, one, other, &mut found);
    }
    if let (Some(a), Some(b)) = (a.account, b.account) {
        accounts(a, b, &mut found);
    }
    found.retain(|difference| !tolerances.is_usual(difference));
    found
}

fn decisions(id: &str, a: &Decision, b: &Decision, found: &mut Vec<Difference>) {
    let side = |text: String, value| Some(Side { at_ns: None, text, value });
    if a.verdict != b.verdict {
        let told = |decision: &Decision| match &decision.reason {
            Some(reason) => format!("{id} {}: {reason}", decision.verdict),
            None => format!("{id} {}", decision.verdict),
        };
        found.push(Difference {
            lane: VERDICT.to_owned(),
            what: What::Verdict,
            cause: String::new(),
            a: side(told(a), None),
            b: side(told(b), None),
        });
        return;
    }
    match (&a.measured, &b.measured) {
        (Some(Measured::Distribution(one)), Some(Measured::Distribution(other))) => {
            let other = other.to(one.unit).unwrap_or(*other);
            for (name, one_has, other_has) in
                [("min", one.min, other.min), ("median", one.p50, other.p50), ("max", one.max, other.max)]
            {
                if one_has != other_has {
                    let text = |value: f64| format!("{id} {name} {value} {}", one.unit);
                    found.push(Difference {
                        lane: MEASURED.to_owned(),
                        what: What::Figure,
                        cause: String::new(),
                        a: side(text(one_has), Some(one_has)),
                        b: side(text(other_has), Some(other_has)),
                    });
                }
            }
        }
        (Some(Measured::Text(one)), Some(Measured::Text(other))) => {
            let entry = |text: &str| Entry::text(0, format!("{id} {text}"));
            let (one, other) = (entry(one), entry(other));
            if one.key == other.key {
                figures(MEASURED, &one, &other, "", found);
            } else {
                found.push(Difference {
                    lane: MEASURED.to_owned(),
                    what: What::Figure,
                    cause: String::new(),
                    a: side(one.what, None),
                    b: side(other.what, None),
                });
            }
        }
        _ => {}
    }
}

fn accounts(a: &Account, b: &Account, found: &mut Vec<Difference>) {
    let causes = Causes::of(&a.stimuli, &b.stimuli);
    lane(STIMULI, &a.stimuli, &b.stimuli, &causes, found);
    let none = Lane::default();
    let names: std::collections::BTreeSet<&String> = a.lanes.keys().chain(b.lanes.keys()).collect();
    for name in names {
        let (one, other) = (a.lanes.get(name).unwrap_or(&none), b.lanes.get(name).unwrap_or(&none));
        lane(name, one, other, &causes, found);
    }
    let names: std::collections::BTreeSet<&String> = a.figures.keys().chain(b.figures.keys()).collect();
    for name in names {
        let (one, other) = (a.figures.get(name).copied(), b.figures.get(name).copied());
        if one == other {
            continue;
        }
        let side = |value: f64| Side { at_ns: None, text: format!("{name} {value}"), value: Some(value) };
        let what = match (one, other) {
            (Some(_), Some(_)) => What::Figure,
            (Some(_), None) => What::Missing,
            _ => What::Extra,
        };
        found.push(Difference {
            lane: FIGURES.to_owned(),
            what,
            cause: String::new(),
            a: one.map(side),
            b: other.map(side),
        });
    }
}

/// What was done on both rigs, in order.
struct Causes<'a>(Vec<(&'a Entry, &'a Entry)>);

impl<'a> Causes<'a> {
    fn of(a: &'a Lane, b: &'a Lane) -> Self {
        let pairs = align::pairs(&a.entries, &b.entries);
        Causes(pairs.into_iter().map(|(one, other)| (&a.entries[one], &b.entries[other])).collect())
    }

    /// The latest one strictly before these instants; what was done with an instant is not its own cause.
    fn before(&self, a_ns: u64, b_ns: u64) -> Option<(&'a Entry, &'a Entry)> {
        let count = self.0.partition_point(|(one, other)| one.at_ns < a_ns && other.at_ns < b_ns);
        self.0.get(count.checked_sub(1)?).copied()
    }
}

fn side(entry: &Entry, value: Option<f64>) -> Option<Side> {
    Some(Side { at_ns: Some(entry.at_ns), text: entry.what.clone(), value })
}

fn lane(name: &str, a: &Lane, b: &Lane, causes: &Causes<'_>, found: &mut Vec<Difference>) {
    let pairs = align::pairs(&a.entries, &b.entries);
    let lone = |at: (u64, u64)| causes.before(at.0, at.1).map_or("", |(cause, _)| cause.what.as_str());
    let (mut next_a, mut next_b) = (0, 0);
    let end = (a.entries.len(), b.entries.len());
    for (one, other) in pairs.into_iter().chain([end]) {
        for entry in &a.entries[next_a..one] {
            found.push(Difference {
                lane: name.to_owned(),
                what: What::Missing,
                cause: lone((entry.at_ns, u64::MAX)).to_owned(),
                a: side(entry, None),
                b: None,
            });
        }
        for entry in &b.entries[next_b..other] {
            found.push(Difference {
                lane: name.to_owned(),
                what: What::Extra,
                cause: lone((u64::MAX, entry.at_ns)).to_owned(),
                a: None,
                b: side(entry, None),
            });
        }
        (next_a, next_b) = (one + 1, other + 1);
        if (one, other) == end {
            break;
        }
        let (one, other) = (&a.entries[one], &b.entries[other]);
        let cause = causes.before(one.at_ns, other.at_ns);
        let told = cause.map_or("", |(cause, _)| cause.what.as_str());
        figures(name, one, other, told, found);
        let from = cause.map_or((0, 0), |(a, b)| (a.at_ns, b.at_ns));
        let micros = |entry: &Entry, from: u64| entry.at_ns.saturating_sub(from) as f64 / 1e3;
        let (late_a, late_b) = (micros(one, from.0), micros(other, from.1));
        // A case acts when it has been answered: that it acts later is no more than the answer's lateness.
        if late_a != late_b && name != STIMULI {
            found.push(Difference {
                lane: name.to_owned(),
                what: What::Latency,
                cause: told.to_owned(),
                a: side(one, Some(late_a)),
                b: side(other, Some(late_b)),
            });
        }
    }
    if a.left_out != b.left_out {
        let told = |lane: &Lane| {
            let text = format!("{} entries too many to compare", lane.left_out);
            Some(Side { at_ns: None, text, value: Some(lane.left_out as f64) })
        };
        found.push(Difference {
            lane: name.to_owned(),
            what: What::Figure,
            cause: String::new(),
            a: told(a),
            b: told(b),
        });
    }
}

/// The figures of two entries that are the same but for these: those that are furthest apart.
fn figures(name: &str, a: &Entry, b: &Entry, cause: &str, found: &mut Vec<Difference>) {
    if a.exact == b.exact {
        return;
    }
    let apart = |(one, other): &(f64, f64)| (one - other).abs();
    let worst = numbers(&a.what)
        .into_iter()
        .zip(numbers(&b.what))
        .max_by(|one, other| apart(one).total_cmp(&apart(other)));
    found.push(Difference {
        lane: name.to_owned(),
        what: What::Figure,
        cause: cause.to_owned(),
        a: side(a, worst.map(|(one, _)| one)),
        b: side(b, worst.map(|(_, other)| other)),
    });
}

/// Examples that a row keeps.
const MAX_EXAMPLES: usize = 5;

/// Differences of one kind in one lane that have the same declared reason, or none.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Row {
    /// The lane; connections share one.
    pub lane: String,
    /// How they differ.
    pub what: What,
    /// How many there are.
    pub count: u64,
    /// The place of the entry of the file that declares them, if one does.
    pub declared: Option<usize>,
    /// The first ones.
    pub examples: Vec<Difference>,
    /// The one whose figures are furthest apart, if they have figures.
    pub worst: Option<Difference>,
}

/// `differences` of the case `case` in rows: what is not declared first.
pub fn rows(case: &str, differences: Vec<Difference>, tolerances: &Tolerances) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    for difference in differences {
        let declared = tolerances.declared(case, &difference);
        let lane = family(&difference.lane);
        let known = rows
            .iter_mut()
            .find(|row| (row.lane.as_str(), row.what, row.declared) == (lane, difference.what, declared));
        let apart = |difference: &Difference| difference.values().map(|(a, b)| (a - b).abs());
        match known {
            Some(row) => {
                row.count += 1;
                if apart(&difference) > row.worst.as_ref().and_then(apart) {
                    row.worst = Some(difference.clone());
                }
                if row.examples.len() < MAX_EXAMPLES {
                    row.examples.push(difference);
                }
            }
            None => rows.push(Row {
                lane: lane.to_owned(),
                what: difference.what,
                count: 1,
                declared,
                worst: apart(&difference).map(|_| difference.clone()),
                examples: vec![difference],
            }),
        }
    }
    rows.sort_by_key(|row| (row.declared.is_some(), row.declared));
    rows
}

/// The lane without the number of its connection.
fn family(lane: &str) -> &str {
    lane.split_once(' ').map_or(lane, |(family, _)| family)
}
