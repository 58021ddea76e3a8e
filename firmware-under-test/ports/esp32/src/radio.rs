//! The radio: an access point and a station at once, each with a stack of its own behind it.
//!
//! [`controller`] opens and joins, [`net`] has the stacks and their sockets. Both are used by the firmware's
//! network task alone, from the moment it binds its first port; the access point is opened before that. Without
//! the feature `wifi` there is none of this.

#[cfg(not(feature = "wifi"))]
mod absent;
#[cfg(feature = "wifi")]
mod controller;
#[cfg(feature = "wifi")]
mod net;

#[cfg(not(feature = "wifi"))]
pub use absent::{Net, Wifi, start};
#[cfg(feature = "wifi")]
pub use {controller::Wifi, net::Net};

/// The stacks, and the radio that they are behind. Once a start.
#[cfg(feature = "wifi")]
pub fn start(device: esp_hal::peripherals::WIFI<'static>) -> (Net, Wifi) {
    let net = Net::new();
    let wifi = Wifi::new(device, net.station());
    (net, wifi)
}
