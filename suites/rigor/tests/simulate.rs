//! `rigor simulate prism-k1`, as a process with real clients around it.
//!
//! What is asked of the strip is read from the file of decoded frames, never from what the device says.

// The exception for tests in clippy.toml does not reach their helpers.
#![allow(clippy::unwrap_used)]

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crc::{CRC_32_ISO_HDLC, Crc};
use rustix::fs::{Mode, OFlags};
use rustix::io::ioctl_fionbio;
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcgetattr, tcsetwinsize};
use serde_json::Value;
use tempfile::TempDir;
use tungstenite::{Message, WebSocket};

/// Whatever a test waits for comes within this long, or the test fails.
const PATIENCE: Duration = Duration::from_secs(60);
const NAP: Duration = Duration::from_millis(10);
const LANE_PIXELS: usize = 160;

/// A simulation, ended with its owner.
struct Simulation {
    child: Child,
    folder: TempDir,
    whereabouts: Value,
}

impl Simulation {
    fn start(more: &[&str]) -> Self {
        Self::start_on([Stdio::null(), Stdio::piped(), Stdio::null()], more)
    }

    fn start_on([input, output, complaints]: [Stdio; 3], more: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ready = folder.path().join("ready.json");
        let frames = folder.path().join("frames.jsonl");
        let child = Command::new(env!("CARGO_BIN_EXE_rigor"))
            .args(["simulate", "prism-k1", "--port", "0", "--ready"])
            .arg(&ready)
            .arg("--frames")
            .arg(frames)
            .args(more)
            .stdin(input)
            .stdout(output)
            .stderr(complaints)
            .spawn()
            .unwrap();
        let mut simulation = Simulation { child, folder, whereabouts: Value::Null };
        let text = until("the simulation", || std::fs::read_to_string(&ready).ok());
        simulation.whereabouts = serde_json::from_str(&text).unwrap();
        simulation
    }

    fn port(&self, service: &str) -> u16 {
        let services = self.whereabouts["services"].as_array().unwrap();
        let service = services.iter().find(|known| known["name"] == service).unwrap();
        service["port"].as_u64().unwrap().try_into().unwrap()
    }

    /// A WebSocket, as soon as the device has booted far enough to open one.
    fn open(&self, service: &str, path: &str) -> WebSocket<TcpStream> {
        let port = self.port(service);
        until("a WebSocket", || {
            let socket = TcpStream::connect(("127.0.0.1", port)).ok()?;
            socket.set_read_timeout(Some(PATIENCE)).ok()?;
            tungstenite::client(format!("ws://127.0.0.1:{port}{path}"), socket).ok().map(|(socket, _)| socket)
        })
    }

