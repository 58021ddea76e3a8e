//! Value change dumps: text, one line a change (IEEE 1364-2005, clause 18).
//!
//! GTKWave, Surfer, PulseView and most simulators know it. Written are signals of one bit with a time
//! scale of 1 ns, so nothing of a capture is lost but what a name may not hold. Read is what simulators
//! and analysers write: any time scale, nested scopes, vectors (as a signal for each bit), values that
//! are neither 0 nor 1.

mod header;
mod reader;
mod token;
mod writer;

pub use reader::read;
pub use writer::write;

#[cfg(test)]
mod tests;
