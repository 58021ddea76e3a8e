//! How a board has been, over all runs: a file for each in the host's state, beside the leases.
//!
//! Whoever reads or writes it holds the lease, so there is one at a time, whichever process it is. It is written under
//! another name and renamed, so nobody ever finds half of it. One that cannot be read says nothing, as a new one.

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::error::BenchError;
use super::{lease, state};
use crate::file::Bench;

/// Faults that are remembered: the newest ones.
const REMEMBERED: usize = 16;
/// Characters of a text.
const MAX_TEXT: usize = 300;
/// Bytes of a file. It has some 16 faults of some hundred characters.
const MAX_FILE: u64 = 64 * 1024;
/// Cases in a row that end as faults of the rig, each after all that could be done: then something is wrong that a check
/// does not see.
const IN_A_ROW: u32 = 3;

/// Why and since when nobody uses a board.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Absence {
    /// Seconds since 1970.
    pub(super) since: u64,
    pub(super) reason: String,
    /// A port of it was not there: once it is, nobody has to look.
    #[serde(default)]
    pub(super) unplugged: bool,
}

/// A fault of the rig.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Fault {
    /// Seconds since 1970.
    pub(super) at: u64,
    pub(super) case: String,
    pub(super) what: String,
}

#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
struct Entry {
    /// Cases in a row that ended as faults of the rig.
    #[serde(default)]
    in_a_row: u32,
    out_of_service: Option<Absence>,
    #[serde(default)]
    faults: Vec<Fault>,
}

/// What is known of a board's health.
#[derive(Debug)]
pub(super) struct Ledger {
    /// Nothing if the board has no name by which it is known later.
    path: Option<PathBuf>,
    entry: Entry,
}

impl Ledger {
    /// That of the board of `bench`.
    pub(super) fn of(bench: &Bench) -> Self {
        match lease::board(bench) {
            Some(board) => Ledger::at(state::folder("health").join(format!("{board}.toml"))),
            None => Ledger { path: None, entry: Entry::default() },
        }
    }

    fn at(path: PathBuf) -> Self {
        let entry = read(&path).unwrap_or_default();
        Ledger { path: Some(path), entry }
    }

    /// Why nobody uses the board, if so.
    pub(super) fn absence(&self) -> Option<&Absence> {
        self.entry.out_of_service.as_ref()
    }

    /// The faults that are remembered, oldest first.
    pub(super) fn faults(&self) -> &[Fault] {
        &self.entry.faults
    }

    /// `case` has failed by the bench's fault, for good. Whether that were so many in a row that the board is better left
    /// alone.
    ///
    /// # Errors
    /// [`BenchError::Host`] if that cannot be written down.
    pub(super) fn failed(&mut self, case: &str, what: &str) -> Result<bool, BenchError> {
        self.note(case, what);
        self.entry.in_a_row = self.entry.in_a_row.saturating_add(1);
        self.write()?;
        Ok(self.entry.in_a_row >= IN_A_ROW)
    }

    /// The bench has failed under `case`, and something can be done about it.
    ///
    /// # Errors
    /// [`BenchError::Host`] if that cannot be written down.
    pub(super) fn stumbled(&mut self, case: &str, what: &str) -> Result<(), BenchError> {
        self.note(case, what);
        self.write()
    }

    /// A case has come to an end that is not the bench's fault.
    ///
    /// # Errors
    /// [`BenchError::Host`] if that cannot be written down.
    pub(super) fn went_well(&mut self) -> Result<(), BenchError> {
        if self.entry.in_a_row == 0 {
            return Ok(());
        }
        self.entry.in_a_row = 0;
        self.write()
    }

    /// Nobody uses the board from now on; if it is only `unplugged`, until it is plugged in.
    ///
    /// # Errors
    /// [`BenchError::Host`] if that cannot be written down.
    pub(super) fn take_out(&mut self, reason: &str, unplugged: bool) -> Result<(), BenchError> {
        self.entry.out_of_service = Some(Absence { since: now(), reason: plain(reason), unplugged });
        self.write()
    }

    /// Everybody may use it again.
    ///
    /// # Errors
    /// [`BenchError::Host`] if that cannot be written down.
    pub(super) fn put_back(&mut self) -> Result<(), BenchError> {
        self.entry.out_of_service = None;
        self.entry.in_a_row = 0;
        self.write()
    }

