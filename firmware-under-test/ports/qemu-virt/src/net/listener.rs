//! TCP sockets: a backlog for each listening port, and a decent end for those that nobody holds any more.

use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::{RefCell, UnsafeCell};
use core::future::poll_fn;
use core::net::{IpAddr, SocketAddr};
use core::pin::pin;
use core::task::{Context, Poll, Waker};

use edge_nal::{Close, Readable, TcpAccept, TcpShutdown, TcpSplit};
use embassy_net::tcp::{State, TcpReader, TcpSocket, TcpWriter};
use embassy_net::{IpAddress, Stack};
use embassy_time::Duration;
use embedded_io_async::{Error, ErrorKind, ErrorType, Read, Write};

use super::{TCP_SOCKETS, interface};

/// Bytes of a send buffer (`CONFIG_LWIP_TCP_SND_BUF_DEFAULT`; as the virtual board).
const SEND_BYTES: usize = 5760;
/// Bytes of a receive buffer. lwIP's window of 5,760 opens with each segment that is read; this stack's does
/// so only when it has doubled, so that it takes a segment more for the same way.
const RECEIVE_BYTES: usize = 7200;
/// Clients that a port can keep waiting (as the virtual board).
const BACKLOG: usize = 4;
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
        self.pool.0.borrow_mut().used[self.place] = false;
        let wakers = core::mem::take(&mut self.pool.0.borrow_mut().starving);
        wakers.into_iter().for_each(Waker::wake);
    }
}

/// All sockets' memory; clones share it.
#[derive(Clone)]
pub struct Pool(Rc<RefCell<Inner>>);

struct Inner {
    stack: Stack<'static>,
    used: [bool; TCP_SOCKETS],
    /// On their way out, oldest first.
    leaving: Vec<Owned>,
    /// Who waits for memory.
    starving: Vec<Waker>,
}

/// The buffers live outside of the firmware's heap, as those of the radio's driver do.
struct Buffers(UnsafeCell<[([u8; RECEIVE_BYTES], [u8; SEND_BYTES]); TCP_SOCKETS]>);
// SAFETY: a place is used by the one socket that has it, and all sockets live in one task.
unsafe impl Sync for Buffers {}
static BUFFERS: Buffers = Buffers(UnsafeCell::new([([0; RECEIVE_BYTES], [0; SEND_BYTES]); TCP_SOCKETS]));

impl Pool {
    /// Allocates: not before the firmware has had its first memory.
    pub fn new(stack: Stack<'static>) -> Self {
        Pool(Rc::new(RefCell::new(Inner {
            stack,
            used: [false; TCP_SOCKETS],
            leaving: Vec::new(),
            starving: Vec::new(),
        })))
    }

    pub fn listen(&self, port: u16) -> Acceptor {
        Acceptor { pool: self.clone(), port, backlog: RefCell::new([const { None }; BACKLOG]) }
    }

    /// A fresh socket; `None` while all memory is in use.
    fn socket(&self) -> Option<Owned> {
        let gone =
            |owned: &mut Owned| owned.socket.as_ref().is_none_or(|socket| socket.state() == State::Closed);
        let gone: Vec<Owned> = self.0.borrow_mut().leaving.extract_if(.., gone).collect();
        drop(gone);
        let free = |inner: &Inner| inner.used.iter().position(|used| !used);
        let mut place = free(&self.0.borrow());
        if place.is_none() {
            // Who is on the way out makes room for who comes in, the oldest first.
            let oldest = {
                let leaving = &mut self.0.borrow_mut().leaving;
                (!leaving.is_empty()).then(|| leaving.remove(0))
            };
            drop(oldest?);
            place = free(&self.0.borrow());
        }
        let place = place?;
        let stack = {
            let mut inner = self.0.borrow_mut();
            inner.used[place] = true;
            inner.stack
        };
        // SAFETY: the place is this socket's until it is dropped.
        let (receive, send) = unsafe { &mut (*BUFFERS.0.get())[place] };
        let mut socket = TcpSocket::new(stack, receive, send);
        // Every message is written whole; waiting for more would only delay it (as lwIP with TCP_NODELAY).
        socket.set_nagle_enabled(false);
        Some(Owned { socket: Some(socket), place, pool: self.clone() })
    }
}

/// A listening port.
pub struct Acceptor {
    pool: Pool,
    port: u16,
    backlog: RefCell<[Option<Owned>; BACKLOG]>,
}

impl Acceptor {
    fn refill(&self, waker: &Waker) {
        for place in self.backlog.borrow_mut().iter_mut().filter(|place| place.is_none()) {
            *place = self.pool.socket();
            if place.is_none() {
                self.pool.0.borrow_mut().starving.push(waker.clone());
                return;
            }
        }
    }

    /// The first that has a client, if there is one. The others are told to wake whoever asks here.
    fn poll(&self, context: &mut Context<'_>) -> Option<Owned> {
        let mut accepted = None;
        let mut listening = 0;
        for place in self.backlog.borrow_mut().iter_mut() {
            let Some(socket) = place.as_mut().and_then(|owned| owned.socket.as_mut()) else { continue };
            match socket.state() {
                State::Closed | State::Listen => {
                    // Begins to listen, or goes on; a port 0 is bound by nobody.
                    let _ = pin!(socket.accept(self.port)).poll(context);
                    listening += 1;
                }
                State::SynReceived => {
                    let _ = pin!(socket.wait_write_ready()).poll(context);
                }
                _ if accepted.is_none() => accepted = place.take(),
                // One after the other; who comes next asks again at once.
                _ => context.waker().wake_by_ref(),
            }
        }
        interface::listen(self.port, listening);
        accepted
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
                        let mut backlog = self.backlog.borrow_mut();
                        if let Some(place) = backlog.iter_mut().find(|place| place.is_none()) {
                            *place = Some(next);
                        }
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
