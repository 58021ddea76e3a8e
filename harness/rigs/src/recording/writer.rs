//! Writes a recording while it happens.

use std::io::{self, Write};
use std::time::Duration;

use rigor_core::{Event, Instant, Kind};

use super::codec::{Encoder, PIECE_BYTES, TooLong};
use super::file::{
    BlockHead, BlockKind, Ending, HEAD_BYTES, Header, MAGIC, MAX_PAYLOAD, MAX_TOKENS, VERSION, checksum,
};
use super::op::{Op, Returned};

/// A block that has grown to this is written, in bytes.
const FULL: usize = 32 << 10;
/// A block that covers this much of the rig's time is written, however small it is: so much of a
/// bench's time is lost if the harness dies.
const SPAN: Duration = Duration::from_secs(10);

/// Why a recording stopped.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The operating system refused.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// An event cannot be written.
    #[error("{0}")]
    TooLong(String),
    /// The header cannot be written.
    #[error("{0}")]
    Header(String),
}

impl From<TooLong> for WriteError {
    fn from(error: TooLong) -> Self {
        WriteError::TooLong(error.to_string())
    }
}

/// How large a recording is.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Size {
    /// Bytes of the file.
    pub bytes: u64,
    /// Operations, those included that only say how to read others.
    pub operations: u64,
    /// Events among them that are bursts.
    pub bursts: u64,
}

/// Writes a recording, block after block. Its memory is bounded, however long the recording is.
pub struct Writer<W: Write> {
    out: W,
    encoder: Encoder,
    blocks: u64,
    /// The rig's time when the block began.
    since: Instant,
    size: Size,
}

impl<W: Write> Writer<W> {
    /// Begins a recording of what `header` says.
    ///
    /// # Errors
    /// [`WriteError`] if `out` refuses, or if the header is longer than a block.
    pub fn new(mut out: W, header: &Header) -> Result<Self, WriteError> {
        let text = toml::to_string(header).map_err(|error| WriteError::Header(error.to_string()))?;
        if text.len() > MAX_PAYLOAD {
            return Err(WriteError::Header("the description of the rig is longer than a block".to_owned()));
        }
        out.write_all(&MAGIC)?;
        out.write_all(&VERSION.to_le_bytes())?;
        let mut size = Size { bytes: (MAGIC.len() + size_of_val(&VERSION)) as u64, ..Size::default() };
        let mut blocks = 0;
        write_block(&mut out, &mut blocks, &mut size, BlockKind::Header, 0, text.as_bytes())?;
        Ok(Writer { out, encoder: Encoder::new(), blocks, since: Instant::ZERO, size })
    }

    /// Appends what a source delivered.
    ///
    /// # Errors
    /// [`WriteError`]; the recording is then of no use beyond its last whole block.
    pub fn event(&mut self, lane: u16, event: &Event, by_case: bool) -> Result<(), WriteError> {
        self.size.bursts += u64::from(matches!(event.kind, Kind::Burst(_)));
        self.encoder.event(lane, event, by_case)?;
        self.block_if_due()
    }

    /// Appends any operation.
    ///
    /// # Errors
    /// As [`Writer::event`].
    pub fn op(&mut self, op: &Op, by_case: bool) -> Result<(), WriteError> {
        if let Op::Event(lane, event) = op {
            return self.event(*lane, event, by_case);
        }
        if let Op::Returned(Returned::Bytes(bytes)) = op {
            return self.returned_bytes(bytes, by_case);
        }
        self.encoder.op(op, by_case)?;
        self.block_if_due()
    }

    /// Appends that a call returned these bytes.
    ///
    /// # Errors
    /// As [`Writer::event`].
    pub fn returned_bytes(&mut self, bytes: &[u8], by_case: bool) -> Result<(), WriteError> {
        for piece in bytes.chunks(PIECE_BYTES) {
            self.encoder.piece(piece)?;
            self.block_if_due()?;
        }
        self.encoder.returned_bytes(bytes.len(), by_case)?;
        self.block_if_due()
    }

    fn block_if_due(&mut self) -> Result<(), WriteError> {
        // An operation adds at most a few tokens.
        let full = self.encoder.size() >= FULL || self.encoder.tokens() >= MAX_TOKENS - 16;
        if full || self.encoder.now().since(self.since) >= SPAN {
            self.data_block()?;
        }
        Ok(())
    }

    fn data_block(&mut self) -> Result<(), WriteError> {
        let tokens = self.encoder.tokens();
        self.since = self.encoder.now();
        self.size.operations += u64::from(tokens);
        if tokens == 0 {
            return Ok(());
        }
        let Writer { out, encoder, blocks, size, .. } = self;
        encoder.take(|payload| write_block(out, blocks, size, BlockKind::Data, tokens, payload))?;
        Ok(())
    }

    /// The rig's time of the last operation.
    pub fn now(&self) -> Instant {
        self.encoder.now()
    }

    /// How large it is so far, up to the last block.
    pub fn size(&self) -> Size {
        self.size
    }

    /// Brings the recording to its end.
    ///
    /// # Errors
    /// [`WriteError`] if the file cannot be completed.
    pub fn finish(mut self, ending: &Ending) -> Result<(W, Size), WriteError> {
        self.data_block()?;
        let text = toml::to_string(ending).map_err(|error| WriteError::Header(error.to_string()))?;
        let Writer { mut out, mut blocks, mut size, .. } = self;
        write_block(&mut out, &mut blocks, &mut size, BlockKind::End, 0, text.as_bytes())?;
        out.flush()?;
        Ok((out, size))
    }
}

fn write_block(
    out: &mut impl Write,
    number: &mut u64,
    size: &mut Size,
    kind: BlockKind,
    tokens: u32,
    payload: &[u8],
) -> io::Result<()> {
    let head = BlockHead { kind, tokens, length: payload.len() as u32, crc: checksum(payload) };
    out.write_all(&head.to_bytes(*number))?;
    out.write_all(payload)?;
    *number += 1;
    size.bytes += (HEAD_BYTES + payload.len()) as u64;
    Ok(())
}
