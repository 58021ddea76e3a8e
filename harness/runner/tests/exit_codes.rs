//! Whose fault it is, as a whole run says it: its exit code, its record, and what was tried again.
//!
//! The runs are processes of their own: this binary starts itself with [`TOY`] set and is then the test
//! binary of a toy system, as `hil` is that of the real ones.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use std::{env, fs};

use edge_nal::{TcpAccept, TcpBind};
use embassy_time::Timer;
use embedded_io_async::{Read, Write};
use libtest_mimic::{Arguments, Trial};
use rigor_board::cpu::TaskSpec;
use rigor_board::{Chip, Firmware};
use rigor_core::requirement::Catalogue;
use rigor_core::verdict::RigError;
use rigor_rigs::{FaultList, Firmwares};
use rigor_runner::need::{Clock, Console, Net};
use rigor_runner::{Findings, Outcome, Suite};
use serde_json::Value;

/// Makes this binary the toy's.
const TOY: &str = "RIGOR_TOY";

// ---- the toy ---------------------------------------------------------------------------------

/// Says hello, and answers on port 80 what it is told. The mute one says nothing.
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
        let (mute, mut tx, net) = (self.mute, chip.uart_tx(), chip.net());
        let spec = |name| TaskSpec { name, priority: 1, stack_bytes: 1024, core: 0 };
        let hello = async move {
            Timer::after_millis(2000).await;
            if !mute {
                let _ = tx.write_all(b"hello\r\n").await;
            }
        };
        let echo = async move {
            let Ok(acceptor) = net.bind(([0, 0, 0, 0], 80).into()).await else { return };
            while let Ok((_, mut socket)) = acceptor.accept().await {
                let mut buffer = [0; 64];
                while let Ok(count @ 1..) = socket.read(&mut buffer).await {
                    let _ = socket.write_all(&buffer[..count]).await;
                }
            }
        };
        chip.tasks().spawn(spec("hello"), Box::pin(hello));
        chip.tasks().spawn(spec("echo"), Box::pin(echo));
    }
}

const CATALOGUE: &str = r#"
schema = 1
system = "toy"
title = "Toy"

[[requirement]]
id = "T-HELLO"
title = "greeting"
clause = "1"
text = "It says hello within 5 s."
class = "must"

[[requirement]]
id = "T-ECHO"
title = "echo"
clause = "2"
text = "It repeats what it is told."
class = "must"

[[requirement]]
id = "T-TIDY"
title = "tidiness"
clause = "3"
text = "It is tidy."
class = "must"

[[requirement]]
id = "T-NICE"
title = "niceness"
clause = "4"
text = "It is nice."
class = "should"
"#;

const FAULTS: &str = r#"
schema = 1

[[fault]]
name = "mute"
models = "It has nothing to say."
claimed_by = ["T-HELLO"]
firmware = "mute"

[[fault]]
name = "busy-once"
models = "An instrument needs a second to start."
claimed_by = ["T-HELLO"]
rig = { kind = "unavailable", attempts = 1 }

[[fault]]
name = "busy"
models = "An instrument does not start."
claimed_by = ["T-HELLO"]
rig = { kind = "unavailable", attempts = 100 }

[[fault]]
name = "link-dies"
models = "The access point is switched off while a client talks."
claimed_by = ["T-ECHO"]
rig = { kind = "link-dies", at_ms = 1500 }

[[fault]]
name = "console-unplugged"
models = "Somebody has taken the serial adapter."
claimed_by = ["T-HELLO"]
rig = { kind = "console-unplugged" }

[[fault]]
name = "clock-dies"
models = "The controller's firmware hangs."
claimed_by = ["T-HELLO"]
rig = { kind = "clock-dies", at_ms = 1500 }

[[fault]]
name = "capture-gap"
models = "The analyser's memory is too small."
claimed_by = ["T-HELLO"]
rig = { kind = "capture-gap", at_ms = 1500, length_ms = 10 }

[[fault]]
name = "panics"
models = "The board model is wrong."
claimed_by = ["T-HELLO"]
rig = { kind = "panics", at_ms = 1500 }
"#;

const RIG: &str = r#"
schema = 1
name = "virtual-toy"
dut = "toy"
back_end = "virtual"

[power]
[console]
baud = 115200
[net]
ports = { echo = 80 }
"#;

