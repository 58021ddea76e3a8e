//! The network to the board: real TCP sockets.
//!
//! A socket tells what the host's operating system knows: not what the device has acknowledged, and no way to leave
//! without a word. A simulated device's operating system is this host's too, so that it takes a connection says
//! nothing there: see [`Answers`].

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, SocketAddrV4, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant as HostInstant};

use rigor_core::event::{ConnectionId, Direction, FlowKind};
use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::net::sockopt::{set_socket_linger, socket_error};
use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, socket_with};

use super::error::BenchError;

/// Bytes that are taken from a connection at a time.
const AT_ONCE: usize = 16 * 1024;

/// Who says that the device has taken a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Answers {
    /// The socket: its other end is the device's own stack.
    Socket,
    /// The controller of a simulated device.
    Controller,
}

/// What both ends of the network have done since the beginning.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Traffic {
    /// Connections that were begun.
    pub(super) opened: u32,
    /// Bytes.
    pub(super) bytes: u64,
    /// Directions that were ended, by FIN or RST.
    pub(super) ended: u32,
}

/// The rig's end.
pub(super) struct Net {
    /// Where the device is, or who has yet to say so.
    address: Result<Ipv4Addr, Unknown>,
    /// What was begun before anybody knew.
    waiting: BTreeMap<ConnectionId, Waiting>,
    /// Where another port of the address leads to one of the device's.
    forwards: BTreeMap<u16, u16>,
    answers: Answers,
    connections: BTreeMap<ConnectionId, Connection>,
    /// Those that have ended, kept open until the rig goes: to close one says something.
    over: Vec<TcpStream>,
    happened: Vec<Happened>,
    /// Those that were begun, first come first.
    order: Vec<ConnectionId>,
    next: u32,
    /// Where nobody stands in for a simulated device, who would take each connection before it refuses one.
    unreached: Option<SocketAddrV4>,
    pub(super) sent: Traffic,
    pub(super) received: Traffic,
}

/// Who knows where the device is, and has not said so yet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Unknown {
    /// Its console.
    Console,
    /// Whoever has this name on the network.
    Name(String),
}

/// A connection to a device that is nowhere yet.
#[derive(Default)]
struct Waiting {
    port: u16,
    queue: Vec<u8>,
    finishing: bool,
}

/// Something that the rig's end saw, and when.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Happened {
    pub(super) at: HostInstant,
    pub(super) connection: ConnectionId,
    pub(super) what: FlowKind,
}

struct Connection {
    stream: TcpStream,
    to: SocketAddrV4,
    /// The handshake is over, as far as this host knows.
    connected: bool,
    /// The case knows that it is open.
    open: bool,
    /// What the case has sent and the host has not taken yet.
    queue: VecDeque<u8>,
    finishing: bool,
    finished: bool,
    peer_finished: bool,
}

impl Net {
    /// A network whose device is at `address`, where `forwards` leads from its ports to others.
    pub(super) fn new(
        address: Result<Ipv4Addr, Unknown>,
        forwards: BTreeMap<u16, u16>,
        answers: Answers,
    ) -> Self {
        Net {
            address,
            waiting: BTreeMap::new(),
            forwards,
            answers,
            connections: BTreeMap::new(),
            over: Vec::new(),
            happened: Vec::new(),
            order: Vec::new(),
            next: 1,
            unreached: None,
            sent: Traffic::default(),
            received: Traffic::default(),
        }
    }

    /// Begins to connect to `port` of the device.
    pub(super) fn connect(&mut self, port: u16) -> Result<ConnectionId, BenchError> {
        let id = ConnectionId(self.next);
        self.next += 1;
        let port = self.forwards.get(&port).copied().unwrap_or(port);
        match self.address {
            Ok(address) => self.open(id, SocketAddrV4::new(address, port))?,
            // It begins when somebody says where.
            Err(_) => drop(self.waiting.insert(id, Waiting { port, ..Waiting::default() })),
        }
        Ok(id)
    }

    /// The device is at `address`.
    pub(super) fn know(&mut self, address: Ipv4Addr) -> Result<(), BenchError> {
        self.address = Ok(address);
        for (id, Waiting { port, queue, finishing }) in std::mem::take(&mut self.waiting) {
            self.open(id, SocketAddrV4::new(address, port))?;
            self.send(id, &queue);
            if finishing {
                self.finish(id);
            }
        }
        Ok(())
    }

