//! Two clocks: the firmware's, which only the workloads move, and the count of instructions.

use core::arch::asm;
use core::cell::{Cell, RefCell};
use core::task::Waker;

use critical_section::Mutex;
use embassy_time_driver::{Driver, time_driver_impl};
use embassy_time_queue_utils::Queue;

/// Instructions since the emulator was started.
#[inline(always)]
fn instructions() -> u64 {
    loop {
        let (high, low, again): (u32, u32, u32);
        // SAFETY: reading a counter has no effect.
        unsafe {
            asm!(
                "rdcycleh {0}", "rdcycle {1}", "rdcycleh {2}",
                out(reg) high, out(reg) low, out(reg) again, options(nomem, nostack)
            );
        }
        if high == again {
            return u64::from(high) << 32 | u64::from(low);
        }
    }
}

/// Instructions so far that nobody is to be counted for.
static UNCOUNTED: Mutex<Cell<u64>> = Mutex::new(Cell::new(0));

/// Counted instructions so far.
#[inline(always)]
fn counted() -> u64 {
    let uncounted = critical_section::with(|cs| UNCOUNTED.borrow(cs).get());
    instructions() - uncounted
}

/// A count under way.
pub struct Count(u64);

impl Count {
    /// Begins to count.
    #[inline(always)]
    pub fn begin() -> Self {
        Count(counted())
    }

    /// Instructions since.
    #[inline(always)]
    pub fn end(self) -> u64 {
        counted() - self.0
    }
}

/// The instructions of `work`, without those of counting.
#[inline(never)]
pub fn count<R>(work: impl FnOnce() -> R) -> u64 {
    let nothing = Count::begin().end();
    let count = Count::begin();
    let result = work();
    let instructions = count.end();
    core::hint::black_box(result);
    instructions.saturating_sub(nothing)
}

/// Does `work` without counting its instructions.
#[inline(always)]
pub fn uncounted<R>(work: impl FnOnce() -> R) -> R {
    let began = instructions();
    let result = work();
    critical_section::with(|cs| {
        let uncounted = UNCOUNTED.borrow(cs);
        uncounted.set(uncounted.get() + (instructions() - began));
    });
    result
}

struct Clock {
    /// Microseconds.
    now: Mutex<Cell<u64>>,
    queue: Mutex<RefCell<Queue>>,
}

impl Driver for Clock {
    fn now(&self) -> u64 {
        critical_section::with(|cs| self.now.borrow(cs).get())
    }

    fn schedule_wake(&self, at: u64, waker: &Waker) {
        critical_section::with(|cs| {
            self.queue.borrow_ref_mut(cs).schedule_wake(at, waker);
        });
    }
}

time_driver_impl!(static CLOCK: Clock = Clock {
    now: Mutex::new(Cell::new(0)),
    queue: Mutex::new(RefCell::new(Queue::new())),
});

/// Nanoseconds of the firmware's clock.
pub fn now() -> u64 {
    micros() * 1000
}

/// Microseconds of the firmware's clock.
pub fn micros() -> u64 {
    CLOCK.now()
}

/// Sets the firmware's clock to `micros`, and wakes who waited for it.
pub fn set(micros: u64) {
    critical_section::with(|cs| CLOCK.now.borrow(cs).set(micros));
    next_alarm();
}

/// When the next one is due that waits for the clock, in its microseconds.
pub fn next_alarm() -> u64 {
    critical_section::with(|cs| CLOCK.queue.borrow_ref_mut(cs).next_expiration(CLOCK.now()))
}
