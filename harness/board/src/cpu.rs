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

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr::NonNull;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use corosensei::stack::DefaultStack;
use corosensei::{Coroutine, CoroutineResult, Yielder};
use rigor_core::Instant;
use rigor_core::time::nanos;

use crate::heap;
use crate::kernel::Kernel;

/// Number of cores of the chip (ESP32-S3: two).
pub const CORES: usize = 2;

/// Host stack of a task. The device's stack size is charged to its heap; the host's frames are
/// larger and only mapped when touched.
const HOST_STACK_BYTES: usize = 1024 * 1024;

/// Calls into the board without any virtual time passing before a firmware counts as spinning. The
/// longest legitimate run, mounting a full file system, is below 10,000.
const CALLS_WITHOUT_TIME: u32 = 2_000_000;

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

/// What a task tells the scheduler when it gives up its stack.
enum Suspend {
    /// Its future is pending.
    Waiting,
    /// It computes for this many nanoseconds.
    Working(u64),
    /// It polls a peripheral that will be ready at this instant.
    Polling(u64),
    /// It must never run again; the text says why.
    Dead(String),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Waiting,
    /// Wants the core to run code.
    Ready,
    /// Wants the core for this many more nanoseconds.
    Working(u64),
    /// Wants the core until this instant at least.
    Polling(u64),
    Ended,
}

type Stack = Coroutine<(), Suspend, (), DefaultStack>;

struct Task {
    spec: TaskSpec,
    state: State,
    /// Order in which tasks became ready, for fairness among equals.
    ready_since: u64,
    signal: Arc<Signal>,
    /// `None` while it runs, and after its end.
    stack: Option<Stack>,
    /// The future, apart from the stack that polls it, so that stopping a task that waits drops
    /// it in the ordinary way. `None` once it has been polled to its end.
    body: Rc<RefCell<Option<TaskBody>>>,
    /// Stopped within a call: its frames are on the stack.
    within_call: bool,
    reserved: Option<heap::Reservation>,
}

/// What wakes a task.
struct Signal {
    woken: AtomicBool,
    any: Arc<AtomicBool>,
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

#[derive(Clone, Copy, Default)]
struct CoreState {
    /// Index of the task that has the core.
    running: Option<usize>,
    /// Whose registers the core holds: another one costs a context switch.
    context: Option<usize>,
    /// Since when the running task's work has been counted.
    counted_from: u64,
}

pub(crate) struct Cpu {
    hz: u64,
    context_switch_ns: u64,
    tasks: RefCell<Vec<Task>>,
    cores: RefCell<[CoreState; CORES]>,
    any_woken: Arc<AtomicBool>,
    ready_counter: Cell<u64>,
    calls_without_time: Cell<u32>,
    /// Set from outside to stop a firmware that keeps the host's thread.
    interrupt: RefCell<Option<Arc<AtomicBool>>>,
}

impl Cpu {
    pub(crate) fn new(hz: u64, context_switch: Duration) -> Self {
        Cpu {
            hz,
            context_switch_ns: nanos(context_switch),
            tasks: RefCell::default(),
            cores: RefCell::default(),
            any_woken: Arc::default(),
            ready_counter: Cell::new(0),
            calls_without_time: Cell::new(0),
            interrupt: RefCell::default(),
        }
    }

    pub(crate) fn set_interrupt(&self, flag: Arc<AtomicBool>) {
        *self.interrupt.borrow_mut() = Some(flag);
    }

    fn next_ready(&self) -> u64 {
        self.ready_counter.set(self.ready_counter.get() + 1);
        self.ready_counter.get()
    }

    pub(crate) fn time_moved(&self) {
        self.calls_without_time.set(0);
    }

    /// When the first running task will have done its work.
    pub(crate) fn next_completion(&self) -> u64 {
        let tasks = self.tasks.borrow();
        self.cores
            .borrow()
            .iter()
            .filter_map(|core| {
                Some(match tasks[core.running?].state {
                    State::Working(remaining) => core.counted_from + remaining,
                    State::Polling(until) => until,
                    _ => return None,
                })
            })
            .min()
            .unwrap_or(u64::MAX)
    }

    /// Lets tasks that have done their work by `now` run code again.
    pub(crate) fn complete(&self, now: u64) {
        let mut tasks = self.tasks.borrow_mut();
        for core in self.cores.borrow_mut().iter_mut() {
            let Some(index) = core.running else { continue };
            let task = &mut tasks[index];
            match task.state {
                State::Working(remaining) if core.counted_from + remaining <= now => task.state = State::Ready,
                State::Polling(until) if until <= now => task.state = State::Ready,
                _ => {}
            }
        }
    }

