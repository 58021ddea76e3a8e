//! Tasks with real pre-emption by priority, each with a stack and an embassy executor of its own.
//!
//! A task of a higher priority takes the core between any two instructions of a lower one, as under
//! FreeRTOS; tasks of one priority take turns, each for a tick at most. The cores that the
//! firmware asks for are one here: priorities decide across them.

use alloc::alloc::{alloc, dealloc};
use alloc::boxed::Box;
use core::alloc::Layout;
use core::arch::asm;
use core::cell::RefCell;
use core::pin::Pin;
use core::ptr;
use core::task::{Context, Poll};

use critical_section::Mutex;
use embassy_executor::raw::{Executor, TaskStorage};
use firmware_platform::{Core, TaskBody, TaskSpec};
use rigor_agent::Record;
use rigor_agent::layout::{Reason, boot};

use crate::trap::{self, Frame};
use crate::{agent, clock, console, machine, memory};

/// Tasks at once.
const TASKS: usize = 24;
/// How long a task keeps the core while others of its priority want it: a tick of ESP-IDF's FreeRTOS
/// (`CONFIG_FREERTOS_HZ` is 100).
const SLICE_NS: u64 = 10_000_000;
/// What an untouched stack holds, as FreeRTOS fills it.
const PAINT: u8 = 0xA5;
/// Bytes at the end of a stack that nobody may touch.
const GUARD_BYTES: usize = 16;
/// The scheduler's own number: nobody wants the core.
const IDLE: usize = TASKS;

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Wants the core, since this many changes of state.
    Ready(u64),
    /// For something to happen.
    Waiting,
    /// For the clock.
    Sleeping(u64),
    /// For its stack to be freed.
    Ended,
}

struct Task {
    spec: TaskSpec,
    number: u8,
    stack: *mut u8,
    stack_layout: Layout,
    frame: *mut Frame,
    executor: &'static Executor,
    state: State,
    /// Its executor has something to do.
    pended: bool,
    /// What the rig was told last.
    told: u8,
}

impl Task {
    /// Bytes at the far end of its stack that were never touched.
    fn stack_free(&self) -> usize {
        let words = self.stack_layout.size() / size_of::<u32>();
        // SAFETY: the stack is aligned, and alive as long as the task is in the table.
        let stack = unsafe { core::slice::from_raw_parts(self.stack.cast::<u32>(), words) };
        stack.iter().take_while(|word| **word == u32::from_ne_bytes([PAINT; 4])).count() * size_of::<u32>()
    }
}

struct Kernel {
    tasks: [Option<Task>; TASKS],
    current: usize,
    /// Counts changes to ready, for turns.
    turn: u64,
    /// Counts tasks.
    started: u8,
    slice_ends: u64,
    alarm: u64,
    idle: *mut Frame,
}

// SAFETY: there is one core, and everything that reaches the kernel is in a critical section.
unsafe impl Send for Kernel {}

static KERNEL: Mutex<RefCell<Kernel>> = Mutex::new(RefCell::new(Kernel {
    tasks: [const { None }; TASKS],
    current: IDLE,
    turn: 0,
    started: 0,
    slice_ends: u64::MAX,
    alarm: u64::MAX,
    idle: ptr::null_mut(),
}));

fn with<R>(f: impl FnOnce(&mut Kernel) -> R) -> R {
    critical_section::with(|cs| f(&mut KERNEL.borrow_ref_mut(cs)))
}

impl Kernel {
    fn priority(&self, index: usize) -> Option<u8> {
        self.tasks.get(index)?.as_ref().map(|task| task.spec.priority)
    }

    fn ready(&mut self, index: usize) {
        self.turn += 1;
        let turn = self.turn;
        if let Some(task) = &mut self.tasks[index] {
            task.state = State::Ready(turn);
        }
    }

