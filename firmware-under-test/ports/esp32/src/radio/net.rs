//! Two stacks of embassy-net, one behind the access point and one behind the station, and the sockets of both.
//!
//! Everything here runs in the task that binds the first port, on its executor: embassy-net's stacks are not
//! made for several.

use core::cell::Cell;
use core::net::SocketAddr;

use edge_nal::{TcpBind, UdpBind};
use edge_nal_embassy::{Udp, UdpBuffers, UdpError};
use embassy_futures::join::join;
use embassy_net::{Config, Ipv4Address, Ipv4Cidr, Runner, Stack, StackResources, StaticConfigV4};
use esp_hal::rng::Rng;
use esp_radio::wifi;
use firmware_sockets::{Gate, Gated, Interface, Places, leases, tcp, udp};
use static_cell::ConstStaticCell;

use crate::tasks;

/// Of the device in its own network, as ESP-IDF's access point has it.
const ADDRESS: Ipv4Address = Ipv4Address::new(192, 168, 4, 1);
/// TCP sockets at once: one that waits for a client on each of two ports and two interfaces, and four that are
/// served or on their way out. The firmware would serve six; who finds no socket asks again a second later.
const TCP_SOCKETS: usize = 8;
/// Sockets that wait for a client on each port and interface.
const BACKLOG: usize = 1;
/// Bytes of each of a TCP socket's two buffers: two segments of what fits the radio's frames, so that one is on
/// its way while the other is worked on. ESP-IDF has four, for which there is no room.
const TCP_BYTES: usize = 2 * 1438;
/// UDP sockets at once on an interface: the firmware's.
const UDP_SOCKETS: usize = 1;
/// Bytes of a UDP socket's buffers: an mDNS message each way (RFC 6762 section 17).
const UDP_BYTES: usize = 1472;
/// A stack's sockets: TCP's, the firmware's, and DHCP's.
const SOCKETS: usize = TCP_SOCKETS + UDP_SOCKETS + 1;

type Resources = StackResources<SOCKETS>;
type Link = Runner<'static, Gated<wifi::Interface>>;

static PLACES: Places<TCP_SOCKETS, TCP_BYTES, TCP_BYTES> = Places::new();
static GATES: [Gate; 2] = [const { Gate::new() }; 2];
static RESOURCES: [ConstStaticCell<Resources>; 2] = [const { ConstStaticCell::new(Resources::new()) }; 2];

/// Buffers of UDP sockets.
struct ForOneTask<T>(T);
// SAFETY: only the task that brings the stacks up reaches it.
unsafe impl<T> Sync for ForOneTask<T> {}
static UDP: ForOneTask<UdpBuffers<{ 2 * UDP_SOCKETS }, UDP_BYTES, UDP_BYTES, 2>> =
    ForOneTask(UdpBuffers::new());
static LEASES: ForOneTask<UdpBuffers<1, { leases::SOCKET_BYTES }, { leases::SOCKET_BYTES }, 2>> =
    ForOneTask(UdpBuffers::new());

/// The sockets of both stacks. These run from the first port that is bound.
pub struct Net {
    sockets: firmware_sockets::Net<2>,
    access_point: Stack<'static>,
    station: Stack<'static>,
    idle: Cell<Option<[Link; 2]>>,
}

impl Net {
    /// Stacks that do not run yet. Once a start.
    pub fn new() -> Self {
        let [own, joined] = &RESOURCES;
        let [own_gate, joined_gate] = &GATES;
        let address = Ipv4Cidr::new(ADDRESS, 24);
        let fixed = StaticConfigV4 { address, gateway: None, dns_servers: Default::default() };
        let (access_point, own) =
            stack(wifi::Interface::access_point(), Config::ipv4_static(fixed), own.take(), own_gate);
        // Of no network: whoever joins one asks for an address there.
        let (station, joined) =
            stack(wifi::Interface::station(), Config::default(), joined.take(), joined_gate);
        let interfaces = [
            Interface { stack: access_point, gate: own_gate },
            Interface { stack: station, gate: joined_gate },
        ];
        let udp = [Udp::new(access_point, &UDP.0), Udp::new(station, &UDP.0)];
        Net {
            sockets: firmware_sockets::Net::new(interfaces, &PLACES, BACKLOG, udp),
            access_point,
            station,
            idle: Cell::new(Some([own, joined])),
        }
    }

    /// The stack behind the station.
    pub fn station(&self) -> Stack<'static> {
        self.station
    }

    async fn run(&self) {
        let Some([mut own, mut joined]) = self.idle.take() else { return };
        let access_point = self.access_point;
        // As one task: both interfaces wake the last one that asked to send.
        tasks::spawn_beside(async move {
            join(own.run(), joined.run()).await;
        })
        .await;
        // And not as the same: who asks a socket wakes its stack.
        tasks::spawn_beside(async move {
            let udp = Udp::new(access_point, &LEASES.0);
            leases::serve(&udp, ADDRESS).await
        })
        .await;
    }
}

fn stack(
    interface: wifi::Interface,
    config: Config,
    resources: &'static mut Resources,
    gate: &'static Gate,
) -> (Stack<'static>, Link) {
    let random = Rng::new();
    let seed = u64::from(random.random()) << 32 | u64::from(random.random());
    embassy_net::new(Gated::new(interface, gate), config, resources, seed)
}

impl TcpBind for Net {
    type Error = tcp::NetError;
    type Accept<'a> = tcp::Acceptor;

    async fn bind(&self, local: SocketAddr) -> Result<tcp::Acceptor, tcp::NetError> {
        self.run().await;
        TcpBind::bind(&self.sockets, local).await
    }
}

impl UdpBind for Net {
    type Error = UdpError;
    type Socket<'a> = udp::Socket<'a, 2>;

    async fn bind(&self, local: SocketAddr) -> Result<udp::Socket<'_, 2>, UdpError> {
        self.run().await;
        UdpBind::bind(&self.sockets, local).await
    }
}
