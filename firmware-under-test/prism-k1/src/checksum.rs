//! CRC-32/ISO-HDLC, the checksum of uploads and of pattern files (specification section 1.1).

use crc::{CRC_32_ISO_HDLC, Crc, Digest, Table};

static CRC32: Crc<u32, Table<1>> = Crc::<u32, Table<1>>::new(&CRC_32_ISO_HDLC);

/// A CRC-32 that grows piece by piece.
pub struct Crc32(Digest<'static, u32, Table<1>>);

impl Crc32 {
    /// The checksum of no bytes yet.
    #[must_use]
    pub fn new() -> Self {
        Self(CRC32.digest())
    }

    /// Takes `bytes` in.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The checksum of everything taken in.
    #[must_use]
    pub fn finish(self) -> u32 {
        self.0.finalize()
    }

    /// The checksum of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> u32 {
        CRC32.checksum(bytes)
    }
}

impl Default for Crc32 {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_values_of_the_specification() {
        assert_eq!(Crc32::of(b"123456789"), 0xCBF4_3926);
        assert_eq!(Crc32::of(b""), 0);
        assert_eq!(Crc32::of(b"abc"), 0x3524_41C2);
        let mut crc = Crc32::new();
        for byte in 0..=255u8 {
            crc.update(&[byte]);
        }
        assert_eq!(crc.finish(), 0x2905_8C73);
        assert_eq!(Crc32::of(&alloc::vec![0; 262_144]), 0xE20E_EA22);
    }
}
