//! PRISM K1: the firmware of an ESP32-S3 controller of 320 WS2812B pixels, as a portable library.
//!
//! It boots, keeps patterns in a LittleFS partition, plays one of them at 120 frames per second on
//! two parallel LED lanes, and takes uploads and commands over WebSocket and UART. A port calls
//! [`start`] once with the peripherals of its chip; everything else happens in tasks with the
//! cores, priorities and stacks that the specification lists.
//!
//! In comments, "the seed" is PRISM K1's firmware specification of 2025-10-21, and "the
//! specification" is this project's catalogue of facts about the device. Neither is published here.
//! Where the sources disagree, the code follows the "suite reading" of the specification's
//! section 11; the requirements of the suite say in `reading` what that is.
//!
//! | Module | What it is |
//! |---|---|
//! | [`boot`] | the order of the start, the tasks |
//! | [`pool`], [`memory`], [`log`], [`monitor`] | memory, log, heap monitor |
//! | `guarded` | how tasks share state |
//! | [`watchdog`] | the restart of a device that hangs |
//! | [`settings`], [`partition`] | NVS, the partition table |
//! | [`storage`], [`pattern`], [`templates`] | files, their format, the embedded ones |
//! | [`playback`] | frames to LEDs |
//! | [`net`], [`protocol`] | WebSocket server, setup portal, mDNS, the messages |
//! | [`wifi`] | the setup access point and the joined network |
//! | [`console`] | UART test commands |
//! | [`defect`] | what can be wrong on purpose, in builds for the kill matrix |
//! | [`cost`] | what computing costs, for a simulated processor |
//!
//! All state hangs on the tasks: dropping them is a complete power-off, and any number of boards
//! live in one process.
#![no_std]

extern crate alloc;
#[cfg(any(test, all(feature = "defects", not(target_os = "none"))))]
extern crate std;

use firmware_platform::{Chip, Peripherals};

pub mod boot;
pub mod checksum;
pub mod console;
pub mod cost;
pub mod defect;
mod guarded;
pub mod log;
pub mod memory;
pub mod monitor;
pub mod net;
pub mod partition;
pub mod pattern;
pub mod playback;
pub mod pool;
pub mod protocol;
pub mod settings;
pub mod storage;
pub mod templates;
pub mod watchdog;
pub mod wifi;

#[cfg(test)]
mod testing;

/// The firmware's version (seed section 8).
pub const VERSION: &str = "1.0.0";
/// LED data pins: GPIO 9 and GPIO 10 (seed section 1).
pub const LANES: usize = 2;
/// Pixels on both lanes together (seed section 1).
pub const LED_COUNT: usize = 320;
/// Frames per second (seed section 5).
pub const FPS: u32 = 120;
/// Embedded templates (seed section 6, specification section 6.3).
pub const TEMPLATE_COUNT: usize = 15;
/// Bytes of the longest pattern file: 256 KiB (seed section 2).
pub const PATTERN_BYTES_MAX: u32 = 262_144;
/// Bytes of the longest WebSocket message (seed section 4).
pub const WS_MESSAGE_MAX: usize = 4096;
/// WebSocket clients at once (seed section 4).
pub const WS_CLIENTS_MAX: usize = 2;
/// Milliseconds without a received message after which a client is disconnected (seed section 4).
pub const WS_IDLE_MS: u64 = 5000;

/// What a port may choose.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Options {
    /// The TCP port of profile `f`'s clients (specification section 11 row 3: 80).
    pub framed_port: u16,
    /// The TCP port of profile `n`'s clients (specification section 11 row 3: 8080).
    pub seed_port: u16,
}

impl Default for Options {
    fn default() -> Self {
        Self { framed_port: 80, seed_port: 8080 }
    }
}

/// Starts the firmware: call it once after each reset, then run the tasks that it spawned.
///
/// Both ports of `options` serve both profiles, on the paths `/` and `/ws`. Equal ports are served
/// once.
pub fn start<C: Chip<LANES>>(peripherals: Peripherals<LANES, C>, options: Options) {
    boot::start(peripherals, options);
}
