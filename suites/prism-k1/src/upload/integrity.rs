//! The messages of an upload to the byte: types, byte order, CRC, names.

use rigor_core::distribution::Distribution;
use rigor_core::unit::Unit;
use rigor_runner::need::{Console, Device, Net};
use rigor_runner::{Findings, Outcome, Suite};

use super::{
    Answered, Messages, NAME, Stored, and_changed, and_differ, attempt, differing, named, still_well,
};
use crate::kit::{self, Storage};
use crate::pattern;
use crate::rows::Rows;
use crate::tlv::{Profile, crc32, tlv_f, tlv_n};

pub(super) fn add_to(suite: &mut Suite, profile: Profile) {
    let types: &[&str] = match profile {
        Profile::N => &["K1-UPL-033"],
        // The very same messages: f's END is empty.
        Profile::F => &["K1-UPL-033", "K1-UPL-036"],
    };
    suite
        .case(named("message_types", profile), types, move |console, net, storage| {
            message_types(profile, types, console, net, storage)
        })
        .case(named("byte_order", profile), &["K1-UPL-034"], move |console, net, storage| {
            byte_order(profile, console, net, storage)
        })
        .case(named("crc_variant", profile), &["K1-UPL-039"], move |console, net, storage| {
            crc_variant(profile, console, net, storage)
        })
        .case(named("wrong_crc", profile), &["K1-UPL-003", "K1-UPL-021"], move |console, net, storage| {
            wrong_crc(profile, console, net, storage)
        });
    match profile {
        Profile::N => suite.case("end_without_crc", &["K1-UPL-035"], end_without_crc),
        Profile::F => suite.case("stored_names", &["K1-UPL-040"], stored_names).case(
            "name_lengths",
            &["K1-FMT-005"],
            name_lengths,
        ),
    };
}

/// The vectors of the specification (sections 1.2 and 1.3), written out: a file of the bytes 00 to
/// FF, under the name `multi` where there is one.
async fn message_types(
    profile: Profile,
    ids: &'static [&'static str],
    mut console: Console,
    net: Net,
    storage: Storage,
) -> Outcome {
    kit::settled(&mut console).await?;
    let file: Vec<u8> = (0..=255).collect();
    let [begin, data, end] = match profile {
        Profile::N => [
            vec![0x01, 0x04, 0x00, 0x00, 0x01, 0x00, 0x00],
            [&[0x02, 0x04, 0x01, 0, 0, 0, 0], &file[..]].concat(),
            vec![0x03, 0x04, 0x00, 0x73, 0x8C, 0x05, 0x29],
        ],
        Profile::F => {
            let head: Vec<u8> = [&[0x11, 0x01, 0x04, 0, 0, 0, 0], &file[..]].concat();
            [
                b"\x10\x00\x0E\x05multi\x00\x00\x01\x00\x29\x05\x8C\x73\x59\x63\x42\xC5".to_vec(),
                [&head, &crc32(&head).to_be_bytes()[..]].concat(),
                vec![0x12, 0x00, 0x00, 0xE0, 0xE3, 0xAE, 0x0C],
            ]
        }
    };
    let answered = attempt(&net, profile, &[begin, data, end]).await?;
    let differ = differing(&file, Stored::read(&storage).await?.pattern(profile, "multi"));
    let mut findings = Findings::new();
    for id in ids {
        let holds = answered == Answered::Stored && differ == 0;
        findings.observed(id, holds, format!("{answered}{}", and_differ(differ)));
    }
    Ok(findings)
}

/// The order of the bytes in one message's fields.
#[derive(Clone, Copy)]
struct Orders {
    /// Whether the field is written the other profile's way round.
    length: bool,
    size: bool,
    offset: bool,
    crc: bool,
}

/// An upload of two chunks with single fields in the other byte order. No value reads the same
/// both ways.
fn upload_with(profile: Profile, file: &[u8], cut: usize, swapped: Orders) -> Messages {
    let field = |value: u32, swap: bool| match (profile, swap) {
        (Profile::N, false) | (Profile::F, true) => value.to_le_bytes(),
        (Profile::N, true) | (Profile::F, false) => value.to_be_bytes(),
    };
    let frame = |kind: u8, payload: &[u8], swap: bool| {
        let mut bytes = match profile {
            Profile::N => tlv_n(kind, payload),
            Profile::F => tlv_f(kind, payload),
        };
        if swap {
            bytes.swap(1, 2);
            if profile == Profile::F {
                let body = bytes.len() - 4;
                let crc = crc32(&bytes[..body]).to_be_bytes();
                bytes[body..].copy_from_slice(&crc);
            }
        }
        bytes
    };
    let size = field(file.len() as u32, swapped.size);
    let crc = field(crc32(file), swapped.crc);
    let second = [&field(cut as u32, swapped.offset), &file[cut..]].concat();
    let first = [&field(0, false), &file[..cut]].concat();
    match profile {
        Profile::N => vec![
            frame(0x01, &size, false),
            frame(0x02, &first, swapped.length),
            frame(0x02, &second, false),
            frame(0x03, &crc, false),
        ],
        Profile::F => {
            let begin = [&[NAME.len() as u8], NAME.as_bytes(), &size, &crc].concat();
            vec![
                frame(0x10, &begin, false),
                frame(0x11, &first, swapped.length),
                frame(0x11, &second, false),
                frame(0x12, &[], false),
            ]
        }
    }
}

