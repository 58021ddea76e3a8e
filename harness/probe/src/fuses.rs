//! Fuses that keep plain images away, as the core reads them.

use rigor_flasher::{Chip, Security};

/// Bytes of the fuses that are looked at: block 0 as the controller shows it, behind 11 words of its own
/// (`EFUSE_RD_WR_DIS_REG` at 0x2c in ESP-IDF's `efuse_reg.h` of all three chips).
pub(crate) const BYTES: usize = 24;
const BLOCK_0: u32 = 0x2C;

/// Where the fuses of `chip` begin in its address space (`DR_REG_EFUSE_BASE` in ESP-IDF's `reg_base.h`, and block 0).
pub(crate) fn address(chip: Chip) -> u32 {
    let controller = match chip {
        Chip::Esp32c3 => 0x6000_8800,
        Chip::Esp32c6 => 0x600B_0800,
        Chip::Esp32s3 => 0x6000_7000,
    };
    controller + BLOCK_0
}

/// What `block`, little-endian words, says. The bits are the same on all three chips: `SPI_BOOT_CRYPT_CNT` 82 to 84
/// (encrypted if an odd number of them is set), `SECURE_BOOT_EN` 116, `ENABLE_SECURITY_DOWNLOAD` 133.
pub(crate) fn security(block: &[u8; BYTES]) -> Security {
    let bit = |number: usize| block[number / 8] >> (number % 8) & 1 == 1;
    let crypt = [82, 83, 84].into_iter().filter(|number| bit(*number)).count();
    Security { secure_boot: bit(116), flash_encryption: crypt % 2 == 1, secure_download: bit(133) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(bits: &[usize]) -> [u8; BYTES] {
        let mut block = [0; BYTES];
        for bit in bits {
            block[bit / 8] |= 1 << (bit % 8);
        }
        block
    }

    #[test]
    fn a_new_chip_takes_plain_images() {
        assert_eq!(security(&block(&[])), Security::default());
        let others: Vec<_> = (0..BYTES * 8).filter(|bit| ![82, 83, 84, 116, 133].contains(bit)).collect();
        assert_eq!(security(&block(&others)), Security::default(), "no other bit counts");
    }

    #[test]
    fn each_fuse_is_seen_by_itself() {
        let none = Security::default();
        assert_eq!(security(&block(&[116])), Security { secure_boot: true, ..none });
        assert_eq!(security(&block(&[133])), Security { secure_download: true, ..none });
        assert_eq!(security(&block(&[82])), Security { flash_encryption: true, ..none });
    }

    #[test]
    fn encryption_that_was_switched_off_again_is_off() {
        assert!(!security(&block(&[82, 83])).flash_encryption);
        assert!(security(&block(&[82, 83, 84])).flash_encryption);
    }
}
