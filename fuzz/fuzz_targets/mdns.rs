//! Datagrams of a local network.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rigor_decode::mdns::Message;

fuzz_target!(|data: &[u8]| {
    if let Ok(message) = Message::parse(data) {
        std::hint::black_box(message.about("prism-k1.local"));
    }
});
