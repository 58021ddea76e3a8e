//! A rig file: what is wrong has a line and a remedy.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rigor_rigs::RigFile;

fuzz_target!(|text: &str| {
    if let Err(error) = RigFile::parse("rigs/fuzz.toml", text) {
        assert!(error.to_string().starts_with("rigs/fuzz.toml:"), "{error}");
    }
});
