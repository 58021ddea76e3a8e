//! What is told to whoever runs this image, line by line on the serial port: `xtask` reads it.

use core::fmt::{self, Write};

use critical_section::Mutex;

/// The transmitter's register (NS16550A on `virt`; the emulator takes every byte at once).
const TRANSMIT: *mut u8 = 0x1000_0000 as *mut u8;
/// The machine's test finisher: it ends the emulator.
const FINISHER: *mut u32 = 0x0010_0000 as *mut u32;
const PASS: u32 = 0x5555;
const FAIL: u32 = 1 << 16 | 0x3333;

static TOLD: Mutex<core::cell::Cell<u32>> = Mutex::new(core::cell::Cell::new(0));

struct Serial;

impl Write for Serial {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            // SAFETY: the machine has this register.
            unsafe { TRANSMIT.write_volatile(byte) };
        }
        Ok(())
    }
}

fn line(line: fmt::Arguments<'_>) {
    // The serial port takes everything.
    let _ = Serial.write_fmt(format_args!("{line}\n"));
}

/// `instructions` were counted for `items` of what `name` names.
pub fn counted(name: &str, items: u64, instructions: u64) {
    line(format_args!("count {name} {items} {instructions}"));
    critical_section::with(|cs| {
        let told = TOLD.borrow(cs);
        told.set(told.get() + 1);
    });
}

/// The task `name` has taken so many instructions in all, for which `Cpu::work` was told so many cycles.
pub fn charged(name: &str, instructions: u64, cycles: u64) {
    line(format_args!("task {name} {instructions} {cycles}"));
}

/// All is told.
pub fn end() -> ! {
    let told = critical_section::with(|cs| TOLD.borrow(cs).get());
    line(format_args!("end {told} opt-level={}", env!("OPT_LEVEL")));
    finish(PASS)
}

/// It cannot be counted.
pub fn fail(why: fmt::Arguments<'_>) -> ! {
    line(format_args!("failed {why}"));
    finish(FAIL)
}

fn finish(code: u32) -> ! {
    loop {
        // SAFETY: the machine has this register.
        unsafe { FINISHER.write_volatile(code) };
    }
}
