//! What is said: [`Request`]s of the host, each with one [`Answer`], and [`Report`]s of the controller,
//! which come unasked for what it records.

use heapless::{String, Vec};
use serde::{Deserialize, Serialize, Serializer};

use crate::Ticks;
use crate::stepped::{Proceed, Stands};

/// Steps of a [`Waveform`] at most.
pub const MAX_STEPS: usize = 32;
/// Bytes of a [`Transfer`](Said::Transfer) at most; longer ones are cut into several.
pub const MAX_TRANSFER: usize = 256;
/// Bytes of packed pulses in a report at most.
pub const MAX_PACKED: usize = 512;
/// Characters of a [name](Identity::name) at most.
pub const MAX_NAME: usize = 32;

/// One thing that the host wants.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Request {
    /// Repeated in its answer.
    pub id: u16,
    /// What is wanted.
    pub command: Command,
}

/// What a host can want.
#[expect(clippy::large_enum_variant, reason = "a controller has no heap to box a waveform on")]
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Command {
    /// Who is there: answered by [`Answer::Identity`]. Whatever was asked for before ends: no line is
    /// driven any more, nothing is recorded, the next report is the first.
    Identify,
    /// What the clock shows: answered by [`Answer::Clock`].
    ReadClock,
    /// Drive a wire from now on. Answered when it is driven; a waveform on it ends.
    Drive {
        /// The wire.
        wire: Wire,
        /// How.
        drive: Drive,
    },
    /// Drive a wire through a sequence, timed by the controller. Answered when it is taken; each step is
    /// [told](Said::Driven) when it is done.
    Play(Waveform),
    /// Record these from now on, and nothing else.
    Record(Wanted),
    /// Send edges from the loop-back output and record them on its input: answered at once, with the instant from which
    /// `spacing` is counted, and the edges that were seen are told as those of [`LOOP_BACK_INPUT`].
    LoopBack {
        /// How many, at least 1.
        edges: u16,
        /// Ticks between them, and before the first.
        spacing: u32,
    },
    /// Let the device run: answered by [`Answer::Stands`]. For [stepped](Identity::stepped) controllers
    /// only.
    Proceed(Proceed),
}

/// A wire of the device that the controller can drive.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Wire {
    /// An open-drain line, such as a button's, from 0.
    Line(u8),
    /// The reset (EN) of the device: low holds it.
    Reset,
    /// The strap (GPIO0, GPIO9) that makes a reset end in the loader if it is low.
    Boot,
    /// The switch of its supply: high is on.
    Power,
    /// The controller's own pair for checking itself.
    LoopBack,
}

/// How a wire is driven.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Drive {
    /// Pulled to ground.
    Low,
    /// Pulled to the supply. Only [`Wire::Power`] is: everything else belongs to the device, and is refused.
    High,
    /// Not driven.
    Release,
}

/// Logic level of a wire.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Level {
    /// Near ground.
    Low,
    /// Near the supply.
    High,
}

/// A sequence on one wire.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Waveform {
    /// The wire.
    pub wire: Wire,
    /// When it begins; at once if nothing is said, or if that is past.
    pub at: Option<Ticks>,
    /// Its steps. After the last one the wire stays as it is.
    pub steps: Vec<Step, MAX_STEPS>,
}

/// A step of a waveform.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Step {
    /// How the wire is driven.
    pub drive: Drive,
    /// For how long, in ticks.
    pub ticks: u32,
}

/// What is to be recorded. Everything that is, takes its share of the USB.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct Wanted {
    /// Lanes of WS2812 signals: bit 0 is lane 0.
    pub lanes: u8,
    /// Inputs whose edges are told one by one: bit 0 is input 0.
    pub edges: u8,
    /// Transfers on the SPI bus.
    pub bus: bool,
}

/// What the controller says.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Report<'a> {
    /// From 0 since it was identified, and one more each time: what is missing was lost on the way.
    pub sequence: u32,
    /// What it says.
    #[serde(borrow)]
    pub said: Said<'a>,
}

