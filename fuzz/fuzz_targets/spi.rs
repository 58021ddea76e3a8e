//! Transfers of any edges.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rigor_core::Kind;
use rigor_decode::spi::{MAX_TRANSFER, Pins, Sampling, transfers};

fuzz_target!(|data: &[u8]| {
    let [mode, edges @ ..] = data else { return };
    let capture = rigor_fuzz::capture(edges, 4);
    let [clock, line, select, data_command] = capture.signals() else { return };
    let pins = Pins {
        clock,
        data: line,
        select: (mode & 1 == 1).then_some(select),
        data_command: (mode & 2 == 2).then_some(data_command),
    };
    let sampling = if mode & 4 == 0 { Sampling::Rising } else { Sampling::Falling };
    let traffic = transfers(&pins, sampling);
    let bytes: usize = traffic
        .events
        .iter()
        .map(|event| match &event.kind {
            Kind::Bus(transfer) => transfer.bytes.len(),
            _ => 0,
        })
        .inspect(|&length| assert!((1..=MAX_TRANSFER).contains(&length)))
        .sum();
    assert!(bytes <= clock.edges().len() / 8 + 1);
});
