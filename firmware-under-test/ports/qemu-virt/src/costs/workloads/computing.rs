//! Inner loops, by themselves.

use core::hint::black_box;

use embedded_storage::nor_flash::ReadNorFlash;
use prism_k1::checksum::Crc32;

use super::Line;
use crate::clock::count;
use crate::flash;

/// Inner loops whose cost is part of larger workloads and charged by itself.
pub struct Inner {
    /// CRC-32, by bytes.
    pub crc: Line,
    /// A copy, by bytes.
    pub copy: Line,
}

static FROM: [u8; 4096] = [0x5A; 4096];

/// Counts them.
pub fn count_all() -> Inner {
    let piece = |bytes: u64| black_box(&FROM[..bytes as usize]);
    let crc = Line::of("crc", [256, 4096], |bytes| count(|| Crc32::of(piece(bytes))));
    let mut to = [0; 4096];
    let copy = Line::of("copy", [256, 4096], |bytes| {
        let from = piece(bytes);
        count(|| black_box(&mut to[..from.len()]).copy_from_slice(from))
    });
    Line::of("flash-driver", [16, 512], |bytes| {
        let into = black_box(&mut to[..bytes as usize]);
        count(|| flash::Driver.read(black_box(0x1000), into))
    });
    Inner { crc, copy }
}
