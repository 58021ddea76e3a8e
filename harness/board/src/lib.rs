//! The virtual board: a discrete-event model of an ESP32-class microcontroller.
//!
//! A [`Board`] runs a real firmware, compiled for the host, against modelled peripherals. Its
//! clock counts virtual nanoseconds and jumps from one event to the next, so an hour of firmware
//! time takes seconds and a run repeats to the byte. What the peripherals do on their pins appears
//! on the rig's [timeline](rigor_core::timeline); what a case does reaches them through the rig's
//! [parts](rigor_core::part).
//!
//! | Module | Models |
//! |---|---|
//! | [`cpu`] | two cores, pre-emptive priorities, charged computing time |
//! | [`stress`] | the rig's hand on cores and heap |
//! | [`watchdog`] | the timer that restarts a chip whose firmware hangs |
//! | [`heap`] | the firmware's real allocations in a heap of the chip's size |
//! | [`pulse`] | a pulse transmitter like the ESP32's RMT |
//! | [`gpio`] | pins and their edges |
//! | [`uart`] | a serial line with its FIFOs and byte times |
//! | [`flash`] | a NOR flash chip with its rules, times and torn operations |
//! | [`net`] | a TCP-like stack with datagrams, and the link to it |
//! | [`radio`] | Wi-Fi: an access point, a station, and the rig's network |
//! | [`fault`] | what can be wrong with all of them on purpose |
//!
//! Firmware talks to the handles through the embedded ecosystem's traits; what these do not cover
//! is a plain method that a port wraps.

pub mod board;
mod clock;
pub mod cpu;
pub mod fault;
pub mod flash;
pub mod gpio;
pub mod heap;
mod kernel;
pub mod net;
pub mod pulse;
pub mod radio;
pub mod stress;
mod time_driver;
pub mod uart;
pub mod watchdog;

pub use board::{Board, BoardConfig, Chip, Firmware};
pub use heap::DeviceAllocator;
