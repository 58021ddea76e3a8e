//! A serial port that is none: a pseudo-terminal that this process owns and other programs open.
//!
//! In the flow (**action**, **event**, decode, measure, verdict, report) it is the cable between a device
//! that is simulated and whoever takes it for a real one: an unmodified flashing tool, a terminal program,
//! the back end of a bench. [`Pty`] is plugged in, [`Unplugged`] is what is left of it while it is not.
//!
//! - The line is raw from the beginning: eight bits, nothing translated, nothing echoed. A program that
//!   changes this changes it for the next one as well, as on a real port.
//! - The kernel keeps 4 KiB each way. What the device's end writes while nobody has the port open waits for
//!   the next who opens it; a device that talks to nobody asks [`Pty::has_user`] first.
//! - A pseudo-terminal has no modem lines: DTR and RTS cannot be driven or seen, and asking for them fails
//!   with `ENOTTY`.
//! - A program that took the port for itself (`TIOCEXCL`) and was killed leaves it so, and no program without
//!   privileges can open it again. [`Pty::unplug`] and [`Unplugged::replug`] help.

mod link;

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::io::{Errno, ioctl_fionbio};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};

use link::Link;

/// Bytes read at once: what Linux keeps of a terminal's input.
const CHUNK_BYTES: usize = 4096;
/// The kernel does not wake anybody when a port is opened that nobody had open: it is looked at this often.
const USER_LOOK: Duration = Duration::from_millis(2);

/// Why a pseudo-terminal failed.
#[derive(Debug, thiserror::Error)]
pub enum PtyError {
    /// The system gives none.
    #[error("no pseudo-terminal: {reason}; is /dev/pts mounted, and are there too many open terminals?")]
    Open {
        /// What the system says.
        reason: io::Error,
    },
    /// Something has the name that it is to get.
    #[error(
        "{} is there already, and it is no link to a terminal that has ended; remove it, or choose another name",
        path.display()
    )]
    Taken {
        /// The name.
        path: PathBuf,
    },
    /// Its name cannot be made.
    #[error("{}: cannot make this link: {reason}; is its directory there, and may you write there?", path.display())]
    Link {
        /// The name.
        path: PathBuf,
        /// What the system says.
        reason: io::Error,
    },
    /// It worked, and does so no more.
    #[error("{}: {reason}; unplug it and plug it in again", path.display())]
    Broken {
        /// The name that others know.
        path: PathBuf,
        /// What the system says.
        reason: io::Error,
    },
    /// The other end takes no more bytes.
    #[error("{}: {left} bytes could not be sent in time; is anybody reading there?", path.display())]
    Stuck {
        /// The name that others know.
        path: PathBuf,
        /// How many were left.
        left: usize,
    },
}

/// The device's end of a pseudo-terminal. It ends with its owner: who has the other end open then reads the
/// end, and the name goes.
#[derive(Debug)]
pub struct Pty {
    device: OwnedFd,
    path: PathBuf,
    link: Option<Link>,
}

impl Pty {
    /// A new one, known by the number that the system gives it.
    ///
    /// # Errors
    /// [`PtyError::Open`].
    pub fn open() -> Result<Self, PtyError> {
        let (device, path) = device().map_err(|reason| PtyError::Open { reason })?;
        Ok(Pty { device, path, link: None })
    }

    /// A new one that is also known as `name`: a symbolic link, there as long as this is plugged in. What
    /// has the name already is left alone, except for a link to a terminal that is no more: what a killed
    /// process leaves behind.
    ///
    /// # Errors
    /// [`PtyError::Open`], [`PtyError::Taken`], [`PtyError::Link`].
    pub fn named(name: impl Into<PathBuf>) -> Result<Self, PtyError> {
        let mut pty = Pty::open()?;
        pty.link = Some(Link::make(name.into(), &pty.path)?);
        Ok(pty)
    }

