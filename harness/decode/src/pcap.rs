//! Packets of the network link, as Wireshark and tshark read them.
//!
//! In the flow (action, event, **decode**, measure, verdict, report) this module is a projection for
//! people: the [`Flow`] events of a timeline say what went over a connection,
//! and here they become frames of Ethernet with IPv4 and TCP (RFC 9293) or UDP in them, in a capture
//! file of nanoseconds (draft-ietf-opsawg-pcap). So Wireshark follows the HTTP upgrade and dissects the
//! WebSocket frames after it.
//!
//! # What is true and what is made up
//! Bytes, their order and direction, their instants at the rig's end, acknowledgements of the device,
//! FIN and RST are as they happened, and so are the ports where the timeline tells them
//! ([`rigor_core::connection`]); otherwise the device's port is 80. Nobody recorded the rest, so it is
//! made up: hardware addresses, sequence numbers to begin with, the rig's ports, windows, the rig's own
//! acknowledgements (at once) and the three segments of a handshake. Segments are as long as the rig
//! recorded them, but no longer than [`MSS`].
//!
//! The headers are written by hand: they are sixty lines, and crates for them bring a reader for
//! everything that is ever on a wire.

mod conversation;
mod packet;

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::net::Ipv4Addr;
use std::ops::Range;

use rigor_core::connection::{Endpoint, Peer};
use rigor_core::event::{ConnectionId, Flow};
use rigor_core::{Instant, Kind, Source, Timeline};

use conversation::Conversation;

pub use conversation::MSS;

/// Magic number of a file with nanoseconds, in the byte order of its writer: little endian here.
const MAGIC: u32 = 0xA1B2_3C4D;
/// Version 2.4 of the format, the only one there is.
const VERSION: [u16; 2] = [2, 4];
/// More than any packet here has.
const SNAP_LENGTH: u32 = 262_144;
/// `LINKTYPE_ETHERNET`.
const ETHERNET: u32 = 1;

const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// The addresses of the two ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Addresses {
    /// The rig's.
    pub rig: Ipv4Addr,
    /// The device's.
    pub device: Ipv4Addr,
}

impl Default for Addresses {
    /// Those of an access point that the device has opened (ESP-IDF's default) and its first client.
    fn default() -> Self {
        Addresses { rig: Ipv4Addr::new(192, 168, 4, 2), device: Ipv4Addr::new(192, 168, 4, 1) }
    }
}

/// Something of a connection, in the order of time.
enum Item {
    Endpoint(Endpoint),
    Flow(Flow),
}

/// Writes what `sources` carried in a slice of `timeline`; the number of packets.
///
/// What came before the slice is not written but counted, so that sequence numbers are right. A
/// connection whose handshake lies before it can be followed by bytes, but Wireshark will not know that
/// it speaks WebSocket: write from the start of a case where that matters.
///
/// Times are those of the rig's clock, as if it had begun in 1970. A datagram beyond what UDP can carry
/// (65,507 bytes) is cut to that.
///
/// # Errors
/// Those of `to`.
///
/// # Panics
/// If a source is not one of the timeline.
pub fn write(
    timeline: &Timeline,
    sources: &[Source],
    slice: Range<Instant>,
    addresses: Addresses,
    to: impl Write,
) -> io::Result<u64> {
    let mut file = File::begin(to, slice.start)?;
    let mut conversations: BTreeMap<ConnectionId, Conversation> = BTreeMap::new();
    for (at, item) in items(timeline, sources, slice.end) {
        match item {
            Item::Endpoint(endpoint) => {
                let conversation = Conversation::new(endpoint.connection, Some(endpoint.peer), addresses);
                let conversation = conversations.entry(endpoint.connection).or_insert(conversation);
                if let Peer::Tcp { .. } = endpoint.peer {
                    file.packets(at, conversation.begin())?;
                }
            }
            Item::Flow(flow) => {
                let conversation = conversations
                    .entry(flow.connection)
                    .or_insert_with(|| Conversation::new(flow.connection, None, addresses));
                file.packets(at, conversation.flow(&flow.what))?;
            }
        }
    }
    file.to.flush()?;
    Ok(file.count)
}

/// Everything that concerns connections up to `until`, in the order of time; at one instant what a
/// connection goes to comes first.
fn items(timeline: &Timeline, sources: &[Source], until: Instant) -> Vec<(Instant, Item)> {
    let mut items = Vec::new();
    for source in timeline.sources() {
        let told = timeline.find_all(source, |event| event.at < until && Endpoint::of(&event.kind).is_some());
        items.extend(
            told.iter().filter_map(|event| Some((event.at, Item::Endpoint(Endpoint::of(&event.kind)?)))),
        );
    }
    for &source in sources {
        let flows =
            timeline.find_all(source, |event| event.at < until && matches!(event.kind, Kind::Flow(_)));
        items.extend(flows.into_iter().filter_map(|event| match event.kind {
            Kind::Flow(flow) => Some((event.at, Item::Flow(flow))),
            _ => None,
        }));
    }
    items.sort_by_key(|(at, _)| *at);
    items
}

/// A capture file under way.
struct File<W> {
    to: W,
    from: Instant,
    count: u64,
}

impl<W: Write> File<W> {
    fn begin(mut to: W, from: Instant) -> io::Result<Self> {
        let mut head = Vec::with_capacity(24);
        head.extend(MAGIC.to_le_bytes());
        head.extend(VERSION.map(u16::to_le_bytes).concat());
        // Time zone and accuracy, which everybody leaves zero.
        head.extend([0; 8]);
        head.extend(SNAP_LENGTH.to_le_bytes());
        head.extend(ETHERNET.to_le_bytes());
        to.write_all(&head)?;
        Ok(File { to, from, count: 0 })
    }

    fn packets(&mut self, at: Instant, packets: Vec<Vec<u8>>) -> io::Result<()> {
        if at < self.from {
            return Ok(());
        }
        let (seconds, nanos) = (at.as_nanos() / NANOS_PER_SECOND, at.as_nanos() % NANOS_PER_SECOND);
        for packet in packets {
            let mut head = Vec::with_capacity(16);
            // The field has 32 bits: 136 years.
            head.extend(u32::try_from(seconds).unwrap_or(u32::MAX).to_le_bytes());
            head.extend((nanos as u32).to_le_bytes());
            let length = packet.len() as u32;
            head.extend(length.to_le_bytes());
            head.extend(length.to_le_bytes());
            self.to.write_all(&head)?;
            self.to.write_all(&packet)?;
            self.count += 1;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
