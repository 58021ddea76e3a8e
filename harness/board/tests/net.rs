//! The link and the TCP-like stack: handshakes, arithmetic, windows, ends of connections.

// The exception for tests in clippy.toml does not reach their helpers.
#![allow(clippy::unwrap_used)]

mod common;
#[path = "common/counting.rs"]
mod counting;

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;

use common::*;
use edge_nal::{Close, TcpAccept, TcpBind, TcpShutdown, TcpSplit};
use embassy_futures::join::join;
use embassy_time::{Duration as Ticks, Instant as Uptime, Timer};
use embedded_io_async::{Error, ErrorKind, Read, Write};
use rigor_board::net::{Acceptor, NetHandle, TcpSocket};
use rigor_core::event::{ConnectionId, Direction, FlowKind};

#[global_allocator]
static ALLOCATOR: counting::Counting = counting::Counting;

const LATENCY: u64 = 2 * MS;
const PORT: u16 = 80;

/// A segment on the air: 54 bytes of headers, 20 Mbit/s.
fn air(payload: u64) -> u64 {
    (payload + 54) * 400
}

/// From one end to the other on an idle link.
fn trip(payload: u64) -> u64 {
    air(payload) + LATENCY
}

async fn listen(net: &NetHandle) -> Acceptor {
    net.bind(SocketAddr::from(([0, 0, 0, 0], PORT))).await.unwrap()
}

/// A board that hands every connection to `serve`, one after the other.
fn server<F: Future<Output = ()>>(serve: impl Fn(TcpSocket, Probe) -> F + Clone + 'static) -> Bench {
    let bench = bench_with(free_switches(), move |chip, probe| {
        let (net, probe, serve) = (chip.net(), probe.clone(), serve.clone());
        spawn(chip, "server", 0, 1, async move {
            let acceptor = listen(&net).await;
            loop {
                let (_, socket) = acceptor.accept().await.unwrap();
                serve(socket, probe.clone()).await;
            }
        });
    });
    bench.on();
    bench.run_to(BOOT);
    bench
}

async fn echo(mut socket: TcpSocket, _: Probe) {
    let mut buffer = [0; 2000];
    loop {
        match socket.read(&mut buffer).await {
            Ok(0) | Err(_) => break,
            Ok(count) => socket.write_all(&buffer[..count]).await.unwrap(),
        }
    }
    let _ = socket.close(Close::Write).await;
}

fn connect(bench: &Bench) -> ConnectionId {
    bench.board.net().connect(PORT).unwrap()
}

fn send(bench: &Bench, id: ConnectionId, bytes: &[u8]) {
    bench.board.net().send(id, bytes).unwrap();
}

/// What happened on `id`, without data and acknowledgements, with nanoseconds since the first start.
fn milestones(bench: &Bench, id: ConnectionId) -> Vec<(u64, FlowKind)> {
    bench
        .flows()
        .into_iter()
        .filter(|(_, connection, what)| {
            *connection == id.0 && !matches!(what, FlowKind::Data(..) | FlowKind::Acknowledged(_))
        })
        .map(|(at, _, what)| (at.saturating_sub(BOOT), what))
        .collect()
}

fn kinds(bench: &Bench, id: ConnectionId) -> Vec<FlowKind> {
    milestones(bench, id).into_iter().map(|(_, what)| what).collect()
}

/// Bytes that left the rig.
fn sent(bench: &Bench, id: ConnectionId) -> usize {
    let data = |(_, connection, what)| match what {
        FlowKind::Data(Direction::ToDut, bytes) if connection == id.0 => bytes.len(),
        _ => 0,
    };
    bench.flows().into_iter().map(data).sum()
}

#[test]
fn a_handshake_takes_a_round_trip() {
    let bench = server(echo);
    let id = connect(&bench);
    bench.run_for(100 * MS);
    assert_eq!(milestones(&bench, id), [(2 * trip(0), FlowKind::Opened)]);
}

#[test]
fn a_port_without_a_listener_refuses() {
    let bench = server(echo);
    let id = bench.board.net().connect(81).unwrap();
    send(&bench, id, b"lost");
    bench.run_for(100 * MS);
    assert_eq!(milestones(&bench, id), [(2 * trip(0), FlowKind::Refused)]);
    send(&bench, id, b"lost");
    bench.run_for(100 * MS);
    assert_eq!(sent(&bench, id), 0);
}

