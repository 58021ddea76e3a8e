//! A loader that listens: what it was told so far, and what it does with the next request.

use md5::{Digest, Md5};

use crate::chip::Chip;
use crate::download::{Announcement, Download};
use crate::fault::Faults;
use crate::flash::{FlashChip, SECTOR, within};
use crate::loader::Departure;
use crate::packet::{Answer, Dialect, Operation, Refusal, Request, words};
use crate::readout::Readout;
use crate::registers::Registers;

/// Answers to a `SYNC`.
const SYNC_ANSWERS: usize = 8;
/// What a `SYNC` carries: these, and 32 times 0x55.
const SYNC_HEAD: [u8; 4] = [0x07, 0x07, 0x12, 0x20];
/// The value of the ROM's answer to it: the same word. A stub's is 0, by which tools know it.
const SYNC_VALUE: u32 = 0x2012_0707;
/// Bytes that `READ_FLASH_SLOW` gives, however few were asked for.
const SLOW_BYTES: usize = 64;
/// Read at once for a digest.
const DIGEST_CHUNK: usize = SECTOR as usize;
/// How many pieces of a program in RAM are remembered.
const MAX_PIECES: usize = 64;

/// A loader that listens.
pub(crate) struct Session {
    dialect: Dialect,
    /// The flash is not connected to its controller until the host says so. A stub connects it itself.
    attached: bool,
    download: Option<Download>,
    /// Where the next block of a program in RAM goes, and how much of it is left.
    upload: Option<(u32, u32)>,
    /// First address and length of what has been loaded into RAM.
    loaded: Vec<(u32, u32)>,
    readout: Option<Readout>,
}

/// What comes after a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Next {
    Listen,
    Stub,
    Depart(Departure),
}

/// What a request came to.
pub(crate) struct Done {
    pub(crate) answers: Vec<Answer>,
    pub(crate) next: Next,
}

impl From<Answer> for Done {
    fn from(answer: Answer) -> Self {
        Done { answers: vec![answer], next: Next::Listen }
    }
}

impl Done {
    fn silently(next: Next) -> Self {
        Done { answers: Vec::new(), next }
    }

    fn then(next: Next) -> Self {
        Done { answers: vec![Answer::default()], next }
    }
}

impl Session {
    /// The loader in ROM.
    pub(crate) fn rom() -> Self {
        Self::new(Dialect::Rom)
    }

    /// The stub.
    pub(crate) fn stub() -> Self {
        Session { attached: true, ..Self::new(Dialect::Stub) }
    }

    fn new(dialect: Dialect) -> Self {
        Session { dialect, attached: false, download: None, upload: None, loaded: Vec::new(), readout: None }
    }

    pub(crate) fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Whether the next frame is no request, but the word that a piece of the flash has come.
    pub(crate) fn is_reading(&self) -> bool {
        self.readout.is_some()
    }

    /// The host says how much of the flash has come.
    pub(crate) fn acknowledged(
        &mut self,
        frame: &[u8],
        flash: &mut impl FlashChip,
        faults: &Faults,
        said: &mut Vec<u8>,
    ) {
        let goes_on = self.readout.as_mut().is_some_and(|readout| readout.go_on(frame, flash, faults, said));
        if !goes_on {
            self.readout = None;
        }
    }

    /// Sends the first piece, if the last request was for the flash's contents.
    pub(crate) fn begin_reading(&mut self, flash: &mut impl FlashChip, faults: &Faults, said: &mut Vec<u8>) {
        let goes_on = self.readout.as_mut().is_some_and(|readout| readout.begin(flash, faults, said));
        if !goes_on {
            self.readout = None;
        }
    }