fn seen(id: &str, holds: bool) -> Outcome {
    let mut findings = Findings::new();
    findings.observed(id, holds, "as it was seen");
    Ok(findings)
}

/// Notes that a case has begun, for the process that looks on. Cases run side by side.
fn note(case: &str) {
    if let Some(path) = env::var_os("TOY_NOTES") {
        let notes = fs::OpenOptions::new().create(true).append(true).open(path);
        let line = format!("{case}\n");
        notes.and_then(|mut notes| notes.write_all(line.as_bytes())).expect("the notes can be kept");
    }
}

async fn hello(mut console: Console) -> Outcome {
    note("hello");
    console.expect_text("hello", Duration::from_secs(5)).await?;
    seen("T-HELLO", true)
}

async fn echo(net: Net, clock: Clock) -> Outcome {
    note("echo");
    clock.sleep(Duration::from_secs(1)).await;
    let mut tcp = net.connect(net.port("echo")?, Duration::from_secs(5)).await?;
    clock.sleep(Duration::from_secs(1)).await;
    tcp.send(b"hello")?;
    let answer = tcp.receive(clock.now() + Duration::from_secs(5)).await;
    seen("T-ECHO", answer.is_some())
}

fn toy() -> Result<Suite, Box<dyn std::error::Error>> {
    let mut suite = Suite::new(Catalogue::parse(CATALOGUE, "toy.toml")?)
        .with_faults(FaultList::parse("faults.toml", FAULTS)?);
    suite.case("hello", &["T-HELLO"], hello).case("echo", &["T-ECHO"], echo);
    // How the others go does not depend on the rig.
    suite.case("tidy", &["T-TIDY"], || async { seen("T-TIDY", true) });
    suite.case("polite", &["T-NICE"], || async { seen("T-NICE", true) });
    if env::var_os("TOY_TROUBLE").is_some() {
        suite.case("product_fails", &["T-TIDY"], || async {
            note("product_fails");
            seen("T-TIDY", false)
        });
        suite.case("nice_fails", &["T-NICE"], || async {
            note("nice_fails");
            seen("T-NICE", false)
        });
        suite.case("rig_fails", &["T-NICE"], || async {
            note("rig_fails");
            Err(RigError("the cable is out".into()).into())
        });
        static ATTEMPTS: AtomicU32 = AtomicU32::new(0);
        suite.case("rig_recovers", &["T-NICE"], || async {
            note("rig_recovers");
            if ATTEMPTS.fetch_add(1, Ordering::Relaxed) == 0 {
                return Err(RigError("the cable was loose".into()).into());
            }
            seen("T-NICE", true)
        });
        suite.case("harness_panics", &["T-NICE"], || async {
            note("harness_panics");
            if true {
                panic!("the case is broken");
            }
            seen("T-NICE", true)
        });
        suite.case("nobody_can_tell", &["T-TIDY"], || async {
            note("nobody_can_tell");
            Err(rigor_core::verdict::Inconclusive("too noisy".into()).into())
        });
    }
    Ok(suite)
}

// ---- the runs --------------------------------------------------------------------------------

/// What a run left behind.
struct Run {
    code: i32,
    result: Value,
    notes: Vec<String>,
    text: String,
}

impl Run {
    fn case(&self, name: &str) -> &Value {
        let cases = self.result["cases"].as_array().expect("a list");
        cases.iter().find(|case| case["name"] == name).unwrap_or_else(|| panic!("no case {name}"))
    }

    fn verdict(&self, name: &str) -> &str {
        self.case(name)["verdict"].as_str().expect("a text")
    }

    fn reason(&self, name: &str) -> &str {
        self.case(name)["reason"].as_str().unwrap_or_default()
    }

    fn retries(&self, name: &str) -> u64 {
        self.case(name)["retries"].as_u64().expect("a number")
    }

    /// How often the case has begun.
    fn begun(&self, name: &str) -> usize {
        self.notes.iter().filter(|note| *note == name).count()
    }
}

/// A run of the toy with this fault in the rig, if any, and these arguments.
fn run(name: &str, fault: Option<&str>, arguments: &[&str]) -> Run {
    run_on(name, RIG, fault, false, arguments)
}

