//! What the network's cases share: a device at work, somebody else on the line, and a bait.

use std::collections::BTreeMap;
use std::time::Duration;

use rigor_core::Instant;
use rigor_core::verdict::{Blame, Inconclusive, ProductError};
use rigor_decode::websocket::{ClientFrame, Close, CloseCode, Message, Opcode, Response, ServerEvent};
use rigor_runner::need::{Console, Device, Heard, Leds, Net, WebSocket};

use crate::kit::{self, Answer, Storage};
use crate::pattern;
use crate::tlv::{Profile, Reply, request};

/// A connection that the device refuses has ended within this long: well before the idle rule
/// would end it anyway.
pub(super) const END_LIMIT: Duration = Duration::from_secs(2);
/// A strip that gets no frame for this long stands still: three frame periods (our bound).
const STANDSTILL: Duration = Duration::from_millis(25);
/// The strip is watched for at least this long.
const WATCHED: Duration = Duration::from_millis(100);
/// How long a pause between two attempts to connect lasts.
const RETRY: Duration = Duration::from_millis(50);

/// The pattern that plays throughout.
const PLAYING: u8 = 1;
/// The pattern of a bait: it must never be seen.
const BAIT: u8 = 6;
/// Frames of the playing pattern: few enough for one DATA message.
const FRAMES: usize = 4;

/// A device at work: it plays a pattern, and a client is connected that has nothing to do with
/// what the case does.
pub(super) struct Scene {
    /// The wire profile that the case has turned to.
    pub(super) profile: Profile,
    pub(super) net: Net,
    leds: Leds,
    device: Device,
    bystander: WebSocket,
    begun: Instant,
}

impl Scene {
    /// Waits for the device and connects the other client.
    pub(super) async fn set(
        mut console: Console,
        net: Net,
        leds: Leds,
        device: Device,
    ) -> Result<Scene, Blame> {
        let begun = kit::settled(&mut console).await?;
        let bystander = kit::open(&net, Profile::F).await?;
        Ok(Scene { profile: Profile::F, net, leds, device, bystander, begun })
    }

    /// The case goes on in `profile`, with the scene's pattern on the strip.
    pub(super) async fn turn_to(&mut self, profile: Profile) -> Result<(), Blame> {
        self.profile = profile;
        self.play().await
    }

    /// The files on the flash chip. Where the look interrupts the firmware, the other client leaves before
    /// it and comes back, and nothing plays until the next [turn](Self::turn_to).
    pub(super) async fn files(&mut self, storage: &Storage) -> Result<BTreeMap<String, Vec<u8>>, Blame> {
        if storage.is_read_beside_firmware()? {
            return storage.files().await;
        }
        self.bystander.tcp.finish()?;
        let files = storage.files().await?;
        self.bystander = kit::open(&self.net, Profile::F).await?;
        Ok(files)
    }

    /// Makes the device play the scene's pattern, and waits until the strip shows it. The other
    /// client says something meanwhile, so that it does not become idle.
    pub(super) async fn play(&mut self) -> Result<(), Blame> {
        served(self.ask().await?, "the other client")?;
        // Profile `n` plays what is uploaded, so this is the shortest way for either.
        let (_, mut socket) = accepted(&self.net, Profile::N, kit::ANSWER_LIMIT).await?;
        served(serve(&mut socket, Profile::N).await?, "the client that uploads what is to play")?;
        leave(socket).await?;
        self.leds
            .expect("the uploaded pattern", kit::ANSWER_LIMIT, |picture| {
                pattern::recognise(PLAYING, picture).is_some()
            })
            .await?;
        Ok(())
    }

    /// The rig's time.
    pub(super) fn now(&self) -> Instant {
        self.bystander.tcp.now()
    }

    /// Waits on the rig's clock.
    pub(super) async fn sleep(&self, duration: Duration) {
        self.bystander.sleep_until(self.now() + duration).await;
    }

    /// A new client of `profile`, as soon as the device lets it in; the other client goes on talking
    /// meanwhile.
    ///
    /// # Errors
    /// The product's, if it does not within `limit`.
    pub(super) async fn let_in(&mut self, profile: Profile, limit: Duration) -> Result<WebSocket, Blame> {
        match let_in(&self.net, profile, &mut self.bystander, limit).await? {
            Some((_, socket)) => Ok(socket),
            None => Err(ProductError(format!("no client was accepted within {limit:?}")).into()),
        }
    }

    /// The other client asks for the status: how long the answer takes, or what came instead.
    pub(super) async fn ask(&mut self) -> Result<Result<Duration, String>, Blame> {
        ask(&mut self.bystander).await
    }

