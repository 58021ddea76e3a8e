//! What the command says and does, as a process: its exit codes, its records, its answers to misspelt
//! names, hostile input and readers that go away.
//!
//! This binary starts itself with [`TOY`] set and is then the `rigor` of a toy system.

mod boards;
mod captures;
mod toy;

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};

use libtest_mimic::{Arguments, Trial};
use serde_json::Value;

use boards::{
    a_bench_is_flashed_by_its_own_wires, a_bench_is_listened_to_by_one_at_a_time,
    a_bench_that_nothing_helps_is_left_alone_until_somebody_has_looked,
    a_bench_that_runs_is_listened_to_without_a_reset,
    a_bench_that_was_unplugged_is_used_again_once_it_is_plugged_in,
    a_build_without_probes_or_loader_says_which_one_has_them,
    a_console_is_followed_when_it_vanishes_until_ctrl_c,
    a_console_that_cannot_be_had_is_2_and_one_can_be_heard_for_a_while,
    a_crash_on_a_board_is_told_by_the_lines_of_its_source, a_hub_switches_a_board_whose_port_goes_with_it,
    a_run_on_a_bench_says_how_far_its_instruments_can_be_trusted, ctrl_c_lets_go_of_a_bench_at_once,
    images_that_do_not_fit_are_refused_before_a_port_is_opened, the_doctor_looks_at_a_bench_part_by_part,
    the_doctor_of_a_rig_that_is_no_bench_or_no_rig_at_all, what_is_plugged_in_is_listed,
};

/// Makes this binary the toy's.
const TOY: &str = "RIGOR_TOY_COMMAND";

/// A workspace of the toy's, removed at the end.
struct Workspace(PathBuf);

impl Workspace {
    fn new(name: &str) -> Self {
        let root = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("command").join(name);
        // What an earlier run of these tests has left.
        let _ = fs::remove_dir_all(&root);
        fs::create_dir_all(root.join("rigs/virtual")).expect("a folder for the workspace");
        fs::write(root.join("Cargo.lock"), "").expect("a file in it");
        fs::write(root.join("rigs/virtual/toy.toml"), toy::RIG).expect("a rig file");
        Workspace(root)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env::current_exe().expect("this binary has a path"));
        for (variable, _) in env::vars_os() {
            if variable.to_string_lossy().starts_with("RIGOR_") || variable == "NO_COLOR" {
                command.env_remove(variable);
            }
        }
        // Leases are the workspace's own.
        command.env("XDG_STATE_HOME", self.0.join("state"));
        command.env(TOY, "1").current_dir(&self.0).args(arguments).stdin(Stdio::null());
        command
    }

    fn rigor(&self, arguments: &[&str]) -> Said {
        let output = self.command(arguments).output().expect("this binary starts");
        Said {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).expect("UTF-8"),
            err: String::from_utf8(output.stderr).expect("UTF-8"),
        }
    }

    /// The newest record.
    fn record(&self) -> Value {
        let path = self.0.join("target/rigor/latest/results.json");
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        serde_json::from_str(&text).expect("the record is JSON")
    }
}

impl Drop for Workspace {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// How a process ended and what it said.
struct Said {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Said {
    #[track_caller]
    fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "\n{}{}", self.out, self.err);
        assert!(!self.err.contains("panicked"), "{}", self.err);
        for text in [&self.out, &self.err] {
            let control = text.chars().find(|c| c.is_control() && *c != '\n' && *c != '\t');
            assert_eq!(control, None, "no terminal, so no colours and nothing of the device's:\n{text}");
        }
        self
    }

    #[track_caller]
    fn out_has(self, texts: &[&str]) -> Self {
        for text in texts {
            assert!(self.out.contains(text), "`{text}` is missing:\n{}", self.out);
        }
        self
    }

    #[track_caller]
    fn err_has(self, text: &str) -> Self {
        assert!(self.err.contains(text), "`{text}` is missing:\n{}", self.err);
        self
    }

    #[track_caller]
    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}:\n{}", self.out))
    }
}

fn verdict<'a>(record: &'a Value, case: &str) -> &'a str {
    let cases = record["cases"].as_array().expect("a list");
    let case = cases.iter().find(|found| found["name"] == case).unwrap_or_else(|| panic!("no case {case}"));
    case["verdict"].as_str().expect("a text")
}

// ---- run -------------------------------------------------------------------------------------

fn a_run_says_what_became_of_each_case_and_leaves_the_record() {
    let toy = Workspace::new("green");
    let said = toy.rigor(&["run", "--jobs", "1"]).expect(0).out_has(&[
        "PASS          toy::T-HELLO-001::greets  ",
        "exit code 0: every `must` that was decided holds",
        "results: ",
    ]);
    assert!(said.out.find("nice_all_day") < said.out.find("greets"), "the long one begins first");
    let record = toy.record();
    assert_eq!(record["exit_code"], 0);
    assert_eq!(record["run"]["args"], serde_json::json!(["run", "--jobs", "1"]));
    assert_eq!(verdict(&record, "greets"), "pass");
    // Few requirements: the whole table is shown.
    assert!(said.out.contains("T-TIDY-001   tidiness"), "{}", said.out);
}

fn a_failure_is_shown_with_reason_and_log_and_is_1() {
    let toy = Workspace::new("red");
    toy.rigor(&["run", "--fault", "mute", "--quiet"]).expect(1).out_has(&[
        "FAIL          toy::T-HELLO-001::greets",
        "    FAIL T-HELLO-001: ",
        "    | 2.051130 s booted",
        "exit code 1: the product fails a `must`",
    ]);
    let record = toy.record();
    assert_eq!(record["rigs"][0]["name"], "virtual-toy+mute");
    assert_eq!(verdict(&record, "tidy"), "pass");
}

fn a_rig_that_fails_is_2() {
    Workspace::new("rig").rigor(&["run", "--fault=clock-dies"]).expect(2).out_has(&["RIG FAULT"]);
}

