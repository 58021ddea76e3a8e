//! Control messages that are not as the protocol has them, and what answers say.

use std::time::Duration;

use rigor_core::verdict::ProductError;
use rigor_runner::need::{Console, Device, Leds, Net, Picture};
use rigor_runner::{Findings, Outcome, Suite};

use crate::kit::{self, Answer, told};
use crate::rows::Rows;
use crate::tlv::{Profile, Reply, request, tlv_f};
use crate::{p11, pattern, status};

pub(super) fn add_to(suite: &mut Suite) {
    suite
        .case("malformed_controls", &["K1-CTL-021"], malformed_controls)
        .case("unknown_template", &["K1-CTL-023"], unknown_template)
        .case("control_answers", &["K1-CTL-022"], control_answers);
}

/// The raw pattern that plays.
const PLAYING: u8 = 3;

fn is_playing(picture: &Picture) -> bool {
    pattern::recognise(PLAYING, picture).is_some()
}

/// What is wrong, and the message. `dark` is the name of a stored black pattern: a device that obeys
/// one of these messages shows it on the wires.
fn malformed() -> Vec<(&'static str, Vec<u8>)> {
    let control = request::control;
    let name = |sub: u8, length: u8, name: &[u8]| control(&[&[sub, length], name].concat());
    vec![
        ("no sub-command", control(&[])),
        ("sub-command 0", control(&[0x00])),
        ("sub-command 0x13", control(&[0x13])),
        ("sub-command 0xFF", control(&[0xFF, 0, 0, 0])),
        ("PLAY without a length", control(&[0x01])),
        ("PLAY of no name", name(0x01, 0, b"")),
        ("PLAY with a length too small", name(0x01, 3, b"dark")),
        ("PLAY with a length too large", name(0x01, 5, b"dark")),
        ("PLAY with a byte too many", name(0x01, 4, b"dark\0")),
        ("PLAY of 64 letters", name(0x01, 64, &[b'x'; 64])),
        ("BRIGHTNESS of 3 bytes", control(&[0x10, 0, 0])),
        ("BRIGHTNESS of 5 bytes", control(&[0x10, 0, 0, 0, 0])),
        ("BRIGHTNESS alone", control(&[0x10])),
        ("GAMMA of 4 bytes", control(&[0x11, 1, 44, 0])),
        ("GAMMA of 6 bytes", control(&[0x11, 1, 44, 0, 0, 0])),
        ("DEPLOY of no id", name(0x12, 0, b"")),
        ("DEPLOY with a length too large", name(0x12, 10, b"flow-fall")),
        ("DELETE of no name", tlv_f(0x21, b"")),
        ("DELETE of 65 letters", tlv_f(0x21, &[b'x'; 65])),
    ]
}

/// Each on a connection of its own, while a pattern plays.
async fn malformed_controls(mut console: Console, net: Net, leds: Leds, device: Device) -> Outcome {
    let begun = kit::settled(&mut console).await?;
    kit::upload_once(&net, Profile::F, "dark", &p11::solid([0; 3])).await?;
    kit::upload_once(&net, Profile::N, "", &pattern::numbered(PLAYING, 4)).await?;
    leds.expect("the uploaded pattern", kit::ANSWER_LIMIT, is_playing).await?;
    let mut rows = Rows::default();
    for (row, message) in malformed() {
        let mut socket = kit::open(&net, Profile::F).await?;
        let answer = told(&mut socket, &message).await?.1;
        socket.tcp.finish()?;
        let pictures = leds.record(Duration::from_millis(30)).await?.pictures();
        let changed = pictures.iter().filter(|picture| !is_playing(picture)).count();
        match (&answer, device.starts_since(begun)) {
            (_, starts @ 1..) => rows.bad(row, format!("restarts: {starts}")),
            (Answer::Silence | Answer::Reply(Reply::Status(_) | Reply::Malformed(_)), 0) => {
                rows.bad(row, format!("answered with {answer}"));
            }
            _ if pictures.is_empty() || changed > 0 => {
                rows.bad(row, format!("frames that changed: {changed} of {}", pictures.len()));
                break;
            }
            (Answer::Reply(Reply::Error { .. }), 0) => rows.good("refused with an ERROR"),
            (Answer::Closed, 0) => rows.good("refused by closing"),
        }
    }
    let mut socket = kit::open(&net, Profile::F).await?;
    status::ask(&mut socket).await?;
    let mut findings = Findings::new();
    rows.decide("K1-CTL-021", &mut findings)?;
    Ok(findings)
}

/// Ids that no template has, while a pattern plays.
async fn unknown_template(mut console: Console, net: Net, leds: Leds) -> Outcome {
    kit::settled(&mut console).await?;
    kit::upload_once(&net, Profile::N, "", &pattern::numbered(PLAYING, 4)).await?;
    leds.expect("the uploaded pattern", kit::ANSWER_LIMIT, is_playing).await?;
    kit::upload_once(&net, Profile::F, "stored", &p11::solid([0; 3])).await?;
    let mut rows = Rows::default();
    let longest = "x".repeat(63);
    for id in ["missing", "flow", "flow-fall2", "stored", "../patterns/stored", &longest] {
        let mut socket = kit::open(&net, Profile::F).await?;
        let answer = told(&mut socket, &request::deploy(id)).await?.1;
        socket.tcp.finish()?;
        let pictures = leds.record(Duration::from_millis(50)).await?.pictures();
        let changed = pictures.iter().filter(|picture| !is_playing(picture)).count();
        let row = format!("`{id}`");
        match answer {
            _ if pictures.is_empty() || changed > 0 => {
                rows.bad(&row, format!("frames that changed: {changed} of {}", pictures.len()));
            }
            Answer::Reply(Reply::Error { code: 5, .. }) => rows.good("refused with ERROR 5"),
            other => rows.bad(&row, format!("answered with {other}")),
        }
    }
    let mut findings = Findings::new();
    rows.decide("K1-CTL-023", &mut findings)?;
    Ok(findings)
}

/// What the answers to requests that went well say.
async fn control_answers(mut console: Console, net: Net) -> Outcome {
    kit::settled(&mut console).await?;
    let mut socket = kit::open(&net, Profile::F).await?;
    kit::upload(&mut socket, Profile::F, "Answer.bin", &p11::solid([1, 2, 3])).await?;
    let mut rows = Rows::default();
    for (row, message, says) in [
        ("PLAY", request::play("Answer.bin"), "answerbin"),
        ("DEPLOY_TEMPLATE", request::deploy("flow-fall"), "flow-fall"),
        ("BRIGHTNESS", request::brightness(128, 500), "brightness=128 dur_ms=500"),
        ("GAMMA", request::gamma(220, 500), "gamma_x100=220 dur_ms=500"),
        ("STOP", request::stop(), ""),
        ("DELETE", request::delete("answerbin"), "answerbin"),
    ] {
        match told(&mut socket, &message).await?.1 {
            Answer::Reply(Reply::Status(payload)) => {
                let holds = payload == [b"\0", says.as_bytes()].concat();
                let seen = || format!("says {:?}", String::from_utf8_lossy(&payload));
                rows.note(holds, row, if holds { "as specified".to_owned() } else { seen() });
            }
            other => {
                return Err(ProductError(format!("{row} was answered with {other}")).into());
            }
        }
    }
    let mut findings = Findings::new();
    rows.decide("K1-CTL-022", &mut findings)?;
    Ok(findings)
}
