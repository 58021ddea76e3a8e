//! The rig's end against a peer of these tests in the place of QEMU.

use std::net::TcpListener;
use std::time::Instant as HostInstant;

use rigor_core::Instant;

use super::*;

const PATIENCE: Duration = Duration::from_secs(60);
const FROM: Direction = Direction::FromDut;
const TO: Direction = Direction::ToDut;

struct Bench {
    timeline: Timeline,
    net: Loopback,
    listener: TcpListener,
}

fn bench() -> Bench {
    let timeline = Timeline::new();
    let way = Way::to("f", 80, None).expect("a free port");
    let listener = TcpListener::bind(way.forward.address()).expect("it is kept for who asks");
    Bench { net: Loopback::new(vec![way], &timeline, Duration::ZERO), timeline, listener }
}

impl Bench {
    /// A connection, and the peer's end of it.
    fn connected(&self) -> (ConnectionId, TcpStream) {
        let id = self.net.connect(80).expect("an attempt");
        let (peer, _) = self.listener.accept().expect("a client");
        peer.set_read_timeout(Some(PATIENCE)).expect("a limit");
        (id, peer)
    }

    /// What has happened on the connections, once so much has. Data is told in one piece.
    fn told(&self, done: impl Fn(&[(ConnectionId, FlowKind)]) -> bool) -> Vec<(ConnectionId, FlowKind)> {
        let until = HostInstant::now() + PATIENCE;
        loop {
            self.net.attend();
            let events = self.timeline.events(self.net.source(), Instant::ZERO, Instant::MAX);
            let flows: Vec<(ConnectionId, FlowKind)> = events
                .into_iter()
                .filter_map(|event| match event.kind {
                    Kind::Flow(Flow { connection, what }) => Some((connection, what)),
                    _ => None,
                })
                .collect();
            if done(&flows) {
                return flows;
            }
            assert!(HostInstant::now() < until, "only {flows:?}");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn kinds(&self, count: usize) -> Vec<FlowKind> {
        self.told(|flows| flows.len() >= count).into_iter().map(|(_, what)| what).collect()
    }
}

#[test]
fn bytes_and_ends_pass_both_ways() {
    let bench = bench();
    let (id, mut peer) = bench.connected();
    bench.net.send(id, b"ping").expect("it is open");
    bench.net.finish(id).expect("it is open");
    // Whatever comes after the end is nobody's.
    bench.net.send(id, b"late").expect("no fault of the rig");
    let expected = [FlowKind::Opened, FlowKind::Data(TO, b"ping"[..].into()), FlowKind::Finished(TO)];
    assert_eq!(bench.kinds(3), expected);
    let mut heard = Vec::new();
    peer.read_to_end(&mut heard).expect("an end");
    assert_eq!(heard, b"ping");
    peer.write_all(b"pong").expect("it is open");
    assert_eq!(bench.kinds(4)[3..], [FlowKind::Data(FROM, b"pong"[..].into())]);
    drop(peer);
    assert_eq!(bench.kinds(5)[4..], [FlowKind::Finished(FROM)]);
    assert!(bench.net.0.borrow().connections.is_empty(), "it is over");
}

#[test]
fn a_device_without_power_refuses() {
    let bench = bench();
    let address = bench.net.addresses()["f"];
    // A child that another test starts has a copy of every descriptor until it is another program.
    rustix::net::shutdown(&bench.listener, rustix::net::Shutdown::Both).expect("it listens");
    drop(bench.listener);
    let bench = Bench { listener: TcpListener::bind("127.0.0.1:0").expect("a port"), ..bench };
    let id = bench.net.connect(80).expect("an attempt");
    assert_eq!(bench.told(|flows| !flows.is_empty()), [(id, FlowKind::Refused)], "{address}");
}

#[test]
fn a_reset_is_told_to_the_other_side() {
    let bench = bench();
    let (first, mut peer) = bench.connected();
    bench.net.reset(first).expect("it is open");
    let heard = peer.read(&mut [0; 1]).expect_err("no end in order");
    assert_eq!(heard.kind(), io::ErrorKind::ConnectionReset);
    assert_eq!(bench.kinds(2), [FlowKind::Opened, FlowKind::Reset(TO)]);
    // Closing with something unread is a reset, as of a process that was killed.
    let (second, peer) = bench.connected();
    bench.net.send(second, b"unread").expect("it is open");
    bench.kinds(4);
    drop(peer);
    let told = bench.told(|flows| flows.last().is_some_and(|(_, what)| *what == FlowKind::Reset(FROM)));
    assert!(told[2..].iter().all(|(id, _)| *id == second && second != first), "{told:?}");
    // Nothing can be done to what is over.
    bench.net.send(second, b"x").and_then(|()| bench.net.reset(second)).expect("no fault of the rig");
    bench.net.attend();
    assert_eq!(bench.kinds(told.len()).len(), told.len());
}

#[test]
fn who_does_not_read_hears_nothing_and_who_vanishes_says_nothing() {
    let bench = bench();
    let (id, mut peer) = bench.connected();
    bench.net.stop_reading(id).expect("it is open");
    peer.write_all(b"wait").expect("room in the socket");
    std::thread::sleep(Duration::from_millis(20));
    assert_eq!(bench.kinds(1), [FlowKind::Opened]);
    bench.net.read_on(id).expect("it is open");
    assert_eq!(bench.kinds(2)[1..], [FlowKind::Data(FROM, b"wait"[..].into())]);
    bench.net.vanish(id).expect("it is open");
    bench.net.send(id, b"gone").expect("no fault of the rig");
    drop(peer);
    std::thread::sleep(Duration::from_millis(20));
    assert_eq!(bench.kinds(2).len(), 2);
}

#[test]
fn what_no_port_leads_to_is_said_with_the_remedy() {
    let bench = bench();
    let told = bench.net.connect(81).expect_err("no way").to_string();
    assert!(told.contains("TCP port 81; name it in [net]"), "{told}");
    let told = bench.net.datagrams(5353, Recipient::Device(5353)).expect_err("no way").to_string();
    assert!(told.contains("mode = \"exact\""), "{told}");
}
