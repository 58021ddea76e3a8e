//! Characters of any edges, at a rate that is given or measured.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rigor_decode::uart::{BitTime, decode, measure};

fuzz_target!(|data: &[u8]| {
    let [shift, edges @ ..] = data else { return };
    let capture = rigor_fuzz::capture(edges, 1);
    let signal = &capture.signals()[0];
    let bit = BitTime::of_baud(1 << (shift % 26)).expect("in range");
    let characters = decode(signal, capture.end(), bit);
    assert!(characters.len() <= signal.edges().len());
    assert!(characters.windows(2).all(|pair| pair[0].start < pair[1].start));
    if let Ok(bit) = measure(signal) {
        assert!(bit.as_nanos().is_finite() && bit.as_nanos() >= 1.0);
        decode(signal, capture.end(), bit);
    }
});
