//! The clock: ticks of the system clock, 8 ns each, counted in 64 bits.
//!
//! SysTick counts them in 24 bits and starts over every 134 ms; the timer counts microseconds in 64. Both
//! come from the one crystal, and 125 ticks are a microsecond to the digit (RP2040 datasheet, 2.15.1 and 4.7), so
//! the timer says which round of SysTick it is, and never anything about the ticks within it.

use core::sync::atomic::{AtomicU32, Ordering};

use cortex_m::peripheral::SYST;
use cortex_m::peripheral::syst::SystClkSource;
use embassy_rp::pac;
use rigor_controller::Ticks;

/// Ticks in a second.
pub(crate) const HZ: u32 = 125_000_000;
/// Ticks in a microsecond.
pub(crate) const PER_MICRO: u32 = HZ / 1_000_000;

/// SysTick starts over after so many.
pub(crate) const ROUND: u32 = 1 << 24;

/// Where SysTick's count is, which goes down to 0; ARMv6-M Architecture Reference Manual, B3.3.
pub(crate) const CURRENT: *const u32 = 0xE000_E018 as *const u32;

/// How far SysTick is ahead of the timer, within a round.
static AHEAD: AtomicU32 = AtomicU32::new(0);

/// Starts the clock.
pub(crate) fn start(mut systick: SYST) {
    systick.set_clock_source(SystClkSource::Core);
    systick.set_reload(ROUND - 1);
    systick.clear_current();
    systick.enable_counter();
    critical_section::with(|_| {
        let begun = pac::TIMER.timerawl().read();
        let edge = loop {
            let now = pac::TIMER.timerawl().read();
            if now != begun {
                break now;
            }
        };
        AHEAD.store(count().wrapping_sub(edge.wrapping_mul(PER_MICRO)) % ROUND, Ordering::Relaxed);
    });
}

/// The ticks of the present round. For short waits: subtract, and take 24 bits of it.
#[inline(always)]
pub(crate) fn count() -> u32 {
    (ROUND - 1) - SYST::get_current()
}

/// What SysTick itself shows when [`count`] is `count`: it goes down.
#[inline(always)]
pub(crate) const fn shown(count: u32) -> u32 {
    (ROUND - 1).wrapping_sub(count) % ROUND
}

/// Ticks until SysTick [shows](shown) `count`, at most half a round, or negative ones since it did.
#[inline(always)]
pub(crate) fn until(count: u32) -> i32 {
    (SYST::get_current().wrapping_sub(count) << 8) as i32 >> 8
}

/// The instant within the last 71 minutes at which the lower half of the timer's microseconds was `low`.
pub(crate) fn of_micros(low: u32) -> Ticks {
    let now = micros();
    Ticks(in_ticks(now - u64::from((now as u32).wrapping_sub(low))))
}

/// 125 of each, without a multiplication of 64 bits, which this core has to call a function for.
#[inline(always)]
const fn in_ticks(micros: u64) -> u64 {
    const { assert!(PER_MICRO == 128 - 3) };
    (micros << 7) - micros - (micros << 1)
}

/// What the clock shows.
#[inline(always)]
pub(crate) fn now() -> Ticks {
    let count = count();
    at(count)
}

/// The instant within the last 67 ms, or the next, at which [`count`] was `count`.
#[inline(always)]
pub(crate) fn at(count: u32) -> Ticks {
    let count = count.wrapping_sub(AHEAD.load(Ordering::Relaxed)) % ROUND;
    let about = in_ticks(micros());
    // Half a round of leeway to both sides: interrupts may have come between the two readings.
    let off = count.wrapping_sub(about as u32).wrapping_add(ROUND / 2) % ROUND;
    Ticks(about + u64::from(off) - u64::from(ROUND / 2))
}

/// Ticks from the reading of SysTick, in the second of the two that it takes, to the store after it.
const STORE: u64 = 1;

/// Writes `value` to the register at `register`; when that was. Nobody may interrupt. In memory, because the flash's
/// cache could come between the two.
///
/// # Safety
/// It may be written to the register.
#[inline(never)]
#[unsafe(link_section = ".data.store")]
pub(crate) unsafe fn store(register: *mut u32, value: u32) -> Ticks {
    let left: u32;
    // SAFETY: SysTick may be read, and the caller says that the register may be written.
    unsafe {
        core::arch::asm!(
            "ldr {left}, [{current}]",
            "str {value}, [{register}]",
            left = out(reg) left,
            current = in(reg) CURRENT,
            value = in(reg) value,
            register = in(reg) register,
            options(nostack),
        );
    }
    at((ROUND - 1) - left) + STORE
}

/// The timer's microseconds.
#[inline(always)]
fn micros() -> u64 {
    loop {
        let high = pac::TIMER.timerawh().read();
        let low = pac::TIMER.timerawl().read();
        if pac::TIMER.timerawh().read() == high {
            return u64::from(high) << 32 | u64::from(low);
        }
    }
}
