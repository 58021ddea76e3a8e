//! What somebody types on a device's console: bytes that come one after the other, as its wire carries them.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use rigor_core::event::{Direction, Serial};
use rigor_core::{Instant, Kind, Source, Timeline};

/// The rig's end of the wire to the console.
pub(super) struct Typing {
    timeline: Timeline,
    source: Source,
    byte_time: Duration,
    /// How far from the truth the rig's clock may be.
    uncertainty: Duration,
    /// Each byte with the instant at which it is there.
    on_the_way: VecDeque<(Instant, u8)>,
    until: Instant,
}

impl Typing {
    pub(super) fn new(timeline: &Timeline, byte_time: Duration, uncertainty: Duration) -> Self {
        Typing {
            source: timeline.source("console.input"),
            timeline: timeline.clone(),
            byte_time,
            uncertainty,
            on_the_way: VecDeque::new(),
            until: Instant::ZERO,
        }
    }

    /// Sends `bytes`, after what is being sent.
    pub(super) fn type_in(&mut self, bytes: &[u8]) {
        let (started, byte_time) = (self.until.max(self.timeline.now()), self.byte_time);
        self.until = started + byte_time.saturating_mul(bytes.len() as u32);
        let arrival = |index: usize| started + byte_time.saturating_mul(index as u32 + 1);
        self.on_the_way.extend(bytes.iter().enumerate().map(|(index, &byte)| (arrival(index), byte)));
        let serial = Serial { direction: Direction::ToDut, bytes: Arc::from(bytes), byte_time };
        // What is still being typed began earlier and ends when this begins: the order is kept.
        let _ = self.timeline.push(self.source, started, self.uncertainty, Kind::Serial(serial));
    }

    /// When the next byte is there.
    pub(super) fn next(&self) -> Option<Instant> {
        self.on_the_way.front().map(|(at, _)| *at)
    }

    /// Takes what is there at `now`, at most so many bytes.
    pub(super) fn arrived(&mut self, now: Instant, at_most: usize) -> Vec<u8> {
        let count = self.on_the_way.iter().take(at_most).take_while(|(at, _)| *at <= now).count();
        self.on_the_way.drain(..count).map(|(_, byte)| byte).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BYTE: Duration = Duration::from_micros(100);

    #[test]
    fn bytes_come_one_after_the_other_whoever_types() {
        let timeline = Timeline::new();
        let mut typing = Typing::new(&timeline, BYTE, Duration::ZERO);
        typing.type_in(b"he");
        typing.type_in(b"llo");
        let at = |bytes: u32| Instant::ZERO + BYTE * bytes;
        assert_eq!(typing.next(), Some(at(1)));
        assert_eq!(typing.arrived(at(3), 2), b"he");
        assert_eq!(typing.arrived(at(3), 2), b"l");
        assert_eq!(typing.arrived(at(3), 2), b"");
        timeline.advance(at(9));
        typing.type_in(b"!");
        assert_eq!(typing.arrived(at(10), 9), b"lo!");
        assert_eq!(typing.next(), None);
        let events = timeline.events(timeline.source("console.input"), Instant::ZERO, Instant::MAX);
        assert_eq!(events.iter().map(|event| event.at).collect::<Vec<_>>(), [at(0), at(2), at(9)]);
    }
}
