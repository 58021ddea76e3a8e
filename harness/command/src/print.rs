//! What a person reads on the terminal.

use std::io::Write;

/// Writes to the standard output. A reader that went away is no reason to stop.
pub(crate) fn print(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}
