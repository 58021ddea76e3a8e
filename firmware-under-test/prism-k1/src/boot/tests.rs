//! The whole firmware on a chip in memory: boots, uploads, plays, restarts.

use alloc::rc::Rc;
use core::cell::{Cell, RefCell};
use core::convert::Infallible;
use core::future::{Future, poll_fn};
use core::net::Ipv4Addr;
use core::task::Poll;
use std::string::String;
use std::vec::Vec;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use embassy_futures::select::{Either, select};
use embassy_time::{Duration, Instant, Timer, with_timeout};
use embedded_io_async::{ErrorType, Read, Write};
use firmware_platform::{
    AccessPoint, BytesEncoder, Chip, ChipModel, Cpu, HeapStatus, JoinError, Machine, Peripherals,
    PulseTransmitter, StartCause, TaskBody, TaskSpec, Tasks, Wifi,
};

use crate::checksum::Crc32;
use crate::net::memory::{Client, Got, Link, Net};
use crate::protocol::framed::{self, FrameWriter};
use crate::storage::ram_flash::RamFlash;
use crate::testing::run;
use crate::{LANES, Options, start};

struct Fake;

impl Chip<LANES> for Fake {
    type Cpu = FreeCpu;
    type Tasks = Crew;
    type Machine = Roomy;
    type Flash = RamFlash;
    type Leds = Leds;
    type ConsoleRx = ConsoleRx;
    type ConsoleTx = ConsoleTx;
    type Net = Net;
    type Wifi = Air;
}

#[derive(Clone)]
struct FreeCpu;

impl Cpu for FreeCpu {
    fn work(&self, _cycles: u32) {}
}

#[derive(Clone, Default)]
struct Crew {
    bodies: Rc<RefCell<Vec<Option<TaskBody>>>>,
    specs: Rc<RefCell<Vec<TaskSpec>>>,
}

impl Tasks for Crew {
    fn spawn(&self, spec: TaskSpec, body: TaskBody) {
        self.specs.borrow_mut().push(spec);
        self.bodies.borrow_mut().push(Some(body));
    }

    fn for_each(&self, each: &mut dyn FnMut(&TaskSpec, Option<usize>)) {
        for spec in self.specs.borrow().iter() {
            each(spec, Some(spec.stack_bytes / 2));
        }
    }
}

impl Crew {
    /// Runs all tasks, those that are spawned meanwhile too, for ever.
    async fn work(self) {
        poll_fn(|context| {
            let mut index = 0;
            loop {
                // Taken out while it runs, for it may spawn.
                let Some(mut body) = ({
                    let mut bodies = self.bodies.borrow_mut();
                    match bodies.get_mut(index) {
                        Some(place) => place.take(),
                        None => return Poll::Pending,
                    }
                }) else {
                    index += 1;
                    continue;
                };
                if body.as_mut().poll(context).is_pending() {
                    self.bodies.borrow_mut()[index] = Some(body);
                }
                index += 1;
            }
        })
        .await
    }
}

/// Nobody else is on the air.
struct Air;

impl Wifi for Air {
    async fn open(&mut self, access_point: AccessPoint<'_>) -> bool {
        access_point.ssid == "PRISM-SETUP"
    }

    async fn join(&mut self, _ssid: &str, _password: Option<&str>) -> Result<Ipv4Addr, JoinError> {
        Timer::after_secs(2).await;
        Err(JoinError::NotFound)
    }

    async fn lost(&mut self) {}
}

#[derive(Clone)]
struct Roomy;

impl Machine for Roomy {
    fn model(&self) -> ChipModel {
        ChipModel { name: "ESP32-C6", cores: 1, ieee802154: true }
    }

    fn heap(&self) -> HeapStatus {
        HeapStatus {
            total: 300_000,
            free: 200_000,
            minimum_free: 190_000,
            largest_free_block: 180_000,
            allocations: 100,
            frees: 50,
            failures: 0,
        }
    }

    fn start_cause(&self) -> StartCause {
        StartCause::PowerOn
    }

