//! The heap monitor: a look every second, a report every 30 s (seed section 7, specification
//! section 8).

use embassy_time::{Duration, Instant, Ticker, Timer};
use firmware_platform::{Cpu, HeapStatus, Machine, Tasks};
use portable_atomic_util::Arc;

use crate::cost;
use crate::defect::{self, Defect};
use crate::guarded::{Guarded, assert_shareable};
use crate::log::Log;
use crate::playback::Playback;
use crate::pool::Pools;

/// Time between two looks.
pub const PERIOD: Duration = Duration::from_secs(1);
/// Time between two reports; the first comes this long after the start (seed section 7).
pub const REPORT_PERIOD: Duration = Duration::from_secs(30);

/// Fewer free bytes than this are critical.
pub const FREE_CRITICAL: usize = 50_000;
/// Fewer free bytes than this deserve a warning.
pub const FREE_WARNING: usize = 75_000;
/// A largest free block of fewer bytes than this deserves a warning.
pub const LARGEST_WARNING: usize = 20_000;
/// This percentage of fragmentation deserves a warning.
pub const FRAGMENTATION_WARNING: usize = 30;
/// This percentage of fragmentation is critical.
pub const FRAGMENTATION_CRITICAL: usize = 50;
/// A task with fewer free bytes of stack than this deserves a warning.
pub const STACK_WARNING: usize = 512;

/// Looks that the report shows.
const HISTORY: usize = 10;
/// Tasks that the report shows at most.
const TASKS_MAX: usize = 10;
/// Microseconds that a look should stay below (specification section 8).
const LOOK_US_MAX: u64 = 1000;

/// From here on microseconds do not fit into 32 bits.
const WRAP: u64 = 1 << 32;

const TAG: &str = "HEAP_MON";

/// How much of the free heap lies outside the largest free block: `100 - 100 * largest / free`
/// percent, rounded as the specification's integer arithmetic does. 0 for a full heap.
#[must_use]
pub fn fragmentation(heap: &HeapStatus) -> usize {
    match heap.largest_free_block.saturating_mul(100).checked_div(heap.free) {
        Some(contiguous) => 100usize.saturating_sub(contiguous),
        None => 0,
    }
}

/// What may be wrong, each counted and logged when it begins.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
struct Alarms {
    low_memory_critical: bool,
    low_memory_warning: bool,
    largest_block_warning: bool,
    fragmentation_critical: bool,
    fragmentation_warning: bool,
    integrity: bool,
}

impl Alarms {
    fn of(heap: &HeapStatus) -> Self {
        let fragmentation = fragmentation(heap);
        Self {
            low_memory_critical: heap.free < FREE_CRITICAL
                && (heap.free < FREE_CRITICAL / 10 * 9 || !defect::present(Defect::LowMemoryLate)),
            low_memory_warning: (FREE_CRITICAL..FREE_WARNING).contains(&heap.free),
            largest_block_warning: heap.largest_free_block < LARGEST_WARNING,
            fragmentation_critical: fragmentation >= FRAGMENTATION_CRITICAL,
            fragmentation_warning: (FRAGMENTATION_WARNING..FRAGMENTATION_CRITICAL).contains(&fragmentation),
            // The allocator's figures must agree with each other.
            integrity: heap.free > heap.total
                || heap.largest_free_block > heap.free
                || heap.minimum_free > heap.free
                || heap.frees > heap.allocations,
        }
    }
}

#[derive(Default)]
struct Record {
    history: heapless::HistoryBuf<(usize, usize), HISTORY>,
    alarms: Alarms,
    failures_seen: u64,
    low_stacks: heapless::Vec<&'static str, TASKS_MAX>,
    fragmentation_warnings: u32,
    fragmentation_critical: u32,
    low_memory_warnings: u32,
    low_memory_critical: u32,
    integrity_failures: u32,
    looks: u64,
    look_us_total: u64,
    look_us_max: u64,
}

const _: () = assert_shareable::<Guarded<Record>>();

/// The monitor; clones share what it has seen.
#[derive(Clone)]
pub struct Monitor<M, T, C> {
    machine: M,
    tasks: T,
    cpu: C,
    pools: Pools,
    log: Log,
    /// Written by the heap monitor's task, read by the report's.
    record: Arc<Guarded<Record>>,
}

impl<M: Machine, T: Tasks, C: Cpu> Monitor<M, T, C> {
    /// A monitor that has seen nothing yet.
    pub fn new(machine: M, tasks: T, cpu: C, pools: Pools, log: Log) -> Self {
        Self { machine, tasks, cpu, pools, log, record: Arc::default() }
    }

    /// The heap monitor task's body: looks every second, for ever.
    pub async fn watch(self) {
        self.log.info(TAG, format_args!("Heap monitoring task started"));
        let slow = if defect::present(Defect::MonitorSlow) { 5 } else { 1 };
        let mut ticker = Ticker::every(PERIOD * slow);
        loop {
            ticker.next().await;
            let began = Instant::now();
            self.cpu.work(cost::MONITOR_CYCLE);
            self.look();
            self.suffer_from_time_wrapping(began);
            self.account(began.elapsed().as_micros());
        }
    }

