//! Uploads that the device must refuse, and what refusing them must not do.
//!
//! The attacks are tables; each is sent on a connection of its own, over a stored old version.

use std::collections::BTreeMap;
use std::time::Duration;

use rigor_core::distribution::Distribution;
use rigor_core::unit::Unit;
use rigor_core::verdict::Blame;
use rigor_runner::need::{Console, Device, Leds, Net, WebSocket};
use rigor_runner::{Findings, Outcome, Suite};

use super::{
    AFTERMATH, Answered, Messages, NAME, SETTLING, Stored, and_changed, answered, attempt, counted, named,
    still_well,
};
use crate::kit::{self, Storage};
use crate::pattern;
use crate::rows::Rows;
use crate::tlv::{Profile, crc32, tlv_f, tlv_n};

type Table = fn(Profile) -> Vec<Attack>;

pub(super) fn add_to(suite: &mut Suite, profile: Profile) {
    const TABLES: [(&str, Table, &[&str]); 4] = [
        ("incomplete_uploads", incomplete, &["K1-UPL-004", "K1-UPL-009"]),
        ("stray_messages", stray, &["K1-UPL-005", "K1-UPL-022"]),
        ("data_out_of_bounds", out_of_bounds, &["K1-UPL-006", "K1-UPL-007"]),
        ("malformed_uploads", malformed, &[]),
    ];
    const MALFORMED_F: [&str; 6] =
        ["K1-FMT-001", "K1-FMT-002", "K1-FMT-003", "K1-FMT-004", "K1-FMT-006", "K1-FMT-007"];
    const EFFECTS: [&str; 3] = ["K1-UPL-028", "K1-UPL-030", "K1-UPL-031"];
    for (name, table, ids) in TABLES {
        let formats: &[&str] = match (name, profile) {
            ("malformed_uploads", Profile::N) => &["K1-FMT-003", "K1-FMT-019"],
            ("malformed_uploads", Profile::F) => &MALFORMED_F,
            _ => &[],
        };
        let decides = [ids, formats, &EFFECTS].concat();
        suite.case(named(name, profile), &decides, move |console, net, storage, device, leds| {
            refuse_all(profile, table, console, net, storage, device, leds)
        });
    }
    suite.case(
        named("upload_after_refusal", profile),
        &["K1-UPL-029"],
        move |console, net, storage, device| {
            upload_after(profile, TABLES.map(|(_, table, _)| table), console, net, storage, device)
        },
    );
}

/// Messages that must be refused.
struct Attack {
    /// The requirement that says so, if it is one of this group.
    id: Option<&'static str>,
    what: &'static str,
    /// A good upload of the old version is sent first on the same connection.
    after_upload: bool,
    /// Refusing the last message need not end the upload that it is in the middle of.
    message_only: bool,
    messages: Messages,
}

impl Attack {
    fn new(id: &'static str, what: &'static str, messages: Messages) -> Self {
        Attack { id: Some(id), what, after_upload: false, message_only: false, messages }
    }

    /// One whose refusal another group's requirement asks for, or none.
    fn malformed(what: &'static str, messages: Messages) -> Self {
        Attack { id: None, ..Attack::new("", what, messages) }
    }

    fn after_upload(mut self) -> Self {
        self.after_upload = true;
        self
    }

    /// Sends it on a connection of its own; what the device does about it within `aftermath`.
    async fn send(
        &self,
        net: &Net,
        profile: Profile,
        aftermath: Duration,
    ) -> Result<(WebSocket, Answered), Blame> {
        let mut socket = kit::open(net, profile).await?;
        if self.after_upload {
            kit::upload(&mut socket, profile, NAME, &old()).await?;
        }
        let answered = answered(&mut socket, &self.messages, aftermath).await?;
        Ok((socket, answered))
    }
}

/// The version that is stored before.
fn old() -> Vec<u8> {
    pattern::file(1, 3000)
}

