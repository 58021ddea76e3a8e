//! How the device is found in a network that it has joined: mDNS.

use std::net::Ipv4Addr;
use std::time::Duration;

use rigor_core::distribution::Distribution;
use rigor_core::part::Recipient;
use rigor_core::unit::Unit;
use rigor_core::verdict::{Blame, HarnessError};
use rigor_decode::mdns::{self, Data, GROUP, Kind, Message, PORT};
use rigor_runner::need::{Air, Clock, Console, Datagrams, Net};
use rigor_runner::{Findings, Outcome, Suite};

use super::{home, join};
use crate::kit;

pub(super) fn add_to(suite: &mut Suite) {
    suite.case(
        "mdns",
        &["K1-WIF-002", "K1-WIF-003", "K1-WIF-016", "K1-WIF-017", "K1-WIF-018", "K1-WIF-019"],
        mdns,
    );
}

/// The service types (specification, section 4 and section 11, reading 40).
pub(crate) const PRISM: &str = "_prism._tcp.local";
const HTTP: &str = "_http._tcp.local";
/// The host's name (specification, section 4).
const HOST: &str = "prism-k1.local";

/// Announcements come within this long after the address (our bound; RFC 6762, 8, has it send two, a
/// second apart, after at most 0.75 s of probing).
const ANNOUNCED_WITHIN: Duration = Duration::from_secs(5);
/// An answer comes within this long (RFC 6762, 6: 20 to 120 ms; ours leaves room for a slow link).
const ANSWERED_WITHIN: Duration = Duration::from_secs(1);

/// An endpoint that hears what is said to everybody, and speaks like one of them.
pub(crate) fn endpoint(net: &Net) -> Result<Datagrams, Blame> {
    net.datagrams(PORT, Recipient::Group(GROUP, PORT))
}

/// A question as it goes to everybody.
pub(crate) fn question(name: &str, kind: Kind) -> Result<Vec<u8>, Blame> {
    mdns::query(name, kind).ok_or_else(|| HarnessError(format!("{name:?} is no domain name")).into())
}

/// What the device told of a service: in which message, and how it was found.
#[derive(Clone, PartialEq, Debug)]
struct Service {
    port: u16,
    host: String,
    text: Vec<String>,
}

/// What `messages` say about `name`.
fn about<'a>(messages: &'a [Message], name: &str) -> Vec<&'a Data> {
    messages.iter().flat_map(|message| message.about(name)).collect()
}

/// The services of type `kind` that `messages` tell of, whichever message has which record.
fn services(messages: &[Message], kind: &str) -> Vec<Service> {
    let mut instances: Vec<&String> = about(messages, kind)
        .into_iter()
        .filter_map(|data| if let Data::Pointer(instance) = data { Some(instance) } else { None })
        .collect();
    instances.sort();
    instances.dedup();
    instances
        .into_iter()
        .filter_map(|instance| {
            let data = about(messages, instance);
            let (port, host) = data.iter().find_map(|data| match data {
                Data::Service { port, host } => Some((*port, host.clone())),
                _ => None,
            })?;
            let text = data.iter().find_map(|data| match data {
                Data::Text(text) => Some(text.clone()),
                _ => None,
            });
            Some(Service { port, host, text: text.unwrap_or_default() })
        })
        .collect()
}

/// The addresses of `host`.
fn addresses(messages: &[Message], host: &str) -> Vec<Ipv4Addr> {
    let said = about(messages, host).into_iter();
    said.filter_map(|data| if let Data::Address(address) = data { Some(*address) } else { None }).collect()
}

/// Everything that the device says on `endpoint` within `limit`.
async fn said(endpoint: &mut Datagrams, clock: &Clock, limit: Duration) -> Result<Vec<Message>, String> {
    let deadline = clock.now() + limit;
    let mut messages = Vec::new();
    while let Some((_, bytes)) = endpoint.receive(deadline).await {
        messages.push(Message::parse(&bytes)?);
    }
    messages.retain(|message| message.is_response);
    Ok(messages)
}

