//! The frame of a recording: what a file begins and ends with, and the blocks between.

use std::collections::BTreeMap;

use rigor_core::Fidelity;
use rigor_core::verdict::Verdict;
use serde::{Deserialize, Serialize};

/// A recording begins with it. The first byte and the line's end show a copy that took it for text.
pub(super) const MAGIC: [u8; 8] = *b"\x89RIGREC\n";
/// The version that follows the magic, least significant byte first: what a writer writes.
pub(super) const VERSION: u16 = 3;
/// The oldest version that a reader reads. Version 3 has phases, and what version 2 has besides.
pub(super) const OLDEST: u16 = 2;
/// A block's payload has at most so many bytes: one that is full and a longest content.
pub(super) const MAX_PAYLOAD: usize = 2 << 20;
/// A block holds at most so many operations.
pub(super) const MAX_TOKENS: u32 = 1 << 16;

/// What a block is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum BlockKind {
    /// [`Header`] as TOML.
    Header = b'H' as isize,
    /// Records.
    Data = b'D' as isize,
    /// [`Ending`] as TOML.
    End = b'E' as isize,
}

/// What stands before each payload, all numbers least significant byte first: kind (1 byte),
/// operations (4), length of the payload (4), CRC-32 of the payload (4), CRC-32 of these 13 bytes and
/// the number of the block (4). So a length can be trusted before its payload is there, and a block
/// that is missing or stands elsewhere is noticed.
pub(super) struct BlockHead {
    pub(super) kind: BlockKind,
    pub(super) tokens: u32,
    pub(super) length: u32,
    pub(super) crc: u32,
}

/// Bytes of a [`BlockHead`].
pub(super) const HEAD_BYTES: usize = 17;

/// Whether checksums are not looked at: only in a fuzzer's build, which would never come past them.
pub(super) const UNCHECKED: bool = cfg!(fuzzing);

static CRC: crc::Crc<u32, crc::Table<16>> = crc::Crc::<u32, crc::Table<16>>::new(&crc::CRC_32_ISO_HDLC);

pub(super) fn checksum(payload: &[u8]) -> u32 {
    CRC.checksum(payload)
}

fn head_checksum(head: &[u8], number: u64) -> u32 {
    let mut digest = CRC.digest();
    digest.update(head);
    digest.update(&number.to_le_bytes());
    digest.finalize()
}

impl BlockHead {
    pub(super) fn to_bytes(&self, number: u64) -> [u8; HEAD_BYTES] {
        let mut bytes = [0; HEAD_BYTES];
        bytes[0] = self.kind as u8;
        bytes[1..5].copy_from_slice(&self.tokens.to_le_bytes());
        bytes[5..9].copy_from_slice(&self.length.to_le_bytes());
        bytes[9..13].copy_from_slice(&self.crc.to_le_bytes());
        let crc = head_checksum(&bytes[..13], number);
        bytes[13..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// What `bytes` say, or what is wrong with them.
    pub(super) fn from_bytes(bytes: &[u8; HEAD_BYTES], number: u64) -> Result<Self, &'static str> {
        let word = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        if word(13) != head_checksum(&bytes[..13], number) && !UNCHECKED {
            return Err("the checksum of its head differs");
        }
        let kind = match bytes[0] {
            b'H' => BlockKind::Header,
            b'D' => BlockKind::Data,
            b'E' => BlockKind::End,
            _ => return Err("its kind is unknown"),
        };
        let head = BlockHead { kind, tokens: word(1), length: word(5), crc: word(9) };
        if head.length as usize > MAX_PAYLOAD || head.tokens > MAX_TOKENS {
            return Err("it is larger than a block can be");
        }
        Ok(head)
    }
}

/// What a recording is of.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Header {
    /// The device's name: a suite's system.
    pub system: String,
    /// The case.
    pub case: String,
    /// The rig's name.
    pub rig: String,
    /// The seed of everything random on the rig, in digits: TOML's integers are too short.
    pub seed: String,
    /// What the rig's clock was worth.
    pub fidelity: Fidelity,
    /// The firmware, if the rig knows it.
    pub firmware: Option<FirmwareId>,
    /// The rig file as it was.
    pub rig_file: String,
    /// What was wired to the device.
    pub parts: PartsTable,
}

/// A firmware by name and version.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FirmwareId {
    /// Its name.
    pub name: String,
    /// Its version, as the build states it.
    pub version: String,
}

/// The parts of a rig, each with the lane on which it is observed.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct PartsTable {
    /// The console's lane.
    pub console: Option<u16>,
    /// The supply's.
    pub power: Option<u16>,
    /// Whether there is a reset line.
    pub reset: bool,
    /// Whether there is a flash programmer.
    pub flash: bool,
    /// Where the chip's busy times are.
    pub flash_busy: Option<u16>,
    /// The network's lane.
    pub net: Option<u16>,
    /// The lane of the rig's own Wi-Fi, and that of the network behind it.
    pub air: Option<(u16, u16)>,
    /// Whether there is a view of the device's scheduler.
    pub scheduler: bool,
    /// Whether there is a hand on the device's cores and memory.
    pub stress: bool,
    /// Whether there is an instrument that has to be told which wires to watch.
    pub capture: bool,
    /// Lanes of the wires that the rig can drive, by signal.
    pub pins: BTreeMap<String, u16>,
    /// LED lanes in the order of their pixels.
    pub leds: Vec<LedTable>,
    /// Lanes of gauges, by name.
    pub gauges: BTreeMap<String, u16>,
    /// TCP ports of the device's services, by name.
    pub ports: BTreeMap<String, u16>,
}

/// A lane of LEDs.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LedTable {
    /// Its signal.
    pub signal: String,
    /// Where its bursts and edges are.
    pub lane: u16,
    /// Pixels on it.
    pub pixels: u32,
}

impl Header {
    /// The seed as a number.
    pub fn seed(&self) -> Option<u64> {
        self.seed.parse().ok()
    }
}

/// How a recording ends that was brought to its end.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct Ending {
    /// Why the case was not left to end by itself.
    pub stopped: Option<Stopped>,
}

/// Who ended a case, if not the case itself.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Stopped {
    /// The verdict on all of its requirements.
    pub verdict: Verdict,
    /// The reason.
    pub reason: String,
}
