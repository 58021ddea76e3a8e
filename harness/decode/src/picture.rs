//! Pictures of what was decoded: LED strips and panels.
//!
//! In the flow (action, event, decode, measure, **verdict, report**) this module stands at the end: it
//! makes of frames something that people look at. A [`Picture`] is pixels in memory; [`png`] writes
//! one, or an animation of many, as a file; [`leds`] draws frames of LED strips. Panel frames
//! ([`crate::st7789`]) are pictures already.
//!
//! No picture has more than [`MAX_PIXELS`], so that nothing hostile becomes a picture that takes all memory.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rigor_core::{Instant, evidence};

pub mod leds;
pub mod png;

/// Pixels of the largest picture: 16 million, of which an uncompressed copy takes 48 MB.
pub const MAX_PIXELS: u64 = 1 << 24;

/// Red, green and blue of each pixel, 8 bits each, row by row from the top left corner.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Picture {
    width: u32,
    height: u32,
    rgb: Vec<u8>,
}

/// A picture that cannot be.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PictureError {
    /// Without a pixel.
    #[error("a picture of {width} x {height} pixels is none; both have to be at least 1")]
    Empty {
        /// Its width.
        width: u32,
        /// Its height.
        height: u32,
    },
    /// Larger than [`MAX_PIXELS`].
    #[error(
        "a picture of {width} x {height} pixels is too large; draw it smaller, or in parts of at most \
         {MAX_PIXELS} pixels"
    )]
    TooLarge {
        /// Its width.
        width: u64,
        /// Its height.
        height: u64,
    },
    /// The bytes are not three for each pixel.
    #[error("{got} bytes are no picture of {width} x {height} pixels; that takes {}", u64::from(*.width) * u64::from(*.height) * 3)]
    Bytes {
        /// Its width.
        width: u32,
        /// Its height.
        height: u32,
        /// How many bytes there are.
        got: usize,
    },
}

impl Picture {
    /// A picture of these bytes: red, green and blue of each pixel, row by row.
    ///
    /// # Errors
    /// [`PictureError`] if it has no pixel or too many, or the bytes are not three for each.
    pub fn new(width: u32, height: u32, rgb: Vec<u8>) -> Result<Self, PictureError> {
        let pixels = checked(u64::from(width), u64::from(height))?;
        if rgb.len() as u64 != pixels * 3 {
            return Err(PictureError::Bytes { width, height, got: rgb.len() });
        }
        Ok(Picture { width, height, rgb })
    }

    /// All of one colour.
    ///
    /// # Errors
    /// [`PictureError`] if it has no pixel or too many.
    pub fn filled(width: u32, height: u32, colour: [u8; 3]) -> Result<Self, PictureError> {
        let pixels = checked(u64::from(width), u64::from(height))?;
        Ok(Picture { width, height, rgb: colour.repeat(pixels as usize) })
    }

    /// Width in pixels, at least 1.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Height in pixels, at least 1.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// Red, green and blue of each pixel, row by row.
    pub fn rgb(&self) -> &[u8] {
        &self.rgb
    }

    /// The bytes, given away.
    pub fn into_rgb(self) -> Vec<u8> {
        self.rgb
    }

    /// Red, green and blue of a pixel; `None` outside the picture.
    pub fn pixel(&self, x: u32, y: u32) -> Option<[u8; 3]> {
        if x >= self.width || y >= self.height {
            return None;
        }
        self.rgb.as_chunks().0.get(y as usize * self.width as usize + x as usize).copied()
    }

    /// Each pixel as a square of `times` by `times`.
    ///
    /// # Errors
    /// [`PictureError`] if `times` is zero or the result too large.
    pub fn enlarged(&self, times: u32) -> Result<Self, PictureError> {
        let [width, height] = [self.width, self.height].map(|side| u64::from(side) * u64::from(times));
        let pixels = checked(width, height)?;
        let mut rgb = Vec::with_capacity(pixels as usize * 3);
        for row in self.rgb.chunks_exact(self.width as usize * 3) {
            let wide: Vec<u8> =
                row.as_chunks::<3>().0.iter().flat_map(|pixel| pixel.repeat(times as usize)).collect();
            (0..times).for_each(|_| rgb.extend_from_slice(&wide));
        }
        Ok(Picture { width: width as u32, height: height as u32, rgb })
    }

