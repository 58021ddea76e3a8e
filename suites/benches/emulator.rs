//! How fast the firmware runs on QEMU in exact time, with everything on its wires taken in.
//!
//! Targets: at most 200 ms of wall time from an order for a rig to the first meeting with the device, which
//! is when a case may begin, and at least five seconds of the device's time for one of the host's.
//! Needs QEMU and the image (`cargo xtask firmware build`), and says so where they are missing.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant as WallInstant};

use criterion::{BenchmarkId, Criterion, SamplingMode, criterion_group, criterion_main};
use rigor_core::{Instant, Rig};
use rigor_rigs::{Order, RigFile};

const RIG: &str = include_str!("../../rigs/qemu/prism-k1.toml");

/// What the device does by itself: it writes its templates into a blank flash at its first start, which is
/// the most it ever computes, and then plays one of them.
const PARTS: [(&str, Duration); 2] =
    [("its first start", Duration::from_millis(3_300)), ("playing", Duration::from_secs(10))];

fn file() -> RigFile {
    let mut file = RigFile::parse("rigs/qemu/prism-k1.toml", RIG).expect("a valid rig file");
    file.look_up(&Path::new(env!("CARGO_MANIFEST_DIR")).join(".."));
    file
}

/// An emulated device with power, at its first meeting with the rig.
fn begin(file: &RigFile) -> Result<Rig, Box<dyn Error>> {
    let mut rig = rigor_rigs::take(&Order::new(
        file,
        &rigor_suites::firmwares(),
        1,
        &Arc::new(AtomicBool::new(false)),
    ))?;
    rig.parts.power.as_ref().expect("the rig file has a supply").on()?;
    rig.drive.run(Instant::ZERO + Duration::from_micros(1), &|| false)?;
    Ok(rig)
}

fn run_to(rig: &mut Rig, until: Duration) {
    rig.drive.run(Instant::ZERO + until, &|| false).expect("the emulator goes on");
}

fn emulator(criterion: &mut Criterion) {
    let file = file();
    if let Err(error) = begin(&file) {
        println!("QEMU is not measured: {error}");
        return;
    }
    let mut group = criterion.benchmark_group("qemu");
    group.sampling_mode(SamplingMode::Flat).sample_size(10);
    group.bench_function("to the first meeting (target 200 ms)", |bencher| {
        bencher.iter(|| begin(&file).expect("as before"))
    });
    for (place, (name, duration)) in PARTS.into_iter().enumerate() {
        let from: Duration = PARTS[..place].iter().map(|(_, before)| *before).sum();
        group.bench_function(BenchmarkId::new(name, format!("{duration:?}")), |bencher| {
            bencher.iter_custom(|rounds| {
                let mut spent = Duration::ZERO;
                for _ in 0..rounds {
                    let mut rig = begin(&file).expect("as before");
                    run_to(&mut rig, from);
                    let begun = WallInstant::now();
                    run_to(&mut rig, from + duration);
                    spent += begun.elapsed();
                }
                spent
            });
        });
        let mut rig = begin(&file).expect("as before");
        run_to(&mut rig, from);
        let begun = WallInstant::now();
        run_to(&mut rig, from + duration);
        let times = duration.as_secs_f64() / begun.elapsed().as_secs_f64();
        println!("qemu, {name}: {times:.1} x real time (target 5)");
    }
    group.finish();
}

criterion_group!(benches, emulator);
criterion_main!(benches);