    fn restart(&self) -> ! {
        panic!("nothing restarts")
    }

    fn start_watchdog(&self, _timeout: core::time::Duration) {}

    fn feed_watchdog(&self) {}
}

type Frame = [Vec<u8>; LANES];

#[derive(Clone, Default)]
struct Leds {
    last: Rc<RefCell<Frame>>,
    frames: Rc<Cell<u32>>,
}

impl PulseTransmitter<LANES> for Leds {
    async fn transmit(&mut self, _encoder: &BytesEncoder, lanes: [&[u8]; LANES]) {
        Timer::after_micros(4_800).await;
        *self.last.borrow_mut() = lanes.map(<[u8]>::to_vec);
        self.frames.set(self.frames.get() + 1);
    }
}

struct ConsoleRx(Link);

impl ErrorType for ConsoleRx {
    type Error = Infallible;
}

impl Read for ConsoleRx {
    async fn read(&mut self, into: &mut [u8]) -> Result<usize, Infallible> {
        let read = self.0.until(|wire| {
            let count = into.len().min(wire.to_device.len());
            for (place, byte) in into.iter_mut().zip(wire.to_device.drain(..count)) {
                *place = byte;
            }
            (count > 0).then_some(count)
        });
        Ok(read.await)
    }
}

struct ConsoleTx(Rc<RefCell<Vec<u8>>>);

impl ErrorType for ConsoleTx {
    type Error = Infallible;
}

impl Write for ConsoleTx {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        // 115,200 baud.
        Timer::after_micros(87 * bytes.len() as u64).await;
        self.0.borrow_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    async fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

/// A board that runs, seen from outside.
struct Board {
    net: Net,
    flash: RamFlash,
    leds: Leds,
    console: Link,
    crew: Crew,
    output: Rc<RefCell<Vec<u8>>>,
}

impl Board {
    fn log(&self) -> String {
        String::from_utf8(self.output.borrow().clone()).unwrap()
    }

    async fn until_logged(&self, text: &str) {
        let waited = with_timeout(Duration::from_secs(60), async {
            while !self.log().contains(text) {
                Timer::after_millis(10).await;
            }
        });
        assert!(waited.await.is_ok(), "no {text:?} in:\n{}", self.log());
    }

    /// Sends a command line and gives the answer.
    async fn command(&self, line: &str) -> String {
        let before = self.output.borrow().len();
        self.console.change(|wire| wire.to_device.extend(line.bytes().chain(*b"\n")));
        for _ in 0..6_000 {
            Timer::after_millis(10).await;
            let log = String::from_utf8(self.output.borrow()[before..].to_vec()).unwrap();
            if let Some(answer) =
                log.split_inclusive("\r\n").find(|line| line.starts_with("OK\r") || line.starts_with("ERR "))
            {
                return answer.trim_end().into();
            }
        }
        panic!("no answer to {line:?}");
    }
}

fn record(kind: u8, subtype: u8, offset: u32, size: u32, label: &str) -> [u8; 32] {
    let mut record = [0; 32];
    record[..4].copy_from_slice(&[0xAA, 0x50, kind, subtype]);
    record[4..8].copy_from_slice(&offset.to_le_bytes());
    record[8..12].copy_from_slice(&size.to_le_bytes());
    record[12..12 + label.len()].copy_from_slice(label.as_bytes());
    record
}

fn new_flash() -> RamFlash {
    let flash = RamFlash::new(8 * 1024 * 1024);
    let table = [record(1, 2, 0x9000, 0x6000, "nvs"), record(1, 0x82, 0x32_0000, 0x18_0000, "littlefs")];
    flash.poke(0x8000, &table.concat());
    flash
}

fn with_board<F: Future<Output = ()>>(flash: RamFlash, test: impl FnOnce(Rc<Board>) -> F) {
    let board = Rc::new(Board {
        net: Net::default(),
        flash,
        leds: Leds::default(),
        console: Link::default(),
        crew: Crew::default(),
        output: Rc::default(),
    });
    let peripherals = Peripherals::<LANES, Fake> {
        cpu: FreeCpu,
        tasks: board.crew.clone(),
        machine: Roomy,
        flash: board.flash.clone(),
        leds: board.leds.clone(),
        console_rx: ConsoleRx(board.console.clone()),
        console_tx: ConsoleTx(Rc::clone(&board.output)),
        net: board.net.clone(),
        wifi: Air,
    };
    start(peripherals, Options::default());
    let crew = board.crew.clone();
    run(async {
        match select(crew.clone().work(), test(board)).await {
            Either::First(()) => panic!("the firmware ended"),
            Either::Second(()) => crew.bodies.borrow_mut().clear(),
        }
    });
}

fn seed_message(kind: u8, value: &[u8]) -> Vec<u8> {
    [&[kind][..], &(value.len() as u16).to_le_bytes(), value].concat()
}

fn framed_message(kind: u8, payload: &[u8]) -> Vec<u8> {
    let mut buffer = std::vec![0; payload.len() + framed::OVERHEAD];
    let mut writer = FrameWriter::new(&mut buffer, kind);
    writer.bytes(payload);
    writer.finish().unwrap();
    buffer
}

impl Client {
    /// Sends a whole upload of profile n at once, as its client does.
    fn upload(&mut self, file: &[u8]) {
        self.frame(0x82, &seed_message(1, &(file.len() as u32).to_le_bytes()));
        for (index, chunk) in file.chunks(4089).enumerate() {
            let offset = (index * 4089) as u32;
            self.frame(0x82, &seed_message_data(offset, chunk));
        }
        self.frame(0x82, &seed_message(3, &Crc32::of(file).to_le_bytes()));
    }

