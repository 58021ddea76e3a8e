//! What is in the storage when the STATUS comes, and beside it.

use std::time::Duration;

use rigor_core::distribution::Distribution;
use rigor_core::unit::Unit;
use rigor_core::verdict::ProductError;
use rigor_decode::websocket::{ClientFrame, CloseCode, Message, ServerEvent};
use rigor_runner::need::{Clock, Console, Device, Heard, Net};
use rigor_runner::{Findings, Outcome, Suite};

use super::{Answered, NAME, Stored, and_differ, attempt, differing, named, still_well};
use crate::kit::{self, Storage};
use crate::pattern::{self, MAX_FILE_BYTES, PIXELS};
use crate::rows::Rows;
use crate::tlv::{Profile, Reply};

pub(super) fn add_to(suite: &mut Suite, profile: Profile) {
    suite
        .case(named("status_after_store", profile), &["K1-UPL-027"], move |console, net, storage| {
            status_after_store(profile, console, net, storage)
        })
        .case(named("leaves_after_end", profile), &["K1-UPL-043"], move |console, net, storage, clock| {
            leaves_after_end(profile, console, net, storage, clock)
        })
        .case(named("templates_beside_upload", profile), &["K1-UPL-016"], move |console, net, storage| {
            templates_beside_upload(profile, console, net, storage)
        })
        .case(named("any_content", profile), &["K1-FMT-013"], move |console, net, storage, device, clock| {
            any_content(profile, console, net, storage, device, clock)
        });
}

/// Exactly one STATUS after END, none too early, and the file on the chip when it comes.
async fn status_after_store(profile: Profile, mut console: Console, net: Net, storage: Storage) -> Outcome {
    kit::settled(&mut console).await?;
    let mut findings = Findings::new();
    let mut counts = Vec::new();
    for (series, size) in [1, 960, 5000, 40_000].into_iter().enumerate() {
        let file = pattern::file(series as u8, size);
        let mut messages = profile.upload(NAME, &file);
        let end = messages.pop().unwrap_or_default();
        let mut socket = kit::open(&net, profile).await?;
        kit::send_all(&socket, &messages)?;
        // Optional acknowledgements of BEGIN and DATA do not count (section 11, reading 10).
        kit::quiet(&mut socket).await;
        socket.send_binary(&end)?;
        let (mut statuses, mut early) = (0, 0);
        let mut deadline = socket.tcp.now() + kit::COMMIT_LIMIT;
        while let Some((at, heard)) = socket.next(deadline).await {
            let Heard::Said(ServerEvent::Message(Message::Binary(bytes))) = heard else { continue };
            if !matches!(Reply::parse(&bytes), Reply::Status(_)) {
                continue;
            }
            statuses += 1;
            if statuses == 1 {
                deadline = at + Duration::from_secs(1);
                if storage.is_read_beside_firmware()? {
                    early += differing(&file, Stored::read(&storage).await?.pattern(profile, NAME));
                }
            }
        }
        counts.push(f64::from(statuses));
        socket.tcp.finish()?;
        if !storage.is_read_beside_firmware()? {
            // Another one, after whose STATUS the device does nothing any more.
            let file = pattern::file(series as u8 + 4, size);
            kit::upload_once(&net, profile, NAME, &file).await?;
            early += differing(&file, Stored::read(&storage).await?.pattern(profile, NAME));
        }
        if early > 0 {
            let seen = format!("when the STATUS for {size} bytes came, {early} bytes were not stored");
            findings.observed("K1-UPL-027", false, seen);
        }
    }
    findings.measured("K1-UPL-027", Distribution::new(Unit::Count, counts)?);
    Ok(findings)
}

