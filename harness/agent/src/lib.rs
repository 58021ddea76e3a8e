//! What a rig and the agent inside an emulated device say to each other.
//!
//! An emulated device (QEMU) runs the firmware on a port that contains an *agent*. Device and rig share
//! the device's memory. Whenever both must meet, the agent *rings*: it writes one byte into a pipe and
//! reads one byte from another, which stops the device's clock until the rig has answered. What they
//! have to tell each other lies in shared memory, at the places that [`layout`] names:
//!
//! - the [`boot block`](layout::boot), which the rig fills in before the device starts;
//! - the [`report`](layout::report) of the device, and its [records](mod@record) of what its wires did;
//! - the [`order`](layout::order) of the rig: how far to run, and what arrives at the device now.
//!
//! The crate is both ends' vocabulary and does nothing by itself. All numbers are little-endian. All
//! instants are nanoseconds of the device's clock, which begins when the emulator does.
#![no_std]

pub mod layout;
pub mod record;

pub use record::{Record, RecordError, Records};
