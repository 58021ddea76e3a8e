//! `results.json`: what is read can be written, and is the same when it is read again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rigor_core::result::RunResult;

fuzz_target!(|text: &str| {
    if let Ok(result) = RunResult::read(text)
        && let Ok(written) = result.to_json()
    {
        let again = RunResult::read(&written).expect("what was written can be read");
        assert_eq!(again.to_json().expect("as before"), written);
    }
});
