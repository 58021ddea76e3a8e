//! What the wires behind the transmitter carry: the bursts as they are on a board that is well, and
//! what [faults](crate::fault) make of them.
//!
//! A burst that a fault breaks apart stays as compact as it can: what is left of it whole is bursts, and
//! the byte in which a pulse is missing is single edges.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rigor_core::Instant;
use rigor_core::event::{Burst, BytesEncoding, Kind, Level, Symbol};

use crate::clock::Rate;
use crate::fault::BoardFault;

/// What a channel still sends when nobody refills it: its memory of 48 symbols (ESP32-S3 technical
/// reference manual, RMT), in bytes.
const MEMORY_BYTES: usize = 6;

/// How the transmitter's clock keeps time, and what is wrong with the wires behind it.
pub(crate) struct Wires {
    rate: Rate,
    faults: Vec<BoardFault>,
    /// Bursts and pulses that each wire has carried, for faults that count them.
    carried: BTreeMap<u8, Carried>,
}

#[derive(Clone, Copy, Default)]
struct Carried {
    bursts: u64,
    pulses: u64,
}

impl Default for Wires {
    fn default() -> Self {
        Wires { rate: Rate::EXACT, faults: Vec::new(), carried: BTreeMap::new() }
    }
}

impl Wires {
    pub(crate) fn inject(&mut self, fault: BoardFault) {
        self.faults.push(fault);
    }

    /// The transmitter's clock is fast or slow.
    pub(crate) fn clock_at(&mut self, rate: Rate) {
        self.rate = rate;
    }

    /// Whether the transmitter is not refilled while the flash is changed.
    pub(super) fn starve(&self) -> bool {
        self.faults.contains(&BoardFault::TransmitterStarved {})
    }

    /// `bytes` as the strip takes them, if that is not as they are.
    pub(super) fn recoloured(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        self.faults.contains(&BoardFault::ColoursSwapped {}).then(|| {
            let mut bytes = bytes.to_vec();
            for pixel in bytes.chunks_exact_mut(3) {
                pixel.swap(0, 1);
            }
            bytes
        })
    }

    /// The pulses that leave when `programmed` are asked for, to the nanosecond.
    pub(super) fn encoding(&self, programmed: BytesEncoding) -> BytesEncoding {
        let mut encoding = programmed;
        if self.rate != Rate::EXACT {
            // A bit is as near to its true length as whole nanoseconds allow.
            let symbol = |symbol: Symbol| {
                let high_ns = self.rate.nearest_nanos(symbol.high_ns);
                let period = self.rate.nearest_nanos(symbol.high_ns.saturating_add(symbol.low_ns));
                Symbol { high_ns, low_ns: period.saturating_sub(high_ns) }
            };
            encoding = BytesEncoding { zero: symbol(encoding.zero), one: symbol(encoding.one) };
        }
        for fault in &self.faults {
            if let BoardFault::PulseWidth { zero_ns, one_ns } = *fault {
                encoding.zero = widened(encoding.zero, zero_ns);
                encoding.one = widened(encoding.one, one_ns);
            }
        }
        encoding
    }

    /// How late the next burst of `wire` begins.
    pub(super) fn delay(&mut self, wire: u8) -> Duration {
        let carried = self.carried.entry(wire).or_default();
        carried.bursts += 1;
        let late = self.faults.iter().filter_map(|fault| match *fault {
            BoardFault::LaneLate { pin, by_ns, every }
                if pin == wire && carried.bursts.is_multiple_of(every.get().into()) =>
            {
                Some(Duration::from_nanos(by_ns.into()))
            }
            _ => None,
        });
        late.sum()
    }

    /// What `wire` carries of a burst that begins at `started`.
    pub(super) fn carry(&mut self, wire: u8, started: Instant, burst: Burst) -> Vec<(Instant, Kind)> {
        let first = self.carried.entry(wire).or_default().pulses;
        let pulses = burst.bytes.len() as u64 * 8;
        self.carried.entry(wire).or_default().pulses += pulses;
        let lossy: Vec<u64> = self
            .faults
            .iter()
            .filter_map(|fault| match *fault {
                BoardFault::PulseLost { pin, every } if pin == wire => Some(every.get().into()),
                _ => None,
            })
            .collect();
        if lossy.is_empty() {
            return vec![(started, Kind::Burst(burst))];
        }
        let is_lost = |pulse: u64| lossy.iter().any(|&every| (first + pulse + 1).is_multiple_of(every));
        if (0..pulses).any(is_lost) {
            without(started, &burst, is_lost)
        } else {
            vec![(started, Kind::Burst(burst))]
        }
    }
}

