//! The whole device: it boots, is talked to, stores a pattern and plays it.

use alloc::vec::Vec;

use embassy_net::{IpEndpoint, Ipv4Address};
use prism_k1::checksum::Crc32;
use prism_k1::pattern::FRAME_BYTES;
use prism_k1::protocol::{framed, seed};
use prism_k1::templates::CATALOGUE;
use prism_k1::{FPS, Options};

use super::computing::Inner;
use crate::client::{Client, Connection};
use crate::clock::count;
use crate::crew::Crew;
use crate::{chip, flash, report};

/// A second, in microseconds.
const SECOND: u64 = 1_000_000;
/// How long the network may want to say something after all is done: what TCP puts off, in microseconds.
const AFTERMATH: u64 = 50_000;

const UPGRADE: &[u8] =
    b"GET /ws HTTP/1.1\r\nHost: 192.168.4.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
const PAGE: &[u8] = b"GET / HTTP/1.1\r\nHost: 192.168.4.1\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\n\
    Accept: text/html\r\nAccept-Language: en\r\nConnection: close\r\n\r\n";
const FORM: &[u8] =
    b"POST /connect HTTP/1.1\r\nHost: 192.168.4.1\r\nContent-Length: 23\r\n\r\nssid=Home&pass=12345678";

/// Bytes of the messages whose cost is counted: of few, and of as many as fit.
const MESSAGES: [u64; 2] = [64, 4096];
/// How many of them.
const REPEATS: usize = 8;

struct Device {
    crew: Crew,
    client: Client,
}

impl Device {
    /// One that has booted for the first time, and has nothing to do.
    fn started() -> Self {
        flash::write_factory(0x8000, &partition_table());
        let crew = Crew::default();
        let client = Client::new(&crew);
        prism_k1::start(chip::peripherals(&crew), Options::default());
        crew.pass(5 * SECOND + 500_000);
        Device { crew, client }
    }

    /// Instructions of task `name` while `act` and what it leads to happen.
    fn taken_by(&mut self, name: &str, act: impl FnOnce(&mut Self)) -> u64 {
        let before = self.crew.taken_by(name);
        act(self);
        self.crew.taken_by(name) - before
    }

    /// Instructions of playback for one frame, now.
    fn frame(&mut self) -> u64 {
        let second = self.taken_by("playback", |device| device.crew.pass(SECOND));
        second / u64::from(FPS)
    }

    /// Instructions of the console's task for `line`, which is to be answered so.
    fn line(&mut self, line: &[u8], answer: &str) -> u64 {
        let instructions = self.taken_by("uart_test", |device| {
            chip::type_in(line);
            device.crew.settle();
        });
        assert!(chip::said(answer), "the console answers something else than {answer}");
        instructions
    }

    /// Instructions of the network's task while `act` and what it leads to happen.
    fn network(&mut self, act: impl FnOnce(&mut Self)) -> u64 {
        self.taken_by("network", |device| {
            act(device);
            device.crew.pass(AFTERMATH);
        })
    }
}

/// One record of a partition table (ESP-IDF's format).
fn partition(kind: [u8; 2], offset: u32, size: u32, name: &[u8]) -> [u8; 32] {
    let mut record = [0; 32];
    record[..4].copy_from_slice(&[0xAA, 0x50, kind[0], kind[1]]);
    record[4..8].copy_from_slice(&offset.to_le_bytes());
    record[8..12].copy_from_slice(&size.to_le_bytes());
    record[12..][..name.len()].copy_from_slice(name);
    record
}

/// The device's (ports/virtual), as far as its firmware looks at it.
fn partition_table() -> Vec<u8> {
    [partition([1, 2], 0x9000, 0x6000, b"nvs"), partition([1, 0x82], 0x32_0000, 0x18_0000, b"littlefs")]
        .concat()
}

/// A message of profile `n`.
fn tlv(kind: u8, value: &[&[u8]]) -> Vec<u8> {
    let value = value.concat();
    [&[kind][..], &(value.len() as u16).to_le_bytes(), &value].concat()
}

