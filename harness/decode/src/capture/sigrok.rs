//! sigrok's sessions (`.sr`), version 2: what PulseView opens and sigrok-cli decodes.
//!
//! A session is a zip archive of `version`, which holds a 2; `metadata`, an ini file with the rate, the
//! names and the length of a sample; and packed samples in `logic-1-1`, `logic-1-2` and so on. The
//! format is described at <https://sigrok.org/wiki/File_format:Sigrok/v2>. It has no room for when the
//! capture began: a session that was read begins at zero.
//!
//! # Rate
//! A session has samples and not edges, so writing one takes a rate. [`Capture::resolving_rate`](super::Capture::resolving_rate) finds one
//! at which the shortest pulse has ten samples: 25 MHz for a WS2812B lane, 2 MHz for 115,200 baud.

mod metadata;
mod reader;
mod writer;

pub use reader::read;
pub use writer::write;

/// sigrok's name of the samples of the first device.
const SAMPLES: &str = "logic-1";

#[cfg(test)]
mod tests;
