//! Two pulse transmitters that start together, like the ESP32-S3's RMT under a sync manager.
//!
//! The pins' signal is exact: a burst begins at an instant of the clock and its symbols are rounded to the
//! transmitter's tick. Refilling costs the processor nothing, as with DMA.

use embassy_time::{Duration, Timer};
use firmware_platform::{BytesEncoder, Pulse, PulseTransmitter};
use rigor_agent::Record;
use rigor_agent::layout::Reason;

use crate::{agent, clock};

/// Length of a tick: 40 MHz (ESP32-S3 technical reference manual, RMT; as the virtual board).
const TICK_NS: u32 = 25;

/// The transmitter of two pins.
pub struct Leds {
    pins: [u8; 2],
    busy_until: u64,
}

impl Leds {
    /// On `pins`.
    pub fn new(pins: [u8; 2]) -> Self {
        Leds { pins, busy_until: 0 }
    }

    async fn until_free(&self) {
        loop {
            let left = self.busy_until.saturating_sub(clock::now());
            if left == 0 {
                return;
            }
            Timer::after(Duration::from_micros(left.div_ceil(1000))).await;
        }
    }
}

fn on_ticks(pulse: Pulse) -> Pulse {
    let round = |ns: u32| ns.saturating_add(TICK_NS / 2) / TICK_NS * TICK_NS;
    Pulse { high_ns: round(pulse.high_ns), low_ns: round(pulse.low_ns) }
}

/// How long `bytes` take.
fn duration(zero: Pulse, one: Pulse, bytes: &[u8]) -> u64 {
    let period = |pulse: Pulse| u64::from(pulse.high_ns) + u64::from(pulse.low_ns);
    let bits = bytes.len() as u64 * 8;
    if period(zero) == period(one) {
        return bits * period(zero);
    }
    let ones: u64 = bytes.iter().map(|byte| u64::from(byte.count_ones())).sum();
    ones * period(one) + (bits - ones) * period(zero)
}

impl PulseTransmitter<2> for Leds {
    async fn transmit(&mut self, encoder: &BytesEncoder, lanes: [&[u8]; 2]) {
        self.until_free().await;
        let (zero, one) = (on_ticks(encoder.zero), on_ticks(encoder.one));
        let symbols = [zero.high_ns, zero.low_ns, one.high_ns, one.low_ns];
        let longest = lanes.into_iter().map(|bytes| duration(zero, one, bytes)).max().unwrap_or(0);
        critical_section::with(|_| {
            let now = clock::now();
            for (pin, bytes) in self.pins.into_iter().zip(lanes) {
                if !bytes.is_empty() {
                    agent::record(now, &Record::Burst { pin, symbols, bytes });
                }
            }
            self.busy_until = now + longest;
            agent::meet(Reason::Record);
        });
        self.until_free().await;
    }
}
