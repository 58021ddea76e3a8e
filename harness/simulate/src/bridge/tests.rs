//! Real sockets on the one side, a board with a toy firmware on the other.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::rc::Rc;
use std::time::{Duration, Instant as HostInstant};

use edge_nal::{Close, TcpAccept, TcpBind, TcpShutdown};
use embedded_io_async::{Read as _, Write as _};
use rigor_board::cpu::TaskSpec;
use rigor_board::net::TcpSocket;
use rigor_board::{Board, BoardConfig, Chip, Firmware};
use rigor_core::event::Kind;
use rigor_core::timeline::Cursor;
use rigor_core::{Instant, Timeline};

use super::{Bridge, MAX_CLIENTS};
use crate::wait::Wanted;

/// A test that hangs fails after this long.
const PATIENCE: Duration = Duration::from_secs(60);

struct Server<S>(S);

impl<S, F> Firmware for Server<S>
where
    S: Fn(TcpSocket) -> F + Clone + 'static,
    F: Future<Output = ()>,
{
    fn name(&self) -> &str {
        "server"
    }
    fn version(&self) -> &str {
        "0"
    }
    fn flash_image(&self) -> Vec<(u32, Vec<u8>)> {
        Vec::new()
    }
    fn start(&self, chip: Chip) {
        let (net, serve) = (chip.net(), self.0.clone());
        let body = async move {
            let any = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 80));
            let acceptor = net.bind(any).await.expect("it is free");
            loop {
                let (_, socket) = acceptor.accept().await.expect("it listens");
                serve(socket).await;
            }
        };
        chip.tasks()
            .spawn(TaskSpec { name: "server", priority: 1, stack_bytes: 4096, core: 0 }, Box::pin(body));
    }
}

async fn echo(mut socket: TcpSocket) {
    let mut buffer = [0; 2000];
    loop {
        match socket.read(&mut buffer).await {
            Ok(0) => break,
            Ok(count) if socket.write_all(&buffer[..count]).await.is_ok() => {}
            _ => return,
        }
    }
    let _ = socket.close(Close::Write).await;
}

/// A board, its bridge, and the loop around them. Time on the board passes as fast as it can.
struct Bench {
    board: Board,
    timeline: Timeline,
    flows: Cursor,
    bridge: Bridge,
}

impl Bench {
    fn new<S, F>(serve: S) -> Self
    where
        S: Fn(TcpSocket) -> F + Clone + 'static,
        F: Future<Output = ()> + 'static,
    {
        let timeline = Timeline::new();
        let board = Board::new(BoardConfig::default(), timeline.clone(), Rc::new(Server(serve)));
        board.power().on().expect("the virtual switch works");
        let net = board.net();
        let flows = timeline.cursor(net.source());
        let ports = [("web".to_owned(), 80, 0), ("nobody".to_owned(), 81, 0)];
        let bridge = Bridge::open(net, Ipv4Addr::LOCALHOST.into(), ports).expect("free ports");
        let mut bench = Bench { board, timeline, flows, bridge };
        bench.turn(100);
        bench
    }

    fn connect(&self, service: usize) -> TcpStream {
        let address = self.bridge.doors[service].door.address;
        let socket = TcpStream::connect(address).expect("the door is open");
        socket.set_nonblocking(true).expect("a socket");
        socket
    }

    /// So many milliseconds on the board.
    fn turn(&mut self, millis: u64) {
        let until = self.timeline.now() + Duration::from_millis(millis);
        while self.timeline.now() < until {
            self.board.run((self.timeline.now() + Duration::from_millis(1)).min(until), &|| false);
            while let Some(event) = self.flows.try_next() {
                if let Kind::Flow(flow) = &event.kind {
                    self.bridge.event(flow).expect("the link works");
                }
            }
            let now = HostInstant::now();
            let mut wanted = Wanted::default();
            self.bridge.wanted(now, &mut wanted);
            let ready = wanted.wait(Duration::ZERO).expect("poll works");
            self.bridge.attend(&ready, now).expect("the link works");
        }
    }

    /// Lets the board live until `found` gives something.
    fn until<R>(&mut self, what: &str, mut found: impl FnMut(&Self) -> Option<R>) -> R {
        let begun = HostInstant::now();
        while begun.elapsed() < PATIENCE {
            if let Some(found) = found(self) {
                return found;
            }
            self.turn(1);
        }
        panic!("{what} did not happen");
    }
}

/// The end of what `socket` reads: in order, or torn down.
fn end(mut socket: &TcpStream) -> Option<Result<(), ErrorKind>> {
    match socket.read(&mut [0; 4096]) {
        Ok(0) => Some(Ok(())),
        Ok(_) => None,
        Err(error) if error.kind() == ErrorKind::WouldBlock => None,
        Err(error) => Some(Err(error.kind())),
    }
}

