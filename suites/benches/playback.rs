//! How fast the virtual rig is: an hour of 120 FPS playback of PRISM K1 in virtual time, idle, and with
//! a pattern of which every picture is looked at.
//!
//! Targets: at most 10 s of wall time for the idle hour, and 5 s for the other one, 24 of which make
//! the day of K1-LED-011 with its 120 s.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use rigor_core::Instant;
use rigor_rigs::{Order, RigFile};
use rigor_runner::need::{Clock, Console, Leds, Net};
use rigor_runner::{Bench, Findings, Need, drive};
use suite_prism_k1::tlv::Profile;
use suite_prism_k1::{kit, pattern};

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

/// Plays a pattern for `duration` and looks at every picture, ten seconds at a time; how many there
/// were.
async fn watch(mut console: Console, leds: Leds, net: Net, clock: Clock, duration: Duration) -> usize {
    kit::settled(&mut console).await.expect("the device starts");
    let file = pattern::numbered(1, 60);
    kit::upload_once(&net, Profile::N, "watched", &file).await.expect("the upload is accepted");
    let until = clock.now() + duration;
    let (mut watch, mut pictures) = (leds.watch(), 0);
    while clock.now() < until {
        clock.sleep(Duration::from_secs(10)).await;
        let now = clock.now();
        while let Some(picture) = watch.next(now).await {
            pictures += usize::from(!picture.is_black());
        }
        watch.forget();
    }
    pictures
}

fn play_and_watch(rig: &RigFile, duration: Duration) -> usize {
    let interrupt = Arc::new(AtomicBool::new(false));
    let mut rig = rigor_rigs::take(&Order::new(rig, &rigor_suites::firmwares(), 1, &interrupt))
        .expect("the virtual rig can always be had");
    let bench = Bench::new(rig.timeline.clone(), rig.parts.clone(), rig.fidelity);
    let pictures = Rc::new(Cell::new(0));
    let case = {
        let (console, leds, net, clock) = (need(&bench), need(&bench), need(&bench), need(&bench));
        let pictures = pictures.clone();
        async move {
            pictures.set(watch(console, leds, net, clock, duration).await);
            Ok(Findings::new())
        }
    };
    rig.parts.power.as_ref().expect("the rig file has a supply").on().expect("a virtual switch works");
    drive::to_the_end(&mut rig, Box::pin(case), duration * 2, &interrupt).expect("nothing goes wrong");
    pictures.get()
}

fn need<N: Need>(bench: &Bench) -> N {
    N::take(bench).unwrap_or_else(|missing| panic!("the rig file has everything: {missing}"))
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
    let hour = Duration::from_secs(3600);
    group.throughput(Throughput::Elements(hour.as_secs()));
    group.bench_function("1 hour, every picture of a pattern (target 5 s)", |bencher| {
        bencher.iter(|| assert!(play_and_watch(&rig, hour) >= 3600 * 119, "pictures are missing"));
    });
    group.finish();
}

criterion_group!(benches, playback);
criterion_main!(benches);
