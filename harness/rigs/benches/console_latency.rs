//! From the last byte of a line on a pseudo-terminal to who waited for that line.
//!
//! A device writes a line and waits for an answer; a reader, in a process of its own, notes the time at
//! which it has matched the line, and answers. So each line finds a reader that sleeps. The times of both
//! are of the same clock (CLOCK_MONOTONIC). The readers are ours and, if `RIGOR_PYTEST` names a pytest with
//! pytest-embedded, that one, measured in the same way: `fixtures/oracles/console_latency.sh` installs it.

use std::env::{args, current_exe, var_os};
use std::ffi::OsString;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rigor_rigs::serial::{Lines, Port};
use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};
use rustix::time::{ClockId, clock_gettime};

/// Lines for each reader.
const OURS: usize = 2000;
const THEIRS: usize = 300;
/// A reader that does not answer for this long is broken.
const PATIENCE: Duration = Duration::from_secs(60);

fn monotonic() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// Our reader: matches the lines, answers, and prints when it had them.
fn read_lines(path: &Path, count: usize) {
    let mut lines = Lines::of(Port::open(path, 115_200).expect("the port"));
    let deadline = || Instant::now() + PATIENCE;
    lines.port().write(b"ready\n", deadline()).expect("the port");
    let mut times = Vec::with_capacity(count);
    for number in 0..count {
        let wanted = format!("line {number}").into_bytes();
        lines.expect("the next", deadline(), |line| line.bytes == wanted).expect("it comes");
        times.push(monotonic().to_string());
        lines.port().write(b"ok\n", deadline()).expect("the port");
    }
    println!("{}", times.join(" "));
}

/// The device's end, the other end kept open, and where that is.
fn pseudo_terminal() -> (File, OwnedFd, PathBuf) {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let device = openpt(flags).expect("a pseudo-terminal");
    grantpt(&device).and_then(|()| unlockpt(&device)).expect("a pseudo-terminal");
    let path = PathBuf::from(OsString::from_vec(ptsname(&device, Vec::new()).expect("a name").into_bytes()));
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let user = rustix::fs::open(&path, flags, Mode::empty()).expect("it is there");
    let mut settings = tcgetattr(&user).expect("a terminal");
    settings.make_raw();
    tcsetattr(&user, OptionalActions::Now, &settings).expect("a terminal");
    (File::from(device), user, path)
}

/// The latencies of the reader that `start` starts, in nanoseconds, sorted.
fn measure(count: usize, start: impl FnOnce(&Path) -> Command) -> Vec<u64> {
    let (mut device, _user, path) = pseudo_terminal();
    let mut reader = start(&path).stdout(Stdio::piped()).spawn().expect("a process");
    let mut answers = BufReader::new(device.try_clone().expect("a descriptor"));
    let mut answer = String::new();
    while answer.trim() != "ready" {
        answer.clear();
        answers.read_line(&mut answer).expect("the reader is ready");
    }
    let mut sent = Vec::with_capacity(count);
    let mut random = 1_u64;
    for number in 0..count {
        // Up to 10 ms, so that no reader that looks every so often is met at a moment of its own choice.
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        std::thread::sleep(Duration::from_nanos((random >> 40) % 10_000_000));
        write!(device, "line {number}").expect("there is room");
        sent.push(monotonic());
        device.write_all(b"\n").expect("there is room");
        answer.clear();
        answers.read_line(&mut answer).expect("the reader answers");
        assert_eq!(answer.trim(), "ok");
    }
    let mut printed = String::new();
    reader.stdout.take().expect("a pipe").read_to_string(&mut printed).expect("text");
    assert!(reader.wait().expect("a process").success(), "{printed}");
    let times = printed.lines().rev().find_map(|line| {
        let times: Vec<u64> = line.split_whitespace().filter_map(|time| time.parse().ok()).collect();
        (times.len() == count).then_some(times)
    });
    let times = times.expect("a time for each line");
    let mut latencies: Vec<u64> = times.iter().zip(sent).map(|(had, sent)| had - sent).collect();
    latencies.sort_unstable();
    latencies
}

fn percentile(sorted: &[u64], percent: usize) -> f64 {
    sorted[(sorted.len() - 1) * percent / 100] as f64 / 1000.0
}

fn report(name: &str, sorted: &[u64]) {
    println!(
        "{name:<16} p50 {:>9.1} us   p95 {:>9.1} us   p99 {:>9.1} us   max {:>9.1} us   {} lines",
        percentile(sorted, 50),
        percentile(sorted, 95),
        percentile(sorted, 99),
        percentile(sorted, 100),
        sorted.len()
    );
}

fn main() {
    let arguments: Vec<String> = args().collect();
    if let [_, reader, path, count] = &arguments[..]
        && reader == "--reader"
    {
        return read_lines(Path::new(path), count.parse().expect("a number"));
    }
    let ours = measure(OURS, |path| {
        let mut command = Command::new(current_exe().expect("this program"));
        command.arg("--reader").arg(path).arg(OURS.to_string());
        command
    });
    report("rigor", &ours);
    let Some(pytest) = var_os("RIGOR_PYTEST") else {
        println!("pytest-embedded  not measured; fixtures/oracles/console_latency.sh installs it");
        return;
    };
    let theirs = measure(THEIRS, |path| {
        let mut command = Command::new(pytest);
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/oracles/console_latency");
        command.args(["-q", "-s", "-p", "no:cacheprovider", "--embedded-services", "serial", "--port"]);
        command.arg(path).arg(folder.join("test_console_latency.py"));
        command.env("RIGOR_LINES", THEIRS.to_string()).env("PYTHONDONTWRITEBYTECODE", "1");
        command
    });
    report("pytest-embedded", &theirs);
    println!("ratio of p50     {:.0}", percentile(&theirs, 50) / percentile(&ours, 50));
}
