//! Cases of group K1-MEM, and of the K1-SYS requirements that are about the heap.
//!
//! The console is the device's own word. Where the rig keeps accounts of the heap, what the device
//! says is held against them.

mod pressure;

use std::time::Duration;

use rigor_core::Instant;
use rigor_core::budget;
use rigor_core::distribution::Distribution;
use rigor_core::unit::Unit;
use rigor_core::verdict::{Blame, Inconclusive, ProductError, RigError};
use rigor_decode::console::Line;
use rigor_runner::need::{Bench, Clock, Console, Device, Heap, Net};
use rigor_runner::{Findings, Need, Outcome, Suite};

use crate::report::{self, Report, number_after};
use crate::tlv::{Profile, request};
use crate::{kit, pattern};

pub(crate) fn add_to(suite: &mut Suite) {
    suite.case("reports", &["K1-SYS-003", "K1-SYS-010", "K1-SYS-024", "K1-MEM-006"], reports);
    suite.case("heap_in_uploads", &["K1-SYS-004", "K1-SYS-011", "K1-SYS-012"], heap_in_uploads);
    suite.case("heap_used", &["K1-SYS-005"], heap_used);
    suite.case("pools", &["K1-MEM-001", "K1-MEM-002"], pools);
    suite.case("boot_heap", &["K1-MEM-005"], boot_heap);
    suite.case("pools_in_use", &["K1-MEM-004", "K1-MEM-010"], pools_in_use);
    pressure::add_to(suite);
}

/// A report that is this late does not come (our bound; the seed wants one every 30 s).
const REPORT_LIMIT: Duration = Duration::from_secs(40);
/// Reports come this far apart (seed, section 7).
const REPORT_EVERY: Duration = Duration::from_secs(30);
/// Reports that a case waits for: the first, and two intervals.
const REPORTS: usize = 3;
/// What the device says of its free heap may differ from what the rig saw up to a second apart by
/// this many bytes: a client's buffers come and go meanwhile (our bound).
const FREE_TOLERANCE: u64 = 16 * 1024;

/// From here to there clients keep the device busy, so that the first report falls between.
const BUSY_FROM: Duration = Duration::from_secs(26);
const BUSY_UNTIL: Duration = Duration::from_secs(31);

/// Two clients, a pattern of the largest size in both profiles, a listing: what takes memory.
async fn work(net: &Net) -> Result<(), Blame> {
    for (series, profile) in (1..).zip(Profile::ALL) {
        let mut other = kit::open(net, Profile::F).await?;
        kit::upload_once(net, profile, "heap", &pattern::file(series, pattern::MAX_FILE_BYTES)).await?;
        // It may have been closed by now, for five seconds of silence.
        other.tcp.reset()?;
        other = kit::open(net, Profile::F).await?;
        other.send_binary(&request::list())?;
        let deadline = other.tcp.now() + kit::ANSWER_LIMIT;
        if !matches!(kit::answer(&mut other, deadline).await, (_, kit::Answer::Reply(_))) {
            return Err(ProductError("LIST was not answered".to_owned()).into());
        }
        other.tcp.finish()?;
    }
    Ok(())
}

/// What a heap bears in work that fails says nothing of work that is done.
fn worked(work: Result<(), Blame>) -> Result<(), Blame> {
    work.map_err(|blame| match blame {
        Blame::Product(error) => Inconclusive(format!("the work for the heap was not done: {error}")).into(),
        other => other,
    })
}

/// A minute and a half; between the first report and the second the device has work to do.
async fn reports(mut console: Console, net: Net, clock: Clock, device: Device, bench: Bench) -> Outcome {
    let first = report::next(&mut console, REPORT_LIMIT).await?;
    let mut reports = vec![first];
    // Whether uploads work is for other cases to say.
    match work(&net).await {
        Ok(()) | Err(Blame::Product(_)) => {}
        Err(other) => return Err(other),
    }
    while reports.len() < REPORTS {
        reports.push(report::next(&mut console, REPORT_LIMIT).await?);
    }
    let mut findings = Findings::new();

    let started = device.events_since(Instant::ZERO).first().map_or(Instant::ZERO, |(at, _)| *at);
    let starts: Vec<Instant> =
        std::iter::once(started).chain(reports.iter().map(|report| report.start)).collect();
    let intervals = starts.windows(2).map(|pair| pair[1].since(pair[0]));
    findings.measured("K1-SYS-003", Distribution::of_durations(intervals)?);

    log_time(&reports, &mut findings)?;

    let missing = reports.iter().map(|report| report.missing() as f64);
    findings.measured("K1-SYS-010", Distribution::new(Unit::Count, missing)?);

    let wrong = reports.iter().enumerate().map(|(index, report)| {
        let earlier = reports[..index].iter().filter_map(|report| report.minimum_free).min();
        !minimum_is_right(report, earlier)
    });
    findings.measured(
        "K1-MEM-006",
        Distribution::new(Unit::Count, wrong.map(|wrong| f64::from(u8::from(wrong))))?,
    );

    // Only a virtual board keeps accounts that the device's word can be held against.
    if let Ok(heap) = Heap::take(&bench) {
        let samples = heap.free(Instant::ZERO, clock.now());
        for report in &reports {
            if let Some(lie) = free_heap_lie(report, &samples) {
                findings.observed("K1-SYS-010", false, lie);
            }
            if let Some(lie) = minimum_lie(report, &samples) {
                findings.observed("K1-MEM-006", false, lie);
            }
        }
    }
    Ok(findings)
}

