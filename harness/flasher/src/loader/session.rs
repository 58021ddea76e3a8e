//! What runs on the thread: a port, and the library's view of the board behind it.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::time::Duration;

use espflash::connection::{Connection, Port, ResetAfterOperation, ResetBeforeOperation};
use espflash::flasher::{Flasher, SpiAttachParams};
use espflash::image_format::Segment;
use espflash::target::{Esp32Target, FlashTarget, ProgressCallbacks};
use rustix::io::ioctl_fionbio;
use serialport::{SerialPort, UsbPortInfo};

use super::sync::{Silence, synchronise};
use super::worker::Signs;
use super::{Entry, SerialSettings, Software};
use crate::board::{Board, Security, Start};
use crate::chip::Chip;
use crate::error::FlashError;

/// What the ROM speaks at first.
const FIRST_BAUD: u32 = 115_200;
/// What the library uses between commands of its own time-outs.
const READ_TIMEOUT: Duration = Duration::from_secs(3);
/// Resets before the board is given up: every second one with a longer pause, for boards with a large capacitor at EN.
const RESETS: u32 = 4;
/// A bit of the flags by which the loader tells of its chip's fuses (esptool, `get_security_info`).
const SECURE_BOOT: u32 = 1;
const SECURE_DOWNLOAD: u32 = 1 << 2;

/// Why a call came to nothing.
pub(super) enum Trouble {
    /// It is told already.
    Told(FlashError),
    /// No answer in time.
    Silent,
    /// The port is no more.
    Gone(String),
    /// The loader has refused, or its answer makes no sense.
    Refused(String),
}

impl Trouble {
    /// For the caller, who knows what was being done.
    pub(super) fn tell(self, settings: &SerialSettings, doing: String) -> FlashError {
        match self {
            Trouble::Told(error) => error,
            Trouble::Silent => FlashError::Stalled { doing, waited: settings.patience.sign },
            Trouble::Gone(reason) => FlashError::Gone { doing, reason },
            Trouble::Refused(reason) => FlashError::Rejected { doing, reason },
        }
    }
}

impl From<espflash::Error> for Trouble {
    fn from(error: espflash::Error) -> Self {
        let mut words = vec![error.to_string()];
        let mut kind = None;
        let mut source = std::error::Error::source(&error);
        while let Some(cause) = source {
            if let Some(cause) = cause.downcast_ref::<io::Error>() {
                kind = Some(cause.kind());
            } else if let Some(serialport::ErrorKind::Io(found)) =
                cause.downcast_ref().map(serialport::Error::kind)
            {
                kind = Some(found);
            }
            let said = cause.to_string();
            if words.last() != Some(&said) {
                words.push(said);
            }
            source = cause.source();
        }
        // The library's own type for what can happen to a line is private; its words are not.
        let says = |begin: &str| words.iter().any(|words| words.starts_with(begin));
        if kind == Some(io::ErrorKind::TimedOut) || says("Timeout while") {
            return Trouble::Silent;
        }
        let is_gone =
            kind.is_some() || says("IO error while using serial port") || says("Serial port not found");
        let text = words.join(": ");
        if is_gone { Trouble::Gone(text) } else { Trouble::Refused(text) }
    }
}

/// A port, and what is known of the board. The port is closed with this and not before.
pub(super) struct Session {
    settings: SerialSettings,
    line: RawFd,
    state: State,
}

enum State {
    /// No loader is known yet, or it was lost.
    Port(Port),
    /// A loader answers. Large, and one of it.
    Loader(Box<Loader>),
    /// Between the two.
    Neither,
}

struct Loader {
    flasher: Flasher,
    target: Esp32Target,
    lines: bool,
}

impl Session {
    /// Opens the port.
    pub(super) fn open(settings: &SerialSettings) -> Result<Self, FlashError> {
        let open = |reason: String| FlashError::Open { port: settings.port.clone(), reason };
        let path = settings.port.to_str().ok_or_else(|| open("its path is not UTF-8".to_owned()))?;
        let port = serialport::new(path, FIRST_BAUD).timeout(READ_TIMEOUT).open_native();
        let port = port.map_err(|error| open(error.to_string()))?;
        let line = port.as_raw_fd();
        // SAFETY: the port has it open, and lives longer than this.
        let fd = unsafe { BorrowedFd::borrow_raw(line) };
        // A board that takes no bytes must not keep the thread; the library asks for room before it writes.
        ioctl_fionbio(fd, true).map_err(|error| open(error.to_string()))?;
        Ok(Session { settings: settings.clone(), line, state: State::Port(port) })
    }

    /// The port's descriptor.
    pub(super) fn line(&self) -> RawFd {
        self.line
    }

    fn connection(&self, port: Port) -> Connection {
        let (vid, pid) = self.settings.usb.unwrap_or_default();
        let usb =
            UsbPortInfo { vid, pid, serial_number: None, manufacturer: None, product: None, interface: None };
        let (after, before) = (ResetAfterOperation::NoResetNoStub, ResetBeforeOperation::NoReset);
        Connection::new(port, usb, after, before, FIRST_BAUD)
    }