/// The same with cases that go wrong by themselves.
fn run_trouble(name: &str, only: &[&str]) -> Run {
    let all = [
        "hello",
        "echo",
        "tidy",
        "polite",
        "product_fails",
        "nice_fails",
        "rig_fails",
        "rig_recovers",
        "harness_panics",
        "nobody_can_tell",
    ];
    // libtest has one filter, but can leave out any number.
    let skipped: Vec<String> = all
        .iter()
        .filter(|case| !only.contains(case))
        .flat_map(|case| ["--skip".into(), format!("::{case}")])
        .collect();
    let arguments: Vec<&str> = skipped.iter().map(String::as_str).collect();
    run_on(name, RIG, None, true, &arguments)
}

fn run_on(name: &str, rig: &str, fault: Option<&str>, trouble: bool, arguments: &[&str]) -> Run {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("exit-codes").join(name);
    // What an earlier run of these tests has left.
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("a folder for the run");
    let (rig_file, notes, out) = (folder.join("toy.toml"), folder.join("notes"), folder.join("out"));
    fs::write(&rig_file, rig).expect("the rig file can be written");
    let mut command = Command::new(env::current_exe().expect("this binary has a path"));
    for (variable, _) in env::vars_os() {
        if variable.to_string_lossy().starts_with("RIGOR_") || variable == "NEXTEST" {
            command.env_remove(variable);
        }
    }
    command.args(arguments).env(TOY, "1").env("TOY_NOTES", &notes);
    command.env("RIGOR_RIG", &rig_file).env("RIGOR_OUT", &out);
    if let Some(fault) = fault {
        command.env("RIGOR_FAULT", fault);
    }
    if trouble {
        command.env("TOY_TROUBLE", "1");
    }
    let output = command.output().expect("this binary starts");
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    let code = output.status.code().unwrap_or_else(|| panic!("the run has an exit code:\n{text}"));
    let notes = fs::read_to_string(notes).unwrap_or_default().lines().map(str::to_owned).collect();
    Run { code, result: result_in(&out), notes, text }
}

/// The record of the only run in `out`.
fn result_in(out: &Path) -> Value {
    let path = out.join("latest").join("results.json");
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).expect("the record is JSON")
}

#[track_caller]
fn check(run: &Run, code: i32, verdicts: &[(&str, &str)]) {
    let found: Vec<(&str, &str)> = verdicts.iter().map(|&(name, _)| (name, run.verdict(name))).collect();
    assert_eq!((run.code, &found[..]), (code, verdicts), "{}", run.text);
    assert_eq!(run.result["exit_code"], code, "the record says so too");
}

// ---- what has to come of it ------------------------------------------------------------------

fn a_healthy_rig_is_green() {
    let run = run("healthy", None, &[]);
    check(&run, 0, &[("hello", "pass"), ("echo", "pass"), ("tidy", "pass"), ("polite", "pass")]);
    assert_eq!(run.retries("hello"), 0);
    assert_eq!(run.result["rigs"][0]["name"], "virtual-toy");
}

fn a_defect_of_the_product_is_1_and_is_tried_once() {
    let run = run("mute", Some("mute"), &[]);
    check(&run, 1, &[("hello", "fail"), ("echo", "pass")]);
    assert_eq!((run.begun("hello"), run.retries("hello")), (1, 0));
    // Nobody can take the record for that of a rig that is well.
    assert_eq!(run.result["rigs"][0]["name"], "virtual-toy+mute");
    let repeat = run.case("hello")["repeat"].as_str().expect("a command");
    assert!(repeat.contains("RIGOR_FAULT='mute'"), "{repeat}");
}

fn a_link_that_dies_is_the_rig_s_and_2() {
    let run = run("link-dies", Some("link-dies"), &[]);
    check(&run, 2, &[("echo", "rig-fault"), ("hello", "pass")]);
    assert!(run.reason("echo").contains("network adapter"), "{}", run.reason("echo"));
    assert_eq!((run.begun("echo"), run.retries("echo")), (2, 1));
}

fn an_unplugged_console_does_not_read_as_a_silent_firmware() {
    let run = run("console-unplugged", Some("console-unplugged"), &[]);
    check(&run, 2, &[("hello", "rig-fault"), ("echo", "pass")]);
    assert!(run.reason("hello").contains("serial adapter"), "{}", run.reason("hello"));
    assert_eq!(run.begun("hello"), 2);
}

fn a_clock_that_stops_is_the_rig_s_and_2() {
    let run = run("clock-dies", Some("clock-dies"), &[]);
    check(&run, 2, &[("hello", "rig-fault"), ("echo", "rig-fault"), ("tidy", "pass")]);
}