/// How the device's own time stamps advance with the rig's clock.
fn log_time(reports: &[Report], findings: &mut Findings) -> Result<(), Blame> {
    let advances: Option<Vec<f64>> = reports
        .windows(2)
        .map(|pair| {
            let stamped = Duration::from_millis(pair[1].stamp?.saturating_sub(pair[0].stamp?));
            Some(100.0 * stamped.as_secs_f64() / pair[1].start.since(pair[0].start).as_secs_f64())
        })
        .collect();
    match advances {
        Some(advances) => findings.measured("K1-SYS-024", Distribution::new(Unit::Percent, advances)?),
        None => findings.observed("K1-SYS-024", false, "a report's first line has no time stamp"),
    };
    Ok(())
}

/// The minimum is there, has not risen and is not above what is free.
fn minimum_is_right(report: &Report, earlier: Option<u64>) -> bool {
    let Some((minimum, free)) = report.minimum_free.zip(report.free) else { return false };
    minimum <= free && earlier.is_none_or(|earlier| minimum <= earlier)
}

/// In what the report's free heap contradicts the rig's samples around it.
fn free_heap_lie(report: &Report, samples: &[(Instant, u64)]) -> Option<String> {
    let told = report.free?;
    let near = |at: Instant| {
        at + Duration::from_secs(2) > report.start && at < report.start + Duration::from_secs(2)
    };
    let around: Vec<u64> = samples.iter().filter(|(at, _)| near(*at)).map(|(_, free)| *free).collect();
    let (lowest, highest) = (*around.iter().min()?, *around.iter().max()?);
    let plausible = lowest.saturating_sub(FREE_TOLERANCE)..=highest + FREE_TOLERANCE;
    (!plausible.contains(&told)).then(|| {
        format!("the report at {} says {told} bytes free, the rig saw {lowest} to {highest}", report.start)
    })
}

/// What was free at any moment is no less than the true minimum.
fn minimum_lie(report: &Report, samples: &[(Instant, u64)]) -> Option<String> {
    let told = report.minimum_free?;
    let lowest = samples.iter().filter(|(at, _)| *at <= report.start).map(|(_, free)| *free).min()?;
    (told > lowest).then(|| {
        format!(
            "the report at {} says that never less than {told} bytes were free, the rig saw {lowest}",
            report.start
        )
    })
}

/// From the boot on; while the first report is due, the device has all the work that clients can
/// give it. Its own figures are joined by the rig's, where the rig keeps accounts.
async fn heap_in_uploads(mut console: Console, net: Net, clock: Clock, bench: Bench) -> Outcome {
    kit::settled(&mut console).await?;
    clock.sleep_until(Instant::ZERO + BUSY_FROM).await;
    let mut undone = None;
    while clock.now() < Instant::ZERO + BUSY_UNTIL && undone.is_none() {
        undone = match worked(work(&net).await) {
            Err(Blame::Inconclusive(reason)) => Some(reason),
            other => other.map(|()| None)?,
        };
    }
    let mut figures = Figures::default();
    figures.report(report::next(&mut console, REPORT_LIMIT).await?);
    figures.alarms(console.seen());
    if let Ok(heap) = Heap::take(&bench) {
        figures.accounts(&heap.free(Instant::ZERO, clock.now()), &heap.largest(Instant::ZERO, clock.now()));
    }
    let mut findings = Findings::new();
    for (id, unit, figures) in [
        ("K1-SYS-004", Unit::Bytes, figures.free),
        ("K1-SYS-011", Unit::Bytes, figures.largest_block),
        ("K1-SYS-012", Unit::Percent, figures.fragmentation),
    ] {
        if figures.is_empty() {
            findings.observed(id, false, "nobody gave the figure");
            continue;
        }
        let figures = Distribution::new(unit, figures.into_iter().map(|figure| figure as f64))?;
        // What is too little without the work is too little; what suffices says nothing.
        match &undone {
            Some(reason) if kit::budget(id)?.judge(&figures)?.finding == budget::Finding::Pass => {
                findings.unclear(id, reason.clone())
            }
            _ => findings.measured(id, figures),
        };
    }
    Ok(findings)
}