/// `symbol` with its fall later by `by` nanoseconds, but no later than the next rise and no earlier than
/// its own.
fn widened(symbol: Symbol, by: i32) -> Symbol {
    let period = symbol.high_ns.saturating_add(symbol.low_ns);
    let high_ns = symbol.high_ns.saturating_add_signed(by).clamp(1, period.saturating_sub(1).max(1));
    Symbol { high_ns, low_ns: period.saturating_sub(high_ns) }
}

/// The edges of something that a wire carries.
pub(super) fn edges(at: Instant, kind: &Kind) -> Vec<(Instant, Level)> {
    match kind {
        Kind::Burst(burst) => {
            burst.edges().map(|(offset, level)| (at + Duration::from_nanos(offset), level)).collect()
        }
        Kind::Edge(level) => vec![(at, *level)],
        _ => Vec::new(),
    }
}

/// The bytes `range` of `burst` as a burst of their own.
fn part(burst: &Burst, range: std::ops::Range<usize>) -> Burst {
    Burst { bytes: Arc::from(&burst.bytes[range]), ..burst.clone() }
}

/// `burst` without the pulses that are lost: bytes without a loss stay bursts.
fn without(started: Instant, burst: &Burst, is_lost: impl Fn(u64) -> bool) -> Vec<(Instant, Kind)> {
    let mut carries = Vec::new();
    // Where the bytes that are not accounted for yet begin.
    let (mut whole_from, mut whole_at) = (0, started);
    let mut at = started;
    for index in 0..burst.bytes.len() {
        let byte = part(burst, index..index + 1);
        let first = index as u64 * 8;
        if (first..first + 8).any(&is_lost) {
            if whole_from < index {
                carries.push((whole_at, Kind::Burst(part(burst, whole_from..index))));
            }
            // Two edges a pulse.
            let pulses = byte.edges().enumerate();
            let left = pulses.filter(|(edge, _)| !is_lost(first + *edge as u64 / 2));
            carries.extend(
                left.map(|(_, (offset, level))| (at + Duration::from_nanos(offset), Kind::Edge(level))),
            );
            (whole_from, whole_at) = (index + 1, at + byte.duration());
        }
        at += byte.duration();
    }
    if whole_from < burst.bytes.len() {
        carries.push((whole_at, Kind::Burst(part(burst, whole_from..burst.bytes.len()))));
    }
    carries
}

/// Nobody refills the channel from `now` until `until`: what its memory does not hold leaves when
/// somebody does. Returns how much later all ends.
pub(super) fn pause(carries: &mut Vec<(Instant, Kind)>, now: Instant, until: Instant) -> Duration {
    // The first whole byte behind the memory's contents.
    let cut = carries.iter().enumerate().find_map(|(index, (at, kind))| {
        let Kind::Burst(burst) = kind else { return None };
        let mut byte_at = *at;
        (0..burst.bytes.len())
            .map(|byte| {
                let begins = byte_at;
                byte_at += part(burst, byte..byte + 1).duration();
                (byte, begins)
            })
            .filter(|&(_, begins)| begins >= now)
            .nth(MEMORY_BYTES)
            .map(|(byte, begins)| (index, byte, begins))
    });
    let Some((index, byte, begins)) = cut else { return Duration::ZERO };
    let pause = until.since(begins);
    if pause.is_zero() {
        return pause;
    }
    if byte > 0
        && let Kind::Burst(burst) = &carries[index].1
    {
        let (before, after) = (part(burst, 0..byte), part(burst, byte..burst.bytes.len()));
        carries[index].1 = Kind::Burst(before);
        carries.insert(index + 1, (begins, Kind::Burst(after)));
    }
    for (at, _) in carries.iter_mut().filter(|(at, _)| *at >= begins) {
        *at += pause;
    }
    pause
}
