//! The watchdog: a device whose tasks hang restarts by itself.
//!
//! Specification section 0: the task watchdog waits 10 s and then panics, and a panic reboots. As
//! with ESP-IDF's, what is watched is each core's idle task: one that does not get its turn has
//! something above it that never waits. A long stretch of flash work is no hang as long as it goes
//! on, so the storage task speaks for its core too.

use alloc::boxed::Box;
use core::sync::atomic::Ordering;
use core::time::Duration;

use embassy_time::Timer;
use firmware_platform::{Core, Machine, TaskSpec};
use portable_atomic::AtomicU8;
use portable_atomic_util::Arc;

use crate::defect::{self, Defect};

/// How long a core may keep its idle task waiting (specification section 0).
pub const TIMEOUT: Duration = Duration::from_secs(10);
/// How often an idle task says that it had its turn.
const CHECK_IN: embassy_time::Duration = embassy_time::Duration::from_secs(1);

/// The idle task of each core, with ESP-IDF's names and stacks.
pub(crate) const IDLE: [TaskSpec; 2] = [
    TaskSpec { name: "IDLE0", priority: 0, stack_bytes: 1536, core: Core::Zero },
    TaskSpec { name: "IDLE1", priority: 0, stack_bytes: 1536, core: Core::One },
];

struct Inner {
    /// Feeds the chip's watchdog.
    feed: Box<dyn Fn()>,
    /// Which cores have checked in since it was fed, a bit for each.
    heard: AtomicU8,
}

const NOBODY: u8 = 0b00;
const BOTH: u8 = 0b11;

/// A handle to the watchdog; clones share it.
#[derive(Clone)]
pub struct Watchdog(Arc<Inner>);

impl Watchdog {
    /// That of `machine`, started.
    pub fn start(machine: impl Machine) -> Self {
        if !defect::present(Defect::WatchdogAbsent) {
            machine.start_watchdog(TIMEOUT);
        }
        Self::fed_by(Box::new(move || machine.feed_watchdog()))
    }

    /// A chip's handle need not be `Send` where it is simulated; where tasks pre-empt each other it can be called
    /// from each.
    fn fed_by(feed: Box<dyn Fn()>) -> Self {
        Self(Arc::new(Inner { feed, heard: AtomicU8::new(NOBODY) }))
    }

    /// One that nobody has to feed.
    #[cfg(test)]
    pub(crate) fn asleep() -> Self {
        Self::fed_by(Box::new(|| {}))
    }

    /// Says that `core` does not hang. When all have, the chip hears of it.
    pub fn check_in(&self, core: Core) {
        let bit = match core {
            Core::Zero => 0b01,
            Core::One => 0b10,
        };
        let heard = &self.0.heard;
        let complete = heard.fetch_or(bit, Ordering::Relaxed) | bit == BOTH;
        // Of several tasks that see it complete, one begins anew; nobody's word is lost.
        if complete && heard.compare_exchange(BOTH, NOBODY, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            (self.0.feed)();
        }
    }

    /// The body of the idle task of `core`.
    pub(crate) async fn idle(self, core: Core) {
        loop {
            self.check_in(core);
            Timer::after(CHECK_IN).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::rc::Rc;
    use core::cell::Cell;

    use super::*;

    #[test]
    fn the_chip_hears_of_it_when_both_cores_have_checked_in() {
        let fed = Rc::new(Cell::new(0));
        let count = Rc::clone(&fed);
        let watchdog = Watchdog::fed_by(Box::new(move || count.set(count.get() + 1)));
        for (core, times) in
            [(Core::Zero, 0), (Core::Zero, 0), (Core::One, 1), (Core::One, 1), (Core::Zero, 2)]
        {
            watchdog.check_in(core);
            assert_eq!(fed.get(), times);
        }
    }
}