    fn note(&mut self, case: &str, what: &str) {
        self.entry.faults.push(Fault { at: now(), case: plain(case), what: plain(what) });
        let old = self.entry.faults.len().saturating_sub(REMEMBERED);
        self.entry.faults.drain(..old);
    }

    fn write(&self) -> Result<(), BenchError> {
        let Some(path) = &self.path else { return Ok(()) };
        let refused = |why: String| BenchError::Host {
            what: format!("the health of the board in {}", path.display()),
            why,
            remedy: "set XDG_STATE_HOME to a folder that you may write to",
        };
        let text = toml::to_string(&self.entry).map_err(|why| refused(why.to_string()))?;
        let written = || {
            fs::create_dir_all(path.parent().unwrap_or(Path::new("/")))?;
            // Only who holds the lease writes.
            let part = path.with_extension("part");
            let mut file = fs::File::create(&part)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&part, path)
        };
        written().map_err(|why: std::io::Error| refused(why.to_string()))
    }
}

fn read(path: &Path) -> Option<Entry> {
    let mut text = String::new();
    fs::File::open(path).ok()?.take(MAX_FILE).read_to_string(&mut text).ok()?;
    toml::from_str(&text).ok()
}

/// Seconds since 1970.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// How long ago that was, for people.
pub(super) fn ago(at: u64) -> String {
    match now().saturating_sub(at) {
        seconds if seconds < 120 => format!("{seconds} s ago"),
        seconds if seconds < 2 * 3600 => format!("{} min ago", seconds / 60),
        seconds if seconds < 2 * 86_400 => format!("{} h ago", seconds / 3600),
        seconds => format!("{} days ago", seconds / 86_400),
    }
}

fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_TEXT).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_board_s_health_outlives_whoever_noted_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("health/board.toml");
        let mut ledger = Ledger::at(path.clone());
        assert!(ledger.absence().is_none() && ledger.faults().is_empty());
        ledger.stumbled("case\u{1b}[2J", "it fell silent").expect("it can be written");
        ledger.take_out("nothing helped; it is gone", true).expect("it can be written");
        let other = Ledger::at(path.clone());
        assert_eq!(
            other.absence().map(|absence| absence.reason.as_str()),
            Some("nothing helped; it is gone")
        );
        assert!(other.absence().is_some_and(|absence| absence.unplugged));
        assert_eq!(other.faults()[0].case, "case [2J");
        assert!(ago(other.faults()[0].at).ends_with(" s ago"));
        ledger.put_back().expect("it can be written");
        assert!(Ledger::at(path.clone()).absence().is_none());
        let left: Vec<_> = fs::read_dir(folder.path().join("health")).expect("a folder").collect();
        assert_eq!(left.len(), 1, "no other file stays");
    }

    #[test]
    fn three_in_a_row_are_too_many_and_a_verdict_between_them_begins_anew() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut ledger = Ledger::at(folder.path().join("board.toml"));
        let mut failed = || ledger.failed("case", "fault").expect("it can be written");
        assert_eq!([failed(), failed()], [false, false]);
        ledger.went_well().expect("it can be written");
        let mut failed = || ledger.failed("case", "fault").expect("it can be written");
        assert_eq!([failed(), failed(), failed()], [false, false, true]);
        (0..40).for_each(|_| drop(ledger.failed("case", &"x".repeat(10_000))));
        assert_eq!(ledger.faults().len(), REMEMBERED);
        let bytes = fs::metadata(folder.path().join("board.toml")).expect("a file").len();
        assert!(bytes < MAX_FILE, "{bytes} bytes are read again");
    }

    #[test]
    fn what_cannot_be_read_says_nothing_and_is_replaced() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("board.toml");
        for damaged in [&b"\xff\0"[..], b"faults = 7", b"out_of_service = { since = -1 }"] {
            fs::write(&path, damaged).expect("a file");
            assert!(Ledger::at(path.clone()).absence().is_none());
        }
        Ledger::at(path.clone()).take_out("x", false).expect("it can be written");
        assert!(Ledger::at(path).absence().is_some());
        // Where nothing can be written it is told.
        fs::write(folder.path().join("file"), "").expect("a file");
        let told = Ledger::at(folder.path().join("file/board.toml"))
            .take_out("x", false)
            .expect_err("no folder")
            .to_string();
        assert!(told.contains("XDG_STATE_HOME"), "{told}");
    }
}
