//! `floor(255 x (v/255)^gamma + 0.5)` in integers (specification section 7), for a core library
//! without floating-point powers. Deterministic on every platform; at most one off in the last
//! place, and exact for gamma 1.

/// Bits behind the point.
const POINT: u32 = 32;
const ONE: u64 = 1 << POINT;
/// Bits of a logarithm's fraction that are worked out.
const BITS: usize = 24;

/// 2^(-1/2), 2^(-1/4), 2^(-1/8) ..: each the square root of the one before.
const HALVINGS: [u64; BITS] = {
    let mut table = [0; BITS];
    let mut value: u64 = ONE / 2;
    let mut i = 0;
    while i < BITS {
        value = (value << POINT).isqrt();
        table[i] = value;
        i += 1;
    }
    table
};

/// log2 of 1..=255.
const fn log2(value: u8) -> u64 {
    let whole = value.ilog2();
    // The mantissa in 1..2, 31 bits behind the point.
    let mut mantissa = (value as u64) << (31 - whole);
    let mut fraction = 0u64;
    let mut bit = 0;
    while bit < BITS {
        mantissa = (mantissa * mantissa) >> 31;
        fraction <<= 1;
        if mantissa >= 2 << 31 {
            mantissa >>= 1;
            fraction |= 1;
        }
        bit += 1;
    }
    ((whole as u64) << POINT) + (fraction << (POINT - BITS as u32))
}

/// How many halvings 255 is above each value, 32 bits behind the point.
const DISTANCES: [u64; 256] = {
    let top = log2(255);
    let mut table = [0; 256];
    let mut value = 1;
    while value < 256 {
        table[value] = top - log2(value as u8);
        value += 1;
    }
    table
};

/// `value` through the curve of `gamma_x100` hundredths.
pub(super) fn corrected(value: u8, gamma_x100: u16) -> u8 {
    if value == 0 {
        return 0;
    }
    let Some(distance) = DISTANCES.get(usize::from(value)) else {
        return value;
    };
    let exponent = distance * u64::from(gamma_x100) / 100;
    let whole = exponent >> POINT;
    if whole >= 16 {
        return 0;
    }
    let mut power = ONE;
    for (bit, halving) in HALVINGS.iter().enumerate() {
        if exponent >> (POINT as usize - 1 - bit) & 1 == 1 {
            // At most 2^32 times less than 2^32.
            power = (power * halving) >> POINT;
        }
    }
    let scaled = (255 * power) >> whole;
    u8::try_from((scaled + ONE / 2) >> POINT).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gamma_1_is_the_identity() {
        for value in 0..=255 {
            assert_eq!(corrected(value, 100), value);
        }
    }

    #[test]
    fn every_curve_is_within_one_of_the_real_one() {
        for gamma in (100..=300).step_by(5) {
            for value in 0..=255u8 {
                let real = (255.0 * (f64::from(value) / 255.0).powf(f64::from(gamma) / 100.0) + 0.5).floor();
                let ours = corrected(value, gamma);
                assert!((real - f64::from(ours)).abs() <= 1.0, "{value}^{gamma}: {ours}, {real}");
                if (real - f64::from(ours)).abs() > 0.0 {
                    let exact = 255.0 * (f64::from(value) / 255.0).powf(f64::from(gamma) / 100.0);
                    assert!((exact.fract() - 0.5).abs() < 1e-4, "{value}^{gamma}");
                }
            }
        }
    }
}
