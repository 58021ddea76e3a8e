//! Frames of any edges and events: never more bits than pulses, and the memo changes nothing.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rigor_decode::ws2812::{Config, LaneDecoder, Summary, decode};

fuzz_target!(|data: &[u8]| {
    let [choice, rest @ ..] = data else { return };
    let config = Config {
        frame_bits: (choice & 1 == 1).then_some(u32::from(choice >> 2)),
        max_bits: 1 << (choice >> 4),
        ..Config::default()
    };
    if choice & 2 == 0 {
        let capture = rigor_fuzz::capture(rest, 1);
        let signal = &capture.signals()[0];
        let frames = decode(signal, capture.end(), config);
        let bits: u64 = frames.iter().map(|frame| frame.body.bits()).sum();
        assert!(bits <= signal.edges().len() as u64);
        let summary = Summary::of(&frames);
        assert_eq!((summary.frames, summary.bits), (frames.len() as u64, bits));
    } else {
        let events = rigor_fuzz::events(rest);
        let frames = LaneDecoder::decode(config, &events);
        let mut plain = LaneDecoder::without_memo(config);
        let mut again = Vec::new();
        events.iter().for_each(|event| plain.event(event, &mut again));
        again.extend(plain.finish());
        assert_eq!(frames, again);
    }
});
