//! The packaged format "PRSM" 1.0 and 1.1 (specification section 6.1), read as a stream.
//!
//! All integers are little-endian. A header of 64 bytes; in 1.1 16 bytes of timing metadata; a
//! length and that many bytes of JSON; the palette; for each frame a flag byte, a length and that
//! many bytes of palette indices, run-length coded and as a difference to the frame before as the
//! flags say; a CRC-32 over everything from the palette on.

use super::source::{Cursor, Source};
use super::{Frame, LANE_BYTES, LANE_LEDS, PatternError};
use crate::FPS;
use crate::checksum::Crc32;
use crate::defect::{self, Defect};

mod pack;

pub use pack::{FramePacker, MAX_PACKED_FRAME, head};

/// What a P11 file begins with.
pub const MAGIC: [u8; 4] = *b"PRSM";
/// Version 1.0: no metadata.
pub const VERSION_1_0: u16 = 0x0100;
/// Version 1.1: 16 bytes of metadata follow the header.
pub const VERSION_1_1: u16 = 0x0101;
/// Colours that a palette has at most.
pub const MAX_PALETTE: usize = 64;
/// Most frames in a second that are played, in 1/256: 960, eight times what leaves the controller.
/// The field goes up to 16 million, and each of these frames would have to be decoded.
pub const MAX_RATE: u32 = 8 * FPS * 256;

const HEADER_BYTES: u32 = 64;
const META_BYTES: u32 = 16;
/// Fewest bytes of a frame: flags, length and two runs that fill it.
const MIN_FRAME_BYTES: u32 = 3 + 4;
const FLAG_DELTA: u8 = 1;
const FLAG_RLE: u8 = 2;
const RUN: u8 = 0x80;

/// One colour: red, green, blue.
pub type Colour = [u8; 3];

/// Reads one P11 file, frame by frame and in a circle.
pub(super) struct Decoder<S> {
    cursor: Cursor<S>,
    frames: u32,
    rate: u32,
    palette: [Colour; MAX_PALETTE],
    colours: u8,
    /// Where the first frame begins.
    body: u32,
    /// The index of the frame that comes next.
    next: u32,
    /// The indices of the frame before.
    indices: [u8; LANE_LEDS],
    /// Over what was read since the palette, while the file is being checked.
    crc: Option<Crc32>,
    /// Whether the second lane is left out, as only a defect has it.
    one_lane: bool,
}

impl<S: Source> Decoder<S> {
    /// Reads everything before the first frame. What follows is not checked yet.
    pub(super) fn open(source: S) -> Result<Self, PatternError> {
        let mut decoder = Self {
            cursor: Cursor::new(source),
            frames: 0,
            rate: 0,
            palette: [[0; 3]; MAX_PALETTE],
            colours: 0,
            body: 0,
            next: 0,
            indices: [0; LANE_LEDS],
            crc: None,
            one_lane: defect::present(Defect::SecondLaneDark),
        };
        decoder.read_head()?;
        Ok(decoder)
    }

    pub(super) fn frames(&self) -> u32 {
        self.frames
    }

    /// Frames in a second, in 1/256; never 0.
    pub(super) fn rate(&self) -> u32 {
        self.rate
    }

