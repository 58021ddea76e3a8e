//! Flash through a debug probe: a small program of the library's runs in the chip's RAM and writes.

use probe_rs::flashing::{self, DownloadOptions, FlashProgress, Flasher, ProgressEvent, ProgressOperation};
use rigor_flasher::{Board, Chip, FlashError, Programmer, Start};

use crate::debugger::Debugger;
use crate::error::{ProbeError, words};
use crate::found::Which;
use crate::fuses;

/// Who writes to the flash of a chip through its debug probe.
///
/// Unlike the loader on a serial port it has to be told the chip beforehand: probes ask differently for each.
pub struct ProbeProgrammer {
    which: Which,
    chip: Chip,
    debugger: Option<Debugger>,
}

impl ProbeProgrammer {
    /// For `chip`, by the probe that `which` names. Opens nothing before [`Programmer::connect`].
    pub fn new(which: Which, chip: Chip) -> Self {
        ProbeProgrammer { which, chip, debugger: None }
    }

    fn ask<T: Send + 'static>(
        &mut self,
        doing: String,
        job: impl FnOnce(&mut probe_rs::Session, &crate::worker::Signs<'_>) -> Result<T, flashing::FlashError>
        + Send
        + 'static,
        heard: &mut dyn FnMut(u32),
    ) -> Result<T, FlashError> {
        let Some(debugger) = &self.debugger else {
            let reason = "the connection ended with the error before".to_owned();
            return Err(FlashError::Gone { doing, reason });
        };
        let said = doing.clone();
        let job = move |session: &mut probe_rs::Session, signs: &crate::worker::Signs<'_>| {
            job(session, signs).map_err(|error| ProbeError::Failed { doing: said, reason: words(&error) })
        };
        let answer = debugger.worker().ask(doing, job, heard);
        answer.map_err(|error| {
            // What the chip does then, nobody knows.
            self.debugger = None;
            self.told(error)
        })
    }

    /// In the words of those who flash.
    fn told(&self, error: ProbeError) -> FlashError {
        match error {
            ProbeError::Stalled { doing, waited } => FlashError::Stalled { doing, waited },
            ProbeError::Failed { doing, reason } => FlashError::Rejected { doing, reason },
            error => FlashError::Probe { reason: error.to_string() },
        }
    }
}

impl Programmer for ProbeProgrammer {
    fn connect(&mut self) -> Result<Board, FlashError> {
        self.debugger = None;
        let mut debugger =
            Debugger::attach(self.which.clone(), self.chip).map_err(|error| self.told(error))?;
        let read = debugger.read(fuses::address(self.chip), fuses::BYTES);
        let read = read.map_err(|error| self.told(error))?;
        let fuses = read.try_into().map_err(|_| FlashError::Rejected {
            doing: "reading the fuses".to_owned(),
            reason: "not all of them came".to_owned(),
        })?;
        self.debugger = Some(debugger);
        let flash_bytes =
            self.ask("asking for the size of the flash".to_owned(), |session, _| size(session), &mut |_| {})?;
        Ok(Board { chip: self.chip, flash_bytes, security: fuses::security(&fuses) })
    }

    fn holds(&mut self, at: u32, bytes: &[u8]) -> Result<bool, FlashError> {
        let bytes = bytes.to_vec();
        let verify = move |session: &mut probe_rs::Session, _: &crate::worker::Signs<'_>| {
            let mut loader = session.target().flash_loader();
            loader.add_data(at.into(), &bytes)?;
            match loader.verify(session, &mut FlashProgress::empty()) {
                Ok(()) => Ok(true),
                Err(flashing::FlashError::Verify) => Ok(false),
                Err(error) => Err(error),
            }
        };
        self.ask(format!("reading {at:#x}"), verify, &mut |_| {})
    }

    fn write(&mut self, at: u32, bytes: &[u8], written: &mut dyn FnMut(u32)) -> Result<(), FlashError> {
        let bytes = bytes.to_vec();
        let write = move |session: &mut probe_rs::Session, signs: &crate::worker::Signs<'_>| {
            let mut loader = session.target().flash_loader();
            loader.add_data(at.into(), &bytes)?;
            let mut options = DownloadOptions::default();
            let mut sent = 0;
            options.progress = FlashProgress::new(|event| {
                if let ProgressEvent::Progress { operation, size, .. } = event {
                    if matches!(operation, ProgressOperation::Program) {
                        sent += u32::try_from(size).unwrap_or_default();
                    }
                    signs(sent);
                }
            });
            loader.commit(session, options)
        };
        self.ask(format!("writing {at:#x}"), write, written)
    }

    fn run(&mut self) -> Result<Start, FlashError> {
        let Some(debugger) = &mut self.debugger else {
            let reason = "the connection ended with the error before".to_owned();
            return Err(FlashError::Gone { doing: "starting the firmware".to_owned(), reason });
        };
        match debugger.reset() {
            Ok(()) => Ok(Start::Started),
            Err(error) => Err(self.told(error)),
        }
    }
}

/// Bytes of the chip's flash, as the library's program finds them.
fn size(session: &mut probe_rs::Session) -> Result<u32, flashing::FlashError> {
    let target = session.target().clone();
    let algorithm = target
        .flash_algorithms
        .first()
        .ok_or(flashing::FlashError::VendorFunctionMissing { name: "FlashSize".to_owned() })?;
    let mut flasher = Flasher::new(&target, 0, algorithm)?;
    flasher.run_verify(session, &mut FlashProgress::empty(), |active, _| {
        active.call_vendor_function("FlashSize", [None; 4])
    })
}
