//! Templates on the wires against their files, and how soon a pattern shows that was asked for.

use std::collections::BTreeMap;
use std::time::Duration;

use rigor_core::Instant;
use rigor_core::distribution::Distribution;
use rigor_core::unit::Unit;
use rigor_core::verdict::Blame;
use rigor_runner::need::{Console, Leds, Net, Picture, WebSocket};
use rigor_runner::{Findings, Outcome, Suite};

use crate::flash::TEMPLATES;
use crate::kit::{self, Answer, Storage, told};
use crate::p11::{self, Contents};
use crate::pattern::{self, MAX_FILE_BYTES, MAX_FRAMES};
use crate::tlv::{Profile, Reply, request};

pub(super) fn add_to(suite: &mut Suite) {
    suite
        .case("deploy_templates", &["K1-CTL-014", "K1-CTL-015", "K1-CTL-016", "K1-CTL-025"], deploy_templates)
        .case("pattern_switch", &["K1-CTL-016"], pattern_switch);
}

/// A pattern that was asked for is looked for this long (our bound: the release goal is 2 s).
const LOOKED_FOR: Duration = Duration::from_secs(3);
/// Name and series of the pattern that plays before each template.
const MARKER: &str = "marker";
const MARKER_SERIES: u8 = 3;

/// Asks for a pattern with `message`; how long it took until the first picture of it began, if that
/// is `first`, or what was seen instead.
async fn switched(
    socket: &mut WebSocket,
    leds: &Leds,
    message: &[u8],
    first: &[u8],
    before: impl Fn(&Picture) -> bool,
) -> Result<Result<(Instant, Duration), String>, Blame> {
    let mut watch = leds.watch();
    let asked = socket.tcp.now();
    let answer = told(socket, message).await?.1;
    if !matches!(answer, Answer::Reply(Reply::Status(_))) {
        return Ok(Err(format!("it was answered with {answer}")));
    }
    let deadline = asked + LOOKED_FOR;
    while let Some(picture) = watch.next(deadline).await {
        if picture.start() < asked || before(&picture) {
            continue;
        }
        return Ok(if picture.rgb_bytes() == first {
            Ok((picture.start(), picture.start().since(asked)))
        } else {
            Err("what shows first is not its first frame".to_owned())
        });
    }
    Ok(Err(format!("the strip did not change within {LOOKED_FOR:?}")))
}

/// The file of template `id` among those on the flash chip, as what it shows.
fn template(files: &BTreeMap<String, Vec<u8>>, id: &str) -> Result<Contents, String> {
    let is_it = |path: &str| {
        let file = path.rsplit('/').next().unwrap_or(path);
        file == id || file.rsplit_once('.').is_some_and(|(stem, _)| stem == id)
    };
    let (_, bytes) = files.iter().find(|(path, _)| is_it(path)).ok_or("it is not stored")?;
    p11::read(bytes).map_err(|fault| format!("of its file, {fault}"))
}

/// Frames, frames in a second in 256ths, and colours of the templates (specification, section 6.3).
const FRAMES: usize = 144;
const RATE: u32 = 24 * 256;
const COLOURS: usize = 64;
/// The one template with fewer colours.
const FEWER: (&str, usize) = ("noise-rain", 57);

/// In how many points a template is not as those of the specification.
fn unlike(id: &str, contents: &Contents) -> usize {
    let colours = if id == FEWER.0 { FEWER.1 } else { COLOURS };
    usize::from(contents.pictures.len() != FRAMES)
        + usize::from(contents.rate != RATE)
        + usize::from(contents.colours != colours)
}

/// Each template is deployed after a pattern that cannot be taken for one, and looked at for a
/// while; the first one until it has begun again.
async fn deploy_templates(mut console: Console, net: Net, leds: Leds, storage: Storage) -> Outcome {
    kit::settled(&mut console).await?;
    let files = storage.files().await?;
    let marker = pattern::numbered(MARKER_SERIES, 1);
    let is_marker = |picture: &Picture| pattern::recognise(MARKER_SERIES, picture).is_some();
    kit::upload_once(&net, Profile::F, MARKER, &marker).await?;
    let mut findings = Findings::new();
    let (mut took, mut shapes, mut known): (Vec<Duration>, Vec<f64>, Vec<Contents>) = Default::default();
    for (index, id) in TEMPLATES.into_iter().enumerate() {
        // A connection of its own: while one is looked at, the device may end a silent one.
        let mut socket = kit::open(&net, Profile::F).await?;
        kit::obeyed(&mut socket, "PLAY", &request::play(MARKER)).await?;
        leds.expect("the pattern before a template", kit::ANSWER_LIMIT, is_marker).await?;
        let mut fault = |seen: String| {
            findings.observed("K1-CTL-014", false, format!("{id}: {seen}"));
        };
        let contents = match template(&files, id) {
            Ok(contents) => contents,
            Err(seen) => {
                fault(seen);
                continue;
            }
        };
        shapes.push(unlike(id, &contents) as f64);
        let first = &contents.pictures[0];
        let (begun, after) =
            match switched(&mut socket, &leds, &request::deploy(id), first, is_marker).await? {
                Ok(switched) => switched,
                Err(seen) => {
                    fault(seen);
                    socket.tcp.finish()?;
                    continue;
                }
            };
        let period = Duration::from_secs(256) / contents.rate.max(1);
        let frames = if index == 0 { contents.pictures.len() as u32 + 3 } else { 8 };
        let until = begun + (period * frames).min(Duration::from_secs(10));
        socket.tcp.finish()?;
        let pictures = leds.recorded(begun, until).await?.pictures();
        let seen = course_fault(&pictures, &contents, period).or_else(|| {
            known.iter().any(|other| other.pictures == contents.pictures).then(|| "it is another one".into())
        });
        match seen {
            Some(seen) => fault(seen),
            None => {
                took.push(after);
                known.push(contents);
            }
        }
    }
    findings.measured("K1-CTL-014", Distribution::new(Unit::Count, [known.len() as f64])?);
    if shapes.is_empty() {
        findings.observed("K1-CTL-025", false, "no template is stored");
    } else {
        findings.measured("K1-CTL-025", Distribution::new(Unit::Count, shapes)?);
    }
    for id in ["K1-CTL-015", "K1-CTL-016"] {
        if took.is_empty() {
            findings.observed(id, false, "no template was shown");
        } else {
            findings.measured(id, Distribution::of_durations(took.clone())?);
        }
    }
    Ok(findings)
}

