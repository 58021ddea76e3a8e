//! What device and rig tell each other when they meet, in the memory that both have.

use std::time::Duration;

use rigor_agent::layout::{Command, Reason, order, records, report};
use rigor_core::time::nanos;

use super::error::QemuError;
use super::ram::GuestRam;

/// What the device says when it rings.
pub(super) struct Report {
    /// What its clock shows.
    pub(super) clock: Duration,
    /// Why it rings; `None` if it says nothing that is known.
    pub(super) reason: Option<Reason>,
    /// What it has recorded since it rang last.
    pub(super) records: Vec<u8>,
}

impl Report {
    pub(super) fn read(ram: &GuestRam) -> Result<Self, QemuError> {
        let mut records = vec![0; (ram.read_u32(report::RECORDS)? as usize).min(records::MAX)];
        ram.read(records::OFFSET, &mut records)?;
        Ok(Report {
            clock: Duration::from_nanos(ram.read_u64(report::NOW)?),
            reason: Reason::from_word(ram.read_u32(report::REASON)?),
            records,
        })
    }
}

/// What the rig answers.
pub(super) struct Answer<'a> {
    /// When the device is to ring again at the latest, on its clock.
    pub(super) until: Duration,
    pub(super) command: Command,
    /// The next report is to say what the largest free piece of the heap is.
    pub(super) sample_heap: bool,
    /// What has arrived on the console, at most [`order::CONSOLE_MAX`] bytes.
    pub(super) typed: &'a [u8],
    /// Frames that have arrived, each behind its length, at most [`order::FRAMES_MAX`] bytes.
    pub(super) frames: &'a [u8],
}

impl Answer<'_> {
    pub(super) fn write(&self, ram: &GuestRam) -> Result<(), QemuError> {
        ram.write_u64(order::UNTIL, nanos(self.until))?;
        ram.write_u32(order::COMMAND, self.command.word())?;
        ram.write_u32(order::SAMPLE_HEAP, self.sample_heap.into())?;
        ram.write_u32(order::CONSOLE_LENGTH, self.typed.len() as u32)?;
        ram.write(order::CONSOLE, self.typed)?;
        ram.write_u32(order::FRAMES_LENGTH, self.frames.len() as u32)?;
        ram.write(order::FRAMES, self.frames)?;
        Ok(())
    }
}
