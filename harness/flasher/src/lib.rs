//! Brings firmware onto the flash of a chip, and says no before anything is erased.
//!
//! In the flow (**action**, event, decode, measure, verdict, report) this comes before everything: a board runs what
//! was put on it. [`FlashImage`] is what is to be written where, looked at by what the chip's ROM and bootloader will
//! ask of it; [`Programmer`] is who can write; [`flash()`] does it so that a board never boots half an image, and so
//! that a second run repairs what a first one left half done.
//!
//! With the feature `espflash` there is `SerialLoader`, the loader of Espressif's chips on a serial port, and
//! ELF files are images as well. Without it the crate is a few hundred lines on files.

mod board;
mod chip;
#[cfg(feature = "espflash")]
mod elf;
mod error;
mod flash;
mod image;
#[cfg(feature = "espflash")]
mod loader;
mod program;
mod table;

pub use board::{Board, Programmer, Security, Start};
pub use chip::{Chip, UnknownChip};
pub use error::{FlashError, ImageError};
pub use flash::{Outcome, Progress, Stage, flash};
pub use image::{FlashImage, MAX_FILE, Part};
#[cfg(feature = "espflash")]
pub use loader::{Entry, Patience, SerialLoader, SerialSettings, Software};