    async fn ask(&mut self, kind: u8, payload: &[u8]) -> Vec<u8> {
        self.frame(0x82, &framed_message(kind, payload));
        match self.receive().await {
            Got::Binary(frame) => frame,
            other => panic!("{other:?}"),
        }
    }
}

/// The length field of the longest messages counts the offset too.
fn seed_message_data(offset: u32, chunk: &[u8]) -> Vec<u8> {
    seed_message(2, &[&offset.to_le_bytes(), chunk].concat())
}

fn stored(name: &str) -> Vec<u8> {
    framed::stored(name).to_vec()
}

fn done(detail: core::fmt::Arguments<'_>) -> Vec<u8> {
    framed::done(detail).to_vec()
}

fn raw_pattern(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|at| (at * 7 + at / 960) as u8).collect()
}

#[test]
fn the_boot_log_has_the_order_of_the_specification() {
    with_board(new_flash(), |board| async move {
        board.until_logged("PRISM UART test mode ready\r\n").await;
        let log = board.log();
        let mut rest = log.as_str();
        for line in [
            "PRISM-K1: PRISM K1 LED Controller",
            "PRISM-K1: Firmware: v1.0.0",
            "PRISM-K1: Chip: ESP32-C6\r\n",
            "PRISM-K1: Cores: 1\r\n",
            "PRISM-K1: Features: WiFi BLE 802.15.4\r\n",
            "PRISM-K1: Flash size: 8 MB (external)",
            "PRISM-K1: Free heap: 200000 bytes",
            "PRISM-K1: Initializing memory pools...",
            "POOL: Allocating 57344 bytes for memory pools",
            "POOL: Memory pools initialized successfully",
            "POOL: 4K Pool: 8/8 free (peak usage: 0)",
            "POOL: 1K Pool: 16/16 free (peak usage: 0)",
            "POOL: 256B Pool: 32/32 free (peak usage: 0)",
            "PRISM-K1: NVS initialized (boot 1)",
            "PRISM-K1: TCP/IP stack initialized",
            "PRISM-K1: Event loop created",
            "HEAP_MON: Heap monitor initialized successfully",
            "PRISM-K1: System initialized",
            "PRISM-K1: Initializing firmware components...",
            "network: Initializing network subsystem...",
            "network: No stored credentials, starting captive portal",
            "network: AP mode started: SSID=PRISM-SETUP",
            "network: Network subsystem initialized",
            "storage: Initializing LittleFS at /littlefs",
            "storage: Found partition: offset=0x320000 size=0x180000",
            "storage: Storage subsystem initialized successfully",
            "playback: Initializing playback subsystem (120 FPS target)...",
            "playback: Playback subsystem ready",
            "templates: Initializing template subsystem...",
            "PRISM-K1: All components initialized",
            "PRISM-K1: All tasks created",
            "PRISM-K1: PRISM K1 started successfully!",
        ] {
            let Some(at) = rest.find(line) else { panic!("{line:?} is missing or out of order in:\n{log}") };
            rest = &rest[at + line.len()..];
        }
        assert!(!log.contains("E ("), "{log}");
        assert!(!log.contains("lines dropped"), "{log}");
        assert!(log.lines().all(|line| line.len() < 120));
    });
}

