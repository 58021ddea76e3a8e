//! The setup portal: its page, its form, and forms that are none.

use std::time::Duration;

use rigor_core::distribution::Distribution;
use rigor_core::verdict::{Blame, Inconclusive};
use rigor_runner::need::{Air, Clock, Console, Device, Net};
use rigor_runner::{Findings, Outcome, Suite};

use super::{JOIN_LIMIT, form, hand_in, home, is_set_up, join, left, network, served, told};
use crate::rows::Rows;
use crate::tlv::Profile;
use crate::{http, kit};

pub(super) fn add_to(suite: &mut Suite) {
    suite
        .case("setup_access_point", &["K1-SYS-008"], setup_access_point)
        .case("portal_page", &["K1-WIF-007"], portal_page)
        .case("joins_by_form", &["K1-WIF-008", "K1-WIF-013"], joins_by_form)
        .case("form_encoding", &["K1-WIF-009"], form_encoding)
        .case("form_limits", &["K1-WIF-010"], form_limits)
        .case("malformed_forms", &["K1-WIF-011"], malformed_forms);
}

async fn setup_access_point(mut console: Console, air: Air) -> Outcome {
    kit::started(&mut console).await?;
    let mut findings = Findings::new();
    findings.observed("K1-SYS-008", is_set_up(&air), format!("on the air: {}", told(&air.heard())));
    Ok(findings)
}

/// What the page must have for a browser to send the form, in lower case and without quotes.
const FORM_PARTS: [&str; 5] = ["<form", "method=post", "action=/connect", "name=ssid", "name=pass"];

async fn portal_page(mut console: Console, net: Net) -> Outcome {
    kit::started(&mut console).await?;
    let reply = http::exchange(&net, &http::get("/")).await?;
    let page: String = reply.body.to_lowercase().chars().filter(|c| !matches!(c, '"' | '\'')).collect();
    let missing: Vec<&str> = FORM_PARTS.into_iter().filter(|part| !page.contains(part)).collect();
    let kind = reply.field("Content-Type").unwrap_or("nothing");
    let holds = reply.status == Some(200) && kind.starts_with("text/html") && missing.is_empty();
    let seen = match missing.is_empty() {
        true => format!("{reply}, {kind}, with the form"),
        false => format!("{reply}, {kind}, without {}", missing.join(", ")),
    };
    let mut findings = Findings::new();
    findings.observed("K1-WIF-007", holds, seen);
    Ok(findings)
}

/// A client that asks so often does not become idle.
const ASKING: Duration = Duration::from_secs(2);
/// Whatever a device does about its server when it joins, it has done it by then (our bound).
const SETTLED: Duration = Duration::from_secs(1);

/// A client on the access point is connected throughout.
async fn joins_by_form(mut console: Console, net: Net, mut air: Air, clock: Clock) -> Outcome {
    kit::settled(&mut console).await?;
    let mut client = kit::open(&net, Profile::F).await?;
    let begun = clock.now();
    air.put_up(&home())?;
    hand_in(&net, &home()).await?;
    let mut served_so_far = Ok(());
    let mut joined = None;
    while joined.is_none() && clock.now() < begun + JOIN_LIMIT {
        joined = air.joined(ASKING).await.ok();
        if joined.is_some() {
            clock.sleep_until(clock.now() + SETTLED).await;
        }
        if served_so_far.is_ok() {
            served_so_far = served(&mut client).await?;
        }
    }
    let mut findings = Findings::new();
    let Some((at, address)) = joined else {
        let seen = format!("no address within {JOIN_LIMIT:?}");
        findings.observed("K1-WIF-008", false, seen.clone());
        findings.unclear("K1-WIF-013", Inconclusive(seen));
        return Ok(findings);
    };
    findings.measured("K1-WIF-008", Distribution::of_durations([at.since(begun)])?);
    let (holds, seen) = match served_so_far {
        Ok(()) => (true, format!("joined at {address}, and the client was answered")),
        Err(came) => (false, format!("joined at {address}; the client found: {came}")),
    };
    findings.observed("K1-WIF-013", holds, seen);
    Ok(findings)
}

/// Names and passwords that an encoding can spoil.
async fn form_encoding(mut console: Console, net: Net, mut air: Air) -> Outcome {
    kit::settled(&mut console).await?;
    let mut rows = Rows::default();
    for (ssid, password) in [
        ("my network", "two words"),
        ("a+b", "1+1=2"),
        ("Tom & Jerry=2%", "100%&more=+"),
        ("Caf\u{e9} \u{2615}", "na\u{ef}ve pa\u{df}wort"),
        ("%41?#/\\\"'<>", "~!@#$^*()[]{}|;:,."),
    ] {
        let wanted = network(ssid, Some(password));
        match join(&net, &mut air, &wanted).await {
            Ok(_) => rows.good("joined"),
            Err(Blame::Product(error)) => rows.bad(ssid, error),
            Err(other) => return Err(other),
        }
    }
    let mut findings = Findings::new();
    rows.decide("K1-WIF-009", &mut findings)?;
    Ok(findings)
}