/// Every field in the right order is read; one in the other order is refused.
async fn byte_order(profile: Profile, mut console: Console, net: Net, storage: Storage) -> Outcome {
    kit::settled(&mut console).await?;
    let right = Orders { length: false, size: false, offset: false, crc: false };
    let wrong = [
        ("length", Orders { length: true, ..right }),
        ("size", Orders { size: true, ..right }),
        ("offset", Orders { offset: true, ..right }),
        ("CRC", Orders { crc: true, ..right }),
    ];
    let mut rows = Rows::default();
    let file = pattern::file(1, 0x0902);
    let answered = attempt(&net, profile, &upload_with(profile, &file, 0x0307, right)).await?;
    let stored = Stored::read(&storage).await?;
    let differ = differing(&file, stored.pattern(profile, NAME));
    let holds = answered == Answered::Stored && differ == 0;
    rows.note(holds, "the profile's order", format!("the profile's order {answered}{}", and_differ(differ)));
    let other = pattern::file(2, 0x0902);
    for (field, orders) in wrong {
        let answered = attempt(&net, profile, &upload_with(profile, &other, 0x0307, orders)).await?;
        let changes = Stored::read(&storage).await?.changes(&stored);
        let holds = matches!(answered, Answered::Refused(_)) && changes.is_empty();
        let seen = format!("the other order {answered}{}", and_changed(&changes));
        rows.note(holds, field, seen);
    }
    let mut findings = Findings::new();
    rows.decide("K1-UPL-034", &mut findings)?;
    Ok(findings)
}

/// The check value of CRC-32/ISO-HDLC, as a number from the literature, and those of its relatives
/// (catalogue of parametrised CRC algorithms, width 32), which must not do.
async fn crc_variant(profile: Profile, mut console: Console, net: Net, storage: Storage) -> Outcome {
    const FILE: &[u8] = b"123456789";
    const RELATIVES: [(&str, u32); 5] = [
        ("CRC-32/BZIP2", 0xFC89_1918),
        ("CRC-32/JAMCRC", 0x340B_C6D9),
        ("CRC-32/MPEG-2", 0x0376_E6E7),
        ("CRC-32/ISCSI", 0xE306_9283),
        ("CRC-32/CKSUM", 0x765E_7680),
    ];
    kit::settled(&mut console).await?;
    let messages = |crc| [profile.begin(NAME, 9, crc), profile.data(0, FILE), profile.end(crc)];
    let mut rows = Rows::default();
    for (name, crc) in RELATIVES {
        let answered = attempt(&net, profile, &messages(crc)).await?;
        rows.note(matches!(answered, Answered::Refused(_)), name, format!("relatives {answered}"));
    }
    let answered = attempt(&net, profile, &messages(0xCBF4_3926)).await?;
    let differ = differing(FILE, Stored::read(&storage).await?.pattern(profile, NAME));
    let holds = answered == Answered::Stored && differ == 0;
    rows.note(holds, "0xCBF43926", format!("0xCBF43926 {answered}{}", and_differ(differ)));
    let mut findings = Findings::new();
    rows.decide("K1-UPL-039", &mut findings)?;
    Ok(findings)
}

/// Wrong CRCs, and right ones over wrong data, first where nothing is stored and then over an old
/// version.
async fn wrong_crc(profile: Profile, mut console: Console, net: Net, storage: Storage) -> Outcome {
    kit::settled(&mut console).await?;
    let old = pattern::file(1, 6000);
    let new = pattern::file(2, 6000);
    let right = crc32(&new);
    let wrong = [
        ("lowest bit", right ^ 1),
        ("highest bit", right ^ 0x8000_0000),
        ("inverted", !right),
        ("bytes reversed", right.swap_bytes()),
        ("zero", 0),
        ("ones", 0xFFFF_FFFF),
        ("of the old version", crc32(&old)),
        ("of all but the last byte", crc32(&new[..new.len() - 1])),
    ];
    let mut attempts: Vec<(String, Messages)> = wrong
        .into_iter()
        .map(|(what, crc)| {
            let mut messages = profile.upload(NAME, &new);
            messages[0] = profile.begin(NAME, new.len() as u32, crc);
            messages.pop();
            messages.push(profile.end(crc));
            (what.to_owned(), messages)
        })
        .collect();
    for at in [0, profile.chunk(), new.len() - 1] {
        let mut damaged = new.clone();
        damaged[at] ^= 0x10;
        let mut messages = profile.upload(NAME, &damaged);
        messages[0] = profile.begin(NAME, new.len() as u32, right);
        messages.pop();
        messages.push(profile.end(right));
        attempts.push((format!("byte {at} damaged"), messages));
    }

    let mut rows = Rows::default();
    let mut changed = Vec::new();
    for has_old in [false, true] {
        if has_old {
            kit::upload_once(&net, profile, NAME, &old).await?;
        }
        let before = Stored::read(&storage).await?;
        for (what, messages) in &attempts {
            let answered = attempt(&net, profile, messages).await?;
            let after = Stored::read(&storage).await?;
            let changes = after.changes(&before);
            let holds = matches!(answered, Answered::Refused(_)) && changes.is_empty();
            rows.note(holds, what, format!("{answered}{}", and_changed(&changes)));
            if has_old {
                changed.push(differing(&old, after.pattern(profile, NAME)) as f64);
            }
        }
    }
    let mut findings = Findings::new();
    rows.decide("K1-UPL-003", &mut findings)?;
    findings.measured("K1-UPL-021", Distribution::new(Unit::Bytes, changed)?);
    Ok(findings)
}

