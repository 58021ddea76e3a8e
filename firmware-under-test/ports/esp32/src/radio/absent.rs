//! A build without the radio's driver: nobody ever comes, and nothing is ever joined.

use core::convert::Infallible;
use core::future::pending;
use core::net::{Ipv4Addr, SocketAddr};

use edge_nal::{NoopNet, TcpBind, UdpBind};
use esp_hal::peripherals::WIFI;
use firmware_platform::{AccessPoint, JoinError};

/// Nothing of `_device`.
pub fn start(_device: WIFI<'static>) -> (Net, Wifi) {
    (Net, Wifi)
}

/// A stack without an interface.
pub struct Net;

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

/// No radio.
pub struct Wifi;

impl firmware_platform::Wifi for Wifi {
    async fn open(&mut self, _: AccessPoint<'_>) -> bool {
        false
    }

    async fn join(&mut self, _: &str, _: Option<&str>) -> Result<Ipv4Addr, JoinError> {
        Err(JoinError::Failed)
    }

    async fn lost(&mut self) {}
}