fn options_choose_and_win_over_variables() {
    let toy = Workspace::new("options");
    let variables = |arguments: &[&str]| {
        let mut command = toy.command(arguments);
        command.env("RIGOR_SEED", "5").env("RIGOR_OUT", "elsewhere").env("RIGOR_FAULT", "mute");
        command.stdout(Stdio::null()).status().expect("it starts").code()
    };
    assert_eq!(variables(&["run", "-q"]), Some(1));
    assert!(toy.0.join("elsewhere/latest/results.json").is_file());
    let out =
        ["run", "-q", "--seed", "7", "--out", "target/rigor", "--fault", "clock-dies", "--case", "tidy"];
    assert_eq!(variables(&out), Some(0));
    let record = toy.record();
    assert_eq!(record["run"]["seed"], 7);
    assert_eq!(record["rigs"][0]["name"], "virtual-toy+clock-dies");
    assert_eq!((verdict(&record, "tidy"), verdict(&record, "greets")), ("pass", "not-run"));
}

fn filters_narrow_and_short_says_so_itself() {
    let toy = Workspace::new("filters");
    let ran = |arguments: &[&str]| {
        toy.rigor(arguments).expect(0);
        let record = toy.record();
        let cases = record["cases"].as_array().expect("a list").clone();
        let ran = cases.iter().filter(|case| case["verdict"] != "not-run");
        ran.map(|case| case["name"].as_str().expect("a name").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(ran(&["run", "tidy", "T-HELLO"]), ["greets", "tidy"]);
    assert_eq!(ran(&["run", "--requirement", "T-HELLO"]), ["greets"]);
    assert_eq!(ran(&["run", "--requirement", "T-NICE-001", "--system", "toy"]), ["nice_all_day"]);
    assert_eq!(ran(&["run", "--rig", "virtual-toy", "--short"]), ["greets", "tidy"]);
    let record = toy.record();
    let cases = record["cases"].as_array().expect("a list");
    let long = cases.iter().find(|case| case["name"] == "nice_all_day").expect("it is listed");
    assert_eq!(long["reason"], "it takes long, and `--short` leaves such cases out");
    toy.rigor(&["run", "--short", "--case", "nice_all_day"]).expect(3).err_has("no case has all");
}

fn a_misspelt_name_is_answered_with_the_nearest() {
    let toy = Workspace::new("misspelt");
    for (arguments, answer) in [
        (vec!["run", "--system", "toys"], "no system is called `toys`; did you mean `toy`?"),
        (vec!["run", "--case", "greet"], "no case is called `greet`; did you mean `greets`?"),
        (vec!["run", "--requirement", "T-HELO-001"], "did you mean `T-HELLO-001`?"),
        (
            vec!["run", "--requirement", "T-GLOW"],
            "no case can decide T-GLOW-001 here: needs a rig with a lamp",
        ),
        (vec!["run", "t-hello-001"], "no case has `t-hello-001` in its name; did you mean `T-HELLO-001`?"),
        (vec!["run", "quux"], "`rigor list cases` shows those that there are"),
        (vec!["run", "--fault", "muet"], "--fault: no suite has a fault `muet`; did you mean `mute`?"),
        (vec!["run", "--rig", "virtual-toi"], "no rig is called `virtual-toi`; did you mean `virtual-toy`?"),
        (vec!["faults", "--fault", "muet"], "did you mean `mute`?"),
        (vec!["faults", "--system", "tyo"], "did you mean `toy`?"),
        (vec!["list", "requirements", "T-TIDI-001"], "did you mean `T-TIDY-001`?"),
        (vec!["list", "case"], "'cases'"),
        (vec!["lst"], "'list'"),
    ] {
        toy.rigor(&arguments).expect(3).err_has(answer);
    }
    assert!(!toy.0.join("target").exists(), "nothing ran, so nothing is left");
}

/// Starts a run of one case after the other, and comes back when the first one has begun and waits for its file to go.
fn held(toy: &Workspace) -> (std::process::Child, PathBuf) {
    let hold = toy.0.join("hold");
    let mut command = toy.command(&["run", "--jobs", "1"]);
    let child = command.env(toy::HOLD, &hold).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = child.expect("this binary starts");
    while !hold.exists() {
        assert_eq!(child.try_wait().expect("a child"), None, "it ended before its first case");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    (child, hold)
}

fn interrupt(child: &std::process::Child) {
    let id = rustix::process::Pid::from_child(child);
    rustix::process::kill_process(id, rustix::process::Signal::INT).expect("it runs");
}

fn ctrl_c_ends_a_run_after_the_case_that_runs_and_keeps_the_record() {
    let toy = Workspace::new("interrupted");
    let (mut child, hold) = held(&toy);
    interrupt(&child);
    let mut told = String::new();
    let mut err = std::io::BufReader::new(child.stderr.take().expect("piped"));
    std::io::BufRead::read_line(&mut err, &mut told).expect("it says something");
    assert!(told.starts_with("interrupted: no further case begins"), "{told}");
    fs::remove_file(&hold).expect("the case's file");
    assert_eq!(child.wait().expect("it ends").code(), Some(2), "it is not decided");
    let record = toy.record();
    let verdicts = ["nice_all_day", "greets", "tidy"].map(|case| verdict(&record, case));
    assert_eq!(verdicts, ["pass", "not-run", "not-run"]);
    let cases = record["cases"].as_array().expect("a list");
    let greets = cases.iter().find(|case| case["name"] == "greets").expect("it is listed");
    assert_eq!(greets["not_run"], "interrupted");
    assert_eq!(greets["reason"], "the run was interrupted before its turn");
}

fn a_second_ctrl_c_ends_a_run_at_once() {
    let toy = Workspace::new("interrupted-twice");
    let (mut child, _hold) = held(&toy);
    interrupt(&child);
    let mut err = std::io::BufReader::new(child.stderr.take().expect("piped"));
    std::io::BufRead::read_line(&mut err, &mut String::new()).expect("it says something");
    interrupt(&child);
    let ended = child.wait().expect("it ends");
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&ended), Some(2), "by the signal itself");
    assert!(!toy.0.join("target/rigor/latest").exists(), "no record of half a run");
}

// ---- list ------------------------------------------------------------------------------------

fn what_there_is_is_listed_for_people_and_for_programs() {
    let toy = Workspace::new("list");
    toy.rigor(&["list", "systems"])
        .expect(0)
        .out_has(&["toy  4 requirements (1 planned)  3 cases  2 faults"]);
    toy.rigor(&["list", "requirements"]).expect(0).out_has(&["T-GLOW-001   planned  glow", "It is tidy."]);
    toy.rigor(&["list", "cases"]).expect(0).out_has(&["toy::T-NICE-001::nice_all_day  long"]);
    toy.rigor(&["list", "faults"]).expect(0).out_has(&["mute        firmware  It has nothing to say."]);
    toy.rigor(&["list", "rigs"]).expect(0).out_has(&["virtual-toy  toy  virtual  rigs/virtual/toy.toml"]);
    let json = |what| toy.rigor(&["list", what, "--json"]).expect(0).json();
    assert_eq!(json("systems")[0]["requirements"], 4);
    assert_eq!(json("requirements")[0]["cases"], serde_json::json!(["greets"]));
    assert_eq!(json("cases")[2]["long"], true);
    assert_eq!(json("faults")[0]["claimed_by"], serde_json::json!(["T-HELLO-001"]));
    assert_eq!(json("rigs")[0]["parts"], serde_json::json!(["power", "console"]));
    let some = toy.rigor(&["list", "requirements", "tidy", "--json"]).expect(0).json();
    assert_eq!(some.as_array().map(Vec::len), Some(1));
}

fn a_broken_rig_file_is_named_and_the_others_are_listed() {
    let toy = Workspace::new("broken-rig");
    fs::write(toy.0.join("rigs/virtual/broken.toml"), "schema = 1\nname = \"\u{1b}[2J\"").expect("a file");
    fs::write(toy.0.join("rigs/virtual/binary.toml"), [0xff; 100]).expect("a file");
    let said = toy.rigor(&["list", "rigs"]).expect(3).out_has(&["virtual-toy"]);
    assert!(said.err.contains("broken.toml:") && said.err.contains("binary.toml: "), "{}", said.err);
}

fn rigs_with_runners_become_a_matrix_and_none_is_never_green() {
    let toy = Workspace::new("matrix");
    let matrix = ["list", "rigs", "--github-matrix"];
    let said = toy.rigor(&matrix).expect(2);
    assert_eq!(said.out, "", "nothing that a workflow could take for jobs");
    said.err_has("no rig file names `labels`");
    let bench = |file: &str, name: &str, labels: &str| {
        let text = format!(
            "schema = 1\nname = \"{name}\"\ndut = \"toy\"\nback_end = \"bench\"\n[bench]\nchip = \"esp32c3\"\n{labels}"
        );
        fs::write(toy.0.join("rigs/virtual").join(file), text).expect("a rig file");
    };
    bench("b.toml", "desk-b", "labels = [\"self-hosted\", \"b\"]");
    bench("a.toml", "desk-a", "labels = [\"self-hosted\", \"a\"]");
    bench("people.toml", "desk-of-people", "");
    let said = toy.rigor(&matrix).expect(0);
    assert_eq!(said.out.lines().count(), 1, "an output of a step is a line: {}", said.out);
    let job = |name: &str| {
        serde_json::json!({
            "rig": format!("desk-{name}"), "dut": "toy", "path": format!("rigs/virtual/{name}.toml"),
            "labels": ["self-hosted", name],
        })
    };
    assert_eq!(said.json(), serde_json::json!({"include": [job("a"), job("b")]}));
    bench("people.toml", "desk-a", "labels = [\"c\"]");
    let twice = "rigs/virtual/a.toml and rigs/virtual/people.toml are both called `desk-a`";
    toy.rigor(&matrix).expect(3).err_has(twice);
    bench("people.toml", "desk-c", "labels = [\"c c\"]");
    let said = toy.rigor(&matrix).expect(3).err_has("people.toml:7");
    assert_eq!(said.out, "", "a bench must not be left out by mistake");
    toy.rigor(&["list", "cases", "--github-matrix"])
        .expect(3)
        .err_has("write `rigor list rigs --github-matrix`");
}

// ---- rig new ---------------------------------------------------------------------------------

fn a_rig_file_is_written_from_flags_and_never_over_another() {
    let toy = Workspace::new("rig-new");
    // No terminal, so nobody to ask.
    let said = toy.rigor(&["rig", "new"]).expect(3).err_has("--chip, --board, --controller");
    assert!(!toy.0.join("rigs/bench").exists(), "{}", said.err);
    let new =
        ["rig", "new", "--chip", "esp32c3", "--board", "/dev/ttyUSB0", "--controller", "E6616407E3432B29"];
    let said = toy
        .rigor(&new)
        .expect(0)
        .out_has(&["rigs/bench/desk-toy.toml is written", "rigor doctor --rig rigs/bench/desk-toy.toml\n"]);
    let text = fs::read_to_string(toy.0.join("rigs/bench/desk-toy.toml")).expect("a rig file");
    assert!(text.contains("usb_serial = \"E6616407E3432B29\""), "{text}{}", said.out);
    let listed = toy.rigor(&["list", "rigs", "--json"]).expect(0).json();
    let parts = serde_json::json!(["reset", "console", "flash"]);
    assert!(
        listed
            .as_array()
            .expect("a list")
            .iter()
            .any(|rig| rig["name"] == "desk-toy" && rig["parts"] == parts),
        "{listed}"
    );
    fs::write(toy.0.join("rigs/bench/desk-toy.toml"), "mine").expect("a file");
    toy.rigor(&new).expect(3).err_has("never overwritten");
    let files: Vec<_> = fs::read_dir(toy.0.join("rigs/bench")).expect("a folder").collect();
    assert_eq!(files.len(), 1, "nothing half-written: {files:?}");
    assert_eq!(fs::read_to_string(toy.0.join("rigs/bench/desk-toy.toml")).expect("a file"), "mine");
    fs::remove_file(toy.0.join("rigs/bench/desk-toy.toml")).expect("a file");
    for (flags, answer) in [
        (["--dut", "toi"], "did you mean `toy`?"),
        (["--name", "my desk"], "these answers make no rig file"),
        (["--power", "magic"], "invalid value 'magic'"),
        (["--address", "192.168.4.1"], "no rig file of `toy` has a [net]"),
        (["--label", "a b"], "these answers make no rig file"),
        (["--label", "a\u{1b}[2J"], "these answers make no rig file"),
    ] {
        toy.rigor(&[&new[..], &flags[..]].concat()).expect(3).err_has(answer);
    }
    assert_eq!(fs::read_dir(toy.0.join("rigs/bench")).expect("a folder").count(), 0);
}

// ---- replay ----------------------------------------------------------------------------------

fn a_recorded_run_is_judged_again() {
    let toy = Workspace::new("replay");
    toy.rigor(&["replay"]).expect(3).err_has("there are no recordings in");
    toy.rigor(&["run", "--record", "--case", "greets"]).expect(0).out_has(&["recordings: "]);
    let run = fs::canonicalize(toy.0.join("target/rigor/recorded")).expect("there is a recorded run");
    let recording = run.join("recordings/virtual-toy/greets.rec");
    let paths = [run.join("recordings/virtual-toy"), run.join("recordings"), run.clone(), recording.clone()];
    for path in paths {
        let said = toy.rigor(&["replay", &path.display().to_string()]).expect(0);
        let record = toy.record();
        assert_eq!(record["rigs"][0]["name"], "replay-virtual-toy", "{}", said.out);
        assert_eq!((verdict(&record, "greets"), verdict(&record, "tidy")), ("pass", "not-run"));
    }
    toy.rigor(&["replay"]).expect(0).out_has(&["toy::T-HELLO-001::greets"]);
    let record = toy.record();
    let repeat = record["cases"].as_array().and_then(|cases| cases[0]["repeat"].as_str()).expect("a command");
    assert_eq!(repeat, "rigor replay 'target/rigor/recorded' --case greets");
    // Half a recording: what is there is judged, and nobody is blamed for the rest.
    let bytes = fs::read(&recording).expect("a recording");
    fs::write(&recording, &bytes[..bytes.len() - 40]).expect("a shorter one");
    toy.rigor(&["replay"]).expect(2);
    fs::write(&recording, b"no recording at all").expect("another file");
    toy.rigor(&["replay"]).expect(3).err_has("greets.rec: ");
}

// ---- report, compare, trend ------------------------------------------------------------------

fn a_run_is_told_again_from_its_results_alone() {
    let toy = Workspace::new("report");
    toy.rigor(&["report"]).expect(3).err_has("results.json");
    toy.rigor(&["run", "-q", "--fault", "mute"]).expect(1);
    let run = fs::canonicalize(toy.0.join("target/rigor/latest")).expect("there is a run");
    let moved = toy.0.join("elsewhere.json");
    fs::copy(run.join("results.json"), &moved).expect("a copy");
    toy.rigor(&["report"]).expect(0).out_has(&["latest/report.html"]);
    let page = fs::read_to_string(run.join("report.html")).expect("a page");
    assert!(page.to_lowercase().starts_with("<!doctype html>") && page.contains("T-HELLO-001"));
    toy.rigor(&["faults", "--fault", "mute"]).expect(0);
    let matrix = newest_file(&toy.0.join("target/rigor"), "faults.json");
    let to = ["report", "elsewhere.json", "--faults", &matrix, "-o", "with-matrix.html"];
    toy.rigor(&to).expect(0).out_has(&["with-matrix.html"]);
    let with_matrix = fs::read_to_string(toy.0.join("with-matrix.html")).expect("a page");
    assert!(with_matrix.contains("mute"), "the matrix is part of it");
    let format = |name| toy.rigor(&["report", "elsewhere.json", "--format", name]).expect(0);
    format("summary").out_has(&["T-HELLO-001"]);
    format("junit").out_has(&["<testsuites", "greets"]);
    format("annotations").out_has(&["::error "]);
    format("table").out_has(&["exit code 1: the product fails a `must`"]);
    for arguments in [
        vec!["report", "elsewhere.json", "--format", "table", "--faults", &matrix],
        vec!["report", "Cargo.lock"],
        vec!["report", "/dev/zero"],
        vec!["report", "elsewhere.json", "--faults", "elsewhere.json"],
        vec!["report", "elsewhere.json", "--faults", "/dev/zero"],
        vec!["report", "elsewhere.json", "-o", "no/such/folder/report.html"],
        vec!["report", "elsewhere.json", "--format", "htm"],
    ] {
        toy.rigor(&arguments).expect(3);
    }
}

fn runs_are_compared_and_make_a_history() {
    let toy = Workspace::new("compare");
    toy.rigor(&["trend"]).expect(3).err_has("cannot list");
    toy.rigor(&["run", "-q"]).expect(0);
    let good =
        fs::canonicalize(toy.0.join("target/rigor/latest")).expect("there is a run").display().to_string();
    toy.rigor(&["run", "-q", "--fault", "mute"]).expect(1);
    let bad = "target/rigor/latest";
    toy.rigor(&["compare", &good, &good]).expect(0).out_has(&["0 worse"]);
    toy.rigor(&["compare", &good, bad]).expect(1).out_has(&["T-HELLO-001", "PASS -> FAIL"]);
    toy.rigor(&["compare", bad, &good, "-o", "page.html"]).expect(0).out_has(&["1 better", "page.html"]);
    assert!(toy.0.join("page.html").is_file());
    toy.rigor(&["compare", &good, "Cargo.lock"]).expect(3);
    toy.rigor(&["trend"]).expect(0).out_has(&["2 runs from"]);
    toy.rigor(&["trend", "target/rigor", "--output", "trend.html"]).expect(0).out_has(&["trend.html"]);
    assert!(toy.0.join("trend.html").is_file());
    toy.rigor(&["trend", "rigs"]).expect(2);
}

/// The path of the newest file of this name one folder below `folder`.
fn newest_file(folder: &std::path::Path, name: &str) -> String {
    let entries = fs::read_dir(folder).expect("a folder").filter_map(Result::ok);
    let found = entries.map(|entry| entry.path().join(name)).filter(|path| path.is_file()).max();
    found.expect("there is one").display().to_string()
}

// ---- decode ----------------------------------------------------------------------------------

fn led_captures_of_every_format_say_the_same() {
    let toy = Workspace::new("decode-leds");
    let strip = captures::strip(850);
    captures::write_vcd(&strip, &toy.0.join("strip.vcd"));
    captures::write_sigrok(&strip, &toy.0.join("strip.sr"));
    captures::write_raw(&strip, &toy.0.join("strip.bin"));
    let raw = ["--rate", "100MHz", "--channels", "2", "--signal", "D0"];
    let json = |file: &str, more: &[&str]| {
        let arguments = [&["decode", file, "--as", "ws2812", "--format", "json"][..], more].concat();
        toy.rigor(&arguments).expect(0).json()
    };
    for (file, more) in [("strip.vcd", &[][..]), ("strip.sr", &[]), ("strip.bin", &raw)] {
        let lanes = json(file, more);
        assert_eq!(lanes.as_array().map(Vec::len), Some(1), "{file}: the idle signal carries no LED data");
        let frames = &lanes[0]["frames"];
        assert_eq!(frames[0]["pixels"], serde_json::json!(["1000ff", "008001"]), "{file}: green goes first");
        assert_eq!(frames[1]["pixels"], serde_json::json!(["00ff00", "ff0000"]), "{file}");
        assert_eq!(frames[0]["start_ns"], 100_000);
        let t0h = &lanes[0]["timing"][0];
        assert_eq!((t0h["name"].as_str(), t0h["min_ns"].as_u64()), (Some("T0H"), Some(400)), "{file}");
    }
    let order = json("strip.vcd", &["--order", "rgb"]);
    assert_eq!(order[0]["frames"][1]["pixels"][0], "ff0000");
    toy.rigor(&["decode", "strip.vcd", "--as", "ws2812"]).expect(0).out_has(&[
        "din: 2 frames",
        "1000ff 008001",
        "timing against the WS2812B data sheet: 96 bits, 0 defects",
        "400 ns",
        "250 to 550 ns",
    ]);
    let animation = ["decode", "strip.sr", "--as", "ws2812", "--format", "png", "-o", "strip.png"];
    toy.rigor(&animation).expect(0).out_has(&["strip.png"]);
    let png = fs::read(toy.0.join("strip.png")).expect("a picture");
    assert!(png.starts_with(b"\x89PNG") && png.windows(4).any(|name| name == b"acTL"), "it is animated");
}

fn leds_that_break_the_data_sheet_are_1_and_none_are_2() {
    let toy = Workspace::new("decode-bad-leds");
    captures::write_vcd(&captures::strip(1_200), &toy.0.join("slow.vcd"));
    let said = toy.rigor(&["decode", "slow.vcd", "--as", "ws2812"]).expect(1);
    let row = said.out.lines().find(|line| line.contains("T0L")).unwrap_or_default();
    assert!(row.contains("1200 ns") && row.contains("700 to 1000 ns"), "{}", said.out);
    let nothing = ["decode", "slow.vcd", "--as", "ws2812", "--signal", "other"];
    toy.rigor(&nothing).expect(2).out_has(&["other: "]);
}

fn a_serial_line_is_read_at_the_rate_that_it_has() {
    let toy = Workspace::new("decode-uart");
    captures::write_vcd(&captures::serial("hello, world\r\nU\n", false), &toy.0.join("boot.vcd"));
    let decode = |more: &[&'static str]| [&["decode", "boot.vcd", "--as", "uart"][..], more].concat();
    toy.rigor(&decode(&[])).expect(3).err_has("say which signal with --signal; there are: tx, rx");
    toy.rigor(&decode(&["--signal", "tx"])).expect(0).out_has(&[
        "hello, world\n",
        "tx: 16 characters at 115200 baud, 0 faults; a bit takes 8681.0 ns, the rate is off by -0.01 %",
    ]);
    let json = toy.rigor(&decode(&["--signal", "tx", "--format", "json"])).expect(0).json();
    assert_eq!(json["lines"][0]["text"], "hello, world");
    assert_eq!(json["usual_baud"], 115_200);
    toy.rigor(&decode(&["--signal", "tx", "--baud", "9600"])).expect(1).out_has(&["off by +1099.94 %"]);
    toy.rigor(&decode(&["--signal", "tx", "--baud", "0"])).expect(3).err_has("--baud");
    toy.rigor(&decode(&["--signal", "rx"])).expect(2).out_has(&["rx: nothing was sent"]);
    toy.rigor(&decode(&["--signal", "tz"])).expect(3).err_has("did you mean `tx`?");
    toy.rigor(&decode(&["--signal", "tx", "--format", "png"])).expect(3).err_has("has no picture");
    captures::write_vcd(&captures::serial("hello\u{1b}[2J\n", true), &toy.0.join("boot.vcd"));
    toy.rigor(&decode(&["--signal", "tx"])).expect(1).out_has(&["the stop bit is missing"]);
}

fn a_display_s_bus_becomes_pictures() {
    let toy = Workspace::new("decode-display");
    captures::write_vcd(&captures::display(), &toy.0.join("panel.vcd"));
    let decode = |more: &[&'static str]| [&["decode", "panel.vcd", "--as", "st7789"][..], more].concat();
    let wired =
        ["--clock", "SCK", "--data", "MOSI", "--dc", "DC", "--select", "CS", "--panel", "240x240,inverted"];
    let wired = |more: &[&'static str]| decode(&[&wired[..], more].concat());
    toy.rigor(&decode(&["--clock", "SCK"]))
        .expect(3)
        .err_has("--data is missing); there are: SCK, MOSI, DC, CS");
    toy.rigor(&wired(&[])).expect(0).out_has(&["DISPON", "2 frames, 0 findings"]);
    let json = toy.rigor(&wired(&["--format", "json"])).expect(0).json();
    assert_eq!(json["findings"], 0);
    assert!(json["lines"].as_array().is_some_and(|lines| lines.iter().any(|line| line["kind"] == "frame")));
    toy.rigor(&wired(&["--format", "png", "-o", "panel.png"])).expect(0);
    assert!(fs::read(toy.0.join("panel.png")).expect("a picture").starts_with(b"\x89PNG"));
    toy.rigor(&decode(&["--clock", "CLK"])).expect(3).err_has("no signal is called `CLK`");
    toy.rigor(&["decode", "panel.vcd", "--as", "st7789", "--panel", "999x999"]).expect(3);
}

fn files_that_are_no_captures_are_refused_with_their_place() {
    let toy = Workspace::new("decode-hostile");
    captures::write_sigrok(&captures::strip(850), &toy.0.join("strip.sr"));
    let whole = fs::read(toy.0.join("strip.sr")).expect("a session");
    fs::write(toy.0.join("cut.sr"), &whole[..whole.len() / 2]).expect("a file");
    fs::write(toy.0.join("noise.vcd"), b"$var \x1b[2J \xff\xfe $end #").expect("a file");
    fs::write(toy.0.join("empty.vcd"), b"").expect("a file");
    fs::write(toy.0.join("capture.bin"), [0_u8; 1000]).expect("a file");
    let decode =
        |file: &str, more: &[&str]| toy.rigor(&[&["decode", file, "--as", "ws2812"][..], more].concat());
    decode("cut.sr", &[]).expect(3).err_has("cut.sr: ");
    decode("noise.vcd", &[]).expect(3).err_has("noise.vcd: line 1: ");
    assert!(decode("empty.vcd", &[]).code != Some(0));
    decode("capture.bin", &[]).expect(3).err_has("--rate 24MHz");
    decode("capture.bin", &["--rate", "fast"]).expect(3).err_has("is no sample rate");
    decode("capture.bin", &["--rate", "24MHz", "--channels", "0"]).expect(3).err_has("--channels");
    decode("capture.bin", &["--rate", "24MHz", "--channels", "100000000000"]).expect(3);
    decode("capture.bin", &["--rate", "24MHz"]).expect(2);
    decode("missing.vcd", &[]).expect(3).err_has("cannot read missing.vcd");
    decode(".", &[]).expect(3);
    decode("strip.sr", &["--order", "gbrg"]).expect(3);
    decode("strip.sr", &["--row", "0"]).expect(3);
    decode("strip.sr", &["--format", "png", "-o", "no/folder/strip.png"])
        .expect(3)
        .err_has("name another file");
}

// ---- doctor ----------------------------------------------------------------------------------

fn the_doctor_says_whether_the_rigs_work_and_what_is_missing() {
    let toy = Workspace::new("doctor");
    let said = toy.rigor(&["doctor"]).expect(0).out_has(&[
        "  ok        virtual-toy (rigs/virtual/toy.toml)  taken, and its firmware ran for 100ms",
        "sigrok-cli",
        "serial port",
        "the default virtual rigs work",
    ]);
    assert!(said.out.contains("locale"), "{}", said.out);
    let json = toy.rigor(&["doctor", "--json"]).expect(0).json();
    assert_eq!(json["ready"], true);
    let checks = json["checks"].as_array().expect("a list");
    for check in checks.iter().filter(|check| check["status"] == "missing") {
        assert!(check["remedy"].is_string(), "{check}");
    }
    fs::write(toy.0.join("rigs/virtual/toy.toml"), "schema = 1").expect("a broken rig file");
    let said = toy.rigor(&["doctor"]).expect(2).out_has(&["BROKEN", "a default virtual rig does not work"]);
    assert!(said.out.contains("toy.toml:1"), "{}", said.out);
}

fn the_doctor_without_any_tool_names_them_all() {
    let toy = Workspace::new("no-tools");
    let output = toy.command(&["doctor", "--json"]).env("PATH", "/nowhere").output().expect("it starts");
    assert_eq!(output.status.code(), Some(0), "the virtual rig needs none of them");
    let json: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let tools = json["checks"].as_array().expect("a list").iter().filter(|check| check["group"] == "tools");
    let remedies: Vec<&str> = tools.filter_map(|check| check["remedy"].as_str()).collect();
    assert!(remedies.contains(&"sudo apt-get install sigrok-cli"), "{remedies:?}");
}

fn the_doctor_looks_at_emulators_and_images() {
    let toy = Workspace::new("emulated");
    let stand_in = |version: &str| {
        use std::os::unix::fs::PermissionsExt;
        let path = toy.0.join("emulator");
        fs::write(&path, format!("#!/bin/sh\necho QEMU emulator version {version}\n")).expect("a program");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("it may be executed");
    };
    let rig = |keys: &str| {
        let head = "schema = 1\nname = \"qemu-toy\"\ndut = \"toy\"\nback_end = \"qemu\"\n[qemu]\n";
        fs::create_dir_all(toy.0.join("rigs/qemu")).expect("a folder");
        fs::write(toy.0.join("rigs/qemu/toy.toml"), format!("{head}{keys}\n")).expect("a rig file");
    };
    let diagnosis = || {
        let json = toy.rigor(&["doctor", "--json"]).expect(0).json();
        let checks = json["checks"].as_array().expect("a list").clone();
        let mut own = checks.into_iter().filter(|check| check["group"] == "emulated rigs");
        let check = own.next().expect("the rig is looked at");
        assert_eq!(check["name"], "qemu-toy (rigs/qemu/toy.toml)");
        let text = |key: &str| check[key].as_str().unwrap_or_default().to_owned();
        (text("status"), text("found"), text("remedy"))
    };
    let is = |expected: [&str; 3], what: (String, String, String)| {
        assert_eq!((what.0.as_str(), what.1.as_str(), what.2.as_str()), expected.into());
    };
    rig("binary = \"emulator\"");
    let (status, found, remedy) = diagnosis();
    assert_eq!(status, "missing", "{found}");
    assert!(found.starts_with("`emulator` is not there"), "{found}");
    assert!(remedy.contains("apt-get install qemu-system-misc"), "{remedy}");
    rig("binary = \"./emulator\"");
    stand_in("6.2.0");
    let (status, found, remedy) = diagnosis();
    assert_eq!(status, "unusable", "{found}");
    assert!(found.ends_with("is QEMU 6.2.0, and rigs need 7.2.0 or newer"), "{found}");
    assert!(remedy.contains("install it"), "{remedy}");
    stand_in("7.2.0");
    let image = "target/firmware/images/toy-qemu-virt.elf";
    let build = "cargo xtask firmware build (cargo xtask firmware compiler says what that needs)";
    is(["missing", &format!("QEMU 7.2.0, but no {image}"), build], diagnosis());
    fs::create_dir_all(toy.0.join("target/firmware/images")).expect("a folder");
    fs::write(toy.0.join(image), [0; 1025]).expect("an image");
    is(["ok", &format!("QEMU 7.2.0, {image} with 2 KiB"), ""], diagnosis());
    rig("binary = \"./emulator\"\npreset = \"esp32c3\"");
    let fork = "idf_tools.py install qemu-xtensa qemu-riscv32 (of ESP-IDF), and name it in `binary`";
    is(["unusable", "QEMU 7.2.0 without the machine `esp32c3`", fork], diagnosis());
    stand_in("7.2.0; echo 'esp32c3  a chip'");
    let image = "target/firmware/images/toy-esp32c3.bin";
    is(["missing", &format!("QEMU 7.2.0, but no {image}"), "espflash save-image --merge"], diagnosis());
    rig("preset = \"esp32s3\"\nbinary = \"emulator\"");
    assert!(diagnosis().2.starts_with("idf_tools.py install qemu-xtensa"));
}

// ---- the rest --------------------------------------------------------------------------------

fn the_matrix_proves_what_can_be_proven() {
    let toy = Workspace::new("faults");
    // `T-TIDY-001` turns red under nothing.
    let said = toy.rigor(&["faults"]).expect(1).out_has(&["mute", "matrix: "]);
    assert!(said.err.contains("[  1/2]"), "{}", said.err);
    toy.rigor(&["faults", "--fault", "mute"]).expect(0);
}

fn a_rig_that_cannot_be_had_proves_nothing() {
    let toy = Workspace::new("no-rig");
    let emulated = toy::RIG.replace("back_end = \"virtual\"", "back_end = \"qemu\"");
    fs::create_dir_all(toy.0.join("rigs/qemu")).expect("a folder for the rig");
    let emulated = format!("{emulated}\n[qemu]\nimage = \"none.elf\"\n");
    fs::write(toy.0.join("rigs/qemu/toy.toml"), emulated).expect("a rig file");
    let said = toy.rigor(&["faults", "--rig", "rigs/qemu"]).expect(2);
    assert!(said.err.contains("none.elf"), "{}", said.err);
    assert!(said.err.contains("1 of 2 faults are left out"), "{}", said.err);
    assert!(!said.out.contains("SURVIVES"), "{}", said.out);
    let unfit = toy.rigor(&["faults", "--rig", "rigs/qemu", "--fault", "clock-dies"]).expect(3);
    unfit.err_has("is one of the rig");
    assert!(!toy.0.join("target/rigor").exists(), "there is nothing to keep");
}

fn two_rigs_differ_until_somebody_says_why() {
    let toy = Workspace::new("parity");
    let rig = |folder: &str, text: &str| {
        fs::create_dir_all(toy.0.join("rigs").join(folder)).expect("a folder for the rig");
        fs::write(toy.0.join("rigs").join(folder).join("toy.toml"), text).expect("a rig file");
    };
    let twin = toy::RIG.replace("name = \"", "name = \"twin-of-");
    rig("twin", &twin);
    rig("mute", &twin.replace("twin-of-", "mute-").replace("[console]\nbaud = 115200", ""));
    let said = toy.rigor(&["parity", "virtual", "twin"]).expect(0);
    said.out_has(&["without any difference; 0 differences undeclared", "comparison: ", "parity.md"]);
    toy.rigor(&["parity", "virtual", "mute"]).expect(1).out_has(&["verdict", "console"]);
    let declared = "schema = 1\n[[tolerance]]\nlane = \"verdict\"\ntext = \"*the rig has no *\"\n\
        cause = \"documented-limit\"\nreason = \"It is mute.\"\n";
    fs::write(toy.0.join("rigs/parity.toml"), declared).expect("a file of tolerances");
    toy.rigor(&["parity", "virtual", "mute"]).expect(0).out_has(&["documented limit: It is mute."]);
    toy.rigor(&["list", "rigs"]).expect(0).out_has(&["twin-of-virtual-toy"]);
    toy.rigor(&["parity", "virtual", "twin"]).expect(0).out_has(&["stale: declaration 1"]);
    toy.rigor(&["parity", "virtual", "virtual"]).expect(3).err_has("two rigs are called");
    fs::write(toy.0.join("rigs/parity.toml"), "schema = 7").expect("a file of tolerances");
    toy.rigor(&["parity", "virtual", "twin"]).expect(3).err_has("rigs/parity.toml: `schema = 7` is unknown");
}

fn shells_and_manuals_know_the_command() {
    let toy = Workspace::new("shells");
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        toy.rigor(&["completions", shell]).expect(0).out_has(&["rigor", "replay", "requirement"]);
    }
    toy.rigor(&["man", "man1"]).expect(0).out_has(&["pages in man1"]);
    let page = fs::read_to_string(toy.0.join("man1/rigor-run.1")).expect("a page");
    assert!(page.contains("Exit codes"), "{page}");
    assert!(toy.0.join("man1/rigor.1").is_file());
    toy.rigor(&["man", "/dev/null/man1"]).expect(3).err_has("choose a folder that may be written");
}

fn a_reader_that_goes_away_ends_nothing() {
    let toy = Workspace::new("pipes");
    for arguments in [
        &["--help"][..],
        &["list", "requirements"],
        &["run"],
        &["faults", "--fault", "mute"],
        &["completions", "bash"],
        &["run", "--case", "greet"],
    ] {
        let mut child = toy
            .command(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("this binary starts");
        drop(child.stdout.take());
        drop(child.stderr.take());
        let code = child.wait().expect("it ends").code();
        let expected = if arguments.contains(&"greet") { 3 } else { 0 };
        assert_eq!(code, Some(expected), "{arguments:?}");
    }
    assert_eq!(verdict(&toy.record(), "greets"), "pass", "the record is whole");
}

fn hostile_words_are_refused_in_harmless_ones() {
    let toy = Workspace::new("hostile");
    let long = "x".repeat(100_000);
    for arguments in [
        vec!["run", "\u{1b}[2J"],
        vec!["run", "--case", "\u{7}\r"],
        vec!["run", "--rig", "/dev/zero"],
        vec!["run", "--rig", "\u{1b}]0;title\u{7}"],
        vec!["run", "--fault", "\u{1b}[2J"],
        vec!["run", "--seed", "-1"],
        vec!["run", "--jobs", "0"],
        vec!["run", &long],
        vec!["list", "faults", "\u{1b}[2J"],
        vec!["replay", "/dev/null"],
        vec!["replay", "/dev/null/x"],
        vec!["faults", "--case", "\u{1b}[2J"],
    ] {
        toy.rigor(&arguments).expect(3);
    }
}

fn outside_of_a_workspace_the_remedy_is_told() {
    let toy = Workspace::new("outside");
    let mut command = toy.command(&["run"]);
    let output = command.current_dir("/").output().expect("it starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("run from within it"), "{said}");
    let output = toy.command(&["list", "systems"]).current_dir("/").output().expect("it starts");
    assert_eq!(output.status.code(), Some(0), "a list of systems needs no workspace");
}

fn a_folder_that_cannot_be_had_is_known_before_anything_runs() {
    let toy = Workspace::new("no-folder");
    let said = toy.rigor(&["run", "--out", "Cargo.lock/out"]).expect(3).err_has("cannot create the folder");
    assert_eq!(said.out, "");
}

fn main() -> ExitCode {
    if env::var_os(TOY).is_some() {
        return rigor_command::main(Ok(vec![toy::suite()]), toy::firmwares());
    }
    macro_rules! tests {
        ($($name:ident),* $(,)?) => {
            vec![$(Trial::test(stringify!($name), || {
                $name();
                Ok(())
            })),*]
        };
    }
    let tests = tests![
        a_run_says_what_became_of_each_case_and_leaves_the_record,
        a_failure_is_shown_with_reason_and_log_and_is_1,
        a_rig_that_fails_is_2,
        ctrl_c_ends_a_run_after_the_case_that_runs_and_keeps_the_record,
        a_second_ctrl_c_ends_a_run_at_once,
        options_choose_and_win_over_variables,
        filters_narrow_and_short_says_so_itself,
        a_misspelt_name_is_answered_with_the_nearest,
        what_there_is_is_listed_for_people_and_for_programs,
        a_broken_rig_file_is_named_and_the_others_are_listed,
        rigs_with_runners_become_a_matrix_and_none_is_never_green,
        a_rig_file_is_written_from_flags_and_never_over_another,
        a_recorded_run_is_judged_again,
        a_run_is_told_again_from_its_results_alone,
        runs_are_compared_and_make_a_history,
        led_captures_of_every_format_say_the_same,
        leds_that_break_the_data_sheet_are_1_and_none_are_2,
        a_serial_line_is_read_at_the_rate_that_it_has,
        a_display_s_bus_becomes_pictures,
        files_that_are_no_captures_are_refused_with_their_place,
        the_doctor_says_whether_the_rigs_work_and_what_is_missing,
        the_doctor_without_any_tool_names_them_all,
        the_doctor_looks_at_emulators_and_images,
        the_doctor_looks_at_a_bench_part_by_part,
        a_run_on_a_bench_says_how_far_its_instruments_can_be_trusted,
        a_bench_that_nothing_helps_is_left_alone_until_somebody_has_looked,
        a_bench_that_was_unplugged_is_used_again_once_it_is_plugged_in,
        a_hub_switches_a_board_whose_port_goes_with_it,
        ctrl_c_lets_go_of_a_bench_at_once,
        a_crash_on_a_board_is_told_by_the_lines_of_its_source,
        a_bench_is_flashed_by_its_own_wires,
        a_bench_is_listened_to_by_one_at_a_time,
        a_bench_that_runs_is_listened_to_without_a_reset,
        the_doctor_of_a_rig_that_is_no_bench_or_no_rig_at_all,
        two_rigs_differ_until_somebody_says_why,
        the_matrix_proves_what_can_be_proven,
        a_rig_that_cannot_be_had_proves_nothing,
        shells_and_manuals_know_the_command,
        a_reader_that_goes_away_ends_nothing,
        hostile_words_are_refused_in_harmless_ones,
        outside_of_a_workspace_the_remedy_is_told,
        a_folder_that_cannot_be_had_is_known_before_anything_runs,
        a_console_is_followed_when_it_vanishes_until_ctrl_c,
        a_console_that_cannot_be_had_is_2_and_one_can_be_heard_for_a_while,
        what_is_plugged_in_is_listed,
        images_that_do_not_fit_are_refused_before_a_port_is_opened,
        a_build_without_probes_or_loader_says_which_one_has_them,
    ];
    libtest_mimic::run(&Arguments::from_args(), tests).exit_code()
}
