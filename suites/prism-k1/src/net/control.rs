//! Control frames: ping and close.

use std::time::Duration;

use rigor_core::Instant;
use rigor_core::distribution::Distribution;
use rigor_decode::websocket::{ClientFrame, CloseCode, Opcode, ServerEvent};
use rigor_runner::need::{Console, Device, Heard, Leds, Net, WebSocket};
use rigor_runner::{Findings, Outcome, Suite};

use super::scene::{self, END_LIMIT, Reaction, Scene};
use crate::kit;
use crate::rows::Rows;
use crate::tlv::{Profile, request};

/// A pong that has not come after this long is not waited for.
const PONG_PATIENCE: Duration = Duration::from_secs(3);

pub(super) fn add_to(suite: &mut Suite) {
    suite.case("ping", &["K1-NET-009", "K1-NET-017"], ping).case(
        "close_handshake",
        &["K1-NET-024"],
        close_handshake,
    );
}

/// Pings of every kind that RFC 6455 allows on one connection, each followed by a request.
async fn ping(mut console: Console, net: Net) -> Outcome {
    kit::settled(&mut console).await?;
    let mut findings = Findings::new();
    let (mut answers, mut kept) = (Vec::new(), Rows::default());
    let payloads: [Vec<u8>; 7] = [
        Vec::new(),
        b"x".to_vec(),
        b"are you there?".to_vec(),
        vec![0; 4],
        vec![0xFF; 124],
        (0..125).collect(),
        // What would be a request if it were not a ping's payload.
        request::status(),
    ];
    for profile in Profile::ALL {
        let mut socket = kit::open(&net, profile).await?;
        for payload in &payloads {
            let row = format!("{} bytes ({})", payload.len(), profile.service());
            let sent = socket.tcp.now();
            socket.send(ClientFrame::ping(payload.clone()))?;
            match pong(&mut socket, sent + PONG_PATIENCE).await {
                Some((at, answer)) if answer == *payload => answers.push(at.since(sent)),
                other => {
                    let seen = other.map(|(_, answer)| format!("a pong with {answer:02x?}"));
                    let seen = seen.unwrap_or_else(|| format!("no pong within {PONG_PATIENCE:?}"));
                    findings.observed("K1-NET-009", false, format!("ping of {row}: {seen}"));
                }
            }
            match scene::serve(&mut socket, profile).await? {
                Ok(_) => kept.good("the next request on the connection is served"),
                Err(came) => {
                    kept.bad(&row, came);
                    socket.tcp.reset()?;
                    socket = scene::accepted(&net, profile, kit::ANSWER_LIMIT).await?.1;
                }
            }
        }
        scene::leave(socket).await?;
    }
    if !answers.is_empty() {
        findings.measured("K1-NET-009", Distribution::of_durations(answers)?);
    }
    kept.decide("K1-NET-017", &mut findings)?;
    Ok(findings)
}

/// The next pong before `deadline`.
async fn pong(socket: &mut WebSocket, deadline: Instant) -> Option<(Instant, Vec<u8>)> {
    while let Some((at, heard)) = socket.next(deadline).await {
        match heard {
            Heard::Said(ServerEvent::Frame(frame)) if frame.opcode == Opcode::PONG => {
                return Some((at, frame.payload.to_vec()));
            }
            Heard::Ended(_) => return None,
            Heard::Said(_) => {}
        }
    }
    None
}

/// Close frames with and without a reason, some of them malformed, each after a bait was laid and
/// followed by the bait's last message, which is too late.
async fn close_handshake(console: Console, net: Net, leds: Leds, device: Device) -> Outcome {
    let mut scene = Scene::set(console, net, leds, device).await?;
    let code = |code, reason| ClientFrame::close(CloseCode(code), reason);
    let frames = [
        ("no code", ClientFrame::new(Opcode::CLOSE, [])),
        ("1000", code(1000, "")),
        ("1000 with a reason", code(1000, "that is all")),
        ("1001", code(1001, "")),
        ("1002", code(1002, "")),
        ("1003", code(1003, "")),
        ("1007", code(1007, "")),
        ("1009", code(1009, "")),
        ("1011", code(1011, "")),
        ("3000", code(3000, "")),
        ("4999", code(4999, "")),
        ("the longest reason", code(1000, &"x".repeat(123))),
        ("half a code", ClientFrame::new(Opcode::CLOSE, [3])),
        ("a code that must not be sent", code(1006, "")),
        ("a code of nobody", code(0, "")),
    ];
    let mut findings = Findings::new();
    let (mut answers, mut rows) = (Vec::new(), Rows::default());
    for profile in Profile::ALL {
        scene.turn_to(profile).await?;
        for (row, frame) in &frames {
            let mut socket = scene.baiter().await?;
            let sent = scene.now();
            socket.send(frame.clone())?;
            socket.send_binary(&scene.trigger())?;
            let seen = Reaction::until(&mut socket, sent + END_LIMIT).await;
            answers.extend(seen.close.as_ref().map(|(at, _)| at.since(sent)));
            let row = format!("{row} ({})", profile.service());
            match scene.disturbed(sent).await? {
                Some(disturbed) => rows.bad(&row, disturbed),
                None if seen.status => rows.bad(&row, format!("obeyed what came after the Close: {seen}")),
                None if seen.close.is_none() => rows.bad(&row, format!("no Close in answer: {seen}")),
                None if seen.ended.is_none() => rows.bad(&row, format!("{seen} after {END_LIMIT:?}")),
                None => rows.good("Close in answer, then the end"),
            }
            scene::dismiss(socket, &seen)?;
        }
        scene.bait_works().await?;
    }
    rows.veto("K1-NET-024", &mut findings);
    if !answers.is_empty() {
        findings.measured("K1-NET-024", Distribution::of_durations(answers)?);
    }
    Ok(findings)
}
