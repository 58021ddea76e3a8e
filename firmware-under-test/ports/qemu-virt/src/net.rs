//! The network: embassy-net over an interface whose frames the rig carries, or over the machine's own.
//!
//! Everything here runs in the task that binds the first port, on its executor: embassy-net's stack is
//! not made for several.

mod carried;
mod interface;
mod virtio;

use core::cell::{Cell, RefCell};
use core::net::SocketAddr;

use edge_nal::{TcpBind, UdpBind};
use edge_nal_embassy::{Udp, UdpBuffers, UdpError};
use embassy_net::{Config, Ipv4Address, Ipv4Cidr, Runner, StackResources, StaticConfigV4};
use firmware_sockets::tcp::{Acceptor, NetError};
use firmware_sockets::{Gate, Interface, Places, udp};
use rigor_agent::layout::{Network, boot};
use static_cell::{ConstStaticCell, StaticCell};

use crate::{kernel, memory};

pub use carried::receive;
pub use interface::poll;

/// Of the device on the link to the rig, as an ESP32's access point has it by default.
const ADDRESS: Ipv4Address = Ipv4Address::new(192, 168, 4, 1);
/// Of the device behind the machine's own interface, and of the way out: QEMU's user network has them
/// (`-netdev user`).
const OWN_ADDRESS: Ipv4Address = Ipv4Address::new(10, 0, 2, 15);
const GATEWAY: Ipv4Address = Ipv4Address::new(10, 0, 2, 2);
/// Bytes of the longest frame: Ethernet's header and 1500 bytes.
const FRAME_BYTES: usize = 1514;
/// Locally administered (harness/rigs, the rig's end of the link).
const MAC: [u8; 6] = [0x02, b'R', b'G', 0, 0, 1];
/// TCP sockets at once: six being served, four waiting for a client on each of two ports, and two that wait
/// to be served or are on their way out.
const TCP_SOCKETS: usize = 16;
/// Sockets that wait for a client on each port (as the virtual board).
const BACKLOG: usize = 4;
/// Bytes of a send buffer (`CONFIG_LWIP_TCP_SND_BUF_DEFAULT`; as the virtual board).
const SEND_BYTES: usize = 5760;
/// Bytes of a receive buffer. lwIP's window of 5,760 opens with each segment that is read; this stack's does
/// so only when it has doubled, so that it takes a segment more for the same way.
const RECEIVE_BYTES: usize = 7200;
/// UDP sockets at once.
const UDP_SOCKETS: usize = 2;
/// Bytes of a UDP socket's buffers: an mDNS message each way (RFC 6762 section 17).
const UDP_BYTES: usize = 1500;
/// Where the stack's own choices begin, such as sequence numbers: one seed, one run.
const SEED: u64 = 0x4B31;

type UdpMemory = UdpBuffers<UDP_SOCKETS, UDP_BYTES, UDP_BYTES, 2>;

/// What frames come through on their way to the stack.
static GATE: Gate = Gate::new();

static PLACES: Places<TCP_SOCKETS, RECEIVE_BYTES, SEND_BYTES> = Places::new();

/// The memory of the stack lies outside of the firmware's heap, as that of the radio's driver does. A start
/// makes it new.
static RESOURCES: ConstStaticCell<StackResources<{ TCP_SOCKETS + UDP_SOCKETS }>> =
    ConstStaticCell::new(StackResources::new());

/// Outside of the stack that is handed from task to task, which has no room for it.
static VIRTIO: StaticCell<RefCell<virtio::Virtio>> = StaticCell::new();

struct ForOneTask(UdpMemory);
// SAFETY: only the task that brings the stack up reaches it.
unsafe impl Sync for ForOneTask {}
static UDP_MEMORY: ForOneTask = ForOneTask(UdpMemory::new());

/// The network stack. It runs from the first port that is bound.
pub struct Net {
    sockets: firmware_sockets::Net<1>,
    idle: Cell<Option<Runner<'static, interface::Interface>>>,
}

impl Net {
    /// A stack that does not run yet. Once a start, and on its stack: to put it together takes more than
    /// the task has that runs it.
    pub fn new() -> Self {
        let (interface, address, gateway) = match Network::from_word(memory::word(boot::NETWORK)) {
            Some(Network::Interface) => {
                let own = interface::Interface::Own(VIRTIO.init(RefCell::new(virtio::Virtio::new())));
                (own, OWN_ADDRESS, Some(GATEWAY))
            }
            Some(Network::Carried) | None => (interface::Interface::Carried, ADDRESS, None),
        };
        let address = Ipv4Cidr::new(address, 24);
        let config =
            Config::ipv4_static(StaticConfigV4 { address, gateway, dns_servers: heapless::Vec::new() });
        let (stack, runner) = embassy_net::new(interface, config, RESOURCES.take(), SEED);
        let udp = [Udp::new(stack, &UDP_MEMORY.0)];
        let interfaces = [Interface { stack, gate: &GATE }];
        Net {
            sockets: firmware_sockets::Net::new(interfaces, &PLACES, BACKLOG, udp),
            idle: Cell::new(Some(runner)),
        }
    }

    async fn run(&self) {
        if let Some(mut runner) = self.idle.take() {
            kernel::spawn_beside(async move { runner.run().await }).await;
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