    pub(crate) fn serve(
        &mut self,
        operation: Operation,
        request: &Request,
        chip: Chip,
        registers: &mut Registers,
        flash: &mut impl FlashChip,
        faults: &Faults,
    ) -> Result<Done, Refusal> {
        let answer = match operation {
            Operation::Sync => return self.sync(request),
            Operation::MemEnd => return self.mem_end(request),
            Operation::FlashEnd | Operation::FlashDeflEnd => return self.flash_end(request),
            Operation::RunUserCode => {
                self.only(Dialect::Stub)?;
                return Ok(Done::silently(Next::Depart(Departure::Application)));
            }
            Operation::ReadReg => {
                let [address] = request.words()?;
                Answer::value(registers.read(address))
            }
            Operation::WriteReg => write_registers(request, registers)?,
            Operation::GetSecurityInfo => {
                let [] = request.words()?;
                security_info(chip)
            }
            Operation::SpiAttach => {
                // The ROM's has a second word, which says nothing here.
                words::<1>(request.payload()?)?;
                self.attached = true;
                Answer::default()
            }
            Operation::SpiSetParams => {
                let [_id, _size, _block, _sector, _page, _mask] = request.words()?;
                Answer::default()
            }
            Operation::ChangeBaudrate => {
                // A pseudo-terminal has every speed.
                let [_new, _old] = request.words()?;
                Answer::default()
            }
            Operation::MemBegin => {
                let [size, _blocks, _block_size, address] = request.words()?;
                self.upload = Some((address, size));
                Answer::default()
            }
            Operation::MemData => self.mem_data(request)?,
            Operation::FlashBegin => {
                let said = self.announcement(request)?;
                self.download = Some(Download::plain(self.dialect, said, flash)?);
                Answer::default()
            }
            Operation::FlashDeflBegin => {
                let said = self.announcement(request)?;
                self.download = Some(Download::deflated(self.dialect, said, flash)?);
                Answer::default()
            }
            Operation::FlashData | Operation::FlashDeflData => {
                let block = request.block()?;
                self.download.as_mut().ok_or(Refusal::OutOfOrder)?.take(block, flash)?;
                Answer::default()
            }
            Operation::SpiFlashMd5 => self.digest(request, flash, faults)?,
            Operation::ReadFlashSlow => {
                self.only(Dialect::Rom)?;
                self.slowly(request, flash)?
            }
            Operation::ReadFlash => {
                self.only(Dialect::Stub)?;
                self.readout = Some(Readout::of(request.words()?, flash)?);
                Answer::default()
            }
            Operation::EraseFlash => {
                self.only(Dialect::Stub)?;
                let [] = request.words()?;
                erase(flash, 0, flash.size())?
            }
            Operation::EraseRegion => {
                self.only(Dialect::Stub)?;
                let [address, length] = request.words()?;
                erase(flash, address, length)?
            }
        };
        Ok(answer.into())
    }

    fn only(&self, dialect: Dialect) -> Result<(), Refusal> {
        if self.dialect == dialect { Ok(()) } else { Err(Refusal::Unknown) }
    }

    fn reaches_flash(&self) -> Result<(), Refusal> {
        if self.attached { Ok(()) } else { Err(Refusal::OutOfOrder) }
    }

    fn sync(&self, request: &Request) -> Result<Done, Refusal> {
        let (head, tail) = request.payload()?.split_at_checked(4).ok_or(Refusal::Length)?;
        if head != SYNC_HEAD || tail != [0x55; 32] {
            return Err(Refusal::Length);
        }
        let answer = match self.dialect {
            Dialect::Rom => Answer::value(SYNC_VALUE),
            Dialect::Stub => Answer::value(0),
        };
        Ok(Done { answers: vec![answer; SYNC_ANSWERS], next: Next::Listen })
    }

    fn mem_data(&mut self, request: &Request) -> Result<Answer, Refusal> {
        let block = request.block()?;
        let length = u32::try_from(block.len()).map_err(|_| Refusal::TooMuch)?;
        let (at, left) = self.upload.as_mut().ok_or(Refusal::OutOfOrder)?;
        *left = left.checked_sub(length).ok_or(Refusal::TooMuch)?;
        if self.loaded.len() < MAX_PIECES {
            self.loaded.push((*at, length));
        }
        *at = at.wrapping_add(length);
        Ok(Answer::default())
    }

