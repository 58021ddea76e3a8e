//! The loader in a chip's ROM: what it can do with the flash behind it.
//!
//! The ROM alone, without a program in the chip's RAM: slower, but it is there on every chip and has nothing to be
//! brought. Who wants to know whether a part of the flash has changed asks for its MD5, which is fast.

use std::time::{Duration, Instant};

use md5::{Digest as _, Md5};

use super::Line;
use super::packet::{Answer, Answers, Ask, block, request, words};
use crate::file::bench::Chip;

/// What flash erases at once, in bytes.
pub(super) const SECTOR: u32 = 0x1000;
/// What the ROM gives at once.
const PIECE: u32 = 64;
/// What it takes at once (esptool documentation, "Writing Data").
const DATA_BYTES: u32 = 0x400;
/// Four bytes, and 32 times 0x55, by which it finds the rate.
const SYNC: [u8; 4] = [0x07, 0x07, 0x12, 0x20];
/// Between two requests to synchronise.
const SYNC_EVERY: Duration = Duration::from_millis(100);
/// A chip is in its loader within this after its reset, or never: on USB it is found anew meanwhile.
const SYNC_WITHIN: Duration = Duration::from_secs(5);
/// It answers within this, but for what it takes per MiB.
const ANSWERS_WITHIN: Duration = Duration::from_secs(3);
/// To erase a MiB of the slowest flash, and to compute the MD5 of one.
const ERASES_MIB_WITHIN: Duration = Duration::from_secs(40);
const DIGESTS_MIB_WITHIN: Duration = Duration::from_secs(8);
/// Bytes that are kept of what is heard instead of a loader.
const HEARD: usize = 60;

/// Bits of the first word about fuses, and where the count of encryptions stands in it.
const SECURE_DOWNLOAD: u32 = 1 << 2;
const CRYPT_COUNT: usize = 4;
const CHIP_ID: usize = 12;

/// Registers of the SPI controller, from its first one on ("SPI Controller" in the chips' reference manuals).
const SPI_CMD: u32 = 0x00;
const SPI_USR: u32 = 0x18;
const SPI_USR2: u32 = 0x20;
const SPI_MISO_DLEN: u32 = 0x28;
const SPI_W0: u32 = 0x58;
/// A command of 8 bits, `READ_ID`, and 24 bits to come back.
const START: u32 = 1 << 18;
const COMMAND_AND_ANSWER: u32 = 1 << 31 | 1 << 28;
const READ_ID: u32 = 7 << 28 | 0x9F;
/// How often the controller is asked whether it is ready.
const LOOKS: usize = 10;
/// Logarithms of the sizes of serial flash, 256 KiB to 128 MiB.
const CAPACITIES: std::ops::RangeInclusive<u32> = 18..=27;

/// MD5 of a part of the flash.
pub(super) type Digest = [u8; 16];

/// MD5 of `bytes`.
pub(super) fn digest(bytes: &[u8]) -> Digest {
    Md5::digest(bytes).into()
}

