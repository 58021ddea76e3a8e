//! Cases on a device that plays while it is busy on the air: plain HTTP, mDNS, joining a network.

use std::time::Duration;

use rigor_core::verdict::{Blame, Inconclusive, ProductError};
use rigor_decode::mdns::{Kind, Message};
use rigor_runner::need::{Air, Clock, Console, Leds, Net, Recording};
use rigor_runner::{Findings, Outcome, Suite};

use super::load::malformed_bursts;
use super::measure::Evidence;
use super::{measured_lanes, play};
use crate::{http, wifi};

pub(super) fn add_to(suite: &mut Suite) {
    suite.case("http_load", &["K1-LED-031"], http_load).case("mdns_load", &["K1-LED-032"], mdns_load).case(
        "joining",
        &["K1-LED-035"],
        joining,
    );
}

/// How long the load lasts.
const LOADED: Duration = Duration::from_secs(3);
/// Between two plain requests, and between two queries (K1-LED-031, K1-LED-032).
const REQUEST_PERIOD: Duration = Duration::from_millis(50);
const QUERY_PERIOD: Duration = Duration::from_millis(100);

/// A browser that reloads the page 20 times a second; every request is answered, so the load is one.
async fn http_load(mut console: Console, leds: Leds, net: Net, clock: Clock) -> Outcome {
    play(&mut console, &leds, &net).await?;
    let begun = clock.now();
    let mut waiting = Vec::new();
    while clock.now().since(begun) < LOADED {
        let due = clock.now() + REQUEST_PERIOD;
        let tcp = http::connect(&net).await?;
        tcp.send(&http::get("/"))?;
        waiting.push(tcp);
        clock.sleep_until(due).await;
    }
    let requests = waiting.len();
    let ended = clock.now();
    for mut tcp in waiting {
        let (_, reply) = http::reply(&mut tcp, ended + http::REPLY_LIMIT).await;
        if reply.status.is_none() {
            return Err(ProductError(format!("one of {requests} plain requests got {reply}")).into());
        }
    }
    judged("K1-LED-031", leds.recorded(begun, ended).await?)
}

/// Somebody who looks for the device 10 times a second in the network that both are in.
async fn mdns_load(mut console: Console, leds: Leds, net: Net, mut air: Air, clock: Clock) -> Outcome {
    play(&mut console, &leds, &net).await?;
    wifi::join(&net, &mut air, &wifi::home()).await?;
    let mut endpoint = wifi::endpoint(&air.net())?;
    let query = wifi::question(wifi::PRISM, Kind::Pointer)?;
    let begun = clock.now();
    while clock.now().since(begun) < LOADED {
        endpoint.send(&query)?;
        clock.sleep_until(clock.now() + QUERY_PERIOD).await;
    }
    let ended = clock.now();
    let mut answers = 0;
    while let Some((_, bytes)) = endpoint.receive(ended).await {
        answers += usize::from(Message::parse(&bytes).is_ok_and(|message| message.is_response));
    }
    // Answers may be merged (RFC 6762, 6.4), but a device that gives none has no work.
    if answers == 0 {
        return Err(ProductError("the device answered none of the queries".to_owned()).into());
    }
    judged("K1-LED-032", leds.recorded(begun, ended).await?)
}

/// From the form to the address, and a second longer.
async fn joining(mut console: Console, leds: Leds, net: Net, mut air: Air, clock: Clock) -> Outcome {
    play(&mut console, &leds, &net).await?;
    let begun = clock.now();
    wifi::join(&net, &mut air, &wifi::home()).await?;
    let ended = clock.now() + Duration::from_secs(1);
    clock.sleep_until(ended).await;
    judged("K1-LED-035", leds.recorded(begun, ended).await?)
}

/// The intervals of each lane; and no burst may be malformed.
fn judged(id: &str, recording: Recording) -> Result<Findings, Blame> {
    let evidence = Evidence::of(recording)?;
    let mut findings = Findings::new();
    measured_lanes(&mut findings, id, &evidence, |lane| lane)?;
    let (malformed, unclear) = malformed_bursts(&evidence, false)?;
    let wrong = malformed.iter().filter(|&&wrong| wrong > 0.0).count();
    if wrong > 0 {
        findings.observed(id, false, format!("{wrong} of {} frames are malformed", malformed.len()));
    } else if unclear > 0 {
        let reason = format!("the instrument is too coarse to judge {unclear} times of bursts");
        findings.unclear(id, Inconclusive(reason));
    }
    Ok(findings)
}
