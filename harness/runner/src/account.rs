//! The account of a case: what was done to the device and what it did, told so that two rigs can be held
//! against each other.
//!
//! A timeline belongs to its rig and goes with it; an account is what [parity](crate::parity) needs of
//! it. Instants stay; what differs between two good runs of one firmware for no reason (time stamps of
//! the log, how TCP cut its stream, how often the same frame was repeated) is left out here.

mod network;
mod project;
mod words;

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

pub(crate) use project::of;
pub use words::{numbers, skeleton};

/// Entries that a lane or the list of stimuli keeps; what comes later is counted.
pub const MAX_ENTRIES: usize = 100_000;

/// Characters of a text that an entry keeps for people. What was left out still counts in comparisons.
const MAX_WHAT: usize = 240;

/// One thing that was done or that happened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// When it began, in nanoseconds on the rig's clock.
    pub at_ns: u64,
    /// Equal for what is the same but for figures: what entries are matched by.
    pub key: u64,
    /// Equal for what is the same, figures included.
    pub exact: u64,
    /// What it was, for people and for patterns; figures included, cut if long.
    pub what: String,
}

impl Entry {
    /// A text: figures in it do not keep it from being matched.
    pub fn text(at_ns: u64, what: impl Into<String>) -> Self {
        let what = what.into();
        let (key, exact) = (words::hash(skeleton(&what).as_bytes()), words::hash(what.as_bytes()));
        Entry { at_ns, key, exact, what: words::cut(what, MAX_WHAT) }
    }

    /// Bytes, described in a few words: only the same bytes match.
    pub fn bytes(at_ns: u64, what: impl Into<String>, bytes: &[u8]) -> Self {
        let digest = words::hash(bytes);
        // Letters, so that nobody takes the digest for a figure.
        let told: String =
            (0..8).map(|nibble| char::from(b'a' + (digest >> (4 * nibble) & 15) as u8)).collect();
        Entry { at_ns, key: digest, exact: digest, what: format!("{} [{told}]", what.into()) }
    }
}

/// What a lane tells, in the order of time.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Lane {
    /// The first [`MAX_ENTRIES`].
    pub entries: Vec<Entry>,
    /// How many more there were.
    pub left_out: u64,
}

impl Lane {
    fn push(&mut self, entry: Entry) {
        if self.entries.len() < MAX_ENTRIES {
            self.entries.push(entry);
        } else {
            self.left_out += 1;
        }
    }
}

/// A case on a rig.
#[derive(Clone, PartialEq, Default, Debug)]
pub struct Account {
    /// When the case ended, in nanoseconds on the rig's clock.
    pub ended_ns: u64,
    /// What the rig and the case did to the device.
    pub stimuli: Lane,
    /// What the device did, by lane: `console`, `leds.0`, `net 1` for the second connection.
    pub lanes: BTreeMap<String, Lane>,
    /// Figures over the whole case by name, such as `leds.0 period p50 (ms)`.
    pub figures: BTreeMap<String, f64>,
}

impl Account {
    fn did(&mut self, lane: &str, entry: Entry) {
        if !self.lanes.contains_key(lane) {
            self.lanes.insert(lane.to_owned(), Lane::default());
        }
        if let Some(known) = self.lanes.get_mut(lane) {
            known.push(entry);
        }
    }
}

/// Where trials leave their accounts until somebody takes them, by rig and case.
#[derive(Default, Debug)]
pub struct Accounts(Mutex<BTreeMap<(String, String), Account>>);

impl Accounts {
    pub(crate) fn put(&self, rig: &str, case: &str, account: Account) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.insert((rig.to_owned(), case.to_owned()), account);
    }

    /// The account of the last trial of `case` on `rig`, which is not kept any longer; `None` if that trial
    /// did not come to its own end.
    pub fn take(&self, rig: &str, case: &str) -> Option<Account> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.remove(&(rig.to_owned(), case.to_owned()))
    }
}
