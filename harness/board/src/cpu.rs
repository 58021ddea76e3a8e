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
use rigor_core::Source;
use rigor_core::event::ResetCause;
use rigor_core::task::{TASK_LANES, TaskStart, TaskState};
use rigor_core::time::nanos;

use crate::board::Chip;
use crate::clock::Rate;
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

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Waiting,
    /// Wants the core to run code.
    Ready,
    /// Wants the core for this many more nanoseconds.
    Working(u64),
    /// Wants the core until this instant at least.
    Polling(u64),
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
    /// The device's memory for the stack; given back when the task is dropped. None for the rig's.
    reserved: Option<heap::Reservation>,
    lane: TaskLane,
}

/// A task on the timeline.
struct TaskLane {
    source: Source,
    /// What was recorded last.
    noted: TaskState,
}

impl TaskLane {
    fn note(&mut self, kernel: &Kernel, state: TaskState) {
        if self.noted != state {
            self.noted = state;
            kernel.record(self.source, kernel.now(), state.event());
        }
    }
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
    /// How the clock of the cores keeps time.
    rate: Cell<Rate>,
    tasks: RefCell<Vec<Task>>,
    cores: RefCell<[CoreState; CORES]>,
    /// Whether a core has the task that deserves it. It will have until a task's state changes.
    settled: [Cell<bool>; CORES],
    any_woken: Arc<AtomicBool>,
    ready_counter: Cell<u64>,
    calls_without_time: Cell<u32>,
    /// Set from outside to stop a firmware that keeps the host's thread.
    interrupt: RefCell<Option<Arc<AtomicBool>>>,
    /// Somebody wants to know what the scheduler does.
    recording: Cell<bool>,
}

impl Cpu {
    pub(crate) fn new(hz: u64, context_switch: Duration) -> Self {
        Cpu {
            hz,
            context_switch_ns: nanos(context_switch),
            rate: Cell::new(Rate::EXACT),
            tasks: RefCell::default(),
            cores: RefCell::default(),
            settled: Default::default(),
            any_woken: Arc::default(),
            ready_counter: Cell::new(0),
            calls_without_time: Cell::new(0),
            interrupt: RefCell::default(),
            recording: Cell::new(false),
        }
    }

    /// The clock of the cores is fast or slow.
    pub(crate) fn run_at(&self, rate: Rate) {
        self.rate.set(rate);
    }

    pub(crate) fn set_interrupt(&self, flag: Arc<AtomicBool>) {
        *self.interrupt.borrow_mut() = Some(flag);
    }

    /// Whether the harness ran out of patience.
    pub(crate) fn interrupted(&self) -> bool {
        self.interrupt.borrow().as_ref().is_some_and(|flag| flag.load(Ordering::Relaxed))
    }

    /// From now on the scheduler's doing is recorded.
    pub(crate) fn record(&self) {
        self.recording.set(true);
    }

    /// Whether any task lives.
    pub(crate) fn has_tasks(&self) -> bool {
        !self.tasks.borrow().is_empty()
    }

    fn unsettle(&self) {
        self.settled.iter().for_each(|core| core.set(false));
    }

    /// Whether nothing wants a core that has another task, and what runs on the other cores than the
    /// one of task `index` runs beyond `end`.
    fn is_left_alone(&self, index: usize, end: u64) -> bool {
        let settled = self.settled.iter().all(Cell::get) && !self.any_woken.load(Ordering::Acquire);
        settled && self.completion(|running| running != index) > end
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
        self.completion(|_| true)
    }

