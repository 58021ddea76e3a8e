//! Runs cases on rigs and says what follows.
//!
//! A [`Suite`] is a requirement catalogue with the [cases](case) that decide it. A case is an
//! async function whose arguments are its [needs](need); the runner takes a rig, hands the needs
//! over, moves the rig's clock until the case has ended ([`drive`]), [judges](judge) what it
//! found, and leaves results ([`engine`], and [`cli`] as a test binary). That a suite can fail is shown by running it against
//! faults ([`campaign`]); that two rigs show the same device, by holding them against each other ([`parity`]).
//!
//! ```text
//! rig file -> rig -> needs -> case -> findings -> verdicts -> results.json, report.html, junit.xml, table
//! ```

pub mod account;
pub mod campaign;
pub mod case;
pub mod cli;
pub mod drive;
pub mod engine;
pub mod evidence;
pub mod interrupt;
pub mod judge;
pub mod need;
pub mod parity;
pub mod progress;
pub mod suggest;
pub mod suite;
pub mod trial;

pub use case::{Findings, Outcome};
pub use need::{Bench, Missing, Need};
pub use suite::{Suite, SuiteError};
