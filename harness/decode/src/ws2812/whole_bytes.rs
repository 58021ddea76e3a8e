//! The fast path: eight plain bits at a time.
//!
//! Nearly all edges belong to bytes with nothing odd about them. For these everything is computed
//! for eight bits side by side, without a branch that depends on the data, in arrays that the
//! compiler turns into vector instructions. Whatever is odd (a level that repeats, a time that
//! runs backwards, a pulse outside the permissive window, a long low) ends the run, and the
//! ordinary path in [`decoder`](super::decoder) deals with it.

use super::timing::{ONE_ABOVE_NS, PERMISSIVE, STRICT, Span, Timing};
use crate::capture::PackedEdge;

/// Edges of eight bits.
pub(super) const EDGES: usize = 16;

/// Bytes of one run. With times below 2^13 ns a lane's sum stays below 2^30.
const RUN: u64 = 1 << 16;

/// The longest low of the fast path, in nanoseconds.
const LOW_LIMIT: u64 = (1 << 13) - 1;

/// What a run took.
pub(super) struct Run {
    /// How many edges.
    pub(super) edges: usize,
    /// The last falling edge, if there was one.
    pub(super) fall: u64,
    /// The rise of the bit after it.
    pub(super) rise: u64,
}

/// One figure of each of eight bits. Signed, because the baseline vector instructions of x86-64
/// compare only signed numbers.
type Eight = [i32; 8];

struct Lanes {
    high_sum: Eight,
    one_high_sum: Eight,
    low_sum: Eight,
    one_low_sum: Eight,
    zero_high_min: Eight,
    zero_high_max: Eight,
    one_high_min: Eight,
    one_high_max: Eight,
    zero_low_min: Eight,
    zero_low_max: Eight,
    one_low_min: Eight,
    one_low_max: Eight,
    /// Counted downwards: a comparison's mask is -1.
    one_high_outside: Eight,
    zero_low_outside: Eight,
    one_low_outside: Eight,
    ones: u64,
    bytes: u64,
}

impl Lanes {
    fn new() -> Self {
        Lanes {
            high_sum: [0; 8],
            one_high_sum: [0; 8],
            low_sum: [0; 8],
            one_low_sum: [0; 8],
            zero_high_min: [i32::MAX; 8],
            zero_high_max: [0; 8],
            one_high_min: [i32::MAX; 8],
            one_high_max: [0; 8],
            zero_low_min: [i32::MAX; 8],
            zero_low_max: [0; 8],
            one_low_min: [i32::MAX; 8],
            one_low_max: [0; 8],
            one_high_outside: [0; 8],
            zero_low_outside: [0; 8],
            one_low_outside: [0; 8],
            ones: 0,
            bytes: 0,
        }
    }

    /// Adds eight bits; their byte.
    #[inline(always)]
    fn add(&mut self, high: &Eight, low: &Eight) -> u8 {
        let mut byte = 0;
        for lane in 0..8 {
            let (h, l) = (high[lane], low[lane]);
            let one = -i32::from(h > ONE_ABOVE_NS as i32);
            let zero = !one;
            self.high_sum[lane] += h;
            self.one_high_sum[lane] += h & one;
            self.low_sum[lane] += l;
            self.one_low_sum[lane] += l & one;
            // The other value's times must not count: as minimum they become the greatest number,
            // as maximum zero.
            self.zero_high_min[lane] = self.zero_high_min[lane].min(h | (one & i32::MAX));
            self.zero_high_max[lane] = self.zero_high_max[lane].max(h & zero);
            self.one_high_min[lane] = self.one_high_min[lane].min(h | (zero & i32::MAX));
            self.one_high_max[lane] = self.one_high_max[lane].max(h & one);
            self.zero_low_min[lane] = self.zero_low_min[lane].min(l | (one & i32::MAX));
            self.zero_low_max[lane] = self.zero_low_max[lane].max(l & zero);
            self.one_low_min[lane] = self.one_low_min[lane].min(l | (zero & i32::MAX));
            self.one_low_max[lane] = self.one_low_max[lane].max(l & one);
            // A 0's high time, and a 1's upper limit, are the permissive window's too.
            self.one_high_outside[lane] += one & -i32::from(h < STRICT.one_high.min_ns as i32);
            self.zero_low_outside[lane] += zero
                & -(i32::from(l < STRICT.zero_low.min_ns as i32)
                    | i32::from(l > STRICT.zero_low.max_ns as i32));
            self.one_low_outside[lane] += one
                & -(i32::from(l < STRICT.one_low.min_ns as i32)
                    | i32::from(l > STRICT.one_low.max_ns as i32));
            byte |= one & (0x80 >> lane);
        }
        self.ones += u64::from((byte as u8).count_ones());
        self.bytes += 1;
        byte as u8
    }

