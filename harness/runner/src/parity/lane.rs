//! One lane of two accounts held against each other.
//!
//! - A delay is told where it comes about: what follows in the lane, from the same cause, is measured from
//!   there. Delays below the usual bounds add up until they are above.
//! - What only one rig has is no difference if the other had no time for it: if the case was over there, or
//!   the next thing was done to the device, before the lane would have come to it, as late as it is. What a
//!   device does of itself meets a case's end, or a power cut, now on this side and now on the other.
//! - Where several tasks speak on one lane, their order says nothing as long as each speaks in time. The
//!   messages of one connection have an order.

use std::collections::BTreeMap;

use super::{Bounds, Difference, STIMULI, Side, What, align, figures, side};
use crate::account::{Account, Entry, Lane};

/// What was done on both rigs, in order, and when it was over.
pub(super) struct Causes<'a> {
    done: Vec<(&'a Entry, &'a Entry)>,
    ended: (u64, u64),
}

/// Of two rigs.
#[derive(Clone, Copy)]
enum Rig {
    A,
    B,
}

impl<'a> Causes<'a> {
    pub(super) fn of(a: &'a Account, b: &'a Account) -> Self {
        let (one, other) = (&a.stimuli.entries, &b.stimuli.entries);
        let pairs = align::pairs(one, other);
        Causes {
            done: pairs.into_iter().map(|(place, match_)| (&one[place], &other[match_])).collect(),
            ended: (a.ended_ns, b.ended_ns),
        }
    }

    fn at(&self, index: usize, rig: Rig) -> u64 {
        let (one, other) = self.done[index];
        match rig {
            Rig::A => one.at_ns,
            Rig::B => other.at_ns,
        }
    }

    /// How many had been done strictly before `at_ns`; what was done with an instant is not its own cause.
    fn count(&self, rig: Rig, at_ns: u64) -> usize {
        self.done.partition_point(|(one, other)| match rig {
            Rig::A => one.at_ns < at_ns,
            Rig::B => other.at_ns < at_ns,
        })
    }

    fn told(&self, count: usize) -> &'a str {
        count.checked_sub(1).and_then(|last| self.done.get(last)).map_or("", |(cause, _)| &cause.what)
    }

    /// How long after the last of `count` causes `at_ns` is, in microseconds.
    fn micros(&self, rig: Rig, count: usize, at_ns: u64) -> f64 {
        let from = count.checked_sub(1).map_or(0, |last| self.at(last, rig));
        at_ns.saturating_sub(from) as f64 / 1e3
    }

    /// The number of causes before both, and how long after the last of them each is, in microseconds.
    fn latencies(&self, a: &Entry, b: &Entry) -> (usize, (f64, f64)) {
        let count = self.count(Rig::A, a.at_ns).min(self.count(Rig::B, b.at_ns));
        (count, (self.micros(Rig::A, count, a.at_ns), self.micros(Rig::B, count, b.at_ns)))
    }

    /// How long the device was left to itself after the last of `count` causes, in microseconds.
    fn time_for(&self, rig: Rig, count: usize) -> f64 {
        let ended = match rig {
            Rig::A => self.ended.0,
            Rig::B => self.ended.1,
        };
        let until = if count < self.done.len() { self.at(count, rig) } else { ended };
        self.micros(rig, count, until)
    }
}

/// What is further from its like on the other rig, in microseconds, is not the same thing.
const MOVED_MICROS: f64 = 250_000.0;

/// Entries without a match.
#[derive(Default)]
struct Lone {
    a: Vec<usize>,
    b: Vec<usize>,
}