/// The version that must not get in: three pieces of 1000 bytes.
fn new() -> Vec<u8> {
    pattern::file(2, 3000)
}

/// BEGIN of `size` bytes, the `pieces` (offset and bytes), and an END, all with `crc`.
fn upload(profile: Profile, size: u32, pieces: &[(u32, &[u8])], crc: u32) -> Messages {
    let mut messages = vec![profile.begin(NAME, size, crc)];
    messages.extend(pieces.iter().map(|&(offset, bytes)| profile.data(offset, bytes)));
    messages.push(profile.end(crc));
    messages
}

/// `file` without the bytes of `hole`, in pieces.
fn around(file: &[u8], hole: std::ops::Range<usize>) -> Vec<(u32, &[u8])> {
    let ends = [(0, &file[..hole.start]), (hole.end as u32, &file[hole.end..])];
    ends.into_iter().filter(|(_, bytes)| !bytes.is_empty()).collect()
}

/// `file` with `filling` in place of the bytes from `at` on.
fn patched(file: &[u8], at: usize, filling: &[u8]) -> Vec<u8> {
    let mut patched = file.to_vec();
    patched[at..at + filling.len()].copy_from_slice(filling);
    patched
}

/// Not all bytes came.
fn incomplete(profile: Profile) -> Vec<Attack> {
    let (old, new) = (old(), new());
    let size = new.len() as u32;
    let early = |what, sent: &[u8], crc| {
        let pieces: &[(u32, &[u8])] = if sent.is_empty() { &[] } else { &[(0, sent)] };
        Attack::new("K1-UPL-004", what, upload(profile, size, pieces, crc))
    };
    let hole =
        |what, hole, crc| Attack::new("K1-UPL-009", what, upload(profile, size, &around(&new, hole), crc));
    let with = |at, filling: &[u8]| crc32(&patched(&new, at, filling));
    let rest = [&new[..1000], &new[2000..]].concat();
    // As many bytes as were declared, but not all of them.
    let twice: [(u32, &[u8]); 3] = [(0, &new[..1000]), (0, &new[..1000]), (2000, &new[2000..])];
    vec![
        early("no data", &[], crc32(&new)),
        early("no data, the CRC of nothing", &[], 0),
        early("all but the last byte", &new[..2999], crc32(&new)),
        early("all but the last byte, the CRC of these", &new[..2999], crc32(&new[..2999])),
        early("a third, its CRC", &new[..1000], crc32(&new[..1000])),
        hole("hole, the file's CRC", 1000..2000, crc32(&new)),
        hole("hole, CRC with zeros", 1000..2000, with(1000, &[0; 1000])),
        hole("hole, CRC with ones", 1000..2000, with(1000, &[0xFF; 1000])),
        hole("hole, CRC with the old version", 1000..2000, with(1000, &old[1000..2000])),
        hole("hole, CRC of what came", 1000..2000, crc32(&rest)),
        hole("hole of a byte, CRC with zero", 1500..1501, with(1500, &[0])),
        hole("hole at the start, CRC with zeros", 0..1000, with(0, &[0; 1000])),
        Attack::new(
            "K1-UPL-009",
            "first piece twice for the second, CRC with zeros",
            upload(profile, size, &twice, with(1000, &[0; 1000])),
        ),
        Attack::new(
            "K1-UPL-009",
            "first piece twice for the second, CRC of what came",
            upload(profile, size, &twice, with(1000, &new[..1000])),
        ),
    ]
}

