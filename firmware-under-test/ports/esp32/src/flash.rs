//! The flash chip, in between frames.
//!
//! The code runs from the same chip, so nothing else runs while the chip works: esp-storage keeps the
//! interrupts off for as long as an operation takes. For the LED lanes that would be too long. Therefore an
//! operation begins only while no lane is sent, and a frame waits until the operation is done: what is on the
//! pins is always whole, but a frame that is due in the middle of an erasure comes late, by tens of
//! milliseconds. That is so on every chip of the family whose flash cannot be suspended.

use core::cell::RefCell;

use critical_section::Mutex;
use embedded_storage::nor_flash::{
    ErrorType, MultiwriteNorFlash, NorFlash, NorFlashErrorKind, ReadNorFlash, check_erase, check_read,
    check_write,
};
use esp_hal::peripherals::FLASH;
use esp_storage::{FlashStorage, FlashStorageError};

use crate::{leds, tasks};

/// Bytes that are read or programmed at once: a page of the chip. What is longer would hold the interrupts
/// up, and what is not aligned esp-storage would copy by way of the stack, a whole sector.
const PAGE_BYTES: usize = 256;
/// Bytes that are erased at once.
const SECTOR_BYTES: usize = FlashStorage::SECTOR_SIZE as usize;
/// How long an operation waits before it looks again whether lanes are sent, in microseconds. Between two
/// frames there are 3.5 ms.
const PAUSE_US: u32 = 500;

static CHIP: Mutex<RefCell<Option<FlashStorage<'static>>>> = Mutex::new(RefCell::new(None));

/// A page that is aligned as the chip's driver wants it.
#[repr(align(4))]
struct Page([u8; PAGE_BYTES]);

/// A handle to the chip; clones wait for each other.
#[derive(Clone)]
pub struct Flash {
    capacity: usize,
}

impl Flash {
    /// The chip on its pins.
    pub fn open(flash: FLASH<'static>) -> Self {
        let chip = FlashStorage::new(flash);
        #[cfg(feature = "esp32s3")]
        let chip = chip.multicore_auto_park();
        let capacity = chip.capacity();
        critical_section::with(|cs| CHIP.borrow_ref_mut(cs).replace(chip));
        Flash { capacity }
    }
}

/// Does `operation` while no lane is sent.
fn between_frames(
    mut operation: impl FnMut(&mut FlashStorage<'static>) -> Result<(), FlashStorageError>,
) -> Result<(), NorFlashErrorKind> {
    loop {
        let done = critical_section::with(|cs| {
            if leds::busy() {
                return None;
            }
            let mut chip = CHIP.borrow_ref_mut(cs);
            // What the chip could say besides was looked at before: alignment and bounds.
            let done = chip.as_mut().is_some_and(|chip| operation(chip).is_ok());
            Some(if done { Ok(()) } else { Err(NorFlashErrorKind::Other) })
        });
        match done {
            Some(result) => return result,
            None => tasks::sleep(PAUSE_US),
        }
    }
}

impl ErrorType for Flash {
    type Error = NorFlashErrorKind;
}

impl ReadNorFlash for Flash {
    const READ_SIZE: usize = FlashStorage::READ_SIZE;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), NorFlashErrorKind> {
        check_read(self, offset, bytes.len())?;
        let mut page = Page([0; PAGE_BYTES]);
        for (at, part) in (offset..).step_by(PAGE_BYTES).zip(bytes.chunks_mut(PAGE_BYTES)) {
            let page = &mut page.0[..part.len()];
            between_frames(|chip| chip.read_nor(at, page))?;
            part.copy_from_slice(page);
        }
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.capacity
    }
}

impl NorFlash for Flash {
    const WRITE_SIZE: usize = FlashStorage::WRITE_SIZE;
    const ERASE_SIZE: usize = SECTOR_BYTES;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), NorFlashErrorKind> {
        check_erase(self, from, to)?;
        for sector in (from..to).step_by(SECTOR_BYTES) {
            between_frames(|chip| chip.erase(sector, sector + FlashStorage::SECTOR_SIZE))?;
        }
        Ok(())
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), NorFlashErrorKind> {
        check_write(self, offset, bytes.len())?;
        let mut page = Page([0; PAGE_BYTES]);
        let mut at = offset as usize;
        let mut rest = bytes;
        while !rest.is_empty() {
            // To the end of a page of the chip: beyond it the chip would begin the same page again.
            let (part, tail) = rest.split_at((PAGE_BYTES - at % PAGE_BYTES).min(rest.len()));
            let page = &mut page.0[..part.len()];
            page.copy_from_slice(part);
            between_frames(|chip| chip.write_nor(at as u32, page))?;
            at += part.len();
            rest = tail;
        }
        Ok(())
    }
}

impl MultiwriteNorFlash for Flash {}
