//! Images, made by hand.

use md5::{Digest, Md5};
use rigor_flasher::Chip;
use sha2::Sha256;

/// Where the app is.
pub(crate) const APP: usize = 0x1_0000;
/// Where the table is.
pub(crate) const TABLE: usize = 0x8000;
/// The app's partition.
pub(crate) const APP_BYTES: u32 = 0x10_0000;

/// Bytes that repeat nowhere soon, the same for the same seed.
pub(crate) fn noise(seed: u32, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2_654_435_761).max(1);
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as u8
    };
    (0..length).map(|_| next()).collect()
}

/// A program with these segments, for a flash of `megabytes` (a power of two).
pub(crate) fn program(chip: Chip, megabytes: u32, segments: &[(u32, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = vec![0xE9, segments.len() as u8, 2, (megabytes.ilog2() as u8) << 4];
    bytes.extend(0x4037_0000_u32.to_le_bytes());
    bytes.extend([0xEE, 0, 0, 0]);
    bytes.extend(chip.id().to_le_bytes());
    bytes.extend([0; 9]);
    bytes.push(1);
    let mut checksum = 0xEF;
    for (linked, data) in segments {
        bytes.extend(linked.to_le_bytes());
        bytes.extend((data.len() as u32).to_le_bytes());
        bytes.extend(data);
        checksum = data.iter().fold(checksum, |sum, byte| sum ^ byte);
    }
    bytes.resize((bytes.len() + 1).next_multiple_of(16) - 1, 0);
    bytes.push(checksum);
    let digest = Sha256::digest(&bytes);
    bytes.extend(digest);
    bytes
}

/// An entry of a partition table.
pub(crate) fn entry(kind: u8, subtype: u8, offset: u32, size: u32, name: &str) -> Vec<u8> {
    let mut bytes = vec![0xAA, 0x50, kind, subtype];
    bytes.extend(offset.to_le_bytes());
    bytes.extend(size.to_le_bytes());
    let mut label = name.as_bytes().to_vec();
    label.resize(16, 0);
    bytes.extend(label);
    bytes.extend([0; 4]);
    bytes
}

/// A table of these entries, with its MD5.
pub(crate) fn table(entries: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = entries.concat();
    let digest = Md5::digest(&bytes);
    bytes.extend([0xEB, 0xEB]);
    bytes.extend([0xFF; 14]);
    bytes.extend(digest);
    bytes.resize(0xC00, 0xFF);
    bytes
}

/// The usual table: settings and one app.
pub(crate) fn usual_table() -> Vec<u8> {
    table(&[entry(1, 2, 0x9000, 0x6000, "nvs"), entry(0, 0, APP as u32, APP_BYTES, "factory")])
}

/// Pieces at their addresses, with blank flash between them.
pub(crate) fn merge(pieces: &[(usize, Vec<u8>)]) -> Vec<u8> {
    let end = pieces.iter().map(|(at, bytes)| at + bytes.len()).max().unwrap_or(0);
    let mut merged = vec![0xFF; end];
    for (at, bytes) in pieces {
        merged[*at..at + bytes.len()].copy_from_slice(bytes);
    }
    merged
}

/// A bootloader of 20 KiB for a flash of 4 MiB.
pub(crate) fn bootloader(chip: Chip) -> Vec<u8> {
    program(chip, 4, &[(0x403C_E000, noise(1, 20_000))])
}

/// An app whose code is `code`: it lies in the flash where it was linked to.
pub(crate) fn app(chip: Chip, code: Vec<u8>) -> Vec<u8> {
    program(chip, 4, &[(0x4200_0000 + 32, code)])
}

/// A merged image with an app of so many bytes of code, which `seed` tells from others.
pub(crate) fn merged(chip: Chip, seed: u32, code_bytes: usize) -> Vec<u8> {
    let app = app(chip, noise(seed, code_bytes));
    merge(&[(0, bootloader(chip)), (TABLE, usual_table()), (APP, app)])
}
