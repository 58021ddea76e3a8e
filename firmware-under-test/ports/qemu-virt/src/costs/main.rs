//! Counts what PRISM K1's computing takes, in instructions, for the table of costs that the virtual board
//! charges by (`firmware-under-test/prism-k1/src/cost/table.rs`).
//!
//! The firmware runs as it would be shipped, on a [chip] whose peripherals are memory and take no
//! time. Nothing interrupts: its [tasks](crew) run one after the other until all of them wait, each on an executor of
//! its own whose instructions are counted, and the [clock] moves only in between. What is on the other
//! side of the peripherals (a client with its TCP/IP stack, the cells of the flash) counts for nobody. Each of
//! the [workloads] is something that happens to the device, and the instructions that its tasks take for it.
//!
//! To be run by `cargo xtask firmware costs`, under `-icount shift=0`: then the cycle counter of the emulator
//! counts instructions.
#![no_std]
#![no_main]

extern crate alloc;

mod chip;
mod client;
mod clock;
mod crew;
#[path = "../entry.rs"]
#[expect(dead_code, reason = "there are no interrupts")]
mod entry;
mod flash;
#[path = "../heap.rs"]
#[expect(dead_code, reason = "no rig looks at it")]
mod heap;
#[path = "../memory.rs"]
#[expect(dead_code, reason = "shared with the image of the rigs")]
mod memory;
mod net;
#[path = "../one_core.rs"]
mod one_core;
mod report;
mod start;
mod workloads;
