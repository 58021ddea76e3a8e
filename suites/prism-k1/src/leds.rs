//! Cases of group K1-LED: what the two data pins do.

use std::time::Duration;

use rigor_core::distribution::Distribution;
use rigor_runner::need::{Console, Leds};
use rigor_runner::{Findings, Outcome, Suite};

use crate::kit;

pub(crate) fn add_to(suite: &mut Suite) {
    suite.case("frame_period", &["K1-LED-002"], frame_period);
}

/// Ten seconds of playback after the start.
async fn frame_period(mut console: Console, leds: Leds) -> Outcome {
    kit::started(&mut console).await?;
    let recording = leds.record(Duration::from_secs(10)).await?;
    let mut findings = Findings::new();
    findings.measured("K1-LED-002", Distribution::of_durations(recording.periods())?);
    Ok(findings)
}
