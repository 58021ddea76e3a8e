//! Two uploads at once, and uploads that nobody ends.

use std::collections::BTreeMap;
use std::time::Duration;

use rigor_core::Instant;
use rigor_core::distribution::Distribution;
use rigor_core::event::{Direction, FlowKind};
use rigor_core::unit::{Amount, Unit};
use rigor_core::verdict::{Blame, Inconclusive, ProductError};
use rigor_decode::websocket::{ClientFrame, CloseCode};
use rigor_runner::need::{Clock, Console, Device, Net, WebSocket};
use rigor_runner::{Findings, Outcome, Suite};

use super::{
    AFTERMATH, Answered, Messages, NAME, SETTLING, Stored, and_changed, answered, attempt, named, still_well,
};
use crate::kit::{self, Storage};
use crate::pattern;
use crate::rows::Rows;
use crate::tlv::{Profile, crc32};

pub(super) fn add_to(suite: &mut Suite, profile: Profile) {
    suite
        .case(named("begin_twice", profile), &["K1-UPL-010"], move |console, net, storage, device| {
            begin_twice(profile, console, net, storage, device)
        })
        .case(
            named("begin_from_two_clients", profile),
            &["K1-UPL-024"],
            move |console, net, storage, device, clock| {
                two_clients(profile, console, net, storage, device, clock)
            },
        )
        .case(
            named("upload_after_disconnect", profile),
            &["K1-UPL-011"],
            move |console, net, storage, device, clock| {
                after_disconnect(profile, console, net, storage, device, clock)
            },
        )
        .case(
            named("upload_after_stall", profile),
            &["K1-UPL-012"],
            move |console, net, storage, device, clock| {
                after_stall(profile, console, net, storage, device, clock)
            },
        )
        .case(
            named("fifty_uploads", profile),
            &["K1-UPL-013"],
            move |console, net, storage, device, clock| fifty(profile, console, net, storage, device, clock),
        );
}

/// The name that profile n's uploads get, so that both profiles write the same file.
const SHARED: &str = "pattern";

/// A version of four pieces of 1000 bytes; `series` 1 is stored before.
fn version(series: u8) -> Vec<u8> {
    pattern::file(series, 4000)
}

/// Pieces `from` to `to` of a version.
fn pieces(profile: Profile, file: &[u8], from: usize, to: usize) -> Messages {
    (from..to).map(|piece| profile.data(piece as u32 * 1000, &file[piece * 1000..][..1000])).collect()
}

/// Whether the file is one of the versions that may be there: the one stored before unless a
/// STATUS said otherwise, and after a STATUS one of those sent as a whole.
fn is_whole(stored: &[u8], said_stored: bool, before: &[u8], sent: &[&[u8]]) -> bool {
    if said_stored { sent.contains(&stored) } else { stored == before }
}

/// A second BEGIN on the connection of a running upload.
async fn begin_twice(
    profile: Profile,
    mut console: Console,
    net: Net,
    storage: Storage,
    device: Device,
) -> Outcome {
    kit::settled(&mut console).await?;
    let (old, a, b) = (version(1), version(2), version(3));
    let begun = kit::upload_once(&net, profile, NAME, &old).await?.acknowledged;
    let half_and_half = [&a[..2000], &b[2000..]].concat();
    let short = &b[..2000];
    let begin = |file: &[u8]| profile.begin(NAME, file.len() as u32, crc32(file));
    let end = |file: &[u8]| profile.end(crc32(file));
    let of = |file: &[u8], from, to| pieces(profile, file, from, to);
    // What is sent, and which whole versions are in it.
    let attempts: [(&str, Messages, Vec<&[u8]>); 6] = [
        (
            "a whole second one",
            [vec![begin(&a)], of(&a, 0, 2), vec![begin(&b)], of(&b, 0, 4), vec![end(&b)]].concat(),
            vec![&b],
        ),
        (
            "the second's other half, CRC of the mixture",
            [
                vec![begin(&a)],
                of(&a, 0, 2),
                vec![profile.begin(NAME, 4000, crc32(&half_and_half))],
                of(&b, 2, 4),
                vec![end(&half_and_half)],
            ]
            .concat(),
            vec![],
        ),
        (
            "the second's other half, CRC of the second",
            [vec![begin(&a)], of(&a, 0, 2), vec![begin(&b)], of(&b, 2, 4), vec![end(&b)]].concat(),
            vec![],
        ),
        (
            "a shorter second one without data",
            [
                vec![begin(&a)],
                of(&a, 0, 2),
                vec![profile.begin(NAME, 2000, crc32(&a[..2000])), end(&a[..2000])],
            ]
            .concat(),
            vec![],
        ),
        (
            "a shorter second one",
            [vec![begin(&a)], of(&a, 0, 4), vec![begin(short)], of(&b, 0, 2), vec![end(short)]].concat(),
            vec![short],
        ),
        (
            "BEGIN twice, then data",
            [vec![begin(&a), begin(&b)], of(&b, 0, 4), vec![end(&b)]].concat(),
            vec![&b],
        ),
    ];
    let mut rows = Rows::default();
    let mut before = Stored::read(&storage).await?;
    for (what, messages, whole) in attempts {
        let answered = attempt(&net, profile, &messages).await?;
        let after = Stored::read(&storage).await?;
        let (old, now) = (before.pattern(profile, NAME), after.pattern(profile, NAME));
        let said_stored = answered == Answered::Stored;
        let holds = answered != Answered::Ignored
            && is_whole(now, said_stored, old, &whole)
            && after.changes(&before).len() <= usize::from(said_stored);
        let seen = if holds {
            answered.to_string()
        } else {
            format!("{answered}, the file is {}", describe(now, &[&a, &b, short, old]))
        };
        rows.note(holds, what, seen);
        before = after;
    }
    still_well(&net, &storage, &device, profile, begun).await?;
    let mut findings = Findings::new();
    rows.decide("K1-UPL-010", &mut findings)?;
    Ok(findings)
}