/// Counts what the device does.
pub fn count_all(inner: &Inner) {
    let mut device = Device::started();
    let templates: u64 = CATALOGUE.iter().map(|template| u64::from(template.bytes)).sum();
    let provisioned = Stored::of(device.crew.taken_by("storage"), inner, [templates, templates]);
    report::counted("monitor", 1, device.taken_by("heap_monitor", |device| device.crew.pass(SECOND)));
    console(&mut device);
    let dark = device.frame();
    let [bulk, end] = network(&mut device, inner);
    let read = playback(&mut device, inner, dark);
    file_system(&bulk, &provisioned.and(end).and(read));
    device.crew.for_all(report::charged);
}

fn console(device: &mut Device) {
    report::counted("console-line", 1, device.line(b"B 255 0\n", "OK"));
    for characters in [64, 1024] {
        // Nothing is uploaded: what follows the decoding belongs to the storage.
        let line = [&b"DATA 0 "[..], &alloc::vec![b'A'; characters], b"\n"].concat();
        report::counted("base64", characters as u64, device.line(&line, "ERR data"));
    }
}

/// What the storage task did, and the instructions of it that nothing else is charged for.
struct Stored {
    calls: u64,
    programmed: u64,
    instructions: u64,
}

impl Stored {
    /// While `act` and what it leads to happen, in which so many bytes are checked and copied that are charged
    /// by themselves.
    fn while_it(
        device: &mut Device,
        inner: &Inner,
        [checked, copied]: [u64; 2],
        act: impl FnOnce(&mut Device),
    ) -> Self {
        flash::forget();
        let taken = device.taken_by("storage", act);
        Self::of(taken, inner, [checked, copied])
    }

    /// Of `taken` instructions, and all that was noted of the flash.
    fn of(taken: u64, inner: &Inner, [checked, copied]: [u64; 2]) -> Self {
        let flash::Tally { calls, programmed, comparing, .. } = flash::tally();
        let instructions = taken - comparing - inner.crc.each(checked) - inner.copy.each(copied);
        Stored { calls, programmed, instructions }
    }

    fn and(self, other: Self) -> Self {
        Stored {
            calls: self.calls + other.calls,
            programmed: self.programmed + other.programmed,
            instructions: self.instructions + other.instructions,
        }
    }
}

/// Tells what a call of the driver and a programmed byte take in the file system, as two kinds of work show
/// that differ in how much of each they have: `bulk` programs, the `rest` looks for its way.
fn file_system(bulk: &Stored, rest: &Stored) {
    let product = |a: u64, b: u64| i128::from(a) * i128::from(b);
    let part = product(rest.instructions, bulk.programmed) - product(bulk.instructions, rest.programmed);
    let whole = product(rest.calls, bulk.programmed) - product(bulk.calls, rest.programmed);
    let calls = bulk.calls + rest.calls;
    let in_calls = |calls: u64| u64::try_from(i128::from(calls) * part / whole).unwrap_or(0);
    report::counted("flash-call", calls, in_calls(calls));
    report::counted("store", bulk.programmed, bulk.instructions.saturating_sub(in_calls(bulk.calls)));
}

/// A pattern of raw frames that fills the messages of [`MESSAGES`]: what storing it takes, and what ending it
/// does.
fn upload(device: &mut Device, connection: &mut Connection, inner: &Inner) -> [Stored; 2] {
    /// Bytes of a message's type, length and offset.
    const HEAD: u64 = 7;
    let total: u64 = MESSAGES.iter().map(|bytes| (bytes - HEAD) * REPEATS as u64).sum();
    let content: Vec<u8> = (0..total).map(|index| (index % 251) as u8).collect();
    connection.send_message(&tlv(seed::PUT_BEGIN, &[&(total as u32).to_le_bytes()]));
    device.crew.pass(AFTERMATH);
    let bulk = Stored::while_it(device, inner, [total, total], |device| {
        let mut offset = 0;
        for bytes in MESSAGES {
            let mut instructions = 0;
            for _ in 0..REPEATS {
                let end = offset + (bytes - HEAD) as usize;
                let message = tlv(seed::PUT_DATA, &[&(offset as u32).to_le_bytes(), &content[offset..end]]);
                instructions += device.network(|_| connection.send_message(&message));
                offset = end;
            }
            report::counted("net-message", bytes, instructions / REPEATS as u64);
        }
    });
    let flash::Tally { compared, comparing, .. } = flash::tally();
    report::counted("blank", compared, comparing);
    let end = Stored::while_it(device, inner, [0, 0], |device| {
        connection.send_message(&tlv(seed::PUT_END, &[&Crc32::of(&content).to_le_bytes()]));
        connection.expect(&[0x82]);
        device.crew.settle();
    });
    [bulk, end]
}

