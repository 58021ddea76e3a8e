//! Messages: how long they may be, what they may be, and whether they come in pieces.

use std::collections::BTreeMap;
use std::time::Duration;

use rigor_core::distribution::Distribution;
use rigor_core::unit::Unit;
use rigor_core::verdict::Blame;
use rigor_decode::websocket::{ClientFrame, Opcode};
use rigor_runner::need::{Console, Device, Leds, Net, WebSocket};
use rigor_runner::{Findings, Outcome, Suite};

use super::scene::{self, END_LIMIT, Reaction, Scene};
use crate::kit::{self, Answer, Storage};
use crate::pattern;
use crate::rows::Rows;
use crate::tlv::{Profile, Reply, crc32, request};

pub(super) fn add_to(suite: &mut Suite) {
    suite
        .case("full_message", &["K1-NET-006"], full_message)
        .case("oversize", &["K1-NET-007", "K1-NET-016"], oversize)
        .case("text", &["K1-NET-008"], text)
        .case("fragments", &["K1-NET-010"], fragments)
        .case("empty_message", &["K1-NET-025"], empty_message);
}

/// A file that a single DATA message of `message` bytes carries.
fn file_for(profile: Profile, message: usize, series: u8) -> Vec<u8> {
    pattern::file(series, message - (4096 - profile.chunk()))
}

/// BEGIN, one DATA message that holds all of `file`, and END.
fn in_one_message(profile: Profile, file: &[u8]) -> [Vec<u8>; 3] {
    let crc = crc32(file);
    [profile.begin("single", file.len() as u32, crc), profile.data(0, file), profile.end(crc)]
}

/// Whether one of these files is among the stored ones.
fn is_stored(stored: &BTreeMap<String, Vec<u8>>, files: &[&[u8]]) -> bool {
    stored.values().any(|stored| files.contains(&stored.as_slice()))
}

/// How a long message reaches the device.
#[derive(Clone, Copy)]
enum Delivery {
    /// In one go.
    AtOnce,
    /// In pieces with pauses between them, cut inside the frame's header too.
    InPieces,
}

/// The longest message that is accepted, stored and found on the flash chip.
async fn full_message(mut console: Console, net: Net, storage: Storage) -> Outcome {
    kit::settled(&mut console).await?;
    let mut largest = Vec::new();
    for profile in Profile::ALL {
        for (series, delivery) in [(2, Delivery::AtOnce), (3, Delivery::InPieces)] {
            let mut accepted = 0;
            for size in [4094, 4095, 4096] {
                let file = file_for(profile, size, series);
                let mut socket = kit::open(&net, profile).await?;
                let [begin, data, end] = in_one_message(profile, &file);
                deliver(&socket, begin, delivery).await?;
                deliver(&socket, data, delivery).await?;
                kit::quiet(&mut socket).await;
                deliver(&socket, end, delivery).await?;
                let limit = socket.tcp.now() + kit::COMMIT_LIMIT;
                let (_, answer) = kit::answer(&mut socket, limit).await;
                scene::leave(socket).await?;
                // What the shorter ones come to shows on the chip when the longest does.
                let shows = size < 4096 || is_stored(&storage.files().await?, &[&file]);
                if matches!(answer, Answer::Reply(Reply::Status(_))) && shows {
                    accepted = size;
                }
            }
            largest.push(accepted as f64);
        }
    }
    let mut findings = Findings::new();
    findings.measured("K1-NET-006", Distribution::new(Unit::Bytes, largest)?);
    Ok(findings)
}

async fn deliver(socket: &WebSocket, message: Vec<u8>, delivery: Delivery) -> Result<(), Blame> {
    match delivery {
        Delivery::AtOnce => socket.send_binary(&message),
        Delivery::InPieces => {
            let bytes = ClientFrame::binary(message).masked(*b"mask").encode();
            let (head, rest) = bytes.split_at(3);
            for piece in std::iter::once(head).chain(rest.chunks(1000)) {
                socket.tcp.send(piece)?;
                socket.sleep_until(socket.tcp.now() + Duration::from_millis(20)).await;
            }
            Ok(())
        }
    }
}

/// Messages that are too long, by name: how long, and the DATA message. Each is valid but for its
/// size; one is valid if its last byte is cut off.
fn too_long(profile: Profile, files: &[Vec<u8>]) -> Vec<(String, f64, Vec<u8>)> {
    let mut rows: Vec<_> = files.iter().map(|file| profile.data(0, file)).collect();
    let mut one_more = profile.data(0, &file_for(profile, 4096, 4));
    one_more.push(0);
    rows.push(one_more);
    rows.into_iter()
        .map(|message| {
            (format!("{} bytes ({})", message.len(), profile.service()), message.len() as f64, message)
        })
        .collect()
}

