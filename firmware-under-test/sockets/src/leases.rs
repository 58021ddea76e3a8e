//! Addresses for the clients of an access point, by DHCP (RFC 2131), as ESP-IDF gives them.

use core::net::{IpAddr, Ipv4Addr, SocketAddr};

use edge_dhcp::io::{DEFAULT_SERVER_PORT, server};
use edge_dhcp::server::{Server, ServerOptions};
use edge_nal::UdpBind;
use edge_nal_embassy::Udp;
use embassy_time::{Duration, Timer};

/// Clients that are remembered: those of the last two hours, of which an access point has fewer at a time.
const CLIENTS: usize = 16;
/// Seconds that a client may keep its address without asking again (ESP-IDF, `CONFIG_LWIP_DHCPS_LEASE_UNIT`
/// and `DHCPS_LEASE_TIME_DEF`: 120 minutes).
const LEASE_S: u32 = 7200;
/// Bytes of a message: the shortest that everybody has to take (RFC 2131 section 2), and all that clients send.
const MESSAGE_BYTES: usize = 576;
/// Pause after a failure.
const RETRY: Duration = Duration::from_secs(1);

/// Bytes of each of the two buffers that the socket of `udp` should have at least.
pub const SOCKET_BYTES: usize = MESSAGE_BYTES;

/// Gives the clients in the network of `address`, which is this device's, the sixteen addresses behind it, for
/// ever. What fails is tried again. It wants a task of its own: who asks a socket wakes its stack, and in one
/// task with that it would wake itself for ever.
pub async fn serve(udp: &Udp<'_>, address: Ipv4Addr) -> ! {
    let mut server = Server::<_, CLIENTS>::new_with_et(address);
    // As many as are remembered: then there is a place again as soon as somebody's time is over.
    let first = u32::from(address) + 1;
    server.range_start = Ipv4Addr::from(first);
    server.range_end = Ipv4Addr::from(first + CLIENTS as u32 - 1);
    let mut gateway = [address];
    let mut options = ServerOptions::new(address, Some(&mut gateway));
    options.lease_duration_secs = LEASE_S;
    let mut message = [0; MESSAGE_BYTES];
    loop {
        let local = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), DEFAULT_SERVER_PORT);
        if let Ok(mut socket) = udp.bind(local).await {
            let _ = server::run(&mut server, &options, &mut socket, &mut message).await;
        }
        Timer::after(RETRY).await;
    }
}
