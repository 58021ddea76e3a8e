//! A box with a toy firmware in it, and a host that has its ports.

// Every test file is a crate of its own and uses a part of this.
#![allow(dead_code)]

use std::fs::File;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::thread::JoinHandle;
use std::time::Duration;

use edge_nal::{Close, TcpAccept, TcpBind, TcpShutdown};
use embedded_io_async::{Read as _, Write as _};
use rigor_bench_box::{BenchBox, Door};
use rigor_board::cpu::TaskSpec;
use rigor_board::{Chip, Firmware};
use rigor_controller::frame::{self, MAX_FRAME};
use rigor_controller::message::{Drive, Level, Wire};
use rigor_controller::packed::unpack;
use rigor_controller::stepped::{Crossed, Proceed, Stands};
use rigor_controller::{Answer, Command, Deframer, Identity, Report, Request, Said, Ticks};
use rigor_core::event::{BytesEncoding, Symbol};
use rigor_rigs::{Firmwares, Order, RigFile};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// A test that hangs fails after this long.
const PATIENCE: Duration = Duration::from_secs(60);
/// Ten bits at 115200 baud, in nanoseconds.
pub(crate) const BYTE: u64 = 86_805;
/// Time of the boot ROM, in nanoseconds.
pub(crate) const BOOT: u64 = 50_000_000;
/// A millisecond in nanoseconds.
pub(crate) const MS: u64 = 1_000_000;

const RIG: &str = "schema = 1\nname = \"toy\"\ndut = \"toy\"\nback_end = \"virtual\"\n\
     [virtual]\nflash_mib = 4\n[console]\nbaud = 115200\n[power]\n[reset]\n[flash]\n\
     [net]\nports = { echo = 80, nothing = 81 }\n\
     [[leds]]\nsignal = \"leds.0\"\npin = 9\npixels = 2\n[[leds]]\nsignal = \"leds.1\"\npin = 10\npixels = 2\n\
     [[pins]]\nsignal = \"button\"\npin = 4\n";

/// Says hello with each start, echoes its console and its port 80, says on which level its button is whenever
/// that changes, and sends six bytes to its LEDs each 10 ms.
struct Toy;

const WS2812: BytesEncoding =
    BytesEncoding { zero: Symbol { high_ns: 400, low_ns: 850 }, one: Symbol { high_ns: 800, low_ns: 450 } };

impl Firmware for Toy {
    fn name(&self) -> &str {
        "toy"
    }
    fn version(&self) -> &str {
        "0"
    }
    fn flash_image(&self) -> Vec<(u32, Vec<u8>)> {
        vec![(0x8000, b"factory".to_vec())]
    }
    fn start(&self, chip: Chip) {
        let spawn = |name, body: std::pin::Pin<Box<dyn Future<Output = ()>>>| {
            chip.tasks().spawn(TaskSpec { name, priority: 1, stack_bytes: 8192, core: 0 }, body);
        };
        let (mut tx, mut rx) = (chip.uart_tx(), chip.uart_rx());
        spawn(
            "console",
            Box::pin(async move {
                let _ = tx.write_all(b"hello").await;
                let mut byte = [0];
                while let Ok(1) = rx.read(&mut byte).await {
                    let _ = tx.write_all(&byte.map(|byte| byte.to_ascii_uppercase())).await;
                }
            }),
        );
        let net = chip.net();
        spawn(
            "server",
            Box::pin(async move {
                let any = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 80));
                let acceptor = net.bind(any).await.expect("it is free");
                loop {
                    let (_, mut socket) = acceptor.accept().await.expect("it listens");
                    let mut buffer = [0; 2000];
                    while let Ok(count) = socket.read(&mut buffer).await
                        && count > 0
                    {
                        let _ = socket.write_all(&buffer[..count]).await;
                    }
                    let _ = socket.close(Close::Write).await;
                }
            }),
        );
        let mut leds = chip.pulse_transmitter(&[9, 10]);
        spawn(
            "leds",
            Box::pin(async move {
                loop {
                    leds.transmit(WS2812, &[&[0xA5, 0, 1, 2, 3, 0xFF], &[7; 6]]).await;
                    embassy_time::Timer::after_millis(10).await;
                }
            }),
        );
    }
}

