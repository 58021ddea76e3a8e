//! What the controller tells of the board's wires, on the timeline.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rigor_controller::message::{Drive, LOOP_BACK_INPUT, Level as Seen, Stream, Wanted, Wire};
use rigor_controller::{Identity, Ticks};
use rigor_core::event::Gap;
use rigor_core::rate::SampleRate;
use rigor_core::{Instant, Kind, Level, Source, Timeline};

use super::error::BenchError;
use super::lane::{Lane, Stretch, found};
use super::line::Told;
use crate::file::{Bench, RigFile};

/// A lane, and where it is recorded.
struct Wired {
    source: Source,
    lane: Lane,
    /// Something of it is lost, and nobody knows until when.
    lost: bool,
}

/// The wires, by their number on the controller.
pub(super) struct Wires {
    timeline: Timeline,
    clock_hz: u32,
    /// What is not known of an edge's place; nothing if its device is a model.
    tick: Duration,
    /// How often it looks; nothing if its device is a model, whose ticks are no samples.
    rate: Option<SampleRate>,
    lanes: BTreeMap<u8, Wired>,
    /// Somebody wants to know of the lanes.
    are_wanted: bool,
    inputs: BTreeMap<u8, Source>,
    /// Lines whose level nobody looks at: it is what they are driven to.
    lines: BTreeMap<u8, Source>,
}

impl Wired {
    fn new(source: Source) -> Self {
        Wired { source, lane: Lane::default(), lost: false }
    }
}

impl Wires {
    /// The wires of `file`, if the controller has them.
    pub(super) fn new(
        file: &RigFile,
        bench: &Bench,
        identity: Option<&Identity>,
        timeline: &Timeline,
    ) -> Result<Self, BenchError> {
        let Some(identity) = identity else { return Ok(Wires::none(timeline)) };
        let check = |kind: &str, wanted: &BTreeMap<String, u8>, has: u8| {
            let beyond = wanted.iter().find(|(_, number)| **number >= has);
            beyond.map_or(Ok(()), |(signal, number)| {
                Err(BenchError::Lacks {
                    wanted: format!("{kind} {number} for `{signal}`"),
                    name: identity.name.to_string(),
                    has: format!("{has} of them, from 0"),
                })
            })
        };
        check("lane", &bench.lanes, identity.lanes)?;
        check("line", &bench.lines, identity.lines)?;
        check("input", &bench.inputs, identity.inputs)?;
        let pin = |pin: u8| timeline.source(&format!("gpio{pin}"));
        let lanes = file
            .leds
            .iter()
            .filter_map(|lane| Some((*bench.lanes.get(&lane.signal)?, Wired::new(pin(lane.pin)))));
        let inputs =
            file.pins.iter().filter_map(|wire| Some((*bench.inputs.get(&wire.signal)?, pin(wire.pin))));
        let unseen = file.pins.iter().filter(|wire| !bench.inputs.contains_key(&wire.signal));
        let lines = unseen.filter_map(|wire| Some((*bench.lines.get(&wire.signal)?, pin(wire.pin))));
        Ok(Wires {
            lanes: lanes.collect(),
            inputs: inputs.collect(),
            lines: lines.collect(),
            tick: if identity.stepped {
                Duration::ZERO
            } else {
                Duration::from_nanos(1_000_000_000_u64.div_ceil(u64::from(identity.clock_hz)))
            },
            clock_hz: identity.clock_hz,
            // The rig's clock is the controller's, so its samples are as long as it says.
            rate: SampleRate::hertz(identity.clock_hz.into()).ok().filter(|_| !identity.stepped),
            are_wanted: false,
            timeline: timeline.clone(),
        })
    }

    /// Those of a bench without a controller.
    fn none(timeline: &Timeline) -> Self {
        Wires {
            timeline: timeline.clone(),
            clock_hz: 1,
            tick: Duration::ZERO,
            rate: None,
            are_wanted: false,
            lanes: BTreeMap::new(),
            inputs: BTreeMap::new(),
            lines: BTreeMap::new(),
        }
    }

    /// What the controller is to record: its lanes only from the moment on at which somebody wants to know of them.
    pub(super) fn wanted(&self) -> Wanted {
        let bit = |bits: u8, number: &u8| bits | 1 << (number & 7);
        let lanes = if self.are_wanted { self.lanes.keys().fold(0, bit) } else { 0 };
        Wanted { lanes, edges: self.inputs.keys().fold(0, bit), bus: false }
    }

    /// The controller records its inputs since `at`. From now on its word counts, and not the clock's.
    pub(super) fn begin(&self, at: Instant) {
        for &source in self.inputs.values() {
            self.timeline.hold(source, at);
        }
    }

    /// Somebody wants to know of the lanes; whether that is new.
    pub(super) fn want_lanes(&mut self) -> bool {
        !std::mem::replace(&mut self.are_wanted, true)
    }

    /// The controller records its lanes since `at`.
    pub(super) fn begin_lanes(&self, at: Instant) {
        for wired in self.lanes.values() {
            self.timeline.hold(wired.source, at);
            self.find(wired.source, at);
        }
    }

