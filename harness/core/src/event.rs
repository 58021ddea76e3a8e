//! What a timeline records.
//!
//! The virtual board, QEMU, a logic analyser and a serial port all deliver these kinds, so that
//! one decoder serves every rig. A shift-out such as a WS2812B frame stays one compact [`Burst`]
//! until somebody asks for its [`edges`](Burst::edges), and so does what an instrument sampled
//! ([`Phases`]).

mod phases;

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use crate::time::{Instant, nanos};

pub use phases::Phases;

/// Logic level of a wire.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Level {
    /// Near ground.
    Low,
    /// Near the supply.
    High,
}

impl std::ops::Not for Level {
    type Output = Level;
    fn not(self) -> Level {
        match self {
            Level::Low => Level::High,
            Level::High => Level::Low,
        }
    }
}

/// Who sent the bytes, seen from the device under test.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Direction {
    /// The rig sent them to the device.
    ToDut,
    /// The device sent them.
    FromDut,
}

/// One thing that one source observed.
#[derive(Clone, PartialEq, Debug)]
pub struct Event {
    /// When it began, on the rig's clock.
    pub at: Instant,
    /// The true instant lies within `at` plus or minus this; zero on the virtual rig.
    pub uncertainty: Duration,
    /// What it was.
    pub kind: Kind,
}

impl Event {
    /// When it ended: `at` for everything that has no length.
    pub fn end(&self) -> Instant {
        match &self.kind {
            Kind::Serial(serial) => self.at + serial.duration(),
            Kind::Burst(burst) => self.at + burst.duration(),
            Kind::Phases(phases) => self.at + phases.duration(),
            Kind::FlashBusy(busy) => self.at + busy.duration,
            Kind::Gap(gap) => self.at + gap.length,
            _ => self.at,
        }
    }
}

/// The kinds of observation. Kept small: a back end translates into these, it does not add to them.
#[derive(Clone, PartialEq, Debug)]
pub enum Kind {
    /// Bytes on a serial line, back to back.
    Serial(Serial),
    /// A wire changed to this level.
    Edge(Level),
    /// A wire shifted out bytes as pulses.
    Burst(Burst),
    /// An instrument sampled a wire for a while.
    Phases(Phases),
    /// A transfer to a panel or another bus device.
    Bus(BusTransfer),
    /// Something on a network connection.
    Flow(Flow),
    /// Something that the rig's radio heard.
    Air(AirEvent),
    /// The flash chip was busy with an operation that changes its contents.
    FlashBusy(FlashBusy),
    /// The value of a quantity from this instant on, for example free bytes of a heap.
    Gauge(u64),
    /// What the harness did, in words.
    Action(Arc<str>),
    /// What happened to the device as a whole.
    Device(DeviceEvent),
    /// Anything a person may want to read.
    Note(Arc<str>),
    /// The source lost data.
    Gap(Gap),
}

/// Bytes on a serial line, sent without a pause between them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Serial {
    /// Who sent them.
    pub direction: Direction,
    /// The bytes, in order of transmission.
    pub bytes: Arc<[u8]>,
    /// Time of one byte with its start and stop bits: 86,805 ns at 115200 8N1.
    pub byte_time: Duration,
}

impl Serial {
    /// From the first start bit to the last stop bit.
    pub fn duration(&self) -> Duration {
        Duration::from_nanos(nanos(self.byte_time).saturating_mul(self.bytes.len() as u64))
    }
}

/// A pulse: `high` for the wire's active level first, then `low`.
///
/// One RMT symbol of the ESP32 (technical reference manual, chapter "Remote Control Peripheral").
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Symbol {
    /// Nanoseconds at [`Level::High`].
    pub high_ns: u32,
    /// Nanoseconds at [`Level::Low`] that follow.
    pub low_ns: u32,
}

impl Symbol {
    /// Length of the pulse with its pause, in nanoseconds.
    pub const fn period_ns(self) -> u64 {
        self.high_ns as u64 + self.low_ns as u64
    }
}

/// How bytes become pulses: most significant bit first, one [`Symbol`] a bit.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct BytesEncoding {
    /// The symbol of a 0 bit.
    pub zero: Symbol,
    /// The symbol of a 1 bit.
    pub one: Symbol,
}

/// Bytes shifted out as pulses, kept compact.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Burst {
    /// The bytes, first byte first, most significant bit first.
    pub bytes: Arc<[u8]>,
    /// Their pulses.
    pub encoding: BytesEncoding,
    /// Level of the wire before and after.
    pub idle: Level,
}