    /// What other programs open: the name it was given, or else that of the system, such as `/dev/pts/3`.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.link.as_ref().map_or(&self.path, Link::name)
    }

    /// Whether some program has the port open at this moment.
    ///
    /// # Errors
    /// [`PtyError::Broken`].
    pub fn has_user(&self) -> Result<bool, PtyError> {
        Ok(!self.poll(PollFlags::empty(), Duration::ZERO)?.contains(PollFlags::HUP))
    }

    /// What a user sends next: at most 4 KiB, and nothing if nothing comes before `deadline`, be there a user
    /// or not.
    ///
    /// # Errors
    /// [`PtyError::Broken`].
    pub fn read(&mut self, deadline: Instant) -> Result<Vec<u8>, PtyError> {
        let mut bytes = vec![0; CHUNK_BYTES];
        loop {
            match rustix::io::read(&self.device, &mut bytes) {
                Ok(count) => {
                    bytes.truncate(count);
                    return Ok(bytes);
                }
                // EIO is the word for: nobody has it open, and all that was sent has been read.
                Err(Errno::AGAIN | Errno::IO) => {
                    if !self.wait(PollFlags::IN, deadline)? {
                        return Ok(Vec::new());
                    }
                }
                Err(Errno::INTR) => {}
                Err(reason) => return Err(self.broken(reason)),
            }
        }
    }

    /// Sends all of `bytes` before `deadline`.
    ///
    /// # Errors
    /// [`PtyError::Stuck`] if the user does not take them (some may have been sent), [`PtyError::Broken`].
    pub fn write(&mut self, bytes: &[u8], deadline: Instant) -> Result<(), PtyError> {
        let mut rest = bytes;
        while !rest.is_empty() {
            match rustix::io::write(&self.device, rest) {
                Ok(count) => rest = &rest[count..],
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => {
                    if !self.wait(PollFlags::OUT, deadline)? {
                        return Err(PtyError::Stuck { path: self.path().to_owned(), left: rest.len() });
                    }
                }
                Err(reason) => return Err(self.broken(reason)),
            }
        }
        Ok(())
    }

    /// Pulls the plug: who has the port open reads its end, and its name is gone. Bytes on their way are lost.
    #[must_use = "only this can be plugged in again under the same name"]
    pub fn unplug(self) -> Unplugged {
        Unplugged { name: self.link.as_ref().map(|link| link.name().to_owned()) }
    }

    /// Whether it is ready for `what` before `deadline`.
    fn wait(&self, what: PollFlags, deadline: Instant) -> Result<bool, PtyError> {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let ready = self.poll(what, left)?;
            if ready.intersects(what) {
                return Ok(true);
            }
            if left.is_zero() {
                return Ok(false);
            }
            // Without a user a poll ends at once.
            if ready.contains(PollFlags::HUP) {
                std::thread::sleep(left.min(USER_LOOK));
            }
        }
    }

    fn poll(&self, what: PollFlags, limit: Duration) -> Result<PollFlags, PtyError> {
        let mut fds = [PollFd::new(&self.device, what)];
        match poll(&mut fds, Some(&timespec(limit))) {
            Ok(_) => Ok(fds[0].revents()),
            Err(Errno::INTR) => Ok(PollFlags::empty()),
            Err(reason) => Err(self.broken(reason)),
        }
    }

    fn broken(&self, reason: Errno) -> PtyError {
        PtyError::Broken { path: self.path().to_owned(), reason: reason.into() }
    }
}

/// For a loop that waits for several at once. While nobody has the port open, a poll of it ends at once with
/// `POLLHUP`: leave it out then, and ask [`Pty::has_user`] again after a while.
impl AsFd for Pty {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.device.as_fd()
    }
}

/// A port that was pulled. Nothing has its name until it is plugged in again.
#[derive(Debug)]
pub struct Unplugged {
    name: Option<PathBuf>,
}

impl Unplugged {
    /// Plugs it in again: a new terminal under the old name.
    ///
    /// # Errors
    /// As of [`Pty::named`].
    pub fn replug(&self) -> Result<Pty, PtyError> {
        match &self.name {
            Some(name) => Pty::named(name),
            None => Pty::open(),
        }
    }
}

/// The device's end, raw and without a user, and the path of the other.
fn device() -> io::Result<(OwnedFd, PathBuf)> {
    let device = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
    ioctl_fionbio(&device, true)?;
    grantpt(&device)?;
    unlockpt(&device)?;
    let path = PathBuf::from(OsString::from_vec(ptsname(&device, Vec::new())?.into_bytes()));
    // What is set here lasts as long as the device's end. Only after a first user has gone does the kernel
    // say that there is none.
    let user = rustix::fs::open(&path, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty())?;
    let mut settings = tcgetattr(&user)?;
    settings.make_raw();
    tcsetattr(&user, OptionalActions::Now, &settings)?;
    Ok((device, path))
}

fn timespec(limit: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(limit.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: limit.subsec_nanos().into(),
    }
}