#[test]
fn a_device_that_is_off_is_asked_again() {
    let bench = bench_with(free_switches(), |chip, _| {
        let net = chip.net();
        spawn(chip, "server", 0, 1, async move {
            let acceptor = listen(&net).await;
            let _first = acceptor.accept().await.unwrap();
            std::future::pending::<()>().await;
        });
    });
    let id = connect(&bench);
    bench.run_to(BOOT + 950 * MS);
    bench.on();
    bench.run_to(20_000 * MS);
    // At 1 s it was booting; the next try is two seconds later.
    assert_eq!(milestones(&bench, id), [(3_000 * MS + 2 * trip(0) - BOOT, FlowKind::Opened)]);
}

#[test]
fn a_device_that_stays_off_is_given_up() {
    let bench = bench_with(free_switches(), |_, _| {});
    let id = connect(&bench);
    bench.run_to(20_000 * MS);
    assert_eq!(milestones(&bench, id), [(15_000 * MS + trip(0) - BOOT, FlowKind::Refused)]);
}

#[test]
fn a_full_backlog_makes_the_next_one_wait() {
    let bench = bench_with(free_switches(), |chip, _| {
        let net = chip.net();
        spawn(chip, "server", 0, 1, async move {
            let acceptor = listen(&net).await;
            Timer::at(Uptime::from_millis(1500)).await;
            let _first = acceptor.accept().await.unwrap();
            std::future::pending::<()>().await;
        });
    });
    bench.on();
    bench.run_to(BOOT);
    let ids: Vec<_> = (0..5).map(|_| connect(&bench)).collect();
    bench.run_for(1_000 * MS);
    for &id in &ids[..4] {
        assert_eq!(kinds(&bench, id), [FlowKind::Opened]);
    }
    assert_eq!(kinds(&bench, ids[4]), []);
    bench.run_for(5_000 * MS);
    // The fifth SYN of a burst, and two waits of one and two seconds.
    assert_eq!(milestones(&bench, ids[4]), [(5 * air(0) + LATENCY + 3_000 * MS + trip(0), FlowKind::Opened)]);
}

#[test]
fn bytes_come_back_after_exactly_two_trips() {
    let bench = server(echo);
    let id = connect(&bench);
    bench.run_for(10 * MS);
    send(&bench, id, &[7; 100]);
    bench.run_for(100 * MS);
    let arrived = 10 * MS + trip(100);
    let flows: Vec<_> = bench.flows().into_iter().map(|(at, _, what)| (at - BOOT, what)).collect();
    let data = |direction| FlowKind::Data(direction, [7; 100].as_slice().into());
    let expected = [
        (2 * trip(0), FlowKind::Opened),
        (10 * MS, data(Direction::ToDut)),
        // The acknowledgement was handed to the link first; the echo queues behind it.
        (arrived + trip(0), FlowKind::Acknowledged(100)),
        (arrived + air(0) + trip(100), data(Direction::FromDut)),
    ];
    assert_eq!(flows, expected);
}

#[test]
fn a_long_write_leaves_in_segments_at_the_links_rate() {
    let bench = server(|mut socket, probe| async move {
        Timer::at(Uptime::from_millis(100)).await;
        socket.write_all(&[9; 4000]).await.unwrap();
        probe.mark("buffered");
        std::future::pending::<()>().await;
    });
    let id = connect(&bench);
    bench.run_for(200 * MS);
    let arrivals: Vec<_> = bench
        .flows()
        .into_iter()
        .filter_map(|(at, _, what)| match what {
            FlowKind::Data(Direction::FromDut, bytes) => Some((at - BOOT, bytes.len())),
            _ => None,
        })
        .collect();
    let (full, begun) = (air(1440), 100 * MS + LATENCY);
    assert_eq!(
        arrivals,
        [(begun + full, 1440), (begun + 2 * full, 1440), (begun + 2 * full + air(1120), 1120)]
    );
    assert_eq!(bench.marked("buffered"), [100 * MS]);
    assert_eq!(bench.received(id.0), [9; 4000]);
}

#[test]
fn a_firmware_that_does_not_read_stops_the_sender() {
    let bench = server(|mut socket, probe| async move {
        Timer::at(Uptime::from_millis(1000)).await;
        let mut all = Vec::new();
        let mut buffer = [0; 333];
        while all.len() < 20_000 {
            let count = socket.read(&mut buffer).await.unwrap();
            all.extend_from_slice(&buffer[..count]);
            Timer::after(Ticks::from_micros(700)).await;
        }
        let expected: Vec<u8> = (0..20_000u32).map(|index| (index % 251) as u8).collect();
        assert_eq!(all, expected);
        probe.mark("all");
        std::future::pending::<()>().await;
    });
    let id = connect(&bench);
    let bytes: Vec<u8> = (0..20_000u32).map(|index| (index % 251) as u8).collect();
    send(&bench, id, &bytes);
    bench.run_for(1_000 * MS - 1);
    assert_eq!(sent(&bench, id), 5760, "the window");
    bench.run_for(1_000 * MS);
    assert_eq!(sent(&bench, id), 20_000);
    assert_eq!(bench.marked("all").len(), 1, "{:?}", bench.crashes());
    let acknowledged = bench.flows().into_iter().filter_map(|(_, _, what)| match what {
        FlowKind::Acknowledged(count) => Some(count),
        _ => None,
    });
    let acknowledged: Vec<u64> = acknowledged.collect();
    assert!(acknowledged.is_sorted());
    assert_eq!(acknowledged.last(), Some(&20_000));
}

