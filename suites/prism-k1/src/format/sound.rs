//! Packaged files that a device has to play, and what the wires show of them.

use std::time::Duration;

use rigor_core::Instant;
use rigor_core::distribution::Distribution;
use rigor_core::unit::Unit;
use rigor_core::verdict::Blame;
use rigor_runner::need::{Console, Leds, Net, Picture, Power};
use rigor_runner::{Findings, Outcome, Suite};

use super::{Played, play_another, try_to_play};
use crate::kit::{self, obeyed};
use crate::p11::{self, DELTA, FRAME_PIXELS, File, RUNS, difference, picture, runs};
use crate::pattern::PIXELS;
use crate::rows::Rows;
use crate::tlv::{Profile, crc32, request};

pub(super) fn add_to(suite: &mut Suite) {
    suite
        .case("packaged_plays", &["K1-FMT-014", "K1-FMT-017", "K1-FMT-024"], packaged_plays)
        .case("frame_rate_field", &["K1-FMT-016", "K1-FMT-023"], frame_rate_field)
        .case("own_time", &["K1-FMT-029"], own_time)
        .case("header_crc", &["K1-FMT-015"], header_crc)
        .case("sync_modes", &["K1-FMT-027"], sync_modes);
}

/// The largest palette that there is, no two colours alike in any order of channels.
fn palette() -> Vec<[u8; 3]> {
    (0..64).map(|index| [index, 255 - 2 * index, 64 + index]).collect()
}

/// Indices of frames that need every kind of coding: noise, long runs, short runs, few changes.
fn indices(frame: usize) -> Vec<u8> {
    (0..FRAME_PIXELS)
        .map(|pixel| match frame % 4 {
            0 => ((pixel * 29 + frame * 7) % 64) as u8,
            1 => (pixel / 131 + frame) as u8 % 64,
            2 => (pixel / 5 + frame) as u8 % 64,
            _ => {
                if pixel == 40 * (frame % 4) {
                    63
                } else {
                    frame as u8
                }
            }
        })
        .collect()
}

/// Frames of all four kinds: whole and as differences, plain and in runs.
fn coded(count: usize) -> Vec<(u8, Vec<u8>)> {
    (0..count)
        .map(|frame| {
            let plain = indices(frame);
            let flags = (frame % 7) as u8 & if frame == 0 { RUNS } else { DELTA | RUNS };
            let whole = if flags & DELTA == 0 { plain } else { difference(&plain, &indices(frame - 1)) };
            (flags, if flags & RUNS == 0 { whole } else { runs(&whole) })
        })
        .collect()
}

/// A packaged file on the strip, from the first picture of it on.
async fn played(net: &Net, leds: &Leds, name: &str, file: &[u8], first: &[u8]) -> Result<Instant, Blame> {
    let mut socket = kit::open(net, Profile::F).await?;
    kit::upload(&mut socket, Profile::F, name, file).await?;
    obeyed(&mut socket, &format!("PLAY of {name}"), &request::play(name)).await?;
    let shows = |picture: &Picture| picture.rgb_bytes() == first;
    let begun = leds.expect("the first frame of a packaged file", kit::ANSWER_LIMIT, shows).await?.start();
    socket.tcp.finish()?;
    Ok(begun)
}

/// Frames of every kind with the largest palette, and files of which a reader has to pass over
/// something.
async fn packaged_plays(mut console: Console, net: Net, leds: Leds) -> Outcome {
    const FRAMES: usize = 24;
    kit::settled(&mut console).await?;
    let palette = palette();
    let frames: Vec<Vec<u8>> = (0..FRAMES).map(|frame| picture(&palette, &indices(frame))).collect();
    let mut findings = Findings::new();

    let file = p11::packaged(p11::RATE / 2, &palette, &coded(FRAMES));
    let begun = played(&net, &leds, "sound", &file, &frames[0]).await?;
    let until = begun + Duration::from_millis(900);
    let pictures = leds.recorded(begun, until).await?.pictures();
    let shown: Vec<Vec<u8>> = pictures.iter().map(Picture::rgb_bytes).collect();
    // Each frame stands for two of the strip, and nothing else is between them.
    let turns: Vec<&[u8]> = shown.chunk_by(|one, next| one == next).map(|run| run[0].as_slice()).collect();
    let wrong = turns.iter().zip(frames.iter().cycle()).position(|(shown, frame)| shown != frame);
    let seen = match wrong {
        Some(turn) => format!("frame {turn} after the first one is not the file's"),
        None => format!("{} frames in order", turns.len()),
    };
    // 900 ms at 60 frames a second are 54.
    findings.observed("K1-FMT-014", wrong.is_none() && turns.len() > 2 * FRAMES, seen);
    let differ = shown.iter().map(|shown| {
        let (first, second) = shown.split_at(shown.len() / 2);
        let pixels = first.chunks(3).zip(second.chunks(3)).filter(|(one, other)| one != other).count();
        pixels.max(first.len().abs_diff(second.len())) as f64
    });
    findings.measured("K1-FMT-017", Distribution::new(Unit::Pixels, differ)?);

    let mut rows = Rows::default();
    for (number, (row, file)) in tolerable().into_iter().enumerate() {
        let first = picture(&file.palette, &[0; FRAME_PIXELS]);
        match played(&net, &leds, &format!("tolerable-{number}"), &file.bytes(), &first).await {
            Ok(_) => rows.good("played"),
            Err(Blame::Product(error)) => rows.bad(row, error),
            Err(other) => return Err(other),
        }
    }
    rows.decide("K1-FMT-024", &mut findings)?;
    Ok(findings)
}

