//! Starts the firmware under test on QEMU's RISC-V machine `virt`, bare metal.
//!
//! The port is a small chip: a [scheduler](kernel) with real pre-emption whose tasks run embassy executors,
//! drivers for pulses, flash, console and network whose signals leave as time-stamped records, and the
//! [agent](mod@agent) that meets the rig. One image serves rigs in exact time, where the clock counts
//! instructions and stands still while rig and device meet, and rigs in real time.
#![no_std]
#![no_main]

extern crate alloc;

mod agent;
mod chip;
mod clock;
mod console;
mod entry;
mod flash;
mod heap;
mod kernel;
mod leds;
mod machine;
mod memory;
mod net;
mod one_core;
mod panic;
mod start;
mod trap;
