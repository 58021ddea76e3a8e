//! What the controller tells of the board's wires, on the timeline.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rigor_controller::message::{Drive, LOOP_BACK_INPUT, Level as Seen, Stream, Wanted, Wire};
use rigor_controller::{Identity, Ticks};
use rigor_core::event::Gap;
use rigor_core::{Instant, Kind, Level, Source, Timeline};

use super::error::BenchError;
use super::lane::{Lane, Stretch};
use super::line::Told;
use crate::file::{Bench, RigFile};

/// The wires, by their number on the controller.
pub(super) struct Wires {
    timeline: Timeline,
    clock_hz: u32,
    /// Of a wire that it samples: what is not known of an edge's place.
    tick: Duration,
    lanes: BTreeMap<u8, (Source, Lane)>,
    inputs: BTreeMap<u8, Source>,
    /// Lines whose level nobody looks at: it is what they are driven to.
    lines: BTreeMap<u8, Source>,
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
            .filter_map(|lane| Some((*bench.lanes.get(&lane.signal)?, (pin(lane.pin), Lane::default()))));
        let inputs =
            file.pins.iter().filter_map(|wire| Some((*bench.inputs.get(&wire.signal)?, pin(wire.pin))));
        let unseen = file.pins.iter().filter(|wire| !bench.inputs.contains_key(&wire.signal));
        let lines = unseen.filter_map(|wire| Some((*bench.lines.get(&wire.signal)?, pin(wire.pin))));
        Ok(Wires {
            lanes: lanes.collect(),
            inputs: inputs.collect(),
            lines: lines.collect(),
            tick: Duration::from_nanos(1_000_000_000_u64.div_ceil(u64::from(identity.clock_hz))),
            clock_hz: identity.clock_hz,
            timeline: timeline.clone(),
        })
    }

    /// Those of a bench without a controller.
    fn none(timeline: &Timeline) -> Self {
        Wires {
            timeline: timeline.clone(),
            clock_hz: 1,
            tick: Duration::ZERO,
            lanes: BTreeMap::new(),
            inputs: BTreeMap::new(),
            lines: BTreeMap::new(),
        }
    }

    /// What the controller is to record for them.
    pub(super) fn wanted(&self) -> Wanted {
        let bit = |bits: u8, number: &u8| bits | 1 << (number & 7);
        let (lanes, edges) = (self.lanes.keys().fold(0, bit), self.inputs.keys().fold(0, bit));
        Wanted { lanes, edges, bus: false }
    }

    /// The controller records since `at`. From now on its word counts, and not the clock's.
    pub(super) fn begin(&self, at: Instant) {
        for source in self.recorded() {
            self.timeline.hold(source, at);
        }
    }

    fn recorded(&self) -> Vec<Source> {
        self.lanes.values().map(|(source, _)| source).chain(self.inputs.values()).copied().collect()
    }

    /// Takes in what was told, on a clock that `at` translates.
    pub(super) fn take(&mut self, told: Told, at: &dyn Fn(Ticks) -> Instant) {
        match told {
            Told::Pulses(lane, since, pulses) => {
                let clock_hz = self.clock_hz;
                let Some((source, lane)) = self.lanes.get_mut(&lane) else { return };
                let (source, whole) = (*source, lane.take(since, &pulses, clock_hz));
                for stretch in whole {
                    self.record(source, &stretch, at);
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
            Stream::Lane(lane) => self.lanes.get(&lane).map(|(source, _)| *source).into_iter().collect(),
            Stream::Edges => self.inputs.values().copied().collect(),
            Stream::Bus => Vec::new(),
        };
        for source in sources {
            let gap = Gap { length: until.since(from), reason: reason.clone() };
            self.push(source, from, Kind::Gap(gap));
        }
    }

    /// All before `until` has been told.
    fn complete(&mut self, until: Ticks, at: &dyn Fn(Ticks) -> Instant) {
        let clock_hz = self.clock_hz;
        let of = |(source, lane): &mut (Source, Lane)| {
            let whole = lane.complete(until, clock_hz);
            (*source, whole, lane.owes_from(until))
        };
        let lanes: Vec<_> = self.lanes.values_mut().map(of).collect();
        for (source, whole, owes_from) in lanes {
            if let Some(stretch) = whole {
                self.record(source, &stretch, at);
            }
            self.timeline.promise(source, at(owes_from));
        }
        for &source in self.inputs.values() {
            self.timeline.promise(source, at(until));
        }
    }

    fn record(&self, source: Source, stretch: &Stretch, at: &dyn Fn(Ticks) -> Instant) {
        for (at, kind) in stretch.events(at(stretch.began), self.clock_hz) {
            self.push(source, at, kind);
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