#[test]
fn tasks_have_the_seeds_priorities_and_stacks() {
    with_board(new_flash(), |board| async move {
        board.until_logged("started successfully").await;
        let specs = board.crew.specs.borrow();
        for (name, priority, stack_bytes) in [
            ("main", 1, 8192),
            ("playback", 10, 8192),
            ("network", 5, 8192),
            ("storage", 4, 6144),
            ("templates", 3, 6144),
            ("uart_test", 3, 4096),
            ("heap_monitor", 2, 3072),
            ("stats_report", 1, 2048),
        ] {
            let spec = specs.iter().find(|spec| spec.name == name).unwrap();
            assert_eq!((spec.priority, spec.stack_bytes), (priority, stack_bytes), "{name}");
        }
    });
}

#[test]
fn an_upload_of_the_longest_pattern_is_answered_once_and_plays() {
    with_board(new_flash(), |board| async move {
        board.until_logged("Template provisioning complete").await;
        let mut client = Client::open(&board.net).await;
        let file = raw_pattern(262_144);
        client.upload(&file);
        let began = Instant::now();
        assert_eq!(client.receive().await, Got::Binary(stored("pattern")));
        assert!(began.elapsed() < Duration::from_secs(5));
        let before = board.leds.frames.get();
        Timer::after_secs(1).await;
        assert!((119..=121).contains(&(board.leds.frames.get() - before)));
        // Whatever frame it is, it is one of the file's, in green, red, blue.
        let last = board.leds.last.borrow().clone();
        let shown: Vec<u8> = last.concat().chunks(3).flat_map(|grb| [grb[1], grb[0], grb[2]]).collect();
        assert!(file.chunks_exact(960).any(|frame| frame == shown));
        let status = client.ask(framed::STATUS, &[]).await;
        assert_eq!(status[..3], [framed::STATUS, 0, 18]);
        assert_eq!(status[3..14], [5, 0, 0, 0, b'1', b'.', b'0', b'.', b'0', 0x40, 0x01]);
        let free = u32::from_le_bytes(status[14..18].try_into().unwrap());
        assert!(free > 0 && free < 0x18_0000 - 262_144, "{free}");
    });
}

#[test]
fn a_client_that_leaves_right_after_the_end_is_served() {
    let flash = new_flash();
    with_board(flash.clone(), |board| async move {
        board.until_logged("Template provisioning complete").await;
        let mut client = Client::open(&board.net).await;
        client.upload(&raw_pattern(9600));
        client.finish();
        board.until_logged("PUT_END: Pattern 'pattern' uploaded successfully (9600 bytes)").await;
    });
    // And the file outlives a restart.
    with_board(flash, |board| async move {
        board.until_logged("NVS initialized (boot 2)").await;
        board.until_logged("Template provisioning complete").await;
        let mut client = Client::open(&board.net).await;
        let mut expected = std::vec![0; 64];
        let mut list = framed::ListWriter::new(&mut expected);
        assert!(list.entry("pattern", 9600));
        let len = list.finish().unwrap();
        assert_eq!(client.ask(framed::LIST, &[]).await, expected[..len]);
        assert_eq!(client.ask(framed::CONTROL, b"\x01\x07pattern").await, done(format_args!("pattern")));
        assert_eq!(client.ask(framed::DELETE, b"pattern").await, done(format_args!("pattern")));
        assert_eq!(client.ask(framed::DELETE, b"pattern").await[3], 5);
        assert_eq!(client.ask(framed::LIST, &[]).await[3..5], [0, 0]);
        client.frame(0x82, &framed_message(framed::CONTROL, b"\x01\x07pattern"));
        client.expect_refusal(5, 1008).await;
    });
}

