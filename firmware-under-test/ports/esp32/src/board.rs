//! What differs from chip to chip: its name, pins, and how much memory there is for the heap.
//!
//! On the ESP32-S3 the LED pins are PRISM K1's. The other chips have strapping pins or the flash there, so
//! their boards have the lanes elsewhere.

use firmware_platform::ChipModel;

/// Names the chip's pins: `leds` first pixels 0 to 159, then 160 to 319; `console` as the ROM has UART0.
macro_rules! pins {
    ($chip:literal, leds: $first:ident, $second:ident, console: $rx:ident, $tx:ident) => {
        /// The pins of this chip's board, taken from all peripherals.
        #[cfg(feature = $chip)]
        macro_rules! pins_of_chip {
            ($peripherals:ident) => {
                $crate::board::Pins {
                    leds: [$peripherals.$first.degrade(), $peripherals.$second.degrade()],
                    console_rx: $peripherals.$rx.degrade(),
                    console_tx: $peripherals.$tx.degrade(),
                }
            };
        }
    };
}

// GPIO 9 and 10: PRISM K1's firmware specification, section 1.
pins!("esp32s3", leds: GPIO9, GPIO10, console: GPIO44, GPIO43);
// GPIO 9 starts the loader; 11 to 17 are the flash's.
pins!("esp32c3", leds: GPIO3, GPIO10, console: GPIO20, GPIO21);
// GPIO 9 starts the loader; modules with the flash inside have no 10 and 11.
pins!("esp32c6", leds: GPIO2, GPIO3, console: GPIO17, GPIO16);

pub(crate) use pins_of_chip as pins_of;

/// The pins that the firmware has.
pub struct Pins {
    /// Data of the two LED lanes.
    pub leds: [esp_hal::gpio::AnyPin<'static>; 2],
    /// What the console hears.
    pub console_rx: esp_hal::gpio::AnyPin<'static>,
    /// What it says.
    pub console_tx: esp_hal::gpio::AnyPin<'static>,
}

/// Which chip the image is for.
pub const MODEL: ChipModel = if cfg!(feature = "esp32c3") {
    ChipModel { name: "ESP32-C3", cores: 1, ieee802154: false }
} else if cfg!(feature = "esp32c6") {
    ChipModel { name: "ESP32-C6", cores: 1, ieee802154: true }
} else {
    ChipModel::ESP32_S3
};

/// Bytes of RAM for the heap. The rest is for variables, code that cannot wait for the flash, and the stack
/// of the start. The radio takes of it twice: its code and the sockets' buffers are in the rest, and what it
/// allocates comes from the heap (`radio/controller.rs`).
pub const HEAP_BYTES: usize = if cfg!(feature = "esp32c3") {
    if cfg!(feature = "wifi") { 128 * 1024 } else { 232 * 1024 }
} else if cfg!(feature = "esp32c6") {
    if cfg!(feature = "wifi") { 230 * 1024 } else { 344 * 1024 }
} else if cfg!(feature = "wifi") {
    // Not built yet: by what the other two have besides, in RAM of that size.
    96 * 1024
} else {
    224 * 1024
};

/// Bytes for the heap of what the loader used before, which is another stretch of the RAM.
pub const RECLAIMED_BYTES: usize = if cfg!(feature = "wifi") { 64 * 1024 } else { 56 * 1024 };

/// Blocks of RMT memory for each lane. A block holds 48 symbols and a lane is refilled by halves of what it
/// has, so more blocks mean fewer interrupts, which may also be later.
pub const RMT_BLOCKS: [u8; 2] = if cfg!(feature = "esp32s3") { [3, 5] } else { [1, 3] };
