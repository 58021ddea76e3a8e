//! Joining a network: after a start, after it was away, beside the access point.

use std::time::Duration;

use rigor_core::distribution::Distribution;
use rigor_core::event::AirEvent;
use rigor_core::unit::Amount;
use rigor_core::verdict::{Blame, ProductError};
use rigor_runner::case::Case;
use rigor_runner::need::{Air, Clock, Console, Flash, Leds, Net, Power};
use rigor_runner::{Findings, Outcome, Suite};

use super::{JOIN_LIMIT, hand_in, home, is_set_up, join, network, served, told};
use crate::tlv::Profile;
use crate::{http, kit, pattern};

pub(super) fn add_to(suite: &mut Suite) {
    suite
        .case("settings_kept", &["K1-WIF-001", "K1-WIF-004"], settings_kept)
        .case("serves_when_joined", &["K1-WIF-005", "K1-WIF-012"], serves_when_joined)
        .add(
            Case::new("keeps_reconnecting", &["K1-WIF-006", "K1-WIF-012"], keeps_reconnecting)
                .within(Duration::from_secs(900))
                .long(),
        )
        .case("open_network", &["K1-WIF-014"], open_network)
        .case("wrong_password", &["K1-WIF-015"], wrong_password);
}

/// The nvs partition (seed, section 2).
const NVS_ADDRESS: u32 = 0x9000;
const NVS_BYTES: u32 = 0x6000;
/// A device that means to join does so within this long after its start (our bound).
const BOOT_LIMIT: Duration = kit::START_LIMIT.saturating_add(JOIN_LIMIT);

/// The network is joined again after a power cycle, and is forgotten with the partition's contents:
/// so it is kept there.
async fn settings_kept(
    mut console: Console,
    net: Net,
    mut air: Air,
    power: Power,
    flash: Flash,
    clock: Clock,
) -> Outcome {
    kit::settled(&mut console).await?;
    join(&net, &mut air, &home()).await?;
    power.cycle(Duration::from_secs(1)).await?;
    let on = clock.now();
    let (joined, address) = air.joined(BOOT_LIMIT).await?;
    let mut findings = Findings::new();
    let took = Amount::from(joined.since(on));
    findings.observed("K1-WIF-001", true, format!("{address}, {took} after the supply came back"));
    power.off()?;
    flash.write(NVS_ADDRESS, &vec![0xFF; NVS_BYTES as usize])?;
    // What goes with the power is no sign of life.
    air.rest(clock.now() + Duration::from_secs(1)).await;
    power.on()?;
    let heard = air.rest(clock.now() + BOOT_LIMIT).await;
    let started = heard.iter().any(|(_, heard)| matches!(heard, AirEvent::Appeared(_)));
    let joined = heard.iter().any(|(_, heard)| *heard == AirEvent::Joined);
    let seen = match (started, joined) {
        (true, false) => "joined again after a restart, and not with an empty nvs partition",
        (true, true) => "joined with an empty nvs partition too: the settings are elsewhere",
        (false, _) => "did not start with an empty nvs partition",
    };
    findings.observed("K1-WIF-004", started && !joined, seen);
    Ok(findings)
}

/// The pattern that comes over the joined network.
const UPLOADED: u8 = 4;

async fn serves_when_joined(mut console: Console, net: Net, mut air: Air, leds: Leds) -> Outcome {
    kit::settled(&mut console).await?;
    join(&net, &mut air, &home()).await?;
    let over_there = air.net();
    kit::upload_once(&over_there, Profile::N, "", &pattern::numbered(UPLOADED, 2)).await?;
    leds.expect("the pattern", kit::ANSWER_LIMIT, |shown| pattern::recognise(UPLOADED, shown).is_some())
        .await?;
    let mut findings = Findings::new();
    findings.observed("K1-WIF-005", true, "an upload over the joined network is on the strip");
    findings.extend(access_point_serves(&net, &air, "joined").await?);
    Ok(findings)
}

/// Whether the access point is there, and who comes by it is served.
async fn access_point_serves(net: &Net, air: &Air, when: &str) -> Result<Findings, Blame> {
    let mut findings = Findings::new();
    if is_set_up(air) {
        let mut client = kit::open(net, Profile::F).await?;
        let (holds, seen) = match served(&mut client).await? {
            Ok(()) => (true, format!("{when}: served")),
            Err(came) => (false, format!("{when}: a client of the access point found: {came}")),
        };
        findings.observed("K1-WIF-012", holds, seen);
    } else {
        findings.observed("K1-WIF-012", false, format!("{when}: on the air was {}", told(&air.heard())));
    }
    Ok(findings)
}

/// How long the network is away.
const AWAY: Duration = Duration::from_secs(600);

async fn keeps_reconnecting(mut console: Console, net: Net, mut air: Air, clock: Clock) -> Outcome {
    kit::settled(&mut console).await?;
    join(&net, &mut air, &home()).await?;
    air.take_down()?;
    let mut findings = Findings::new();
    let back = clock.now() + AWAY;
    if let Some((at, heard)) = air.rest(back).await.into_iter().find(|(_, heard)| *heard == AirEvent::Joined)
    {
        return Err(ProductError(format!("{heard:?} at {at}, without a network")).into());
    }
    findings.extend(access_point_serves(&net, &air, "while the network is away").await?);
    let back = clock.now();
    air.put_up(&home())?;
    // Twice the limit, so that a late one has its figure.
    let (joined, _) = air.joined(Duration::from_secs(120)).await?;
    findings.measured("K1-WIF-006", Distribution::of_durations([joined.since(back)])?);
    Ok(findings)
}

async fn open_network(mut console: Console, net: Net, mut air: Air) -> Outcome {
    kit::settled(&mut console).await?;
    let (_, address) = join(&net, &mut air, &network("rigor-open", None)).await?;
    // That the link carries something is more than an address.
    let page = http::exchange(&air.net(), &http::get("/")).await?;
    let mut findings = Findings::new();
    findings.observed("K1-WIF-014", page.status.is_some(), format!("{address}, and there {page}"));
    Ok(findings)
}

async fn wrong_password(mut console: Console, net: Net, mut air: Air, clock: Clock) -> Outcome {
    kit::settled(&mut console).await?;
    air.put_up(&home())?;
    hand_in(&net, &network(&home().ssid, Some("wrong horse"))).await?;
    let heard = air.rest(clock.now() + JOIN_LIMIT).await;
    if heard.iter().any(|(_, heard)| *heard == AirEvent::Joined) {
        return Err(ProductError("joined a network with a wrong password".to_owned()).into());
    }
    let corrected = clock.now();
    hand_in(&net, &home()).await?;
    let (joined, _) = air.joined(JOIN_LIMIT).await?;
    let mut findings = Findings::new();
    findings.measured("K1-WIF-015", Distribution::of_durations([joined.since(corrected)])?);
    Ok(findings)
}
