//! Boards and their ports, as far as they need no loader: what is plugged in, what a console says, and images that are
//! refused.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use rigor_flasher::Chip;
use rigor_image::Image;
use rigor_pty::Pty;

use crate::{Said, Workspace};

#[path = "../../../flasher/tests/flashing/images.rs"]
#[allow(dead_code)]
mod images;

/// It only ends a hang.
const PATIENCE: Duration = Duration::from_secs(60);

/// A monitor, killed in the end if it does not end by itself.
struct Monitor {
    child: Child,
    said: Receiver<String>,
}

impl Monitor {
    fn of(toy: &Workspace, arguments: &[&str]) -> Self {
        let mut command = toy.command(arguments);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
        let (tell, said) = channel();
        let out = child.stdout.take().expect("a pipe");
        let err = child.stderr.take().expect("a pipe");
        let other = tell.clone();
        std::thread::spawn(move || {
            BufReader::new(out).lines().map_while(Result::ok).try_for_each(|l| tell.send(l))
        });
        std::thread::spawn(move || {
            BufReader::new(err).lines().map_while(Result::ok).try_for_each(|l| other.send(l))
        });
        Monitor { child, said }
    }

    /// Waits for a line with `words`.
    fn says(&self, words: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        let mut heard = Vec::new();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.said.recv_timeout(left) {
                Ok(line) if line.contains(words) => return line,
                Ok(line) => heard.push(line),
                Err(error) => panic!("no line has `{words}` ({error}): {heard:#?}"),
            }
        }
    }

    /// Ctrl-C, and how it ended.
    fn end(self) -> Option<i32> {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("it runs");
        self.says("--- end");
        self.ended()
    }

    /// How it ended by itself.
    fn ended(mut self) -> Option<i32> {
        self.child.wait().expect("it ends").code()
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "not within a minute: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn say(board: &mut Pty, words: &[u8]) {
    board.write(words, Instant::now() + PATIENCE).expect("it is heard");
}

pub(crate) fn a_console_is_followed_when_it_vanishes_until_ctrl_c() {
    let toy = Workspace::new("monitor");
    let name = toy.0.join("board");
    let mut board = Pty::named(&name).expect("a pseudo-terminal");
    let monitor = Monitor::of(&toy, &["monitor", "--port", name.to_str().expect("UTF-8")]);
    monitor.says("115200 baud; Ctrl-C ends");
    say(&mut board, b"\x1b[0;32mI (31) main: ready\x1b[0m\r\n\x1b[2J\r\n");
    let line = monitor.says("main: ready");
    let (time, text) = line.split_once("  ").expect("a time and a text");
    assert_eq!(text, "I (31) main: ready");
    assert_eq!(time.len(), "12:34:56.789".len(), "{time}");
    monitor.says("\\u{1b}[2J");

    let gone = board.unplug();
    monitor.says("waiting for it to come back");
    let mut board = gone.replug().expect("a pseudo-terminal");
    monitor.says("--- back as ");
    say(&mut board, b"again\n");
    monitor.says("  again");
    assert_eq!(monitor.end(), Some(0));
}

pub(crate) fn a_console_that_cannot_be_had_is_2_and_one_can_be_heard_for_a_while() {
    let toy = Workspace::new("no-monitor");
    toy.rigor(&["monitor", "--port", "/dev/no-such-port"]).expect(2).err_has("plug the device in");
    toy.rigor(&["monitor", "--port", "no-such-serial"]).expect(2).err_has("`rigor devices` lists them");
    toy.rigor(&["monitor", "--port", "x", "--elf", "/dev/null"]).expect(3).err_has("is empty");
    let board = Pty::open().expect("a pseudo-terminal");
    let path = board.path().to_str().expect("UTF-8").to_owned();
    toy.rigor(&["monitor", "--port", &path, "--for", "0"]).expect(0);
}

pub(crate) fn what_is_plugged_in_is_listed() {
    let toy = Workspace::new("devices");
    let said = toy.rigor(&["devices"]).expect(0);
    assert!(
        said.out.contains("WHAT IT PROBABLY IS") || said.out.starts_with("no serial port"),
        "{}",
        said.out
    );
    assert!(toy.rigor(&["devices", "--json"]).expect(0).json()["devices"].is_array());
}