    /// Who is to run: the highest priority, then the longest ready.
    fn pick(&self) -> usize {
        let ready = self.tasks.iter().enumerate().filter_map(|(index, task)| match task.as_ref()?.state {
            State::Ready(turn) => Some((task.as_ref()?.spec.priority, core::cmp::Reverse(turn), index)),
            _ => None,
        });
        ready.max().map_or(IDLE, |(_, _, index)| index)
    }

    /// Somebody else of the same priority wants the core.
    fn contended(&self) -> bool {
        let priority = self.priority(self.current);
        let ready =
            |task: &Task| matches!(task.state, State::Ready(_)) && Some(task.spec.priority) == priority;
        self.tasks.iter().flatten().filter(|task| ready(task)).count() > 1
    }
}

/// The body of a task as a future of a named type, which a [`TaskStorage`] wants.
struct Body(TaskBody, usize);

impl Future for Body {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let done = self.0.as_mut().poll(context);
        if done.is_ready() {
            let index = self.1;
            // Whatever the body held goes before its stack.
            self.0 = Box::pin(core::future::ready(()));
            with(|kernel| {
                if let Some(task) = &mut kernel.tasks[index] {
                    task.state = State::Ended;
                }
            });
        }
        done
    }
}

/// Starts a task.
///
/// # Panics
/// With more tasks than there are places, or without memory for the stack: both end the firmware.
pub fn spawn(spec: TaskSpec, body: TaskBody) {
    let layout = Layout::from_size_align(spec.stack_bytes.next_multiple_of(16), 16).expect("a small stack");
    // SAFETY: no stack is of zero bytes.
    let stack = unsafe { alloc(layout) };
    assert!(!stack.is_null(), "no {} bytes for the stack of task {}", spec.stack_bytes, spec.name);
    // SAFETY: both within the stack, whose end is aligned as the frame must be.
    let frame = unsafe {
        stack.write_bytes(PAINT, layout.size());
        stack.add(layout.size()).cast::<Frame>().sub(1)
    };
    let index = with(|kernel| {
        let free = kernel.tasks.iter().position(Option::is_none);
        free.unwrap_or_else(|| panic!("no place for task {}", spec.name))
    });
    // Embassy wants them for ever. A task that ends leaves some 150 bytes behind; two do.
    let executor: &'static Executor = Box::leak(Box::new(Executor::new(index as *mut ())));
    let storage: &'static TaskStorage<Body> = Box::leak(Box::new(TaskStorage::new()));
    // SAFETY: within the stack, as above.
    unsafe { frame.write(Frame::new(run_task, index)) };
    let number = with(|kernel| {
        let number = kernel.started;
        kernel.started = kernel.started.wrapping_add(1);
        let state = State::Waiting;
        let task = Task {
            spec,
            number,
            stack,
            stack_layout: layout,
            frame,
            executor,
            state,
            pended: false,
            told: 0,
        };
        kernel.tasks[index] = Some(task);
        kernel.ready(index);
        number
    });
    let core = if spec.core == Core::Zero { 0 } else { 1 };
    let start = Record::TaskStart {
        number,
        core,
        priority: spec.priority,
        stack_bytes: spec.stack_bytes as u32,
        name: spec.name.as_bytes(),
    };
    agent::record(clock::now(), &start);
    let token = storage.spawn(|| Body(body, index)).expect("a storage of its own");
    executor.spawner().spawn(token);
    request_switch();
}

/// Runs `future` beside the calling task's own, on its executor and stack.
pub async fn spawn_beside<F: Future<Output = ()> + 'static>(future: F) {
    // SAFETY: the executor lives for ever, and this is polled by it.
    let spawner = unsafe { embassy_executor::Spawner::for_current_executor() }.await;
    let storage: &'static TaskStorage<F> = Box::leak(Box::new(TaskStorage::new()));
    spawner.spawn(storage.spawn(|| future).expect("a storage of its own"));
}

