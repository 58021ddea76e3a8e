//! A look into a chip.

use std::time::Duration;

use probe_rs::probe::Probe;
use probe_rs::rtt::Rtt;
use probe_rs::{MemoryInterface, Permissions};
use rigor_flasher::Chip;

use crate::error::{ProbeError, words};
use crate::found::{Which, open};
use crate::worker::{Signs, Worker};

/// How long a probe may give no sign. What takes longest is erasing a block of flash, below a second on any chip.
const PATIENCE: Duration = Duration::from_secs(15);
/// Bytes of RAM that are read at once: more than any chip here has.
pub const MAX_READ: usize = 1 << 20;
/// Bytes of a log that are fetched at once.
const LOG: usize = 4096;
/// The core that firmware starts on.
const FIRST_CORE: usize = 0;

/// A chip, through its debug probe.
///
/// **Each call may halt the core for its duration**, on Xtensa always: nothing that is timed goes on beside it.
pub struct Debugger {
    worker: Worker,
}

impl Debugger {
    /// Attaches to `chip` behind the probe that `which` names. The firmware runs on.
    ///
    /// # Errors
    /// [`ProbeError::Absent`], [`ProbeError::Several`], [`ProbeError::Forbidden`], [`ProbeError::NoChip`], and
    /// [`ProbeError::Stalled`] after 15 s without an answer.
    pub fn attach(which: Which, chip: Chip) -> Result<Self, ProbeError> {
        let name = which.to_string();
        Self::behind(name, chip.name(), PATIENCE, move || open(&which))
    }

    /// Attaches to `target`, as the library calls it, behind what `probe` opens.
    fn behind(
        which: String,
        target: &'static str,
        patience: Duration,
        probe: impl FnOnce() -> Result<Probe, ProbeError> + Send + 'static,
    ) -> Result<Self, ProbeError> {
        let open = move || {
            let attached = probe()?.attach(target, Permissions::default());
            attached.map_err(|error| ProbeError::NoChip {
                chip: target.to_owned(),
                which,
                reason: words(&error),
            })
        };
        Ok(Debugger { worker: Worker::open(patience, open)? })
    }

    /// `bytes` bytes of the memory that the core sees from `at` on.
    ///
    /// # Errors
    /// [`ProbeError::TooMuch`] above [`MAX_READ`]; [`ProbeError::Failed`] where nothing is; [`ProbeError::Stalled`].
    pub fn read(&mut self, at: u32, bytes: usize) -> Result<Vec<u8>, ProbeError> {
        if bytes > MAX_READ {
            return Err(ProbeError::TooMuch { bytes, limit: MAX_READ });
        }
        let doing = format!("reading {bytes} bytes at {at:#010x}");
        let failed = failed(&doing);
        self.ask(doing, move |session, _| {
            let mut read = vec![0; bytes];
            let mut core = session.core(FIRST_CORE).map_err(&failed)?;
            core.read(at.into(), &mut read).map_err(&failed)?;
            Ok(read)
        })
    }

    /// Resets the chip; its firmware starts.
    ///
    /// # Errors
    /// [`ProbeError::Failed`], [`ProbeError::Stalled`].
    pub fn reset(&mut self) -> Result<(), ProbeError> {
        let doing = "resetting the chip".to_owned();
        let failed = failed(&doing);
        self.ask(doing, move |session, _| {
            session.core(FIRST_CORE).and_then(|mut core| core.reset()).map_err(&failed)
        })
    }

    /// What the firmware has written to the first channel of its log in RAM (SEGGER RTT) since the last call, 4096
    /// bytes at most; none if there is nothing new. `at` is where its control block lies, the symbol `_SEGGER_RTT`;
    /// without it all RAM is searched, each time.
    ///
    /// # Errors
    /// [`ProbeError::NoLog`] if the firmware keeps none; [`ProbeError::Failed`], [`ProbeError::Stalled`].
    pub fn log(&mut self, at: Option<u32>) -> Result<Vec<u8>, ProbeError> {
        use probe_rs::rtt::ScanRegion;
        let doing = "reading the log in RAM".to_owned();
        let failed = failed(&doing);
        self.ask(doing, move |session, _| {
            let region = at.map_or(ScanRegion::Ram, |at| ScanRegion::Exact(at.into()));
            let mut core = session.core(FIRST_CORE).map_err(&failed)?;
            let no_log = |error: probe_rs::rtt::Error| ProbeError::NoLog { reason: words(&error) };
            let mut log = Rtt::attach_region(&mut core, &region).map_err(no_log)?;
            let Some(channel) = log.up_channel(0) else {
                return Err(ProbeError::NoLog { reason: "it has no channel to the host".to_owned() });
            };
            let mut bytes = vec![0; LOG];
            let read = channel.read(&mut core, &mut bytes).map_err(no_log)?;
            bytes.truncate(read);
            Ok(bytes)
        })
    }

    fn ask<T: Send + 'static>(
        &self,
        doing: String,
        job: impl FnOnce(&mut probe_rs::Session, &Signs<'_>) -> Result<T, ProbeError> + Send + 'static,
    ) -> Result<T, ProbeError> {
        self.worker.ask(doing, job, &mut |_| {})
    }

    /// The thread of the session, for who writes flash.
    pub(crate) fn worker(&self) -> &Worker {
        &self.worker
    }
}

fn failed(doing: &str) -> impl Fn(probe_rs::Error) -> ProbeError + Send + use<> {
    let doing = doing.to_owned();
    move |error| ProbeError::Failed { doing: doing.clone(), reason: words(&error) }
}

#[cfg(test)]
mod tests;
