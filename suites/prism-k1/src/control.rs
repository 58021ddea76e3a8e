//! Cases of group K1-CTL, and K1-LED-012: what the control messages of profile f do.
//!
//! What an answer promises is looked for on the strip's wires and on the flash chip. Here are PLAY,
//! STOP, DELETE and STATUS; [`effects`] has brightness and gamma, [`ramps`] their way from one value
//! to the next, [`names`] what patterns are called, [`switching`] templates and how soon a pattern
//! shows, [`meanwhile`] what happens to a pattern while it plays, [`messages`] malformed requests and
//! the answers' contents.

mod effects;
mod meanwhile;
mod messages;
mod names;
mod ramps;
mod switching;

use std::time::Duration;

use rigor_core::distribution::Distribution;
use rigor_core::unit::Unit;
use rigor_core::verdict::Blame;
use rigor_runner::need::{Console, Device, Leds, Net, Picture};
use rigor_runner::{Findings, Outcome, Suite};

use crate::kit::{self, Answer, LITTLEFS_BYTES, Storage, obeyed, told};
use crate::pattern::PIXELS;
use crate::rows::Rows;
use crate::tlv::{Profile, Reply, request};
use crate::{p11, pattern, status};

pub(crate) fn add_to(suite: &mut Suite) {
    suite
        .case("play_missing", &["K1-CTL-001"], play_missing)
        .case("pause_and_resume", &["K1-CTL-002", "K1-CTL-003"], pause_and_resume)
        .case("play_starts", &["K1-CTL-017"], play_starts)
        .case("black_after_stop", &["K1-LED-012"], black_after_stop)
        .case("delete", &["K1-CTL-012"], delete)
        .case("status_reply", &["K1-CTL-018"], status_reply);
    effects::add_to(suite);
    ramps::add_to(suite);
    names::add_to(suite);
    switching::add_to(suite);
    messages::add_to(suite);
    meanwhile::add_to(suite);
}

/// The raw pattern that plays at first.
const PLAYING: u8 = 3;
/// The colour of the packaged pattern that is to play after it.
const COLOUR: [u8; 3] = [10, 200, 90];
/// How long the strip is watched for what must not happen.
const WATCHED: Duration = Duration::from_secs(1);

fn shows_colour(picture: &Picture) -> bool {
    picture.rgb_bytes() == COLOUR.repeat(PIXELS)
}

/// Names that nobody stored, each on a connection of its own: the device may close after an ERROR.
async fn play_missing(mut console: Console, net: Net) -> Outcome {
    kit::settled(&mut console).await?;
    kit::upload_once(&net, Profile::F, "stored", &p11::solid(COLOUR)).await?;
    let mut findings = Findings::new();
    let mut codes = Vec::new();
    let longest = "x".repeat(63);
    for name in ["missing", "store", "stored2", &longest] {
        let mut socket = kit::open(&net, Profile::F).await?;
        match told(&mut socket, &request::play(name)).await?.1 {
            Answer::Reply(Reply::Error { code, .. }) => codes.push(f64::from(code)),
            other => {
                findings.observed("K1-CTL-001", false, format!("`{name}` was answered with {other}"));
            }
        }
        socket.tcp.finish()?;
    }
    if !codes.is_empty() {
        findings.measured("K1-CTL-001", Distribution::new(Unit::Count, codes)?);
    }
    Ok(findings)
}

/// While something plays and while nothing does.
async fn pause_and_resume(mut console: Console, net: Net, device: Device) -> Outcome {
    const PAUSE: &[u8] = &[0x03];
    const RESUME: &[u8] = &[0x04];
    let begun = kit::settled(&mut console).await?;
    let mut findings = Findings::new();
    for (id, message) in [("K1-CTL-002", PAUSE), ("K1-CTL-003", RESUME)] {
        let mut rows = Rows::default();
        for plays in [true, false] {
            if plays {
                kit::upload_once(&net, Profile::N, "", &pattern::numbered(PLAYING, 4)).await?;
            } else {
                let mut socket = kit::open(&net, Profile::F).await?;
                obeyed(&mut socket, "STOP", &request::stop()).await?;
                socket.tcp.finish()?;
            }
            let mut socket = kit::open(&net, Profile::F).await?;
            let answer = told(&mut socket, &request::control(message)).await?.1;
            socket.tcp.finish()?;
            let mut next = kit::open(&net, Profile::F).await?;
            status::ask(&mut next).await?;
            next.tcp.finish()?;
            let row = if plays { "while a pattern plays" } else { "after STOP" };
            match (&answer, device.starts_since(begun)) {
                (_, starts @ 1..) => rows.bad(row, format!("restarts: {starts}")),
                (Answer::Reply(Reply::Error { code, .. }), 0) => {
                    rows.good(format!("refused with ERROR {code}"));
                }
                (Answer::Closed, 0) => rows.good("refused by closing"),
                (other, 0) => rows.bad(row, format!("answered with {other}")),
            }
        }
        rows.decide(id, &mut findings)?;
    }
    Ok(findings)
}

