//! What plays of an uploaded pattern.
//!
//! Playback is judged with raw frames in profile n and with the packaged format in profile f
//! (specification, section 11, reading 25).

use std::collections::BTreeSet;
use std::time::Duration;

use rigor_core::distribution::Distribution;
use rigor_core::unit::Unit;
use rigor_core::verdict::{Blame, ProductError};
use rigor_runner::need::{Clock, Console, Leds, Net, Picture, Power};
use rigor_runner::{Findings, Outcome, Suite};

use super::{NAME, differing, named};
use crate::kit::{self, Answer};
use crate::p11;
use crate::pattern::{self, FRAME_BYTES, MAX_FILE_BYTES, MAX_FRAMES};
use crate::tlv::{Profile, Reply, request};

pub(super) fn add_to(suite: &mut Suite, profile: Profile) {
    suite.case(
        named("kept_over_reboot", profile),
        &["K1-UPL-017"],
        move |console, net, leds, power, clock| kept_over_reboot(profile, console, net, leds, power, clock),
    );
    if profile == Profile::N {
        suite.case("shows_after_upload", &["K1-UPL-041"], shows_after_upload).case(
            "frames_in_order",
            &["K1-UPL-042"],
            frames_in_order,
        );
        suite.case("raw_capacity", &["K1-FMT-018"], raw_capacity);
    }
}

/// A pattern file, and the pictures that it is to show, one for each output frame.
fn pattern_of(profile: Profile, frames: usize) -> (Vec<u8>, Vec<Vec<u8>>) {
    match profile {
        Profile::N => {
            let file = pattern::numbered(5, frames);
            let pictures = file.chunks(FRAME_BYTES).map(<[u8]>::to_vec).collect();
            (file, pictures)
        }
        Profile::F => {
            let indices = |frame: usize| {
                (0..160).map(move |pixel| ((pixel * 3 + frame) % 64) as u8).collect::<Vec<u8>>()
            };
            let palette: Vec<[u8; 3]> =
                (0..64).map(|index| [index * 4, 255 - index * 3, 7 + index]).collect();
            let segments: Vec<(u8, Vec<u8>)> = (0..frames).map(|frame| (0, indices(frame))).collect();
            let picture = |frame| -> Vec<u8> {
                // Both lanes show the same 160 pixels (specification, section 7).
                let lane = indices(frame).into_iter().flat_map(|index| palette[usize::from(index)]);
                lane.collect::<Vec<u8>>().repeat(2)
            };
            (p11::packaged(120 * 256, &palette, &segments), (0..frames).map(picture).collect())
        }
    }
}

/// Pixels of each picture that are not those of its turn in `frames`, which repeat, and how many
/// frames were seen. The first picture's turn is that of the frame which it shows. One frame may be
/// shown twice and one left out: a device at 125 frames a second has to repeat some of a pattern's
/// 120 (K1-LED-002).
fn wrong_pixels(pictures: &[Picture], frames: &[Vec<u8>]) -> (Vec<usize>, usize) {
    let mut seen = BTreeSet::new();
    let mut turn = None;
    let wrong = pictures.iter().map(|picture| {
        let shown = picture.rgb_bytes();
        let allowed: Vec<usize> = match turn {
            None => (0..frames.len()).collect(),
            Some(turn) => [1, 0, 2].map(|step| (turn + step) % frames.len()).to_vec(),
        };
        let right = allowed.iter().copied().find(|&index| frames[index] == shown);
        seen.extend(right);
        let due = right.unwrap_or(allowed[0]);
        turn = Some(due);
        pixels_that_differ(&shown, &frames[due])
    });
    let wrong = wrong.collect();
    (wrong, seen.len())
}

fn pixels_that_differ(shown: &[u8], frame: &[u8]) -> usize {
    if shown.len() == frame.len() {
        shown.chunks(3).zip(frame.chunks(3)).filter(|(shown, wanted)| shown != wanted).count()
    } else {
        differing(shown, frame)
    }
}

