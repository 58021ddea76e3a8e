//! The rig's hand on cores and heap: what an error elsewhere in the firmware would do to them.
//!
//! A core is kept busy by a task that no firmware started; memory is taken from the modelled heap
//! without any code of the device. Both appear on the timeline like the firmware's own doing.

use std::rc::Rc;
use std::time::Duration;

use rigor_core::part;
use rigor_core::verdict::RigError;

use crate::cpu::{self, CORES};
use crate::kernel::{self, Kernel};

/// The part. What it took is given back by the device's next start.
pub(crate) struct Hand(pub(crate) Rc<Kernel>);

impl part::Stress for Hand {
    fn occupy(&self, core: usize, priority: u8, duration: Duration) -> Result<(), RigError> {
        if core >= CORES {
            return Err(RigError(format!("the chip has no core {core}; name one below {CORES}")));
        }
        cpu::occupy(&self.0, core, priority, duration);
        Ok(())
    }

    fn take_memory(&self, free: usize) -> Result<(), RigError> {
        self.0.heap.take_until(free);
        kernel::record_heap(&self.0);
        Ok(())
    }

    fn cut_up_memory(&self, percent: u8) -> Result<(), RigError> {
        let done = self.0.heap.cut_up(percent);
        kernel::record_heap(&self.0);
        done.then_some(()).ok_or_else(|| {
            RigError(format!("the heap is too small to lie in pieces to {percent} %; ask for less"))
        })
    }

    fn give_memory_back(&self) -> Result<(), RigError> {
        self.0.heap.give_taken_back();
        kernel::record_heap(&self.0);
        Ok(())
    }
}