/// Why a loader did not do it.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum LoaderError {
    /// It does not answer.
    #[error(
        "the loader in the chip's ROM does not answer on the console within {within:?}: {heard}; are the boot pin and the \
         reset pin wired to the controller, and is the console that of the ROM (UART0 or USB)?"
    )]
    Silent {
        /// How long was waited.
        within: Duration,
        /// What was heard instead.
        heard: String,
    },
    /// It stopped answering.
    #[error("the loader in the chip's ROM did not {doing} within {within:?}; look at the cable")]
    Stalled {
        /// What it was asked for.
        doing: &'static str,
        /// How long was waited.
        within: Duration,
    },
    /// It refused.
    #[error("the loader in the chip's ROM does not {doing}: error {code:#04x} of its own")]
    Refused {
        /// What it was asked for.
        doing: &'static str,
        /// Its reason, by the protocol's list.
        code: u8,
    },
    /// It answered something else.
    #[error("the loader in the chip's ROM answers strangely when it is asked to {doing}; look at the cable")]
    Strange {
        /// What it was asked for.
        doing: &'static str,
    },
    /// It is another chip.
    #[error(
        "the chip says number {found:#x} of itself, and that is no `{wanted}`; correct `chip` of [bench]"
    )]
    OtherChip {
        /// What the rig file says.
        wanted: &'static str,
        /// What it says.
        found: u32,
    },
    /// Nobody reads its flash.
    #[error(
        "the chip has {obstacle}, so nobody can read its flash from outside; use a board without, or remove [flash]"
    )]
    Locked {
        /// What keeps everybody out.
        obstacle: &'static str,
    },
    /// Its flash says nothing that is known.
    #[error("the flash chip says {id:#08x} of itself, which tells no size; is it connected?")]
    UnknownFlash {
        /// Manufacturer, kind and capacity.
        id: u32,
    },
    /// There is no such address.
    #[error(
        "the flash chip has {size:#x} bytes, and {length:#x} are wanted from {address:#x} on; correct the address"
    )]
    Beyond {
        /// The address.
        address: u32,
        /// Bytes from there.
        length: u32,
        /// Of the chip.
        size: u32,
    },
    /// It holds something else than it should.
    #[error("the flash at {at:#x} is not what was {done}; look at the cable, or replace the board")]
    Differs {
        /// Where.
        at: u32,
        /// `read` or `written`.
        done: &'static str,
    },
    /// The run was ended.
    #[error("the run was interrupted while the flash chip was in use; the board waits for its next reset")]
    Interrupted,
}

/// The loader of a chip, with its flash connected.
pub(super) struct Rom<'a> {
    line: &'a mut dyn Line,
    answers: Answers,
    /// Of the flash, in bytes.
    size: u32,
}

impl<'a> Rom<'a> {
    /// The loader at the other end of `line`, in which `chip` is or soon will be.
    pub(super) fn connect(line: &'a mut dyn Line, chip: Chip) -> Result<Self, LoaderError> {
        let mut rom = Rom { line, answers: Answers::default(), size: 0 };
        rom.synchronise()?;
        rom.check(chip)?;
        rom.calm(chip)?;
        rom.ask(Ask::AttachFlash, &words(&[0, 0]))?;
        rom.size = rom.flash_size(chip)?;
        // Number, size, and those of blocks, sectors and pages; a mask that is always this.
        rom.ask(Ask::SetFlashSize, &words(&[0, rom.size, 0x1_0000, SECTOR, 256, 0xFFFF]))?;
        Ok(rom)
    }

    /// Of the flash, in bytes.
    pub(super) fn size(&self) -> u32 {
        self.size
    }

    /// MD5 of `length` bytes from `address` on.
    pub(super) fn md5(&mut self, address: u32, length: u32) -> Result<Digest, LoaderError> {
        let within = ANSWERS_WITHIN + per_mib(DIGESTS_MIB_WITHIN, length);
        let answer = self.answer(Ask::Md5, request(Ask::Md5, &words(&[address, length, 0, 0])), within)?;
        // As text.
        let strange = LoaderError::Strange { doing: Ask::Md5.words() };
        let text = std::str::from_utf8(&answer.data).ok().filter(|text| text.len() == 32);
        let number = text.and_then(|text| u128::from_str_radix(text, 16).ok());
        number.map(u128::to_be_bytes).ok_or(strange)
    }

    /// `length` bytes from `address` on.
    pub(super) fn read(&mut self, address: u32, length: u32) -> Result<Vec<u8>, LoaderError> {
        let mut read = Vec::with_capacity(length as usize);
        while (read.len() as u32) < length {
            let at = read.len() as u32;
            let count = PIECE.min(length - at);
            let answer = self.ask(Ask::ReadFlash, &words(&[address + at, count]))?;
            let bytes = answer.data.get(..count as usize);
            read.extend(bytes.ok_or(LoaderError::Strange { doing: Ask::ReadFlash.words() })?);
        }
        Ok(read)
    }

