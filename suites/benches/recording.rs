//! What a recording costs: time, as a share of the run's, and bytes.
//!
//! Targets: at most 10 % of the run's time, and at most 2 bytes for each burst of LED bits beside the
//! pictures themselves.

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant as WallInstant};
use std::{env, fs};

use criterion::{Criterion, SamplingMode, criterion_group, criterion_main};
use rigor_core::Instant;
use rigor_core::requirement::Catalogue;
use rigor_core::verdict::Verdict;
use rigor_rigs::recording::{Ending, Size};
use rigor_rigs::{Order, Recordings, RigFile};
use rigor_runner::case::Case;
use rigor_runner::trial::{self, Setup};

const RIG: &str = include_str!("../../rigs/virtual/prism-k1.toml");

fn folder() -> PathBuf {
    env::temp_dir().join(format!("rigor-bench-recording-{}", std::process::id()))
}

fn rig() -> RigFile {
    RigFile::parse("rigs/virtual/prism-k1.toml", RIG).expect("a valid rig file")
}

/// Lets the board play for `duration` after power-on.
fn play(rig: &RigFile, duration: Duration, recordings: Option<&Arc<Recordings>>) {
    let (firmwares, interrupt) = (rigor_suites::firmwares(), Arc::new(AtomicBool::new(false)));
    let recording = recordings.map(Recordings::recording);
    let mut rig = rigor_rigs::take(&Order {
        case: "play",
        recording: recording.as_ref(),
        ..Order::new(rig, &firmwares, 1, &interrupt)
    })
    .expect("the virtual rig can always be had");
    rig.parts.power.as_ref().expect("the rig file has a supply").on().expect("a virtual switch works");
    // As a case does that looks now and then: what is behind it is forgotten.
    let until = Instant::ZERO + duration;
    while rig.timeline.now() < until {
        let next = until.min(rig.timeline.now() + Duration::from_secs(10));
        rig.drive.run(next, &|| false).expect("a virtual bench works");
        rig.timeline.forget_before(rig.timeline.now());
    }
    if let Some(recording) = recording {
        recording.finish(&Ending::default());
    }
}

/// Every short case, one after the other.
fn suite(catalogue: &Arc<Catalogue>, cases: &[Arc<Case>], setup: &Arc<Setup>) {
    for case in cases {
        black_box(trial::run(catalogue, case, setup));
    }
}

/// What the processors have done for this process. Linux counts it in hundredths of a second
/// (proc(5), `utime` and `stime` of `/proc/pid/stat`).
fn processor_time() -> Option<Duration> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The second field is a name that may hold anything, in parentheses.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u64>().ok();
    Some(Duration::from_millis((ticks()? + ticks()?) * 10))
}

/// How much longer `with` takes than `without`: the fastest of several rounds, in turns and on the
/// processor's clock where there is one, because a machine may do other things too.
fn ratio(rounds: u32, mut without: impl FnMut(), mut with: impl FnMut()) -> (Duration, Duration) {
    let time = |work: &mut dyn FnMut()| {
        let (begun, before) = (WallInstant::now(), processor_time());
        work();
        let busy = processor_time().zip(before).map(|(after, before)| after - before);
        busy.unwrap_or_else(|| begun.elapsed())
    };
    let (mut fastest_without, mut fastest_with) = (Duration::MAX, Duration::MAX);
    for _ in 0..rounds {
        fastest_without = fastest_without.min(time(&mut without));
        fastest_with = fastest_with.min(time(&mut with));
    }
    (fastest_without, fastest_with)
}

fn print_ratio(what: &str, (without, with): (Duration, Duration)) {
    println!(
        "{what}: {without:.2?} without, {with:.2?} with a recording: {:+.1} % (target 10 %)",
        (with.as_secs_f64() / without.as_secs_f64() - 1.0) * 100.0
    );
}

fn file_bytes(recordings: &Recordings) -> u64 {
    let size = |path: &Path| fs::metadata(path).map_or(0, |file| file.len());
    size(&recordings.folder().join("virtual-k1/play.rec"))
}

fn recorded(rig: &RigFile, duration: Duration) -> Size {
    let recordings = Recordings::new(folder());
    play(rig, duration, Some(&recordings));
    let size = recordings.kept().size;
    assert_eq!(size.bytes, file_bytes(&recordings), "the file is as large as was said");
    size
}

fn print_size(rig: &RigFile) {
    // What is left when the start and the pictures, which are written once, are taken away.
    let (minute, hour) = (recorded(rig, Duration::from_secs(60)), recorded(rig, Duration::from_secs(3600)));
    let bytes = (hour.bytes - minute.bytes) as f64;
    let bursts = (hour.bursts - minute.bursts) as f64;
    println!(
        "a minute with its start: {} bytes, {} bursts; an hour: {} bytes, {} bursts",
        minute.bytes, minute.bursts, hour.bytes, hour.bursts
    );
    println!(
        "steady playback: {:.3} bytes for each burst of 3,840 LED bits (target 2), {:.2e} for each LED bit, {:.0} for each minute, {:.0} KiB for a day",
        bytes / bursts,
        bytes / bursts / 3840.0,
        bytes / 59.0,
        bytes / 59.0 * 60.0 * 24.0 / 1024.0
    );
}

fn recording(criterion: &mut Criterion) {
    let rig = rig();
    let recordings = Recordings::new(folder());
    print_size(&rig);
    let hour = Duration::from_secs(3600);
    print_ratio(
        "an hour of playback",
        ratio(5, || play(&rig, hour, None), || play(&rig, hour, Some(&recordings))),
    );
    let (catalogue, mut cases) =
        rigor_suites::suites().expect("valid suites").into_iter().next().expect("a suite").into_parts();
    cases.retain(|case| !case.is_long());
    let plain = Arc::new(Setup::new(rig.clone(), rigor_suites::firmwares(), 1));
    let setup = Setup::new(rig.clone(), rigor_suites::firmwares(), 1);
    let recorded = Arc::new(Setup { recordings: Some(recordings.clone()), ..setup });
    print_ratio(
        "every short case",
        ratio(3, || suite(&catalogue, &cases, &plain), || suite(&catalogue, &cases, &recorded)),
    );
    let mut group = criterion.benchmark_group("recording");
    // Ten samples are what criterion insists on; each is seconds long.
    group.sample_size(10).sampling_mode(SamplingMode::Flat);
    let minutes = Duration::from_secs(600);
    group.bench_function("ten minutes of playback, not recorded", |bencher| {
        bencher.iter(|| play(&rig, minutes, None));
    });
    group.bench_function("ten minutes of playback, recorded", |bencher| {
        bencher.iter(|| play(&rig, minutes, Some(&recordings)));
    });
    // The last run has left a recording of every case.
    let mut replay = RigFile::parse("replay.toml", &replay_text()).expect("a valid rig file");
    replay.look_up(Path::new("/"));
    let replay = Arc::new(Setup::new(replay, rigor_suites::firmwares(), 1));
    group.bench_function("every short case, replayed", |bencher| {
        bencher.iter(|| suite(&catalogue, &cases, &replay));
    });
    let first = trial::run(&catalogue, &cases[0], &replay);
    assert_eq!(first.verdict(), Verdict::Pass, "{:?}", first.reason());
    group.finish();
    let _ = fs::remove_dir_all(folder());
}

fn replay_text() -> String {
    format!(
        "schema = 1\nname = \"replay\"\ndut = \"prism-k1\"\nback_end = \"replay\"\n[replay]\nrecording = {:?}",
        folder()
    )
}

criterion_group!(benches, recording);
criterion_main!(benches);
