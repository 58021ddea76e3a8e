use std::sync::Arc;
use std::time::Duration;

use super::packet::flag;
use super::*;
use rigor_core::event::{Direction, FlowKind};
use rigor_core::part::Recipient;

const CONNECTION: ConnectionId = ConnectionId(3);

fn at(ns: u64) -> Instant {
    Instant::from_nanos(ns)
}

/// A timeline of a connection to port 8080, each event a microsecond after the one before.
fn timeline(flows: &[FlowKind]) -> (Timeline, Source) {
    let timeline = Timeline::new();
    let (actions, net) = (timeline.source("harness"), timeline.source("net"));
    let endpoint = Endpoint { connection: CONNECTION, peer: Peer::Tcp { port: 8080 } };
    let told = Kind::Action(Arc::from(endpoint.to_string()));
    timeline.push(actions, at(1_000), Duration::ZERO, told).unwrap();
    for (index, what) in flows.iter().enumerate() {
        let flow = Flow { connection: CONNECTION, what: what.clone() };
        timeline.push(net, at(2_000 + 1_000 * index as u64), Duration::ZERO, Kind::Flow(flow)).unwrap();
    }
    (timeline, net)
}

fn data(direction: Direction, bytes: &[u8]) -> FlowKind {
    FlowKind::Data(direction, bytes.into())
}

/// What the tests look at in a packet.
#[derive(PartialEq, Debug)]
struct Seen {
    ns: u64,
    ports: (u16, u16),
    flags: u8,
    sequence: u32,
    acknowledged: u32,
    payload: Vec<u8>,
}

fn packet(ns: u64, ports: (u16, u16), flags: u8, numbers: [u32; 2], payload: &[u8]) -> Seen {
    let [sequence, acknowledged] = numbers;
    Seen { ns, ports, flags, sequence, acknowledged, payload: payload.to_vec() }
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap())
}

fn port(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

fn file(timeline: &Timeline, net: Source, slice: Range<Instant>) -> Vec<u8> {
    let mut file = Vec::new();
    let count = write(timeline, &[net], slice, Addresses::default(), &mut file).unwrap();
    assert_eq!(packets(&file).len() as u64, count);
    file
}

/// Each packet's time in nanoseconds, and its bytes.
fn packets(file: &[u8]) -> Vec<(u64, Vec<u8>)> {
    let little = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().unwrap());
    assert_eq!(file[..8], [0x4D, 0x3C, 0xB2, 0xA1, 2, 0, 4, 0]);
    let mut packets = Vec::new();
    let mut place = 24;
    while place < file.len() {
        let (seconds, nanos, length) = (little(place), little(place + 4), little(place + 8) as usize);
        assert_eq!(little(place + 12) as usize, length);
        place += 16;
        packets.push((
            u64::from(seconds) * 1_000_000_000 + u64::from(nanos),
            file[place..place + length].into(),
        ));
        place += length;
    }
    packets
}

fn segments(timeline: &Timeline, net: Source, slice: Range<Instant>) -> Vec<Seen> {
    let file = file(timeline, net, slice);
    packets(&file)
        .into_iter()
        .map(|(ns, packet)| {
            assert_eq!(packet[23], 6, "TCP");
            let tcp = &packet[34..];
            let header = usize::from(tcp[12] >> 4) * 4;
            Seen {
                ns,
                ports: (port(tcp, 0), port(tcp, 2)),
                flags: tcp[13],
                sequence: word(tcp, 4),
                acknowledged: word(tcp, 8),
                payload: tcp[header..].to_vec(),
            }
        })
        .collect()
}

const RIG_PORT: u16 = 49_155;
const RIG_INITIAL: u32 = 0x0300_1000;
const DEVICE_INITIAL: u32 = 0x0380_1000;

#[test]
fn a_connection_is_opened_used_and_closed() {
    let long = vec![7; MSS + 10];
    let (timeline, net) = timeline(&[
        FlowKind::Opened,
        data(Direction::ToDut, &long),
        FlowKind::Acknowledged(long.len() as u64),
        data(Direction::FromDut, b"hello"),
        FlowKind::Finished(Direction::ToDut),
        FlowKind::Finished(Direction::FromDut),
    ]);
    let seen = segments(&timeline, net, Instant::ZERO..Instant::MAX);
    let rig = (RIG_PORT, 8080);
    let device = (8080, RIG_PORT);
    let (ours, theirs) = (RIG_INITIAL + 1, DEVICE_INITIAL + 1);
    let sent = long.len() as u32;
    let (syn, fin, psh, ack) = (flag::SYN, flag::FIN, flag::PSH, flag::ACK);
    let expected = [
        packet(1_000, rig, syn, [RIG_INITIAL, 0], &[]),
        packet(2_000, device, syn | ack, [DEVICE_INITIAL, ours], &[]),
        packet(2_000, rig, ack, [ours, theirs], &[]),
        packet(3_000, rig, ack, [ours, theirs], &long[..MSS]),
        packet(3_000, rig, ack | psh, [ours + MSS as u32, theirs], &long[MSS..]),
        packet(4_000, device, ack, [theirs, ours + sent], &[]),
        packet(5_000, device, ack | psh, [theirs, ours + sent], b"hello"),
        packet(5_000, rig, ack, [ours + sent, theirs + 5], &[]),
        packet(6_000, rig, fin | ack, [ours + sent, theirs + 5], &[]),
        packet(7_000, device, fin | ack, [theirs + 5, ours + sent + 1], &[]),
        packet(7_000, rig, ack, [ours + sent + 1, theirs + 6], &[]),
    ];
    assert_eq!(seen, expected);
}

