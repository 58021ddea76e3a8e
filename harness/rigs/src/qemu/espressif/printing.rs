//! What a chip prints, as the wire of its console carries it.
//!
//! The emulator's UART takes no time, so a whole log may come at once. The rig puts it on the wire at the rate
//! of its rig file, so that what reads consoles finds bytes one after the other.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use rigor_core::event::{Direction, Serial};
use rigor_core::time::nanos;
use rigor_core::{Instant, Kind, Source, Timeline};

/// Bytes that wait for the wire: no more are taken from the emulator, which then waits.
pub(super) const MAX_WAITING: usize = 64 * 1024;

/// The wire from the console.
pub(super) struct Printing {
    timeline: Timeline,
    pub(super) source: Source,
    byte_time: Duration,
    /// How far from the truth the rig's clock may be.
    uncertainty: Duration,
    waiting: VecDeque<u8>,
    /// When the wire is free again.
    free: Instant,
}

impl Printing {
    pub(super) fn new(timeline: &Timeline, byte_time: Duration, uncertainty: Duration) -> Self {
        let (source, timeline) = (timeline.source("console"), timeline.clone());
        Printing { timeline, source, byte_time, uncertainty, waiting: VecDeque::new(), free: Instant::ZERO }
    }

    /// How many more bytes it can take.
    pub(super) fn room(&self) -> usize {
        MAX_WAITING.saturating_sub(self.waiting.len())
    }

    /// The chip has printed `bytes` at `now`.
    pub(super) fn take(&mut self, bytes: &[u8], now: Instant) {
        if self.waiting.is_empty() {
            self.free = self.free.max(now);
        }
        self.waiting.extend(bytes);
        self.hold();
    }

    /// Records what has left the wire by `now`.
    pub(super) fn pass(&mut self, now: Instant) {
        let passed = nanos(now.since(self.free)) / nanos(self.byte_time).max(1);
        let count = usize::try_from(passed).unwrap_or(usize::MAX).min(self.waiting.len());
        if count == 0 {
            return;
        }
        let bytes: Arc<[u8]> = self.waiting.drain(..count).collect();
        let (at, byte_time) = (self.free, self.byte_time);
        self.free = at + byte_time.saturating_mul(count as u32);
        let serial = Serial { direction: Direction::FromDut, bytes, byte_time };
        // The wire is free later and later, and nobody else records here.
        let _ = self.timeline.push(self.source, at, self.uncertainty, Kind::Serial(serial));
        self.hold();
    }

    /// The supply is gone, and with it what was still to be sent.
    pub(super) fn cut(&mut self, now: Instant) {
        self.pass(now);
        self.waiting.clear();
        self.hold();
    }

    /// What waits begins when the wire is free: until it is recorded, the lane is complete up to there only.
    fn hold(&self) {
        if self.waiting.is_empty() {
            self.timeline.release(self.source);
        } else {
            self.timeline.hold(self.source, self.free);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BYTE: Duration = Duration::from_micros(100);

    fn at(bytes: u32) -> Instant {
        Instant::ZERO + BYTE * bytes
    }

    fn recorded(timeline: &Timeline) -> Vec<(Instant, String)> {
        let events = timeline.events(timeline.source("console"), Instant::ZERO, Instant::MAX);
        let text = |event: rigor_core::Event| match event.kind {
            Kind::Serial(serial) => (event.at, String::from_utf8_lossy(&serial.bytes).into_owned()),
            other => panic!("{other:?}"),
        };
        events.into_iter().map(text).collect()
    }

    #[test]
    fn a_log_that_comes_at_once_is_as_long_as_its_wire_needs() {
        let timeline = Timeline::new();
        let mut printing = Printing::new(&timeline, BYTE, Duration::ZERO);
        printing.take(b"boot", at(10));
        printing.pass(at(12));
        timeline.advance(at(12));
        assert_eq!(recorded(&timeline), [(at(10), "bo".to_owned())]);
        printing.take(b"ed", at(13));
        timeline.advance(at(13));
        assert_eq!(timeline.complete_until(printing.source), at(12), "the third byte is on the wire");
        printing.pass(at(13));
        printing.pass(at(30));
        assert_eq!(recorded(&timeline)[1..], [(at(12), "o".to_owned()), (at(13), "ted".to_owned())]);
        timeline.advance(at(40));
        assert_eq!(timeline.complete_until(printing.source), at(40), "nothing is on the wire");
    }

    #[test]
    fn a_power_cut_loses_what_waits_and_a_flood_is_held_back() {
        let timeline = Timeline::new();
        let mut printing = Printing::new(&timeline, BYTE, Duration::ZERO);
        printing.take(&[b'!'; MAX_WAITING - 1], at(0));
        assert_eq!(printing.room(), 1);
        printing.cut(at(2));
        assert_eq!((recorded(&timeline), printing.room()), (vec![(at(0), "!!".to_owned())], MAX_WAITING));
        printing.pass(at(1000));
        assert_eq!(recorded(&timeline).len(), 1);
    }
}