/// What a controller can say.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Said<'a> {
    /// The answer to a request.
    Answer {
        /// The request's.
        id: u16,
        /// What became of it.
        answer: Answer,
    },
    /// Pulses on a lane, without a pause of more than [`IDLE_NANOS`](crate::packed::IDLE_NANOS) between them.
    Pulses {
        /// The lane, from 0.
        lane: u8,
        /// When the first of them rose.
        at: Ticks,
        /// The pulses, as [`packed`](crate::packed) has it; at most [`MAX_PACKED`] bytes.
        #[serde(serialize_with = "whole")]
        packed: &'a [u8],
    },
    /// An input changed.
    Edge {
        /// The input, from 0; [`LOOP_BACK_INPUT`] for the controller's own.
        input: u8,
        /// When.
        at: Ticks,
        /// To this level.
        level: Level,
    },
    /// A wire is driven so from now on.
    Driven {
        /// The wire.
        wire: Wire,
        /// When.
        at: Ticks,
        /// How.
        drive: Drive,
    },
    /// Bytes on the SPI bus, while its chip select was low. A new one begins with each fall of the chip select and each
    /// change of the data/command line, and wherever a controller cuts a long one.
    Transfer {
        /// When the first byte of it was whole; a controller may say so up to a microsecond early or late.
        at: Ticks,
        /// Level of the data/command line: `true` for data.
        data: bool,
        /// The bytes, at most [`MAX_TRANSFER`].
        #[serde(serialize_with = "whole")]
        bytes: &'a [u8],
    },
    /// Something was not recorded.
    Lost {
        /// What was.
        stream: Stream,
        /// From here.
        from: Ticks,
        /// Until here.
        until: Ticks,
    },
    /// All that was recorded before this instant has been said. Comes at least every
    /// [`HEARTBEAT_MILLIS`].
    Complete {
        /// The instant.
        until: Ticks,
    },
}

/// Bytes at once and not one after the other, which says the same and takes a core without a cache far less time.
fn whole<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_bytes(bytes)
}

/// [`Said::Complete`] comes at least so often, in milliseconds.
pub const HEARTBEAT_MILLIS: u32 = 20;

/// The input of the controller's own loop-back pair.
pub const LOOP_BACK_INPUT: u8 = u8::MAX;

/// What can be lost.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Stream {
    /// Pulses of this lane.
    Lane(u8),
    /// Edges of all inputs.
    Edges,
    /// Transfers on the bus.
    Bus,
}

/// What became of a request.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Answer {
    /// Who is there.
    Identity(Identity),
    /// What the clock showed.
    Clock {
        /// When the request was there.
        received: Ticks,
        /// When this answer was made.
        sent: Ticks,
    },
    /// It is done, or begun.
    Done {
        /// When.
        at: Ticks,
    },
    /// Where the device stands still.
    Stands(Stands),
    /// It cannot be done.
    Refused(Refusal),
}

/// Who a controller is, and what it has.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Identity {
    /// What it runs, for people: a name and a version.
    pub name: String<MAX_NAME>,
    /// Its own number.
    pub serial: u64,
    /// Ticks of its clock in a second, which is also how often it looks at a lane.
    pub clock_hz: u32,
    /// Lanes for WS2812 signals.
    pub lanes: u8,
    /// Inputs whose edges it can tell.
    pub inputs: u8,
    /// Open-drain lines.
    pub lines: u8,
    /// It has wires for reset and strap.
    pub has_reset: bool,
    /// It has a switch for the supply.
    pub has_power: bool,
    /// It can listen to an SPI bus.
    pub has_bus: bool,
    /// It has a loop-back pair, which may still lack its jumper.
    pub has_loop_back: bool,
    /// Its clock is a simulated device's, and only moves when the host says so ([`stepped`](crate::stepped)).
    pub stepped: bool,
}

/// Why a request cannot be done.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error, Serialize, Deserialize)]
pub enum Refusal {
    /// There is no such wire, lane or input.
    #[error("it has no such wire; compare the rig file with the pins that the controller has")]
    NoSuchWire,
    /// A wire of the device must never be pulled up by the controller.
    #[error("it pulls no wire of the device up; release the wire, whose own resistor does it")]
    NeverHigh,
    /// A number is out of range.
    #[error("a number of the request is out of range")]
    OutOfRange,
    /// It is busy with the one before.
    #[error("it is busy with what was asked for before; wait until that is done")]
    Busy,
    /// Its clock does not stand still.
    #[error("its clock runs by itself; wait instead")]
    NotStepped,
}