#[test]
fn a_refusal_and_a_reset_are_seen() {
    let (timeline, net) = timeline(&[FlowKind::Refused]);
    let seen = segments(&timeline, net, Instant::ZERO..Instant::MAX);
    let flags: Vec<u8> = seen.iter().map(|packet| packet.flags).collect();
    assert_eq!(flags, [flag::SYN, flag::RST | flag::ACK]);
    let (timeline, net) = self::timeline(&[FlowKind::Opened, FlowKind::Reset(Direction::FromDut)]);
    let seen = segments(&timeline, net, Instant::ZERO..Instant::MAX);
    assert_eq!((seen[3].flags, seen[3].sequence), (flag::RST | flag::ACK, DEVICE_INITIAL + 1));
}

#[test]
fn a_slice_continues_the_numbers_of_what_was_before() {
    let (timeline, net) =
        timeline(&[FlowKind::Opened, data(Direction::ToDut, b"before"), data(Direction::ToDut, b"in it")]);
    let seen = segments(&timeline, net, at(4_000)..at(5_000));
    assert_eq!(seen.len(), 1);
    assert_eq!((seen[0].sequence, seen[0].payload.as_slice()), (RIG_INITIAL + 7, &b"in it"[..]));
}

#[test]
fn what_the_device_acknowledges_is_never_more_than_it_was_sent() {
    let (timeline, net) = timeline(&[
        FlowKind::Opened,
        data(Direction::ToDut, b"four"),
        FlowKind::Acknowledged(u64::MAX),
        FlowKind::Acknowledged(2),
    ]);
    let seen = segments(&timeline, net, at(4_000)..Instant::MAX);
    assert_eq!(seen.len(), 1, "an older acknowledgement says nothing");
    assert_eq!(seen[0].acknowledged, RIG_INITIAL + 5);
}

#[test]
fn without_a_word_of_the_harness_it_is_http() {
    let timeline = Timeline::new();
    let net = timeline.source("net");
    let flow = Flow { connection: ConnectionId(1), what: FlowKind::Opened };
    timeline.push(net, at(9), Duration::ZERO, Kind::Flow(flow)).unwrap();
    let seen = segments(&timeline, net, Instant::ZERO..Instant::MAX);
    let flags: Vec<(u16, u8)> = seen.iter().map(|packet| (packet.ports.1, packet.flags)).collect();
    assert_eq!(flags, [(80, flag::SYN), (49_153, flag::SYN | flag::ACK), (80, flag::ACK)]);
}

#[test]
fn datagrams_go_to_their_group() {
    let timeline = Timeline::new();
    let (actions, net) = (timeline.source("harness"), timeline.source("net"));
    let group = Ipv4Addr::new(224, 0, 0, 251);
    let peer = Peer::Udp { from: 5353, to: Recipient::Group(group, 5353) };
    let told = Endpoint { connection: CONNECTION, peer }.to_string();
    timeline.push(actions, at(1), Duration::ZERO, Kind::Action(told.into())).unwrap();
    for what in [FlowKind::Opened, data(Direction::ToDut, b"who"), data(Direction::FromDut, b"me")] {
        let flow = Kind::Flow(Flow { connection: CONNECTION, what });
        timeline.push(net, at(2), Duration::ZERO, flow).unwrap();
    }
    let file = file(&timeline, net, Instant::ZERO..Instant::MAX);
    let packets = packets(&file);
    assert_eq!(packets.len(), 2);
    let addresses = |packet: &[u8]| (word(packet, 26), word(packet, 30));
    let Addresses { rig, device } = Addresses::default();
    assert_eq!(addresses(&packets[0].1), (rig.to_bits(), group.to_bits()));
    assert_eq!(addresses(&packets[1].1), (device.to_bits(), group.to_bits()));
    assert_eq!((packets[0].1[23], &packets[0].1[42..]), (17, &b"who"[..]));
}
