//! One client: its socket here and its connection to the board.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use rigor_core::event::{ConnectionId, Direction, FlowKind};
use rigor_core::part::Net;
use rigor_core::verdict::RigError;
use rustix::net::sockopt::set_socket_linger;

use super::Door;
use crate::wait::{Ready, Wanted};

/// Bytes that the link was given and the device has not acknowledged: no more are read from the client.
pub(super) const MAX_AHEAD: u64 = 64 * 1024;
/// Bytes that the client has not read: the link stops acknowledging. What the device's send buffer holds
/// still comes.
pub(super) const MAX_UNREAD: usize = 64 * 1024;
/// Bytes read at once.
const READ_BYTES: usize = 16 * 1024;

/// A client, for people.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ClientView<'a> {
    /// Which connection of the board's link it is.
    pub connection: ConnectionId,
    /// Where it connected to.
    pub door: &'a Door,
    /// Where it is.
    pub from: SocketAddr,
    /// Bytes that the device has acknowledged.
    pub to_device: u64,
    /// Bytes that the device has sent.
    pub from_device: u64,
    /// Whether the device has accepted it.
    pub is_open: bool,
}

/// Which side sends no more.
#[derive(Default)]
struct Finished {
    host: bool,
    device: bool,
    /// The device's FIN has been passed on.
    told: bool,
}

pub(super) struct Client {
    pub(super) door: usize,
    id: ConnectionId,
    from: SocketAddr,
    /// `None` once it is over.
    socket: Option<TcpStream>,
    opened: bool,
    pub(super) sent: u64,
    pub(super) acknowledged: u64,
    received: u64,
    /// What the client has still to read.
    pub(super) unread: VecDeque<u8>,
    /// The link's end reads no further.
    pub(super) held: bool,
    /// The kernel says so again and again; it is enough to know it once.
    hung_up: bool,
    finished: Finished,
}

impl Client {
    pub(super) fn new(id: ConnectionId, door: usize, from: SocketAddr, socket: TcpStream) -> Self {
        Client {
            door,
            id,
            from,
            socket: Some(socket),
            opened: false,
            sent: 0,
            acknowledged: 0,
            received: 0,
            unread: VecDeque::new(),
            held: false,
            hung_up: false,
            finished: Finished::default(),
        }
    }

    pub(super) fn view<'a>(&self, door: &'a Door) -> ClientView<'a> {
        ClientView {
            connection: self.id,
            door,
            from: self.from,
            to_device: self.acknowledged,
            from_device: self.received,
            is_open: self.opened,
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.socket.is_none()
    }

    /// Before the device has accepted it, its bytes wait in the kernel.
    fn wants_to_read(&self) -> bool {
        self.opened && !self.finished.host && self.sent - self.acknowledged < MAX_AHEAD
    }

    pub(super) fn wanted<'a>(&'a self, wanted: &mut Wanted<'a>) {
        let Some(socket) = &self.socket else { return };
        let (read, write) = (self.wants_to_read(), !self.unread.is_empty());
        if read || write || !self.hung_up {
            wanted.either(socket, read, write);
        }
    }

    pub(super) fn attend(&mut self, ready: &Ready, net: &dyn Net) -> Result<(), RigError> {
        let Some(socket) = &self.socket else { return Ok(()) };
        if ready.broken(socket) {
            return self.lose(net);
        }
        self.hung_up |= ready.hung_up(socket);
        if ready.writable(socket) {
            self.pass_on(net)?;
        }
        match &self.socket {
            Some(socket) if ready.readable(socket) && self.wants_to_read() => self.take_in(net),
            _ => Ok(()),
        }
    }

    /// From the client to the board.
    fn take_in(&mut self, net: &dyn Net) -> Result<(), RigError> {
        let mut buffer = [0; READ_BYTES];
        while self.wants_to_read() {
            let Some(socket) = &mut self.socket else { break };
            match socket.read(&mut buffer) {
                Ok(0) => {
                    self.finished.host = true;
                    net.finish(self.id)?;
                    self.end_if_both_did();
                }
                Ok(count) => {
                    self.sent += count as u64;
                    net.send(self.id, &buffer[..count])?;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return self.lose(net),
            }
        }
        Ok(())
    }

    /// From the board to the client.
    fn pass_on(&mut self, net: &dyn Net) -> Result<(), RigError> {
        while let Some(socket) = self.socket.as_mut().filter(|_| !self.unread.is_empty()) {
            let (bytes, _) = self.unread.as_slices();
            match socket.write(bytes) {
                Ok(count) => drop(self.unread.drain(..count)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return self.lose(net),
            }
        }
        if self.held && self.unread.len() < MAX_UNREAD / 2 {
            self.held = false;
            net.read_on(self.id)?;
        }
        if self.finished.device && !self.finished.told && self.unread.is_empty() {
            self.finished.told = true;
            // A client that is gone needs no telling.
            let _ = self.socket.as_ref().map(|socket| socket.shutdown(Shutdown::Write));
            self.end_if_both_did();
        }
        Ok(())
    }

    pub(super) fn event(&mut self, what: &FlowKind, net: &dyn Net) -> Result<(), RigError> {
        match what {
            FlowKind::Opened => self.opened = true,
            FlowKind::Acknowledged(bytes) => self.acknowledged = *bytes,
            FlowKind::Data(Direction::FromDut, bytes) => {
                self.received += bytes.len() as u64;
                self.unread.extend(&**bytes);
                self.pass_on(net)?;
                if !self.held && self.unread.len() >= MAX_UNREAD && self.socket.is_some() {
                    self.held = true;
                    net.stop_reading(self.id)?;
                }
            }
            FlowKind::Finished(Direction::FromDut) => {
                self.finished.device = true;
                self.pass_on(net)?;
            }
            FlowKind::Refused | FlowKind::Reset(Direction::FromDut) => self.tear_down(),
            FlowKind::Data(Direction::ToDut, _)
            | FlowKind::Finished(Direction::ToDut)
            | FlowKind::Reset(Direction::ToDut) => {}
        }
        Ok(())
    }

    fn end_if_both_did(&mut self) {
        if self.finished.host && self.finished.told {
            self.socket = None;
        }
    }

    /// The client has torn its side down.
    fn lose(&mut self, net: &dyn Net) -> Result<(), RigError> {
        self.socket = None;
        net.reset(self.id)
    }

    /// The device has.
    fn tear_down(&mut self) {
        let Some(socket) = self.socket.take() else { return };
        // With no time to linger, closing sends a RST. Without, the client sees an end in order.
        let _ = set_socket_linger(&socket, Some(Duration::ZERO));
    }
}

impl Drop for Client {
    /// A board that is gone, as one whose supply was cut: what it had in flight is lost.
    fn drop(&mut self) {
        if !self.finished.told {
            self.tear_down();
        }
    }
}
