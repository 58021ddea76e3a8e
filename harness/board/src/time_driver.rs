//! `embassy-time` on the virtual clock.
//!
//! The driver is one for the process, the boards are many: it serves the board whose firmware is
//! running on this thread.

use std::task::Waker;

use embassy_time_driver::{Driver, TICK_HZ, time_driver_impl};

use crate::cpu::{note_call, with_running_kernel};

struct VirtualClock;

const NANOS_PER_TICK: u64 = 1_000_000_000 / TICK_HZ;

impl Driver for VirtualClock {
    /// Ticks since the device started; zero on a thread that runs no firmware.
    fn now(&self) -> u64 {
        with_running_kernel(|kernel| {
            // A loop that only looks at the clock would look for ever.
            note_call(kernel);
            kernel.uptime_nanos() / NANOS_PER_TICK
        })
        .unwrap_or(0)
    }

    fn schedule_wake(&self, at: u64, waker: &Waker) {
        with_running_kernel(|kernel| kernel.arm_timer(at.saturating_mul(NANOS_PER_TICK), waker));
    }
}

time_driver_impl!(static DRIVER: VirtualClock = VirtualClock);