    fn collect_woken(&self) {
        if !self.any_woken.swap(false, Ordering::AcqRel) {
            return;
        }
        for task in self.tasks.borrow_mut().iter_mut() {
            if task.state == State::Waiting && task.signal.woken.swap(false, Ordering::AcqRel) {
                task.state = State::Ready;
                task.ready_since = self.next_ready();
            }
        }
    }

    /// Gives `core` to the task that deserves it; the index of one that wants to run code.
    fn choose(&self, core_index: usize, now: u64) -> Option<usize> {
        let mut tasks = self.tasks.borrow_mut();
        let mut cores = self.cores.borrow_mut();
        let core = &mut cores[core_index];
        let best = tasks
            .iter()
            .enumerate()
            .filter(|(_, task)| task.spec.core == core_index)
            .filter(|(_, task)| !matches!(task.state, State::Waiting | State::Ended))
            .max_by_key(|(index, task)| {
                (task.spec.priority, core.running == Some(*index), std::cmp::Reverse(task.ready_since))
            })
            .map(|(index, _)| index);
        if core.running != best {
            if let Some(previous) = core.running
                && let State::Working(remaining) = tasks[previous].state
            {
                tasks[previous].state = State::Working(remaining.saturating_sub(now - core.counted_from));
            }
            core.running = best;
            core.counted_from = now;
        }
        let best = best?;
        if core.context != Some(best) && tasks[best].state == State::Ready {
            core.context = Some(best);
            if self.context_switch_ns > 0 {
                core.counted_from = now;
                tasks[best].state = State::Working(self.context_switch_ns);
            }
        }
        (tasks[best].state == State::Ready).then_some(best)
    }

