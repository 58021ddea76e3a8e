//! The loader in the ROM of Espressif's chips, on a serial port, by the library of espflash.
//!
//! Who calls never waits for longer than [`Patience`]: the library runs on a thread of its own ([`worker`]) and gives
//! a sign with every block. Without one in time the line is cut, which ends whatever the thread was reading, and the
//! call is an error. That there is a loader at all is asked for here before the library is ([`sync`]): it tells a port
//! where a firmware talks from one where nobody does.

mod session;
mod sync;
mod worker;

use std::path::PathBuf;
use std::time::Duration;

use md5::{Digest as _, Md5};

use crate::board::{Board, Programmer, Start};
use crate::error::FlashError;
use worker::Worker;

/// Who writes to the flash.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Software {
    /// A small program of Espressif's that is loaded into the chip's RAM: faster, and it compresses.
    Stub,
    /// The chip's ROM alone.
    Rom,
}

/// How the chip comes into its loader, and out of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Entry {
    /// By the modem lines of the port, if it has any: a pseudo-terminal has none.
    ModemLines,
    /// Somebody else has brought it there and will reset it.
    ByHand,
}

/// How long the loader may be silent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Patience {
    /// Until it answers for the first time.
    pub sync: Duration,
    /// Between two signs of life. What takes longest is to erase a block and to read one, both below a second on any
    /// chip; the rest is for a busy host.
    pub sign: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Patience { sync: Duration::from_secs(3), sign: Duration::from_secs(15) }
    }
}

/// Which board, and how to speak to it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SerialSettings {
    /// The port.
    pub port: PathBuf,
    /// Vendor and product on USB, if known: the chip's own USB port is reset in another way than an adapter.
    pub usb: Option<(u16, u16)>,
    /// Who writes.
    pub software: Software,
    /// How the chip gets into its loader.
    pub entry: Entry,
    /// Bits per second after the first words, which go at 115 200; `None` to stay there.
    pub baud: Option<u32>,
    /// How long to wait.
    pub patience: Patience,
}

impl SerialSettings {
    /// The usual ones for the board at `port`.
    pub fn new(port: impl Into<PathBuf>) -> Self {
        SerialSettings {
            port: port.into(),
            usb: None,
            software: Software::Stub,
            entry: Entry::ModemLines,
            baud: None,
            patience: Patience::default(),
        }
    }
}

/// The loader of a board on a serial port. Dropping it closes the port.
pub struct SerialLoader {
    settings: SerialSettings,
    worker: Option<Worker>,
}

impl SerialLoader {
    /// The loader that `settings` describe. Opens nothing before [`Programmer::connect`].
    pub fn new(settings: SerialSettings) -> Self {
        SerialLoader { settings, worker: None }
    }

    /// The thread that has the port. It is lost with the first error: what the board does then, nobody knows.
    fn ask<T: Send + 'static>(
        &mut self,
        doing: String,
        job: impl FnOnce(&mut session::Session, &worker::Signs<'_>) -> Result<T, session::Trouble>
        + Send
        + 'static,
        heard: &mut dyn FnMut(u32),
    ) -> Result<T, FlashError> {
        let Some(worker) = &mut self.worker else {
            let reason = "the connection ended with the error before".to_owned();
            return Err(FlashError::Gone { doing, reason });
        };
        let answer = worker.ask(doing, job, heard);
        if answer.is_err() {
            self.worker = None;
        }
        answer
    }
}

impl Programmer for SerialLoader {
    fn connect(&mut self) -> Result<Board, FlashError> {
        // The port is exclusive, so the old one goes first.
        self.worker = None;
        let settings = self.settings.clone();
        self.worker = Some(Worker::open(&settings)?);
        self.ask("connecting".to_owned(), |session, signs| session.connect(signs), &mut |_| {})
    }

    fn holds(&mut self, at: u32, bytes: &[u8]) -> Result<bool, FlashError> {
        let expected = <[u8; 16]>::from(Md5::digest(bytes));
        // What does not fit a word does not fit any flash either.
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let read = move |session: &mut session::Session, _: &worker::Signs<'_>| session.md5(at, length);
        Ok(self.ask(format!("reading {at:#x}"), read, &mut |_| {})? == expected)
    }

    fn write(&mut self, at: u32, bytes: &[u8], written: &mut dyn FnMut(u32)) -> Result<(), FlashError> {
        let bytes = bytes.to_vec();
        let write =
            move |session: &mut session::Session, signs: &worker::Signs<'_>| session.write(at, &bytes, signs);
        self.ask(format!("writing {at:#x}"), write, written)
    }

    fn run(&mut self) -> Result<Start, FlashError> {
        self.ask("starting the firmware".to_owned(), |session, _| session.run(), &mut |_| {})
    }
}
