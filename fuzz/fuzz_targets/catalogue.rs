//! A catalogue of requirements.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rigor_core::requirement::Catalogue;

fuzz_target!(|text: &str| {
    if let Err(errors) = Catalogue::parse(text, "requirements.toml") {
        assert!(!errors.to_string().is_empty());
    }
});
