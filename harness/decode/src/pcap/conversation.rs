//! One connection: what was recorded of it becomes packets, with numbers that fit together.

use rigor_core::connection::Peer;
use rigor_core::event::{ConnectionId, Direction, FlowKind};
use rigor_core::part::Recipient;

use super::Addresses;
use super::packet::{End, Segment, flag, tcp, udp};

/// The longest payload of a TCP segment: an Ethernet frame of 1,500 bytes without the headers of IPv4
/// and TCP.
pub const MSS: usize = 1460;

/// The device's port where nobody says which: HTTP's.
const DEFAULT_PORT: u16 = 80;
/// The first port that nobody is given for good (RFC 6335, section 6), and how many follow.
const DYNAMIC_PORTS: [u32; 2] = [49_152, 16_384];

/// The largest without an option: nobody recorded the windows, and a smaller one would make readers say
/// that it was full.
const WINDOW: u16 = u16::MAX;

/// What one side of a TCP connection has sent.
#[derive(Clone, Copy, Default)]
struct Side {
    /// Its first sequence number.
    initial: u32,
    /// Bytes that it has sent.
    sent: u64,
    /// Of these, how many the other has acknowledged.
    acknowledged: u64,
    finished: bool,
}

impl Side {
    /// The sequence number of the byte after the first `bytes`.
    fn number(self, bytes: u64) -> u32 {
        // The SYN counts as one; numbers wrap around (RFC 9293, 3.4).
        self.initial.wrapping_add(1).wrapping_add(bytes as u32)
    }

    fn next(self) -> u32 {
        self.number(self.sent).wrapping_add(self.finished.into())
    }

    /// What the other side expects next of this one.
    fn expected(self) -> u32 {
        let fin = self.finished && self.acknowledged == self.sent;
        self.number(self.acknowledged).wrapping_add(fin.into())
    }
}

pub(super) struct Conversation {
    rig: End,
    device: End,
    /// The device's end as the rig addresses it: a group's, where datagrams go to one.
    recipient: End,
    datagrams: bool,
    /// A SYN was written.
    begun: bool,
    ours: Side,
    theirs: Side,
    packets: u16,
}

impl Conversation {
    pub(super) fn new(connection: ConnectionId, peer: Option<Peer>, addresses: Addresses) -> Self {
        let ConnectionId(number) = connection;
        let [first, count] = DYNAMIC_PORTS;
        let ephemeral = (first + number % count) as u16;
        let device = |port| End { address: addresses.device, port };
        let (rig_port, device, recipient, datagrams) = match peer {
            None => (ephemeral, device(DEFAULT_PORT), device(DEFAULT_PORT), false),
            Some(Peer::Tcp { port }) => (ephemeral, device(port), device(port), false),
            Some(Peer::Udp { from, to: Recipient::Device(port) }) => (from, device(port), device(port), true),
            Some(Peer::Udp { from, to: Recipient::Group(address, port) }) => {
                (from, device(port), End { address, port }, true)
            }
        };
        // Far apart, so that nobody takes the numbers of one for those of another.
        let initial = number.wrapping_mul(0x0100_0000).wrapping_add(0x1000);
        Conversation {
            rig: End { address: addresses.rig, port: rig_port },
            device,
            recipient,
            datagrams,
            begun: false,
            ours: Side { initial, ..Side::default() },
            theirs: Side { initial: initial.wrapping_add(0x0080_0000), ..Side::default() },
            packets: 0,
        }
    }

    fn identification(&mut self) -> u16 {
        self.packets = self.packets.wrapping_add(1);
        self.packets
    }

    fn rig_sends(&mut self, flags: u8, sequence: u32, payload: &[u8]) -> Vec<u8> {
        let acknowledged = if flags & flag::ACK != 0 { self.theirs.expected() } else { 0 };
        let mss = (flags & flag::SYN != 0).then_some(MSS as u16);
        let segment = Segment { sequence, acknowledged, flags, window: WINDOW, mss, payload };
        tcp(self.rig, self.device, self.identification(), &segment)
    }