/// The board of the box by itself, on a virtual rig.
pub(crate) fn virtual_rig() -> rigor_core::Rig {
    let file = RigFile::parse("toy.toml", RIG).expect("a rig file");
    let firmwares = Firmwares::new().with("toy", || Rc::new(Toy));
    let interrupt = Arc::new(AtomicBool::new(false));
    rigor_rigs::take(&Order::new(&file, &firmwares, 1, &interrupt)).expect("a rig")
}

/// A box on a thread of its own, which ends with this.
pub(crate) struct Bench {
    pub(crate) folder: PathBuf,
    pub(crate) doors: Vec<Door>,
    stop: Arc<AtomicBool>,
    wakes: UnixStream,
    thread: Option<JoinHandle<()>>,
    _temporary: tempfile::TempDir,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Bench::waiting(PATIENCE)
    }

    /// One that waits so long for what its host has counted.
    pub(crate) fn waiting(patience: Duration) -> Self {
        let temporary = tempfile::tempdir().expect("a folder");
        let folder = temporary.path().to_owned();
        let stop = Arc::new(AtomicBool::new(false));
        let (wakes, woken) = UnixStream::pair().expect("a pair");
        let (ready, is_ready) = channel();
        let (place, stopped) = (folder.clone(), stop.clone());
        let thread = std::thread::spawn(move || {
            let file = RigFile::parse("toy.toml", RIG).expect("a rig file");
            let firmwares = Firmwares::new().with("toy", || Rc::new(Toy));
            let interrupt = Arc::new(AtomicBool::new(false));
            let doors = [("echo", 80), ("nothing", 81)];
            let doors = doors.map(|(service, device)| Door { service: service.to_owned(), device, here: 0 });
            let board = || rigor_rigs::take(&Order::new(&file, &firmwares, 1, &interrupt));
            let mut bench = BenchBox::open(&place, doors.to_vec(), Box::new(board)).expect("a box");
            bench.wait_at_most(patience);
            ready.send(bench.doors().cloned().collect::<Vec<_>>()).expect("it waits");
            while !stopped.load(Ordering::Relaxed) {
                bench.turn(&woken, &|| stopped.load(Ordering::Relaxed)).expect("it goes on");
            }
        });
        let doors = is_ready.recv_timeout(PATIENCE).expect("a box");
        Bench { folder, doors, stop, wakes, thread: Some(thread), _temporary: temporary }
    }

    /// A connection to a service.
    pub(crate) fn connect(&self, service: &str) -> TcpStream {
        let door = self.doors.iter().find(|door| door.service == service).expect("a service");
        let socket = TcpStream::connect((Ipv4Addr::LOCALHOST, door.here)).expect("a connection");
        socket.set_read_timeout(Some(PATIENCE)).expect("a deadline");
        socket.set_nodelay(true).expect("no delay");
        socket
    }

    /// A host that has identified the controller.
    pub(crate) fn host(&self) -> Host {
        Host::new(&self.folder)
    }

    /// A host whose device has supply, and whose lanes and inputs are recorded.
    pub(crate) fn running(&self) -> Host {
        let mut host = self.host();
        let wanted = rigor_controller::message::Wanted { lanes: 3, edges: 1, bus: false };
        host.done(Command::Record(wanted));
        host.drive(Wire::Power, Drive::High);
        host
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.wakes.write_all(&[0]);
        let ended = self.thread.take().map(JoinHandle::join);
        if !std::thread::panicking() {
            ended.expect("a thread").expect("the box did not panic");
        }
    }
}

/// A report, taken out of its frame.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Told {
    Answer(u16, Answer),
    Pulses { lane: u8, at: u64, pulses: Vec<(u32, u32)> },
    Edge { input: u8, at: u64, level: Level },
    Driven { wire: Wire, at: u64, drive: Drive },
    Complete(u64),
}

/// Who has the serial ports.
pub(crate) struct Host {
    controller: File,
    pub(crate) console: File,
    deframer: Deframer,
    next: std::collections::VecDeque<Told>,
    sequence: u32,
    id: u16,
    pub(crate) identity: Option<Identity>,
    /// What it has put across.
    pub(crate) crossed: Crossed,
    pub(crate) stands: Stands,
    /// What it was told, answers left out.
    pub(crate) told: Vec<Told>,
}

fn open(path: &Path) -> File {
    File::options().read(true).write(true).open(path).expect("a port")
}

