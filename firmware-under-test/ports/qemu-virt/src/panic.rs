//! The end of a life of the firmware: what it says, to the rig and on the console, and the restart.

use core::arch::asm;
use core::fmt::{self, Write};
use core::panic::PanicInfo;

use rigor_agent::Record;
use rigor_agent::layout::{Cause, Reason};

use crate::{agent, clock, console, kernel, machine};

/// Bytes of the longest last words.
const TEXT_BYTES: usize = 1024;
/// Frames of a backtrace at most.
const FRAMES: usize = 16;

/// What fits of a text.
struct Text {
    bytes: [u8; TEXT_BYTES],
    length: usize,
}

impl Text {
    fn new() -> Self {
        Text { bytes: [0; TEXT_BYTES], length: 0 }
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl Write for Text {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = TEXT_BYTES - self.length;
        let mut count = text.len().min(room);
        while !text.is_char_boundary(count) {
            count -= 1;
        }
        self.bytes[self.length..][..count].copy_from_slice(&text.as_bytes()[..count]);
        self.length += count;
        Ok(())
    }
}

/// Says `message`, once as what became of the device and once on the console, as ESP-IDF's panic handler
/// does, and starts the device anew.
pub fn die(cause: Cause, message: fmt::Arguments<'_>, place: fmt::Arguments<'_>, frame: usize) -> ! {
    // SAFETY: nobody turns interrupts on again in this life.
    unsafe { asm!("csrci mstatus, 8") };
    let mut text = Text::new();
    let _ = text.write_fmt(message);
    let now = clock::now();
    agent::record(now, &Record::Crash(text.bytes()));
    let mut told = Text::new();
    let _ = told.write_str("\r\npanic: ");
    let _ = told.write_fmt(message);
    let _ = write!(told, "\r\n{place}, in task {}\r\nBacktrace:", kernel::current_name());
    for address in Backtrace(frame).take(FRAMES) {
        let _ = write!(told, " {address:#010x}");
    }
    let _ = told.write_str("\r\nRebooting...\r\n");
    agent::record(now, &Record::Console(told.bytes()));
    agent::meet(Reason::Record);
    clock::wait_alone_until(now + console::duration(told.bytes().len()));
    machine::restart(cause)
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    let frame: usize;
    // SAFETY: reading a register; the target keeps frame pointers.
    unsafe { asm!("mv {}, s0", out(reg) frame) };
    match info.location() {
        Some(place) => {
            die(Cause::Panic, format_args!("{}", info.message()), format_args!("at {place}"), frame)
        }
        None => die(Cause::Panic, format_args!("{}", info.message()), format_args!("somewhere"), frame),
    }
}

/// An exception of the processor (`mcause`; RISC-V privileged specification, table 3.6).
pub fn exception(cause: usize, at: usize, value: usize, frame: usize) -> ! {
    let what = match cause {
        0 => "instruction address misaligned",
        1 => "instruction access fault",
        2 => "illegal instruction",
        3 => "breakpoint",
        4 => "load address misaligned",
        5 => "load access fault",
        6 => "store address misaligned",
        7 => "store access fault",
        _ => "exception",
    };
    die(
        Cause::Panic,
        format_args!("{what} ({cause}) at {at:#010x}, value {value:#010x}"),
        format_args!("at {at:#010x}"),
        frame,
    )
}

/// The return addresses on a stack, innermost first.
struct Backtrace(usize);

impl Iterator for Backtrace {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        /// Where stacks can lie (memory.ld).
        const SRAM: core::ops::Range<usize> = 0x8040_0008..0x8060_0000;
        if !SRAM.contains(&self.0) || !self.0.is_multiple_of(4) {
            return None;
        }
        // SAFETY: aligned, and within memory that exists; what stands there is only printed or checked again.
        let (address, outer) = unsafe { (*((self.0 - 4) as *const usize), *((self.0 - 8) as *const usize)) };
        self.0 = if outer > self.0 { outer } else { 0 };
        (address != 0).then_some(address)
    }
}
