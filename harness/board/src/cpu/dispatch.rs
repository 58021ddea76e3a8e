//! Runs the code that is ready, and does what it has brought about.

use std::ptr::NonNull;
use std::rc::Rc;
use std::sync::atomic::Ordering;

use corosensei::{Coroutine, CoroutineResult, Yielder};
use rigor_core::event::ResetCause;
use rigor_core::task::TaskState;

use super::CORES;
use super::ahead::count_call;
use super::scheduler::State;
use super::stack::{Stack, Suspend, give_up, host_stack, note_yielder, run_on};
use crate::board::Chip;
use crate::heap;
use crate::kernel::Kernel;

/// Runs the firmware's reset vector: outside of any task, so that no virtual time passes in it, but
/// on a stack of its own, so that it can be stopped for good.
pub(crate) fn boot(kernel: &Rc<Kernel>) {
    let Some(firmware) = kernel.firmware() else { return };
    let booting = kernel.clone();
    let mut stack: Stack = Coroutine::with_stack(host_stack(), move |yielder: &Yielder<(), Suspend>, ()| {
        note_yielder(NonNull::from(yielder));
        firmware.start(Chip::new(booting));
    });
    let outcome = run_on(kernel, None, &mut stack);
    match outcome {
        Ok(CoroutineResult::Return(())) => {}
        Ok(CoroutineResult::Yield(last)) => {
            give_up(stack);
            end_by(kernel, last);
        }
        Err(message) => kernel.crash(&message),
    }
}

/// Does what firmware that goes no further has brought about.
fn end_by(kernel: &Rc<Kernel>, last: Suspend) {
    match last {
        Suspend::Dead(reason) => kernel.crash(&reason),
        Suspend::Restart => kernel.reset(ResetCause::Software),
        Suspend::Waiting | Suspend::Working(_) | Suspend::Polling(_) => {}
    }
}

/// Runs whatever code is ready at this instant on either core.
pub(crate) fn dispatch(kernel: &Rc<Kernel>) {
    loop {
        kernel.cpu.collect_woken();
        let now = kernel.now().as_nanos();
        let mut unsettled = (0..CORES).filter(|&core| !kernel.cpu.settled[core].get());
        let Some(index) = unsettled.find_map(|core| kernel.cpu.choose(core, now)) else { return };
        resume(kernel, index);
    }
}

fn resume(kernel: &Rc<Kernel>, index: usize) {
    let (mut stack, signal) = {
        let mut tasks = kernel.cpu.tasks.borrow_mut();
        let task = &mut tasks[index];
        let Some(stack) = task.stack.take() else { return };
        if !task.within_call {
            // What woke it until now is answered by the poll that follows.
            task.signal.woken.store(false, Ordering::Release);
        }
        (stack, task.signal.clone())
    };
    if let Some(reason) = count_call(kernel) {
        kernel.cpu.tasks.borrow_mut()[index].stack = Some(stack);
        kernel.crash(&reason);
        return;
    }
    let suspend = match run_on(kernel, Some(index), &mut stack) {
        Ok(CoroutineResult::Yield(suspend)) => suspend,
        Ok(CoroutineResult::Return(())) => {
            let mut ended = kernel.cpu.remove(index);
            ended.lane.note(kernel, TaskState::Waiting);
            heap::outside_firmware(|| drop(ended));
            return;
        }
        Err(message) => return kernel.crash(&message),
    };
    {
        let mut tasks = kernel.cpu.tasks.borrow_mut();
        let task = &mut tasks[index];
        kernel.cpu.settled[task.spec.core].set(false);
        task.within_call = !matches!(suspend, Suspend::Waiting);
        task.stack = Some(stack);
        if !task.within_call {
            // It waits, if only for its next turn: an equal that is ready goes first.
            kernel.cpu.cores.borrow_mut()[task.spec.core].running = None;
        }
        task.state = match suspend {
            Suspend::Waiting if signal.woken.swap(false, Ordering::AcqRel) => {
                task.ready_since = kernel.cpu.next_ready();
                State::Ready
            }
            Suspend::Waiting | Suspend::Dead(_) | Suspend::Restart => State::Waiting,
            Suspend::Working(remaining) => {
                kernel.cpu.cores.borrow_mut()[task.spec.core].counted_from = kernel.now().as_nanos();
                State::Working(remaining)
            }
            Suspend::Polling(until) => State::Polling(until),
        };
    }
    end_by(kernel, suspend);
}
