//! A recording. Checksums are not looked at when fuzzing, or nothing would come behind them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rigor_rigs::recording::{Reader, check};

fuzz_target!(|data: &[u8]| {
    let _ = check(data);
    let Ok(mut reader) = Reader::open(data) else { return };
    while let Ok(Some(step)) = reader.next() {
        std::hint::black_box(step);
    }
});
