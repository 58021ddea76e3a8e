//! Which task has which core, and until when.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rigor_core::time::nanos;

use super::CORES;
use super::task::{Task, stop};
use crate::clock::Rate;
use crate::heap;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum State {
    Waiting,
    /// Wants the core to run code.
    Ready,
    /// Wants the core for this many more nanoseconds.
    Working(u64),
    /// Wants the core until this instant at least.
    Polling(u64),
}

#[derive(Clone, Copy, Default)]
pub(super) struct CoreState {
    /// Index of the task that has the core.
    pub(super) running: Option<usize>,
    /// Whose registers the core holds: another one costs a context switch.
    pub(super) context: Option<usize>,
    /// Since when the running task's work has been counted.
    pub(super) counted_from: u64,
}

pub(crate) struct Cpu {
    pub(super) hz: u64,
    context_switch_ns: u64,
    /// How the clock of the cores keeps time.
    pub(super) rate: Cell<Rate>,
    pub(super) tasks: RefCell<Vec<Task>>,
    pub(super) cores: RefCell<[CoreState; CORES]>,
    /// Whether a core has the task that deserves it. It will have until a task's state changes.
    pub(super) settled: [Cell<bool>; CORES],
    pub(super) any_woken: Arc<AtomicBool>,
    ready_counter: Cell<u64>,
    pub(super) calls_without_time: Cell<u32>,
    /// Set from outside to stop a firmware that keeps the host's thread.
    interrupt: RefCell<Option<Arc<AtomicBool>>>,
    /// Somebody wants to know what the scheduler does.
    pub(super) recording: Cell<bool>,
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
    pub(super) fn is_left_alone(&self, index: usize, end: u64) -> bool {
        let settled = self.settled.iter().all(Cell::get) && !self.any_woken.load(Ordering::Acquire);
        settled && self.completion(|running| running != index) > end
    }

    pub(super) fn next_ready(&self) -> u64 {
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

    pub(super) fn collect_woken(&self) {
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
    pub(super) fn choose(&self, core_index: usize, now: u64) -> Option<usize> {
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
    pub(super) fn remove(&self, index: usize) -> Task {
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
