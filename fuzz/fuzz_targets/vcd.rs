//! A value change dump: is read within the limits or refused with a line, and what was read can be
//! written and read again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rigor_decode::capture::vcd;
use rigor_fuzz::{LIMITS, check_limits};

fuzz_target!(|data: &[u8]| {
    match vcd::read(data, &LIMITS) {
        Ok(capture) => {
            check_limits(&capture);
            let mut text = Vec::new();
            vcd::write(&capture, &mut text).expect("memory takes it");
            let again = vcd::read(text.as_slice(), &LIMITS).expect("what was written can be read");
            assert_eq!(again.signals().len(), capture.signals().len());
            for (again, before) in again.signals().iter().zip(capture.signals()) {
                assert_eq!((again.initial(), again.edges()), (before.initial(), before.edges()));
            }
        }
        Err(error) => assert!(error.to_string().starts_with("line "), "{error}"),
    }
});
