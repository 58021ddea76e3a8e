//! The network: embassy-net for the device, with the sockets of the image for rigs, and embassy-net for its
//! client, on both ends of a cable that takes no time.

pub mod interface;

use core::cell::Cell;
use core::net::{Ipv4Addr, SocketAddr};

use edge_nal::{TcpBind, UdpBind};
use edge_nal_embassy::{Udp, UdpBuffers, UdpError};
use embassy_net::{Config, Ipv4Cidr, Runner, Stack, StackResources, StaticConfigV4};
use firmware_sockets::tcp::{Acceptor, NetError};
use firmware_sockets::{Gate, Places, udp};
use static_cell::ConstStaticCell;

use crate::chip;
use interface::{Interface, TO_CLIENT, TO_DEVICE};

/// The device's address.
pub const DEVICE: Ipv4Addr = Ipv4Addr::new(192, 168, 4, 1);
/// Its client's address.
pub const CLIENT: Ipv4Addr = Ipv4Addr::new(192, 168, 4, 2);

/// As in the image for rigs.
const TCP_SOCKETS: usize = 16;
const BACKLOG: usize = 4;
const SEND_BYTES: usize = 5760;
const RECEIVE_BYTES: usize = 7200;
const UDP_SOCKETS: usize = 2;
const UDP_BYTES: usize = 1500;

/// Nobody needs to be held up: all of the cable is looked at before time goes on.
static GATE: Gate = Gate::new();
static PLACES: Places<TCP_SOCKETS, RECEIVE_BYTES, SEND_BYTES> = Places::new();

type UdpMemory = UdpBuffers<UDP_SOCKETS, UDP_BYTES, UDP_BYTES, 2>;

static RESOURCES: ConstStaticCell<StackResources<{ TCP_SOCKETS + UDP_SOCKETS }>> =
    ConstStaticCell::new(StackResources::new());
static CLIENT_RESOURCES: ConstStaticCell<StackResources<4>> = ConstStaticCell::new(StackResources::new());

struct ForOneTask(UdpMemory);
// SAFETY: only the network task reaches it.
unsafe impl Sync for ForOneTask {}
static UDP_MEMORY: ForOneTask = ForOneTask(UdpMemory::new());

fn address(address: Ipv4Addr) -> Config {
    let address = Ipv4Cidr::new(address, 24);
    Config::ipv4_static(StaticConfigV4 { address, gateway: None, dns_servers: heapless::Vec::new() })
}

/// The client's stack, and what runs it. Once.
pub fn client() -> (Stack<'static>, Runner<'static, Interface>) {
    let interface = Interface { receives: &TO_CLIENT, sends: &TO_DEVICE, station: 2 };
    embassy_net::new(interface, address(CLIENT), CLIENT_RESOURCES.take(), 2)
}

/// The device's stack. It runs from the first port that is bound.
pub struct Net {
    sockets: firmware_sockets::Net<1>,
    idle: Cell<Option<Runner<'static, Interface>>>,
}

impl Net {
    /// A stack that does not run yet. Once.
    pub fn new() -> Self {
        let interface = Interface { receives: &TO_DEVICE, sends: &TO_CLIENT, station: 1 };
        let (stack, runner) = embassy_net::new(interface, address(DEVICE), RESOURCES.take(), 1);
        let udp = [Udp::new(stack, &UDP_MEMORY.0)];
        let interfaces = [firmware_sockets::Interface { stack, gate: &GATE }];
        let sockets = firmware_sockets::Net::new(interfaces, &PLACES, BACKLOG, udp);
        Net { sockets, idle: Cell::new(Some(runner)) }
    }

    async fn run(&self) {
        if let Some(mut runner) = self.idle.take() {
            chip::spawn_beside(async move { runner.run().await }).await;
        }
    }
}

impl TcpBind for Net {
    type Error = NetError;
    type Accept<'a> = Acceptor;

    async fn bind(&self, local: SocketAddr) -> Result<Acceptor, NetError> {
        self.run().await;
        TcpBind::bind(&self.sockets, local).await
    }
}

impl UdpBind for Net {
    type Error = UdpError;
    type Socket<'a> = udp::Socket<'a, 1>;

    async fn bind(&self, local: SocketAddr) -> Result<Self::Socket<'_>, UdpError> {
        self.run().await;
        UdpBind::bind(&self.sockets, local).await
    }
}