/// Calls `each` with every living task and the fewest bytes of its stack that were ever free.
pub fn for_each(each: &mut dyn FnMut(&TaskSpec, Option<usize>)) {
    for index in 0..TASKS {
        let look = |task: &Task| (task.spec, task.number, task.stack_free());
        let found =
            with(|kernel| kernel.tasks[index].as_ref().filter(|task| task.state != State::Ended).map(look));
        if let Some((spec, number, free)) = found {
            agent::record(clock::now(), &Record::StackFree { number, bytes: free as u32 });
            each(&spec, Some(free));
        }
    }
}

extern "C" fn run_task(index: usize) -> ! {
    let executor = with(|kernel| kernel.tasks[index].as_ref().map(|task| task.executor));
    let executor = executor.expect("a task runs only while it is in the table");
    loop {
        // SAFETY: by this task alone.
        unsafe { executor.poll() };
        critical_section::with(|_| {
            let stays = with(|kernel| {
                let task = kernel.tasks[index].as_mut().expect("as above");
                match task.state {
                    State::Ended => false,
                    _ if core::mem::take(&mut task.pended) => true,
                    _ => {
                        task.state = State::Waiting;
                        false
                    }
                }
            });
            if !stays {
                give_up_core();
            }
        });
    }
}

/// Blocks the calling task until the clock shows `at`; others run meanwhile.
pub fn sleep_until(at: u64) {
    loop {
        let done = critical_section::with(|_| {
            if clock::now() >= at {
                return true;
            }
            let sleeps = with(|kernel| {
                let current = kernel.current;
                match kernel.tasks.get_mut(current) {
                    Some(Some(task)) => {
                        task.state = State::Sleeping(at);
                        true
                    }
                    // Before the first task runs nobody else could.
                    _ => false,
                }
            });
            if sleeps {
                give_up_core();
            } else {
                clock::wait_alone_until(at);
            }
            false
        });
        if done {
            return;
        }
    }
}

/// Hands the core to whoever is to have it now.
fn give_up_core() {
    // SAFETY: the trap saves and restores everything.
    unsafe { asm!("ecall") };
}

/// Embassy's call when the executor of a task has something to do.
#[unsafe(export_name = "__pender")]
fn pend(context: *mut ()) {
    let index = context as usize;
    let switch = with(|kernel| {
        let Some(task) = kernel.tasks[index].as_mut() else { return false };
        if task.state != State::Waiting {
            task.pended = true;
            return false;
        }
        kernel.ready(index);
        kernel.priority(index) >= kernel.priority(kernel.current)
    });
    if switch {
        request_switch();
    }
}

/// The software interrupt register of the first hart (SiFive CLINT on `virt`).
const MSIP: *mut u32 = 0x0200_0000 as *mut u32;

/// Has the core decided anew as soon as interrupts are on.
fn request_switch() {
    // SAFETY: the machine has this register.
    unsafe { MSIP.write_volatile(1) };
}

/// The software interrupt has come.
pub fn acknowledge_request() {
    // SAFETY: as above.
    unsafe { MSIP.write_volatile(0) };
}

/// Somebody waits for `at` now.
pub fn look_at_alarm(at: u64) {
    with(|kernel| {
        if at < kernel.alarm {
            kernel.alarm = at;
            clock::set_alarm(at);
        }
    });
}

/// Puts the interrupted task aside, does what is due, and gives the frame of whoever is to run.
pub fn switch(frame: *mut Frame) -> *mut Frame {
    critical_section::with(|_| {
        put_aside(frame);
        let now = clock::now();
        if now >= agent::until() {
            agent::meet(Reason::Time);
        }
        machine::look_at_watchdog(now);
        let next = [clock::tick(), console::tick(now), wake_sleepers(now), machine::watchdog_due()]
            .into_iter()
            .fold(agent::until(), u64::min);
        take_up(now, next)
    })
}

fn put_aside(frame: *mut Frame) {
    let overflown = with(|kernel| {
        let current = kernel.current;
        let Some(Some(task)) = kernel.tasks.get_mut(current) else {
            kernel.idle = frame;
            return None;
        };
        task.frame = frame;
        // SAFETY: the stack is alive.
        let guard = unsafe { core::slice::from_raw_parts(task.stack, GUARD_BYTES) };
        let whole = guard.iter().all(|byte| *byte == PAINT) && frame as usize > task.stack as usize;
        (!whole).then_some(task.spec.name)
    });
    if let Some(name) = overflown {
        panic!("stack overflow in task {name}");
    }
}

