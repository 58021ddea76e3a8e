//! UDP on all interfaces: a socket of each, that receive together and of which one sends.

use core::array;
use core::cell::Cell;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use edge_nal::{
    MulticastV4, MulticastV6, Readable, UdpBind, UdpReceive, UdpSend, UdpSplit, UdpSplitMulticast,
};
use edge_nal_embassy::{Udp, UdpError, UdpSocket};
use embassy_futures::select::select_array;
use embedded_io_async::ErrorType;

use crate::Interface;

/// A port of all `N` interfaces.
pub struct Socket<'a, const N: usize> {
    interfaces: &'a [Interface; N],
    sockets: [UdpSocket<'a>; N],
    /// The interface whose groups have been joined.
    grouped: Cell<Option<usize>>,
}

impl<'a, const N: usize> Socket<'a, N> {
    pub(crate) async fn bind(
        interfaces: &'a [Interface; N],
        udp: &'a [Udp<'static>; N],
        local: SocketAddr,
    ) -> Result<Self, UdpError> {
        let mut bound = heapless::Vec::<UdpSocket<'a>, N>::new();
        for udp in udp {
            let socket = udp.bind(local).await?;
            // There are as many places as interfaces.
            let _ = bound.push(socket);
        }
        let sockets = bound.into_array().map_err(|_| UdpError::NoBuffers)?;
        Ok(Socket { interfaces, sockets, grouped: Cell::new(None) })
    }

    /// The interface with this address, or the first one where none has it.
    fn with_address(&self, address: Ipv4Addr) -> usize {
        let is_it = |interface: &Interface| {
            interface.stack.config_v4().is_some_and(|config| config.address.address() == address)
        };
        self.interfaces.iter().position(is_it).unwrap_or(0)
    }

    /// The interface by which the way to `remote` leads: for groups the one that has joined them, then one
    /// whose network it is in, then one that knows a way out.
    fn towards(&self, remote: IpAddr) -> usize {
        let IpAddr::V4(remote) = remote else { return 0 };
        if remote.is_multicast()
            && let Some(index) = self.grouped.get()
        {
            return index;
        }
        let configs: [_; N] = array::from_fn(|index| self.interfaces[index].stack.config_v4());
        let is_there = |config: &embassy_net::StaticConfigV4| config.address.contains_addr(&remote);
        let leads_out = |config: &embassy_net::StaticConfigV4| config.gateway.is_some();
        let first = |fits: &dyn Fn(&embassy_net::StaticConfigV4) -> bool| {
            configs.iter().position(|config| config.as_ref().is_some_and(fits))
        };
        first(&is_there).or_else(|| first(&leads_out)).unwrap_or(0)
    }

    /// Waits for the first interface that has received something.
    async fn ready(&self) -> Result<usize, UdpError> {
        let waits: [_; N] = array::from_fn(|index| {
            let mut socket = &self.sockets[index];
            async move { socket.readable().await }
        });
        let (ready, index) = select_array(waits).await;
        ready.map(|()| index)
    }
}

impl<const N: usize> ErrorType for Socket<'_, N> {
    type Error = UdpError;
}

impl<const N: usize> ErrorType for &Socket<'_, N> {
    type Error = UdpError;
}

impl<const N: usize> UdpReceive for &Socket<'_, N> {
    async fn receive(&mut self, buffer: &mut [u8]) -> Result<(usize, SocketAddr), UdpError> {
        let index = self.ready().await?;
        (&self.sockets[index]).receive(buffer).await
    }
}

impl<const N: usize> UdpSend for &Socket<'_, N> {
    async fn send(&mut self, remote: SocketAddr, data: &[u8]) -> Result<(), UdpError> {
        (&self.sockets[self.towards(remote.ip())]).send(remote, data).await
    }
}

impl<const N: usize> Readable for &Socket<'_, N> {
    async fn readable(&mut self) -> Result<(), UdpError> {
        self.ready().await.map(drop)
    }
}

impl<const N: usize> MulticastV4 for &Socket<'_, N> {
    async fn join_v4(&mut self, group: Ipv4Addr, interface: Ipv4Addr) -> Result<(), UdpError> {
        let index = self.with_address(interface);
        (&self.sockets[index]).join_v4(group, interface).await?;
        self.grouped.set(Some(index));
        Ok(())
    }

    async fn leave_v4(&mut self, group: Ipv4Addr, interface: Ipv4Addr) -> Result<(), UdpError> {
        let index = self.grouped.get().unwrap_or_else(|| self.with_address(interface));
        (&self.sockets[index]).leave_v4(group, interface).await
    }
}

impl<const N: usize> MulticastV6 for &Socket<'_, N> {
    async fn join_v6(&mut self, _: Ipv6Addr, _: u32) -> Result<(), UdpError> {
        Err(UdpError::UnsupportedProto)
    }

    async fn leave_v6(&mut self, _: Ipv6Addr, _: u32) -> Result<(), UdpError> {
        Err(UdpError::UnsupportedProto)
    }
}

impl<const N: usize> UdpReceive for Socket<'_, N> {
    async fn receive(&mut self, buffer: &mut [u8]) -> Result<(usize, SocketAddr), UdpError> {
        (&*self).receive(buffer).await
    }
}

impl<const N: usize> UdpSend for Socket<'_, N> {
    async fn send(&mut self, remote: SocketAddr, data: &[u8]) -> Result<(), UdpError> {
        (&*self).send(remote, data).await
    }
}

impl<const N: usize> Readable for Socket<'_, N> {
    async fn readable(&mut self) -> Result<(), UdpError> {
        (&*self).readable().await
    }
}

impl<const N: usize> MulticastV4 for Socket<'_, N> {
    async fn join_v4(&mut self, group: Ipv4Addr, interface: Ipv4Addr) -> Result<(), UdpError> {
        (&*self).join_v4(group, interface).await
    }

    async fn leave_v4(&mut self, group: Ipv4Addr, interface: Ipv4Addr) -> Result<(), UdpError> {
        (&*self).leave_v4(group, interface).await
    }
}

impl<const N: usize> MulticastV6 for Socket<'_, N> {
    async fn join_v6(&mut self, group: Ipv6Addr, interface: u32) -> Result<(), UdpError> {
        (&*self).join_v6(group, interface).await
    }

    async fn leave_v6(&mut self, group: Ipv6Addr, interface: u32) -> Result<(), UdpError> {
        (&*self).leave_v6(group, interface).await
    }
}

impl<const N: usize> UdpSplit for Socket<'_, N> {
    type Receive<'b>
        = &'b Self
    where
        Self: 'b;
    type Send<'b>
        = &'b Self
    where
        Self: 'b;

    fn split(&mut self) -> (&Self, &Self) {
        (&*self, &*self)
    }
}

impl<const N: usize> UdpSplitMulticast for Socket<'_, N> {
    type MulticastV4<'b>
        = &'b Self
    where
        Self: 'b;
    type MulticastV6<'b>
        = &'b Self
    where
        Self: 'b;

    fn split_multicast(&mut self) -> (&Self, &Self, &Self, &Self) {
        (&*self, &*self, &*self, &*self)
    }
}
