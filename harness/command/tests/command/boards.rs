//! Boards and their ports, as far as they need no loader: what is plugged in, what a console says, and images that are
//! refused.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use rigor_pty::Pty;

use crate::Workspace;

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
    fn end(mut self) -> Option<i32> {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("it runs");
        self.says("--- end");
        self.child.wait().expect("it ends").code()
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
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
    toy.rigor(&["monitor", "--port", "/dev/no-such-port"]).expect(2).err_has("is the device plugged in");
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
