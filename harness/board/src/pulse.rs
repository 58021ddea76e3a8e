//! A pulse transmitter like the ESP32-S3's RMT: channels that start together and shift bytes out
//! as pulses.
//!
//! What leaves a pin stays one compact [`Burst`] on the timeline until somebody asks for its
//! edges. Symbols are rounded to the transmitter's tick, as the hardware's are. The model refills
//! its channels by DMA: the CPU cannot starve it.

use std::collections::{HashMap, VecDeque};
use std::future::poll_fn;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use rigor_core::event::{Burst, BytesEncoding, Kind, Level, Symbol};
use rigor_core::{Instant, Source};

use crate::cpu;
use crate::heap::outside_firmware;
use crate::kernel::Kernel;

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
        let mut hasher = DefaultHasher::new();
        bytes.hash(&mut hasher);
        let hash = hasher.finish();
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

/// Channels that start together, one for each lane.
pub struct PulseTransmitter {
    kernel: Rc<Kernel>,
    lanes: Vec<Source>,
    contents: Contents,
}

impl PulseTransmitter {
    pub(crate) fn new(kernel: Rc<Kernel>, pins: &[u8]) -> Self {
        let lanes = pins.iter().map(|&pin| crate::gpio::source(&kernel, pin)).collect();
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
        let free = outside_firmware(|| {
            cpu::note_call(&self.kernel);
            let bursts = self.kernel.bursts.borrow();
            let mine = bursts.iter().filter(|burst| self.lanes.contains(&burst.source));
            mine.map(|burst| burst.ends).max().unwrap_or(Instant::ZERO)
        });
        self.until(free).await;
        let done = outside_firmware(|| {
            let encoding = on_ticks(encoding);
            let started = self.kernel.now();
            let mut ends = started;
            for (&source, bytes) in self.lanes.iter().zip(lanes) {
                let burst = Burst { bytes: self.contents.share(bytes), encoding, idle: Level::Low };
                ends = ends.max(shift_out(&self.kernel, source, started, burst));
            }
            ends
        });
        self.until(done).await;
    }

    async fn until(&self, at: Instant) {
        poll_fn(|context| {
            outside_firmware(|| {
                if self.kernel.now() >= at {
                    return Poll::Ready(());
                }
                let waker = context.waker().clone();
                self.kernel.schedule_inside(at, move |_| waker.wake());
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
    burst: Burst,
}

fn shift_out(kernel: &Rc<Kernel>, source: Source, started: Instant, burst: Burst) -> Instant {
    let ends = started + burst.duration();
    kernel.hold(source, started);
    kernel.bursts.borrow_mut().push(InFlight { source, started, ends, burst });
    kernel.schedule_inside(ends, move |kernel| {
        let done = {
            let mut bursts = kernel.bursts.borrow_mut();
            bursts.iter().position(|burst| burst.source == source).map(|index| bursts.remove(index))
        };
        if let Some(done) = done {
            kernel.record(source, started, Kind::Burst(done.burst));
            kernel.release(source);
        }
    });
    ends
}

/// The device stops: a burst that is cut short is no burst any more, but its edges up to now and
/// the pin's fall.
pub(crate) fn device_halted(kernel: &Rc<Kernel>) {
    let now = kernel.now();
    for InFlight { source, started, burst, .. } in kernel.bursts.take() {
        let mut level = burst.idle;
        for (offset, to) in burst.edges() {
            let at = started + Duration::from_nanos(offset);
            if at > now {
                break;
            }
            kernel.record(source, at, Kind::Edge(to));
            level = to;
        }
        if level != burst.idle {
            kernel.record(source, now, Kind::Edge(burst.idle));
        }
        kernel.release(source);
    }
}

fn on_ticks(encoding: BytesEncoding) -> BytesEncoding {
    let round = |ns: u32| ns.saturating_add(TICK_NS / 2) / TICK_NS * TICK_NS;
    let symbol = |symbol: Symbol| Symbol { high_ns: round(symbol.high_ns), low_ns: round(symbol.low_ns) };
    BytesEncoding { zero: symbol(encoding.zero), one: symbol(encoding.one) }
}