/// What comes next, at least a byte.
fn read_some(file: &File) -> Vec<u8> {
    let mut wanted = [PollFd::new(file, PollFlags::IN)];
    let limit = Timespec { tv_sec: PATIENCE.as_secs() as i64, tv_nsec: 0 };
    assert_eq!(poll(&mut wanted, Some(&limit)), Ok(1), "nothing comes");
    let mut bytes = vec![0; 4096];
    let count = (&mut &*file).read(&mut bytes).expect("bytes");
    assert!(count > 0, "the port is gone");
    bytes.truncate(count);
    bytes
}

impl Host {
    fn new(folder: &Path) -> Self {
        let mut host = Host {
            controller: open(&folder.join("controller")),
            console: open(&folder.join("console")),
            deframer: Deframer::new(),
            next: std::collections::VecDeque::new(),
            sequence: 0,
            id: 0,
            identity: None,
            crossed: Crossed::default(),
            stands: Stands { at: Ticks(0), crossed: Crossed::default(), opened: None },
            told: Vec::new(),
        };
        host.controller.write_all(&[0]).expect("it goes");
        let Answer::Identity(identity) = host.ask(Command::Identify) else { panic!("who is it?") };
        host.identity = Some(identity);
        host
    }

    /// Sends a request; its number.
    pub(crate) fn request(&mut self, command: Command) -> u16 {
        self.id += 1;
        let mut out = [0; MAX_FRAME];
        let request = Request { id: self.id, command };
        let framed = frame::encode(&request, &mut out).expect("a frame");
        self.controller.write_all(framed).expect("it goes");
        self.id
    }

    /// Asks and waits for the answer.
    pub(crate) fn ask(&mut self, command: Command) -> Answer {
        let identifies = command == Command::Identify;
        let id = self.request(command);
        loop {
            while self.next.is_empty() {
                for byte in read_some(&self.controller) {
                    let Some(found) = self.deframer.take(byte) else { continue };
                    let Report { sequence, said } = match found.open() {
                        Ok(report) => report,
                        // What was meant for a host before.
                        Err(_) if identifies => continue,
                        Err(error) => panic!("{error}"),
                    };
                    if identifies && sequence == 0 {
                        self.sequence = 0;
                        self.next.clear();
                    }
                    assert!(identifies || sequence == self.sequence, "{sequence} after {}", self.sequence);
                    self.sequence = sequence + 1;
                    self.next.push_back(own(said));
                }
            }
            match self.next.pop_front() {
                Some(Told::Answer(other, answer)) if other == id => return answer,
                Some(other) => self.told.push(other),
                None => {}
            }
        }
    }

    /// Asks for something that is done.
    pub(crate) fn done(&mut self, command: Command) -> u64 {
        match self.ask(command) {
            Answer::Done { at } => at.0,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn drive(&mut self, wire: Wire, drive: Drive) -> u64 {
        self.done(Command::Drive { wire, drive })
    }

    /// Lets the device run up to `until`, or until something happens.
    pub(crate) fn proceed(&mut self, until: u64) -> Stands {
        let proceed = Proceed { until: Ticks(until), crossed: self.crossed };
        match self.ask(Command::Proceed(proceed)) {
            Answer::Stands(stands) => self.stands = stands,
            other => panic!("{other:?}"),
        }
        self.stands
    }

    /// Lets it run up to `until`, whatever happens.
    pub(crate) fn run_to(&mut self, until: u64) {
        while self.proceed(until).at.0 < until {}
    }

    /// Lets the board have what was sent.
    pub(crate) fn hand_over(&mut self) {
        self.proceed(0);
    }

    /// Types on the console.
    pub(crate) fn type_in(&mut self, bytes: &[u8]) {
        self.console.write_all(bytes).expect("it goes");
        self.crossed.console += bytes.len() as u64;
        self.hand_over();
    }

    /// So many bytes of the console.
    pub(crate) fn read_console(&self, count: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        while bytes.len() < count {
            bytes.extend(read_some(&self.console));
        }
        bytes
    }
}

fn own(said: Said<'_>) -> Told {
    match said {
        Said::Answer { id, answer } => Told::Answer(id, answer),
        Said::Pulses { lane, at, packed } => {
            let pulses = unpack(packed).expect("pulses").map(|pulse| (pulse.active, pulse.idle)).collect();
            Told::Pulses { lane, at: at.0, pulses }
        }
        Said::Edge { input, at, level } => Told::Edge { input, at: at.0, level },
        Said::Driven { wire, at, drive } => Told::Driven { wire, at: at.0, drive },
        Said::Complete { until } => Told::Complete(until.0),
        other => panic!("a box has no {other:?}"),
    }
}
