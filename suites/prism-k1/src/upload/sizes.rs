//! Which sizes are accepted, and that what is stored is what was sent.

use rigor_core::distribution::Distribution;
use rigor_core::unit::Unit;
use rigor_runner::need::{Console, Net};
use rigor_runner::{Findings, Outcome, Suite};

use super::{Answered, NAME, Stored, and_changed, attempt, counted, differing, named};
use crate::kit::{self, Storage};
use crate::pattern::{self, MAX_FILE_BYTES};
use crate::tlv::Profile;

pub(super) fn add_to(suite: &mut Suite, profile: Profile) {
    suite
        .case(named("small_sizes", profile), &["K1-UPL-001", "K1-UPL-018"], move |console, net, storage| {
            small(profile, console, net, storage)
        })
        .case(
            named("largest_sizes", profile),
            &["K1-UPL-019", "K1-UPL-018", "K1-UPL-038"],
            move |console, net, storage| largest(profile, console, net, storage),
        )
        .case(named("full_chunk", profile), &["K1-UPL-037"], move |console, net, storage| {
            full_chunk(profile, console, net, storage)
        })
        .case(
            named("sizes_out_of_range", profile),
            &["K1-UPL-002", "K1-UPL-020"],
            move |console, net, storage| out_of_range(profile, console, net, storage),
        );
}

/// A byte, and what one and two full chunks of either profile hold, give or take a byte.
async fn small(profile: Profile, mut console: Console, net: Net, storage: Storage) -> Outcome {
    kit::settled(&mut console).await?;
    let mut findings = Findings::new();
    let (mut refused, mut differ) = (Vec::new(), Vec::new());
    let named = [1, 4089, 4090, 8178];
    // The edges of profile f's chunk and of the flash's pages and blocks.
    let others = [2, 255, 256, 257, 4085, 4086, 4095, 4096, 4097, 8170];
    for (series, size) in named.into_iter().chain(others).enumerate() {
        let file = pattern::file(series as u8, size);
        let accepted = attempt(&net, profile, &profile.upload(NAME, &file)).await? == Answered::Stored;
        if named.contains(&size) {
            refused.push(!accepted);
        }
        if accepted {
            let stored = Stored::read(&storage).await?;
            differ.push(differing(&file, stored.pattern(profile, NAME)) as f64);
        } else {
            findings.observed("K1-UPL-018", false, format!("an upload of {size} bytes was refused"));
        }
    }
    findings.measured("K1-UPL-001", counted(refused)?);
    if !differ.is_empty() {
        findings.measured("K1-UPL-018", Distribution::new(Unit::Bytes, differ)?);
    }
    Ok(findings)
}

/// The largest size and one byte less, over a stored pattern of the largest size: the flash has to
/// hold both versions for a while.
async fn largest(profile: Profile, mut console: Console, net: Net, storage: Storage) -> Outcome {
    kit::settled(&mut console).await?;
    let mut findings = Findings::new();
    let (mut sizes, mut differ) = (Vec::new(), Vec::new());
    for (series, size) in [MAX_FILE_BYTES - 1, MAX_FILE_BYTES].into_iter().enumerate() {
        let file = pattern::file(series as u8, size);
        let messages = profile.upload(NAME, &file);
        let accepted = attempt(&net, profile, &messages).await? == Answered::Stored;
        if accepted {
            sizes.push(size as f64);
            let stored = Stored::read(&storage).await?;
            differ.push(differing(&file, stored.pattern(profile, NAME)) as f64);
        } else {
            findings.observed("K1-UPL-019", false, format!("an upload of {size} bytes was refused"));
            findings.observed("K1-UPL-018", false, format!("nothing stored of {size} bytes"));
        }
        if size == MAX_FILE_BYTES {
            let chunks = messages.len() - 2;
            if accepted {
                findings.measured("K1-UPL-038", Distribution::new(Unit::Count, [chunks as f64])?);
            } else {
                findings.observed("K1-UPL-038", false, format!("{chunks} full chunks were refused"));
            }
        }
    }
    if !sizes.is_empty() {
        findings.measured("K1-UPL-019", Distribution::new(Unit::Bytes, sizes)?);
        findings.measured("K1-UPL-018", Distribution::new(Unit::Bytes, differ)?);
    }
    Ok(findings)
}

/// A file of exactly one full chunk, and one of two and a byte.
async fn full_chunk(profile: Profile, mut console: Console, net: Net, storage: Storage) -> Outcome {
    kit::settled(&mut console).await?;
    let mut findings = Findings::new();
    for (series, size) in [profile.chunk(), 2 * profile.chunk() + 1].into_iter().enumerate() {
        let file = pattern::file(series as u8, size);
        let messages = profile.upload(NAME, &file);
        let stored = attempt(&net, profile, &messages).await? == Answered::Stored
            && Stored::read(&storage).await?.pattern(profile, NAME) == file;
        if stored {
            let full = messages.iter().map(Vec::len).filter(|&bytes| bytes > profile.chunk());
            findings.measured("K1-UPL-037", Distribution::new(Unit::Bytes, full.map(|bytes| bytes as f64))?);
        } else {
            findings.observed(
                "K1-UPL-037",
                false,
                format!("full chunks of a file of {size} bytes were not stored"),
            );
        }
    }
    Ok(findings)
}

/// Sizes around the largest, each as a complete upload with its right CRC, and an empty file.
async fn out_of_range(profile: Profile, mut console: Console, net: Net, storage: Storage) -> Outcome {
    kit::settled(&mut console).await?;
    let mut findings = Findings::new();
    let mut smallest_refused = None;
    let mut before = Stored::read(&storage).await?;
    for size in [MAX_FILE_BYTES, MAX_FILE_BYTES + 1, MAX_FILE_BYTES + 2, 300_000] {
        let messages = profile.upload(NAME, &pattern::file(size as u8, size));
        let answered = attempt(&net, profile, &messages).await?;
        let refused = matches!(answered, Answered::Refused(_));
        let after = Stored::read(&storage).await?;
        let changes = after.changes(&before);
        match (refused, smallest_refused) {
            (true, None) => smallest_refused = Some(size),
            (false, Some(_)) => {
                findings.observed(
                    "K1-UPL-002",
                    false,
                    format!("{size} bytes: {answered}, though fewer were refused"),
                );
            }
            _ => {}
        }
        if refused && !changes.is_empty() {
            findings.observed(
                "K1-UPL-002",
                false,
                format!("{size} bytes {answered}{}", and_changed(&changes)),
            );
        }
        before = after;
    }
    match smallest_refused {
        Some(size) => findings.measured("K1-UPL-002", Distribution::new(Unit::Bytes, [size as f64])?),
        None => findings.observed("K1-UPL-002", false, "not even 300,000 bytes were refused"),
    };
    let answered = attempt(&net, profile, &profile.upload(NAME, &[])).await?;
    let changes = Stored::read(&storage).await?.changes(&before);
    let holds = matches!(answered, Answered::Refused(_)) && changes.is_empty();
    findings.observed("K1-UPL-020", holds, format!("{answered}{}", and_changed(&changes)));
    Ok(findings)
}
