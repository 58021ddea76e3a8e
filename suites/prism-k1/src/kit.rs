//! What the cases of PRISM K1 share: waiting for the device, talking to it, reading its storage.

mod storage;

use std::fmt;
use std::time::Duration;

use rigor_core::Instant;
use rigor_core::budget::{Budget, Finding};
use rigor_core::distribution::Distribution;
use rigor_core::requirement::Catalogue;
use rigor_core::verdict::{Blame, HarnessError, ProductError};
use rigor_decode::websocket::{Message, ServerEvent};
use rigor_runner::need::{Console, Heard, Net, WebSocket};

use crate::REQUIREMENTS;
use crate::tlv::{Profile, Reply};

pub use storage::{Storage, files_of, mount};

/// The device says that it has started within this long (our bound: the seed gives none).
pub const START_LIMIT: Duration = Duration::from_secs(20);
/// The fifteen templates are in place within this long after the start (our bound).
pub const PROVISIONING_LIMIT: Duration = Duration::from_secs(60);
/// A connection is opened, and a small request answered, within this long.
pub const ANSWER_LIMIT: Duration = Duration::from_secs(2);
/// The answer to PUT_END comes within this long: a full pattern has to reach the flash first
/// (specification, section 12).
pub const COMMIT_LIMIT: Duration = Duration::from_secs(15);

/// First byte of the littlefs partition (seed, section 2).
pub const LITTLEFS_ADDRESS: u32 = 0x32_0000;
/// Bytes of the littlefs partition (seed, section 2).
pub const LITTLEFS_BYTES: u32 = 0x18_0000;
/// Bytes of a block of the file system.
pub const LITTLEFS_BLOCK_BYTES: u32 = 4096;

/// Waits until the device says that it has started; when it said so.
///
/// # Errors
/// The product's, if it does not within [`START_LIMIT`].
pub async fn started(console: &mut Console) -> Result<Instant, Blame> {
    Ok(console.expect_text("PRISM K1 started successfully!", START_LIMIT).await?.end)
}

/// Waits until the device has started and its templates are in place, so that nothing else writes
/// to the flash.
///
/// # Errors
/// The product's, if it takes longer than [`START_LIMIT`] and [`PROVISIONING_LIMIT`].
pub async fn settled(console: &mut Console) -> Result<Instant, Blame> {
    let limit = START_LIMIT + PROVISIONING_LIMIT;
    // Which of the two comes last is the scheduler's business.
    let mut missing = vec!["PRISM K1 started successfully!", "Template provisioning complete"];
    loop {
        let line = console
            .expect(&missing.join(" and "), limit, |line| missing.iter().any(|text| line.text.contains(text)))
            .await?;
        missing.retain(|text| !line.text.contains(text));
        if missing.is_empty() {
            return Ok(line.end);
        }
    }
}

/// The catalogue's own budget of requirement `id`, for what several requirements ask in the same
/// figures.
///
/// # Errors
/// The harness's, if there is no such requirement or it has no budget.
pub fn budget(id: &str) -> Result<Budget, Blame> {
    let catalogue =
        Catalogue::parse(REQUIREMENTS, "the catalogue").map_err(|error| HarnessError(error.to_string()))?;
    let budget = catalogue.get(id).and_then(|requirement| requirement.budget.clone());
    Ok(budget.ok_or_else(|| HarnessError(format!("`{id}` has no budget")))?)
}

/// Whether `samples` miss `budget` already: what is broken does not heal, so a case of hours may stop.
///
/// # Errors
/// The harness's, if they are not of the budget's kind.
pub fn misses(budget: &Budget, samples: &Distribution) -> Result<bool, Blame> {
    Ok(budget.judge(samples)?.finding == Finding::Fail)
}

/// A WebSocket on the port and path of `profile`.
///
/// # Errors
/// The product's, if it is not accepted within [`ANSWER_LIMIT`].
pub async fn open(net: &Net, profile: Profile) -> Result<WebSocket, Blame> {
    WebSocket::open(net, net.port(profile.service())?, profile.path(), ANSWER_LIMIT).await
}

/// What the device does about a request.
#[derive(Clone, PartialEq, Debug)]
pub enum Answer {
    /// It replied.
    Reply(Reply),
    /// It closed the connection without a reply.
    Closed,
    /// It did neither in time.
    Silence,
}

/// In few words, for results.
impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Answer::Reply(reply) => reply.fmt(f),
            Answer::Closed => f.write_str("the end of the connection"),
            Answer::Silence => f.write_str("nothing"),
        }
    }
}

/// The next answer on `socket` before `deadline`.
pub async fn answer(socket: &mut WebSocket, deadline: Instant) -> (Instant, Answer) {
    while let Some((at, heard)) = socket.next(deadline).await {
        match heard {
            Heard::Said(ServerEvent::Message(Message::Binary(bytes))) => {
                return (at, Answer::Reply(Reply::parse(&bytes)));
            }
            Heard::Said(ServerEvent::Close(_)) | Heard::Ended(_) => return (at, Answer::Closed),
            Heard::Said(_) => {}
        }
    }
    (deadline, Answer::Silence)
}

