//! Datagrams (UDP, RFC 768) with multicast groups.
//!
//! A datagram arrives or is gone: nobody sends it again, and nobody learns that an interface was
//! down, that nobody listened, or that a queue was full. The device's queue is lwIP's as ESP-IDF
//! configures it (`CONFIG_LWIP_UDP_RECVMBOX_SIZE`: 6). Datagrams of a group go by the same latency
//! and bandwidth as all others; what a real network does to multicast (no acknowledgement, the
//! lowest rate, waiting for a DTIM) is not modelled.

use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use edge_nal::{
    MulticastV4, MulticastV6, Readable, UdpBind, UdpReceive, UdpSend, UdpSplit, UdpSplitMulticast,
};
use embedded_io_async::ErrorType;
use rigor_core::event::{ConnectionId, Direction, FlowKind};
use rigor_core::part::Recipient;

use super::{NetError, NetHandle, Via, carry, record};
use crate::cpu;
use crate::heap::outside_firmware;
use crate::kernel::Kernel;
use crate::radio;

/// Datagrams that wait for the firmware; more are dropped.
const QUEUE: usize = 6;
/// The longest datagram that one Ethernet frame carries: 1500 less the headers of IPv4 and UDP.
const LONGEST: usize = 1472;

/// The rig's end.
struct Endpoint {
    via: Via,
    port: u16,
    to: Recipient,
}

/// The device's end.
#[derive(Default)]
struct Bound {
    /// Joined groups, each on one interface.
    groups: Vec<(Ipv4Addr, Via)>,
    received: VecDeque<(SocketAddr, Arc<[u8]>)>,
    wakers: Vec<Waker>,
}

/// All datagram traffic of a board.
#[derive(Default)]
pub(super) struct Datagrams {
    endpoints: BTreeMap<ConnectionId, Endpoint>,
    bound: BTreeMap<u16, Bound>,
}

impl Datagrams {
    pub(super) fn device_halted(&mut self) {
        self.bound.clear();
    }
}

// ---- the rig's end ---------------------------------------------------------------------------

pub(crate) fn open(kernel: &Rc<Kernel>, via: Via, port: u16, to: Recipient) -> ConnectionId {
    let id = {
        let mut net = kernel.net.borrow_mut();
        let id = net.new_id();
        net.datagrams.endpoints.insert(id, Endpoint { via, port, to });
        id
    };
    record(kernel, id, FlowKind::Opened);
    id
}

/// Sends a datagram; `false` if `id` names no endpoint.
pub(crate) fn send(kernel: &Rc<Kernel>, id: ConnectionId, bytes: &[u8]) -> bool {
    let Some((via, from, to)) = ({
        let net = kernel.net.borrow();
        net.datagrams.endpoints.get(&id).map(|end| (end.via, end.port, end.to))
    }) else {
        return false;
    };
    let bytes: Arc<[u8]> = bytes.into();
    record(kernel, id, FlowKind::Data(Direction::ToDut, bytes.clone()));
    let from = SocketAddr::new(IpAddr::V4(via.rig_address()), from);
    carry(kernel, Direction::ToDut, bytes.len(), move |kernel| {
        if !radio::carries(kernel, via) {
            return;
        }
        let mut net = kernel.net.borrow_mut();
        let (port, group) = match to {
            Recipient::Device(port) => (port, None),
            Recipient::Group(group, port) => (port, Some((group, via))),
        };
        let Some(bound) = net.datagrams.bound.get_mut(&port) else { return };
        let addressed = group.is_none_or(|group| bound.groups.contains(&group));
        if addressed && bound.received.len() < QUEUE {
            bound.received.push_back((from, bytes));
            bound.wakers.drain(..).for_each(Waker::wake);
        }
    });
    true
}

// ---- the device's end ------------------------------------------------------------------------