/// DATA and END without a BEGIN.
fn stray(profile: Profile) -> Vec<Attack> {
    let (old, new) = (old(), new());
    let crc = crc32(&new);
    let data =
        |what, offset, bytes: &[u8]| Attack::new("K1-UPL-005", what, vec![profile.data(offset, bytes)]);
    let end = |what, crc| Attack::new("K1-UPL-022", what, vec![profile.end(crc)]);
    vec![
        data("DATA first", 0, &new[..1000]),
        data("DATA first, full chunk", 0, &vec![0x5A; profile.chunk()]),
        data("DATA first, somewhere", 2000, &new[2000..]),
        data("DATA after an upload", 0, &new[..1000]).after_upload(),
        data("DATA after an upload, behind it", old.len() as u32, &[1]).after_upload(),
        Attack::new("K1-UPL-005", "DATA and END", vec![profile.data(0, &new), profile.end(crc)]),
        end("END first", crc),
        end("END first, the CRC of nothing", 0),
        end("END twice", crc32(&old)).after_upload(),
        end("END after an upload, the CRC of nothing", 0).after_upload(),
    ]
}

/// DATA that reaches beyond the declared size.
fn out_of_bounds(profile: Profile) -> Vec<Attack> {
    let new = new();
    let excess = |what, size: u32, pieces: &[(u32, &[u8])], crc| {
        Attack::new("K1-UPL-006", what, upload(profile, size, pieces, crc))
    };
    let wrap = |what, size: u32, pieces: &[(u32, &[u8])], crc| {
        Attack::new("K1-UPL-007", what, upload(profile, size, pieces, crc))
    };
    let longer = [&new[..], &[0]].concat();
    let pieces: Vec<(u32, &[u8])> = vec![(0, &new[..1000]), (1000, &new[1000..2000]), (2000, &new[2000..])];
    let and = |offset, bytes| [&pieces[..], &[(offset, bytes)]].concat();
    // Without an END: it is the DATA that must be refused.
    let alone = |mut attack: Attack| {
        attack.messages.pop();
        attack
    };
    let ones = vec![0xEE; profile.chunk()];
    vec![
        excess("a byte too many", 3000, &[(0, &longer)], crc32(&new)),
        excess("a byte too many, its CRC", 3000, &[(0, &longer)], crc32(&longer)),
        alone(excess("a byte too many, no END", 3000, &[(0, &longer)], crc32(&new))),
        excess("a byte behind the end", 3000, &and(3000, &[0]), crc32(&new)),
        excess("a piece too many", 2000, &pieces, crc32(&new[..2000])),
        excess("a piece too many, CRC of all", 2000, &pieces, crc32(&new)),
        excess("a full chunk for one byte", 1, &[(0, &ones)], crc32(&ones[..1])),
        excess("half of it behind the end", 3000, &and(2500, &new[..1000]), crc32(&new)),
        excess("behind the largest size", 3000, &and(262_144, &[1, 2]), crc32(&new)),
        excess("2 GiB away", 3000, &and(0x7FFF_FFFF, &[1, 2]), crc32(&new)),
        // Its end, cut to 32 bits, is the declared size, and the bytes after the wrap are the file.
        wrap("32 bytes at 0xFFFFFFF0", 16, &[(0xFFFF_FFF0, &new[..32])], crc32(&new[16..32])),
        wrap("32 bytes at 0xFFFFFFF0, their CRC", 16, &[(0xFFFF_FFF0, &new[..32])], crc32(&new[..32])),
        alone(wrap("32 bytes at 0xFFFFFFF0, no END", 16, &[(0xFFFF_FFF0, &new[..32])], crc32(&new[16..32]))),
        wrap("32 bytes at 0xFFFFFFF0 after the file", 3000, &and(0xFFFF_FFF0, &new[..32]), crc32(&new)),
        wrap("two bytes at 0xFFFFFFFF", 1, &[(0xFFFF_FFFF, &new[..2])], crc32(&new[1..2])),
        wrap("up to 4 GiB to the byte", 16, &[(0xFFFF_FFF0, &new[..16])], crc32(&new[..16])),
        wrap("a full chunk at 0xFFFFFFF0", 262_144, &[(0xFFFF_FFF0, &ones)], crc32(&ones)),
        wrap("2 GiB and back", 3000, &and(0x8000_0000, &new[..32]), crc32(&new)),
    ]
}

