//! A TCP-like stack and the link to it.
//!
//! Connections are byte streams with windows, acknowledgements, FIN and RST (RFC 9293), over a
//! link with latency and bandwidth. Segments are never lost: a link that loses them belongs to the
//! faults. The rig's end records what it sends and sees; a peer that vanished is a peer that never
//! acknowledges.
//!
//! Sizes follow lwIP as ESP-IDF configures it: segments of 1,440 bytes, a receive window and a send
//! buffer of 5,760 bytes (`CONFIG_LWIP_TCP_WND_DEFAULT`, `CONFIG_LWIP_TCP_SND_BUF_DEFAULT`).

mod damage;
pub(crate) mod datagram;
mod socket;

use std::collections::{BTreeMap, VecDeque};
use std::net::Ipv4Addr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use rigor_core::event::{ConnectionId, Direction, Flow, FlowKind, Kind};
use rigor_core::{Instant, Source, Timeline};

use crate::fault::Way;
use crate::kernel::Kernel;

pub use damage::REORDERED_AFTER;
pub use datagram::UdpSocket;
pub use socket::{Acceptor, Half, NetError, NetHandle, TcpSocket};

/// Payload of a full segment.
const SEGMENT_BYTES: usize = 1440;
/// What the device buffers before its firmware reads.
const RECEIVE_WINDOW_BYTES: usize = 5760;
/// What the device buffers until the peer acknowledges.
const SEND_BUFFER_BYTES: usize = 5760;
/// Headers of a segment on the air: Ethernet 14, IPv4 20, TCP 20.
const HEADER_BYTES: usize = 54;
/// Connections that wait for the firmware to accept them.
const BACKLOG: usize = 4;

/// The link between the rig and the device.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LinkConfig {
    /// One way.
    pub latency: Duration,
    /// Each way.
    pub bits_per_second: u64,
}

impl Default for LinkConfig {
    /// A quiet 2.4 GHz network: 2 ms one way, 20 Mbit/s (the ESP32-S3's TCP throughput that
    /// Espressif's iperf example reports).
    fn default() -> Self {
        LinkConfig { latency: Duration::from_millis(2), bits_per_second: 20_000_000 }
    }
}

/// By which of its interfaces the device is reached.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Via {
    /// A cable that is always there.
    #[default]
    Wire,
    /// The access point that the device has opened. The rig is a client of it whenever it is there.
    AccessPoint,
    /// The rig's own Wi-Fi network, once the device has joined it.
    Station,
}

impl Via {
    /// The rig's address there: the first client of ESP-IDF's access point, or the router of the
    /// rig's network.
    pub(crate) fn rig_address(self) -> Ipv4Addr {
        match self {
            Via::Wire | Via::AccessPoint => Ipv4Addr::new(192, 168, 4, 2),
            Via::Station => Ipv4Addr::new(10, 42, 0, 1),
        }
    }

    /// The device's address there.
    pub(crate) fn device_address(self) -> Ipv4Addr {
        match self {
            Via::Wire | Via::AccessPoint => Ipv4Addr::new(192, 168, 4, 1),
            Via::Station => Ipv4Addr::new(10, 42, 0, 23),
        }
    }
}

/// The rig's end of a connection.
#[derive(Default)]
struct Peer {
    via: Via,
    queue: VecDeque<u8>,
    /// Bytes sent since the connection was opened.
    sent: u64,
    /// The device has room up to this byte, as last told.
    window_edge: u64,
    /// Of these, the device has acknowledged so many.
    acknowledged: u64,
    /// A FIN follows the queue.
    finishing: bool,
    fin_sent: bool,
    fin_received: bool,
    established: bool,
    /// Bytes that have arrived and are not acknowledged, while the rig's end does not read.
    withheld: Option<usize>,
}

impl Peer {
    /// Nothing is owed either way.
    fn is_closed(&self) -> bool {
        self.fin_sent && self.fin_received && self.acknowledged == self.sent
    }
}

/// The device's end of a connection.
struct Socket {
    received: VecDeque<u8>,
    /// Bytes received, and bytes read by the firmware, since the connection was opened.
    received_total: u64,
    read_total: u64,
    /// The window that the peer was last told of.
    told_edge: u64,
    peer_finished: bool,
    /// Torn down by either side.
    reset: bool,
    /// Bytes on their way that the peer has not acknowledged.
    unacknowledged: usize,
    fin_sent: bool,
    fin_acknowledged: bool,
    /// The firmware has closed and dropped it; it waits for the peer's FIN (FIN-WAIT-2).
    orphaned: bool,
    wakers: Vec<Waker>,
}

