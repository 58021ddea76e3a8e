//! A network in memory for the host's unit tests, and the client's end of its connections.

use alloc::collections::VecDeque;
use alloc::rc::Rc;
use core::cell::RefCell;
use core::convert::Infallible;
use core::future::{pending, poll_fn};
use core::net::{Ipv4Addr, SocketAddr};
use core::task::{Context, Poll, Waker};
use std::string::String;
use std::vec::Vec;

use edge_nal::NoopNet;
use edge_nal::{Close, Readable, TcpAccept, TcpBind, TcpShutdown, TcpSplit, UdpBind};
use embedded_io_async::{ErrorType, Read, Write};

use crate::protocol::framed;

#[derive(Default)]
pub(crate) struct Wire {
    pub(crate) to_device: VecDeque<u8>,
    pub(crate) to_client: VecDeque<u8>,
    pub(crate) client_finished: bool,
    pub(crate) device_finished: bool,
    pub(crate) device_gone: bool,
    /// Nothing the device sends is acknowledged or taken any more.
    pub(crate) deaf: bool,
    pub(crate) wakers: Vec<Waker>,
}

/// What the device may have on its way to a client that does not read.
const SEND_BUFFER: usize = 256;

#[derive(Clone, Default)]
pub(crate) struct Link(pub(crate) Rc<RefCell<Wire>>);

impl Link {
    pub(crate) fn change<R>(&self, act: impl FnOnce(&mut Wire) -> R) -> R {
        let mut wire = self.0.borrow_mut();
        let result = act(&mut wire);
        wire.wakers.drain(..).for_each(Waker::wake);
        result
    }

