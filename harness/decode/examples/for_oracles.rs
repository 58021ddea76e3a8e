//! Leaves files for other people's programs, and beside them what those have to find in them:
//! `cargo run -p rigor-decode --example for_oracles -- <folder>`.
//!
//! | File | What it is |
//! |---|---|
//! | `leds.sr`, `leds.vcd` | 50 frames of 160 random pixels on two lanes, `leds.0` and `leds.1` |
//! | `leds.sr.0.txt` and so on | the pixels that our decoder finds in that file and lane, a line each |
//! | `console.sr`, `console.vcd` | a console's pin at 115,200 baud |
//! | `console.txt` | the bytes that our decoder finds in both |
//! | `network.pcap` | two connections that speak WebSocket |
//! | `network.txt` | their frames: connection from 0, direction, FIN, opcode, length of the payload |
//!
//! What is found here is compared with what was put in, so an oracle that agrees proves both ways. The
//! scripts in `fixtures/oracles` ask the oracles.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs::File;
use std::io::{BufReader, BufWriter};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rigor_core::connection::{Endpoint, Peer};
use rigor_core::event::{Burst, BytesEncoding, ConnectionId, Direction, Flow, FlowKind, Serial, Symbol};
use rigor_core::{Instant, Kind, Level, Timeline};
use rigor_decode::capture::{Capture, Limits, MAX_EDGES, sigrok, vcd};
use rigor_decode::pcap;
use rigor_decode::uart::{self, BitTime};
use rigor_decode::websocket::{ClientFrame, CloseCode, Opcode, accept_for};
use rigor_decode::ws2812::{self, ColourOrder, Config, Rgb};

const FRAMES: u64 = 50;
const PIXELS: usize = 160;
/// 160 pixels take 4.8 ms, and sigrok's decoder wants 50 us of rest.
const PERIOD_NS: u64 = 5_200_000;
const BAUD: u32 = 115_200;

type Outcome = Result<(), Box<dyn Error>>;

/// Marsaglia's xorshift: the same numbers each time.
struct Random(u64);

impl Random {
    fn byte(&mut self) -> u8 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.to_le_bytes()[3]
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.byte()).collect()
    }
}

fn push(timeline: &Timeline, lane: &str, ns: u64, kind: Kind) -> Outcome {
    Ok(timeline.push(timeline.source(lane), Instant::from_nanos(ns), Duration::ZERO, kind)?)
}

fn main() -> Outcome {
    let folder = std::env::args_os().nth(1).map(PathBuf::from).ok_or("name a folder for the files")?;
    std::fs::create_dir_all(&folder)?;
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    leds(&folder, &mut random)?;
    console(&folder)?;
    network(&folder, &mut random)
}

