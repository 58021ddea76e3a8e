//! Why a probe did not do what it was asked for.

use std::time::Duration;

/// What went wrong. Each says what, where, and what to do.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ProbeError {
    /// No probe fits.
    #[error(
        "no debug probe {which} is plugged in; `rigor probe list` shows what is (the USB port of an ESP32-S3, -C3 or -C6 \
         is a probe as well)"
    )]
    Absent {
        /// Which was asked for, in words.
        which: String,
    },
    /// Several fit.
    #[error("{} debug probes are plugged in ({}); say which by its serial number", found.len(), found.join(", "))]
    Several {
        /// What they call themselves.
        found: Vec<String>,
    },
    /// The system does not let us.
    #[error(
        "may not open the debug probe {which}; give its USB device to your group by a udev rule, and plug it in again"
    )]
    Forbidden {
        /// Which.
        which: String,
    },
    /// The chip was not reached.
    #[error(
        "no {chip} behind the debug probe {which}: {reason}; look at the wires and the supply, and that no other \
         debugger holds it"
    )]
    NoChip {
        /// The chip that should be there.
        chip: String,
        /// Which probe.
        which: String,
        /// What the library says.
        reason: String,
    },
    /// It was reached, and something failed then.
    #[error("the debug probe failed while {doing}: {reason}; plug it in again if it stays")]
    Failed {
        /// What was being done.
        doing: String,
        /// What the library says.
        reason: String,
    },
    /// No answer in time.
    #[error("the debug probe did not answer for {waited:?} while {doing}; plug it in again")]
    Stalled {
        /// What was being done.
        doing: String,
        /// For how long.
        waited: Duration,
    },
    /// More was asked for than is read at once.
    #[error("{bytes} bytes of RAM are more than the {limit} that are read at once; read less")]
    TooMuch {
        /// What was asked for.
        bytes: usize,
        /// What is possible.
        limit: usize,
    },
    /// The firmware has no such log.
    #[error("the firmware keeps no log for probes in its RAM (RTT): {reason}")]
    NoLog {
        /// What the library says.
        reason: String,
    },
}

/// The words of `error` and of all its causes.
pub(crate) fn words(error: &dyn std::error::Error) -> String {
    let mut words = vec![error.to_string()];
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if words.last() != Some(&said) {
            words.push(said);
        }
        cause = error.source();
    }
    words.join(": ")
}