/// Files with something that a reader has to pass over, each in a colour of its own.
fn tolerable() -> Vec<(&'static str, File)> {
    let file = |number: u8, flags, segment: &[u8]| {
        File::new(p11::RATE, &[[number, 100, 200]], &[(flags, segment.to_vec())])
    };
    let plain = [0; FRAME_PIXELS];
    let json = br#"{"palette_id":7,"ramp_space":"oklab","show_params":{"speed":[1,2]},"unknown":null}"#;
    vec![
        ("a run past the last pixel", file(1, RUNS, &[0xFF, 0, 0xFF, 0])),
        ("bytes after the last pixel", file(2, 0, &[0; FRAME_PIXELS + 9])),
        ("bytes after the last run", file(3, RUNS, &[0xFF, 0, 0xA1, 0, 0, 0x85, 0])),
        ("runs of one", file(4, RUNS, &[0x81, 0].repeat(FRAME_PIXELS))),
        ("JSON with an unknown key", File { json: json.to_vec(), ..file(5, 0, &plain) }),
        ("JSON of 3000 bytes", File { json: vec![b' '; 3000], ..file(6, 0, &plain) }),
    ]
}

/// How many different pictures in a second the strip shows of frames that are all unlike, a sample
/// for every `group` of them.
fn rates(pictures: &[Picture], group: usize) -> Vec<f64> {
    let changes: Vec<Instant> = pictures
        .windows(2)
        .filter(|pair| pair[0].rgb_bytes() != pair[1].rgb_bytes())
        .map(|pair| pair[1].start())
        .collect();
    let groups = changes.windows(group + 1).step_by(group);
    groups.map(|span| group as f64 / span[group].since(span[0]).as_secs_f64()).collect()
}

/// 24 frames a second, and the rate of a file that states none.
async fn frame_rate_field(mut console: Console, net: Net, leds: Leds) -> Outcome {
    kit::settled(&mut console).await?;
    let palette = palette();
    // All pixels alike, the next frame another colour.
    let frames: Vec<(u8, Vec<u8>)> = (0..8).map(|frame| (RUNS, runs(&[frame; FRAME_PIXELS]))).collect();
    let first = picture(&palette, &[0; FRAME_PIXELS]);
    let mut findings = Findings::new();
    for (id, field, watched, group) in [("K1-FMT-016", 0x1800, 3000, 12), ("K1-FMT-023", 0, 1000, 60)] {
        let file = p11::packaged(field, &palette, &frames);
        let begun = played(&net, &leds, "rated", &file, &first).await?;
        let pictures = leds.recorded(begun, begun + Duration::from_millis(watched)).await?.pictures();
        let rates = rates(&pictures, group);
        if rates.is_empty() {
            findings.observed(id, false, format!("{} frames show hardly a change", pictures.len()));
        } else {
            findings.measured(id, Distribution::new(Unit::Hertz, rates)?);
        }
    }
    Ok(findings)
}

/// Rates in 256ths of a frame a second: a fraction, one that does not divide the strip's, and one
/// that is twice as fast.
const RATES: [u32; 3] = [30 * 256 + 128, 50 * 256, 240 * 256];

