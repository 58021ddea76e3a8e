//! A recording judged again: what comes out the same, what may differ, and what nobody can tell.

use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use embassy_time::Timer;
use embedded_io_async::{Read, Write};
use rigor_board::cpu::TaskSpec;
use rigor_board::{Chip, Firmware};
use rigor_core::Instant;
use rigor_core::distribution::Distribution;
use rigor_core::event::{Gap, Kind};
use rigor_core::requirement::Catalogue;
use rigor_core::verdict::{Blame, ProductError, RigError, Verdict};
use rigor_rigs::{Firmwares, Recordings, RigFile};
use rigor_runner::case::{Case, Handler};
use rigor_runner::need::{Clock, Console, Flash, Power};
use rigor_runner::trial::{self, DEFAULT_WALL_TIME, Setup, Trial};
use rigor_runner::{Bench, Findings, Outcome};
use rstest::rstest;

/// Says hello, and repeats what it is told.
#[derive(Clone, Copy, PartialEq)]
enum Toy {
    Echoes,
    PanicsWhenTold,
    SpinsWhenTold,
    SpinsForEverWhenTold,
}

impl Firmware for Toy {
    fn name(&self) -> &str {
        "toy"
    }
    fn version(&self) -> &str {
        "7"
    }
    fn flash_image(&self) -> Vec<(u32, Vec<u8>)> {
        vec![(0x1000, b"toy".to_vec())]
    }

    fn start(&self, chip: Chip) {
        let (toy, mut tx, mut rx, cpu) = (*self, chip.uart_tx(), chip.uart_rx(), chip.cpu());
        let body = async move {
            let _ = tx.write_all(b"hello\r\n").await;
            let mut byte = [0];
            while rx.read(&mut byte).await.is_ok() {
                Timer::after_millis(3).await;
                match toy {
                    Toy::Echoes => {}
                    Toy::PanicsWhenTold => panic!("the toy is broken"),
                    Toy::SpinsWhenTold => loop {
                        cpu.work(0);
                    },
                    Toy::SpinsForEverWhenTold => loop {
                        std::hint::spin_loop();
                    },
                }
                let _ = tx.write_all(&byte).await;
            }
        };
        chip.tasks().spawn(TaskSpec { name: "toy", priority: 1, stack_bytes: 1024, core: 0 }, Box::pin(body));
    }
}

const CATALOGUE: &str = r#"
schema = 1
system = "toy"
title = "Toy"

[[requirement]]
id = "T-ONE"
title = "time"
clause = "1"
text = "It takes at most 5 ms."
class = "must"
budget = { quantity = "time", unit = "ms", bound = "max", at_most = 5 }
"#;

const RIG: &str = r#"
schema = 1
name = "virtual-toy"
dut = "toy"
back_end = "virtual"

[power]
[flash]
[console]
baud = 115200
"#;

