//! Signals against time: what a logic analyser would have seen, or has seen.
//!
//! In the flow (action, event, **decode**, measure, verdict, report) a [`Capture`] stands at both
//! ends. A slice of a [`Timeline`](rigor_core::Timeline) is projected to one
//! ([`Capture::of_timeline`]), so that people can open it in GTKWave, Surfer or PulseView. And what
//! somebody else's instrument has left in a file is read into one, so that the decoders of this crate
//! can take it: [`ws2812`](crate::ws2812), [`uart`](crate::uart) and [`spi`](crate::spi).
//!
//! | Module | Format | Writes | Reads |
//! |---|---|---|---|
//! | [`vcd`] | value change dump (IEEE 1364-2005, clause 18), in nanoseconds | yes | yes |
//! | [`sigrok`] | sigrok session, version 2: a zip of packed samples | yes | yes |
//! | [`raw`] | packed samples of a stated rate and order | yes | yes |
//!
//! # Common rules
//! - A capture resolves a nanosecond. What is shorter is not there.
//! - The readers take hostile input. Each says at which line or offset something is wrong, and takes
//!   no more memory than its [`Limits`] allow, however much a compressed file expands to.
//! - The writers write to whatever [`io::Write`](std::io::Write) is theirs; a capture that is written
//!   and read again is the same one, as far as the format can say it.

mod edge;
mod limits;
mod projection;
mod rate;
pub mod raw;
mod samples;
mod signal;
pub mod sigrok;
pub mod vcd;

pub use edge::PackedEdge;
pub use limits::{Limits, ReadError};
pub use projection::MAX_EDGES;
pub use rigor_core::rate::{BadRate, SampleRate};
pub use signal::{Capture, OutOfOrder, Signal, UnknownSignal};
