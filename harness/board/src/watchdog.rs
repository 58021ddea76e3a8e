//! The timer that restarts a chip whose firmware hangs: unlike the reset pin, it needs nobody.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use rigor_core::Instant;
use rigor_core::event::ResetCause;

use crate::cpu;
use crate::heap::outside_firmware;
use crate::kernel::Kernel;

/// Whether it runs, and until when it waits.
#[derive(Default)]
pub(crate) struct Watchdog(Cell<Option<Armed>>);

#[derive(Clone, Copy)]
struct Armed {
    timeout: Duration,
    due: Instant,
}

impl Watchdog {
    /// A start of the device begins without it.
    pub(crate) fn stop(&self) {
        self.0.set(None);
    }
}

/// The firmware's view of the watchdog.
#[derive(Clone)]
pub struct WatchdogHandle(pub(crate) Rc<Kernel>);

impl WatchdogHandle {
    /// From now on the device is restarted when nobody feeds it for `timeout`. It cannot be
    /// stopped, only started anew.
    pub fn start(&self, timeout: Duration) {
        outside_firmware(|| {
            cpu::note_call(&self.0);
            if self.0.is_inert() {
                return;
            }
            let ran = self.0.watchdog.0.get().is_some();
            let timeout = self.0.chip_time(timeout);
            let due = self.0.now() + timeout;
            self.0.watchdog.0.set(Some(Armed { timeout, due }));
            if !ran {
                wait(&self.0, due);
            }
        });
    }

    /// Says that the firmware is well. Does nothing before [`start`](Self::start).
    pub fn feed(&self) {
        outside_firmware(|| {
            cpu::note_call(&self.0);
            let watchdog = &self.0.watchdog.0;
            let now = self.0.now();
            watchdog.set(watchdog.get().map(|armed| Armed { due: now + armed.timeout, ..armed }));
        });
    }
}

/// Looks again when the watchdog is due by what is known now. One event a time-out, however often
/// it is fed.
fn wait(kernel: &Rc<Kernel>, at: Instant) {
    kernel.schedule_inside(at, |kernel| match kernel.watchdog.0.get() {
        Some(Armed { timeout, due }) if due <= kernel.now() => {
            let message = format!("the watchdog was not fed for {timeout:?}");
            kernel.crash_by(ResetCause::Watchdog, &message);
        }
        Some(Armed { due, .. }) => wait(kernel, due),
        None => {}
    });
}
