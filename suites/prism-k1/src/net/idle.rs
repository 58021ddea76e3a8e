//! The idle rule: who says nothing is disconnected, who says something is not.

use std::time::Duration;

use rigor_core::Instant;
use rigor_core::distribution::Distribution;
use rigor_core::event::{Direction, FlowKind};
use rigor_core::verdict::{Blame, ProductError};
use rigor_decode::websocket::ServerEvent;
use rigor_runner::need::{Clock, Console, Heard, Net, WebSocket};
use rigor_runner::{Findings, Outcome, Suite};

use super::scene::{self, Door};
use crate::kit::{self, Answer};
use crate::pattern;
use crate::tlv::{Profile, Reply, crc32, request};

/// A client that is still connected after this long is not idle to the device.
const PATIENCE: Duration = Duration::from_secs(12);
/// Pauses before the rounds, so that they fall on different phases of a check that runs once a
/// second.
const PHASES: [Duration; 3] = [Duration::ZERO, Duration::from_millis(370), Duration::from_millis(740)];
/// When a new client begins to knock for an idle one's place, and how often it does. That no place
/// becomes free earlier is what [`idle_close`] is for.
const KNOCK_AFTER: Duration = Duration::from_secs(4);
const KNOCK_EVERY: Duration = Duration::from_millis(50);
/// How often an active client says something (K1-NET-005).
const ACTIVE_EVERY: Duration = Duration::from_secs(4);
/// How often it does: for 68 s.
const ACTIVE_TIMES: usize = 17;

pub(super) fn add_to(suite: &mut Suite) {
    suite.case("idle_close", &["K1-NET-004"], idle_close).case("idle_slot", &["K1-NET-015"], idle_slot).case(
        "activity",
        &["K1-NET-005"],
        activity,
    );
}

/// When the device had the last byte that was sent to it: its acknowledgement travels as the end of
/// the connection does, so that between the two lies what the device let pass. On a link that shows
/// no acknowledgements it is the instant at which the byte was sent.
fn last_heard(socket: &WebSocket) -> Instant {
    let (mut sent, mut last) = (0, Instant::ZERO);
    let mut awaited = true;
    for (at, what) in socket.tcp.history(Instant::ZERO, socket.tcp.now()) {
        match what {
            FlowKind::Data(Direction::ToDut, bytes) => {
                sent += bytes.len() as u64;
                (last, awaited) = (at, true);
            }
            FlowKind::Acknowledged(count) if awaited && count >= sent => (last, awaited) = (at, false),
            _ => {}
        }
    }
    last
}

/// Clients that fall silent after the upgrade, after a request and after an empty message, two at a
/// time. The first sign of the end and the end itself must both keep the times.
async fn idle_close(mut console: Console, net: Net, clock: Clock) -> Outcome {
    kit::settled(&mut console).await?;
    let mut findings = Findings::new();
    let mut times = Vec::new();
    for (round, phase) in PHASES.into_iter().enumerate() {
        clock.sleep(phase).await;
        let mut clients = Vec::new();
        // In three rounds, each profile falls silent in each of the three ways.
        for (place, profile) in Profile::ALL.into_iter().enumerate() {
            let mut socket = kit::open(&net, profile).await?;
            match (round + place) % 3 {
                0 => {}
                1 => {
                    let outcome = scene::serve(&mut socket, profile).await?;
                    scene::served(outcome, "a client that was to fall silent")?;
                }
                _ => socket.send_binary(&[])?,
            }
            clients.push(socket);
        }
        let deadline = clock.now() + PATIENCE;
        for mut socket in clients {
            let (mut first_sign, mut end) = (None, None);
            for (at, heard) in socket.rest(deadline).await {
                match heard {
                    Heard::Said(ServerEvent::Close(_)) => first_sign = first_sign.or(Some(at)),
                    Heard::Ended(_) => end = Some(at),
                    Heard::Said(_) => {}
                }
            }
            if end.is_none() {
                let seen = format!("an idle client is still connected after {PATIENCE:?}");
                findings.observed("K1-NET-004", false, seen);
            }
            let heard = last_heard(&socket);
            times.extend(first_sign.into_iter().chain(end).map(|at| at.since(heard)));
            socket.tcp.finish()?;
        }
    }
    if !times.is_empty() {
        findings.measured("K1-NET-004", Distribution::of_durations(times)?);
    }
    Ok(findings)
}