    /// Stops all tasks where they are.
    pub(crate) fn halt(&self) {
        *self.cores.borrow_mut() = Default::default();
        let running = RUNNING.with(|running| running.borrow().as_ref().map(|running| running.task));
        for (index, task) in self.tasks.take().into_iter().enumerate() {
            // A task that asks for its own end (a software reset) has no stack here; whoever
            // resumed it will find it gone and stop it.
            stop(task, running == Some(Some(index)));
        }
    }
}

/// Ends a task for good. A task that waits is dropped in the ordinary way. One that was stopped in
/// the middle of a call has frames that may not be unwound (a call-back from a C-style library
/// aborts the process on unwinding), so its memory is given up instead: a few kilobytes for each
/// power cut.
fn stop(mut task: Task, running: bool) {
    match task.stack.take() {
        Some(mut stack) if task.within_call => {
            std::mem::forget(task.body.clone());
            // SAFETY: the frames on this stack are never resumed and their destructors need not
            // run; what they own is leaked. Nothing outside points into the stack: the future that
            // they borrow lives in `body`, which is leaked with them.
            unsafe { stack.force_reset() };
        }
        // It runs at this moment and its frames borrow the future: `resume` gives the stack up.
        None if running => std::mem::forget(task.body.clone()),
        stack => heap::outside_firmware(|| {
            drop(stack);
            drop(task.body.borrow_mut().take());
        }),
    }
}

struct Running {
    kernel: Rc<Kernel>,
    task: Option<usize>,
    yielder: Option<NonNull<Yielder<(), Suspend>>>,
}

thread_local! {
    /// The board whose firmware has this thread, and which task of it.
    static RUNNING: RefCell<Option<Running>> = const { RefCell::new(None) };
    /// Where a panic in firmware was raised, noted by the hook for [`dispatch`].
    static PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Calls `f` with the board whose firmware runs on this thread.
pub(crate) fn with_running_kernel<R>(f: impl FnOnce(&Rc<Kernel>) -> R) -> Option<R> {
    let kernel = RUNNING.with(|running| running.borrow().as_ref().map(|running| running.kernel.clone()))?;
    Some(heap::outside_firmware(|| f(&kernel)))
}

/// Runs `f` as the device's code, outside of any task: its allocations are the device's.
pub(crate) fn run_as_firmware(kernel: &Rc<Kernel>, f: impl FnOnce()) {
    let before = RUNNING.replace(Some(Running { kernel: kernel.clone(), task: None, yielder: None }));
    let outcome = note_panics(|| heap::inside_firmware(&kernel.heap, f));
    RUNNING.set(before);
    if let Err(message) = outcome {
        kernel.crash(&message);
    }
}

/// Runs whatever code is ready at this instant on either core.
pub(crate) fn dispatch(kernel: &Rc<Kernel>) {
    loop {
        kernel.cpu.collect_woken();
        let now = kernel.now().as_nanos();
        let Some(index) = (0..CORES).find_map(|core| kernel.cpu.choose(core, now)) else {
            if !kernel.cpu.any_woken.load(Ordering::Acquire) {
                return;
            }
            continue;
        };
        resume(kernel, index);
    }
}

fn resume(kernel: &Rc<Kernel>, index: usize) {
    let life = kernel.life();
    let (mut stack, signal) = {
        let mut tasks = kernel.cpu.tasks.borrow_mut();
        let task = &mut tasks[index];
        let Some(stack) = task.stack.take() else { return };
        (stack, task.signal.clone())
    };
    if let Some(reason) = count_call(kernel) {
        kernel.cpu.tasks.borrow_mut()[index].stack = Some(stack);
        kernel.crash(&reason);
        return;
    }
    let before = RUNNING.replace(Some(Running { kernel: kernel.clone(), task: Some(index), yielder: None }));
    let outcome = note_panics(|| heap::inside_firmware(&kernel.heap, || stack.resume(())));
    RUNNING.set(before);

    if kernel.life() != life {
        // The task reset its own chip: its frames are of an earlier life.
        // SAFETY: as in `stop`; the body was leaked by whoever holds its other handle, or has
        // ended with the panic that brought us here.
        unsafe { stack.force_reset() };
        return;
    }
    let state = match outcome {
        Ok(CoroutineResult::Return(())) => State::Ended,
        Ok(CoroutineResult::Yield(suspend)) => {
            let mut tasks = kernel.cpu.tasks.borrow_mut();
            let task = &mut tasks[index];
            task.within_call = !matches!(suspend, Suspend::Waiting);
            task.stack = Some(stack);
            match suspend {
                Suspend::Waiting if signal.woken.swap(false, Ordering::AcqRel) => {
                    task.ready_since = kernel.cpu.next_ready();
                    State::Ready
                }
                Suspend::Waiting => State::Waiting,
                Suspend::Working(remaining) => {
                    let mut cores = kernel.cpu.cores.borrow_mut();
                    cores[task.spec.core].counted_from = kernel.now().as_nanos();
                    State::Working(remaining)
                }
                Suspend::Polling(until) => State::Polling(until),
                Suspend::Dead(reason) => {
                    task.state = State::Ended;
                    drop(tasks);
                    kernel.crash(&reason);
                    return;
                }
            }
        }
        Err(message) => {
            kernel.cpu.tasks.borrow_mut()[index].state = State::Ended;
            kernel.crash(&message);
            return;
        }
    };
    let mut tasks = kernel.cpu.tasks.borrow_mut();
    let task = &mut tasks[index];
    task.state = state;
    if state == State::Ended {
        let body = task.body.borrow_mut().take();
        let reserved = task.reserved.take();
        drop(tasks);
        heap::inside_firmware(&kernel.heap, || drop(body));
        drop(reserved);
    }
}

/// Counts a call into the board at one instant of virtual time; the reason to stop the firmware if
/// there were too many or the harness ran out of patience.
fn count_call(kernel: &Kernel) -> Option<String> {
    let calls = kernel.cpu.calls_without_time.get() + 1;
    kernel.cpu.calls_without_time.set(calls);
    if calls > CALLS_WITHOUT_TIME {
        return Some(format!("the firmware spins: {CALLS_WITHOUT_TIME} calls without time passing"));
    }
    let interrupted = kernel.cpu.interrupt.borrow().as_ref().is_some_and(|flag| flag.load(Ordering::Relaxed));
    interrupted.then(|| "the firmware was stopped: its case ran out of wall-clock time".to_owned())
}

/// Gives up the running task's stack; does nothing outside of a task.
fn suspend(suspend: Suspend) {
    let yielder = RUNNING.with(|running| running.borrow().as_ref().and_then(|running| running.yielder));
    if let Some(yielder) = yielder {
        heap::suspended(|| {
            // SAFETY: the yielder belongs to the coroutine that is running now: `RUNNING` is set
            // and cleared around every resume, and we are on that coroutine's stack.
            unsafe { yielder.as_ref() }.suspend(suspend);
        });
        // Another task may have run meanwhile.
        note_yielder(yielder);
    }
}

fn note_yielder(yielder: NonNull<Yielder<(), Suspend>>) {
    RUNNING.with(|running| {
        if let Some(running) = running.borrow_mut().as_mut() {
            running.yielder = Some(yielder);
        }
    });
}

/// Stops the running task for good and crashes the device with `reason`. Returns outside of a task.
pub(crate) fn die(reason: String) {
    suspend(Suspend::Dead(reason));
}

/// Keeps the running task's core, against lower priorities, until a peripheral is ready.
pub(crate) fn poll_until(kernel: &Kernel, until: Instant) {
    while kernel.now() < until {
        if RUNNING.with(|running| running.borrow().as_ref().is_none_or(|running| running.yielder.is_none())) {
            return;
        }
        suspend(Suspend::Polling(until.as_nanos()));
    }
}

/// Every call of firmware into a peripheral counts, so that a loop that only asks and never waits
/// is found.
pub(crate) fn note_call(kernel: &Kernel) {
    if let Some(reason) = count_call(kernel) {
        die(reason);
    }
}

/// Runs `f`; a panic of the firmware becomes its message with the place where it was raised. One
/// of the board model's own goes on: it is not the product's fault.
fn note_panics<R>(f: impl FnOnce() -> R) -> Result<R, String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let previous = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if heap::is_inside_firmware() {
                heap::outside_firmware(|| {
                    let place = info.location().map_or(String::new(), |place| format!(" at {}:{}", place.file(), place.line()));
                    let text = info.payload_as_str().unwrap_or("panic without a text");
                    PANIC.set(Some(format!("{text}{place}")));
                });
            } else {
                previous(info);
            }
        }));
    });
    catch_unwind(AssertUnwindSafe(f)).map_err(|payload| match PANIC.take() {
        Some(message) => message,
        None => resume_unwind(payload),
    })
}