/// Every figure of the heap, whoever gave it.
#[derive(Default)]
struct Figures {
    free: Vec<u64>,
    largest_block: Vec<u64>,
    fragmentation: Vec<u64>,
}

impl Figures {
    fn report(&mut self, report: Report) {
        self.free.extend(report.free.into_iter().chain(report.minimum_free));
        self.largest_block.extend(report.largest_block);
        self.fragmentation.extend(report.fragmentation);
        for (free, fragmentation) in report.trend {
            self.free.push(free);
            self.fragmentation.push(fragmentation);
        }
    }

    fn alarms(&mut self, lines: &[Line]) {
        let alarms = report::alarms(lines);
        self.free.extend(alarms.free);
        self.largest_block.extend(alarms.largest_block);
        self.fragmentation.extend(alarms.fragmentation);
    }

    /// Samples of free bytes and of the largest block at the same instants.
    fn accounts(&mut self, free: &[(Instant, u64)], largest: &[(Instant, u64)]) {
        for ((_, free), (_, largest)) in free.iter().zip(largest) {
            self.free.push(*free);
            self.largest_block.push(*largest);
            self.fragmentation
                .push(100_u64.saturating_sub((largest * 100).checked_div(*free).unwrap_or(100)));
        }
    }
}

/// From the rig's accounts: what is missing of the whole heap.
async fn heap_used(mut console: Console, net: Net, clock: Clock, heap: Heap) -> Outcome {
    kit::settled(&mut console).await?;
    worked(work(&net).await)?;
    let samples = heap.free(Instant::ZERO, clock.now());
    let whole = whole_heap(&samples)?;
    let mut findings = Findings::new();
    let used = samples.iter().map(|(_, free)| whole.saturating_sub(*free) as f64);
    findings.measured("K1-SYS-005", Distribution::new(Unit::Bytes, used)?);
    Ok(findings)
}

/// The first sample is taken before the firmware's first instruction.
fn whole_heap(samples: &[(Instant, u64)]) -> Result<u64, Blame> {
    match samples.first() {
        Some((_, whole)) => Ok(*whole),
        None => Err(RigError("the heap gauge has no samples".to_owned()).into()),
    }
}

/// Bytes of a block and number of blocks of each pool (seed, section 7; specification, section 8).
const POOLS: [(&str, u64, u64); 3] = [("4K", 4096, 8), ("1K", 1024, 16), ("256B", 256, 32)];

/// What the boot log says of the pools. Nobody has a block yet: a pool with fewer blocks than it
/// claims shows here.
async fn pools(mut console: Console) -> Outcome {
    kit::started(&mut console).await?;
    let told: Vec<String> = console
        .seen()
        .iter()
        .filter_map(Line::log)
        .filter(|log| log.tag == "POOL" || log.tag == "memory_pool")
        .map(|log| log.message.to_owned())
        .collect();
    let blocks = |name: &str| {
        let (_, free, all) = told.iter().filter_map(|line| report::pool(line)).find(|pool| pool.0 == name)?;
        (free == all).then_some(all)
    };
    let wrong = POOLS.map(|(name, _, expected)| f64::from(u8::from(blocks(name) != Some(expected))));
    let mut findings = Findings::new();
    findings.measured("K1-MEM-001", Distribution::new(Unit::Count, wrong)?);

    let figure = |before: &str| told.iter().find_map(|line| number_after(line, before));
    let sum = POOLS.iter().map(|(name, bytes, _)| Some(bytes * blocks(name)?)).sum::<Option<u64>>();
    let totals = [figure("Allocating"), figure("Total pool memory:").map(|kib| kib * 1024), sum];
    if totals.iter().all(Option::is_some) {
        let totals = totals.into_iter().flatten().map(|bytes| bytes as f64);
        findings.measured("K1-MEM-002", Distribution::new(Unit::Bytes, totals)?);
    } else {
        findings.observed(
            "K1-MEM-002",
            false,
            format!("the pools' lines lack a figure: {}", told.join(" | ")),
        );
    }
    Ok(findings)
}