    fn fold_into(&self, timing: &mut Timing) {
        let zeros = self.bytes * 8 - self.ones;
        let sum = |lanes: &Eight| lanes.iter().map(|&lane| i64::from(lane)).sum::<i64>().unsigned_abs();
        let span = |count: u64, sum_ns: u64, min: &Eight, max: &Eight| {
            if count == 0 {
                return Span::default();
            }
            let min = min.iter().copied().min().unwrap_or(0);
            let max = max.iter().copied().max().unwrap_or(0);
            Span::from_parts(count, sum_ns, u64::from(min.unsigned_abs()), u64::from(max.unsigned_abs()))
        };
        let one_high = sum(&self.one_high_sum);
        let one_low = sum(&self.one_low_sum);
        let zero_high = sum(&self.high_sum) - one_high;
        let zero_low = sum(&self.low_sum) - one_low;
        timing.merge(&Timing {
            zero_high: span(zeros, zero_high, &self.zero_high_min, &self.zero_high_max),
            zero_low: span(zeros, zero_low, &self.zero_low_min, &self.zero_low_max),
            one_high: span(self.ones, one_high, &self.one_high_min, &self.one_high_max),
            one_low: span(self.ones, one_low, &self.one_low_min, &self.one_low_max),
            outside_permissive: 0,
            outside_strict: super::timing::Outside {
                zero_high: 0,
                zero_low: sum(&self.zero_low_outside),
                one_high: sum(&self.one_high_outside),
                one_low: sum(&self.one_low_outside),
            },
        });
    }
}

// What `Lanes::add` leaves out because the windows make it impossible.
const _: () = assert!(
    PERMISSIVE.zero_high.min_ns >= STRICT.zero_high.min_ns
        && PERMISSIVE.zero_high.max_ns <= STRICT.zero_high.max_ns
        && PERMISSIVE.one_high.max_ns <= STRICT.one_high.max_ns
);

/// Decodes bytes from `edges`, the first of which is the fall of a byte's first bit that rose at
/// `rise`, until something is odd, `room` bytes are decoded, or too few edges are left.
///
/// A low of more than `limit_ns` is odd.
pub(super) fn decode(
    mut rise: u64,
    edges: &[PackedEdge],
    limit_ns: u64,
    room: u64,
    bytes: &mut Vec<u8>,
    timing: &mut Timing,
) -> Run {
    const HIGH_MIN: u64 = PERMISSIVE.zero_high.min_ns;
    const HIGH_RANGE: u64 = PERMISSIVE.one_high.max_ns - HIGH_MIN;
    let low_limit = limit_ns.min(LOW_LIMIT);
    let most = room.min(RUN);
    let mut lanes = Lanes::new();
    let mut fall = rise;
    for chunk in edges.as_chunks::<EDGES>().0 {
        if lanes.bytes == most {
            break;
        }
        let mut high: Eight = [0; 8];
        let mut low: Eight = [0; 8];
        let mut odd = false;
        let mut last_rise = rise;
        for bit in 0..8 {
            let (fall, next) = (chunk[2 * bit], chunk[2 * bit + 1]);
            // Times that run backwards wrap round to huge ones.
            let h = fall.nanos().wrapping_sub(last_rise);
            let l = next.nanos().wrapping_sub(fall.nanos());
            odd |= fall.is_high() | !next.is_high();
            odd |= (h.wrapping_sub(HIGH_MIN) > HIGH_RANGE) | (l > low_limit);
            high[bit] = h as i32;
            low[bit] = l as i32;
            last_rise = next.nanos();
        }
        if odd {
            break;
        }
        bytes.push(lanes.add(&high, &low));
        rise = last_rise;
        fall = chunk[EDGES - 2].nanos();
    }
    lanes.fold_into(timing);
    Run { edges: lanes.bytes as usize * EDGES, fall, rise }
}
