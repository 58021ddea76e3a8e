//! A sigrok session: is read within the limits or refused with a place.
#![no_main]

use std::io::Cursor;

use libfuzzer_sys::fuzz_target;
use rigor_decode::capture::sigrok;
use rigor_fuzz::{LIMITS, check_limits};

fuzz_target!(|data: &[u8]| {
    match sigrok::read(Cursor::new(data), &LIMITS) {
        Ok(capture) => check_limits(&capture),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