/// The firmware's view of the processor.
#[derive(Clone)]
pub struct CpuHandle(pub(crate) Rc<Kernel>);

impl CpuHandle {
    /// The code around this call takes `cycles` of the core's clock: the task keeps its core that
    /// long unless a higher priority takes it away.
    pub fn work(&self, cycles: u32) {
        let hz = self.0.cpu.hz;
        heap::outside_firmware(|| note_call(&self.0));
        suspend(Suspend::Working((u64::from(cycles) * 1_000_000_000).div_ceil(hz)));
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
            let Some(reserved) = heap::reserve(&kernel.heap, spec.stack_bytes) else {
                die(format!("out of memory: no {} bytes for the stack of task `{}`", spec.stack_bytes, spec.name));
                return;
            };
            let signal = Arc::new(Signal { woken: AtomicBool::new(false), any: kernel.cpu.any_woken.clone() });
            let waker = Waker::from(signal.clone());
            let body = Rc::new(RefCell::new(Some(body)));
            let polled = body.clone();
            let stack = DefaultStack::new(HOST_STACK_BYTES).expect("the host maps a stack");
            let stack = Coroutine::with_stack(stack, move |yielder: &Yielder<(), Suspend>, ()| {
                note_yielder(NonNull::from(yielder));
                let mut context = Context::from_waker(&waker);
                loop {
                    // The borrow ends before the task waits, so that a waiting task can be dropped.
                    let poll = match polled.borrow_mut().as_mut() {
                        Some(body) => body.as_mut().poll(&mut context),
                        None => Poll::Ready(()),
                    };
                    if poll.is_ready() {
                        return;
                    }
                    suspend(Suspend::Waiting);
                }
            });
            kernel.cpu.tasks.borrow_mut().push(Task {
                spec,
                state: State::Ready,
                ready_since: kernel.cpu.next_ready(),
                signal,
                stack: Some(stack),
                body,
                within_call: false,
                reserved: Some(reserved),
            });
            kernel.cpu.any_woken.store(true, Ordering::Release);
        });
    }

    /// The living tasks, in the order of their start.
    pub fn living(&self) -> Vec<TaskSpec> {
        let tasks = self.0.cpu.tasks.borrow();
        tasks.iter().filter(|task| task.state != State::Ended).map(|task| task.spec).collect()
    }
}

/// Restarts the chip on behalf of the running task, which goes no further.
pub(crate) fn restart(kernel: &Rc<Kernel>) {
    heap::outside_firmware(|| kernel.reset(rigor_core::event::ResetCause::Software));
    suspend(Suspend::Waiting);
}
