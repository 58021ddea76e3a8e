//! Upgrade requests: the right ones are accepted where they should be, the wrong ones are not.

use std::time::Duration;

use rigor_core::Instant;
use rigor_core::verdict::Blame;
use rigor_decode::websocket::{ClientFrame, Handshake, HandshakeFault, ServerEvent};
use rigor_runner::need::{Clock, Console, Device, Heard, Leds, Net, Received, Tcp, WebSocket};
use rigor_runner::{Findings, Outcome, Suite};

use super::scene::{self, END_LIMIT, Scene};
use crate::kit::{self, Answer};
use crate::rows::Rows;
use crate::tlv::{Profile, Reply, request};

/// The nonce of requests that need no other.
const NONCE: [u8; 16] = *b"sixteen bytes of";

/// Masking key of the frames.
const MASK: [u8; 4] = [0x5E, 0xED, 0x0F, 0xF0];

pub(super) fn add_to(suite: &mut Suite) {
    suite.case("handshake", &["K1-NET-027", "K1-NET-028"], handshake).case(
        "bad_handshake",
        &["K1-NET-026"],
        bad_handshake,
    );
}

/// A correct request to the profile's place.
fn correct(net: &Net, profile: Profile, nonce: [u8; 16]) -> Result<Handshake, Blame> {
    Ok(Handshake::new(format!("device:{}", net.port(profile.service())?), profile.path(), nonce))
}

