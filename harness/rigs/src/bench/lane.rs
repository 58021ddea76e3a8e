//! A lane's pulses, put together again: what came in several packets is one burst on the timeline.
//!
//! A simulated device's pulses are what its model says, to the tick. Those of a real one were sampled: an edge came
//! somewhere between two ticks, so they stay what the instrument counted ([`Phases`]), and whoever measures them knows
//! how far they can be trusted.

use std::time::Duration;

use rigor_controller::Ticks;
use rigor_controller::packed::{IDLE_NANOS, Pulse};
use rigor_core::event::{Burst, BytesEncoding, Phases, Symbol};
use rigor_core::rate::SampleRate;
use rigor_core::{Instant, Kind, Level};

use super::mapping::{duration_of, ticks_in};

/// Longer bursts are cut: a pulse takes 1.25 us at most, so this is 80 s of them, and 512 MiB.
const MAX_PULSES: usize = 1 << 26;
/// A WS2812B's 0 is high for 0.4 us and its 1 for 0.8 us (its data sheet): where there is only one of them, this tells
/// which it is, in nanoseconds.
const ONE_FROM_NANOS: u32 = 600;

/// What a lane's controller has told and nobody has recorded yet.
#[derive(Default)]
pub(super) struct Lane {
    began: Ticks,
    ends: Ticks,
    pulses: Vec<Pulse>,
}

/// A stretch of a lane, to be recorded.
pub(super) struct Stretch {
    pub(super) began: Ticks,
    pulses: Vec<Pulse>,
}

impl Lane {
    /// Takes in pulses of which the first rose at `at`; what was whole before them.
    pub(super) fn take(&mut self, at: Ticks, pulses: &[Pulse], clock_hz: u32) -> Vec<Stretch> {
        let mut whole = Vec::new();
        if !self.pulses.is_empty() && (at != self.ends || self.pulses.len() >= MAX_PULSES) {
            whole.push(self.end());
        }
        if self.pulses.is_empty() {
            self.began = at;
        }
        self.ends =
            pulses.iter().fold(at, |end, pulse| end + u64::from(pulse.active) + u64::from(pulse.idle));
        self.pulses.extend_from_slice(pulses);
        let idle = ticks_in(clock_hz, Duration::from_nanos(IDLE_NANOS.into()));
        let rests = |last: &Pulse| last.idle == 0 || u64::from(last.idle) > idle;
        if self.pulses.last().is_some_and(rests) {
            whole.push(self.end());
        }
        whole
    }

    /// All before `until` has been told: what is whole by that, if anything.
    pub(super) fn complete(&mut self, until: Ticks, clock_hz: u32) -> Option<Stretch> {
        let idle = ticks_in(clock_hz, Duration::from_nanos(IDLE_NANOS.into()));
        (!self.pulses.is_empty() && until > self.ends + idle).then(|| self.end())
    }

    /// Since when it owes something; `until` if it owes nothing.
    pub(super) fn owes_from(&self, until: Ticks) -> Ticks {
        if self.pulses.is_empty() { until } else { until.min(self.began) }
    }

    fn end(&mut self) -> Stretch {
        Stretch { began: self.began, pulses: std::mem::take(&mut self.pulses) }
    }
}

/// What an instrument of this rate finds where it begins to look: nobody tells, but a wire that shifts bits out rests at
/// low, and where it does not, nothing counts before it has rested.
pub(super) fn found(rate: SampleRate) -> Phases {
    Phases { first: Level::Low, rate, lengths: [1].into() }
}

impl Stretch {
    /// As it was sampled at `rate`. The wire rests after it.
    pub(super) fn phases(&self, rate: SampleRate) -> Phases {
        let mut lengths = Vec::with_capacity(2 * self.pulses.len());
        for pulse in &self.pulses {
            lengths.extend([pulse.active.max(1), pulse.idle.max(1)]);
        }
        // How long it rests is said by what comes next.
        if let Some(last) = lengths.last_mut() {
            *last = 1;
        }
        Phases { first: Level::High, rate, lengths: lengths.into() }
    }

    /// As the model of a simulated device says: one burst if its pulses are those of bytes, else its edges. `at` is when it began.
    pub(super) fn events(&self, at: Instant, clock_hz: u32) -> Vec<(Instant, Kind)> {
        if let Some(burst) = self.burst(clock_hz) {
            return vec![(at, Kind::Burst(burst))];
        }
        let (mut ticks, mut events) = (0_u64, Vec::with_capacity(2 * self.pulses.len()));
        for pulse in &self.pulses {
            events.push((at + duration_of(clock_hz, ticks), Kind::Edge(Level::High)));
            ticks += u64::from(pulse.active.max(1));
            events.push((at + duration_of(clock_hz, ticks), Kind::Edge(Level::Low)));
            ticks += u64::from(pulse.idle);
        }
        events
    }

