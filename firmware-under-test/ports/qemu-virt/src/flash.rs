//! A NOR flash chip in memory that outlives the machine: its rules and its times.
//!
//! As on the virtual board: erasing sets whole sectors to ones, programming only clears bits, the chip does
//! one thing at a time, and its contents change at the end of an operation. It is the rig that changes the
//! cells then, as it knows from the record what is in flight: so an operation goes on through a reset,
//! as in a chip without a reset line, and a power cut in the middle leaves what it should. A caller
//! sleeps until the chip is ready.

use core::cell::Cell;

use critical_section::Mutex;
use embedded_storage::nor_flash::{
    ErrorType, MultiwriteNorFlash, NorFlash, NorFlashErrorKind, ReadNorFlash, check_erase, check_read,
    check_write,
};
use rigor_agent::Record;
use rigor_agent::layout::flash::{BYTES, OFFSET, PAGE_BYTES, SECTOR_BYTES};
use rigor_agent::layout::{Reason, boot};

use crate::{agent, clock, kernel, memory};

/// A handle to the chip; clones wait for each other.
#[derive(Clone)]
pub struct Flash;

/// Until when the chip is busy.
static BUSY_UNTIL: Mutex<Cell<u64>> = Mutex::new(Cell::new(0));

/// Has the chip for `nanos` from now on, once it is free; `begin` hears when. Gives when it is done.
fn occupy(nanos: u64, begin: impl FnOnce(u64)) -> u64 {
    loop {
        let turn = critical_section::with(|cs| {
            let (now, busy_until) = (clock::now(), BUSY_UNTIL.borrow(cs).get());
            if busy_until > now {
                return Err(busy_until);
            }
            BUSY_UNTIL.borrow(cs).set(now + nanos);
            Ok(now)
        });
        match turn {
            Ok(now) => {
                begin(now);
                return now + nanos;
            }
            Err(busy_until) => kernel::sleep_until(busy_until),
        }
    }
}

/// Waits for the end of an operation. The rig changes the cells at that instant.
fn complete(end: u64) {
    kernel::sleep_until(end);
    critical_section::with(|_| {
        if clock::now() >= agent::until() {
            agent::meet(Reason::Time);
        }
    });
}

fn transfer(bytes: usize) -> u64 {
    bytes as u64 * u64::from(memory::word(boot::FLASH_TRANSFER))
}

impl ErrorType for Flash {
    type Error = NorFlashErrorKind;
}

impl ReadNorFlash for Flash {
    // As esp-storage without its byte-wise option.
    const READ_SIZE: usize = 4;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), NorFlashErrorKind> {
        check_read(self, offset, bytes.len())?;
        let end = occupy(transfer(bytes.len()), |_| {
            // SAFETY: within the chip by the check; nobody changes cells while this one has the chip.
            bytes.copy_from_slice(unsafe { memory::bytes(OFFSET + offset as usize, bytes.len()) });
        });
        // Too short to be worth a change of tasks: the driver looks until the chip is done.
        while clock::now() < end {
            core::hint::spin_loop();
        }
        Ok(())
    }

    fn capacity(&self) -> usize {
        BYTES
    }
}

impl NorFlash for Flash {
    const WRITE_SIZE: usize = 4;
    const ERASE_SIZE: usize = SECTOR_BYTES;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), NorFlashErrorKind> {
        check_erase(self, from, to)?;
        let duration = memory::word(boot::FLASH_ERASE);
        for address in (from..to).step_by(SECTOR_BYTES) {
            let end = occupy(duration.into(), |at| {
                agent::record(at, &Record::Erase { address, duration });
                agent::meet(Reason::Record);
            });
            complete(end);
        }
        Ok(())
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), NorFlashErrorKind> {
        check_write(self, offset, bytes.len())?;
        let mut address = offset as usize;
        let mut rest = bytes;
        while !rest.is_empty() {
            let (page, tail) = rest.split_at((PAGE_BYTES - address % PAGE_BYTES).min(rest.len()));
            let duration = u64::from(memory::word(boot::FLASH_PROGRAM)) + transfer(page.len());
            let end = occupy(duration, |at| {
                let program =
                    Record::Program { address: address as u32, duration: duration as u32, bytes: page };
                agent::record(at, &program);
                agent::meet(Reason::Record);
            });
            complete(end);
            address += page.len();
            rest = tail;
        }
        Ok(())
    }
}

impl MultiwriteNorFlash for Flash {}
