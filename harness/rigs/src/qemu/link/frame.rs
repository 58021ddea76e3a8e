//! Ethernet frames: what those of the device mean to the rig's end, and those that the rig's end sends.
//!
//! Everything here reads what a device sent, so nothing is taken for granted: a frame that is cut short, lies
//! about its lengths or has a wrong checksum means nothing.

use std::net::{Ipv4Addr, SocketAddrV4};

use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    ArpOperation, ArpPacket, ArpRepr, ETHERNET_HEADER_LEN, EthernetAddress, EthernetFrame, EthernetProtocol,
    EthernetRepr, IPV4_HEADER_LEN, IpProtocol, Ipv4Packet, Ipv4Repr, TcpControl, TcpPacket, TcpRepr,
    UDP_HEADER_LEN, UdpPacket, UdpRepr,
};

use super::{DEVICE_ADDRESS, DEVICE_MAC, LONGEST_FRAME, RIG_ADDRESS, RIG_MAC};

/// The longest datagram that one frame carries: 1500 less the headers of IPv4 and UDP, as on the board.
pub(super) const LONGEST_DATAGRAM: usize =
    LONGEST_FRAME - ETHERNET_HEADER_LEN - IPV4_HEADER_LEN - UDP_HEADER_LEN;

/// Lifetimes of packets in hops: what stacks use by default, and what mDNS asks for (RFC 6762, section 11).
const HOPS: u8 = 64;
const HOPS_OF_GROUPS: u8 = 255;

/// The smallest segments that a peer may ask for, as Linux has it (`tcp_min_snd_mss`): a device that asks for
/// one byte in each would have the rig's end send frames without end (CVE-2019-11479).
const SMALLEST_SEGMENT: u16 = 48;

/// What a frame of the device means.
pub(super) enum Arrival<'a> {
    /// It asks for the rig's hardware address.
    Question {
        /// Whom to tell.
        asker_mac: [u8; 6],
        /// Its address.
        asker: Ipv4Addr,
    },
    /// A datagram for the rig or for a group.
    Datagram {
        /// For whom.
        to: SocketAddrV4,
        /// What it carries.
        bytes: &'a [u8],
    },
    /// A TCP segment for the rig.
    Segment {
        /// The whole IP packet, for the stack.
        packet: &'a [u8],
        /// What its headers say.
        segment: Segment<'a>,
    },
}

/// A TCP segment (RFC 9293, 3.1).
pub(super) struct Segment<'a> {
    pub(super) from_port: u16,
    pub(super) to_port: u16,
    pub(super) control: TcpControl,
    /// Of its first byte, or of its SYN.
    pub(super) sequence: u32,
    pub(super) acknowledges: Option<u32>,
    /// As in the header, not scaled.
    pub(super) window: u16,
    /// The options of a SYN.
    pub(super) window_scale: Option<u8>,
    pub(super) segment_bytes: Option<u16>,
    pub(super) payload: &'a [u8],
}

/// What `frame` means to the rig's end, if anything.
pub(super) fn read(frame: &[u8]) -> Option<Arrival<'_>> {
    let frame = EthernetFrame::new_checked(frame).ok()?;
    let to = frame.dst_addr();
    if to != EthernetAddress(RIG_MAC) && to.is_unicast() {
        return None;
    }
    match frame.ethertype() {
        EthernetProtocol::Arp => read_question(frame.payload()),
        EthernetProtocol::Ipv4 => read_packet(frame.payload()),
        _ => None,
    }
}

fn read_question(packet: &[u8]) -> Option<Arrival<'_>> {
    let ArpRepr::EthernetIpv4 {
        operation: ArpOperation::Request,
        source_hardware_addr,
        source_protocol_addr,
        target_protocol_addr: RIG_ADDRESS,
        ..
    } = ArpRepr::parse(&ArpPacket::new_checked(packet).ok()?).ok()?
    else {
        return None;
    };
    source_hardware_addr
        .is_unicast()
        .then_some(Arrival::Question { asker_mac: source_hardware_addr.0, asker: source_protocol_addr })
}

fn read_packet(packet: &[u8]) -> Option<Arrival<'_>> {
    let (header, payload) = read_ipv4(packet)?;
    let (from, to) = (header.src_addr, header.dst_addr);
    match header.next_header {
        IpProtocol::Udp => {
            let udp = UdpPacket::new_checked(payload).ok()?;
            let repr =
                UdpRepr::parse(&udp, &from.into(), &to.into(), &ChecksumCapabilities::default()).ok()?;
            Some(Arrival::Datagram { to: SocketAddrV4::new(to, repr.dst_port), bytes: udp.payload() })
        }
        IpProtocol::Tcp if (from, to) == (DEVICE_ADDRESS, RIG_ADDRESS) => {
            Some(Arrival::Segment { packet, segment: read_tcp(&header, payload)? })
        }
        _ => None,
    }
}

/// The segment in an IP packet of the rig's stack.
pub(super) fn read_segment(packet: &[u8]) -> Option<Segment<'_>> {
    let (header, payload) = read_ipv4(packet)?;
    if header.next_header != IpProtocol::Tcp {
        return None;
    }
    read_tcp(&header, payload)
}

