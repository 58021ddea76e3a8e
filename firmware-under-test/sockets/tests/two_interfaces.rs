//! A device with two interfaces, each with a network of its own and somebody in it.
//!
//! The cables between them are queues, and the clock jumps to the next timer: one test is one run, to the byte.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod cable;
mod clock;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use edge_nal::{Close, MulticastV4, TcpAccept, TcpBind, TcpShutdown, UdpBind, UdpReceive, UdpSend};
use edge_nal_embassy::{Udp, UdpBuffers};
use embassy_futures::join::{join, join3};
use embassy_futures::select::select;
use embassy_net::tcp::TcpSocket;
use embassy_net::{Config, Ipv4Cidr, Runner, Stack, StackResources, StaticConfigV4};
use embassy_time::{Duration, Instant, Timer, with_timeout};
use embedded_io_async::{Read, Write};
use firmware_sockets::{Gate, Gated, Interface, Memory, Net, Places, leases};

use cable::Plug;

/// The device in the first network and in the second, and somebody in each.
const DEVICE: [Ipv4Addr; 2] = [Ipv4Addr::new(192, 168, 4, 1), Ipv4Addr::new(10, 0, 0, 7)];
const PEER: [Ipv4Addr; 2] = [Ipv4Addr::new(192, 168, 4, 9), Ipv4Addr::new(10, 0, 0, 9)];
/// The way out of the second network, and somebody behind it.
const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 9);
const FAR: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 1);
const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 251);
const PORT: u16 = 80;

fn leak<T>(value: T) -> &'static T {
    Box::leak(Box::new(value))
}

fn fixed(address: Ipv4Addr, gateway: Option<Ipv4Addr>) -> Config {
    let address = Ipv4Cidr::new(address, 24);
    Config::ipv4_static(StaticConfigV4 { address, gateway, dns_servers: Default::default() })
}

fn stack<D: embassy_net_driver::Driver>(driver: D, config: Config) -> (Stack<'static>, Runner<'static, D>) {
    embassy_net::new(driver, config, Box::leak(Box::new(StackResources::<8>::new())), 1)
}