#[test]
fn profile_f_uploads_plays_and_answers() {
    with_board(new_flash(), |board| async move {
        board.until_logged("Template provisioning complete").await;
        let mut client = Client::open(&board.net).await;
        let file = raw_pattern(4800);
        let crc = Crc32::of(&file).to_be_bytes();
        let begin = [b"\x0aTest.prism", &4800u32.to_be_bytes()[..], &crc].concat();
        client.frame(0x82, &framed_message(framed::PUT_BEGIN, &begin));
        for (index, chunk) in file.chunks(4085).enumerate() {
            let offset = (index as u32 * 4085).to_be_bytes();
            client.frame(0x82, &framed_message(framed::PUT_DATA, &[&offset, chunk].concat()));
        }
        assert_eq!(client.ask(framed::PUT_END, &[]).await, stored("testprism"));
        assert_eq!(client.ask(framed::CONTROL, b"\x01\x0aTEST.prism").await, done(format_args!("testprism")));
        assert_eq!(
            client.ask(framed::CONTROL, &[0x10, 128, 0xFF, 0xFF]).await,
            done(format_args!("brightness=128 dur_ms=5000"))
        );
        assert_eq!(
            client.ask(framed::CONTROL, &[0x11, 0, 50, 0, 0]).await,
            done(format_args!("gamma_x100=100 dur_ms=0"))
        );
        assert_eq!(client.ask(framed::CONTROL, b"\x12\x09flow-fall").await, done(format_args!("flow-fall")));
        assert_eq!(client.ask(framed::CONTROL, &[2]).await, done(format_args!("")));
        client.frame(0x82, &framed_message(framed::CONTROL, &[3]));
        client.expect_refusal(1, 1008).await;
    });
}

#[test]
fn every_bad_upload_is_refused_and_leaves_room_for_the_next() {
    with_board(new_flash(), |board| async move {
        board.until_logged("Template provisioning complete").await;
        let begin = |size: u32| seed_message(1, &size.to_le_bytes());
        let cases: [(&[Vec<u8>], u8); 11] = [
            (&[begin(0)], 3),
            (&[begin(262_145)], 3),
            (&[seed_message_data(0, b"x")], 1),
            (&[seed_message(3, &[0; 4])], 1),
            (&[begin(10), begin(10)], 1),
            (&[begin(10), seed_message(3, &[0; 4])], 1),
            (&[begin(10), seed_message_data(0, &[0; 11])], 3),
            (&[begin(10), seed_message_data(0xFFFF_FFF0, &[0; 0x20])], 3),
            (&[begin(10), seed_message_data(1, &[0; 9])], 1),
            (&[begin(1), seed_message_data(0, b"x"), seed_message(3, &[0; 4])], 2),
            (&[std::vec![0x99, 0, 0, 0, 0, 0, 0]], 2),
        ];
        for (messages, code) in cases {
            let mut client = Client::open(&board.net).await;
            for message in messages {
                client.frame(0x82, message);
            }
            client.expect_refusal(code, 1008).await;
        }
        let mut client = Client::open(&board.net).await;
        client.upload(&raw_pattern(960));
        assert_eq!(client.receive().await, Got::Binary(stored("pattern")));
    });
}