#[test]
fn the_rig_finishes_first() {
    let bench = server(|mut socket, probe| async move {
        let mut buffer = [0; 10];
        assert_eq!(socket.read(&mut buffer).await, Ok(5));
        assert_eq!(socket.read(&mut buffer).await, Ok(0));
        probe.mark("end of stream");
        socket.write_all(b"bye").await.unwrap();
        socket.close(Close::Both).await.unwrap();
        assert_eq!(socket.write(b"more").await.map_err(|error| error.kind()), Err(ErrorKind::BrokenPipe));
        probe.mark("closed");
    });
    let id = connect(&bench);
    send(&bench, id, b"hello");
    bench.board.net().finish(id).unwrap();
    send(&bench, id, b"too late");
    bench.run_for(100 * MS);
    assert_eq!(bench.crashes(), Vec::<String>::new());
    let finished = FlowKind::Finished;
    assert_eq!(
        kinds(&bench, id),
        [FlowKind::Opened, finished(Direction::ToDut), finished(Direction::FromDut)]
    );
    assert_eq!(sent(&bench, id), 5);
    assert_eq!(bench.received(id.0), b"bye");
    assert_eq!(bench.marks().len(), 2);
}

#[test]
fn the_firmware_finishes_first_and_lets_go() {
    let bench = server(|mut socket, probe| async move {
        socket.write_all(b"bye").await.unwrap();
        socket.close(Close::Write).await.unwrap();
        probe.mark("closed");
    });
    let id = connect(&bench);
    bench.run_for(100 * MS);
    bench.board.net().finish(id).unwrap();
    bench.run_for(100 * MS);
    let finished = FlowKind::Finished;
    assert_eq!(
        kinds(&bench, id),
        [FlowKind::Opened, finished(Direction::FromDut), finished(Direction::ToDut)]
    );
    assert_eq!(bench.received(id.0), b"bye");
}

#[test]
fn data_for_a_connection_that_the_firmware_closed_is_reset() {
    let bench = server(|mut socket, _| async move { socket.close(Close::Write).await.unwrap() });
    let id = connect(&bench);
    bench.run_for(100 * MS);
    send(&bench, id, b"hello?");
    bench.run_for(100 * MS);
    let expected =
        [FlowKind::Opened, FlowKind::Finished(Direction::FromDut), FlowKind::Reset(Direction::FromDut)];
    assert_eq!(kinds(&bench, id), expected);
}

#[test]
fn dropping_a_socket_without_closing_it_resets_the_connection() {
    let bench = server(|socket, _| async move { drop(socket) });
    let id = connect(&bench);
    bench.run_for(100 * MS);
    let open = 2 * trip(0);
    let expected = [(open, FlowKind::Opened), (open + air(0), FlowKind::Reset(Direction::FromDut))];
    assert_eq!(milestones(&bench, id), expected, "right behind the SYN-ACK");
}

#[test]
fn an_abort_resets_once() {
    let bench = server(|mut socket, _| async move {
        socket.abort().await.unwrap();
        assert!(socket.read(&mut [0; 4]).await.is_err());
    });
    let id = connect(&bench);
    bench.run_for(100 * MS);
    assert_eq!(kinds(&bench, id), [FlowKind::Opened, FlowKind::Reset(Direction::FromDut)]);
    assert_eq!(bench.crashes(), Vec::<String>::new());
}

