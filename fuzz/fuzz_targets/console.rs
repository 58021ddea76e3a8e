//! Lines of any bytes, however they are cut.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rigor_decode::console::{LineDecoder, MAX_LINE};

fuzz_target!(|data: &[u8]| {
    for line in LineDecoder::decode(&rigor_fuzz::events(data)) {
        assert!(line.raw.len() <= MAX_LINE);
        assert!(!line.text.contains('\n'));
        if let Some(log) = line.log() {
            std::hint::black_box(log);
        }
    }
});
