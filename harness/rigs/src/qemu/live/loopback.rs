//! The rig's end of a network that leads through the host's loopback interface: real TCP sockets, looked at
//! whenever the rig's clock moves.
//!
//! Between them and the device stands QEMU's user network, which takes a connection before the device has
//! seen it. So a device that refuses one shows as a connection that is opened and ended, and nobody
//! can say what the device has acknowledged.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::rc::Rc;
use std::time::Duration;

use rigor_core::event::{ConnectionId, Direction, Flow, FlowKind, Kind};
use rigor_core::part::{Net, Recipient};
use rigor_core::verdict::RigError;
use rigor_core::{Source, Timeline};

use super::super::forward::{Forward, Way};

/// The host answers for its own ports at once.
const CONNECT_WITHIN: Duration = Duration::from_secs(1);
/// Bytes that are taken from a connection at a time.
const AT_ONCE: usize = 16 * 1024;

/// The rig's end. Clones are the same.
#[derive(Clone)]
pub(crate) struct Loopback(Rc<RefCell<State>>);

struct State {
    timeline: Timeline,
    source: Source,
    /// How far from the truth the rig's clock may be.
    uncertainty: Duration,
    ways: Vec<Way>,
    connections: BTreeMap<ConnectionId, Connection>,
    /// What the case has not been told yet.
    pending: Vec<(ConnectionId, FlowKind)>,
    next_id: u32,
}

struct Connection {
    stream: TcpStream,
    /// What the case has sent and the host has not taken yet.
    queue: VecDeque<u8>,
    finishing: bool,
    finished: bool,
    peer_finished: bool,
    reads: bool,
    /// The case has left without a word: the socket stays, and nobody looks at it.
    vanished: bool,
}

impl Loopback {
    /// An idle rig. What happens is recorded by the source `net` of `timeline`.
    pub(crate) fn new(ways: Vec<Way>, timeline: &Timeline, uncertainty: Duration) -> Self {
        Loopback(Rc::new(RefCell::new(State {
            source: timeline.source("net"),
            timeline: timeline.clone(),
            uncertainty,
            ways,
            connections: BTreeMap::new(),
            pending: Vec::new(),
            next_id: 1,
        })))
    }

    /// The ports that lead to the device.
    pub(crate) fn forwards(&self) -> Vec<Forward> {
        self.0.borrow().ways.iter().map(|way| way.forward).collect()
    }

    /// Where programs on the host reach the services, by name.
    pub(crate) fn addresses(&self) -> BTreeMap<String, SocketAddr> {
        let address = |way: &Way| (way.service.clone(), way.forward.address());
        self.0.borrow().ways.iter().map(address).collect()
    }

    /// Sends and takes what there is, and records it at the present moment. Never waits.
    pub(crate) fn attend(&self) {
        let mut state = self.0.borrow_mut();
        let mut events = std::mem::take(&mut state.pending);
        state.connections.retain(|&id, connection| {
            let mut happened = Vec::new();
            let stays = connection.attend(&mut happened);
            events.extend(happened.into_iter().map(|what| (id, what)));
            stays
        });
        let now = state.timeline.now();
        for (connection, what) in events {
            // The clock only moves forward, and nobody else records here.
            let _ = state.timeline.push(
                state.source,
                now,
                state.uncertainty,
                Kind::Flow(Flow { connection, what }),
            );
        }
    }
}

impl Connection {
    /// Whether there is still something to do.
    fn attend(&mut self, happened: &mut Vec<FlowKind>) -> bool {
        if self.vanished {
            return true;
        }
        let failed = self.send(happened).and_then(|()| self.receive(happened));
        if failed.is_err() {
            happened.push(FlowKind::Reset(Direction::FromDut));
            return false;
        }
        !(self.finished && self.peer_finished)
    }

