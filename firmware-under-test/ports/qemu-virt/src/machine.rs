//! The chip as a whole: its starts and its watchdog.

use core::cell::Cell;
use core::time::Duration;

use critical_section::Mutex;
use firmware_platform::{ChipModel, HeapStatus, StartCause};
use rigor_agent::layout::{Cause, boot};

use crate::{clock, heap, memory, panic, start};

/// The board as a whole.
#[derive(Clone)]
pub struct Machine;

impl firmware_platform::Machine for Machine {
    /// The product's chip, for which the board stands.
    fn model(&self) -> ChipModel {
        ChipModel::ESP32_S3
    }

    fn heap(&self) -> HeapStatus {
        heap::status()
    }

    fn start_cause(&self) -> StartCause {
        match Cause::from_word(memory::word(boot::CAUSE)) {
            Some(Cause::Software) => StartCause::Software,
            Some(Cause::Panic) => StartCause::Panic,
            Some(Cause::Watchdog) => StartCause::Watchdog,
            Some(Cause::PowerOn | Cause::Pin) | None => StartCause::PowerOn,
        }
    }

    fn restart(&self) -> ! {
        restart(Cause::Software)
    }

    fn start_watchdog(&self, timeout: Duration) {
        let timeout = timeout.as_nanos() as u64;
        let due = clock::now() + timeout;
        critical_section::with(|cs| WATCHDOG.borrow(cs).set(Some(Watchdog { timeout, due })));
    }

    fn feed_watchdog(&self) {
        let now = clock::now();
        critical_section::with(|cs| {
            let watchdog = WATCHDOG.borrow(cs);
            watchdog
                .set(watchdog.get().map(|Watchdog { timeout, .. }| Watchdog { timeout, due: now + timeout }));
        });
    }
}

#[derive(Clone, Copy)]
struct Watchdog {
    timeout: u64,
    due: u64,
}

static WATCHDOG: Mutex<Cell<Option<Watchdog>>> = Mutex::new(Cell::new(None));

/// When the watchdog bites unless somebody feeds it.
pub fn watchdog_due() -> u64 {
    critical_section::with(|cs| WATCHDOG.borrow(cs).get()).map_or(u64::MAX, |watchdog| watchdog.due)
}

/// Restarts a device that nobody has said is well.
pub fn look_at_watchdog(now: u64) {
    let watchdog = critical_section::with(|cs| WATCHDOG.borrow(cs).get());
    if let Some(Watchdog { timeout, due }) = watchdog
        && now >= due
    {
        let timeout = Duration::from_nanos(timeout);
        let message = format_args!("the watchdog was not fed for {timeout:?}");
        panic::die(Cause::Watchdog, message, format_args!("by the watchdog"), 0);
    }
}

/// Starts the device anew.
pub fn restart(cause: Cause) -> ! {
    memory::set_word(boot::CAUSE, cause.word());
    start::again()
}

/// The rig has pulsed the reset pin.
pub fn reset() -> ! {
    restart(Cause::Pin)
}
