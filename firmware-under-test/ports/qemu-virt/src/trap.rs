//! Interrupts and exceptions: the way from one task to another.
//!
//! The registers of the interrupted task go on its own stack; what is done about the interrupt runs on the
//! stack of interrupts; then the registers of whichever task is to run are taken back.

use core::arch::global_asm;

use crate::{entry, kernel, panic};

/// The registers of a task that does not run: x1, x3 to x31, then `mepc` and `mstatus`.
#[repr(C, align(16))]
pub struct Frame {
    registers: [usize; 30],
    _unused: usize,
    mepc: usize,
    mstatus: usize,
    _padding: [usize; 3],
}

const _: () = assert!(size_of::<Frame>() == 144);

/// Index of x10 (a0), the first argument.
const A0: usize = 8;
/// Machine mode, and interrupts on after `mret` (RISC-V privileged specification, section 3.1.6).
const MSTATUS: usize = 0b11 << 11 | 1 << 7;

impl Frame {
    /// Of a task that begins with `entry(argument)`.
    pub fn new(entry: extern "C" fn(usize) -> !, argument: usize) -> Self {
        let mut registers = [0; 30];
        registers[A0] = argument;
        Frame { registers, _unused: 0, mepc: entry as usize, mstatus: MSTATUS, _padding: [0; 3] }
    }
}

global_asm!(
    ".attribute arch, \"rv32imac\"",
    ".macro registers operation",
    "\\operation x1, 0(sp)",
    "\\operation x3, 4(sp)",
    "\\operation x4, 8(sp)",
    "\\operation x5, 12(sp)",
    "\\operation x6, 16(sp)",
    "\\operation x7, 20(sp)",
    "\\operation x8, 24(sp)",
    "\\operation x9, 28(sp)",
    "\\operation x10, 32(sp)",
    "\\operation x11, 36(sp)",
    "\\operation x12, 40(sp)",
    "\\operation x13, 44(sp)",
    "\\operation x14, 48(sp)",
    "\\operation x15, 52(sp)",
    "\\operation x16, 56(sp)",
    "\\operation x17, 60(sp)",
    "\\operation x18, 64(sp)",
    "\\operation x19, 68(sp)",
    "\\operation x20, 72(sp)",
    "\\operation x21, 76(sp)",
    "\\operation x22, 80(sp)",
    "\\operation x23, 84(sp)",
    "\\operation x24, 88(sp)",
    "\\operation x25, 92(sp)",
    "\\operation x26, 96(sp)",
    "\\operation x27, 100(sp)",
    "\\operation x28, 104(sp)",
    "\\operation x29, 108(sp)",
    "\\operation x30, 112(sp)",
    "\\operation x31, 116(sp)",
    ".endm",
    ".section .text.trap",
    ".balign 4",
    ".global _trap",
    "_trap:",
    "addi sp, sp, -144",
    "registers sw",
    "csrr t0, mepc",
    "sw t0, 124(sp)",
    "csrr t0, mstatus",
    "sw t0, 128(sp)",
    "mv a0, sp",
    "csrr a1, mcause",
    "csrr a2, mtval",
    "call {interrupt_stack_top}",
    ".global _resume",
    "_resume:",
    "mv sp, a0",
    "lw t0, 124(sp)",
    "csrw mepc, t0",
    "lw t0, 128(sp)",
    "csrw mstatus, t0",
    "registers lw",
    "addi sp, sp, 144",
    "mret",
    interrupt_stack_top = sym on_interrupt_stack,
);

unsafe extern "C" {
    fn _resume(frame: *mut Frame) -> !;
}

/// Goes on with a task.
///
/// # Safety
/// `frame` is the frame of a task that does not run.
pub unsafe fn resume(frame: *mut Frame) -> ! {
    // SAFETY: by the caller's promise.
    unsafe { _resume(frame) }
}

/// Changes to the stack of interrupts for as long as `handle` runs; the caller's frame pointer stays, so a
/// backtrace finds the task.
#[unsafe(naked)]
unsafe extern "C" fn on_interrupt_stack(frame: *mut Frame, cause: usize, value: usize) -> *mut Frame {
    core::arch::naked_asm!(
        "mv s1, ra",
        "mv s2, a0",
        "mv s3, a1",
        "mv s4, a2",
        "call {top}",
        "mv sp, a0",
        "mv a0, s2",
        "mv a1, s3",
        "mv a2, s4",
        "call {handle}",
        "jr s1",
        top = sym interrupt_stack_of,
        handle = sym handle,
    )
}

extern "C" fn interrupt_stack_of() -> usize {
    entry::stack()
}

/// Machine timer interrupt (`mcause`; RISC-V privileged specification, table 3.6).
const TIMER: usize = 1 << 31 | 7;
/// Machine software interrupt.
const SOFTWARE: usize = 1 << 31 | 3;
/// Environment call from machine mode.
const CALL: usize = 11;

extern "C" fn handle(frame: *mut Frame, cause: usize, value: usize) -> *mut Frame {
    match cause {
        TIMER => {}
        SOFTWARE => kernel::acknowledge_request(),
        // SAFETY: the frame that was written a moment ago.
        CALL => unsafe { (*frame).mepc += 4 },
        // SAFETY: as above.
        _ => panic::exception(cause, unsafe { (*frame).mepc }, value, unsafe { (*frame).registers[6] }),
    }
    kernel::switch(frame)
}
