//! The rig's end, segment by segment: the test speaks for the device.

use rigor_core::event::{ConnectionId, Direction, FlowKind};
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    ArpOperation, ArpPacket, ArpRepr, EthernetAddress, EthernetFrame, EthernetProtocol, IpProtocol,
    Ipv4Address, Ipv4Packet, Ipv4Repr, TcpControl, TcpPacket, TcpRepr, TcpSeqNumber,
};

use super::super::{DEVICE_ADDRESS, DEVICE_MAC, RIG_ADDRESS, RIG_MAC, frame};
use super::device::*;

/// The rig's port of the first connection.
const RIG_PORT: u16 = 49153;
/// The device's first sequence number.
const FIRST: i32 = 999;

/// A valid frame of the device that carries a segment.
pub(super) fn segment(repr: &TcpRepr<'_>) -> Vec<u8> {
    let checksums = ChecksumCapabilities::default();
    let ip = Ipv4Repr {
        src_addr: DEVICE_ADDRESS,
        dst_addr: RIG_ADDRESS,
        next_header: IpProtocol::Tcp,
        payload_len: repr.buffer_len(),
        hop_limit: 64,
    };
    let mut bytes = vec![0; 34 + ip.payload_len];
    let mut ethernet = EthernetFrame::new_unchecked(&mut bytes);
    ethernet.set_src_addr(EthernetAddress(DEVICE_MAC));
    ethernet.set_dst_addr(EthernetAddress(RIG_MAC));
    ethernet.set_ethertype(EthernetProtocol::Ipv4);
    let mut packet = Ipv4Packet::new_unchecked(ethernet.payload_mut());
    ip.emit(&mut packet, &checksums);
    let mut tcp = TcpPacket::new_unchecked(packet.payload_mut());
    repr.emit(&mut tcp, &DEVICE_ADDRESS.into(), &RIG_ADDRESS.into(), &checksums);
    bytes
}

/// A frame that asks for the hardware address of `address`.
pub(super) fn question(address: Ipv4Address) -> Vec<u8> {
    let repr = ArpRepr::EthernetIpv4 {
        operation: ArpOperation::Request,
        source_hardware_addr: EthernetAddress(DEVICE_MAC),
        source_protocol_addr: DEVICE_ADDRESS,
        target_hardware_addr: EthernetAddress([0; 6]),
        target_protocol_addr: address,
    };
    let mut bytes = vec![0; 14 + repr.buffer_len()];
    let mut ethernet = EthernetFrame::new_unchecked(&mut bytes);
    ethernet.set_src_addr(EthernetAddress(DEVICE_MAC));
    ethernet.set_dst_addr(EthernetAddress::BROADCAST);
    ethernet.set_ethertype(EthernetProtocol::Arp);
    repr.emit(&mut ArpPacket::new_unchecked(ethernet.payload_mut()));
    bytes
}

/// Lets nobody but the test speak for the device.
pub(super) fn alone() -> Bench {
    let bench = Bench::new(None);
    bench.link.device_is_up(true);
    bench
}

/// What was sent to the device last that is a segment.
pub(super) fn last_segment(bench: &Bench) -> frame::Segment<'_> {
    bench.to_device.iter().rev().find_map(|(_, frame)| frame::read_segment(&frame[14..])).unwrap()
}

#[test]
fn a_question_for_the_rigs_address_is_answered() {
    let mut bench = alone();
    bench.link.sent_by_device(at(0), &question(RIG_ADDRESS));
    bench.run_for(10 * MS);
    let (arrived, frame) = &bench.to_device[0];
    assert_eq!(*arrived, trip(42) + LATENCY, "the answer takes no air");
    assert_eq!((&frame[..6], &frame[22..28]), (DEVICE_MAC.as_slice(), RIG_MAC.as_slice()));
    assert_eq!(bench.to_device.len(), 1);
}

