//! A task from its start to its end.

use std::cell::RefCell;
use std::ptr::NonNull;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use corosensei::{Coroutine, Yielder};
use rigor_core::task::{TaskStart, TaskState};

use super::lane::{TaskLane, task_lane};
use super::scheduler::State;
use super::stack::{Stack, Suspend, give_up, host_stack, note_panics, note_yielder, suspend};
use super::{TaskBody, TaskSpec};
use crate::heap;
use crate::kernel::Kernel;

pub(super) struct Task {
    pub(super) spec: TaskSpec,
    pub(super) state: State,
    /// Order in which tasks became ready, for fairness among equals.
    pub(super) ready_since: u64,
    pub(super) signal: Arc<Signal>,
    /// `None` while it runs, and after its end.
    pub(super) stack: Option<Stack>,
    /// The future, apart from the stack that polls it, so that stopping a task that waits drops
    /// it in the ordinary way. `None` once it has been polled to its end.
    pub(super) body: Rc<RefCell<Option<TaskBody>>>,
    /// Stopped within a call: its frames are on the stack.
    pub(super) within_call: bool,
    /// The device's memory for the stack; given back when the task is dropped. None for the rig's.
    pub(super) reserved: Option<heap::Reservation>,
    pub(super) lane: TaskLane,
}

/// What wakes a task.
pub(super) struct Signal {
    pub(super) woken: AtomicBool,
    pub(super) any: Arc<AtomicBool>,
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }
    fn wake_by_ref(self: &Arc<Self>) {
        self.woken.store(true, Ordering::Release);
        self.any.store(true, Ordering::Release);
    }
}

/// Starts a task whose stack is `reserved`; the rig's own needs none.
pub(super) fn start_task(
    kernel: &Rc<Kernel>,
    spec: TaskSpec,
    body: TaskBody,
    reserved: Option<heap::Reservation>,
) {
    let signal = Arc::new(Signal { woken: AtomicBool::new(false), any: kernel.cpu.any_woken.clone() });
    let waker = Waker::from(signal.clone());
    let body = Rc::new(RefCell::new(Some(body)));
    let polled = body.clone();
    let stack = Coroutine::with_stack(host_stack(), move |yielder: &Yielder<(), Suspend>, ()| {
        note_yielder(NonNull::from(yielder));
        let mut context = Context::from_waker(&waker);
        loop {
            // The borrow ends before the task waits, so that a waiting task can be dropped.
            let poll = match polled.borrow_mut().as_mut() {
                Some(body) => body.as_mut().poll(&mut context),
                None => Poll::Ready(()),
            };
            if poll.is_ready() {
                // Dropped here, so that its destructors are still the task's code.
                let body = polled.borrow_mut().take();
                drop(body);
                return;
            }
            suspend(Suspend::Waiting);
        }
    });
    let lane = TaskLane { source: task_lane(kernel, spec.name), noted: TaskState::Waiting };
    let TaskSpec { core, priority, stack_bytes, .. } = spec;
    kernel.record(lane.source, kernel.now(), TaskStart { core, priority, stack_bytes }.event());
    kernel.cpu.settled[spec.core].set(false);
    kernel.cpu.tasks.borrow_mut().push(Task {
        spec,
        state: State::Ready,
        ready_since: kernel.cpu.next_ready(),
        signal,
        stack: Some(stack),
        body,
        within_call: false,
        reserved,
        lane,
    });
    kernel.cpu.any_woken.store(true, Ordering::Release);
}

/// Ends a task for good. A task that waits is dropped in the ordinary way. One that was stopped in
/// the middle of a call has frames that may not be unwound (a call-back from a C-style library
/// aborts the process on unwinding), so its memory is given up instead: what its future and its
/// frames own, for each power cut that hits a call.
pub(super) fn stop(mut task: Task, heap: &Rc<heap::Heap>) {
    match task.stack.take() {
        Some(stack) if task.within_call => {
            std::mem::forget(task.body.clone());
            give_up(stack);
        }
        stack => {
            heap::outside_firmware(|| drop(stack));
            // Destructors of the firmware run, which they would not on a chip: their calls into
            // the board have no effect (`Kernel::is_inert`), and a panic of theirs is nobody's.
            let _ = note_panics(|| heap::inside_firmware(heap, || drop(task.body.borrow_mut().take())));
        }
    }
}
