//! Pictures as files, for another program to read.
//!
//! Writes PNG and APNG files, the pixels that ought to be in them (`.rgb`) and a list (`pictures.json`) to the
//! folder that `RIGOR_PICTURES_OUT` names, or below `target/tmp`. `fixtures/oracles/pictures.sh` has Pillow read them;
//! here the decoder of the crate that wrote them does.

#![allow(clippy::unwrap_used)]

use std::io::Cursor;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use std::{env, fs};

use rigor_core::event::{Burst, BytesEncoding, Symbol};
use rigor_core::{Event, Instant, Kind, Level};
use rigor_decode::picture::Picture;
use rigor_decode::picture::leds::{self, Layout};
use rigor_decode::picture::png::{self, Still};
use rigor_decode::st7789::{Config, FrameDecoder, Panel, Start, Window, encode};
use rigor_decode::ws2812::{self, Frame, LaneDecoder};
use serde_json::json;

/// Bytes that nobody compresses.
fn noise(mut seed: u64) -> impl Iterator<Item = u8> {
    std::iter::from_fn(move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        Some(seed.to_le_bytes()[4])
    })
}

fn random(width: u32, height: u32, seed: u64) -> Picture {
    let bytes = noise(seed).take(width as usize * height as usize * 3).collect();
    Picture::new(width, height, bytes).unwrap()
}

/// Frames of a strip with this many LEDs, 120 a second.
fn lane(leds: usize, frames: u64, seed: u64) -> Vec<Frame> {
    let events: Vec<Event> = (0..frames)
        .map(|frame| Event {
            at: Instant::from_nanos(frame * 8_333_333 + seed),
            uncertainty: Duration::ZERO,
            kind: Kind::Burst(Burst {
                bytes: noise(seed + frame + 1).take(leds * 3).collect::<Arc<[u8]>>(),
                encoding: BytesEncoding {
                    zero: Symbol { high_ns: 400, low_ns: 850 },
                    one: Symbol { high_ns: 800, low_ns: 450 },
                },
                idle: Level::Low,
            }),
        })
        .collect();
    LaneDecoder::decode(ws2812::Config::strip(leds as u32), &events)
}

/// A panel with a picture of its own, and then one with a line across.
fn panel() -> Vec<Picture> {
    let panel = Panel::LANDSCAPE_320X170;
    let start = Start::Running { madctl: 0x60, colmod: 0x55, inverted: true };
    let draw = |rows, seed| {
        let window = Window { columns: (0, 319), rows };
        let mut bytes = noise(seed);
        let pixels =
            (0..window.pixels()).map(|_| u16::from_ne_bytes([bytes.next().unwrap(), bytes.next().unwrap()]));
        encode::draw(window, pixels, 32_768)
    };
    let events =
        [(0, draw((35, 204), 1)), (20, draw((100, 109), 2))].into_iter().flat_map(|(ms, transfers)| {
            let at = Instant::from_nanos(ms * 1_000_000);
            transfers.into_iter().map(move |transfer| Event {
                at,
                uncertainty: Duration::ZERO,
                kind: Kind::Bus(transfer),
            })
        });
    let events: Vec<Event> = events.collect();
    let frames = FrameDecoder::decode(&Config { start, ..Config::new(panel) }, &events);
    frames.into_iter().map(|frame| frame.picture).collect()
}

fn still(picture: Picture) -> Vec<Still> {
    vec![Still { picture, shown: Duration::ZERO }]
}

/// A picture's pixels, and its delay as a fraction.
type Found = (Vec<u8>, Option<(u16, u16)>);

/// What a decoder reads.
fn read(file: &[u8]) -> Vec<Found> {
    let mut reader = ::png::Decoder::new(Cursor::new(file)).read_info().unwrap();
    let pictures = reader.info().animation_control().map_or(1, |control| control.num_frames);
    let mut read = Vec::new();
    for _ in 0..pictures {
        let mut bytes = vec![0; reader.output_buffer_size().unwrap()];
        reader.next_frame(&mut bytes).unwrap();
        let control = reader.info().frame_control();
        read.push((bytes, control.map(|control| (control.delay_num, control.delay_den))));
    }
    read
}

#[test]
fn files_hold_what_was_drawn() {
    let folder = env::var_os("RIGOR_PICTURES_OUT")
        .map_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("pictures"), PathBuf::from);
    fs::create_dir_all(&folder).unwrap();
    let lanes = [lane(160, 12, 3), lane(160, 12, 40_000)];
    let strips = [&lanes[0][..], &lanes[1][..]];
    let matrix = Layout { row: NonZeroU32::new(16), gap: 0, ..Layout::default() };
    let delays =
        [8_333_333, 100_000_000, 1_000_000_000, 65_000_000_000, 3_600_000_000_000].map(Duration::from_nanos);
    let delayed = delays.iter().zip(9..).map(|(&shown, seed)| Still { picture: random(7, 3, seed), shown });
    let panel = panel();
    assert_eq!(panel.len(), 2);
    let files: Vec<(&str, bool, Vec<Still>)> = vec![
        ("one-pixel", false, still(random(1, 1, 5))),
        ("odd", false, still(random(253, 7, 6))),
        ("plain", false, still(Picture::filled(500, 300, [1, 2, 3]).unwrap())),
        ("panel", false, still(panel[1].clone())),
        (
            "panel-animation",
            true,
            panel.into_iter().map(|picture| Still { picture, shown: delays[0] }).collect(),
        ),
        ("strips", false, still(leds::draw(&[&lanes[0][0], &lanes[1][0]], &Layout::default()).unwrap())),
        ("matrix", false, still(leds::draw(&[&lanes[0][3]], &matrix).unwrap())),
        ("strips-animation", true, leds::animate(&strips, &Layout::default()).unwrap()),
        ("delays", true, delayed.collect()),
        ("single", true, vec![Still { picture: random(4, 4, 7), shown: delays[1] }]),
    ];
    let mut list = Vec::new();
    for (name, animated, stills) in &files {
        let file = if *animated { png::animation(stills) } else { png::still(&stills[0].picture) }.unwrap();
        let expected: Vec<u8> = stills.iter().flat_map(|still| still.picture.rgb()).copied().collect();
        let found = read(&file);
        assert_eq!(found.len(), stills.len(), "{name}");
        assert!(found.iter().flat_map(|(pixels, _)| pixels).eq(&expected), "{name}");
        for ((_, delay), still) in found.iter().zip(stills) {
            let seconds = delay.map(|(numerator, denominator)| f64::from(numerator) / f64::from(denominator));
            let wanted = animated.then_some(still.shown.as_secs_f64());
            assert!(
                seconds.zip(wanted).map_or(seconds == wanted, |(a, b)| (a - b).abs() <= 0.000_5),
                "{name}: {seconds:?} for {wanted:?}"
            );
        }
        fs::write(folder.join(format!("{name}.png")), &file).unwrap();
        fs::write(folder.join(format!("{name}.rgb")), &expected).unwrap();
        let picture = &stills[0].picture;
        let shown: Vec<f64> = stills.iter().map(|still| still.shown.as_secs_f64() * 1e3).collect();
        list.push(json!({
            "name": name, "animated": animated, "width": picture.width(), "height": picture.height(), "shown_ms": shown
        }));
    }
    fs::write(folder.join("pictures.json"), serde_json::to_vec_pretty(&list).unwrap()).unwrap();
}
