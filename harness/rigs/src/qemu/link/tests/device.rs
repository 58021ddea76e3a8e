//! The device at the other end: a second smoltcp on Ethernet, as embassy-net has it, with a small firmware,
//! in the same virtual time. Its computations take no time.

use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::rc::Rc;
use std::time::Duration;

use rigor_board::net::LinkConfig;
use rigor_core::event::{ConnectionId, Direction, FlowKind, Kind};
use rigor_core::part::Net;
use rigor_core::{Instant, Timeline};
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{self, DeviceCapabilities, Medium};
use smoltcp::socket::{Socket, tcp, udp};
use smoltcp::wire::{EthernetAddress, HardwareAddress, IpAddress, IpCidr};

use super::super::{DEVICE_ADDRESS, DEVICE_MAC, LONGEST_FRAME, Link, PREFIX_BITS};

pub(super) const MS: u64 = 1_000_000;
pub(super) const LATENCY: u64 = 2 * MS;
pub(super) const PORT: u16 = 80;

/// Bytes of a frame that carries a SYN with the options of both ends, of one without payload, and the
/// headers of a datagram.
pub(super) const SYN: u64 = 66;
pub(super) const BARE: u64 = 54;
pub(super) const DATAGRAM: u64 = 42;

/// From one end to the other on an idle link, for a frame of `bytes`, at 20 Mbit/s.
pub(super) fn trip(bytes: u64) -> u64 {
    bytes * 400 + LATENCY
}

pub(super) fn at(nanos: u64) -> Instant {
    Instant::from_nanos(nanos)
}

/// What the firmware does with a connection whenever something has happened on it.
pub(super) type Serve = Rc<dyn Fn(&mut tcp::Socket<'static>, &mut Vec<u8>)>;

/// Sends back what it hears, and ends when its peer does.
pub(super) fn echo() -> Serve {
    Rc::new(|socket, _| {
        while socket.can_recv() && socket.can_send() {
            let free = socket.send_capacity() - socket.send_queue();
            let Ok(bytes) = socket.recv(|bytes| {
                let count = bytes.len().min(free);
                (count, bytes[..count].to_vec())
            }) else {
                return;
            };
            socket.send_slice(&bytes).unwrap();
        }
        close_behind(socket);
    })
}

/// Keeps what it hears, and ends when its peer does.
pub(super) fn keep() -> Serve {
    Rc::new(|socket, kept| {
        while socket.can_recv() {
            socket.recv(|bytes| (bytes.len(), kept.extend_from_slice(bytes))).unwrap();
        }
        close_behind(socket);
    })
}

/// Neither reads nor writes.
pub(super) fn ignore() -> Serve {
    Rc::new(|_, _| {})
}

/// Sends `bytes` as fast as it can.
pub(super) fn tell(bytes: Vec<u8>) -> Serve {
    let sent = std::cell::Cell::new(0);
    Rc::new(move |socket, _| {
        if socket.may_send() {
            sent.set(sent.get() + socket.send_slice(&bytes[sent.get()..]).unwrap());
        }
    })
}

fn close_behind(socket: &mut tcp::Socket<'_>) {
    if socket.state() == tcp::State::CloseWait && !socket.can_recv() {
        socket.close();
    }
}

#[derive(Default)]
struct Wire {
    incoming: VecDeque<Vec<u8>>,
    outgoing: Vec<Vec<u8>>,
}

impl phy::Device for Wire {
    type RxToken<'a> = Rx;
    type TxToken<'a> = Tx<'a>;

    fn receive(&mut self, _: smoltcp::time::Instant) -> Option<(Rx, Tx<'_>)> {
        let frame = self.incoming.pop_front()?;
        Some((Rx(frame), Tx(&mut self.outgoing)))
    }

    fn transmit(&mut self, _: smoltcp::time::Instant) -> Option<Tx<'_>> {
        Some(Tx(&mut self.outgoing))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = LONGEST_FRAME;
        capabilities
    }
}

struct Rx(Vec<u8>);

impl phy::RxToken for Rx {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, read: F) -> R {
        read(&self.0)
    }
}

struct Tx<'a>(&'a mut Vec<Vec<u8>>);

impl phy::TxToken for Tx<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, write: F) -> R {
        let mut frame = vec![0; length];
        let result = write(&mut frame);
        self.0.push(frame);
        result
    }
}

/// A device with some sockets at [`PORT`].
pub(super) struct Device {
    interface: Interface,
    wire: Wire,
    pub(super) sockets: SocketSet<'static>,
    serve: Serve,
    /// What [`keep`] has kept.
    pub(super) kept: Vec<u8>,
}

