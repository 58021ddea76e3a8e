//! The reset vector: memory as the image wants it, a stack, and the start of whichever image this is.

use core::arch::global_asm;

use crate::start::{STACK_BYTES, start};

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

#[repr(align(16))]
struct Stack(#[expect(dead_code, reason = "only its address is used")] [u8; STACK_BYTES]);
#[unsafe(link_section = ".stack")]
static mut STACK: Stack = Stack([0; STACK_BYTES]);

/// Where the stack of the start begins.
pub fn stack() -> usize {
    (&raw const STACK as usize) + STACK_BYTES
}
