//! The watchdog: a device whose tasks hang restarts by itself.
//!
//! Specification section 0: the task watchdog waits 10 s and then panics, and a panic reboots. As
//! with ESP-IDF's, what is watched is each core's idle task: one that does not get its turn has
//! something above it that never waits. A long stretch of flash work is no hang as long as it goes
//! on, so the storage task speaks for its core too.

use alloc::rc::Rc;
use core::cell::Cell;
use core::time::Duration;

use embassy_time::Timer;
use firmware_platform::{Core, Machine, TaskSpec};

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
    feed: alloc::boxed::Box<dyn Fn()>,
    /// Which cores have checked in since it was fed.
    heard: Cell<[bool; 2]>,
}

/// A handle to the watchdog; clones share it.
#[derive(Clone)]
pub struct Watchdog(Rc<Inner>);

impl Watchdog {
    /// That of `machine`, started.
    pub fn start(machine: impl Machine) -> Self {
        if !defect::present(Defect::WatchdogAbsent) {
            machine.start_watchdog(TIMEOUT);
        }
        let feed = alloc::boxed::Box::new(move || machine.feed_watchdog());
        Self(Rc::new(Inner { feed, heard: Cell::default() }))
    }

    /// One that nobody has to feed.
    #[cfg(test)]
    pub(crate) fn asleep() -> Self {
        Self(Rc::new(Inner { feed: alloc::boxed::Box::new(|| {}), heard: Cell::default() }))
    }

    /// Says that `core` does not hang. When all have, the chip hears of it.
    pub fn check_in(&self, core: Core) {
        let mut heard = self.0.heard.get();
        heard[match core {
            Core::Zero => 0,
            Core::One => 1,
        }] = true;
        if heard == [true; 2] {
            heard = [false; 2];
            (self.0.feed)();
        }
        self.0.heard.set(heard);
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
    use super::*;

    #[test]
    fn the_chip_hears_of_it_when_both_cores_have_checked_in() {
        let fed = Rc::new(Cell::new(0));
        let count = Rc::clone(&fed);
        let feed = alloc::boxed::Box::new(move || count.set(count.get() + 1));
        let watchdog = Watchdog(Rc::new(Inner { feed, heard: Cell::default() }));
        for (core, times) in
            [(Core::Zero, 0), (Core::Zero, 0), (Core::One, 1), (Core::One, 1), (Core::Zero, 2)]
        {
            watchdog.check_in(core);
            assert_eq!(fed.get(), times);
        }
    }
}