/// Writes `capture` in both formats, and reads both.
fn leave(
    folder: &Path,
    name: &str,
    capture: &Capture,
) -> Result<[(&'static str, Capture); 2], Box<dyn Error>> {
    let path = |extension: &str| folder.join(format!("{name}.{extension}"));
    let rate = capture.resolving_rate();
    println!("{name}: {} s at {rate}", capture.duration().as_secs_f64());
    sigrok::write(capture, rate, BufWriter::new(File::create(path("sr"))?))?;
    vcd::write(capture, BufWriter::new(File::create(path("vcd"))?))?;
    let limits = Limits::default();
    Ok([
        ("sr", sigrok::read(BufReader::new(File::open(path("sr"))?), &limits)?),
        ("vcd", vcd::read(BufReader::new(File::open(path("vcd"))?), &limits)?),
    ])
}

fn leds(folder: &Path, random: &mut Random) -> Outcome {
    let timeline = Timeline::new();
    let encoding = BytesEncoding {
        zero: Symbol { high_ns: 400, low_ns: 850 },
        one: Symbol { high_ns: 800, low_ns: 450 },
    };
    let mut sent: [Vec<Rgb>; 2] = Default::default();
    for frame in 0..FRAMES {
        for (lane, sent) in sent.iter_mut().enumerate() {
            let bytes = random.bytes(PIXELS * 3);
            let (pixels, _) = bytes.as_chunks::<3>();
            sent.extend(pixels.iter().map(|&wire| ColourOrder::Grb.from_wire(wire)));
            // Lanes need not begin together.
            let at = 100_000 + frame * PERIOD_NS + lane as u64 * 137;
            let burst = Burst { bytes: bytes.into(), encoding, idle: Level::Low };
            push(&timeline, &format!("leds.{lane}"), at, Kind::Burst(burst))?;
        }
    }
    let end = Instant::from_nanos(FRAMES * PERIOD_NS + 400_000);
    let capture = Capture::of_timeline(&timeline, &timeline.sources(), Instant::ZERO..end, MAX_EDGES);
    for (format, capture) in leave(folder, "leds", &capture)? {
        for (lane, sent) in sent.iter().enumerate() {
            let signal = capture.signal(&format!("leds.{lane}"))?;
            let frames = ws2812::decode(signal, capture.end(), Config::strip(PIXELS as u32));
            let pixels: Vec<Rgb> = frames.iter().flat_map(|frame| frame.pixels(ColourOrder::Grb)).collect();
            if frames.len() as u64 != FRAMES || pixels != *sent {
                return Err(format!("leds.{format}: lane {lane} is not what was sent").into());
            }
            let text: String = pixels.iter().map(|pixel| format!("{pixel}\n")).collect();
            std::fs::write(folder.join(format!("leds.{format}.{lane}.txt")), text)?;
        }
    }
    Ok(())
}

fn console(folder: &Path) -> Outcome {
    let timeline = Timeline::new();
    let byte_time = Duration::from_nanos(10_000_000_000 / u64::from(BAUD));
    let mut at = 1_000_000;
    let mut sent = Vec::new();
    for line in 0..20_u32 {
        let mut text =
            format!("I ({}) main: line {line}, with \u{e9} and a tab\t.\r\n", line * 17).into_bytes();
        text.extend((0..=255).skip(line as usize * 12).take(12));
        let bytes: std::sync::Arc<[u8]> = text.clone().into();
        let serial = Serial { direction: Direction::FromDut, bytes, byte_time };
        push(&timeline, "console", at, Kind::Serial(serial))?;
        // Some lines follow at once, some after a pause that is no whole number of bits.
        at += byte_time.as_nanos() as u64 * text.len() as u64 + u64::from(line % 3) * 777_777;
        sent.extend(text);
    }
    let end = Instant::from_nanos(at + 1_000_000);
    let capture = Capture::of_timeline(&timeline, &timeline.sources(), Instant::ZERO..end, MAX_EDGES);
    for (format, capture) in leave(folder, "console", &capture)? {
        let signal = capture.signal("console")?;
        let measured = uart::measure(signal)?;
        if measured.usual_baud() != Some(BAUD) {
            return Err(format!("console.{format}: the rate is measured as {} baud", measured.baud()).into());
        }
        let characters = uart::decode(signal, capture.end(), BitTime::of_baud(BAUD)?);
        let bytes: Vec<u8> = characters.iter().map(|character| character.byte).collect();
        if bytes != sent || characters.iter().any(|character| character.fault.is_some()) {
            return Err(format!("console.{format} is not what was sent").into());
        }
    }
    std::fs::write(folder.join("console.txt"), sent)?;
    Ok(())
}

/// A timeline of connections that speak WebSocket, and what their frames are.
struct Talk {
    timeline: Timeline,
    now: u64,
    /// Bytes to the device, by connection.
    sent: BTreeMap<u32, u64>,
    frames: String,
}

impl Talk {
    fn flow(&mut self, connection: u32, what: FlowKind) -> Outcome {
        self.now += 250_000;
        let flow = Flow { connection: ConnectionId(connection), what };
        push(&self.timeline, "net", self.now, Kind::Flow(flow))
    }

    /// In segments of at most `segment` bytes. The device acknowledges every second of them.
    fn send(&mut self, connection: u32, direction: Direction, bytes: &[u8], segment: usize) -> Outcome {
        for (index, piece) in bytes.chunks(segment).enumerate() {
            self.flow(connection, FlowKind::Data(direction, piece.into()))?;
            if direction == Direction::ToDut {
                let sent = self.sent.entry(connection).or_default();
                *sent += piece.len() as u64;
                let sent = *sent;
                if index % 2 == 1 {
                    self.flow(connection, FlowKind::Acknowledged(sent))?;
                }
            }
        }
        Ok(())
    }

    fn open(&mut self, connection: u32, port: u16) -> Outcome {
        self.now += 1_000_000;
        let endpoint = Endpoint { connection: ConnectionId(connection), peer: Peer::Tcp { port } };
        push(&self.timeline, "harness", self.now, Kind::Action(endpoint.to_string().into()))?;
        self.flow(connection, FlowKind::Opened)?;
        let key = "dGhlIHNhbXBsZSBub25jZQ==";
        let request = format!(
            "GET /ws HTTP/1.1\r\nHost: 192.168.4.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
        );
        self.send(connection, Direction::ToDut, request.as_bytes(), 100)?;
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {}\r\n\r\n",
            accept_for(key)
        );
        self.send(connection, Direction::FromDut, answer.as_bytes(), 1440)
    }

    /// The bytes of `frame`, which is noted.
    fn frame(&mut self, connection: u32, direction: Direction, frame: ClientFrame) -> Vec<u8> {
        let way = if direction == Direction::ToDut { "to-device" } else { "from-device" };
        let (fin, opcode, length) = (u8::from(frame.fin), frame.opcode.number(), frame.payload.len());
        // tshark counts streams from 0.
        self.frames += &format!("{} {way} {fin} {opcode} {length}\n", connection - 1);
        let masked = match direction {
            Direction::ToDut => frame.masked([0x37, 0xFA, 0x21, 0x3D]),
            Direction::FromDut => frame,
        };
        masked.encode()
    }

    fn say(&mut self, connection: u32, direction: Direction, frame: ClientFrame, segment: usize) -> Outcome {
        let bytes = self.frame(connection, direction, frame);
        self.send(connection, direction, &bytes, segment)
    }
}