/// A connection that is just being opened, with the first sequence number of the rig.
fn begin() -> (Bench, ConnectionId, u32) {
    let mut bench = alone();
    let id = bench.connect();
    bench.run_for(10 * MS);
    let initial = last_segment(&bench).sequence;
    (bench, id, initial)
}

/// A segment of the device without payload, which acknowledges `count` bytes.
fn bare(initial: u32, control: TcpControl, count: u32, window: u16) -> TcpRepr<'static> {
    TcpRepr {
        src_port: PORT,
        dst_port: RIG_PORT,
        control,
        seq_number: TcpSeqNumber(if control == TcpControl::Syn { FIRST } else { FIRST + 1 }),
        ack_number: Some(TcpSeqNumber(initial.wrapping_add(1 + count) as i32)),
        window_len: window,
        window_scale: None,
        max_seg_size: (control == TcpControl::Syn).then_some(1440),
        sack_permitted: false,
        sack_ranges: [None; 3],
        timestamp: None,
        payload: &[],
    }
}

fn say(bench: &mut Bench, repr: &TcpRepr<'_>) {
    bench.link.sent_by_device(bench.timeline.now(), &segment(repr));
    bench.run_for(10 * MS);
}

#[test]
fn a_question_for_another_address_is_none_for_the_rig() {
    let mut bench = alone();
    bench.link.sent_by_device(at(0), &question(Ipv4Address::new(192, 168, 4, 3)));
    bench.run_for(10 * MS);
    assert!(bench.to_device.is_empty());
}

#[test]
fn a_window_is_counted_from_what_is_acknowledged() {
    let (mut bench, id, initial) = begin();
    say(&mut bench, &bare(initial, TcpControl::Syn, 0, 3000));
    bench.net.send(id, &pattern(10_000)).unwrap();
    bench.run_for(10 * MS);
    let lengths = |bench: &Bench| -> Vec<_> {
        bench.pieces(id, Direction::ToDut).iter().map(|(_, bytes)| bytes.len()).collect()
    };
    assert_eq!(lengths(&bench), [1440, 1440], "120 bytes more are not worth a segment");
    say(&mut bench, &bare(initial, TcpControl::None, 2880, 1500));
    assert_eq!(lengths(&bench), [1440, 1440, 1440]);
    say(&mut bench, &bare(initial, TcpControl::None, 1440, 5760));
    assert_eq!(lengths(&bench).len(), 3, "an old segment has an old window");
    assert_eq!(bench.acknowledged(id), [2880]);
}

#[test]
fn a_scaled_window_is_as_large_as_it_says() {
    let (mut bench, id, initial) = begin();
    let mut answer = bare(initial, TcpControl::Syn, 0, 1440);
    answer.window_scale = Some(4);
    say(&mut bench, &answer);
    bench.net.send(id, &pattern(10_000)).unwrap();
    assert_eq!(bench.sent(id).len(), 1440, "not in a SYN");
    say(&mut bench, &bare(initial, TcpControl::None, 1440, 125));
    assert_eq!(bench.sent(id).len(), 2880, "2,000 bytes, of which 560 are not worth a segment");
}

#[test]
fn what_has_not_left_cannot_be_acknowledged() {
    let (mut bench, id, initial) = begin();
    say(&mut bench, &bare(initial, TcpControl::Syn, 0, 5760));
    say(&mut bench, &bare(initial, TcpControl::None, 0, 100));
    // A window that shrinks: the rig's end had believed in the first.
    bench.net.send(id, &pattern(5760)).unwrap();
    assert_eq!(bench.sent(id).len(), 100);
    say(&mut bench, &bare(initial, TcpControl::None, 3000, 5760));
    assert!(bench.acknowledged(id).is_empty());
    say(&mut bench, &bare(initial, TcpControl::None, 100, 5760));
    assert_eq!(bench.acknowledged(id), [100]);
    assert_eq!(bench.sent(id).len(), 5760);
}

