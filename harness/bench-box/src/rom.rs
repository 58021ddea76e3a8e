//! The loader in the chip's ROM, in front of the board's flash.

use std::rc::Rc;

use rigor_core::part::Flash;
use rigor_esp_loader::{Chip, Departure, FlashChip, FlashFailed, Loader, SECTOR};

/// What the virtual board models.
const CHIP: Chip = Chip::Esp32S3;
/// An address that nobody was given: the bit for local ones is set (IEEE 802, 8.2.2).
const MAC: [u8; 6] = [0x02, 0x72, 0x69, 0x67, 0x6F, 0x72];
/// The largest flash that is looked for, in bytes.
const MAX_FLASH: u32 = 128 << 20;

/// The loader, from the moment on at which a reset has ended in it.
pub(crate) struct Rom(Loader<BoardFlash>);

impl Rom {
    pub(crate) fn enter(flash: Rc<dyn Flash>) -> Self {
        let size = size_of(&*flash);
        let mut loader = Loader::new(CHIP, MAC, BoardFlash { flash, size });
        loader.enter_download();
        Rom(loader)
    }

    /// Takes what a host has sent.
    pub(crate) fn receive(&mut self, bytes: &[u8]) {
        self.0.receive(bytes);
    }

    /// What it has said since this was called last.
    pub(crate) fn take_said(&mut self) -> Vec<u8> {
        self.0.take_said()
    }

    /// What the host had it do that is the chip's business.
    pub(crate) fn take_departure(&mut self) -> Option<Departure> {
        self.0.take_departure()
    }
}

/// The size of a chip of whole megabytes, in bytes: nobody says it, but no address leaves it.
fn size_of(flash: &dyn Flash) -> u32 {
    let sizes = std::iter::successors(Some(1_u32 << 20), |size| size.checked_mul(2));
    let sizes = sizes.take_while(|&size| size <= MAX_FLASH && flash.read(size - 1, 1).is_ok());
    sizes.last().unwrap_or(0)
}

/// The board's flash, as a loader writes to it.
struct BoardFlash {
    flash: Rc<dyn Flash>,
    size: u32,
}

impl FlashChip for BoardFlash {
    fn size(&self) -> u32 {
        self.size
    }

    fn read(&mut self, address: u32, bytes: &mut [u8]) -> Result<(), FlashFailed> {
        let length = u32::try_from(bytes.len()).map_err(|_| FlashFailed)?;
        let read = self.flash.read(address, length).map_err(|_| FlashFailed)?;
        bytes.copy_from_slice(read.get(..bytes.len()).ok_or(FlashFailed)?);
        Ok(())
    }

    fn erase(&mut self, address: u32, length: u32) -> Result<(), FlashFailed> {
        let end = address.checked_add(length).ok_or(FlashFailed)?;
        let erased = [0xFF; SECTOR as usize];
        for sector in (address..end).step_by(SECTOR as usize) {
            self.flash.write(sector, &erased).map_err(|_| FlashFailed)?;
        }
        Ok(())
    }

    fn program(&mut self, address: u32, bytes: &[u8]) -> Result<(), FlashFailed> {
        let mut cells = vec![0; bytes.len()];
        self.read(address, &mut cells)?;
        for (cell, byte) in cells.iter_mut().zip(bytes) {
            *cell &= byte;
        }
        self.flash.write(address, &cells).map_err(|_| FlashFailed)
    }
}