/// When the next sleeper is due.
fn wake_sleepers(now: u64) -> u64 {
    with(|kernel| {
        let mut next = u64::MAX;
        for index in 0..TASKS {
            if let Some(State::Sleeping(at)) = kernel.tasks[index].as_ref().map(|task| task.state) {
                if at <= now {
                    kernel.ready(index);
                } else {
                    next = next.min(at);
                }
            }
        }
        next
    })
}

fn take_up(now: u64, next_alarm: u64) -> *mut Frame {
    let (frame, alarm) = with(|kernel| {
        if now >= kernel.slice_ends && kernel.contended() {
            let current = kernel.current;
            kernel.ready(current);
        }
        let chosen = kernel.pick();
        if chosen != kernel.current || now >= kernel.slice_ends {
            kernel.slice_ends = now + SLICE_NS;
        }
        kernel.current = chosen;
        let slice_ends = if kernel.contended() { kernel.slice_ends } else { u64::MAX };
        kernel.alarm = next_alarm.min(slice_ends);
        let frame = kernel.tasks.get(chosen).and_then(Option::as_ref).map_or(kernel.idle, |task| task.frame);
        (frame, kernel.alarm)
    });
    clock::set_alarm(alarm);
    tell_states(now);
    bury();
    frame
}

/// Tells the rig what has changed, if it wants to know.
fn tell_states(now: u64) {
    if memory::word(boot::RECORD_TASKS) == 0 {
        return;
    }
    for index in 0..TASKS {
        let changed = with(|kernel| {
            let current = kernel.current == index;
            let task = kernel.tasks[index].as_mut()?;
            let state = match task.state {
                State::Ready(_) if current => 2,
                State::Ready(_) => 1,
                _ => 0,
            };
            (core::mem::replace(&mut task.told, state) != state).then_some((task.number, state))
        });
        if let Some((number, state)) = changed {
            agent::record(now, &Record::TaskState { number, state });
        }
    }
}

/// Frees the stacks of tasks that have ended. Runs on the stack of interrupts.
fn bury() {
    for index in 0..TASKS {
        let ended = with(|kernel| {
            let ended = kernel.tasks[index].as_ref().is_some_and(|task| task.state == State::Ended);
            ended.then(|| kernel.tasks[index].take()).flatten()
        });
        if let Some(task) = ended {
            // SAFETY: allocated with this layout, and nobody runs on it any more.
            unsafe { dealloc(task.stack, task.stack_layout) };
        }
    }
}

/// Lets the tasks run. The start's stack is that of interrupts from now on.
pub fn run() -> ! {
    /// Machine timer and software interrupts.
    const ENABLED: usize = 1 << 7 | 1 << 3;
    static mut IDLE_STACK: [u128; 32] = [0; 32];
    let end = (&raw mut IDLE_STACK) as usize + size_of::<[u128; 32]>();
    // SAFETY: the frame fits the stack of the idle loop, which nobody else has.
    let frame = unsafe {
        let frame = (end as *mut Frame).sub(1);
        frame.write(Frame::new(idle, 0));
        asm!("csrs mie, {}", in(reg) ENABLED);
        frame
    };
    let first = switch(frame);
    // SAFETY: the frame of a task, or of the idle loop.
    unsafe { trap::resume(first) }
}

extern "C" fn idle(_: usize) -> ! {
    loop {
        critical_section::with(|_| {
            clock::pass_until(with(|kernel| kernel.alarm));
            give_up_core();
        });
    }
}

/// Name of the task that runs.
pub fn current_name() -> &'static str {
    with(|kernel| {
        let current = kernel.current;
        kernel.tasks.get(current).and_then(Option::as_ref).map_or("(none)", |task| task.spec.name)
    })
}
