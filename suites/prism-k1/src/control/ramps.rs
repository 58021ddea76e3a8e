//! Brightness and gamma on their way: how far the wires are from a straight line in time.

use std::time::Duration;

use rigor_core::Instant;
use rigor_core::distribution::Distribution;
use rigor_core::unit::Unit;
use rigor_core::verdict::{Blame, ProductError};
use rigor_runner::need::{Console, Leds, Net, WebSocket};
use rigor_runner::{Findings, Outcome, Suite};

use super::effects::every_value;
use crate::kit::{self, obeyed};
use crate::light::{GammaMeter, brightness_of};
use crate::tlv::{Profile, request};

pub(super) fn add_to(suite: &mut Suite) {
    suite
        .case("brightness_ramp", &["K1-CTL-006"], brightness_ramp)
        .case("gamma_ramp", &["K1-CTL-008"], gamma_ramp)
        .case("longest_ramp", &["K1-CTL-010"], longest_ramp);
}

/// How long the strip is watched after the end of a ramp.
const AFTERWARDS: Duration = Duration::from_millis(60);
/// The most that a ramp may take, whatever was asked for (specification, section 1.3).
const LONGEST: Duration = Duration::from_millis(5000);

/// Pictures of a ramp: when each began, and the setting that it shows.
type Course = Vec<(Instant, f64)>;

/// A way from one setting to another.
struct Ramp {
    from: f64,
    to: f64,
    length: Duration,
    /// A setting this far from either end may be that end, read off rounded values.
    step: f64,
    /// The device took the request between these two.
    asked: Instant,
    answered: Instant,
}

