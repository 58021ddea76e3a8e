//! What was printed on serial lines, with times.

use std::io::{self, Write};
use std::ops::Range;
use std::sync::Arc;

use rigor_core::event::Direction;
use rigor_core::{Instant, Kind, Source, Timeline};

use crate::console::LineDecoder;

/// A line that somebody printed, or that could not be heard.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// The start bit of its first byte.
    pub at: Instant,
    /// Of which serial line.
    pub source: Source,
    /// What it was.
    pub what: What,
}

/// What an [`Entry`] is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum What {
    /// A line of text, made visible as [`console::Line::text`](crate::console::Line::text) says.
    Said(Direction, String),
    /// The source lost data, for this reason.
    Lost(Arc<str>),
}

/// The lines of `sources` that began in a slice of `timeline`, in the order of time.
///
/// A line that the slice cuts is given as far as it lies in it.
///
/// # Panics
/// If a source is not one of the timeline.
pub fn entries(timeline: &Timeline, sources: &[Source], slice: Range<Instant>) -> Vec<Entry> {
    let mut entries = Vec::new();
    for &source in sources {
        let events = timeline.events(source, slice.start, slice.end);
        for direction in [Direction::FromDut, Direction::ToDut] {
            let mut decoder = LineDecoder::new(direction);
            let mut lines = Vec::new();
            events.iter().for_each(|event| decoder.event(event, &mut lines));
            lines.extend(decoder.finish());
            entries.extend(lines.into_iter().map(|line| Entry {
                at: line.start,
                source,
                what: What::Said(direction, line.text),
            }));
        }
        entries.extend(events.iter().filter_map(|event| match &event.kind {
            Kind::Gap(gap) => Some(Entry { at: event.at, source, what: What::Lost(gap.reason.clone()) }),
            _ => None,
        }));
    }
    entries.sort_by_key(|entry| entry.at);
    entries
}

/// Writes these lines, each with its time in seconds and the name of its source:
///
/// ```text
///     0.301234567 console < I (301) main: ready
///     2.000000000 console > reboot
///     3.100000000 console ! data was lost: the buffer ran over
/// ```
///
/// `<` is what the device printed and `>` what it was sent.
///
/// # Errors
/// Those of `to`.
///
/// # Panics
/// If a source is not one of the timeline.
pub fn write(
    timeline: &Timeline,
    sources: &[Source],
    slice: Range<Instant>,
    mut to: impl Write,
) -> io::Result<()> {
    for Entry { at, source, what } in entries(timeline, sources, slice) {
        let nanos = at.as_nanos();
        write!(to, "{:>5}.{:09} {} ", nanos / 1_000_000_000, nanos % 1_000_000_000, timeline.name(source))?;
        match what {
            What::Said(Direction::FromDut, text) => writeln!(to, "< {text}")?,
            What::Said(Direction::ToDut, text) => writeln!(to, "> {text}")?,
            What::Lost(reason) => writeln!(to, "! data was lost: {}", reason.escape_debug())?,
        }
    }
    to.flush()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rigor_core::event::{Gap, Serial};

    use super::*;

    fn say(timeline: &Timeline, lane: &str, ns: u64, direction: Direction, text: &str) -> Source {
        let source = timeline.source(lane);
        let byte_time = Duration::from_nanos(86_805);
        let serial = Serial { direction, bytes: text.as_bytes().into(), byte_time };
        timeline.push(source, Instant::from_nanos(ns), Duration::ZERO, Kind::Serial(serial)).unwrap();
        source
    }

    #[test]
    fn lines_of_both_directions_stand_in_the_order_of_time() {
        let timeline = Timeline::new();
        let console = say(&timeline, "console", 1_500_000_000, Direction::FromDut, "boot\r\nrea");
        let input = say(&timeline, "console.input", 1_500_100_000, Direction::ToDut, "he\x1blp\n");
        say(&timeline, "console", 2_000_000_000, Direction::FromDut, "dy\n");
        let gap = Gap { length: Duration::from_millis(1), reason: Arc::from("ran\nover") };
        let at = Instant::from_nanos(12_345_000_000_000);
        timeline.push(console, at, Duration::ZERO, Kind::Gap(gap)).unwrap();
        let mut text = Vec::new();
        write(&timeline, &[console, input], Instant::ZERO..Instant::MAX, &mut text).unwrap();
        assert_eq!(
            String::from_utf8(text).unwrap(),
            "    1.500000000 console < boot\n    1.500100000 console.input > he\\x1blp\n    \
             1.500520830 console < ready\n12345.000000000 console ! data was lost: ran\\nover\n"
        );
    }

    #[test]
    fn a_slice_has_what_began_in_it() {
        let timeline = Timeline::new();
        let console = say(&timeline, "console", 1_000, Direction::FromDut, "early\n");
        say(&timeline, "console", 9_000_000, Direction::FromDut, "late\n");
        let slice = Instant::from_nanos(5_000)..Instant::from_nanos(10_000_000);
        let entries = entries(&timeline, &[console], slice);
        assert_eq!(entries.len(), 1);
        assert_eq!(entries[0].what, What::Said(Direction::FromDut, "late".to_owned()));
    }
}
