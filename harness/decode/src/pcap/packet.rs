//! Frames with their headers and checksums.

use std::net::Ipv4Addr;

/// The longest datagram that IPv4 can carry: 65,535 bytes with the headers of IPv4 and UDP.
pub(super) const MAX_DATAGRAM: usize = 65_535 - IPV4_HEADER - UDP_HEADER;

const IPV4_HEADER: usize = 20;
const UDP_HEADER: usize = 8;
const TCP_HEADER: usize = 20;

const TCP: u8 = 6;
const UDP: u8 = 17;

/// One end of a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct End {
    pub(super) address: Ipv4Addr,
    pub(super) port: u16,
}

impl End {
    /// A locally administered address made of the end's own (IEEE 802, bit 1 of the first byte), or that
    /// of its group (RFC 1112, 6.4).
    fn hardware(self) -> [u8; 6] {
        let [a, b, c, d] = self.address.octets();
        if self.address.is_multicast() {
            [0x01, 0x00, 0x5E, b & 0x7F, c, d]
        } else {
            [0x02, 0x00, a, b, c, d]
        }
    }
}

/// Flags of a TCP header (RFC 9293, 3.1).
pub(super) mod flag {
    pub(in crate::pcap) const FIN: u8 = 0x01;
    pub(in crate::pcap) const SYN: u8 = 0x02;
    pub(in crate::pcap) const RST: u8 = 0x04;
    pub(in crate::pcap) const PSH: u8 = 0x08;
    pub(in crate::pcap) const ACK: u8 = 0x10;
}

/// What varies in a TCP header.
pub(super) struct Segment<'a> {
    pub(super) sequence: u32,
    pub(super) acknowledged: u32,
    pub(super) flags: u8,
    pub(super) window: u16,
    /// The largest segment that the sender takes; only with a SYN.
    pub(super) mss: Option<u16>,
    pub(super) payload: &'a [u8],
}

/// A frame with a TCP segment.
pub(super) fn tcp(from: End, to: End, identification: u16, segment: &Segment<'_>) -> Vec<u8> {
    let options: Vec<u8> = match segment.mss {
        Some(mss) => [&[2, 4][..], &mss.to_be_bytes()].concat(),
        None => Vec::new(),
    };
    let words = (TCP_HEADER + options.len()) / 4;
    let mut body = Vec::with_capacity(TCP_HEADER + options.len() + segment.payload.len());
    body.extend(from.port.to_be_bytes());
    body.extend(to.port.to_be_bytes());
    body.extend(segment.sequence.to_be_bytes());
    body.extend(segment.acknowledged.to_be_bytes());
    body.extend([(words as u8) << 4, segment.flags]);
    body.extend(segment.window.to_be_bytes());
    body.extend([0; 4]); // checksum, and an urgent pointer that nobody uses
    body.extend(options);
    body.extend(segment.payload);
    let sum = transport_checksum(from, to, TCP, &body);
    body[16..18].copy_from_slice(&sum.to_be_bytes());
    frame(from, to, identification, TCP, &body)
}

/// A frame with a datagram, of which the first [`MAX_DATAGRAM`] bytes.
pub(super) fn udp(from: End, to: End, identification: u16, payload: &[u8]) -> Vec<u8> {
    let payload = &payload[..payload.len().min(MAX_DATAGRAM)];
    let mut body = Vec::with_capacity(UDP_HEADER + payload.len());
    body.extend(from.port.to_be_bytes());
    body.extend(to.port.to_be_bytes());
    body.extend(((UDP_HEADER + payload.len()) as u16).to_be_bytes());
    body.extend([0; 2]);
    body.extend(payload);
    // Zero would mean that there is none (RFC 768).
    let sum = match transport_checksum(from, to, UDP, &body) {
        0 => 0xFFFF,
        sum => sum,
    };
    body[6..8].copy_from_slice(&sum.to_be_bytes());
    frame(from, to, identification, UDP, &body)
}

