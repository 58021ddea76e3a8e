//! What a boot does before it says anything: seen in allocations, in the flash, in tasks' starts.

use std::time::Duration;

use rigor_core::Instant;
use rigor_core::distribution::Distribution;
use rigor_core::unit::Unit;
use rigor_core::verdict::{Inconclusive, RigError};
use rigor_decode::console::Line;
use rigor_runner::need::{Console, Flash, Heap, Power, Tasks};
use rigor_runner::{Findings, Outcome, Suite};

use crate::kit;

pub(super) fn add_to(suite: &mut Suite) {
    suite.case("first_allocation", &["K1-MEM-011"], first_allocation);
    suite.case("silent_steps", &["K1-SYS-014"], silent_steps);
}

/// The pools' memory (specification, section 8): 8 x 4096 + 16 x 1024 + 32 x 256 bytes.
const POOL_BYTES: u64 = 57_344;
/// Their blocks: size and number.
const POOL_BLOCKS: [(u64, usize); 3] = [(4096, 8), (1024, 16), (256, 32)];
/// What an allocation of all pools in one may have more, to align them (our bound).
const ALIGNMENT: u64 = 64;

/// Where the nvs partition lies (seed, section 2).
const NVS: std::ops::Range<u32> = 0x9000..0xF000;

/// How many allocations come before the pools' memory is whole and are none of it; `None` if it
/// never is.
fn before_the_pools(sizes: &[u64]) -> Option<usize> {
    let (mut missing, mut others) = (POOL_BLOCKS, 0);
    for &bytes in sizes {
        if missing == POOL_BLOCKS && (POOL_BYTES..=POOL_BYTES + ALIGNMENT).contains(&bytes) {
            return Some(others);
        }
        match missing.iter_mut().find(|(size, count)| *size == bytes && *count > 0) {
            Some((_, count)) => *count -= 1,
            None => others += 1,
        }
        if missing.iter().all(|(_, count)| *count == 0) {
            return Some(others);
        }
    }
    None
}

/// From the rig's record of allocations, at a first boot and at a later one.
async fn first_allocation(mut console: Console, heap: Heap, power: Power) -> Outcome {
    let mut others = Vec::new();
    let mut from = Instant::ZERO;
    let mut findings = Findings::new();
    for boot in 1..=2 {
        let started = kit::started(&mut console).await?;
        let record = heap.first_allocations(from, started);
        let sizes: Vec<u64> = record.iter().map(|(_, bytes)| *bytes).collect();
        if sizes.is_empty() {
            return Err(RigError("the record of allocations is empty".to_owned()).into());
        }
        match before_the_pools(&sizes) {
            Some(count) => others.push(count as f64),
            None => {
                let seen = format!("boot {boot}: no {POOL_BYTES} bytes of pools among the first allocations");
                findings.observed("K1-MEM-011", false, seen);
            }
        }
        from = started;
        power.cycle(Duration::from_millis(500)).await?;
    }
    if !others.is_empty() {
        findings.measured("K1-MEM-011", Distribution::new(Unit::Count, others)?);
    }
    Ok(findings)
}

/// The first boot of a blank device: it is the one at which the settings are written, whatever is
/// in them.
async fn silent_steps(mut console: Console, heap: Heap, flash: Flash, tasks: Tasks) -> Outcome {
    let started = kit::started(&mut console).await?;
    let lines = console.seen();
    let mut findings = Findings::new();
    // In the order of the seed's section 8, what the rig itself has seen.
    let pools = heap.first_allocations(Instant::ZERO, started).first().map(|(at, _)| *at);
    let settings = flash
        .busy(Instant::ZERO, started)
        .into_iter()
        .find(|(_, busy)| NVS.contains(&busy.address))
        .map(|(at, _)| at);
    let monitor =
        tasks.started(Instant::ZERO, started).into_iter().find(|task| task.name.contains("heap_monitor"));
    let seen = [("pools", pools), ("NVS", settings), ("heap monitor", monitor.map(|task| task.at))];
    let known: Vec<(&str, Instant)> = seen.iter().filter_map(|(step, at)| Some((*step, (*at)?))).collect();
    for pair in known.windows(2) {
        if pair[0].1 > pair[1].1 {
            let wrong = format!("{} at {} before {} at {}", pair[1].0, pair[1].1, pair[0].0, pair[0].1);
            findings.observed("K1-SYS-014", false, wrong);
        }
    }
    // And what only the device can tell.
    let told = [("NVS", "nvs"), ("TCP/IP", "tcp/ip"), ("event loop", "event loop")]
        .map(|(step, word)| (step, position(lines, |message| message.to_lowercase().contains(word))));
    let bounds = [
        ("memory pools", position(lines, |message| message.contains("pools initialized"))),
        ("heap monitor", position(lines, |message| message.contains("heap monitor"))),
    ];
    let order: Vec<(&str, Option<usize>)> = [bounds[0], told[0], told[1], told[2], bounds[1]].to_vec();
    let spoken: Vec<(&str, usize)> = order.iter().filter_map(|(step, at)| Some((*step, (*at)?))).collect();
    for pair in spoken.windows(2) {
        if pair[0].1 > pair[1].1 {
            let wrong = format!("the log has {} before {}", pair[1].0, pair[0].0);
            findings.observed("K1-SYS-014", false, wrong);
        }
    }
    let silent: Vec<&str> = told[1..].iter().filter(|(_, at)| at.is_none()).map(|(step, _)| *step).collect();
    if !silent.is_empty() {
        let reason = format!("nothing shows when {} started: the log is silent", silent.join(" and "));
        findings.unclear("K1-SYS-014", Inconclusive(reason));
    } else if known.len() < seen.len() {
        let reason = "the rig did not see pools, NVS and heap monitor start".to_owned();
        findings.unclear("K1-SYS-014", Inconclusive(reason));
    } else {
        let times: Vec<String> = known.iter().map(|(step, at)| format!("{step} at {at}")).collect();
        findings.observed("K1-SYS-014", true, times.join(", "));
    }
    Ok(findings)
}

fn position(lines: &[Line], is: impl Fn(&str) -> bool) -> Option<usize> {
    lines.iter().position(|line| line.log().is_some_and(|log| is(log.message)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pools_may_be_one_block_or_many_and_nothing_may_come_before() {
        let mut blocks = vec![4096; 8];
        blocks.extend([1024; 16]);
        blocks.extend([256; 32]);
        assert_eq!(before_the_pools(&blocks), Some(0));
        assert_eq!(before_the_pools(&[57_344, 7]), Some(0));
        assert_eq!(before_the_pools(&[57_360]), Some(0));
        assert_eq!(before_the_pools(&[40, 57_344]), Some(1));
        let log_first: Vec<u64> = std::iter::once(8192).chain(blocks.clone()).collect();
        assert_ne!(before_the_pools(&log_first), Some(0));
        blocks.insert(1, 128);
        assert_eq!(before_the_pools(&blocks), Some(1));
        assert_eq!(before_the_pools(&blocks[..50]), None);
    }
}