impl Socket {
    fn new() -> Self {
        Socket {
            received: VecDeque::new(),
            received_total: 0,
            read_total: 0,
            told_edge: RECEIVE_WINDOW_BYTES as u64,
            peer_finished: false,
            reset: false,
            unacknowledged: 0,
            fin_sent: false,
            fin_acknowledged: false,
            orphaned: false,
            wakers: Vec::new(),
        }
    }

    fn wake(&mut self) {
        for waker in self.wakers.drain(..) {
            waker.wake();
        }
    }

    fn wait(&mut self, context: &Context<'_>) {
        if !self.wakers.iter().any(|waker| waker.will_wake(context.waker())) {
            self.wakers.push(context.waker().clone());
        }
    }
}

#[derive(Default)]
struct Listener {
    waiting: VecDeque<ConnectionId>,
    wakers: Vec<Waker>,
}

/// One direction of the link: what it sends later waits for what it sends now.
#[derive(Clone, Copy)]
struct Channel {
    free_at: Instant,
}

pub(crate) struct Network {
    config: LinkConfig,
    source: Source,
    next_id: u32,
    to_device: Channel,
    from_device: Channel,
    /// One that is missing was closed, was torn down, or has vanished: it hears nothing.
    peers: BTreeMap<ConnectionId, Peer>,
    sockets: BTreeMap<ConnectionId, Socket>,
    listeners: BTreeMap<u16, Listener>,
    damage: damage::Damage,
    datagrams: datagram::Datagrams,
}

impl Network {
    pub(crate) fn new(config: LinkConfig, timeline: &Timeline) -> Self {
        Network {
            config,
            source: timeline.source("net"),
            next_id: 1,
            to_device: Channel { free_at: Instant::ZERO },
            from_device: Channel { free_at: Instant::ZERO },
            peers: BTreeMap::new(),
            sockets: BTreeMap::new(),
            listeners: BTreeMap::new(),
            damage: damage::Damage::default(),
            datagrams: datagram::Datagrams::default(),
        }
    }

    pub(crate) fn source(&self) -> Source {
        self.source
    }

    fn on_air(&self, payload: usize) -> Duration {
        let bits = (payload + HEADER_BYTES) as u64 * 8;
        Duration::from_nanos(bits * 1_000_000_000 / self.config.bits_per_second.max(1))
    }

    /// When a segment that is handed over now arrives.
    fn transmit(&mut self, direction: Direction, payload: usize, now: Instant) -> Instant {
        let time = self.on_air(payload);
        let channel = match direction {
            Direction::ToDut => &mut self.to_device,
            Direction::FromDut => &mut self.from_device,
        };
        channel.free_at = channel.free_at.max(now) + time;
        channel.free_at + self.config.latency
    }

    /// Nothing is sent before `until`.
    fn stand_still(&mut self, until: Instant) {
        for channel in [&mut self.to_device, &mut self.from_device] {
            channel.free_at = channel.free_at.max(until);
        }
    }

    fn new_id(&mut self) -> ConnectionId {
        let id = ConnectionId(self.next_id);
        self.next_id += 1;
        id
    }

    fn peer(&mut self, id: ConnectionId) -> Option<&mut Peer> {
        self.peers.get_mut(&id)
    }

    /// Forgets the peer if the connection is over.
    fn reap(&mut self, id: ConnectionId) {
        if self.peers.get(&id).is_some_and(Peer::is_closed) {
            self.peers.remove(&id);
        }
    }
}

fn record(kernel: &Kernel, connection: ConnectionId, what: FlowKind) {
    let source = kernel.net.borrow().source;
    kernel.record(source, kernel.now(), Kind::Flow(Flow { connection, what }));
}

/// Sends a segment of connection `id`; `arrive` happens at the other end.
fn send_segment(
    kernel: &Rc<Kernel>,
    id: ConnectionId,
    direction: Direction,
    payload: usize,
    arrive: impl FnOnce(&Rc<Kernel>) + 'static,
) {
    carry(kernel, direction, payload, move |kernel| {
        let severed = kernel.net.borrow().damage.severs(id);
        if !severed {
            arrive(kernel);
        }
    });
}

/// Has the link carry `payload` bytes; `arrive` happens at the other end.
fn carry(
    kernel: &Rc<Kernel>,
    direction: Direction,
    payload: usize,
    arrive: impl FnOnce(&Rc<Kernel>) + 'static,
) {
    let arrives = kernel.net.borrow_mut().transmit(direction, payload, kernel.now());
    kernel.schedule_outside(arrives, arrive);
}