/// Messages that are no messages, alone and in the middle of an upload, and the refusals that no
/// other table has.
fn malformed(profile: Profile) -> Vec<Attack> {
    let messages = match profile {
        Profile::N => malformed_n(),
        Profile::F => malformed_f(),
    };
    let new = new();
    let crc = crc32(&new);
    let mut attacks = Vec::new();
    for (id, what, message) in messages {
        let good = upload(profile, 3000, &[(0, &new[..1000]), (1000, &new[1000..])], crc);
        // Whatever follows, the device may be out of step with it: it is not part of the attack.
        let within = [&good[..2], std::slice::from_ref(&message)].concat();
        attacks.push(Attack { id, message_only: true, ..Attack::malformed(what, within) });
        attacks.push(Attack { id, ..Attack::malformed(what, vec![message]) });
    }
    // Refused for what they say. That they are refused is for other cases to decide; what follows
    // from it belongs here.
    let wrong_crc = upload(profile, 3000, &[(0, &new)], crc ^ 1);
    let begin = profile.begin(NAME, 3000, crc);
    attacks.push(Attack::malformed("wrong file CRC", wrong_crc));
    attacks.push(Attack::malformed("empty file", profile.upload(NAME, &[])));
    attacks.push(Attack::malformed("262,145 bytes", vec![profile.begin(NAME, 262_145, crc)]));
    attacks.push(Attack::malformed("BEGIN twice", vec![begin.clone(), begin, profile.end(crc)]));
    attacks
}

/// A message, what is wrong with it, and the requirement that says so, if there is one.
type Malformed = (Option<&'static str>, &'static str, Vec<u8>);

fn malformed_n() -> Vec<Malformed> {
    let length = Some("K1-FMT-019");
    let begin = Profile::N.begin(NAME, 3000, 0);
    let data = Profile::N.data(1000, &[0x5A; 100]);
    vec![
        (length, "one byte", vec![0x01]),
        (length, "half a length", vec![0x02, 0x04]),
        (length, "BEGIN without a size", tlv_n(0x01, &[])),
        (length, "BEGIN with half a size", tlv_n(0x01, &[0, 1])),
        (length, "BEGIN with five bytes", tlv_n(0x01, &[0, 1, 0, 0, 0])),
        (None, "BEGIN of 0xFFFFFFFF", tlv_n(0x01, &[0xFF; 4])),
        (length, "BEGIN cut short", begin[..6].to_vec()),
        (length, "BEGIN with a byte after it", [&begin[..], &[0]].concat()),
        (length, "BEGIN twice in a message", [&begin[..], &begin[..]].concat()),
        (length, "DATA without an offset", tlv_n(0x02, &[])),
        (length, "DATA with half an offset", tlv_n(0x02, &[0, 0])),
        (length, "DATA cut short", data[..data.len() - 1].to_vec()),
        (length, "DATA with a byte after it", [&data[..], &[0]].concat()),
        (length, "DATA of length 0xFFFF", vec![0x02, 0xFF, 0xFF, 0, 0, 0, 0, 1]),
        (length, "END with three bytes", tlv_n(0x03, &[0; 3])),
        (length, "END with five bytes", tlv_n(0x03, &[0; 5])),
        (None, "type 0x00", tlv_n(0x00, &[0; 4])),
        (None, "type 0x04", tlv_n(0x04, &[0; 4])),
        (Some("K1-FMT-003"), "type 0x99", tlv_n(0x99, &[0; 4])),
        (None, "full message of 0xFF", vec![0xFF; 4096]),
        (None, "full message of 0x00", vec![0x00; 4096]),
    ]
}

