//! Debug probes: the way to a chip whose serial port is taken, silent or not there.
//!
//! In the flow (**action**, event, decode, measure, verdict, report) this stands beside the loader on a serial port:
//! `ProbeProgrammer` is another `rigor_flasher::Programmer`, and `Debugger` resets a chip, reads its RAM and
//! the log that a firmware keeps there (RTT). None of it is part of a rig: **a probe never looks while something is
//! timed**, since each look into an Xtensa core halts it. It is for before a run, and for people.
//!
//! Everything is in the feature `probe-rs`, the library that speaks to probes; Espressif's chips come with its plug-in
//! `probe-rs-espressif`.
//!
//! **What is proven.** Attaching, reading, what becomes of a probe that goes away, never answers, or whose library
//! panics: with the library's own stand-in for a probe, which is an ARM chip. Writing flash runs a program of
//! the library's on the chip, which no stand-in has; it has never run here.

#![cfg(feature = "probe-rs")]

mod debugger;
mod error;
mod found;
mod fuses;
mod programmer;
mod worker;

pub use debugger::{Debugger, MAX_READ};
pub use error::ProbeError;
pub use found::{Found, Which, list};
pub use programmer::ProbeProgrammer;
