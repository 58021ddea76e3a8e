//! A flash chip that takes no time: its cells are memory, and what it is asked for is noted.
//!
//! What the driver itself takes is counted by itself ([`Driver`]) and not as part of the task that calls it. Noted
//! is what the storage task does: it has the file system.

use core::cell::Cell;

use critical_section::Mutex;
use embedded_storage::nor_flash::{
    ErrorType, MultiwriteNorFlash, NorFlash, NorFlashErrorKind, ReadNorFlash, check_erase, check_read,
    check_write,
};
use rigor_agent::layout::flash::{BYTES, OFFSET, SECTOR_BYTES};

use crate::clock::{self, Count};
use crate::{crew, memory};

/// Bytes that the firmware looks at in one go to see whether a block is blank.
const LOOK_BYTES: usize = 256;

/// What the storage task did with the chip.
#[derive(Clone, Copy)]
pub struct Tally {
    /// Calls of the driver.
    pub calls: u64,
    /// Bytes programmed.
    pub programmed: u64,
    /// Bytes that it compared with blank ones.
    pub compared: u64,
    /// Instructions that it took for that.
    pub comparing: u64,
}

const NOTHING: Tally = Tally { calls: 0, programmed: 0, compared: 0, comparing: 0 };

struct Notes {
    tally: Cell<Tally>,
    /// Where the blank piece ends that was read last, and the count since.
    blank: Cell<Option<(u32, Count)>>,
}

static NOTES: Mutex<Notes> = Mutex::new(Notes { tally: Cell::new(NOTHING), blank: Cell::new(None) });

/// What the firmware has done so far.
pub fn tally() -> Tally {
    critical_section::with(|cs| NOTES.borrow(cs).tally.get())
}

/// Forgets what it has done.
pub fn forget() {
    critical_section::with(|cs| NOTES.borrow(cs).tally.set(NOTHING));
}

/// A call of the driver for what begins at `offset`, and programs so many bytes.
fn noted<R>(offset: u32, programs: usize, call: impl FnOnce() -> R) -> R {
    critical_section::with(|cs| {
        let notes = NOTES.borrow(cs);
        let blank = notes.blank.take();
        if !crew::storage_runs() {
            return;
        }
        let mut tally = notes.tally.get();
        tally.calls += 1;
        tally.programmed += programs as u64;
        // Nobody but who looks for blank blocks reads on after a blank piece of just this size.
        if let Some((end, since)) = blank
            && end == offset
        {
            tally.compared += LOOK_BYTES as u64;
            tally.comparing += since.end();
        }
        notes.tally.set(tally);
    });
    call()
}

/// The cells from `offset` on.
fn cells(offset: u32, length: usize) -> &'static mut [u8] {
    // SAFETY: within the chip, as all callers have checked; there is one task at a time, and it lets go of
    // them before it returns.
    unsafe { memory::bytes_mut(OFFSET + offset as usize, length) }
}

/// Puts `bytes` into the cells from `offset` on, as a flashing tool does with the chip of a factory board.
pub fn write_factory(offset: u32, bytes: &[u8]) {
    cells(0, BYTES).fill(0xFF);
    cells(offset, bytes.len()).copy_from_slice(bytes);
}

/// The driver by itself: checks, and moves bytes.
pub struct Driver;

impl ErrorType for Driver {
    type Error = NorFlashErrorKind;
}

impl ReadNorFlash for Driver {
    // As esp-storage without its byte-wise option.
    const READ_SIZE: usize = 4;

    #[inline(never)]
    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), NorFlashErrorKind> {
        check_read(self, offset, bytes.len())?;
        bytes.copy_from_slice(cells(offset, bytes.len()));
        Ok(())
    }

    fn capacity(&self) -> usize {
        BYTES
    }
}

impl NorFlash for Driver {
    const WRITE_SIZE: usize = 4;
    const ERASE_SIZE: usize = SECTOR_BYTES;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), NorFlashErrorKind> {
        check_erase(self, from, to)?;
        cells(from, (to - from) as usize).fill(0xFF);
        Ok(())
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), NorFlashErrorKind> {
        check_write(self, offset, bytes.len())?;
        for (cell, byte) in cells(offset, bytes.len()).iter_mut().zip(bytes) {
            *cell &= byte;
        }
        Ok(())
    }
}

/// The chip as the firmware has it.
#[derive(Clone)]
pub struct Flash;

impl ErrorType for Flash {
    type Error = NorFlashErrorKind;
}

impl ReadNorFlash for Flash {
    const READ_SIZE: usize = Driver::READ_SIZE;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), NorFlashErrorKind> {
        let (result, blank) = clock::uncounted(|| {
            let result = noted(offset, 0, || Driver.read(offset, bytes));
            (result, bytes.len() == LOOK_BYTES && bytes.iter().all(|byte| *byte == 0xFF))
        });
        if blank {
            let end = offset + LOOK_BYTES as u32;
            critical_section::with(|cs| NOTES.borrow(cs).blank.set(Some((end, Count::begin()))));
        }
        result
    }

    fn capacity(&self) -> usize {
        BYTES
    }
}

impl NorFlash for Flash {
    const WRITE_SIZE: usize = Driver::WRITE_SIZE;
    const ERASE_SIZE: usize = Driver::ERASE_SIZE;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), NorFlashErrorKind> {
        clock::uncounted(|| noted(from, 0, || Driver.erase(from, to)))
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), NorFlashErrorKind> {
        clock::uncounted(|| noted(offset, bytes.len(), || Driver.write(offset, bytes)))
    }
}

impl MultiwriteNorFlash for Flash {}