    /// As what a case leaves in its results: a PNG file in text, with what it shows and since when.
    ///
    /// # Errors
    /// [`png::PngError::TooMuch`] if it has more than [`evidence::MAX_PICTURE`] characters, as noise of more than
    /// 300 pixels square does.
    pub fn to_evidence(&self, at: Instant, caption: &str) -> Result<evidence::Picture, png::PngError> {
        let png = BASE64_STANDARD.encode(png::still(self)?);
        if png.len() > evidence::MAX_PICTURE {
            return Err(png::PngError::TooMuch { characters: png.len(), limit: evidence::MAX_PICTURE });
        }
        let caption = caption.chars().take(evidence::MAX_LABEL).collect();
        Ok(evidence::Picture { at_ns: at.as_nanos(), caption, width: self.width, height: self.height, png })
    }

    /// Of a panel, whose size is known to be good.
    pub(crate) fn of_rgb(width: u32, height: u32, rgb: Vec<u8>) -> Self {
        debug_assert_eq!(rgb.len() as u64, u64::from(width) * u64::from(height) * 3);
        Picture { width, height, rgb }
    }

    /// Of a panel, whose size is known to be good.
    pub(crate) fn black(width: u32, height: u32) -> Self {
        Picture::of_rgb(width, height, vec![0; width as usize * height as usize * 3])
    }
}

/// Without the pixels, of which a failing test would print thousands.
impl std::fmt::Debug for Picture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Picture({} x {})", self.width, self.height)
    }
}

/// The number of pixels, if a picture may have this size.
fn checked(width: u64, height: u64) -> Result<u64, PictureError> {
    match width.checked_mul(height) {
        Some(0) => Err(PictureError::Empty { width: width as u32, height: height as u32 }),
        Some(pixels) if pixels <= MAX_PIXELS => Ok(pixels),
        _ => Err(PictureError::TooLarge { width, height }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_checked() {
        assert!(matches!(Picture::new(0, 5, vec![]), Err(PictureError::Empty { .. })));
        assert!(matches!(Picture::new(2, 1, vec![0; 5]), Err(PictureError::Bytes { got: 5, .. })));
        assert!(matches!(Picture::filled(4097, 4096, [0; 3]), Err(PictureError::TooLarge { .. })));
        assert!(matches!(Picture::filled(u32::MAX, u32::MAX, [0; 3]), Err(PictureError::TooLarge { .. })));
        let error = Picture::new(2, 1, vec![0; 5]).unwrap_err();
        assert_eq!(error.to_string(), "5 bytes are no picture of 2 x 1 pixels; that takes 6");
    }

    #[test]
    fn evidence_is_a_file_in_text_and_bounded() {
        let picture = Picture::filled(320, 170, [1, 2, 3]).unwrap();
        let evidence = picture.to_evidence(Instant::from_nanos(7), &"a".repeat(1000)).unwrap();
        assert_eq!((evidence.at_ns, evidence.width, evidence.height), (7, 320, 170));
        assert_eq!(evidence.caption.len(), evidence::MAX_LABEL);
        assert_eq!(BASE64_STANDARD.decode(&evidence.png).unwrap(), png::still(&picture).unwrap());
        let mut seed = 1_u32;
        let mut noise = || {
            seed ^= seed << 13;
            seed ^= seed >> 17;
            seed ^= seed << 5;
            seed as u8
        };
        let picture = Picture::new(400, 400, (0..480_000).map(|_| noise()).collect()).unwrap();
        let error = picture.to_evidence(Instant::ZERO, "").unwrap_err();
        assert!(matches!(error, png::PngError::TooMuch { .. }), "{error}");
    }

    #[test]
    fn enlarging_repeats_each_pixel_both_ways() {
        let small = Picture::new(2, 2, vec![1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]).unwrap();
        let large = small.enlarged(3).unwrap();
        assert_eq!((large.width(), large.height()), (6, 6));
        for (x, y) in (0..6).flat_map(|x| (0..6).map(move |y| (x, y))) {
            assert_eq!(large.pixel(x, y), small.pixel(x / 3, y / 3));
        }
        assert_eq!(large.pixel(6, 0), None);
        assert!(matches!(small.enlarged(0), Err(PictureError::Empty { .. })));
        assert!(matches!(small.enlarged(u32::MAX), Err(PictureError::TooLarge { .. })));
    }
}
