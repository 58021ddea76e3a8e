//! Taking the device's resources away: cores and memory.

use std::rc::Rc;
use std::time::Duration;

use rigor_core::part;
use rigor_core::verdict::Blame;

use super::{Bench, Missing, Need};

/// The hand on cores and heap. What it does is over with the device's next start.
pub struct Stress {
    bench: Bench,
    part: Rc<dyn part::Stress>,
}

impl Stress {
    /// Keeps `core` busy for `duration`, against every task of a priority below `priority`.
    ///
    /// # Errors
    /// The rig's, if it has no such core or cannot reach into it.
    pub fn occupy(&self, core: usize, priority: u8, duration: Duration) -> Result<(), Blame> {
        self.bench.act(format!("stress: core {core} busy for {duration:?} at priority {priority}"))?;
        Ok(self.part.occupy(core, priority, duration)?)
    }

    /// Takes memory from the heap until at most `free` bytes are left, in one piece as far as that
    /// can be.
    ///
    /// # Errors
    /// The rig's, if it cannot reach into the heap.
    pub fn take_memory(&self, free: usize) -> Result<(), Blame> {
        self.bench.act(format!("stress: {free} bytes of heap left"))?;
        Ok(self.part.take_memory(free)?)
    }

    /// Cuts the heap up until at least `percent` of what is free lie outside of the largest block.
    ///
    /// # Errors
    /// The rig's, if the heap cannot be cut up so far.
    pub fn cut_up_memory(&self, percent: u8) -> Result<(), Blame> {
        self.bench.act(format!("stress: heap cut up to {percent} %"))?;
        Ok(self.part.cut_up_memory(percent)?)
    }

    /// Gives all memory back.
    ///
    /// # Errors
    /// The rig's, if it cannot reach into the heap.
    pub fn give_memory_back(&self) -> Result<(), Blame> {
        self.bench.act("stress: heap given back")?;
        Ok(self.part.give_memory_back()?)
    }
}

impl Need for Stress {
    fn take(bench: &Bench) -> Result<Self, Missing> {
        let table = || bench.missing("hand on the device's cores and memory", "[stress]");
        let part = bench.parts.stress.clone().ok_or_else(table)?;
        Ok(Stress { bench: bench.clone(), part })
    }
}