impl Ramp {
    /// By how many milliseconds a picture that began `at` is early or late: when the line is where
    /// the picture says, counted from any instant at which the device may have taken the request.
    fn deviation(&self, at: Instant, setting: f64) -> f64 {
        let length = millis(self.length);
        let on_the_way = (setting - self.from) / (self.to - self.from) * length;
        // Before the beginning and after the end the setting rests.
        let begins = (setting - self.from).abs() <= self.step;
        let ends = (setting - self.to).abs() <= self.step;
        let (earliest, latest) = match (begins, ends) {
            (true, _) => (f64::NEG_INFINITY, 0.0),
            (_, true) => (length, f64::INFINITY),
            _ => (on_the_way, on_the_way),
        };
        let since = |begin: Instant| (at.as_nanos() as f64 - begin.as_nanos() as f64) / 1e6;
        let (least, most) = (since(self.answered), since(self.asked));
        (least - latest).max(earliest - most).max(0.0)
    }
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// What the strip shows of a ramp that `message` asks for: from the request to `length` after its
/// answer, and a little longer.
async fn course(
    socket: &mut WebSocket,
    leds: &Leds,
    message: &[u8],
    length: Duration,
    setting: impl Fn(&[u8]) -> f64,
) -> Result<(Instant, Instant, Course), Blame> {
    let asked = socket.tcp.now();
    let answered = obeyed(socket, "a ramp", message).await?;
    let recording = leds.recorded(asked, answered + length + AFTERWARDS).await?;
    let pictures = recording.pictures();
    let course: Course =
        pictures.iter().map(|picture| (picture.start(), setting(&picture.rgb_bytes()))).collect();
    match course.is_empty() {
        true => Err(ProductError("the strip carries no whole pictures".to_owned()).into()),
        false => Ok((asked, answered, course)),
    }
}

/// Down, up and part of the way, fast and slow.
async fn brightness_ramp(mut console: Console, net: Net, leds: Leds) -> Outcome {
    let (mut socket, file) = every_value(&mut console, &net, &leds).await?;
    let mut samples = Vec::new();
    let mut from = 255;
    for (to, length_ms) in [(0, 500), (255, 100), (55, 400), (200, 300)] {
        let length = Duration::from_millis(length_ms.into());
        let message = request::brightness(to, length_ms);
        let (asked, answered, course) =
            course(&mut socket, &leds, &message, length, |shown| brightness_of(&file, shown)).await?;
        let ramp = Ramp { from: from.into(), to: to.into(), length, step: 0.5, asked, answered };
        samples.extend(course.iter().map(|&(at, setting)| ramp.deviation(at, setting)));
        from = to;
    }
    let mut findings = Findings::new();
    findings.measured("K1-CTL-006", Distribution::new(Unit::Milliseconds, samples)?);
    Ok(findings)
}

async fn gamma_ramp(mut console: Console, net: Net, leds: Leds) -> Outcome {
    let (mut socket, file) = every_value(&mut console, &net, &leds).await?;
    let meter = GammaMeter::new(&file);
    let mut samples = Vec::new();
    let mut from = 100;
    for (to, length_ms) in [(300, 400), (150, 300), (220, 200)] {
        let length = Duration::from_millis(length_ms.into());
        let message = request::gamma(to, length_ms);
        let (asked, answered, course) =
            course(&mut socket, &leds, &message, length, |shown| meter.exponent_of(shown)).await?;
        let ramp = Ramp { from: from.into(), to: to.into(), length, step: 1.0, asked, answered };
        samples.extend(course.iter().map(|&(at, setting)| ramp.deviation(at, setting)));
        from = to;
    }
    let mut findings = Findings::new();
    findings.measured("K1-CTL-008", Distribution::new(Unit::Milliseconds, samples)?);
    Ok(findings)
}

/// Much longer ramps than there are, one of each kind.
async fn longest_ramp(mut console: Console, net: Net, leds: Leds) -> Outcome {
    let (mut socket, file) = every_value(&mut console, &net, &leds).await?;
    let meter = GammaMeter::new(&file);
    let mut findings = Findings::new();
    let mut lengths = Vec::new();
    let (_, _, dimming) = course(&mut socket, &leds, &request::brightness(0, u16::MAX), LONGEST, |shown| {
        brightness_of(&file, shown)
    })
    .await?;
    // So long a silence has ended the connection (K1-NET-006).
    let mut socket = kit::open(&net, Profile::F).await?;
    obeyed(&mut socket, "BRIGHTNESS", &request::brightness(255, 0)).await?;
    let (_, _, bending) =
        course(&mut socket, &leds, &request::gamma(300, 10_000), LONGEST, |shown| meter.exponent_of(shown))
            .await?;
    for (what, course, from, to) in [("BRIGHTNESS", dimming, 255.0, 0.0), ("GAMMA", bending, 100.0, 300.0)] {
        match length_of(&course, from, to) {
            Some(length) => lengths.push(length),
            None => {
                let seen = format!("a {what} with a duration above 5000 ms made no ramp");
                findings.observed("K1-CTL-010", false, seen);
            }
        }
        let last = course.last().map_or(f64::NAN, |&(_, setting)| setting);
        if (last - to).abs() > 1.0 {
            let seen = format!("a {what} to {to} was at {last:.0} after 5 s and {AFTERWARDS:?}");
            findings.observed("K1-CTL-010", false, seen);
        }
    }
    if !lengths.is_empty() {
        findings.measured("K1-CTL-010", Distribution::new(Unit::Milliseconds, lengths)?);
    }
    Ok(findings)
}

/// The milliseconds of a ramp by the straight line that fits it best. Its ends, where rounding may
/// begin or end it early, are left out; what happens there K1-CTL-006 and K1-CTL-008 judge.
fn length_of(course: &Course, from: f64, to: f64) -> Option<f64> {
    let way = |setting: f64| (setting - from) / (to - from);
    let points: Vec<(f64, f64)> = course
        .iter()
        .map(|&(at, setting)| (at.as_nanos() as f64 / 1e6, way(setting)))
        .filter(|(_, way)| (0.05..=0.95).contains(way))
        .collect();
    let count = points.len() as f64;
    let (mean_time, mean_way) = points
        .iter()
        .fold((0.0, 0.0), |(times, ways), (time, way)| (times + time / count, ways + way / count));
    let (mut joint, mut spread) = (0.0, 0.0);
    for (time, way) in &points {
        joint += (time - mean_time) * (way - mean_way);
        spread += (time - mean_time).powi(2);
    }
    let length = spread / joint;
    (points.len() > 2 && length.is_finite() && length > 0.0).then_some(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: f64) -> Instant {
        Instant::from_nanos((millis * 1e6) as u64)
    }

    fn ramp() -> Ramp {
        let (asked, answered) = (at(1000.0), at(1004.0));
        Ramp { from: 255.0, to: 0.0, length: Duration::from_millis(510), step: 0.5, asked, answered }
    }

    #[test]
    fn on_the_line_is_on_time_wherever_the_request_was_taken() {
        let ramp = ramp();
        for taken in [1000.0, 1002.0, 1004.0] {
            for step in 0..=255 {
                assert!(ramp.deviation(at(taken + 2.0 * f64::from(step)), 255.0 - f64::from(step)) < 1e-6);
            }
        }
        assert_eq!(ramp.deviation(at(900.0), 255.0), 0.0);
        assert_eq!(ramp.deviation(at(1800.0), 0.0), 0.0);
    }

    #[test]
    fn early_and_late_are_told_in_milliseconds() {
        let ramp = ramp();
        for (time, setting, expected) in [
            // Half way is due 255 ms after the request.
            (1300.0, 127.5, 41.0),
            (1200.0, 127.5, 55.0),
            // Not begun, and arrived too early.
            (1100.0, 255.0, 96.0),
            (1010.0, 0.0, 500.0),
            // Still not there.
            (1614.0, 5.0, 110.0),
        ] {
            let off = ramp.deviation(at(time), setting);
            assert!((off - expected).abs() < 1e-6, "{time} {setting}: {off}");
        }
    }

    #[test]
    fn the_length_is_that_of_the_line_though_it_comes_in_steps() {
        let course: Course = (0..700)
            .map(|frame| {
                let time = f64::from(frame) * 8.333;
                (at(time), (255.0 * (1.0 - time / 5000.0)).max(0.0).round())
            })
            .collect();
        let length = length_of(&course, 255.0, 0.0).expect("a ramp");
        assert!((length - 5000.0).abs() < 3.0, "{length}");
        assert_eq!(length_of(&vec![(at(0.0), 0.0); 100], 255.0, 0.0), None);
    }
}
