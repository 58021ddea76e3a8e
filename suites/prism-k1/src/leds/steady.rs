//! Cases on a device that is left alone with its pattern: from its first burst on, through the
//! provisioning of its templates, to a pattern that plays.

use std::time::Duration;

use rigor_core::Instant;
use rigor_core::distribution::Distribution;
use rigor_core::unit::Unit;
use rigor_runner::need::{Console, Leds, Net};
use rigor_runner::{Findings, Outcome, Suite};

use super::measure::{Evidence, Interval, MEASURES, overruns, unexcused};
use super::{PLAYED_FRAMES, PLAYED_SERIES, content, measured_lanes, play};

pub(super) fn add_to(suite: &mut Suite) {
    suite.case("burst_anatomy", &MEASURES.map(|measure| measure.id), burst_anatomy);
    suite.case(
        "cadence",
        &["K1-LED-002", "K1-LED-003", "K1-LED-015", "K1-LED-025", "K1-LED-028", "K1-LED-034"],
        cadence,
    );
    suite.case("picture", &["K1-LED-005", "K1-LED-006"], picture);
}

/// How long the pattern plays.
const PLAYING: Duration = Duration::from_secs(3);

/// Intervals in a sample of the frame rate: a quarter of a second.
const RATE_INTERVALS: usize = 30;

/// Every burst from the first one on, black ones and those of a pattern.
async fn burst_anatomy(mut console: Console, leds: Leds, net: Net) -> Outcome {
    play(&mut console, &leds, &net).await?;
    let until = leds.record(PLAYING).await?.until;
    let evidence = Evidence::of(leds.recorded(Instant::ZERO, until).await?)?;
    let mut findings = Findings::new();
    for measure in &MEASURES {
        match evidence.measure(measure)? {
            Some(samples) => findings.measured(measure.id, samples),
            None => findings.observed(measure.id, false, "no burst on the lanes has anything to measure"),
        };
    }
    Ok(findings)
}

/// When bursts begin.
async fn cadence(mut console: Console, leds: Leds, net: Net) -> Outcome {
    let lit = play(&mut console, &leds, &net).await?;
    let until = leds.record(PLAYING).await?.until;
    let life = Evidence::of(leds.recorded(Instant::ZERO, until).await?)?.since_first_burst();
    let playing = Evidence::of(leds.recorded(lit, until).await?)?;
    // The console may still owe the line that excuses the last interval.
    console.lines_for(Duration::from_millis(500)).await;
    let logged = overruns(console.seen());

    let mut findings = Findings::new();
    measured_lanes(&mut findings, "K1-LED-002", &playing, |lane| lane)?;
    measured_lanes(&mut findings, "K1-LED-003", &life, |lane| lane)?;
    measured_lanes(&mut findings, "K1-LED-015", &life, |lane| unexcused(lane, &logged))?;
    for (intervals, busy) in playing.intervals().iter().zip(playing.busy()) {
        let rates: Vec<f64> = intervals.chunks_exact(RATE_INTERVALS).map(rate).collect();
        let figures = [
            ("K1-LED-025", Unit::Hertz, rates.clone()),
            ("K1-LED-034", Unit::Hertz, rates),
            ("K1-LED-028", Unit::Percent, busy),
        ];
        for (id, unit, samples) in figures {
            if samples.is_empty() {
                findings.observed(id, false, "a lane carries too few bursts for the figure");
            } else {
                findings.measured(id, Distribution::new(unit, samples)?);
            }
        }
    }
    Ok(findings)
}

/// Bursts a second over some intervals.
fn rate(intervals: &[Interval]) -> f64 {
    let length: f64 = intervals.iter().map(|interval| interval.nanos()).sum();
    intervals.len() as f64 * 1e9 / length
}

/// Every byte of a pattern in which no two pixels are alike.
async fn picture(mut console: Console, leds: Leds, net: Net) -> Outcome {
    let lit = play(&mut console, &leds, &net).await?;
    let until = leds.record(PLAYING).await?.until;
    let playing = Evidence::of(leds.recorded(lit, until).await?)?;
    let differences = content::differences(&playing.frames, PLAYED_SERIES, PLAYED_FRAMES);
    let mut findings = Findings::new();
    findings
        .measured("K1-LED-005", Distribution::new(Unit::Count, differences.colours)?)
        .measured("K1-LED-006", Distribution::new(Unit::Pixels, differences.places)?);
    Ok(findings)
}