/// A datagram leaves by `via`.
fn send_by(kernel: &Rc<Kernel>, via: Via, to: SocketAddr, bytes: Arc<[u8]>) {
    carry(kernel, Direction::FromDut, bytes.len(), move |kernel| {
        if !radio::carries(kernel, via) {
            return;
        }
        let hears = |end: &Endpoint| {
            let group = match end.to {
                Recipient::Group(group, _) => Some(IpAddr::V4(group)),
                Recipient::Device(_) => None,
            };
            let addressed = to.ip() == IpAddr::V4(via.rig_address()) || Some(to.ip()) == group;
            end.via == via && end.port == to.port() && addressed
        };
        let heard: Vec<_> = {
            let net = kernel.net.borrow();
            let ends = net.datagrams.endpoints.iter();
            ends.filter(|(_, end)| hears(end)).map(|(id, _)| *id).collect()
        };
        for id in heard {
            record(kernel, id, FlowKind::Data(Direction::FromDut, bytes.clone()));
        }
    });
}

/// The firmware's datagram socket; dropping it frees its port.
pub struct UdpSocket(Half);

/// One of the parts into which a [`UdpSocket`] splits.
pub struct Half {
    kernel: Rc<Kernel>,
    port: u16,
}

impl UdpBind for NetHandle {
    type Error = NetError;
    type Socket<'a> = UdpSocket;

    async fn bind(&self, local: SocketAddr) -> Result<UdpSocket, NetError> {
        outside_firmware(|| {
            cpu::note_call(&self.0);
            let port = local.port();
            let mut net = self.0.net.borrow_mut();
            if net.datagrams.bound.contains_key(&port) {
                return Err(NetError::AddressInUse(port));
            }
            net.datagrams.bound.insert(port, Bound::default());
            drop(net);
            Ok(UdpSocket(Half { kernel: self.0.clone(), port }))
        })
    }
}

impl Half {
    fn with<R>(&self, f: impl FnOnce(&mut Bound) -> R) -> Result<R, NetError> {
        cpu::note_call(&self.kernel);
        self.kernel.net.borrow_mut().datagrams.bound.get_mut(&self.port).map(f).ok_or(NetError::Closed)
    }

    fn poll<R>(
        &self,
        context: &Context<'_>,
        take: impl FnOnce(&mut Bound) -> Option<R>,
    ) -> Poll<Result<R, NetError>> {
        let taken = self.with(|bound| {
            let taken = take(bound);
            if taken.is_none() && !bound.wakers.iter().any(|waker| waker.will_wake(context.waker())) {
                bound.wakers.push(context.waker().clone());
            }
            taken
        });
        match taken {
            Ok(Some(taken)) => Poll::Ready(Ok(taken)),
            Ok(None) => Poll::Pending,
            Err(error) => Poll::Ready(Err(error)),
        }
    }

    async fn next(&self, buffer: &mut [u8]) -> Result<(usize, SocketAddr), NetError> {
        let (from, bytes) =
            poll_fn(|context| outside_firmware(|| self.poll(context, |bound| bound.received.pop_front())))
                .await?;
        let kept = bytes.len().min(buffer.len());
        buffer[..kept].copy_from_slice(&bytes[..kept]);
        let whole = bytes.len();
        outside_firmware(|| drop(bytes));
        Ok((whole, from))
    }

    async fn until_readable(&self) -> Result<(), NetError> {
        poll_fn(|context| {
            outside_firmware(|| self.poll(context, |bound| (!bound.received.is_empty()).then_some(())))
        })
        .await
    }

    fn post(&self, to: SocketAddr, bytes: &[u8]) -> Result<(), NetError> {
        outside_firmware(|| {
            let groups = self.with(|bound| bound.groups.clone())?;
            let IpAddr::V4(address) = to.ip() else { return Err(NetError::Unsupported) };
            if bytes.len() > LONGEST {
                return Err(NetError::Unsupported);
            }
            let ways: Vec<Via> = if address.is_multicast() {
                groups.iter().filter(|(group, _)| *group == address).map(|(_, via)| *via).collect()
            } else if address == Via::Station.rig_address() {
                vec![Via::Station]
            } else {
                vec![Via::AccessPoint, Via::Wire]
            };
            let bytes: Arc<[u8]> = bytes.into();
            for via in ways.into_iter().filter(|&via| radio::carries(&self.kernel, via)) {
                send_by(&self.kernel, via, to, bytes.clone());
            }
            Ok(())
        })
    }