    fn device_sends(&mut self, flags: u8, sequence: u32, payload: &[u8]) -> Vec<u8> {
        let acknowledged = self.ours.expected();
        let mss = (flags & flag::SYN != 0).then_some(MSS as u16);
        let segment = Segment { sequence, acknowledged, flags, window: WINDOW, mss, payload };
        tcp(self.device, self.rig, self.identification(), &segment)
    }

    /// The rig asks for the connection.
    pub(super) fn begin(&mut self) -> Vec<Vec<u8>> {
        if std::mem::replace(&mut self.begun, true) {
            return Vec::new();
        }
        let initial = self.ours.initial;
        vec![self.rig_sends(flag::SYN, initial, &[])]
    }

    /// The packets of what happened next.
    pub(super) fn flow(&mut self, what: &FlowKind) -> Vec<Vec<u8>> {
        if self.datagrams {
            return self.datagram(what).into_iter().collect();
        }
        match what {
            FlowKind::Opened => {
                let mut packets = self.begin();
                let initial = self.theirs.initial;
                packets.push(self.device_sends(flag::SYN | flag::ACK, initial, &[]));
                packets.push(self.rig_sends(flag::ACK, self.ours.next(), &[]));
                packets
            }
            FlowKind::Refused => {
                let mut packets = self.begin();
                packets.push(self.device_sends(flag::RST | flag::ACK, 0, &[]));
                packets
            }
            FlowKind::Data(Direction::ToDut, bytes) => self.data_to_device(bytes),
            FlowKind::Data(Direction::FromDut, bytes) => self.data_device_sends(bytes),
            FlowKind::Acknowledged(count) => {
                // What the device claims beyond what it was sent, no packet can say.
                let count = (*count).min(self.ours.sent);
                if count <= self.ours.acknowledged {
                    return Vec::new();
                }
                self.ours.acknowledged = count;
                vec![self.device_sends(flag::ACK, self.theirs.next(), &[])]
            }
            FlowKind::Finished(Direction::ToDut) => {
                let packet = self.rig_sends(flag::FIN | flag::ACK, self.ours.next(), &[]);
                self.ours.finished = true;
                vec![packet]
            }
            FlowKind::Finished(Direction::FromDut) => {
                let packet = self.device_sends(flag::FIN | flag::ACK, self.theirs.next(), &[]);
                self.theirs.finished = true;
                vec![packet, self.rig_sends(flag::ACK, self.ours.next(), &[])]
            }
            FlowKind::Reset(Direction::ToDut) => {
                vec![self.rig_sends(flag::RST | flag::ACK, self.ours.next(), &[])]
            }
            FlowKind::Reset(Direction::FromDut) => {
                vec![self.device_sends(flag::RST | flag::ACK, self.theirs.next(), &[])]
            }
        }
    }

    fn data_to_device(&mut self, bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut packets = Vec::new();
        let mut pieces = bytes.chunks(MSS).peekable();
        while let Some(piece) = pieces.next() {
            let push = if pieces.peek().is_none() { flag::PSH } else { 0 };
            packets.push(self.rig_sends(flag::ACK | push, self.ours.next(), piece));
            self.ours.sent += piece.len() as u64;
        }
        packets
    }

    fn data_device_sends(&mut self, bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut packets = Vec::new();
        for piece in bytes.chunks(MSS) {
            packets.push(self.device_sends(flag::ACK | flag::PSH, self.theirs.next(), piece));
            self.theirs.sent += piece.len() as u64;
        }
        self.theirs.acknowledged = self.theirs.sent;
        if !packets.is_empty() {
            packets.push(self.rig_sends(flag::ACK, self.ours.next(), &[]));
        }
        packets
    }

    fn datagram(&mut self, what: &FlowKind) -> Option<Vec<u8>> {
        let FlowKind::Data(direction, bytes) = what else { return None };
        let (from, to) = match direction {
            Direction::ToDut => (self.rig, self.recipient),
            Direction::FromDut => {
                let to = if self.recipient.address.is_multicast() { self.recipient } else { self.rig };
                (self.device, to)
            }
        };
        Some(udp(from, to, self.identification(), bytes))
    }
}