    /// The report task's body: reports every 30 s since the start, for ever. The frames that
    /// `playback` sent are part of it (seed section 14).
    pub async fn report_periodically(self, playback: Playback) {
        let mut at = Instant::from_ticks(0);
        loop {
            // What was missed is not made up for.
            while at <= Instant::now() {
                at += if defect::present(Defect::ReportTooOften) { PERIOD * 25 } else { REPORT_PERIOD };
            }
            Timer::at(at).await;
            self.report(&playback);
        }
    }

    /// What time does to code that counts it in 32 bits; by a defect only, else nothing.
    fn suffer_from_time_wrapping(&self, now: Instant) {
        let micros = now.as_micros();
        if micros / WRAP == micros.saturating_sub(PERIOD.as_micros()) / WRAP {
            return;
        }
        if defect::present(Defect::TimeWrapsLogged) {
            self.log.error(TAG, format_args!("Time goes backwards"));
        }
        if defect::present(Defect::TimeWrapsRestarts) {
            self.machine.restart();
        }
    }

    fn look(&self) {
        let heap = self.machine.heap();
        let alarms = Alarms::of(&heap);
        let failures = heap.failures + u64::from(self.pools.status().failures);
        let percent = fragmentation(&heap);
        let (before, new_failures) = self.record.with(|record| {
            record.history.write((heap.free, percent));
            record.fragmentation_warnings += u32::from(alarms.fragmentation_warning);
            record.fragmentation_critical += u32::from(alarms.fragmentation_critical);
            record.low_memory_warnings +=
                u32::from(alarms.low_memory_warning || alarms.largest_block_warning);
            record.low_memory_critical += u32::from(alarms.low_memory_critical);
            record.integrity_failures += u32::from(alarms.integrity);
            let new_failures = failures > record.failures_seen;
            record.failures_seen = failures;
            (core::mem::replace(&mut record.alarms, alarms), new_failures)
        });
        // Only what begins is logged: once a second for as long as it lasts would bury the rest.
        let log = &self.log;
        if alarms.low_memory_critical && !before.low_memory_critical {
            log.error(TAG, format_args!("CRITICAL: Free heap {} < {FREE_CRITICAL} bytes", heap.free));
        }
        if alarms.low_memory_warning && !before.low_memory_warning {
            log.warning(TAG, format_args!("WARNING: Free heap {} < {FREE_WARNING} bytes", heap.free));
        }
        if alarms.largest_block_warning && !before.largest_block_warning {
            let largest = heap.largest_free_block;
            log.warning(TAG, format_args!("WARNING: Largest block {largest} < {LARGEST_WARNING} bytes"));
        }
        let told = || !defect::present(Defect::FragmentationUnwarned);
        if alarms.fragmentation_critical && !before.fragmentation_critical && told() {
            log.error(TAG, format_args!("CRITICAL: Fragmentation {percent}% >= {FRAGMENTATION_CRITICAL}%"));
        }
        if alarms.fragmentation_warning && !before.fragmentation_warning && told() {
            log.warning(TAG, format_args!("WARNING: Fragmentation {percent}% >= {FRAGMENTATION_WARNING}%"));
        }
        if new_failures {
            log.error(TAG, format_args!("CRITICAL: {failures} failed allocations detected"));
        }
        if alarms.integrity && !before.integrity {
            log.error(TAG, format_args!("Heap integrity check FAILED!"));
        }
        for (name, free) in self.stacks().1 {
            let begins = free < STACK_WARNING
                && self.record.with(|record| {
                    !record.low_stacks.contains(&name) && record.low_stacks.push(name).is_ok()
                });
            if begins {
                log.warning(TAG, format_args!("Task '{name}' stack low: {free} bytes remaining"));
            }
        }
    }

    fn account(&self, us: u64) {
        let longest = self.record.with(|record| {
            record.looks += 1;
            record.look_us_total = record.look_us_total.saturating_add(us);
            let longest = us > record.look_us_max;
            record.look_us_max = record.look_us_max.max(us);
            longest
        });
        if us >= LOOK_US_MAX && longest {
            self.log.warning(TAG, format_args!("Monitoring cycle took {us} us (target <{LOOK_US_MAX})"));
        }
    }