/// Which of `first`, `second`, `short second` and `old version` a file is.
fn describe(stored: &[u8], versions: &[&[u8]]) -> &'static str {
    const NAMES: [&str; 4] = ["the first upload", "the second", "the short second", "the old version"];
    let known = NAMES.into_iter().zip(versions).find(|(_, version)| **version == stored);
    known.map_or("something else", |(name, _)| name)
}

/// What a second client sends while another one's upload is half way.
#[derive(Clone, Copy, PartialEq)]
enum Second {
    /// An upload of its own.
    Whole,
    /// A BEGIN, and not enough for it.
    Partial,
    /// No BEGIN.
    Stray,
}

/// Two connections, in one profile and in both.
async fn two_clients(
    profile: Profile,
    mut console: Console,
    net: Net,
    storage: Storage,
    device: Device,
    clock: Clock,
) -> Outcome {
    kit::settled(&mut console).await?;
    let (old, a, b) = (version(1), version(2), version(3));
    let begun = kit::upload_once(&net, profile, SHARED, &old).await?.acknowledged;
    let mixture = [&a[..2000], &b[2000..]].concat();
    let mut rows = Rows::default();
    for other in Profile::ALL {
        // What the second client sends while the first one's upload is half way, and what may come
        // of it.
        let seconds: [(&str, Messages, Second); 4] = [
            ("a whole upload", other.upload(SHARED, &b), Second::Whole),
            (
                "the other half, CRC of the mixture",
                [
                    vec![other.begin(SHARED, 4000, crc32(&mixture))],
                    pieces(other, &b, 2, 4),
                    vec![other.end(crc32(&mixture))],
                ]
                .concat(),
                Second::Partial,
            ),
            (
                "DATA and END without BEGIN",
                [pieces(other, &b, 2, 4), vec![other.end(crc32(&mixture))]].concat(),
                Second::Stray,
            ),
            ("END without BEGIN", vec![other.end(crc32(&a[..2000]))], Second::Stray),
        ];
        for (what, messages, second) in seconds {
            let before = Stored::read(&storage).await?;
            let mut first = kit::open(&net, profile).await?;
            let halves = [vec![profile.begin(SHARED, 4000, crc32(&a))], pieces(profile, &a, 0, 2)].concat();
            kit::send_all(&first, &halves)?;
            clock.sleep(SETTLING).await;
            kit::quiet(&mut first).await;
            let of_second = attempt(&net, other, &messages).await?;
            let rest = [pieces(profile, &a, 2, 4), vec![profile.end(crc32(&a))]].concat();
            let of_first = answered(&mut first, &rest, AFTERMATH).await?;
            first.tcp.finish()?;
            clock.sleep(SETTLING).await;
            let after = Stored::read(&storage).await?;
            let changes = after.changes(&before);
            let holds = match (&of_first, &of_second) {
                (Answered::Stored, Answered::Refused(_)) => after.pattern(profile, SHARED) == a,
                (Answered::Refused(_), Answered::Stored) => {
                    second == Second::Whole && after.pattern(other, SHARED) == b
                }
                // It may have replaced the first one and then have come to nothing itself. Anything
                // else that is refused must not cost the first one its upload.
                (Answered::Refused(_), Answered::Refused(_)) => {
                    second == Second::Partial && changes.is_empty()
                }
                _ => false,
            } && changes.len() <= 1;
            let row = format!("{what} in {}", other.service());
            rows.note(
                holds,
                &row,
                format!(
                    "first {of_first}, second {of_second}{}",
                    if holds { String::new() } else { and_changed(&changes) }
                ),
            );
        }
    }
    still_well(&net, &storage, &device, profile, begun).await?;
    let mut findings = Findings::new();
    rows.decide("K1-UPL-024", &mut findings)?;
    Ok(findings)
}

