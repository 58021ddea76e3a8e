//! Packaged files that a device must not play, and lists that must fit a message.

use rigor_core::distribution::Distribution;
use rigor_core::unit::Unit;
use rigor_core::verdict::{Blame, ProductError};
use rigor_runner::need::{Console, Device, Leds, Net, Picture};
use rigor_runner::{Findings, Outcome, Suite};

use super::{Played, play_another, try_to_play};
use crate::kit;
use crate::p11::{self, DELTA, FRAME_PIXELS, File, RUNS, runs};
use crate::pattern::{self, PIXELS};
use crate::rows::Rows;
use crate::tlv::{Profile, request};
use crate::{list, status};

pub(super) fn add_to(suite: &mut Suite) {
    suite
        .case(
            "hostile_files",
            &[
                "K1-FMT-008",
                "K1-FMT-009",
                "K1-FMT-010",
                "K1-FMT-020",
                "K1-FMT-021",
                "K1-FMT-022",
                "K1-FMT-025",
                "K1-FMT-026",
            ],
            hostile_files,
        )
        .case("truncated_segments", &["K1-FMT-011"], truncated_segments)
        .case("long_list", &["K1-FMT-012", "K1-FMT-028"], long_list);
}

/// The name of every file here.
const NAME: &str = "hostile";

/// What is wrong with a file, and the file.
type Named = (String, Vec<u8>);

/// Colours of the files' palettes.
const COLOURS: u8 = 5;

/// A sound file of two frames, of which the others are made.
fn sound() -> File {
    let palette: Vec<[u8; 3]> = (0..COLOURS).map(|index| [40 * index + 9, 60, 200]).collect();
    File::new(p11::RATE, &palette, &[(0, vec![1; FRAME_PIXELS]), (RUNS, runs(&[2; FRAME_PIXELS]))])
}

fn with_frames(frames: &[(u8, Vec<u8>)]) -> Vec<u8> {
    File { frames: frames.to_vec(), count: frames.len() as u32, ..sound() }.bytes()
}

/// A frame with one pixel of another colour.
fn spotted(pixel: usize, index: u8) -> Vec<u8> {
    let mut indices = vec![1; FRAME_PIXELS];
    indices[pixel] = index;
    indices
}

fn hostile() -> Vec<(&'static str, Named)> {
    let named = |name: &str, file: Vec<u8>| (name.to_owned(), file);
    let mut files = Vec::new();
    // 480 bytes for each frame: the first of these needs 224 bytes more than 4 GiB.
    for count in [8_947_849, 0x8000_0000, u32::MAX] {
        files.push(("K1-FMT-008", named(&format!("{count} frames"), File { count, ..sound() }.bytes())));
    }
    let sound_frame = (0, vec![1; FRAME_PIXELS]);
    for index in [COLOURS, COLOURS + 1, 64, 255] {
        let plain = with_frames(&[(0, spotted(0, index))]);
        files.push(("K1-FMT-009", named(&format!("index {index} of {COLOURS}"), plain)));
        let last = with_frames(&[sound_frame.clone(), (0, spotted(FRAME_PIXELS - 1, index))]);
        files.push(("K1-FMT-009", named(&format!("index {index} at the very end"), last)));
        let run = with_frames(&[(RUNS, vec![0xFF, index, 0xA1, 0])]);
        files.push(("K1-FMT-009", named(&format!("a run of index {index}"), run)));
    }
    // 4 XOR 1 is 5: both are sound colours, what they make is none.
    let changed = with_frames(&[sound_frame.clone(), (DELTA, vec![4; FRAME_PIXELS])]);
    files.push(("K1-FMT-009", named("a difference that leads beyond the palette", changed)));
    for (name, flags, segment) in [
        ("a plain difference first", DELTA, vec![1; FRAME_PIXELS]),
        ("a difference in runs first", DELTA | RUNS, runs(&[1; FRAME_PIXELS])),
    ] {
        let first = with_frames(&[(flags, segment), sound_frame.clone()]);
        files.push(("K1-FMT-010", named(name, first)));
    }
    for pixels in [0, 1, 159, 161, 320, u16::MAX] {
        files.push(("K1-FMT-020", named(&format!("{pixels} pixels"), File { pixels, ..sound() }.bytes())));
    }
    for colours in [0, 65, 66, 256, 300] {
        let palette = (0..colours).map(|index| [index as u8, 60, 200]).collect();
        files.push(("K1-FMT-021", named(&format!("{colours} colours"), File { palette, ..sound() }.bytes())));
    }
    let file = sound().bytes();
    for (name, at) in [
        ("its payload's CRC changed", file.len() - 1),
        ("a colour changed", 84),
        ("a pixel changed", 82 + 2 + 3 * usize::from(COLOURS) + 3 + 100),
    ] {
        let mut file = file.clone();
        file[at] ^= 0x02;
        files.push(("K1-FMT-022", named(name, file)));
    }
    for version in [0x0000, 0x0001, 0x0102, 0x0200, 0x0201] {
        let file = File { version, ..sound() }.bytes();
        files.push(("K1-FMT-025", named(&format!("version {version:#06x}"), file)));
    }
    let single = File { frames: vec![sound_frame], count: 0, ..sound() }.bytes();
    files.push(("K1-FMT-026", named("no frame stated, 1 there", single)));
    for count in [0, 3, 100] {
        let file = File { count, ..sound() }.bytes();
        files.push(("K1-FMT-026", named(&format!("{count} frames stated, 2 there"), file)));
    }
    files
}

