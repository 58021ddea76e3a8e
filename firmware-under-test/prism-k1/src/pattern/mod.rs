//! Pattern files: what is in them, and how to read them frame by frame.
//!
//! Two kinds are playable (specification section 11 item 25): raw frames of 320 pixels, and P11,
//! an indexed format of 160 pixels (specification section 6.1). A file is checked whole before it
//! plays, and is never held in memory.

mod error;
pub mod p11;
mod reader;
mod source;

pub use error::PatternError;
pub use reader::{Checker, Info, Kind, Reader, Tail};
pub use source::{Source, SourceError};

/// Pixels of the controller (seed section 1).
pub const LEDS: usize = 320;
/// Pixels on one data pin (seed section 1).
pub const LANE_LEDS: usize = 160;
/// Bytes of a frame: red, green, blue for each pixel (seed section 1).
pub const FRAME_BYTES: usize = LEDS * 3;
/// Bytes of one pin's part of a frame.
pub const LANE_BYTES: usize = LANE_LEDS * 3;
/// Frames that leave the controller in a second (seed section 5).
pub const OUTPUT_FPS: u32 = 120;

/// The colours of all pixels, red, green, blue; pixel 0 first.
pub type Frame = [u8; FRAME_BYTES];
