//! The defect that a build for the kill matrix was given, and those that it came by.
//!
//! A chip runs one firmware, so there it is one static. A host runs many boards in one process, each
//! on a thread of its own; there every thread has its own.

use core::sync::atomic::{AtomicBool, AtomicU16, Ordering};

use super::Defect;

/// Atomics, because every task asks; loads and stores only, because not every chip has more.
struct Given {
    /// The place of the given defect in [`Defect::ALL`], from 1; 0 for none.
    place: AtomicU16,
    /// Who was asked for, in the order of [`Defect::ALL`].
    reached: [AtomicBool; Defect::ALL.len()],
}

const _: () = assert!(Defect::ALL.len() < u16::MAX as usize);

impl Given {
    const fn nothing() -> Self {
        Self { place: AtomicU16::new(0), reached: [const { AtomicBool::new(false) }; Defect::ALL.len()] }
    }

    #[inline]
    fn has(&self, defect: Defect) -> bool {
        self.reached[defect as usize].store(true, Ordering::Relaxed);
        self.place.load(Ordering::Relaxed) == defect as u16 + 1
    }

    fn came_by(&self, defect: Defect) -> bool {
        self.reached[defect as usize].load(Ordering::Relaxed)
    }

    fn give(&self, defect: Option<Defect>) {
        self.place.store(defect.map_or(0, |defect| defect as u16 + 1), Ordering::Relaxed);
    }
}

#[cfg(target_os = "none")]
static GIVEN: Given = Given::nothing();

#[cfg(not(target_os = "none"))]
std::thread_local! {
    static GIVEN: Given = const { Given::nothing() };
}

#[cfg(target_os = "none")]
#[inline]
fn given<R>(look: impl FnOnce(&Given) -> R) -> R {
    look(&GIVEN)
}

#[cfg(not(target_os = "none"))]
#[inline]
fn given<R>(look: impl FnOnce(&Given) -> R) -> R {
    GIVEN.with(look)
}

/// Whether the running firmware has `defect`.
#[inline]
pub fn present(defect: Defect) -> bool {
    given(|given| given.has(defect))
}

/// The defects that firmware has asked for: on a host on this thread since it began, restarts
/// included; on a chip since its memory was cleared. What was never asked for has made no
/// difference, whether it was [`present`] or not.
pub fn reached() -> impl Iterator<Item = Defect> {
    Defect::ALL.iter().copied().filter(|&defect| given(|given| given.came_by(defect)))
}

/// Gives the firmware that this thread, or this chip, is about to start `defect`, or none. A port
/// calls it before [`start`](crate::start); boards with different defects need threads of their own.
pub fn give(defect: Option<Defect>) {
    given(|given| given.give(defect));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_defect_is_present_and_every_question_is_noted() {
        let given = Given::nothing();
        let (first, last) = (Defect::ALL[0], Defect::ALL[Defect::ALL.len() - 1]);
        assert!(!given.has(first));
        given.give(Some(first));
        assert!(given.has(first) && !given.has(last));
        given.give(Some(last));
        assert!(given.has(last) && !given.has(first));
        given.give(None);
        assert!(!given.has(last));
        let reached = Defect::ALL.iter().filter(|&&defect| given.came_by(defect));
        assert!(reached.eq([&first, &last]));
    }
}