#[test]
fn a_segment_of_another_port_says_nothing_of_the_connection() {
    let (mut bench, id, initial) = begin();
    say(&mut bench, &bare(initial, TcpControl::Syn, 0, 100));
    bench.net.send(id, &pattern(1000)).unwrap();
    bench.run_for(10 * MS);
    assert_eq!(bench.sent(id).len(), 100);
    let mut stranger = bare(initial, TcpControl::None, 0, 5760);
    stranger.src_port = PORT + 1;
    say(&mut bench, &stranger);
    assert_eq!(bench.sent(id).len(), 100);
    assert_eq!(last_segment(&bench).control, TcpControl::Rst, "to the stranger");
    say(&mut bench, &bare(initial, TcpControl::None, 100, 40));
    assert_eq!(bench.sent(id).len(), 100, "not half of the largest window so far");
}

#[test]
fn tiny_segments_are_not_agreed_to() {
    let (mut bench, id, initial) = begin();
    let mut answer = bare(initial, TcpControl::Syn, 0, 5760);
    answer.max_seg_size = Some(47);
    say(&mut bench, &answer);
    assert_eq!(bench.kinds(id), []);
    answer.max_seg_size = Some(48);
    say(&mut bench, &answer);
    assert_eq!(bench.kinds(id), [FlowKind::Opened]);
}

#[test]
fn after_both_ends_have_finished_nothing_is_torn_down() {
    let (mut bench, id, initial) = begin();
    say(&mut bench, &bare(initial, TcpControl::Syn, 0, 5760));
    say(&mut bench, &bare(initial, TcpControl::Fin, 0, 5760));
    bench.net.finish(id).unwrap();
    let ends =
        [FlowKind::Opened, FlowKind::Finished(Direction::FromDut), FlowKind::Finished(Direction::ToDut)];
    assert_eq!(bench.kinds(id), ends);
    bench.net.reset(id).unwrap();
    let mut reset = bare(initial, TcpControl::Rst, 1, 0);
    reset.seq_number = TcpSeqNumber(FIRST + 2);
    say(&mut bench, &reset);
    assert_eq!(bench.kinds(id), ends, "as on the board");
    assert!(bench.link.0.borrow().connections.is_empty());
}

#[test]
fn bytes_that_are_owed_can_be_lost_by_a_reset() {
    let (mut bench, id, initial) = begin();
    say(&mut bench, &bare(initial, TcpControl::Syn, 0, 5760));
    say(&mut bench, &bare(initial, TcpControl::Fin, 0, 5760));
    bench.net.send(id, b"for nobody").unwrap();
    bench.net.finish(id).unwrap();
    let mut reset = bare(initial, TcpControl::Rst, 0, 0);
    reset.seq_number = TcpSeqNumber(FIRST + 2);
    say(&mut bench, &reset);
    assert_eq!(bench.kinds(id).last(), Some(&FlowKind::Reset(Direction::FromDut)));
}

#[test]
fn a_question_that_is_taken_back_is_not_torn_down() {
    let (mut bench, id, initial) = begin();
    let asked = bench.to_device.len();
    bench.net.reset(id).unwrap();
    bench.run_for(10 * MS);
    assert_eq!(bench.to_device.len(), asked, "there is nothing yet");
    say(&mut bench, &bare(initial, TcpControl::Syn, 0, 5760));
    assert_eq!(last_segment(&bench).control, TcpControl::Rst);
}

/// What smoltcp would answer without end.
#[test]
fn a_last_acknowledgement_without_a_window_is_the_end() {
    let (mut bench, id, initial) = begin();
    say(&mut bench, &bare(initial, TcpControl::Syn, 0, 5760));
    bench.net.send(id, &[1; 100]).unwrap();
    bench.net.finish(id).unwrap();
    say(&mut bench, &bare(initial, TcpControl::None, 50, 0));
    say(&mut bench, &bare(initial, TcpControl::None, 101, 0));
    assert_eq!(bench.acknowledged(id), [50, 100]);
    let heard = bench.to_device.len();
    bench.run_for(20_000 * MS);
    assert_eq!(bench.to_device.len(), heard);
    assert_eq!(bench.notes(), Vec::<String>::new());
}
