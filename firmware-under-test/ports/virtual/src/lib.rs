//! Starts the firmware under test on the virtual board.
//!
//! The port is thin: [`VirtualChip`] names the board's handles as the peripherals of
//! [`firmware_platform::Chip`], and each firmware module says which pins it uses and what a
//! flashing tool would have written. The result is a value of
//! [`rigor_board::Firmware`] that a suite hands to the virtual rig.

mod chip;
pub mod prism_k1;

pub use chip::VirtualChip;

/// Firmware allocates from the board's modelled heap; everybody else from the host's.
#[global_allocator]
static ALLOCATOR: rigor_board::DeviceAllocator = rigor_board::DeviceAllocator;
