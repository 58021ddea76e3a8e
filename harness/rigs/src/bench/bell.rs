//! What wakes the bench: one thread listens to each serial port and rings here.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::event::{EventfdFlags, eventfd};

use super::error::BenchError;

/// A bell that threads ring and one thread waits for, with other descriptors at once.
#[derive(Clone)]
pub(super) struct Bell(Arc<OwnedFd>);

impl Bell {
    pub(super) fn new() -> Result<Self, BenchError> {
        let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK);
        bell.map(|bell| Bell(Arc::new(bell))).map_err(|why| BenchError::Host {
            what: "a bench needs an event descriptor".to_owned(),
            why: why.to_string(),
            remedy: "close other files, or raise their limit (ulimit -n)",
        })
    }

    pub(super) fn ring(&self) {
        // It can only be refused where it has been rung some 2^64 times.
        let _ = rustix::io::write(&*self.0, &1_u64.to_ne_bytes());
    }

    /// Silent again.
    pub(super) fn hush(&self) {
        let _ = rustix::io::read(&*self.0, &mut [0; 8]);
    }

    pub(super) fn descriptor(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
