//! A serial line of this host: a port, and lines matched the moment their last byte is there.
//!
//! In the flow (action, **event**, decode, measure) this is where a bench hears its device. Nothing here
//! looks again after a while: a reader sleeps in the kernel until bytes come, so that what it waited for is
//! known microseconds after it was sent (`harness/rigs/benches/console_latency.rs` measures it). Bytes
//! carry the instant at which they were there.
//!
//! [`Port`] is the line itself; [`Lines`] cuts what it says into lines and waits for one of them.

mod lines;
mod port;

pub use lines::{Line, Lines, MAX_LINE};
pub use port::{Chunk, Port};

use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// Why a serial line failed. All of it is the bench's fault until its self-check has shown otherwise.
#[derive(Debug, thiserror::Error)]
pub enum SerialError {
    /// It cannot be opened or set up.
    #[error("{}: {reason}; {}", path.display(), remedy(reason))]
    Open {
        /// The port.
        path: PathBuf,
        /// What the system says.
        reason: io::Error,
    },
    /// Another process has it.
    #[error("{} is in use by another program; end it (fuser {} names it), or wait for it", path.display(), path.display())]
    Busy {
        /// The port.
        path: PathBuf,
    },
    /// It was there, and is gone.
    #[error("{} is gone: {reason}; look at the cable", path.display())]
    Gone {
        /// The port.
        path: PathBuf,
        /// What the system says.
        reason: io::Error,
    },
    /// The other end takes no more bytes.
    #[error("{}: {left} bytes could not be sent in time; is anybody reading there?", path.display())]
    Stuck {
        /// The port.
        path: PathBuf,
        /// How many were left.
        left: usize,
    },
    /// What was waited for did not come.
    #[error("no line was {wanted} within {waited:?}; the last one was {last:?}")]
    Absent {
        /// What was waited for, in words.
        wanted: String,
        /// How long.
        waited: Duration,
        /// The last line that came instead.
        last: Option<String>,
    },
}

/// What to do about a port that cannot be opened.
fn remedy(reason: &io::Error) -> &'static str {
    match reason.kind() {
        io::ErrorKind::NotFound => {
            "plug the device in, or start `rigor simulate --bench` if it is a simulated one (`rigor devices` lists what is \
             there)"
        }
        io::ErrorKind::PermissionDenied => {
            "get the right to open serial ports: `sudo usermod -aG dialout \"$USER\"`, and log in again"
        }
        _ => "look whether it is a serial port (`rigor devices` lists them)",
    }
}
