//! What tells bytes apart without keeping them.

/// A hash of `bytes`, the same on every machine: recordings hold it.
///
/// Two inputs have one hash with the odds of 64 bits. It is no protection against a forger, who could
/// write another recording. Each step multiplies to 128 bits and folds them; four sums go side by side,
/// because one alone would wait for its own multiplications. A case may write a whole chip, and a CRC of
/// 64 bits would take several times as long.
pub(super) fn hash(bytes: &[u8]) -> u64 {
    // The golden ratio's digits and those of the square root of 2, without a pattern.
    const ONE: u64 = 0x9E37_79B9_7F4A_7C15;
    const OTHER: u64 = 0x6A09_E667_F3BC_C909;
    let word = |bytes: &[u8]| {
        let mut word = [0; 8];
        word[..bytes.len()].copy_from_slice(bytes);
        u64::from_le_bytes(word)
    };
    let step = |state: u64, word: u64| {
        let product = u128::from(word ^ ONE) * u128::from(state ^ OTHER);
        product as u64 ^ (product >> 64) as u64
    };
    let mut sums = [1u64, 2, 3, 4];
    let mut blocks = bytes.chunks_exact(32);
    for block in &mut blocks {
        for (sum, bytes) in sums.iter_mut().zip(block.chunks_exact(8)) {
            *sum = step(*sum, word(bytes));
        }
    }
    for bytes in blocks.remainder().chunks(8) {
        sums[0] = step(sums[0], word(bytes));
    }
    sums.into_iter().fold(bytes.len() as u64, step)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Other values would make every recording there is useless.
    #[test]
    fn it_is_the_same_on_every_machine() {
        let counted: Vec<u8> = (0..100).collect();
        let hashes = [hash(b""), hash(b"a"), hash(&counted)];
        assert_eq!(
            hashes,
            [0x555b_be88_543e_8c6c, 0x54a1_5a5f_b977_7d6e, 0xa4e1_48e1_a863_473a],
            "{hashes:#018x?}"
        );
    }

    #[test]
    fn every_bit_and_every_length_counts() {
        let bytes = [0x5A; 75];
        let mut seen = std::collections::BTreeSet::from([hash(&bytes)]);
        for bit in 0..bytes.len() * 8 {
            let mut other = bytes;
            other[bit / 8] ^= 1 << (bit % 8);
            assert!(seen.insert(hash(&other)), "bit {bit}");
        }
        for length in 0..200 {
            assert!(seen.insert(hash(&vec![0; length])), "{length} zeros");
        }
    }
}
