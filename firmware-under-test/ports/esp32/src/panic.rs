//! The end of a life of the firmware: what it says on the console, and the restart.

use core::panic::PanicInfo;

use esp_backtrace::Backtrace;
use esp_println::{print, println};

use crate::machine;

/// What esp-backtrace takes off a return address to come to the call. Whoever reads the console does that by
/// itself.
const CALL_BYTES: usize = if cfg!(target_arch = "riscv32") { 4 } else { 3 };

/// Exceptions of the processor come here as well, with words of esp-hal's.
#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    println!("\r\npanic: {}\r", info.message());
    if let Some(place) = info.location() {
        println!("at {place}\r");
    }
    print!("Backtrace:");
    for frame in Backtrace::capture().frames() {
        print!(" {:#010x}", frame.program_counter() + CALL_BYTES);
    }
    println!("\r\nRebooting...\r");
    machine::restart_after_panic()
}
