//! Reads a recording, block after block. Its memory is bounded, whatever the file holds.

use std::io::{self, Read};

use rigor_core::Instant;

use super::codec::Decoder;
use super::file::{
    BlockHead, BlockKind, Ending, HEAD_BYTES, Header, MAGIC, OLDEST, UNCHECKED, VERSION, checksum,
};
use super::op::Step;
use super::wire::{Bytes, Unreadable};

/// Why a file cannot be read as a recording.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The operating system refused.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It is something else.
    #[error("it is no recording; name a file that `--record` has left")]
    NoRecording,
    /// It was written by another version of this program.
    #[error(
        "it has version {0} of the format and this program reads versions {OLDEST} to {VERSION}; record the run again"
    )]
    Version(u16),
    /// It ends before it has said what it is of.
    #[error("it was cut short before it says what it is of, after {0} bytes; copy it again")]
    Headless(u64),
    /// A block is not as it was written.
    #[error("block {block} at offset {offset:#x} is damaged: {what}; copy the file again, or record again")]
    Damaged {
        /// The block's number, from 0.
        block: u64,
        /// Where its head begins, in bytes.
        offset: u64,
        /// What is wrong with it.
        what: String,
    },
}

/// Where a recording ends.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum End {
    /// As its writer ended it.
    Whole(Ending),
    /// Earlier: the file, or the process that wrote it, was cut short. What was read up to there is
    /// whole.
    CutShort {
        /// The file's length in bytes.
        length: u64,
    },
}

/// Reads a recording.
pub struct Reader<R: Read> {
    source: R,
    header: Header,
    decoder: Decoder,
    /// The payload of the block under way, and how much of it is read.
    payload: Vec<u8>,
    at: usize,
    cut: bool,
    /// The number of the next block, and where it begins.
    blocks: u64,
    offset: u64,
    end: Option<End>,
}

/// A block as the file holds it.
struct Block {
    head: BlockHead,
    payload: Vec<u8>,
    /// The file ends before the payload does.
    cut: bool,
}

fn damaged(block: u64, offset: u64, what: impl Into<String>) -> ReadError {
    ReadError::Damaged { block, offset, what: what.into() }
}

