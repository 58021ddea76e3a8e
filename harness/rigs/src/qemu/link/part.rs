//! What a case does at the rig's end: each action takes place at once, on what is due by then.

use std::time::Duration;

use rigor_core::Source;
use rigor_core::event::{ConnectionId, Direction, FlowKind};
use rigor_core::part::{Net, Recipient};
use rigor_core::verdict::RigError;

use super::connection::Connection;
use super::stack::Stack;
use super::{Link, PortOwner, State, frame};

/// First of the dynamic ports (RFC 6335, section 6), and how many there are.
const FIRST_PORT: u16 = 49152;
pub(super) const PORTS: u16 = 16384;

/// How long a SYN goes unanswered until the device counts as refusing: its fifth leaves after 15 s.
const GIVE_UP_AFTER: Duration = Duration::from_secs(16);

impl Link {
    /// What an action of the case changes, at the present moment.
    fn act<R>(&self, action: impl FnOnce(&mut State) -> R) -> R {
        let mut state = self.0.borrow_mut();
        state.catch_up();
        let result = action(&mut state);
        state.flush();
        result
    }

    /// What an action does to a connection that is still there.
    fn act_on(&self, id: ConnectionId, action: impl FnOnce(&mut Connection, &mut Stack)) {
        self.act(|state| {
            if let Some(connection) = state.connections.get_mut(&id) {
                action(connection, &mut state.stack);
            }
        });
    }
}

impl State {
    fn new_id(&mut self) -> ConnectionId {
        let id = ConnectionId(self.next_id);
        self.next_id += 1;
        id
    }

    fn connect(&mut self, to: u16) -> Result<ConnectionId, RigError> {
        // The board's rule, so that a firmware that tells its peer's port tells the same.
        let first = (self.next_id % u32::from(PORTS)) as u16;
        let port = (0..PORTS)
            .map(|step| FIRST_PORT + (first + step) % PORTS)
            .find(|port| !self.ports.contains_key(port))
            .ok_or_else(|| {
                RigError(format!("all {PORTS} ports of the rig's end are taken; connect less often"))
            })?;
        let socket = self.stack.connect(port, to).ok_or_else(|| {
            RigError(format!("nobody can connect to TCP port {to}; correct `ports` in [net] of the rig file"))
        })?;
        let id = self.new_id();
        let gives_up_at = self.clock + GIVE_UP_AFTER;
        self.connections.insert(id, Connection::new(socket, port, to, gives_up_at));
        self.ports.insert(port, PortOwner::Connection(id));
        self.unanswered.insert((gives_up_at, id));
        Ok(id)
    }

    fn send_datagram(&mut self, id: ConnectionId, bytes: &[u8]) -> Result<bool, RigError> {
        let Some((from, to)) = self.endpoints.get(id) else { return Ok(false) };
        let frame = frame::datagram(from, to, bytes).ok_or_else(|| {
            RigError(format!(
                "a datagram of {} bytes is longer than one frame carries ({}); send less in one",
                bytes.len(),
                frame::LONGEST_DATAGRAM
            ))
        })?;
        self.record(id, FlowKind::Data(Direction::ToDut, bytes.into()));
        self.send(false, frame);
        Ok(true)
    }

    /// Ends a connection by a RST, if there is still something to end.
    fn reset(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get(&id).filter(|connection| !connection.is_over()) else {
            return;
        };
        // Who has only sent a SYN has nothing to tear down yet (RFC 9293, 3.10.5).
        if connection.is_open() {
            self.stack.socket(connection.socket()).abort();
        }
        self.record(id, FlowKind::Reset(Direction::ToDut));
        self.flush();
        self.forget(id);
    }
}

impl Net for Link {
    fn connect(&self, port: u16) -> Result<ConnectionId, RigError> {
        self.act(|state| state.connect(port))
    }

    fn send(&self, connection: ConnectionId, bytes: &[u8]) -> Result<(), RigError> {
        if !self.act(|state| state.send_datagram(connection, bytes))? {
            self.act_on(connection, |connection, stack| {
                connection.send(bytes);
                connection.pump(stack);
            });
        }
        Ok(())
    }

    fn finish(&self, connection: ConnectionId) -> Result<(), RigError> {
        self.act_on(connection, |connection, stack| {
            connection.finish();
            connection.pump(stack);
        });
        Ok(())
    }

    fn reset(&self, connection: ConnectionId) -> Result<(), RigError> {
        self.act(|state| state.reset(connection));
        Ok(())
    }

    fn vanish(&self, connection: ConnectionId) -> Result<(), RigError> {
        self.act(|state| {
            if let Some(port) = state.connections.get(&connection).map(Connection::port) {
                state.forget(connection);
                state.ports.insert(port, PortOwner::Ghost);
            }
        });
        Ok(())
    }

    fn stop_reading(&self, connection: ConnectionId) -> Result<(), RigError> {
        self.act_on(connection, |connection, _| connection.stop_reading());
        Ok(())
    }

    fn read_on(&self, connection: ConnectionId) -> Result<(), RigError> {
        self.act_on(connection, |connection, stack| connection.read_on(stack));
        Ok(())
    }

    fn datagrams(&self, port: u16, to: Recipient) -> Result<ConnectionId, RigError> {
        Ok(self.act(|state| {
            let id = state.new_id();
            state.endpoints.open(id, port, to);
            state.record(id, FlowKind::Opened);
            id
        }))
    }

    fn source(&self) -> Source {
        self.0.borrow().source
    }
}
