//! The device's TCP ports on this machine, in a time of which the operating system knows nothing.
//!
//! It takes connections and bytes whenever they come. The board has none of it before the host has counted
//! it ([`Crossed`]): until then it is staged here. The other way the box counts.

mod host;

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use rigor_controller::stepped::Crossed;
use rigor_core::event::{Direction, Flow, FlowKind};
use rigor_core::part::Net;
use rigor_core::verdict::RigError;
use rustix::event::{PollFd, PollFlags};

use host::Host;

/// Connections between two identifications at most; further ones wait in the kernel's backlog.
const MAX_HOSTS: usize = 1024;

/// A service of the device on this machine.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Door {
    /// Its name in the rig file.
    pub service: String,
    /// Its port on the device.
    pub device: u16,
    /// Its port on 127.0.0.1.
    pub here: u16,
}

pub(crate) struct Ports {
    doors: Vec<(Door, TcpListener)>,
    /// In the order in which they were opened.
    hosts: Vec<Host>,
    /// What the board has of what came.
    taken: Crossed,
}

impl Ports {
    /// Listens on 127.0.0.1 at [`Door::here`], 0 for any port.
    ///
    /// # Errors
    /// The door that cannot be opened, and what the system says.
    pub(crate) fn open(doors: Vec<Door>) -> Result<Self, (Door, io::Error)> {
        let open = |mut door: Door| {
            let listening = TcpListener::bind((Ipv4Addr::LOCALHOST, door.here));
            let known = listening.and_then(|listener| {
                listener.set_nonblocking(true)?;
                Ok((listener.local_addr()?, listener))
            });
            match known {
                Ok((SocketAddr::V4(address), listener)) => {
                    door.here = address.port();
                    Ok((door, listener))
                }
                Ok((SocketAddr::V6(_), _)) => Err((door, io::ErrorKind::AddrNotAvailable.into())),
                Err(reason) => Err((door, reason)),
            }
        };
        let doors = doors.into_iter().map(open).collect::<Result<_, _>>()?;
        Ok(Ports { doors, hosts: Vec::new(), taken: Crossed::default() })
    }

    pub(crate) fn doors(&self) -> impl Iterator<Item = &Door> {
        self.doors.iter().map(|(door, _)| door)
    }

    /// Tears everything down and counts from nothing again.
    pub(crate) fn begin(&mut self) {
        self.attend();
        for host in &mut self.hosts {
            host.abort();
        }
        self.hosts.clear();
        self.taken = Crossed::default();
    }

    pub(crate) fn wanted<'a>(&'a self, wanted: &mut Vec<PollFd<'a>>) {
        if self.hosts.len() < MAX_HOSTS {
            wanted.extend(self.doors.iter().map(|(_, listener)| PollFd::new(listener, PollFlags::IN)));
        }
        wanted.extend(self.hosts.iter().filter_map(Host::wanted));
    }

    /// Stages what has come and lets go what can.
    pub(crate) fn attend(&mut self) {
        for (number, (_, listener)) in self.doors.iter().enumerate() {
            while self.hosts.len() < MAX_HOSTS
                && let Ok((socket, _)) = listener.accept()
            {
                // One that is gone already never was here.
                if socket.set_nonblocking(true).and_then(|()| socket.set_nodelay(true)).is_ok() {
                    self.hosts.push(Host::new(number, socket));
                }
            }
        }
        for host in &mut self.hosts {
            host.attend();
        }
    }

    /// What is staged for the board, and what it has: as much as a host can have counted. Bytes and ends of
    /// connections that the board was not to have yet count nothing.
    pub(crate) fn arrived(&self, opened: u32) -> Crossed {
        let mut arrived = Crossed { opened: self.hosts.len() as u32, ..self.taken };
        for host in self.hosts.iter().take(opened as usize) {
            arrived.network += host.staged() as u64;
            arrived.ended += host.ends() as u32;
        }
        arrived
    }

    /// Hands the board what the host has counted.
    ///
    /// # Errors
    /// The rig's, if its end of the link is broken.
    pub(crate) fn hand_over(&mut self, counted: &Crossed, net: &dyn Net) -> Result<(), RigError> {
        let (doors, taken) = (&self.doors, &mut self.taken);
        for host in self.hosts.iter_mut().take(counted.opened as usize) {
            if !host.is_connected() {
                host.connect(net.connect(doors[host.door()].0.device)?);
                taken.opened += 1;
            }
            let bytes = host.take(counted.network - taken.network);
            if let Some((connection, bytes)) = bytes {
                taken.network += bytes.len() as u64;
                net.send(connection, &bytes)?;
            }
            while taken.ended < counted.ended
                && let Some(end) = host.take_end()
            {
                taken.ended += 1;
                end.pass_on(net)?;
            }
        }
        Ok(())
    }

    /// The board's link tells something. `sent` counts what goes out; the number of the connection that was
    /// opened by it, from 1.
    pub(crate) fn event(&mut self, flow: &Flow, sent: &mut Crossed) -> Option<u32> {
        let index = self.hosts.iter().position(|host| host.connection() == Some(flow.connection))?;
        let host = &mut self.hosts[index];
        if !host.is_there() {
            return None;
        }
        match &flow.what {
            FlowKind::Opened => return u32::try_from(index + 1).ok(),
            FlowKind::Data(Direction::FromDut, bytes) => {
                sent.network += bytes.len() as u64;
                host.send(bytes);
            }
            FlowKind::Finished(Direction::FromDut) => {
                sent.ended += 1;
                host.finish();
            }
            // After its FIN the host may never find out about it, and goes on counting what it says to nobody.
            FlowKind::Reset(Direction::FromDut) if host.has_finished() => {}
            FlowKind::Refused | FlowKind::Reset(Direction::FromDut) => {
                sent.ended += 1;
                host.reset();
            }
            _ => {}
        }
        None
    }
}
