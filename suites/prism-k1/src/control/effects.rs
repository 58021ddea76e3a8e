//! Brightness and gamma at rest: every colour value on the wires against the formulas.

use std::time::Duration;

use rigor_core::Instant;
use rigor_core::distribution::Distribution;
use rigor_core::unit::Unit;
use rigor_core::verdict::{Blame, ProductError};
use rigor_runner::need::{Console, Leds, Net, Picture, WebSocket};
use rigor_runner::{Findings, Outcome, Suite};

use crate::kit::{self, Answer, obeyed, told};
use crate::light::{GAMMA, corrected, dimmed};
use crate::pattern;
use crate::rows::Rows;
use crate::tlv::{Profile, Reply, request};

pub(super) fn add_to(suite: &mut Suite) {
    suite
        .case("brightness_levels", &["K1-CTL-004", "K1-CTL-005"], brightness_levels)
        .case("gamma_levels", &["K1-CTL-007"], gamma_levels)
        .case("gamma_and_brightness", &["K1-CTL-009", "K1-CTL-020"], gamma_and_brightness)
        .case("gamma_out_of_range", &["K1-CTL-011"], gamma_out_of_range);
}

/// A change without a duration is on the wires this long after its answer (our bound): a frame may
/// have been on its way, and the next one painted already.
const SETTLED: Duration = Duration::from_millis(50);
/// How long a setting is looked at.
const WATCHED: Duration = Duration::from_millis(50);

/// Has the device play one frame with every value of a byte, and opens a connection to control it.
pub(super) async fn every_value(
    console: &mut Console,
    net: &Net,
    leds: &Leds,
) -> Result<(WebSocket, Vec<u8>), Blame> {
    kit::settled(console).await?;
    let file = pattern::every_value();
    kit::upload_once(net, Profile::N, "", &file).await?;
    // Not to the last step: that is what K1-LED-005 is for.
    let shows = |picture: &Picture| deviation(&picture.rgb_bytes(), &file, f64::from) <= 1.0;
    leds.expect("the uploaded frame", kit::ANSWER_LIMIT, shows).await?;
    Ok((kit::open(net, Profile::F).await?, file))
}

/// What the strip shows a while after `answered`, picture by picture.
///
/// # Errors
/// The product's, if it shows nothing.
async fn at_rest(leds: &Leds, answered: Instant) -> Result<Vec<Vec<u8>>, Blame> {
    leds.recorded(answered, answered + SETTLED).await?;
    let pictures = leds.record(WATCHED).await?.pictures();
    if pictures.is_empty() {
        return Err(ProductError("the strip carries no whole pictures".to_owned()).into());
    }
    Ok(pictures.iter().map(|picture| picture.rgb_bytes()).collect())
}

/// By how much a value of `shown` differs from what it `should` be, at most.
fn deviation(shown: &[u8], file: &[u8], should: impl Fn(u8) -> f64) -> f64 {
    if shown.len() != file.len() {
        return f64::from(u8::MAX);
    }
    let table: Vec<f64> = (0..=u8::MAX).map(should).collect();
    let differences =
        shown.iter().zip(file).map(|(&shown, &value)| (f64::from(shown) - table[usize::from(value)]).abs());
    differences.fold(0.0, f64::max)
}

/// Half, none and half again, and then the full brightness.
async fn brightness_levels(mut console: Console, net: Net, leds: Leds) -> Outcome {
    let (mut socket, file) = every_value(&mut console, &net, &leds).await?;
    let (mut scaled, mut full) = (Vec::new(), Vec::new());
    for brightness in [128, 0, 255, 128, 255] {
        let answered = obeyed(&mut socket, "BRIGHTNESS", &request::brightness(brightness, 0)).await?;
        let should = |value| dimmed(f64::from(value), f64::from(brightness));
        let samples = if brightness == 255 { &mut full } else { &mut scaled };
        for shown in at_rest(&leds, answered).await? {
            samples.push(deviation(&shown, &file, should));
        }
    }
    let mut findings = Findings::new();
    findings
        .measured("K1-CTL-004", Distribution::new(Unit::Count, scaled)?)
        .measured("K1-CTL-005", Distribution::new(Unit::Count, full)?);
    Ok(findings)
}