/// Header and payload of a packet in one piece. The link's ends send no others.
fn read_ipv4(packet: &[u8]) -> Option<(Ipv4Repr, &[u8])> {
    let packet = Ipv4Packet::new_checked(packet).ok()?;
    let header = Ipv4Repr::parse(&packet, &ChecksumCapabilities::default()).ok()?;
    (!packet.more_frags() && packet.frag_offset() == 0).then_some((header, packet.payload()))
}

fn read_tcp<'a>(header: &Ipv4Repr, payload: &'a [u8]) -> Option<Segment<'a>> {
    let (from, to) = (header.src_addr.into(), header.dst_addr.into());
    let tcp = TcpPacket::new_checked(payload).ok()?;
    let repr = TcpRepr::parse(&tcp, &from, &to, &ChecksumCapabilities::default()).ok()?;
    if repr.max_seg_size.is_some_and(|bytes| bytes < SMALLEST_SEGMENT) {
        return None;
    }
    Some(Segment {
        from_port: repr.src_port,
        to_port: repr.dst_port,
        control: repr.control,
        sequence: repr.seq_number.0 as u32,
        acknowledges: repr.ack_number.map(|number| number.0 as u32),
        window: repr.window_len,
        window_scale: repr.window_scale,
        segment_bytes: repr.max_seg_size,
        payload: repr.payload,
    })
}

/// `packet` with a window of one byte if it carries a segment with none.
///
/// A socket of smoltcp that is told of no room begins to probe for some, and never ends if a FIN is acknowledged
/// meanwhile: it sends without time passing. Who hands it no more than the device has room for need not
/// tell it of windows.
pub(super) fn with_window(packet: &[u8], segment: &Segment<'_>) -> Vec<u8> {
    let mut packet = packet.to_vec();
    if segment.window == 0
        && let Ok(mut ip) = Ipv4Packet::new_checked(&mut packet[..])
    {
        let (from, to) = (ip.src_addr().into(), ip.dst_addr().into());
        if let Ok(mut tcp) = TcpPacket::new_checked(ip.payload_mut()) {
            tcp.set_window_len(1);
            tcp.fill_checksum(&from, &to);
        }
    }
    packet
}

/// A frame that tells `to` the rig's hardware address: the answer to a question that need not be asked.
pub(super) fn introduction(to_mac: [u8; 6], to: Ipv4Addr) -> Vec<u8> {
    let repr = ArpRepr::EthernetIpv4 {
        operation: ArpOperation::Reply,
        source_hardware_addr: EthernetAddress(RIG_MAC),
        source_protocol_addr: RIG_ADDRESS,
        target_hardware_addr: EthernetAddress(to_mac),
        target_protocol_addr: to,
    };
    ethernet(EthernetAddress(to_mac), EthernetProtocol::Arp, repr.buffer_len(), |payload| {
        repr.emit(&mut ArpPacket::new_unchecked(payload));
    })
}

/// The frame of an IP packet for the device.
pub(super) fn to_device(packet: &[u8]) -> Vec<u8> {
    ethernet(EthernetAddress(DEVICE_MAC), EthernetProtocol::Ipv4, packet.len(), |payload| {
        payload.copy_from_slice(packet);
    })
}

/// The frame of a datagram, unless it is too long for one.
pub(super) fn datagram(from: SocketAddrV4, to: SocketAddrV4, bytes: &[u8]) -> Option<Vec<u8>> {
    if bytes.len() > LONGEST_DATAGRAM {
        return None;
    }
    let udp = UdpRepr { src_port: from.port(), dst_port: to.port() };
    let is_group = to.ip().is_multicast();
    let ip = Ipv4Repr {
        src_addr: *from.ip(),
        dst_addr: *to.ip(),
        next_header: IpProtocol::Udp,
        payload_len: UDP_HEADER_LEN + bytes.len(),
        hop_limit: if is_group { HOPS_OF_GROUPS } else { HOPS },
    };
    let to_mac = if is_group { group_mac(*to.ip()) } else { EthernetAddress(DEVICE_MAC) };
    let checksums = ChecksumCapabilities::default();
    let length = IPV4_HEADER_LEN + ip.payload_len;
    Some(ethernet(to_mac, EthernetProtocol::Ipv4, length, |payload| {
        let mut packet = Ipv4Packet::new_unchecked(payload);
        ip.emit(&mut packet, &checksums);
        udp.emit(
            &mut UdpPacket::new_unchecked(packet.payload_mut()),
            &ip.src_addr.into(),
            &ip.dst_addr.into(),
            bytes.len(),
            |payload| payload.copy_from_slice(bytes),
            &checksums,
        );
    }))
}

/// The hardware address of a group (RFC 1112, 6.4).
fn group_mac(group: Ipv4Addr) -> EthernetAddress {
    let [_, second, third, fourth] = group.octets();
    EthernetAddress([0x01, 0x00, 0x5E, second & 0x7F, third, fourth])
}

fn ethernet(
    to: EthernetAddress,
    ethertype: EthernetProtocol,
    length: usize,
    fill: impl FnOnce(&mut [u8]),
) -> Vec<u8> {
    let mut bytes = vec![0; ETHERNET_HEADER_LEN + length];
    let mut frame = EthernetFrame::new_unchecked(&mut bytes);
    EthernetRepr { src_addr: EthernetAddress(RIG_MAC), dst_addr: to, ethertype }.emit(&mut frame);
    fill(frame.payload_mut());
    bytes
}