    /// The bytes, if there are two kinds of pulses and no third. An instrument's own clock makes more of them.
    fn burst(&self, clock_hz: u32) -> Option<Burst> {
        let (last, whole) = self.pulses.split_last()?;
        if !self.pulses.len().is_multiple_of(8) {
            return None;
        }
        let mut kinds: Vec<Pulse> = Vec::new();
        for pulse in whole {
            if !kinds.contains(pulse) {
                kinds.push(*pulse);
            }
            if kinds.len() > 2 {
                return None;
            }
        }
        kinds.sort_by_key(|pulse| pulse.active);
        let symbol = |pulse: Pulse| {
            let ns = |ticks: u32| u32::try_from(duration_of(clock_hz, ticks.into()).as_nanos()).ok();
            Some(Symbol { high_ns: ns(pulse.active)?, low_ns: ns(pulse.idle)? })
        };
        let (zero, one) = match kinds[..] {
            [zero, one] if zero.active < one.active => (symbol(zero)?, symbol(one)?),
            // The other one has no bit of its own here.
            [only] => (symbol(only)?, symbol(only)?),
            _ => return None,
        };
        let known = |high_ns: u32| high_ns == zero.high_ns || high_ns == one.high_ns;
        let last_ns = u32::try_from(duration_of(clock_hz, last.active.into()).as_nanos()).ok()?;
        if !known(last_ns) {
            return None;
        }
        let is_one = |pulse: &Pulse| {
            let high_ns = duration_of(clock_hz, pulse.active.into()).as_nanos() as u32;
            if zero == one { high_ns >= ONE_FROM_NANOS } else { high_ns == one.high_ns }
        };
        let byte = |bits: &[Pulse; 8]| bits.iter().fold(0_u8, |byte, bit| byte << 1 | u8::from(is_one(bit)));
        let (bytes, _) = self.pulses.as_chunks::<8>();
        let bytes: Vec<u8> = bytes.iter().map(byte).collect();
        Some(Burst { bytes: bytes.into(), encoding: BytesEncoding { zero, one }, idle: Level::Low })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HZ: u32 = 1_000_000_000;
    const ZERO: Pulse = Pulse { active: 400, idle: 850 };
    const ONE: Pulse = Pulse { active: 800, idle: 450 };

    /// The pulses of `bytes`, whose last pause nobody has seen the end of.
    fn pulses(bytes: &[u8]) -> Vec<Pulse> {
        let bits = bytes.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1 == 1));
        let mut pulses: Vec<Pulse> = bits.map(|bit| if bit { ONE } else { ZERO }).collect();
        if let Some(last) = pulses.last_mut() {
            last.idle = 0;
        }
        pulses
    }

    fn bytes_of(stretch: &Stretch) -> Vec<u8> {
        match &stretch.events(Instant::ZERO, HZ)[..] {
            [(_, Kind::Burst(burst))] => burst.bytes.to_vec(),
            other => panic!("{} events", other.len()),
        }
    }

    #[test]
    fn what_was_sampled_stays_what_was_counted() {
        let rate = SampleRate::hertz(125_000_000).expect("a rate");
        let pulse = |active, idle| Pulse { active, idle };
        let mut lane = Lane::default();
        let whole = lane.take(Ticks(9), &[pulse(50, 106), pulse(49, 107), pulse(100, 4_000)], 125_000_000);
        let phases = whole[0].phases(rate);
        assert_eq!(
            (&phases.lengths[..], phases.first, phases.last()),
            (&[50, 106, 49, 107, 100, 1][..], Level::High, Level::Low)
        );
        assert_eq!((found(rate).last(), found(rate).duration().as_nanos()), (Level::Low, 8));
    }

    #[test]
    fn packets_become_one_burst_again() {
        let frame = [0x00, 0xFF, 0xA5, 0x01];
        let all = pulses(&frame);
        let mut lane = Lane::default();
        assert!(lane.take(Ticks(1_000), &all[..13], HZ).is_empty());
        assert_eq!(lane.owes_from(Ticks(9_000)), Ticks(1_000));
        let next = all[..13].iter().fold(1_000, |at, pulse| at + u64::from(pulse.active + pulse.idle));
        let whole = lane.take(Ticks(next), &all[13..], HZ);
        assert_eq!((whole.len(), whole[0].began), (1, Ticks(1_000)));
        assert_eq!(bytes_of(&whole[0]), frame);
        assert_eq!(lane.owes_from(Ticks(99_000)), Ticks(99_000));
    }

    #[test]
    fn a_burst_that_fills_its_packets_ends_by_the_silence_after_it() {
        let mut lane = Lane::default();
        let mut all = pulses(&[0x5A]);
        all[7].idle = 850;
        assert!(lane.take(Ticks(0), &all, HZ).is_empty(), "more may come");
        assert!(lane.complete(Ticks(20_000), HZ).is_none());
        assert_eq!(bytes_of(&lane.complete(Ticks(50_000), HZ).expect("whole")), [0x5A]);
        // And what comes elsewhere is another one.
        assert!(lane.take(Ticks(100_000), &all, HZ).is_empty());
        assert_eq!(lane.take(Ticks(900_000), &all, HZ).len(), 1);
    }

    #[test]
    fn dark_frames_and_bright_ones_are_told_apart() {
        let of = |byte: u8| {
            let mut lane = Lane::default();
            bytes_of(&lane.take(Ticks(0), &pulses(&[byte; 3]), HZ)[0])
        };
        assert_eq!((of(0x00), of(0xFF)), (vec![0x00; 3], vec![0xFF; 3]));
    }

    #[test]
    fn what_are_no_bytes_are_edges_where_they_were() {
        let mut lane = Lane::default();
        let pulses = [Pulse { active: 300, idle: 700 }, Pulse { active: 5, idle: 0 }];
        let whole = lane.take(Ticks(10), &pulses, HZ);
        let events = whole[0].events(Instant::from_nanos(10), HZ);
        let expected = [(10, Level::High), (310, Level::Low), (1_010, Level::High), (1_015, Level::Low)];
        assert_eq!(events, expected.map(|(at, level)| (Instant::from_nanos(at), Kind::Edge(level))));
        let jittered = [ZERO, ONE, Pulse { active: 401, idle: 849 }, ZERO, ZERO, ZERO, ZERO, ZERO];
        assert!(Stretch { began: Ticks(0), pulses: jittered.to_vec() }.burst(HZ).is_none());
    }
}
