//! What a bench controller and its host say to each other.
//!
//! A bench controller is an instrument beside the device under test: it pulls the device's lines, and it
//! records what the device's wires do, both on a clock of its own. The firmware of ours for the RP2040
//! (`rigs/controller`) is one; a virtual board behind the same words is another. In the flow (**action,
//! event**, decode, measure) this crate is the wire between a rig's back end and its instrument. It is
//! both ends' vocabulary and does nothing by itself; it needs neither an operating system nor a heap.
//!
//! - [`frame`]: messages become frames on a byte stream, with a length limit, a checksum and an end that
//!   is found again after garbage;
//! - [`message`]: what is said, requests one way and reports the other;
//! - [`packed`]: the pulses of a captured wire, at half a byte each, because full-speed USB carries no
//!   more;
//! - [`stepped`]: how a host moves the clock of a controller whose device is simulated.
//!
//! # What full-speed USB has to carry
//! Two lanes of 160 pixels at 120 frames a second are 2 x 160 x 24 x 120 = 921,600 pulses a second. At
//! half a byte a pulse that is 461 kB/s, and frames, checksums and tables add about a tenth. Bulk transfers
//! of full-speed USB carry at most 19 packets of 64 bytes a millisecond, 1,216 kB/s (USB 2.0, 5.8.4).
#![no_std]

#[cfg(test)]
extern crate std;

pub mod frame;
pub mod message;
pub mod packed;
pub mod stepped;
mod ticks;

pub use frame::{Deframer, FrameError};
pub use message::{Answer, Command, Identity, Report, Request, Said};
pub use ticks::Ticks;

/// The version of all of it. Whoever changes a message, or the meaning of one, raises it: an end that
/// hears another version says so, and does nothing else.
pub const PROTOCOL: u8 = 1;

/// The USB product text by which a controller is recognised among other serial ports.
pub const PRODUCT: &str = "rigor bench controller";
