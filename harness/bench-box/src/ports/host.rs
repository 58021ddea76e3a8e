//! One connection of a host.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use rigor_core::event::ConnectionId;
use rigor_core::part::Net;
use rigor_core::verdict::RigError;
use rustix::event::{PollFd, PollFlags};
use rustix::net::sockopt::set_socket_linger;

/// Staged bytes at most; what comes after them waits in the kernel.
const MAX_STAGED: usize = 64 << 20;
/// Bytes read at once.
const CHUNK: usize = 64 * 1024;

/// How a host ended a direction of its connection.
#[derive(Clone, Copy)]
enum How {
    Finished,
    Reset,
}

/// An end that the board has to hear of.
pub(super) struct End {
    connection: ConnectionId,
    how: How,
}

impl End {
    /// # Errors
    /// The rig's, if its end of the link is broken.
    pub(super) fn pass_on(self, net: &dyn Net) -> Result<(), RigError> {
        match self.how {
            How::Finished => net.finish(self.connection),
            How::Reset => net.reset(self.connection),
        }
    }
}

pub(super) struct Host {
    door: usize,
    /// `None` once nothing can come or go any more.
    socket: Option<TcpStream>,
    /// Once the board knows of it.
    connection: Option<ConnectionId>,
    staged: VecDeque<u8>,
    ends: VecDeque<How>,
    /// No more bytes will come.
    is_over: bool,
    out: VecDeque<u8>,
    /// After `out`: nothing, or the device's end.
    ending: Option<How>,
    /// The device's FIN has gone.
    is_finished: bool,
}

impl Host {
    pub(super) fn new(door: usize, socket: TcpStream) -> Self {
        Host {
            door,
            socket: Some(socket),
            connection: None,
            staged: VecDeque::new(),
            ends: VecDeque::new(),
            is_over: false,
            out: VecDeque::new(),
            ending: None,
            is_finished: false,
        }
    }

    pub(super) fn door(&self) -> usize {
        self.door
    }

    pub(super) fn is_there(&self) -> bool {
        self.socket.is_some()
    }

    pub(super) fn is_connected(&self) -> bool {
        self.connection.is_some()
    }

    pub(super) fn connection(&self) -> Option<ConnectionId> {
        self.connection
    }

    pub(super) fn connect(&mut self, connection: ConnectionId) {
        self.connection = Some(connection);
    }

    pub(super) fn staged(&self) -> usize {
        self.staged.len()
    }

    pub(super) fn ends(&self) -> usize {
        self.ends.len()
    }

    /// At most so many bytes for the board.
    pub(super) fn take(&mut self, limit: u64) -> Option<(ConnectionId, Vec<u8>)> {
        let count = usize::try_from(limit).unwrap_or(usize::MAX).min(self.staged.len());
        let connection = self.connection.filter(|_| count > 0)?;
        Some((connection, self.staged.drain(..count).collect()))
    }

    /// The next end, if all bytes before it were taken.
    pub(super) fn take_end(&mut self) -> Option<End> {
        let connection = self.connection.filter(|_| self.staged.is_empty())?;
        self.ends.pop_front().map(|how| End { connection, how })
    }

    /// What is to be waited for.
    pub(super) fn wanted(&self) -> Option<PollFd<'_>> {
        let socket = self.socket.as_ref()?;
        let mut flags = PollFlags::empty();
        flags.set(PollFlags::IN, !self.is_over && self.staged.len() < MAX_STAGED);
        flags.set(PollFlags::OUT, !self.out.is_empty());
        // With both directions over, a poll would end at once for ever.
        (!flags.is_empty() || !self.is_finished).then(|| PollFd::new(socket, flags))
    }

    /// Stages what has come and lets go what can.
    pub(super) fn attend(&mut self) {
        self.flush();
        let Some(socket) = &mut self.socket else { return };
        if self.is_over {
            // Only a reset can follow a FIN.
            if let Ok(Some(_)) = socket.take_error() {
                self.socket = None;
                self.ends.push_back(How::Reset);
            }
            return;
        }
        let mut buffer = [0; CHUNK];
        while self.staged.len() < MAX_STAGED {
            match socket.read(&mut buffer) {
                Ok(0) => {
                    self.is_over = true;
                    self.ends.push_back(How::Finished);
                    return;
                }
                Ok(count) => {
                    self.staged.extend(&buffer[..count]);
                    if count < CHUNK {
                        return;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => {
                    (self.is_over, self.socket) = (true, None);
                    self.ends.push_back(How::Reset);
                    return;
                }
            }
        }
    }

    /// Bytes of the device.
    pub(super) fn send(&mut self, bytes: &[u8]) {
        self.out.extend(bytes);
        self.flush();
    }

    /// The device sends no more.
    pub(super) fn finish(&mut self) {
        self.ending.get_or_insert(How::Finished);
        self.flush();
    }

    /// Whether the device sends no more.
    pub(super) fn has_finished(&self) -> bool {
        self.ending.is_some()
    }

    /// The device has torn it down. What the host had sent by then it will count.
    pub(super) fn reset(&mut self) {
        self.attend();
        self.ending = Some(How::Reset);
        self.flush();
    }

    /// Nobody is to have anything of it any more.
    pub(super) fn abort(&mut self) {
        self.out.clear();
        self.ending = Some(How::Reset);
        self.flush();
    }

    fn flush(&mut self) {
        let Some(socket) = &mut self.socket else { return };
        while !self.out.is_empty() {
            let (bytes, _) = self.out.as_slices();
            match socket.write(bytes) {
                Ok(count) => drop(self.out.drain(..count)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => {
                    (self.is_over, self.socket) = (true, None);
                    self.ends.push_back(How::Reset);
                    return;
                }
            }
        }
        match self.ending {
            Some(How::Finished) if !self.is_finished => {
                self.is_finished = true;
                // It fails only where there is nobody to tell.
                let _ = socket.shutdown(Shutdown::Write);
            }
            Some(How::Reset) => {
                // Closed at once, the kernel tells the host so.
                let _ = set_socket_linger(&*socket, Some(Duration::ZERO));
                self.socket = None;
            }
            Some(How::Finished) | None => {}
        }
    }
}
