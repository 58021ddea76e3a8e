//! What a wire did, as a controller tells it: edges become pulses, and pulses packets.

use rigor_controller::message::{Level, MAX_PACKED};
use rigor_controller::packed::{IDLE_NANOS, Packer, Pulse};
use rigor_controller::{Said, Ticks};

/// A lane that is being recorded. A tick is a nanosecond.
pub(crate) struct Lane {
    number: u8,
    /// The wire rose then and has not fallen since.
    rise: Option<u64>,
    /// The last pulse, of which nobody knows yet how long the wire stays idle after it.
    last: Option<(u64, u64)>,
    packer: Packer,
    /// When the first pulse of the packet rose.
    begins: u64,
}

impl Lane {
    pub(crate) fn new(number: u8) -> Self {
        Lane { number, rise: None, last: None, packer: Packer::new(), begins: 0 }
    }

    /// The wire changed at `at` to `level`.
    pub(crate) fn edge(&mut self, at: u64, level: Level, say: &mut dyn FnMut(Said<'_>)) {
        match level {
            Level::High => {
                if let Some((rise, fall)) = self.last.take() {
                    let idle = at.saturating_sub(fall);
                    if idle <= IDLE_NANOS.into() {
                        self.push(rise, fall, idle, say);
                    } else {
                        self.push(rise, fall, 0, say);
                        self.finish(say);
                    }
                }
                self.rise.get_or_insert(at);
            }
            Level::Low => {
                if let Some(rise) = self.rise.take() {
                    self.last = Some((rise, at));
                }
            }
        }
    }

    /// Says all that is known, however soon the wire may go on.
    pub(crate) fn settle(&mut self, say: &mut dyn FnMut(Said<'_>)) {
        if let Some((rise, fall)) = self.last.take() {
            self.push(rise, fall, 0, say);
        }
        self.finish(say);
    }

    fn push(&mut self, rise: u64, fall: u64, idle: u64, say: &mut dyn FnMut(Said<'_>)) {
        let ticks = |nanos: u64| u32::try_from(nanos).unwrap_or(u32::MAX);
        let pulse = Pulse { active: ticks(fall.saturating_sub(rise)), idle: ticks(idle) };
        if self.packer.is_empty() {
            self.begins = rise;
        }
        if !self.packer.push(pulse) {
            self.finish(say);
            self.begins = rise;
            // An empty packet has room for any pulse.
            let _ = self.packer.push(pulse);
        }
    }

    fn finish(&mut self, say: &mut dyn FnMut(Said<'_>)) {
        if self.packer.is_empty() {
            return;
        }
        let mut out = [0; MAX_PACKED];
        let length = self.packer.finish(&mut out);
        say(Said::Pulses { lane: self.number, at: Ticks(self.begins), packed: &out[..length] });
    }
}

#[cfg(test)]
mod tests {
    use rigor_controller::packed::unpack;

    use super::*;

    /// What a lane says of these edges: when each packet begins, and its pulses.
    fn told(edges: impl IntoIterator<Item = (u64, Level)>) -> Vec<(u64, Vec<(u32, u32)>)> {
        let mut all = Vec::new();
        let mut say = |said: Said<'_>| {
            let Said::Pulses { lane: 3, at, packed } = said else { panic!("not of the lane: {said:?}") };
            let pulses = unpack(packed).expect("a packet");
            all.push((at.0, pulses.map(|pulse| (pulse.active, pulse.idle)).collect()));
        };
        let mut lane = Lane::new(3);
        for (at, level) in edges {
            lane.edge(at, level, &mut say);
        }
        lane.settle(&mut say);
        all
    }

    #[test]
    fn a_long_pause_ends_a_packet_and_a_short_one_does_not() {
        let edges = [
            (100, Level::High),
            (500, Level::Low),
            (25_500, Level::High),
            (26_000, Level::Low),
            (51_001, Level::High),
            (51_002, Level::Low),
        ];
        assert_eq!(told(edges), [(100, vec![(400, 25_000), (500, 0)]), (51_001, vec![(1, 0)])]);
    }

    #[test]
    fn a_full_packet_is_followed_by_the_next() {
        let pulses = 5000_u64;
        let edges = (0..pulses)
            .flat_map(|bit| [(bit * 1250, Level::High), (bit * 1250 + 300 + bit % 2 * 400, Level::Low)]);
        let packets = told(edges);
        assert!(packets.len() > 1, "one would have to have a limit");
        let mut next = 0;
        for (begins, pulses) in &packets {
            assert_eq!(*begins, next);
            next += pulses.iter().map(|&(active, idle)| u64::from(active) + u64::from(idle)).sum::<u64>();
        }
        let all: Vec<_> = packets.into_iter().flat_map(|(_, pulses)| pulses).collect();
        assert_eq!(all.len() as u64, pulses);
        assert_eq!(all[..2], [(300, 950), (700, 550)]);
        assert_eq!(all.last(), Some(&(700, 0)), "nobody has seen its end");
    }

    #[test]
    fn a_wire_that_stays_high_has_no_pulse() {
        assert_eq!(told([(5, Level::Low), (7, Level::High), (9, Level::High)]), []);
    }
}
