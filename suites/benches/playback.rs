//! How fast the virtual rig is: an hour of idle 120 FPS playback of PRISM K1, in virtual time.
//!
//! Target: at most 10 s of wall time for the hour.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use rigor_core::Instant;
use rigor_rigs::{Order, RigFile};

const RIG: &str = include_str!("../../rigs/virtual/prism-k1.toml");

/// Lets the board play for `duration` after power-on; how many events its lanes delivered.
fn play(rig: &RigFile, duration: Duration) -> usize {
    let mut rig =
        rigor_rigs::take(&Order::new(rig, &rigor_suites::firmwares(), 1, &Arc::new(AtomicBool::new(false))))
            .expect("the virtual rig can always be had");
    rig.parts.power.as_ref().expect("the rig file has a supply").on().expect("a virtual switch works");
    rig.drive.run(Instant::ZERO + duration, &|| false).expect("a virtual bench works");
    rig.parts
        .leds
        .iter()
        .map(|lane| rig.timeline.events(lane.source, Instant::ZERO, Instant::MAX).len())
        .sum()
}

fn playback(criterion: &mut Criterion) {
    let rig = RigFile::parse("rigs/virtual/prism-k1.toml", RIG).expect("a valid rig file");
    let mut group = criterion.benchmark_group("idle playback, virtual time");
    // Ten samples are what criterion insists on; each is seconds long.
    group.sample_size(10).sampling_mode(SamplingMode::Flat);
    for (name, duration, frames) in [
        ("1 minute", Duration::from_secs(60), 2 * 59 * 120),
        ("1 hour (target 10 s)", Duration::from_secs(3600), 2 * 3599 * 120),
    ] {
        group.throughput(Throughput::Elements(duration.as_secs()));
        group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
            bencher.iter(|| assert!(play(&rig, duration) >= frames, "frames are missing"));
        });
    }
    group.finish();
}

criterion_group!(benches, playback);
criterion_main!(benches);