    fn byte(&mut self) -> Result<u8, PatternError> {
        let byte = self.cursor.byte()?.ok_or(PatternError::Truncated)?;
        if let Some(crc) = &mut self.crc {
            crc.update(&[byte]);
        }
        Ok(byte)
    }

    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], PatternError> {
        let mut bytes = [0; N];
        for byte in &mut bytes {
            *byte = self.byte()?;
        }
        Ok(bytes)
    }

    fn u16(&mut self) -> Result<u16, PatternError> {
        Ok(u16::from_le_bytes(self.bytes()?))
    }

    fn u32(&mut self) -> Result<u32, PatternError> {
        Ok(u32::from_le_bytes(self.bytes()?))
    }

    /// The documented coverage of the header's CRC: bytes 0..=19 and, in version 1.1, 64..=69
    /// (specification section 11 item 26). In version 1.0 there is no metadata to cover.
    fn header_crc(&mut self, version: u16) -> Result<u32, PatternError> {
        let mut crc = Crc32::new();
        self.cursor.seek(0);
        crc.update(&self.bytes::<20>()?);
        if defect::present(Defect::HeaderCrcOverItself) {
            crc.update(&self.bytes::<6>()?);
        } else if version == VERSION_1_1 {
            self.cursor.seek(HEADER_BYTES);
            let timing = self.bytes::<6>()?;
            crc.update(&timing);
            self.one_lane |= defect::present(Defect::ProgressiveDark) && timing[2] == 2;
        }
        Ok(crc.finish())
    }

    fn read_head(&mut self) -> Result<(), PatternError> {
        if self.bytes::<4>()? != MAGIC {
            return Err(PatternError::Unknown);
        }
        let version = self.u16()?;
        if version != VERSION_1_0 && version != VERSION_1_1 && !defect::present(Defect::VersionUnchecked) {
            return Err(PatternError::Version(version));
        }
        let leds = self.u16()?;
        self.frames = self.u32()?;
        let rate = self.u32()?;
        // Colour format, compression and reserved bytes: not checked (specification section 6.1).
        let _ = self.u32()?;
        let stored = self.u32()?;
        // A reader that does not look at the version reads every file as the newest.
        let version = if defect::present(Defect::VersionUnchecked) { VERSION_1_1 } else { version };
        if self.header_crc(version)? != stored && !defect::present(Defect::HeaderCrcUnchecked) {
            return Err(PatternError::HeaderCrc);
        }
        if usize::from(leds) != LANE_LEDS && !defect::present(Defect::PixelCountUnchecked) {
            return Err(PatternError::LedCount(leds));
        }
        self.rate = if rate == 0 { FPS * 256 } else { rate };
        if rate == 0 && defect::present(Defect::NoRateStandsStill) {
            self.rate = 1;
        }
        if defect::present(Defect::RateInWholeFrames) {
            self.rate = self.rate.saturating_mul(256).min(MAX_RATE);
        }
        if self.rate > MAX_RATE {
            return Err(PatternError::Rate(rate));
        }
        let meta = if version == VERSION_1_1 { META_BYTES } else { 0 };
        self.cursor.seek(HEADER_BYTES + meta);
        let extra = u32::from(self.u16()?);
        if extra > self.cursor.remaining() {
            return Err(PatternError::Truncated);
        }
        self.cursor.seek(self.cursor.position() + extra);
        self.crc = Some(Crc32::new());
        self.read_palette()?;
        self.body = self.cursor.position();
        // The count may be any 32-bit number; nothing is ever multiplied by it.
        let most = self.cursor.remaining().saturating_sub(4) / MIN_FRAME_BYTES;
        if self.frames == 0 && defect::present(Defect::NoFrameIsOne) {
            self.frames = 1;
        }
        if defect::present(Defect::FrameMemoryWraps) {
            self.decode_whole();
        }
        if self.frames == 0 || self.frames > most {
            return Err(PatternError::FrameCount(self.frames));
        }
        Ok(())
    }

    /// A reader that decodes all frames into memory first, as only a defect has it.
    fn decode_whole(&self) {
        let room = self.frames.wrapping_mul(LANE_BYTES as u32);
        assert!(self.frames == 0 || room >= LANE_BYTES as u32, "a frame was written past its memory");
    }

    fn read_palette(&mut self) -> Result<(), PatternError> {
        let count = self.u16()?;
        let most = MAX_PALETTE + usize::from(defect::present(Defect::PaletteSizeOffByOne));
        if count == 0 || usize::from(count) > most {
            return Err(PatternError::PaletteCount(count));
        }
        for index in 0..usize::from(count) {
            let colour = self.bytes()?;
            if let Some(entry) = self.palette.get_mut(index) {
                *entry = colour;
            }
        }
        self.colours = count as u8;
        Ok(())
    }

    /// Decodes the next frame's indices and says how many bytes of the file that took. After the
    /// last frame comes the first one again.
    pub(super) fn advance(&mut self) -> Result<u32, PatternError> {
        if self.next >= self.frames {
            self.rewind();
        }
        let frame = self.next;
        let begin = self.cursor.position();
        let flags = self.byte()?;
        let mut left = self.u16()?;
        if u32::from(left) > self.cursor.remaining() {
            return Err(PatternError::Truncated);
        }
        if flags & FLAG_DELTA == 0 || defect::present(Defect::DeltaIsWhole) {
            self.indices = [0; LANE_LEDS];
        } else if frame == 0 {
            if !defect::present(Defect::DeltaFirstTaken) {
                return Err(PatternError::DeltaFirst);
            }
            self.indices = [0; LANE_LEDS];
        }
        let rle = flags & FLAG_RLE != 0;
        let mut led = 0;
        while led < LANE_LEDS {
            if left == 0 && defect::present(Defect::ShortSegmentTaken)
                || left == 0 && led + 1 == LANE_LEDS && defect::present(Defect::SegmentEndOffByOne)
            {
                break;
            }
            left = left.checked_sub(1).ok_or(PatternError::Segment { frame })?;
            let first = self.byte()?;
            let (len, value) = if rle && first & RUN != 0 {
                left = left.checked_sub(1).ok_or(PatternError::Segment { frame })?;
                (usize::from(first & !RUN), self.byte()?)
            } else {
                (1, first)
            };
            // A run past the last pixel is clipped (specification section 6.1).
            for index in self.indices.iter_mut().skip(led).take(len) {
                *index ^= value;
                if *index >= self.colours + u8::from(defect::present(Defect::PaletteEndOffByOne)) {
                    return Err(PatternError::Index { frame });
                }
            }
            led += len;
        }
        if left > 0 && defect::present(Defect::SurplusRefused) {
            return Err(PatternError::Segment { frame });
        }
        // What the segment has beyond the last pixel is ignored, but counts for the checksum.
        for _ in 0..left {
            self.byte()?;
        }
        self.next += 1;
        Ok(self.cursor.position() - begin)
    }

    /// Compares the checksum behind the last frame, and ends the check.
    pub(super) fn check_end(&mut self) -> Result<(), PatternError> {
        let calculated = self.crc.take().map(Crc32::finish);
        let stored = self.u32()?;
        if calculated != Some(stored) && !defect::present(Defect::PayloadCrcUnchecked) {
            return Err(PatternError::PayloadCrc);
        }
        if self.cursor.remaining() != 0 {
            return Err(PatternError::TrailingBytes);
        }
        Ok(())
    }

    /// Goes back to the first frame.
    pub(super) fn rewind(&mut self) {
        self.cursor.seek(self.body);
        self.next = 0;
    }

    /// Paints the decoded frame, the same on both lanes (specification section 6.1).
    pub(super) fn paint(&self, frame: &mut Frame) {
        let (first, second) = frame.split_at_mut(LANE_BYTES);
        for (pixel, index) in first.as_chunks_mut::<3>().0.iter_mut().zip(&self.indices) {
            *pixel = self.palette.get(usize::from(*index)).copied().unwrap_or_default();
        }
        if self.one_lane { second.fill(0) } else { second.copy_from_slice(first) }
    }
}