fn malformed_f() -> Vec<Malformed> {
    let crc = Some("K1-FMT-001");
    let length = Some("K1-FMT-002");
    let begin = |name_length: u8, name: &[u8], size: u32| {
        tlv_f(0x10, &[&[name_length], name, &size.to_be_bytes(), &[0; 4]].concat())
    };
    let data = Profile::F.data(1000, &[0x5A; 100]);
    let with_crc = |head: &[u8]| [head, &crc32(head).to_be_bytes()].concat();
    let flipped = |at: usize| {
        let mut bytes = data.clone();
        bytes[at] ^= 1;
        bytes
    };
    vec![
        (None, "one byte", vec![0x10]),
        (None, "six bytes", vec![0x12, 0, 0, 0xE0, 0xE3, 0xAE]),
        (None, "BEGIN without a payload", tlv_f(0x10, &[])),
        (Some("K1-FMT-004"), "BEGIN without a name", begin(0, b"", 100)),
        (None, "BEGIN with a name of 64", begin(64, &[b'x'; 64], 100)),
        (Some("K1-FMT-006"), "BEGIN with a name of 255", begin(255, &[b'x'; 255], 100)),
        (Some("K1-FMT-006"), "BEGIN with a name of 255, three bytes there", begin(255, b"abc", 100)),
        (None, "BEGIN whose name is longer than it", begin(63, b"abc", 100)),
        (None, "BEGIN whose name is shorter than said", begin(4, b"abc", 100)),
        (None, "BEGIN whose name is longer than said", begin(2, b"abc", 100)),
        (None, "BEGIN without its CRC", tlv_f(0x10, b"\x03abc\0\0\x01\0")),
        (Some("K1-FMT-007"), "BEGIN of 300,000 bytes", begin(3, b"abc", 300_000)),
        (None, "BEGIN of 0xFFFFFFFF bytes", begin(3, b"abc", u32::MAX)),
        (None, "DATA without an offset", tlv_f(0x11, &[])),
        (None, "DATA with half an offset", tlv_f(0x11, &[0, 0])),
        (length, "DATA cut short", data[..data.len() - 1].to_vec()),
        (length, "DATA with a byte after it", [&data[..], &[0]].concat()),
        (crc, "DATA with a flipped bit", flipped(50)),
        (crc, "DATA with a flipped offset", flipped(6)),
        (crc, "DATA with a flipped CRC", flipped(data.len() - 1)),
        (None, "DATA without a CRC", data[..data.len() - 4].to_vec()),
        (length, "DATA one longer than it says", with_crc(&[0x11, 0, 5, 0, 0, 0x03, 0xE8, 1, 2])),
        (length, "DATA one shorter than it says", with_crc(&[0x11, 0, 7, 0, 0, 0x03, 0xE8, 1, 2])),
        (length, "DATA of length 0xFFFF", with_crc(&[0x11, 0xFF, 0xFF, 0, 0, 0, 0, 1])),
        (None, "two messages in one", [&data[..], &data[..]].concat()),
        (None, "type 0x13", tlv_f(0x13, &[0; 4])),
        (Some("K1-FMT-003"), "type 0x99", tlv_f(0x99, &[0; 4])),
        (None, "full message of 0xFF", vec![0xFF; 4096]),
        (None, "full message of 0x00", vec![0x00; 4096]),
    ]
}