    /// An instrument looks at `source` since `at`.
    fn find(&self, source: Source, at: Instant) {
        if let Some(rate) = self.rate {
            self.push(source, at, Kind::Phases(found(rate)));
        }
    }

    fn recorded(&self) -> Vec<Source> {
        let lanes = self.lanes.values().filter(|_| self.are_wanted).map(|wired| wired.source);
        lanes.chain(self.inputs.values().copied()).collect()
    }

    /// Takes in what was told, on a clock that `at` translates.
    pub(super) fn take(&mut self, told: Told, at: &dyn Fn(Ticks) -> Instant) {
        match told {
            Told::Pulses(lane, since, pulses) => {
                let clock_hz = self.clock_hz;
                let Some(wired) = self.lanes.get_mut(&lane) else { return };
                let whole = wired.lane.take(since, &pulses, clock_hz);
                for stretch in whole {
                    self.record(lane, &stretch, at);
                }
            }
            // The controller's own pair is looked at when the bench qualifies.
            Told::Edge(LOOP_BACK_INPUT, ..) => {}
            Told::Edge(input, since, level) => {
                if let Some(&source) = self.inputs.get(&input) {
                    let level = if level == Seen::High { Level::High } else { Level::Low };
                    self.push(source, at(since), Kind::Edge(level));
                }
            }
            Told::Driven(Wire::Line(line), since, drive) => self.driven(line, drive, at(since)),
            // Nobody asks for the bus: no rig file names a display yet.
            Told::Driven(..) | Told::Transfer(..) => {}
            Told::Lost(stream, from, until) => self.lose(stream, at(from), at(until)),
            Told::Complete(until) => self.complete(until, at),
            Told::Missed(reports) => {
                let reason: Arc<str> =
                    format!("{reports} reports of the controller were lost on the way").into();
                for source in self.recorded() {
                    let from = self.timeline.complete_until(source);
                    let length = self.timeline.now().since(from);
                    self.push(source, from, Kind::Gap(Gap { length, reason: reason.clone() }));
                }
                self.lanes.values_mut().for_each(|wired| wired.lost = true);
            }
        }
    }

    /// A line is driven so since `at`. What nobody looks at is what it is driven to.
    pub(super) fn driven(&self, line: u8, drive: Drive, at: Instant) {
        if let Some(&source) = self.lines.get(&line) {
            // Released, it is what the board's own resistor makes it.
            let level = if drive == Drive::Low { Level::Low } else { Level::High };
            self.push(source, at, Kind::Edge(level));
        }
    }

    fn lose(&self, stream: Stream, from: Instant, until: Instant) {
        let reason: Arc<str> = "the controller had no room for what it recorded".into();
        let sources: Vec<Source> = match stream {
            Stream::Lane(lane) => self.lanes.get(&lane).map(|wired| wired.source).into_iter().collect(),
            Stream::Edges => self.inputs.values().copied().collect(),
            Stream::Bus => Vec::new(),
        };
        for source in sources {
            let gap = Gap { length: until.since(from), reason: reason.clone() };
            self.push(source, from, Kind::Gap(gap));
            if matches!(stream, Stream::Lane(_)) {
                self.find(source, until);
            }
        }
    }

    /// All before `until` has been told.
    fn complete(&mut self, until: Ticks, at: &dyn Fn(Ticks) -> Instant) {
        let clock_hz = self.clock_hz;
        let of = |(number, wired): (&u8, &mut Wired)| {
            let whole = wired.lane.complete(until, clock_hz);
            (*number, wired.source, whole, wired.lane.owes_from(until))
        };
        let lanes: Vec<_> = self.lanes.iter_mut().filter(|_| self.are_wanted).map(of).collect();
        for (number, source, whole, owes_from) in lanes {
            if let Some(stretch) = whole {
                self.record(number, &stretch, at);
            }
            self.timeline.promise(source, at(owes_from));
        }
        for &source in self.inputs.values() {
            self.timeline.promise(source, at(until));
        }
    }

    fn record(&mut self, lane: u8, stretch: &Stretch, at: &dyn Fn(Ticks) -> Instant) {
        let Some(wired) = self.lanes.get_mut(&lane) else { return };
        let (source, began) = (wired.source, at(stretch.began));
        let lost = std::mem::take(&mut wired.lost);
        match self.rate {
            Some(rate) => {
                if lost {
                    self.find(source, began);
                }
                self.push(source, began, Kind::Phases(stretch.phases(rate)));
            }
            None => {
                for (at, kind) in stretch.events(began, self.clock_hz) {
                    self.push(source, at, kind);
                }
            }
        }
    }

    fn push(&self, source: Source, at: Instant, kind: Kind) {
        if let Err(error) = self.timeline.push(source, at, self.tick, kind) {
            let gap = Gap { length: Duration::ZERO, reason: error.to_string().into() };
            let now = self.timeline.now().max(at);
            // What contradicts itself is worth nothing, and nobody shall believe the rest.
            let _ = self.timeline.push(source, now, self.tick, Kind::Gap(gap));
        }
    }
}