/// How much earlier or later than its time a frame may be shown: 5 % of its time (K1-LED-002), and
/// two frames of the strip (ours), whose clock is not the pattern's.
const EARLY_OR_LATE: Duration = Duration::from_micros(2 * 8_333);

/// What is wrong with how `pictures` follow the frames of `contents`, of which each is shown for
/// `period`, from the first one on.
fn course_fault(pictures: &[Picture], contents: &Contents, period: Duration) -> Option<String> {
    let frames = &contents.pictures;
    if frames.iter().all(|frame| frame.iter().all(|&byte| byte == 0)) {
        return Some("it is black".to_owned());
    }
    let Some(begun) = pictures.first().map(Picture::start) else {
        return Some("the strip carries no whole pictures".to_owned());
    };
    pictures.iter().find_map(|picture| {
        let shown = picture.rgb_bytes();
        let since = picture.start().since(begun);
        let slack = EARLY_OR_LATE + since / 20;
        let index = |time: Duration| (time.as_nanos() / period.as_nanos().max(1)) as usize;
        let (earliest, latest) = (index(since.saturating_sub(slack)), index(since + slack));
        let right = (earliest..=latest).any(|turn| frames[turn % frames.len()] == shown);
        (!right).then(|| format!("{since:?} after its beginning something else is shown"))
    })
}

/// Patterns of every kind and size after each other, the largest ones included.
async fn pattern_switch(mut console: Console, net: Net, leds: Leds) -> Outcome {
    kit::settled(&mut console).await?;
    let raw = |series: u8, frames: usize| {
        let file = pattern::numbered(series, frames);
        let first = pattern::numbered_frame(series, 0);
        (format!("raw-{series}"), file, first)
    };
    let packaged = |name: &str, colour: [u8; 3], frames: usize| {
        let palette = [colour, [0, 0, 1]];
        let segments: Vec<(u8, Vec<u8>)> = (0..frames).map(|_| (0, vec![0; p11::FRAME_PIXELS])).collect();
        (name.to_owned(), p11::packaged(p11::RATE, &palette, &segments), colour.repeat(pattern::PIXELS))
    };
    // A raw segment takes 163 bytes.
    let patterns = [
        raw(1, 1),
        packaged("packed", [9, 8, 7], 1),
        raw(2, MAX_FRAMES),
        packaged("packed-most", [70, 80, 90], (MAX_FILE_BYTES - 100) / 163),
        raw(4, 40),
    ];
    for (name, file, _) in &patterns {
        kit::upload_once(&net, Profile::F, name, file).await?;
    }
    let mut socket = kit::open(&net, Profile::F).await?;
    kit::obeyed(&mut socket, "STOP", &request::stop()).await?;
    leds.expect("black after STOP", kit::ANSWER_LIMIT, Picture::is_black).await?;
    let mut findings = Findings::new();
    let mut took = Vec::new();
    let mut last: Option<&str> = None;
    for _ in 0..2 {
        for (name, _, first) in &patterns {
            let series = last.and_then(|name| name.strip_prefix("raw-")?.parse().ok());
            let colour = patterns.iter().find(|(name, ..)| Some(name.as_str()) == last);
            let before = |picture: &Picture| match series {
                Some(series) => pattern::recognise(series, picture).is_some(),
                None => colour.map_or(picture.is_black(), |(.., shown)| picture.rgb_bytes() == *shown),
            };
            match switched(&mut socket, &leds, &request::play(name), first, before).await? {
                Ok((_, after)) => took.push(after),
                Err(seen) => {
                    findings.observed("K1-CTL-016", false, format!("PLAY of {name}: {seen}"));
                }
            }
            last = Some(name);
        }
    }
    if !took.is_empty() {
        findings.measured("K1-CTL-016", Distribution::of_durations(took)?);
    }
    Ok(findings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_is_compared_in_every_point() {
        let like = |frames, rate, colours| Contents { rate, colours, pictures: vec![vec![]; frames] };
        assert_eq!(unlike("flow-fall", &like(144, 6144, 64)), 0);
        assert_eq!(unlike("noise-rain", &like(144, 6144, 57)), 0);
        assert_eq!(unlike("noise-rain", &like(144, 6144, 64)), 1);
        assert_eq!(unlike("flow-fall", &like(143, 24, 57)), 3);
    }
}