/// Requests that RFC 6455 (4.2.1) and RFC 9110 (5.1, 7.6.1) allow: whatever the key, whoever wrote
/// the headers.
fn allowed(net: &Net, profile: Profile) -> Result<Vec<(&'static str, Handshake)>, Blame> {
    let plain = correct(net, profile, NONCE)?;
    let like = |change: fn(&mut Handshake)| {
        let mut handshake = plain.clone();
        change(&mut handshake);
        handshake
    };
    Ok(vec![
        ("plain", plain.clone()),
        ("key of zeros", correct(net, profile, [0; 16])?),
        ("key of ones", correct(net, profile, [0xFF; 16])?),
        (
            "key with + and /",
            correct(net, profile, [0xFB, 0xEF, 0xBE, 0xFF, 0xFF, 0xFF, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9])?,
        ),
        ("a browser's Connection", like(|it| it.connection = Some("keep-alive, Upgrade".to_owned()))),
        ("upper case", like(|it| it.upgrade = Some("WebSocket".to_owned()))),
        (
            "lower case names",
            like(|it| {
                (it.upgrade, it.connection) = (None, None);
                it.headers.push(("upgrade".to_owned(), "websocket".to_owned()));
                it.headers.push(("connection".to_owned(), "upgrade".to_owned()));
            }),
        ),
        (
            "a browser's further headers",
            like(|it| {
                for (name, value) in [
                    ("Origin", "http://prism.local"),
                    ("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
                    ("Accept", "*/*"),
                    ("Accept-Language", "en-US,en;q=0.5"),
                    ("Accept-Encoding", "gzip, deflate, br"),
                    ("Cache-Control", "no-cache"),
                ] {
                    it.headers.push((name.to_owned(), value.to_owned()));
                }
            }),
        ),
        (
            "an extension offered",
            like(|it| {
                let offer = "permessage-deflate; client_max_window_bits".to_owned();
                it.headers.push(("Sec-WebSocket-Extensions".to_owned(), offer));
            }),
        ),
    ])
}

/// Every allowed request is accepted at the profile's port and path, and who sent it is served.
async fn handshake(mut console: Console, net: Net, clock: Clock) -> Outcome {
    kit::settled(&mut console).await?;
    let (mut rows, mut places) = (Rows::default(), Rows::default());
    for profile in Profile::ALL {
        let place = format!("port {}, path {}", net.port(profile.service())?, profile.path());
        match shaken(&net, &clock, profile, &correct(&net, profile, NONCE)?, Pace::AtOnce).await? {
            Ok(()) => places.good(format!("{place} accepts and serves profile {}", profile.service())),
            Err(seen) => places.bad(&place, seen),
        }
        for (row, handshake) in allowed(&net, profile)? {
            for pace in [Pace::AtOnce, Pace::Bytewise, Pace::WithFrames] {
                match shaken(&net, &clock, profile, &handshake, pace).await? {
                    Ok(()) => rows.good("101 with the accept value of the key, and served"),
                    Err(seen) => rows.bad(&format!("{place}, {row}, {pace:?}"), seen),
                }
            }
        }
    }
    let mut findings = Findings::new();
    rows.decide("K1-NET-027", &mut findings)?;
    places.decide("K1-NET-028", &mut findings)?;
    Ok(findings)
}

/// How a request is sent.
#[derive(Clone, Copy, Debug)]
enum Pace {
    /// In one go.
    AtOnce,
    /// Byte by byte.
    Bytewise,
    /// With the first messages right behind it, before anybody knows whether it is accepted.
    WithFrames,
}

/// What comes of a request: `Ok` if it was accepted and its sender is served.
async fn shaken(
    net: &Net,
    clock: &Clock,
    profile: Profile,
    handshake: &Handshake,
    pace: Pace,
) -> Result<Result<(), String>, Blame> {
    let tcp = net.connect(net.port(profile.service())?, kit::ANSWER_LIMIT).await?;
    match pace {
        Pace::AtOnce => tcp.send(&handshake.request())?,
        Pace::Bytewise => {
            for byte in handshake.request() {
                tcp.send(&[byte])?;
                clock.sleep(Duration::from_millis(1)).await;
            }
        }
        Pace::WithFrames => {
            let mut bytes = handshake.request();
            for wish in scene::wish(profile) {
                bytes.extend(ClientFrame::binary(wish).masked(MASK).encode());
            }
            tcp.send(&bytes)?;
        }
    }
    let mut socket = WebSocket::over(tcp, handshake.clone());
    let deadline = clock.now() + kit::ANSWER_LIMIT;
    let outcome = match socket.next(deadline).await {
        Some((_, Heard::Said(ServerEvent::HandshakeAccepted(_)))) if matches!(pace, Pace::WithFrames) => {
            match kit::answer(&mut socket, clock.now() + kit::COMMIT_LIMIT).await {
                (_, Answer::Reply(Reply::Status(_))) => Ok(()),
                (_, other) => Err(format!("what came with the request was answered with {other:?}")),
            }
        }
        Some((_, Heard::Said(ServerEvent::HandshakeAccepted(_)))) => {
            scene::serve(&mut socket, profile).await?.map(|_| ())
        }
        Some((_, Heard::Said(ServerEvent::HandshakeFaulty { faults, .. }))) => {
            Err(faults.iter().map(HandshakeFault::to_string).collect::<Vec<_>>().join(", "))
        }
        Some((_, other)) => Err(format!("{other:?}").chars().take(120).collect()),
        None => Err("no answer".to_owned()),
    };
    scene::leave(socket).await?;
    Ok(outcome)
}

/// Requests that must not be accepted. All of them are sent and then left open.
fn forbidden(net: &Net, profile: Profile) -> Result<Vec<(&'static str, Vec<u8>)>, Blame> {
    let plain = correct(net, profile, NONCE)?;
    let like = |change: fn(&mut Handshake)| {
        let mut handshake = plain.clone();
        change(&mut handshake);
        handshake.request()
    };
    let whole = plain.request();
    let flooded = {
        let mut handshake = plain.clone();
        handshake.key = None;
        handshake.headers.push(("X-Flood".to_owned(), "x".repeat(20_000)));
        handshake.request()
    };
    let many = {
        let mut handshake = plain.clone();
        handshake.key = None;
        handshake.headers.extend((0..300).map(|index| (format!("X-{index}"), "x".to_owned())));
        handshake.request()
    };
    Ok(vec![
        ("no key", like(|it| it.key = None)),
        ("empty key", like(|it| it.key = Some(String::new()))),
        ("key of 15 bytes", like(|it| it.key = Some("MTUgYnl0ZXMgb25seSE=".to_owned()))),
        ("key that is no base64", like(|it| it.key = Some("!!!!!!!!!!!!!!!!!!!!!!==".to_owned()))),
        ("no version", like(|it| it.version = None)),
        ("version 8", like(|it| it.version = Some("8".to_owned()))),
        ("version 14", like(|it| it.version = Some("14".to_owned()))),
        ("version 130", like(|it| it.version = Some("130".to_owned()))),
        ("no Upgrade", like(|it| it.upgrade = None)),
        ("another Upgrade", like(|it| it.upgrade = Some("h2c".to_owned()))),
        ("no Connection", like(|it| it.connection = None)),
        ("another Connection", like(|it| it.connection = Some("keep-alive".to_owned()))),
        ("POST", like(|it| it.method = "POST".to_owned())),
        ("HTTP/1.0", like(|it| it.http_version = "HTTP/1.0".to_owned())),
        ("a web page", b"GET / HTTP/1.1\r\nHost: device\r\n\r\n".to_vec()),
        ("oversized head", flooded),
        ("300 headers", many),
        ("bytes of no meaning", (0..600_u32).map(|index| (index * 167 + 13) as u8 | 0x80).collect()),
        ("zeros", vec![0; 3000]),
        ("an older protocol's frame", request::status()),
        ("a frame without a handshake", b"\x82\x88\0\0\0\0\x20\0\x01\x02\x76\x63\x20\x4f".to_vec()),
        ("half a request", whole[..whole.len() / 2].to_vec()),
        ("a request but for its last byte", whole[..whole.len() - 1].to_vec()),
    ])
}

/// After each wrong request, and while it is still open if the device keeps it so, both places are
/// there for clients with a right one.
async fn bad_handshake(console: Console, net: Net, leds: Leds, device: Device) -> Outcome {
    let mut scene = Scene::set(console, net, leds, device).await?;
    let mut rows = Rows::default();
    for profile in Profile::ALL {
        scene.turn_to(profile).await?;
        for (row, bytes) in forbidden(&scene.net, profile)? {
            let begun = scene.now();
            let mut tcp = scene.net.connect(scene.net.port(profile.service())?, kit::ANSWER_LIMIT).await?;
            tcp.send(&bytes)?;
            let answer = first_line(&mut tcp, begun + END_LIMIT).await;
            // In any case, lest the other client becomes idle.
            let disturbed = scene.disturbed(begun).await?;
            let seen = if answer.as_deref().is_some_and(|line| line.split(' ').nth(1) == Some("101")) {
                Some("accepted".to_owned())
            } else {
                disturbed.or(place_taken(&scene).await?)
            };
            match seen {
                None => rows.good(answer.unwrap_or_else(|| format!("no answer in {END_LIMIT:?}"))),
                Some(seen) => rows.bad(&format!("{row} ({})", profile.service()), seen),
            }
            tcp.reset()?;
        }
    }
    let mut findings = Findings::new();
    rows.decide("K1-NET-026", &mut findings)?;
    Ok(findings)
}

/// The first line of what the device says before it ends the connection or `deadline`.
async fn first_line(tcp: &mut Tcp, deadline: Instant) -> Option<String> {
    let mut said = Vec::new();
    while let Some((_, Received::Data(bytes))) = tcp.receive(deadline).await {
        said.extend_from_slice(&bytes);
    }
    let text = String::from_utf8_lossy(&said);
    text.lines().next().map(|line| line.chars().take(60).collect())
}

/// Whether the second client's place is taken though there is no second client.
async fn place_taken(scene: &Scene) -> Result<Option<String>, Blame> {
    match scene::knock(&scene.net, Profile::F).await? {
        scene::Door::Open(_, mut socket) => {
            let outcome = scene::ask(&mut socket).await?;
            scene::leave(socket).await?;
            Ok(outcome.err().map(|came| format!("a proper client was not served: {came}")))
        }
        scene::Door::Shut(socket, answer) => {
            socket.tcp.finish()?;
            Ok(Some(format!("a proper client was refused: {:?}", answer.map(|answer| answer.status))))
        }
        scene::Door::Barred => Ok(Some("a proper client was not let in by TCP".to_owned())),
    }
}
