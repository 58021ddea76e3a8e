//! What a connection goes to, told on the [timeline](crate::timeline).
//!
//! A [`Flow`](crate::event::Flow) names its connection by a number. The harness, which opens it, says
//! once in words what that number means, so that whoever makes packets of a timeline knows their ports.
//! This module is both ends: the need writes by it and the projection reads by it.

use std::fmt;

use crate::event::{ConnectionId, Kind};
use crate::part::Recipient;

/// A connection, or an endpoint for datagrams, and what it goes to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Endpoint {
    /// Which.
    pub connection: ConnectionId,
    /// What it goes to.
    pub peer: Peer,
}

/// What a connection goes to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Peer {
    /// A TCP port of the device.
    Tcp {
        /// That port.
        port: u16,
    },
    /// Datagrams.
    Udp {
        /// The rig's port.
        from: u16,
        /// Where they go.
        to: Recipient,
    },
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ConnectionId(number) = self.connection;
        match self.peer {
            Peer::Tcp { port } => write!(f, "net: connection {number} goes to TCP port {port}"),
            Peer::Udp { from, to: Recipient::Device(port) } => {
                write!(f, "net: connection {number} goes from UDP port {from} to port {port}")
            }
            Peer::Udp { from, to: Recipient::Group(group, port) } => {
                write!(f, "net: connection {number} goes from UDP port {from} to {group}:{port}")
            }
        }
    }
}

impl Endpoint {
    /// What an event of the harness's lane tells of a connection, if it does.
    pub fn of(event: &Kind) -> Option<Endpoint> {
        let Kind::Action(text) = event else { return None };
        let (number, rest) = text.strip_prefix("net: connection ")?.split_once(" goes ")?;
        let connection = ConnectionId(number.parse().ok()?);
        let peer = match rest.strip_prefix("to TCP port ") {
            Some(port) => Peer::Tcp { port: port.parse().ok()? },
            None => {
                let (from, to) = rest.strip_prefix("from UDP port ")?.split_once(" to ")?;
                let to = match to.strip_prefix("port ") {
                    Some(port) => Recipient::Device(port.parse().ok()?),
                    None => {
                        let (group, port) = to.split_once(':')?;
                        Recipient::Group(group.parse().ok()?, port.parse().ok()?)
                    }
                };
                Peer::Udp { from: from.parse().ok()?, to }
            }
        };
        Some(Endpoint { connection, peer })
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::sync::Arc;

    use super::*;

    fn action(text: &str) -> Kind {
        Kind::Action(Arc::from(text))
    }

    #[test]
    fn what_is_written_is_read() {
        let peers = [
            Peer::Tcp { port: 8080 },
            Peer::Udp { from: 5353, to: Recipient::Device(53) },
            Peer::Udp { from: 5353, to: Recipient::Group(Ipv4Addr::new(224, 0, 0, 251), 5353) },
        ];
        for peer in peers {
            let endpoint = Endpoint { connection: ConnectionId(7), peer };
            assert_eq!(Endpoint::of(&action(&endpoint.to_string())), Some(endpoint));
        }
    }

    #[test]
    fn other_actions_tell_of_no_connection() {
        for text in [
            "",
            "net: connect to port 80",
            "net: connection 1 goes to TCP port 80000",
            "net: connection x goes to TCP port 80",
            "net: connection 1 goes from UDP port 1 to port",
            "net: connection 1 goes from UDP port 1 to 224.0.0:1",
        ] {
            assert_eq!(Endpoint::of(&action(text)), None, "{text}");
        }
        let note = Kind::Note(Arc::from("net: connection 1 goes to TCP port 80"));
        assert_eq!(Endpoint::of(&note), None);
    }
}