impl Device {
    pub(super) fn new(backlog: usize, serve: Serve) -> Self {
        let mut wire = Wire::default();
        let mut config = Config::new(HardwareAddress::Ethernet(EthernetAddress(DEVICE_MAC)));
        config.random_seed = 7;
        let mut interface = Interface::new(config, &mut wire, smoltcp::time::Instant::ZERO);
        interface.update_ip_addrs(|addresses| {
            addresses.push(IpCidr::new(IpAddress::Ipv4(DEVICE_ADDRESS), PREFIX_BITS)).unwrap();
        });
        let mut sockets = SocketSet::new(Vec::new());
        for _ in 0..backlog {
            let buffer = || tcp::SocketBuffer::new(vec![0; 5760]);
            let mut socket = tcp::Socket::new(buffer(), buffer());
            socket.set_nagle_enabled(false);
            socket.set_ack_delay(None);
            socket.listen(PORT).unwrap();
            sockets.add(socket);
        }
        Device { interface, wire, sockets, serve, kept: Vec::new() }
    }

    /// The first of its sockets.
    pub(super) fn socket(&mut self) -> &mut tcp::Socket<'static> {
        self.sockets.iter_mut().find_map(|(_, socket)| as_tcp(socket)).unwrap()
    }

    /// A socket for datagrams at `port`.
    pub(super) fn bind(&mut self, port: u16, group: Option<Ipv4Addr>) -> SocketHandle {
        let buffer = || udp::PacketBuffer::new(vec![udp::PacketMetadata::EMPTY; 6], vec![0; 8000]);
        let mut socket = udp::Socket::new(buffer(), buffer());
        socket.bind(port).unwrap();
        if let Some(group) = group {
            self.interface.join_multicast_group(IpAddress::Ipv4(group)).unwrap();
        }
        self.sockets.add(socket)
    }

    fn next_event(&mut self, now: Instant) -> Option<Instant> {
        let next = self.interface.poll_at(ticks(now), &self.sockets)?;
        // A socket that is about to send waits for the next tick at most.
        Some(at(next.total_micros() as u64 * 1000).max(at((now.as_nanos() / 1000 + 1) * 1000)))
    }

    /// Lets stack and firmware do what they can, and gives the frames that they send.
    fn live(&mut self, now: Instant, frames: impl IntoIterator<Item = Vec<u8>>) -> Vec<Vec<u8>> {
        self.wire.incoming.extend(frames);
        loop {
            self.interface.poll(ticks(now), &mut self.wire, &mut self.sockets);
            let before = self.wire.outgoing.len();
            for socket in self.sockets.iter_mut().filter_map(|(_, socket)| as_tcp(socket)) {
                (self.serve)(socket, &mut self.kept);
                if matches!(socket.state(), tcp::State::Closed | tcp::State::TimeWait) {
                    socket.abort();
                    socket.listen(PORT).unwrap();
                }
            }
            self.interface.poll(ticks(now), &mut self.wire, &mut self.sockets);
            if self.wire.outgoing.len() == before {
                return std::mem::take(&mut self.wire.outgoing);
            }
        }
    }
}

fn as_tcp<'a>(socket: &'a mut Socket<'static>) -> Option<&'a mut tcp::Socket<'static>> {
    match socket {
        Socket::Tcp(socket) => Some(socket),
        _ => None,
    }
}

fn ticks(at: Instant) -> smoltcp::time::Instant {
    smoltcp::time::Instant::from_micros((at.as_nanos() / 1000) as i64)
}

/// A link with a device at its end, and somebody who drives both as the back end does.
pub(super) struct Bench {
    pub(super) timeline: Timeline,
    pub(super) link: Link,
    pub(super) net: Rc<dyn Net>,
    /// Without it nobody is at the device's end, and frames for it are only noted.
    pub(super) device: Option<Device>,
    /// When which frames arrived at the device, and when it sent which.
    pub(super) to_device: Vec<(u64, Vec<u8>)>,
    pub(super) from_device: Vec<(u64, Vec<u8>)>,
}

impl Bench {
    pub(super) fn new(device: Option<Device>) -> Self {
        let timeline = Timeline::new();
        let config = LinkConfig { latency: Duration::from_nanos(LATENCY), bits_per_second: 20_000_000 };
        let link = Link::new(config, &timeline);
        link.device_is_up(device.is_some());
        let net = link.part();
        Bench { timeline, link, net, device, to_device: Vec::new(), from_device: Vec::new() }
    }

