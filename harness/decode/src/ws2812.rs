//! Decodes the one-wire protocol of WS2812B LEDs from the edges of the wire.
//!
//! In the flow (action, event, **decode**, measure, verdict, report) this module takes the edges
//! or bursts of one data pin and gives [`Frame`]s with everything the LED requirements are judged
//! on: bits, pixels, pulse widths, gaps, and how two lanes relate.
//!
//! # The protocol
//! WS2812B datasheet (Worldsemi), "Data transfer time" and "Composition of 24bit data": a bit is a
//! high pulse and the low that follows; a short pulse (T0H 400 ns) is a 0, a long one (T1H 800 ns)
//! a 1; 24 bits a pixel, most significant bit first, in the order green, red, blue. A low of more
//! than RES (50 us; 280 us for later revisions of the part) makes the pixels show what they got.
//!
//! # How a bit is told
//! By its high time alone: more than [`ONE_ABOVE_NS`] is a 1. There is no bit
//! clock to assume, so senders whose 0 and 1 differ in length decode as well.
//!
//! # How a frame is told from the next
//! By the length of a low, in three ranges ([`Config`]):
//!
//! | Low | Meaning |
//! |---|---|
//! | up to `longest_bit_low` (5 us) | part of a bit (PRISM K1 specification, L9) |
//! | in between | doubtful: parts differ on what they do. It is part of the frame and a [`DefectKind::LongLow`], **unless** the strip's length is known (`frame_bits`) and exactly that many bits precede: then it is a reset that was too short, the frame ends as [`Ending::ShortReset`], and the next frame's `low_before` says by how much |
//! | from `latch` (50 us) on | the end of the frame, whatever its length |
//!
//! So a stalled transmitter and a short reset are told apart, and neither hides in the other.
//! Without `frame_bits` a short reset appears as one long frame with a `LongLow` inside.
//!
//! # Use
//! [`LaneDecoder`] takes timeline events of one source; [`Decoder`] takes bare edges, one at a
//! time or as a slice of [`PackedEdge`]s; [`decode`] takes a captured signal, and [`Summary`] holds its
//! pulses against the data sheet; [`relation`] compares lanes.

mod body;
mod colour;
mod decoder;
mod frame;
mod lane;
pub mod relation;
mod signal;
mod timing;
mod whole_bytes;

pub use crate::capture::PackedEdge;
pub use body::{Body, Defect, DefectKind, MAX_DEFECTS, Tail};
pub use colour::{ColourOrder, Rgb, UnknownColourOrder};
pub use decoder::{Config, Decoder};
pub use frame::{Cut, Ending, Frame};
pub use lane::{LaneDecoder, MEMO_BURSTS, MEMO_BYTES};
pub use signal::{Row, Summary, decode};
pub use timing::{ONE_ABOVE_NS, Outside, PERMISSIVE, STRICT, Span, Timing, Window, Windows};