fn network(folder: &Path, random: &mut Random) -> Outcome {
    use Direction::{FromDut, ToDut};
    let mut talk = Talk { timeline: Timeline::new(), now: 0, sent: BTreeMap::new(), frames: String::new() };
    talk.open(1, 8080)?;
    talk.open(2, 80)?;
    talk.say(1, ToDut, ClientFrame::text("hello"), 1440)?;
    talk.say(1, FromDut, ClientFrame::text("h\u{e9}llo to you"), 1440)?;
    // One of each form of the length, cut into segments of all kinds.
    talk.say(2, ToDut, ClientFrame::binary(random.bytes(125)), 7)?;
    talk.say(2, ToDut, ClientFrame::binary(random.bytes(126)), 1440)?;
    talk.say(1, ToDut, ClientFrame::binary(random.bytes(70_000)), 1440)?;
    talk.say(1, FromDut, ClientFrame::binary(random.bytes(3_000)), 1000)?;
    // A message in pieces, with a ping between them.
    talk.say(1, ToDut, ClientFrame::text("one ").unfinished(), 1440)?;
    talk.say(1, ToDut, ClientFrame::ping("still there?"), 1440)?;
    talk.say(1, FromDut, ClientFrame::pong("still there?"), 1440)?;
    talk.say(1, ToDut, ClientFrame::continuation("two").unfinished(), 1440)?;
    talk.say(1, ToDut, ClientFrame::new(Opcode::CONTINUATION, Vec::new()), 1440)?;
    // Several in one segment, the last of them cut.
    let mut bytes = talk.frame(2, FromDut, ClientFrame::text("a"));
    bytes.extend(talk.frame(2, FromDut, ClientFrame::binary(random.bytes(200))));
    bytes.extend(talk.frame(2, FromDut, ClientFrame::text("")));
    bytes.extend(talk.frame(2, FromDut, ClientFrame::binary(random.bytes(2_000))));
    talk.send(2, FromDut, &bytes, 1440)?;
    for connection in [1, 2] {
        talk.say(connection, ToDut, ClientFrame::close(CloseCode(1000), "done"), 1440)?;
        talk.say(connection, FromDut, ClientFrame::close(CloseCode(1000), ""), 1440)?;
        talk.flow(connection, FlowKind::Finished(FromDut))?;
        talk.flow(connection, FlowKind::Finished(ToDut))?;
    }
    let net = talk.timeline.source("net");
    let file = BufWriter::new(File::create(folder.join("network.pcap"))?);
    let addresses = pcap::Addresses::default();
    let packets = pcap::write(&talk.timeline, &[net], Instant::ZERO..Instant::MAX, addresses, file)?;
    println!("network: {packets} packets");
    std::fs::write(folder.join("network.txt"), talk.frames)?;
    Ok(())
}
