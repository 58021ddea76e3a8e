//! A list of faults.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rigor_rigs::FaultList;

fuzz_target!(|text: &str| {
    if let Err(error) = FaultList::parse("faults.toml", text) {
        assert!(error.to_string().starts_with("faults.toml:"), "{error}");
    }
});
