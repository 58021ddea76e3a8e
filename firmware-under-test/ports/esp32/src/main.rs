//! Starts the firmware under test on Espressif's chips: ESP32-S3, ESP32-C3, ESP32-C6.
//!
//! The chip's drivers are esp-hal's, its threads esp-rtos's. What the port adds is small: it gives each task
//! of the firmware a [thread](tasks) of its own with the priority that the specification lists, keeps the
//! [flash](mod@flash) away from the [LED lanes](leds) while these are sent, and [counts](heap) what the heap
//! gives. What differs from chip to chip is in [`board`].
#![no_std]
#![no_main]

extern crate alloc;

mod board;
mod chip;
mod console;
mod flash;
mod heap;
mod leds;
mod machine;
mod panic;
mod radio;
mod start;
mod tasks;
