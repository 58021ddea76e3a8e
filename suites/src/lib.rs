//! All systems under test: their suites, and the firmware that virtual boards run.
//!
//! A new system is a folder beside this one, a folder under `firmware-under-test/`, and a line in
//! each function here.

use rigor_rigs::Firmwares;
use rigor_runner::{Suite, SuiteError};

/// The suite of every system.
///
/// # Errors
/// [`SuiteError`] of the first malformed catalogue or list of faults.
pub fn suites() -> Result<Vec<Suite>, SuiteError> {
    Ok(vec![suite_prism_k1::suite()?])
}

/// The firmware of every system that runs on virtual boards.
pub fn firmwares() -> Firmwares {
    Firmwares::new().with("prism-k1", firmware_virtual::prism_k1::firmware)
}
