//! Waits for whatever comes first: the bell of the listeners, or a socket.

use std::os::fd::BorrowedFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::bell::Bell;

/// Returns when `bell` rings, one of `sockets` is ready for what it is waited for, or `limit` is over.
pub(super) fn wait(bell: &Bell, sockets: &[(BorrowedFd<'_>, PollFlags)], limit: Duration) {
    let mut fds = vec![PollFd::from_borrowed_fd(bell.descriptor(), PollFlags::IN)];
    fds.extend(sockets.iter().map(|&(socket, what)| PollFd::from_borrowed_fd(socket, what)));
    let limit = Timespec {
        tv_sec: i64::try_from(limit.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: limit.subsec_nanos().into(),
    };
    // Interrupted or refused, it has waited less: everybody looks again.
    let _ = poll(&mut fds, Some(&limit));
}
