//! Two cores with pre-emptive priorities and charged computing time.
//!
//! Firmware tasks are futures, each on a stack of its own, so that a task can be stopped in the
//! middle of a plain function call: [`CpuHandle::work`] keeps the core busy for as long as the
//! code would have taken, and a task of a higher priority takes the core away meanwhile. Code
//! itself takes no virtual time; only what is charged does.
//!
//! Among equal priorities the one that became ready first keeps the core until it waits: there is
//! no time slicing (FreeRTOS slices at its tick; the systems under test have no two busy tasks of
//! one priority).
//!
//! | Room | What is in it |
//! |---|---|
//! | `scheduler` | which task has which core, and until when |
//! | `task` | a task from its start to its end |
//! | `stack` | the stacks that tasks are left on in the middle of a call |
//! | `dispatch` | running what is ready |
//! | `ahead` | calls into the board, and time that a task passes by itself |
//! | `lane` | what the scheduler does, on the timeline |

use std::rc::Rc;
use std::time::Duration;

use rigor_core::time::nanos;

use crate::heap;
use crate::kernel::Kernel;

mod ahead;
mod dispatch;
mod lane;
mod scheduler;
mod stack;
mod task;

pub(crate) use ahead::{INTERRUPTED, note_call, poll_until};
pub(crate) use dispatch::{boot, dispatch};
pub(crate) use lane::{record_halt, record_states};
pub(crate) use scheduler::Cpu;
pub(crate) use stack::{die, restart, with_running_kernel};

use ahead::run_ahead;
use stack::{Suspend, suspend};
use task::start_task;

/// Number of cores of the chip (ESP32-S3: two).
pub const CORES: usize = 2;

/// The future of a task.
pub type TaskBody = std::pin::Pin<Box<dyn Future<Output = ()>>>;

/// How a task is to run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TaskSpec {
    /// For logs.
    pub name: &'static str,
    /// Higher runs first; 0 is the idle level.
    pub priority: u8,
    /// Bytes charged to the heap while the task lives.
    pub stack_bytes: usize,
    /// 0 or 1.
    pub core: usize,
}

/// The firmware's view of the processor.
#[derive(Clone)]
pub struct CpuHandle(pub(crate) Rc<Kernel>);

impl CpuHandle {
    /// The code around this call takes `cycles` of the core's clock: the task keeps its core that
    /// long unless a higher priority takes it away.
    pub fn work(&self, cycles: u32) {
        let Cpu { hz, rate, .. } = &self.0.cpu;
        heap::outside_firmware(|| note_call(&self.0));
        let nominal = (u64::from(cycles) * 1_000_000_000).div_ceil(*hz);
        let nanos = rate.get().true_nanos(nominal);
        if !run_ahead(&self.0, self.0.now().as_nanos().saturating_add(nanos)) {
            suspend(Suspend::Working(nanos));
        }
    }
}

/// The firmware's way to start tasks.
#[derive(Clone)]
pub struct TasksHandle(pub(crate) Rc<Kernel>);

impl TasksHandle {
    /// Starts `body`. Its stack is charged to the device's heap.
    ///
    /// # Panics
    /// If the chip has no such core, or the host cannot map another stack.
    pub fn spawn(&self, spec: TaskSpec, body: TaskBody) {
        assert!(spec.core < CORES, "task `{}`: the chip has no core {}", spec.name, spec.core);
        let kernel = &self.0;
        heap::outside_firmware(|| {
            note_call(kernel);
            if kernel.is_inert() {
                return;
            }
            let reserved = heap::reserve(&kernel.heap, spec.stack_bytes);
            if reserved.is_none() {
                die(format!(
                    "out of memory: no {} bytes for the stack of task `{}`",
                    spec.stack_bytes, spec.name
                ));
                return;
            }
            start_task(kernel, spec, body, reserved);
        });
    }

    /// The living tasks, in the order of their start.
    pub fn living(&self) -> Vec<TaskSpec> {
        // The list is the scheduler's, which has its own; a device without memory can ask too.
        heap::outside_firmware(|| {
            note_call(&self.0);
            let tasks = self.0.cpu.tasks.borrow();
            tasks.iter().filter(|task| task.reserved.is_some()).map(|task| task.spec).collect()
        })
    }
}

/// Keeps a core busy for `duration` with a task that no firmware started. Does nothing while no
/// firmware runs.
pub(crate) fn occupy(kernel: &Rc<Kernel>, core: usize, priority: u8, duration: Duration) {
    if !kernel.is_up() {
        return;
    }
    let spec = TaskSpec { name: "(rig)", priority, stack_bytes: 0, core };
    let work = nanos(duration);
    start_task(kernel, spec, Box::pin(async move { suspend(Suspend::Working(work)) }), None);
}
