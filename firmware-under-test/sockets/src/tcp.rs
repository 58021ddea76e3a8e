//! TCP sockets: a backlog for each listening port, and a decent end for those that nobody holds any more.

use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::{RefCell, UnsafeCell};
use core::future::poll_fn;
use core::net::{IpAddr, SocketAddr};
use core::pin::pin;
use core::sync::atomic::Ordering;
use core::task::{Context, Poll, Waker};

use edge_nal::{Close, Readable, TcpAccept, TcpShutdown, TcpSplit};
use embassy_net::IpAddress;
use embassy_net::tcp::{State, TcpReader, TcpSocket, TcpWriter};
use embassy_time::Duration;
use embedded_io_async::{Error, ErrorKind, ErrorType, Read, Write};
use portable_atomic::AtomicBool;

use crate::Interface;

/// A socket that nobody holds is forgotten when its peer is silent for so long (RFC 9293 leaves it to the
/// stack; lwIP waits 20 s in FIN-WAIT-2).
const LINGER: Duration = Duration::from_secs(20);

/// Why a call on a socket failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NetError {
    /// The peer or the firmware tore the connection down.
    Reset,
    /// This side is closed.
    Closed,
}

impl core::fmt::Display for NetError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            NetError::Reset => "connection reset",
            NetError::Closed => "this side of the connection is closed",
        })
    }
}

impl core::error::Error for NetError {}

impl Error for NetError {
    fn kind(&self) -> ErrorKind {
        match self {
            NetError::Reset => ErrorKind::ConnectionReset,
            NetError::Closed => ErrorKind::BrokenPipe,
        }
    }
}

impl From<embassy_net::tcp::Error> for NetError {
    fn from(_: embassy_net::tcp::Error) -> Self {
        NetError::Reset
    }
}

/// The memory of so many sockets, that the firmware's heap has no part in.
pub struct Places<const SOCKETS: usize, const RECEIVE: usize, const SEND: usize> {
    used: [AtomicBool; SOCKETS],
    buffers: UnsafeCell<[([u8; RECEIVE], [u8; SEND]); SOCKETS]>,
}

// SAFETY: a place is of whoever has set its flag, which only one can.
unsafe impl<const N: usize, const R: usize, const S: usize> Sync for Places<N, R, S> {}

impl<const N: usize, const R: usize, const S: usize> Default for Places<N, R, S> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize, const R: usize, const S: usize> Places<N, R, S> {
    /// All of them free.
    #[must_use]
    pub const fn new() -> Self {
        Places {
            used: [const { AtomicBool::new(false) }; N],
            buffers: UnsafeCell::new([([0; R], [0; S]); N]),
        }
    }
}

/// A socket's memory. Nobody else gets it before it is [given back](Memory::give_back).
pub struct Taken {
    place: usize,
    receive: &'static mut [u8],
    send: &'static mut [u8],
}

/// Memory for sockets.
pub trait Memory: Sync {
    /// A place; `None` while all are in use.
    fn take(&'static self) -> Option<Taken>;

    /// Gives a place back.
    ///
    /// # Safety
    /// It was taken, and nobody has its buffers any more.
    unsafe fn give_back(&self, place: usize);
}

impl<const N: usize, const R: usize, const S: usize> Memory for Places<N, R, S> {
    fn take(&'static self) -> Option<Taken> {
        let place = self.used.iter().position(|used| !used.swap(true, Ordering::Acquire))?;
        // SAFETY: its flag was clear and is set now, so it is nobody else's. Nothing refers to other places.
        let (receive, send) = unsafe { &mut *self.buffers.get().cast::<([u8; R], [u8; S])>().add(place) };
        Some(Taken { place, receive, send })
    }

    unsafe fn give_back(&self, place: usize) {
        self.used[place].store(false, Ordering::Release);
    }
}

/// A socket with its memory.
struct Owned {
    socket: Option<TcpSocket<'static>>,
    place: usize,
    pool: Pool,
}

impl Drop for Owned {
    fn drop(&mut self) {
        // The socket before its memory.
        self.socket.take();
        let memory = self.pool.0.borrow().memory;
        // SAFETY: the socket had its buffers, and is gone.
        unsafe { memory.give_back(self.place) };
        let wakers = core::mem::take(&mut self.pool.0.borrow_mut().starving);
        wakers.into_iter().for_each(Waker::wake);
    }
}

/// All sockets' memory; clones share it.
#[derive(Clone)]
pub struct Pool(Rc<RefCell<Inner>>);

struct Inner {
    interfaces: Box<[Interface]>,
    memory: &'static dyn Memory,
    /// On their way out, oldest first.
    leaving: Vec<Owned>,
    /// Who waits for memory.
    starving: Vec<Waker>,
}

impl Pool {
    /// Of these interfaces, with sockets of `memory`. Allocates.
    pub(crate) fn new(interfaces: &[Interface], memory: &'static dyn Memory) -> Self {
        Pool(Rc::new(RefCell::new(Inner {
            interfaces: interfaces.into(),
            memory,
            leaving: Vec::new(),
            starving: Vec::new(),
        })))
    }