    /// When the first running task of those that are `counted` will have done its work.
    fn completion(&self, counted: impl Fn(usize) -> bool) -> u64 {
        let tasks = self.tasks.borrow();
        self.cores
            .borrow()
            .iter()
            .filter_map(|core| {
                let running = core.running.filter(|&running| counted(running))?;
                Some(match tasks[running].state {
                    State::Working(remaining) => core.counted_from.saturating_add(remaining),
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
                State::Working(remaining) if core.counted_from.saturating_add(remaining) <= now => {}
                State::Polling(until) if until <= now => {}
                _ => continue,
            }
            task.state = State::Ready;
            self.settled[task.spec.core].set(false);
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
                self.settled[task.spec.core].set(false);
            }
        }
    }

    /// Gives `core` to the task that deserves it; the index of one that wants to run code.
    fn choose(&self, core_index: usize, now: u64) -> Option<usize> {
        let mut tasks = self.tasks.borrow_mut();
        let mut cores = self.cores.borrow_mut();
        let core = &mut cores[core_index];
        self.settled[core_index].set(true);
        let wanting = tasks
            .iter()
            .enumerate()
            .filter(|(_, task)| task.state != State::Waiting && task.spec.core == core_index);
        let best = wanting
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
        let switch = self.rate.get().true_nanos(self.context_switch_ns);
        if core.context.replace(best) != Some(best) && switch > 0 {
            core.counted_from = now;
            let task = &mut tasks[best];
            task.state = match task.state {
                State::Working(remaining) => State::Working(remaining.saturating_add(switch)),
                State::Polling(until) => State::Polling(until.max(now + switch)),
                _ => State::Working(switch),
            };
        }
        (tasks[best].state == State::Ready).then_some(best)
    }

    /// A task has run to its end: its stack and its place are free again.
    fn remove(&self, index: usize) -> Task {
        for core in self.cores.borrow_mut().iter_mut() {
            for held in [&mut core.running, &mut core.context] {
                *held = match *held {
                    Some(task) if task == index => None,
                    Some(task) if task > index => Some(task - 1),
                    other => other,
                };
            }
        }
        self.unsettle();
        self.tasks.borrow_mut().remove(index)
    }

    /// Stops all tasks where they are.
    pub(crate) fn halt(&self, heap: &Rc<heap::Heap>) {
        *self.cores.borrow_mut() = Default::default();
        self.unsettle();
        for task in self.tasks.take() {
            stop(task, heap);
        }
    }
}

/// Ends a task for good. A task that waits is dropped in the ordinary way. One that was stopped in
/// the middle of a call has frames that may not be unwound (a call-back from a C-style library
/// aborts the process on unwinding), so its memory is given up instead: what its future and its
/// frames own, for each power cut that hits a call.
fn stop(mut task: Task, heap: &Rc<heap::Heap>) {
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

/// Frees a stack whose frames must not be unwound.
fn give_up(mut stack: Stack) {
    // SAFETY: the frames are never resumed and their destructors need not run; what they own is
    // leaked. Nothing outside points into the stack: a future that they borrow lives in the
    // task's `body`, of which the frames hold a handle that is leaked with them, and the board's
    // cells are never borrowed across a suspension.
    unsafe { stack.force_reset() };
}

struct Running {
    kernel: Rc<Kernel>,
    task: Option<usize>,
    yielder: Option<NonNull<Yielder<(), Suspend>>>,
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
    static RUNNING: RefCell<Option<Running>> = const { RefCell::new(None) };
    /// Where a panic in firmware was raised, noted by the hook for [`dispatch`].
    static PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Calls `f` with the board whose firmware runs on this thread.
pub(crate) fn with_running_kernel<R>(f: impl FnOnce(&Rc<Kernel>) -> R) -> Option<R> {
    let kernel = RUNNING.with(|running| running.borrow().as_ref().map(|running| running.kernel.clone()))?;
    Some(heap::outside_firmware(|| f(&kernel)))
}

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

fn host_stack() -> DefaultStack {
    DefaultStack::new(HOST_STACK_BYTES).expect("the host maps a stack")
}

/// Lets firmware run on `stack` until it gives it up; or the message of its panic.
fn run_on(
    kernel: &Rc<Kernel>,
    task: Option<usize>,
    stack: &mut Stack,
) -> Result<CoroutineResult<Suspend, ()>, String> {
    let _entered = Entered::new(kernel, task);
    note_panics(|| heap::inside_firmware(&kernel.heap, || stack.resume(())))
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

/// Counts a call into the board at one instant of virtual time; the reason to stop the firmware if
/// there were too many or the harness ran out of patience.
fn count_call(kernel: &Kernel) -> Option<String> {
    let calls = kernel.cpu.calls_without_time.get() + 1;
    kernel.cpu.calls_without_time.set(calls);
    if calls > CALLS_WITHOUT_TIME {
        return Some(format!("the firmware spins: {CALLS_WITHOUT_TIME} calls without time passing"));
    }
    kernel.cpu.interrupted().then(|| INTERRUPTED.to_owned())
}

/// Why a firmware was stopped whose case ran out of patience.
pub(crate) const INTERRUPTED: &str = "the firmware was stopped: its case ran out of wall-clock time";

/// Gives up the running task's stack; does nothing outside of a task.
fn suspend(suspend: Suspend) {
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
fn yielder_for(suspend: &Suspend) -> Option<NonNull<Yielder<(), Suspend>>> {
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

fn note_yielder(yielder: NonNull<Yielder<(), Suspend>>) {
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

/// Keeps the running task's core, against lower priorities, until a peripheral is ready.
pub(crate) fn poll_until(kernel: &Kernel, until: Instant) {
    let until_nanos = until.as_nanos();
    while kernel.now() < until && yielder_for(&Suspend::Polling(until_nanos)).is_some() {
        if !run_ahead(kernel, until_nanos) {
            suspend(Suspend::Polling(until_nanos));
        }
    }
}

/// Lets time pass up to `end` under the running task, if nothing else would happen until then; whether
/// it did. It comes to the same as [`suspend`] for work until `end`, but the task keeps the thread:
/// short computations and short reads of the flash are most of what a firmware does.
fn run_ahead(kernel: &Kernel, end: u64) -> bool {
    let running = RUNNING.with(|running| {
        let running = running.borrow();
        running.as_ref().filter(|running| running.yielder.is_some()).and_then(|running| running.task)
    });
    let Some(index) = running else { return false };
    if std::thread::panicking() || kernel.cpu.recording.get() || !kernel.cpu.is_left_alone(index, end) {
        return false;
    }
    heap::outside_firmware(|| kernel.pass_quietly(end))
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

/// Starts a task whose stack is `reserved`; the rig's own needs none.
fn start_task(kernel: &Rc<Kernel>, spec: TaskSpec, body: TaskBody, reserved: Option<heap::Reservation>) {
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

/// The lane of a task that begins to live. Of several that live under one name the second has the
/// lane `name#2`.
fn task_lane(kernel: &Kernel, name: &str) -> Source {
    let tasks = kernel.cpu.tasks.borrow();
    let taken = |lane: Source| tasks.iter().any(|task| task.lane.source == lane);
    let lane = kernel.source(&format!("{TASK_LANES}{name}"));
    if !taken(lane) {
        return lane;
    }
    let others = (2..).map(|number| kernel.source(&format!("{TASK_LANES}{name}#{number}")));
    others.into_iter().find(|&other| !taken(other)).unwrap_or(lane)
}

/// What the scheduler does with each task from this instant on, where that is new. Called when
/// nobody has anything more to do at this instant.
pub(crate) fn record_states(kernel: &Kernel) {
    if !kernel.cpu.recording.get() {
        return;
    }
    let cores = kernel.cpu.cores.borrow();
    for (index, task) in kernel.cpu.tasks.borrow_mut().iter_mut().enumerate() {
        let state = if cores[task.spec.core].running == Some(index) {
            TaskState::Running
        } else if task.state == State::Waiting {
            TaskState::Waiting
        } else {
            TaskState::Ready
        };
        task.lane.note(kernel, state);
    }
}

/// All tasks are about to be stopped.
pub(crate) fn record_halt(kernel: &Kernel) {
    for task in kernel.cpu.tasks.borrow_mut().iter_mut() {
        task.lane.note(kernel, TaskState::Waiting);
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

/// Restarts the chip on behalf of the running firmware, which goes no further. Returns where there is
/// none that could be stopped.
pub(crate) fn restart() {
    suspend(Suspend::Restart);
}

#[cfg(test)]
mod tests {
    use rigor_core::Timeline;

    use super::*;
    use crate::board::{Board, BoardConfig, Firmware};

    /// One task, which says whether it may run ahead by a microsecond.
    struct Alone(Rc<RefCell<Vec<bool>>>);

    impl Firmware for Alone {
        fn name(&self) -> &str {
            "alone"
        }
        fn version(&self) -> &str {
            "0"
        }
        fn flash_image(&self) -> Vec<(u32, Vec<u8>)> {
            Vec::new()
        }
        fn start(&self, chip: Chip) {
            let (kernel, told) = (chip.cpu().0, self.0.clone());
            let spec = TaskSpec { name: "alone", priority: 1, stack_bytes: 1024, core: 0 };
            let body = Box::pin(async move {
                let soon = |by: u64| kernel.now().as_nanos() + by;
                let alone = run_ahead(&kernel, soon(1_000));
                kernel.schedule_inside(Instant::from_nanos(soon(500)), |_| {});
                let before_an_event = run_ahead(&kernel, soon(499));
                let with_it = run_ahead(&kernel, soon(1));
                *told.borrow_mut() = vec![alone, before_an_event, with_it];
            });
            chip.tasks().spawn(spec, body);
        }
    }

    #[test]
    fn a_task_runs_ahead_up_to_the_next_event_and_not_to_it() {
        let told = Rc::new(RefCell::default());
        let board = Board::new(BoardConfig::default(), Timeline::new(), Rc::new(Alone(told.clone())));
        board.power().on().expect("a virtual switch works");
        board.run(Instant::from_nanos(1_000_000_000), &|| false);
        assert_eq!(told.take(), [true, true, false]);
    }
}