fn a_gap_in_the_capture_leaves_it_open_and_2() {
    let run = run("capture-gap", Some("capture-gap"), &[]);
    check(&run, 2, &[("hello", "inconclusive"), ("echo", "inconclusive"), ("tidy", "pass")]);
    assert!(run.reason("hello").contains("lost 10ms"), "{}", run.reason("hello"));
    assert_eq!((run.begun("hello"), run.retries("hello")), (1, 0), "only rig faults are tried again");
}

fn a_panic_of_the_harness_is_its_own_and_3() {
    let run = run("panics", Some("panics"), &[]);
    check(&run, 3, &[("hello", "harness-bug"), ("tidy", "pass")]);
    assert!(run.reason("hello").contains("the harness panicked"), "{}", run.reason("hello"));
    assert_eq!((run.begun("hello"), run.retries("hello")), (1, 0));
}

fn a_rig_that_recovers_passes_and_says_so() {
    let run = run("busy-once", Some("busy-once"), &[]);
    check(&run, 0, &[("hello", "pass"), ("echo", "pass")]);
    assert_eq!((run.begun("hello"), run.retries("hello")), (1, 1), "the first attempt had no rig");
    let run = run_trouble("recovers", &["rig_recovers"]);
    check(&run, 0, &[("rig_recovers", "pass")]);
    assert_eq!((run.begun("rig_recovers"), run.retries("rig_recovers")), (2, 1));
    assert!(run.text.contains("(1 retry)"), "the table says so too:\n{}", run.text);
}

fn a_rig_that_does_not_recover_is_2() {
    let run = run("busy", Some("busy"), &[]);
    check(&run, 2, &[("hello", "rig-fault"), ("tidy", "rig-fault")]);
    assert_eq!((run.begun("hello"), run.retries("hello")), (0, 1));
}

fn the_product_is_louder_than_the_harness_and_the_harness_than_the_rig() {
    let everything = ["product_fails", "harness_panics", "rig_fails", "nobody_can_tell", "tidy"];
    let all = run_trouble("all-trouble", &everything);
    check(
        &all,
        1,
        &[("product_fails", "fail"), ("harness_panics", "harness-bug"), ("rig_fails", "rig-fault")],
    );
    assert_eq!((all.begun("product_fails"), all.begun("rig_fails")), (1, 2));
    assert_eq!((all.begun("harness_panics"), all.begun("nobody_can_tell")), (1, 1));
    check(&run_trouble("no-failure", &["harness_panics", "rig_fails", "nobody_can_tell"]), 3, &[]);
    check(&run_trouble("no-panic", &["rig_fails", "nobody_can_tell", "hello"]), 2, &[]);
    check(&run_trouble("only-open", &["nobody_can_tell", "hello"]), 2, &[]);
    check(&run_trouble("only-nice", &["nice_fails", "hello"]), 0, &[("nice_fails", "fail")]);
    check(&run_trouble("nice-rig", &["rig_fails", "hello"]), 2, &[]);
}

fn nothing_that_ran_no_case_is_green() {
    check(&run("no-match", None, &["no_case_is_called_so"]), 2, &[("hello", "not-run")]);
    check(&run("all-skipped", None, &["--skip", "::"]), 2, &[]);
    check(&run("ignored", None, &["--ignored"]), 2, &[]);
}

fn a_table_that_is_missing_is_a_hole_and_2() {
    let rig = RIG.replace("[net]\nports = { echo = 80 }\n", "");
    let run = run_on("no-net", &rig, None, false, &[]);
    check(&run, 2, &[("echo", "not-run"), ("hello", "pass")]);
    assert!(run.reason("echo").contains("[net]"), "{}", run.reason("echo"));
}

fn an_unknown_fault_is_refused_with_the_remedy() {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let output = Command::new(env::current_exe().expect("this binary has a path"))
        .env(TOY, "1")
        .env("RIGOR_RIG", toy_rig(&folder))
        .env("RIGOR_OUT", folder.join("exit-codes/unknown"))
        .env("RIGOR_FAULT", "gremlins")
        .output()
        .expect("this binary starts");
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{text}");
    assert!(text.contains("no suite has a fault `gremlins`"), "{text}");
}