    /// Finds the loader and asks it about its board.
    pub(super) fn connect(&mut self, signs: &Signs<'_>) -> Result<Board, Trouble> {
        let State::Port(mut port) = std::mem::replace(&mut self.state, State::Neither) else {
            return Err(Trouble::Gone("it was connected before".to_owned()));
        };
        // A line that cannot be asked for is none: a pseudo-terminal's.
        let lines = self.settings.entry == Entry::ModemLines && port.read_clear_to_send().is_ok();
        let (port, entered) = self.enter(port, lines, signs);
        if let Err(trouble) = entered {
            self.state = State::Port(port);
            return Err(trouble);
        }
        signs(0);

        let stub = self.settings.software == Software::Stub;
        let connected =
            Flasher::try_connect(self.connection(port), stub, false, false, None, self.settings.baud);
        let flasher = match connected {
            Ok(flasher) => flasher,
            Err(failed) => {
                let (error, connection) = *failed;
                self.state = State::Port(connection.into_serial());
                return Err(error.into());
            }
        };
        signs(0);
        let stub = stub && !flasher.secure_download_mode();
        let target = Esp32Target::new(flasher.chip(), SpiAttachParams::default(), stub, false, false);
        self.state = State::Loader(Box::new(Loader { flasher, target, lines }));
        self.loader()?.look()
    }

    /// Brings the chip into its loader and finds it there.
    fn enter(&self, mut port: Port, lines: bool, signs: &Signs<'_>) -> (Port, Result<(), Trouble>) {
        let attempts = if lines { RESETS } else { 1 };
        let patience = self.settings.patience.sync / attempts;
        let mut heard = String::new();
        for attempt in 0..attempts {
            if lines {
                let mut connection = self.connection(port);
                let reset = connection.reset_to_flash(attempt % 2 == 1);
                port = connection.into_serial();
                if let Err(error) = reset {
                    return (port, Err(error.into()));
                }
            }
            signs(0);
            match synchronise(&mut port, patience) {
                Ok(()) => {
                    let set = port.set_timeout(READ_TIMEOUT).map_err(espflash::Error::from);
                    return (port, set.map_err(Trouble::from));
                }
                Err(Silence::Gone(reason)) => return (port, Err(Trouble::Gone(reason))),
                Err(Silence::Heard(text)) => heard = text,
            }
        }
        let told = FlashError::NoLoader { port: self.settings.port.clone(), heard };
        (port, Err(Trouble::Told(told)))
    }

    fn loader(&mut self) -> Result<&mut Loader, Trouble> {
        match &mut self.state {
            State::Loader(loader) => Ok(loader),
            _ => Err(Trouble::Gone("nothing is connected".to_owned())),
        }
    }

    pub(super) fn md5(&mut self, at: u32, bytes: u32) -> Result<[u8; 16], Trouble> {
        Ok(self.loader()?.flasher.checksum_md5(at, bytes)?.to_be_bytes())
    }

    pub(super) fn write(&mut self, at: u32, bytes: &[u8], signs: &Signs<'_>) -> Result<(), Trouble> {
        let Loader { flasher, target, .. } = self.loader()?;
        let mut tell = Tell { signs, bytes: bytes.len(), blocks: 1 };
        Ok(target.write_segment(flasher.connection(), Segment::new(at, bytes), &mut tell)?)
    }

    pub(super) fn run(&mut self) -> Result<Start, Trouble> {
        let Loader { flasher, lines, .. } = self.loader()?;
        if !*lines {
            return Ok(Start::LeftToReset);
        }
        flasher.connection().reset()?;
        Ok(Start::Started)
    }
}

impl Loader {
    /// What board it is, and the last preparations before anything can be written.
    fn look(&mut self) -> Result<Board, Trouble> {
        let Loader { flasher, target, .. } = self;
        let found = flasher.chip();
        let unknown = || Trouble::Told(FlashError::UnknownChip { found: found.to_string() });
        let chip = Chip::of_id(found.id()).ok_or_else(unknown)?;
        let security = security(flasher)?;
        if security.secure_download {
            // How much flash there is nobody may ask then.
            return Ok(Board { chip, flash_bytes: 0, security });
        }
        let flash_bytes = flasher.flash_detect()?.unwrap_or_default().size();
        target.begin(flasher.connection())?;
        Ok(Board { chip, flash_bytes, security })
    }
}

/// The fuses of the chip.
fn security(flasher: &mut Flasher) -> Result<Security, Trouble> {
    let info = flasher.security_info()?;
    Ok(Security {
        secure_boot: info.flags & SECURE_BOOT != 0,
        // The counter's fuses are burnt one by one; with an odd number of them it is on.
        flash_encryption: info.flash_crypt_cnt.count_ones() % 2 == 1,
        secure_download: info.flags & SECURE_DOWNLOAD != 0,
    })
}

/// What the library tells, in bytes.
struct Tell<'a> {
    signs: &'a Signs<'a>,
    bytes: usize,
    blocks: usize,
}

impl ProgressCallbacks for Tell<'_> {
    fn init(&mut self, _addr: u32, total: usize) {
        self.blocks = total.max(1);
    }

    fn update(&mut self, current: usize) {
        // A block at most is written at once, 64 KiB.
        let bytes = self.bytes * current.min(self.blocks) / self.blocks;
        (self.signs)(u32::try_from(bytes).unwrap_or(u32::MAX));
    }

    fn verifying(&mut self) {}

    fn finish(&mut self, _skipped: bool) {}
}