// ---- the rig's end ---------------------------------------------------------------------------

pub(crate) fn connect(kernel: &Rc<Kernel>, via: Via, port: u16) -> ConnectionId {
    let id = {
        let mut net = kernel.net.borrow_mut();
        let id = net.new_id();
        net.peers.insert(id, Peer { via, window_edge: RECEIVE_WINDOW_BYTES as u64, ..Peer::default() });
        id
    };
    send_segment(kernel, id, Direction::ToDut, 0, move |kernel| syn_arrives(kernel, id, port, TRIES));
    id
}

/// A segment that the device did not take, because it is off, boots, has no such interface up or has
/// a full backlog, is sent again so many times (RFC 9293, 3.8.1; Linux begins at one second and
/// doubles).
const TRIES: u32 = 4;

/// When a segment is sent again of which `tries` are left.
fn retry_at(kernel: &Kernel, tries: u32) -> Instant {
    kernel.now() + Duration::from_secs(1 << (TRIES - tries))
}

/// Hands a segment of a connection to the device, and again while the device does not run; its
/// memory of the connection is gone by then, but it can say so.
fn reach_device(
    kernel: &Rc<Kernel>,
    id: ConnectionId,
    tries: u32,
    arrive: impl FnOnce(&Rc<Kernel>) + 'static,
) {
    let via = kernel.net.borrow_mut().peer(id).map_or(Via::Wire, |peer| peer.via);
    if crate::radio::carries(kernel, via) {
        arrive(kernel);
    } else if tries > 0 && kernel.net.borrow_mut().peer(id).is_some() {
        let at = retry_at(kernel, tries);
        kernel.schedule_outside(at, move |kernel| reach_device(kernel, id, tries - 1, arrive));
    }
}

fn syn_arrives(kernel: &Rc<Kernel>, id: ConnectionId, port: u16, tries: u32) {
    let listening = {
        let mut net = kernel.net.borrow_mut();
        let Some(via) = net.peer(id).map(|peer| peer.via) else { return };
        let refuses = net.damage.refuses();
        match net.listeners.get_mut(&port) {
            _ if refuses => Some(false),
            _ if !crate::radio::carries(kernel, via) => None,
            Some(listener) if listener.waiting.len() >= BACKLOG => None,
            Some(listener) => {
                listener.waiting.push_back(id);
                for waker in listener.wakers.drain(..) {
                    waker.wake();
                }
                net.sockets.insert(id, Socket::new());
                Some(true)
            }
            None => Some(false),
        }
    };
    match listening {
        Some(true) => send_segment(kernel, id, Direction::FromDut, 0, move |kernel| {
            let alive = kernel.net.borrow_mut().peer(id).map(|peer| peer.established = true).is_some();
            if alive {
                record(kernel, id, FlowKind::Opened);
                pump(kernel, id);
            }
        }),
        Some(false) => send_segment(kernel, id, Direction::FromDut, 0, move |kernel| refused(kernel, id)),
        None if tries == 0 => refused(kernel, id),
        None => {
            let at = retry_at(kernel, tries);
            kernel.schedule_outside(at, move |kernel| syn_arrives(kernel, id, port, tries - 1));
        }
    }
}

fn refused(kernel: &Rc<Kernel>, id: ConnectionId) {
    if kernel.net.borrow_mut().peers.remove(&id).is_some() {
        record(kernel, id, FlowKind::Refused);
    }
}

pub(crate) fn send(kernel: &Rc<Kernel>, id: ConnectionId, bytes: &[u8]) {
    if let Some(peer) = kernel.net.borrow_mut().peer(id)
        && !peer.finishing
    {
        peer.queue.extend(bytes);
    }
    pump(kernel, id);
}

pub(crate) fn finish(kernel: &Rc<Kernel>, id: ConnectionId) {
    if let Some(peer) = kernel.net.borrow_mut().peer(id) {
        peer.finishing = true;
    }
    pump(kernel, id);
}

pub(crate) fn reset(kernel: &Rc<Kernel>, id: ConnectionId) {
    if kernel.net.borrow_mut().peers.remove(&id).is_some() {
        record(kernel, id, FlowKind::Reset(Direction::ToDut));
        send_segment(kernel, id, Direction::ToDut, 0, move |kernel| tear_down_socket(kernel, id));
    }
}

pub(crate) fn vanish(kernel: &Rc<Kernel>, id: ConnectionId) {
    kernel.net.borrow_mut().peers.remove(&id);
}

