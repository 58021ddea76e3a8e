//! The network: TCP ports, the setup portal, the HTTP upgrade, WebSocket clients; and mDNS.
//!
//! One task serves everything. Each port has a loop that accepts connections; they share a fixed
//! number of workers, each of which serves one connection at a time from the upgrade request to the
//! end, so memory is bounded whatever peers do. Every wait for a peer has a deadline.

pub mod connection;
#[cfg(feature = "echo")]
pub mod echo;
pub mod form;
pub mod frames;
pub mod mdns;
pub mod portal;
pub mod slots;
pub mod stream;
pub mod upgrade;

use alloc::boxed::Box;
use core::cell::Cell;
use core::net::{IpAddr, Ipv4Addr, SocketAddr};

use edge_nal::{TcpAccept, TcpBind};
use embassy_futures::join::{join, join_array, join3};
use embassy_sync::blocking_mutex::raw::NoopRawMutex;
use embassy_sync::channel::{Channel, Sender};
use embassy_time::{Duration, Timer};
use firmware_platform::Cpu;

pub use connection::{Handler, Reaction, Reply, Shared};

/// Connections served at once: the two clients, and four that are opening, being turned away or
/// closing.
const WORKERS: usize = 6;
/// Pause after a failure of the TCP/IP stack before the next attempt.
const RETRY: Duration = Duration::from_millis(500);

/// Serves `ports` for ever; the first one also serves the portal. `handler` makes what is behind each connection.
pub async fn serve<N, C, H>(net: &N, ports: [u16; 2], shared: &Shared<C>, handler: impl Fn() -> H)
where
    N: TcpBind,
    C: Cpu,
    H: Handler,
{
    let [first, second] = ports;
    let one = bind(net, first, shared).await;
    if first == second {
        serve_acceptors(&one, None, shared, &handler).await;
    } else {
        let other = bind(net, second, shared).await;
        serve_acceptors(&one, Some(&other), shared, &handler).await;
    }
}

async fn bind<'a, N: TcpBind, C>(net: &'a N, port: u16, shared: &Shared<C>) -> N::Accept<'a> {
    loop {
        match net.bind(SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port)).await {
            Ok(acceptor) => return acceptor,
            Err(error) => {
                shared.log.error("network", format_args!("Cannot listen on port {port}: {error:?}"))
            }
        }
        Timer::after(RETRY).await;
    }
}

async fn serve_acceptors<'a, A, C, H>(
    one: &'a A,
    other: Option<&'a A>,
    shared: &Shared<C>,
    handler: &impl Fn() -> H,
) where
    A: TcpAccept,
    C: Cpu,
    H: Handler,
{
    // Acceptors and workers are futures of one task.
    let queue = Channel::<NoopRawMutex, (A::Socket<'a>, bool), 1>::new();
    let numbers = Cell::new(0u32);
    // Each in a place of its own: all of them at once would not fit the task's stack on their way to one.
    let workers = core::array::from_fn::<_, WORKERS, _>(|_| {
        Box::pin(async {
            loop {
                let (socket, portal) = queue.receive().await;
                let number = numbers.get().wrapping_add(1);
                numbers.set(number);
                connection::serve(socket, number, portal, shared, handler).await;
            }
        })
    });
    match other {
        Some(other) => {
            join3(
                accept(one, true, queue.sender(), shared),
                accept(other, false, queue.sender(), shared),
                join_array(workers),
            )
            .await;
        }
        None => {
            join(accept(one, true, queue.sender(), shared), join_array(workers)).await;
        }
    }
}

async fn accept<'a, A: TcpAccept, C>(
    acceptor: &'a A,
    portal: bool,
    queue: Sender<'_, NoopRawMutex, (A::Socket<'a>, bool), 1>,
    shared: &Shared<C>,
) {
    loop {
        match acceptor.accept().await {
            Ok((_, socket)) => queue.send((socket, portal)).await,
            Err(error) => {
                shared.log.error("network", format_args!("Cannot accept: {error:?}"));
                Timer::after(RETRY).await;
            }
        }
    }
}

#[cfg(test)]
pub(crate) mod memory;
#[cfg(test)]
mod tests;
