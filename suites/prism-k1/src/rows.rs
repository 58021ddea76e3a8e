//! Tables of attempts that are judged together, and what a verdict says of them.

use std::fmt::Display;

use rigor_core::verdict::{Blame, HarnessError};
use rigor_runner::Findings;

/// Failed rows that a verdict's reason tells of.
const SHOWN: usize = 5;

/// Rows of a table that are judged together.
#[derive(Default)]
pub(crate) struct Rows {
    rows: usize,
    failed: Vec<String>,
    /// What the good rows looked like, each kind once.
    seen: Vec<String>,
}

impl Rows {
    /// A row that was as it should be, and what was seen: rows alike say the same.
    pub(crate) fn good(&mut self, seen: impl Into<String>) {
        self.rows += 1;
        let seen = seen.into();
        if !self.seen.contains(&seen) {
            self.seen.push(seen);
        }
    }

    /// A row that was not, and what was seen.
    pub(crate) fn bad(&mut self, row: &str, seen: impl Display) {
        self.rows += 1;
        self.failed.push(format!("{row}: {seen}"));
    }

    /// A row that was as it should be if it `holds`, and what was seen.
    pub(crate) fn note(&mut self, holds: bool, row: &str, seen: impl Into<String>) {
        if holds { self.good(seen) } else { self.bad(row, seen.into()) }
    }

    /// Decides `id` by all rows.
    ///
    /// # Errors
    /// The harness's, if there was no row.
    pub(crate) fn decide(self, id: &str, findings: &mut Findings) -> Result<(), Blame> {
        if self.rows == 0 {
            return Err(HarnessError(format!("no row decides {id}")).into());
        }
        let holds = self.failed.is_empty();
        findings.observed(id, holds, self.told());
        Ok(())
    }

    /// Fails `id` if a row was not as it should be; what its budget is judged on is measured apart.
    pub(crate) fn veto(self, id: &str, findings: &mut Findings) {
        if !self.failed.is_empty() {
            findings.observed(id, false, self.told());
        }
    }

    fn told(&self) -> String {
        let (rows, failed) = (self.rows, self.failed.len());
        if failed == 0 {
            return format!("{rows} of {rows}: {}", self.seen.join("; "));
        }
        let shown = self.failed.iter().take(SHOWN).cloned().collect::<Vec<_>>().join("; ");
        let more = if failed > SHOWN { "; and so on" } else { "" };
        format!("{failed} of {rows} wrong: {shown}{more}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_rows_are_told_by_kind_and_bad_ones_by_name() {
        let mut rows = Rows::default();
        rows.note(true, "one", "refused");
        rows.note(true, "two", "refused");
        assert_eq!(rows.told(), "2 of 2: refused");
        rows.note(false, "three", "stored");
        assert_eq!(rows.told(), "1 of 3 wrong: three: stored");
        for row in ["4", "5", "6", "7", "8"] {
            rows.bad(row, "stored");
        }
        assert!(
            rows.told().starts_with("6 of 8 wrong: three: stored; ") && rows.told().ends_with("; and so on")
        );
    }

    #[test]
    fn an_empty_table_is_the_harness_s_fault() {
        assert!(Rows::default().decide("K1-NET-008", &mut Findings::new()).is_err());
    }
}
