//! The firmware's tasks, one after the other, and what each takes.

use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::pin::pin;
use core::sync::atomic::{AtomicBool, Ordering};
use core::task::{Context, Poll, Waker};

use critical_section::Mutex;
use embassy_executor::raw::{Executor, TaskStorage};
use firmware_platform::{TaskBody, TaskSpec, Tasks};

use crate::clock;

/// Tasks at most.
const TASKS: usize = 24;
/// What an untouched stack holds (as in the scheduler for rigs).
const PAINT: u32 = 0xA5A5_A5A5;
/// How long anything may take, in microseconds of the firmware's clock.
const PATIENCE: u64 = 10_000_000;

/// Which executors have something to do.
static WOKEN: [AtomicBool; TASKS] = [const { AtomicBool::new(false) }; TASKS];

/// Embassy's call when the executor of a task has something to do.
#[unsafe(export_name = "__pender")]
fn pend(context: *mut ()) {
    WOKEN[context as usize].store(true, Ordering::Relaxed);
}

/// Whether it is the storage task that runs.
static STORAGE_RUNS: AtomicBool = AtomicBool::new(false);

/// Whether it is the storage task that runs.
pub fn storage_runs() -> bool {
    STORAGE_RUNS.load(Ordering::Relaxed)
}

/// Cycles that were charged for the task that runs.
static CHARGED: Mutex<Cell<u64>> = Mutex::new(Cell::new(0));

/// The processor, which keeps count of what is charged for it.
#[derive(Clone)]
pub struct Cpu;

impl firmware_platform::Cpu for Cpu {
    fn work(&self, cycles: u32) {
        clock::uncounted(|| {
            critical_section::with(|cs| {
                let charged = CHARGED.borrow(cs);
                charged.set(charged.get() + u64::from(cycles));
            });
        });
    }
}

struct Member {
    spec: TaskSpec,
    executor: &'static Executor,
    /// As much as it asks for, and half of it used: the heap monitor looks how far.
    stack: Vec<u32>,
    instructions: u64,
    charged: u64,
}

/// All tasks; clones share them.
#[derive(Clone, Default)]
pub struct Crew(Rc<RefCell<Vec<Member>>>);

impl Tasks for Crew {
    fn spawn(&self, spec: TaskSpec, body: TaskBody) {
        let index = self.0.borrow().len();
        assert!(index < TASKS, "no place for task {}", spec.name);
        let words = spec.stack_bytes / size_of::<u32>();
        let mut stack = alloc::vec![0; words];
        stack[..words / 2].fill(PAINT);
        let executor: &'static Executor = Box::leak(Box::new(Executor::new(index as *mut ())));
        let storage: &'static TaskStorage<TaskBody> = Box::leak(Box::new(TaskStorage::new()));
        self.0.borrow_mut().push(Member { spec, executor, stack, instructions: 0, charged: 0 });
        executor.spawner().spawn(storage.spawn(|| body).expect("a storage of its own"));
    }

    fn for_each(&self, each: &mut dyn FnMut(&TaskSpec, Option<usize>)) {
        for member in self.0.borrow().iter() {
            let untouched = member.stack.iter().take_while(|word| **word == PAINT).count();
            each(&member.spec, Some(untouched * size_of::<u32>()));
        }
    }
}

impl Crew {
    /// The woken task of the highest priority.
    fn next(&self) -> Option<usize> {
        let crew = self.0.borrow();
        let woken = (0..crew.len()).filter(|&index| WOKEN[index].load(Ordering::Relaxed));
        woken.max_by_key(|&index| (crew[index].spec.priority, core::cmp::Reverse(index)))
    }

    /// Lets all tasks run until each of them waits; whether any of them did anything.
    pub fn settle(&self) -> bool {
        let mut ran = false;
        while let Some(index) = self.next() {
            ran = true;
            WOKEN[index].store(false, Ordering::Relaxed);
            let (executor, name) = {
                let member = &self.0.borrow()[index];
                (member.executor, member.spec.name)
            };
            STORAGE_RUNS.store(name == "storage", Ordering::Relaxed);
            let charged = || critical_section::with(|cs| CHARGED.borrow(cs).get());
            let before = charged();
            // SAFETY: nobody else polls it, and it does not poll itself.
            let instructions = clock::count(|| unsafe { executor.poll() });
            let member = &mut self.0.borrow_mut()[index];
            member.instructions += instructions;
            member.charged += charged() - before;
        }
        ran
    }

    /// Lets `micros` of the firmware's clock pass.
    pub fn pass(&self, micros: u64) {
        let end = clock::micros() + micros;
        self.settle();
        while clock::micros() < end {
            clock::set(clock::next_alarm().clamp(clock::micros() + 1, end));
            self.settle();
        }
    }

    /// Lets the firmware run until `done` is, which is somebody else's work and not counted.
    ///
    /// # Panics
    /// If that takes longer than anything may.
    pub fn until<T>(&self, done: impl Future<Output = T>) -> T {
        let mut done = pin!(done);
        let patience = clock::micros() + PATIENCE;
        let mut asked = 0;
        loop {
            if let Poll::Ready(result) = done.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                return result;
            }
            // Asking wakes the client's stack, so what is still to come shows only after a while.
            asked += 1;
            if !self.settle() || asked % 8 == 0 {
                assert!(clock::micros() < patience, "what the device was to do it never did");
                self.pass(1_000);
            }
        }
    }

    /// Instructions that task `name` has taken so far.
    ///
    /// # Panics
    /// If there is no such task.
    pub fn taken_by(&self, name: &str) -> u64 {
        let crew = self.0.borrow();
        let member = crew.iter().find(|member| member.spec.name == name);
        member.unwrap_or_else(|| panic!("there is no task {name}")).instructions
    }

    /// Calls `each` with every task's name, its instructions so far, and the cycles charged for them.
    pub fn for_all(&self, mut each: impl FnMut(&str, u64, u64)) {
        for member in self.0.borrow().iter() {
            each(member.spec.name, member.instructions, member.charged);
        }
    }
}