fn network(device: &mut Device, inner: &Inner) -> [Stored; 2] {
    let mut connection = None;
    let upgrade = device.network(|device| {
        let mut opened = device.client.connect(80);
        opened.send(UPGRADE);
        opened.expect(b"HTTP/1.1 101 ");
        connection = Some(opened);
    });
    report::counted("net-upgrade", 1, upgrade);
    let mut connection = connection.expect("it was opened");
    let stored = upload(device, &mut connection, inner);

    let heartbeat = device.network(|_| connection.send_message(&[]));
    let mut control = [0; 64];
    let mut writer = framed::FrameWriter::new(&mut control, framed::CONTROL);
    writer.bytes(&[0x10, 255, 0, 0]);
    let length = writer.finish().expect("it fits");
    let control = &control[..length];
    let mut answer = Vec::new();
    let answered = device.network(|_| {
        connection.send_message(control);
        answer = connection.expect(&[0x82]);
    });
    assert_eq!(answer.get(2), Some(&framed::STATUS), "the request is refused");
    // What is charged by itself.
    let checked = [control, &answer[2..]].map(|frame| count(|| Crc32::of(core::hint::black_box(frame))));
    report::counted("net-reply", 1, answered - heartbeat - checked.iter().sum::<u64>());

    let page = device.network(|device| {
        let mut connection = device.client.connect(80);
        connection.send(PAGE);
        connection.expect(b"HTTP/1.1 200 ");
        while !connection.receive().is_empty() {}
        connection.close();
    });
    report::counted("net-page", 1, page);
    mdns(device);
    stored
}

fn mdns(device: &mut Device) {
    const GROUP: IpEndpoint =
        IpEndpoint::new(embassy_net::IpAddress::Ipv4(Ipv4Address::new(224, 0, 0, 251)), 5353);
    /// Who offers `_prism._tcp.local`?
    const QUERY: &[u8] = b"\0\0\0\0\0\x01\0\0\0\0\0\0\x06_prism\x04_tcp\x05local\0\0\x0c\0\x01";
    let mut connection = device.client.connect(80);
    connection.send(FORM);
    connection.expect(b"HTTP/1.1 200 ");
    connection.close();
    // It joins the network and announces itself twice.
    device.crew.pass(3 * SECOND);
    let answered = device.network(|device| device.client.ask(GROUP, QUERY));
    report::counted("net-mdns", 1, answered);
}

/// What was uploaded plays since: what reading it takes.
fn playback(device: &mut Device, inner: &Inner, dark: u64) -> Stored {
    let mut lit = 0;
    let frames = u64::from(FPS) * FRAME_BYTES as u64;
    let read = Stored::while_it(device, inner, [0, frames], |device| lit = device.frame());
    assert!(lit > dark, "nothing plays");
    report::counted("frame", 0, dark);
    report::counted("frame", FRAME_BYTES as u64, lit);

    /// Entries of the table of brightness and gamma.
    const ENTRIES: u64 = 256;
    device.line(b"G 220 0\n", "OK");
    // Each frame has another brightness than the one before for as long as it is counted.
    device.line(b"B 0 1100\n", "OK");
    let dimmed = device.frame();
    report::counted("table", 0, lit);
    report::counted("table", ENTRIES, dimmed);
    read
}
