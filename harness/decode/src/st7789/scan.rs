//! When the panel reads its memory, and whether it read a picture that was half written.

use std::time::Duration;

use rigor_core::Instant;
use rigor_core::time::nanos;
use serde::Serialize;

use super::address::RAM_HEIGHT;

/// Scans of a pass that are looked at. One that lies entirely within a pass is torn or reads nothing of it,
/// so it is decided after three.
const MOST_SCANS: i128 = 8;

/// A model of the panel's refresh: it reads its 320 lines one after the other, then pauses (the porches), and
/// begins again.
///
/// The rate after a reset is about 60 Hz (ST7789V datasheet, section 9.2.26, FRCTRL2), and the chip's oscillator
/// decides, so the phase has to come from the tearing effect line ([`super::Decoder::scan_began`]).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Scan {
    /// When some scan reads its first line.
    pub first_line: Instant,
    /// From one scan to the next.
    pub period: Duration,
    /// From the first line to the end of the last; at most the period.
    pub lines: Duration,
}

/// A picture that was shown in part.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(tag = "by", rename_all = "kebab-case")]
pub enum Tear {
    /// The pass was broken off: something else began before its window was full. What the rest of the window
    /// shows is of an older picture, until somebody writes it again.
    Interrupted,
    /// One scan read some of its lines before and some after they were written, or one while it was written.
    Scan {
        /// When that scan read its first line.
        #[serde(rename = "scan_at_ns")]
        began: Instant,
        /// The gate line, counted from the first of the memory, at which old and new meet.
        line: u16,
    },
}

impl std::fmt::Display for Tear {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Tear::Interrupted => f.write_str("broken off"),
            Tear::Scan { began, line } => write!(f, "torn at line {line} by the scan at {began}"),
        }
    }
}

/// When each row of the memory was first and last written in a pass, in nanoseconds.
pub(super) struct RowTimes {
    rows: Vec<Option<(u64, u64)>>,
}

impl RowTimes {
    pub(super) fn new() -> Self {
        RowTimes { rows: vec![None; usize::from(RAM_HEIGHT)] }
    }

    /// Part of a row was written; no earlier than what was told before.
    pub(super) fn written(&mut self, row: u16, from: Instant, until: Instant) {
        if let Some(entry) = self.rows.get_mut(usize::from(row)) {
            let first = entry.map_or(from.as_nanos(), |(first, _)| first);
            *entry = Some((first, until.as_nanos()));
        }
    }

    /// The first scan that saw a mixture; `upwards` if the last line is read first (ML).
    pub(super) fn torn_by(&self, scan: Scan, upwards: bool) -> Option<Tear> {
        let start = self.rows.iter().flatten().map(|(first, _)| *first).min()?;
        let end = self.rows.iter().flatten().map(|(_, last)| *last).max()?;
        let period = i128::from(nanos(scan.period).max(1));
        let lines = i128::from(nanos(scan.lines)).min(period);
        let origin = i128::from(scan.first_line.as_nanos());
        let earliest = (i128::from(start) - lines - origin).div_euclid(period);
        (earliest..earliest + MOST_SCANS)
            .map(|number| origin + number * period)
            .take_while(|began| *began <= i128::from(end))
            .find_map(|began| {
                let line = self.mixture(began, lines, upwards)?;
                let began = Instant::from_nanos(u64::try_from(began).unwrap_or(0));
                Some(Tear::Scan { began, line })
            })
    }

    /// The line at which the scan that began then turns from old to new, or the other way.
    fn mixture(&self, began: i128, lines: i128, upwards: bool) -> Option<u16> {
        let mut before = None;
        for position in 0..RAM_HEIGHT {
            let line = if upwards { RAM_HEIGHT - 1 - position } else { position };
            let Some((first, last)) = self.rows.get(usize::from(line)).copied().flatten() else { continue };
            let read = began + lines * i128::from(position) / i128::from(RAM_HEIGHT);
            let new = read >= i128::from(last);
            let old = read < i128::from(first);
            if !new && !old || before.is_some_and(|before| before != new) {
                return Some(line);
            }
            before = Some(new);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    /// 20 ms a scan, of which 16 ms read lines: 50 us a line.
    fn scan() -> Scan {
        Scan {
            first_line: Instant::from_nanos(100 * MS),
            period: Duration::from_millis(20),
            lines: Duration::from_millis(16),
        }
    }

    /// All rows, one after the other, from `start_ms` on for `length_ms`.
    fn pass(start_ms: u64, length_ms: u64) -> RowTimes {
        let mut times = RowTimes::new();
        for row in 0..RAM_HEIGHT {
            let at = |row: u64| Instant::from_nanos(start_ms * MS + length_ms * MS * row / 320);
            times.written(row, at(u64::from(row)), at(u64::from(row) + 1));
        }
        times
    }

    #[test]
    fn a_pass_in_the_pause_or_behind_the_scan_is_whole() {
        assert_eq!(pass(117, 2).torn_by(scan(), false), None);
        // Faster than the scan and begun after its first line: it overtakes.
        assert!(pass(101, 4).torn_by(scan(), false).is_some());
        // As slow as the scan and behind it: it is read by the next one, all new.
        assert_eq!(pass(101, 18).torn_by(scan(), false), None);
        // Ahead of it all the way.
        assert_eq!(pass(97, 6).torn_by(scan(), false), None);
    }

    #[test]
    fn a_pass_that_is_overtaken_is_torn_where_they_meet() {
        // Written at 12.5 us a line from 101 ms on, read at 50 us a line from 100 ms on: they meet when
        // 1 ms + 12.5 us * n = 50 us * n, at 26.7: line 26 is still old.
        let torn = pass(101, 4).torn_by(scan(), false);
        assert_eq!(torn, Some(Tear::Scan { began: Instant::from_nanos(100 * MS), line: 27 }));
        // Slower than two scans: the first that it began ahead of catches up.
        assert!(pass(99, 50).torn_by(scan(), false).is_some());
    }

    #[test]
    fn the_direction_of_the_refresh_matters() {
        // Downwards with the scan it stays ahead; against it they always meet.
        assert_eq!(pass(97, 6).torn_by(scan(), false), None);
        assert!(pass(97, 6).torn_by(scan(), true).is_some());
    }

    #[test]
    fn scans_before_the_anchor_count_and_nothing_is_no_tear() {
        assert!(pass(1, 4).torn_by(scan(), false).is_some());
        assert_eq!(RowTimes::new().torn_by(scan(), false), None);
        let never = Scan { period: Duration::ZERO, lines: Duration::MAX, ..scan() };
        assert!(pass(1, 4).torn_by(never, false).is_some() || pass(1, 4).torn_by(never, true).is_some());
    }
}
