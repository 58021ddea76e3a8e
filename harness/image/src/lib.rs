//! Firmware images as files.
//!
//! An image is the ELF file that a compiler made of firmware for a chip or an emulator. This crate says
//! what it is ([`Image`]): whether this emulator can run it, where it begins, what it takes of flash and
//! RAM ([`Sizes`]), where a symbol lies, and from which line of which function an address comes
//! ([`Symboliser`]), so that the backtrace of a panic ([`Trace`]) can be read by people. [`Built`] says whether the
//! file is there and newer than what it was made of.
//!
//! For a Raspberry Pi Pico it makes the file that is copied to it ([`uf2_of`]).
//!
//! The build command prints by it what it made, and rigs that run images look at them by it, so both
//! count the same. An image is hostile input like any: malformed ones end as an [`ImageError`], with
//! bounded time and memory.

mod built;
mod elf;
mod error;
mod fitness;
mod hash;
mod sizes;
mod survey;
mod symbols;
mod trace;
mod uf2;

pub use built::Built;
pub use elf::{Image, Section, Segment, Symbol};
pub use error::ImageError;
pub use hash::hash_of_file;
pub use sizes::{HARNESS_SECTIONS, SectionUse, Sizes};
pub use symbols::{Frame, Symboliser};
pub use trace::Trace;
pub use uf2::{Uf2Error, uf2_of};

/// Larger files are no ELF files of firmware, in bytes. PRISM K1's, with all its debug information, has a tenth of it.
pub const MAX_FILE: u64 = 64 << 20;
