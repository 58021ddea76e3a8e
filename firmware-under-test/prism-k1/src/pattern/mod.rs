//! Pattern files: what is in them, and how to read them frame by frame.
//!
//! Two kinds are playable (specification section 11 item 25): raw frames of 320 pixels, and P11,
//! an indexed format of 160 pixels (specification section 6.1). A file is checked whole before it
//! plays, and is never held in memory.

mod error;
pub mod p11;
mod reader;
mod source;

use crate::{LANES, LED_COUNT};

pub use error::PatternError;
pub use reader::{Checker, Info, Kind, Reader, Tail};
pub use source::{Source, SourceError};

/// Pixels on one data pin (seed section 1).
pub const LANE_LEDS: usize = LED_COUNT / LANES;
/// Bytes of a frame: red, green, blue for each pixel (seed section 1).
pub const FRAME_BYTES: usize = LED_COUNT * 3;
/// Bytes of one pin's part of a frame.
pub const LANE_BYTES: usize = LANE_LEDS * 3;
/// The colours of all pixels, red, green, blue; pixel 0 first.
pub type Frame = [u8; FRAME_BYTES];
