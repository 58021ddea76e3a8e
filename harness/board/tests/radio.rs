//! The air and datagrams: what the rig hears, what each step takes, and who hears whom.

// The exception for tests in clippy.toml does not reach their helpers.
#![allow(clippy::unwrap_used)]

mod common;

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use common::{BOOT, Bench, Instant, MS, bench};
use edge_nal::{MulticastV4, TcpAccept, TcpBind, UdpBind, UdpReceive, UdpSend};
use rigor_board::Chip;
use rigor_board::cpu::TaskSpec;
use rigor_board::net::Via;
use rigor_board::radio::{JoinError, RadioConfig};
use rigor_core::event::{AirEvent, ConnectionId, Direction, FlowKind, Kind};
use rigor_core::part::{Network, Recipient};
use rstest::rstest;

const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 251);
/// The device's address in the rig's network.
const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 42, 0, 23);

fn task(chip: &Chip, body: impl Future<Output = ()> + 'static) {
    let spec = TaskSpec { name: "air", priority: 5, stack_bytes: 8192, core: 1 };
    chip.tasks().spawn(spec, Box::pin(body));
}

fn network(ssid: &str, password: Option<&str>) -> Network {
    Network { ssid: ssid.to_owned(), password: password.map(str::to_owned) }
}

fn run_ms(bench: &Bench, ms: u64) {
    bench.run_for(ms * MS);
}

/// What the rig's radio heard, in milliseconds since the boot ROM was left.
fn heard(bench: &Bench) -> Vec<(u64, AirEvent)> {
    let source = bench.board.air().source();
    let events = bench.timeline.events(source, Instant::ZERO, Instant::MAX);
    let events = events.into_iter().filter_map(|event| match event.kind {
        Kind::Air(what) => Some((event.at.as_nanos().saturating_sub(BOOT) / MS, what)),
        _ => None,
    });
    events.collect()
}

/// A device that joins whenever it can.
fn joiner(ssid: &'static str, password: Option<&'static str>) -> Bench {
    bench(move |chip, probe| {
        let (radio, probe) = (chip.radio(), probe.clone());
        task(chip, async move {
            loop {
                match radio.join(ssid, password).await {
                    Ok(address) => {
                        probe.mark(format!("joined {address}"));
                        radio.lost().await;
                        probe.mark("lost");
                    }
                    Err(error) => probe.mark(format!("{error}")),
                }
            }
        });
    })
}

#[test]
fn an_access_point_is_heard_from_its_first_beacon_until_the_power_goes() {
    let bench = bench(|chip, _| {
        let radio = chip.radio();
        task(chip, async move { radio.open_access_point("setup", 1).await });
    });
    run_ms(&bench, 1000);
    bench.off();
    let heard = heard(&bench);
    let (AirEvent::Appeared(access_point), AirEvent::Vanished(gone)) = (&heard[0].1, &heard[1].1) else {
        panic!("{heard:?}");
    };
    assert_eq!((&*access_point.ssid, access_point.open, access_point.channel), ("setup", true, 1));
    assert_eq!((heard[0].0, &**gone, heard.len()), (150, "setup", 2));
}

#[rstest]
#[case(network("home", Some("secret")), "home", Some("secret"), 720 + 100 + 550 + 1000)]
#[case(network("home", None), "home", None, 720 + 100 + 1000)]
fn joining_takes_a_scan_an_association_keys_and_a_lease(
    #[case] up: Network,
    #[case] ssid: &'static str,
    #[case] password: Option<&'static str>,
    #[case] takes: u64,
) {
    let bench = joiner(ssid, password);
    bench.board.air().put_up(&up).unwrap();
    run_ms(&bench, 3000);
    let heard = heard(&bench);
    assert_eq!(heard[0], (takes - 1000, AirEvent::Joined));
    assert_eq!(heard[1], (takes, AirEvent::Addressed(ADDRESS)));
    assert_eq!(heard.len(), 2);
}