/// Exponent 2.2 after none, and after another one.
async fn gamma_levels(mut console: Console, net: Net, leds: Leds) -> Outcome {
    let (mut socket, file) = every_value(&mut console, &net, &leds).await?;
    let mut samples = Vec::new();
    for before in [None, Some(300)] {
        if let Some(x100) = before {
            obeyed(&mut socket, "GAMMA", &request::gamma(x100, 0)).await?;
        }
        let answered = obeyed(&mut socket, "GAMMA", &request::gamma(220, 0)).await?;
        for shown in at_rest(&leds, answered).await? {
            samples.push(deviation(&shown, &file, |value| corrected(value, 220)));
        }
    }
    let mut findings = Findings::new();
    findings.measured("K1-CTL-007", Distribution::new(Unit::Count, samples)?);
    Ok(findings)
}

/// A table of exponent 2.2 within 1, dimmed to half within 1 (K1-CTL-004, K1-CTL-007).
const BOTH_WITHIN: f64 = 1.5;

/// Both in force, in either order of asking, and then the full brightness again.
async fn gamma_and_brightness(mut console: Console, net: Net, leds: Leds) -> Outcome {
    let (mut socket, file) = every_value(&mut console, &net, &leds).await?;
    let (gamma, half) = (request::gamma(220, 0), request::brightness(128, 0));
    let both = |value| dimmed(corrected(value, 220), 128.0);
    let mut samples = Vec::new();
    let mut kept = Rows::default();
    for (row, first, second) in [("GAMMA first", &gamma, &half), ("BRIGHTNESS first", &half, &gamma)] {
        obeyed(&mut socket, "the first setting", first).await?;
        let answered = obeyed(&mut socket, "the second setting", second).await?;
        let off: Vec<f64> =
            at_rest(&leds, answered).await?.iter().map(|shown| deviation(shown, &file, both)).collect();
        if first == &gamma {
            let worst = off.iter().copied().fold(0.0, f64::max);
            kept.note(worst <= BOTH_WITHIN, row, format!("at half brightness gamma stays within {worst:.1}"));
        }
        samples.extend(off);
        let answered = obeyed(&mut socket, "BRIGHTNESS", &request::brightness(255, 0)).await?;
        let off = at_rest(&leds, answered).await?.into_iter();
        let worst =
            off.map(|shown| deviation(&shown, &file, |value| corrected(value, 220))).fold(0.0, f64::max);
        kept.note(worst <= 1.0, row, format!("at full brightness within {worst:.1}"));
        obeyed(&mut socket, "GAMMA", &request::gamma(100, 0)).await?;
    }
    let mut findings = Findings::new();
    kept.decide("K1-CTL-009", &mut findings)?;
    findings.measured("K1-CTL-020", Distribution::new(Unit::Count, samples)?);
    Ok(findings)
}

/// Exponents outside the range: refused, and then nothing changes, or taken as the end of it. Those
/// so near to the range that their tables are within 1 of its end's cannot be told from it.
async fn gamma_out_of_range(mut console: Console, net: Net, leds: Leds) -> Outcome {
    const IN_FORCE: u16 = 220;
    let (mut socket, file) = every_value(&mut console, &net, &leds).await?;
    let mut rows = Rows::default();
    for x100 in [0, 1, 50, 95, 310, 400, 1000, u16::MAX] {
        let end = if x100 < *GAMMA.start() { *GAMMA.start() } else { *GAMMA.end() };
        obeyed(&mut socket, "GAMMA", &request::gamma(IN_FORCE, 0)).await?;
        let (at, answer) = told(&mut socket, &request::gamma(x100, 0)).await?;
        let row = format!("GAMMA {x100}");
        let shown = at_rest(&leds, at).await?;
        let all = |exponent| {
            shown.iter().all(|shown| deviation(shown, &file, |value| corrected(value, exponent)) <= 1.0)
        };
        match &answer {
            Answer::Silence => rows.bad(&row, "no answer"),
            Answer::Reply(Reply::Malformed(why)) => rows.bad(&row, why),
            Answer::Reply(Reply::Status(_)) => rows.note(all(end), &row, format!("taken as {end}")),
            Answer::Reply(Reply::Error { .. }) | Answer::Closed => {
                rows.note(all(IN_FORCE) || all(end), &row, "refused");
            }
        }
        if !matches!(answer, Answer::Reply(Reply::Status(_))) {
            // The device may close after an ERROR.
            socket.tcp.finish()?;
            socket = kit::open(&net, Profile::F).await?;
        }
    }
    let mut findings = Findings::new();
    rows.decide("K1-CTL-011", &mut findings)?;
    Ok(findings)
}
