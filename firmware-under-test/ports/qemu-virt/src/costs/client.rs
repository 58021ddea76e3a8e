//! Who talks to the device. Nothing of it counts for the firmware.

use alloc::vec::Vec;

use embassy_net::tcp::TcpSocket;
use embassy_net::udp::{PacketMetadata, UdpSocket};
use embassy_net::{IpEndpoint, Stack};
use embedded_io_async::Write;
use firmware_platform::{Core, TaskSpec, Tasks};
use static_cell::ConstStaticCell;

use crate::crew::Crew;
use crate::net;

/// Below all tasks of the firmware: it looks at its frames when the device is done.
const TASK: TaskSpec = TaskSpec { name: "client", priority: 0, stack_bytes: 64, core: Core::One };
/// Bytes of a socket's buffers: the longest message and its frame, twice.
const SOCKET_BYTES: usize = 8300;

type Buffers = ([u8; SOCKET_BYTES], [u8; SOCKET_BYTES]);
/// One for each connection of a run.
static BUFFERS: [ConstStaticCell<Buffers>; 3] =
    [const { ConstStaticCell::new(([0; SOCKET_BYTES], [0; SOCKET_BYTES])) }; 3];

/// The mask of all frames; the device applies any alike.
const MASK: [u8; 4] = [0x11, 0x22, 0x33, 0x44];

/// A client with a TCP/IP stack of its own.
pub struct Client {
    crew: Crew,
    stack: Stack<'static>,
    connections: usize,
}

impl Client {
    /// At the other end of the cable. Once.
    pub fn new(crew: &Crew) -> Self {
        let (stack, mut runner) = net::client();
        crew.spawn(TASK, alloc::boxed::Box::pin(async move { runner.run().await }));
        Client { crew: crew.clone(), stack, connections: 0 }
    }

    /// A connection to `port`.
    ///
    /// # Panics
    /// If the device refuses it, or for more connections than a run has.
    pub fn connect(&mut self, port: u16) -> Connection {
        let (receive, send) = BUFFERS[self.connections].take();
        self.connections += 1;
        let mut socket = TcpSocket::new(self.stack, receive, send);
        socket.set_nagle_enabled(false);
        let endpoint = IpEndpoint::new(net::DEVICE.into(), port);
        self.crew.until(socket.connect(endpoint)).expect("the device listens");
        Connection { crew: self.crew.clone(), socket }
    }

    /// Sends `query` to `everybody` as mDNS does, and waits for an answer.
    ///
    /// # Panics
    /// If it cannot be sent.
    pub fn ask(&self, everybody: IpEndpoint, query: &[u8]) {
        let (mut in_meta, mut out_meta) = ([PacketMetadata::EMPTY; 2], [PacketMetadata::EMPTY; 2]);
        let (mut inbound, mut outbound) = ([0; 1500], [0; 512]);
        let mut socket = UdpSocket::new(self.stack, &mut in_meta, &mut inbound, &mut out_meta, &mut outbound);
        socket.bind(everybody.port).expect("a port of its own");
        self.stack.join_multicast_group(everybody.addr).expect("there is room for one group");
        self.crew.until(async {
            socket.send_to(query, everybody).await.expect("a stack that is up");
            let mut answer = [0; 1500];
            socket.recv_from(&mut answer).await.expect("an answer that fits");
        });
    }
}

/// A connection. It is torn down when this is dropped.
pub struct Connection {
    crew: Crew,
    socket: TcpSocket<'static>,
}

impl Connection {
    /// Sends `bytes`.
    ///
    /// # Panics
    /// If the connection is over.
    pub fn send(&mut self, bytes: &[u8]) {
        self.crew.until(self.socket.write_all(bytes)).expect("the device takes it");
        self.crew.settle();
    }

    /// Sends `message` in a binary WebSocket frame.
    pub fn send_message(&mut self, message: &[u8]) {
        let mut frame: Vec<u8> = Vec::with_capacity(message.len() + 8);
        frame.push(0x82);
        if message.len() < 126 {
            frame.push(0x80 | message.len() as u8);
        } else {
            frame.push(0xFE);
            frame.extend((message.len() as u16).to_be_bytes());
        }
        frame.extend(MASK);
        frame.extend(message.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        self.send(&frame);
    }

    /// Whatever the device sends next; nothing at its end of the connection.
    ///
    /// # Panics
    /// If the connection was reset.
    pub fn receive(&mut self) -> Vec<u8> {
        let mut bytes = alloc::vec![0; 2048];
        let count = self.crew.until(self.socket.read(&mut bytes)).expect("the device keeps the connection");
        bytes.truncate(count);
        bytes
    }

    /// What the device sends next, which begins with `what`.
    ///
    /// # Panics
    /// If it does not: then it is not what was to be counted.
    pub fn expect(&mut self, what: &[u8]) -> Vec<u8> {
        let bytes = self.receive();
        assert!(bytes.starts_with(what), "the device answers {}", bytes.escape_ascii());
        bytes
    }

    /// Ends this side of it.
    pub fn close(&mut self) {
        self.socket.close();
        self.crew.settle();
    }
}
