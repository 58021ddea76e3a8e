//! Whose fault it is: every way in which a trial can end, on a toy board.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use embassy_time::Timer;
use embedded_io_async::Write;
use rigor_board::cpu::TaskSpec;
use rigor_board::{Chip, Firmware};
use rigor_core::distribution::Distribution;
use rigor_core::event::{Gap, Kind, ResetCause};
use rigor_core::requirement::Catalogue;
use rigor_core::verdict::{Blame, Inconclusive, ProductError, RigError, Verdict};
use rigor_rigs::failing::RigFault;
use rigor_rigs::fault::Model;
use rigor_rigs::{Firmwares, RigFile};
use rigor_runner::case::{Case, Handler};
use rigor_runner::need::{Clock, Console, Device, Leds, Stress, Tasks};
use rigor_runner::trial::{self, DEFAULT_WALL_TIME, Setup, Trial};
use rigor_runner::{Bench, Findings, Outcome};
use rstest::rstest;

/// What the toy does after it has said hello.
#[derive(Clone, Copy)]
enum Toy {
    Rests,
    Panics,
    PanicsOnce,
    SpinsInsideTheBoard,
    SpinsForEver,
}

impl Firmware for Toy {
    fn name(&self) -> &str {
        "toy"
    }
    fn version(&self) -> &str {
        "0"
    }

    fn flash_image(&self) -> Vec<(u32, Vec<u8>)> {
        Vec::new()
    }

