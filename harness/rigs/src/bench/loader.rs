//! The flash chip of the board, by the loader in its chip's ROM.
//!
//! The controller pulls the boot pin and resets the chip, which is then in its loader, on the line that is the console's
//! otherwise; afterwards it is reset into its firmware, or has no supply again. What is said to the loader and by it is
//! nothing of the console's: it stands on no lane.
//!
//! Flow: [`Desk`](super::desk) (wires) -> [`Rom`] (what the loader can) -> [`Contents`] (what need not be asked for).

mod contents;
mod packet;
mod rom;
#[cfg(test)]
mod tests;

use std::time::Instant;

pub use rom::LoaderError;
use rom::Rom;

use crate::file::bench::Chip;
use contents::Contents;

/// A serial line with a loader at its other end.
pub(super) trait Line {
    /// Sends `bytes`. If they cannot go, no answer comes.
    fn send(&mut self, bytes: &[u8]);
    /// What comes next; nothing if nothing does before `deadline`.
    fn receive(&mut self, deadline: Instant) -> Vec<u8>;
}

/// What is wanted of the flash.
#[derive(Clone, Copy)]
pub(super) enum Job<'a> {
    /// So many bytes from there on.
    Read(u32, u32),
    /// These from there on.
    Write(u32, &'a [u8]),
}

/// Does `job` by the loader of `chip` at the other end of `line`; what was read. Gives up once `is_over`.
pub(super) fn serve(
    line: &mut dyn Line,
    chip: Chip,
    job: Job<'_>,
    is_over: &dyn Fn() -> bool,
) -> Result<Vec<u8>, LoaderError> {
    let mut rom = Rom::connect(line, chip)?;
    let mut contents = Contents::new(&mut rom, is_over);
    match job {
        Job::Read(address, length) => contents.read(address, length),
        Job::Write(address, bytes) => contents.write(address, bytes).map(|()| Vec::new()),
    }
}