    /// Erases the sectors of `bytes` from `address` on, and writes them. Both are whole sectors.
    pub(super) fn write(&mut self, address: u32, bytes: &[u8]) -> Result<(), LoaderError> {
        let length = bytes.len() as u32;
        // Size, blocks, bytes of each, address, and that it is not to be encrypted.
        let begin = words(&[length, length.div_ceil(DATA_BYTES), DATA_BYTES, address, 0]);
        let within = ANSWERS_WITHIN + per_mib(ERASES_MIB_WITHIN, length);
        self.answer(Ask::FlashBegin, request(Ask::FlashBegin, &begin), within)?;
        for (number, data) in (0..).zip(bytes.chunks(DATA_BYTES as usize)) {
            self.answer(Ask::FlashData, block(Ask::FlashData, number, data), ANSWERS_WITHIN)?;
        }
        Ok(())
    }

    fn synchronise(&mut self) -> Result<(), LoaderError> {
        let deadline = Instant::now() + SYNC_WITHIN;
        let sync = request(Ask::Sync, &[&SYNC[..], &[0x55; 32]].concat());
        let mut heard = Vec::new();
        while Instant::now() < deadline {
            self.line.send(&sync);
            let next = (Instant::now() + SYNC_EVERY).min(deadline);
            while Instant::now() < next {
                let bytes = self.line.receive(next);
                heard.extend(&bytes);
                heard.drain(..heard.len().saturating_sub(HEARD));
                // All that has come at once is looked at, so no answer is left behind.
                let answers: Vec<_> = bytes.iter().filter_map(|&byte| self.answers.take(byte)).collect();
                if answers.iter().any(|answer| answer.is_to(Ask::Sync)) {
                    return Ok(());
                }
            }
        }
        let text = String::from_utf8_lossy(&heard);
        let heard = if heard.is_empty() { "nothing is heard".to_owned() } else { format!("heard {text:?}") };
        Err(LoaderError::Silent { within: SYNC_WITHIN, heard })
    }

    /// Whether it is `chip`, and whether its flash can be read as it is.
    fn check(&mut self, chip: Chip) -> Result<(), LoaderError> {
        let told = self.ask(Ask::Security, &[])?.data;
        let word =
            |at: usize| told.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map(u32::from_le_bytes);
        let (Some(flags), Some(found), Some(crypt)) = (word(0), word(CHIP_ID), told.get(CRYPT_COUNT)) else {
            return Err(LoaderError::Strange { doing: Ask::Security.words() });
        };
        let locked = |obstacle| Err(LoaderError::Locked { obstacle });
        match () {
            () if found != id(chip) => Err(LoaderError::OtherChip { wanted: chip.name(), found }),
            () if flags & SECURE_DOWNLOAD != 0 => locked("secure download mode switched on"),
            // Its fuses are burnt one by one; with an odd number of them it is on.
            () if crypt.count_ones() % 2 == 1 => locked("flash encryption switched on"),
            () => Ok(()),
        }
    }

    /// Keeps the watchdogs from resetting the chip in the middle: in the loader on USB they run.
    fn calm(&mut self, chip: Chip) -> Result<(), LoaderError> {
        let dogs = watchdogs(chip);
        self.write_register(dogs.protection, dogs.key)?;
        self.write_register(dogs.settings, 0)?;
        self.write_register(dogs.protection, 0)?;
        self.write_register(dogs.super_protection, dogs.super_key)?;
        let settings = self.read_register(dogs.super_settings)?;
        self.write_register(dogs.super_settings, settings | dogs.feeds_itself)?;
        self.write_register(dogs.super_protection, 0)
    }

