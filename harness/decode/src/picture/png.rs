//! Pictures as files: PNG of one, APNG of many.
//!
//! PNG specification, third edition (W3C, 2025), which has APNG in section 11.3.5. What cannot show animations
//! shows the first picture.

use std::time::Duration;

use super::{MAX_PIXELS, Picture};

/// Pictures of the longest animation.
pub const MAX_FRAMES: usize = 10_000;

/// Pixels of all pictures of an animation together: 268 million.
pub const MAX_ANIMATION_PIXELS: u64 = MAX_PIXELS * 16;

/// One picture of an animation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Still {
    /// The picture.
    pub picture: Picture,
    /// How long it is to be seen. A file has it as a fraction of 16 bits each: what is up to a second is right
    /// within 17 us, what is up to a minute within a millisecond, and nothing is longer than 18 hours. Browsers
    /// show anything below 10 ms for longer.
    pub shown: Duration,
}

/// Pictures that cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum PngError {
    /// An animation of nothing.
    #[error("an animation needs at least one picture")]
    Empty,
    /// More than [`MAX_FRAMES`], or than [`MAX_ANIMATION_PIXELS`].
    #[error(
        "an animation of {frames} pictures with {pixels} pixels is too long; keep to {MAX_FRAMES} pictures \
         and {MAX_ANIMATION_PIXELS} pixels, for example by leaving some out"
    )]
    TooLong {
        /// How many pictures.
        frames: usize,
        /// Pixels of all of them.
        pixels: u64,
    },
    /// Pictures of one animation differ in size.
    #[error(
        "picture {index} of the animation has {width} x {height} pixels, and the first has \
         {first_width} x {first_height}; all must have the same"
    )]
    Sizes {
        /// Which, from 0.
        index: usize,
        /// Its width.
        width: u32,
        /// Its height.
        height: u32,
        /// Width of the first.
        first_width: u32,
        /// Height of the first.
        first_height: u32,
    },
    /// More text than evidence may have.
    #[error(
        "{characters} characters of base64 are too many for evidence, which has {limit}; draw it smaller"
    )]
    TooMuch {
        /// How many.
        characters: usize,
        /// The limit.
        limit: usize,
    },
    /// The encoder refuses; this is a bug here.
    #[error("the PNG encoder refuses: {0}")]
    Encoder(#[from] ::png::EncodingError),
}

/// The bytes of a PNG file.
///
/// # Errors
/// [`PngError::Encoder`], which does not happen.
pub fn still(picture: &Picture) -> Result<Vec<u8>, PngError> {
    let mut file = Vec::new();
    let mut writer = encoder(&mut file, picture).write_header()?;
    writer.write_image_data(picture.rgb())?;
    writer.finish()?;
    Ok(file)
}

/// The bytes of an APNG file that plays `stills` again and again.
///
/// # Errors
/// [`PngError`] if there are none or too many, or they differ in size.
pub fn animation(stills: &[Still]) -> Result<Vec<u8>, PngError> {
    let first = &stills.first().ok_or(PngError::Empty)?.picture;
    let pixels = u64::from(first.width()) * u64::from(first.height()) * stills.len() as u64;
    if stills.len() > MAX_FRAMES || pixels > MAX_ANIMATION_PIXELS {
        return Err(PngError::TooLong { frames: stills.len(), pixels });
    }
    let (first_width, first_height) = (first.width(), first.height());
    for (index, Still { picture, .. }) in stills.iter().enumerate() {
        let (width, height) = (picture.width(), picture.height());
        if (width, height) != (first_width, first_height) {
            return Err(PngError::Sizes { index, width, height, first_width, first_height });
        }
    }
    let mut file = Vec::new();
    let mut encoder = encoder(&mut file, first);
    encoder.set_animated(stills.len() as u32, 0)?;
    let mut writer = encoder.write_header()?;
    for Still { picture, shown } in stills {
        let (numerator, denominator) = fraction(*shown);
        writer.set_frame_delay(numerator, denominator)?;
        writer.write_image_data(picture.rgb())?;
    }
    writer.finish()?;
    Ok(file)
}