/// Uploads and plays each of `files` while another pattern plays, and then one that is sound: what is
/// wrong, requirement by requirement.
async fn none_plays(
    files: Vec<(&'static str, Named)>,
    console: &mut Console,
    net: &Net,
    leds: &Leds,
    device: &Device,
) -> Result<Vec<(&'static str, Rows)>, Blame> {
    let begun = kit::settled(console).await?;
    play_another(net, leds).await?;
    let mut judged: Vec<(&'static str, Rows)> = Vec::new();
    for (id, (row, file)) in files {
        if judged.last().is_none_or(|(last, _)| *last != id) {
            judged.push((id, Rows::default()));
        }
        let Some((_, rows)) = judged.last_mut() else { continue };
        kit::upload_once(net, Profile::F, NAME, &file).await?;
        match try_to_play(net, leds, NAME).await? {
            Played::No(seen) => rows.good(seen),
            Played::Yes(seen) => {
                rows.bad(&row, seen);
                play_another(net, leds).await?;
            }
        }
        match device.starts_since(begun) {
            0 => {}
            starts => return Err(ProductError(format!("{row}: the device restarted {starts} times")).into()),
        }
    }
    let mut socket = kit::open(net, Profile::F).await?;
    kit::upload(&mut socket, Profile::F, NAME, &sound().bytes()).await?;
    kit::obeyed(&mut socket, "PLAY of a sound file", &request::play(NAME)).await?;
    let colour = sound().palette[1];
    let shows = |picture: &Picture| picture.rgb_bytes() == colour.repeat(PIXELS);
    leds.expect("a sound file after the others", kit::ANSWER_LIMIT, shows).await?;
    status::ask(&mut socket).await?;
    Ok(judged)
}

async fn hostile_files(mut console: Console, net: Net, leds: Leds, device: Device) -> Outcome {
    let mut findings = Findings::new();
    for (id, rows) in none_plays(hostile(), &mut console, &net, &leds, &device).await? {
        rows.decide(id, &mut findings)?;
    }
    Ok(findings)
}

/// A file whose second frame's segment ends early, its checksum right.
fn short_segments() -> Vec<Named> {
    let first = (0, vec![1; FRAME_PIXELS]);
    // Runs and single pixels, the longest run last.
    let mixed: Vec<u8> =
        (0..FRAME_PIXELS).map(|pixel| if pixel < 20 { pixel as u8 % 5 } else { 3 }).collect();
    let packed = runs(&mixed);
    let mut files = Vec::new();
    for length in 0..packed.len() {
        let frames = [first.clone(), (RUNS, packed[..length].to_vec())];
        files.push((format!("runs that end after {length} bytes"), with_frames(&frames)));
    }
    for length in [0, 1, 80, FRAME_PIXELS - 2, FRAME_PIXELS - 1] {
        let frames = [first.clone(), (0, vec![2; length])];
        files.push((format!("a plain segment of {length} bytes"), with_frames(&frames)));
        let frames = [(0, vec![2; length]), first.clone()];
        files.push((format!("a plain segment of {length} bytes at first"), with_frames(&frames)));
        let frames = [first.clone(), (DELTA, vec![2; length])];
        files.push((format!("a difference of {length} bytes"), with_frames(&frames)));
    }
    // Cut anywhere in the last frame, its header and what follows included.
    let whole = with_frames(&[first, (RUNS, packed.clone())]);
    for left in whole.len() - packed.len() - 7..whole.len() {
        files.push((format!("cut after {left} of {} bytes", whole.len()), whole[..left].to_vec()));
    }
    files
}

async fn truncated_segments(mut console: Console, net: Net, leds: Leds, device: Device) -> Outcome {
    let files = short_segments().into_iter().map(|file| ("K1-FMT-011", file)).collect();
    let mut findings = Findings::new();
    for (id, rows) in none_plays(files, &mut console, &net, &leds, &device).await? {
        rows.decide(id, &mut findings)?;
    }
    Ok(findings)
}

/// Patterns that a device is offered: more than a message has room for.
const OFFERED: usize = 60;
/// Bytes of a message's payload, of the count in a list, and of an entry with a name of 63.
const PAYLOAD: usize = 4089;
const COUNT: usize = 2;
const ENTRY: usize = 63 + 10;

/// As many patterns as the known firmware takes, with the longest names, and then as many as this
/// device does.
async fn long_list(mut console: Console, net: Net, device: Device) -> Outcome {
    const PATTERNS: usize = 25;
    /// Bytes of a message besides its payload.
    const FRAMING: usize = 7;
    let begun = kit::settled(&mut console).await?;
    let mut socket = kit::open(&net, Profile::F).await?;
    let mut names: Vec<String> =
        (0..OFFERED).map(|number| format!("{number:02}{}", "-".repeat(61))).collect();
    for name in &names[..PATTERNS] {
        kit::upload(&mut socket, Profile::F, name, &pattern::file(1, 1)).await?;
    }
    let (listed, bytes) = list::ask(&mut socket).await?;
    status::ask(&mut socket).await?;
    let mut findings = Findings::new();
    findings.measured("K1-FMT-012", Distribution::new(Unit::Bytes, [(bytes + FRAMING) as f64])?);
    let mut listed: Vec<String> = listed.into_iter().map(|entry| entry.name).collect();
    listed.sort();
    if listed != names[..PATTERNS] {
        let seen = format!("{} of {PATTERNS} patterns are listed", listed.len());
        findings.observed("K1-FMT-012", false, seen);
    }
    if device.starts_since(begun) > 0 {
        findings.observed("K1-FMT-012", false, "the device restarted");
    }

    let mut taken = PATTERNS;
    while let Some(name) = names.get(taken) {
        match kit::upload(&mut socket, Profile::F, name, &pattern::file(1, 1)).await {
            Ok(_) => taken += 1,
            // A device may have had enough.
            Err(Blame::Product(_)) => break,
            Err(other) => return Err(other),
        }
    }
    names.truncate(taken);
    socket.tcp.finish()?;
    let mut socket = kit::open(&net, Profile::F).await?;
    match list::ask(&mut socket).await {
        Ok((listed, bytes)) => {
            let fit = taken.min((PAYLOAD - COUNT) / ENTRY);
            let mut known: Vec<&String> = listed.iter().map(|entry| &entry.name).collect();
            known.retain(|name| names.contains(name));
            known.sort();
            known.dedup();
            let holds = bytes <= PAYLOAD && known.len() == listed.len() && listed.len() == fit;
            let seen = format!("{} of {taken} listed in {} bytes", listed.len(), bytes + FRAMING);
            findings.observed("K1-FMT-028", holds, seen);
        }
        Err(Blame::Product(error)) => {
            findings.observed("K1-FMT-028", false, format!("with {taken} patterns, {error}"));
        }
        Err(other) => return Err(other),
    }
    Ok(findings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sound_file_is_sound_and_no_other_is() {
        assert!(p11::check(&sound().bytes()).is_ok());
        for (id, (row, file)) in hostile() {
            assert!(p11::check(&file).is_err(), "{id} {row}");
        }
        for (row, file) in short_segments() {
            assert!(p11::check(&file).is_err(), "{row}");
        }
    }
}