/// Waits until the device has taken everything that was sent on `socket`; when the last of it went.
///
/// # Errors
/// The product's, if it does not within [`SETTLING`]; that nothing can be concluded, on a rig that does not see what
/// the device acknowledges.
async fn taken(socket: &WebSocket, clock: &Clock) -> Result<Instant, Blame> {
    clock.sleep(SETTLING).await;
    let (mut sent, mut acknowledged, mut last) = (0, None, Instant::ZERO);
    for (at, what) in socket.tcp.history(Instant::ZERO, clock.now()) {
        match what {
            FlowKind::Data(Direction::ToDut, bytes) => {
                sent += bytes.len() as u64;
                last = at;
            }
            FlowKind::Acknowledged(bytes) => acknowledged = Some(bytes),
            _ => {}
        }
    }
    // Whoever has a WebSocket has had its request acknowledged.
    let Some(acknowledged) = acknowledged else {
        return Err(Inconclusive("this rig does not see what the device acknowledges".to_owned()).into());
    };
    if sent == acknowledged {
        return Ok(last);
    }
    Err(ProductError(format!(
        "the device took {acknowledged} of {sent} bytes of an upload within {SETTLING:?}"
    ))
    .into())
}

/// Begins an upload of `file` every 250 ms until one is stored, but not after `limit`; when that one
/// began.
async fn first_stored(
    net: &Net,
    clock: &Clock,
    profile: Profile,
    file: &[u8],
    limit: Instant,
) -> Result<Option<Instant>, Blame> {
    while clock.now() <= limit {
        let mut socket = kit::open(net, profile).await?;
        let begun = clock.now();
        let answered = answered(&mut socket, &profile.upload(NAME, file), Duration::ZERO).await?;
        // No lingering close: the attempts must not exhaust the device.
        socket.tcp.reset()?;
        if answered == Answered::Stored {
            return Ok(Some(begun));
        }
        clock.sleep(Duration::from_millis(250)).await;
    }
    Ok(None)
}

/// What is wrong with the storage, which held `before`, after `file` was uploaded.
async fn not_stored(
    profile: Profile,
    storage: &Storage,
    before: &Stored,
    file: &[u8],
) -> Result<Option<String>, Blame> {
    let after = Stored::read(storage).await?;
    let changes = after.changes(before);
    let wrong = after.pattern(profile, NAME) != file || changes.len() > 1;
    Ok(wrong.then(|| format!("the next upload is not what is stored{}", and_changed(&changes))))
}

/// How far an upload had come when it was left: its messages, of which the END never comes.
fn left_behind(profile: Profile) -> [(&'static str, Messages); 3] {
    let file = version(2);
    let mut messages = profile.upload(NAME, &file);
    messages.pop();
    let halves = [vec![messages[0].clone()], pieces(profile, &file, 0, 2)].concat();
    [("after BEGIN", messages[..1].to_vec()), ("half way", halves), ("before END", messages)]
}

/// How long the next upload is tried again and again: beyond the budget, so that it is the budget
/// that decides.
const RECOVERY_LIMIT: Duration = Duration::from_secs(10);

/// What follows on uploads that were left behind: the next one must be accepted in time, and be what
/// is stored.
struct Recovery<'a> {
    id: &'static str,
    profile: Profile,
    net: &'a Net,
    storage: &'a Storage,
    clock: &'a Clock,
    took: Vec<Duration>,
    findings: Findings,
}

impl Recovery<'_> {
    /// The next upload, after one that was left at `left` in the way that `what` tells; its file.
    async fn upload(&mut self, what: &str, left: Instant) -> Result<Vec<u8>, Blame> {
        let file = version(3 + self.took.len() as u8 % 4);
        match first_stored(self.net, self.clock, self.profile, &file, left + RECOVERY_LIMIT).await? {
            Some(begun) => self.took.push(begun.since(left)),
            None => {
                let limit = Amount::from(RECOVERY_LIMIT);
                self.findings.observed(
                    self.id,
                    false,
                    format!("{what}: no upload was accepted within {limit}"),
                );
            }
        }
        Ok(file)
    }

    /// What the upload of `file` has left in the storage, which held `before`.
    async fn look(&mut self, what: &str, file: &[u8], before: &Stored) -> Result<(), Blame> {
        if let Some(wrong) = not_stored(self.profile, self.storage, before, file).await? {
            self.findings.observed(self.id, false, format!("{what}: {wrong}"));
        }
        Ok(())
    }

    fn into_findings(mut self) -> Outcome {
        if !self.took.is_empty() {
            self.findings.measured(self.id, Distribution::of_durations(self.took)?);
        }
        Ok(self.findings)
    }
}

