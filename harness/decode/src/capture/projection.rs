//! From a slice of a timeline to a capture.

use std::cell::Cell;
use std::ops::Range;

use rigor_core::event::{Burst, Direction, FlashBusy, Gap, Phases, Serial};
use rigor_core::time::nanos;
use rigor_core::{Event, Instant, Kind, Level, Source, Timeline};

use super::signal::{Capture, Signal};

/// A good limit for the edges of one signal: 4 million, 7 s of a WS2812B lane with 160 pixels at 120
/// frames a second.
pub const MAX_EDGES: usize = 1 << 22;

/// Bits of a byte on a serial line: start bit, eight data bits, stop bit.
const BITS_PER_BYTE: u64 = 10;

/// What a source can show on a wire.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Wire {
    /// Edges, bursts and phases of a pin.
    Pin,
    /// A serial line, as 8N1.
    Serial(Direction),
    /// High while a flash chip is busy.
    Busy,
    /// High where the source lost data.
    Lost,
}

impl Wire {
    const ALL: [Wire; 5] =
        [Wire::Pin, Wire::Serial(Direction::FromDut), Wire::Serial(Direction::ToDut), Wire::Busy, Wire::Lost];

    fn of(kind: &Kind) -> Option<Wire> {
        match kind {
            Kind::Edge(_) | Kind::Burst(_) | Kind::Phases(_) => Some(Wire::Pin),
            Kind::Serial(serial) => Some(Wire::Serial(serial.direction)),
            Kind::FlashBusy(_) => Some(Wire::Busy),
            Kind::Gap(_) => Some(Wire::Lost),
            _ => None,
        }
    }

    /// The level of a wire on which nothing happens.
    fn idle(self) -> Level {
        match self {
            Wire::Serial(_) => Level::High,
            Wire::Pin | Wire::Busy | Wire::Lost => Level::Low,
        }
    }
}

/// What there is to know of a lane before its events are copied.
#[derive(Default)]
struct Survey {
    seen: [Cell<bool>; Wire::ALL.len()],
    /// The level that the pin was left at before the slice.
    before: Cell<Option<Level>>,
    /// The first edge of the pin leads to this level.
    first_edge: Cell<Option<Level>>,
}

impl Survey {
    fn of(timeline: &Timeline, source: Source, slice: &Range<Instant>) -> Survey {
        let survey = Survey::default();
        // Looks at all of them without a copy of any: none is the one that is sought.
        timeline.find(source, |event| {
            survey.note(event, slice);
            event.at >= slice.end
        });
        survey
    }

    fn note(&self, event: &Event, slice: &Range<Instant>) {
        if event.at >= slice.end {
            return;
        }
        let Some(wire) = Wire::of(&event.kind) else { return };
        if let Some(index) = Wire::ALL.iter().position(|&known| known == wire) {
            self.seen[index].set(true);
        }
        let (first, last) = match &event.kind {
            Kind::Edge(level) => (*level, *level),
            Kind::Burst(burst) => (!burst.idle, burst.idle),
            // An instrument's first stretch begins with watching and not with an edge.
            Kind::Phases(phases) => (!phases.first, phases.last()),
            _ => return,
        };
        if event.at < slice.start {
            self.before.set(Some(last));
        }
        if self.first_edge.get().is_none() {
            self.first_edge.set(Some(first));
        }
    }

    fn wires(&self) -> impl Iterator<Item = Wire> + '_ {
        Wire::ALL.into_iter().zip(&self.seen).filter_map(|(wire, seen)| seen.get().then_some(wire))
    }

    fn initial(&self, wire: Wire) -> Level {
        match wire {
            Wire::Pin => self.before.get().or(self.first_edge.get().map(|level| !level)),
            _ => None,
        }
        .unwrap_or(wire.idle())
    }

    fn has(&self, wire: Wire) -> bool {
        self.wires().any(|seen| seen == wire)
    }

    /// A lane has one signal of its own name, and others behind a dot.
    fn name(&self, lane: &str, wire: Wire) -> String {
        match wire {
            Wire::Serial(Direction::ToDut) if self.has(Wire::Serial(Direction::FromDut)) => {
                format!("{lane}.input")
            }
            Wire::Lost => format!("{lane}.lost"),
            _ => lane.to_owned(),
        }
    }
}

/// Appends edges to a signal until it has enough.
struct Pen<'a> {
    signal: &'a mut Signal,
    most_edges: usize,
    /// The first instant that is left out.
    full_at: Option<Instant>,
}