/// How far each rate gets in a second, frames repeated or left out.
async fn own_time(mut console: Console, net: Net, leds: Leds) -> Outcome {
    kit::settled(&mut console).await?;
    let palette = palette();
    // All pixels alike, each frame another colour.
    let frames: Vec<(u8, Vec<u8>)> = (0..40).map(|frame| (RUNS, runs(&[frame; FRAME_PIXELS]))).collect();
    let frame_of = |picture: &Picture| {
        let shown = picture.rgb_bytes();
        let frame = palette.iter().position(|colour| shown.starts_with(colour))?;
        (shown == palette[frame].repeat(PIXELS)).then_some(frame)
    };
    let first = picture(&palette, &[0; FRAME_PIXELS]);
    let mut findings = Findings::new();
    let mut shares = Vec::new();
    for rate in RATES {
        let begun = played(&net, &leds, "own-time", &p11::packaged(rate, &palette, &frames), &first).await?;
        let pictures = leds.recorded(begun, begun + Duration::from_secs(1)).await?.pictures();
        let shown: Option<Vec<usize>> = pictures.iter().map(frame_of).collect();
        let (Some(shown), [begin, .., end]) = (shown, pictures.as_slice()) else {
            let seen = format!("at {rate}/256 frames a second the strip shows what is no frame of the file");
            findings.observed("K1-FMT-029", false, seen);
            continue;
        };
        let count = frames.len();
        let passed: usize = shown.windows(2).map(|pair| (pair[1] + count - pair[0]) % count).sum();
        let due = f64::from(rate) / 256.0 * end.start().since(begin.start()).as_secs_f64();
        shares.push(passed as f64 * 100.0 / due);
    }
    if !shares.is_empty() {
        findings.measured("K1-FMT-029", Distribution::new(Unit::Percent, shares)?);
    }
    Ok(findings)
}

/// A small file whose timing block is not all zero, so that a checksum that leaves it out differs.
fn timed(colour: [u8; 3]) -> Vec<u8> {
    let mut file = File::new(p11::RATE, &[colour], &[(0, vec![0; FRAME_PIXELS])]);
    file.timing = [1, 4, 1, 0, 0x78, 0x01, 9, 0, 9, 0, 9, 0, 9, 0, 9, 0];
    file.bytes()
}

/// The file with another checksum of its header.
fn summed_over(mut file: Vec<u8>, covered: &[u8]) -> Vec<u8> {
    file[20..24].copy_from_slice(&crc32(covered).to_le_bytes());
    file
}

fn flipped(mut file: Vec<u8>, at: usize) -> Vec<u8> {
    file[at] ^= 0x10;
    file
}

