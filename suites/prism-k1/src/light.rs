//! What brightness and gamma make of a colour value: the formulas of the specification's sections 7
//! and 13, and how to read the setting back from a picture.

/// `value` at `brightness` (255 is full), unrounded.
pub fn dimmed(value: f64, brightness: f64) -> f64 {
    value * brightness / 255.0
}

/// `value` through the table of `x100` hundredths: floor(255 x (value/255)^gamma + 0.5).
pub fn corrected(value: u8, x100: u16) -> f64 {
    (curve(value, f64::from(x100)) + 0.5).floor()
}

fn curve(value: u8, x100: f64) -> f64 {
    255.0 * (f64::from(value) / 255.0).powf(x100 / 100.0)
}

/// The brightness at which a strip with `file` on it shows `shown`: by the sum of all values, so that
/// the rounding of each hardly counts.
pub fn brightness_of(file: &[u8], shown: &[u8]) -> f64 {
    255.0 * sum(shown) / sum(file)
}

fn sum(bytes: &[u8]) -> f64 {
    bytes.iter().map(|&byte| f64::from(byte)).sum()
}

/// The least and the greatest exponent, in hundredths (specification, section 1.3).
pub const GAMMA: std::ops::RangeInclusive<u16> = 100..=300;

/// Reads the exponent off pictures of one file.
pub struct GammaMeter {
    /// The sum of all values at each exponent from the least to the greatest one.
    sums: Vec<f64>,
}

impl GammaMeter {
    /// For pictures of `file`.
    pub fn new(file: &[u8]) -> Self {
        let mut occurrences = [0.0; 256];
        for &value in file {
            occurrences[usize::from(value)] += 1.0;
        }
        let at = |x100: u16| {
            (0..=255).map(|value| occurrences[usize::from(value)] * curve(value, f64::from(x100))).sum()
        };
        GammaMeter { sums: GAMMA.map(at).collect() }
    }

    /// The exponent in hundredths at which the strip shows `shown`; beyond the range, its end.
    pub fn exponent_of(&self, shown: &[u8]) -> f64 {
        let sum = sum(shown);
        let least = f64::from(*GAMMA.start());
        // A greater exponent makes a darker picture.
        let above = self.sums.partition_point(|&at| at > sum);
        match (above.checked_sub(1).map(|index| self.sums[index]), self.sums.get(above)) {
            (None, _) => least,
            (Some(_), None) => f64::from(*GAMMA.end()),
            (Some(brighter), Some(darker)) => {
                least + (above - 1) as f64 + (brighter - sum) / (brighter - darker)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pattern::every_value;

    #[test]
    fn full_brightness_and_an_exponent_of_1_leave_a_value_alone() {
        for value in 0..=255 {
            assert_eq!(dimmed(f64::from(value), 255.0), f64::from(value));
            assert_eq!(corrected(value, 100), f64::from(value));
        }
        // By hand: 255 x (128/255)^2.2 = 55.98.
        assert_eq!((corrected(128, 220), corrected(255, 220), corrected(0, 220)), (56.0, 255.0, 0.0));
        assert_eq!(dimmed(255.0, 128.0), 128.0);
    }

    #[test]
    fn settings_are_read_back_from_rounded_pictures() {
        let file = every_value();
        let meter = GammaMeter::new(&file);
        for x100 in GAMMA.step_by(7) {
            let shown: Vec<u8> = file.iter().map(|&value| corrected(value, x100) as u8).collect();
            let read = meter.exponent_of(&shown);
            assert!((read - f64::from(x100)).abs() < 0.5, "{x100}: {read}");
        }
        for brightness in 0..=255 {
            let at = |value| dimmed(f64::from(value), f64::from(brightness)).round() as u8;
            let shown: Vec<u8> = file.iter().map(|&value| at(value)).collect();
            let read = brightness_of(&file, &shown);
            assert!((read - f64::from(brightness)).abs() < 0.5, "{brightness}: {read}");
        }
    }
}
