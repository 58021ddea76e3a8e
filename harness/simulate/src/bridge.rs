//! The board's TCP ports on this machine.
//!
//! One listener on the loopback interface for each port of the rig's `net` table; a connection to it
//! becomes a connection to the board. Both are byte streams, so nothing of what they carry is looked at,
//! and what happens to the one happens to the other:
//!
//! | On this machine | On the board's link |
//! |---|---|
//! | a connection | a SYN; refused, it ends with a RST here (the handshake here is over by then) |
//! | bytes | bytes, at most 64 KiB ahead of what the device has acknowledged |
//! | a client that does not read | acknowledgements stop, and the device's send buffer fills |
//! | FIN | FIN |
//! | RST, or a process that died with unread bytes | RST |
//!
//! How many clients are served is the device's decision; how many can ask is bounded by
//! [`MAX_CLIENTS`]. Further ones wait in the kernel's backlog.

mod client;

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::rc::Rc;
use std::time::{Duration, Instant as HostInstant};

use rigor_core::event::{ConnectionId, Flow};
use rigor_core::part::Net;
use rigor_core::verdict::RigError;

use crate::wait::{Ready, Wanted};
use client::Client;
pub use client::ClientView;

/// Connections at a time, over all ports.
pub const MAX_CLIENTS: usize = 64;

/// A listener that failed is left alone for this long.
const LISTENER_REST: Duration = Duration::from_millis(200);

/// A port of the device as it is reached on this machine.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Door {
    /// Its name in the rig file.
    pub service: String,
    /// Its number on the device.
    pub device_port: u16,
    /// Where it is here.
    pub address: SocketAddr,
}

struct Listening {
    door: Door,
    listener: TcpListener,
    /// Out of descriptors or the like until then.
    rests_until: Option<HostInstant>,
}

/// A port cannot be had.
#[derive(Debug, thiserror::Error)]
#[error(
    "service `{service}`: {address} cannot be listened on: {reason}; choose another port with --port {service}=PORT, 0 for any"
)]
pub struct PortTaken {
    service: String,
    address: SocketAddr,
    reason: io::Error,
}

/// All of it. Dropping it tears every connection down.
pub struct Bridge {
    net: Rc<dyn Net>,
    doors: Vec<Listening>,
    clients: BTreeMap<ConnectionId, Client>,
}

impl Bridge {
    /// Opens a listener for each of `ports`: the service's name, the device's port, and the one here.
    ///
    /// # Errors
    /// [`PortTaken`] if a port cannot be had.
    pub fn open(
        net: Rc<dyn Net>,
        address: IpAddr,
        ports: impl IntoIterator<Item = (String, u16, u16)>,
    ) -> Result<Self, PortTaken> {
        let mut doors = Vec::new();
        for (service, device_port, here) in ports {
            let wanted = SocketAddr::new(address, here);
            let listening = listen(wanted);
            let (listener, address) = match listening {
                Ok(listening) => listening,
                Err(reason) => return Err(PortTaken { service, address: wanted, reason }),
            };
            let door = Door { service, device_port, address };
            doors.push(Listening { door, listener, rests_until: None });
        }
        Ok(Bridge { net, doors, clients: BTreeMap::new() })
    }

    /// Where everything is.
    pub fn doors(&self) -> impl Iterator<Item = &Door> {
        self.doors.iter().map(|listening| &listening.door)
    }

    /// Who is connected, the oldest first.
    pub fn clients(&self) -> impl ExactSizeIterator<Item = ClientView<'_>> {
        self.clients.values().map(|client| client.view(&self.doors[client.door].door))
    }

    pub(crate) fn wanted<'a>(&'a self, now: HostInstant, wanted: &mut Wanted<'a>) {
        for door in &self.doors {
            let rests = door.rests_until.is_some_and(|until| now < until);
            if self.clients.len() < MAX_CLIENTS && !rests {
                wanted.readable(&door.listener);
            }
        }
        for client in self.clients.values() {
            client.wanted(wanted);
        }
    }

    /// Does what can be done without waiting.
    ///
    /// # Errors
    /// The rig's, if its end of the link is broken.
    pub(crate) fn attend(&mut self, ready: &Ready, now: HostInstant) -> Result<(), RigError> {
        for door in 0..self.doors.len() {
            if ready.readable(&self.doors[door].listener) {
                self.accept(door, now)?;
            }
        }
        for client in self.clients.values_mut() {
            client.attend(ready, &*self.net)?;
        }
        self.clients.retain(|_, client| !client.is_over());
        Ok(())
    }

    /// The board's link tells something.
    ///
    /// # Errors
    /// As [`attend`](Self::attend).
    pub(crate) fn event(&mut self, flow: &Flow) -> Result<(), RigError> {
        let Some(client) = self.clients.get_mut(&flow.connection) else { return Ok(()) };
        client.event(&flow.what, &*self.net)?;
        if client.is_over() {
            self.clients.remove(&flow.connection);
        }
        Ok(())
    }

    fn accept(&mut self, door: usize, now: HostInstant) -> Result<(), RigError> {
        while self.clients.len() < MAX_CLIENTS {
            match self.doors[door].listener.accept() {
                Ok((socket, from)) => {
                    // One that is gone already never was here.
                    if socket.set_nonblocking(true).and_then(|()| socket.set_nodelay(true)).is_ok() {
                        let id = self.net.connect(self.doors[door].door.device_port)?;
                        self.clients.insert(id, Client::new(id, door, from, socket));
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => {
                    self.doors[door].rests_until = Some(now + LISTENER_REST);
                    break;
                }
            }
        }
        Ok(())
    }
}

fn listen(address: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

#[cfg(test)]
mod tests;
