//! From esp-hal's reset vector to the firmware's tasks.

use esp_hal::clock::CpuClock;
use esp_hal::gpio::Pin;
use esp_hal::timer::timg::TimerGroup;
use prism_k1::Options;

use crate::{board, chip, heap, machine};

// What a loader and a flashing tool look for: whose image this is. Without the time at which it was built:
// the same sources give the same image.
esp_bootloader_esp_idf::esp_app_desc!(
    prism_k1::VERSION,
    "prism-k1",
    "00:00:00",
    "Oct 21 2025",
    esp_bootloader_esp_idf::ESP_IDF_COMPATIBLE_VERSION,
    esp_bootloader_esp_idf::MMU_PAGE_SIZE,
    0,
    u16::MAX,
    esp_bootloader_esp_idf::SECURE_VERSION
);

#[esp_hal::main]
fn main() -> ! {
    let peripherals = esp_hal::init(esp_hal::Config::default().with_cpu_clock(CpuClock::max()));
    machine::learn_start_cause();
    heap::start();
    let timers = TimerGroup::new(peripherals.TIMG0);
    esp_rtos::start(timers.timer0, peripherals.FROM_CPU_INTR0);
    #[cfg(feature = "esp32s3")]
    start_second_core(peripherals.CPU_CTRL, peripherals.FROM_CPU_INTR1);
    let pins = board::pins_of!(peripherals);
    let parts = chip::Parts {
        pins,
        rmt: peripherals.RMT,
        uart: peripherals.UART0,
        flash: peripherals.FLASH,
        watchdog: peripherals.RTC_TIMER,
        refills: peripherals.FROM_CPU_INTR2,
        wifi: peripherals.WIFI,
    };
    prism_k1::start(chip::peripherals(parts), Options::default());
    // Of the lowest priority; everything else happens in tasks.
    loop {
        esp_radio_rtos_driver::usleep(u32::MAX);
    }
}

/// Lets the scheduler have the second core. Its own thread has nothing to do.
#[cfg(feature = "esp32s3")]
fn start_second_core(
    control: esp_hal::peripherals::CPU_CTRL<'static>,
    interrupt: esp_hal::peripherals::FROM_CPU_INTR1<'static>,
) {
    use esp_hal::system::Stack;
    use static_cell::ConstStaticCell;

    static STACK: ConstStaticCell<Stack<4096>> = ConstStaticCell::new(Stack::new());
    esp_rtos::start_second_core(control, interrupt, STACK.take(), || {});
}
