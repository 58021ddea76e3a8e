//! A host that sends a chip's loader anything, framed and not.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rigor_esp_loader::{Chip, Loader, MemoryFlash, Mode};

/// 64 KiB: everything is done often, and nothing takes long.
const SECTORS: u16 = 16;

fuzz_target!(|data: &[u8]| {
    let mut loader = Loader::new(Chip::Esp32S3, [0; 6], MemoryFlash::new(SECTORS));
    loader.enter_download();
    loader.take_said();
    for line in data.chunks(64) {
        loader.receive(line);
        // A piece of a readout for each frame, at most, and every byte of it escaped.
        assert!(loader.take_said().len() <= 3 * 4096 * (1 + line.len()));
        loader.take_departure();
    }
    loader.enter_download();
    loader.take_said();
    loader.receive(&sync());
    // Eight answers of twelve bytes, each between two that mark its ends.
    assert_eq!(loader.take_said().len(), 8 * 14);
    assert_eq!(loader.mode(), Mode::Rom);
});

fn sync() -> Vec<u8> {
    [&[0xC0, 0, 0x08, 36, 0, 0, 0, 0, 0, 0x07, 0x07, 0x12, 0x20][..], &[0x55; 32], &[0xC0]].concat()
}