    fn start(&self, chip: Chip) {
        let (toy, mut tx, cpu) = (*self, chip.uart_tx(), chip.cpu());
        let cause = chip.machine().start_cause();
        let body = async move {
            let _ = tx.write_all(b"hello\r\nlast words\r\n").await;
            Timer::after_millis(10).await;
            match toy {
                Toy::Rests => {}
                Toy::PanicsOnce if cause != ResetCause::PowerOn => {}
                Toy::Panics | Toy::PanicsOnce => panic!("the toy is broken"),
                Toy::SpinsInsideTheBoard => loop {
                    cpu.work(0);
                },
                Toy::SpinsForEver => loop {
                    std::hint::spin_loop();
                },
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
[console]
baud = 115200
"#;

fn run<Needs>(firmware: fn() -> Rc<dyn Firmware>, case: impl Handler<Needs>) -> Trial {
    run_with(None, firmware, case)
}

fn run_with<Needs>(
    fault: Option<Model>,
    firmware: fn() -> Rc<dyn Firmware>,
    case: impl Handler<Needs>,
) -> Trial {
    run_within(DEFAULT_WALL_TIME, fault, firmware, case)
}

/// On a rig that also has LEDs.
fn run_with_leds<Needs>(fault: Option<Model>, case: impl Handler<Needs>) -> Trial {
    let catalogue = Arc::new(Catalogue::parse(CATALOGUE, "toy.toml").expect("a valid catalogue"));
    let rig = format!("{RIG}\n[[leds]]\nsignal = \"leds.0\"\npin = 9\npixels = 2\n");
    let rig = RigFile::parse("toy.toml", &rig).expect("a valid rig file");
    let setup = Setup { fault, ..Setup::new(rig, Firmwares::new().with("toy", rests), 1) };
    trial::run(&catalogue, &Arc::new(Case::new("case", &["T-ONE"], case)), &Arc::new(setup))
}

fn run_within<Needs>(
    wall_time: Duration,
    fault: Option<Model>,
    firmware: fn() -> Rc<dyn Firmware>,
    case: impl Handler<Needs>,
) -> Trial {
    let catalogue = Arc::new(Catalogue::parse(CATALOGUE, "toy.toml").expect("a valid catalogue"));
    let rig = RigFile::parse("toy.toml", RIG).expect("a valid rig file");
    let setup = Setup { wall_time, fault, ..Setup::new(rig, Firmwares::new().with("toy", firmware), 1) };
    let case = Case::new("case", &["T-ONE"], case).within(Duration::from_secs(10));
    trial::run(&catalogue, &Arc::new(case), &Arc::new(setup))
}

fn rests() -> Rc<dyn Firmware> {
    Rc::new(Toy::Rests)
}

fn took(ms: u64) -> Outcome {
    let mut findings = Findings::new();
    findings.measured("T-ONE", Distribution::of_durations([Duration::from_millis(ms)])?);
    Ok(findings)
}

#[rstest]
#[case(5, Verdict::Pass)]
#[case(6, Verdict::Fail)]
fn the_budget_decides(#[case] ms: u64, #[case] verdict: Verdict) {
    let trial = run(rests, move || async move { took(ms) });
    assert_eq!(trial.verdict(), verdict, "{:?}", trial.reason());
}

#[test]
fn waiting_takes_rig_time_and_hardly_any_wall_time() {
    let trial = run(rests, |clock: Clock| async move {
        clock.sleep(Duration::from_secs(9)).await;
        took(1)
    });
    assert_eq!((trial.verdict(), trial.rig_time), (Verdict::Pass, Duration::from_secs(9)));
}

#[test]
fn a_need_that_the_rig_does_not_meet_is_not_run_with_the_reason() {
    let trial = run(rests, |_: Leds| async { took(1) });
    assert_eq!(trial.verdict(), Verdict::NotRun);
    assert!(trial.reason().is_some_and(|reason| reason.contains("[[leds]]")), "{:?}", trial.reason());
}

#[test]
fn a_panic_of_the_firmware_is_the_product_s_and_shows_its_last_words() {
    fn panics() -> Rc<dyn Firmware> {
        Rc::new(Toy::Panics)
    }
    let trial = run(panics, |clock: Clock| async move {
        clock.sleep(Duration::from_millis(100)).await;
        took(1)
    });
    assert_eq!(trial.verdict(), Verdict::Fail);
    let reason = trial.reason().unwrap_or_default();
    assert!(reason.contains("the toy is broken") && reason.contains("trial.rs"), "{reason}");
    assert!(trial.log_tail.iter().any(|line| line.contains("last words")), "{:?}", trial.log_tail);
}

#[test]
fn a_crash_that_the_case_has_brought_about_is_none_of_the_product_s() {
    fn panics_once() -> Rc<dyn Firmware> {
        Rc::new(Toy::PanicsOnce)
    }
    let trial = run(panics_once, |device: Device| async move {
        let (at, message) = device.expect_crash(Duration::from_secs(1)).await?;
        assert!(at > rigor_core::Instant::ZERO && message.contains("the toy is broken"), "{message}");
        took(1)
    });
    assert_eq!(trial.verdict(), Verdict::Pass, "{:?}", trial.reason());
}

#[test]
fn a_second_crash_and_one_that_comes_too_late_are_the_product_s() {
    fn panics() -> Rc<dyn Firmware> {
        Rc::new(Toy::Panics)
    }
    let again = run(panics, |device: Device, clock: Clock| async move {
        device.expect_crash(Duration::from_secs(1)).await?;
        clock.sleep(Duration::from_secs(1)).await;
        took(1)
    });
    assert_eq!(again.verdict(), Verdict::Fail, "{:?}", again.reason());
    let late = run(panics, |device: Device, clock: Clock| async move {
        let _ = device.expect_crash(Duration::from_millis(1)).await;
        clock.sleep(Duration::from_millis(100)).await;
        took(1)
    });
    assert!(late.reason().is_some_and(|reason| reason.contains("crashed at")), "{:?}", late.reason());
}

#[test]
fn cores_and_memory_are_in_reach_where_the_rig_file_says_so() {
    let tasks = run(rests, |_: Tasks| async { took(1) });
    let stress = run(rests, |_: Stress| async { took(1) });
    for (trial, table) in [(tasks, "[scheduler]"), (stress, "[stress]")] {
        assert_eq!(trial.verdict(), Verdict::NotRun);
        assert!(trial.reason().is_some_and(|reason| reason.contains(table)), "{:?}", trial.reason());
    }
}

#[test]
fn a_firmware_that_spins_inside_the_board_is_the_product_s() {
    fn spins() -> Rc<dyn Firmware> {
        Rc::new(Toy::SpinsInsideTheBoard)
    }
    let trial = run(spins, |clock: Clock| async move {
        clock.sleep(Duration::from_millis(100)).await;
        took(1)
    });
    assert_eq!(trial.verdict(), Verdict::Fail, "{:?}", trial.reason());
    assert!(
        trial.reason().is_some_and(|reason| reason.contains("spins") || reason.contains("stopped")),
        "{:?}",
        trial.reason()
    );
}

#[test]
fn a_firmware_that_never_calls_the_board_again_ends_as_a_failure_and_not_as_a_hang() {
    fn spins() -> Rc<dyn Firmware> {
        Rc::new(Toy::SpinsForEver)
    }
    let trial = run_within(Duration::from_millis(300), None, spins, |clock: Clock| async move {
        clock.sleep(Duration::from_millis(100)).await;
        took(1)
    });
    assert_eq!(trial.verdict(), Verdict::Fail);
    assert!(
        trial.reason().is_some_and(|reason| reason.contains("kept the processor")),
        "{:?}",
        trial.reason()
    );
}

#[test]
fn a_case_that_waits_for_ever_ends_at_its_rig_time() {
    let trial = run(rests, std::future::pending::<Outcome>);
    assert_eq!(trial.verdict(), Verdict::Fail);
    assert_eq!(trial.rig_time, Duration::from_secs(10));
}

#[test]
fn a_line_that_does_not_come_is_the_product_s_and_names_what_came_instead() {
    let trial = run(rests, |mut console: Console| async move {
        console.expect_text("good morning", Duration::from_secs(1)).await?;
        took(1)
    });
    assert_eq!(trial.verdict(), Verdict::Fail);
    assert!(trial.reason().is_some_and(|reason| reason.contains("last words")), "{:?}", trial.reason());
}

#[test]
fn a_panic_of_the_case_is_a_harness_bug() {
    let trial = run(rests, || async {
        if true {
            panic!("the case is broken");
        }
        took(1)
    });
    assert_eq!(trial.verdict(), Verdict::HarnessBug);
    assert!(
        trial.reason().is_some_and(|reason| reason.contains("the case is broken")),
        "{:?}",
        trial.reason()
    );
}

/// A source of the bench loses data while the case looks on.
fn lose_data(bench: &Bench) -> Result<(), Blame> {
    let gap = Gap { length: Duration::from_millis(1), reason: "overrun".into() };
    let source = bench.timeline.source("analyser");
    Ok(bench.timeline.push(source, bench.timeline.now(), Duration::ZERO, Kind::Gap(gap))?)
}

#[rstest]
#[case(|| took(5))]
#[case(|| took(6))]
#[case(|| Err(ProductError("no line came".into()).into()))]
#[case(|| Err(Inconclusive("too noisy".into()).into()))]
fn nobody_can_tell_where_data_is_lost(#[case] outcome: fn() -> Outcome) {
    let trial = run(rests, move |bench: Bench| async move {
        lose_data(&bench)?;
        outcome()
    });
    assert_eq!(trial.verdict(), Verdict::Inconclusive, "{:?}", trial.reason());
}

#[test]
fn a_crash_is_a_crash_whatever_else_was_lost() {
    fn panics() -> Rc<dyn Firmware> {
        Rc::new(Toy::Panics)
    }
    let trial = run(panics, |bench: Bench, clock: Clock| async move {
        lose_data(&bench)?;
        clock.sleep(Duration::from_millis(100)).await;
        took(1)
    });
    assert_eq!(trial.verdict(), Verdict::Fail, "{:?}", trial.reason());
}

#[test]
fn only_a_rig_fault_is_tried_again_and_the_record_says_so() {
    let faulty = run(rests, || async { Err(RigError("the cable is out".into()).into()) });
    assert_eq!((faulty.verdict(), faulty.retries), (Verdict::RigFault, 1));
    let unclear = run(rests, || async { Err(Inconclusive("too noisy".into()).into()) });
    assert_eq!((unclear.verdict(), unclear.retries), (Verdict::Inconclusive, 0));
}

#[rstest]
#[case(RigFault::ConsoleUnplugged {})]
#[case(RigFault::ClockDies { at_ms: 500 })]
#[case(RigFault::CaptureGap { at_ms: 500, length_ms: 1 })]
#[case(RigFault::Panics { at_ms: 500 })]
#[case(RigFault::Unavailable { attempts: std::num::NonZeroU32::MAX })]
fn a_failure_of_the_bench_is_never_the_product_s(#[case] fault: RigFault) {
    // In two of three the product seems to fail as well.
    let outcomes: [fn() -> Outcome; 3] =
        [|| Err(ProductError("no line came".into()).into()), || took(6), || took(5)];
    for outcome in outcomes {
        let trial = run_with(Some(Model::Rig(fault)), rests, move |clock: Clock| async move {
            clock.sleep(Duration::from_secs(1)).await;
            outcome()
        });
        // A case that finds all well did not need what is unplugged.
        if fault == (RigFault::ConsoleUnplugged {}) && trial.verdict() == Verdict::Pass {
            assert_eq!(outcome(), took(5));
            continue;
        }
        let retries = u32::from(fault.verdict() == Verdict::RigFault);
        assert_eq!((trial.verdict(), trial.retries), (fault.verdict(), retries), "{:?}", trial.reason());
    }
}

/// Nothing is asked of the product then, and who looks at no LEDs does not miss it.
#[test]
fn an_instrument_that_cannot_watch_is_the_rig_s_fault() {
    let unplugged = || Some(Model::Rig(RigFault::AnalyserUnplugged {}));
    let looks = |_: Leds| async { took(5) };
    let failed = run_with_leds(unplugged(), looks);
    assert_eq!((failed.verdict(), failed.retries), (Verdict::RigFault, 1));
    assert!(failed.reason().is_some_and(|reason| reason.contains("plug it in")), "{:?}", failed.reason());
    assert_eq!(failed.rig_time, Duration::ZERO, "the device was not even switched on");
    assert_eq!(run_with_leds(None, looks).verdict(), Verdict::Pass);
    assert_eq!(run_with_leds(unplugged(), || async { took(5) }).verdict(), Verdict::Pass);
}

#[test]
fn a_bench_that_is_well_again_is_tried_to_the_end() {
    let fault = RigFault::Unavailable { attempts: std::num::NonZeroU32::MIN };
    let passes = run_with(Some(Model::Rig(fault)), rests, || async { took(5) });
    assert_eq!((passes.verdict(), passes.retries), (Verdict::Pass, 1));
    let fails = run_with(Some(Model::Rig(fault)), rests, || async { took(6) });
    assert_eq!((fails.verdict(), fails.retries), (Verdict::Fail, 1));
}
