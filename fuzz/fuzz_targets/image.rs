//! A firmware image: its tables, what it takes, and the debug information behind a backtrace.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use rigor_image::{Image, Trace};

fuzz_target!(|data: &[u8]| {
    let Ok(image) = Image::parse(Path::new("k1.elf"), data.to_vec()) else { return };
    assert!(!image.segments().is_empty());
    std::hint::black_box(image.sizes().to_string());
    let Ok(symboliser) = image.symboliser() else { return };
    let backtrace: String = image.segments().iter().map(|segment| format!(" {:#010x}", segment.address)).collect();
    let console = format!("Backtrace: {:#010x}{backtrace}", image.entry());
    let Some(trace) = Trace::last_in(console.lines()) else { return };
    for line in symboliser.explain(&trace) {
        assert!(line.chars().count() < 1000, "{line}");
    }
});