#[rstest]
#[case("other", Some("secret"), JoinError::NotFound, 13 * 120)]
#[case("home", Some("wrong"), JoinError::Refused, 720 + 100 + 550 + 3000)]
#[case("home", None, JoinError::Refused, 720 + 100 + 3000)]
fn what_cannot_be_joined_is_said_after_its_time(
    #[case] ssid: &'static str,
    #[case] password: Option<&'static str>,
    #[case] error: JoinError,
    #[case] takes: u64,
) {
    let bench = joiner(ssid, password);
    bench.board.air().put_up(&network("home", Some("secret"))).unwrap();
    run_ms(&bench, takes + 200);
    let (at, what) = bench.marks()[0].clone();
    assert_eq!((at / MS, what), (takes, error.to_string()));
    assert!(heard(&bench).is_empty());
}

#[test]
fn a_network_that_goes_is_missed_after_its_beacons_and_found_again() {
    let bench = joiner("home", None);
    let air = bench.board.air();
    air.put_up(&network("home", None)).unwrap();
    run_ms(&bench, 3000);
    air.take_down().unwrap();
    run_ms(&bench, 8000);
    assert_eq!(bench.marks()[1], (9000 * MS - BOOT, "lost".to_owned()));
    air.put_up(&network("home", None)).unwrap();
    run_ms(&bench, 4000);
    let seen: Vec<_> = heard(&bench).into_iter().map(|(_, what)| what).collect();
    let address = AirEvent::Addressed(ADDRESS);
    assert_eq!(seen, [AirEvent::Joined, address.clone(), AirEvent::Left, AirEvent::Joined, address]);
}

#[test]
fn a_network_that_comes_back_at_once_tells_its_stations() {
    let bench = joiner("home", None);
    let air = bench.board.air();
    air.put_up(&network("home", None)).unwrap();
    run_ms(&bench, 3000);
    air.take_down().unwrap();
    run_ms(&bench, 10);
    air.put_up(&network("home", None)).unwrap();
    run_ms(&bench, 10);
    assert_eq!(bench.marks()[1], (3010 * MS - BOOT, "lost".to_owned()));
}

#[test]
fn a_network_that_goes_in_the_middle_of_a_join_is_not_joined() {
    let bench = joiner("home", None);
    let air = bench.board.air();
    air.put_up(&network("home", None)).unwrap();
    run_ms(&bench, 1000);
    air.take_down().unwrap();
    run_ms(&bench, 1500);
    assert_eq!(bench.marks()[0].1, "lost");
    assert_eq!(heard(&bench).last().map(|(_, what)| what.clone()), Some(AirEvent::Left));
}

/// A device on the air that echoes datagrams of port 7 and tells the group on port 7 that it did.
fn echo() -> Bench {
    bench(|chip, probe| {
        let (radio, net, probe) = (chip.radio(), chip.net(), probe.clone());
        task(chip, async move {
            radio.open_access_point("setup", 1).await;
            let mut socket = UdpBind::bind(&net, "0.0.0.0:7".parse().unwrap()).await.unwrap();
            assert!(UdpBind::bind(&net, "0.0.0.0:7".parse().unwrap()).await.is_err());
            socket.join_v4(GROUP, ADDRESS).await.unwrap();
            let joined = radio.join("home", None).await;
            probe.mark(format!("{joined:?}"));
            let mut buffer = [0; 4];
            loop {
                let (length, from) = socket.receive(&mut buffer).await.unwrap();
                probe.mark(format!("{length} of {from}"));
                socket.send(from, &buffer[..length.min(4)]).await.unwrap();
                socket.send(SocketAddr::new(GROUP.into(), 7), b"all").await.unwrap();
            }
        });
    })
}

fn received(bench: &Bench, id: ConnectionId) -> Vec<Vec<u8>> {
    let source = bench.board.net().source();
    let events = bench.timeline.events(source, Instant::ZERO, Instant::MAX);
    let data = events.into_iter().filter_map(|event| match event.kind {
        Kind::Flow(flow) if flow.connection == id => match flow.what {
            FlowKind::Data(Direction::FromDut, bytes) => Some(bytes.to_vec()),
            _ => None,
        },
        _ => None,
    });
    data.collect()
}

