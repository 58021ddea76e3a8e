//! Connections, from their first segment to their last, against a second stack.

// The exception for tests in clippy.toml does not reach their helpers.
#![allow(clippy::unwrap_used)]

mod datagrams;
mod device;
mod endings;
mod hostile;
mod segments;

use rigor_core::Instant;
use rigor_core::event::{Direction, FlowKind};

use super::connection::Connection;
use super::part::PORTS;
use device::*;

#[test]
fn a_handshake_takes_a_round_trip_to_the_nanosecond() {
    let mut bench = Bench::serving(echo());
    bench.run_until(5 * MS + 123);
    let id = bench.connect();
    bench.run_for(100 * MS);
    assert_eq!(bench.milestones(id), [(5 * MS + 123 + 2 * trip(SYN), FlowKind::Opened)]);
    let syn = bench.to_device.iter().find(|(_, frame)| frame.len() as u64 == SYN).unwrap();
    assert_eq!(syn.0, 5 * MS + 123 + trip(SYN), "the introduction ahead of it takes no air");
}

#[test]
fn a_port_without_a_listener_refuses() {
    let mut bench = Bench::serving(echo());
    let id = bench.net.connect(81).unwrap();
    bench.net.send(id, b"lost").unwrap();
    bench.run_for(100 * MS);
    let refused = trip(SYN) + trip(BARE);
    assert_eq!(bench.flows(id), [(refused, FlowKind::Refused)], "at once, although the device knew nobody");
    bench.net.send(id, b"lost").unwrap();
    bench.run_for(100 * MS);
    assert_eq!(bench.flows(id).len(), 1);
    assert!(bench.link.0.borrow().connections.is_empty());
}

#[test]
fn nobody_connects_to_port_zero() {
    let bench = Bench::serving(echo());
    assert!(bench.net.connect(0).unwrap_err().to_string().contains("port 0"));
}

#[test]
fn bytes_come_back_after_exactly_two_trips() {
    let mut bench = Bench::serving(echo());
    let id = bench.open();
    bench.run_until(10 * MS);
    bench.net.send(id, &[7; 100]).unwrap();
    bench.run_for(100 * MS);
    let data = |direction| FlowKind::Data(direction, [7; 100].as_slice().into());
    let arrived = 10 * MS + trip(BARE + 100);
    let expected = [
        (2 * trip(SYN), FlowKind::Opened),
        (10 * MS, data(Direction::ToDut)),
        // The acknowledgement was handed to the link first; the echo queues behind it.
        (arrived + trip(BARE), FlowKind::Acknowledged(100)),
        (arrived + BARE * 400 + trip(BARE + 100), data(Direction::FromDut)),
    ];
    assert_eq!(bench.flows(id), expected);
}

#[test]
fn what_is_sent_before_the_connection_is_open_leaves_with_it() {
    let mut bench = Bench::serving(keep());
    let id = bench.connect();
    bench.net.send(id, b"one").unwrap();
    bench.net.send(id, b"two").unwrap();
    bench.run_for(100 * MS);
    assert_eq!(bench.pieces(id, Direction::ToDut), [(2 * trip(SYN), b"onetwo".to_vec())]);
    assert_eq!(bench.device.unwrap().kept, b"onetwo");
}

#[test]
fn small_messages_do_not_wait_for_each_other() {
    let mut bench = Bench::serving(keep());
    let id = bench.open();
    let begun = bench.now();
    for _ in 0..3 {
        bench.net.send(id, b"tick").unwrap();
    }
    bench.run_for(MS);
    assert_eq!(bench.pieces(id, Direction::ToDut), vec![(begun, b"tick".to_vec()); 3], "no Nagle");
}

#[test]
fn each_segment_of_the_device_is_acknowledged_at_once() {
    let mut bench = Bench::serving(tell(vec![1; 100]));
    let id = bench.open();
    bench.run_for(100 * MS);
    let arrived = bench.pieces(id, Direction::FromDut)[0].0;
    let last = bench.to_device.last().unwrap();
    assert_eq!((last.0, last.1.len() as u64), (arrived + trip(BARE), BARE));
}