impl Pen<'_> {
    fn change(&mut self, at: Instant, level: Level) {
        if self.full_at.is_some() {
            return;
        }
        if self.signal.edges().len() >= self.most_edges {
            self.full_at = Some(at);
            return;
        }
        // What claims to have happened before the burst that it follows was over is left out: a wire
        // has one level at a time.
        let _ = self.signal.change(at, level);
    }

    fn event(&mut self, event: &Event) {
        match &event.kind {
            Kind::Edge(level) => self.change(event.at, *level),
            Kind::Burst(burst) => self.burst(event.at, burst),
            Kind::Phases(phases) => self.phases(event.at, phases),
            Kind::Serial(serial) => self.serial(event.at, serial),
            Kind::FlashBusy(FlashBusy { duration: length, .. }) | Kind::Gap(Gap { length, .. }) => {
                self.change(event.at, Level::High);
                self.change(event.at + *length, Level::Low);
            }
            _ => {}
        }
    }

    fn burst(&mut self, at: Instant, burst: &Burst) {
        let start = at.as_nanos();
        for (offset, level) in burst.edges() {
            if self.full_at.is_some() {
                return;
            }
            self.change(Instant::from_nanos(start.saturating_add(offset)), level);
        }
        self.change(at + burst.duration(), burst.idle);
    }

    fn phases(&mut self, at: Instant, phases: &Phases) {
        let start = at.as_nanos();
        for (offset, level) in phases.edges() {
            if self.full_at.is_some() {
                return;
            }
            self.change(Instant::from_nanos(start.saturating_add(offset)), level);
        }
    }

    fn serial(&mut self, at: Instant, serial: &Serial) {
        let byte_time = nanos(serial.byte_time);
        for (index, &byte) in serial.bytes.iter().enumerate() {
            if self.full_at.is_some() {
                return;
            }
            let start = at.as_nanos().saturating_add(byte_time.saturating_mul(index as u64));
            // Start bit, then the least significant bit first, then the stop bit.
            let bits = u16::from(byte) << 1 | 1 << 9;
            for bit in 0..BITS_PER_BYTE {
                let offset = (u128::from(byte_time) * u128::from(bit) / u128::from(BITS_PER_BYTE)) as u64;
                let level = if bits >> bit & 1 == 1 { Level::High } else { Level::Low };
                self.change(Instant::from_nanos(start.saturating_add(offset)), level);
            }
        }
    }
}

