//! The loader itself: bytes in, bytes out.

use crate::chip::{Boot, Chip};
use crate::fault::{Fault, Faults, Line};
use crate::flash::FlashChip;
use crate::packet::{self, Dialect, Refusal, Request};
use crate::registers::Registers;
use crate::session::{Next, Session};
use crate::slip;

/// What the stub says when it begins to listen.
const GREETING: &[u8] = b"OHAI";

/// Who has the serial line.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Mode {
    /// The application, or nobody: the loader hears nothing.
    Application,
    /// The loader in ROM.
    Rom,
    /// The stub that was loaded into RAM.
    Stub,
}

/// Something that the loader has no say in and its owner has.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Departure {
    /// The host had the chip reset itself. Where it starts then, its boot pin says: call
    /// [`Loader::enter_download`] or [`Loader::run`].
    Reset,
    /// The host had the loader leave for the application, without a reset.
    Application,
    /// A program in RAM was started where none is. A chip would crash.
    Crash,
    /// By [`Fault::Disconnect`], the port is to go away.
    Unplugged,
}

/// An ESP32's serial loader over `F`, without a line: who owns it hands over what comes and sends on what it
/// says. It begins with the application running.
pub struct Loader<F> {
    chip: Chip,
    flash: F,
    registers: Registers,
    listening: Option<Session>,
    slip: slip::Decoder,
    said: Vec<u8>,
    departure: Option<Departure>,
    faults: Faults,
    /// Since the loader in ROM was started.
    requests: u32,
}

impl<F: FlashChip> Loader<F> {
    /// A chip with this MAC address (in the order in which it is written) and this flash.
    pub fn new(chip: Chip, mac: [u8; 6], flash: F) -> Self {
        let registers = Registers::new(chip, mac, flash.size());
        Loader {
            chip,
            flash,
            registers,
            listening: None,
            slip: slip::Decoder::default(),
            said: Vec::new(),
            departure: None,
            faults: Faults::default(),
            requests: 0,
        }
    }

    /// What chip it is.
    pub fn chip(&self) -> Chip {
        self.chip
    }

    /// Who has the line.
    pub fn mode(&self) -> Mode {
        match self.listening.as_ref().map(Session::dialect) {
            None => Mode::Application,
            Some(Dialect::Rom) => Mode::Rom,
            Some(Dialect::Stub) => Mode::Stub,
        }
    }

    /// Its flash.
    pub fn flash(&self) -> &F {
        &self.flash
    }

    /// Its flash, to do something to it behind the loader's back.
    pub fn flash_mut(&mut self) -> &mut F {
        &mut self.flash
    }

    /// Its flash, and an end to the loader.
    pub fn into_flash(self) -> F {
        self.flash
    }

    /// Reset ends with the boot pin low: the loader in ROM starts, and says so.
    pub fn enter_download(&mut self) {
        self.reset(Boot::Download);
        self.listening = Some(Session::rom());
        self.requests = 0;
    }

    /// Reset ends with the boot pin high: the chip says so, and the application runs. What that prints is not
    /// the loader's.
    pub fn run(&mut self) {
        self.reset(Boot::Flash);
    }

    /// Supply is gone, or reset is held: nobody listens, and what was not sent yet never will be.
    pub fn hold(&mut self) {
        self.listening = None;
        self.slip = slip::Decoder::default();
        self.said.clear();
        self.departure = None;
        self.registers.reset();
    }

    /// Makes something wrong, in addition to what is already.
    pub fn inject(&mut self, fault: Fault) {
        self.faults.add(fault);
    }

    /// Makes all well again.
    pub fn heal(&mut self) {
        self.faults.clear();
    }

    /// Takes what the host sent. Nobody hears what comes while the application runs.
    ///
    /// What follows the request that made the loader depart is not heard either.
    pub fn receive(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if self.listening.is_none() {
                self.slip = slip::Decoder::default();
                return;
            }
            if let Some(frame) = self.slip.take(*byte) {
                self.hear(&frame);
            }
        }
    }

    /// What the loader has said since this was called last.
    pub fn take_said(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.said)
    }

    /// What the host had the loader do that is its owner's business, once.
    pub fn take_departure(&mut self) -> Option<Departure> {
        self.departure.take()
    }

    fn reset(&mut self, boot: Boot) {
        self.hold();
        self.said.extend(self.chip.boot_text(boot).into_bytes());
    }

    fn hear(&mut self, frame: &[u8]) {
        let Some(mut session) = self.listening.take() else { return };
        let mut said = Vec::new();
        let next = if session.is_reading() {
            session.acknowledged(frame, &mut self.flash, &self.faults, &mut said);
            Next::Listen
        } else if let Some(request) = Request::parse(frame) {
            self.requests = self.requests.saturating_add(1);
            self.serve(&mut session, &request, &mut said)
        } else {
            Next::Listen
        };
        if self.faults.on_the_line(self.requests, &mut said) == Line::Gone {
            self.departure = Some(Departure::Unplugged);
            return;
        }
        self.said.append(&mut said);
        match next {
            Next::Listen => self.listening = Some(session),
            Next::Stub => self.listening = Some(Session::stub()),
            Next::Depart(departure) => self.departure = Some(departure),
        }
    }

    fn serve(&mut self, session: &mut Session, request: &Request, said: &mut Vec<u8>) -> Next {
        let dialect = session.dialect();
        let done = match request.operation() {
            Some(operation) => session.serve(
                operation,
                request,
                self.chip,
                &mut self.registers,
                &mut self.flash,
                &self.faults,
            ),
            None => Err(Refusal::Unknown),
        };
        let done = match done {
            Ok(done) => done,
            Err(refusal) => {
                packet::answer(dialect, request.code, Err(refusal), said);
                return Next::Listen;
            }
        };
        for answer in &done.answers {
            packet::answer(dialect, request.code, Ok(answer.clone()), said);
        }
        if done.next == Next::Stub {
            slip::encode(GREETING, said);
        }
        // What was asked for may follow its answer.
        session.begin_reading(&mut self.flash, &self.faults, said);
        done.next
    }
}
