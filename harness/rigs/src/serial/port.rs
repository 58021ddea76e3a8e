//! The line itself.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FlockOperation, Mode, OFlags, flock, fstat, major};
use rustix::io::Errno;
use rustix::termios::{
    OptionalActions, QueueSelector, ioctl_tiocexcl, ioctl_tiocnxcl, tcflush, tcgetattr, tcsetattr,
};

use super::SerialError;

/// Bytes read at once: what Linux keeps of a terminal's input.
const CHUNK_BYTES: usize = 4096;
/// Major numbers of pseudo-terminals (Linux, Documentation/admin-guide/devices.txt).
const PSEUDO: std::ops::RangeInclusive<u32> = 136..=143;

/// Bytes that came together.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Chunk {
    /// When they were there, on the host's clock.
    pub at: Instant,
    /// The bytes; none if the time was over.
    pub bytes: Vec<u8>,
}

/// A serial port or a pseudo-terminal, raw: eight bits, nothing translated, nothing echoed. Closed when it
/// is dropped, and all that is the same line.
pub struct Port {
    fd: Arc<Open>,
    path: PathBuf,
}

/// An open line.
struct Open {
    fd: OwnedFd,
    /// Nobody else may open it meanwhile.
    alone: bool,
}

impl AsFd for Open {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Drop for Open {
    /// Somebody else may have it. To close it would not be enough: a program that another thread starts at this moment
    /// has it open too until it runs.
    fn drop(&mut self) {
        if self.alone {
            // A line that is gone has nobody to keep out. The lock goes last: with it, the rest would be another's.
            let _ = ioctl_tiocnxcl(&self.fd);
            let _ = flock(&self.fd, FlockOperation::Unlock);
        }
    }
}

impl Port {
    /// Opens the port at `path` with `baud` bits per second, which a pseudo-terminal does not mind.
    ///
    /// # Errors
    /// [`SerialError::Open`].
    pub fn open(path: &Path, baud: u32) -> Result<Self, SerialError> {
        let fd = open(path, baud)?;
        Ok(Port { fd: Arc::new(Open { fd, alone: false }), path: path.to_owned() })
    }

    /// The same, for this process alone: no other one that asks so gets it until this is dropped, and of a
    /// real port nobody else without privileges does.
    ///
    /// # Errors
    /// [`SerialError::Open`], [`SerialError::Busy`] if somebody has it.
    pub fn open_alone(path: &Path, baud: u32) -> Result<Self, SerialError> {
        let fd = open(path, baud).map_err(|error| match error {
            SerialError::Open { path, reason }
                if reason.raw_os_error() == Some(Errno::BUSY.raw_os_error()) =>
            {
                SerialError::Busy { path }
            }
            other => other,
        })?;
        let refused = |reason: Errno| SerialError::Open { path: path.to_owned(), reason: reason.into() };
        match flock(&fd, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Err(SerialError::Busy { path: path.to_owned() }),
            Err(reason) => return Err(refused(reason)),
        }
        let port = Port { fd: Arc::new(Open { fd, alone: true }), path: path.to_owned() };
        // A pseudo-terminal would stay closed to everybody if this process were killed.
        if !PSEUDO.contains(&major(fstat(&port.fd).map_err(refused)?.st_rdev)) {
            ioctl_tiocexcl(&port.fd).map_err(refused)?;
        }
        Ok(port)
    }

    /// The same line once more, to listen on one thread and to talk on another.
    pub fn again(&self) -> Self {
        Port { fd: self.fd.clone(), path: self.path.clone() }
    }

    /// Throws away what has come and nobody has read.
    ///
    /// # Errors
    /// [`SerialError::Gone`] if the port is.
    pub fn forget_input(&mut self) -> Result<(), SerialError> {
        tcflush(&self.fd, QueueSelector::IFlush).map_err(|reason| self.gone(reason.into()))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What comes next, or nothing if nothing does before `deadline`.
    ///
    /// # Errors
    /// [`SerialError::Gone`] if the other end is.
    pub fn read(&mut self, deadline: Instant) -> Result<Chunk, SerialError> {
        self.next(deadline, None)
    }

    /// The same, but nothing as soon as `end` can be read.
    ///
    /// # Errors
    /// [`SerialError::Gone`] if the other end is.
    pub fn read_unless(&mut self, end: impl AsFd, deadline: Instant) -> Result<Chunk, SerialError> {
        self.next(deadline, Some(end.as_fd()))
    }

    fn next(&mut self, deadline: Instant, end: Option<BorrowedFd<'_>>) -> Result<Chunk, SerialError> {
        let mut bytes = vec![0; CHUNK_BYTES];
        loop {
            let ready = self.wait(PollFlags::IN, deadline, end)?;
            let at = Instant::now();
            if !ready {
                return Ok(Chunk { at, bytes: Vec::new() });
            }
            match rustix::io::read(&self.fd, &mut bytes) {
                Ok(0) => return Err(self.gone(io::ErrorKind::UnexpectedEof.into())),
                Ok(count) => {
                    bytes.truncate(count);
                    return Ok(Chunk { at, bytes });
                }
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(reason) => return Err(self.gone(reason.into())),
            }
        }
    }

    /// Sends all of `bytes` before `deadline`.
    ///
    /// # Errors
    /// [`SerialError::Stuck`] if the other end does not take them, [`SerialError::Gone`] if it is gone.
    pub fn write(&mut self, bytes: &[u8], deadline: Instant) -> Result<(), SerialError> {
        let mut rest = bytes;
        while !rest.is_empty() {
            match rustix::io::write(&self.fd, rest) {
                Ok(count) => rest = &rest[count..],
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => {
                    if !self.wait(PollFlags::OUT, deadline, None)? {
                        return Err(SerialError::Stuck { path: self.path.clone(), left: rest.len() });
                    }
                }
                Err(reason) => return Err(self.gone(reason.into())),
            }
        }
        Ok(())
    }

    /// Whether the port is ready before `deadline`, and before `end` can be read.
    fn wait(
        &self,
        what: PollFlags,
        deadline: Instant,
        end: Option<BorrowedFd<'_>>,
    ) -> Result<bool, SerialError> {
        loop {
            let limit = deadline.saturating_duration_since(Instant::now());
            let mut fds = vec![PollFd::from_borrowed_fd(self.fd.as_fd(), what)];
            fds.extend(end.map(|end| PollFd::from_borrowed_fd(end, PollFlags::IN)));
            match poll(&mut fds, Some(&timespec(limit))) {
                Ok(_) => return Ok(!fds[0].revents().is_empty()),
                Err(Errno::INTR) => {}
                Err(reason) => return Err(self.gone(reason.into())),
            }
        }
    }

    fn gone(&self, reason: io::Error) -> SerialError {
        SerialError::Gone { path: self.path.clone(), reason }
    }
}

/// For what the port can do besides: [`modem`](crate::instrument::modem).
impl AsFd for Port {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn open(path: &Path, baud: u32) -> Result<OwnedFd, SerialError> {
    let open = || {
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let fd = rustix::fs::open(path, flags, Mode::empty())?;
        let mut settings = tcgetattr(&fd)?;
        settings.make_raw();
        settings.set_speed(baud)?;
        tcsetattr(&fd, OptionalActions::Now, &settings)?;
        Ok::<_, Errno>(fd)
    };
    open().map_err(|reason| SerialError::Open { path: path.to_owned(), reason: reason.into() })
}

fn timespec(limit: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(limit.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: limit.subsec_nanos().into(),
    }
}
