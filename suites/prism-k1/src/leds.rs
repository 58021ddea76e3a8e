//! Cases of group K1-LED, and those of K1-TSK that look at the same lanes: what the two data pins
//! do. [`steady`] watches a device that is left alone, [`load`] one that has other work, [`overrun`]
//! one that misses its deadline, [`wireless`] one that is busy on the air.

mod content;
mod load;
mod measure;
mod overrun;
mod steady;
mod wireless;

use std::time::Duration;

use rigor_core::Instant;
use rigor_core::verdict::{Blame, Inconclusive, ProductError};
use rigor_runner::need::{Console, Leds, Net};
use rigor_runner::{Findings, Suite};

use crate::tlv::Profile;
use crate::{kit, pattern};
use measure::{Evidence, Interval};
pub(crate) use measure::{LOGGED_WITHIN, overrun};

pub(crate) fn add_to(suite: &mut Suite) {
    steady::add_to(suite);
    load::add_to(suite);
    overrun::add_to(suite);
    wireless::add_to(suite);
}

/// The pattern that plays: a third of a second, so that every frame comes round many times.
const PLAYED_FRAMES: usize = 40;
const PLAYED_SERIES: u8 = 2;

/// An uploaded pattern is on the strip within this long after its STATUS (our bound).
const SHOWN_WITHIN: Duration = Duration::from_secs(2);

/// Waits until the device has settled and plays a pattern; when the first frame of it appeared.
///
/// One lane suffices: what the other one lacks is for the case to find.
async fn play(console: &mut Console, leds: &Leds, net: &Net) -> Result<Instant, Blame> {
    kit::settled(console).await?;
    let file = pattern::numbered(PLAYED_SERIES, PLAYED_FRAMES);
    let stored = kit::upload_once(net, Profile::N, "", &file).await?.acknowledged;
    loop {
        let recording = leds.record(Duration::from_millis(50)).await?;
        let lit = recording.frames().filter(|frame| frame.body.bytes.iter().any(|&byte| byte != 0));
        if let Some(first) = lit.map(|frame| frame.start).min() {
            return Ok(first);
        }
        if recording.until.since(stored) > SHOWN_WITHIN {
            let dark = format!("the strip was still black {SHOWN_WITHIN:?} after the STATUS of a pattern");
            return Err(ProductError(dark).into());
        }
    }
}

/// Reports on `id` lane by lane, so that no lane can make up for the other: the worst one decides.
fn measured_lanes(
    findings: &mut Findings,
    id: &str,
    evidence: &Evidence,
    counted: impl Fn(Vec<Interval>) -> Vec<Interval>,
) -> Result<(), Blame> {
    for lane in evidence.intervals() {
        match evidence.times(counted(lane).into_iter().map(Interval::nanos))? {
            Some(samples) => findings.measured(id, samples),
            None => findings.unclear(id, Inconclusive("an overrun was logged for every interval".to_owned())),
        };
    }
    Ok(())
}