#[test]
fn an_upload_that_breaks_off_or_stalls_does_not_block_the_next() {
    with_board(new_flash(), |board| async move {
        board.until_logged("Template provisioning complete").await;
        let mut client = Client::open(&board.net).await;
        let mut other = Client::open(&board.net).await;
        client.frame(0x82, &seed_message(1, &100u32.to_le_bytes()));
        client.frame(0x82, &seed_message_data(0, &[1; 50]));
        Timer::after_millis(100).await;
        // Another's upload does not disturb it.
        other.frame(0x82, &seed_message(1, &100u32.to_le_bytes()));
        other.expect_refusal(1, 1008).await;
        client.frame(0x82, &seed_message_data(50, &[1; 50]));
        client.frame(0x82, &seed_message(3, &Crc32::of(&[1; 100]).to_le_bytes()));
        assert_eq!(client.receive().await, Got::Binary(stored("pattern")));
        // Broken off.
        client.frame(0x82, &seed_message(1, &100u32.to_le_bytes()));
        client.finish();
        Timer::after_millis(100).await;
        let mut client = Client::open(&board.net).await;
        client.upload(&raw_pattern(960));
        assert_eq!(client.receive().await, Got::Binary(stored("pattern")));
        // Stalled.
        client.frame(0x82, &seed_message(1, &100u32.to_le_bytes()));
        Timer::after_millis(6_000).await;
        let mut third = Client::open(&board.net).await;
        third.upload(&raw_pattern(960));
        assert_eq!(third.receive().await, Got::Binary(stored("pattern")));
    });
}

#[test]
fn the_console_answers_truthfully() {
    with_board(new_flash(), |board| async move {
        board.until_logged("PRISM UART test mode ready\r\n").await;
        board.until_logged("Template provisioning complete").await;
        assert_eq!(board.command("STATUS").await, "OK");
        assert_eq!(board.command("PLAY nothing").await, "ERR play");
        assert_eq!(board.command("END").await, "ERR end");
        assert_eq!(board.command("DATA 0 AAAA").await, "ERR data");
        let file = raw_pattern(960);
        let crc = Crc32::of(&file);
        assert_eq!(board.command(&std::format!("BEGIN cable 960 {crc:08x}")).await, "OK");
        assert_eq!(board.command("DATA 0 A").await, "ERR b64");
        let mut text = std::vec![0; 1280];
        STANDARD.encode_slice(&file, &mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        assert_eq!(board.command(&std::format!("DATA 0 {text}")).await, "OK");
        assert_eq!(board.command("END").await, "OK");
        assert_eq!(board.command("PLAY cable").await, "OK");
        assert_eq!(board.command("B 255 0").await, "OK");
        assert_eq!(board.command("G 100 0").await, "OK");
        assert_eq!(board.command("STOP").await, "OK");
        assert_eq!(board.command(&"x".repeat(5000)).await, "ERR line");
        // Left lying, it does not block others.
        assert_eq!(board.command("BEGIN cable 960 0").await, "OK");
        Timer::after_secs(6).await;
        let mut client = Client::open(&board.net).await;
        client.upload(&file);
        assert_eq!(client.receive().await, Got::Binary(stored("pattern")));
    });
}

#[test]
fn statistics_come_every_thirty_seconds() {
    with_board(new_flash(), |board| async move {
        Timer::after_secs(95).await;
        let log = board.log();
        let times: Vec<u64> = log
            .lines()
            .filter(|line| line.contains("========== System Statistics =========="))
            .map(|line| line[3..line.find(')').unwrap()].parse().unwrap())
            .collect();
        assert_eq!(times, [30_000, 60_000, 90_000]);
        for line in [
            "HEAP_MON: === Heap Monitor Statistics ===",
            "HEAP_MON:   Free: 200000 bytes",
            "HEAP_MON:   Min Free: 190000 bytes",
            "HEAP_MON:   Fragmentation: 10%",
            "HEAP_MON: Task Stacks (",
            "HEAP_MON:   playback: 4096 bytes remaining",
            "HEAP_MON:   -10s: free=200000, frag=10%",
            "HEAP_MON:   -1s: free=200000, frag=10%",
            "POOL: === Memory Pool State ===",
        ] {
            assert!(log.contains(line), "{line:?} is missing in:\n{log}");
        }
        assert!(!log.contains("lines dropped"), "{log}");
    });
}