    /// What the other client, the strip or the supply noticed of the case since `since`; `None` if
    /// nothing.
    pub(super) async fn disturbed(&mut self, since: Instant) -> Result<Option<String>, Blame> {
        self.bystander.sleep_until(since + WATCHED).await;
        let now = self.now();
        let mut seen = Vec::new();
        // In any case, lest the other client becomes idle.
        if let Err(came) = self.ask().await? {
            seen.push(format!("the other client's request was not answered: {came}"));
        }
        if self.device.starts_since(self.begun) > 0 {
            seen.push("the device restarted".to_owned());
        }
        seen.extend(self.strip_disturbed(since, now).await?);
        Ok((!seen.is_empty()).then(|| seen.join(", ")))
    }

    async fn strip_disturbed(&self, since: Instant, until: Instant) -> Result<Option<String>, Blame> {
        let recording = self.leds.recorded(since, until).await?;
        for frames in &recording.lanes {
            let starts = frames.iter().map(|frame| frame.start).chain([until]);
            let mut last = since;
            for start in starts {
                if start.since(last) > STANDSTILL {
                    return Ok(Some(format!(
                        "the strip stood still for {:?} from {last}",
                        start.since(last)
                    )));
                }
                last = start;
            }
        }
        let strange =
            recording.pictures().into_iter().find(|shown| pattern::recognise(PLAYING, shown).is_none());
        Ok(strange.map(|picture| {
            let what = match () {
                () if picture.is_black() => "black",
                () if pattern::recognise(BAIT, &picture).is_some() => "the bait",
                () => "something else than the pattern",
            };
            format!("the strip showed {what} at {}", picture.start())
        }))
    }

    /// A client of the scene's profile that has laid the bait but for its last message.
    pub(super) async fn baiter(&self) -> Result<WebSocket, Blame> {
        let (_, mut socket) = accepted(&self.net, self.profile, kit::ANSWER_LIMIT).await?;
        for message in self.bait().0 {
            socket.send_binary(&message)?;
        }
        // The bait is only one if the device has taken all of it.
        let until = socket.tcp.now() + Duration::from_millis(100);
        let taken = Reaction::until(&mut socket, until).await;
        if taken.is_refusal() {
            return Err(ProductError(format!("a proper beginning of an upload was refused: {taken}")).into());
        }
        Ok(socket)
    }

    /// Messages that lead up to a visible effect, and the one that has it: a STATUS comes back and
    /// the strip changes.
    ///
    /// In profile `n` that is the end of an upload, which then plays; in `f` it is STOP.
    fn bait(&self) -> (Vec<Vec<u8>>, Vec<u8>) {
        match self.profile {
            Profile::N => {
                let mut messages = Profile::N.upload("pattern", &pattern::numbered(BAIT, 1));
                let last = messages.pop().unwrap_or_default();
                (messages, last)
            }
            Profile::F => (Vec::new(), request::stop()),
        }
    }

    /// The message that has the bait's effect.
    pub(super) fn trigger(&self) -> Vec<u8> {
        self.bait().1
    }

    /// Shows that the bait works when it is sent as it should be: without that, its absence
    /// elsewhere would mean nothing. The strip shows something else afterwards.
    ///
    /// # Errors
    /// Inconclusive, if it does not: that it should is the business of K1-UPL-041 and K1-LED-012.
    pub(super) async fn bait_works(&self) -> Result<(), Blame> {
        let mut socket = self.baiter().await?;
        let sent = socket.tcp.now();
        socket.send_binary(&self.trigger())?;
        match kit::answer(&mut socket, sent + kit::COMMIT_LIMIT).await {
            (_, Answer::Reply(Reply::Status(_))) => {}
            (_, other) => {
                let seen = format!("no effect can be told: a proper request was answered with {other}");
                return Err(Inconclusive(seen).into());
            }
        }
        self.leds
            .expect("the effect of a proper request", kit::ANSWER_LIMIT, |picture| match self.profile {
                Profile::N => pattern::recognise(BAIT, picture).is_some(),
                Profile::F => picture.is_black(),
            })
            .await
            .map_err(|blame| match blame {
                Blame::Product(error) => Inconclusive(format!("no effect can be told: {error}")).into(),
                other => other,
            })?;
        leave(socket).await
    }
}

/// What a device does after something was said to it, until it ended the connection or nothing
/// more was listened to.
#[derive(Clone, Default, Debug)]
pub(super) struct Reaction {
    /// A STATUS: something was obeyed.
    pub(super) status: bool,
    /// An ERROR.
    pub(super) error: Option<(u8, String)>,
    /// A pong.
    pub(super) pong: bool,
    /// The first Close frame.
    pub(super) close: Option<(Instant, Close)>,
    /// When the TCP connection ended.
    pub(super) ended: Option<Instant>,
    /// Anything else.
    pub(super) other: Option<String>,
}