/// Sends `message`; the answer within [`ANSWER_LIMIT`].
///
/// # Errors
/// The rig's, if the link does not take it.
pub async fn told(socket: &mut WebSocket, message: &[u8]) -> Result<(Instant, Answer), Blame> {
    socket.send_binary(message)?;
    let deadline = socket.tcp.now() + ANSWER_LIMIT;
    Ok(answer(socket, deadline).await)
}

/// Has the device do what `message` asks for; when it said so.
///
/// # Errors
/// The product's, if the answer is no STATUS; the message names `what`.
pub async fn obeyed(socket: &mut WebSocket, what: &str, message: &[u8]) -> Result<Instant, Blame> {
    match told(socket, message).await? {
        (at, Answer::Reply(Reply::Status(_))) => Ok(at),
        (_, other) => Err(ProductError(format!("{what} was answered with {other}")).into()),
    }
}

/// PUT_BEGIN and PUT_DATA may be acknowledged or not (specification, section 11, reading 10). Such
/// acknowledgements have come when the device says nothing for this long (our bound): more than it
/// takes to erase a sector of the flash, and far below the idle rule.
const ACKNOWLEDGEMENTS: Duration = Duration::from_millis(150);

/// What the device said about messages that need no answer.
#[derive(Clone, PartialEq, Default, Debug)]
pub struct Early {
    /// The first ERROR.
    pub error: Option<(u8, String)>,
    /// The end of the connection, at this instant.
    pub ended: Option<Instant>,
}

/// Listens until the device says nothing more, so that an acknowledgement of what was sent before
/// is not taken for the answer to what is sent next.
pub async fn quiet(socket: &mut WebSocket) -> Early {
    let mut early = Early::default();
    while let Some((at, heard)) = socket.next(socket.tcp.now() + ACKNOWLEDGEMENTS).await {
        match heard {
            Heard::Said(ServerEvent::Message(Message::Binary(bytes))) => {
                if let Reply::Error { code, text } = Reply::parse(&bytes) {
                    // What follows may be about its consequences.
                    early.error.get_or_insert((code, text));
                }
            }
            Heard::Said(ServerEvent::Close(_)) | Heard::Ended(_) => {
                early.ended = early.ended.or(Some(at));
            }
            Heard::Said(_) => {}
        }
    }
    early
}

/// Sends `messages` one after the other without waiting.
///
/// # Errors
/// The rig's, if the link does not take them.
pub fn send_all(socket: &WebSocket, messages: &[Vec<u8>]) -> Result<(), Blame> {
    messages.iter().try_for_each(|message| socket.send_binary(message))
}

/// Sends `messages` such that the next STATUS is the answer to the last one: that one waits until
/// the device has nothing more to say about the others, and is not sent to who has hung up.
///
/// # Errors
/// The rig's, if the link does not take them.
pub async fn send_in_turn(socket: &mut WebSocket, messages: &[Vec<u8>]) -> Result<Early, Blame> {
    let Some((last, before)) = messages.split_last() else { return Ok(Early::default()) };
    send_all(socket, before)?;
    let early = if before.is_empty() { Early::default() } else { quiet(socket).await };
    if early.ended.is_none() {
        socket.send_binary(last)?;
    }
    Ok(early)
}

/// A finished upload.
#[derive(Clone, PartialEq, Debug)]
pub struct Upload {
    /// When the first byte was handed to the link.
    pub begun: Instant,
    /// When the STATUS arrived.
    pub acknowledged: Instant,
    /// The STATUS's payload.
    pub status: Vec<u8>,
}

/// Uploads `file` on `socket` and waits for its STATUS.
///
/// # Errors
/// The product's, if the device answers otherwise or not within [`COMMIT_LIMIT`].
pub async fn upload(
    socket: &mut WebSocket,
    profile: Profile,
    name: &str,
    file: &[u8],
) -> Result<Upload, Blame> {
    let begun = socket.tcp.now();
    let early = send_in_turn(socket, &profile.upload(name, file)).await?;
    let came = match (early.error, early.ended) {
        (Some((code, text)), _) => Answer::Reply(Reply::Error { code, text }),
        (None, Some(_)) => Answer::Closed,
        (None, None) => match answer(socket, socket.tcp.now() + COMMIT_LIMIT).await {
            (acknowledged, Answer::Reply(Reply::Status(status))) => {
                return Ok(Upload { begun, acknowledged, status });
            }
            (_, other) => other,
        },
    };
    Err(ProductError(format!(
        "an upload of {} bytes in profile {} was answered with {came}",
        file.len(),
        profile.service()
    ))
    .into())
}

/// Opens a connection, uploads `file`, waits for its STATUS and closes.
///
/// # Errors
/// As [`open`] and [`upload`].
pub async fn upload_once(net: &Net, profile: Profile, name: &str, file: &[u8]) -> Result<Upload, Blame> {
    let mut socket = open(net, profile).await?;
    let done = upload(&mut socket, profile, name, file).await?;
    socket.tcp.finish()?;
    Ok(done)
}