    fn send(&mut self, happened: &mut Vec<FlowKind>) -> io::Result<()> {
        while !self.queue.is_empty() {
            let (front, _) = self.queue.as_slices();
            match self.stream.write(front) {
                Ok(count) => {
                    let sent: Vec<u8> = self.queue.drain(..count).collect();
                    happened.push(FlowKind::Data(Direction::ToDut, sent.into()));
                }
                Err(error) if is_for_later(&error) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        if self.finishing && !self.finished {
            self.finished = true;
            happened.push(FlowKind::Finished(Direction::ToDut));
            self.stream.shutdown(Shutdown::Write)?;
        }
        Ok(())
    }

    fn receive(&mut self, happened: &mut Vec<FlowKind>) -> io::Result<()> {
        if !self.reads || self.peer_finished {
            return Ok(());
        }
        let mut bytes = [0; AT_ONCE];
        match self.stream.read(&mut bytes) {
            Ok(0) => {
                self.peer_finished = true;
                happened.push(FlowKind::Finished(Direction::FromDut));
            }
            Ok(count) => happened.push(FlowKind::Data(Direction::FromDut, bytes[..count].into())),
            Err(error) if is_for_later(&error) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

fn is_for_later(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

impl State {
    fn connect(&mut self, port: u16) -> Result<ConnectionId, RigError> {
        let way = self.ways.iter().find(|way| way.forward.device == port).ok_or_else(|| {
            RigError(format!(
                "no port of the host leads to TCP port {port}; name it in [net] of the rig file"
            ))
        })?;
        let address = way.forward.address();
        let id = ConnectionId(self.next_id);
        self.next_id += 1;
        let refused = |error: io::Error| {
            RigError(format!(
                "no socket to {address}: {error}; close other files, or raise their limit (ulimit -n)"
            ))
        };
        match TcpStream::connect_timeout(&address, CONNECT_WITHIN) {
            Ok(stream) => {
                stream.set_nonblocking(true).and_then(|()| stream.set_nodelay(true)).map_err(refused)?;
                let connection = Connection {
                    stream,
                    queue: VecDeque::new(),
                    finishing: false,
                    finished: false,
                    peer_finished: false,
                    reads: true,
                    vanished: false,
                };
                self.connections.insert(id, connection);
                self.pending.push((id, FlowKind::Opened));
            }
            Err(error)
                if matches!(error.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::TimedOut) =>
            {
                self.pending.push((id, FlowKind::Refused));
            }
            Err(error) => return Err(refused(error)),
        }
        Ok(id)
    }
}

impl Loopback {
    fn act_on(&self, id: ConnectionId, action: impl FnOnce(&mut Connection)) {
        if let Some(connection) = self.0.borrow_mut().connections.get_mut(&id) {
            action(connection);
        }
    }
}

impl Net for Loopback {
    fn connect(&self, port: u16) -> Result<ConnectionId, RigError> {
        self.0.borrow_mut().connect(port)
    }

    fn send(&self, connection: ConnectionId, bytes: &[u8]) -> Result<(), RigError> {
        self.act_on(connection, |connection| {
            if !connection.finishing {
                connection.queue.extend(bytes);
            }
        });
        Ok(())
    }

    fn finish(&self, connection: ConnectionId) -> Result<(), RigError> {
        self.act_on(connection, |connection| connection.finishing = true);
        Ok(())
    }

    fn reset(&self, connection: ConnectionId) -> Result<(), RigError> {
        let mut state = self.0.borrow_mut();
        if let Some(ended) = state.connections.remove(&connection) {
            // Closed without a word of what was sent or has arrived: the host sends a RST.
            let _ = rustix::net::sockopt::set_socket_linger(&ended.stream, Some(Duration::ZERO));
            state.pending.push((connection, FlowKind::Reset(Direction::ToDut)));
        }
        Ok(())
    }

    fn vanish(&self, connection: ConnectionId) -> Result<(), RigError> {
        self.act_on(connection, |connection| connection.vanished = true);
        Ok(())
    }

    fn stop_reading(&self, connection: ConnectionId) -> Result<(), RigError> {
        self.act_on(connection, |connection| connection.reads = false);
        Ok(())
    }

    fn read_on(&self, connection: ConnectionId) -> Result<(), RigError> {
        self.act_on(connection, |connection| connection.reads = true);
        Ok(())
    }

    fn datagrams(&self, port: u16, _: Recipient) -> Result<ConnectionId, RigError> {
        Err(RigError(format!(
            "no datagrams pass to UDP port {port}: a device in the host's time is reached by forwarded TCP ports \
             only; use a rig with `mode = \"exact\"`"
        )))
    }

    fn source(&self) -> Source {
        self.0.borrow().source
    }
}

#[cfg(test)]
mod tests;