/// A folder of recordings of its own, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("rigor-replay-{}-{number}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        Folder(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("virtual-toy/case.rec")
    }

    fn replay_rig(&self) -> RigFile {
        let text = format!(
            "schema = 1\nname = \"virtual-toy\"\ndut = \"toy\"\nback_end = \"replay\"\n[replay]\nrecording = {:?}",
            self.0
        );
        let mut rig = RigFile::parse("replay.toml", &text).expect("a valid rig file");
        rig.look_up(Path::new("/"));
        rig
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn firmware<const TOY: u8>() -> Rc<dyn Firmware> {
    Rc::new([Toy::Echoes, Toy::PanicsWhenTold, Toy::SpinsWhenTold, Toy::SpinsForEverWhenTold][TOY as usize])
}

fn run<Needs>(setup: Setup, case: impl Handler<Needs>) -> Trial {
    let catalogue = Arc::new(Catalogue::parse(CATALOGUE, "toy.toml").expect("a valid catalogue"));
    let case = Case::new("case", &["T-ONE"], case).within(Duration::from_secs(10));
    Trial { wall_time: Duration::ZERO, ..trial::run(&catalogue, &Arc::new(case), &Arc::new(setup)) }
}

fn record_on<Needs>(folder: &Folder, firmware: fn() -> Rc<dyn Firmware>, case: impl Handler<Needs>) -> Trial {
    record_within(DEFAULT_WALL_TIME, folder, firmware, case)
}

fn record_within<Needs>(
    wall_time: Duration,
    folder: &Folder,
    firmware: fn() -> Rc<dyn Firmware>,
    case: impl Handler<Needs>,
) -> Trial {
    let rig = RigFile::parse("toy.toml", RIG).expect("a valid rig file");
    let recordings = Recordings::new(&folder.0);
    let setup = Setup {
        recordings: Some(recordings.clone()),
        wall_time,
        ..Setup::new(rig, Firmwares::new().with("toy", firmware), 1)
    };
    let trial = run(setup, case);
    let kept = recordings.kept();
    assert_eq!((kept.files > 0, kept.complaints), (true, Vec::new()));
    trial
}

fn record<Needs>(folder: &Folder, case: impl Handler<Needs>) -> Trial {
    record_on(folder, firmware::<0>, case)
}

fn replay<Needs>(folder: &Folder, case: impl Handler<Needs>) -> Trial {
    run(Setup::new(folder.replay_rig(), Firmwares::new(), 1), case)
}

fn took(duration: Duration) -> Outcome {
    let mut findings = Findings::new();
    findings.measured("T-ONE", Distribution::of_durations([duration])?);
    Ok(findings)
}

const SECOND: Duration = Duration::from_secs(1);

/// Types a letter and measures how long its echo takes.
async fn echo(mut console: Console, clock: Clock) -> Outcome {
    console.expect_text("hello", SECOND).await?;
    let typed = clock.now();
    console.write("x\r\n")?;
    let line = console.expect_text("x", SECOND).await?;
    took(line.end.since(typed) / 4)
}

#[test]
fn a_case_that_passed_passes_with_the_same_figures() {
    let folder = Folder::new();
    let recorded = record(&folder, echo);
    assert_eq!(recorded.verdict(), Verdict::Pass, "{:?}", recorded.reason());
    assert_eq!(replay(&folder, echo), recorded);
    let rig = folder.replay_rig();
    let known = rig.recorded().expect("there is a recording");
    assert_eq!((known.seed, known.firmware.as_ref().map(|toy| toy.version.as_str())), (1, Some("7")));
}

/// As [`echo`], and nobody can read the hello again afterwards.
async fn forgetful_echo(bench: Bench, mut console: Console, clock: Clock) -> Outcome {
    console.expect_text("hello", SECOND).await?;
    let kept = |bench: &Bench| bench.timeline.merged(Instant::ZERO, Instant::MAX).len();
    let before = kept(&bench);
    bench.timeline.forget_before(clock.now());
    assert!(kept(&bench) < before, "nothing was forgotten");
    let typed = clock.now();
    console.write("x\r\n")?;
    let line = console.expect_text("x", SECOND).await?;
    took(line.end.since(typed) / 4)
}

#[test]
fn what_the_case_forgets_is_recorded_all_the_same() {
    let folder = Folder::new();
    let recorded = record(&folder, forgetful_echo);
    assert_eq!(recorded.verdict(), Verdict::Pass, "{:?}", recorded.reason());
    assert_eq!(replay(&folder, forgetful_echo), recorded);
    // It also finds the task's start, and with it the task's stack.
    let remembered = replay(&folder, echo);
    assert_eq!(remembered.decisions, recorded.decisions, "one that forgets nothing finds the hello");
    assert!(recorded.stacks.is_empty() && !remembered.stacks.is_empty());
}

#[test]
fn other_assertions_are_made_of_the_same_facts() {
    let folder = Folder::new();
    record(&folder, echo);
    let stricter = replay(&folder, |mut console: Console, clock: Clock| async move {
        console.expect_text("hello", SECOND).await?;
        let typed = clock.now();
        console.write("x\r\n")?;
        let line = console.expect_text("x", SECOND).await?;
        took(line.end.since(typed))
    });
    assert_eq!(stricter.verdict(), Verdict::Fail, "{:?}", stricter.reason());
    let shorter = replay(&folder, |mut console: Console| async move {
        console.expect_text("hello", SECOND).await?;
        took(Duration::from_millis(1))
    });
    assert_eq!(shorter.verdict(), Verdict::Pass, "{:?}", shorter.reason());
}

#[test]
fn further_waits_change_nothing() {
    let folder = Folder::new();
    record(&folder, |mut console: Console, clock: Clock| async move {
        clock.sleep(SECOND).await;
        console.write("x\r\n")?;
        clock.sleep(SECOND).await;
        console.expect_text("x", SECOND).await?;
        took(Duration::from_millis(1))
    });
    let replayed = replay(&folder, |mut console: Console, clock: Clock| async move {
        let hello = console.expect_text("hello", SECOND).await?;
        if clock.now() != hello.end {
            return Err(ProductError(format!("woken at {} for {}", clock.now(), hello.end)).into());
        }
        clock.sleep(Duration::from_millis(7)).await;
        clock.sleep_until(rigor_core::Instant::ZERO + SECOND).await;
        console.write("x\r\n")?;
        console.expect_text("x", SECOND).await?;
        took(Duration::from_millis(1))
    });
    assert_eq!(replayed.verdict(), Verdict::Pass, "{:?}", replayed.reason());
}

async fn fails(mut console: Console) -> Outcome {
    console.expect_text("good morning", SECOND).await?;
    took(SECOND)
}

async fn is_over_budget(_console: Console) -> Outcome {
    took(SECOND)
}

async fn loses_data(bench: Bench, clock: Clock) -> Outcome {
    clock.sleep(SECOND).await;
    let gap = Gap { length: Duration::from_millis(1), reason: "overrun".into() };
    let source = bench.timeline.source("analyser");
    bench.timeline.push(source, bench.timeline.now(), Duration::ZERO, Kind::Gap(gap))?;
    took(Duration::from_millis(1))
}

async fn panics(clock: Clock) -> Outcome {
    clock.sleep(SECOND).await;
    if true {
        panic!("the case is broken");
    }
    took(SECOND)
}

async fn has_a_faulty_rig(_clock: Clock) -> Outcome {
    Err(RigError("the cable is out".into()).into())
}

async fn never_ends(clock: Clock) -> Outcome {
    clock.sleep(1000 * SECOND).await;
    took(SECOND)
}

async fn reads_beyond_the_chip(flash: Flash) -> Outcome {
    flash.read(u32::MAX, 1)?;
    took(SECOND)
}

async fn needs_what_is_not_there(_leds: rigor_runner::need::Leds) -> Outcome {
    took(SECOND)
}

async fn finds_nothing(_clock: Clock) -> Outcome {
    Ok(Findings::new())
}

macro_rules! comes_out_the_same {
    ($($name:ident: $verdict:ident;)*) => { $(
        #[test]
        fn $name() {
            let folder = Folder::new();
            let recorded = record(&folder, super::$name);
            assert_eq!(recorded.verdict(), Verdict::$verdict, "{:?}", recorded.reason());
            assert_eq!(replay(&folder, super::$name), recorded);
        }
    )* };
}

mod comes_out_the_same {
    use super::*;

    comes_out_the_same! {
        fails: Fail;
        is_over_budget: Fail;
        loses_data: Inconclusive;
        panics: HarnessBug;
        has_a_faulty_rig: RigFault;
        never_ends: Fail;
        reads_beyond_the_chip: RigFault;
        needs_what_is_not_there: NotRun;
        finds_nothing: HarnessBug;
    }
}

#[rstest]
#[case::panics(firmware::<1>, DEFAULT_WALL_TIME, "the toy is broken")]
#[case::spins_inside_the_board(firmware::<2>, DEFAULT_WALL_TIME, "the firmware")]
#[case::spins_for_ever(firmware::<3>, Duration::from_millis(300), "kept the processor")]
fn a_device_that_dies_dies_again(
    #[case] firmware: fn() -> Rc<dyn Firmware>,
    #[case] wall_time: Duration,
    #[case] reason: &str,
) {
    let folder = Folder::new();
    let recorded = record_within(wall_time, &folder, firmware, echo);
    assert_eq!(recorded.verdict(), Verdict::Fail, "{:?}", recorded.reason());
    assert!(recorded.reason().is_some_and(|told| told.contains(reason)), "{:?}", recorded.reason());
    let replayed = replay(&folder, echo);
    assert_eq!(replayed.decisions, recorded.decisions);
}

#[test]
fn power_and_flash_are_repeated() {
    async fn cuts(power: Power, flash: Flash, clock: Clock) -> Outcome {
        clock.sleep(SECOND).await;
        let before = flash.read(0x1000, 8192)?;
        power.off()?;
        flash.write(0x1000, b"other")?;
        let after = flash.read(0x1000, 8192)?;
        power.cycle(SECOND).await?;
        clock.sleep(SECOND).await;
        took(Duration::from_millis((before[..3] == *b"toy" && after[..5] == *b"other").into()))
    }
    let folder = Folder::new();
    let recorded = record(&folder, cuts);
    assert_eq!(recorded.verdict(), Verdict::Pass, "{:?}", recorded.reason());
    assert_eq!(replay(&folder, cuts), recorded);
}

fn reason(trial: &Trial) -> &str {
    assert_eq!(trial.verdict(), Verdict::Inconclusive, "{:?}", trial.reason());
    trial.reason().expect("a reason")
}

#[test]
fn nobody_can_tell_what_another_action_would_have_led_to() {
    let folder = Folder::new();
    record(&folder, echo);
    let other_bytes = replay(&folder, |mut console: Console| async move {
        console.expect_text("hello", SECOND).await?;
        console.write("y\r\n")?;
        took(SECOND)
    });
    let told = reason(&other_bytes);
    assert!(
        told.contains("it calls console.write(3 bytes [") && told.contains("at the same instant"),
        "{told}"
    );
    let later = replay(&folder, |mut console: Console, clock: Clock| async move {
        console.expect_text("hello", SECOND).await?;
        clock.sleep(Duration::from_millis(1)).await;
        console.write("x\r\n")?;
        took(SECOND)
    });
    let told = reason(&later);
    let words = "the recorded case called console.write(3 bytes [";
    assert!(told.contains(words) && told.contains("waits for something else"), "{told}");
    let earlier = replay(&folder, |console: Console| async move {
        console.write("x\r\n")?;
        took(SECOND)
    });
    let told = reason(&earlier);
    assert!(
        told.contains("at 0.000000 s it calls console.write(") && told.contains("next, at 0.05"),
        "{told}"
    );
    let more = replay(&folder, |mut console: Console, power: Power| async move {
        console.expect_text("hello", SECOND).await?;
        console.write("x\r\n")?;
        console.expect_text("x", SECOND).await?;
        power.off()?;
        took(SECOND)
    });
    let told = reason(&more);
    assert!(told.contains("it calls power.off()") && told.contains("has no more calls"), "{told}");
    let longer = replay(&folder, |mut console: Console, clock: Clock| async move {
        console.expect_text("hello", SECOND).await?;
        console.write("x\r\n")?;
        clock.sleep(SECOND).await;
        took(SECOND)
    });
    let told = reason(&longer);
    assert!(told.contains("the recorded case had ended at") && told.contains("waits for more"), "{told}");
}

#[test]
fn a_case_cannot_hide_that_it_acted_differently() {
    let folder = Folder::new();
    record(&folder, echo);
    let hides = replay(&folder, |console: Console| async move {
        // It takes no notice of the error.
        let _ = console.write("something else");
        took(Duration::from_millis(1))
    });
    reason(&hides);
}

#[test]
fn a_case_that_panicked_and_is_mended_waits_for_what_was_not_recorded() {
    let folder = Folder::new();
    record(&folder, panics);
    let mended = replay(&folder, |clock: Clock| async move {
        clock.sleep(2 * SECOND).await;
        took(SECOND)
    });
    assert!(reason(&mended).contains("had ended at 1.000000 s"));
}

#[test]
fn a_recording_that_was_cut_short_is_judged_as_far_as_it_goes() {
    let folder = Folder::new();
    record(&folder, echo);
    let whole = fs::read(folder.file()).expect("a recording");
    let mut seen = [false; 3];
    for length in (0..whole.len()).step_by(7) {
        fs::write(folder.file(), &whole[..length]).expect("a cut recording");
        let trial = replay(&folder, echo);
        let told = trial.reason().unwrap_or_default();
        match trial.verdict() {
            Verdict::RigFault => {
                seen[0] = true;
                assert!(
                    told.contains("cut short") || told.contains("no recording") || told.contains("is ready"),
                    "{told}"
                );
            }
            Verdict::Inconclusive => {
                seen[1] = true;
                assert!(
                    told.contains("the recording was cut short: its last whole event is at 0."),
                    "{told}"
                );
                assert!(told.contains(&format!("{length} bytes")), "{told}");
            }
            // All that the case looks at is there.
            Verdict::Pass => seen[2] = true,
            other => panic!("{other}: {told}"),
        }
    }
    assert_eq!(seen, [true; 3], "cut before the rig was ready, in the middle, and at the end");
}

#[test]
fn a_recording_that_is_damaged_is_the_rig_s_fault_with_its_place() {
    let folder = Folder::new();
    record(&folder, echo);
    let mut file = fs::read(folder.file()).expect("a recording");
    let last = file.len() - 1;
    file[last] ^= 1;
    fs::write(folder.file(), file).expect("a damaged recording");
    let trial = replay(&folder, echo);
    assert_eq!(trial.verdict(), Verdict::RigFault);
    let told = trial.reason().unwrap_or_default();
    assert!(told.contains("case.rec: block 2 at offset 0x") && told.contains("checksum"), "{told}");
}

#[test]
fn a_case_that_was_not_recorded_is_not_run() {
    let folder = Folder::new();
    let trial = replay(&folder, echo);
    assert_eq!(trial.verdict(), Verdict::NotRun);
    assert!(trial.reason().is_some_and(|told| told.contains("--record")), "{:?}", trial.reason());
    record(&folder, echo);
    fs::rename(folder.file(), folder.file().with_file_name("other.rec")).expect("renamed");
    let trial = replay(&folder, echo);
    assert_eq!(trial.verdict(), Verdict::NotRun);
    assert!(
        trial.reason().is_some_and(|told| told.contains("no recording of this case")),
        "{:?}",
        trial.reason()
    );
}

#[test]
fn the_recordings_of_several_rigs_want_a_name() {
    let folder = Folder::new();
    record(&folder, echo);
    fs::create_dir(folder.0.join("another")).expect("a second folder");
    let trial = replay(&folder, echo);
    assert_eq!(trial.verdict(), Verdict::RigFault);
    assert!(trial.reason().is_some_and(|told| told.contains("another, virtual-toy")), "{:?}", trial.reason());
}

#[test]
fn a_recording_that_cannot_be_kept_is_complained_of_and_the_case_runs() {
    let folder = Folder::new();
    fs::write(&folder.0, "a file where the folder would be").expect("written");
    let rig = RigFile::parse("toy.toml", RIG).expect("a valid rig file");
    let recordings = Recordings::new(&folder.0);
    let setup = Setup {
        recordings: Some(recordings.clone()),
        ..Setup::new(rig, Firmwares::new().with("toy", firmware::<0>), 1)
    };
    assert_eq!(run(setup, echo).verdict(), Verdict::Pass);
    let kept = recordings.kept();
    assert_eq!(kept.files, 0);
    assert!(kept.complaints[0].contains("case.rec: "), "{:?}", kept.complaints);
    let _ = fs::remove_file(&folder.0);
}

#[test]
fn nothing_of_a_recording_under_way_bears_its_name() {
    let folder = Folder::new();
    let file = folder.file();
    let seen = Arc::new(AtomicU64::new(9));
    let told = seen.clone();
    record(&folder, move |clock: Clock| {
        let (file, told) = (file.clone(), told.clone());
        async move {
            clock.sleep(SECOND).await;
            let names = u64::from(file.exists()) + 2 * u64::from(file.with_extension("rec.part").exists());
            told.store(names, Ordering::Relaxed);
            Err(Blame::Product(ProductError("done".into())))
        }
    });
    assert_eq!(seen.load(Ordering::Relaxed), 2);
    assert!(folder.file().exists() && !folder.file().with_extension("rec.part").exists());
}
