//! Writes P11 files as a stream: a head, then frame after frame, then a CRC-32 of all but the head.

use super::{Colour, FLAG_DELTA, FLAG_RLE, MAGIC, MAX_PALETTE, RUN, VERSION_1_1};
use crate::checksum::Crc32;
use crate::pattern::LANE_LEDS;

/// Bytes of the header, the metadata and the length of no JSON.
const HEAD_BYTES: usize = 64 + 16 + 2;
/// Bytes that one packed frame has at most.
pub const MAX_PACKED_FRAME: usize = 3 + LANE_LEDS;

/// Motion "static" in the metadata (specification section 7.1).
const MOTION_STATIC: u8 = 4;
/// Runs shorter than this are not worth two bytes and the decoder's branch.
const MIN_RUN: usize = 4;
const MAX_RUN: usize = 127;

/// The head of a version 1.1 file: header and metadata, without JSON. `rate` in 1/256 frames per
/// second.
#[must_use]
pub fn head(frames: u32, rate: u32) -> [u8; HEAD_BYTES] {
    let mut head = [0; HEAD_BYTES];
    let mut put = |at: usize, bytes: &[u8]| {
        for (to, from) in head.iter_mut().skip(at).zip(bytes) {
            *to = *from;
        }
    };
    put(0, &MAGIC);
    put(4, &VERSION_1_1.to_le_bytes());
    put(6, &(LANE_LEDS as u16).to_le_bytes());
    put(8, &frames.to_le_bytes());
    put(12, &rate.to_le_bytes());
    // Colour format 1: palette and indices.
    put(16, &[1]);
    // Metadata version 1; everything else of it at its default.
    put(64, &[1, MOTION_STATIC]);
    let mut crc = Crc32::new();
    crc.update(head.get(..20).unwrap_or_default());
    crc.update(head.get(64..70).unwrap_or_default());
    for (to, from) in head.iter_mut().skip(20).zip(crc.finish().to_le_bytes()) {
        *to = from;
    }
    head
}

/// Packs the frames of one file.
pub struct FramePacker {
    previous: Option<[u8; LANE_LEDS]>,
}

impl FramePacker {
    /// Before the first frame.
    #[must_use]
    pub fn new() -> Self {
        Self { previous: None }
    }

    /// The palette as it stands in the file. More than 64 colours are cut.
    #[must_use]
    pub fn palette(colours: &[Colour]) -> heapless::Vec<u8, { 2 + 3 * MAX_PALETTE }> {
        let mut out = heapless::Vec::new();
        let count = colours.len().min(MAX_PALETTE);
        // At most 2 + 3 x 64 bytes: they fit.
        let _ = out.extend_from_slice(&(count as u16).to_le_bytes());
        for colour in colours.iter().take(count) {
            let _ = out.extend_from_slice(colour);
        }
        out
    }

    /// The next frame as it stands in the file: as a difference when that is zero in at least
    /// 40 % of the pixels, run-length coded when that is shorter (specification section 6.1).
    pub fn pack(&mut self, indices: &[u8; LANE_LEDS]) -> heapless::Vec<u8, MAX_PACKED_FRAME> {
        let mut plain = *indices;
        let mut flags = 0;
        if let Some(previous) = &self.previous {
            let mut delta = *indices;
            for (to, from) in delta.iter_mut().zip(previous) {
                *to ^= *from;
            }
            if delta.iter().filter(|byte| **byte == 0).count() * 5 >= LANE_LEDS * 2 {
                plain = delta;
                flags = FLAG_DELTA;
            }
        }
        self.previous = Some(*indices);
        let packed = pack_runs(&plain).filter(|packed| packed.len() < LANE_LEDS);
        let segment = match &packed {
            Some(packed) => {
                flags |= FLAG_RLE;
                packed.as_slice()
            }
            None => &plain,
        };
        let mut out = heapless::Vec::new();
        // Three bytes and a segment that is at most as long as the raw one: they fit.
        let _ = out.push(flags);
        let _ = out.extend_from_slice(&(segment.len() as u16).to_le_bytes());
        let _ = out.extend_from_slice(segment);
        out
    }
}

impl Default for FramePacker {
    fn default() -> Self {
        Self::new()
    }
}

/// `None` when the result is no shorter than the input or a literal looks like a run.
fn pack_runs(plain: &[u8; LANE_LEDS]) -> Option<heapless::Vec<u8, LANE_LEDS>> {
    let mut out = heapless::Vec::new();
    let mut rest = plain.as_slice();
    while let [first, ..] = *rest {
        let run = rest.iter().take(MAX_RUN).take_while(|byte| **byte == first).count();
        let taken = if run >= MIN_RUN {
            out.push(RUN | run as u8).ok()?;
            run
        } else {
            1
        };
        if first & RUN != 0 && taken == 1 {
            return None;
        }
        out.push(first).ok()?;
        rest = rest.get(taken..).unwrap_or_default();
    }
    Some(out)
}
