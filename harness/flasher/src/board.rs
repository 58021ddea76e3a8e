//! The board, as seen by who flashes it.

use crate::chip::Chip;
use crate::error::FlashError;

/// Fuses that make a difference to who brings plain images. They cannot be taken back.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Security {
    /// Only what is signed boots.
    pub secure_boot: bool,
    /// What is in the flash is encrypted.
    pub flash_encryption: bool,
    /// The loader neither reads nor runs anything.
    pub secure_download: bool,
}

impl Security {
    /// What keeps plain images away, in words.
    pub(crate) fn obstacle(self) -> Option<&'static str> {
        match self {
            Security { secure_boot: true, .. } => Some("secure boot switched on"),
            Security { flash_encryption: true, .. } => Some("flash encryption switched on"),
            Security { secure_download: true, .. } => Some("secure download mode switched on"),
            _ => None,
        }
    }
}

/// What a loader says of its board.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Board {
    /// Its chip.
    pub chip: Chip,
    /// How much flash it has, in bytes.
    pub flash_bytes: u32,
    /// Its fuses.
    pub security: Security,
}

/// What became of a board that was to start.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Start {
    /// It was reset and runs.
    Started,
    /// It waits for a reset: the programmer has no line for that.
    LeftToReset,
}

/// Who can write to the flash of a board: the loader in its chip's ROM, or a debug probe.
///
/// Every call ends: a board that is gone or says nothing is an error within a deadline of the programmer's own.
pub trait Programmer {
    /// Brings the chip into its loader and says what is there. Comes before all other calls, and writes nothing.
    ///
    /// # Errors
    /// [`FlashError::Open`], [`FlashError::NoLoader`], [`FlashError::UnknownChip`] and whatever a board that goes away
    /// leads to.
    fn connect(&mut self) -> Result<Board, FlashError>;

    /// Whether the flash holds `bytes` from `at` on, by what the chip itself reads there.
    ///
    /// # Errors
    /// [`FlashError::Stalled`], [`FlashError::Gone`], [`FlashError::Rejected`].
    fn holds(&mut self, at: u32, bytes: &[u8]) -> Result<bool, FlashError>;

    /// Erases the sectors of `bytes` from `at` on, both multiples of 4 KiB, and writes them. `written` hears how many
    /// bytes of them have been sent.
    ///
    /// # Errors
    /// [`FlashError::Stalled`], [`FlashError::Gone`], [`FlashError::Rejected`].
    fn write(&mut self, at: u32, bytes: &[u8], written: &mut dyn FnMut(u32)) -> Result<(), FlashError>;

    /// Leaves the loader and starts what is in the flash, if the programmer can.
    ///
    /// # Errors
    /// [`FlashError::Stalled`], [`FlashError::Gone`], [`FlashError::Rejected`].
    fn run(&mut self) -> Result<Start, FlashError>;
}