/// Messages around and far above the limit. A new client knocks at once after each: both places are
/// taken until the device has refused.
async fn oversize(console: Console, net: Net, leds: Leds, device: Device, storage: Storage) -> Outcome {
    let mut scene = Scene::set(console, net, leds, device).await?;
    let mut findings = Findings::new();
    let (mut smallest, mut alive, mut until_served) = (Vec::new(), Rows::default(), Vec::new());
    for profile in Profile::ALL {
        scene.turn_to(profile).await?;
        let files = [65_536, 65_535, 8192, 5000, 4098, 4097].map(|size| file_for(profile, size, 4));
        let mut refused = Vec::new();
        for (row, size, message) in too_long(profile, &files) {
            let (_, mut socket) = scene::accepted(&scene.net, profile, kit::ANSWER_LIMIT).await?;
            let [begin, _, end] = in_one_message(profile, &file_for(profile, size as usize, 4));
            socket.send_binary(&begin)?;
            kit::quiet(&mut socket).await;
            let sent = scene.now();
            socket.send_binary(&message)?;
            let mut next = scene.let_in(Profile::F, kit::COMMIT_LIMIT).await?;
            scene::served(scene::ask(&mut next).await?, "a new client")?;
            until_served.push(scene.now().since(sent));
            match scene.disturbed(sent).await? {
                None => alive.good("no restart, the strip plays on, the other client is served"),
                Some(disturbed) => alive.bad(&row, disturbed),
            }
            let mut seen = Reaction::until(&mut socket, sent + END_LIMIT).await;
            if seen.is_refusal() && seen.ended.is_none() {
                // Refused in words: then the end of the upload must fail too.
                socket.send_binary(&end)?;
                let until = scene.now() + END_LIMIT;
                seen.status |= Reaction::until(&mut socket, until).await.status;
            }
            if seen.is_refusal() {
                refused.push(size);
            } else {
                findings.observed("K1-NET-007", false, format!("{row} were not refused: {seen}"));
            }
            scene::leave(next).await?;
            scene::dismiss(socket, &seen)?;
        }
        if is_stored(&scene.files(&storage).await?, &files.each_ref().map(Vec::as_slice)) {
            findings.observed("K1-NET-007", false, "a message was refused for its size and yet stored");
        }
        // Where the refusals begin: the longest legal message is not among them.
        let (_, mut socket) = scene::accepted(&scene.net, profile, kit::ANSWER_LIMIT).await?;
        kit::send_in_turn(&mut socket, &in_one_message(profile, &file_for(profile, 4096, 4))).await?;
        let limit = socket.tcp.now() + kit::COMMIT_LIMIT;
        if !matches!(kit::answer(&mut socket, limit).await, (_, Answer::Reply(Reply::Status(_)))) {
            refused.push(4096.0);
        }
        scene::leave(socket).await?;
        smallest.extend(refused.into_iter().min_by(f64::total_cmp));
    }
    if !smallest.is_empty() {
        findings.measured("K1-NET-007", Distribution::new(Unit::Bytes, smallest)?);
    }
    alive.veto("K1-NET-016", &mut findings);
    findings.measured("K1-NET-016", Distribution::of_durations(until_served)?);
    Ok(findings)
}

