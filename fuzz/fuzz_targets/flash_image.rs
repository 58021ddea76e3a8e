//! What is to be in a chip's flash: bootloader, table and app, of any bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rigor_flasher::{FlashImage, Part};

/// Where the three are, and so where sizes of their own begin.
const PLACES: [u32; 3] = [0, 0x8000, 0x1_0000];

fuzz_target!(|data: &[u8]| {
    let Some((sizes, mut rest)) = data.split_first_chunk::<4>() else { return };
    let sizes =
        [u16::from_le_bytes([sizes[0], sizes[1]]), u16::from_le_bytes([sizes[2], sizes[3]]), u16::MAX];
    let parts = PLACES.into_iter().zip(sizes).map(|(at, size)| {
        let (bytes, others) = rest.split_at(rest.len().min(size.into()));
        rest = others;
        Part { at, bytes: bytes.to_vec() }
    });
    let Ok(image) = FlashImage::of_parts(parts.collect()) else { return };
    assert_eq!(image.parts().len(), 3);
    assert!(image.end() > PLACES[2].into(), "an app is there");
});
