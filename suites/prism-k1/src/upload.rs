//! Cases of group K1-UPL (and K1-FMT-013): what becomes of a file that a client sends.
//!
//! A requirement that names no profile is decided once per profile; the cases' names end in it.
//! What is stored is read from the flash chip, what plays from the strip's wires.

mod integrity;
mod order;
mod playing;
mod rate;
mod refusals;
mod sessions;
mod sizes;
mod storage;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use rigor_core::Instant;
use rigor_core::distribution::Distribution;
use rigor_core::event::{Direction, FlowKind};
use rigor_core::unit::Unit;
use rigor_core::verdict::{Blame, ProductError};
use rigor_decode::websocket::{Message, ServerEvent};
use rigor_runner::Suite;
use rigor_runner::need::{Device, Heard, Net, WebSocket};

use crate::kit::Storage;
use crate::tlv::{Profile, Reply};
use crate::{kit, p11, pattern};

/// Messages of a client, in order.
type Messages = Vec<Vec<u8>>;

/// The name of uploads that carry one, unless the name is the point.
const NAME: &str = "upl";

/// The name under which profile n's uploads are stored, unless the device chooses another.
const DEFAULT_NAME: &str = "pattern";

/// A connection that ends this long after the last byte went to the device, or later, ended
/// because nothing more came (K1-NET-006), not because something was refused.
const IDLE: Duration = Duration::from_millis(4900);

/// After an ERROR this long is waited for something worse, such as a STATUS all the same.
const AFTERMATH: Duration = Duration::from_millis(1500);

pub(crate) fn add_to(suite: &mut Suite) {
    for profile in Profile::ALL {
        sizes::add_to(suite, profile);
        integrity::add_to(suite, profile);
        order::add_to(suite, profile);
        refusals::add_to(suite, profile);
        sessions::add_to(suite, profile);
        rate::add_to(suite, profile);
        storage::add_to(suite, profile);
        playing::add_to(suite, profile);
    }
}

/// The name of a case in one of the profiles.
fn named(name: &str, profile: Profile) -> String {
    format!("{name}_{}", profile.service())
}

/// Bytes in which two files differ; what one has and the other lacks differs.
fn differing(one: &[u8], other: &[u8]) -> usize {
    let common = one.iter().zip(other).filter(|(one, other)| one != other).count();
    common + one.len().abs_diff(other.len())
}

/// The files on the flash chip.
struct Stored(BTreeMap<String, Vec<u8>>);

impl Stored {
    async fn read(storage: &Storage) -> Result<Self, Blame> {
        Ok(Stored(storage.files().await?))
    }

    /// The contents of the pattern that `profile` uploaded as `name`; none at all if there is no such
    /// file. No source fixes folder and extension, and in profile n the device chooses the name too
    /// (specification, section 11, reading 29): there it is the one file that is no template.
    fn pattern(&self, profile: Profile, name: &str) -> &[u8] {
        let name = match profile {
            Profile::N => DEFAULT_NAME,
            Profile::F => name,
        };
        let has_name = |path: &str| {
            let file = path.rsplit('/').next().unwrap_or(path);
            file == name || file.rsplit_once('.').is_some_and(|(stem, _)| stem == name)
        };
        let named = self.0.iter().find(|(path, _)| has_name(path)).map(|(_, bytes)| bytes);
        let lonely = || {
            let mut others = self.0.values().filter(|bytes| p11::check(bytes).is_err());
            others.next().filter(|_| profile == Profile::N && others.next().is_none())
        };
        named.or_else(lonely).map_or(&[], Vec::as_slice)
    }

    /// The paths of the files that `other` has not got, or not with these bytes, and the reverse.
    fn changes(&self, other: &Stored) -> Vec<String> {
        let changed = |one: &Stored, other: &Stored| {
            let paths = one.0.iter().filter(|(path, bytes)| other.0.get(*path) != Some(*bytes));
            paths.map(|(path, _)| path.clone()).collect::<Vec<_>>()
        };
        let mut paths = changed(self, other);
        paths.extend(changed(other, self));
        paths.sort();
        paths.dedup();
        paths
    }
}

/// One sample for each attempt, 1 if it counts and 0 if not.
fn counted(attempts: impl IntoIterator<Item = bool>) -> Result<Distribution, Blame> {
    Ok(Distribution::new(Unit::Count, attempts.into_iter().map(|counts| if counts { 1.0 } else { 0.0 }))?)
}

