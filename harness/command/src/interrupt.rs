//! Ctrl-C, and the polite way to end a process.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use signal_hook::consts::{SIGINT, SIGTERM};

use crate::error::CommandError;

/// What is set from now on when somebody wants the end: by Ctrl-C, or by SIGTERM.
pub(crate) fn wanted() -> Result<Arc<AtomicBool>, CommandError> {
    let asked = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, asked.clone())
            .map_err(|error| CommandError::Refused(format!("no signal can be waited for: {error}")))?;
    }
    Ok(asked)
}
