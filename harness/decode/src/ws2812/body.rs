//! What a frame says, apart from when: its bits, their timing, its defects.

use super::colour::{ColourOrder, Rgb};
use super::timing::{ONE_ABOVE_NS, Timing};

/// Defects that a [`Body`] lists; more are only counted.
pub const MAX_DEFECTS: usize = 32;

/// Bits after the last whole byte.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub struct Tail {
    /// How many: 0 to 7.
    pub bits: u8,
    /// Their value, the last bit of the wire in bit 0.
    pub value: u8,
}

/// Something a frame should not have.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Defect {
    /// At which bit of the frame, the first being 0.
    pub bit: u32,
    /// What.
    pub kind: DefectKind,
}

/// What a frame should not have.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum DefectKind {
    /// The high time of this bit lies outside [`PERMISSIVE`](super::PERMISSIVE), so that a chip may
    /// read it otherwise.
    HighTime {
        /// The high time in nanoseconds.
        ns: u64,
    },
    /// The low after this bit is longer than
    /// [`Config::longest_bit_low`](super::Config::longest_bit_low), so that a chip may take it for
    /// the end of the frame.
    LongLow {
        /// The low time in nanoseconds.
        ns: u64,
    },
    /// While this bit was awaited or under way the source reported an edge to the level that the
    /// wire had already: it missed one in between.
    RepeatedLevel,
}

impl std::fmt::Display for Defect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.kind {
            DefectKind::HighTime { ns } => write!(f, "bit {} is high for {ns} ns", self.bit),
            DefectKind::LongLow { ns } => {
                write!(f, "the wire is low for {ns} ns after bit {}", self.bit)
            }
            DefectKind::RepeatedLevel => write!(f, "an edge is missing at bit {}", self.bit),
        }
    }
}

/// What a frame says, apart from when. Frames of the same pulses may share one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Body {
    /// The whole bytes in wire order.
    pub bytes: Box<[u8]>,
    /// The bits after them.
    pub tail: Tail,
    /// Pulse widths, without the last bit's low.
    pub timing: Timing,
    /// The first [`MAX_DEFECTS`] defects in the order of their bits.
    pub defects: Box<[Defect]>,
    /// All defects, listed or not.
    pub defect_count: u64,
}

impl Body {
    /// All bits of the frame.
    pub fn bits(&self) -> u64 {
        self.bytes.len() as u64 * 8 + u64::from(self.tail.bits)
    }

    /// Bits after the last whole pixel: 0 to 23.
    pub fn incomplete_bits(&self) -> u8 {
        (self.bits() % 24) as u8
    }

    /// The whole pixels in wire order.
    pub fn pixels(&self, order: ColourOrder) -> impl ExactSizeIterator<Item = Rgb> + '_ {
        self.bytes.as_chunks::<3>().0.iter().map(move |&wire| order.from_wire(wire))
    }
}

/// A body that still grows.
#[derive(Clone, Default, Debug)]
pub(super) struct Growing {
    pub(super) bytes: Vec<u8>,
    pub(super) tail: Tail,
    pub(super) timing: Timing,
    defects: Vec<Defect>,
    defect_count: u64,
}

impl Growing {
    pub(super) fn with_capacity(bytes: usize) -> Self {
        Growing { bytes: Vec::with_capacity(bytes), ..Growing::default() }
    }

    pub(super) fn bits(&self) -> u64 {
        self.bytes.len() as u64 * 8 + u64::from(self.tail.bits)
    }

    /// Value of the last bit; `None` before the first.
    pub(super) fn last_bit(&self) -> Option<bool> {
        let byte = if self.tail.bits > 0 { self.tail.value } else { *self.bytes.last()? };
        Some(byte & 1 == 1)
    }

    /// The next bit had this high time.
    pub(super) fn high(&mut self, ns: u64) {
        let one = ns > ONE_ABOVE_NS;
        if !self.timing.add_high(one, ns) {
            self.defect(self.bits(), DefectKind::HighTime { ns });
        }
        self.tail.value = self.tail.value << 1 | u8::from(one);
        self.tail.bits += 1;
        if self.tail.bits == 8 {
            self.bytes.push(self.tail.value);
            self.tail = Tail::default();
        }
    }

    /// The last bit had this low time.
    pub(super) fn low(&mut self, ns: u64, longest_ns: u64) {
        let Some(one) = self.last_bit() else { return };
        self.timing.add_low(one, ns);
        if ns > longest_ns {
            self.defect(self.bits() - 1, DefectKind::LongLow { ns });
        }
    }

    pub(super) fn repeated_level(&mut self) {
        self.defect(self.bits(), DefectKind::RepeatedLevel);
    }

    fn defect(&mut self, bit: u64, kind: DefectKind) {
        self.defect_count += 1;
        if self.defects.len() < MAX_DEFECTS {
            self.defects.push(Defect { bit: u32::try_from(bit).unwrap_or(u32::MAX), kind });
        }
    }

    pub(super) fn freeze(self) -> Body {
        Body {
            bytes: self.bytes.into_boxed_slice(),
            tail: self.tail,
            timing: self.timing,
            defects: self.defects.into_boxed_slice(),
            defect_count: self.defect_count,
        }
    }

    pub(super) fn thaw(body: &Body) -> Self {
        Growing {
            bytes: body.bytes.to_vec(),
            tail: body.tail,
            timing: body.timing,
            defects: body.defects.to_vec(),
            defect_count: body.defect_count,
        }
    }
}
