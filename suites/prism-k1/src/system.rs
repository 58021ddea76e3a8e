//! Cases of group K1-SYS about the console: the boot log and the line itself. The UART test
//! commands are in [`uart`]; the heap and its reports are in [`memory`](crate::memory), the
//! partition table is in [`flash`](crate::flash).

mod boot;
mod uart;

use std::time::Duration;

use rigor_core::distribution::Distribution;
use rigor_core::event::{Direction, Kind};
use rigor_core::unit::Unit;
use rigor_core::verdict::{Blame, RigError};
use rigor_core::{Event, Instant};
use rigor_decode::console::{Line, LogLine};
use rigor_runner::need::{Bench, Console, Power};
use rigor_runner::{Findings, Outcome, Suite};

use crate::kit;

pub(crate) fn add_to(suite: &mut Suite) {
    suite.case("boot_order", &["K1-SYS-001", "K1-SYS-002"], boot_order);
    suite.case("banner", &["K1-SYS-007", "K1-SYS-015"], banner);
    suite.case("log_tags", &["K1-SYS-017"], log_tags);
    suite.case("console_rate", &["K1-SYS-016"], console_rate);
    boot::add_to(suite);
    uart::add_to(suite);
}

/// The subsystems with a log of their own, in the order in which the seed's section 8 starts them,
/// each with the tags that it may have.
const SUBSYSTEMS: [(&str, &[&str]); 6] = [
    ("memory pools", &["POOL", "memory_pool"]),
    ("heap monitor", &["HEAP_MON"]),
    ("network", &["network"]),
    ("pattern storage", &["storage"]),
    ("playback", &["playback"]),
    ("templates", &["templates"]),
];

/// The lines of the first boot and of the next one, each from power on to the end of the
/// templates' provisioning.
async fn two_boots(console: &mut Console, power: &Power, pause: Duration) -> Result<[Vec<Line>; 2], Blame> {
    kit::settled(console).await?;
    let first = console.seen().to_vec();
    power.cycle(pause).await?;
    kit::settled(console).await?;
    let second = console.seen()[first.len()..].to_vec();
    Ok([first, second])
}

/// A first boot formats and provisions, a later one finds everything: the order is the same.
async fn boot_order(mut console: Console, power: Power) -> Outcome {
    let boots = two_boots(&mut console, &power, Duration::from_millis(500)).await?;
    let mut findings = Findings::new();
    let out_of_order = boots.iter().map(|lines| out_of_order(&starts(lines)) as f64);
    findings.measured("K1-SYS-001", Distribution::new(Unit::Count, out_of_order)?);
    for (boot, lines) in (1..).zip(&boots) {
        let (holds, seen) = pools_come_first(lines);
        findings.observed("K1-SYS-002", holds, format!("boot {boot}: {seen}"));
    }
    Ok(findings)
}

/// The index of each subsystem's first line.
fn starts(lines: &[Line]) -> [Option<usize>; 6] {
    SUBSYSTEMS
        .map(|(_, tags)| lines.iter().position(|line| line.log().is_some_and(|log| tags.contains(&log.tag))))
}

/// How many start before one that should be before them, or not at all.
fn out_of_order(starts: &[Option<usize>]) -> usize {
    let late = |index: usize| match starts[index] {
        Some(start) => starts[..index].iter().flatten().any(|earlier| *earlier > start),
        None => true,
    };
    (0..starts.len()).filter(|index| late(*index)).count()
}

/// A log line that is about a subsystem other than the pools: it has another tag, or is the main
/// task's announcement of one.
fn is_about_another(log: &LogLine<'_>) -> bool {
    match log.tag {
        "POOL" | "memory_pool" => false,
        "PRISM-K1" => {
            log.message.strip_prefix("Initializing ").is_some_and(|what| !what.starts_with("memory pools"))
        }
        _ => true,
    }
}

fn pools_come_first(lines: &[Line]) -> (bool, String) {
    let position = |is: &dyn Fn(&LogLine<'_>) -> bool| {
        lines.iter().position(|line| line.log().is_some_and(|log| is(&log)))
    };
    let ready = position(&|log| {
        SUBSYSTEMS[0].1.contains(&log.tag) && log.message.contains("initialized successfully")
    });
    let other = position(&is_about_another);
    match (ready, other) {
        (None, _) => (false, "no line says that the memory pools are initialised".to_owned()),
        (Some(ready), Some(other)) if other < ready => (
            false,
            format!(
                "`{}` at {} precedes `{}` at {}",
                lines[other].text, lines[other].start, lines[ready].text, lines[ready].end
            ),
        ),
        (Some(ready), _) => (true, format!("pools ready at {}, before all others", lines[ready].end)),
    }
}

/// Version and build stamp of two boots that are a minute and a half apart: a stamp of the start is
/// not one of the build.
async fn banner(mut console: Console, power: Power) -> Outcome {
    let boots = two_boots(&mut console, &power, Duration::from_secs(90)).await?;
    let mut findings = Findings::new();
    let told = |label: &str| -> Vec<Option<String>> {
        boots.iter().map(|lines| banner_value(lines, label)).collect()
    };
    let versions = told("Firmware: ");
    let right = versions.iter().all(|version| version.as_deref() == Some("v1.0.0"));
    findings.observed("K1-SYS-007", right, told_at_boots(&versions));
    let builds = told("Build: ");
    let same = builds[0] == builds[1];
    let stamped = builds.iter().flatten().any(|build| is_time_stamp(build));
    findings.observed("K1-SYS-015", same && stamped, told_at_boots(&builds));
    Ok(findings)
}