#[test]
fn a_large_upload_arrives_whole_in_full_segments() {
    let mut bench = Bench::serving(keep());
    let id = bench.open();
    let bytes = pattern(1_000_000);
    bench.net.send(id, &bytes).unwrap();
    bench.run_for(3_000 * MS);
    assert_eq!(bench.sent(id), bytes);
    assert_eq!(bench.acknowledged(id).last(), Some(&1_000_000));
    assert!(bench.acknowledged(id).is_sorted());
    let short = bench.pieces(id, Direction::ToDut).into_iter().filter(|(_, bytes)| bytes.len() < 1440);
    assert_eq!(short.count(), 1, "the last one");
    // The device acknowledges a segment before it reads it, so four fit its window but three go round.
    let took = bench.flows(id).last().unwrap().0 - 2 * trip(SYN);
    let rounds = took as f64 / (trip(BARE + 1440) + trip(BARE)) as f64;
    assert!((170.0..240.0).contains(&rounds), "{rounds} round trips for 174 to 232 windows");
    assert_eq!(bench.device.unwrap().kept, bytes);
}

#[test]
fn a_large_download_arrives_whole_in_full_segments() {
    let bytes = pattern(300_000);
    let mut bench = Bench::serving(tell(bytes.clone()));
    let id = bench.open();
    bench.run_for(3_000 * MS);
    assert_eq!(bench.received(id), bytes);
    let pieces = bench.pieces(id, Direction::FromDut);
    assert!(pieces.iter().all(|(_, bytes)| bytes.len() <= 1440), "although the device's link takes 1,460");
}

#[test]
fn both_directions_at_once() {
    let mut bench = Bench::serving(echo());
    let id = bench.open();
    let bytes = pattern(200_000);
    bench.net.send(id, &bytes).unwrap();
    bench.run_for(5_000 * MS);
    assert_eq!(bench.received(id), bytes);
}

#[test]
fn a_firmware_that_does_not_read_stops_the_sender() {
    let mut bench = Bench::serving(ignore());
    let id = bench.open();
    let bytes = pattern(20_000);
    bench.net.send(id, &bytes).unwrap();
    bench.run_for(10_000 * MS);
    assert_eq!(bench.sent(id).len(), 5760, "the window");
    // The device's window opens at 2,000 bytes or so; whole segments go into it, and no crumbs behind.
    let mut kept = Vec::new();
    while kept.len() < 20_000 {
        let socket = bench.device.as_mut().unwrap().socket();
        let mut buffer = [0; 333];
        let count = socket.recv_slice(&mut buffer).unwrap_or_default();
        kept.extend_from_slice(&buffer[..count]);
        bench.run_for(7 * MS / 10);
        assert!(bench.now() < 60_000 * MS, "{} bytes", kept.len());
    }
    assert_eq!(kept, bytes);
    let short = bench.pieces(id, Direction::ToDut).into_iter().filter(|(_, bytes)| bytes.len() < 1440);
    assert_eq!(short.count(), 1, "the last one");
}

#[test]
fn a_client_that_stops_reading_keeps_the_firmware_waiting() {
    let mut bench = Bench::serving(tell(vec![7; 20_000]));
    let id = bench.open();
    bench.net.stop_reading(id).unwrap();
    bench.run_for(5_000 * MS);
    assert_eq!(bench.received(id).len(), 5760, "what the rig's end holds");
    assert_eq!(bench.device.as_mut().unwrap().socket().send_queue(), 5760, "and the device's send buffer");

    bench.net.read_on(id).unwrap();
    let begun = bench.now();
    bench.run_for(100 * MS);
    assert_eq!(bench.received(id), [7; 20_000]);
    let pieces = bench.pieces(id, Direction::FromDut);
    let next = pieces.iter().find(|(at, _)| *at > begun).unwrap();
    assert_eq!(next.0, begun + trip(BARE) + trip(BARE + 1440), "the window opens at once");
}

#[test]
fn a_device_that_is_off_is_asked_again() {
    let mut bench = Bench::new(None);
    let id = bench.connect();
    bench.run_until(950 * MS);
    bench.restart(Device::new(4, echo()));
    bench.link.device_is_up(false);
    bench.run_until(1_500 * MS);
    bench.link.device_is_up(true);
    bench.run_until(20_000 * MS);
    assert_eq!(bench.milestones(id), [(3_000 * MS + 2 * trip(SYN), FlowKind::Opened)], "after 1 and 2 s");
}

#[test]
fn a_device_that_stays_off_is_given_up() {
    let mut bench = Bench::new(None);
    bench.link.device_is_up(true);
    let id = bench.connect();
    bench.run_until(60_000 * MS);
    assert_eq!(bench.flows(id), [(16_000 * MS, FlowKind::Refused)]);
    let syns = bench.to_device.iter().filter(|(_, frame)| frame.len() as u64 == SYN);
    let asked: Vec<_> = syns.map(|(at, _)| (at - trip(SYN)) / MS).collect();
    assert_eq!(asked, [0, 1_000, 3_000, 7_000, 15_000]);
    assert_eq!(bench.link.next_event(), None);
}