/// The CRC left out, whole or in part, and one with a byte too many.
async fn end_without_crc(mut console: Console, net: Net, storage: Storage) -> Outcome {
    kit::settled(&mut console).await?;
    let file = pattern::file(1, 500);
    let crc = crc32(&file).to_le_bytes();
    let before = Stored::read(&storage).await?;
    let mut rows = Rows::default();
    for value in [&crc[..0], &crc[..1], &crc[..3], &[&crc[..], &[0]].concat()] {
        let mut messages = Profile::N.upload(NAME, &file);
        messages.pop();
        messages.push(tlv_n(0x03, value));
        let answered = attempt(&net, Profile::N, &messages).await?;
        let changes = Stored::read(&storage).await?.changes(&before);
        let holds = matches!(answered, Answered::Refused(_)) && changes.is_empty();
        rows.note(
            holds,
            &format!("{} bytes of CRC", value.len()),
            format!("{answered}{}", and_changed(&changes)),
        );
    }
    let mut findings = Findings::new();
    rows.decide("K1-UPL-035", &mut findings)?;
    Ok(findings)
}

/// The rules of the specification's section 2.2, in the STATUS and in the storage.
async fn stored_names(mut console: Console, net: Net, storage: Storage) -> Outcome {
    kit::settled(&mut console).await?;
    let long = "x".repeat(63);
    let names = [
        ("plain", "plain"),
        ("Test.prism", "testprism"),
        ("a.b.c", "ab_c"),
        ("dir/FILE 1", "dirfile_1"),
        ("back\\slash", "backslash"),
        ("../../etc/passwd", "___etcpasswd"),
        ("graph.json", "graphjson"),
        ("a-b_c~d!9", "a-b_c_d_9"),
        (".", "pattern"),
        (&long, &long),
    ];
    let mut rows = Rows::default();
    for (index, (sent, normal)) in names.into_iter().enumerate() {
        let file = pattern::file(index as u8, 64 + index);
        let status = kit::upload_once(&net, Profile::F, sent, &file).await?.status;
        let expected = [&[normal.len() as u8], normal.as_bytes()].concat();
        let differ = differing(&file, Stored::read(&storage).await?.pattern(Profile::F, normal));
        if status == expected && differ == 0 {
            rows.good("normalised, in the STATUS and in the storage");
        } else {
            let said = String::from_utf8_lossy(status.get(1..).unwrap_or_default());
            rows.bad(sent, format!("the STATUS says `{said}`{}", and_differ(differ)));
        }
    }
    let mut findings = Findings::new();
    rows.decide("K1-UPL-040", &mut findings)?;
    Ok(findings)
}

/// Names around the longest one: where the refusals begin.
async fn name_lengths(mut console: Console, net: Net, storage: Storage, device: Device) -> Outcome {
    kit::settled(&mut console).await?;
    let begun = kit::upload_once(&net, Profile::F, NAME, b"settled").await?.acknowledged;
    let mut findings = Findings::new();
    let mut shortest = None;
    let mut before = Stored::read(&storage).await?;
    for length in [1, 62, 63, 64, 65, 128] {
        let messages = Profile::F.upload(&"n".repeat(length), &pattern::file(3, 100 + length));
        let answered = attempt(&net, Profile::F, &messages).await?;
        let after = Stored::read(&storage).await?;
        let refused = matches!(answered, Answered::Refused(_));
        if refused && shortest.is_none() {
            shortest = Some(length);
        }
        let changes = after.changes(&before);
        if refused != changes.is_empty() || refused != shortest.is_some() {
            let seen = format!("name of {length} bytes: {answered}{}", and_changed(&changes));
            findings.observed("K1-FMT-005", false, seen);
        }
        before = after;
    }
    still_well(&net, &storage, &device, Profile::F, begun).await?;
    match shortest {
        Some(length) => findings.measured("K1-FMT-005", Distribution::new(Unit::Bytes, [length as f64])?),
        None => findings.observed("K1-FMT-005", false, "no name was too long"),
    };
    Ok(findings)
}
