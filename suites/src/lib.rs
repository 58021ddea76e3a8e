//! All systems under test: their suites, and the firmware that virtual boards run.
//!
//! A new system is a folder beside this one, a folder under `firmware-under-test/`, and a line in
//! each function here.

use rigor_core::requirement::CatalogueErrors;
use rigor_rigs::Firmwares;
use rigor_runner::Suite;

/// The suite of every system.
///
/// # Errors
/// [`CatalogueErrors`] of the first malformed catalogue.
pub fn suites() -> Result<Vec<Suite>, CatalogueErrors> {
    Ok(vec![suite_prism_k1::suite()?])
}

/// The firmware of every system that runs on virtual boards.
pub fn firmwares() -> Firmwares {
    Firmwares::new().with("prism-k1", firmware_virtual::prism_k1::firmware)
}
