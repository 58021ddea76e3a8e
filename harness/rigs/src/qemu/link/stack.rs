//! The TCP of the rig's end: smoltcp, on packets instead of frames, with no clock of its own.
//!
//! It works on IP packets because hardware addresses are settled in [`frame`](super::frame): a stack that had
//! to ask for them would wait for answers that no case is about.
//!
//! smoltcp counts microseconds. Its timers end on whole ones; what arrives and leaves keeps its nanosecond.

use std::collections::VecDeque;
use std::time::Duration;

use rigor_core::Instant;
use smoltcp::iface::{Config, Interface, PollResult, SocketHandle, SocketSet};
use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::socket::tcp::{Socket, SocketBuffer};
use smoltcp::wire::{HardwareAddress, IpAddress, IpCidr};

use super::{DEVICE_ADDRESS, PREFIX_BITS, RIG_ADDRESS};

/// Payload of a full segment, both ways: ESP-IDF's `CONFIG_LWIP_TCP_MSS`, and the virtual board's. A client
/// would take 1,460 bytes, but a device that announces 1,440 sends no more either.
pub(super) const SEGMENT_BYTES: usize = 1440;
/// IPv4 20, TCP 20.
const HEADER_BYTES: usize = 40;
/// What the rig's end holds before it is read: see the module above.
pub(super) const RECEIVE_WINDOW_BYTES: usize = 5760;
/// What the rig's end may have on its way: twice what the link holds at 20 Mbit/s and 2 ms each way, so that
/// only the device's window limits it. Whole segments, so that none is cut where the buffer begins anew.
const SEND_BUFFER_BYTES: usize = 16 * SEGMENT_BYTES;

/// Seed of initial sequence numbers. Any will do; the same in all runs makes them the same frames.
const SEED: u64 = 0x7269_676F_7220_6E65;

/// The stack, and the packets between it and the link.
pub(super) struct Stack {
    interface: Interface,
    sockets: SocketSet<'static>,
    packets: Packets,
    timer: Option<Instant>,
}

impl Stack {
    pub(super) fn new() -> Self {
        let mut packets = Packets::default();
        let mut config = Config::new(HardwareAddress::Ip);
        config.random_seed = SEED;
        let mut interface = Interface::new(config, &mut packets, ticks(Instant::ZERO));
        interface.update_ip_addrs(|addresses| {
            // There is room for two at least (smoltcp's `IFACE_MAX_ADDR_COUNT`).
            let _ = addresses.push(IpCidr::new(IpAddress::Ipv4(RIG_ADDRESS), PREFIX_BITS));
        });
        Stack { interface, sockets: SocketSet::new(Vec::new()), packets, timer: None }
    }

    /// A socket that connects from port `from` to the device's port `to`, unless there is no such port.
    pub(super) fn connect(&mut self, from: u16, to: u16) -> Option<SocketHandle> {
        let buffer = |bytes| SocketBuffer::new(vec![0; bytes]);
        let mut socket = Socket::new(buffer(RECEIVE_WINDOW_BYTES), buffer(SEND_BUFFER_BYTES));
        socket.set_ack_delay(None);
        socket.set_nagle_enabled(false);
        socket.connect(self.interface.context(), (IpAddress::Ipv4(DEVICE_ADDRESS), to), from).ok()?;
        Some(self.sockets.add(socket))
    }

    pub(super) fn socket(&mut self, handle: SocketHandle) -> &mut Socket<'static> {
        self.sockets.get_mut(handle)
    }

    /// How many sockets there are.
    #[cfg(test)]
    pub(super) fn sockets(&self) -> usize {
        self.sockets.iter().count()
    }

    /// The socket is gone, without a word to its peer.
    pub(super) fn forget(&mut self, handle: SocketHandle) {
        self.sockets.remove(handle);
    }

    /// `packet` has arrived. What there is to answer is said by [`speak`](Self::speak).
    pub(super) fn hear(&mut self, now: Instant, packet: Vec<u8>) {
        self.packets.incoming = Some(packet);
        self.interface.poll_ingress_single(ticks(now), &mut self.packets, &mut self.sockets);
    }

    /// The next packet that the stack has to send now.
    pub(super) fn speak(&mut self, now: Instant) -> Option<Vec<u8>> {
        while self.packets.outgoing.is_empty() {
            let result = self.interface.poll_egress(ticks(now), &mut self.packets, &mut self.sockets);
            if result == PollResult::None && self.packets.outgoing.is_empty() {
                return None;
            }
        }
        self.packets.outgoing.pop_front()
    }

    /// Looks when the stack has to be asked again, now that it has nothing to say.
    pub(super) fn set_timer(&mut self, now: Instant) {
        // A tick ahead at least: it has just been asked, so it cannot stop the clock.
        let next = Instant::from_nanos(now.as_nanos() / 1000 * 1000) + Duration::from_micros(1);
        self.timer = self
            .interface
            .poll_at(ticks(now), &self.sockets)
            .map(|at| Instant::from_nanos(at.total_micros().max(0) as u64 * 1000).max(next));
    }

    /// Puts all timers off until `at`.
    pub(super) fn wait_until(&mut self, at: Instant) {
        self.timer = Some(at);
    }

    /// When a timer ends.
    pub(super) fn next_timer(&self) -> Option<Instant> {
        self.timer
    }
}

/// An instant on smoltcp's clock, rounded down.
fn ticks(at: Instant) -> smoltcp::time::Instant {
    // Nanoseconds in 64 bits are microseconds in 55.
    smoltcp::time::Instant::from_micros((at.as_nanos() / 1000) as i64)
}

/// Packets between the stack and whoever asks it.
#[derive(Default)]
struct Packets {
    incoming: Option<Vec<u8>>,
    outgoing: VecDeque<Vec<u8>>,
}

impl Device for Packets {
    type RxToken<'a> = Incoming;
    type TxToken<'a> = Outgoing<'a>;

    fn receive(&mut self, _: smoltcp::time::Instant) -> Option<(Incoming, Outgoing<'_>)> {
        let packet = self.incoming.take()?;
        Some((Incoming(packet), Outgoing(&mut self.outgoing)))
    }

    fn transmit(&mut self, _: smoltcp::time::Instant) -> Option<Outgoing<'_>> {
        Some(Outgoing(&mut self.outgoing))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ip;
        capabilities.max_transmission_unit = SEGMENT_BYTES + HEADER_BYTES;
        capabilities
    }
}

struct Incoming(Vec<u8>);

impl RxToken for Incoming {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, read: F) -> R {
        read(&self.0)
    }
}

struct Outgoing<'a>(&'a mut VecDeque<Vec<u8>>);

impl TxToken for Outgoing<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, write: F) -> R {
        let mut packet = vec![0; length];
        let result = write(&mut packet);
        self.0.push_back(packet);
        result
    }
}