/// Clients that end their side right behind END, with a Close frame and without, and never read.
async fn leaves_after_end(
    profile: Profile,
    mut console: Console,
    net: Net,
    storage: Storage,
    clock: Clock,
) -> Outcome {
    kit::settled(&mut console).await?;
    let mut rows = Rows::default();
    for (series, (bytes, says_goodbye)) in
        [(1000, false), (1000, true), (30_000, false), (MAX_FILE_BYTES, true)].into_iter().enumerate()
    {
        let file = pattern::file(series as u8 + 1, bytes);
        let socket = kit::open(&net, profile).await?;
        kit::send_all(&socket, &profile.upload(NAME, &file))?;
        if says_goodbye {
            socket.send(ClientFrame::close(CloseCode::NORMAL, ""))?;
        }
        socket.tcp.finish()?;
        // There is nothing else to wait for: the client hears nothing.
        clock.sleep(Duration::from_secs(if bytes == MAX_FILE_BYTES { 10 } else { 2 })).await;
        let differ = differing(&file, Stored::read(&storage).await?.pattern(profile, NAME));
        let way = if says_goodbye { "Close frame" } else { "FIN" };
        let seen = if differ == 0 { "stored".to_owned() } else { format!("{differ} bytes differ") };
        rows.note(differ == 0, &format!("{bytes} bytes and {way}"), seen);
    }
    let mut findings = Findings::new();
    rows.decide("K1-UPL-043", &mut findings)?;
    Ok(findings)
}

/// Templates before and after a largest upload, and after a second one over it.
async fn templates_beside_upload(
    profile: Profile,
    mut console: Console,
    net: Net,
    storage: Storage,
) -> Outcome {
    kit::settled(&mut console).await?;
    let before = Stored::read(&storage).await?;
    let mut intact = Vec::new();
    for series in 1..3 {
        let file = pattern::file(series, MAX_FILE_BYTES);
        kit::upload_once(&net, profile, NAME, &file).await?;
        let after = Stored::read(&storage).await?;
        if after.pattern(profile, NAME) != file {
            return Err(ProductError("the pattern of 262,144 bytes is not stored".to_owned()).into());
        }
        let same =
            |(path, bytes): &(&String, &Vec<u8>)| !bytes.is_empty() && after.0.get(*path) == Some(*bytes);
        intact.push(before.0.iter().filter(same).count() as f64);
    }
    let mut findings = Findings::new();
    findings.measured("K1-UPL-016", Distribution::new(Unit::Count, intact)?);
    Ok(findings)
}

/// Files that are no patterns, half patterns, or look like something else.
async fn any_content(
    profile: Profile,
    mut console: Console,
    net: Net,
    storage: Storage,
    device: Device,
    clock: Clock,
) -> Outcome {
    kit::settled(&mut console).await?;
    let begun = clock.now();
    let mut random = 0x2545_F491_u32;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        random ^= random << 13;
        random ^= random >> 17;
        random ^= random << 5;
        random as u8
    })
    .take(5000)
    .collect();
    // A packaged header for 160 pixels that asks for 8,947,849 frames (specification, section 6.1).
    let mut overflowing = b"PRSM\x01\x01\xA0\x00\x09\x88\x88\x00\x00\x78\x00\x00\x01\x00\x00\x00".to_vec();
    overflowing.resize(98, 0);
    let contents: [(&str, Vec<u8>); 9] = [
        ("a zero", vec![0]),
        ("zeros", vec![0; 4096]),
        ("ones", vec![0xFF; 9000]),
        ("noise", noise),
        ("JSON", br#"{"nodes":[],"name":"graph.json"}"#.to_vec()),
        ("a packaged pattern's first bytes", b"PRSM".to_vec()),
        ("a packaged pattern with too many frames", overflowing),
        ("a frame and a byte", vec![0x11; PIXELS * 3 + 1]),
        ("its own protocol", [profile.begin(NAME, 1, 0), profile.end(0)].concat()),
    ];
    let mut rows = Rows::default();
    for (what, file) in contents {
        let answered = attempt(&net, profile, &profile.upload(NAME, &file)).await?;
        let differ = differing(&file, Stored::read(&storage).await?.pattern(profile, NAME));
        let seen = format!("{answered}{}", and_differ(differ));
        rows.note(answered == Answered::Stored && differ == 0, what, seen);
    }
    still_well(&net, &storage, &device, profile, begun).await?;
    let mut findings = Findings::new();
    rows.decide("K1-FMT-013", &mut findings)?;
    Ok(findings)
}