/// The rig has lost its way to the device: its connections end there without a word.
pub(crate) fn cut(kernel: &Rc<Kernel>, via: Via) {
    kernel.net.borrow_mut().peers.retain(|_, peer| peer.via != via);
}

pub(crate) fn stop_reading(kernel: &Kernel, id: ConnectionId) {
    if let Some(peer) = kernel.net.borrow_mut().peer(id) {
        peer.withheld.get_or_insert(0);
    }
}

pub(crate) fn read_on(kernel: &Rc<Kernel>, id: ConnectionId) {
    let withheld = kernel.net.borrow_mut().peer(id).and_then(|peer| peer.withheld.take());
    if let Some(bytes) = withheld.filter(|&bytes| bytes > 0) {
        acknowledge_to_device(kernel, id, bytes);
    }
}

fn tear_down_socket(kernel: &Rc<Kernel>, id: ConnectionId) {
    let mut net = kernel.net.borrow_mut();
    if let Some(socket) = net.sockets.get_mut(&id) {
        if socket.orphaned {
            net.sockets.remove(&id);
            return;
        }
        socket.reset = true;
        socket.received.clear();
        socket.wake();
    }
}

/// Sends what the window allows.
fn pump(kernel: &Rc<Kernel>, id: ConnectionId) {
    loop {
        let segment = {
            let mut net = kernel.net.borrow_mut();
            let Some(peer) = net.peer(id).filter(|peer| peer.established && !peer.fin_sent) else { return };
            if peer.queue.is_empty() {
                if !peer.finishing {
                    return;
                }
                peer.fin_sent = true;
                None
            } else {
                let room = peer.window_edge.saturating_sub(peer.sent) as usize;
                let length = SEGMENT_BYTES.min(peer.queue.len()).min(room);
                // Sender-side silly window avoidance (RFC 9293, 3.8.6.2.1).
                if length == 0 || (length < SEGMENT_BYTES && length < peer.queue.len()) {
                    return;
                }
                peer.sent += length as u64;
                let bytes: Arc<[u8]> = peer.queue.drain(..length).collect();
                Some(bytes)
            }
        };
        match segment {
            Some(bytes) => {
                record(kernel, id, FlowKind::Data(Direction::ToDut, bytes.clone()));
                send_segment(kernel, id, Direction::ToDut, bytes.len(), move |kernel| {
                    reach_device(kernel, id, TRIES, move |kernel| damage::deliver(kernel, id, bytes));
                });
            }
            None => {
                record(kernel, id, FlowKind::Finished(Direction::ToDut));
                kernel.net.borrow_mut().reap(id);
                send_segment(kernel, id, Direction::ToDut, 0, move |kernel| {
                    reach_device(kernel, id, TRIES, move |kernel| {
                        damage::flush(kernel, id);
                        fin_arrives(kernel, id);
                    });
                });
                return;
            }
        }
    }
}

/// A segment for a connection that the device does not know (RFC 9293, 3.5.2).
fn answer_with_reset(kernel: &Rc<Kernel>, id: ConnectionId) {
    send_segment(kernel, id, Direction::FromDut, 0, move |kernel| reset_arrives_at_peer(kernel, id));
}

fn reset_arrives_at_peer(kernel: &Rc<Kernel>, id: ConnectionId) {
    if kernel.net.borrow_mut().peers.remove(&id).is_some() {
        record(kernel, id, FlowKind::Reset(Direction::FromDut));
    }
}

// ---- the device's end ------------------------------------------------------------------------

/// `bytes` are all that is left of the `sent` bytes of a segment.
fn data_arrives(kernel: &Rc<Kernel>, id: ConnectionId, bytes: &[u8], sent: usize) {
    let known = {
        let mut net = kernel.net.borrow_mut();
        match net.sockets.get_mut(&id).filter(|socket| !socket.reset) {
            Some(socket) if socket.orphaned => {
                net.sockets.remove(&id);
                false
            }
            Some(socket) => {
                socket.received_total += sent as u64;
                socket.received.extend(bytes);
                socket.wake();
                true
            }
            None => false,
        }
    };
    if known { acknowledge(kernel, id) } else { answer_with_reset(kernel, id) }
}

fn fin_arrives(kernel: &Rc<Kernel>, id: ConnectionId) {
    let known = {
        let mut net = kernel.net.borrow_mut();
        match net.sockets.get_mut(&id) {
            Some(socket) if socket.orphaned => {
                net.sockets.remove(&id);
                true
            }
            Some(socket) => {
                socket.peer_finished = true;
                socket.wake();
                true
            }
            None => false,
        }
    };
    if !known {
        answer_with_reset(kernel, id);
    }
}