impl Reaction {
    /// Listens on `socket` until it ends or `deadline`. The client says nothing more, not even a
    /// Close in answer to one.
    pub(super) async fn until(socket: &mut WebSocket, deadline: Instant) -> Reaction {
        let mut seen = Reaction::default();
        while let Some((at, heard)) = socket.next(deadline).await {
            seen.note(at, heard);
        }
        seen
    }

    /// The same by a client that answers a Close and ends its own side then.
    pub(super) async fn politely(socket: &mut WebSocket, deadline: Instant) -> Result<Reaction, Blame> {
        let mut seen = Reaction::default();
        while let Some((at, heard)) = socket.next(deadline).await {
            if matches!(heard, Heard::Said(ServerEvent::Close(_))) && seen.close.is_none() {
                socket.send(ClientFrame::close(CloseCode::NORMAL, ""))?;
                socket.tcp.finish()?;
            }
            seen.note(at, heard);
        }
        Ok(seen)
    }

    fn note(&mut self, at: Instant, heard: Heard) {
        match heard {
            Heard::Ended(_) => self.ended = Some(at),
            Heard::Said(ServerEvent::Close(close)) => self.close = self.close.take().or(Some((at, close))),
            Heard::Said(ServerEvent::Message(Message::Binary(bytes))) => match Reply::parse(&bytes) {
                Reply::Status(_) => self.status = true,
                Reply::Error { code, text } => self.error = Some((code, text)),
                Reply::Malformed(why) => self.other = Some(why),
            },
            Heard::Said(ServerEvent::Frame(frame)) => self.pong |= frame.opcode == Opcode::PONG,
            Heard::Said(other) => self.other = Some(format!("{other:?}")),
        }
    }

    /// There was an ERROR or an end, and nothing was obeyed.
    pub(super) fn is_refusal(&self) -> bool {
        !self.status && !self.pong && (self.error.is_some() || self.close.is_some() || self.ended.is_some())
    }

    /// There was an end, and nothing was obeyed.
    pub(super) fn is_end(&self) -> bool {
        !self.status && !self.pong && self.ended.is_some()
    }
}

/// In few words, for results.
impl std::fmt::Display for Reaction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut parts = Vec::new();
        if self.status {
            parts.push("STATUS".to_owned());
        }
        if self.pong {
            parts.push("pong".to_owned());
        }
        if let Some((code, _)) = &self.error {
            parts.push(format!("ERROR {code}"));
        }
        if let Some(other) = &self.other {
            parts.push(other.chars().take(80).collect());
        }
        if let Some((_, close)) = &self.close {
            parts.push(close.code.map_or("Close".to_owned(), |code| format!("Close {code}")));
        }
        parts.push(if self.ended.is_some() { "end" } else { "connection kept" }.to_owned());
        f.write_str(&parts.join(", "))
    }
}

/// Asks for the status in profile `f`: how long the answer takes, or what came instead.
pub(super) async fn ask(socket: &mut WebSocket) -> Result<Result<Duration, String>, Blame> {
    let asked = socket.tcp.now();
    socket.send_binary(&request::status())?;
    Ok(match kit::answer(socket, asked + kit::ANSWER_LIMIT).await {
        // STATUS has at least a version, the LEDs, free bytes and the chunk (specification, 1.3).
        (at, Answer::Reply(Reply::Status(payload))) if payload.len() >= 12 => Ok(at.since(asked)),
        (_, other) => Err(other.to_string()),
    })
}

/// Messages that are answered by one STATUS: a request for it in profile `f`, a short upload in `n`,
/// which has nothing else. The upload is the scene's pattern, so that the strip goes on to show it.
pub(super) fn wish(profile: Profile) -> Vec<Vec<u8>> {
    match profile {
        Profile::F => vec![request::status()],
        Profile::N => profile.upload("pattern", &pattern::numbered(PLAYING, FRAMES)),
    }
}

/// Has the device fulfil a [`wish`] of the client on `socket`: how long that takes, or what came
/// instead.
pub(super) async fn serve(
    socket: &mut WebSocket,
    profile: Profile,
) -> Result<Result<Duration, String>, Blame> {
    let wished = socket.tcp.now();
    kit::send_in_turn(socket, &wish(profile)).await?;
    Ok(match kit::answer(socket, socket.tcp.now() + kit::COMMIT_LIMIT).await {
        (at, Answer::Reply(Reply::Status(_))) => Ok(at.since(wished)),
        (_, other) => Err(other.to_string()),
    })
}

/// Blames the product if `who` was not served.
///
/// # Errors
/// The product's.
pub(super) fn served(outcome: Result<Duration, String>, who: &str) -> Result<Duration, Blame> {
    outcome.map_err(|came| ProductError(format!("{who} was not served: {came}")).into())
}