fn frame(from: End, to: End, identification: u16, protocol: u8, body: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(14 + IPV4_HEADER + body.len());
    frame.extend(to.hardware());
    frame.extend(from.hardware());
    frame.extend([0x08, 0x00]); // IPv4
    let mut header = Vec::with_capacity(IPV4_HEADER);
    header.extend([0x45, 0]); // version 4, five words, ordinary service
    header.extend(((IPV4_HEADER + body.len()) as u16).to_be_bytes());
    header.extend(identification.to_be_bytes());
    header.extend([0x40, 0, 64, protocol]); // not to be fragmented; 64 hops
    header.extend([0; 2]);
    header.extend(from.address.octets());
    header.extend(to.address.octets());
    let sum = checksum(&[&header]);
    header[10..12].copy_from_slice(&sum.to_be_bytes());
    frame.extend(header);
    frame.extend(body);
    frame
}

fn transport_checksum(from: End, to: End, protocol: u8, body: &[u8]) -> u16 {
    let [high, low] = (body.len() as u16).to_be_bytes();
    let pseudo = [&from.address.octets()[..], &to.address.octets(), &[0, protocol, high, low]].concat();
    checksum(&[&pseudo, body])
}

/// The Internet checksum (RFC 1071) of `parts`, of which only the last may have an odd length.
fn checksum(parts: &[&[u8]]) -> u16 {
    let mut sum: u32 = 0;
    for part in parts {
        let (words, rest) = part.as_chunks::<2>();
        sum += words.iter().map(|word| u32::from(u16::from_be_bytes(*word))).sum::<u32>();
        sum += rest.first().map_or(0, |&last| u32::from(last) << 8);
        sum = (sum & 0xFFFF) + (sum >> 16);
    }
    while sum > 0xFFFF {
        sum = (sum & 0xFFFF) + (sum >> 16);
    }
    !(sum as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(last: u8, port: u16) -> End {
        End { address: Ipv4Addr::new(192, 168, 0, last), port }
    }

    /// The example of RFC 1071, section 3.
    #[test]
    fn the_checksum_is_that_of_the_rfc() {
        assert_eq!(checksum(&[&[0x00, 0x01, 0xF2, 0x03, 0xF4, 0xF5, 0xF6, 0xF7]]), !0xDDF2);
    }

    /// An IPv4 header that is printed in many textbooks.
    #[test]
    fn a_header_checks() {
        let frame = udp(end(1, 1), end(199, 2), 0, &[0; 87]);
        let header = &frame[14..34];
        assert_eq!(checksum(&[header]), 0, "a header with its checksum sums up to nothing");
        assert_eq!(header[2..4], [0, 115]);
    }

    #[test]
    fn a_segment_has_its_fields_and_checks() {
        let segment = Segment {
            sequence: 0x0102_0304,
            acknowledged: 0x0506_0708,
            flags: flag::SYN | flag::ACK,
            window: 5760,
            mss: Some(1440),
            payload: b"odd",
        };
        let frame = tcp(end(1, 80), end(2, 50_000), 9, &segment);
        assert_eq!(frame[12..14], [0x08, 0x00]);
        let body = &frame[34..];
        assert_eq!(body[..4], [0, 80, 0xC3, 0x50]);
        assert_eq!(body[4..14], [1, 2, 3, 4, 5, 6, 7, 8, 0x60, 0x12]);
        assert_eq!(body[20..24], [2, 4, 0x05, 0xA0]);
        assert_eq!(&body[24..], b"odd");
        assert_eq!(transport_checksum(end(1, 80), end(2, 50_000), TCP, body), 0);
    }

    #[test]
    fn a_datagram_to_a_group_has_the_groups_address() {
        let group = End { address: Ipv4Addr::new(224, 0, 0, 251), port: 5353 };
        let frame = udp(end(1, 5353), group, 0, b"x");
        assert_eq!(frame[..6], [0x01, 0x00, 0x5E, 0, 0, 251]);
        assert_eq!(udp(end(1, 1), group, 0, &[0; 70_000]).len(), 14 + 65_535);
    }
}