/// As many bytes as there are, up to the length of `into`.
fn read_up_to(source: &mut impl Read, into: &mut [u8]) -> Result<usize, io::Error> {
    let mut read = 0;
    while read < into.len() {
        match source.read(&mut into[read..]) {
            Ok(0) => break,
            Ok(count) => read += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(read)
}

/// The block at `offset`; `None` where the file ends before its head does.
fn block(source: &mut impl Read, number: u64, offset: u64) -> Result<Option<Block>, ReadError> {
    let mut bytes = [0; HEAD_BYTES];
    if read_up_to(source, &mut bytes)? < HEAD_BYTES {
        return Ok(None);
    }
    let head = BlockHead::from_bytes(&bytes, number).map_err(|what| damaged(number, offset, what))?;
    let mut payload = Vec::new();
    source.take(head.length.into()).read_to_end(&mut payload)?;
    let cut = payload.len() < head.length as usize;
    if !cut && checksum(&payload) != head.crc && !UNCHECKED {
        return Err(damaged(number, offset, "the checksum of its payload differs"));
    }
    Ok(Some(Block { head, payload, cut }))
}

fn text_of<T: serde::de::DeserializeOwned>(payload: &[u8]) -> Result<T, String> {
    let text = std::str::from_utf8(payload).map_err(|_| "it is not UTF-8".to_owned())?;
    toml::from_str(text).map_err(|error| error.message().replace('\n', " "))
}

impl<R: Read> Reader<R> {
    /// Reads what the recording is of.
    ///
    /// # Errors
    /// [`ReadError`] if it is no recording, or one that this program cannot read.
    pub fn open(mut source: R) -> Result<Self, ReadError> {
        let mut start = [0; MAGIC.len() + 2];
        let read = read_up_to(&mut source, &mut start)?;
        let (magic, version) = start.split_at(MAGIC.len());
        if !magic.starts_with(&MAGIC[..read.min(MAGIC.len())]) || read == 0 {
            return Err(ReadError::NoRecording);
        }
        if read < start.len() {
            return Err(ReadError::Headless(read as u64));
        }
        match u16::from_le_bytes([version[0], version[1]]) {
            OLDEST..=VERSION => {}
            other => return Err(ReadError::Version(other)),
        }
        let offset = start.len() as u64;
        let first = block(&mut source, 0, offset)?.ok_or(ReadError::Headless(offset))?;
        let after = offset + (HEAD_BYTES + first.payload.len()) as u64;
        if first.cut {
            return Err(ReadError::Headless(after));
        }
        if first.head.kind != BlockKind::Header {
            return Err(damaged(0, offset, "it does not say what the recording is of"));
        }
        let header = text_of(&first.payload).map_err(|what| damaged(0, offset, what))?;
        Ok(Reader {
            source,
            header,
            decoder: Decoder::new(),
            payload: Vec::new(),
            at: 0,
            cut: false,
            blocks: 1,
            offset: after,
            end: None,
        })
    }

    /// What the recording is of.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The rig's time of the last operation that was read.
    pub fn now(&self) -> Instant {
        self.decoder.now()
    }

    /// Where it ends; `None` until [`next`](Self::next) has said that there is no more.
    pub fn end(&self) -> Option<&End> {
        self.end.as_ref()
    }

    /// The next operation; `None` at the end.
    ///
    /// # Errors
    /// [`ReadError::Damaged`] with the block that is not as it was written.
    #[expect(clippy::should_implement_trait, reason = "an iterator could not fail and go on to its end")]
    pub fn next(&mut self) -> Result<Option<Step>, ReadError> {
        while self.end.is_none() {
            let mut bytes = Bytes::new(&self.payload[self.at..]);
            let step = self.decoder.next(&mut bytes);
            self.at = self.payload.len() - bytes.left();
            match step {
                Ok(Some(step)) => return Ok(Some(step)),
                // What is whole of a block that is cut has been read.
                Ok(None) | Err(Unreadable::Incomplete) if self.cut => self.cut_short(),
                Ok(None) => self.next_block()?,
                Err(error) => {
                    let what = match error {
                        Unreadable::Incomplete => "it ends within an operation",
                        Unreadable::Malformed(what) => what,
                    };
                    let offset = self.offset - (HEAD_BYTES + self.payload.len()) as u64;
                    return Err(damaged(self.blocks - 1, offset, what));
                }
            }
        }
        Ok(None)
    }

    fn cut_short(&mut self) {
        self.end = Some(End::CutShort { length: self.offset });
    }

    fn next_block(&mut self) -> Result<(), ReadError> {
        let (number, offset) = (self.blocks, self.offset);
        let mut probe = Counted { source: &mut self.source, count: 0 };
        let Some(Block { head, payload, cut }) = block(&mut probe, number, offset)? else {
            self.offset += probe.count;
            self.cut_short();
            return Ok(());
        };
        self.offset += probe.count;
        self.blocks += 1;
        match head.kind {
            BlockKind::Header => Err(damaged(number, offset, "it is a second beginning")),
            BlockKind::Data => {
                (self.payload, self.at, self.cut) = (payload, 0, cut);
                self.decoder.begin(head.tokens);
                Ok(())
            }
            BlockKind::End if cut => {
                self.cut_short();
                Ok(())
            }
            BlockKind::End => {
                let ending = text_of(&payload).map_err(|what| damaged(number, offset, what))?;
                if read_up_to(&mut self.source, &mut [0])? > 0 {
                    return Err(damaged(self.blocks, self.offset, "it stands after the end"));
                }
                self.end = Some(End::Whole(ending));
                Ok(())
            }
        }
    }
}

/// Counts what is read.
struct Counted<'a, R> {
    source: &'a mut R,
    count: u64,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.source.read(into)?;
        self.count += read as u64;
        Ok(read)
    }
}

/// Reads all of a recording without looking at what it says, block by block.
///
/// # Errors
/// [`ReadError`] for the first block that is not as it was written. One that is cut short is none.
pub fn check(source: impl Read) -> Result<End, ReadError> {
    let mut reader = Reader::open(source)?;
    while reader.end.is_none() {
        reader.next_block()?;
        if reader.cut {
            reader.cut_short();
        }
    }
    Ok(reader.end.unwrap_or(End::CutShort { length: reader.offset }))
}