#[test]
fn a_reset_by_the_rig_ends_reads_and_writes() {
    let bench = server(|mut socket, probe| async move {
        let error = socket.read(&mut [0; 4]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        assert_eq!(socket.write(&[1]).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
        probe.mark("reset");
    });
    let id = connect(&bench);
    bench.run_for(10 * MS);
    bench.board.net().reset(id).unwrap();
    bench.board.net().reset(id).unwrap();
    bench.run_for(100 * MS);
    assert_eq!(bench.crashes(), Vec::<String>::new());
    assert_eq!(bench.marked("reset"), [10 * MS + trip(0)]);
    assert_eq!(milestones(&bench, id)[1..], [(10 * MS, FlowKind::Reset(Direction::ToDut))]);
}

#[test]
fn a_peer_that_vanished_acknowledges_nothing() {
    let written = Rc::new(RefCell::new(0));
    let count = written.clone();
    let bench = server(move |mut socket, probe| {
        let count = count.clone();
        async move {
            Timer::at(Uptime::from_millis(50)).await;
            loop {
                *count.borrow_mut() += socket.write(&[1; 1000]).await.unwrap();
                probe.mark("wrote");
            }
        }
    });
    let id = connect(&bench);
    bench.run_for(20 * MS);
    bench.board.net().vanish(id).unwrap();
    bench.run_for(60_000 * MS);
    assert_eq!(*written.borrow(), 5760, "then the send buffer is full");
    send(&bench, id, b"a ghost");
    bench.board.net().finish(id).unwrap();
    bench.board.net().reset(id).unwrap();
    bench.run_for(100 * MS);
    assert_eq!(kinds(&bench, id), [FlowKind::Opened], "it neither speaks nor hears");
    assert!(bench.received(id.0).is_empty());
}

#[test]
fn a_peer_that_vanished_before_it_was_answered_sees_nothing() {
    let bench = server(echo);
    for port in [PORT, 81] {
        let id = bench.board.net().connect(port).unwrap();
        bench.run_for(trip(0) + 1);
        bench.board.net().vanish(id).unwrap();
        bench.run_for(100 * MS);
        assert_eq!(kinds(&bench, id), []);
    }
}

#[test]
fn a_reboot_forgets_connections_without_a_word() {
    let bench = server(echo);
    let (speaks, waits) = (connect(&bench), connect(&bench));
    bench.run_for(100 * MS);
    bench.pin_reset();
    bench.run_for(1_000 * MS);
    assert_eq!(kinds(&bench, speaks), [FlowKind::Opened], "no farewell");
    let begun = bench.now() - BOOT;
    send(&bench, speaks, b"hello?");
    bench.run_for(100 * MS);
    let reset = (begun + trip(6) + trip(0), FlowKind::Reset(Direction::FromDut));
    assert_eq!(milestones(&bench, speaks)[1..], [reset]);
    assert_eq!(kinds(&bench, waits), [FlowKind::Opened]);

    let again = connect(&bench);
    send(&bench, again, b"echo");
    bench.run_for(100 * MS);
    assert_eq!(bench.received(again.0), b"echo", "the listener is bound again");
}

#[test]
fn what_is_sent_to_a_device_that_boots_is_sent_again() {
    let bench = server(echo);
    let id = connect(&bench);
    bench.run_for(100 * MS);
    bench.pin_reset();
    send(&bench, id, b"hello?");
    bench.run_for(900 * MS);
    assert_eq!(kinds(&bench, id), [FlowKind::Opened]);
    bench.run_for(200 * MS);
    assert_eq!(kinds(&bench, id), [FlowKind::Opened, FlowKind::Reset(Direction::FromDut)]);
}

#[test]
fn a_panic_and_a_power_cut_say_no_farewell_either() {
    let bench = server(|mut socket, _| async move {
        let mut buffer = [0; 1];
        socket.read(&mut buffer).await.unwrap();
        panic!("as told");
    });
    let (panics, cut) = (connect(&bench), connect(&bench));
    bench.run_for(10 * MS);
    send(&bench, panics, b"!");
    bench.run_for(100 * MS);
    assert_eq!(bench.crashes().len(), 1);
    assert_eq!(kinds(&bench, panics), [FlowKind::Opened]);
    bench.off();
    bench.run_for(100 * MS);
    assert_eq!(kinds(&bench, cut), [FlowKind::Opened]);
}

#[test]
fn a_listener_that_goes_away_resets_what_it_had_not_accepted() {
    let bench = bench_with(free_switches(), |chip, probe| {
        let (net, probe) = (chip.net(), probe.clone());
        spawn(chip, "server", 0, 1, async move {
            let acceptor = listen(&net).await;
            assert!(net.bind(SocketAddr::from(([0, 0, 0, 0], PORT))).await.is_err(), "the port is taken");
            Timer::at(Uptime::from_millis(100)).await;
            drop(acceptor);
            let _again = listen(&net).await;
            probe.mark("bound again");
            std::future::pending::<()>().await;
        });
    });
    bench.on();
    bench.run_to(BOOT);
    let id = connect(&bench);
    bench.run_for(200 * MS);
    assert_eq!(kinds(&bench, id), [FlowKind::Opened, FlowKind::Reset(Direction::FromDut)]);
    assert_eq!(bench.marked("bound again"), [100 * MS], "{:?}", bench.crashes());
}

#[test]
fn two_tasks_can_wait_at_one_listener() {
    let bench = bench_with(free_switches(), |chip, probe| {
        let net = chip.net();
        let acceptor: Rc<RefCell<Option<Rc<Acceptor>>>> = Rc::default();
        let shared = acceptor.clone();
        spawn(chip, "binder", 0, 9, async move { *shared.borrow_mut() = Some(Rc::new(listen(&net).await)) });
        for name in ["one", "two"] {
            let (acceptor, probe) = (acceptor.clone(), probe.clone());
            spawn(chip, name, 0, 1, async move {
                let acceptor = acceptor.borrow().clone().unwrap();
                let _socket = acceptor.accept().await.unwrap();
                probe.mark(name);
                std::future::pending::<()>().await;
            });
        }
    });
    bench.on();
    bench.run_to(BOOT + MS);
    connect(&bench);
    bench.run_for(10 * MS);
    connect(&bench);
    bench.run_for(10 * MS);
    let names: Vec<_> = bench.marks().into_iter().map(|(_, name)| name).collect();
    assert_eq!(names, ["one", "two"]);
}

#[test]
fn both_halves_work_at_the_same_time() {
    let bench = server(|mut socket, probe| async move {
        let (mut rx, mut tx) = socket.split();
        join(
            async {
                let mut total = 0;
                let mut buffer = [0; 1000];
                while total < 30_000 {
                    total += rx.read(&mut buffer).await.unwrap();
                }
            },
            async { tx.write_all(&[5; 30_000]).await.unwrap() },
        )
        .await;
        probe.mark("done");
        std::future::pending::<()>().await;
    });
    let id = connect(&bench);
    send(&bench, id, &[6; 30_000]);
    bench.run_for(1_000 * MS);
    assert_eq!(bench.marked("done").len(), 1);
    assert_eq!(bench.received(id.0), [5; 30_000]);
}

/// Every way for a connection to end, many times over.
#[test]
fn connections_that_are_over_take_no_memory() {
    let bench = server(echo);
    let round = || {
        let polite = connect(&bench);
        send(&bench, polite, b"hello");
        bench.board.net().finish(polite).unwrap();
        bench.run_for(20 * MS);
        let rude = connect(&bench);
        bench.run_for(10 * MS);
        bench.board.net().reset(rude).unwrap();
        bench.run_for(10 * MS);
        let refused = bench.board.net().connect(81).unwrap();
        bench.run_for(10 * MS);
        let expected =
            [FlowKind::Opened, FlowKind::Finished(Direction::ToDut), FlowKind::Finished(Direction::FromDut)];
        assert_eq!(kinds(&bench, polite), expected);
        assert_eq!(kinds(&bench, rude), [FlowKind::Opened, FlowKind::Reset(Direction::ToDut)]);
        assert_eq!(kinds(&bench, refused), [FlowKind::Refused]);
        bench.timeline.forget_before(bench.timeline.now());
    };
    for _ in 0..100 {
        round();
    }
    let before = counting::live_bytes();
    for _ in 0..2_000 {
        round();
    }
    let grown = counting::live_bytes() - before;
    assert!(grown < 20_000, "{grown} bytes for 6,000 connections");
}

#[test]
fn a_peer_that_does_not_read_keeps_the_firmware_waiting() {
    let bench = server(|mut socket, probe| async move {
        socket.write_all(&[7; 20_000]).await.unwrap();
        probe.mark("written");
        let _ = socket.close(Close::Write).await;
    });
    let net = bench.board.net();
    let id = connect(&bench);
    net.stop_reading(id).unwrap();
    bench.run_for(5_000 * MS);
    assert_eq!(bench.received(id.0).len(), 5760, "the device's send buffer and no more");
    assert!(bench.marked("written").is_empty());

    net.read_on(id).unwrap();
    bench.run_for(100 * MS);
    assert_eq!(bench.received(id.0), [7; 20_000]);
    assert_eq!(bench.marked("written").len(), 1);
}

#[test]
fn the_next_event_is_foreseen() {
    let bench = server(echo);
    bench.run_for(1_000 * MS);
    let before = bench.timeline.now();
    connect(&bench);
    let arrives = Instant::from_nanos(before.as_nanos() + trip(0));
    assert_eq!(bench.board.next_event().map(|at| at <= arrives), Some(true));
    bench.run_for(10_000 * MS);
    bench.off();
    bench.run_for(10_000 * MS);
    assert_eq!(bench.board.next_event(), None, "a board without power does nothing");
}
