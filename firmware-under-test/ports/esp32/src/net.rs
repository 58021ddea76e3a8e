//! The network of a build without radio: nobody ever comes.

use core::convert::Infallible;
use core::future::pending;
use core::net::SocketAddr;

use edge_nal::{NoopNet, TcpBind, UdpBind};

/// A stack without an interface.
pub struct Net;

impl Net {
    /// The only one.
    pub fn new() -> Self {
        Net
    }
}

impl TcpBind for Net {
    type Error = Infallible;
    type Accept<'a> = NoopNet;

    async fn bind(&self, _: SocketAddr) -> Result<NoopNet, Infallible> {
        pending().await
    }
}

impl UdpBind for Net {
    type Error = Infallible;
    type Socket<'a> = NoopNet;

    async fn bind(&self, _: SocketAddr) -> Result<NoopNet, Infallible> {
        pending().await
    }
}
