//! State that several tasks share.
//!
//! On a real chip a task of higher priority, or one of the other core, comes in between any two
//! instructions. So what more than one task of [`boot`](crate::boot) can reach is an [`Arc`] of a
//! [`Guarded`], of atomics, or of `embassy-sync`'s channels and signals over the same critical section.
//! What only one task reaches, even if several of its futures do, stays `Rc` and `Cell`, and says so.
//!
//! Tasks are no `Send` futures, because the handles of a simulated chip are not, so no compiler refuses
//! an `Rc` that two tasks hold. What is said in its place: [`assert_shareable`] next to each such type.
//!
//! [`Arc`]: portable_atomic_util::Arc

use core::cell::RefCell;

use embassy_sync::blocking_mutex::Mutex;
use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;

/// A value that one task at a time sees, and no interrupt disturbs.
pub(crate) struct Guarded<T>(Mutex<CriticalSectionRawMutex, RefCell<T>>);

impl<T> Guarded<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(Mutex::new(RefCell::new(value)))
    }

    /// Looks at the value, or changes it, within a critical section: briefly, therefore, and
    /// without [`Cpu::work`](firmware_platform::Cpu::work), a call into the flash, or an allocation.
    ///
    /// # Panics
    /// When `look` comes back to the same value. It calls nothing that could: no log, no handle.
    pub(crate) fn with<R>(&self, look: impl FnOnce(&mut T) -> R) -> R {
        self.0.lock(|value| look(&mut value.borrow_mut()))
    }
}

impl<T: Default> Default for Guarded<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

/// Does not compile for a type that tasks may not share: `const _: () = assert_shareable::<T>();`.
pub(crate) const fn assert_shareable<T: Send + Sync>() {}