    /// What the flash says of its size: the controller sends it a command behind the loader's back.
    fn flash_size(&mut self, chip: Chip) -> Result<u32, LoaderError> {
        let spi = spi_base(chip);
        let before = (self.read_register(spi + SPI_USR)?, self.read_register(spi + SPI_USR2)?);
        for (register, value) in [
            (SPI_MISO_DLEN, 23),
            (SPI_USR, COMMAND_AND_ANSWER),
            (SPI_USR2, READ_ID),
            (SPI_W0, 0),
            (SPI_CMD, START),
        ] {
            self.write_register(spi + register, value)?;
        }
        for look in 0.. {
            if self.read_register(spi + SPI_CMD)? & START == 0 {
                break;
            }
            if look >= LOOKS {
                return Err(LoaderError::UnknownFlash { id: 0 });
            }
        }
        let id = self.read_register(spi + SPI_W0)? & 0xFF_FFFF;
        self.write_register(spi + SPI_USR, before.0)?;
        self.write_register(spi + SPI_USR2, before.1)?;
        let capacity = id >> 16;
        if CAPACITIES.contains(&capacity) { Ok(1 << capacity) } else { Err(LoaderError::UnknownFlash { id }) }
    }

    fn read_register(&mut self, address: u32) -> Result<u32, LoaderError> {
        Ok(self.ask(Ask::ReadRegister, &words(&[address]))?.value)
    }

    fn write_register(&mut self, address: u32, value: u32) -> Result<(), LoaderError> {
        // All bits, at once.
        self.ask(Ask::WriteRegister, &words(&[address, value, u32::MAX, 0])).map(drop)
    }

    fn ask(&mut self, ask: Ask, payload: &[u8]) -> Result<Answer, LoaderError> {
        self.answer(ask, request(ask, payload), ANSWERS_WITHIN)
    }

    fn answer(&mut self, ask: Ask, request: Vec<u8>, within: Duration) -> Result<Answer, LoaderError> {
        self.line.send(&request);
        let deadline = Instant::now() + within;
        while Instant::now() < deadline {
            for byte in self.line.receive(deadline) {
                // Nothing follows the answer: only what was asked is answered.
                if let Some(answer) = self.answers.take(byte).filter(|answer| answer.is_to(ask)) {
                    return match answer.refusal {
                        Some(code) => Err(LoaderError::Refused { doing: ask.words(), code }),
                        None => Ok(answer),
                    };
                }
            }
        }
        Err(LoaderError::Stalled { doing: ask.words(), within })
    }
}

fn per_mib(time: Duration, bytes: u32) -> Duration {
    time.mul_f64(f64::from(bytes) / f64::from(1 << 20))
}

/// Its number in the answer about fuses (`esp_chip_id_t` of ESP-IDF).
fn id(chip: Chip) -> u32 {
    match chip {
        Chip::Esp32c3 => 5,
        Chip::Esp32s3 => 9,
        Chip::Esp32c6 => 13,
    }
}

/// The first register of the SPI controller of its flash.
fn spi_base(chip: Chip) -> u32 {
    match chip {
        Chip::Esp32c3 | Chip::Esp32s3 => 0x6000_2000,
        Chip::Esp32c6 => 0x6000_3000,
    }
}

/// Registers of the two watchdogs that outlive a reset, and the keys to them ("Watchdog Timers" in the chips' reference
/// manuals).
struct Watchdogs {
    settings: u32,
    protection: u32,
    key: u32,
    super_settings: u32,
    super_protection: u32,
    super_key: u32,
    /// The bit by which the second one feeds itself.
    feeds_itself: u32,
}

fn watchdogs(chip: Chip) -> Watchdogs {
    let (settings, protection, feeds_itself) = match chip {
        Chip::Esp32c3 => (0x6000_8090, 0x6000_80A8, 1 << 31),
        Chip::Esp32s3 => (0x6000_8098, 0x6000_80B0, 1 << 31),
        Chip::Esp32c6 => (0x600B_1C00, 0x600B_1C18, 1 << 18),
    };
    let key = 0x50D8_3AA1;
    let super_key = if chip == Chip::Esp32c6 { key } else { 0x8F1D_312A };
    Watchdogs {
        settings,
        protection,
        key,
        super_settings: protection + 4,
        super_protection: protection + 8,
        super_key,
        feeds_itself,
    }
}
