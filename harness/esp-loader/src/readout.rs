//! The flash's contents on their way to the host: piece by piece, each when the one before it has been
//! acknowledged, and their digest at the end. Only the stub does this.

use md5::{Digest, Md5};

use crate::fault::Faults;
use crate::flash::{FlashChip, SECTOR, within};
use crate::packet::Refusal;
use crate::slip;

/// What is left of a request for the flash's contents.
pub(crate) struct Readout {
    at: u32,
    left: u32,
    piece: u32,
    /// Bytes that were asked for.
    wanted: u32,
    digest: Md5,
}

impl Readout {
    /// By the words of the request: address, length, bytes of a piece, and how many of them may be on their way
    /// at once. Of those, stubs never have more than one, whatever the host allows.
    pub(crate) fn of(
        [at, left, piece, _on_their_way]: [u32; 4],
        flash: &impl FlashChip,
    ) -> Result<Self, Refusal> {
        within(flash, at, left)?;
        // The stub's own buffer; and a piece of nothing would never come to an end.
        if piece == 0 || piece > SECTOR {
            return Err(Refusal::Length);
        }
        Ok(Readout { at, left, piece, wanted: left, digest: Md5::new() })
    }

    /// Sends the first piece. Gives whether there is more to come.
    pub(crate) fn begin(&mut self, flash: &mut impl FlashChip, faults: &Faults, said: &mut Vec<u8>) -> bool {
        if self.wanted == 0 {
            return self.end(faults, said);
        }
        self.send(flash, said)
    }

    /// The host acknowledged: how many bytes it has, as a word. What is not a word ends it all.
    pub(crate) fn go_on(
        &mut self,
        frame: &[u8],
        flash: &mut impl FlashChip,
        faults: &Faults,
        said: &mut Vec<u8>,
    ) -> bool {
        let &[a, b, c, d] = frame else { return self.end(faults, said) };
        if self.left > 0 {
            return self.send(flash, said);
        }
        u32::from_le_bytes([a, b, c, d]) < self.wanted || self.end(faults, said)
    }

    fn send(&mut self, flash: &mut impl FlashChip, said: &mut Vec<u8>) -> bool {
        let count = self.left.min(self.piece);
        let mut bytes = vec![0; count as usize];
        if flash.read(self.at, &mut bytes).is_err() {
            // There is no word for this in the middle of it. The host waits in vain, as it would for a stub.
            return false;
        }
        self.digest.update(&bytes);
        slip::encode(&bytes, said);
        self.at += count;
        self.left -= count;
        true
    }

    fn end(&mut self, faults: &Faults, said: &mut Vec<u8>) -> bool {
        let digest = std::mem::take(&mut self.digest).finalize();
        slip::encode(&faults.digest(digest.into()), said);
        false
    }
}
