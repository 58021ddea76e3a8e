//! Characters of a serial line from the edges of its pin: eight data bits, no parity, one stop bit.
//!
//! In the flow (action, event, **decode**, measure, verdict, report) this module stands before
//! [`console`](crate::console) where somebody captured a pin and not bytes: a
//! [`capture::Signal`](crate::capture::Signal) goes in, [`Character`]s come out, and
//! [`Character::event`] makes of each what a serial port would have delivered.
//!
//! # How a character is told
//! As a receiver does it: a falling edge of the idle line begins a start bit, and from there each bit
//! is looked at in its middle. Ten bits that are 5 % too long or short are still read, so the rate need
//! not be exact. If the stop bit is low it is a [`Fault`], and the next character begins after the line
//! was high again.
//!
//! # The rate
//! Given, or [`measured`](measure) from the pulses.

mod decoder;
mod rate;

pub use decoder::{Character, Decoder, Fault, decode};
pub use rate::{BadBitTime, BitTime, Unmeasurable, measure};

#[cfg(test)]
mod tests;
