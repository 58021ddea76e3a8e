//! The chip as a whole: its starts and its watchdog.

use core::cell::{Cell, RefCell};
use core::time::Duration;

use critical_section::Mutex;
use esp_hal::peripherals::RTC_TIMER;
use esp_hal::ram;
use esp_hal::rtc_cntl::{Rtc, Rwdt, RwdtStage};
use esp_hal::system;
use firmware_platform::{ChipModel, HeapStatus, StartCause};

use crate::board::MODEL;
use crate::heap;

/// The chip as a whole.
#[derive(Clone)]
pub struct Machine;

impl firmware_platform::Machine for Machine {
    fn model(&self) -> ChipModel {
        MODEL
    }

    fn heap(&self) -> HeapStatus {
        heap::status()
    }

    fn start_cause(&self) -> StartCause {
        critical_section::with(|cs| START_CAUSE.borrow(cs).get())
    }

    fn restart(&self) -> ! {
        system::software_reset()
    }

    fn start_watchdog(&self, timeout: Duration) {
        let micros = u64::try_from(timeout.as_micros()).unwrap_or(u64::MAX);
        with_watchdog(|watchdog| {
            // Enabling it sets what happens when it bites, and not when.
            watchdog.enable();
            watchdog.set_timeout(RwdtStage::Stage0, esp_hal::time::Duration::from_micros(micros));
            watchdog.feed();
        });
    }

    fn feed_watchdog(&self) {
        with_watchdog(Rwdt::feed);
    }
}

static WATCHDOG: Mutex<RefCell<Option<Rwdt>>> = Mutex::new(RefCell::new(None));

/// Takes the watchdog of the chip's part that a reset of the processor leaves alone.
pub fn keep_watchdog(timer: RTC_TIMER<'static>) {
    let watchdog = Rtc::new(timer).rwdt;
    critical_section::with(|cs| WATCHDOG.borrow_ref_mut(cs).replace(watchdog));
}

fn with_watchdog(act: impl FnOnce(&mut Rwdt)) {
    critical_section::with(|cs| WATCHDOG.borrow_ref_mut(cs).as_mut().map(act));
}

static START_CAUSE: Mutex<Cell<StartCause>> = Mutex::new(Cell::new(StartCause::PowerOn));

/// What the memory that outlives a reset says after a panic; anything else is what it holds by itself.
const PANICKED: u32 = 0x7061_6E69;

/// Whether the last life ended in a panic.
#[ram(unstable(rtc_fast, persistent))]
static mut LAST_WORD: u32 = 0;

/// Finds out why the chip began to run, before anybody asks.
pub fn learn_start_cause() {
    // SAFETY: nobody else runs yet.
    let panicked = unsafe {
        let word = (&raw const LAST_WORD).read_volatile();
        (&raw mut LAST_WORD).write_volatile(0);
        word == PANICKED
    };
    // By the numbers of the technical reference manuals ("reset source"), which all three chips share;
    // esp-hal's names for them are not the same.
    let cause = match system::reset_reason().map(|reason| reason as u32) {
        Some(0x03 | 0x0C) if panicked => StartCause::Panic,
        Some(0x03 | 0x0C) => StartCause::Software,
        Some(0x07..=0x09 | 0x0B | 0x0D | 0x10..=0x12) => StartCause::Watchdog,
        _ => StartCause::PowerOn,
    };
    critical_section::with(|cs| START_CAUSE.borrow(cs).set(cause));
}

/// Starts the chip anew, which will know that it panicked.
pub fn restart_after_panic() -> ! {
    // SAFETY: nobody else writes to it any more.
    unsafe { (&raw mut LAST_WORD).write_volatile(PANICKED) };
    system::software_reset()
}