    pub(crate) async fn until<R>(&self, mut ready: impl FnMut(&mut Wire) -> Option<R>) -> R {
        poll_fn(|context: &mut Context<'_>| {
            let mut wire = self.0.borrow_mut();
            match ready(&mut wire) {
                Some(result) => {
                    wire.wakers.drain(..).for_each(Waker::wake);
                    Poll::Ready(result)
                }
                None => {
                    wire.wakers.push(context.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
    }
}

pub(crate) struct Socket(Link);

impl ErrorType for Socket {
    type Error = Infallible;
}

impl Read for Socket {
    async fn read(&mut self, into: &mut [u8]) -> Result<usize, Infallible> {
        let read = self.0.until(|wire| {
            let count = into.len().min(wire.to_device.len());
            for (place, byte) in into.iter_mut().zip(wire.to_device.drain(..count)) {
                *place = byte;
            }
            (count > 0 || wire.client_finished).then_some(count)
        });
        Ok(read.await)
    }
}

impl Write for Socket {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        let written = self.0.until(|wire| {
            let room = SEND_BUFFER.saturating_sub(wire.to_client.len());
            let count = room.min(bytes.len());
            wire.to_client.extend(&bytes[..count]);
            (count > 0 && !wire.deaf).then_some(count)
        });
        Ok(written.await)
    }

    async fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

impl Readable for Socket {
    async fn readable(&mut self) -> Result<(), Infallible> {
        pending().await
    }
}

impl TcpSplit for Socket {
    type Read<'a> = Socket;
    type Write<'a> = Socket;

    fn split(&mut self) -> (Socket, Socket) {
        (Socket(self.0.clone()), Socket(self.0.clone()))
    }
}

impl TcpShutdown for Socket {
    async fn close(&mut self, _what: Close) -> Result<(), Infallible> {
        self.0.change(|wire| wire.device_finished = true);
        self.0.until(|wire| (wire.client_finished && !wire.deaf).then_some(())).await;
        Ok(())
    }

    async fn abort(&mut self) -> Result<(), Infallible> {
        self.0.change(|wire| wire.device_gone = true);
        Ok(())
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.0.change(|wire| wire.device_gone = true);
    }
}

/// The listening ports 80 and 8080.
#[derive(Clone, Default)]
pub(crate) struct Net(Rc<RefCell<[VecDeque<Link>; 2]>>, Link);

pub(crate) struct Port(Net, usize);

impl TcpBind for Net {
    type Error = Infallible;
    type Accept<'a> = Port;

    async fn bind(&self, local: SocketAddr) -> Result<Port, Infallible> {
        Ok(Port(self.clone(), usize::from(local.port() == 8080)))
    }
}

/// Datagrams are for the board's tests.
impl UdpBind for Net {
    type Error = Infallible;
    type Socket<'a> = NoopNet;

    async fn bind(&self, _local: SocketAddr) -> Result<NoopNet, Infallible> {
        pending().await
    }
}

impl TcpAccept for Port {
    type Error = Infallible;
    type Socket<'a> = Socket;

    async fn accept(&self) -> Result<(SocketAddr, Socket), Infallible> {
        let link = self.0.1.until(|_| self.0.0.borrow_mut()[self.1].pop_front()).await;
        Ok((SocketAddr::from((Ipv4Addr::LOCALHOST, 1)), Socket(link)))
    }
}

/// A frame that the device sent.
#[derive(PartialEq, Eq, Debug)]
pub(crate) enum Got {
    Binary(Vec<u8>),
    Pong(Vec<u8>),
    Close(Vec<u8>),
    End,
}

pub(crate) struct Client(pub(crate) Link);

impl Client {
    pub(crate) fn connect(net: &Net, port: usize) -> Self {
        let link = Link::default();
        net.0.borrow_mut()[port].push_back(link.clone());
        net.1.change(|_| ());
        Self(link)
    }

    pub(crate) async fn open(net: &Net) -> Self {
        let mut client = Self::connect(net, 0);
        client.send(UPGRADE.as_bytes());
        let head = client.head().await;
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        client
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.0.change(|wire| wire.to_device.extend(bytes));
    }

    pub(crate) fn frame(&mut self, first: u8, payload: &[u8]) {
        self.send(&masked(first, payload));
    }

    pub(crate) fn finish(&mut self) {
        self.0.change(|wire| wire.client_finished = true);
    }

    pub(crate) async fn bytes(&mut self, count: usize) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        while bytes.len() < count {
            let wanted = count - bytes.len();
            let some = self.0.until(|wire| {
                let ready = wanted.min(wire.to_client.len());
                let over = wire.device_finished || wire.device_gone;
                (ready > 0 || over).then(|| wire.to_client.drain(..ready).collect::<Vec<u8>>())
            });
            let some = some.await;
            if some.is_empty() {
                return None;
            }
            bytes.extend(some);
        }
        Some(bytes)
    }

    pub(crate) async fn head(&mut self) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.extend(self.bytes(1).await.expect("a whole response"));
        }
        String::from_utf8(head).unwrap()
    }

    pub(crate) async fn receive(&mut self) -> Got {
        let Some(header) = self.bytes(2).await else {
            return Got::End;
        };
        let len = match header[1] {
            126 => usize::from(u16::from_be_bytes(self.bytes(2).await.unwrap().try_into().unwrap())),
            len => usize::from(len),
        };
        let payload = if len == 0 { Vec::new() } else { self.bytes(len).await.unwrap() };
        match header[0] {
            0x82 => Got::Binary(payload),
            0x8A => Got::Pong(payload),
            0x88 => Got::Close(payload),
            other => panic!("{other:#x}"),
        }
    }

    /// The refusal: ERROR `code`, Close `close`, and the end after the client's own Close.
    pub(crate) async fn expect_refusal(&mut self, code: u8, close: u16) {
        match self.receive().await {
            Got::Binary(frame) => {
                assert_eq!((frame[0], frame[3]), (framed::ERROR, code));
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(self.receive().await, Got::Close(close.to_be_bytes().to_vec()));
        self.frame(0x88, &close.to_be_bytes());
        self.finish();
        assert_eq!(self.receive().await, Got::End);
    }
}

pub(crate) const UPGRADE: &str = "GET /ws HTTP/1.1\r\nHost: k1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

pub(crate) fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [0x11, 0x22, 0x33, 0x44];
    let mut frame = std::vec![first];
    match payload.len() {
        len @ 0..126 => frame.push(0x80 | len as u8),
        len @ 126..65536 => {
            frame.push(0xFE);
            frame.extend((len as u16).to_be_bytes());
        }
        len => {
            frame.push(0xFF);
            frame.extend((len as u64).to_be_bytes());
        }
    }
    frame.extend(mask);
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}
