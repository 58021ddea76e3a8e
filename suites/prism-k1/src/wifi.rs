//! Cases of group K1-WIF: setting the device up, the networks that it joins, and how it is found there.
//!
//! The page and its form are in [`portal`], joining and joining again in [`station`], mDNS in
//! [`services`].
//!
//! The setup access point is the way of the rig file's network to the device; a network that the
//! device joins is put up by the rig's own radio.

mod portal;
mod services;
mod station;

pub(crate) use services::{PRISM, endpoint, question};

use std::net::Ipv4Addr;
use std::time::Duration;

use rigor_core::Instant;
use rigor_core::event::{AccessPoint, AirEvent};
use rigor_core::part::Network;
use rigor_core::verdict::{Blame, ProductError};
use rigor_runner::Suite;
use rigor_runner::need::{Air, Net, WebSocket};

use crate::{http, status};

pub(crate) fn add_to(suite: &mut Suite) {
    portal::add_to(suite);
    station::add_to(suite);
    services::add_to(suite);
}

/// A network that can be joined is joined within this long (our bound): a few attempts of a few seconds.
pub(crate) const JOIN_LIMIT: Duration = Duration::from_secs(30);
/// The name of the setup access point (specification, section 4).
const SETUP: &str = "PRISM-SETUP";

/// A network with nothing special about it.
pub(crate) fn home() -> Network {
    network("rigor-lab", Some("correct horse"))
}

fn network(ssid: &str, password: Option<&str>) -> Network {
    Network { ssid: ssid.to_owned(), password: password.map(str::to_owned) }
}

/// The portal's form for `network`.
fn form(network: &Network) -> Vec<u8> {
    http::form(&[("ssid", &network.ssid), ("pass", network.password.as_deref().unwrap_or_default())])
}

/// Hands the credentials of `network` in; when that was done.
///
/// # Errors
/// The product's, if it does not take them.
async fn hand_in(net: &Net, network: &Network) -> Result<(), Blame> {
    let reply = http::exchange(net, &http::post("/connect", &form(network))).await?;
    if reply.is_success() {
        return Ok(());
    }
    let name = &network.ssid;
    Err(ProductError(format!("the portal answered the form for network {name:?} with {reply}")).into())
}

/// Has the device join `network`, which the rig puts up: when it has an address there, and which.
///
/// # Errors
/// The product's, if it does not.
pub(crate) async fn join(net: &Net, air: &mut Air, network: &Network) -> Result<(Instant, Ipv4Addr), Blame> {
    air.put_up(network)?;
    hand_in(net, network).await?;
    air.joined(JOIN_LIMIT).await
}

/// Whether the device answers a client, or what came instead.
///
/// # Errors
/// Whoever else is to blame.
async fn served(socket: &mut WebSocket) -> Result<Result<(), String>, Blame> {
    match status::ask(socket).await {
        Ok(_) => Ok(Ok(())),
        Err(Blame::Product(error)) => Ok(Err(error.to_string())),
        Err(other) => Err(other),
    }
}

/// Whether the setup access point is heard, open.
fn is_set_up(air: &Air) -> bool {
    air.heard().iter().any(|heard| &*heard.ssid == SETUP && heard.open)
}

/// The access points that are heard, for results.
fn told(heard: &[AccessPoint]) -> String {
    let one = |heard: &AccessPoint| {
        let kind = if heard.open { "open" } else { "with a password" };
        format!("{} ({kind}, channel {})", heard.ssid, heard.channel)
    };
    let all: Vec<String> = heard.iter().map(one).collect();
    if all.is_empty() { "no access point".to_owned() } else { all.join(", ") }
}

/// What the station did, for results.
fn left(heard: &[(Instant, AirEvent)]) -> String {
    match heard.first() {
        None => "kept".to_owned(),
        Some((at, heard)) => format!("{heard:?} at {at}"),
    }
}
