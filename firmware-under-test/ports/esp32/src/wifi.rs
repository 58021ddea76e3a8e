//! The radio of a build without one: it does not start.

use core::net::Ipv4Addr;

use firmware_platform::{AccessPoint, JoinError};

/// No radio.
pub struct Wifi;

impl Wifi {
    /// The only one.
    pub fn new() -> Self {
        Wifi
    }
}

impl firmware_platform::Wifi for Wifi {
    async fn open(&mut self, _: AccessPoint<'_>) -> bool {
        false
    }

    async fn join(&mut self, _: &str, _: Option<&str>) -> Result<Ipv4Addr, JoinError> {
        Err(JoinError::Failed)
    }

    async fn lost(&mut self) {}
}
