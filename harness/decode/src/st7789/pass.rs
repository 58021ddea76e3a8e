//! One pass over a window: from its first pixel to its last.

use std::time::Duration;

use rigor_core::Instant;
use rigor_core::time::nanos;
use serde::Serialize;

use super::address::{Access, Rect, Window};
use super::finding::as_nanos;
use super::instruction::Opcode;
use super::memory::{Memory, PixelFormat};
use super::scan::{RowTimes, Tear};

/// One pass over a window: from its first pixel to its last, or to where it was broken off.
///
/// A pass is complete with the window's last pixel. If pixels go on, the next pass over the same window
/// begins with the next one (ST7789V datasheet, section 8.12: the counters return to the start). A command in
/// between breaks a pass off unless RAMWRC continues it; commands that have nothing to do with addresses may
/// come before that.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Pass {
    /// When its first byte began.
    #[serde(rename = "start_ns")]
    pub start: Instant,
    /// When its last byte ended.
    #[serde(rename = "end_ns")]
    pub end: Instant,
    /// `start` and `end` are right within plus or minus this.
    #[serde(rename = "uncertainty_ns", serialize_with = "as_nanos")]
    pub uncertainty: Duration,
    /// The window, in addresses.
    pub window: Window,
    /// Pixels that came, seen or not.
    pub pixels: u64,
    /// The part of the picture that it changed; `None` if it is not seen. The whole width of the window if
    /// at least one of its rows was filled.
    pub dirty: Option<Rect>,
    /// Why it ends.
    pub ending: PassEnding,
    /// Whether, and how, people saw only part of it.
    pub tear: Option<Tear>,
}

/// Why a pass ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(tag = "ending", rename_all = "kebab-case")]
pub enum PassEnding {
    /// The window is full.
    Complete,
    /// Another command came.
    Interrupted {
        /// Which.
        by: Opcode,
    },
    /// The controller was reset by its pin.
    Reset,
    /// The source lost data.
    Gap,
    /// The trace ended.
    TraceEnded,
}

impl std::fmt::Display for Pass {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} pixels to {}", self.pixels, self.window)?;
        match self.dirty {
            Some(dirty) => write!(f, ", seen {dirty}")?,
            None => f.write_str(", unseen")?,
        }
        match self.ending {
            PassEnding::Complete => {}
            PassEnding::Interrupted { by } => write!(f, "; broken off by {by}")?,
            PassEnding::Reset => f.write_str("; broken off by a reset")?,
            PassEnding::Gap => f.write_str("; the source lost data")?,
            PassEnding::TraceEnded => f.write_str("; the trace ended")?,
        }
        match self.tear {
            Some(tear @ Tear::Scan { .. }) => write!(f, "; {tear}"),
            _ => Ok(()),
        }
    }
}

/// A pass that is under way, or may begin with the next byte.
pub(super) struct Writing {
    pub(super) window: Window,
    pub(super) access: Access,
    pub(super) format: PixelFormat,
    /// RAMWR came and no pixel since; a window that is full is not fresh.
    pub(super) fresh: bool,
    /// Start of the first byte, end of the last.
    pub(super) times: Option<(Instant, Instant)>,
    pub(super) uncertainty: Duration,
    pub(super) pixels: u64,
    x: u16,
    y: u16,
    partial: [u8; 3],
    partial_bytes: usize,
    /// When the first of them began.
    partial_at: Instant,
    rows: Option<RowTimes>,
}

/// How long a byte is on the bus, in nanoseconds.
#[derive(Clone, Copy)]
pub(super) struct Pace(u64);

impl Pace {
    pub(super) fn new(byte_time: Duration) -> Self {
        Pace(nanos(byte_time))
    }

    /// When this many bytes have passed.
    pub(super) const fn after(self, at: Instant, bytes: usize) -> Instant {
        Instant::from_nanos(at.as_nanos().saturating_add(self.0.saturating_mul(bytes as u64)))
    }
}

/// What came of some bytes.
pub(super) struct Progress {
    /// How many were taken.
    pub(super) taken: usize,
    /// Whether the window is full with them.
    pub(super) full: bool,
}

