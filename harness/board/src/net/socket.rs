//! The firmware's view of the stack: listening ports and sockets, by `edge-nal`'s traits.

use std::future::poll_fn;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use edge_nal::{Close, Readable, TcpAccept, TcpBind, TcpShutdown, TcpSplit};
use embedded_io_async::{Error, ErrorKind, ErrorType, Read, Write};
use rigor_core::event::{ConnectionId, Direction};

use super::{
    Listener, RECEIVE_WINDOW_BYTES, SEGMENT_BYTES, SEND_BUFFER_BYTES, Socket, Via, acknowledge,
    data_arrives_at_peer, drop_socket, fin_arrives_at_peer, send_segment, tear_down,
};
use crate::cpu;
use crate::heap::outside_firmware;
use crate::kernel::Kernel;

/// Why a call on a socket failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NetError {
    /// The peer or the firmware tore the connection down.
    #[error("connection reset")]
    Reset,
    /// The firmware has closed its side already.
    #[error("this side of the connection is closed")]
    Closed,
    /// Another listener has the port.
    #[error("port {0} is in use")]
    AddressInUse(u16),
    /// The stack has no such protocol, or the datagram is too long for the link.
    #[error("the stack does not carry this")]
    Unsupported,
}

impl Error for NetError {
    fn kind(&self) -> ErrorKind {
        match self {
            NetError::Reset => ErrorKind::ConnectionReset,
            NetError::Closed => ErrorKind::BrokenPipe,
            NetError::AddressInUse(_) => ErrorKind::AddrInUse,
            NetError::Unsupported => ErrorKind::Unsupported,
        }
    }
}

/// The firmware's network stack.
#[derive(Clone)]
pub struct NetHandle(pub(crate) Rc<Kernel>);

impl TcpBind for NetHandle {
    type Error = NetError;
    type Accept<'a> = Acceptor;

    async fn bind(&self, local: SocketAddr) -> Result<Acceptor, NetError> {
        outside_firmware(|| {
            cpu::note_call(&self.0);
            let mut net = self.0.net.borrow_mut();
            if net.listeners.contains_key(&local.port()) {
                return Err(NetError::AddressInUse(local.port()));
            }
            net.listeners.insert(local.port(), Listener::default());
            drop(net);
            Ok(Acceptor { kernel: self.0.clone(), port: local.port() })
        })
    }
}

/// A listening port.
pub struct Acceptor {
    kernel: Rc<Kernel>,
    port: u16,
}

/// First of the dynamic ports (RFC 6335, section 6).
const PEER_FIRST_PORT: u16 = 49152;

impl TcpAccept for Acceptor {
    type Error = NetError;
    type Socket<'a> = TcpSocket;

    async fn accept(&self) -> Result<(SocketAddr, TcpSocket), NetError> {
        let id = poll_fn(|context| {
            outside_firmware(|| {
                cpu::note_call(&self.kernel);
                let mut net = self.kernel.net.borrow_mut();
                let Some(listener) = net.listeners.get_mut(&self.port) else {
                    return Poll::Ready(Err(NetError::Closed));
                };
                match listener.waiting.pop_front() {
                    Some(id) => Poll::Ready(Ok(id)),
                    None => {
                        if !listener.wakers.iter().any(|waker| waker.will_wake(context.waker())) {
                            listener.wakers.push(context.waker().clone());
                        }
                        Poll::Pending
                    }
                }
            })
        })
        .await?;
        let via = self.kernel.net.borrow().peers.get(&id).map_or(Via::Wire, |peer| peer.via);
        let port = PEER_FIRST_PORT + (id.0 % 16384) as u16;
        let half = Half { kernel: self.kernel.clone(), id };
        Ok((SocketAddr::new(IpAddr::V4(via.rig_address()), port), TcpSocket(half)))
    }
}

impl Drop for Acceptor {
    fn drop(&mut self) {
        outside_firmware(|| {
            let listener = self.kernel.net.borrow_mut().listeners.remove(&self.port);
            for id in listener.map(|listener| listener.waiting).unwrap_or_default() {
                tear_down(&self.kernel, id);
            }
        });
    }
}

/// The firmware's end of a connection. Dropping it tears the connection down unless it was closed.
pub struct TcpSocket(Half);

/// One direction of a [`TcpSocket`].
pub struct Half {
    kernel: Rc<Kernel>,
    id: ConnectionId,
}

impl Half {
    fn with<R>(&self, f: impl FnOnce(&mut Socket) -> R) -> Result<R, NetError> {
        cpu::note_call(&self.kernel);
        self.kernel.net.borrow_mut().sockets.get_mut(&self.id).map(f).ok_or(NetError::Reset)
    }

    fn poll_readable(&self, context: &Context<'_>) -> Poll<Result<(), NetError>> {
        let ready = self.with(|socket| {
            if socket.reset {
                return Poll::Ready(Err(NetError::Reset));
            }
            if !socket.received.is_empty() || socket.peer_finished {
                return Poll::Ready(Ok(()));
            }
            socket.wait(context);
            Poll::Pending
        });
        ready.unwrap_or_else(|error| Poll::Ready(Err(error)))
    }

    async fn until_readable(&self) -> Result<(), NetError> {
        poll_fn(|context| outside_firmware(|| self.poll_readable(context))).await
    }