fn told_at_boots(values: &[Option<String>]) -> String {
    let value = |value: &Option<String>| value.clone().unwrap_or_else(|| "nothing".to_owned());
    match values {
        [first, rest @ ..] if rest.iter().all(|other| other == first) => {
            format!("{} at {} boots", value(first), values.len())
        }
        _ => values.iter().map(value).collect::<Vec<_>>().join(", then "),
    }
}

fn banner_value(lines: &[Line], label: &str) -> Option<String> {
    let banner = lines.iter().filter_map(Line::log).filter(|log| log.tag == "PRISM-K1");
    banner.into_iter().find_map(|log| Some(log.message.strip_prefix(label)?.trim().to_owned()))
}

/// A date with a year and a time of day: C's `__DATE__ __TIME__`, ISO 8601, or the like.
fn is_time_stamp(text: &str) -> bool {
    let words = || text.split([' ', '-', 'T', 'Z', '.', '+']);
    let number = |word: &str| word.parse::<u32>().ok();
    let year = words().any(|word| number(word).is_some_and(|year| (2020..2100).contains(&year)));
    let time = words().any(|word| {
        let parts: Vec<Option<u32>> = word.split(':').map(number).collect();
        matches!(parts[..], [Some(0..24), Some(0..60), Some(0..61)])
    });
    year && time
}

async fn log_tags(mut console: Console) -> Outcome {
    kit::settled(&mut console).await?;
    let present =
        |tags: &[&str]| console.seen().iter().filter_map(Line::log).any(|log| tags.contains(&log.tag));
    let wanted: [&[&str]; 6] =
        [&["PRISM-K1"], &["memory_pool", "POOL"], &["network"], &["playback"], &["storage"], &["templates"]];
    let missing = wanted.iter().filter(|tags| !present(tags)).count();
    let mut findings = Findings::new();
    findings.measured("K1-SYS-017", Distribution::new(Unit::Count, [missing as f64])?);
    Ok(findings)
}

/// Start bit, eight data bits, stop bit.
const BITS_PER_BYTE: f64 = 10.0;

/// The symbol rate of everything that the device prints in its first seconds; that the bytes make
/// lines of text shows that the framing is right.
async fn console_rate(mut console: Console, bench: Bench) -> Outcome {
    kit::started(&mut console).await?;
    let part = bench.parts.console.as_ref().ok_or_else(|| RigError("the console is gone".to_owned()))?;
    let events = bench.timeline.events(part.source(), Instant::ZERO, bench.timeline.now());
    let mut findings = Findings::new();
    match symbol_rates(&events) {
        rates if rates.is_empty() => findings.observed("K1-SYS-016", false, "the device printed nothing"),
        rates => findings.measured("K1-SYS-016", Distribution::new(Unit::Hertz, rates)?),
    };
    let garbled = console.seen().iter().find(|line| line.invalid_utf8);
    if let Some(line) = garbled {
        findings.observed(
            "K1-SYS-016",
            false,
            format!("a line at {} is no text: `{}`", line.start, line.text),
        );
    }
    Ok(findings)
}

fn symbol_rates(events: &[Event]) -> Vec<f64> {
    let serial = events.iter().filter_map(|event| match &event.kind {
        Kind::Serial(serial) if serial.direction == Direction::FromDut => Some(serial),
        _ => None,
    });
    serial.map(|serial| BITS_PER_BYTE / serial.byte_time.as_secs_f64()).collect()
}

#[cfg(test)]
mod tests {
    use rigor_core::event::Serial;
    use rigor_decode::console::LineDecoder;
    use rstest::rstest;

    use super::*;

    fn lines(text: &str) -> Vec<Line> {
        let serial = Serial {
            direction: Direction::FromDut,
            bytes: text.as_bytes().into(),
            byte_time: Duration::from_nanos(86_805),
        };
        let event = Event { at: Instant::ZERO, uncertainty: Duration::ZERO, kind: Kind::Serial(serial) };
        LineDecoder::decode([&event])
    }

    #[rstest]
    #[case(&[Some(0), Some(1), Some(2)], 0)]
    #[case(&[Some(0), Some(2), Some(1)], 1)]
    #[case(&[Some(5), Some(1), Some(2)], 2)]
    #[case(&[Some(0), None, Some(2)], 1)]
    #[case(&[None, None, None], 3)]
    fn what_is_late_or_missing_is_out_of_order(#[case] starts: &[Option<usize>], #[case] expected: usize) {
        assert_eq!(out_of_order(starts), expected);
    }

    const READY: &str = "I (1) POOL: Memory pools initialized successfully\r\n";

    #[rstest]
    #[case("I (0) PRISM-K1: Free heap: 1 bytes\r\n", READY, true)]
    #[case("I (0) PRISM-K1: Initializing memory pools...\r\n", READY, true)]
    #[case("I (0) PRISM-K1: Initializing heap monitor...\r\n", READY, false)]
    #[case("I (0) storage: x\r\n", READY, false)]
    #[case("", "", false)]
    fn only_the_banner_may_precede_the_pools(#[case] before: &str, #[case] ready: &str, #[case] holds: bool) {
        assert_eq!(pools_come_first(&lines(&format!("{before}{ready}I (2) network: x\r\n"))).0, holds);
    }

    #[rstest]
    #[case("Oct 21 2025 00:00:00", true)]
    #[case("2025-10-21T23:59:60Z", true)]
    #[case("Oct 21 2025", false)]
    #[case("12:00:00", false)]
    #[case("Oct 21 2025 25:00:00", false)]
    #[case("", false)]
    fn time_stamps(#[case] text: &str, #[case] expected: bool) {
        assert_eq!(is_time_stamp(text), expected);
    }
}
