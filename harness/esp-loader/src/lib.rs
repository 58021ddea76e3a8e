//! A simulated ESP32's serial loader: that in the chip's ROM, and the stub that flashing tools load into RAM.
//! Unmodified tools (esptool, the espflash library) take it for a chip, and find in its flash what they wrote.
//!
//! In the flow (**action**, event, decode, measure, verdict, report) it is what a board without hardware has
//! where a real one has its boot ROM, so that the same code flashes both.
//!
//! ```text
//! tool -> port (rigor-pty) -> Server -> Loader::receive -> Session -> FlashChip (the caller's)
//!         port             <- Server <- Loader::take_said
//! ```
//!
//! [`Loader`] knows no line and no clock: bytes in, bytes out, over a [`FlashChip`] that the caller has.
//! [`Server`] runs one on a pseudo-terminal. [`Fault`]s make it misbehave.
//!
//! # Reset and boot
//!
//! Tools bring a real chip into its loader by the lines DTR and RTS of its port. A pseudo-terminal has neither,
//! so what stands for them is a call: [`Loader::enter_download`] and [`Loader::run`] are the end of a reset
//! with the boot pin low and high. Tools have to be told not to try (`--before no-reset --after no-reset`,
//! `ResetBeforeOperation::NoReset`).
//!
//! # What is not modelled
//!
//! Time (all is done at once), speed (every baud rate is right), secure boot and encryption (a chip with
//! nothing burned), and what a program in RAM does: any that was loaded where it begins is taken for the stub.

mod chip;
mod download;
mod fault;
mod flash;
mod loader;
mod packet;
mod readout;
mod registers;
mod serve;
mod session;
mod slip;

pub use chip::{Boot, Chip, UnknownChip};
pub use fault::Fault;
pub use flash::{FlashChip, FlashFailed, MemoryFlash, SECTOR};
pub use loader::{Departure, Loader, Mode};
pub use serve::Server;
