//! The heap monitor's words on the console: its 30 s report and its alarms (specification,
//! section 8).

use std::time::Duration;

use rigor_core::Instant;
use rigor_core::unit::Unit;
use rigor_core::verdict::Blame;
use rigor_decode::console::{Line, LogLine};
use rigor_runner::evidence::Reading;
use rigor_runner::need::Console;

/// The line that a report begins with, without its tag.
const BEGIN: &str = "=== Heap Monitor Statistics ===";
/// The line that it ends with.
const END: &str = "=====================================";
/// Under which of these tags the pools speak the sources disagree (specification, section 8).
const POOL_TAGS: [&str; 2] = ["POOL", "memory_pool"];
/// A report is on the wire within this long after its first line: some 50 lines at 115,200 baud
/// take half a second (our bound).
const LENGTH_LIMIT: Duration = Duration::from_secs(3);

/// What one report says. A figure that is not in it is `None`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Report {
    /// When its first line began.
    pub start: Instant,
    /// What the device took for the time of that line, in milliseconds since its start.
    pub stamp: Option<u64>,
    /// Free bytes.
    pub free: Option<u64>,
    /// The fewest free bytes since the start.
    pub minimum_free: Option<u64>,
    /// Bytes of the largest free block.
    pub largest_block: Option<u64>,
    /// Percent.
    pub fragmentation: Option<u64>,
    /// Free bytes and percent of fragmentation in the last seconds.
    pub trend: Vec<(u64, u64)>,
    /// Of each pool its name, its free blocks and all of them.
    pub pools: Vec<(String, u64, u64)>,
}

/// The number that follows `label` in `text`, up to the first other character.
pub fn number_after(text: &str, label: &str) -> Option<u64> {
    let rest = text.split_once(label)?.1.trim_start();
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    rest[..end].parse().ok()
}

impl Report {
    fn at(start: Instant) -> Self {
        Report {
            start,
            stamp: None,
            free: None,
            minimum_free: None,
            largest_block: None,
            fragmentation: None,
            trend: Vec::new(),
            pools: Vec::new(),
        }
    }

    /// Blocks in use of the pool `name`, or of all of them.
    pub fn pool_blocks_in_use(&self, name: Option<&str>) -> Option<u64> {
        let pools = self.pools.iter().filter(|(pool, ..)| name.is_none_or(|name| name == pool));
        pools
            .map(|(_, free, all)| all.checked_sub(*free))
            .sum::<Option<u64>>()
            .filter(|_| !self.pools.is_empty())
    }

    fn take(&mut self, message: &str) {
        let message = message.trim_start();
        let labelled =
            |label: &str| message.starts_with(label).then(|| number_after(message, label)).flatten();
        let set = |field: &mut Option<u64>, label: &str| *field = field.or(labelled(label));
        set(&mut self.free, "Free:");
        set(&mut self.minimum_free, "Min Free:");
        set(&mut self.largest_block, "Largest Block:");
        set(&mut self.fragmentation, "Fragmentation:");
        if message.starts_with('-') {
            self.trend.extend(number_after(message, "free=").zip(number_after(message, "frag=")));
        }
    }

    /// How many of free heap, minimum and fragmentation it does not give.
    pub fn missing(&self) -> usize {
        [self.free, self.minimum_free, self.fragmentation].iter().filter(|figure| figure.is_none()).count()
    }
}

/// What a line of the device's log says of its pools, for people to see over time.
pub(crate) fn reading(log: &LogLine<'_>) -> Option<Reading> {
    let (name, free, all) = POOL_TAGS.contains(&log.tag).then(|| pool(log.message))??;
    let in_use = all.checked_sub(free)?;
    let name = format!("{name} pool, blocks in use as the device says");
    Some(Reading { name, unit: Unit::Count, value: in_use as f64 })
}

