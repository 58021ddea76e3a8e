//! Lines of a serial console, with their times, and what ESP-IDF writes in them.
//!
//! In the flow (action, event, **decode**, measure, verdict, report) this module takes the
//! [`Kind::Serial`](rigor_core::Kind::Serial) events of one source and gives [`Line`]s: what was
//! printed, when its first byte began and when its newline was complete. [`Line::log`] reads a
//! line as one of ESP-IDF's log; a line that is none stays what it is.

mod line;
mod log;
mod text;

pub use line::{Line, LineDecoder, LineEnd, MAX_LINE};
pub use log::{LogLevel, LogLine};
