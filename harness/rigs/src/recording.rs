//! Recordings: everything that happened on a rig while a case ran on it, so that the case can be
//! judged again with no rig ([`replay`](crate::replay)).
//!
//! A recording is the sequence of operations ([`Op`]) that made the timeline, and of the calls of
//! parts between them with what they returned. Repeated, it makes the same timeline at the same pace,
//! promises and holds included.
//!
//! # The format
//!
//! A magic, a version, and blocks ([`file`]): a header with what the recording is of, any number of
//! blocks of records, and an ending. Each block has a checksum and its head another one, so damage is
//! noticed and named by its place. A file without an ending was cut short; what is whole of it can be
//! read.
//!
//! A record is one of three:
//!
//! | Record | First byte | What follows |
//! |---|---|---|
//! | so many operations are as foreseen | `0x80` + count, `0xFF` if 127 or more | the count less 127 |
//! | a content: bytes that operations refer to | 0 | length, bytes |
//! | an operation that was not foreseen | its tag, + `0x40` if the case did it | lane, time, numbers, as its tag has them |
//!
//! All numbers are varints. Times count from what is known: the clock, or the instant from which the
//! lane is held. Contents are referred to by their distance in the order of writing, or by 0 for "what
//! came after the last one before". Reader and writer foresee the next operation from the last four and
//! the last four steps of the clock, by the same tables. A device that repeats itself, as one that
//! plays pictures does, costs next to nothing; `cargo bench -p rigor-suites --bench recording` prints
//! how much.

mod codec;
mod content;
mod file;
mod hash;
mod op;
pub(crate) mod parts;
mod reader;
mod recorder;
mod token;
mod wire;
mod writer;

#[cfg(test)]
mod tests;

pub use file::{Ending, FirmwareId, Header, LedTable, PartsTable, Stopped};
pub use op::{Call, Digest, Op, Returned, Step};
pub use reader::{End, ReadError, Reader, check};
pub use recorder::{EXTENSION, Kept, Recording, Recordings, path_of};
pub use writer::{Size, WriteError, Writer};