/// The name that the STATUS of an upload gives (specification, section 1.3): in profile n the device
/// chooses it.
fn name_in(status: &[u8]) -> String {
    match status {
        [length, name @ ..] if usize::from(*length) == name.len() => {
            String::from_utf8_lossy(name).into_owned()
        }
        _ => NAME.to_owned(),
    }
}

/// The supply goes off as soon as the STATUS has come.
async fn kept_over_reboot(
    profile: Profile,
    mut console: Console,
    net: Net,
    leds: Leds,
    power: Power,
    clock: Clock,
) -> Outcome {
    kit::settled(&mut console).await?;
    let (file, frames) = pattern_of(profile, 60);
    let status = kit::upload_once(&net, profile, NAME, &file).await?.status;
    power.cycle(Duration::from_millis(500)).await?;
    kit::started(&mut console).await?;
    let is_shown = |picture: &Picture| frames.contains(&picture.rgb_bytes());
    let by_itself = leds.expect("the pattern", Duration::from_secs(1), is_shown).await.is_ok();
    if !by_itself {
        let mut socket = kit::open(&net, Profile::F).await?;
        socket.send_binary(&request::play(&name_in(&status)))?;
        let answer = kit::answer(&mut socket, clock.now() + kit::ANSWER_LIMIT).await.1;
        if !matches!(answer, Answer::Reply(Reply::Status(_))) {
            return Err(ProductError(format!("PLAY after the restart was answered with {answer}")).into());
        }
        leds.expect("the pattern after PLAY", Duration::from_secs(2), is_shown).await?;
    }
    // A little more than the whole pattern.
    let pictures = leds.record(Duration::from_millis(600)).await?.pictures();
    let (wrong, seen) = wrong_pixels(&pictures, &frames);
    // The slowest device that K1-LED-002 allows leaves out one frame in twenty.
    if seen < frames.len() * 9 / 10 {
        return Err(ProductError(format!("only {seen} of {} frames are shown", frames.len())).into());
    }
    let mut findings = Findings::new();
    findings.measured(
        "K1-UPL-017",
        Distribution::new(Unit::Pixels, wrong.into_iter().map(|count| count as f64))?,
    );
    Ok(findings)
}

/// The first picture of each of six uploads, each over the one before that still plays.
async fn shows_after_upload(mut console: Console, net: Net, leds: Leds, clock: Clock) -> Outcome {
    kit::settled(&mut console).await?;
    let mut findings = Findings::new();
    let mut took = Vec::new();
    for (series, bytes) in
        [FRAME_BYTES, 10 * FRAME_BYTES, MAX_FILE_BYTES, 60 * FRAME_BYTES, FRAME_BYTES, 100 * FRAME_BYTES]
            .into_iter()
            .enumerate()
    {
        let series = series as u8 + 1;
        let file = pattern::file(series, bytes);
        let mut messages = Profile::N.upload(NAME, &file);
        let end = messages.pop().unwrap_or_default();
        let mut socket = kit::open(&net, Profile::N).await?;
        kit::send_all(&socket, &messages)?;
        // The answer and the pictures of interest come after END.
        kit::quiet(&mut socket).await;
        let mut watch = leds.watch();
        socket.send_binary(&end)?;
        let (acknowledged, answer) = kit::answer(&mut socket, clock.now() + kit::COMMIT_LIMIT).await;
        if !matches!(answer, Answer::Reply(Reply::Status(_))) {
            return Err(ProductError(format!("an upload of {bytes} bytes was answered with {answer}")).into());
        }
        socket.tcp.finish()?;
        let deadline = acknowledged + Duration::from_secs(2);
        let first = loop {
            match watch.next(deadline).await {
                None => break None,
                Some(picture) if picture.start() > deadline => break None,
                Some(picture) => {
                    if let Some(frame) = pattern::recognise(series, &picture) {
                        break Some((picture.start(), frame));
                    }
                }
            }
        };
        match first {
            None => {
                findings.observed("K1-UPL-041", false, format!("{bytes} bytes were not shown within 2 s"));
            }
            Some((at, frame)) => {
                took.push(at.since(acknowledged));
                if frame != 0 {
                    findings.observed(
                        "K1-UPL-041",
                        false,
                        format!("the first frame shown of {bytes} bytes is {frame}"),
                    );
                }
            }
        }
    }
    if !took.is_empty() {
        findings.measured("K1-UPL-041", Distribution::of_durations(took)?);
    }
    Ok(findings)
}

