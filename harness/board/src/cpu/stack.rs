//! The stacks of the firmware: how code is left in the middle of a call, and gone back to.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr::NonNull;
use std::rc::Rc;
use std::sync::Once;

use corosensei::stack::DefaultStack;
use corosensei::{Coroutine, CoroutineResult, Yielder};

use crate::heap;
use crate::kernel::Kernel;

/// Host stack of a task. The device's stack size is charged to its heap; the host's frames are
/// larger and only mapped when touched.
const HOST_STACK_BYTES: usize = 1024 * 1024;

/// What a task tells the scheduler when it gives up its stack.
pub(super) enum Suspend {
    /// Its future is pending.
    Waiting,
    /// It computes for this many nanoseconds.
    Working(u64),
    /// It polls a peripheral that will be ready at this instant.
    Polling(u64),
    /// It must never run again, and the device crashes; the text says why.
    Dead(String),
    /// It asked for a restart of the chip and must never run again.
    Restart,
}

impl Suspend {
    /// Whether the firmware goes no further. Such a suspension needs no task: even the reset
    /// vector can end this way.
    fn is_final(&self) -> bool {
        matches!(self, Suspend::Dead(_) | Suspend::Restart)
    }
}

pub(super) type Stack = Coroutine<(), Suspend, (), DefaultStack>;

pub(super) struct Running {
    pub(super) kernel: Rc<Kernel>,
    pub(super) task: Option<usize>,
    pub(super) yielder: Option<NonNull<Yielder<(), Suspend>>>,
}

/// Notes on this thread that a board's firmware runs, until it is dropped: on return and on
/// unwinding alike, because a stale yielder would be a dangling pointer.
struct Entered(Option<Running>);

impl Entered {
    fn new(kernel: &Rc<Kernel>, task: Option<usize>) -> Self {
        Entered(RUNNING.replace(Some(Running { kernel: kernel.clone(), task, yielder: None })))
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        RUNNING.set(self.0.take());
    }
}

thread_local! {
    /// The board whose firmware has this thread, and which task of it.
    pub(super) static RUNNING: RefCell<Option<Running>> = const { RefCell::new(None) };
    /// Where a panic in firmware was raised, noted by the hook for [`note_panics`].
    static PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Calls `f` with the board whose firmware runs on this thread.
pub(crate) fn with_running_kernel<R>(f: impl FnOnce(&Rc<Kernel>) -> R) -> Option<R> {
    let kernel = RUNNING.with(|running| running.borrow().as_ref().map(|running| running.kernel.clone()))?;
    Some(heap::outside_firmware(|| f(&kernel)))
}

pub(super) fn host_stack() -> DefaultStack {
    DefaultStack::new(HOST_STACK_BYTES).expect("the host maps a stack")
}

/// Lets firmware run on `stack` until it gives it up; or the message of its panic.
pub(super) fn run_on(
    kernel: &Rc<Kernel>,
    task: Option<usize>,
    stack: &mut Stack,
) -> Result<CoroutineResult<Suspend, ()>, String> {
    let _entered = Entered::new(kernel, task);
    note_panics(|| heap::inside_firmware(&kernel.heap, || stack.resume(())))
}

/// Frees a stack whose frames must not be unwound.
pub(super) fn give_up(mut stack: Stack) {
    // SAFETY: the frames are never resumed and their destructors need not run; what they own is
    // leaked. Nothing outside points into the stack: a future that they borrow lives in the
    // task's `body`, of which the frames hold a handle that is leaked with them, and the board's
    // cells are never borrowed across a suspension.
    unsafe { stack.force_reset() };
}

/// Gives up the running task's stack; does nothing outside of a task.
pub(super) fn suspend(suspend: Suspend) {
    if let Some(yielder) = yielder_for(&suspend) {
        heap::suspended(|| {
            // SAFETY: the yielder belongs to the coroutine that is running now: `Entered` sets and
            // clears `RUNNING` around every resume, the coroutine notes its own yielder before
            // anything else runs on it, and we are on that coroutine's stack.
            unsafe { yielder.as_ref() }.suspend(suspend);
        });
        // Another task may have run meanwhile.
        note_yielder(yielder);
    }
}

/// Whom to hand the thread to, if the code that runs now can be stopped in this way.
pub(super) fn yielder_for(suspend: &Suspend) -> Option<NonNull<Yielder<(), Suspend>>> {
    // A destructor that runs while a panic unwinds must go on: the panic ends the task anyway, and
    // the thread would carry the panic into other tasks.
    if std::thread::panicking() && !matches!(suspend, Suspend::Waiting) {
        return None;
    }
    RUNNING.with(|running| {
        let running = running.borrow();
        let running = running.as_ref()?;
        running.yielder.filter(|_| running.task.is_some() || suspend.is_final())
    })
}

pub(super) fn note_yielder(yielder: NonNull<Yielder<(), Suspend>>) {
    RUNNING.with(|running| {
        if let Some(running) = running.borrow_mut().as_mut() {
            running.yielder = Some(yielder);
        }
    });
}

/// Stops the running firmware for good and crashes the device with `reason`. Returns only where no
/// firmware runs that could be stopped: on the harness's own stack and while a panic unwinds.
pub(crate) fn die(reason: String) {
    suspend(Suspend::Dead(reason));
}

/// Restarts the chip on behalf of the running firmware, which goes no further. Returns where there is
/// none that could be stopped.
pub(crate) fn restart() {
    suspend(Suspend::Restart);
}

/// Runs `f`; a panic of the firmware becomes its message with the place where it was raised. One
/// of the board model's own goes on: it is not the product's fault.
pub(super) fn note_panics<R>(f: impl FnOnce() -> R) -> Result<R, String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let previous = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if heap::is_inside_firmware() {
                heap::outside_firmware(|| {
                    let place = info
                        .location()
                        .map_or(String::new(), |place| format!(" at {}:{}", place.file(), place.line()));
                    let text = info.payload_as_str().unwrap_or("panic without a text");
                    PANIC.set(Some(format!("{text}{place}")));
                });
            } else {
                // Whatever firmware panicked before has caught it itself.
                PANIC.take();
                previous(info);
            }
        }));
    });
    catch_unwind(AssertUnwindSafe(f)).map_err(|payload| match PANIC.take() {
        Some(message) => message,
        None => resume_unwind(payload),
    })
}
