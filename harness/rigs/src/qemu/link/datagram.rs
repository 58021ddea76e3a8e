//! Endpoints for datagrams (UDP, RFC 768).
//!
//! As on the virtual board: whoever listens where a datagram goes hears it, several at a time if so many were
//! opened, and nobody tells a sender that nobody listens.

use std::collections::BTreeMap;
use std::net::SocketAddrV4;

use rigor_core::event::ConnectionId;
use rigor_core::part::Recipient;

use super::{DEVICE_ADDRESS, RIG_ADDRESS};

/// All endpoints of the rig, with their ports. Nobody closes one.
#[derive(Default)]
pub(super) struct Endpoints(BTreeMap<ConnectionId, (u16, Recipient)>);

impl Endpoints {
    pub(super) fn open(&mut self, id: ConnectionId, port: u16, to: Recipient) {
        self.0.insert(id, (port, to));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// From where and to where datagrams of `id` go, if it is an endpoint.
    pub(super) fn get(&self, id: ConnectionId) -> Option<(SocketAddrV4, SocketAddrV4)> {
        let &(port, to) = self.0.get(&id)?;
        let to = match to {
            Recipient::Device(port) => SocketAddrV4::new(DEVICE_ADDRESS, port),
            Recipient::Group(group, port) => SocketAddrV4::new(group, port),
        };
        Some((SocketAddrV4::new(RIG_ADDRESS, port), to))
    }

    /// Who hears a datagram to `to`.
    pub(super) fn listening(&self, to: SocketAddrV4) -> Vec<ConnectionId> {
        let hears = |port: u16, recipient| {
            let joined = matches!(recipient, Recipient::Group(group, _) if group == *to.ip());
            port == to.port() && (*to.ip() == RIG_ADDRESS || joined)
        };
        self.0.iter().filter(|&(_, &(port, to))| hears(port, to)).map(|(id, _)| *id).collect()
    }
}