/// A limit on the size of files stands for a disk that is full: writes fail half-way.
fn on_a_full_disk(name: &str, trouble: bool) -> (Option<i32>, String, PathBuf) {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("exit-codes");
    let out = folder.join(name);
    let _ = fs::remove_dir_all(&out);
    fs::create_dir_all(&folder).expect("a folder for the run");
    let limited = "trap '' XFSZ; ulimit -f 0; exec \"$0\"";
    let mut command = Command::new("sh");
    command.args(["-c", limited]).arg(env::current_exe().expect("this binary has a path"));
    command.env(TOY, "1").env("RIGOR_RIG", toy_rig(&folder)).env("RIGOR_OUT", &out);
    if trouble {
        command.env("TOY_TROUBLE", "1");
    }
    let output = command.output().expect("a shell starts");
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.code(), text, out)
}

fn a_full_disk_leaves_the_verdict_and_says_what_is_missing() {
    let (code, text, out) = on_a_full_disk("full", false);
    assert_eq!(code, Some(3), "{text}");
    assert!(text.contains("exit code 0"), "the verdict is printed: {text}");
    assert!(text.contains("the results could not be kept") && text.contains("results.json"), "{text}");
    assert!(!out.join("latest").exists(), "nothing points to half a record");
    let left: Vec<_> = fs::read_dir(&out)
        .expect("the folder of runs")
        .flat_map(|run| fs::read_dir(run.expect("a run").path()).expect("its folder"))
        .map(|entry| entry.expect("an entry").file_name())
        .collect();
    assert!(left.is_empty(), "something half-written is left: {left:?}");
    // What the product failed stays louder than what could not be kept.
    let (code, text, _) = on_a_full_disk("full-and-trouble", true);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("evidence could not be kept: "), "{text}");
    assert!(text.contains("exit code 1"), "{text}");
}

fn toy_rig(folder: &Path) -> PathBuf {
    let path = folder.join("exit-codes-toy.toml");
    fs::write(&path, RIG).expect("the rig file can be written");
    path
}

fn main() -> ExitCode {
    if env::var_os(TOY).is_some() {
        let suite = toy().expect("the toy's data are valid");
        return rigor_runner::cli::main(
            Ok(vec![suite]),
            Firmwares::new().with("toy", || Rc::new(Toy { mute: false })),
        );
    }
    let tests: [(&str, fn()); 14] = [
        (
            "a_full_disk_leaves_the_verdict_and_says_what_is_missing",
            a_full_disk_leaves_the_verdict_and_says_what_is_missing,
        ),
        ("a_healthy_rig_is_green", a_healthy_rig_is_green),
        ("a_defect_of_the_product_is_1_and_is_tried_once", a_defect_of_the_product_is_1_and_is_tried_once),
        ("a_link_that_dies_is_the_rig_s_and_2", a_link_that_dies_is_the_rig_s_and_2),
        (
            "an_unplugged_console_does_not_read_as_a_silent_firmware",
            an_unplugged_console_does_not_read_as_a_silent_firmware,
        ),
        ("a_clock_that_stops_is_the_rig_s_and_2", a_clock_that_stops_is_the_rig_s_and_2),
        ("a_gap_in_the_capture_leaves_it_open_and_2", a_gap_in_the_capture_leaves_it_open_and_2),
        ("a_panic_of_the_harness_is_its_own_and_3", a_panic_of_the_harness_is_its_own_and_3),
        ("a_rig_that_recovers_passes_and_says_so", a_rig_that_recovers_passes_and_says_so),
        ("a_rig_that_does_not_recover_is_2", a_rig_that_does_not_recover_is_2),
        (
            "the_product_is_louder_than_the_harness_and_the_harness_than_the_rig",
            the_product_is_louder_than_the_harness_and_the_harness_than_the_rig,
        ),
        ("nothing_that_ran_no_case_is_green", nothing_that_ran_no_case_is_green),
        ("a_table_that_is_missing_is_a_hole_and_2", a_table_that_is_missing_is_a_hole_and_2),
        ("an_unknown_fault_is_refused_with_the_remedy", an_unknown_fault_is_refused_with_the_remedy),
    ];
    let trials = tests.map(|(name, test)| {
        Trial::test(name, move || {
            test();
            Ok(())
        })
    });
    libtest_mimic::run(&Arguments::from_args(), trials.into()).exit_code()
}
