//! From the reset vector to the workloads, and what ends them early.

use core::arch::global_asm;
use core::panic::PanicInfo;

use crate::{heap, report, workloads};

/// Bytes of the stack, which all tasks share: each is polled on it.
pub const STACK_BYTES: usize = 128 * 1024;

/// What the reset vector calls.
pub extern "C" fn start() -> ! {
    heap::start();
    workloads::count_all();
    report::end()
}

global_asm!(
    ".attribute arch, \"rv32imac\"",
    ".section .text.trap",
    ".balign 4",
    ".global _trap",
    "_trap:",
    "csrr a0, mcause",
    "csrr a1, mepc",
    "call {trapped}",
    trapped = sym trapped,
);

extern "C" fn trapped(cause: usize, at: usize) -> ! {
    panic!("exception {cause} at {at:#010x}")
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    report::fail(format_args!("{info}"))
}
