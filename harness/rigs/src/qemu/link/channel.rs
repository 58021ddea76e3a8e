//! One direction of the link: frames that wait for the air or are on their way.

use std::collections::VecDeque;
use std::time::Duration;

use rigor_board::net::LinkConfig;
use rigor_core::Instant;

use super::LONGEST_FRAME;

/// What may be on its way at once. Sockets hold a few kilobytes each, so only somebody who sends without end
/// gets here; it would take the link 0.4 s at 20 Mbit/s.
const CAPACITY: usize = 1 << 20;
/// What the shortest frame counts for, as it takes more memory than its bytes.
const SHORTEST: usize = 64;

/// Why a frame is not carried.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, thiserror::Error)]
pub(super) enum Loss {
    /// Ethernet has none so long.
    #[error("frames of more than {LONGEST_FRAME} bytes")]
    TooLong,
    /// [`CAPACITY`].
    #[error("frames beyond {CAPACITY} bytes on their way")]
    TooMany,
}

/// One direction: what is sent later waits for what is sent now.
pub(super) struct Channel {
    config: LinkConfig,
    free_at: Instant,
    /// With their arrivals, in order.
    flying: VecDeque<(Instant, Vec<u8>)>,
    bytes: usize,
}

impl Channel {
    pub(super) fn new(config: LinkConfig) -> Self {
        Channel { config, free_at: Instant::ZERO, flying: VecDeque::new(), bytes: 0 }
    }

    /// Sends `frame` at `at`.
    pub(super) fn carry(&mut self, at: Instant, frame: Vec<u8>) -> Result<(), Loss> {
        self.check(&frame)?;
        let bits = frame.len() as u64 * 8;
        let on_air = Duration::from_nanos(bits * 1_000_000_000 / self.config.bits_per_second.max(1));
        self.free_at = self.free_at.max(at) + on_air;
        self.fly(frame);
        Ok(())
    }

    /// Sends `frame` behind what waits for the air, without taking any itself.
    pub(super) fn carry_aside(&mut self, at: Instant, frame: Vec<u8>) -> Result<(), Loss> {
        self.check(&frame)?;
        self.free_at = self.free_at.max(at);
        self.fly(frame);
        Ok(())
    }

    /// Not every frame can be sent now.
    pub(super) fn is_full(&self) -> bool {
        self.bytes + LONGEST_FRAME > CAPACITY
    }

    fn check(&self, frame: &[u8]) -> Result<(), Loss> {
        if frame.len() > LONGEST_FRAME {
            return Err(Loss::TooLong);
        }
        if self.bytes + frame.len().max(SHORTEST) > CAPACITY {
            return Err(Loss::TooMany);
        }
        Ok(())
    }

    fn fly(&mut self, frame: Vec<u8>) {
        self.bytes += frame.len().max(SHORTEST);
        self.flying.push_back((self.free_at + self.config.latency, frame));
    }

    /// When the next frame arrives.
    pub(super) fn next(&self) -> Option<Instant> {
        self.flying.front().map(|(at, _)| *at)
    }

    /// The next frame, if it has arrived by `now`.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<(Instant, Vec<u8>)> {
        let (at, frame) = self.flying.pop_front_if(|(at, _)| *at <= now)?;
        self.bytes -= frame.len().max(SHORTEST);
        Some((at, frame))
    }
}
