//! The device's clock, its alarm, and `embassy-time` on both.
//!
//! In exact time the cycle counter counts nanoseconds: QEMU's `-icount` gives each instruction the same
//! share of virtual time. A device with nothing to do does not wait there but goes on at the instant at which
//! it has: it adds what it has passed over to its clock. QEMU would do the same for a processor that waits
//! (`wfi`), but in a thread of its own, which now and then finds the instructions uncounted that came just
//! before, and the clock is microseconds off. In real time the counter would count the cycles of the
//! host's processor, so the machine's timer (10 MHz) serves there, and a wait is one.

use core::arch::asm;
use core::cell::RefCell;
use core::task::Waker;

use critical_section::Mutex;
use embassy_time_driver::{Driver, time_driver_impl};
use embassy_time_queue_utils::Queue;
use rigor_agent::layout::{Network, boot};

use crate::{kernel, memory};

/// Nanoseconds of a count of the machine's timer on `virt`.
const TIMER_NS: u64 = 100;
/// The compare register of the machine's timer (SiFive CLINT on `virt`).
const MTIMECMP: *mut u32 = 0x0200_4000 as *mut u32;
/// Nanoseconds of a tick of `embassy-time`.
const TICK_NS: u64 = 1_000;

/// A 64-bit counter out of two reads of its halves.
macro_rules! counter {
    ($high:literal, $low:literal) => {
        loop {
            let (high, low, again): (u32, u32, u32);
            // SAFETY: reading a counter has no effect.
            unsafe {
                asm!(
                    concat!($high, " {0}"), concat!($low, " {1}"), concat!($high, " {2}"),
                    out(reg) high, out(reg) low, out(reg) again, options(nomem, nostack)
                );
            }
            if high == again {
                break u64::from(high) << 32 | u64::from(low);
            }
        }
    };
}

/// Whether nothing but instructions moves the clock.
fn exact() -> bool {
    memory::word(boot::NETWORK) != Network::Interface.word()
}

/// Nanoseconds since the machine was switched on.
pub fn now() -> u64 {
    if exact() {
        counter!("rdcycleh", "rdcycle") + memory::long(boot::PASSED_OVER)
    } else {
        counter!("rdtimeh", "rdtime") * TIMER_NS
    }
}

/// When the firmware's own clock stood at zero.
fn started() -> u64 {
    memory::long(boot::STARTED)
}

/// Sets the firmware's clock to zero.
pub fn start() {
    memory::set_long(boot::STARTED, now());
}

/// Has the timer interrupt come at `at`, or a count of the timer later.
pub fn set_alarm(at: u64) {
    let count = at.saturating_sub(memory::long(boot::PASSED_OVER)).div_ceil(TIMER_NS);
    // SAFETY: the machine has these registers; the order of the writes lets no alarm slip through (RISC-V
    // privileged specification, section 3.2.1).
    unsafe {
        MTIMECMP.write_volatile(u32::MAX);
        MTIMECMP.add(1).write_volatile((count >> 32) as u32);
        MTIMECMP.write_volatile(count as u32);
    }
}

/// Waits for `at`, which is the next instant at which anything happens, or for an interrupt.
pub fn pass_until(at: u64) {
    if exact() {
        let passed = at.saturating_sub(now());
        memory::set_long(boot::PASSED_OVER, memory::long(boot::PASSED_OVER) + passed);
    } else {
        // SAFETY: `wfi` only waits; it ends with any interrupt that could be taken, even if none may.
        unsafe { asm!("wfi") };
    }
}

/// Waits for `at` with interrupts off. Nothing else happens meanwhile.
pub fn wait_alone_until(at: u64) {
    while now() < at {
        set_alarm(at);
        pass_until(at);
    }
}

struct Clock {
    queue: Mutex<RefCell<Queue>>,
}

impl Driver for Clock {
    fn now(&self) -> u64 {
        now().saturating_sub(started()) / TICK_NS
    }

    fn schedule_wake(&self, at: u64, waker: &Waker) {
        critical_section::with(|cs| {
            if self.queue.borrow_ref_mut(cs).schedule_wake(at, waker) {
                kernel::look_at_alarm(due(at));
            }
        });
    }
}

/// When tick `at` begins.
fn due(at: u64) -> u64 {
    started().saturating_add(at.saturating_mul(TICK_NS))
}

time_driver_impl!(static CLOCK: Clock = Clock { queue: Mutex::new(RefCell::new(Queue::new())) });

/// Wakes whoever waited for a tick that has come; when the next one is due.
pub fn tick() -> u64 {
    critical_section::with(|cs| due(CLOCK.queue.borrow_ref_mut(cs).next_expiration(CLOCK.now())))
}
