//! The sockets of several embassy-net stacks as those of one.
//!
//! A stack of embassy-net has one interface, and a listening socket of it takes one client. The firmware asks
//! for more ([`edge_nal`]): a port that is open on all interfaces of the radio at once, and clients that wait in
//! line. [`Net`] is that, for ports whose packets are embassy-net's:
//!
//! - [`tcp`] keeps a few sockets listening for each port and interface, and gives those that nobody holds any
//!   more a decent end;
//! - [`gate`] stands between an interface and its stack, and has clients that find no socket ask again;
//! - [`udp`] receives on all interfaces, and sends where the way leads;
//! - [`leases`] gives the clients of an access point their addresses.
//!
//! Everything here runs in one task, on its executor: embassy-net's stacks are not made for several.
#![no_std]

extern crate alloc;

pub mod gate;
pub mod leases;
pub mod tcp;
pub mod udp;

use core::cell::OnceCell;
use core::net::SocketAddr;

use edge_nal::{TcpBind, UdpBind};
use edge_nal_embassy::UdpError;
use embassy_net::Stack;

pub use gate::{Gate, Gated};
pub use tcp::{Memory, Places};

/// An interface with its stack.
#[derive(Clone, Copy)]
pub struct Interface {
    /// What makes packets of bytes.
    pub stack: Stack<'static>,
    /// What its frames come through.
    pub gate: &'static Gate,
}

/// The sockets of `N` interfaces. Each stack needs room for all of TCP's sockets and for its own of UDP's.
pub struct Net<const N: usize> {
    interfaces: [Interface; N],
    memory: &'static dyn Memory,
    backlog: usize,
    pool: OnceCell<tcp::Pool>,
    udp: [edge_nal_embassy::Udp<'static>; N],
}

impl<const N: usize> Net<N> {
    /// TCP with sockets of `memory`, of which each port keeps `backlog` listening on each interface, and the
    /// UDP of each interface.
    #[must_use]
    pub const fn new(
        interfaces: [Interface; N],
        memory: &'static dyn Memory,
        backlog: usize,
        udp: [edge_nal_embassy::Udp<'static>; N],
    ) -> Self {
        Net { interfaces, memory, backlog, pool: OnceCell::new(), udp }
    }
}

impl<const N: usize> TcpBind for Net<N> {
    type Error = tcp::NetError;
    type Accept<'a> = tcp::Acceptor;

    /// On all interfaces, whatever address `local` has.
    async fn bind(&self, local: SocketAddr) -> Result<tcp::Acceptor, tcp::NetError> {
        // Not before: it allocates, and the firmware has its first memory first.
        let pool = self.pool.get_or_init(|| tcp::Pool::new(&self.interfaces, self.memory));
        Ok(pool.listen(local.port(), self.backlog))
    }
}

impl<const N: usize> UdpBind for Net<N> {
    type Error = UdpError;
    type Socket<'a> = udp::Socket<'a, N>;

    /// On all interfaces; `local` has no address, or one that all of them have.
    async fn bind(&self, local: SocketAddr) -> Result<udp::Socket<'_, N>, UdpError> {
        udp::Socket::bind(&self.interfaces, &self.udp, local).await
    }
}