    async fn read_some(&self, buffer: &mut [u8]) -> Result<usize, NetError> {
        self.until_readable().await?;
        outside_firmware(|| {
            let (count, window_opens) = self.with(|socket| {
                let count = buffer.len().min(socket.received.len());
                for (slot, byte) in buffer.iter_mut().zip(socket.received.drain(..count)) {
                    *slot = byte;
                }
                socket.read_total += count as u64;
                let edge = socket.read_total + RECEIVE_WINDOW_BYTES as u64;
                // Receiver-side silly window avoidance (RFC 9293, 3.8.6.2.2).
                (count, edge >= socket.told_edge + SEGMENT_BYTES as u64)
            })?;
            if window_opens {
                acknowledge(&self.kernel, self.id);
            }
            Ok(count)
        })
    }

    async fn write_some(&self, bytes: &[u8]) -> Result<usize, NetError> {
        if bytes.is_empty() {
            return Ok(0);
        }
        let count = poll_fn(|context| {
            outside_firmware(|| {
                let room = self.with(|socket| {
                    if socket.reset {
                        return Poll::Ready(Err(NetError::Reset));
                    }
                    if socket.fin_sent {
                        return Poll::Ready(Err(NetError::Closed));
                    }
                    let room = SEND_BUFFER_BYTES - socket.unacknowledged;
                    if room == 0 {
                        socket.wait(context);
                        return Poll::Pending;
                    }
                    let count = room.min(bytes.len());
                    socket.unacknowledged += count;
                    Poll::Ready(Ok(count))
                });
                room.unwrap_or_else(|error| Poll::Ready(Err(error)))
            })
        })
        .await?;
        outside_firmware(|| {
            for segment in bytes[..count].chunks(SEGMENT_BYTES) {
                let (id, segment) = (self.id, Arc::<[u8]>::from(segment));
                send_segment(&self.kernel, id, Direction::FromDut, segment.len(), move |kernel| {
                    data_arrives_at_peer(kernel, id, segment);
                });
            }
        });
        Ok(count)
    }

    async fn until_acknowledged(&self) -> Result<(), NetError> {
        poll_fn(|context| {
            outside_firmware(|| {
                let done = self.with(|socket| {
                    if socket.reset {
                        return Poll::Ready(Err(NetError::Reset));
                    }
                    if socket.unacknowledged == 0 && (!socket.fin_sent || socket.fin_acknowledged) {
                        return Poll::Ready(Ok(()));
                    }
                    socket.wait(context);
                    Poll::Pending
                });
                done.unwrap_or_else(|error| Poll::Ready(Err(error)))
            })
        })
        .await
    }

    async fn finish(&self) -> Result<(), NetError> {
        outside_firmware(|| {
            let first = self.with(|socket| !std::mem::replace(&mut socket.fin_sent, true))?;
            if first {
                let id = self.id;
                send_segment(&self.kernel, id, Direction::FromDut, 0, move |kernel| {
                    fin_arrives_at_peer(kernel, id)
                });
            }
            Ok(())
        })?;
        self.until_acknowledged().await
    }
}

impl ErrorType for Half {
    type Error = NetError;
}

impl Read for Half {
    async fn read(&mut self, buffer: &mut [u8]) -> Result<usize, NetError> {
        self.read_some(buffer).await
    }
}

impl Readable for Half {
    async fn readable(&mut self) -> Result<(), NetError> {
        self.until_readable().await
    }
}

impl Write for Half {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, NetError> {
        self.write_some(bytes).await
    }
    async fn flush(&mut self) -> Result<(), NetError> {
        Ok(())
    }
}

impl ErrorType for TcpSocket {
    type Error = NetError;
}

impl Read for TcpSocket {
    async fn read(&mut self, buffer: &mut [u8]) -> Result<usize, NetError> {
        self.0.read_some(buffer).await
    }
}

impl Readable for TcpSocket {
    async fn readable(&mut self) -> Result<(), NetError> {
        self.0.until_readable().await
    }
}

impl Write for TcpSocket {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, NetError> {
        self.0.write_some(bytes).await
    }
    async fn flush(&mut self) -> Result<(), NetError> {
        Ok(())
    }
}

impl TcpSplit for TcpSocket {
    type Read<'a> = Half;
    type Write<'a> = Half;

    fn split(&mut self) -> (Half, Half) {
        let half = || Half { kernel: self.0.kernel.clone(), id: self.0.id };
        (half(), half())
    }
}

impl TcpShutdown for TcpSocket {
    /// Sends a FIN and waits for its acknowledgement; for the read half, reads until the peer's.
    async fn close(&mut self, what: Close) -> Result<(), NetError> {
        if matches!(what, Close::Write | Close::Both) {
            self.0.finish().await?;
        }
        if matches!(what, Close::Read | Close::Both) {
            let mut rest = [0; 64];
            while self.0.read_some(&mut rest).await? > 0 {}
        }
        Ok(())
    }

    async fn abort(&mut self) -> Result<(), NetError> {
        outside_firmware(|| tear_down(&self.0.kernel, self.0.id));
        Ok(())
    }
}

impl Drop for TcpSocket {
    fn drop(&mut self) {
        outside_firmware(|| drop_socket(&self.0.kernel, self.0.id));
    }
}
