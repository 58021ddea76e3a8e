//! What people and other programs get to see of a run: [`store`] keeps `results.json` and its
//! companions on disk, [`html`] is the page to look at, [`table`] speaks to the terminal, [`junit`],
//! [`summary`] and [`annotations`] to CI systems. [`compare`] puts two runs beside each other, [`trend`]
//! many in a row, and [`kill`] shows what faults did.
//!
//! Everything here is a view of [`rigor_core::result::RunResult`]; nothing is decided. The format
//! of `results.json` is described by `schema/results-v2.json` ([`RESULTS_SCHEMA`]).

pub mod annotations;
pub mod compare;
mod figure;
pub mod html;
pub mod junit;
pub mod kill;
mod memory;
pub mod store;
pub mod summary;
pub mod table;
mod text;
pub mod trend;

#[cfg(test)]
mod sample;
#[cfg(test)]
mod schema;

pub use text::visible;

/// The JSON schema (2020-12) of `results.json`, version 2.
pub const RESULTS_SCHEMA: &str = include_str!("../schema/results-v2.json");