    /// Waits until a frame of `lane` shows exactly `colours`, six digits a pixel.
    fn shows(&self, lane: &str, colours: &str) {
        let path = self.folder.path().join("frames.jsonl");
        until("the wanted frame", || {
            let text = std::fs::read_to_string(&path).ok()?;
            // What follows the last newline is still being written.
            let (whole, _) = text.rsplit_once('\n')?;
            let mut rows = whole.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
            rows.any(|row| row["lane"] == lane && row["rgb"] == colours).then_some(())
        });
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Its exit code, which it gives soon.
    fn ended(&mut self) -> Option<i32> {
        until("the end", || self.child.try_wait().unwrap()).code()
    }
}

impl Drop for Simulation {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn until<R>(what: &str, mut found: impl FnMut() -> Option<R>) -> R {
    let begun = Instant::now();
    loop {
        match found() {
            Some(found) => return found,
            None if begun.elapsed() < PATIENCE => std::thread::sleep(NAP),
            None => panic!("{what} did not come"),
        }
    }
}

fn crc32(bytes: &[u8]) -> u32 {
    Crc::<u32>::new(&CRC_32_ISO_HDLC).checksum(bytes)
}

/// A frame of profile `f` (specification, section 1.3).
fn tlv(kind: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).unwrap().to_be_bytes();
    let head = [&[kind][..], &length, payload].concat();
    [&head[..], &crc32(&head).to_be_bytes()].concat()
}

fn answer(socket: &mut WebSocket<TcpStream>) -> Vec<u8> {
    loop {
        match socket.read().unwrap() {
            Message::Binary(bytes) => return bytes.to_vec(),
            Message::Close(_) => panic!("the device hung up"),
            _ => {}
        }
    }
}

/// Profile `n` (section 1.2): the device plays what it gets, frames of 320 pixels.
#[test]
fn an_upload_is_played_on_the_wire() {
    let simulation = Simulation::start(&["--console", "none"]);
    let frame: Vec<u8> = (0..2 * LANE_PIXELS).flat_map(|pixel| [0x40, pixel as u8, 0x80]).collect();
    let size = u32::try_from(frame.len()).unwrap();
    let begin = [&[0x01, 4, 0][..], &size.to_le_bytes()].concat();
    let length = u16::try_from(frame.len() + 4).unwrap().to_le_bytes();
    let data = [&[0x02][..], &length, &0_u32.to_le_bytes(), &frame].concat();
    let end = [&[0x03, 4, 0][..], &crc32(&frame).to_le_bytes()].concat();

    let mut socket = simulation.open("n", "/");
    for message in [begin, data, end] {
        socket.send(Message::binary(message)).unwrap();
    }
    let told = answer(&mut socket);
    assert_eq!(told[0], 0x30, "a STATUS: {told:02x?}");
    assert_eq!(told, tlv(0x30, &told[3..told.len() - 4]));

    let hex = |pixels: &[u8]| pixels.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    simulation.shows("leds.0", &hex(&frame[..3 * LANE_PIXELS]));
    simulation.shows("leds.1", &hex(&frame[3 * LANE_PIXELS..]));
}

/// What any client may do to a device: ask what it does not know, and be told so; and echo, which the
/// simulated firmware has for conformance suites.
#[test]
fn both_paths_answer_any_client() {
    let simulation = Simulation::start(&["--console", "none"]);
    let mut socket = simulation.open("f", "/ws");
    socket.send(Message::binary(tlv(0x20, b"\x01\x05ghost"))).unwrap();
    let told = answer(&mut socket);
    assert_eq!(told[..1], [0xFF], "an ERROR: {told:02x?}");
    drop(socket);

    let mut socket = simulation.open("f", "/echo");
    socket.send(Message::text("anybody there?")).unwrap();
    let back = socket.read().unwrap();
    assert_eq!(back.into_text().unwrap().as_str(), "anybody there?");
}

#[test]
fn the_console_is_a_terminal_of_its_own_that_ends_with_the_board() {
    let mut simulation = Simulation::start(&["--console", "pty"]);
    let path = PathBuf::from(simulation.whereabouts["console"].as_str().unwrap());
    let mut console = OpenOptions::new().read(true).write(true).open(&path).unwrap();
    let mut lines = BufReader::new(console.try_clone().unwrap());
    let mut line = String::new();
    while !line.contains("PRISM UART test mode ready") {
        line.clear();
        assert!(lines.read_line(&mut line).unwrap() > 0, "the console ended");
    }
    console.write_all(b"NONSENSE\n").unwrap();
    while !line.starts_with("ERR unknown") {
        line.clear();
        assert!(lines.read_line(&mut line).unwrap() > 0, "the console ended");
    }

    simulation.signal(Signal::TERM);
    assert_eq!(simulation.ended(), Some(0));
    let mut rest = Vec::new();
    // EIO is how Linux says that the other end of a pseudo-terminal is gone.
    let end = lines.read_to_end(&mut rest).map(|_| ()).map_err(|error| error.raw_os_error());
    assert!(matches!(end, Ok(()) | Err(Some(5))), "{end:?}");
    assert!(!path.exists());
}

#[test]
fn ctrl_c_ends_it_and_all_that_it_opened() {
    let mut simulation = Simulation::start(&[]);
    let mut socket = simulation.open("f", "/echo");
    simulation.signal(Signal::INT);
    // By itself: one that is ended by force says so with another code.
    assert_eq!(simulation.ended(), Some(0));
    assert!(socket.read().is_err(), "the client sees the end");
    let refused = TcpStream::connect(("127.0.0.1", simulation.port("f"))).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);

