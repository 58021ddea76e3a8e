//! Two LED lanes by the RMT, one channel each.
//!
//! The RMT's memory holds 48 symbols a block and is refilled while it is sent: every 30 us where a lane has
//! one block. No thread can promise that, so lanes are sent by an executor that runs in an interrupt above
//! all others, and the firmware's task waits for it. The channels are started one after the other, some
//! microseconds apart.
//!
//! While lanes are sent nobody may hold the interrupts up for long; [`crate::flash`] is who would.

use core::sync::atomic::Ordering;

use embassy_futures::join::join;
use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
use embassy_sync::signal::Signal;
use esp_hal::Async;
use esp_hal::gpio::{AnyPin, Level};
use esp_hal::interrupt::Priority;
use esp_hal::peripherals::{FROM_CPU_INTR2, RMT};
use esp_hal::rmt::{Channel, PulseCode, Rmt, Tx, TxChannelConfig, TxChannelCreator};
use esp_hal::time::Rate;
use esp_rtos::embassy::InterruptExecutor;
use firmware_platform::{BytesEncoder, Pulse, PulseTransmitter};
use portable_atomic::AtomicBool;
use static_cell::{ConstStaticCell, StaticCell};

use crate::board;

/// Ticks in a microsecond: 12.5 ns each.
const TICKS_PER_US: u32 = 80;
/// Bytes of a lane: 160 pixels.
const LANE_BYTES: usize = 160 * 3;
/// Symbols of a lane: one for each bit, and the end.
const SYMBOLS: usize = LANE_BYTES * 8 + 1;

/// What is sent on one lane.
struct Lane {
    symbols: [PulseCode; SYMBOLS],
    count: usize,
}

impl Lane {
    const SILENT: Lane = Lane { symbols: [PulseCode::end_marker(); SYMBOLS], count: 0 };

    /// Makes symbols of `bytes`, the most significant bit first. What is longer than a lane is left out.
    fn write(&mut self, zero: PulseCode, one: PulseCode, bytes: &[u8]) {
        let bits = bytes.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1 == 1));
        self.count = 0;
        for (place, bit) in self.symbols.iter_mut().zip(bits.take(SYMBOLS - 1)) {
            *place = if bit { one } else { zero };
            self.count += 1;
        }
        self.symbols[self.count] = PulseCode::end_marker();
    }

    fn symbols(&self) -> &[PulseCode] {
        &self.symbols[..=self.count]
    }
}

/// Both lanes: they go to the executor that sends them, and come back.
type Lanes = &'static mut [Lane; 2];

static LANES: ConstStaticCell<[Lane; 2]> = ConstStaticCell::new([Lane::SILENT; 2]);
static TO_SEND: Signal<CriticalSectionRawMutex, Lanes> = Signal::new();
static SENT: Signal<CriticalSectionRawMutex, Lanes> = Signal::new();
static BUSY: AtomicBool = AtomicBool::new(false);

/// Whether lanes are being sent. Within a critical section it stays as it is.
pub fn busy() -> bool {
    BUSY.load(Ordering::Acquire)
}

/// The transmitter of two pins.
pub struct Leds {
    /// None while they are sent for somebody who did not wait for the end.
    lanes: Option<Lanes>,
}

impl Leds {
    /// On `pins`. `interrupt` is where the lanes are refilled.
    ///
    /// # Panics
    /// If esp-hal does not take the configuration, which is a constant: that ends the firmware.
    pub fn start(rmt: RMT<'static>, pins: [AnyPin<'static>; 2], interrupt: FROM_CPU_INTR2<'static>) -> Self {
        static EXECUTOR: StaticCell<InterruptExecutor<2>> = StaticCell::new();

        let rmt = Rmt::new(rmt, Rate::from_mhz(TICKS_PER_US)).expect("it is the rate of its clock");
        let rmt = rmt.into_async();
        let [first_pin, second_pin] = pins;
        let [first_blocks, second_blocks] = board::RMT_BLOCKS;
        let first = open(rmt.channel0, first_pin, first_blocks);
        // The last channel that sends, so that the first one has room for its blocks.
        #[cfg(feature = "esp32s3")]
        let second = open(rmt.channel3, second_pin, second_blocks);
        #[cfg(not(feature = "esp32s3"))]
        let second = open(rmt.channel1, second_pin, second_blocks);
        let spawner = EXECUTOR.init(InterruptExecutor::new(interrupt)).start(Priority::Priority3);
        spawner.spawn(send(OfThisCore([first, second])).expect("it is spawned once"));
        Leds { lanes: Some(LANES.take()) }
    }
}

fn open(
    channel: impl TxChannelCreator<'static, Async>,
    pin: AnyPin<'static>,
    blocks: u8,
) -> Channel<'static, Async, Tx> {
    let config = TxChannelConfig::default()
        .with_clk_divider(1)
        .with_idle_output(true)
        .with_idle_output_level(Level::Low)
        .with_memsize(blocks);
    channel.configure_tx(&config).expect("its blocks of memory are free").with_pin(pin)
}

/// Channels whose interrupt comes on the core that opened them.
struct OfThisCore([Channel<'static, Async, Tx>; 2]);
// SAFETY: the executor that gets them was started on that core, and never leaves it.
unsafe impl Send for OfThisCore {}

/// Sends whatever there is to send, for ever.
#[embassy_executor::task]
async fn send(channels: OfThisCore) {
    let OfThisCore([mut first, mut second]) = channels;
    loop {
        let lanes = TO_SEND.wait().await;
        let [one, other] = &*lanes;
        // Each begins when it is asked for and not when it is waited for.
        let one = first.transmit(one.symbols());
        let other = second.transmit(other.symbols());
        // An error means that a refill came too late. The pixels show it, and the next frame is whole again.
        let _ = join(one, other).await;
        BUSY.store(false, Ordering::Release);
        SENT.signal(lanes);
    }
}

/// `pulse` in whole ticks, rounded to the nearest.
fn symbol(pulse: Pulse) -> PulseCode {
    let ticks = |ns: u32| {
        let ticks = ns.saturating_mul(TICKS_PER_US).saturating_add(500) / 1000;
        // Fifteen bits; and of no ticks at all the transmitter would make the end.
        ticks.clamp(1, 0x7FFF) as u16
    };
    PulseCode::new(Level::High, ticks(pulse.high_ns), Level::Low, ticks(pulse.low_ns))
}

impl PulseTransmitter<2> for Leds {
    async fn transmit(&mut self, encoder: &BytesEncoder, lanes: [&[u8]; 2]) {
        let buffers = match self.lanes.take() {
            Some(buffers) => buffers,
            None => SENT.wait().await,
        };
        let (zero, one) = (symbol(encoder.zero), symbol(encoder.one));
        for (buffer, bytes) in buffers.iter_mut().zip(lanes) {
            buffer.write(zero, one, bytes);
        }
        // The flash is done with what it has begun, and begins nothing more.
        critical_section::with(|_| BUSY.store(true, Ordering::Release));
        TO_SEND.signal(buffers);
        self.lanes = Some(SENT.wait().await);
    }
}