fn encoder<'a>(file: &'a mut Vec<u8>, picture: &Picture) -> ::png::Encoder<'a, &'a mut Vec<u8>> {
    let mut encoder = ::png::Encoder::new(file, picture.width(), picture.height());
    encoder.set_color(::png::ColorType::Rgb);
    encoder.set_depth(::png::BitDepth::Eight);
    // Its own compressor, so that the bytes do not depend on which one others choose for flate2.
    encoder.set_compression(::png::Compression::Fast);
    encoder
}

/// Seconds as numerator and denominator. 60,000 has the usual frame rates among its divisors.
fn fraction(shown: Duration) -> (u16, u16) {
    for denominator in [60_000_u16, 1000, 1] {
        let parts = (shown.as_nanos() * u128::from(denominator) + 500_000_000) / 1_000_000_000;
        if let Ok(numerator) = u16::try_from(parts) {
            return (numerator, denominator);
        }
    }
    (u16::MAX, 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(width: u32, seed: u8) -> Picture {
        let bytes = (0..width * 3 * 4).map(|index| (index as u8).wrapping_mul(37).wrapping_add(seed));
        Picture::new(width, 4, bytes.collect()).unwrap()
    }

    #[test]
    fn a_still_is_read_back_as_it_was() {
        let picture = picture(5, 3);
        let file = still(&picture).unwrap();
        let mut reader = ::png::Decoder::new(std::io::Cursor::new(&file)).read_info().unwrap();
        let mut bytes = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut bytes).unwrap();
        assert_eq!((info.width, info.height, info.color_type), (5, 4, ::png::ColorType::Rgb));
        assert_eq!(bytes, picture.rgb());
    }

    #[test]
    fn an_animation_is_read_back_with_its_delays() {
        let stills: Vec<Still> = (0..3)
            .map(|n| Still { picture: picture(5, n), shown: Duration::from_micros(8_333 * u64::from(n + 1)) })
            .collect();
        let file = animation(&stills).unwrap();
        let mut reader = ::png::Decoder::new(std::io::Cursor::new(&file)).read_info().unwrap();
        assert_eq!(reader.info().animation_control().unwrap().num_frames, 3);
        for (index, still) in stills.iter().enumerate() {
            let mut bytes = vec![0; reader.output_buffer_size().unwrap()];
            reader.next_frame(&mut bytes).unwrap();
            assert_eq!(bytes, still.picture.rgb());
            let control = reader.info().frame_control().unwrap();
            assert_eq!((control.delay_num, control.delay_den), (500 * (index as u16 + 1), 60_000));
        }
    }

    #[test]
    fn what_cannot_be_an_animation_is_refused() {
        let still = |width| Still { picture: picture(width, 0), shown: Duration::ZERO };
        assert!(matches!(animation(&[]), Err(PngError::Empty)));
        let error = animation(&[still(5), still(6)]).unwrap_err();
        assert!(matches!(error, PngError::Sizes { index: 1, width: 6, first_width: 5, .. }), "{error}");
        let many = vec![still(1); MAX_FRAMES + 1];
        assert!(matches!(animation(&many), Err(PngError::TooLong { frames: 10_001, .. })));
    }

    #[test]
    fn delays_are_as_near_as_sixteen_bits_allow() {
        assert_eq!(fraction(Duration::from_nanos(8_333_333)), (500, 60_000));
        assert_eq!(fraction(Duration::from_secs(1)), (60_000, 60_000));
        assert_eq!(fraction(Duration::from_secs(60)), (60_000, 1000));
        assert_eq!(fraction(Duration::from_secs(600)), (600, 1));
        assert_eq!(fraction(Duration::MAX), (u16::MAX, 1));
        assert_eq!(fraction(Duration::ZERO), (0, 60_000));
    }
}
