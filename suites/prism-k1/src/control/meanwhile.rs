//! What happens to a pattern while it plays, or is about to: it is replaced, deleted, stopped.

use std::time::Duration;

use rigor_core::distribution::Distribution;
use rigor_core::unit::Unit;
use rigor_core::verdict::Blame;
use rigor_runner::need::{Clock, Console, Leds, Net, Picture};
use rigor_runner::{Findings, Outcome, Suite};

use crate::kit::{self, obeyed};
use crate::p11;
use crate::pattern::{self, MAX_FILE_BYTES, MAX_FRAMES, PIXELS};
use crate::tlv::{Profile, request};

pub(super) fn add_to(suite: &mut Suite) {
    suite.case("file_changes_while_played", &["K1-CTL-026"], file_changes_while_played).case(
        "stop_while_starting",
        &["K1-CTL-027"],
        stop_while_starting,
    );
}

/// The pattern that plays: its old version, its new one, and what is stored besides.
const OLD: u8 = 3;
const NEW: u8 = 4;
const BESIDE: u8 = 5;
/// Files of the largest size that fit the storage beside one that plays.
const FILL: usize = 3;
/// A change of the file is on the strip within this long (our bound: what was read ahead, and as much
/// again).
const TAKEN_UP: Duration = Duration::from_secs(1);
/// How long the strip is watched after the last change: a pattern of the largest size comes round.
const WATCHED: Duration = Duration::from_millis(2_500);

/// The file that plays is replaced, and then deleted. Whoever goes on reading where it was shows what
/// is written there next.
async fn file_changes_while_played(mut console: Console, net: Net, leds: Leds) -> Outcome {
    kit::settled(&mut console).await?;
    kit::upload_once(&net, Profile::F, "played", &pattern::numbered(OLD, MAX_FRAMES)).await?;
    let mut socket = kit::open(&net, Profile::F).await?;
    obeyed(&mut socket, "PLAY", &request::play("played")).await?;
    let is_old = |picture: &Picture| pattern::recognise(OLD, picture).is_some();
    let is_new = |picture: &Picture| pattern::recognise(NEW, picture).is_some();
    let lit = leds.expect("what PLAY names", kit::ANSWER_LIMIT, is_old).await?.start();

    kit::upload(&mut socket, Profile::F, "played", &pattern::numbered(NEW, MAX_FRAMES)).await?;
    let stopped = socket.tcp.now();
    // Asked for at once, while the device has only just taken the new one up, it begins all the same.
    kit::send_all(&socket, &[request::stop(), request::play("played")])?;
    for _ in 0..2 {
        let deadline = socket.tcp.now() + kit::ANSWER_LIMIT;
        kit::answer(&mut socket, deadline).await;
    }
    let again = leds.expect("its new version", kit::ANSWER_LIMIT, is_new).await?.start();
    overwrite(&net).await?;
    let replaced = leds.record(WATCHED).await?.until;
    let mut socket = kit::open(&net, Profile::F).await?;
    let deleted = obeyed(&mut socket, "DELETE", &request::delete("played")).await?;
    socket.tcp.finish()?;
    kit::upload_once(&net, Profile::F, "beside-again", &pattern::numbered(BESIDE, MAX_FRAMES)).await?;
    let until = leds.record(WATCHED).await?.until;

    let is_version = |picture: &Picture| is_old(picture) || is_new(picture);
    let mut strange: Vec<f64> = Vec::new();
    for (from, until, shown) in [
        (lit, stopped, &is_version as &dyn Fn(&Picture) -> bool),
        (again, replaced, &is_new),
        (deleted + TAKEN_UP, until, &Picture::is_black),
    ] {
        let pictures = leds.recorded(from, until).await?.pictures();
        strange.extend(pictures.iter().map(|picture| f64::from(u8::from(!shown(picture)))));
    }
    let mut findings = Findings::new();
    findings.measured("K1-CTL-026", Distribution::new(Unit::Frames, [strange.iter().sum()])?);
    Ok(findings)
}

/// Writes so much that no block of the storage keeps what it held.
async fn overwrite(net: &Net) -> Result<(), Blame> {
    for number in 0..FILL {
        let name = format!("beside-{number}");
        kit::upload_once(net, Profile::F, &name, &pattern::numbered(BESIDE, MAX_FRAMES)).await?;
    }
    Ok(())
}

/// More often than a device could keep frames, clients or blocks for (our choice).
const STOPS: u32 = 60;
/// How long after the PLAY its STOP is sent: at first while the file is still looked at, later when it
/// has begun.
const LATER: Duration = Duration::from_micros(700);

/// One client has a large pattern played, another one has it stopped at once, time after time.
async fn stop_while_starting(mut console: Console, net: Net, leds: Leds, clock: Clock) -> Outcome {
    kit::settled(&mut console).await?;
    let colour = [9, 8, 7];
    // A raw segment takes 163 bytes.
    let segments: Vec<(u8, Vec<u8>)> =
        (0..(MAX_FILE_BYTES - 100) / 163).map(|_| (0, vec![0; p11::FRAME_PIXELS])).collect();
    let file = p11::packaged(p11::RATE, &[colour, [0, 0, 1]], &segments);
    kit::upload_once(&net, Profile::F, "large", &file).await?;
    let mut lit = Vec::new();
    for turn in 0..STOPS {
        let mut player = kit::open(&net, Profile::F).await?;
        let mut stopper = kit::open(&net, Profile::F).await?;
        player.send_binary(&request::play("large"))?;
        clock.sleep(LATER * turn).await;
        let stopped = obeyed(&mut stopper, "STOP", &request::stop()).await?;
        // Whether the PLAY was carried out before is its own business.
        kit::answer(&mut player, clock.now() + kit::ANSWER_LIMIT).await;
        player.tcp.reset()?;
        stopper.tcp.reset()?;
        let from = stopped + Duration::from_millis(50);
        let pictures = leds.recorded(from, from + Duration::from_millis(50)).await?.pictures();
        let black = !pictures.is_empty() && pictures.iter().all(Picture::is_black);
        lit.push(f64::from(u8::from(!black)));
    }
    let mut socket = kit::open(&net, Profile::F).await?;
    obeyed(&mut socket, "PLAY", &request::play("large")).await?;
    socket.tcp.finish()?;
    let shows = |picture: &Picture| picture.rgb_bytes() == colour.repeat(PIXELS);
    leds.expect("the pattern after all", kit::ANSWER_LIMIT, shows).await?;
    let mut findings = Findings::new();
    findings.measured("K1-CTL-027", Distribution::new(Unit::Count, [lit.iter().sum()])?);
    Ok(findings)
}