/// An upload in profile f while something else plays, and then the PLAY of it.
async fn play_starts(mut console: Console, net: Net, leds: Leds) -> Outcome {
    kit::settled(&mut console).await?;
    kit::upload_once(&net, Profile::N, "", &pattern::numbered(PLAYING, 4)).await?;
    let is_playing = |picture: &Picture| pattern::recognise(PLAYING, picture).is_some();
    leds.expect("the uploaded pattern", kit::ANSWER_LIMIT, is_playing).await?;
    let mut socket = kit::open(&net, Profile::F).await?;
    let uploaded = kit::upload(&mut socket, Profile::F, "later", &p11::solid(COLOUR)).await?;
    let until = leds.record(WATCHED).await?.until;
    let pictures = leds.recorded(uploaded.begun, until).await?.pictures();
    let strange = pictures.iter().filter(|picture| !is_playing(picture)).count();
    obeyed(&mut socket, "PLAY", &request::play("later")).await?;
    let starts = match leds.expect("what PLAY names", kit::ANSWER_LIMIT, shows_colour).await {
        Ok(_) => true,
        Err(Blame::Product(_)) => false,
        Err(other) => return Err(other),
    };
    let mut findings = Findings::new();
    let seen = match (strange, starts) {
        (0, true) => "the old pattern until PLAY, then the new one".to_owned(),
        (0, false) => "PLAY was obeyed, and its pattern is not shown".to_owned(),
        _ => format!("without a PLAY, frames that changed: {strange} of {}", pictures.len()),
    };
    findings.observed("K1-CTL-017", strange == 0 && starts && !pictures.is_empty(), seen);
    Ok(findings)
}

/// STOP while a raw and while a packaged pattern plays. Once the strip is black it stays so, whether
/// further frames come or none: pixels hold what they have.
async fn black_after_stop(mut console: Console, net: Net, leds: Leds) -> Outcome {
    kit::settled(&mut console).await?;
    kit::upload_once(&net, Profile::F, "colour", &p11::solid(COLOUR)).await?;
    kit::upload_once(&net, Profile::N, "", &pattern::numbered(PLAYING, 4)).await?;
    let mut findings = Findings::new();
    let mut lit = Vec::new();
    for packaged in [false, true] {
        let mut socket = kit::open(&net, Profile::F).await?;
        if packaged {
            obeyed(&mut socket, "PLAY", &request::play("colour")).await?;
        }
        leds.expect("a pattern", kit::ANSWER_LIMIT, |picture| !picture.is_black()).await?;
        obeyed(&mut socket, "STOP", &request::stop()).await?;
        match leds.expect("black after STOP", kit::ANSWER_LIMIT, Picture::is_black).await {
            Ok(_) => lit.push(0.0),
            Err(Blame::Product(_)) => {
                findings.observed("K1-LED-012", false, "STOP was obeyed, and the strip did not turn black");
            }
            Err(other) => return Err(other),
        }
        let pictures = leds.record(WATCHED).await?.pictures();
        lit.extend(pictures.iter().map(|picture| {
            picture.rgb_bytes().chunks(3).filter(|pixel| pixel.iter().any(|&byte| byte != 0)).count() as f64
        }));
        socket.tcp.finish()?;
    }
    if !lit.is_empty() {
        findings.measured("K1-LED-012", Distribution::new(Unit::Pixels, lit)?);
    }
    Ok(findings)
}