/// What is announced without being asked, and what is answered.
async fn mdns(mut console: Console, net: Net, mut air: Air, clock: Clock) -> Outcome {
    kit::settled(&mut console).await?;
    let mut endpoint = endpoint(&air.net())?;
    let (_, address) = join(&net, &mut air, &home()).await?;
    let mut findings = Findings::new();

    let announced = said(&mut endpoint, &clock, ANNOUNCED_WITHIN).await;
    let mut answered = Ok(Vec::new());
    for (name, kind) in [(PRISM, Kind::Pointer), (HTTP, Kind::Pointer), (HOST, Kind::Address)] {
        endpoint.send(&question(name, kind)?)?;
        match (&mut answered, said(&mut endpoint, &clock, ANSWERED_WITHIN).await) {
            (Ok(all), Ok(more)) => all.extend(more),
            (_, Err(error)) => answered = Err(error),
            (Err(_), _) => {}
        }
    }
    for (when, messages) in [("announced", announced), ("answered", answered)] {
        match messages {
            Ok(messages) => told(&mut findings, when, &messages, address)?,
            Err(error) => {
                findings.observed("K1-WIF-002", false, format!("{when}: {error}"));
            }
        }
    }
    // Whoever asks from another port gets an answer of its own (RFC 6762, 6.7).
    let mut alone = air.net().datagrams(40_000, Recipient::Group(GROUP, PORT))?;
    alone.send(&question(PRISM, Kind::Pointer)?)?;
    let (own, everybody) = (
        said(&mut alone, &clock, ANSWERED_WITHIN).await,
        said(&mut endpoint, &clock, Duration::from_millis(1)).await,
    );
    let count = |messages: Result<Vec<Message>, String>| match messages {
        Ok(messages) => format!("{} messages", messages.len()),
        Err(error) => error,
    };
    let own_services = own.as_deref().map_or(0, |messages| services(messages, PRISM).len());
    let (own, everybody) = (count(own), count(everybody));
    let seen = format!("{own} with {own_services} services to the port that asked, {everybody} to all");
    findings.observed("K1-WIF-019", own_services == 1, seen);
    Ok(findings)
}

/// Judges what was `told`, when.
fn told(findings: &mut Findings, when: &str, messages: &[Message], address: Ipv4Addr) -> Result<(), Blame> {
    let (prism, http) = (services(messages, PRISM), services(messages, HTTP));
    let ports =
        |services: &[Service]| -> Vec<f64> { services.iter().map(|one| f64::from(one.port)).collect() };
    for (id, kind, found) in [("K1-WIF-002", PRISM, &prism), ("K1-WIF-016", HTTP, &http)] {
        if found.is_empty() {
            let count = messages.len();
            findings.observed(id, false, format!("{when}: no {kind} in {count} messages"));
        } else {
            findings.measured(id, Distribution::new(Unit::Count, ports(found))?);
        }
    }
    let entry = |service: &Service, key: &str| {
        let mut found = service.text.iter().filter_map(|entry| entry.split_once('='));
        found.find(|(name, _)| name.eq_ignore_ascii_case(key)).map(|(_, value)| value.to_owned())
    };
    let counts: Vec<f64> =
        prism.iter().filter_map(|one| entry(one, "led_count")?.parse::<f64>().ok()).collect();
    if counts.len() == prism.len() && !counts.is_empty() {
        findings.measured("K1-WIF-003", Distribution::new(Unit::Count, counts)?);
    } else {
        findings.observed("K1-WIF-003", false, format!("{when}: {prism:?}"));
    }
    let mut descriptions = Vec::new();
    let mut complete = !prism.is_empty();
    for service in &prism {
        let version = entry(service, "version").unwrap_or_default();
        let capable = entry(service, "capabilities").unwrap_or_default();
        let all = ["upload", "control", "list", "delete"];
        complete &= version == "1.0.0" && all.iter().all(|one| capable.split(',').any(|it| it == *one));
        descriptions.push(format!("version {version:?}, capabilities {capable:?}"));
    }
    findings.observed("K1-WIF-017", complete, format!("{when}: {}", descriptions.join("; ")));
    let mut hosts: Vec<&String> = prism.iter().chain(&http).map(|one| &one.host).collect();
    hosts.sort();
    hosts.dedup();
    let mut found: Vec<Ipv4Addr> = hosts.iter().flat_map(|host| addresses(messages, host)).collect();
    found.sort();
    found.dedup();
    let named = hosts.iter().all(|host| host.eq_ignore_ascii_case(HOST));
    let holds = named && found == [address];
    let seen = format!("{when}: {hosts:?} at {found:?}; the device was given {address}");
    findings.observed("K1-WIF-018", holds, seen);
    Ok(())
}
