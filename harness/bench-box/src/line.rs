//! One of the box's serial ports: a pseudo-terminal on which nothing waits.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::time::Instant as HostInstant;

use rigor_pty::{Pty, PtyError};
use rustix::event::PollFlags;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::termios::{QueueSelector, tcflush};

/// The device's end of a port.
pub(crate) struct Line {
    pty: Pty,
    out: VecDeque<u8>,
}

impl Line {
    /// A port that others know as `name`.
    ///
    /// # Errors
    /// [`PtyError`].
    pub(crate) fn open(name: PathBuf) -> Result<Self, PtyError> {
        Ok(Line { pty: Pty::named(name)?, out: VecDeque::new() })
    }

    pub(crate) fn path(&self) -> &Path {
        self.pty.path()
    }

    /// # Errors
    /// [`PtyError`].
    pub(crate) fn has_user(&self) -> Result<bool, PtyError> {
        self.pty.has_user()
    }

    /// What is to be waited for.
    pub(crate) fn wanted(&self) -> PollFlags {
        if self.out.is_empty() { PollFlags::IN } else { PollFlags::IN | PollFlags::OUT }
    }

    /// What has come, if anything has.
    ///
    /// # Errors
    /// [`PtyError`].
    pub(crate) fn read(&mut self) -> Result<Vec<u8>, PtyError> {
        self.pty.read(HostInstant::now())
    }

    /// Bytes that still have to go.
    pub(crate) fn backlog(&self) -> usize {
        self.out.len()
    }

    /// Sends `bytes` after all that has to go before.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.out.extend(bytes);
    }

    /// Nobody is to have what nobody has read yet.
    pub(crate) fn forget(&mut self) {
        self.out.clear();
        // Only at the user's end the kernel forgets all. Where the user lets nobody else in, it has to be the
        // user who does.
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let user = rustix::fs::open(self.pty.path(), flags, Mode::empty());
        let _ = user.and_then(|user| tcflush(&user, QueueSelector::IFlush));
    }

    /// Lets go what can.
    ///
    /// # Errors
    /// [`PtyError::Broken`].
    pub(crate) fn flush(&mut self) -> Result<(), PtyError> {
        while !self.out.is_empty() {
            let (bytes, _) = self.out.as_slices();
            match rustix::io::write(&self.pty, bytes) {
                Ok(count) => drop(self.out.drain(..count)),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => break,
                Err(reason) => {
                    let reason = io::Error::from(reason);
                    return Err(PtyError::Broken { path: self.path().to_owned(), reason });
                }
            }
        }
        Ok(())
    }
}

impl AsFd for Line {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pty.as_fd()
    }
}