    /// A device that serves up to four connections at a time.
    pub(super) fn serving(serve: Serve) -> Self {
        Self::new(Some(Device::new(4, serve)))
    }

    pub(super) fn now(&self) -> u64 {
        self.timeline.now().as_nanos()
    }

    pub(super) fn run_until(&mut self, until: u64) {
        loop {
            let now = self.timeline.now();
            let device = self.device.as_mut().and_then(|device| device.next_event(now));
            let next = self.link.next_event().into_iter().chain(device).min();
            let now = next.unwrap_or(Instant::MAX).min(at(until));
            let arrived = self.link.advance(now);
            self.timeline.advance(now);
            assert!(arrived.iter().all(|(at, _)| *at == now), "each at its instant");
            self.to_device.extend(arrived.iter().map(|(at, frame)| (at.as_nanos(), frame.clone())));
            if let Some(device) = &mut self.device {
                for frame in device.live(now, arrived.into_iter().map(|(_, frame)| frame)) {
                    self.link.sent_by_device(now, &frame);
                    self.from_device.push((now.as_nanos(), frame));
                }
            }
            if now == at(until) && self.link.next_event().is_none_or(|next| next > now) {
                return;
            }
        }
    }

    pub(super) fn run_for(&mut self, nanos: u64) {
        self.run_until(self.now() + nanos);
    }

    /// A device that has just started takes the place of the one there was.
    pub(super) fn restart(&mut self, device: Device) {
        self.link.device_is_up(false);
        self.device = Some(device);
        self.link.device_is_up(true);
    }

    pub(super) fn connect(&self) -> ConnectionId {
        self.net.connect(PORT).unwrap()
    }

    /// A connection that both ends have just opened.
    pub(super) fn open(&mut self) -> ConnectionId {
        let id = self.connect();
        self.run_for(2 * trip(SYN) + trip(BARE));
        assert_eq!(self.kinds(id), [FlowKind::Opened]);
        id
    }

    /// What happened on `id`.
    pub(super) fn flows(&self, id: ConnectionId) -> Vec<(u64, FlowKind)> {
        let events = self.timeline.events(self.net.source(), Instant::ZERO, Instant::MAX);
        let flows = events.into_iter().filter_map(|event| match event.kind {
            Kind::Flow(flow) if flow.connection == id => Some((event.at.as_nanos(), flow.what)),
            _ => None,
        });
        flows.collect()
    }

    /// The same without data and acknowledgements.
    pub(super) fn milestones(&self, id: ConnectionId) -> Vec<(u64, FlowKind)> {
        let mut flows = self.flows(id);
        flows.retain(|(_, what)| !matches!(what, FlowKind::Data(..) | FlowKind::Acknowledged(_)));
        flows
    }

    pub(super) fn kinds(&self, id: ConnectionId) -> Vec<FlowKind> {
        self.milestones(id).into_iter().map(|(_, what)| what).collect()
    }

    /// The data of one direction, piece by piece.
    pub(super) fn pieces(&self, id: ConnectionId, wanted: Direction) -> Vec<(u64, Vec<u8>)> {
        let pieces = self.flows(id).into_iter().filter_map(|(at, what)| match what {
            FlowKind::Data(direction, bytes) if direction == wanted => Some((at, bytes.to_vec())),
            _ => None,
        });
        pieces.collect()
    }

    pub(super) fn received(&self, id: ConnectionId) -> Vec<u8> {
        self.pieces(id, Direction::FromDut).into_iter().flat_map(|(_, bytes)| bytes).collect()
    }

    pub(super) fn sent(&self, id: ConnectionId) -> Vec<u8> {
        self.pieces(id, Direction::ToDut).into_iter().flat_map(|(_, bytes)| bytes).collect()
    }

    pub(super) fn acknowledged(&self, id: ConnectionId) -> Vec<u64> {
        let counts = self.flows(id).into_iter().filter_map(|(_, what)| match what {
            FlowKind::Acknowledged(count) => Some(count),
            _ => None,
        });
        counts.collect()
    }

    /// What notes say.
    pub(super) fn notes(&self) -> Vec<String> {
        let events = self.timeline.events(self.net.source(), Instant::ZERO, Instant::MAX);
        let notes = events.into_iter().filter_map(|event| match event.kind {
            Kind::Note(text) => Some(text.to_string()),
            _ => None,
        });
        notes.collect()
    }
}

/// Bytes that differ from their neighbours.
pub(super) fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|index| (index % 251) as u8).collect()
}
