//! A pulse transmitter like the ESP32-S3's RMT: channels that start together and shift bytes out
//! as pulses.
//!
//! What leaves a pin stays one compact [`Burst`] on the timeline until somebody asks for its
//! edges. Symbols are rounded to the transmitter's tick, as the hardware's are. The model refills
//! its channels by DMA: the CPU cannot starve it, unless a [fault](crate::fault) says so.

mod wires;

use std::collections::{HashMap, VecDeque};
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use rigor_core::event::{Burst, BytesEncoding, Kind, Level, Symbol};
use rigor_core::{Instant, Source};

use crate::cpu;
use crate::heap::outside_firmware;
use crate::kernel::Kernel;

pub(crate) use wires::Wires;

/// Length of a tick: 40 MHz, the 80 MHz APB clock divided by two (ESP32-S3 technical reference
/// manual, RMT).
pub const TICK_NS: u32 = 25;

/// Distinct contents kept for sharing: animations repeat.
const SHARED_CONTENTS: usize = 1024;

/// Contents that were sent before are shared, not copied, so that hours of a looping animation
/// need the memory of one loop.
#[derive(Default)]
struct Contents {
    by_hash: HashMap<u64, Arc<[u8]>>,
    order: VecDeque<u64>,
}

impl Contents {
    fn share(&mut self, bytes: &[u8]) -> Arc<[u8]> {
        let hash = fingerprint(bytes);
        if let Some(known) = self.by_hash.get(&hash).filter(|known| &known[..] == bytes) {
            return known.clone();
        }
        if self.order.len() == SHARED_CONTENTS
            && let Some(oldest) = self.order.pop_front()
        {
            self.by_hash.remove(&oldest);
        }
        let fresh: Arc<[u8]> = Arc::from(bytes);
        if self.by_hash.insert(hash, fresh.clone()).is_none() {
            self.order.push_back(hash);
        }
        fresh
    }
}

/// A number that other contents are unlikely to have. Whoever relies on it compares the contents too,
/// so it need not withstand ill will.
fn fingerprint(bytes: &[u8]) -> u64 {
    // Odd, with bits in no pattern: 2^64 divided by the golden ratio.
    const FACTOR: u64 = 0x9E37_79B9_7F4A_7C15;
    let mix = |hash: u64, word: u64| (hash.rotate_left(5) ^ word).wrapping_mul(FACTOR);
    let (words, rest) = bytes.as_chunks::<8>();
    let hash = words.iter().fold(bytes.len() as u64, |hash, word| mix(hash, u64::from_le_bytes(*word)));
    rest.iter().fold(hash, |hash, &byte| mix(hash, byte.into()))
}

/// Channels that start together, one for each lane.
pub struct PulseTransmitter {
    kernel: Rc<Kernel>,
    /// The wires with the numbers of their pins.
    lanes: Vec<(u8, Source)>,
    contents: Contents,
}

impl PulseTransmitter {
    pub(crate) fn new(kernel: Rc<Kernel>, pins: &[u8]) -> Self {
        let wires = pins.iter().map(|&pin| crate::gpio::wire_of(&kernel, pin));
        let lanes = wires.map(|wire| (wire, crate::gpio::source(&kernel, wire))).collect();
        PulseTransmitter { kernel, lanes, contents: Contents::default() }
    }

    /// Shifts `lanes[i]` out on the i-th pin, most significant bit first, all beginning together, and
    /// returns when the last symbol of the longest lane has left. Pins idle low.
    ///
    /// A transmission whose future is dropped goes on; the next one waits for it.
    ///
    /// # Panics
    /// With more lanes than pins.
    pub async fn transmit(&mut self, encoding: BytesEncoding, lanes: &[&[u8]]) {
        assert!(lanes.len() <= self.lanes.len(), "the transmitter has {} lanes", self.lanes.len());
        outside_firmware(|| cpu::note_call(&self.kernel));
        self.until_free().await;
        outside_firmware(|| {
            let started = self.kernel.now();
            for (&(wire, source), bytes) in self.lanes.iter().zip(lanes) {
                let begun = {
                    let mut wires = self.kernel.wires.borrow_mut();
                    let bytes = match wires.recoloured(bytes) {
                        Some(recoloured) => self.contents.share(&recoloured),
                        None => self.contents.share(bytes),
                    };
                    let burst =
                        Burst { bytes, encoding: wires.encoding(on_ticks(encoding)), idle: Level::Low };
                    let started = started + wires.delay(wire);
                    let ends = started + burst.duration();
                    InFlight { source, started, ends, carries: wires.carry(wire, started, burst) }
                };
                shift_out(&self.kernel, wire, begun);
            }
        });
        self.until_free().await;
    }