#[test]
fn datagrams_go_where_they_are_sent() {
    let bench = echo();
    bench.board.air().put_up(&network("home", None)).unwrap();
    run_ms(&bench, 3000);
    let there = bench.board.air().net();
    let setup = bench.board.net_via(Via::AccessPoint);
    let group = there.datagrams(7, Recipient::Group(GROUP, 7)).unwrap();
    let alone = there.datagrams(9, Recipient::Device(7)).unwrap();
    let deaf = setup.datagrams(7, Recipient::Group(GROUP, 7)).unwrap();
    there.send(group, b"one").unwrap();
    run_ms(&bench, 100);
    there.send(alone, b"two and more").unwrap();
    run_ms(&bench, 100);
    // The device has joined the group in the other network only.
    setup.send(deaf, b"three").unwrap();
    run_ms(&bench, 100);
    assert_eq!(received(&bench, group), [&b"one"[..], b"all", b"all"]);
    assert_eq!(received(&bench, alone), [b"two "]);
    assert!(received(&bench, deaf).is_empty());
    let marks: Vec<_> = bench.marks().into_iter().skip(1).map(|(_, mark)| mark).collect();
    assert_eq!(marks, ["3 of 10.42.0.1:7", "12 of 10.42.0.1:9"]);
}

#[test]
fn datagrams_are_lost_without_a_network_and_beyond_the_queue() {
    let bench = bench(|chip, probe| {
        let (net, probe) = (chip.net(), probe.clone());
        task(chip, async move {
            let mut socket = UdpBind::bind(&net, "0.0.0.0:7".parse().unwrap()).await.unwrap();
            embassy_time::Timer::after_millis(500).await;
            let mut buffer = [0; 4];
            loop {
                socket.receive(&mut buffer).await.unwrap();
                probe.mark(format!("{}", buffer[0]));
            }
        });
    });
    run_ms(&bench, 100);
    let there = bench.board.air().net();
    let lost = there.datagrams(9, Recipient::Device(7)).unwrap();
    there.send(lost, &[99]).unwrap();
    let wire = bench.board.net();
    let end = wire.datagrams(9, Recipient::Device(7)).unwrap();
    (0..10).for_each(|number| wire.send(end, &[number]).unwrap());
    wire.send(wire.datagrams(9, Recipient::Device(8)).unwrap(), &[98]).unwrap();
    run_ms(&bench, 1000);
    let marks: Vec<_> = bench.marks().into_iter().map(|(_, mark)| mark).collect();
    assert_eq!(marks, ["0", "1", "2", "3", "4", "5"]);
}

#[test]
fn connections_belong_to_an_interface() {
    let bench = bench(|chip, _| {
        let (radio, net) = (chip.radio(), chip.net());
        task(chip, async move {
            let listener = TcpBind::bind(&net, "0.0.0.0:80".parse().unwrap()).await.unwrap();
            radio.join("home", None).await.unwrap();
            let mut kept = Vec::new();
            loop {
                kept.push(TcpAccept::accept(&listener).await.unwrap());
            }
        });
    });
    let flows = |id: ConnectionId| {
        let events = bench.timeline.events(bench.board.net().source(), Instant::ZERO, Instant::MAX);
        let kinds = events.into_iter().filter_map(|event| match event.kind {
            Kind::Flow(flow) if flow.connection == id => Some(flow.what),
            _ => None,
        });
        kinds.collect::<Vec<_>>()
    };
    let air = bench.board.air();
    air.put_up(&network("home", None)).unwrap();
    run_ms(&bench, 100);
    // Nobody is joined yet, and no access point is open.
    let early = air.net().connect(80).unwrap();
    let never = bench.board.net_via(Via::AccessPoint).connect(80).unwrap();
    run_ms(&bench, 500);
    assert!(flows(early).is_empty());
    run_ms(&bench, 4000);
    assert_eq!(flows(early), [FlowKind::Opened]);
    air.take_down().unwrap();
    air.net().send(early, b"into the void").unwrap();
    run_ms(&bench, 20_000);
    assert_eq!(flows(early), [FlowKind::Opened]);
    assert_eq!(flows(never), [FlowKind::Refused]);
}

#[test]
fn a_configuration_has_other_times() {
    let quick = RadioConfig { open: Duration::from_millis(1), ..RadioConfig::default() };
    let config = rigor_board::BoardConfig { radio: quick, ..Default::default() };
    let bench = common::bench_with(config, |chip, _| {
        let radio = chip.radio();
        task(chip, async move { radio.open_access_point("setup", 11).await });
    });
    bench.on();
    run_ms(&bench, 100);
    assert_eq!(heard(&bench)[0].0, 1);
}