/// Every attack is refused, changes nothing on the flash, and leaves the device running.
async fn refuse_all(
    profile: Profile,
    table: Table,
    mut console: Console,
    net: Net,
    storage: Storage,
    device: Device,
    leds: Leds,
) -> Outcome {
    kit::settled(&mut console).await?;
    // In profile f nothing plays by itself, and what plays not can be seen to stop.
    kit::upload_once(&net, Profile::N, NAME, &old()).await?;
    kit::upload_once(&net, profile, NAME, &old()).await?;
    let before = Stored::read(&storage).await?;
    // Again, because a device that had to be interrupted for the look plays nothing any more.
    let begun = kit::upload_once(&net, Profile::N, NAME, &old()).await?.acknowledged;
    leds.expect("an uploaded pattern", kit::ANSWER_LIMIT, |picture| !picture.is_black()).await?;
    let mut looked = begun;
    let mut tallies: BTreeMap<&str, Rows> = BTreeMap::new();
    let (mut changed, mut silent) = (Vec::new(), Vec::new());
    let mut findings = Findings::new();
    for attack in table(profile) {
        let (socket, answered) = attack.send(&net, profile, AFTERMATH).await?;
        socket.tcp.finish()?;
        socket.sleep_until(socket.tcp.now() + SETTLING).await;
        if let Some(id) = attack.id {
            let refused = matches!(answered, Answered::Refused(_));
            tallies.entry(id).or_default().note(refused, attack.what, answered.to_string());
        }
        if let Answered::Refused(error) = answered {
            silent.push(error.is_none());
        }
        let frames = leds.record(Duration::from_millis(50)).await?;
        if frames.lanes.iter().any(|lane| lane.len() < 3) {
            findings.observed("K1-UPL-030", false, format!("the LEDs stopped after {}", attack.what));
        }
        if !storage.is_read_beside_firmware()? {
            continue;
        }
        // What the chip did not touch has not changed.
        let chip = storage.chip();
        let touched = chip.busy_source().is_none() || !chip.busy(looked, frames.until).is_empty();
        looked = frames.until;
        let changes = if touched { Stored::read(&storage).await?.changes(&before) } else { Vec::new() };
        if !changes.is_empty() {
            findings.observed("K1-UPL-028", false, format!("{}{}", attack.what, and_changed(&changes)));
        }
        changed.push(changes.len() as f64);
    }
    if changed.is_empty() {
        // Nothing may have changed by all of them together either.
        let changes = Stored::read(&storage).await?.changes(&before);
        if !changes.is_empty() {
            findings.observed("K1-UPL-028", false, format!("all attacks together{}", and_changed(&changes)));
        }
        changed.push(changes.len() as f64);
    }
    still_well(&net, &storage, &device, profile, begun).await?;
    for (id, rows) in tallies {
        rows.decide(id, &mut findings)?;
    }
    findings.measured("K1-UPL-028", Distribution::new(Unit::Count, changed)?);
    findings.measured("K1-UPL-030", Distribution::new(Unit::Count, [device.starts_since(begun) as f64])?);
    if silent.is_empty() {
        findings.observed("K1-UPL-031", false, "nothing was refused");
    } else {
        findings.measured("K1-UPL-031", counted(silent)?);
    }
    Ok(findings)
}

/// The first sign of each refusal is followed at once by a valid upload on a fresh connection.
async fn upload_after(
    profile: Profile,
    tables: [Table; 4],
    mut console: Console,
    net: Net,
    storage: Storage,
    device: Device,
) -> Outcome {
    kit::settled(&mut console).await?;
    let begun = kit::upload_once(&net, profile, NAME, &old()).await?.acknowledged;
    let mut rows = Rows::default();
    for attack in tables.iter().flat_map(|table| table(profile)) {
        let (socket, answered) = attack.send(&net, profile, Duration::ZERO).await?;
        // What was refused may be a message only, and the upload around it go on for as long as its
        // client is there.
        let gone = attack.message_only;
        if gone {
            socket.tcp.reset()?;
            socket.sleep_until(socket.tcp.now() + SETTLING).await;
        }
        let valid = attempt(&net, profile, &profile.upload(NAME, &old())).await?;
        if !gone {
            socket.tcp.reset()?;
        }
        match (&answered, &valid) {
            (Answered::Refused(_), Answered::Stored) => rows.good("refused, and the next upload stored"),
            // That it is not refused is for other cases to say.
            (_, Answered::Stored) => {}
            _ => rows.bad(attack.what, format!("{answered}, the next upload {valid}")),
        }
    }
    still_well(&net, &storage, &device, profile, begun).await?;
    let mut findings = Findings::new();
    rows.decide("K1-UPL-029", &mut findings)?;
    Ok(findings)
}
