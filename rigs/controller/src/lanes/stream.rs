//! What one machine says while its lane is in no burst: where the next burst begins.

use super::IDLE;
use super::program::{AFTER_EDGE, AFTER_PAUSE, COUNT, HIGH_SEAM, OUT, SEAM, STILL_IDLE};
use crate::ring::Tap;

/// Ticks of a whole count, without what follows it.
pub(super) const WHOLE: u32 = 2 * COUNT;

/// The two halves of a word.
#[derive(Clone, Copy)]
pub(super) struct Word(pub(super) u32);

impl Word {
    /// Ticks at the high level. `None` if it goes on.
    pub(super) fn high(self, after: u32) -> Option<u32> {
        let left = self.0 >> 16;
        (left != OUT).then(|| after + WHOLE - 2 * left)
    }

    /// Ticks at the low level after it. `None` if it goes on.
    pub(super) fn low(self) -> Option<u32> {
        let left = self.0 & 0xFFFF;
        (left != OUT).then(|| AFTER_EDGE + WHOLE - 2 * left)
    }
}

/// Where a machine is.
#[derive(Clone, Copy)]
pub(super) enum At {
    /// Among pulses that are of no use: this one rose at the instant.
    Pulses { rose: u64, after: u32 },
    /// In a pause: it looked at the instant, and the pin has been low since.
    Pause { looked: u64, since: u64 },
    /// At the rise that ends a pause.
    Rose { rose: u64, after: u32 },
}

impl At {
    /// All before it is known.
    pub(super) fn instant(self) -> u64 {
        match self {
            At::Pulses { rose, .. } | At::Rose { rose, .. } => rose,
            At::Pause { looked, .. } => looked,
        }
    }

    /// After a pulse that rose at `rose` and was high for so long, before a pause.
    pub(super) fn after_burst(rose: u64, high: u32, low: Option<u32>) -> At {
        let fell = rose + u64::from(high);
        match low {
            Some(low) => At::Rose { rose: fell + u64::from(low), after: AFTER_EDGE },
            None => At::Pause { looked: fell + u64::from(AFTER_EDGE + WHOLE + SEAM), since: fell },
        }
    }

    /// Reads on until a burst begins, but at most `words`. Whether pulses were left out.
    pub(super) fn seek(&mut self, tap: &mut Tap, words: u32) -> bool {
        let mut left_out = false;
        for _ in 0..words {
            if let At::Rose { .. } = self {
                break;
            }
            let word = tap.peek(0);
            tap.advance(1);
            left_out |= self.read(word);
        }
        left_out
    }

    /// Takes `word` in. Whether it was of a pulse that is of no use.
    fn read(&mut self, word: u32) -> bool {
        match *self {
            At::Rose { .. } => false,
            At::Pause { looked, since } => {
                if word == STILL_IDLE {
                    *self = At::Pause { looked: looked + u64::from(WHOLE + SEAM), since };
                    return false;
                }
                let rose = looked + u64::from(WHOLE - 2 * (word & 0xFFFF));
                let after = AFTER_PAUSE;
                let is_pause = rose - since > u64::from(IDLE);
                *self = if is_pause { At::Rose { rose, after } } else { At::Pulses { rose, after } };
                false
            }
            At::Pulses { rose, after } => {
                let word = Word(word);
                *self = match (word.high(after), word.low()) {
                    (None, _) => At::Pulses { rose: rose + u64::from(WHOLE + HIGH_SEAM), after },
                    (Some(high), Some(low)) if low <= IDLE => {
                        At::Pulses { rose: rose + u64::from(high + low), after: AFTER_EDGE }
                    }
                    (Some(high), low) => At::after_burst(rose, high, low),
                };
                true
            }
        }
    }
}
