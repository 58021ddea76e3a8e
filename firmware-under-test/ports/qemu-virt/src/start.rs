//! From the reset vector to the firmware's tasks.

use core::arch::{asm, global_asm};

use prism_k1::Options;
use rigor_agent::layout::{Command, Reason};

use crate::{agent, chip, clock, heap, kernel};

global_asm!(
    ".attribute arch, \"rv32imac\"",
    ".section .text.start",
    ".global _start",
    "_start:",
    // Interrupts off, whoever jumped here.
    "csrw mie, zero",
    "csrci mstatus, 8",
    "la t0, _trap",
    "csrw mtvec, t0",
    "la t0, _data_start",
    "la t1, _data_end",
    "la t2, _data_load",
    "1: bgeu t0, t1, 2f",
    "lw t3, 0(t2)",
    "sw t3, 0(t0)",
    "addi t0, t0, 4",
    "addi t2, t2, 4",
    "j 1b",
    "2: la t0, _bss_start",
    "la t1, _bss_end",
    "3: bgeu t0, t1, 4f",
    "sw zero, 0(t0)",
    "addi t0, t0, 4",
    "j 3b",
    "4: la sp, {stack}",
    "li t0, {stack_bytes}",
    "add sp, sp, t0",
    // The end of the chain of frames.
    "li s0, 0",
    "li ra, 0",
    "call {start}",
    stack = sym STACK,
    stack_bytes = const STACK_BYTES,
    start = sym start,
);

/// Of the start, and then of interrupts.
const STACK_BYTES: usize = 16 * 1024;
#[repr(align(16))]
struct Stack(#[expect(dead_code, reason = "only its address is used")] [u8; STACK_BYTES]);
#[unsafe(link_section = ".stack")]
static mut STACK: Stack = Stack([0; STACK_BYTES]);

/// Where the stack of interrupts begins.
pub fn interrupt_stack() -> usize {
    (&raw const STACK as usize) + STACK_BYTES
}

/// Starts the device anew, from the reset vector.
pub fn again() -> ! {
    // SAFETY: the start sets up everything that it relies on.
    unsafe { asm!("j _start", options(noreturn)) }
}

extern "C" fn start() -> ! {
    agent::open();
    loop {
        match agent::meet_in_reset() {
            Some(Command::Run) => break,
            _ => wait_in_reset(),
        }
    }
    clock::start();
    heap::start();
    // The rig looks at the heap before anybody has any of it.
    agent::meet(Reason::Record);
    #[cfg(feature = "defects")]
    give_defect();
    // SAFETY: once a start.
    let peripherals = unsafe { chip::peripherals() };
    prism_k1::start(peripherals, Options::default());
    kernel::run()
}

/// The timer's interrupt need not be taken to end a wait, but it must be enabled.
fn wait_in_reset() {
    const MTIE: usize = 1 << 7;
    // SAFETY: interrupts as a whole are off.
    unsafe { asm!("csrs mie, {}", in(reg) MTIE) };
    clock::wait_alone_until(agent::until());
}

#[cfg(feature = "defects")]
fn give_defect() {
    use prism_k1::defect::{self, Defect};
    use rigor_agent::layout::boot;

    use crate::memory;

    let length = (memory::word(boot::DEFECT_LENGTH) as usize).min(boot::DEFECT_MAX);
    // SAFETY: the rig writes it before the machine starts.
    let name = unsafe { memory::bytes(boot::DEFECT, length) };
    defect::give(Defect::ALL.iter().copied().find(|defect| defect.name().as_bytes() == name));
}
