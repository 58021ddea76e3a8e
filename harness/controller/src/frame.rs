//! Messages become frames on a byte stream, and are found there again.
//!
//! | Bytes | What |
//! |---|---|
//! | 1 | [`PROTOCOL`], first of all so that another version is told from garbage |
//! | at most [`MAX_MESSAGE`] | the message, in `postcard`'s format |
//! | 4 | CRC-32 (ISO-HDLC) of everything before, little-endian |
//!
//! All of it is stuffed (COBS), so that it has no zero, and ends with a zero. After anything that is no
//! frame the next zero is where to begin again. An empty frame says nothing; who opens a line sends one
//! first, to end what others have left there.

use crc::{CRC_32_ISO_HDLC, Crc, Digest, Table};
use postcard::ser_flavors::Flavor;
use serde::{Deserialize, Serialize};

use crate::PROTOCOL;
use crate::message::MAX_PACKED;

/// Bytes of a message at most: packed pulses, and 24 for whatever stands around them.
pub const MAX_MESSAGE: usize = MAX_PACKED + 24;
/// Bytes of a frame at most, with its zero.
pub const MAX_FRAME: usize = cobs::max_encoding_length(PLAIN) + 1;

const CHECKSUM: usize = 4;
/// Bytes without a zero that a single length stands for at most.
const LONGEST_RUN: usize = 254;
/// A whole frame before it is stuffed.
const PLAIN: usize = 1 + MAX_MESSAGE + CHECKSUM;
static CRC: Crc<u32, Table<1>> = Crc::<u32, Table<1>>::new(&CRC_32_ISO_HDLC);

/// Why bytes are no message.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FrameError {
    /// The checksum does not fit, or the frame is too short for one, too long, or wrongly stuffed: it was
    /// damaged, or it was never one.
    #[error("a frame was damaged on its way; look at the cable, and whether somebody else has the port open")]
    Damaged,
    /// The other end speaks another version of the protocol.
    #[error(
        "it speaks version {0} of the protocol, and this program version {ours}; write rigs/controller of this \
         version to it",
        ours = PROTOCOL
    )]
    Version(u8),
    /// A whole frame whose message means nothing.
    #[error(
        "a frame arrived whole and says nothing that is known; write rigs/controller of this version to it"
    )]
    Meaningless,
}

/// The frame of `message`, with its zero, in `out`; `None` if the message is longer than
/// [`MAX_MESSAGE`].
pub fn encode<'a>(message: &impl Serialize, out: &'a mut [u8; MAX_FRAME]) -> Option<&'a [u8]> {
    let mut sealer = Sealer { out, mark: 0, at: 1, plain: 0, checksum: CRC.digest() };
    sealer.take(&[PROTOCOL]);
    let length = postcard::serialize_with_flavor(message, sealer).ok()?;
    out.get(..length)
}

/// Takes a message in as it is put into bytes, and makes a frame of it. A controller does that for a million pulses a
/// second, so no byte of a message is copied before.
struct Sealer<'a> {
    out: &'a mut [u8; MAX_FRAME],
    /// Where the length of the run that is being written goes, and where its next byte does.
    mark: usize,
    at: usize,
    /// Bytes that were taken in.
    plain: usize,
    checksum: Digest<'static, u32, Table<1>>,
}

impl Sealer<'_> {
    /// Takes in what the checksum is of.
    fn take(&mut self, bytes: &[u8]) {
        self.plain += bytes.len();
        self.checksum.update(bytes);
        self.stuff(bytes);
    }

    /// There is room for all bytes of a frame.
    #[inline(never)]
    fn stuff(&mut self, bytes: &[u8]) {
        let (mut mark, mut at) = (self.mark, self.at);
        for &byte in bytes {
            if byte != 0 {
                self.out[at] = byte;
                at += 1;
            }
            // A longest run stands for no zero.
            if byte == 0 || at - mark > LONGEST_RUN {
                self.out[mark] = (at - mark) as u8;
                mark = at;
                at += 1;
            }
        }
        (self.mark, self.at) = (mark, at);
    }
}

impl Flavor for Sealer<'_> {
    /// The length of the frame.
    type Output = usize;

    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.try_extend(&[byte])
    }

    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        if self.plain + bytes.len() > 1 + MAX_MESSAGE {
            return Err(postcard::Error::SerializeBufferFull);
        }
        self.take(bytes);
        Ok(())
    }

    fn finalize(mut self) -> postcard::Result<usize> {
        let checksum = self.checksum.clone().finalize();
        self.stuff(&checksum.to_le_bytes());
        self.out[self.mark] = (self.at - self.mark) as u8;
        self.out[self.at] = 0;
        Ok(self.at + 1)
    }
}

/// Finds frames in a byte stream. Keeps one frame at most, however much garbage comes.
pub struct Deframer {
    frame: [u8; MAX_FRAME],
    length: usize,
}

impl Default for Deframer {
    fn default() -> Self {
        Deframer::new()
    }
}

impl Deframer {
    /// At the beginning of a stream.
    pub const fn new() -> Self {
        Deframer { frame: [0; MAX_FRAME], length: 0 }
    }

    /// Takes `byte` in. At the end of a frame: the frame, to be [opened](Frame::open).
    pub fn take(&mut self, byte: u8) -> Option<Frame<'_>> {
        if byte != 0 {
            if let Some(place) = self.frame.get_mut(self.length) {
                *place = byte;
            }
            // One more than there is room for stands for all that is too long.
            self.length = (self.length + 1).min(MAX_FRAME + 1);
            return None;
        }
        let length = core::mem::take(&mut self.length);
        (length > 0).then(|| Frame { stuffed: self.frame.get_mut(..length) })
    }

    /// Whether a frame has begun and not ended.
    pub const fn is_inside(&self) -> bool {
        self.length > 0
    }
}

/// What stood between two zeros.
pub struct Frame<'a> {
    /// Nothing if it was too long.
    stuffed: Option<&'a mut [u8]>,
}

impl<'a> Frame<'a> {
    /// What it says.
    ///
    /// # Errors
    /// [`FrameError`] if that cannot be said.
    pub fn open<T: Deserialize<'a>>(self) -> Result<T, FrameError> {
        let stuffed = self.stuffed.ok_or(FrameError::Damaged)?;
        let length = cobs::decode_in_place(stuffed).map_err(|_| FrameError::Damaged)?;
        let plain: &'a [u8] = stuffed.get(..length).ok_or(FrameError::Damaged)?;
        let (body, checksum) = plain.split_last_chunk::<CHECKSUM>().ok_or(FrameError::Damaged)?;
        if CRC.checksum(body) != u32::from_le_bytes(*checksum) {
            return Err(FrameError::Damaged);
        }
        let (&version, message) = body.split_first().ok_or(FrameError::Damaged)?;
        if version != PROTOCOL {
            return Err(FrameError::Version(version));
        }
        match postcard::take_from_bytes(message) {
            Ok((message, [])) => Ok(message),
            Ok(_) | Err(_) => Err(FrameError::Meaningless),
        }
    }
}

#[cfg(test)]
mod tests;
