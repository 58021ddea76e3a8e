//! Waiting for whatever comes first: a descriptor that is ready, or a moment.
//!
//! Everything that the simulation listens to is asked for at once, so that a single thread owns it all.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

/// What is waited for.
#[derive(Default)]
pub(crate) struct Wanted<'a>(Vec<PollFd<'a>>);

impl<'a> Wanted<'a> {
    pub(crate) fn readable(&mut self, fd: &'a impl AsFd) {
        self.either(fd, true, false);
    }

    /// With neither, only that the other end is gone.
    pub(crate) fn either(&mut self, fd: &'a impl AsFd, read: bool, write: bool) {
        let mut flags = PollFlags::empty();
        flags.set(PollFlags::IN, read);
        flags.set(PollFlags::OUT, write);
        self.0.push(PollFd::from_borrowed_fd(fd.as_fd(), flags));
    }

    /// Waits until something of it comes, at most for `limit`. A signal ends it early.
    ///
    /// # Errors
    /// If the kernel refuses: too many descriptors, or no memory.
    pub(crate) fn wait(mut self, limit: Duration) -> io::Result<Ready> {
        let limit = Timespec {
            tv_sec: i64::try_from(limit.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: limit.subsec_nanos().into(),
        };
        match poll(&mut self.0, Some(&limit)) {
            Ok(_) => {}
            Err(Errno::INTR) => return Ok(Ready::default()),
            Err(error) => return Err(error.into()),
        }
        let came = self.0.iter().filter(|fd| !fd.revents().is_empty());
        Ok(Ready(came.map(|fd| (fd.as_fd().as_raw_fd(), fd.revents())).collect()))
    }
}

/// What came.
#[derive(Default)]
pub(crate) struct Ready(Vec<(RawFd, PollFlags)>);

impl Ready {
    fn flags(&self, fd: BorrowedFd<'_>) -> PollFlags {
        let found = self.0.iter().find(|(other, _)| *other == fd.as_raw_fd());
        found.map_or(PollFlags::empty(), |&(_, flags)| flags)
    }

    /// There is something to read, be it the end.
    pub(crate) fn readable(&self, fd: &impl AsFd) -> bool {
        self.flags(fd.as_fd()).intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR)
    }

    /// There is room to write.
    pub(crate) fn writable(&self, fd: &impl AsFd) -> bool {
        self.flags(fd.as_fd()).intersects(PollFlags::OUT)
    }

    /// Nothing more will come, and nothing can be sent.
    pub(crate) fn hung_up(&self, fd: &impl AsFd) -> bool {
        self.flags(fd.as_fd()).intersects(PollFlags::HUP)
    }

    /// The connection is broken.
    pub(crate) fn broken(&self, fd: &impl AsFd) -> bool {
        self.flags(fd.as_fd()).intersects(PollFlags::ERR | PollFlags::NVAL)
    }
}
