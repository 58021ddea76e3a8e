//! The console's serial port, and who has it: the firmware, or the loader in the chip's ROM.

use std::path::PathBuf;
use std::rc::Rc;

use rigor_core::part::Flash;
use rigor_esp_loader::Departure;
use rigor_pty::PtyError;

use crate::line::Line;
use crate::rom::Rom;

pub(crate) struct Console {
    line: Line,
    /// The loader, while it has the port.
    rom: Option<Rom>,
    /// Since which start of the chip.
    start: u32,
    /// What the host has sent to the firmware and not counted yet.
    typed: Vec<u8>,
    /// Bytes that the board has.
    taken: u64,
}

impl Console {
    /// # Errors
    /// [`PtyError`].
    pub(crate) fn open(name: PathBuf) -> Result<Self, PtyError> {
        let line = Line::open(name)?;
        Ok(Console { line, rom: None, start: 0, typed: Vec::new(), taken: 0 })
    }

    pub(crate) fn line(&self) -> &Line {
        &self.line
    }

    /// Counts from nothing again, with the firmware of a chip that begins with `start`. What an earlier host
    /// has left there goes.
    ///
    /// # Errors
    /// [`PtyError`].
    pub(crate) fn begin(&mut self, start: u32) -> Result<(), PtyError> {
        self.clear()?;
        self.line.forget();
        (self.rom, self.start, self.taken) = (None, start, 0);
        Ok(())
    }

    /// Takes in what has come; where the host has sent the loader, if it has.
    ///
    /// # Errors
    /// [`PtyError`].
    pub(crate) fn attend(&mut self) -> Result<Option<Departure>, PtyError> {
        let bytes = self.line.read()?;
        let Some(rom) = &mut self.rom else {
            self.typed.extend(bytes);
            return Ok(None);
        };
        rom.receive(&bytes);
        self.line.send(&rom.take_said());
        Ok(rom.take_departure())
    }

    /// The chip has begun anew with `start`: in the loader in front of `flash`, or without one.
    ///
    /// # Errors
    /// [`PtyError`].
    pub(crate) fn change_hands(&mut self, start: u32, flash: Option<Rc<dyn Flash>>) -> Result<(), PtyError> {
        if start == self.start && flash.is_some() == self.rom.is_some() {
            return Ok(());
        }
        self.start = start;
        if self.rom.take().is_some() || flash.is_some() {
            // Whatever is left was not for the next.
            self.clear()?;
        }
        if let Some(flash) = flash {
            let mut rom = Rom::enter(flash);
            self.line.send(&rom.take_said());
            self.rom = Some(rom);
        }
        Ok(())
    }

    /// Bytes for the board that have come since the beginning.
    pub(crate) fn arrived(&self) -> u64 {
        self.taken + self.typed.len() as u64
    }

    /// What of it the board is to have if the host has counted so many.
    pub(crate) fn take(&mut self, counted: u64) -> Vec<u8> {
        let count = usize::try_from(counted.saturating_sub(self.taken)).unwrap_or(usize::MAX);
        let bytes: Vec<u8> = self.typed.drain(..count.min(self.typed.len())).collect();
        self.taken += bytes.len() as u64;
        bytes
    }

    /// The firmware has printed `bytes`.
    pub(crate) fn print(&mut self, bytes: &[u8]) {
        self.line.send(bytes);
    }

    /// Lets go what can.
    ///
    /// # Errors
    /// [`PtyError`].
    pub(crate) fn flush(&mut self) -> Result<(), PtyError> {
        self.line.flush()
    }

    fn clear(&mut self) -> Result<(), PtyError> {
        while !self.line.read()?.is_empty() {}
        self.typed.clear();
        Ok(())
    }
}