/// Bytes of the longest name and password (IEEE 802.11; specification, section 4).
const SSID_MAX: usize = 32;
const PASSWORD_MAX: usize = 63;

/// What is within the limits is joined; what is not is refused, and does not cut the device off from
/// the network that it is in.
async fn form_limits(mut console: Console, net: Net, mut air: Air, clock: Clock) -> Outcome {
    kit::settled(&mut console).await?;
    let mut rows = Rows::default();
    let longest = network(&"s".repeat(SSID_MAX), Some(&"p".repeat(PASSWORD_MAX)));
    join(&net, &mut air, &longest).await?;
    for (row, ssid, password) in [
        ("name of 33 bytes", SSID_MAX + 1, PASSWORD_MAX),
        ("name of 100 bytes", 100, 0),
        ("password of 64 bytes", SSID_MAX, PASSWORD_MAX + 1),
        ("name of 12 letters in 36 bytes", 0, 0),
    ] {
        let ssid = if ssid > 0 { "s".repeat(ssid) } else { "\u{20ac}".repeat(12) };
        let body = form(&network(&ssid, Some(&"p".repeat(password))));
        let reply = http::exchange(&net, &http::post("/connect", &body)).await?;
        rows.note(reply.is_refusal(), row, reply.to_string());
    }
    let heard = air.rest(clock.now() + Duration::from_secs(2)).await;
    rows.note(heard.is_empty(), "the joined network", left(&heard));
    let mut findings = Findings::new();
    rows.decide("K1-WIF-010", &mut findings)?;
    Ok(findings)
}

/// Requests around the form that say nothing sensible.
fn malformed() -> Vec<(&'static str, Vec<u8>)> {
    let head =
        |fields: &str| format!("POST /connect HTTP/1.1\r\nHost: device\r\n{fields}\r\n\r\n").into_bytes();
    vec![
        ("empty", http::post("/connect", b"")),
        ("no name", http::post("/connect", b"pass=secret")),
        ("empty name", http::post("/connect", b"ssid=&pass=secret")),
        ("half an escape", http::post("/connect", b"ssid=a%4&pass=")),
        ("an escape of no digits", http::post("/connect", b"ssid=a%zz&pass=")),
        ("bytes that are no text", http::post("/connect", b"ssid=%ff%fe&pass=")),
        ("JSON", http::post("/connect", b"{\"ssid\":\"a\"}")),
        ("4000 bytes", http::post("/connect", &[b'x'; 4000])),
        ("no length", head("Accept: */*")),
        ("a length of no number", head("Content-Length: ten")),
        ("a negative length", head("Content-Length: -1")),
        ("a length of gigabytes", head("Content-Length: 4294967296")),
        ("GET", b"GET /connect?ssid=a HTTP/1.1\r\n\r\n".to_vec()),
        ("PUT", b"PUT /connect HTTP/1.1\r\nContent-Length: 6\r\n\r\nssid=a".to_vec()),
    ]
}

/// None of them is taken for credentials; the portal answers, and nothing restarts.
async fn malformed_forms(
    mut console: Console,
    net: Net,
    mut air: Air,
    device: Device,
    clock: Clock,
) -> Outcome {
    let begun = kit::settled(&mut console).await?;
    join(&net, &mut air, &home()).await?;
    let mut rows = Rows::default();
    for (row, request) in malformed() {
        let reply = http::exchange(&net, &request).await?;
        rows.note(reply.is_refusal(), row, reply.to_string());
    }
    // The beginning of a form holds nobody up.
    let held = http::connect(&net).await?;
    held.send(b"POST /connect HTTP/1.1\r\nContent-Length: 300\r\n\r\nssid=")?;
    let page = http::exchange(&net, &http::get("/")).await?;
    rows.note(page.status == Some(200), "the page beside half a form", page.to_string());
    let heard = air.rest(clock.now() + Duration::from_secs(2)).await;
    rows.note(heard.is_empty(), "the joined network", left(&heard));
    let starts = device.starts_since(begun);
    rows.note(starts == 0, "restarts", format!("{starts} restarts"));
    let mut findings = Findings::new();
    rows.decide("K1-WIF-011", &mut findings)?;
    Ok(findings)
}