pub(super) fn compare(
    name: &str,
    a: &Lane,
    b: &Lane,
    causes: &Causes<'_>,
    latency: &Bounds,
    found: &mut Vec<Difference>,
) {
    let (pairs, lone) = matched(name, a, b, causes);
    let largest = late(name, (a, b), &pairs, causes, latency, found);
    let has_time = |rig: Rig, count: usize, micros: f64| {
        let left = causes.time_for(rig, count) - largest;
        micros < left && !latency.hold((micros, left))
    };
    for &place in &lone.a {
        let entry = &a.entries[place];
        let count = causes.count(Rig::A, entry.at_ns);
        if name == STIMULI || has_time(Rig::B, count, causes.micros(Rig::A, count, entry.at_ns)) {
            let cause = causes.told(count).to_owned();
            let (a, b) = (side(entry, None), None);
            found.push(Difference { lane: name.to_owned(), what: What::Missing, cause, a, b });
        }
    }
    for &place in &lone.b {
        let entry = &b.entries[place];
        let count = causes.count(Rig::B, entry.at_ns);
        if name == STIMULI || has_time(Rig::A, count, causes.micros(Rig::B, count, entry.at_ns)) {
            let cause = causes.told(count).to_owned();
            let (a, b) = (None, side(entry, None));
            found.push(Difference { lane: name.to_owned(), what: What::Extra, cause, a, b });
        }
    }
    if a.left_out != b.left_out {
        let told = |lane: &Lane| {
            let text = format!("{} entries too many to compare", lane.left_out);
            Some(Side { at_ns: None, text, value: Some(lane.left_out as f64) })
        };
        let (a, b) = (told(a), told(b));
        found.push(Difference { lane: name.to_owned(), what: What::Figure, cause: String::new(), a, b });
    }
}

/// The entries that are the same, in the order of rig A, and those that only one rig has.
fn matched(name: &str, a: &Lane, b: &Lane, causes: &Causes<'_>) -> (Vec<(usize, usize)>, Lone) {
    let mut pairs = align::pairs(&a.entries, &b.entries);
    let without = |length: usize, taken: Vec<usize>| -> Vec<usize> {
        let mut is_taken = vec![false; length];
        taken.into_iter().for_each(|place| is_taken[place] = true);
        (0..length).filter(|&place| !is_taken[place]).collect()
    };
    let mut lone = Lone {
        a: without(a.entries.len(), pairs.iter().map(|pair| pair.0).collect()),
        b: without(b.entries.len(), pairs.iter().map(|pair| pair.1).collect()),
    };
    if super::family(name) == "net" {
        return (pairs, lone);
    }
    // Those that stand elsewhere on the other rig.
    let mut moved: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
    for &place in lone.b.iter().rev() {
        moved.entry(b.entries[place].key).or_default().push(place);
    }
    lone.a.retain(|&place| {
        let entry = &a.entries[place];
        let Some(known) = moved.get_mut(&entry.key) else { return true };
        let Some(other) = known.pop_if(|other| {
            let (late_a, late_b) = causes.latencies(entry, &b.entries[*other]).1;
            (late_a - late_b).abs() <= MOVED_MICROS
        }) else {
            return true;
        };
        pairs.push((place, other));
        false
    });
    lone.b = moved.into_values().flatten().collect();
    lone.b.sort_unstable();
    pairs.sort_unstable();
    (pairs, lone)
}

/// Tells figures and delays of `pairs`; how far two of them are apart at most, in microseconds.
fn late(
    name: &str,
    (a, b): (&Lane, &Lane),
    pairs: &[(usize, usize)],
    causes: &Causes<'_>,
    latency: &Bounds,
    found: &mut Vec<Difference>,
) -> f64 {
    let mut largest: f64 = 0.0;
    // What is known to be late, and after how many causes.
    let (mut known, mut known_of) = (0.0, 0);
    for &(one, other) in pairs {
        let (one, other) = (&a.entries[one], &b.entries[other]);
        let (count, (late_a, late_b)) = causes.latencies(one, other);
        figures(name, one, other, causes.told(count), found);
        if count != known_of {
            (known, known_of) = (0.0, count);
        }
        largest = largest.max((late_b - late_a).abs());
        // A case acts when it has been answered: that it acts later is no more than the answer's lateness.
        if name == STIMULI || latency.hold((late_a, late_b - known)) {
            continue;
        }
        let before = if known == 0.0 { String::new() } else { format!(", {known:+.1} µs already") };
        found.push(Difference {
            lane: name.to_owned(),
            what: What::Latency,
            cause: format!("{}{before}", causes.told(count)),
            a: side(one, Some(late_a)),
            b: side(other, Some(late_b - known)),
        });
        known = late_b - late_a;
    }
    largest
}
