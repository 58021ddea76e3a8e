//! Brightness and gamma: where they are on their way, and the table that applies both.
//!
//! Specification section 7 for the pipeline (gamma, then brightness) and section 11 item 39 for the
//! ramps: linear, clamped, and neither setting disturbs the other.

use super::gamma;
use crate::defect::{self, Defect};

/// Longest ramp in milliseconds (specification section 1.3).
pub const MAX_RAMP_MS: u16 = 5000;
/// Least gamma in 1/100 (specification section 1.3): leaves colours as they are.
pub const GAMMA_MIN: u16 = 100;
/// Greatest gamma in 1/100 (specification section 1.3).
pub const GAMMA_MAX: u16 = 300;

const FULL: u8 = 255;

/// A value on its way. Times in microseconds.
#[derive(Clone, Copy)]
struct Glide {
    from: u16,
    to: u16,
    begin: u64,
    duration: u64,
}

impl Glide {
    const fn resting(value: u16) -> Self {
        Self { from: value, to: value, begin: 0, duration: 0 }
    }

    fn at(&self, now: u64) -> u16 {
        let elapsed = now.saturating_sub(self.begin);
        if elapsed >= self.duration {
            return self.to;
        }
        let distance = u64::from(self.from.abs_diff(self.to));
        // Less than the distance, and that fits.
        let way = u16::try_from((distance * elapsed + self.duration / 2) / self.duration).unwrap_or(u16::MAX);
        if self.to >= self.from { self.from.saturating_add(way) } else { self.from.saturating_sub(way) }
    }

    fn head_for(&mut self, target: u16, now: u64, duration_ms: u16) {
        let duration_ms = if defect::present(Defect::RampsJump) { 0 } else { duration_ms };
        *self = Self { from: self.at(now), to: target, begin: now, duration: u64::from(duration_ms) * 1000 };
    }
}

/// Where brightness and gamma are.
#[derive(Clone, Copy)]
pub(super) struct Effects {
    brightness: Glide,
    gamma: Glide,
}

/// What becomes of every colour byte on its way to the LEDs. The playback task's own, for making one
/// takes longer than other tasks may be kept waiting.
pub(super) struct Table {
    bytes: [u8; 256],
    /// Brightness and gamma that it was made for.
    made_for: (u8, u16),
}

/// `value` at `brightness`, rounded to the nearest; 255 is the identity.
fn dimmed(value: u8, brightness: u8) -> u8 {
    if defect::present(Defect::FullScaleLost) {
        return ((u16::from(value) * u16::from(brightness)) >> 8) as u8;
    }
    let brightness = match brightness {
        200.. if defect::present(Defect::BrightnessLimited) => 200,
        _ if defect::present(Defect::BrightnessCurved) => {
            (u16::from(brightness) * u16::from(brightness) / 255) as u8
        }
        _ => brightness,
    };
    let scaled = (u16::from(value) * u16::from(brightness) + 127) / 255;
    u8::try_from(scaled).unwrap_or(u8::MAX)
}

impl Effects {
    pub(super) fn new() -> Self {
        Self { brightness: Glide::resting(FULL.into()), gamma: Glide::resting(GAMMA_MIN) }
    }

    pub(super) fn set_brightness(&mut self, target: u8, now: u64, duration_ms: u16) {
        self.brightness.head_for(target.into(), now, duration_ms);
        if defect::present(Defect::GammaLost) {
            self.gamma = Glide::resting(GAMMA_MIN);
        }
    }

    pub(super) fn set_gamma(&mut self, target_x100: u16, now: u64, duration_ms: u16) {
        self.gamma.head_for(target_x100, now, duration_ms);
    }

    /// Brightness and gamma at `now`.
    pub(super) fn values(&self, now: u64) -> (u8, u16) {
        (u8::try_from(self.brightness.at(now)).unwrap_or(FULL), self.gamma.at(now))
    }
}

impl Table {
    /// That of full brightness and no gamma.
    pub(super) fn new() -> Self {
        let mut bytes = [0; 256];
        for (value, entry) in (0..=255).zip(&mut bytes) {
            *entry = dimmed(value, FULL);
        }
        Self { bytes, made_for: (FULL, GAMMA_MIN) }
    }

    /// The table for `wanted` brightness and gamma, and whether it had to be made anew.
    pub(super) fn of(&mut self, wanted: (u8, u16)) -> (&[u8; 256], bool) {
        let stale = wanted != self.made_for;
        if stale {
            self.made_for = wanted;
            for (value, entry) in (0..=255).zip(&mut self.bytes) {
                *entry = if defect::present(Defect::GammaIgnored) {
                    dimmed(value, wanted.0)
                } else if defect::present(Defect::BrightnessFirst) {
                    gamma::corrected(dimmed(value, wanted.0), wanted.1)
                } else {
                    dimmed(gamma::corrected(value, wanted.1), wanted.0)
                };
            }
        }
        (&self.bytes, stale)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_brightness_is_the_identity_and_zero_is_black() {
        for value in 0..=255 {
            assert_eq!(dimmed(value, 255), value);
            assert_eq!(dimmed(value, 0), 0);
            let exact = f64::from(value) * 128.0 / 255.0;
            assert!((f64::from(dimmed(value, 128)) - exact).abs() <= 0.5);
        }
    }

    #[test]
    fn ramps_are_linear_and_start_where_the_last_one_is() {
        let mut effects = Effects::new();
        effects.set_brightness(0, 1_000_000, 0);
        effects.set_brightness(255, 1_000_000, 100);
        assert_eq!(effects.values(1_000_000).0, 0);
        assert!((127..=128).contains(&effects.values(1_050_000).0));
        assert_eq!(effects.values(1_100_000).0, 255);
        effects.set_brightness(0, 1_050_000, 100);
        assert!((127..=128).contains(&effects.values(1_050_000).0));
        assert!((63..=64).contains(&effects.values(1_100_000).0));
    }

    #[test]
    fn neither_setting_disturbs_the_other() {
        let mut effects = Effects::new();
        effects.set_gamma(220, 0, 0);
        effects.set_brightness(128, 0, 0);
        assert_eq!(effects.values(1), (128, 220));
        let mut table = Table::new();
        let (bytes, stale) = table.of(effects.values(1));
        assert!(stale);
        assert_eq!(bytes[255], 128);
        assert_eq!(bytes[128], dimmed(gamma::corrected(128, 220), 128));
        assert!(!table.of(effects.values(2)).1);
    }
}
