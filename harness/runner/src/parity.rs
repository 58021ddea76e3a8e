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
//! is late once, and answers in time all the same.

mod align;
mod lane;
#[cfg(test)]
mod tests;
mod tolerance;

use rigor_core::result::{Decision, Measured};
use serde::{Deserialize, Serialize};

use crate::account::{Account, Entry, Lane, numbers};

use lane::Causes;
pub use tolerance::{Bounds, Cause, Tolerance, ToleranceError, Tolerances};

/// What the file of declared differences is called. It stands in the workspace's `rigs`.
pub const TOLERANCES: &str = "parity.toml";

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
        accounts(a, b, &tolerances.latency, &mut found);
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

fn accounts(a: &Account, b: &Account, latency: &Bounds, found: &mut Vec<Difference>) {
    let causes = Causes::of(a, b);
    lane::compare(STIMULI, &a.stimuli, &b.stimuli, &causes, latency, found);
    let none = Lane::default();
    let names: std::collections::BTreeSet<&String> = a.lanes.keys().chain(b.lanes.keys()).collect();
    for name in names {
        let (one, other) = (a.lanes.get(name).unwrap_or(&none), b.lanes.get(name).unwrap_or(&none));
        lane::compare(name, one, other, &causes, latency, found);
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

fn side(entry: &Entry, value: Option<f64>) -> Option<Side> {
    Some(Side { at_ns: Some(entry.at_ns), text: entry.what.clone(), value })
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
