//! Frames that end late or never: they hold up nobody else.

use std::time::Duration;

use rigor_core::distribution::Distribution;
use rigor_core::verdict::Blame;
use rigor_decode::websocket::{ClientFrame, Handshake};
use rigor_runner::need::{Console, Device, Leds, Net};
use rigor_runner::{Findings, Outcome, Suite};

use super::scene::{self, Reaction, Scene};
use crate::kit;
use crate::rows::Rows;
use crate::tlv::{Profile, request};

/// A client whose frame never ends is not waited for any longer.
const PATIENCE: Duration = Duration::from_secs(12);
/// How often the other client asks meanwhile.
const ASK_EVERY: Duration = Duration::from_millis(500);
/// Masking key of the frames.
const MASK: [u8; 4] = [0x11, 0x99, 0x77, 0xEE];

pub(super) fn add_to(suite: &mut Suite) {
    suite.case("truncated", &["K1-NET-022"], truncated).case("slow_sender", &["K1-NET-023"], slow_sender);
}

/// Frames cut at every place where a reader may wait, and then silence.
async fn truncated(console: Console, net: Net, leds: Leds, device: Device) -> Outcome {
    let mut scene = Scene::set(console, net, leds, device).await?;
    let mut findings = Findings::new();
    let (mut ends, mut others) = (Vec::new(), Rows::default());
    for profile in Profile::ALL {
        scene.turn_to(profile).await?;
        for (row, bytes) in cut_frames(profile, &scene.trigger()) {
            let row = format!("{row} ({})", profile.service());
            let mut socket = scene.baiter().await?;
            let sent = scene.now();
            socket.tcp.send(&bytes)?;
            let mut seen = Reaction::default();
            while seen.ended.is_none() && scene.now() < sent + PATIENCE {
                seen = Reaction::until(&mut socket, scene.now() + ASK_EVERY).await;
                if let Err(came) = scene.ask().await? {
                    others.bad(&row, format!("another client was not served: {came}"));
                    break;
                }
            }
            match seen.ended {
                Some(ended) => ends.push(ended.since(sent)),
                None => {
                    findings.observed(
                        "K1-NET-022",
                        false,
                        format!("{row}: still connected after {PATIENCE:?}"),
                    );
                }
            }
            match scene.disturbed(sent).await? {
                None => others.good("other clients served, the strip plays on"),
                Some(disturbed) => others.bad(&row, disturbed),
            }
            scene::dismiss(socket, &seen)?;
        }
    }
    others.veto("K1-NET-022", &mut findings);
    if !ends.is_empty() {
        findings.measured("K1-NET-022", Distribution::of_durations(ends)?);
    }
    Ok(findings)
}

/// The rows of [`truncated`]. What has no payload yet is the same in both profiles and is there
/// once.
fn cut_frames(profile: Profile, trigger: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let short = ClientFrame::binary(trigger).masked(MASK).encode();
    let long = ClientFrame::binary(profile.data(0, &vec![7; profile.chunk()])).masked(MASK).encode();
    let ping = ClientFrame::ping("half a ping").masked(MASK).encode();
    let mut rows = vec![
        ("all but the last byte", short[..short.len() - 1].to_vec()),
        ("4095 bytes of 4096", long[..long.len() - 1].to_vec()),
    ];
    if profile == Profile::F {
        rows.extend([
            ("one byte", short[..1].to_vec()),
            ("no mask", short[..2].to_vec()),
            ("half a mask", short[..4].to_vec()),
            ("no payload", short[..6].to_vec()),
            ("half a length", long[..3].to_vec()),
            ("half a ping", ping[..10].to_vec()),
        ]);
    }
    rows
}

/// A sender that takes its time.
struct Slow {
    row: &'static str,
    bytes: Vec<u8>,
    /// Bytes at a time.
    piece: usize,
    /// Between them.
    pause: Duration,
    /// Whether it has upgraded before.
    upgraded: bool,
}

/// Senders that give a few bytes at a time.
fn slow_senders(net: &Net, profile: Profile) -> Result<[Slow; 4], Blame> {
    let frame = |bytes: &[u8]| ClientFrame::binary(bytes).masked(MASK).encode();
    let long = [frame(&profile.begin("slow", 4000, 0)), frame(&profile.data(0, &[7; 4000]))].concat();
    let upgrade =
        Handshake::new(format!("device:{}", net.port(profile.service())?), profile.path(), [0; 16]).request();
    let millis = Duration::from_millis;
    Ok([
        Slow {
            row: "a request",
            bytes: frame(&request::status()),
            piece: 1,
            pause: millis(150),
            upgraded: true,
        },
        Slow { row: "a long message", bytes: long, piece: 8, pause: millis(10), upgraded: true },
        Slow { row: "an empty message", bytes: frame(&[]), piece: 1, pause: millis(700), upgraded: true },
        Slow { row: "an upgrade", bytes: upgrade, piece: 1, pause: millis(20), upgraded: false },
    ])
}

/// Bytes that come a few at a time, whatever comes of them, while another client asks again and
/// again.
async fn slow_sender(console: Console, net: Net, leds: Leds, device: Device) -> Outcome {
    let mut scene = Scene::set(console, net, leds, device).await?;
    let (mut answers, mut others) = (Vec::new(), Rows::default());
    for profile in Profile::ALL {
        scene.turn_to(profile).await?;
        for Slow { row, bytes, piece, pause, upgraded } in slow_senders(&scene.net, profile)? {
            let row = format!("{row} ({})", profile.service());
            let tcp = if upgraded {
                scene::accepted(&scene.net, profile, kit::ANSWER_LIMIT).await?.1.tcp
            } else {
                scene.net.connect(scene.net.port(profile.service())?, kit::ANSWER_LIMIT).await?
            };
            let begun = scene.now();
            for bytes in bytes.chunks(piece) {
                tcp.send(bytes)?;
                match scene.ask().await? {
                    Ok(answer) => answers.push(answer),
                    Err(came) => {
                        others.bad(&row, format!("another client was not served: {came}"));
                        break;
                    }
                }
                scene.sleep(pause).await;
            }
            match scene.disturbed(begun).await? {
                None => others.good("other clients served, the strip plays on"),
                Some(disturbed) => others.bad(&row, disturbed),
            }
            tcp.reset()?;
        }
    }
    let mut findings = Findings::new();
    others.veto("K1-NET-023", &mut findings);
    if !answers.is_empty() {
        findings.measured("K1-NET-023", Distribution::of_durations(answers)?);
    }
    Ok(findings)
}