/// Text of all sorts, at last the bait as text.
async fn text(console: Console, net: Net, leds: Leds, device: Device) -> Outcome {
    let mut scene = Scene::set(console, net, leds, device).await?;
    let mut rows = Rows::default();
    for profile in Profile::ALL {
        scene.turn_to(profile).await?;
        let texts: [(&str, Vec<u8>); 5] = [
            ("a web client's heartbeat", b"ping".to_vec()),
            ("JSON", br#"{"cmd":"status"}"#.to_vec()),
            ("no text", Vec::new()),
            ("4096 characters", vec![b'x'; 4096]),
            ("a request as text", scene.trigger()),
        ];
        for (row, text) in texts {
            let mut socket = scene.baiter().await?;
            let sent = scene.now();
            socket.send(ClientFrame::new(Opcode::TEXT, text))?;
            let seen = Reaction::until(&mut socket, sent + END_LIMIT).await;
            let row = format!("{row} ({})", profile.service());
            match scene.disturbed(sent).await? {
                Some(disturbed) => rows.bad(&row, disturbed),
                None if seen.is_refusal() => rows.good(seen.to_string()),
                None => rows.bad(&row, &seen),
            }
            scene::dismiss(socket, &seen)?;
        }
        scene.bait_works().await?;
    }
    let mut findings = Findings::new();
    rows.decide("K1-NET-008", &mut findings)?;
    Ok(findings)
}

/// What a message in fragments may come to.
#[derive(Clone, Copy, PartialEq)]
enum May {
    /// It is a proper message: all of it or nothing.
    Work,
    /// As a whole it makes no sense, or the fragments are out of order: nothing.
    NotWork,
}

/// Fragments of the bait: in order, out of order, and such that each alone would be a request.
fn fragmented(trigger: &[u8]) -> Vec<(&'static str, May, Vec<ClientFrame>)> {
    let first = |bytes: &[u8]| ClientFrame::binary(bytes).unfinished();
    let more = |bytes: &[u8]| ClientFrame::continuation(bytes).unfinished();
    let last = |bytes: &[u8]| ClientFrame::continuation(bytes);
    let ping = || ClientFrame::ping("between");
    let (head, tail) = trigger.split_at(trigger.len() / 2);
    let status = request::status();
    let bytewise = || {
        let mut frames: Vec<ClientFrame> = trigger.chunks(1).map(more).collect();
        if let Some(frame) = frames.first_mut() {
            frame.opcode = Opcode::BINARY;
        }
        if let Some(frame) = frames.last_mut() {
            frame.fin = true;
        }
        frames
    };
    vec![
        ("a request, then another", May::NotWork, vec![first(trigger), last(&status)]),
        ("a request, then nothing of sense", May::NotWork, vec![first(trigger), last(&[0])]),
        ("nothing of sense, then a request", May::NotWork, vec![first(&[0]), last(trigger)]),
        ("three requests", May::NotWork, vec![first(&status), more(trigger), last(&status)]),
        ("an end without a beginning", May::NotWork, vec![last(trigger)]),
        ("a middle without a beginning", May::NotWork, vec![more(trigger)]),
        (
            "a message within a message",
            May::NotWork,
            vec![first(head), ClientFrame::binary(trigger), last(tail)],
        ),
        ("two beginnings", May::NotWork, vec![first(head), first(trigger), last(&[])]),
        (
            "text, then the rest",
            May::NotWork,
            vec![ClientFrame::new(Opcode::TEXT, head).unfinished(), last(tail)],
        ),
        ("4097 bytes in two", May::NotWork, vec![first(&[0; 2048]), last(&[0; 2049])]),
        ("4097 bytes, the last one alone", May::NotWork, vec![first(&[0; 4096]), last(&[0])]),
        ("two halves", May::Work, vec![first(head), last(tail)]),
        (
            "two halves, empty frames around",
            May::Work,
            vec![first(&[]), more(head), more(&[]), more(tail), last(&[])],
        ),
        ("byte by byte", May::Work, bytewise()),
        ("a ping between two halves", May::Work, vec![first(head), ping(), last(tail)]),
    ]
}

/// Fragments either make one message or are refused as a whole.
async fn fragments(console: Console, net: Net, leds: Leds, device: Device) -> Outcome {
    let mut scene = Scene::set(console, net, leds, device).await?;
    let mut rows = Rows::default();
    for profile in Profile::ALL {
        scene.turn_to(profile).await?;
        for (row, may, frames) in fragmented(&scene.trigger()) {
            let mut socket = scene.baiter().await?;
            let sent = scene.now();
            for frame in frames {
                socket.send(frame)?;
            }
            let mut seen = Reaction::politely(&mut socket, sent + END_LIMIT).await?;
            // The answer to a ping between the fragments is as it should be.
            seen.pong = false;
            let row = format!("{row} ({})", profile.service());
            if may == May::Work && seen.status && seen.error.is_none() {
                rows.good("a request in fragments: obeyed as the one message that it is");
                scene::dismiss(socket, &seen)?;
                // The bait was taken, which changed the strip.
                scene.play().await?;
                continue;
            }
            match scene.disturbed(sent).await? {
                Some(disturbed) => rows.bad(&row, disturbed),
                None if seen.is_refusal() => rows.good(seen.to_string()),
                None => rows.bad(&row, &seen),
            }
            scene::dismiss(socket, &seen)?;
        }
        scene.bait_works().await?;
    }
    let mut findings = Findings::new();
    rows.decide("K1-NET-010", &mut findings)?;
    Ok(findings)
}

/// Empty messages, one and many, and requests on the same connection after them.
async fn empty_message(mut console: Console, net: Net) -> Outcome {
    kit::settled(&mut console).await?;
    let mut rows = Rows::default();
    for profile in Profile::ALL {
        let mut socket = kit::open(&net, profile).await?;
        for count in [1, 2, 20] {
            for _ in 0..count {
                socket.send_binary(&[])?;
            }
            let row = format!("{count} in a row ({})", profile.service());
            let until = socket.tcp.now() + Duration::from_secs(1);
            let seen = Reaction::until(&mut socket, until).await;
            if seen.is_refusal() || seen.status {
                rows.bad(&row, seen);
                break;
            }
            match scene::serve(&mut socket, profile).await? {
                Ok(_) => rows.good("no answer, and the next request is served"),
                Err(came) => rows.bad(&row, came),
            }
        }
        scene::leave(socket).await?;
    }
    let mut findings = Findings::new();
    rows.decide("K1-NET-025", &mut findings)?;
    Ok(findings)
}