#[test]
fn what_goes_in_comes_back_and_both_ends_end_in_order() {
    let mut bench = Bench::new(echo);
    let socket = bench.connect(0);
    let sent: Vec<u8> = (0..300_000_u32).map(|number| (number % 251) as u8).collect();
    let (mut written, mut back) = (0, Vec::<u8>::new());
    bench.until("the echo", |_| {
        if let Ok(count) = (&socket).write(&sent[written..]) {
            written += count;
            if written == sent.len() {
                let _ = socket.shutdown(Shutdown::Write);
            }
        }
        let mut buffer = [0; 4096];
        loop {
            match (&socket).read(&mut buffer) {
                Ok(0) => return Some(()),
                Ok(count) => back.extend(&buffer[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return None,
                Err(error) => panic!("{error}"),
            }
        }
    });
    assert!(back == sent, "{} of {} bytes came back", back.len(), sent.len());
    bench.turn(100);
    assert_eq!(bench.bridge.clients().len(), 0);
}

#[test]
fn a_port_without_a_service_ends_with_a_reset() {
    let mut bench = Bench::new(echo);
    let socket = bench.connect(1);
    assert_eq!(bench.until("the end", |_| end(&socket)), Err(ErrorKind::ConnectionReset));
    assert_eq!(bench.bridge.clients().len(), 0);
}

#[test]
fn a_reset_of_either_side_is_the_other_s() {
    let mut bench = Bench::new(|mut socket: TcpSocket| async move {
        let mut byte = [0];
        let came = socket.read(&mut byte).await;
        assert!(came.is_ok() || matches!(came, Err(rigor_board::net::NetError::Reset)));
        let _ = socket.abort().await;
    });
    let socket = bench.connect(0);
    (&socket).write_all(b"x").expect("there is room");
    assert_eq!(bench.until("the device's reset", |_| end(&socket)), Err(ErrorKind::ConnectionReset));

    let socket = bench.connect(0);
    bench.until("the connection", |bench| bench.bridge.clients().any(|client| client.is_open).then_some(()));
    rustix::net::sockopt::set_socket_linger(&socket, Some(Duration::ZERO)).expect("a socket");
    drop(socket);
    bench.until("the client's reset", |bench| (bench.bridge.clients().len() == 0).then_some(()));
    let last = bench.timeline.events(bench.flows.source(), Instant::ZERO, Instant::MAX).pop();
    let torn = rigor_core::event::FlowKind::Reset(rigor_core::event::Direction::ToDut);
    assert!(matches!(last.map(|event| event.kind), Some(Kind::Flow(flow)) if flow.what == torn));
}

#[test]
fn a_client_that_does_not_read_holds_the_device_up() {
    let mut bench = Bench::new(|mut socket: TcpSocket| async move {
        let _ = socket.write_all(&vec![7; 200_000]).await;
        let _ = socket.write_all(&vec![8; 8_000_000]).await;
    });
    let socket = bench.connect(0);
    let held = |bench: &Bench| bench.bridge.clients.values().any(|client| client.held).then_some(());
    bench.until("the hold", held);
    bench.turn(2_000);
    let before = bench.bridge.clients().map(|client| client.from_device).max();
    bench.turn(5_000);
    assert_eq!(bench.bridge.clients().map(|client| client.from_device).max(), before);
    let unread = bench.bridge.clients.values().map(|client| client.unread.len()).max();
    assert!(unread < Some(super::client::MAX_UNREAD + 3 * 5760), "{unread:?}");

    let mut buffer = vec![0; 1 << 20];
    bench.until("more", |bench| {
        let _ = (&socket).read(&mut buffer);
        (bench.bridge.clients().map(|client| client.from_device).max() > before).then_some(())
    });
}

#[test]
fn a_device_that_does_not_read_holds_the_client_up() {
    let mut bench = Bench::new(|socket: TcpSocket| async move {
        std::future::pending::<()>().await;
        drop(socket);
    });
    let socket = bench.connect(0);
    let flood = vec![1; 1 << 20];
    for _ in 0..2_000 {
        let _ = (&socket).write(&flood);
        bench.turn(1);
    }
    let client = bench.bridge.clients.values().next().expect("it is there");
    assert!(client.sent - client.acknowledged <= super::client::MAX_AHEAD + 16 * 1024);
    assert!(client.acknowledged <= 5760, "the device's window");
}

#[test]
fn a_crowd_waits_at_the_door() {
    let mut bench = Bench::new(|socket: TcpSocket| async move {
        std::future::pending::<()>().await;
        drop(socket);
    });
    let crowd: Vec<TcpStream> = (0..MAX_CLIENTS + 20).map(|_| bench.connect(0)).collect();
    bench.turn(50);
    assert_eq!(bench.bridge.clients().len(), MAX_CLIENTS);
    drop(crowd);
    // Whom the device has no room for is refused when its fourth attempt has failed: nothing else happens meanwhile.
    let refused = bench.timeline.now() + Duration::from_secs(16);
    bench.board.run(refused, &|| false);
    bench.until("the end of the crowd", |bench| (bench.bridge.clients().len() < MAX_CLIENTS).then_some(()));
}

#[test]
fn a_port_that_is_taken_is_named_with_the_remedy() {
    let bench = Bench::new(echo);
    let taken = bench.bridge.doors[0].door.address.port();
    let again = Bridge::open(bench.board.net(), Ipv4Addr::LOCALHOST.into(), [("web".to_owned(), 80, taken)]);
    let complaint = again.err().expect("it is taken").to_string();
    assert!(complaint.contains("--port web=PORT") && complaint.contains(&taken.to_string()), "{complaint}");
}