/// What is special about a file, and the file.
type Named = (&'static str, Vec<u8>);

/// Files that a device has to play and others that it must not, after a restart: what it kept in
/// memory is gone, and it reads them from the flash.
async fn header_crc(mut console: Console, net: Net, leds: Leds, power: Power) -> Outcome {
    const COLOUR: [u8; 3] = [70, 20, 150];
    kit::settled(&mut console).await?;
    let sound: [Named; 3] = [
        ("as documented", timed(COLOUR)),
        ("padding that is not zero", flipped(timed(COLOUR), 40)),
        ("delays that the checksum leaves out", flipped(timed(COLOUR), 75)),
    ];
    let file = timed(COLOUR);
    let broken: [Named; 8] = [
        ("over bytes 0 to 25", summed_over(file.clone(), &file[..26])),
        ("over bytes 0 to 19", summed_over(file.clone(), &file[..20])),
        (
            "over bytes 0 to 19 and 64 to 68",
            summed_over(file.clone(), &[&file[..20], &file[64..69]].concat()),
        ),
        (
            "over bytes 0 to 19 and 64 to 79",
            summed_over(file.clone(), &[&file[..20], &file[64..80]].concat()),
        ),
        ("zero", {
            let mut file = file.clone();
            file[20..24].fill(0);
            file
        }),
        ("with a bit changed", flipped(file.clone(), 23)),
        ("of another header", flipped(file.clone(), 18)),
        ("of another timing block", flipped(file.clone(), 69)),
    ];
    for (kind, files) in [("sound", sound.as_slice()), ("broken", &broken)] {
        for (number, (_, file)) in files.iter().enumerate() {
            kit::upload_once(&net, Profile::F, &format!("{kind}-{number}"), file).await?;
        }
    }
    power.cycle(Duration::from_millis(500)).await?;
    kit::started(&mut console).await?;
    play_another(&net, &leds).await?;
    let mut rows = Rows::default();
    for (number, (row, _)) in broken.iter().enumerate() {
        let row = format!("a checksum {row}");
        match try_to_play(&net, &leds, &format!("broken-{number}")).await? {
            Played::No(seen) => rows.good(seen),
            Played::Yes(seen) => {
                rows.bad(&row, seen);
                play_another(&net, &leds).await?;
            }
        }
    }
    for (number, (row, _)) in sound.iter().enumerate() {
        let mut socket = kit::open(&net, Profile::F).await?;
        obeyed(&mut socket, "STOP", &request::stop()).await?;
        leds.expect("black after STOP", kit::ANSWER_LIMIT, Picture::is_black).await?;
        let answer = kit::told(&mut socket, &request::play(&format!("sound-{number}"))).await?.1;
        let shows = |picture: &Picture| picture.rgb_bytes() == COLOUR.repeat(PIXELS);
        match leds.expect("the packaged file", Duration::from_millis(500), shows).await {
            Ok(_) => rows.good("played"),
            Err(Blame::Product(_)) => {
                rows.bad(row, format!("PLAY was answered with {answer}, nothing shows"))
            }
            Err(other) => return Err(other),
        }
        socket.tcp.finish()?;
    }
    let mut findings = Findings::new();
    rows.decide("K1-FMT-015", &mut findings)?;
    Ok(findings)
}

/// Longest delay that is proposed for a lane, and something for the way there (specification,
/// section 7.1; the rest is ours).
const LONGEST_DELAY: Duration = Duration::from_millis(600);

/// Every kind of sync with a motion, and every kind of motion with a sync.
async fn sync_modes(mut console: Console, net: Net, leds: Leds) -> Outcome {
    kit::settled(&mut console).await?;
    let palette = palette();
    let frames: Vec<(u8, Vec<u8>)> =
        (0..6).map(|frame| (RUNS, runs(&[10 * frame + 3; FRAME_PIXELS]))).collect();
    let lanes: Vec<Vec<u8>> = (0..6).map(|frame| palette[10 * frame + 3].repeat(FRAME_PIXELS)).collect();
    let mut rows = Rows::default();
    for (motion, sync) in [(4, 0), (4, 1), (4, 2), (4, 3), (4, 4), (0, 2), (1, 0), (2, 1), (3, 3)] {
        let mut file = File::new(p11::RATE / 4, &palette, &frames);
        // 100 ms of delay, a progression from 60 ms to 150 ms, a wave of 60 ms at 1 Hz.
        file.timing = [1, motion, sync, 0, 100, 0, 60, 0, 150, 0, 60, 0, 1, 0, 0, 0];
        let mut socket = kit::open(&net, Profile::F).await?;
        kit::upload(&mut socket, Profile::F, "synced", &file.bytes()).await?;
        let row = format!("motion {motion}, sync {sync}");
        let asked = obeyed(&mut socket, &format!("PLAY ({row})"), &request::play("synced")).await?;
        socket.tcp.finish()?;
        leds.recorded(asked, asked + LONGEST_DELAY).await?;
        let pictures = leds.record(Duration::from_millis(250)).await?.pictures();
        let strange = |lane: usize| {
            let shown = pictures.iter().map(|picture| {
                let all = picture.rgb_bytes();
                all[lane * all.len() / 2..(lane + 1) * all.len() / 2].to_vec()
            });
            shown.filter(|shown| !lanes.contains(shown)).count()
        };
        let (first, second) = (strange(0), strange(1));
        let seen = format!("frames that are not the file's: {first} and {second} of {}", pictures.len());
        match (first, second, pictures.len()) {
            (0, 0, 1..) => rows.good("both lanes show the file's frames"),
            _ => rows.bad(&row, seen),
        }
    }
    let mut findings = Findings::new();
    rows.decide("K1-FMT-027", &mut findings)?;
    Ok(findings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_four_kinds_of_frames_are_there_and_read_back() {
        let frames = coded(24);
        for flags in [0, DELTA, RUNS, DELTA | RUNS] {
            assert!(frames.iter().any(|frame| frame.0 == flags), "{flags}");
        }
        let contents = p11::read(&p11::packaged(p11::RATE, &palette(), &frames)).expect("sound");
        for (frame, shown) in contents.pictures.iter().enumerate() {
            assert_eq!(*shown, picture(&palette(), &indices(frame)), "{frame}");
        }
    }

    #[test]
    fn no_two_frames_that_follow_each_other_are_alike() {
        for frame in 0..24 {
            assert_ne!(indices(frame), indices((frame + 1) % 24));
        }
    }

    #[test]
    fn what_a_reader_passes_over_is_sound() {
        for (row, file) in tolerable() {
            assert!(p11::check(&file.bytes()).is_ok(), "{row}");
        }
    }

    #[test]
    fn only_the_sound_headers_are_sound() {
        assert!(p11::check(&timed([1, 2, 3])).is_ok());
        for covered in [18, 69] {
            assert!(p11::check(&flipped(timed([1, 2, 3]), covered)).is_err());
        }
        for not in [40, 75] {
            assert!(p11::check(&flipped(timed([1, 2, 3]), not)).is_ok());
        }
    }
}
