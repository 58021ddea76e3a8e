//! How fast a capture of two LED lanes is decoded, against sigrok-cli on the same file:
//! `cargo bench -p rigor-decode --bench sigrok`.
//!
//! Ten seconds of two lanes of 160 pixels at 120 frames a second, as a sigrok session of 25 MHz. Both
//! read the file and decode both lanes to colours. sigrok-cli needs minutes for it and runs once; where
//! there is none, that is said and no ratio printed. `RIGOR_BENCH_SECONDS` makes the capture shorter.

use std::fs::{self, File};
use std::hint::black_box;
use std::io::{BufReader, BufWriter};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant as Wall};

use criterion::{Criterion, Throughput};
use rigor_core::event::{Burst, BytesEncoding, Symbol};
use rigor_core::{Instant, Kind, Level, Timeline};
use rigor_decode::capture::{Capture, Limits, sigrok};
use rigor_decode::ws2812::{self, ColourOrder, Config};

const LANES: [&str; 2] = ["leds.0", "leds.1"];
const PIXELS: usize = 160;
const FRAMES_PER_SECOND: u64 = 120;
const PERIOD_NS: u64 = 8_333_333;

/// Data that no branch predictor can learn.
fn capture(frames: u64) -> Capture {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    let timeline = Timeline::new();
    let lanes = LANES.map(|name| timeline.source(name));
    for frame in 0..frames {
        for &lane in &lanes {
            let burst = Burst {
                bytes: (0..PIXELS * 3).map(|_| random()).collect(),
                encoding: BytesEncoding {
                    zero: Symbol { high_ns: 400, low_ns: 850 },
                    one: Symbol { high_ns: 800, low_ns: 450 },
                },
                idle: Level::Low,
            };
            let at = Instant::from_nanos(100_000 + frame * PERIOD_NS);
            timeline.push(lane, at, Duration::ZERO, Kind::Burst(burst)).expect("frames come in order");
        }
    }
    let end = Instant::from_nanos(frames * PERIOD_NS + 100_000);
    Capture::of_timeline(&timeline, &lanes, Instant::ZERO..end, usize::MAX)
}

/// What sigrok-cli does too: from the file to the colours of both lanes.
fn ours(file: &Path) -> usize {
    let file = BufReader::new(File::open(file).expect("the file was written"));
    let capture = sigrok::read(file, &Limits::default()).expect("the file is a session");
    let pixels = capture.signals().iter().map(|signal| {
        let frames = ws2812::decode(signal, capture.end(), Config::strip(PIXELS as u32));
        frames.iter().flat_map(|frame| frame.pixels(ColourOrder::Grb)).map(black_box).count()
    });
    pixels.sum()
}

/// Wall time of sigrok-cli, and the pixels that it finds; nothing if there is none.
fn theirs(file: &Path) -> Option<(Duration, usize)> {
    let mut command = Command::new("sigrok-cli");
    command.arg("-i").arg(file).args(["-A", "rgb_led_ws281x=rgb"]);
    for lane in LANES {
        command.args(["-P", &format!("rgb_led_ws281x:din={lane}")]);
    }
    let begun = Wall::now();
    let output = command.stdin(Stdio::null()).output().ok()?;
    let took = begun.elapsed();
    Some((took, output.stdout.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()).count()))
}

fn main() {
    let seconds = std::env::var("RIGOR_BENCH_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(10);
    let frames = seconds * FRAMES_PER_SECOND;
    let expected = frames as usize * PIXELS * LANES.len();
    let capture = capture(frames);
    let rate = capture.resolving_rate();
    let samples = capture.duration().as_nanos() as u64 * (rate.as_hertz() / 1_000_000) / 1_000;
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("bench-two-lanes.sr");
    let file = BufWriter::new(File::create(&path).expect("the file can be made"));
    sigrok::write(&capture, rate, file).expect("the session can be written");
    assert_eq!(ours(&path), expected);

    let mut criterion = Criterion::default().configure_from_args().sample_size(10);
    let mut group = criterion.benchmark_group("capture");
    group.throughput(Throughput::Elements(samples));
    group.bench_function(
        format!("{seconds} s of two lanes at {rate}, from the file to colours"),
        |bencher| {
            bencher.iter(|| ours(black_box(&path)));
        },
    );
    group.finish();
    criterion.final_summary();

    // `cargo test` looks only whether a benchmark runs.
    if std::env::args().any(|argument| argument == "--bench") {
        compare(&path, seconds, expected);
    }
    // The file is a hundred megabytes of nothing that anybody wants again.
    fs::remove_file(path).expect("the file can be removed");
}

fn compare(path: &Path, seconds: u64, expected: usize) {
    let mut times: Vec<Duration> = (0..5)
        .map(|_| {
            let begun = Wall::now();
            ours(path);
            begun.elapsed()
        })
        .collect();
    times.sort();
    let ours = times[times.len() / 2];
    println!("{seconds} s of two lanes: {:.3} s here (median of 5)", ours.as_secs_f64());
    match theirs(path) {
        None => println!("sigrok-cli is not installed: no ratio; `apt-get install sigrok-cli` brings it"),
        Some((_, found)) if found != expected => {
            println!("sigrok-cli found {found} pixels of {expected}: no ratio");
        }
        Some((took, _)) => {
            let ratio = took.as_secs_f64() / ours.as_secs_f64();
            println!("sigrok-cli: {:.1} s; ratio {ratio:.0} (at least 100 is wanted)", took.as_secs_f64());
        }
    }
}
