//! What a person beside the board would see, kept up to date from the timeline.
//!
//! Nothing here is the device's word but what stands in the log: LEDs are decoded from the data pins, and
//! heap and flash are the rig's own accounts. All of it is bounded, however long the board runs.

mod device;
mod flash;
mod heap;
mod log;
mod strip;

use rigor_core::rig::Rig;
use rigor_core::timeline::Cursor;
use rigor_core::{Instant, Kind};
use rigor_decode::console::LineDecoder;
use rigor_decode::ws2812::Frame;

pub(crate) use device::cause;
pub use device::{Device, State};
pub use flash::Flash;
pub use heap::Heap;
pub use log::{Entry, Log, Said};
pub use strip::Strip;

/// The sources that every virtual board has.
const DEVICE: &str = "device";
const FLASH: &str = "flash";

/// All that can be seen.
pub struct Scene {
    /// The LED lanes in the order of their pixels.
    pub strips: Vec<Strip>,
    /// What the device printed.
    pub log: Log,
    /// The heap.
    pub heap: Heap,
    /// The flash chip.
    pub flash: Flash,
    /// The device as a whole.
    pub device: Device,
    lines: LineDecoder,
    console: Option<Cursor>,
    events: Cursor,
    busy: Cursor,
}

impl Scene {
    /// Of a rig on which nothing has happened.
    pub fn new(rig: &Rig) -> Self {
        let timeline = &rig.timeline;
        let cursor = |name| timeline.cursor_at_start(timeline.source(name));
        Scene {
            strips: rig.parts.leds.iter().map(|lane| Strip::new(lane, timeline)).collect(),
            log: Log::default(),
            heap: Heap::new(rig),
            flash: Flash::default(),
            device: Device::default(),
            lines: LineDecoder::default(),
            console: rig.parts.console.as_ref().map(|part| timeline.cursor_at_start(part.source())),
            events: cursor(DEVICE),
            busy: cursor(FLASH),
        }
    }

    /// Takes in what has happened; each frame with its lane and its number on it goes to `frame`.
    pub fn collect(&mut self, now: Instant, mut frame: impl FnMut(&Strip, u64, &Frame)) {
        while let Some(event) = self.events.try_next() {
            if let Kind::Device(what) = &event.kind {
                self.device.event(event.at, what);
                self.log.note(event.at, what);
            }
        }
        let mut lines = Vec::new();
        while let Some(event) = self.console.as_mut().and_then(Cursor::try_next) {
            self.lines.event(&event, &mut lines);
        }
        lines.iter().for_each(|line| self.log.line(line));
        while let Some(event) = self.busy.try_next() {
            if let Kind::FlashBusy(busy) = event.kind {
                self.flash.busy(event.at, busy);
            }
        }
        self.heap.collect();
        self.flash.forget(now);
        for strip in &mut self.strips {
            strip.collect(now, &mut frame);
            if self.device.state == State::Off {
                strip.lose_power();
            }
        }
    }
}