    /// A program in RAM is taken for the stub, whatever it is, if it was loaded where it is to begin.
    fn mem_end(&mut self, request: &Request) -> Result<Done, Refusal> {
        let [stay, entry] = request.words()?;
        self.upload.take().ok_or(Refusal::OutOfOrder)?;
        if stay != 0 {
            return Ok(Answer::default().into());
        }
        let is_there = self.loaded.iter().any(|(start, length)| entry.wrapping_sub(*start) < *length);
        Ok(Done::then(if is_there { Next::Stub } else { Next::Depart(Departure::Crash) }))
    }

    fn announcement(&self, request: &Request) -> Result<Announcement, Refusal> {
        self.reaches_flash()?;
        let ([size, blocks, block_size, address], rest) = words(request.payload()?)?;
        match rest {
            [] | [0, 0, 0, 0] => Ok(Announcement { size, blocks, block_size, address }),
            // To be encrypted, which this chip has no key for.
            [_, _, _, _] => Err(Refusal::Flash),
            _ => Err(Refusal::Length),
        }
    }

    fn flash_end(&mut self, request: &Request) -> Result<Done, Refusal> {
        let [stay] = request.words()?;
        let whole = self.download.as_ref().ok_or(Refusal::OutOfOrder)?.is_whole();
        match (self.dialect, stay) {
            (Dialect::Stub, _) if !whole => Err(Refusal::Length),
            (_, 0) => Ok(Done::then(Next::Depart(Departure::Reset))),
            // The ROM has nothing left to do then.
            (Dialect::Rom, _) => Ok(Done::then(Next::Depart(Departure::Application))),
            (Dialect::Stub, _) => {
                self.download = None;
                Ok(Answer::default().into())
            }
        }
    }

    /// The ROM writes a digest as text, a stub as it is.
    fn digest(
        &self,
        request: &Request,
        flash: &mut impl FlashChip,
        faults: &Faults,
    ) -> Result<Answer, Refusal> {
        self.reaches_flash()?;
        let [mut address, mut left, _, _] = request.words()?;
        within(flash, address, left)?;
        let mut digest = Md5::new();
        let mut bytes = [0; DIGEST_CHUNK];
        while left > 0 {
            let count = left.min(SECTOR);
            let chunk = &mut bytes[..count as usize];
            flash.read(address, chunk).map_err(|_| Refusal::Flash)?;
            digest.update(&*chunk);
            address += count;
            left -= count;
        }
        let digest = faults.digest(digest.finalize().into());
        Ok(match self.dialect {
            Dialect::Rom => {
                let text: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
                Answer::data(text)
            }
            Dialect::Stub => Answer::data(digest),
        })
    }

    fn slowly(&self, request: &Request, flash: &mut impl FlashChip) -> Result<Answer, Refusal> {
        self.reaches_flash()?;
        let [address, length] = request.words()?;
        let mut bytes = [0; SLOW_BYTES];
        let wanted = usize::try_from(length).ok().and_then(|length| bytes.get_mut(..length));
        let wanted = wanted.ok_or(Refusal::TooMuch)?;
        within(flash, address, length)?;
        flash.read(address, wanted).map_err(|_| Refusal::Flash)?;
        Ok(Answer::data(bytes))
    }
}

/// One or more times: address, value, mask, and microseconds to wait before it, of which none pass here.
fn write_registers(request: &Request, registers: &mut Registers) -> Result<Answer, Refusal> {
    let mut rest = request.payload()?;
    loop {
        let ([address, value, mask, _delay], after) = words(rest)?;
        registers.write(address, value, mask);
        if after.is_empty() {
            return Ok(Answer::default());
        }
        rest = after;
    }
}

/// Flags, count of encryptions and purposes of keys: a chip with nothing secured. Then its number, and the
/// version of the interface.
fn security_info(chip: Chip) -> Answer {
    let mut info = vec![0; 12];
    info.extend(chip.number().to_le_bytes());
    info.extend([0; 4]);
    Answer::data(info)
}

fn erase(flash: &mut impl FlashChip, address: u32, length: u32) -> Result<Answer, Refusal> {
    if !address.is_multiple_of(SECTOR) || !length.is_multiple_of(SECTOR) {
        return Err(Refusal::Length);
    }
    within(flash, address, length)?;
    flash.erase(address, length).map_err(|_| Refusal::Flash)?;
    Ok(Answer::default())
}