/// How long before a report is due its clients connect: late enough that they are not idle by then.
const CONNECTED_BEFORE: Duration = Duration::from_secs(2);
/// How many there are, report by report. First the device has worked for others, who have left.
const CONNECTED: [u64; 4] = [0, 1, 2, 0];

/// The pools in reports that find no client, one, two, and none again.
async fn pools_in_use(mut console: Console, net: Net, clock: Clock) -> Outcome {
    let mut last = report::next(&mut console, REPORT_LIMIT).await?.start;
    worked(work(&net).await)?;
    let (mut at_rest, mut of_a_client) = (Vec::new(), Vec::new());
    let mut findings = Findings::new();
    for count in CONNECTED {
        clock.sleep_until(last + REPORT_EVERY - CONNECTED_BEFORE).await;
        let mut clients = Vec::new();
        for _ in 0..count {
            clients.push(kit::open(&net, Profile::F).await?);
        }
        let report = report::next(&mut console, REPORT_LIMIT).await?;
        last = report.start;
        for client in clients {
            client.tcp.finish()?;
        }
        match (count, report.pool_blocks_in_use(None), report.pool_blocks_in_use(Some("4K"))) {
            (0, Some(all), _) => at_rest.push(all as f64),
            (_, Some(_), Some(blocks)) => of_a_client.push(blocks as f64 / count as f64),
            _ => {
                let seen = format!("the report at {last} does not give the pools");
                findings.observed("K1-MEM-004", false, &seen).observed("K1-MEM-010", false, &seen);
            }
        }
    }
    for (id, samples) in [("K1-MEM-004", at_rest), ("K1-MEM-010", of_a_client)] {
        if !samples.is_empty() {
            findings.measured(id, Distribution::new(Unit::Count, samples)?);
        }
    }
    Ok(findings)
}

/// The free heap that the boot log tells lies between what the rig saw free before the firmware's
/// first instruction and after the boot.
async fn boot_heap(mut console: Console, clock: Clock, heap: Heap) -> Outcome {
    kit::started(&mut console).await?;
    // The next sample of the gauge is after the boot.
    clock.sleep(Duration::from_secs(1)).await;
    let samples = heap.free(Instant::ZERO, clock.now() + Duration::from_nanos(1));
    let whole = whole_heap(&samples)?;
    let left = samples.last().map_or(0, |(_, free)| *free);
    let mut findings = Findings::new();
    let told = console.seen().iter().filter_map(Line::log).find_map(|log| {
        log.message.starts_with("Free heap: ").then(|| number_after(log.message, "Free heap:")).flatten()
    });
    match told {
        None => findings.observed("K1-MEM-005", false, "the boot log gives no free heap"),
        Some(told) if (left..=whole).contains(&told) => {
            findings.measured("K1-MEM-005", Distribution::new(Unit::Bytes, [told as f64])?)
        }
        Some(told) => findings.observed(
            "K1-MEM-005",
            false,
            format!(
                "the boot log says {told} bytes free; the rig saw {whole} before and {left} after the boot"
            ),
        ),
    };
    Ok(findings)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(free: u64, minimum_free: u64) -> Report {
        Report {
            stamp: None,
            start: Instant::ZERO + Duration::from_secs(30),
            free: Some(free),
            minimum_free: Some(minimum_free),
            largest_block: None,
            fragmentation: None,
            trend: Vec::new(),
            pools: Vec::new(),
        }
    }

    #[test]
    fn a_minimum_may_neither_rise_nor_exceed_what_is_free() {
        assert!(minimum_is_right(&report(10, 5), None) && minimum_is_right(&report(10, 5), Some(5)));
        assert!(!minimum_is_right(&report(10, 5), Some(4)) && !minimum_is_right(&report(4, 5), None));
        assert!(!minimum_is_right(&Report { minimum_free: None, ..report(10, 5) }, None));
    }

    #[test]
    fn the_device_s_word_is_held_against_the_rig_s_accounts() {
        let at = |second| Instant::ZERO + Duration::from_secs(second);
        let samples = [(at(1), 100_000), (at(29), 200_000), (at(31), 210_000), (at(40), 1)];
        assert_eq!(minimum_lie(&report(200_000, 100_000), &samples), None);
        assert!(minimum_lie(&report(200_000, 100_001), &samples).is_some());
        assert_eq!(free_heap_lie(&report(205_000, 0), &samples), None);
        assert!(free_heap_lie(&report(100_000, 0), &samples).is_some());
    }
}