/// What a test has: the device's sockets, its stacks, and those of the two peers.
struct World {
    net: Net<2>,
    device: [Stack<'static>; 2],
    peers: [Stack<'static>; 2],
}

/// Runs `test` with a device whose TCP sockets are of `memory`, one of which listens on each interface. The
/// peers are configured as `peers` says. The device's stacks are one task, as behind one radio.
fn with_world<R>(memory: &'static dyn Memory, peers: [Config; 2], test: impl AsyncFnOnce(World) -> R) -> R {
    clock::run(async {
        let [(first, first_peer), (second, second_peer)] = [Plug::pair(1), Plug::pair(2)];
        let gates: [&'static Gate; 2] = [leak(Gate::new()), leak(Gate::new())];
        let [first_address, second_address] = DEVICE;
        let (first, mut first_runs) = stack(Gated::new(first, gates[0]), fixed(first_address, None));
        let (second, mut second_runs) =
            stack(Gated::new(second, gates[1]), fixed(second_address, Some(GATEWAY)));
        let [first_config, second_config] = peers;
        let (first_peer, mut first_peer_runs) = stack(first_peer, first_config);
        let (second_peer, mut second_peer_runs) = stack(second_peer, second_config);
        let buffers: &'static UdpBuffers<2, 1500, 1500, 2> = leak(UdpBuffers::new());
        let interfaces =
            [Interface { stack: first, gate: gates[0] }, Interface { stack: second, gate: gates[1] }];
        let udp = [Udp::new(first, buffers), Udp::new(second, buffers)];
        let net = Net::new(interfaces, memory, 1, udp);
        let world = World { net, device: [first, second], peers: [first_peer, second_peer] };
        clock::spawn(async move {
            join(first_runs.run(), second_runs.run()).await;
        });
        clock::spawn(async move {
            join(first_peer_runs.run(), second_peer_runs.run()).await;
        });
        test(world).await
    })
}

fn neighbours() -> [Config; 2] {
    [fixed(PEER[0], None), fixed(PEER[1], None)]
}

fn anywhere(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port)
}

/// Connects to the device from `peer`, says a word and hears the answer.
async fn ask(peer: Stack<'static>, device: Ipv4Addr, word: &[u8; 4]) -> [u8; 4] {
    let (mut receive, mut send) = ([0; 1500], [0; 1500]);
    let mut socket = TcpSocket::new(peer, &mut receive, &mut send);
    socket.connect((device, PORT)).await.unwrap();
    socket.write_all(word).await.unwrap();
    let mut answer = [0; 4];
    socket.read_exact(&mut answer).await.unwrap();
    socket.close();
    socket.flush().await.unwrap();
    answer
}

/// Accepts a client, answers its word backwards and ends the connection. Who it was.
async fn answer(acceptor: &impl TcpAccept) -> SocketAddr {
    let (remote, mut socket) = acceptor.accept().await.unwrap();
    let mut word = [0; 4];
    socket.read_exact(&mut word).await.unwrap();
    word.reverse();
    socket.write_all(&word).await.unwrap();
    socket.close(Close::Both).await.unwrap();
    remote
}

#[test]
fn a_port_is_open_on_both_interfaces() {
    with_world(leak(Places::<4, 1500, 1500>::new()), neighbours(), async |world| {
        let acceptor = world.net.bind_tcp().await;
        let [first, second] = world.peers;
        let asked = join(ask(first, DEVICE[0], b"lamp"), ask(second, DEVICE[1], b"star"));
        let (answers, one, other) = join3(asked, answer(&acceptor), answer(&acceptor)).await;
        assert_eq!(answers, (*b"pmal", *b"rats"));
        let mut clients = [one.ip(), other.ip()];
        clients.sort();
        assert_eq!(clients, [IpAddr::V4(PEER[1]), IpAddr::V4(PEER[0])]);
    });
}

#[test]
fn who_finds_no_socket_asks_again() {
    // Two sockets, one on each interface: while the first one is served its interface has none.
    with_world(leak(Places::<2, 1500, 1500>::new()), neighbours(), async |world| {
        let acceptor = world.net.bind_tcp().await;
        let peer = world.peers[0];
        let begun = Instant::now();
        let serve = async {
            let (_, mut socket) = acceptor.accept().await.unwrap();
            // The second one asks meanwhile, and is not refused.
            Timer::after_millis(300).await;
            let mut word = [0; 4];
            socket.read_exact(&mut word).await.unwrap();
            socket.write_all(&word).await.unwrap();
            socket.close(Close::Both).await.unwrap();
            drop(socket);
            answer(&acceptor).await
        };
        let late = async {
            Timer::after_millis(100).await;
            ask(peer, DEVICE[0], b"late").await
        };
        let (first, second, _) = join3(ask(peer, DEVICE[0], b"lamp"), late, serve).await;
        assert_eq!((first, second), (*b"lamp", *b"etal"));
        let took = begun.elapsed();
        assert!(took > Duration::from_millis(300) && took < Duration::from_secs(5), "{took:?}");
    });
}

#[test]
fn all_sockets_come_back() {
    with_world(leak(Places::<2, 1500, 1500>::new()), neighbours(), async |world| {
        let acceptor = world.net.bind_tcp().await;
        for turn in 0..20 {
            let index = turn % 2;
            let asked = ask(world.peers[index], DEVICE[index], b"lamp");
            let both = join(asked, answer(&acceptor));
            let (heard, _) =
                with_timeout(Duration::from_secs(60), both).await.expect("a socket is free again");
            assert_eq!(heard, *b"pmal", "turn {turn}");
        }
    });
}

/// A socket of UDP that somebody has outside of the device.
fn peer_socket(peer: Stack<'static>, port: u16) -> embassy_net::udp::UdpSocket<'static> {
    use embassy_net::udp::{PacketMetadata, UdpSocket};
    let memory = || (Box::leak(Box::new([PacketMetadata::EMPTY; 4])), Box::leak(Box::new([0; 2048])));
    let ((received, receive), (sent, send)) = (memory(), memory());
    let mut socket = UdpSocket::new(peer, received, receive, sent, send);
    socket.bind(port).unwrap();
    socket
}

#[test]
fn messages_come_from_both_and_go_where_the_way_leads() {
    with_world(leak(Places::<2, 1500, 1500>::new()), neighbours(), async |world| {
        let mut socket = UdpBind::bind(&world.net, anywhere(5000)).await.unwrap();
        let mut heard = [0; 16];
        for index in [1, 0, 1] {
            let peer = peer_socket(world.peers[index], 6000 + index as u16);
            peer.send_to(b"hello", (DEVICE[index], 5000)).await.unwrap();
            let (length, from) = socket.receive(&mut heard).await.unwrap();
            assert_eq!(&heard[..length], b"hello");
            assert_eq!(from, SocketAddr::new(IpAddr::V4(PEER[index]), 6000 + index as u16));
            socket.send(from, b"you too").await.unwrap();
            let (length, from) = peer.recv_from(&mut heard).await.unwrap();
            assert_eq!((&heard[..length], from.endpoint.addr), (&b"you too"[..], DEVICE[index].into()));
        }
        // Somebody in neither network: by the interface that knows a way out, whose peer sees the frame.
        let before = cable::frames_to(2);
        socket.send(SocketAddr::new(IpAddr::V4(FAR), 7000), b"far").await.unwrap();
        Timer::after_secs(1).await;
        assert!(cable::frames_to(2) > before);
    });
}

#[test]
fn a_group_is_joined_on_the_interface_that_is_named() {
    with_world(leak(Places::<2, 1500, 1500>::new()), neighbours(), async |world| {
        let mut socket = UdpBind::bind(&world.net, anywhere(5353)).await.unwrap();
        socket.join_v4(GROUP, DEVICE[1]).await.unwrap();
        assert!(!world.device[0].has_multicast_group(GROUP) && world.device[1].has_multicast_group(GROUP));
        world.peers[1].join_multicast_group(GROUP).unwrap();
        let peers = world.peers.map(|peer| peer_socket(peer, 5353));
        socket.send(SocketAddr::new(IpAddr::V4(GROUP), 5353), b"here").await.unwrap();
        let mut heard = [0; 16];
        let (length, from) = peers[1].recv_from(&mut heard).await.unwrap();
        assert_eq!((&heard[..length], from.endpoint.addr), (&b"here"[..], DEVICE[1].into()));
        assert!(with_timeout(Duration::from_secs(1), peers[0].recv_from(&mut heard)).await.is_err());
    });
}

#[test]
fn clients_of_the_access_point_get_addresses() {
    let peers = [Config::dhcpv4(Default::default()), fixed(PEER[1], None)];
    with_world(leak(Places::<2, 1500, 1500>::new()), peers, async |world| {
        let buffers: &'static UdpBuffers<1, { leases::SOCKET_BYTES }, { leases::SOCKET_BYTES }, 2> =
            leak(UdpBuffers::new());
        let udp = Udp::new(world.device[0], buffers);
        clock::spawn(async move { leases::serve(&udp, DEVICE[0]).await });
        let peer = world.peers[0];
        with_timeout(Duration::from_secs(30), peer.wait_config_up()).await.expect("an address at once");
        // And when its time is over.
        Timer::after_secs(3 * 3600).await;
        let config = peer.config_v4().expect("it still has an address");
        assert_eq!(config.address, Ipv4Cidr::new(Ipv4Addr::new(192, 168, 4, 2), 24));
        assert_eq!(config.gateway, Some(DEVICE[0]));
        // It is of use.
        let acceptor = world.net.bind_tcp().await;
        let (heard, _) = join(ask(world.peers[0], DEVICE[0], b"lamp"), answer(&acceptor)).await;
        assert_eq!(heard, *b"pmal");
    });
}

#[test]
fn who_waits_does_nothing() {
    with_world(leak(Places::<2, 1500, 1500>::new()), neighbours(), async |world| {
        let buffers: &'static UdpBuffers<1, { leases::SOCKET_BYTES }, { leases::SOCKET_BYTES }, 2> =
            leak(UdpBuffers::new());
        let udp = Udp::new(world.device[0], buffers);
        clock::spawn(async move { leases::serve(&udp, DEVICE[0]).await });
        let acceptor = world.net.bind_tcp().await;
        let mut socket = UdpBind::bind(&world.net, anywhere(5000)).await.unwrap();
        let mut message = [0; 16];
        let waits = select(acceptor.accept(), socket.receive(&mut message));
        assert!(with_timeout(Duration::from_secs(3600), waits).await.is_err());
        assert!(clock::turns() < 100, "{} turns in an hour", clock::turns());
    });
}

trait BindTcp {
    async fn bind_tcp(&self) -> firmware_sockets::tcp::Acceptor;
}

impl BindTcp for Net<2> {
    async fn bind_tcp(&self) -> firmware_sockets::tcp::Acceptor {
        TcpBind::bind(self, anywhere(PORT)).await.unwrap()
    }
}
