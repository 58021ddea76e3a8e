//! Packed samples of any layout.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rigor_decode::capture::SampleRate;
use rigor_decode::capture::raw::{self, Layout};
use rigor_fuzz::{LIMITS, check_limits};

fuzz_target!(|data: &[u8]| {
    let [unit, channels, rate, samples @ ..] = data else { return };
    let Ok(rate) = SampleRate::hertz(1 << (rate & 0x3F)) else { return };
    // The rest of the unit says which bits have a name.
    let bits = (0..usize::from(channels & 0x1F)).map(|index| (index * 3 % 64, index.to_string()));
    let Ok(layout) = Layout::new(rate, usize::from(unit % 65), bits) else { return };
    if let Ok(capture) = raw::read(samples, &layout, &LIMITS) {
        check_limits(&capture);
    }
});