pub(crate) fn images_that_do_not_fit_are_refused_before_a_port_is_opened() {
    let toy = Workspace::new("flash");
    let flash = |image: &str| toy.rigor(&["flash", image, "--port", "/dev/no-such-port"]).expect(3);
    flash("missing.bin").err_has("missing.bin: No such file");
    fs::write(toy.0.join("text.bin"), "hello").expect("a file");
    flash("text.bin").err_has("no image of the bootloader begins at 0x0");
    fs::write(toy.0.join("firmware.elf"), b"\x7fELF").expect("a file");
    if cfg!(feature = "espflash") {
        flash("firmware.elf").err_has("the ELF file does not say for which chip it is; say it (`--chip`)");
    } else {
        flash("firmware.elf").err_has("only a build with the feature `espflash`");
    }
    toy.rigor(&["flash", "text.bin", "--port", "x", "--chip", "esp8266"])
        .expect(3)
        .err_has("write esp32c3, esp32c6");
}

pub(crate) fn a_build_without_probes_or_loader_says_which_one_has_them() {
    let toy = Workspace::new("features");
    fs::write(toy.0.join("s3.bin"), images::merged(Chip::Esp32s3, 1, 10_000)).expect("a file");
    let told = |arguments: &[&str], feature: &str| {
        toy.rigor(arguments).expect(3).err_has(&format!(
            "cargo run --release --features {feature} --bin rigor -- {} ...",
            arguments[0]
        ));
    };
    // With the feature they look for a probe and a port, which other tests have stand-ins for.
    if !cfg!(feature = "probe-rs") {
        told(&["probe", "list"], "probe-rs");
        told(&["probe", "flash", "s3.bin", "--chip", "esp32s3"], "probe-rs");
        told(&["probe", "reset", "--chip", "esp32c3"], "probe-rs");
        told(&["probe", "read", "0x3fc80000", "64", "--chip", "esp32c3"], "probe-rs");
        told(&["probe", "log", "--chip", "esp32c6", "--for", "1"], "probe-rs");
    }
    if !cfg!(feature = "espflash") {
        told(&["flash", "s3.bin", "--port", "/dev/no-such-port"], "espflash");
    }
}

/// A bench in a box, of the toy's board. Ends with this.
pub(crate) struct Bench<'a> {
    toy: &'a Workspace,
    simulation: Child,
}

impl<'a> Bench<'a> {
    pub(crate) fn new(toy: &'a Workspace) -> Self {
        let mut command = toy.command(&["simulate", "toy", "--bench", "--bench-dir", "bench", "--port", "0"]);
        let simulation = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
        let bench = Bench { toy, simulation };
        let deadline = Instant::now() + PATIENCE;
        while !toy.0.join("bench/rig.toml").exists() {
            assert!(Instant::now() < deadline, "there is no bench");
            std::thread::sleep(Duration::from_millis(5));
        }
        bench
    }

    /// One in the place of another that is gone.
    fn again(toy: &'a Workspace) -> Self {
        let _ = fs::remove_file(toy.0.join("bench/rig.toml"));
        let bench = Bench::new(toy);
        bench.rig("[power]", "[power]");
        bench
    }

    /// Its rig file, with `from` in it replaced.
    fn rig(&self, from: &str, to: &str) -> String {
        let text = fs::read_to_string(self.toy.0.join("bench/rig.toml")).expect("a rig file");
        assert!(text.contains(from), "{text}");
        fs::write(self.toy.0.join("rig.toml"), text.replace(from, to)).expect("a rig file");
        "rig.toml".to_owned()
    }

    /// Somebody pulls all of its cables.
    fn unplug(&mut self) {
        let _ = self.simulation.kill();
        let _ = self.simulation.wait();
    }
}

impl Drop for Bench<'_> {
    fn drop(&mut self) {
        self.unplug();
    }
}

/// The doctor of rig `rig`, whose leases are the workspace's own.
fn doctor(toy: &Workspace, rig: &str, json: bool) -> Said {
    let mut arguments = vec!["doctor", "--rig", rig];
    arguments.extend(json.then_some("--json"));
    toy.rigor(&arguments)
}