    /// A port that keeps `backlog` sockets listening on each interface, as far as there is memory.
    pub(crate) fn listen(&self, port: u16, backlog: usize) -> Acceptor {
        let count = self.0.borrow().interfaces.len();
        // One for each interface before anybody has a second one.
        let places = (0..backlog).flat_map(|_| 0..count).map(|interface| Place { interface, owned: None });
        Acceptor { pool: self.clone(), port, backlog: RefCell::new(places.collect()) }
    }

    /// A fresh socket of an interface; `None` while all memory is in use.
    fn socket(&self, interface: usize) -> Option<Owned> {
        let gone =
            |owned: &mut Owned| owned.socket.as_ref().is_none_or(|socket| socket.state() == State::Closed);
        let gone: Vec<Owned> = self.0.borrow_mut().leaving.extract_if(.., gone).collect();
        drop(gone);
        let (stack, memory) = {
            let inner = self.0.borrow();
            (inner.interfaces.get(interface)?.stack, inner.memory)
        };
        let Taken { place, receive, send } = match memory.take() {
            Some(taken) => taken,
            None => {
                // Who is on the way out makes room for who comes in, the oldest first.
                let oldest = {
                    let leaving = &mut self.0.borrow_mut().leaving;
                    (!leaving.is_empty()).then(|| leaving.remove(0))
                };
                drop(oldest?);
                memory.take()?
            }
        };
        let mut socket = TcpSocket::new(stack, receive, send);
        // Every message is written whole; waiting for more would only delay it (as lwIP with TCP_NODELAY).
        socket.set_nagle_enabled(false);
        Some(Owned { socket: Some(socket), place, pool: self.clone() })
    }
}

/// A place in the line before a port.
struct Place {
    /// By which clients come to it.
    interface: usize,
    owned: Option<Owned>,
}

/// A listening port.
pub struct Acceptor {
    pool: Pool,
    port: u16,
    backlog: RefCell<Box<[Place]>>,
}

impl Acceptor {
    fn refill(&self, waker: &Waker) {
        for place in self.backlog.borrow_mut().iter_mut().filter(|place| place.owned.is_none()) {
            place.owned = self.pool.socket(place.interface);
            if place.owned.is_none() {
                self.pool.0.borrow_mut().starving.push(waker.clone());
                return;
            }
        }
    }

    /// The first that has a client, if there is one. The others are told to wake whoever asks here.
    fn poll(&self, context: &mut Context<'_>) -> Option<Owned> {
        let mut accepted = None;
        let mut backlog = self.backlog.borrow_mut();
        for place in backlog.iter_mut() {
            let Some(socket) = place.owned.as_mut().and_then(|owned| owned.socket.as_mut()) else { continue };
            match socket.state() {
                State::Closed | State::Listen => {
                    // Begins to listen, or goes on; a port 0 is bound by nobody.
                    let _ = pin!(socket.accept(self.port)).poll(context);
                }
                State::SynReceived => {
                    let _ = pin!(socket.wait_write_ready()).poll(context);
                }
                _ if accepted.is_none() => accepted = place.owned.take(),
                // One after the other; who comes next asks again at once.
                _ => context.waker().wake_by_ref(),
            }
        }
        for (index, interface) in self.pool.0.borrow().interfaces.iter().enumerate() {
            let listens = |place: &&Place| {
                let socket = place.owned.as_ref().and_then(|owned| owned.socket.as_ref());
                place.interface == index && socket.is_some_and(|socket| socket.state() == State::Listen)
            };
            interface.gate.listen(self.port, backlog.iter().filter(listens).count());
        }
        accepted
    }

    /// Puts one that was accepted back into the line.
    fn put_back(&self, owned: Owned) {
        let mut backlog = self.backlog.borrow_mut();
        if let Some(place) = backlog.iter_mut().find(|place| place.owned.is_none()) {
            place.owned = Some(owned);
        }
    }
}

impl TcpAccept for Acceptor {
    type Error = NetError;
    type Socket<'a> = Socket;