impl Writing {
    pub(super) fn new(window: Window, access: Access, format: PixelFormat, by_rows: bool) -> Self {
        Writing {
            window,
            access,
            format,
            fresh: true,
            times: None,
            uncertainty: Duration::ZERO,
            pixels: 0,
            x: window.columns.0,
            y: window.rows.0,
            partial: [0; 3],
            partial_bytes: 0,
            partial_at: Instant::ZERO,
            rows: by_rows.then(RowTimes::new),
        }
    }

    /// After its last pixel: the same window from the start.
    pub(super) fn wrapped(&self) -> Self {
        let again = Writing::new(self.window, self.access, self.format, self.rows.is_some());
        Writing { fresh: false, ..again }
    }

    /// Takes bytes up to the end of the row that it is in, and at least one.
    pub(super) fn take(&mut self, memory: &mut Memory, at: Instant, pace: Pace, bytes: &[u8]) -> Progress {
        let size = self.format.bytes();
        if self.times.is_none() {
            self.times = Some((at, at));
        }
        self.fresh = false;
        let after = |count: usize| pace.after(at, count);
        let taken = if self.partial_bytes > 0 || bytes.len() < size {
            if self.partial_bytes == 0 {
                self.partial_at = at;
            }
            let taken = bytes.len().min(size - self.partial_bytes);
            self.partial[self.partial_bytes..][..taken].copy_from_slice(&bytes[..taken]);
            self.partial_bytes += taken;
            if self.partial_bytes == size {
                let pixel = self.partial;
                self.partial_bytes = 0;
                let from = self.partial_at;
                self.run(memory, &pixel[..size], |_| (from, after(taken)));
            }
            taken
        } else {
            let room = usize::from(self.window.columns.1 - self.x) + 1;
            let taken = (bytes.len() / size).min(room) * size;
            self.run(memory, &bytes[..taken], |pixel| (after(pixel * size), after((pixel + 1) * size)));
            taken
        };
        if let Some((_, end)) = &mut self.times {
            *end = after(taken);
        }
        Progress { taken, full: self.pixels == self.window.pixels() }
    }

    /// Whole pixels that end within the row, and from when to when each was on the bus.
    fn run(&mut self, memory: &mut Memory, bytes: &[u8], when: impl Fn(usize) -> (Instant, Instant)) {
        memory.write(self.access, self.format, self.x, self.y, bytes);
        let pixels = bytes.len() / self.format.bytes();
        if let Some(rows) = &mut self.rows {
            let (columns, limit) = self.access.limits();
            let inside = pixels.min(usize::from(columns.saturating_sub(self.x)));
            if self.y >= limit || inside == 0 {
                // Nothing of it is in the memory.
            } else if self.access.exchanges() {
                for pixel in 0..inside {
                    let (_, row) = self.access.place(self.x + pixel as u16, self.y);
                    let (from, until) = when(pixel);
                    rows.written(row, from, until);
                }
            } else {
                let (_, row) = self.access.place(self.x, self.y);
                rows.written(row, when(0).0, when(inside - 1).1);
            }
        }
        self.pixels += pixels as u64;
        if pixels > usize::from(self.window.columns.1 - self.x) {
            self.x = self.window.columns.0;
            // After the last row the pass is over, and this is not read again.
            self.y = self.y.wrapping_add(1);
        } else {
            self.x += pixels as u16;
        }
    }

    /// Bytes of a pixel that is not whole, dropped.
    pub(super) fn drop_leftover(&mut self) -> u8 {
        std::mem::take(&mut self.partial_bytes) as u8
    }

    /// The part of the memory that has been written.
    pub(super) fn written(&self) -> Option<Rect> {
        let Window { columns, rows } = self.window;
        let width = u64::from(columns.1 - columns.0) + 1;
        let last_row = self.pixels.checked_sub(1)? / width;
        let last_column = if last_row > 0 { width } else { self.pixels };
        let written = Window {
            columns: (columns.0, columns.0 + (last_column - 1) as u16),
            rows: (rows.0, rows.0 + last_row as u16),
        };
        written.area(self.access)
    }

    pub(super) fn row_times(&self) -> Option<&RowTimes> {
        self.rows.as_ref()
    }
}
