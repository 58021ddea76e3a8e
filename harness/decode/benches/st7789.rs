//! How many bytes of a display's bus a second the ST7789 decoder takes: `cargo bench -p rigor-decode --bench
//! st7789`.
//!
//! Each figure is of one core, and of full pictures for a panel of 320 x 170 pixels as a badge has it, unless it
//! says otherwise; 200 MB/s is the target. The last figure makes a picture of each frame besides.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use rigor_core::event::BusTransfer;
use rigor_core::{Event, Instant, Kind};
use rigor_decode::st7789::{Config, Decoder, FrameDecoder, Panel, Scan, Start, Window, encode};

const FRAMES: usize = 16;
/// Characters of a small font, each a window of its own: five screens of text.
const GLYPHS: usize = 2000;
const PERIOD_NS: u64 = 16_666_667;
/// The longest transfer of the ESP32-S3's SPI controller.
const MOST: usize = 32_768;
const BYTE: Duration = Duration::from_nanos(100);

fn random() -> impl FnMut() -> u16 {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u16
    }
}

/// Frames of one window, cut to transfers of at most `most` bytes.
fn events(window: Window, bytes_per_pixel: usize, most: usize, frames: usize) -> Vec<Event> {
    let mut random = random();
    let bytes = window.pixels() as usize * bytes_per_pixel;
    let mut events = Vec::new();
    for frame in 0..frames {
        let pixels: Vec<u8> = (0..bytes).map(|_| random() as u8).collect();
        let chunks = pixels.chunks(most).map(|bytes| BusTransfer { data: true, bytes: Arc::from(bytes) });
        let mut at = Instant::from_nanos(frame as u64 * PERIOD_NS);
        for transfer in encode::begin(window).into_iter().chain(chunks) {
            let length = BYTE * transfer.bytes.len() as u32;
            events.push(Event { at, uncertainty: Duration::ZERO, kind: Kind::Bus(transfer) });
            at += length;
        }
    }
    events
}

fn bytes(events: &[Event]) -> u64 {
    let of = |event: &Event| match &event.kind {
        Kind::Bus(transfer) => transfer.bytes.len() as u64,
        _ => 0,
    };
    events.iter().map(of).sum()
}

fn decode(criterion: &mut Criterion) {
    let landscape = Window { columns: (0, 319), rows: (35, 204) };
    let portrait = Window { columns: (35, 204), rows: (0, 319) };
    let glyph = Window { columns: (100, 107), rows: (100, 115) };
    let config = |madctl: u8, colmod: u8| Config {
        byte_time: BYTE,
        start: Start::Running { madctl, colmod, inverted: true },
        ..Config::new(Panel::LANDSCAPE_320X170)
    };
    let scan = Scan {
        first_line: Instant::ZERO,
        period: Duration::from_nanos(PERIOD_NS),
        lines: Duration::from_millis(15),
    };
    let mut group = criterion.benchmark_group("st7789");
    for (name, config, events) in [
        ("landscape, RGB565", config(0x60, 0x55), events(landscape, 2, MOST, FRAMES)),
        ("portrait, RGB565", config(0x00, 0x55), events(portrait, 2, MOST, FRAMES)),
        ("portrait mirrored, RGB565", config(0xC0, 0x55), events(portrait, 2, MOST, FRAMES)),
        ("portrait, RGB666", config(0x00, 0x66), events(portrait, 3, MOST, FRAMES)),
        ("landscape, transfers of 63 bytes", config(0x60, 0x55), events(landscape, 2, 63, FRAMES)),
        (
            "landscape, scan known",
            Config { scan: Some(scan), ..config(0x60, 0x55) },
            events(landscape, 2, MOST, FRAMES),
        ),
        ("glyphs of 8 x 16", config(0x60, 0x55), events(glyph, 2, MOST, GLYPHS)),
    ] {
        group.throughput(Throughput::BytesDecimal(bytes(&events)));
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let mut decoder = Decoder::new(&config);
                let mut items = 0_u64;
                for event in black_box(&events) {
                    decoder.event(event, |_, _| items += 1);
                }
                items
            });
        });
    }
    let events = events(landscape, 2, MOST, FRAMES);
    group.throughput(Throughput::BytesDecimal(bytes(&events)));
    group.bench_function("landscape, with pictures", |bencher| {
        bencher.iter(|| FrameDecoder::decode(&config(0x60, 0x55), black_box(&events)).len());
    });
    group.finish();
}

criterion_group!(benches, decode);
criterion_main!(benches);
