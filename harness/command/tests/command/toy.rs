//! A system of which everything is known: a firmware that says hello.

use std::rc::Rc;
use std::time::Duration;

use embassy_time::Timer;
use embedded_io_async::Write;
use rigor_board::cpu::TaskSpec;
use rigor_board::{Chip, Firmware};
use rigor_core::requirement::Catalogue;
use rigor_rigs::{FaultList, Firmwares};
use rigor_runner::case::Case;
use rigor_runner::need::{Clock, Console};
use rigor_runner::{Findings, Outcome, Suite};

#[derive(Clone, Copy)]
struct Toy {
    mute: bool,
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
    fn defects(&self) -> Vec<&'static str> {
        vec!["mute"]
    }
    fn with_defect(&self, name: &str) -> Option<Rc<dyn Firmware>> {
        (name == "mute").then(|| Rc::new(Toy { mute: true }) as Rc<dyn Firmware>)
    }
    fn start(&self, chip: Chip) {
        let (mute, mut tx) = (self.mute, chip.uart_tx());
        let spec = TaskSpec { name: "hello", priority: 1, stack_bytes: 1024, core: 0 };
        let hello = async move {
            Timer::after_millis(2000).await;
            let _ = tx.write_all(b"booted \x1b[2J\r\n").await;
            if !mute {
                let _ = tx.write_all(b"hello\r\n").await;
            }
        };
        chip.tasks().spawn(spec, Box::pin(hello));
    }
}

const CATALOGUE: &str = r#"
schema = 1
system = "toy"
title = "Toy"

[[requirement]]
id = "T-HELLO-001"
title = "greeting"
clause = "1"
text = "It says hello within 5 s."
class = "must"

[[requirement]]
id = "T-TIDY-001"
title = "tidiness"
clause = "2"
text = "It is tidy."
class = "must"

[[requirement]]
id = "T-NICE-001"
title = "niceness"
clause = "3"
text = "It is nice."
class = "should"

[[requirement]]
id = "T-GLOW-001"
title = "glow"
clause = "4"
text = "It glows."
class = "must"
planned = "needs a rig with a lamp"
"#;

const FAULTS: &str = r#"
schema = 1

[[fault]]
name = "mute"
models = "It has nothing to say."
claimed_by = ["T-HELLO-001"]
firmware = "mute"

[[fault]]
name = "clock-dies"
models = "The controller's firmware hangs."
claimed_by = ["T-HELLO-001"]
rig = { kind = "clock-dies", at_ms = 1500 }
"#;

/// The toy's rig.
pub(crate) const RIG: &str = r#"
schema = 1
name = "virtual-toy"
dut = "toy"
back_end = "virtual"

[power]
[console]
baud = 115200
"#;

async fn greets(mut console: Console) -> Outcome {
    console.expect_text("hello", Duration::from_secs(5)).await?;
    seen("T-HELLO-001")
}

/// Names a file: the long case makes it when it begins, and goes on when somebody has removed it.
pub(crate) const HOLD: &str = "TOY_HOLD";

/// Names a file: the long case makes it when it begins, and waits for an hour of the rig's time.
pub(crate) const WAIT: &str = "TOY_WAIT";

async fn all_day(clock: Clock) -> Outcome {
    if let Some(begun) = std::env::var_os(WAIT) {
        std::fs::write(begun, "").expect("a file of the test's");
        clock.sleep(Duration::from_secs(3_600)).await;
    }
    if let Some(hold) = std::env::var_os(HOLD) {
        std::fs::write(&hold, "").expect("a file of the test's");
        let deadline = std::time::Instant::now() + Duration::from_secs(60);
        while std::fs::exists(&hold).expect("its folder") {
            assert!(std::time::Instant::now() < deadline, "nobody has let go of the case");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    seen("T-NICE-001")
}

fn seen(id: &str) -> Outcome {
    let mut findings = Findings::new();
    findings.observed(id, true, "as it was seen");
    Ok(findings)
}

/// The toy's suite: its cases and its faults.
pub(crate) fn suite() -> Suite {
    let faults = FaultList::parse("faults.toml", FAULTS).expect("a valid list");
    let catalogue = Catalogue::parse(CATALOGUE, "toy.toml").expect("a valid catalogue");
    let mut suite = Suite::new(catalogue).with_faults(faults);
    suite.case("greets", &["T-HELLO-001"], greets);
    suite.case("tidy", &["T-TIDY-001"], || async { seen("T-TIDY-001") });
    suite.add(Case::new("nice_all_day", &["T-NICE-001"], all_day).long());
    suite
}

/// The toy's firmware.
pub(crate) fn firmwares() -> Firmwares {
    Firmwares::new().with("toy", || Rc::new(Toy { mute: false }))
}
