//! How long a bit is.

use std::time::Duration;

use rigor_core::Instant;
use rigor_core::time::nanos;

use super::decoder::decode_edges;
use crate::capture::{PackedEdge, Signal};

/// The rates that people set, in baud.
const USUAL: [u32; 16] = [
    300, 1_200, 2_400, 4_800, 9_600, 19_200, 38_400, 57_600, 74_880, 115_200, 230_400, 460_800, 921_600,
    1_000_000, 2_000_000, 3_000_000,
];

/// A measured rate that is closer than this to a usual one is taken for it: 2.5 %, which is what a
/// receiver has to bear at least.
const USUAL_WITHIN: f64 = 0.025;

/// Pulses that a measurement looks at.
const PULSES: usize = 20_000;

/// Fewer pulses say nothing.
const MIN_PULSES: usize = 16;

/// Of a length belong to one group that differ by no more than this.
const GROUP_WITHIN: f64 = 0.2;

/// The length of a bit.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct BitTime(f64);

/// No serial line has this rate.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a serial line of {0} baud; write 1 to 100000000")]
pub struct BadBitTime(u32);

impl BitTime {
    /// Of so many bits a second.
    ///
    /// # Errors
    /// [`BadBitTime`] for zero and for more than 100 million.
    pub fn of_baud(baud: u32) -> Result<Self, BadBitTime> {
        if (1..=100_000_000).contains(&baud) {
            Ok(BitTime(1e9 / f64::from(baud)))
        } else {
            Err(BadBitTime(baud))
        }
    }

    /// In nanoseconds.
    pub fn as_nanos(self) -> f64 {
        self.0
    }

    /// In bits a second.
    pub fn baud(self) -> f64 {
        1e9 / self.0
    }

    /// The rate that people set and that is within 2.5 % of this one, if there is one.
    pub fn usual_baud(self) -> Option<u32> {
        USUAL.into_iter().find(|&usual| (self.baud() / f64::from(usual) - 1.0).abs() <= USUAL_WITHIN)
    }

    /// Ten bits: a character with its start and stop bit.
    pub fn character(self) -> Duration {
        Duration::from_nanos((self.0 * 10.0) as u64)
    }

    /// Middle of bit `bit` of a character that began at `start`, in nanoseconds.
    pub(super) fn middle(self, start: Instant, bit: u32) -> u64 {
        start.as_nanos().saturating_add((self.0 * (f64::from(bit) + 0.5)) as u64)
    }
}

/// The rate cannot be told from the pulses.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{pulses} pulses say too little of the rate of a serial line; give it")]
pub struct Unmeasurable {
    /// How many there were.
    pub pulses: usize,
}

/// Measures the rate of a serial line from its first pulses.
///
/// The shortest length that is not rare is a bit, or two or three of them where the data has no single
/// ones: of these the one is taken that fits the lengths of the pulses and by which
/// the characters have their stop bit. The figure is the
/// mean over all pulses, so it is better than the capture's resolution.
///
/// # Errors
/// [`Unmeasurable`] with fewer than 16 pulses, or if none of their lengths is frequent.
pub fn measure(signal: &Signal) -> Result<BitTime, Unmeasurable> {
    let edges = &signal.edges()[..signal.edges().len().min(PULSES + 1)];
    let mut pulses: Vec<f64> = edges.windows(2).map(|pair| length(pair[0], pair[1])).collect();
    let unmeasurable = Unmeasurable { pulses: pulses.len() };
    if pulses.len() < MIN_PULSES {
        return Err(unmeasurable);
    }
    pulses.sort_by(f64::total_cmp);
    let unit = frequent(&pulses).ok_or(unmeasurable)?;
    let candidates = [1.0, 2.0, 3.0].map(|bits| refine(&pulses, unit / bits));
    let faults = |bit: &BitTime| {
        let characters = decode_edges(signal.initial(), edges, Instant::MAX, *bit);
        let faulty = characters.iter().filter(|character| character.fault.is_some()).count();
        let share = faulty as f64 / characters.len().max(1) as f64;
        ((share + misfits(&pulses, bit.0)) * 1e6) as u64
    };
    candidates
        .into_iter()
        .filter(|bit| bit.0 >= 1.0)
        // Of equals the first: nothing speaks for bits that nobody has seen.
        .min_by_key(faults)
        .ok_or(unmeasurable)
}

fn length(from: PackedEdge, to: PackedEdge) -> f64 {
    nanos(to.at().since(from.at())) as f64
}

/// The shortest length that a twentieth of all have, and at least three. A spike is none.
fn frequent(sorted: &[f64]) -> Option<f64> {
    let enough = (sorted.len() / 20).max(3);
    sorted.iter().enumerate().find_map(|(index, &shortest)| {
        let group = sorted[index..].partition_point(|&pulse| pulse <= shortest * (1.0 + GROUP_WITHIN));
        (group >= enough).then(|| sorted[index..index + group].iter().sum::<f64>() / group as f64)
    })
}

/// The share of the pulses inside characters that are no whole number of bits long.
fn misfits(pulses: &[f64], bit: f64) -> f64 {
    let inside: Vec<f64> =
        pulses.iter().map(|pulse| pulse / bit).filter(|bits| (0.5..9.5).contains(bits)).collect();
    let odd = inside.iter().filter(|bits| (*bits - bits.round()).abs() > GROUP_WITHIN).count();
    odd as f64 / inside.len().max(1) as f64
}

/// The mean length of a bit over all pulses that can lie in a character.
fn refine(pulses: &[f64], bit: f64) -> BitTime {
    let (mut time, mut bits) = (0.0, 0.0);
    for &pulse in pulses.iter().filter(|&&pulse| pulse > bit / 2.0 && pulse < bit * 9.5) {
        time += pulse;
        bits += (pulse / bit).round();
    }
    BitTime(if bits > 0.0 { time / bits } else { bit })
}