/// Tells the peer what has arrived and how much room there is.
fn acknowledge(kernel: &Rc<Kernel>, id: ConnectionId) {
    let Some((received, edge)) = kernel.net.borrow_mut().sockets.get_mut(&id).map(|socket| {
        socket.told_edge = socket.read_total + RECEIVE_WINDOW_BYTES as u64;
        (socket.received_total, socket.told_edge)
    }) else {
        return;
    };
    send_segment(kernel, id, Direction::FromDut, 0, move |kernel| {
        let heard = kernel.net.borrow_mut().peer(id).map(|peer| {
            peer.window_edge = peer.window_edge.max(edge);
            peer.acknowledged = peer.acknowledged.max(received);
        });
        if heard.is_some() {
            record(kernel, id, FlowKind::Acknowledged(received));
            pump(kernel, id);
            kernel.net.borrow_mut().reap(id);
        }
    });
}

/// The device lost its memory: connections are forgotten, and a peer learns of it when it speaks.
pub(crate) fn device_halted(kernel: &Kernel) {
    let mut net = kernel.net.borrow_mut();
    net.sockets.clear();
    net.listeners.clear();
    net.datagrams.device_halted();
}

/// Gives the memory back.
pub(crate) fn forget(kernel: &Kernel) {
    kernel.net.borrow_mut().peers.clear();
}

/// How long the device keeps a connection that it has closed for a peer that has not
/// (lwIP: `TCP_FIN_WAIT_TIMEOUT`).
const FIN_WAIT_TIMEOUT: Duration = Duration::from_secs(20);

/// The firmware gives a connection up: silently after its close, else with a RST.
fn drop_socket(kernel: &Rc<Kernel>, id: ConnectionId) {
    let lingers = {
        let mut net = kernel.net.borrow_mut();
        match net.sockets.get_mut(&id) {
            Some(socket) if socket.fin_sent && !socket.reset && !socket.peer_finished => {
                socket.orphaned = true;
                socket.received.clear();
                true
            }
            _ => false,
        }
    };
    if lingers {
        let at = kernel.now() + kernel.chip_time(FIN_WAIT_TIMEOUT);
        kernel.schedule_inside(at, move |kernel| {
            kernel.net.borrow_mut().sockets.remove(&id);
        });
    } else {
        tear_down(kernel, id);
    }
}

/// Forgets a connection, and says so to a peer that does not know.
fn tear_down(kernel: &Rc<Kernel>, id: ConnectionId) {
    let Some(mut socket) = kernel.net.borrow_mut().sockets.remove(&id) else { return };
    socket.wake();
    let is_closed = socket.fin_sent && socket.peer_finished;
    if !(is_closed || socket.reset || kernel.is_inert()) {
        answer_with_reset(kernel, id);
    }
}

fn data_arrives_at_peer(kernel: &Rc<Kernel>, id: ConnectionId, bytes: Arc<[u8]>) {
    let count = bytes.len();
    if kernel.net.borrow_mut().peer(id).is_none() {
        return;
    }
    let arrived = kernel.net.borrow_mut().damage.pass(id, Way::FromDevice, bytes);
    if !arrived.is_empty() {
        record(kernel, id, FlowKind::Data(Direction::FromDut, arrived));
    }
    let reads = match kernel.net.borrow_mut().peer(id).and_then(|peer| peer.withheld.as_mut()) {
        Some(withheld) => {
            *withheld += count;
            false
        }
        None => true,
    };
    if reads {
        acknowledge_to_device(kernel, id, count);
    }
}

/// Frees `bytes` of the device's send buffer.
fn acknowledge_to_device(kernel: &Rc<Kernel>, id: ConnectionId, bytes: usize) {
    send_segment(kernel, id, Direction::ToDut, 0, move |kernel| {
        if let Some(socket) = kernel.net.borrow_mut().sockets.get_mut(&id) {
            socket.unacknowledged = socket.unacknowledged.saturating_sub(bytes);
            socket.wake();
        }
    });
}

fn fin_arrives_at_peer(kernel: &Rc<Kernel>, id: ConnectionId) {
    {
        let mut net = kernel.net.borrow_mut();
        let Some(peer) = net.peer(id) else { return };
        peer.fin_received = true;
        net.reap(id);
    }
    record(kernel, id, FlowKind::Finished(Direction::FromDut));
    send_segment(kernel, id, Direction::ToDut, 0, move |kernel| {
        if let Some(socket) = kernel.net.borrow_mut().sockets.get_mut(&id) {
            socket.fin_acknowledged = true;
            socket.wake();
        }
    });
}