/// From "4K Pool: 8/8 free (peak usage: 0)": its name, its free blocks and all of them.
pub fn pool(message: &str) -> Option<(String, u64, u64)> {
    let (name, figures) = message.split_once(" Pool: ")?;
    Some((name.to_owned(), number_after(figures, "")?, number_after(figures, "/")?))
}

fn is_begin(line: &Line) -> bool {
    line.text.contains(BEGIN)
}

/// The next report.
///
/// # Errors
/// The product's, if none begins within `limit` or one takes longer than three seconds.
pub async fn next(console: &mut Console, limit: Duration) -> Result<Report, Blame> {
    let begin = console.expect("the begin of a heap report", limit, is_begin).await?;
    let from = console.seen().len();
    let ends = |line: &Line| line.log().is_some_and(|log| log.message == END);
    console.expect("the end of a heap report", LENGTH_LIMIT, ends).await?;
    let mut report = Report { stamp: begin.log().map(|log| log.millis), ..Report::at(begin.start) };
    for log in console.seen()[from..].iter().filter_map(Line::log) {
        match log.tag {
            "HEAP_MON" => report.take(log.message),
            tag if POOL_TAGS.contains(&tag) => report.pools.extend(pool(log.message)),
            _ => {}
        }
    }
    Ok(report)
}

/// The figures of the monitor's alarms among `lines`: free bytes, bytes of the largest block,
/// percent of fragmentation.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Alarms {
    /// From "Free heap ... <" lines.
    pub free: Vec<u64>,
    /// From "Largest block ... <" lines.
    pub largest_block: Vec<u64>,
    /// From "Fragmentation ...% >=" lines.
    pub fragmentation: Vec<u64>,
}

/// Reads the alarms among `lines`.
pub fn alarms<'a>(lines: impl IntoIterator<Item = &'a Line>) -> Alarms {
    let mut alarms = Alarms::default();
    for log in lines.into_iter().filter_map(Line::log) {
        let alarm = log.message.strip_prefix("CRITICAL: ").or_else(|| log.message.strip_prefix("WARNING: "));
        let Some(alarm) = alarm.filter(|_| log.tag == "HEAP_MON") else { continue };
        alarms.free.extend(number_after(alarm, "Free heap"));
        alarms.largest_block.extend(number_after(alarm, "Largest block"));
        alarms.fragmentation.extend(number_after(alarm, "Fragmentation"));
    }
    alarms
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read_where_their_label_is() {
        let mut report = Report::at(Instant::ZERO);
        for line in [
            "  Min Free: 7 bytes",
            "  Free: 1234 bytes",
            "  Largest Block: x",
            "  -3s: free=10, frag=4%",
            "Frees: 9",
        ] {
            report.take(line);
        }
        assert_eq!((report.free, report.minimum_free, report.largest_block), (Some(1234), Some(7), None));
        assert_eq!((report.trend.as_slice(), report.missing()), (&[(10, 4)][..], 1));
        assert_eq!(pool("4K Pool: 7/8 free (peak usage: 2)"), Some(("4K".to_owned(), 7, 8)));
        let read =
            |line| reading(&LogLine::parse(line).unwrap()).map(|reading| (reading.name, reading.value));
        let of_4k = Some(("4K pool, blocks in use as the device says".to_owned(), 1.0));
        assert_eq!(read("I (9) POOL: 4K Pool: 7/8 free (peak usage: 2)"), of_4k);
        assert_eq!(read("I (9) POOL: 4K Pool: 9/8 free (peak usage: 2)"), None);
        assert_eq!(read("I (9) OTHER: 4K Pool: 7/8 free (peak usage: 2)"), None);
        assert_eq!(pool("Memory pools initialized successfully"), None);
        report.pools = vec![("4K".to_owned(), 6, 8), ("1K".to_owned(), 15, 16)];
        assert_eq!(
            (report.pool_blocks_in_use(None), report.pool_blocks_in_use(Some("4K"))),
            (Some(3), Some(2))
        );
        assert_eq!(number_after("Free: 99999999999999999999 bytes", "Free:"), None);
    }
}
