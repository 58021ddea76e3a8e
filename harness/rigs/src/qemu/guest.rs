//! A machine of ours in a process of QEMU: it rings, and is answered.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::io::{Errno, ioctl_fionbio};
use rustix::pipe::{PipeFlags, pipe_with};

use super::command_line::{ANSWER, BELL, Launch, MEMORY, virt};
use super::error::{QemuError, When};
use super::process::Process;
use super::ram::GuestRam;

/// How long an interrupt may go unnoticed.
const NOTICED_WITHIN: Duration = Duration::from_millis(50);

/// A machine that runs. Without supply once it is dropped; its [memory](GuestRam) keeps what it held.
pub(crate) struct Guest {
    process: Process,
    /// What the device rings with.
    bell: OwnedFd,
    /// What it waits for then.
    answer: OwnedFd,
    /// How often it has rung.
    bells: u64,
}

impl Guest {
    /// Switches a machine on whose memory is `ram`. It runs until it rings.
    ///
    /// # Errors
    /// [`QemuError::Host`] if there is no such process. That QEMU does not like what it is told, or dies of
    /// something else, is heard at the first [bell](Self::wait_for_bell).
    pub(crate) fn start(launch: &Launch<'_>, ram: &GuestRam) -> Result<Self, QemuError> {
        let arguments = virt(launch, ram.size());
        let (bell, rings) = pipe_with(PipeFlags::CLOEXEC).map_err(refused)?;
        let (hears, answer) = pipe_with(PipeFlags::CLOEXEC).map_err(refused)?;
        ioctl_fionbio(&bell, true).map_err(refused)?;
        ioctl_fionbio(&answer, true).map_err(refused)?;
        let handed = [(BELL, rings.as_fd()), (ANSWER, hears.as_fd()), (MEMORY, ram.file())];
        let process = Process::start(launch.binary, &arguments, &handed)?;
        Ok(Guest { process, bell, answer, bells: 0 })
    }

    /// Waits until the device rings, for at most `within` of the host's time, or until `interrupt` is set.
    ///
    /// # Errors
    /// [`QemuError::Died`], [`QemuError::Silent`] or [`QemuError::Interrupted`].
    pub(crate) fn wait_for_bell(
        &mut self,
        within: Duration,
        interrupt: &AtomicBool,
    ) -> Result<(), QemuError> {
        let begun = Instant::now();
        loop {
            if interrupt.load(Ordering::Relaxed) {
                return Err(QemuError::Interrupted);
            }
            let left = within.saturating_sub(begun.elapsed());
            if self.process.wait(self.bell.as_fd(), left.min(NOTICED_WITHIN))? && self.heard()? {
                self.bells += 1;
                return Ok(());
            }
            if left.is_zero() {
                let (when, last_words) = (self.when(), self.process.last_words());
                return Err(QemuError::Silent { within, when, last_words });
            }
        }
    }

    /// Whether there was a byte in the pipe.
    fn heard(&mut self) -> Result<bool, QemuError> {
        match rustix::io::read(&self.bell, &mut [0; 1]) {
            Ok(1..) => Ok(true),
            Err(Errno::AGAIN | Errno::INTR) => Ok(false),
            // Nobody has the other end any more.
            Ok(0) | Err(_) => Err(self.process.obituary(self.when())),
        }
    }

    /// Lets a device that has rung go on.
    ///
    /// # Errors
    /// [`QemuError::Died`], or [`QemuError::Deaf`] if it has rung without reading its answers.
    pub(crate) fn answer(&mut self) -> Result<(), QemuError> {
        loop {
            match rustix::io::write(&self.answer, &[1]) {
                Ok(_) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Err(QemuError::Deaf),
                Err(_) => return Err(self.process.obituary(self.when())),
            }
        }
    }

    /// Takes in what QEMU says, and whether it still runs. To be called now and then by whoever waits for
    /// something else than the bell.
    ///
    /// # Errors
    /// [`QemuError::Died`].
    pub(crate) fn check(&mut self) -> Result<(), QemuError> {
        self.process.listen();
        match self.process.ended() {
            Some(_) => Err(self.process.obituary(self.when())),
            None => Ok(()),
        }
    }

    /// Switches it off at once, as a power cut does.
    pub(crate) fn kill(&mut self) {
        self.process.kill();
    }

    fn when(&self) -> When {
        if self.bells == 0 { When::AtStart } else { When::AfterBells(self.bells) }
    }
}

fn refused(error: Errno) -> QemuError {
    QemuError::Host {
        what: "pipes to it",
        why: error.to_string(),
        remedy: "close other files, or raise their limit (ulimit -n)",
    }
}

#[cfg(test)]
mod tests;