#[test]
fn what_is_sent_to_a_device_that_boots_is_sent_again_and_reset() {
    let mut bench = Bench::serving(echo());
    let id = bench.open();
    bench.link.device_is_up(false);
    bench.net.send(id, b"hello?").unwrap();
    let begun = bench.now();
    bench.run_for(900 * MS);
    bench.restart(Device::new(4, echo()));
    bench.run_for(200 * MS);
    let expected = [FlowKind::Opened, FlowKind::Reset(Direction::FromDut)];
    assert_eq!(bench.kinds(id), expected);
    assert_eq!(bench.sent(id), b"hello?", "once on the timeline, although twice on the link");
    let reset = bench.milestones(id)[1].0;
    let again = begun / 1000 * 1000 + 1_000 * MS;
    assert_eq!(reset, again + trip(BARE + 6) + trip(BARE));
}

#[test]
fn a_device_that_came_up_without_hearing_of_the_rig_can_answer_what_is_repeated() {
    let mut bench = Bench::serving(echo());
    let id = bench.open();
    // Its interface is there, but its firmware has not got that far.
    bench.device = None;
    bench.link.device_is_up(false);
    bench.link.device_is_up(true);
    bench.net.send(id, b"hello?").unwrap();
    bench.run_for(100 * MS);
    bench.device = Some(Device::new(4, echo()));
    bench.run_for(1_000 * MS);
    assert_eq!(bench.kinds(id), [FlowKind::Opened, FlowKind::Reset(Direction::FromDut)]);
}

#[test]
fn a_device_that_was_silent_for_long_still_knows_whom_to_answer() {
    let mut bench = Bench::serving(tell(Vec::new()));
    let id = bench.open();
    bench.run_for(150_000 * MS);
    let begun = bench.now();
    bench.device.as_mut().unwrap().socket().send_slice(b"late").unwrap();
    bench.run_for(100 * MS);
    // The stack looks at its socket with its next tick.
    let (arrived, bytes) = bench.pieces(id, Direction::FromDut).remove(0);
    assert_eq!(bytes, b"late");
    assert!(arrived <= begun + 1000 + trip(BARE + 4), "{} ns later", arrived - begun);
}

#[test]
fn two_thousand_connections_one_after_the_other() {
    let mut bench = Bench::serving(echo());
    let mut ports = std::collections::BTreeSet::new();
    for round in 0..2_000 {
        let id = bench.connect();
        bench.net.send(id, b"hello").unwrap();
        bench.net.finish(id).unwrap();
        ports.extend(bench.link.0.borrow().connections.values().map(Connection::port));
        bench.run_for(20 * MS);
        let ends = [FlowKind::Finished(Direction::ToDut), FlowKind::Finished(Direction::FromDut)];
        assert_eq!(bench.kinds(id)[1..], ends, "round {round}");
        assert_eq!(bench.received(id), b"hello");
        bench.timeline.forget_before(bench.timeline.now());
        bench.to_device.clear();
        bench.from_device.clear();
    }
    assert_eq!(ports.len(), 2_000);
    let state = bench.link.0.borrow();
    assert!(state.connections.is_empty() && state.ports.is_empty() && state.unanswered.is_empty());
    assert_eq!(state.stack.sockets(), 0);
}

#[test]
fn ports_go_round_and_leave_out_those_that_are_taken() {
    let mut bench = Bench::serving(echo());
    let first = bench.open();
    let port = bench.link.0.borrow().connections[&first].port();
    bench.link.0.borrow_mut().next_id = first.0 + u32::from(PORTS);
    let other = bench.open();
    assert_eq!(bench.link.0.borrow().connections[&other].port(), port + 1);
}

#[test]
fn the_same_actions_make_the_same_frames() {
    let run = || {
        let mut bench = Bench::serving(echo());
        for round in 1..20 {
            let id = bench.connect();
            bench.net.send(id, &pattern(round * 333)).unwrap();
            bench.run_for(round as u64 * 777_777);
            if round % 3 == 0 {
                bench.net.reset(id).unwrap();
            } else {
                bench.net.finish(id).unwrap();
            }
        }
        bench.run_for(1_000 * MS);
        let events = bench.timeline.merged(Instant::ZERO, Instant::MAX);
        (bench.to_device, bench.from_device, events)
    };
    let (one, other) = (run(), run());
    assert!(one.0.len() > 100);
    assert!(one == other);
}