pub(crate) fn the_doctor_looks_at_a_bench_part_by_part() {
    let toy = Workspace::new("doctor-bench");
    let mut bench = Bench::new(&toy);
    doctor(&toy, "bench/rig.toml", false).expect(0).out_has(&[
        "ok        lease",
        "ok        [controller]",
        "16 edges to itself: all seen",
        "ok        speech        it says `booted",
        "unknown   echo          it does not answer an empty line",
        "ok        board         it runs",
        "bench-in-a-box is well: rigor run --short --rig bench/rig.toml",
    ]);
    // One thing wrong at a time; each is told with its remedy, and the rest is looked at all the same.
    let wrong = |from: &str, to: &str, part: &str, found: &str, remedy: &str| {
        let json = doctor(&toy, &bench.rig(from, to), true).expect(2).json();
        let checks = json["checks"].as_array().expect("a list").clone();
        let of =
            |name: &str| checks.iter().find(|check| check["name"] == name).expect("it is looked at").clone();
        let check = of(part);
        assert_eq!(check["status"], "wrong", "{check}");
        assert!(check["found"].as_str().is_some_and(|text| text.contains(found)), "{check}");
        assert!(check["remedy"].as_str().is_some_and(|text| text.contains(remedy)), "{check}");
        assert_eq!(of("board")["status"], "unknown", "it is not started over what is wrong");
        let others = ["[controller]", "[console]"].into_iter().filter(|&other| other != part);
        others.for_each(|other| assert_eq!(of(other)["status"], "ok", "{other}"));
    };
    wrong("bench/console", "/dev/no-such-port", "[console]", "/dev/no-such-port", "plug the device in");
    let numbered = "[console]\nusb_serial = \"no-such-number\"";
    wrong("[console]\nport = \"bench/console\"", numbered, "[console]", "no-such-number", "");
    wrong("bench/controller", "/dev/null", "[controller]", "/dev/null", "look whether it is a serial port");
    // A port that is a port, and where no controller is.
    let mut other = Pty::named(toy.0.join("other")).expect("a pseudo-terminal");
    wrong("bench/controller", "other", "[controller]", "nothing there answers", "rigs/controller");
    say(&mut other, b"I (31) wifi: connected\r\n\0\xff\0");
    wrong("bench/controller", "other", "[controller]", "no word of a bench controller", "[controller]");
    // Another program has the console.
    let held =
        rigor_rigs::serial::Port::open_alone(&toy.0.join("bench/console"), 115_200).expect("it is free");
    wrong("bench/console", "bench/console", "[console]", "in use by another program", "wait for it");
    drop(held);
    bench.unplug();
    doctor(&toy, "rig.toml", false).expect(2).out_has(&[
        "WRONG     [controller]",
        "unknown   [console]",
        "is not well",
    ]);
}

pub(crate) fn the_doctor_of_a_rig_that_is_no_bench_or_no_rig_at_all() {
    let toy = Workspace::new("doctor-rig");
    doctor(&toy, "virtual-toy", false)
        .expect(0)
        .out_has(&["taken, and its firmware ran", "virtual-toy is well"]);
    doctor(&toy, "virtual-toys", false).expect(3).err_has("did you mean `virtual-toy`");
    fs::write(toy.0.join("rig.toml"), "schema = 1\n").expect("a rig file");
    doctor(&toy, "rig.toml", false).expect(3).err_has("rig.toml:1");
}

