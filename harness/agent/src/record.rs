//! What the device's wires did, and what it knows of itself, each with the instant at which it began.
//!
//! A record is eight bytes of head (its length, kind, a small argument), eight of instant, and what the
//! kind carries. Records follow each other without gaps, ordered by nothing but when they were written.

/// One thing that happened on the device.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Record<'a> {
    /// A wire began to shift out bytes as pulses.
    Burst {
        /// The pin.
        pin: u8,
        /// Nanoseconds high and low of a 0 bit, then of a 1 bit.
        symbols: [u32; 4],
        /// Most significant bit first.
        bytes: &'a [u8],
    },
    /// The console began to send bytes, back to back.
    Console(&'a [u8]),
    /// The flash chip began to erase.
    Erase {
        /// First cell.
        address: u32,
        /// How long it takes, in nanoseconds.
        duration: u32,
    },
    /// The flash chip began to program.
    Program {
        /// First cell.
        address: u32,
        /// How long it takes, in nanoseconds.
        duration: u32,
        /// What is to stand there.
        bytes: &'a [u8],
    },
    /// The network interface sent a frame.
    Frame(&'a [u8]),
    /// A wire changed.
    Edge {
        /// The pin.
        pin: u8,
        /// Whether it is high now.
        high: bool,
    },
    /// A bus carried bytes to a panel.
    Bus {
        /// Whether the data/command line says data.
        data: bool,
        /// The bytes.
        bytes: &'a [u8],
    },
    /// The firmware gave up, in its own words (UTF-8).
    Crash(&'a [u8]),
    /// A task began to live. Its number is the count of those before it since the start.
    TaskStart {
        /// Its number, as in later records of it.
        number: u8,
        /// The core that it is meant for.
        core: u8,
        /// Higher runs first.
        priority: u8,
        /// Bytes of its stack.
        stack_bytes: u32,
        /// Its name (UTF-8).
        name: &'a [u8],
    },
    /// What the scheduler does with a task.
    TaskState {
        /// The task.
        number: u8,
        /// 0 waits, 1 could run, 2 runs.
        state: u8,
    },
    /// The fewest bytes of a task's stack that were ever free.
    StackFree {
        /// The task.
        number: u8,
        /// Bytes.
        bytes: u32,
    },
    /// The firmware opened an access point.
    AccessPoint {
        /// In the 2.4 GHz band, from 1.
        channel: u8,
        /// The name of its network (UTF-8).
        ssid: &'a [u8],
    },
}

/// Bytes before what the kind carries: length `u16`, kind `u8`, argument `u8`, four more bytes of
/// argument, instant `u64`.
pub const HEAD_BYTES: usize = 16;
/// Bytes of the longest record.
pub const RECORD_MAX: usize = u16::MAX as usize;

const BURST: u8 = 1;
const CONSOLE: u8 = 2;
const ERASE: u8 = 3;
const PROGRAM: u8 = 4;
const FRAME: u8 = 5;
const EDGE: u8 = 6;
const BUS: u8 = 7;
const CRASH: u8 = 8;
const TASK_START: u8 = 9;
const TASK_STATE: u8 = 10;
const STACK_FREE: u8 = 11;
const ACCESS_POINT: u8 = 12;

/// Why bytes are no records.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RecordError {
    /// The last record is cut off, or its length is nonsense.
    #[error("the record at byte {at} says that it has {length} bytes, and {left} are left")]
    Length {
        /// Where it begins.
        at: usize,
        /// What it says.
        length: usize,
        /// What there is.
        left: usize,
    },
    /// No such kind, or one that does not carry this.
    #[error(
        "the record at byte {at} is of kind {kind}, argument {argument}, with {carried} bytes, which means nothing"
    )]
    Kind {
        /// Where it begins.
        at: usize,
        /// Its kind.
        kind: u8,
        /// Its small argument.
        argument: u8,
        /// What it carries.
        carried: usize,
    },
}

/// The parts of a record that make its bytes.
struct Parts<'a> {
    kind: u8,
    argument: u8,
    word: u32,
    words: [u32; 4],
    used_words: usize,
    bytes: &'a [u8],
}

