//! A board that is an array of bytes.

use std::ops::Range;

use rigor_flasher::{Board, Chip, FlashError, Programmer, Security, Start};

const SECTOR: usize = 0x1000;

/// The board, and whoever writes to it.
pub(crate) struct Double {
    pub(crate) board: Board,
    pub(crate) flash: Vec<u8>,
    /// What was erased and written, in order.
    pub(crate) writes: Vec<Range<u32>>,
    /// The cable is pulled when so many more bytes were written.
    pub(crate) bytes_left: Option<usize>,
    /// A bit at this address does not take.
    pub(crate) stuck: Option<usize>,
}

impl Double {
    /// A board whose flash, of so many bytes, holds something else.
    pub(crate) fn new(chip: Chip, flash_bytes: u32) -> Self {
        let board = Board { chip, flash_bytes, security: Security::default() };
        let flash = crate::images::noise(77, flash_bytes as usize);
        Double { board, flash, writes: Vec::new(), bytes_left: None, stuck: None }
    }

    /// Whether the ROM finds something to boot.
    pub(crate) fn boots(&self) -> bool {
        self.flash[0] == 0xE9
    }
}

impl Programmer for Double {
    fn connect(&mut self) -> Result<Board, FlashError> {
        Ok(self.board)
    }

    fn holds(&mut self, at: u32, bytes: &[u8]) -> Result<bool, FlashError> {
        Ok(self.flash[at as usize..].starts_with(bytes))
    }

    fn write(&mut self, at: u32, bytes: &[u8], written: &mut dyn FnMut(u32)) -> Result<(), FlashError> {
        let at = at as usize;
        assert!(at.is_multiple_of(SECTOR) && bytes.len().is_multiple_of(SECTOR), "whole sectors");
        self.writes.push(at as u32..(at + bytes.len()) as u32);
        self.flash[at..at + bytes.len()].fill(0xFF);
        for (index, &byte) in bytes.iter().enumerate() {
            if let Some(left) = &mut self.bytes_left {
                if *left == 0 {
                    return Err(FlashError::Gone {
                        doing: format!("writing {at:#x}"),
                        reason: "pulled".into(),
                    });
                }
                *left -= 1;
            }
            let stuck = u8::from(self.stuck == Some(at + index));
            self.flash[at + index] = byte | stuck;
        }
        written(bytes.len() as u32);
        Ok(())
    }

    fn run(&mut self) -> Result<Start, FlashError> {
        Ok(Start::LeftToReset)
    }
}