    /// Who has yet to say where the device is.
    pub(super) fn asks(&self) -> Option<&Unknown> {
        self.address.as_ref().err()
    }

    /// Whether nobody has said where the device is although somebody wants to connect to it.
    pub(super) fn check(&self) -> Result<(), BenchError> {
        match (&self.address, self.waiting.is_empty()) {
            (Err(Unknown::Console), false) => Err(BenchError::Nowhere {
                who: "its console has told no IP address since the rig was taken".to_owned(),
            }),
            (Err(Unknown::Name(name)), false) => {
                Err(BenchError::Nowhere { who: format!("nobody on this host's network answers to {name}") })
            }
            _ => Ok(()),
        }
    }

    /// Where the rig file leads and nobody of a simulated device's is, as far as that is known.
    pub(super) fn unreached(&self) -> Option<BenchError> {
        self.unreached.map(|to| BenchError::Elsewhere { to })
    }

    /// The same, if the device has just failed to take a connection: it may never have come to it.
    pub(super) fn unanswered(&self) -> Option<BenchError> {
        let pending = self.connections.values().find(|connection| !connection.connected);
        self.unreached.or(pending.map(|connection| connection.to)).map(|to| BenchError::Elsewhere { to })
    }

    fn open(&mut self, id: ConnectionId, address: SocketAddrV4) -> Result<(), BenchError> {
        let refused = |why: &dyn std::fmt::Display| BenchError::Host {
            what: format!("a socket to {address}"),
            why: why.to_string(),
            remedy: "look whether this host is in the device's network, and how many files it has open (ulimit -n)",
        };
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None);
        let socket = socket.map_err(|why| refused(&why))?;
        match connect(&socket, &address) {
            Ok(()) | Err(Errno::INPROGRESS) => {}
            Err(Errno::CONNREFUSED) => {
                if self.answers == Answers::Controller {
                    self.unreached = Some(address);
                }
                self.tell(id, FlowKind::Refused);
                return Ok(());
            }
            Err(why) => return Err(refused(&why)),
        }
        self.sent.opened += 1;
        self.order.push(id);
        let stream = TcpStream::from(socket);
        // A socket that is not connected yet takes the option too.
        let _ = stream.set_nodelay(true);
        let connection = Connection {
            stream,
            to: address,
            connected: false,
            open: false,
            queue: VecDeque::new(),
            finishing: false,
            finished: false,
            peer_finished: false,
        };
        self.connections.insert(id, connection);
        Ok(())
    }

    /// Queues `bytes`.
    pub(super) fn send(&mut self, id: ConnectionId, bytes: &[u8]) {
        if let Some(connection) = self.connections.get_mut(&id).filter(|connection| !connection.finishing) {
            connection.queue.extend(bytes);
        } else if let Some(waiting) = self.waiting.get_mut(&id).filter(|waiting| !waiting.finishing) {
            waiting.queue.extend(bytes);
        }
    }

    /// Sends no more after what is queued.
    pub(super) fn finish(&mut self, id: ConnectionId) {
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.finishing = true;
        } else if let Some(waiting) = self.waiting.get_mut(&id) {
            waiting.finishing = true;
        }
    }

    /// Tears the connection down: the host sends a RST, because it is closed without lingering.
    pub(super) fn reset(&mut self, id: ConnectionId) {
        if let Some(connection) = self.connections.remove(&id) {
            let _ = set_socket_linger(&connection.stream, Some(Duration::ZERO));
            self.sent.ended += 1;
            self.tell(id, FlowKind::Reset(Direction::ToDut));
        } else if self.waiting.remove(&id).is_some() {
            self.tell(id, FlowKind::Reset(Direction::ToDut));
        }
    }

    /// The device has taken connection `number`, from 1 in the order of their beginning, as its controller says.
    pub(super) fn taken(&mut self, number: u32) {
        let index = usize::try_from(number).ok().and_then(|number| number.checked_sub(1));
        let Some(&id) = index.and_then(|index| self.order.get(index)) else { return };
        if let Some(connection) = self.connections.get_mut(&id).filter(|connection| !connection.open) {
            connection.open = true;
            self.tell(id, FlowKind::Opened);
        }
    }

    /// Whether something waits for the other end to take it.
    pub(super) fn is_queued(&self) -> bool {
        self.connections.values().any(|connection| !connection.queue.is_empty())
    }

    /// What is to be waited for.
    pub(super) fn waits(&self) -> Vec<(BorrowedFd<'_>, PollFlags)> {
        let waits = self.connections.values().map(|connection| {
            let mut wanted = PollFlags::empty();
            wanted.set(PollFlags::IN, connection.connected && !connection.peer_finished);
            wanted.set(PollFlags::OUT, !connection.connected || !connection.queue.is_empty());
            (connection.stream.as_fd(), wanted)
        });
        waits.filter(|(_, wanted)| !wanted.is_empty()).collect()
    }

    /// Sends and takes what there is. Never waits.
    pub(super) fn attend(&mut self) {
        let ids: Vec<ConnectionId> = self.connections.keys().copied().collect();
        for id in ids {
            let Some(mut connection) = self.connections.remove(&id) else { continue };
            let mut told = Vec::new();
            let stays = self.attend_to(&mut connection, &mut told);
            for what in told {
                self.tell(id, what);
            }
            if stays {
                self.connections.insert(id, connection);
            } else {
                self.over.push(connection.stream);
            }
        }
    }

    /// What has happened since, in order.
    pub(super) fn take(&mut self) -> Vec<Happened> {
        std::mem::take(&mut self.happened)
    }

    fn tell(&mut self, connection: ConnectionId, what: FlowKind) {
        self.happened.push(Happened { at: HostInstant::now(), connection, what });
    }

    /// Whether there is still something to do.
    fn attend_to(&mut self, connection: &mut Connection, told: &mut Vec<FlowKind>) -> bool {
        if !connection.connected {
            match connection.shakes_hands() {
                Ok(true) => {
                    connection.connected = true;
                    if self.answers == Answers::Socket {
                        connection.open = true;
                        told.push(FlowKind::Opened);
                    }
                }
                Ok(false) => return true,
                Err(_) => {
                    if self.answers == Answers::Controller {
                        self.unreached = Some(connection.to);
                    }
                    // Whoever refuses has ended it, but nobody has counted a word on it.
                    told.push(FlowKind::Refused);
                    return false;
                }
            }
        }
        let exchanged = self.push(connection, told).and_then(|()| self.pull(connection, told));
        if exchanged.is_err() {
            self.received.ended += 1;
            let end = if connection.open { FlowKind::Reset(Direction::FromDut) } else { FlowKind::Refused };
            told.push(end);
            return false;
        }
        !(connection.finished && connection.peer_finished)
    }

    fn push(&mut self, connection: &mut Connection, told: &mut Vec<FlowKind>) -> io::Result<()> {
        while !connection.queue.is_empty() {
            let (front, _) = connection.queue.as_slices();
            match connection.stream.write(front) {
                Ok(count) => {
                    let bytes: Vec<u8> = connection.queue.drain(..count).collect();
                    self.sent.bytes += count as u64;
                    told.push(FlowKind::Data(Direction::ToDut, bytes.into()));
                }
                Err(error) if is_for_later(&error) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => connection.queue.clear(),
                Err(error) => return Err(error),
            }
        }
        if connection.finishing && !connection.finished {
            connection.finished = true;
            self.sent.ended += 1;
            told.push(FlowKind::Finished(Direction::ToDut));
            connection.stream.shutdown(Shutdown::Write)?;
        }
        Ok(())
    }

    fn pull(&mut self, connection: &mut Connection, told: &mut Vec<FlowKind>) -> io::Result<()> {
        let mut bytes = [0; AT_ONCE];
        while !connection.peer_finished {
            match connection.stream.read(&mut bytes) {
                Ok(0) => {
                    connection.peer_finished = true;
                    self.received.ended += 1;
                    told.push(FlowKind::Finished(Direction::FromDut));
                }
                Ok(count) => {
                    self.received.bytes += count as u64;
                    told.push(FlowKind::Data(Direction::FromDut, bytes[..count].into()));
                }
                Err(error) if is_for_later(&error) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl Connection {
    /// Whether the handshake is over.
    fn shakes_hands(&self) -> io::Result<bool> {
        if let Err(error) = socket_error(&self.stream)? {
            return Err(error.into());
        }
        match self.stream.peer_addr() {
            Ok(SocketAddr::V4(_) | SocketAddr::V6(_)) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(false),
            Err(error) => Err(error),
        }
    }
}

fn is_for_later(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}