impl<'a> Record<'a> {
    fn parts(&self) -> Parts<'a> {
        let parts =
            |kind, argument, word, bytes| Parts { kind, argument, word, words: [0; 4], used_words: 0, bytes };
        match *self {
            Record::Burst { pin, symbols, bytes } => {
                Parts { words: symbols, used_words: 4, ..parts(BURST, pin, 0, bytes) }
            }
            Record::Console(bytes) => parts(CONSOLE, 0, 0, bytes),
            Record::Erase { address, duration } => {
                Parts { words: [duration, 0, 0, 0], used_words: 1, ..parts(ERASE, 0, address, &[]) }
            }
            Record::Program { address, duration, bytes } => {
                Parts { words: [duration, 0, 0, 0], used_words: 1, ..parts(PROGRAM, 0, address, bytes) }
            }
            Record::Frame(bytes) => parts(FRAME, 0, 0, bytes),
            Record::Edge { pin, high } => parts(EDGE, pin, high.into(), &[]),
            Record::Bus { data, bytes } => parts(BUS, data.into(), 0, bytes),
            Record::Crash(bytes) => parts(CRASH, 0, 0, bytes),
            Record::TaskStart { number, core, priority, stack_bytes, name } => Parts {
                words: [core.into(), priority.into(), 0, 0],
                used_words: 2,
                ..parts(TASK_START, number, stack_bytes, name)
            },
            Record::TaskState { number, state } => parts(TASK_STATE, number, state.into(), &[]),
            Record::StackFree { number, bytes } => parts(STACK_FREE, number, bytes, &[]),
            Record::AccessPoint { channel, ssid } => parts(ACCESS_POINT, channel, 0, ssid),
        }
    }

    /// Bytes that [`write`](Self::write) needs.
    pub fn length(&self) -> usize {
        let parts = self.parts();
        HEAD_BYTES + 4 * parts.used_words + parts.bytes.len()
    }

    /// Writes the record with its instant, in nanoseconds, to the start of `to`; how many bytes that took.
    /// `None` if it does not fit, or is longer than [`RECORD_MAX`]; nothing is written then.
    pub fn write(&self, at: u64, to: &mut [u8]) -> Option<usize> {
        let parts = self.parts();
        let length = self.length();
        let to = to.get_mut(..length)?;
        to[..2].copy_from_slice(&u16::try_from(length).ok()?.to_le_bytes());
        (to[2], to[3]) = (parts.kind, parts.argument);
        to[4..8].copy_from_slice(&parts.word.to_le_bytes());
        to[8..16].copy_from_slice(&at.to_le_bytes());
        let (words, bytes) = to[HEAD_BYTES..].split_at_mut(4 * parts.used_words);
        for (place, word) in words.as_chunks_mut::<4>().0.iter_mut().zip(parts.words) {
            *place = word.to_le_bytes();
        }
        bytes.copy_from_slice(parts.bytes);
        Some(length)
    }
}

