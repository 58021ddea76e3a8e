//! Whether there is memory, asked before it is taken.
//!
//! An allocation that fails ends the firmware: neither `Box` nor the file system's library can say
//! no. So whoever serves a request asks first and refuses it when there is not enough (seed section
//! 7: "graceful degradation"), as ESP-IDF code does with `heap_caps_get_largest_free_block`. Between
//! the question and the allocation nobody waits; what another core takes meanwhile the margin
//! covers that every question has.

use alloc::boxed::Box;

use firmware_platform::Machine;
use portable_atomic_util::Arc;

use crate::defect::{self, Defect};

/// What every question asks for beyond the need, in bytes: what the other core's tasks may take
/// between the question and the allocation.
const MARGIN_BYTES: usize = 512;

/// A handle to the question; clones share it.
#[derive(Clone)]
pub struct Memory(Arc<dyn Fn() -> usize>);

impl Memory {
    /// That of `machine`.
    pub fn of(machine: impl Machine) -> Self {
        Self::told_by(move || machine.heap().largest_free_block)
    }

    /// One that never ends.
    #[cfg(test)]
    pub(crate) fn endless() -> Self {
        Self::told_by(|| usize::MAX)
    }

    /// One of `bytes` in one piece.
    #[cfg(test)]
    pub(crate) fn of_bytes(bytes: alloc::rc::Rc<core::cell::Cell<usize>>) -> Self {
        Self::told_by(move || bytes.get())
    }

    fn told_by(largest_free_block: impl Fn() -> usize + 'static) -> Self {
        // By way of a box: only the standard library's own `Arc` is made of an unsized value directly.
        Self(Arc::from(Box::new(largest_free_block) as Box<dyn Fn() -> usize>))
    }

    /// Whether blocks of together `bytes` can be allocated.
    #[must_use]
    pub fn has(&self, bytes: usize) -> bool {
        (self.0)() >= bytes.saturating_add(MARGIN_BYTES) || defect::present(Defect::MemoryUnchecked)
    }
}