impl Burst {
    /// From the first edge to the end of the last symbol.
    pub fn duration(&self) -> Duration {
        let (words, rest) = self.bytes.as_chunks::<8>();
        let ones: u64 = words.iter().map(|word| u64::from(u64::from_ne_bytes(*word).count_ones())).sum();
        let ones = ones + rest.iter().map(|byte| u64::from(byte.count_ones())).sum::<u64>();
        let zeros = self.bytes.len() as u64 * 8 - ones;
        Duration::from_nanos(ones * self.encoding.one.period_ns() + zeros * self.encoding.zero.period_ns())
    }

    /// The edges of the wire: each with its distance from the start of the burst, in nanoseconds,
    /// and the level it changes to. Two edges a bit.
    pub fn edges(&self) -> impl Iterator<Item = (u64, Level)> + '_ {
        let mut at = 0;
        self.bytes.iter().flat_map(|&byte| (0..8).rev().map(move |bit| byte >> bit & 1 == 1)).flat_map(
            move |bit| {
                let symbol = if bit { self.encoding.one } else { self.encoding.zero };
                let rise = at;
                at += symbol.period_ns();
                [(rise, Level::High), (rise + u64::from(symbol.high_ns), Level::Low)]
            },
        )
    }
}

/// One transfer on a bus such as the SPI of a panel.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BusTransfer {
    /// Level of the data/command line: `true` for data.
    pub data: bool,
    /// The bytes.
    pub bytes: Arc<[u8]>,
}

/// Names a connection, or an endpoint for datagrams, for the whole run; never reused.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ConnectionId(pub u32);

/// Something that the rig's end of a byte-stream connection saw, or its endpoint for datagrams.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Flow {
    /// On which connection.
    pub connection: ConnectionId,
    /// What it was.
    pub what: FlowKind,
}

/// What can happen to a byte-stream connection (TCP, RFC 9293). Of an endpoint for datagrams (UDP)
/// there are [`Opened`](FlowKind::Opened) and [`Data`](FlowKind::Data), one for each datagram.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum FlowKind {
    /// The handshake was completed.
    Opened,
    /// Nothing listens there, or the device refused.
    Refused,
    /// Bytes left the rig for the device, or arrived from it.
    Data(Direction, Arc<[u8]>),
    /// The device acknowledged this many bytes of ours since the connection was opened.
    Acknowledged(u64),
    /// That side sends no more (FIN).
    Finished(Direction),
    /// That side tore the connection down (RST).
    Reset(Direction),
}

/// Something that the rig's radio heard, or that its own access point knows (IEEE 802.11).
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AirEvent {
    /// An access point that is not the rig's began to send beacons.
    Appeared(AccessPoint),
    /// The access point of this name sends none any more.
    Vanished(Arc<str>),
    /// A station joined the rig's own network: associated, and let in if there is a password.
    Joined,
    /// That station was given this address.
    Addressed(Ipv4Addr),
    /// That station is gone, or the rig's network went down under it.
    Left,
}

/// What an access point tells about itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AccessPoint {
    /// The name of its network.
    pub ssid: Arc<str>,
    /// Nobody needs a password.
    pub open: bool,
    /// In the 2.4 GHz band, from 1.
    pub channel: u8,
}

/// An operation that keeps a flash chip busy.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FlashBusy {
    /// What it does.
    pub operation: FlashOperation,
    /// First byte that it concerns.
    pub address: u32,
    /// How many bytes.
    pub length: u32,
    /// How long the chip is busy.
    pub duration: Duration,
}

/// The operations that change a NOR flash.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum FlashOperation {
    /// All bits of whole sectors to 1.
    Erase,
    /// Some bits of a page to 0.
    Program,
}

/// What happened to the device as a whole.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DeviceEvent {
    /// Its supply came up.
    PowerOn,
    /// Its supply went away.
    PowerOff,
    /// It began to run, and why.
    Started(ResetCause),
    /// Its firmware gave up; the text is its own.
    Crashed(Arc<str>),
}

/// Why a device began to run.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ResetCause {
    /// The supply came up.
    PowerOn,
    /// Its reset pin was pulsed.
    Pin,
    /// The firmware asked for it.
    Software,
    /// The firmware gave up.
    Panic,
    /// Its watchdog was not fed in time.
    Watchdog,
}

/// A hole: from the event's instant on, for this long, the source saw nothing it could keep.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Gap {
    /// Length of the hole.
    pub length: Duration,
    /// Why, for people.
    pub reason: Arc<str>,
}