/// Reads records; yields each with its instant in nanoseconds, and ends behind the first error.
///
/// ```
/// use rigor_agent::{Record, Records};
///
/// let mut memory = [0; 64];
/// let length = Record::Edge { pin: 4, high: true }.write(17, &mut memory).expect("it fits");
/// let mut records = Records::new(&memory[..length]);
/// assert_eq!(records.next(), Some(Ok((17, Record::Edge { pin: 4, high: true }))));
/// assert_eq!(records.next(), None);
/// ```
#[derive(Clone, Debug)]
pub struct Records<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Records<'a> {
    /// The records in `bytes`, which a device wrote and nobody checked.
    pub fn new(bytes: &'a [u8]) -> Self {
        Records { bytes, at: 0 }
    }

    fn read(&self) -> Result<(usize, u64, Record<'a>), RecordError> {
        let at = self.at;
        let rest = &self.bytes[at..];
        let length = rest.first_chunk().map_or(0, |length| u16::from_le_bytes(*length).into());
        let wrong = RecordError::Length { at, length, left: rest.len() };
        let record = rest.get(..length).filter(|record| record.len() >= HEAD_BYTES).ok_or(wrong)?;
        let word = |from: usize| {
            record.get(from..).and_then(|rest| rest.first_chunk()).map_or(0, |word| u32::from_le_bytes(*word))
        };
        let (kind, argument, first) = (record[2], record[3], word(4));
        let instant = u64::from(word(8)) | u64::from(word(12)) << 32;
        let carried = &record[HEAD_BYTES..];
        let meaningless = RecordError::Kind { at, kind, argument, carried: carried.len() };
        let behind = |words: usize| carried.get(4 * words..).ok_or(meaningless);
        let nothing = |record| if carried.is_empty() { Ok(record) } else { Err(meaningless) };
        let record = match kind {
            BURST => {
                let symbols = [word(16), word(20), word(24), word(28)];
                Record::Burst { pin: argument, symbols, bytes: behind(4)? }
            }
            CONSOLE => Record::Console(carried),
            ERASE if carried.len() == 4 => Record::Erase { address: first, duration: word(16) },
            PROGRAM => Record::Program { address: first, duration: word(16), bytes: behind(1)? },
            FRAME => Record::Frame(carried),
            EDGE if first < 2 => nothing(Record::Edge { pin: argument, high: first == 1 })?,
            BUS if argument < 2 => Record::Bus { data: argument == 1, bytes: carried },
            CRASH => Record::Crash(carried),
            TASK_START if word(16) < 256 && word(20) < 256 => Record::TaskStart {
                number: argument,
                core: word(16) as u8,
                priority: word(20) as u8,
                stack_bytes: first,
                name: behind(2)?,
            },
            TASK_STATE if first < 3 => nothing(Record::TaskState { number: argument, state: first as u8 })?,
            STACK_FREE => nothing(Record::StackFree { number: argument, bytes: first })?,
            ACCESS_POINT => Record::AccessPoint { channel: argument, ssid: carried },
            _ => return Err(meaningless),
        };
        Ok((length, instant, record))
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<(u64, Record<'a>), RecordError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.bytes.len() {
            return None;
        }
        match self.read() {
            Ok((length, instant, record)) => {
                self.at += length;
                Some(Ok((instant, record)))
            }
            Err(error) => {
                self.at = self.bytes.len();
                Some(Err(error))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::vec;
    use std::vec::Vec;

    use super::*;

    const ALL: [Record<'static>; 12] = [
        Record::Burst { pin: 9, symbols: [400, 850, 800, 450], bytes: &[1, 2, 3] },
        Record::Console(b"I (1) a: b\r\n"),
        Record::Erase { address: 0x32_0000, duration: 45_000_000 },
        Record::Program { address: 0x32_0000, duration: 400_000, bytes: &[0; 256] },
        Record::Frame(&[0xFF; 60]),
        Record::Edge { pin: 4, high: false },
        Record::Bus { data: true, bytes: &[0x2C] },
        Record::Crash("gave up".as_bytes()),
        Record::TaskStart { number: 3, core: 1, priority: 10, stack_bytes: 4096, name: b"playback" },
        Record::TaskState { number: 3, state: 2 },
        Record::StackFree { number: 3, bytes: 1000 },
        Record::AccessPoint { channel: 1, ssid: b"PRISM-SETUP" },
    ];

    fn written() -> Vec<u8> {
        let mut memory = vec![0; 4096];
        let mut length = 0;
        for (index, record) in ALL.iter().enumerate() {
            length += record.write(index as u64 * 5_000_000_000, &mut memory[length..]).unwrap();
        }
        memory.truncate(length);
        memory
    }

    #[test]
    fn what_was_written_is_read() {
        let memory = written();
        let read: Vec<_> = Records::new(&memory).map(Result::unwrap).collect();
        let expected: Vec<_> =
            ALL.iter().enumerate().map(|(index, record)| (index as u64 * 5_000_000_000, *record)).collect();
        assert_eq!(read, expected);
    }

    #[test]
    fn what_does_not_fit_is_not_written() {
        let mut memory = [7; 20];
        assert_eq!(Record::Console(&[0; 5]).write(1, &mut memory), None);
        assert_eq!(memory, [7; 20]);
        let mut memory = vec![0; 70_000];
        assert_eq!(Record::Console(&[0; RECORD_MAX]).write(1, &mut memory), None);
    }

    #[test]
    fn a_cut_gives_whole_records_and_one_error() {
        let memory = written();
        for cut in 0..memory.len() {
            let read: Vec<_> = Records::new(&memory[..cut]).collect();
            let whole = read.iter().filter(|record| record.is_ok()).count();
            assert!(read.len() - whole <= 1 && whole < ALL.len(), "{cut}");
        }
    }

    #[test]
    fn scribbled_bytes_end_in_an_error_or_in_records() {
        let good = written();
        let mut state = 1_u32;
        for _ in 0..5000 {
            let mut memory = good.clone();
            for _ in 0..4 {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let at = (state >> 8) as usize % memory.len();
                memory[at] = state as u8;
            }
            assert!(Records::new(&memory).count() <= memory.len() / HEAD_BYTES + 1);
        }
    }
}