/// The client leaves in each of the ways that there are, at each stage of an upload.
async fn after_disconnect(
    profile: Profile,
    mut console: Console,
    net: Net,
    storage: Storage,
    device: Device,
    clock: Clock,
) -> Outcome {
    kit::settled(&mut console).await?;
    let begun = clock.now();
    let mut recovery = Recovery {
        id: "K1-UPL-011",
        profile,
        net: &net,
        storage: &storage,
        clock: &clock,
        took: Vec::new(),
        findings: Findings::new(),
    };
    for (stage, messages) in left_behind(profile) {
        for way in ["FIN", "RST", "Close frame", "vanishing"] {
            let before = Stored::read(&storage).await?;
            let socket = kit::open(&net, profile).await?;
            kit::send_all(&socket, &messages)?;
            taken(&socket, &clock).await?;
            match way {
                "FIN" => socket.tcp.finish()?,
                "RST" => socket.tcp.reset()?,
                "Close frame" => socket.send(ClientFrame::close(CloseCode::GOING_AWAY, ""))?,
                _ => socket.tcp.vanish()?,
            }
            let what = format!("{way} {stage}");
            let file = recovery.upload(&what, clock.now()).await?;
            // Whichever way it was left, nobody listens to it any more.
            drop(socket);
            recovery.look(&what, &file, &before).await?;
        }
    }
    still_well(&net, &storage, &device, profile, begun).await?;
    recovery.into_findings()
}

/// The client stays connected and silent, at each stage of an upload and in the middle of a frame.
async fn after_stall(
    profile: Profile,
    mut console: Console,
    net: Net,
    storage: Storage,
    device: Device,
    clock: Clock,
) -> Outcome {
    kit::settled(&mut console).await?;
    let begun = clock.now();
    let mut recovery = Recovery {
        id: "K1-UPL-012",
        profile,
        net: &net,
        storage: &storage,
        clock: &clock,
        took: Vec::new(),
        findings: Findings::new(),
    };
    let [begin, half, whole] = left_behind(profile);
    for (stage, messages, torn) in [
        (begin.0, begin.1, false),
        (half.0, half.1.clone(), false),
        ("in a frame", half.1, true),
        (whole.0, whole.1, false),
    ] {
        let before = Stored::read(&storage).await?;
        let socket = kit::open(&net, profile).await?;
        kit::send_all(&socket, &messages)?;
        if torn {
            let frame = ClientFrame::binary(profile.data(2000, &version(2)[2000..3000]))
                .masked([1, 2, 3, 4])
                .encode();
            socket.tcp.send(&frame[..frame.len() / 2])?;
        }
        let last = taken(&socket, &clock).await?;
        clock.sleep_until(last + Duration::from_millis(5001)).await;
        let what = format!("stalled {stage}");
        let file = recovery.upload(&what, last).await?;
        socket.tcp.reset()?;
        recovery.look(&what, &file, &before).await?;
    }
    still_well(&net, &storage, &device, profile, begun).await?;
    recovery.into_findings()
}

/// Fifty uploads of mixed sizes in a row, in profile f under four names.
async fn fifty(
    profile: Profile,
    mut console: Console,
    net: Net,
    storage: Storage,
    device: Device,
    clock: Clock,
) -> Outcome {
    kit::settled(&mut console).await?;
    let begun = clock.now();
    let names = ["one", "two", "three", "four"];
    // By name; in profile n there is only one.
    let mut expected = BTreeMap::new();
    let mut failed = Vec::new();
    for index in 0..50_usize {
        // From a byte to 60 KB in no order; every tenth is of the largest size, under one name.
        let (name, size) = match index % 10 {
            9 => (names[0], pattern::MAX_FILE_BYTES),
            _ => (names[1 + index % 3], 1 + index * index * 7919 % 60_000),
        };
        let file = pattern::file(index as u8, size);
        failed.push(attempt(&net, profile, &profile.upload(name, &file)).await? != Answered::Stored);
        expected.insert(if profile == Profile::N { NAME } else { name }, file);
    }
    let stored = Stored::read(&storage).await?;
    let mut findings = Findings::new();
    for (name, file) in &expected {
        if stored.pattern(profile, name) != file {
            findings.observed("K1-UPL-013", false, format!("`{name}` is not what was uploaded last"));
        }
    }
    still_well(&net, &storage, &device, profile, begun).await?;
    let failures = failed.iter().filter(|&&failed| failed).count();
    findings.measured("K1-UPL-013", Distribution::new(Unit::Count, [failures as f64])?);
    Ok(findings)
}
