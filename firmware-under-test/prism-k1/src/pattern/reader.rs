//! Opens a pattern file of any playable kind, checks it, and reads it in a circle.

use alloc::boxed::Box;

use super::p11::{self, Decoder};
use super::source::Source;
use super::{FRAME_BYTES, Frame, PatternError};
use crate::FPS;
use crate::cost;
use crate::defect::{self, Defect};

/// Which kind of pattern a file holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Frames of 960 bytes, red, green, blue for each of the 320 pixels, 120 in a second.
    Raw,
    /// The packaged format of 160 pixels, shown on both lanes.
    P11,
}

/// What to do with bytes behind the last whole raw frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tail {
    /// The file is not a pattern then.
    Refused,
    /// They are not played. For the uploads of profile n, which are raw frames whatever their
    /// length.
    Ignored,
}

/// What is known about a pattern.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Info {
    /// Its kind.
    pub kind: Kind,
    /// Its frames, at least 1.
    pub frames: u32,
    /// Frames in a second, in 1/256, at least 1.
    pub rate: u32,
}

enum Body<S> {
    Raw {
        source: S,
        next: u32,
    },
    /// Boxed: it has a window of the file, a palette and a frame of indices.
    P11(Box<Decoder<S>>),
}

/// A pattern that is being checked.
pub struct Checker<S> {
    body: Body<S>,
    info: Info,
    checked: u32,
}

impl<S: Source> Checker<S> {
    /// Reads what stands before the first frame.
    ///
    /// # Errors
    /// What a first look shows; see [`PatternError`].
    pub fn open(mut source: S, tail: Tail) -> Result<Self, PatternError> {
        let size = source.size();
        let mut magic = [0; p11::MAGIC.len()];
        if size as usize >= magic.len() {
            source.read_at(0, &mut magic)?;
        }
        if magic == p11::MAGIC {
            if !source.has_memory(size_of::<Decoder<S>>()) {
                return Err(PatternError::Memory);
            }
            // Allocated now and not when the file has been read: that takes time, in which the
            // memory may go.
            let place = Box::new_uninit();
            let decoder = Box::write(place, Decoder::open(source)?);
            let info = Info { kind: Kind::P11, frames: decoder.frames(), rate: decoder.rate() };
            return Ok(Self { body: Body::P11(decoder), info, checked: 0 });
        }
        let frames = size / FRAME_BYTES as u32;
        if frames == 0 || (tail == Tail::Refused && !size.is_multiple_of(FRAME_BYTES as u32)) {
            return Err(PatternError::Unknown);
        }
        let info = Info { kind: Kind::Raw, frames, rate: FPS * 256 };
        Ok(Self { body: Body::Raw { source, next: 0 }, info, checked: 0 })
    }

    /// Checks the next frame. `Some` cycles that this took, or `None` when the file is sound.
    ///
    /// # Errors
    /// What is wrong with the file; see [`PatternError`].
    pub fn step(&mut self) -> Result<Option<u32>, PatternError> {
        let Body::P11(decoder) = &mut self.body else {
            return Ok(None);
        };
        if self.checked == self.info.frames {
            decoder.check_end()?;
            decoder.rewind();
            return Ok(None);
        }
        let bytes = decoder.advance()?;
        self.checked += 1;
        Ok(Some(cost::P11_FRAME + cost::times(cost::P11_CHECK_PER_BYTE, bytes as usize)))
    }

    /// The pattern, once [`step`](Self::step) has said that it is sound.
    #[must_use]
    pub fn into_reader(self) -> Reader<S> {
        Reader { body: self.body, info: self.info }
    }
}

/// A sound pattern that is being played. Begins with frame 0; after the last frame comes frame 0.
pub struct Reader<S> {
    body: Body<S>,
    info: Info,
}

impl<S: Source> Reader<S> {
    /// What is known about it.
    #[must_use]
    pub fn info(&self) -> Info {
        self.info
    }