    fn regroup(&self, interface: Ipv4Addr, change: impl Fn(&mut Bound, Via)) -> Result<(), NetError> {
        outside_firmware(|| {
            self.with(|bound| {
                let ways = [Via::Wire, Via::AccessPoint, Via::Station].into_iter();
                for via in ways.filter(|via| interface.is_unspecified() || via.device_address() == interface)
                {
                    change(bound, via);
                }
            })
        })
    }

    fn another(&self) -> Half {
        Half { kernel: self.kernel.clone(), port: self.port }
    }
}

impl Drop for UdpSocket {
    fn drop(&mut self) {
        outside_firmware(|| self.0.kernel.net.borrow_mut().datagrams.bound.remove(&self.0.port));
    }
}

impl ErrorType for Half {
    type Error = NetError;
}

impl UdpReceive for Half {
    async fn receive(&mut self, buffer: &mut [u8]) -> Result<(usize, SocketAddr), NetError> {
        self.next(buffer).await
    }
}

impl UdpSend for Half {
    async fn send(&mut self, remote: SocketAddr, data: &[u8]) -> Result<(), NetError> {
        self.post(remote, data)
    }
}

impl Readable for Half {
    async fn readable(&mut self) -> Result<(), NetError> {
        self.until_readable().await
    }
}

impl MulticastV4 for Half {
    async fn join_v4(&mut self, group: Ipv4Addr, interface: Ipv4Addr) -> Result<(), NetError> {
        self.regroup(interface, |bound, via| {
            if !bound.groups.contains(&(group, via)) {
                bound.groups.push((group, via));
            }
        })
    }

    async fn leave_v4(&mut self, group: Ipv4Addr, interface: Ipv4Addr) -> Result<(), NetError> {
        self.regroup(interface, |bound, via| bound.groups.retain(|joined| *joined != (group, via)))
    }
}

impl MulticastV6 for Half {
    async fn join_v6(&mut self, _group: Ipv6Addr, _interface: u32) -> Result<(), NetError> {
        Err(NetError::Unsupported)
    }

    async fn leave_v6(&mut self, _group: Ipv6Addr, _interface: u32) -> Result<(), NetError> {
        Err(NetError::Unsupported)
    }
}

impl ErrorType for UdpSocket {
    type Error = NetError;
}

impl UdpReceive for UdpSocket {
    async fn receive(&mut self, buffer: &mut [u8]) -> Result<(usize, SocketAddr), NetError> {
        self.0.next(buffer).await
    }
}

impl UdpSend for UdpSocket {
    async fn send(&mut self, remote: SocketAddr, data: &[u8]) -> Result<(), NetError> {
        self.0.post(remote, data)
    }
}

impl Readable for UdpSocket {
    async fn readable(&mut self) -> Result<(), NetError> {
        self.0.until_readable().await
    }
}

impl MulticastV4 for UdpSocket {
    async fn join_v4(&mut self, group: Ipv4Addr, interface: Ipv4Addr) -> Result<(), NetError> {
        self.0.join_v4(group, interface).await
    }

    async fn leave_v4(&mut self, group: Ipv4Addr, interface: Ipv4Addr) -> Result<(), NetError> {
        self.0.leave_v4(group, interface).await
    }
}

impl MulticastV6 for UdpSocket {
    async fn join_v6(&mut self, group: Ipv6Addr, interface: u32) -> Result<(), NetError> {
        self.0.join_v6(group, interface).await
    }

    async fn leave_v6(&mut self, group: Ipv6Addr, interface: u32) -> Result<(), NetError> {
        self.0.leave_v6(group, interface).await
    }
}

impl UdpSplit for UdpSocket {
    type Receive<'a> = Half;
    type Send<'a> = Half;

    fn split(&mut self) -> (Half, Half) {
        (self.0.another(), self.0.another())
    }
}

impl UdpSplitMulticast for UdpSocket {
    type MulticastV4<'a> = Half;
    type MulticastV6<'a> = Half;

    fn split_multicast(&mut self) -> (Half, Half, Half, Half) {
        (self.0.another(), self.0.another(), self.0.another(), self.0.another())
    }
}