    /// Waits until none of the lanes shifts out.
    async fn until_free(&self) {
        poll_fn(|context| {
            outside_firmware(|| {
                let ends = {
                    let bursts = self.kernel.bursts.borrow();
                    let mine = bursts
                        .iter()
                        .filter(|burst| self.lanes.iter().any(|&(_, lane)| lane == burst.source));
                    mine.map(|burst| burst.ends).max().unwrap_or(Instant::ZERO)
                };
                if self.kernel.now() >= ends {
                    return Poll::Ready(());
                }
                let waker = context.waker().clone();
                self.kernel.schedule_inside(ends, move |_| waker.wake());
                Poll::Pending
            })
        })
        .await;
    }
}

/// What a lane is shifting out now.
pub(crate) struct InFlight {
    source: Source,
    started: Instant,
    ends: Instant,
    /// What the wire carries, in the order of time: one burst on a wire that is well.
    carries: Vec<(Instant, Kind)>,
}

fn shift_out(kernel: &Rc<Kernel>, wire: u8, mut begun: InFlight) {
    if kernel.pins.borrow().is_shorted(wire) {
        begun.carries.clear();
    }
    let (source, ends) = (begun.source, begun.ends);
    kernel.hold(source, begun.started);
    kernel.bursts.borrow_mut().push(begun);
    kernel.schedule_inside(ends, move |kernel| end(kernel, source));
    let busy = kernel.flash.borrow().changing_until();
    if let Some(until) = busy.filter(|&until| until > kernel.now()) {
        flash_changes(kernel, until);
    }
}

/// Delivers what the lane has shifted out, unless something has held it up meanwhile.
fn end(kernel: &Rc<Kernel>, source: Source) {
    let done = {
        let mut bursts = kernel.bursts.borrow_mut();
        let due = |burst: &InFlight| burst.source == source && burst.ends <= kernel.now();
        bursts.iter().position(due).map(|index| bursts.remove(index))
    };
    if let Some(done) = done {
        for (at, kind) in done.carries {
            kernel.record(source, at, kind);
        }
        kernel.release(source);
    }
}

/// The flash chip begins to erase or program, or a lane begins while it does: a transmitter that
/// cannot be refilled meanwhile pauses.
pub(crate) fn flash_changes(kernel: &Rc<Kernel>, until: Instant) {
    if !kernel.wires.borrow().starve() {
        return;
    }
    let now = kernel.now();
    let mut held_up = Vec::new();
    for burst in kernel.bursts.borrow_mut().iter_mut() {
        let pause = wires::pause(&mut burst.carries, now, until);
        if !pause.is_zero() {
            burst.ends += pause;
            held_up.push((burst.source, burst.ends));
        }
    }
    for (source, ends) in held_up {
        kernel.schedule_inside(ends, move |kernel| end(kernel, source));
    }
}

/// The device stops: a burst that is cut short is no burst any more, but its edges up to now and
/// the pin's fall.
pub(crate) fn device_halted(kernel: &Rc<Kernel>) {
    let now = kernel.now();
    for InFlight { source, carries, .. } in kernel.bursts.take() {
        let mut level = Level::Low;
        for (at, to) in carries.iter().flat_map(|(at, kind)| wires::edges(*at, kind)) {
            if at > now {
                break;
            }
            kernel.record(source, at, Kind::Edge(to));
            level = to;
        }
        if level != Level::Low {
            kernel.record(source, now, Kind::Edge(Level::Low));
        }
        kernel.release(source);
    }
}

fn on_ticks(encoding: BytesEncoding) -> BytesEncoding {
    let round = |ns: u32| ns.saturating_add(TICK_NS / 2) / TICK_NS * TICK_NS;
    let symbol = |symbol: Symbol| Symbol { high_ns: round(symbol.high_ns), low_ns: round(symbol.low_ns) };
    BytesEncoding { zero: symbol(encoding.zero), one: symbol(encoding.one) }
}