impl Capture {
    /// What `sources` show in a slice of `timeline`.
    ///
    /// | Of the timeline | In the capture |
    /// |---|---|
    /// | edges, bursts and phases | a signal of the lane's name; bursts and phases are expanded |
    /// | serial bytes | a signal of the lane's name, with the levels of 8N1; if one lane has both directions, what goes to the device is `<lane>.input` |
    /// | a busy flash chip | a signal of the lane's name, high meanwhile |
    /// | gaps | a signal `<lane>.lost`, high where the source lost data: what others show there is worth nothing |
    ///
    /// Other kinds have no level and leave no signal. A lane on which one of these was seen before the
    /// slice has its signal in it, even if it rests. What began before the slice is shown from its middle
    /// on, what the slice cuts up to there. An edge at the very start is not an edge, because nothing was
    /// seen before it: begin the slice a little earlier. A slice up to [`Instant::MAX`] ends with the rig's clock,
    /// or with the last edge if that is later.
    ///
    /// If a signal has more than `most_edges` edges, the capture ends where the first of them ran out:
    /// its [`end`](Capture::end) is then earlier than the slice's. See [`MAX_EDGES`].
    ///
    /// # Panics
    /// If a source is not one of the timeline.
    pub fn of_timeline(
        timeline: &Timeline,
        sources: &[Source],
        slice: Range<Instant>,
        most_edges: usize,
    ) -> Capture {
        let mut capture = Capture::new(slice.start);
        let open_end = slice.end == Instant::MAX;
        let mut end = if open_end { Instant::MAX } else { slice.end.max(slice.start) };
        for &source in sources {
            let survey = Survey::of(timeline, source, &slice);
            if survey.wires().next().is_none() {
                continue;
            }
            let events = timeline.find_all(source, |event| {
                event.at < slice.end && (event.at >= slice.start || event.end() >= slice.start)
            });
            let lane = timeline.name(source);
            for wire in survey.wires() {
                let signal = capture.add(survey.name(&lane, wire), survey.initial(wire));
                let mut pen = Pen { signal, most_edges, full_at: None };
                for event in events.iter().filter(|event| Wire::of(&event.kind) == Some(wire)) {
                    pen.event(event);
                    if pen.full_at.is_some() {
                        break;
                    }
                }
                if let Some(full_at) = pen.full_at {
                    end = end.min(full_at);
                }
            }
        }
        capture.ends_at(if open_end { end.min(timeline.now()) } else { end });
        capture.cut_at(end);
        capture
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use rigor_core::event::{BytesEncoding, FlashOperation, Symbol};
    use rigor_core::rate::SampleRate;

    use super::*;

    fn at(ns: u64) -> Instant {
        Instant::from_nanos(ns)
    }

    fn push(timeline: &Timeline, lane: &str, ns: u64, kind: Kind) -> Source {
        let source = timeline.source(lane);
        timeline.push(source, at(ns), Duration::ZERO, kind).unwrap();
        source
    }

    fn burst(bytes: &[u8]) -> Kind {
        Kind::Burst(Burst {
            bytes: bytes.into(),
            encoding: BytesEncoding {
                zero: Symbol { high_ns: 400, low_ns: 850 },
                one: Symbol { high_ns: 800, low_ns: 450 },
            },
            idle: Level::Low,
        })
    }

    fn serial(direction: Direction, bytes: &[u8]) -> Kind {
        Kind::Serial(Serial { direction, bytes: bytes.into(), byte_time: Duration::from_nanos(1_000) })
    }

    fn edges(signal: &Signal) -> Vec<(u64, Level)> {
        signal.edges().iter().map(|edge| (edge.at().as_nanos(), edge.level())).collect()
    }

    fn names(capture: &Capture) -> Vec<&str> {
        capture.signals().iter().map(Signal::name).collect()
    }

    #[test]
    fn a_burst_becomes_its_edges() {
        let timeline = Timeline::new();
        let lane = push(&timeline, "leds.0", 1_000, burst(&[0b1010_0000]));
        let capture = Capture::of_timeline(&timeline, &[lane], at(500)..at(50_000), MAX_EDGES);
        let signal = capture.signal("leds.0").unwrap();
        assert_eq!(signal.edges().len(), 16);
        assert_eq!(
            edges(signal)[..4],
            [(1_000, Level::High), (1_800, Level::Low), (2_250, Level::High), (2_650, Level::Low)]
        );
        assert_eq!((capture.start(), capture.end()), (at(500), at(50_000)));
    }

    #[test]
    fn a_slice_begins_with_the_level_of_what_was_under_way() {
        let timeline = Timeline::new();
        let lane = push(&timeline, "leds.0", 1_000, burst(&[0xFF]));
        let capture = Capture::of_timeline(&timeline, &[lane], at(1_500)..at(3_200), MAX_EDGES);
        let signal = &capture.signals()[0];
        assert_eq!(signal.initial(), Level::High);
        assert_eq!(edges(signal), [(1_800, Level::Low), (2_250, Level::High), (3_050, Level::Low)]);
        // And with that of what was over: here a pin that was left high.
        let button = push(&timeline, "button", 10, Kind::Edge(Level::High));
        let capture = Capture::of_timeline(&timeline, &[button], at(100)..at(200), MAX_EDGES);
        assert_eq!((capture.signals()[0].initial(), capture.signals()[0].edges().len()), (Level::High, 0));
    }

    fn phases(first: Level, lengths: &[u32]) -> Kind {
        Kind::Phases(Phases { first, rate: SampleRate::hertz(125_000_000).unwrap(), lengths: lengths.into() })
    }

    #[test]
    fn phases_become_their_edges_from_the_level_on_that_the_wire_was_found_at() {
        let timeline = Timeline::new();
        push(&timeline, "leds.0", 1_000, phases(Level::Low, &[1]));
        let lane = push(&timeline, "leds.0", 2_000, phases(Level::High, &[50, 100, 25]));
        let capture = Capture::of_timeline(&timeline, &[lane], at(500)..at(50_000), MAX_EDGES);
        let signal = capture.signal("leds.0").unwrap();
        assert_eq!(signal.initial(), Level::Low);
        assert_eq!(edges(signal), [(2_000, Level::High), (2_400, Level::Low), (3_200, Level::High)]);
        // What is under way is shown from its middle on.
        let capture = Capture::of_timeline(&timeline, &[lane], at(2_500)..at(50_000), MAX_EDGES);
        let signal = capture.signal("leds.0").unwrap();
        assert_eq!((signal.initial(), edges(signal)), (Level::Low, vec![(3_200, Level::High)]));
        // And it keeps its last level.
        let capture = Capture::of_timeline(&timeline, &[lane], at(9_000)..at(50_000), MAX_EDGES);
        assert_eq!(capture.signal("leds.0").unwrap().initial(), Level::High);
        let capture = Capture::of_timeline(&timeline, &[lane], at(500)..at(50_000), 2);
        assert_eq!((capture.end(), capture.signals()[0].edges().len()), (at(3_200), 2));
    }

    #[test]
    fn a_pin_that_falls_first_was_high() {
        let timeline = Timeline::new();
        let button = push(&timeline, "button", 10, Kind::Edge(Level::Low));
        let capture = Capture::of_timeline(&timeline, &[button], at(0)..at(200), MAX_EDGES);
        assert_eq!(capture.signals()[0].initial(), Level::High);
        assert_eq!(edges(&capture.signals()[0]), [(10, Level::Low)]);
    }

    #[test]
    fn serial_bytes_become_levels_of_a_line() {
        let timeline = Timeline::new();
        let console = push(&timeline, "console", 100, serial(Direction::FromDut, &[0b0000_0001, 0x80]));
        let capture = Capture::of_timeline(&timeline, &[console], at(0)..at(5_000), MAX_EDGES);
        let signal = capture.signal("console").unwrap();
        assert_eq!(signal.initial(), Level::High);
        assert_eq!(
            edges(signal),
            [
                (100, Level::Low), // start bit
                (200, Level::High),
                (300, Level::Low),    // seven zeros
                (1_000, Level::High), // stop bit
                (1_100, Level::Low),  // start bit and seven zeros
                (1_900, Level::High), // the last bit and the stop bit
            ]
        );
    }

    #[test]
    fn both_directions_of_a_lane_are_two_signals() {
        let timeline = Timeline::new();
        push(&timeline, "console", 100, serial(Direction::FromDut, b"a"));
        let console = push(&timeline, "console", 200, serial(Direction::ToDut, b"b"));
        let input = push(&timeline, "console.rig", 300, serial(Direction::ToDut, b"c"));
        let capture = Capture::of_timeline(&timeline, &[console, input], at(0)..at(5_000), MAX_EDGES);
        assert_eq!(names(&capture), ["console", "console.input", "console.rig"]);
    }

    #[test]
    fn busy_flash_and_gaps_are_high_meanwhile() {
        let timeline = Timeline::new();
        let busy = FlashBusy {
            operation: FlashOperation::Erase,
            address: 0,
            length: 4096,
            duration: Duration::from_nanos(40),
        };
        let flash = push(&timeline, "flash", 10, Kind::FlashBusy(busy));
        let gap = Gap { length: Duration::from_nanos(500), reason: Arc::from("overflow") };
        push(&timeline, "flash", 100, Kind::Gap(gap));
        push(&timeline, "flash", 700, Kind::Note(Arc::from("no level")));
        let capture = Capture::of_timeline(&timeline, &[flash], at(0)..at(300), MAX_EDGES);
        assert_eq!(names(&capture), ["flash", "flash.lost"]);
        assert_eq!(edges(&capture.signals()[0]), [(10, Level::High), (50, Level::Low)]);
        assert_eq!(edges(&capture.signals()[1]), [(100, Level::High)]);
        assert_eq!(capture.end(), at(300));
    }

    #[test]
    fn what_has_no_level_leaves_no_signal() {
        let timeline = Timeline::new();
        let notes = push(&timeline, "harness", 10, Kind::Action(Arc::from("power: on")));
        let silent = timeline.source("silent");
        let capture = Capture::of_timeline(&timeline, &[notes, silent], at(0)..at(300), MAX_EDGES);
        assert_eq!(names(&capture), Vec::<&str>::new());
    }

    #[test]
    fn ends_where_the_first_signal_has_enough() {
        let timeline = Timeline::new();
        let lane = push(&timeline, "leds.0", 1_000, burst(&[0xFF; 4]));
        let button = push(&timeline, "button", 4_000, Kind::Edge(Level::High));
        let capture = Capture::of_timeline(&timeline, &[lane, button], at(0)..at(90_000), 3);
        assert_eq!(capture.signals()[0].edges().len(), 3);
        assert!(capture.signals()[1].edges().is_empty());
        assert_eq!(capture.end(), at(3_050));
    }

    #[test]
    fn a_slice_without_an_end_ends_with_the_clock_or_the_last_edge() {
        let timeline = Timeline::new();
        let button = push(&timeline, "button", 4_000, Kind::Edge(Level::High));
        let end = || Capture::of_timeline(&timeline, &[button], at(0)..Instant::MAX, MAX_EDGES).end();
        assert_eq!(end(), at(4_000));
        timeline.advance(at(9_000));
        assert_eq!(end(), at(9_000));
    }

    #[test]
    fn a_wire_has_one_level_at_a_time() {
        let timeline = Timeline::new();
        let lane = push(&timeline, "leds.0", 1_000, burst(&[0xFF]));
        push(&timeline, "leds.0", 1_100, Kind::Edge(Level::High));
        let capture = Capture::of_timeline(&timeline, &[lane], at(0)..at(90_000), MAX_EDGES);
        assert_eq!(capture.signals()[0].edges().len(), 16);
    }
}