pub(crate) fn a_bench_is_listened_to_by_one_at_a_time() {
    let toy = Workspace::new("monitor-bench");
    let mut bench = Bench::new(&toy);
    let monitor = Monitor::of(&toy, &["monitor", "--rig", "bench/rig.toml"]);
    monitor.says("--- bench-in-a-box; Ctrl-C ends");
    monitor.says("starts: PowerOn");
    let line = monitor.says("booted \\u{1b}[2J");
    assert!(line.starts_with("2.051"), "it has the rig's time: {line}");
    let second = Monitor::of(&toy, &["monitor", "--rig", "bench/rig.toml", "--for", "1"]);
    second.says("for `rigor monitor` on `bench-in-a-box`");
    assert_eq!(monitor.end(), Some(0));
    second.says("starts: PowerOn");
    second.says("--- end");
    // Whoever wants a bench that nobody lets go is told whom to ask, and is free to give up.
    let first = Monitor::of(&toy, &["monitor", "--rig", "bench/rig.toml"]);
    first.says("starts: PowerOn");
    let other = Monitor::of(&toy, &["monitor", "--rig", "bench/rig.toml", "--no-reset"]);
    other.says("has had it for");
    let pid = rustix::process::Pid::from_child(&other.child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it runs");
    assert_eq!(other.ended(), Some(2));
    // All cables are pulled.
    bench.unplug();
    first.says("look at the cable");
    assert_eq!(first.ended(), Some(2));
}

pub(crate) fn a_bench_that_runs_is_listened_to_without_a_reset() {
    let toy = Workspace::new("monitor-no-reset");
    let mut board = Pty::named(toy.0.join("board")).expect("a pseudo-terminal");
    let rig = "schema = 1\nname = \"desk\"\ndut = \"toy\"\nback_end = \"bench\"\n[bench]\nchip = \"esp32c3\"\n\
               [console]\nport = \"board\"\nbaud = 115200\n";
    fs::write(toy.0.join("rig.toml"), rig).expect("a rig file");
    let monitor = Monitor::of(&toy, &["monitor", "--rig", "rig.toml", "--no-reset"]);
    monitor.says("115200 baud; Ctrl-C ends");
    say(&mut board, b"still here\n");
    monitor.says("  still here");
    assert_eq!(monitor.end(), Some(0));
    toy.rigor(&["monitor", "--rig", "virtual-toy"]).expect(3).err_has("`rigor simulate` shows other boards");
    toy.rigor(&["monitor"]).expect(3);
}

pub(crate) fn a_bench_is_flashed_by_its_own_wires() {
    let toy = Workspace::new("flash-bench");
    let board = format!("{}\n[reset]\n[flash]\n", crate::toy::RIG);
    fs::write(toy.0.join("rigs/virtual/toy.toml"), board).expect("a rig file");
    let _bench = Bench::new(&toy);
    let flash = |arguments: &[&str]| toy.rigor(&[&["flash", "--rig", "bench/rig.toml"], arguments].concat());
    flash(&[]).expect(3).err_has("[bench] names no `image`, and neither does the command line; name one");
    flash(&["--if-named"]).expect(0).out_has(&["what is on the board stays there"]);
    toy.rigor(&["flash", "x.bin", "--rig", "virtual-toy"])
        .expect(3)
        .err_has("no board to bring firmware onto");
    fs::write(toy.0.join("c3.bin"), images::merged(Chip::Esp32c3, 1, 10_000)).expect("a file");
    flash(&["c3.bin"]).expect(3).err_has("esp32s3");
    fs::write(toy.0.join("s3.bin"), images::merged(Chip::Esp32s3, 1, 200_000)).expect("a file");
    if cfg!(feature = "espflash") {
        let said = flash(&["s3.bin"])
            .expect(0)
            .out_has(&["esp32s3 with 8.0 MiB of flash", "the board was reset and runs"]);
        assert!(said.out.contains("written"), "{}", said.out);
        flash(&["s3.bin", "--no-stub"]).expect(0);
        let held =
            rigor_rigs::serial::Port::open_alone(&toy.0.join("bench/console"), 115_200).expect("it is free");
        flash(&["s3.bin"]).expect(2).err_has("does nobody else hold it?");
        drop(held);
    } else {
        flash(&["s3.bin"]).expect(3).err_has("this build of rigor has no loader");
    }
}

pub(crate) fn a_run_on_a_bench_says_how_far_its_instruments_can_be_trusted() {
    let toy = Workspace::new("run-bench");
    let _bench = Bench::new(&toy);
    let args = ["run", "--quiet", "--rig", "bench/rig.toml", "--rig", "rigs/virtual", "--short"];
    toy.rigor(&args).expect(0);
    let record = toy.record();
    let rigs = record["rigs"].as_array().expect("a list");
    let bench = rigs.iter().find(|rig| rig["back_end"] == "bench").expect("it took part");
    let qualification = &bench["qualification"];
    assert_eq!((qualification["loop_back"]["seen"].as_u64(), rigs.len()), (Some(16), 2), "{record}");
    assert_eq!(qualification["console_ns"], 0, "a simulated board's clock waits for the host");
    let others = rigs.iter().filter(|rig| rig["back_end"] != "bench");
    others.for_each(|rig| assert!(rig.get("qualification").is_none(), "{rig}"));
    let summary = fs::read_to_string(toy.0.join("target/rigor/latest/summary.md")).expect("a summary");
    assert!(
        summary.contains("16 edges to itself") && summary.contains("bench-in-a-box (modelled)"),
        "{summary}"
    );
}

pub(crate) fn a_bench_that_nothing_helps_is_left_alone_until_somebody_has_looked() {
    let toy = Workspace::new("ladder");
    let mut bench = Bench::new(&toy);
    let rig = bench.rig("[power]", "[power]");
    let run = || toy.rigor(&["run", "--quiet", "--rig", "rig.toml", "--case", "greets"]);
    run().expect(0);
    // Somebody pulls all cables, and puts a port in the place of the controller's where nobody answers.
    bench.unplug();
    for name in ["controller", "console"] {
        let _ = fs::remove_file(toy.0.join("bench").join(name));
    }
    let controller = Pty::named(toy.0.join("bench/controller")).expect("a pseudo-terminal");
    let console = Pty::named(toy.0.join("bench/console")).expect("a pseudo-terminal");
    run().expect(2);
    let record = toy.record();
    let cases = record["cases"].as_array().expect("a list");
    let case = cases.iter().find(|case| case["name"] == "greets").expect("it ran");
    let steps = case["recoveries"][0]["steps"].as_array().expect("a list");
    let step = |at: usize| {
        (steps[at]["step"].as_str().expect("a word"), steps[at]["helped"].as_bool().expect("a word"))
    };
    let climbed =
        [("reset", false), ("re-enumerate", false), ("port-power", false), ("out-of-service", false)];
    assert_eq!([step(0), step(1), step(2), step(3)], climbed, "{case}");
    assert_eq!(case["retries"], 0, "a case is not tried on a bench that is not well");
    // From now on nobody waits for it.
    run().expect(2).out_has(&["was taken out of service", "`rigor doctor --rig rig.toml --back-in-service`"]);
    let put_back = |code| toy.rigor(&["doctor", "--rig", &rig, "--back-in-service"]).expect(code);
    put_back(2).out_has(&["WRONG     health", "and stays so", "put right what is wrong first"]);
    drop((controller, console));
    let _bench = Bench::again(&toy);
    doctor(&toy, &rig, false)
        .expect(2)
        .out_has(&["WRONG     health        out of service since", "--back-in-service"]);
    put_back(0).out_has(&["ok        health        back in service"]);
    run().expect(0);
    doctor(&toy, &rig, false).expect(0).out_has(&["1 fault of the rig is known, the last one"]);
}

pub(crate) fn a_bench_that_was_unplugged_is_used_again_once_it_is_plugged_in() {
    let toy = Workspace::new("unplugged");
    let mut bench = Bench::new(&toy);
    let rig = bench.rig("[power]", "[power]");
    let run = || toy.rigor(&["run", "--quiet", "--rig", "rig.toml", "--case", "greets"]);
    bench.unplug();
    for name in ["controller", "console"] {
        let _ = fs::remove_file(toy.0.join("bench").join(name));
    }
    run().expect(2);
    let record = toy.record();
    let cases = record["cases"].as_array().expect("a list");
    let case = cases.iter().find(|case| case["name"] == "greets").expect("it ran");
    let steps = case["recoveries"][0]["steps"].as_array().expect("a list");
    assert_eq!(steps.last().map(|step| &step["step"]), Some(&"out-of-service".into()), "{case}");
    run().expect(2).out_has(&["No such file or directory", "plug the device in"]);
    let mut bench = Bench::again(&toy);
    run().expect(0);
    bench.unplug();
    for name in ["controller", "console"] {
        let _ = fs::remove_file(toy.0.join("bench").join(name));
    }
    run().expect(2);
    let _bench = Bench::again(&toy);
    doctor(&toy, &rig, false).expect(0).out_has(&["ok        health        plugged in again; it was out of"]);
}

/// A board on port 2 of a hub that `uhubctl` switches: its own port is there only with a supply, unless it `stays`. It says
/// `words` whenever it is switched on.
fn board_on_a_hub(
    toy: &Workspace,
    stays: bool,
    words: String,
    over: Arc<AtomicBool>,
) -> std::thread::JoinHandle<()> {
    let bin = toy.0.join("bin");
    fs::create_dir_all(&bin).expect("a folder");
    let stand_in = Path::new(env!("CARGO_MANIFEST_DIR")).join("../rigs/tests/stand-ins/uhubctl");
    std::os::unix::fs::symlink(stand_in, bin.join("uhubctl")).expect("a link");
    let mut board = Some(Pty::named(toy.0.join("board")).expect("a pseudo-terminal"));
    std::thread::spawn(move || {
        let (mut gone, mut was_on) = (None, true);
        while !over.load(Ordering::Relaxed) {
            let state = fs::read_to_string(bin.join("state")).unwrap_or_default();
            let is_on = state.trim() != "off";
            if was_on && !is_on && !stays {
                gone = board.take().map(Pty::unplug);
            } else if !was_on && is_on {
                board = board.or_else(|| gone.take().map(|gone| gone.replug().expect("a pseudo-terminal")));
                let board = board.as_mut().expect("it is plugged in");
                board.write(words.as_bytes(), Instant::now() + PATIENCE).expect("it is heard");
            }
            was_on = is_on;
            std::thread::sleep(Duration::from_millis(2));
        }
    })
}

/// The rig file of such a board.
const ON_A_HUB: &str = "schema = 1\nname = \"desk\"\ndut = \"toy\"\nback_end = \"bench\"\n[console]\nport = \"board\"\nbaud = 115200\n\
     [power]\nvia = \"hub\"\nhub = \"1-1\"\nport = 2\n[bench]\nchip = \"esp32c3\"\n";

/// Runs the command where such a hub is.
fn run_with_hub(toy: &Workspace, arguments: &[&str]) -> Said {
    let path = format!("{}:{}", toy.0.join("bin").display(), std::env::var("PATH").unwrap_or_default());
    let output = toy.command(arguments).env("PATH", &path).output().expect("it starts");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    Said { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

pub(crate) fn a_crash_on_a_board_is_told_by_the_lines_of_its_source() {
    let toy = Workspace::new("bench-crash");
    let elf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../image/tests/fixtures/panic.elf");
    let image = Image::read(&elf).expect("an image");
    let main = image.symbol("main").expect("it has one").address;
    fs::write(toy.0.join("rig.toml"), format!("{ON_A_HUB}image = {elf:?}\n")).expect("a rig file");
    let over = Arc::<AtomicBool>::default();
    let words = format!(
        "ELF file SHA256:  {}\r\npanic: index out of bounds\r\nBacktrace: {:#010x}\r\nRebooting...\r\nhello\r\n",
        &image.sha256()[..9],
        main + 4
    );
    let board = board_on_a_hub(&toy, true, words, over.clone());
    let said = run_with_hub(&toy, &["run", "--quiet", "--rig", "rig.toml", "--case", "greets"]);
    over.store(true, Ordering::Relaxed);
    board.join().expect("no panic");
    said.expect(1).out_has(&["the firmware crashed at", "panic: index out of bounds", "| at main ("]);
    let record = toy.record();
    let cases = record["cases"].as_array().expect("a list");
    let case = cases.iter().find(|case| case["name"] == "greets").expect("it ran");
    let calls = case["backtrace"].as_array().expect("a list");
    let call = calls.last().and_then(serde_json::Value::as_str).expect("a text");
    assert!(call.starts_with("at main (firmware-under-test/panic.rs:"), "{case}");
    assert!(
        calls[0].as_str().is_some_and(|whose| whose.ends_with("the build that the console names")),
        "{case}"
    );
    for report in ["report.html", "junit.xml"] {
        let text = fs::read_to_string(toy.0.join("target/rigor/latest").join(report)).expect("a report");
        assert!(text.contains(call), "{report} has no `{call}`");
    }
}

pub(crate) fn a_hub_switches_a_board_whose_port_goes_with_it() {
    for stays in [true, false] {
        let toy = Workspace::new(if stays { "hub" } else { "hub-port" });
        fs::write(toy.0.join("rig.toml"), ON_A_HUB).expect("a rig file");
        let over = Arc::<AtomicBool>::default();
        let board = board_on_a_hub(&toy, stays, "booted\r\nhello\r\n".to_owned(), over.clone());
        let run = |arguments: &[&str]| run_with_hub(&toy, arguments);
        let said = run(&["run", "--quiet", "--rig", "rig.toml", "--case", "greets"]);
        if stays {
            said.expect(0);
            run(&["doctor", "--rig", "rig.toml"])
                .expect(0)
                .out_has(&["ok        [power]", "by port 2 of hub 1-1"]);
        } else {
            // What it said before its port was there is lost, and nothing resets it.
            said.expect(2).out_has(&["INCONCLUSIVE", "its port was there only after the supply"]);
            run(&["doctor", "--rig", "rig.toml"]).expect(0).out_has(&["ok        speech"]);
        }
        let calls = fs::read_to_string(toy.0.join("bin/calls")).expect("it was called");
        assert!(calls.contains("-l 1-1 -p 2 -a off") && calls.contains("-l 1-1 -p 2 -a on"), "{calls}");
        over.store(true, Ordering::Relaxed);
        board.join().expect("no panic");
    }
}

pub(crate) fn ctrl_c_lets_go_of_a_bench_at_once() {
    let toy = Workspace::new("interrupted-bench");
    let _board = Pty::named(toy.0.join("board")).expect("a pseudo-terminal");
    let rig = "schema = 1\nname = \"desk\"\ndut = \"toy\"\nback_end = \"bench\"\n[bench]\nchip = \"esp32c3\"\n\
               [console]\nport = \"board\"\nbaud = 115200\n";
    fs::write(toy.0.join("rig.toml"), rig).expect("a rig file");
    let begun = toy.0.join("begun");
    let run = |out: &str| {
        let mut command = toy.command(&["run", "--rig", "rig.toml", "--jobs", "1", "--out", out]);
        command.env(crate::toy::WAIT, &begun).stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().expect("it starts")
    };
    let end = |mut child: Child| {
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("it runs");
        child.wait().expect("it ends").code()
    };
    let reason = |out: &str, case: &str| {
        let record = fs::read(toy.0.join(out).join("latest/results.json")).expect("a record");
        let record: serde_json::Value = serde_json::from_slice(&record).expect("JSON");
        let cases = record["cases"].as_array().expect("a list");
        let case = cases.iter().find(|found| found["name"] == case).expect("it is listed");
        assert_eq!(case["not_run"], "interrupted", "{case}");
        case["reason"].as_str().expect("a text").to_owned()
    };
    let first = run("first");
    wait_until("the case has begun", || begun.exists());
    // Another run would wait for the bench for half an hour.
    let second = run("second");
    let open = format!("/proc/{}/fd", second.id());
    wait_until("it looks at the lease", || {
        let files = fs::read_dir(&open).into_iter().flatten().filter_map(Result::ok);
        let mut files = files.filter_map(|file| fs::read_link(file.path()).ok());
        files.any(|file| file.extension().is_some_and(|extension| extension == "lease"))
    });
    assert_eq!(end(second), Some(2));
    assert_eq!(reason("second", "nice_all_day"), "the run was interrupted before the bench was its own");
    assert_eq!(end(first), Some(2));
    assert_eq!(reason("first", "nice_all_day"), "the run was interrupted while it ran");
    assert_eq!(reason("first", "greets"), "the run was interrupted before its turn");
    // Nobody has it any more, and nothing is held against it.
    doctor(&toy, "rig.toml", false).expect(0).out_has(&["ok        lease"]);
}