/// How long a device that is not busy needs at most to take what was sent to it, and to tidy up what
/// a refused upload left (our bound).
const SETTLING: Duration = Duration::from_millis(300);

/// What the device did about messages that were sent to it.
#[derive(Clone, PartialEq, Debug)]
enum Answered {
    /// A STATUS: it says that the upload is stored.
    Stored,
    /// An ERROR (code and text), or the end of the connection without one, and no STATUS
    /// (specification, section 11, reading 11).
    Refused(Option<(u8, String)>),
    /// Neither, until the time for it was over.
    Ignored,
}

impl fmt::Display for Answered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Answered::Stored => write!(f, "stored"),
            Answered::Refused(Some((code, _))) => write!(f, "refused with ERROR {code}"),
            Answered::Refused(None) => write!(f, "refused by closing"),
            Answered::Ignored => write!(f, "ignored"),
        }
    }
}

/// Sends `messages` on `socket`; what the device does about them. After an ERROR it is watched for
/// `aftermath`, or until it ends the connection.
async fn answered(
    socket: &mut WebSocket,
    messages: &[Vec<u8>],
    aftermath: Duration,
) -> Result<Answered, Blame> {
    let kit::Early { mut error, ended } = kit::send_in_turn(socket, messages).await?;
    if ended.is_some() {
        return Ok(Answered::Refused(error));
    }
    let begun = socket.tcp.now();
    let mut deadline = begun + if error.is_some() { aftermath } else { kit::COMMIT_LIMIT };
    while let Some((at, heard)) = socket.next(deadline).await {
        match heard {
            Heard::Said(ServerEvent::Message(Message::Binary(bytes))) => match Reply::parse(&bytes) {
                Reply::Status(_) => return Ok(Answered::Stored),
                Reply::Error { code, text } => {
                    error = Some((code, text));
                    deadline = deadline.min(at + aftermath);
                }
                Reply::Malformed(_) => {}
            },
            Heard::Said(ServerEvent::Close(_)) | Heard::Ended(_) => {
                let sent = socket.tcp.history(Instant::ZERO, at).into_iter().rev();
                let last = sent
                    .filter(|(_, what)| matches!(what, FlowKind::Data(Direction::ToDut, _)))
                    .map(|(at, _)| at)
                    .next();
                let idle = last.is_some_and(|last| at >= last + IDLE);
                return Ok(if error.is_none() && idle {
                    Answered::Ignored
                } else {
                    Answered::Refused(error)
                });
            }
            Heard::Said(_) => {}
        }
    }
    Ok(if error.is_some() { Answered::Refused(error) } else { Answered::Ignored })
}

/// Sends `messages` on a connection of their own; what the device does about it. After anything but
/// a STATUS it is given time to tidy up.
///
/// # Errors
/// The product's, if it does not accept the connection.
async fn attempt(net: &Net, profile: Profile, messages: &[Vec<u8>]) -> Result<Answered, Blame> {
    let mut socket = kit::open(net, profile).await?;
    let answered = answered(&mut socket, messages, AFTERMATH).await?;
    socket.tcp.finish()?;
    if answered != Answered::Stored {
        socket.sleep_until(socket.tcp.now() + SETTLING).await;
    }
    Ok(answered)
}

/// What a row says of files: nothing if they are as they should be.
fn and_changed(changes: &[String]) -> String {
    if changes.is_empty() { String::new() } else { format!(", changed {}", changes.join(" and ")) }
}

/// What a row says of a stored file: how many bytes of it are wrong, if any.
fn and_differ(differ: usize) -> String {
    if differ == 0 { String::new() } else { format!(", {differ} bytes differ") }
}

/// The device has not restarted since `from`, and a good upload still reaches its storage.
///
/// # Errors
/// The product's, if not.
async fn still_well(
    net: &Net,
    storage: &Storage,
    device: &Device,
    profile: Profile,
    from: Instant,
) -> Result<(), Blame> {
    let file = pattern::file(7, 777);
    kit::upload_once(net, profile, NAME, &file).await?;
    if Stored::read(storage).await?.pattern(profile, NAME) != file {
        return Err(
            ProductError("a good upload at the end was acknowledged but is not stored".to_owned()).into()
        );
    }
    match device.starts_since(from) {
        0 => Ok(()),
        starts => Err(ProductError(format!("the device restarted {starts} times")).into()),
    }
}
