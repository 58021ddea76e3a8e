//! Pixels to the form in which results carry them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rigor_core::Instant;
use rigor_core::evidence::{MAX_PICTURE, Picture};
use rigor_decode::picture::{self, png};

/// The picture of `rgb`, row after row; `None` if it is larger than results take.
pub(super) fn of_rgb(at: Instant, caption: String, width: u32, height: u32, rgb: Vec<u8>) -> Option<Picture> {
    let png = png::still(&picture::Picture::new(width, height, rgb).ok()?).ok()?;
    let png = STANDARD.encode(png);
    (png.len() <= MAX_PICTURE).then_some(Picture { at_ns: at.as_nanos(), caption, width, height, png })
}