    let mut printed = String::new();
    simulation.child.stdout.take().unwrap().read_to_string(&mut printed).unwrap();
    assert!(printed.contains("PRISM K1 LED Controller"), "the console was here: {printed}");
}

#[test]
fn a_port_that_is_taken_ends_it_with_the_remedy() {
    let simulation = Simulation::start(&["--console", "none"]);
    let taken = format!("f={}", simulation.port("f"));
    let second = Command::new(env!("CARGO_BIN_EXE_rigor"))
        .args(["simulate", "prism-k1", "--port", "0", "--port", &taken])
        .output()
        .unwrap();
    assert_eq!(second.status.code(), Some(2));
    let complaint = String::from_utf8(second.stderr).unwrap();
    assert!(complaint.contains("--port f=PORT"), "{complaint}");
}

/// A terminal of 110 by 42 cells: the end of whoever sits there, and the program's.
fn terminal() -> (OwnedFd, OwnedFd) {
    let sits = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    grantpt(&sits).and_then(|()| unlockpt(&sits)).unwrap();
    let name = ptsname(&sits, Vec::new()).unwrap();
    let runs = rustix::fs::open(name.as_c_str(), OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
    tcsetwinsize(&runs, Winsize { ws_col: 110, ws_row: 42, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
    ioctl_fionbio(&sits, true).unwrap();
    (sits, runs)
}

/// Everything that was drawn and not read yet.
fn drawn(sits: &OwnedFd) -> String {
    let (mut all, mut some) = (Vec::new(), [0; 4096]);
    while let Ok(count) = rustix::io::read(sits, &mut some) {
        all.extend(&some[..count]);
    }
    String::from_utf8_lossy(&all).into_owned()
}

#[test]
fn the_view_gives_the_terminal_back() {
    let (sits, runs) = terminal();
    let before = tcgetattr(&runs).unwrap().local_modes;
    let stdio = || Stdio::from(runs.try_clone().unwrap());
    let mut simulation = Simulation::start_on([stdio(), stdio(), stdio()], &[]);
    let mut seen = String::new();
    until("the LEDs", || {
        seen += &drawn(&sits);
        seen.contains("leds.1").then_some(())
    });
    assert!(seen.contains("\x1b[?1049h"));
    assert_ne!(tcgetattr(&runs).unwrap().local_modes, before, "keys come one by one");

    simulation.signal(Signal::INT);
    let status = until("the end", || {
        seen += &drawn(&sits);
        simulation.child.try_wait().unwrap()
    });
    assert_eq!(status.code(), Some(0));
    seen += &drawn(&sits);
    assert!(seen.contains("\x1b[?1049l") && seen.contains("\x1b[?25h"));
    assert_eq!(tcgetattr(&runs).unwrap().local_modes, before);
}

#[test]
fn a_terminal_that_nobody_reads_keeps_nothing_from_its_end() {
    let (_sits, runs) = terminal();
    let before = tcgetattr(&runs).unwrap().local_modes;
    let stdio = || Stdio::from(runs.try_clone().unwrap());
    let mut simulation = Simulation::start_on([stdio(), stdio(), stdio()], &[]);
    // It goes on meanwhile: a picture that cannot be drawn keeps nobody.
    let mut socket = simulation.open("f", "/echo");
    socket.send(Message::text("still there?")).unwrap();
    simulation.signal(Signal::TERM);
    // By itself, or by force if it was drawing just then.
    let code = simulation.ended();
    assert!(matches!(code, Some(0 | 130)), "{code:?}");
    assert_eq!(tcgetattr(&runs).unwrap().local_modes, before);
}
