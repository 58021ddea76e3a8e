//! A timeline as text, a line each, for people and for whatever reads lines.
//!
//! In the flow (action, event, **decode**, measure, verdict, report) this module is a projection for
//! people and their tools: [`log`] is what was printed on a serial console, with times; [`json`] is
//! everything, as JSON lines.

pub mod json;
pub mod log;
