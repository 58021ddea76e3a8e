//! The device's name and services in the network that it has joined (RFC 6762, RFC 6763;
//! specification section 4).
//!
//! The messages are `edge-mdns`'s business; here is the traffic. Two announcements, then answers. The
//! device does not probe for its name before it uses it, and it says no farewell: the network is
//! gone when it would have to.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use edge_mdns::domain::base::Ttl;
use edge_mdns::domain::rdata::AllRecordData;
use edge_mdns::host::{Host, Service, ServiceAnswers};
use edge_mdns::{
    HostAnswer, HostAnswers, HostAnswersMdnsHandler, MdnsError, MdnsHandler, MdnsRequest, MdnsResponse,
    RecordDataChain,
};
use edge_nal::{MulticastV4, UdpBind, UdpReceive, UdpSend};
use embassy_futures::select::{Either, select};
use embassy_time::{Duration, Instant, Timer};
use firmware_platform::Cpu;

use super::Shared;
use crate::defect::{self, Defect};
use crate::{VERSION, cost};

/// Everybody who speaks mDNS (RFC 6762 section 3).
const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 251);
/// Where they listen.
const PORT: u16 = 5353;
/// Bytes of the longest message that is received or sent: one Ethernet frame (RFC 6762 section 17).
const MESSAGE_MAX: usize = 1472;
/// Between the two announcements (RFC 6762 section 8.3: at least one second).
const ANNOUNCE_AGAIN: Duration = Duration::from_secs(1);
/// Pause after a failure.
const RETRY: Duration = Duration::from_secs(1);

/// The host's label, before `.local` (specification section 4).
const HOST: &str = "prism-k1";
/// The services' name for people.
const INSTANCE: &str = "PRISM K1 LED Controller";
/// What the announcement says of the device (specification section 4).
const TXT: &[(&str, &str)] =
    &[("version", VERSION), ("led_count", "320"), ("capabilities", "upload,control,list,delete")];

/// What the device answers.
struct Announced {
    address: Ipv4Addr,
    port: u16,
}

impl HostAnswers for Announced {
    fn visit<F, E>(&self, mut f: F) -> Result<(), E>
    where
        F: FnMut(HostAnswer<'_>) -> Result<(), E>,
        E: From<MdnsError>,
    {
        let host = Host {
            hostname: HOST,
            ipv4: self.address,
            ipv6: Ipv6Addr::UNSPECIFIED,
            // RFC 6762 section 10: 120 s for what names a host.
            ttl: Ttl::from_secs(120),
        };
        let service = |service, txt_kvs| Service {
            name: INSTANCE,
            priority: 0,
            weight: 0,
            service,
            protocol: "_tcp",
            port: if defect::present(Defect::MdnsPort) { 8080 } else { self.port },
            service_subtypes: &[],
            txt_kvs,
        };
        let txt: &[(&str, &str)] = match () {
            () if defect::present(Defect::MdnsLeds) => &[("version", VERSION), ("leds", "320")],
            () if defect::present(Defect::MdnsBare) => &[("led_count", "320")],
            () => TXT,
        };
        ServiceAnswers::new(&host, &service("_prism", txt)).visit(&mut f)?;
        // The host's address once is enough.
        let is_address =
            |answer: &HostAnswer<'_>| matches!(answer.data(), RecordDataChain::Next(AllRecordData::A(_)));
        ServiceAnswers::new(&host, &service("_http", &[]))
            .visit(|answer| if is_address(&answer) { Ok(()) } else { f(answer) })
    }
}

/// Announces the services on `port` of the device at `address` and answers who asks, until a pool
/// is empty; then somebody else needs the memory more.
pub async fn serve<N: UdpBind, C: Cpu>(stack: &N, address: Ipv4Addr, port: u16, shared: &Shared<C>) {
    if defect::present(Defect::MdnsSilent) {
        return;
    }
    let told = if defect::present(Defect::MdnsAddress) { Ipv4Addr::new(192, 168, 4, 1) } else { address };
    let mut handler = HostAnswersMdnsHandler::new(Announced { address: told, port });
    let Some(mut block) = shared.pools.alloc(2 * MESSAGE_MAX) else {
        shared.log.error("network", format_args!("No memory for mDNS"));
        return;
    };
    let (received, answer) = block.split_at_mut(MESSAGE_MAX);
    loop {
        let local = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), PORT);
        let failed = match stack.bind(local).await {
            Ok(mut socket) => {
                shared.log.info("network", format_args!("mDNS: {HOST}.local at {address}"));
                converse(&mut socket, address, &mut handler, received, answer, shared).await
            }
            Err(error) => Err(error),
        };
        if let Err(error) = failed {
            shared.log.error("network", format_args!("mDNS failed: {error:?}"));
        }
        Timer::after(RETRY).await;
    }
}

async fn converse<S, C: Cpu>(
    socket: &mut S,
    address: Ipv4Addr,
    handler: &mut impl MdnsHandler,
    received: &mut [u8],
    answer: &mut [u8],
    shared: &Shared<C>,
) -> Result<(), S::Error>
where
    S: UdpReceive + UdpSend + MulticastV4,
{
    let everybody = SocketAddr::new(IpAddr::V4(GROUP), PORT);
    socket.join_v4(GROUP, address).await?;
    let begun = Instant::now();
    for due in [begun, begun + ANNOUNCE_AGAIN] {
        answer_until(due, socket, handler, received, answer, shared).await?;
        shared.cpu.work(cost::NET_MDNS);
        if let Ok(MdnsResponse::Reply { data, .. }) = handler.handle(MdnsRequest::None, answer) {
            socket.send(everybody, data).await?;
        }
    }
    answer_until(Instant::MAX, socket, handler, received, answer, shared).await
}

async fn answer_until<S, C: Cpu>(
    due: Instant,
    socket: &mut S,
    handler: &mut impl MdnsHandler,
    received: &mut [u8],
    answer: &mut [u8],
    shared: &Shared<C>,
) -> Result<(), S::Error>
where
    S: UdpReceive + UdpSend + MulticastV4,
{
    loop {
        let (length, from) = match select(socket.receive(received), Timer::at(due)).await {
            Either::First(received) => received?,
            Either::Second(()) => return Ok(()),
        };
        shared.cpu.work(cost::NET_MDNS);
        if defect::present(Defect::MdnsStarvesPlayback) {
            shared.cpu.work(cost::CORE_HZ / 50);
        }
        if defect::present(Defect::MdnsAnnouncesOnly) {
            continue;
        }
        // What was longer than the buffer is no query of anybody's here. Neither is garbage.
        let Some(data) = received.get(..length) else { continue };
        let legacy = from.port() != PORT;
        let request = MdnsRequest::Request { legacy, multicast: true, data };
        let Ok(MdnsResponse::Reply { data, .. }) = handler.handle(request, answer) else { continue };
        if legacy {
            // RFC 6762 section 6.7: who asks from another port gets its answer alone.
            socket.send(from, data).await?;
        } else {
            Timer::after(jitter()).await;
            socket.send(SocketAddr::new(IpAddr::V4(GROUP), PORT), data).await?;
        }
    }
}

/// A pause that answers of several devices to one question do not share: 20 to 120 ms (RFC 6762
/// section 6). The microseconds of the clock are random enough.
fn jitter() -> Duration {
    let mixed = (Instant::now().as_micros() as u32).wrapping_mul(0x9E37_79B9) >> 16;
    Duration::from_millis(20 + u64::from(mixed % 101))
}
