//! Same seed, same run, to the byte.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use rigor_core::{Event, Instant, Source};
use rigor_rigs::{Order, RigFile};

const RIG: &str = include_str!("../../rigs/virtual/prism-k1.toml");

fn rig_file() -> RigFile {
    RigFile::parse("rigs/virtual/prism-k1.toml", RIG).expect("a valid rig file")
}

/// Everything that happens on a board in its first ten seconds, first boot included.
fn ten_seconds(seed: u64) -> Vec<(Source, Event)> {
    let mut rig = rigor_rigs::take(&Order::new(
        &rig_file(),
        &rigor_suites::firmwares(),
        seed,
        &Arc::new(AtomicBool::new(false)),
    ))
    .expect("the virtual rig can always be had");
    let power = rig.parts.power.clone().expect("the rig file has a supply");
    power.on().expect("a virtual switch works");
    // In the middle of provisioning: what is torn depends on the seed.
    rig.drive.run(Instant::ZERO + Duration::from_millis(1500), &|| false).expect("a virtual bench works");
    power.off().expect("a virtual switch works");
    power.on().expect("a virtual switch works");
    rig.drive.run(Instant::ZERO + Duration::from_secs(10), &|| false).expect("a virtual bench works");
    rig.timeline.merged(Instant::ZERO, Instant::MAX)
}

#[test]
fn two_timelines_of_one_seed_are_equal_to_the_byte() {
    let first = ten_seconds(7);
    assert!(first.len() > 2000, "a board that does something: {} events", first.len());
    let elsewhere = std::thread::spawn(|| ten_seconds(7));
    assert_eq!(first, ten_seconds(7));
    assert_eq!(first, elsewhere.join().expect("no panic"), "another thread, another board beside it");
}