/// What comes of a connection and an upgrade request.
pub(super) enum Door {
    /// A WebSocket, accepted at this instant.
    Open(Instant, WebSocket),
    /// No WebSocket; the HTTP answer, if the device gave one.
    Shut(WebSocket, Option<Response>),
    /// Not even a TCP connection.
    Barred,
}

/// Asks once for a WebSocket of `profile`.
pub(super) async fn knock(net: &Net, profile: Profile) -> Result<Door, Blame> {
    let port = net.port(profile.service())?;
    let mut socket = match WebSocket::begin(net, port, profile.path(), kit::ANSWER_LIMIT).await {
        Ok(socket) => socket,
        Err(Blame::Product(_)) => return Ok(Door::Barred),
        Err(blame) => return Err(blame),
    };
    let deadline = socket.tcp.now() + kit::ANSWER_LIMIT;
    Ok(match socket.next(deadline).await {
        Some((at, Heard::Said(ServerEvent::HandshakeAccepted(_)))) => Door::Open(at, socket),
        Some((_, Heard::Said(ServerEvent::HandshakeRefused(response)))) => Door::Shut(socket, Some(response)),
        _ => Door::Shut(socket, None),
    })
}

/// Asks for a WebSocket again and again: when it was accepted.
///
/// # Errors
/// The product's, if it was not within `limit`.
pub(super) async fn accepted(
    net: &Net,
    profile: Profile,
    limit: Duration,
) -> Result<(Instant, WebSocket), Blame> {
    let mut begun = None;
    loop {
        let closed = match knock(net, profile).await? {
            Door::Open(at, socket) => return Ok((at, socket)),
            Door::Shut(socket, _) => socket,
            Door::Barred => {
                return Err(ProductError("the device does not listen any more".to_owned()).into());
            }
        };
        closed.tcp.finish()?;
        let now = closed.tcp.now();
        if now.since(*begun.get_or_insert(now)) >= limit {
            return Err(ProductError(format!("no client was accepted within {limit:?}")).into());
        }
        closed.sleep_until(now + RETRY).await;
    }
}

/// Asks for a WebSocket again and again, while `other` goes on talking lest it becomes idle and makes
/// room: when the new one was accepted, if it was within `limit`.
pub(super) async fn let_in(
    net: &Net,
    profile: Profile,
    other: &mut WebSocket,
    limit: Duration,
) -> Result<Option<(Instant, WebSocket)>, Blame> {
    let begun = other.tcp.now();
    while other.tcp.now().since(begun) <= limit {
        match knock(net, profile).await? {
            Door::Open(at, socket) => return Ok(Some((at, socket))),
            Door::Shut(socket, _) => socket.tcp.finish()?,
            Door::Barred => {}
        }
        served(ask(other).await?, "the other client")?;
        other.sleep_until(other.tcp.now() + RETRY).await;
    }
    Ok(None)
}

/// Makes sure that no further client is accepted, so that a free place can be told from a taken
/// one.
///
/// # Errors
/// Inconclusive, if one is: how many there may be is another requirement's business.
pub(super) async fn full(net: &Net, profile: Profile) -> Result<(), Blame> {
    match knock(net, profile).await? {
        Door::Open(_, socket) => {
            socket.tcp.reset()?;
            Err(Inconclusive(
                "a third client is accepted, so nobody can see when a place becomes free (see K1-NET-002)"
                    .to_owned(),
            )
            .into())
        }
        Door::Shut(socket, _) => socket.tcp.finish(),
        Door::Barred => Ok(()),
    }
}

/// Leaves as a well-behaved client: Close, the answer, FIN. Gives the instant at which nothing more
/// was to be done.
pub(super) async fn close(socket: &mut WebSocket) -> Result<Instant, Blame> {
    socket.send(ClientFrame::close(CloseCode::NORMAL, ""))?;
    let deadline = socket.tcp.now() + END_LIMIT;
    while let Some((_, heard)) = socket.next(deadline).await {
        if matches!(heard, Heard::Said(ServerEvent::Close(_)) | Heard::Ended(_)) {
            break;
        }
    }
    let left = socket.tcp.now();
    socket.tcp.finish()?;
    Ok(left)
}

/// Frees the place of a client whose frames were answered by `seen`.
pub(super) fn dismiss(socket: WebSocket, seen: &Reaction) -> Result<(), Blame> {
    if seen.ended.is_some() { socket.tcp.finish() } else { socket.tcp.reset() }
}

/// [`close`] for a client that nobody needs any more.
pub(super) async fn leave(mut socket: WebSocket) -> Result<(), Blame> {
    close(&mut socket).await.map(|_| ())
}