/// One of three patterns is deleted while another one plays: its file goes, the others stay, what
/// plays goes on, and it cannot be played.
async fn delete(mut console: Console, net: Net, leds: Leds, storage: Storage) -> Outcome {
    kit::settled(&mut console).await?;
    for (series, name) in (PLAYING..).zip(["first", "second", "third"]) {
        kit::upload_once(&net, Profile::F, name, &pattern::numbered(series, 5)).await?;
    }
    let before = storage.files().await?;
    let doomed = pattern::numbered(PLAYING + 1, 5);
    let mut socket = kit::open(&net, Profile::F).await?;
    obeyed(&mut socket, "PLAY", &request::play("first")).await?;
    let is_playing = |picture: &Picture| pattern::recognise(PLAYING, picture).is_some();
    leds.expect("what PLAY names", kit::ANSWER_LIMIT, is_playing).await?;
    let mut findings = Findings::new();
    let (answered, answer) = told(&mut socket, &request::delete("second")).await?;
    let until = leds.record(WATCHED / 2).await?.until;
    let beside = leds.recorded(answered, until).await?.pictures();
    let play = told(&mut socket, &request::play("second")).await?.1;
    socket.tcp.finish()?;
    let after = storage.files().await?;
    let kept = before.iter().filter(|(_, bytes)| **bytes != doomed);
    let wrong = match (&answer, &play) {
        (Answer::Reply(Reply::Status(_)), _) if after.values().any(|bytes| *bytes == doomed) => {
            Some("acknowledged, and the file is still there".to_owned())
        }
        (Answer::Reply(Reply::Status(_)), _) if !kept.eq(after.iter()) => {
            Some("another file has changed".to_owned())
        }
        (Answer::Reply(Reply::Status(_)), _) if beside.is_empty() || !beside.iter().all(is_playing) => {
            Some("what played is not shown any more".to_owned())
        }
        (Answer::Reply(Reply::Status(_)), Answer::Reply(Reply::Error { code: 5, .. })) => None,
        (Answer::Reply(Reply::Status(_)), other) => Some(format!("PLAY of it was answered with {other}")),
        (other, _) => Some(format!("it was answered with {other}")),
    };
    let gone = || "the file is gone, PLAY says ERROR 5, another one plays on".to_owned();
    findings.observed("K1-CTL-012", wrong.is_none(), wrong.unwrap_or_else(gone));
    Ok(findings)
}

/// Bytes of the file that makes the free space smaller.
const LOAD_BYTES: u32 = 100_000;

/// Before and after an upload, by whose size the free space has to shrink.
async fn status_reply(mut console: Console, net: Net) -> Outcome {
    kit::settled(&mut console).await?;
    let mut socket = kit::open(&net, Profile::F).await?;
    let before = status::ask(&mut socket).await?;
    let file = pattern::file(1, LOAD_BYTES as usize);
    kit::upload(&mut socket, Profile::F, "load", &file).await?;
    let after = status::ask(&mut socket).await?;
    socket.tcp.finish()?;
    let mut wrong = Vec::new();
    for status in [&before, &after] {
        if status.version.trim_start_matches('v') != "1.0.0" {
            wrong.push(format!("version {}", status.version));
        }
        if usize::from(status.leds) != PIXELS {
            wrong.push(format!("{} LEDs", status.leds));
        }
        if status.max_chunk != 4089 {
            wrong.push(format!("largest payload {}", status.max_chunk));
        }
        if status.templates.is_some_and(|templates| templates != 15) {
            wrong.push(format!("{} templates", status.templates.unwrap_or_default()));
        }
        if status.bytes_free == 0 || status.bytes_free >= LITTLEFS_BYTES {
            wrong.push(format!("{} bytes free", status.bytes_free));
        }
    }
    // A file takes whole blocks, and some for its entry: as much again is surely too much.
    let taken = before.bytes_free.saturating_sub(after.bytes_free);
    if !(LOAD_BYTES..2 * LOAD_BYTES).contains(&taken) {
        wrong.push(format!("{LOAD_BYTES} stored bytes made the free space {taken} smaller"));
    }
    let right = || format!("1.0.0, {} LEDs, {} bytes free", before.leds, before.bytes_free);
    let mut findings = Findings::new();
    findings.observed(
        "K1-CTL-018",
        wrong.is_empty(),
        if wrong.is_empty() { right() } else { wrong.join(", ") },
    );
    Ok(findings)
}