    /// How many tasks live, and the free stack of those that the port can measure.
    fn stacks(&self) -> (usize, heapless::Vec<(&'static str, usize), TASKS_MAX>) {
        let mut count = 0;
        let mut stacks = heapless::Vec::new();
        self.tasks.for_each(&mut |spec, free| {
            count += 1;
            if let Some(free) = free {
                // Those beyond the report's ten lines are counted only.
                let _ = stacks.push((spec.name, free));
            }
        });
        (count, stacks)
    }

    /// Each part has a frame of its own: the task has 2 KiB of stack, and all of them together would not fit.
    fn report(&self, playback: &Playback) {
        let log = &self.log;
        log.info("PRISM-K1", format_args!("========== System Statistics =========="));
        log.info(TAG, format_args!("=== Heap Monitor Statistics ==="));
        self.report_heap();
        self.report_alerts();
        self.report_stacks();
        self.report_trend();
        self.pools.dump_state(log);
        report_playback(log, playback);
        log.info("PRISM-K1", format_args!("====================================="));
    }

    #[inline(never)]
    fn report_heap(&self) {
        let mut heap = self.machine.heap();
        if defect::present(Defect::ReportWrong) {
            heap.free = heap.total - heap.free;
        }
        if defect::present(Defect::MinimumRises) {
            heap.minimum_free = self.record.with(|record| {
                let recent = record.history.oldest_ordered().map(|(free, _)| *free);
                recent.chain([heap.free]).min().unwrap_or(heap.free)
            });
        }
        let log = &self.log;
        log.info(TAG, format_args!("Current State:"));
        log.info(TAG, format_args!("  Free: {} bytes", heap.free));
        log.info(TAG, format_args!("  Min Free: {} bytes", heap.minimum_free));
        log.info(TAG, format_args!("  Largest Block: {} bytes", heap.largest_free_block));
        log.info(TAG, format_args!("  Fragmentation: {}%", fragmentation(&heap)));
        log.info(TAG, format_args!("  Allocations: {}", heap.allocations));
        log.info(TAG, format_args!("  Frees: {}", heap.frees));
        log.info(TAG, format_args!("  Failed: {}", heap.failures));
    }

    #[inline(never)]
    fn report_alerts(&self) {
        let counts = self.record.with(|record| {
            [
                ("Fragmentation warnings", record.fragmentation_warnings),
                ("Fragmentation critical", record.fragmentation_critical),
                ("Low memory warnings", record.low_memory_warnings),
                ("Low memory critical", record.low_memory_critical),
                ("Integrity failures", record.integrity_failures),
            ]
        });
        let (looks, total, longest) =
            self.record.with(|record| (record.looks, record.look_us_total, record.look_us_max));
        let log = &self.log;
        log.info(TAG, format_args!("Alerts:"));
        for (name, count) in counts {
            log.info(TAG, format_args!("  {name}: {count}"));
        }
        log.info(TAG, format_args!("Performance:"));
        let average = total.checked_div(looks).unwrap_or(0);
        log.info(TAG, format_args!("  Avg monitoring time: {average} us"));
        log.info(TAG, format_args!("  Max monitoring time: {longest} us"));
    }

    #[inline(never)]
    fn report_stacks(&self) {
        let (tasks, stacks) = self.stacks();
        let log = &self.log;
        log.info(TAG, format_args!("Task Stacks ({tasks} tasks):"));
        for (name, free) in stacks {
            let mark = if free < STACK_WARNING { " [CRITICAL]" } else { "" };
            log.info(TAG, format_args!("  {name}: {free} bytes remaining{mark}"));
        }
    }

    #[inline(never)]
    fn report_trend(&self) {
        let history = self.record.with(|record| record.history.clone());
        self.log.info(TAG, format_args!("Recent Trend (last 10s):"));
        let count = history.len();
        for (index, (free, percent)) in history.oldest_ordered().enumerate() {
            self.log.info(TAG, format_args!("  -{}s: free={free}, frag={percent}%", count - index));
        }
    }
}

#[inline(never)]
fn report_playback(log: &Log, playback: &Playback) {
    let frames = playback.status();
    log.info(
        "playback",
        format_args!(
            "Frames: sent={} underruns={} dropped={}",
            frames.frames_sent, frames.underruns, frames.dropped
        ),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heap(free: usize, largest: usize) -> HeapStatus {
        HeapStatus {
            total: 300_000,
            free,
            minimum_free: free,
            largest_free_block: largest,
            ..HeapStatus::default()
        }
    }

    #[test]
    fn fragmentation_is_what_lies_outside_the_largest_block() {
        for (free, largest, percent) in
            [(0, 0, 0), (100, 100, 0), (100_000, 50_000, 50), (3, 2, 34), (100, 1, 99)]
        {
            assert_eq!(fragmentation(&heap(free, largest)), percent);
        }
    }

    #[test]
    fn thresholds_are_the_specifications() {
        assert_eq!(Alarms::of(&heap(200_000, 180_000)), Alarms::default());
        assert!(Alarms::of(&heap(49_999, 49_999)).low_memory_critical);
        let low = Alarms::of(&heap(50_000, 50_000));
        assert!(low.low_memory_warning && !low.low_memory_critical);
        assert!(!Alarms::of(&heap(75_000, 75_000)).low_memory_warning);
        assert!(Alarms::of(&heap(200_000, 19_999)).largest_block_warning);
        assert!(Alarms::of(&heap(100_000, 70_000)).fragmentation_warning);
        assert!(Alarms::of(&heap(100_000, 50_000)).fragmentation_critical);
        assert!(Alarms::of(&heap(100_000, 100_001)).integrity);
    }
}
