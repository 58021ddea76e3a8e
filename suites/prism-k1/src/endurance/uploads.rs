//! Many uploads: what they leave in the heap, and how they wear the flash chip.

use std::collections::BTreeMap;
use std::time::Duration;

use rigor_core::distribution::Distribution;
use rigor_core::event::FlashOperation;
use rigor_core::unit::Unit;
use rigor_core::verdict::{HarnessError, Inconclusive};
use rigor_runner::case::Case;
use rigor_runner::need::{Clock, Console, Flash, Heap, Net};
use rigor_runner::{Findings, Outcome, Suite};

use super::trend::Trend;
use crate::kit::{self, LITTLEFS_ADDRESS, LITTLEFS_BLOCK_BYTES, LITTLEFS_BYTES};
use crate::pattern;
use crate::tlv::Profile;

pub(super) fn add_to(suite: &mut Suite) {
    suite.case("heap_over_uploads", &["K1-MEM-003"], heap_over_uploads);
    suite.add(Case::new("wear", &["K1-FLS-015"], wear).within(Duration::from_secs(3600)).long());
}

const UPLOADS: usize = 50;
/// Bytes of the patterns, in turn.
const SIZES: [usize; 3] = [960, 5000, 20_000];
/// Uploads after which profile and size come round.
const CYCLE: usize = 2 * SIZES.len();
/// The device is at rest by then, and the gauges have seen it.
const AT_REST_AFTER: Duration = Duration::from_millis(2500);

/// The heap after each upload, in both profiles in turn, until 50 lie between those that are compared.
async fn heap_over_uploads(mut console: Console, net: Net, clock: Clock, heap: Heap) -> Outcome {
    kit::settled(&mut console).await?;
    let mut trend = Trend::default();
    // The last round is compared with the first one, like with like.
    for number in 0..(UPLOADS + CYCLE).next_multiple_of(CYCLE) {
        let (profile, size) = (Profile::ALL[number % 2], SIZES[number / 2 % SIZES.len()]);
        kit::upload_once(&net, profile, "rest", &pattern::file((number % 7) as u8, size)).await?;
        clock.sleep(AT_REST_AFTER).await;
        trend.sample(&heap, clock.now())?;
    }
    let mut findings = Findings::new();
    match trend.loss(CYCLE) {
        Some(loss) => findings.measured("K1-MEM-003", loss?),
        None => return Err(HarnessError("50 uploads are less than two rounds".to_owned()).into()),
    };
    Ok(findings)
}

const MANY_UPLOADS: usize = 1000;
/// Two blocks.
const SMALL: usize = 7000;

/// Where 1000 uploads over each other erase. All blocks count, also those that nothing ever erased.
async fn wear(mut console: Console, net: Net, clock: Clock, flash: Flash) -> Outcome {
    kit::settled(&mut console).await?;
    let mut findings = Findings::new();
    if flash.busy_source().is_none() {
        let blind = "this rig does not see when the flash chip is busy".to_owned();
        findings.unclear("K1-FLS-015", Inconclusive(blind));
        return Ok(findings);
    }
    let begun = clock.now();
    for number in 0..MANY_UPLOADS {
        let profile = Profile::ALL[number % 2];
        kit::upload_once(&net, profile, "wear", &pattern::file((number % 7) as u8, SMALL)).await?;
    }
    // Asked once, at the end: an operation is known when it is over and dated when it began, so one
    // that is under way at a question belongs to no span before and to none after.
    clock.sleep(AT_REST_AFTER).await;
    let mut erases: BTreeMap<u32, u32> = BTreeMap::new();
    for (_, busy) in flash.busy(begun, clock.now()) {
        let storage = LITTLEFS_ADDRESS..LITTLEFS_ADDRESS + LITTLEFS_BYTES;
        if busy.operation == FlashOperation::Erase && storage.contains(&busy.address) {
            *erases.entry(busy.address / LITTLEFS_BLOCK_BYTES).or_default() += 1;
        }
    }
    let most = erases.values().copied().max().unwrap_or_default();
    let mean =
        f64::from(erases.values().sum::<u32>()) * f64::from(LITTLEFS_BLOCK_BYTES) / f64::from(LITTLEFS_BYTES);
    if mean > 0.0 {
        findings.measured("K1-FLS-015", Distribution::new(Unit::Count, [f64::from(most) / mean])?);
    } else {
        findings.observed("K1-FLS-015", false, format!("{MANY_UPLOADS} uploads erased nothing"));
    }
    Ok(findings)
}