/// Patterns of several lengths over more than two rounds each.
async fn frames_in_order(mut console: Console, net: Net, leds: Leds, clock: Clock) -> Outcome {
    kit::settled(&mut console).await?;
    let mut findings = Findings::new();
    let mut out_of_order = Vec::new();
    for (series, frames) in [1, 2, 7, 200].into_iter().enumerate() {
        let series = series as u8 + 1;
        kit::upload_once(&net, Profile::N, NAME, &pattern::numbered(series, frames)).await?;
        clock.sleep(Duration::from_secs(1)).await;
        let wanted = 2 * frames + 10;
        let pictures = leds.record(Duration::from_micros(8_750) * wanted as u32).await?.pictures();
        if pictures.len() < wanted {
            return Err(short_of(wanted, pictures.len(), frames));
        }
        let shown: Vec<Option<usize>> =
            pictures.iter().map(|picture| pattern::recognise(series, picture)).collect();
        let wrong: Vec<bool> = shown.windows(2).map(|pair| !follows(pair, frames)).collect();
        if let Some(at) = wrong.iter().position(|&wrong| wrong) {
            let name =
                |frame: Option<usize>| frame.map_or("none of it".to_owned(), |frame| frame.to_string());
            let seen = format!("frame {} was followed by {}", name(shown[at]), name(shown[at + 1]));
            findings.observed("K1-UPL-042", false, format!("pattern of {frames} frames: {seen}"));
        }
        out_of_order.extend(wrong);
    }
    findings.measured("K1-UPL-042", super::counted(out_of_order)?);
    Ok(findings)
}

/// The most frames that fit: how many are shown from one beginning of the pattern to the next.
async fn raw_capacity(mut console: Console, net: Net, leds: Leds) -> Outcome {
    const SERIES: u8 = 4;
    kit::settled(&mut console).await?;
    let file = pattern::numbered(SERIES, MAX_FRAMES);
    kit::upload_once(&net, Profile::N, NAME, &file).await?;
    let is_shown = |picture: &Picture| pattern::recognise(SERIES, picture).is_some();
    leds.expect("the pattern", kit::ANSWER_LIMIT, is_shown).await?;
    let pictures = leds.record(Duration::from_micros(8_750) * 3 * MAX_FRAMES as u32).await?.pictures();
    let shown: Vec<Option<usize>> =
        pictures.iter().map(|picture| pattern::recognise(SERIES, picture)).collect();
    let mut findings = Findings::new();
    if let Some(at) = shown.iter().position(Option::is_none) {
        let seen = format!("something else is shown at {}", pictures[at].start());
        findings.observed("K1-FMT-018", false, seen);
    }
    // Frames are numbered modulo 256; only at the beginning does the number not grow by one.
    let begins =
        |pair: &[Option<usize>]| matches!(pair, [Some(last), Some(first)] if *first != (last + 1) % 256);
    let beginnings: Vec<usize> = (1..shown.len()).filter(|&at| begins(&shown[at - 1..=at])).collect();
    let rounds: Vec<f64> = beginnings.windows(2).map(|pair| (pair[1] - pair[0]) as f64).collect();
    if rounds.is_empty() {
        findings.observed("K1-FMT-018", false, "the pattern did not begin again twice");
    } else {
        findings.measured("K1-FMT-018", Distribution::new(Unit::Count, rounds)?);
    }
    Ok(findings)
}

/// Whether the second picture shows the frame after the first one's.
fn follows(pair: &[Option<usize>], frames: usize) -> bool {
    match pair {
        [Some(first), Some(second)] => *second == (first + 1) % frames,
        _ => false,
    }
}

fn short_of(wanted: usize, got: usize, frames: usize) -> Blame {
    ProductError(format!("a pattern of {frames} frames: {got} pictures where {wanted} were due")).into()
}
