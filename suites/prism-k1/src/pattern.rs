//! Raw patterns whose every frame and pixel can be told from every other on the wire.
//!
//! A raw pattern is frames of 320 pixels, red, green, blue, nothing else (specification, section
//! 6). Pixel `p` of frame `f` gets a colour that says which pixel of which frame it is, with
//! channels that no swap of channels, pixels or lanes turns into another pixel's.

use rigor_runner::need::Picture;

/// Pixels of the strip (seed, section 1).
pub const PIXELS: usize = 320;
/// Bytes of a frame (seed, section 1).
pub const FRAME_BYTES: usize = PIXELS * 3;
/// Largest pattern file in bytes (seed, section 4).
pub const MAX_FILE_BYTES: usize = 262_144;
/// Whole frames in the largest file.
pub const MAX_FRAMES: usize = MAX_FILE_BYTES / FRAME_BYTES;

/// Frames that say who they are: red is the frame's number, green and blue the pixel's.
///
/// `series` (0 to 7) tells one pattern from another. Frames are numbered modulo 256.
pub fn numbered(series: u8, frames: usize) -> Vec<u8> {
    (0..frames).flat_map(|frame| numbered_frame(series, frame)).collect()
}

/// One frame of [`numbered`].
pub fn numbered_frame(series: u8, frame: usize) -> Vec<u8> {
    (0..PIXELS).flat_map(|pixel| numbered_pixel(series, frame, pixel)).collect()
}

/// Blue carries the series in its upper bits, a mark that green and red never bear, and the
/// pixel's ninth bit.
fn numbered_pixel(series: u8, frame: usize, pixel: usize) -> [u8; 3] {
    [frame as u8, pixel as u8, (series & 7) << 5 | 0x0A | (pixel >> 8) as u8]
}

/// Which frame of `series` a picture shows, if every pixel is right.
pub fn recognise(series: u8, picture: &Picture) -> Option<usize> {
    let shown = picture.rgb_bytes();
    let frame = usize::from(*shown.first()?);
    (shown == numbered_frame(series, frame)).then_some(frame)
}

/// A frame in which every value of a byte stands on each lane.
pub fn every_value() -> Vec<u8> {
    (0..PIXELS).flat_map(|pixel| [pixel as u8, 255 - pixel as u8, (pixel + 192) as u8]).collect()
}

/// A file of any length that begins as [`numbered`] frames do.
pub fn file(series: u8, bytes: usize) -> Vec<u8> {
    let mut file = numbered(series, bytes.div_ceil(FRAME_BYTES));
    file.truncate(bytes);
    file
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_pixels_of_a_frame_are_alike_under_any_swap_of_channels() {
        let mut seen = std::collections::HashSet::new();
        let mut survivors = 0;
        for pixel in 0..PIXELS {
            let mut values = numbered_pixel(3, 7, pixel);
            values.sort_unstable();
            assert!(seen.insert(values), "pixel {pixel}");
            survivors += usize::from(values[0] == values[1] || values[1] == values[2]);
        }
        // A pixel whose number is the frame's, or blue's value, has two channels alike.
        assert!(survivors <= 3, "{survivors} pixels survive a swap");
    }

    #[test]
    fn each_lane_of_the_frame_of_every_value_holds_them_all() {
        for lane in every_value().chunks(FRAME_BYTES / 2) {
            assert!((0..=255).all(|value: u8| lane.contains(&value)));
        }
    }

    #[test]
    fn the_largest_file_holds_273_frames_and_a_rest() {
        assert_eq!((MAX_FRAMES, file(0, MAX_FILE_BYTES).len()), (273, MAX_FILE_BYTES));
    }
}
