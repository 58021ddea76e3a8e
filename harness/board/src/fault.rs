//! What can be wrong with a board or its link on purpose, so that a suite can be shown to notice.
//!
//! A fault is given to a [`Board`](crate::Board) before it gets power and stays for good; several add
//! up. Boards have none by themselves. Each kind models something that happens on real benches, and
//! what is random in one comes from the board's seed. In a list of faults a kind is written in
//! kebab case, with its fields beside it: `board = { kind = "slow-flash", factor = 8 }`.

// Kinds without fields have braces nevertheless: serde overlooks a stray field beside a unit variant.

use std::num::NonZeroU32;

use rigor_core::event::Level;
use serde::Deserialize;

/// Something wrong with the board itself.
#[derive(Clone, Copy, PartialEq, Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum BoardFault {
    /// The first two bytes of every pixel change places: a strip that takes red before green.
    ColoursSwapped {},
    /// A wire is shorted, to ground or to the supply: whoever drives it, its level stays.
    LaneStuck {
        /// Number of the pin.
        pin: u8,
        /// What it is shorted to. A wire that is shorted to the supply is high while the board has
        /// power.
        level: Stuck,
    },
    /// Two connectors are swapped: what the chip does with one of the pins appears on the other.
    LanesExchanged {
        /// Numbers of the pins.
        pins: [u8; 2],
    },
    /// A channel of the pulse transmitter begins late, as one that its driver starts by hand from
    /// an interrupt instead of together with the others.
    LaneLate {
        /// Number of the pin.
        pin: u8,
        /// How late, in nanoseconds.
        by_ns: u32,
        /// Every so many bursts of the lane; 1 for each.
        every: NonZeroU32,
    },
    /// A loose contact: every so many pulses of a lane one does not arrive, and the wire stays low
    /// for the whole bit.
    PulseLost {
        /// Number of the pin.
        pin: u8,
        /// One pulse in so many, counted over all bursts of the lane since the board exists.
        every: NonZeroU32,
    },
    /// The pulses of all lanes are longer or shorter than programmed, by a level shifter whose edges
    /// are not equally fast. The low time gives way, so that the bit rate stays.
    PulseWidth {
        /// Added to the high time of a 0, in nanoseconds.
        zero_ns: i32,
        /// Added to the high time of a 1, in nanoseconds.
        one_ns: i32,
    },
    /// A clock of the chip runs fast or slow against the rig's.
    ClockDrift {
        /// Which one.
        clock: Clock,
        /// Parts per million; positive is fast. A crystal of 20,000 ppm is one that oscillates on
        /// the wrong mode or with the wrong load; one that is well has about 20.
        ppm: i32,
    },
    /// The interrupt that refills the pulse transmitter is held up while the flash chip erases or
    /// programs, as on chips that cannot run code from flash meanwhile: the transmitter sends what its
    /// memory holds and then leaves the wire low until the flash is ready.
    TransmitterStarved {},
    /// A worn or cold flash chip: erasing and programming take longer.
    SlowFlash {
        /// How many times as long.
        factor: NonZeroU32,
    },
    /// Cells of the flash chip that always read the same, whatever is erased or programmed.
    FlashBitStuck {
        /// The first byte concerned.
        address: u32,
        /// A further one each so many bytes behind it, to the end of the chip; none by default.
        every: Option<NonZeroU32>,
        /// Which bit of it, 0 to 7; higher ones do not exist and nothing is stuck.
        bit: u8,
        /// What it reads as.
        reads: Bit,
    },
    /// Noise on the console's line: every so many bytes the receiver misses the start bit, begins a bit
    /// late and reads the byte shifted to the right by one, with the stop bit on top.
    ConsoleGarbled {
        /// Which way.
        direction: Way,
        /// One byte in so many, counted since the board exists.
        every: NonZeroU32,
    },
    /// The contact behind a wire that the rig drives bounces: after each press and release it opens and
    /// closes several times, at random instants, before it rests.
    Bounce {
        /// Number of the pin.
        pin: u8,
        /// How often it returns to where it was; each time is two edges.
        returns: u8,
        /// Within how many microseconds it comes to rest.
        within_us: u32,
    },
}

/// What a wire is shorted to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stuck {
    /// Ground.
    Low,
    /// The supply.
    High,
}

impl From<Stuck> for Level {
    fn from(stuck: Stuck) -> Self {
        match stuck {
            Stuck::Low => Level::Low,
            Stuck::High => Level::High,
        }
    }
}

/// What a cell reads as.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bit {
    /// As if programmed: erasing does not raise it.
    Zero,
    /// As if erased: programming does not clear it.
    One,
}

/// A clock of the chip.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Clock {
    /// The crystal, from which all clocks of the chip are made: its cores, timers, boot ROM, pulse
    /// transmitter, console and the bus to the flash. The flash chip times its erasing and
    /// programming by itself, and the link has a clock of its own.
    Crystal,
    /// The console's divider alone, as one that is set for another source clock.
    Console,
    /// The pulse transmitter's divider alone.
    Pulses,
}

/// A direction between the rig and the device.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// From the rig.
    ToDevice,
    /// To the rig.
    FromDevice,
}

/// Something wrong with the link between the rig and the device. Counts of bytes are those of the
/// payload on one connection, since it was opened.
#[derive(Clone, Copy, PartialEq, Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum LinkFault {
    /// Of every connection one byte disappears, although both ends count it: a proxy or a driver that
    /// loses what TCP has delivered.
    ByteDropped {
        /// Which way.
        direction: Way,
        /// Which byte, from 1.
        nth: u64,
    },
    /// Of every connection one byte arrives with its lowest bit inverted: damage that a checksum of 16
    /// bits did not see, or memory that fails.
    ByteCorrupted {
        /// Which way.
        direction: Way,
        /// Which byte, from 1.
        nth: u64,
    },
    /// Every connection is torn down (RST to both ends) once it has carried this many bytes to the
    /// device: an access point that forgets its client.
    Reset {
        /// Bytes to the device before the reset.
        after_bytes: u64,
    },
    /// The link stands still, both ways and for all connections, each time a connection has carried
    /// this many bytes to the device: a radio that changes its channel.
    Stall {
        /// Bytes to the device before the stall.
        after_bytes: u64,
        /// How long, in milliseconds.
        for_ms: u32,
    },
    /// Every so many segments to the device one is delivered after its successor, or
    /// [`REORDERED_AFTER`](crate::net::REORDERED_AFTER) later if none comes: a stack that does not
    /// sort what the radio sends again.
    Reordered {
        /// One segment in so many, counted on each connection.
        every: NonZeroU32,
    },
    /// Nothing passes on a connection any more, and neither end is told, once it has carried this many
    /// bytes to the device: a client that left the Wi-Fi, or a router that forgot the address.
    HalfOpen {
        /// Bytes to the device before that.
        after_bytes: u64,
    },
    /// A crowded channel: the link carries less than the rig file says.
    Slow {
        /// What it carries each way.
        bits_per_second: u32,
    },
    /// A firewall: every connection is refused, and the device does not hear of it.
    Refuses {},
}
