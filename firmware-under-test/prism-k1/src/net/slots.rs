//! The client slots: how many WebSocket clients the device serves at once.

use alloc::rc::Rc;
use core::cell::Cell;

use crate::WS_CLIENTS_MAX;
use crate::defect::{self, Defect};

/// Slots that there is memory for: one more than are given where a defect can miscount them.
const PLACES: usize = WS_CLIENTS_MAX + cfg!(feature = "defects") as usize;

/// A handle to the slots; clones share them. Every connection is a future of the network task, so no
/// other task ever sees them.
#[derive(Clone, Default)]
pub struct Slots(Rc<Cell<[bool; PLACES]>>);

/// Whether place `index` is for clients.
fn is_given(index: usize) -> bool {
    match index + 1 {
        WS_CLIENTS_MAX => !defect::present(Defect::SecondClientRefused),
        count if count > WS_CLIENTS_MAX => defect::present(Defect::ThirdClientServed),
        _ => true,
    }
}

/// A taken slot. It is free again when this is dropped.
pub struct Slot {
    /// Which one, from 0.
    pub index: usize,
    slots: Slots,
}

impl Slots {
    /// Takes the first free slot, if there is one.
    #[must_use]
    pub fn take(&self) -> Option<Slot> {
        let mut taken = self.0.get();
        let free = taken.iter().position(|taken| !taken).filter(|&index| is_given(index));
        if free.is_none() && defect::present(Defect::ThirdClientEvictsFirst) {
            taken[0] = false;
            self.0.set(taken);
        }
        let index = free?;
        taken[index] = true;
        self.0.set(taken);
        Some(Slot { index, slots: self.clone() })
    }
}

impl Slot {
    /// Whether it has not been taken away from its holder.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.slots.0.get()[self.index]
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut taken = self.slots.0.get();
        taken[self.index] = false;
        self.slots.0.set(taken);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_two_and_each_comes_back() {
        let slots = Slots::default();
        let first = slots.take().unwrap();
        let second = slots.take().unwrap();
        assert!(slots.take().is_none());
        drop(first);
        let third = slots.take().unwrap();
        assert_eq!((third.index, second.index), (0, 1));
    }
}