    /// Paints the next frame and says the cycles that this took. With `shown` false the frame is
    /// passed over as cheaply as the format allows, and `frame` is left alone.
    ///
    /// # Errors
    /// [`PatternError::Read`]; others only when the file changed since it was checked.
    pub fn next_frame(&mut self, frame: &mut Frame, shown: bool) -> Result<u32, PatternError> {
        match &mut self.body {
            Body::Raw { source, next } => {
                let at = next.saturating_mul(FRAME_BYTES as u32);
                let frames = match self.info.frames {
                    frames @ 2.. if defect::present(Defect::LastFrameLeftOut) => frames - 1,
                    frames => frames,
                };
                *next = if *next + 1 < frames {
                    *next + 1
                } else if defect::present(Defect::NoLoop) {
                    *next
                } else {
                    0
                };
                if !shown {
                    return Ok(0);
                }
                source.read_at(at, frame)?;
                if defect::present(Defect::SecondLaneCopied) {
                    frame.copy_within(..super::LANE_BYTES, super::LANE_BYTES);
                }
                Ok(cost::times(cost::COPY_PER_BYTE, FRAME_BYTES))
            }
            Body::P11(decoder) => {
                let bytes = decoder.advance()?;
                let mut cycles = cost::P11_FRAME + cost::times(cost::P11_PER_BYTE, bytes as usize);
                if shown {
                    decoder.paint(frame);
                    cycles += cost::times(cost::P11_PER_PIXEL, super::LANE_LEDS);
                }
                Ok(cycles)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;
    use alloc::vec::Vec;

    use super::*;
    use crate::checksum::Crc32;
    use crate::pattern::{LANE_BYTES, LANE_LEDS};

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text.bytes().filter(|b| b.is_ascii_hexdigit()).collect();
        digits
            .chunks(2)
            .map(|pair| u8::from_str_radix(core::str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect()
    }

    /// The specification's vector of one red frame, 98 bytes.
    fn red() -> Vec<u8> {
        let mut file = hex("5052534d0101a000010000000078000001000000b87309ff");
        file.extend([0; 40]);
        file.extend(hex("0100000000000000 0000000000000000 0000 0100ff0000 020400ff00a100 72852064"));
        file
    }

    /// The specification's vector of a red and a blue frame, 108 bytes.
    fn red_blue() -> Vec<u8> {
        let mut file = hex("5052534d0101a00002000000003c000001000000e755bb68");
        file.extend([0; 40]);
        file.extend(hex("0100000000000000 0000000000000000 0000"));
        file.extend(hex("0200ff00000000ff 020400ff00a100 030400ff01a101 92d8103f"));
        file
    }

    /// Puts sound checksums on a file of version 1.1 whose palette begins at 82.
    fn resign(file: &mut [u8]) {
        let mut crc = Crc32::new();
        crc.update(&file[..20]);
        crc.update(&file[64..70]);
        let crc = crc.finish();
        file[20..24].copy_from_slice(&crc.to_le_bytes());
        let end = file.len() - 4;
        let crc = Crc32::of(&file[82..end]);
        file[end..].copy_from_slice(&crc.to_le_bytes());
    }

    fn check(file: &[u8], tail: Tail) -> Result<Reader<&[u8]>, PatternError> {
        let mut checker = Checker::open(file, tail)?;
        while checker.step()?.is_some() {}
        Ok(checker.into_reader())
    }

    fn refused(file: &[u8]) -> PatternError {
        check(file, Tail::Refused).err().unwrap()
    }

    #[test]
    fn the_vectors_of_section_6_1() {
        assert_eq!((red().len(), Crc32::of(&red())), (98, 0xD244_8183));
        assert_eq!((red_blue().len(), Crc32::of(&red_blue())), (108, 0x7AD4_59E1));
        let file = red();
        let mut reader = check(&file, Tail::Refused).unwrap();
        assert_eq!(reader.info(), Info { kind: Kind::P11, frames: 1, rate: 120 * 256 });
        let mut frame = [9; FRAME_BYTES];
        reader.next_frame(&mut frame, true).unwrap();
        assert_eq!(frame[..], [255, 0, 0].repeat(320));
        let file = red_blue();
        let mut reader = check(&file, Tail::Refused).unwrap();
        assert_eq!(reader.info().rate, 60 * 256);
        for round in 0..5 {
            reader.next_frame(&mut frame, true).unwrap();
            assert_eq!(frame[..], [255, 0, 0].repeat(320), "round {round}");
            reader.next_frame(&mut frame, true).unwrap();
            assert_eq!(frame[..], [0, 0, 255].repeat(320), "round {round}");
        }
    }

    #[test]
    fn a_rate_of_zero_means_120() {
        let mut file = red();
        file[12..16].fill(0);
        resign(&mut file);
        assert_eq!(check(&file, Tail::Refused).unwrap().info().rate, 120 * 256);
    }

    #[test]
    fn version_1_0_has_no_metadata() {
        let mut file = red();
        file.drain(64..80);
        file[4] = 0;
        let crc = Crc32::of(&file[..20]);
        file[20..24].copy_from_slice(&crc.to_le_bytes());
        assert!(check(&file, Tail::Refused).is_ok());
    }

    #[test]
    fn extra_bytes_are_passed_over() {
        let mut file = red();
        file.splice(80..82, *b"\x07\x00{\"a\":1}");
        assert!(check(&file, Tail::Refused).is_ok());
        file[80] = 0xFF;
        file[81] = 0xFF;
        assert_eq!(refused(&file), PatternError::Truncated);
    }

    #[test]
    fn raw_frames_are_counted_and_looped() {
        let mut file = vec![0; 3 * FRAME_BYTES + 64];
        for (i, byte) in file.iter_mut().enumerate() {
            *byte = (i / FRAME_BYTES) as u8 + 1;
        }
        assert_eq!(refused(&file), PatternError::Unknown);
        let mut reader = check(&file, Tail::Ignored).unwrap();
        assert_eq!(reader.info(), Info { kind: Kind::Raw, frames: 3, rate: 120 * 256 });
        let mut frame = [0; FRAME_BYTES];
        for expected in [1, 2, 3, 1, 2] {
            reader.next_frame(&mut frame, true).unwrap();
            assert_eq!(frame, [expected; FRAME_BYTES]);
        }
        for len in [0, 1, 959] {
            assert_eq!(check(&file[..len], Tail::Ignored).err(), Some(PatternError::Unknown));
        }
        assert!(check(&file[..960], Tail::Refused).is_ok());
    }

    #[test]
    fn hostile_headers_are_refused() {
        let with = |change: &dyn Fn(&mut Vec<u8>)| {
            let mut file = red();
            change(&mut file);
            resign(&mut file);
            refused(&file)
        };
        assert_eq!(with(&|f| f[4] = 2), PatternError::Version(0x0102));
        assert_eq!(with(&|f| f[6] = 159), PatternError::LedCount(159));
        assert_eq!(with(&|f| f[8] = 0), PatternError::FrameCount(0));
        assert_eq!(
            with(&|f| f[8..12].copy_from_slice(&8_947_849u32.to_le_bytes())),
            PatternError::FrameCount(8_947_849)
        );
        assert_eq!(with(&|f| f[12..16].fill(0xFF)), PatternError::Rate(u32::MAX));
        assert_eq!(with(&|f| f[82] = 0), PatternError::PaletteCount(0));
        assert_eq!(with(&|f| f[82] = 65), PatternError::PaletteCount(65));
        let mut file = red();
        file[65] ^= 1;
        assert_eq!(refused(&file), PatternError::HeaderCrc);
        let mut file = red();
        file[85] ^= 1;
        assert_eq!(refused(&file), PatternError::PayloadCrc);
        let mut file = red();
        file[24..64].fill(7);
        assert!(check(&file, Tail::Refused).is_ok(), "padding is not covered");
    }

    #[test]
    fn hostile_frames_are_refused() {
        let with = |segment: &[u8]| {
            let mut file = red();
            file.truncate(87);
            file.extend_from_slice(segment);
            file.extend([0; 4]);
            resign(&mut file);
            check(&file, Tail::Refused).err()
        };
        assert_eq!(with(&[2, 4, 0, 0xFF, 0, 0xA1, 0]), None);
        assert_eq!(with(&[2, 4, 0, 0xFF, 0, 0xFF, 0]), None, "a run past the end is clipped");
        assert_eq!(with(&[2, 6, 0, 0xFF, 0, 0xA1, 0, 9, 9]), None, "bytes after the last pixel are ignored");
        assert_eq!(with(&[3, 4, 0, 0xFF, 0, 0xA1, 0]), Some(PatternError::DeltaFirst));
        assert_eq!(with(&[2, 4, 0, 0xFF, 0, 0xA1, 1]), Some(PatternError::Index { frame: 0 }));
        assert_eq!(with(&[2, 4, 0, 0xFF, 0, 0xA0, 0]), Some(PatternError::Segment { frame: 0 }));
        assert_eq!(with(&[2, 3, 0, 0xFF, 0, 0xA1, 0]), Some(PatternError::Segment { frame: 0 }));
        assert_eq!(with(&[0, 4, 0, 0, 0, 0, 0]), Some(PatternError::Segment { frame: 0 }));
        assert_eq!(with(&[2, 9, 0, 0xFF, 0, 0xA1, 0]), Some(PatternError::Truncated));
        assert_eq!(with(&[2, 4, 0, 0xFF, 0, 0xA1, 0, 0]), Some(PatternError::PayloadCrc));
        let raw: Vec<u8> = [0, 160, 0].into_iter().chain([0; 160]).collect();
        assert_eq!(with(&raw), None);
        let raw: Vec<u8> = [0, 159, 0].into_iter().chain([0; 159]).collect();
        assert_eq!(with(&raw), Some(PatternError::Segment { frame: 0 }));
    }

    #[test]
    fn trailing_bytes_are_refused() {
        let mut file = red();
        file.push(0);
        assert_eq!(refused(&file), PatternError::TrailingBytes);
    }

    #[test]
    fn no_garbage_makes_it_panic_or_spin() {
        let mut state = 7u32;
        let mut frame = [0; FRAME_BYTES];
        for _ in 0..3000 {
            let mut file = red_blue();
            for _ in 0..2 {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let at = (state >> 8) as usize % file.len();
                file[at] = (state >> 24) as u8;
            }
            if state & 1 == 0 {
                resign(&mut file);
            }
            file.truncate(file.len() - (state as usize >> 4) % 3);
            if let Ok(mut reader) = check(&file, Tail::Ignored) {
                for _ in 0..5 {
                    reader.next_frame(&mut frame, true).unwrap();
                }
            }
        }
    }

    #[test]
    fn what_is_packed_is_read_back() {
        let mut state = 3u32;
        let frames: Vec<[u8; LANE_LEDS]> = (0..20)
            .map(|n| {
                let mut indices = [0; LANE_LEDS];
                for (i, index) in indices.iter_mut().enumerate() {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    *index = match n % 4 {
                        0 => (state >> 26) as u8,
                        1 => 5,
                        2 => (i / 30) as u8,
                        _ => (i == n) as u8,
                    };
                }
                indices
            })
            .collect();
        let colours: Vec<p11::Colour> = (0..64).map(|i| [i, 255 - i, i * 3]).collect();
        let mut file = p11::head(20, 24 * 256).to_vec();
        file.extend(p11::FramePacker::palette(&colours));
        let mut packer = p11::FramePacker::new();
        for indices in &frames {
            file.extend(packer.pack(indices));
        }
        let crc = Crc32::of(&file[82..]);
        file.extend(crc.to_le_bytes());
        let mut reader = check(&file, Tail::Refused).unwrap();
        let mut frame = [0; FRAME_BYTES];
        for indices in frames.iter().chain(&frames) {
            reader.next_frame(&mut frame, true).unwrap();
            for (led, index) in indices.iter().enumerate() {
                assert_eq!(frame[led * 3..][..3], colours[usize::from(*index)]);
            }
            assert_eq!(frame[..LANE_BYTES], frame[LANE_BYTES..]);
        }
    }
}