    async fn accept(&self) -> Result<(SocketAddr, Socket), NetError> {
        let owned = poll_fn(|context| {
            self.refill(context.waker());
            match self.poll(context) {
                Some(owned) => {
                    // The port has its backlog again before anybody else comes.
                    self.refill(context.waker());
                    if let Some(next) = self.poll(context) {
                        self.put_back(next);
                    }
                    Poll::Ready(owned)
                }
                None => Poll::Pending,
            }
        })
        .await;
        let remote = owned.socket.as_ref().and_then(TcpSocket::remote_endpoint);
        let remote = remote.map(|remote| {
            let IpAddress::Ipv4(address) = remote.addr;
            SocketAddr::new(IpAddr::V4(address), remote.port)
        });
        let nobody = SocketAddr::new(IpAddr::V4(core::net::Ipv4Addr::UNSPECIFIED), 0);
        Ok((remote.unwrap_or(nobody), Socket { owned: Some(owned), closed: false }))
    }
}

/// The firmware's end of a connection. Dropping it tears the connection down unless it was closed.
pub struct Socket {
    owned: Option<Owned>,
    closed: bool,
}

impl Socket {
    fn socket(&mut self) -> Result<&mut TcpSocket<'static>, NetError> {
        self.owned.as_mut().and_then(|owned| owned.socket.as_mut()).ok_or(NetError::Closed)
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let Some(mut owned) = self.owned.take() else { return };
        if let Some(socket) = &mut owned.socket {
            if !self.closed {
                socket.abort();
            }
            socket.set_timeout(Some(LINGER));
        }
        let pool = owned.pool.clone();
        pool.0.borrow_mut().leaving.push(owned);
    }
}

impl ErrorType for Socket {
    type Error = NetError;
}

impl Read for Socket {
    async fn read(&mut self, buffer: &mut [u8]) -> Result<usize, NetError> {
        Ok(self.socket()?.read(buffer).await?)
    }
}

impl Readable for Socket {
    async fn readable(&mut self) -> Result<(), NetError> {
        self.socket()?.wait_read_ready().await;
        Ok(())
    }
}

impl Write for Socket {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, NetError> {
        Ok(self.socket()?.write(bytes).await?)
    }

    async fn flush(&mut self) -> Result<(), NetError> {
        Ok(())
    }
}

/// The reading half.
pub struct Reader<'a>(TcpReader<'a>);
/// The writing half.
pub struct Writer<'a>(TcpWriter<'a>);

impl ErrorType for Reader<'_> {
    type Error = NetError;
}

impl Read for Reader<'_> {
    async fn read(&mut self, buffer: &mut [u8]) -> Result<usize, NetError> {
        Ok(self.0.read(buffer).await?)
    }
}

impl Readable for Reader<'_> {
    async fn readable(&mut self) -> Result<(), NetError> {
        self.0.wait_read_ready().await;
        Ok(())
    }
}

impl ErrorType for Writer<'_> {
    type Error = NetError;
}

impl Write for Writer<'_> {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, NetError> {
        Ok(self.0.write(bytes).await?)
    }

    async fn flush(&mut self) -> Result<(), NetError> {
        Ok(())
    }
}

impl TcpSplit for Socket {
    type Read<'a> = Reader<'a>;
    type Write<'a> = Writer<'a>;

    fn split(&mut self) -> (Reader<'_>, Writer<'_>) {
        match self.owned.as_mut().and_then(|owned| owned.socket.as_mut()) {
            Some(socket) => {
                let (reader, writer) = socket.split();
                (Reader(reader), Writer(writer))
            }
            None => unreachable!("a socket is taken out only when it is dropped"),
        }
    }
}

impl TcpShutdown for Socket {
    /// Sends a FIN and waits for its acknowledgement; for the read half, reads until the peer's.
    async fn close(&mut self, what: Close) -> Result<(), NetError> {
        if matches!(what, Close::Write | Close::Both) {
            self.closed = true;
            let socket = self.socket()?;
            socket.close();
            socket.flush().await?;
        }
        if matches!(what, Close::Read | Close::Both) {
            let mut rest = [0; 64];
            while self.socket()?.read(&mut rest).await? > 0 {}
        }
        Ok(())
    }

    async fn abort(&mut self) -> Result<(), NetError> {
        self.socket()?.abort();
        Ok(())
    }
}
