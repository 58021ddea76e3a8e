//! Datagrams each way, to one and to a group.

use std::net::Ipv4Addr;

use rigor_core::event::{Direction, FlowKind};
use rigor_core::part::Recipient;
use smoltcp::iface::SocketHandle;
use smoltcp::socket::udp;
use smoltcp::wire::{IpAddress, IpEndpoint};

use super::super::{DEVICE_ADDRESS, RIG_ADDRESS};
use super::device::*;

const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 251);

fn endpoint(address: Ipv4Addr, port: u16) -> IpEndpoint {
    IpEndpoint::new(IpAddress::Ipv4(address), port)
}

fn socket(bench: &mut Bench, handle: SocketHandle) -> &mut udp::Socket<'static> {
    bench.device.as_mut().unwrap().sockets.get_mut(handle)
}

/// What the device's socket has heard, and from whom.
fn heard(bench: &mut Bench, handle: SocketHandle) -> Option<(Vec<u8>, IpEndpoint, IpAddress)> {
    let (bytes, meta) = socket(bench, handle).recv().ok()?;
    Some((bytes.to_vec(), meta.endpoint, meta.local_address.unwrap()))
}

#[test]
fn one_goes_to_the_device_and_one_comes_back() {
    let mut device = Device::new(0, ignore());
    let handle = device.bind(5000, None);
    let mut bench = Bench::new(Some(device));
    bench.run_until(3 * MS);
    let id = bench.net.datagrams(6000, Recipient::Device(5000)).unwrap();
    bench.net.send(id, b"question").unwrap();
    bench.run_for(trip(DATAGRAM + 8));
    let local = IpAddress::Ipv4(DEVICE_ADDRESS);
    assert_eq!(
        heard(&mut bench, handle),
        Some((b"question".to_vec(), endpoint(RIG_ADDRESS, 6000), local)),
        "exactly then"
    );

    socket(&mut bench, handle).send_slice(b"answer", endpoint(RIG_ADDRESS, 6000)).unwrap();
    socket(&mut bench, handle).send_slice(b"to nobody", endpoint(RIG_ADDRESS, 6001)).unwrap();
    bench.run_for(100 * MS);
    let flows = bench.flows(id);
    assert_eq!(flows[0], (3 * MS, FlowKind::Opened));
    assert_eq!(flows[1], (3 * MS, FlowKind::Data(Direction::ToDut, b"question".as_slice().into())));
    assert_eq!(flows[2].1, FlowKind::Data(Direction::FromDut, b"answer".as_slice().into()));
    assert_eq!(flows.len(), 3);
}

#[test]
fn a_group_hears_and_is_heard() {
    let mut device = Device::new(0, ignore());
    let handle = device.bind(5353, Some(GROUP));
    let mut bench = Bench::new(Some(device));
    let members = [5353, 5353].map(|port| bench.net.datagrams(port, Recipient::Group(GROUP, 5353)).unwrap());
    let stranger = bench.net.datagrams(5353, Recipient::Device(5353)).unwrap();
    bench.net.send(members[0], b"who is there?").unwrap();
    bench.run_for(10 * MS);
    let frame = &bench.to_device.last().unwrap().1;
    assert_eq!(frame[..6], [0x01, 0x00, 0x5E, 0, 0, 251]);
    let expected = (b"who is there?".to_vec(), endpoint(RIG_ADDRESS, 5353), IpAddress::Ipv4(GROUP));
    assert_eq!(heard(&mut bench, handle), Some(expected));

    socket(&mut bench, handle).send_slice(b"I am", endpoint(GROUP, 5353)).unwrap();
    bench.run_for(10 * MS);
    socket(&mut bench, handle).send_slice(b"for you", endpoint(RIG_ADDRESS, 5353)).unwrap();
    bench.run_for(10 * MS);
    for member in members {
        assert_eq!(bench.received(member), b"I amfor you");
    }
    assert_eq!(bench.received(stranger), b"for you", "it is in no group");
}

#[test]
fn a_group_that_the_device_has_not_joined_is_not_heard() {
    let mut device = Device::new(0, ignore());
    let handle = device.bind(5353, None);
    let mut bench = Bench::new(Some(device));
    let id = bench.net.datagrams(5353, Recipient::Group(GROUP, 5353)).unwrap();
    bench.net.send(id, b"who is there?").unwrap();
    bench.run_for(10 * MS);
    assert_eq!(heard(&mut bench, handle), None);
}

#[test]
fn the_longest_datagram_arrives_and_a_longer_one_is_refused() {
    let mut device = Device::new(0, ignore());
    let handle = device.bind(5000, None);
    let mut bench = Bench::new(Some(device));
    let id = bench.net.datagrams(6000, Recipient::Device(5000)).unwrap();
    bench.net.send(id, &pattern(1472)).unwrap();
    bench.net.send(id, &[]).unwrap();
    assert!(bench.net.send(id, &pattern(1473)).unwrap_err().to_string().contains("1472"));
    bench.run_for(10 * MS);
    assert_eq!(heard(&mut bench, handle).map(|(bytes, ..)| bytes), Some(pattern(1472)));
    assert_eq!(heard(&mut bench, handle).map(|(bytes, ..)| bytes), Some(Vec::new()));
    socket(&mut bench, handle).send_slice(&pattern(1472), endpoint(RIG_ADDRESS, 6000)).unwrap();
    bench.run_for(10 * MS);
    assert_eq!(bench.received(id), pattern(1472));
}

#[test]
fn datagrams_to_a_device_that_is_down_are_gone() {
    let mut device = Device::new(0, ignore());
    let handle = device.bind(5000, None);
    let mut bench = Bench::new(Some(device));
    bench.link.device_is_up(false);
    let id = bench.net.datagrams(6000, Recipient::Device(5000)).unwrap();
    bench.net.send(id, b"lost").unwrap();
    bench.run_for(10 * MS);
    bench.link.device_is_up(true);
    bench.net.send(id, b"heard").unwrap();
    bench.run_for(1_000 * MS);
    assert_eq!(heard(&mut bench, handle).map(|(bytes, ..)| bytes), Some(b"heard".to_vec()));
    assert_eq!(heard(&mut bench, handle), None);
}

#[test]
fn endpoints_are_no_connections() {
    let mut bench = Bench::new(None);
    let id = bench.net.datagrams(6000, Recipient::Device(5000)).unwrap();
    bench.net.finish(id).unwrap();
    bench.net.reset(id).unwrap();
    bench.net.vanish(id).unwrap();
    bench.net.stop_reading(id).unwrap();
    bench.net.read_on(id).unwrap();
    bench.net.send(id, b"still there").unwrap();
    bench.run_for(10 * MS);
    assert_eq!(bench.flows(id).len(), 2);
}