/// Both places are taken; one client falls silent, as one that is still there and as one that left
/// the Wi-Fi, and a new one knocks until it is let in.
async fn idle_slot(mut console: Console, net: Net, clock: Clock) -> Outcome {
    kit::settled(&mut console).await?;
    let mut findings = Findings::new();
    let mut waits = Vec::new();
    let mut other = kit::open(&net, Profile::F).await?;
    // In six rounds, each profile falls silent and vanishes, and each of that at different phases.
    let rounds = PHASES.into_iter().flat_map(|phase| [(phase, false), (phase, true)]);
    for ((phase, vanishes), profile) in
        rounds.zip([Profile::N, Profile::N, Profile::F, Profile::F].into_iter().cycle())
    {
        clock.sleep(phase).await;
        let mut idle = kit::open(&net, profile).await?;
        scene::served(scene::serve(&mut idle, profile).await?, "a client that was to fall silent")?;
        scene::full(&net, profile).await?;
        let silent_since = last_heard(&idle);
        if vanishes {
            idle.tcp.vanish()?;
        }
        let next = loop {
            scene::served(scene::ask(&mut other).await?, "the other client")?;
            if clock.now().since(silent_since) < KNOCK_AFTER {
                clock.sleep(Duration::from_secs(1)).await;
                continue;
            }
            match scene::knock(&net, profile).await? {
                Door::Open(at, socket) => break Some((at, socket)),
                Door::Shut(socket, _) => socket.tcp.finish()?,
                Door::Barred => {}
            }
            if clock.now().since(silent_since) > PATIENCE {
                break None;
            }
            clock.sleep(KNOCK_EVERY).await;
        };
        match next {
            Some((at, mut socket)) => {
                waits.push(at.since(silent_since));
                scene::served(
                    scene::serve(&mut socket, profile).await?,
                    "the client in the idle one's place",
                )?;
                scene::leave(socket).await?;
            }
            None => {
                let who = if vanishes { "that left the Wi-Fi" } else { "that is silent" };
                let seen = format!("the place of a client {who} is taken for more than {PATIENCE:?}");
                findings.observed("K1-NET-015", false, seen);
                break;
            }
        }
        if !vanishes {
            idle.tcp.finish()?;
        }
    }
    if !waits.is_empty() {
        findings.measured("K1-NET-015", Distribution::of_durations(waits)?);
    }
    Ok(findings)
}

/// What an active client says every four seconds.
#[derive(Clone, Copy)]
enum Talk {
    /// A piece of a file that it uploads all the while.
    Pieces,
    /// An empty message.
    Empty,
    /// A STATUS request.
    Status,
}

/// Bytes of a [`Talk::Pieces`]' piece.
const PIECE: usize = pattern::FRAME_BYTES;

impl Talk {
    /// What it says at the `turn`-th of [`ACTIVE_TIMES`].
    fn messages(self, profile: Profile, turn: usize) -> Vec<Vec<u8>> {
        let file = Self::file();
        let piece = || profile.data((turn * PIECE) as u32, &file[turn * PIECE..][..PIECE]);
        match self {
            Talk::Empty => vec![Vec::new()],
            Talk::Status => vec![request::status()],
            Talk::Pieces if turn == 0 => {
                vec![profile.begin("slow", file.len() as u32, crc32(&file)), piece()]
            }
            Talk::Pieces => vec![piece()],
        }
    }

    /// What it says at last, which must be answered.
    fn farewell(self, profile: Profile) -> Vec<Vec<u8>> {
        match self {
            Talk::Pieces => vec![profile.end(crc32(&Self::file()))],
            _ => scene::wish(profile),
        }
    }

    fn file() -> Vec<u8> {
        pattern::numbered(3, ACTIVE_TIMES)
    }
}

/// Two clients at a time say something every four seconds for more than a minute.
async fn activity(mut console: Console, net: Net, clock: Clock) -> Outcome {
    kit::settled(&mut console).await?;
    let mut connected = Vec::new();
    let talkers = [
        [(Profile::N, Talk::Pieces), (Profile::N, Talk::Empty)],
        [(Profile::F, Talk::Pieces), (Profile::F, Talk::Status)],
    ];
    for talkers in talkers {
        let mut clients = Vec::new();
        for (profile, talk) in talkers {
            clients.push((profile, talk, clock.now(), kit::open(&net, profile).await?));
        }
        let mut turn_at = clock.now();
        for turn in 0..ACTIVE_TIMES {
            for (profile, talk, _, socket) in &clients {
                for message in talk.messages(*profile, turn) {
                    socket.send_binary(&message)?;
                }
            }
            turn_at += ACTIVE_EVERY;
            clock.sleep_until(turn_at).await;
        }
        for (profile, talk, opened, mut socket) in clients {
            connected.push(talked(talk, profile, &mut socket, turn_at).await?.since(opened));
            scene::leave(socket).await?;
        }
    }
    let mut findings = Findings::new();
    findings.measured("K1-NET-005", Distribution::of_durations(connected)?);
    Ok(findings)
}

/// Until when the client on `socket` was connected and served; its last turn was before `until`.
async fn talked(
    talk: Talk,
    profile: Profile,
    socket: &mut WebSocket,
    until: Instant,
) -> Result<Instant, Blame> {
    while let Some((at, heard)) = socket.next(until).await {
        if matches!(heard, Heard::Ended(_) | Heard::Said(ServerEvent::Close(_))) {
            return Ok(at);
        }
    }
    let asked = socket.tcp.now();
    for message in talk.farewell(profile) {
        socket.send_binary(&message)?;
    }
    match kit::answer(socket, asked + kit::COMMIT_LIMIT).await {
        (at, Answer::Reply(Reply::Status(_))) => Ok(at),
        // Connected, but worth nothing.
        (_, other) => {
            let what = format!("a client that talked until {asked} is not served any more: {other:?}");
            Err(ProductError(what).into())
        }
    }
}
