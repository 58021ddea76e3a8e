//! The board, with a controller's hands on its wires.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rigor_controller::message::{Drive, LOOP_BACK_INPUT, Level, Refusal, Wanted, Waveform, Wire};
use rigor_controller::{Said, Ticks};
use rigor_core::event::{Flow, Kind};
use rigor_core::part::{self, Net};
use rigor_core::verdict::RigError;
use rigor_core::{Instant, Rig, Source, event};

use crate::chip::{Chip, HOLD, State};
use crate::heard::Heard;
use crate::lanes::Lane;
use crate::playing::{Due, Playing};

/// What was on the timeline this long ago is forgotten.
const KEPT: Duration = Duration::from_secs(1);

/// Takes what the controller says.
pub(crate) type Say<'a> = &'a mut dyn FnMut(Said<'_>);

/// Something that the device did on a channel that is not the controller's.
pub(crate) enum Crossing {
    Printed(Arc<[u8]>),
    Flow(Flow),
}

pub(crate) struct Device {
    rig: Rig,
    heard: Heard,
    chip: Chip,
    playing: Playing,
    lanes: Vec<(Source, Lane)>,
    lines: Vec<(Source, Rc<dyn part::Pin>)>,
    wanted: Wanted,
    forgotten: Instant,
}

impl Device {
    /// The device of `rig`, on which nothing has happened yet.
    pub(crate) fn new(rig: Rig) -> Self {
        let parts = &rig.parts;
        let lanes: Vec<_> =
            (0..).zip(&parts.leds).map(|(number, lane)| (lane.source, Lane::new(number))).collect();
        let lines: Vec<_> = parts.pins.values().map(|pin| (pin.source(), pin.clone())).collect();
        let others = parts.console.iter().map(|console| console.source());
        let others = others.chain(parts.net.iter().map(|net| net.source()));
        let wires = lanes.iter().map(|(source, _)| *source).chain(lines.iter().map(|(source, _)| *source));
        let heard = Heard::listen(&rig.timeline, others.chain(wires));
        let chip = Chip::new(parts.power.clone(), parts.reset.clone());
        let (wanted, forgotten) = (Wanted::default(), Instant::ZERO);
        Device { rig, heard, chip, playing: Playing::default(), lanes, lines, wanted, forgotten }
    }

    pub(crate) fn parts(&self) -> &rigor_core::rig::Parts {
        &self.rig.parts
    }

    pub(crate) fn net(&self) -> Option<Rc<dyn Net>> {
        self.rig.parts.net.clone()
    }

    pub(crate) fn chip(&mut self) -> &mut Chip {
        &mut self.chip
    }

    pub(crate) fn starts(&self) -> u32 {
        self.chip.starts()
    }

    pub(crate) fn state(&self) -> State {
        self.chip.state()
    }

    pub(crate) fn lanes(&self) -> u8 {
        u8::try_from(self.lanes.len()).unwrap_or(u8::MAX)
    }

    pub(crate) fn lines(&self) -> u8 {
        u8::try_from(self.lines.len()).unwrap_or(u8::MAX)
    }

    /// Its clock: a tick is a nanosecond.
    pub(crate) fn now(&self) -> Ticks {
        Ticks(self.rig.timeline.now().as_nanos())
    }

    /// Types on its console.
    pub(crate) fn type_in(&self, bytes: &[u8]) -> Result<(), RigError> {
        match &self.rig.parts.console {
            Some(console) if self.state() == State::Runs => console.write(bytes),
            _ => Ok(()),
        }
    }

    /// Records this and nothing else.
    ///
    /// # Errors
    /// If it has no such wires.
    pub(crate) fn record(&mut self, wanted: Wanted) -> Result<(), Refusal> {
        let known = |mask: u8, count: usize| count >= 8 || mask >> count == 0;
        if wanted.bus || !known(wanted.lanes, self.lanes.len()) || !known(wanted.edges, self.lines.len()) {
            return Err(Refusal::NoSuchWire);
        }
        self.wanted = wanted;
        Ok(())
    }

    /// Drives a wire from now on.
    ///
    /// # Errors
    /// The refusal inside; outside the rig's, if it fails.
    pub(crate) fn drive(&mut self, wire: Wire, drive: Drive) -> Result<Result<(), Refusal>, RigError> {
        if let Err(refusal) = self.check(wire, drive) {
            return Ok(Err(refusal));
        }
        self.playing.end(wire);
        self.pull(wire, drive).map(Ok)
    }

    /// Plays a waveform.
    ///
    /// # Errors
    /// [`Refusal`].
    pub(crate) fn play(&mut self, waveform: Waveform) -> Result<(), Refusal> {
        for step in &waveform.steps {
            self.check(waveform.wire, step.drive)?;
        }
        self.playing.begin(waveform, self.now().0)
    }

    /// Sends edges over the loop-back pair.
    ///
    /// # Errors
    /// [`Refusal`].
    pub(crate) fn loop_back(&mut self, edges: u16, spacing: u32) -> Result<(), Refusal> {
        self.playing.loop_back(edges, spacing, self.now().0)
    }

    fn check(&self, wire: Wire, drive: Drive) -> Result<(), Refusal> {
        let is_there = match wire {
            Wire::Line(line) => usize::from(line) < self.lines.len(),
            Wire::Reset | Wire::Boot => self.chip.has_reset(),
            Wire::Power => self.chip.has_power(),
            Wire::LoopBack => false,
        };
        match (is_there, wire, drive) {
            (false, ..) => Err(Refusal::NoSuchWire),
            (true, Wire::Power, _) | (true, _, Drive::Low | Drive::Release) => Ok(()),
            (true, _, Drive::High) => Err(Refusal::NeverHigh),
        }
    }

    fn pull(&mut self, wire: Wire, drive: Drive) -> Result<(), RigError> {
        match wire {
            Wire::Power => self.chip.switch(drive == Drive::High),
            Wire::Reset => self.chip.pull_reset(drive == Drive::Low),
            Wire::Boot => {
                self.chip.pull_strap(drive == Drive::Low);
                Ok(())
            }
            Wire::Line(line) => {
                let drive = match drive {
                    Drive::Low => part::Drive::Low,
                    Drive::High => part::Drive::High,
                    Drive::Release => part::Drive::Release,
                };
                self.lines.get(usize::from(line)).map_or(Ok(()), |(_, pin)| pin.drive(drive))
            }
            Wire::LoopBack => Ok(()),
        }
    }

    /// Does what is due now; whether anything was.
    ///
    /// # Errors
    /// The rig's, if it fails.
    pub(crate) fn play_on(&mut self, say: Say<'_>) -> Result<bool, RigError> {
        let (at, mut any) = (self.now(), false);
        while let Some(due) = self.playing.due(at.0) {
            any = true;
            match due {
                Due::Step { wire, drive } => {
                    self.pull(wire, drive)?;
                    say(Said::Driven { wire, at, drive });
                }
                Due::Edge(level) => say(Said::Edge { input: LOOP_BACK_INPUT, at, level }),
            }
        }
        Ok(any)
    }

    /// Lets it live until its clock shows `until`, or it has done something, or something is due, or there is
    /// `enough`.
    ///
    /// # Errors
    /// The rig's, if it fails.
    pub(crate) fn run(&mut self, until: Ticks, enough: &dyn Fn() -> bool) -> Result<(), RigError> {
        let until = self.playing.next().map_or(until, |next| until.min(Ticks(next)));
        while self.now() < until && !self.heard.is_any() && !enough() {
            let step = if self.chip.is_kept() { self.now() + HOLD.as_nanos() as u64 } else { until };
            let heard = &self.heard;
            let to = Instant::from_nanos(step.min(until).0);
            self.rig.drive.run(to, &|| heard.is_any() || enough())?;
            self.chip.keep()?;
        }
        let now = self.rig.timeline.now();
        if now.since(self.forgotten) > KEPT {
            self.forgotten = now;
            self.rig.timeline.forget_before(now - KEPT);
        }
        Ok(())
    }

    /// Says what the wires have done, up to the first thing that is not the controller's to say.
    pub(crate) fn look(&mut self, say: Say<'_>) -> Option<Crossing> {
        while let Some((source, event)) = self.heard.fetch() {
            let at = event.at.as_nanos();
            match event.kind {
                Kind::Serial(serial) => return Some(Crossing::Printed(serial.bytes)),
                Kind::Flow(flow) => return Some(Crossing::Flow(flow)),
                Kind::Burst(burst) => {
                    for (after, level) in burst.edges() {
                        self.edge(source, at + after, level, say);
                    }
                }
                Kind::Edge(level) => self.edge(source, at, level, say),
                _ => {}
            }
        }
        for (_, lane) in &mut self.lanes {
            lane.settle(say);
        }
        None
    }

    fn edge(&mut self, source: Source, at: u64, level: event::Level, say: Say<'_>) {
        let level = match level {
            event::Level::Low => Level::Low,
            event::Level::High => Level::High,
        };
        for (number, (_, lane)) in self.lanes.iter_mut().enumerate().filter(|(_, lane)| lane.0 == source) {
            if self.wanted.lanes >> number & 1 == 1 {
                lane.edge(at, level, say);
            }
        }
        for (number, _) in self.lines.iter().enumerate().filter(|(_, line)| line.0 == source) {
            if self.wanted.edges >> number & 1 == 1 {
                say(Said::Edge { input: number as u8, at: Ticks(at), level });
            }
        }
    }

    /// Until when all that is recorded has been said: until now, or until something began that still goes on.
    pub(crate) fn complete_until(&self) -> Ticks {
        let recorded = |mask: u8, number: usize| mask >> number & 1 == 1;
        let lanes = self.lanes.iter().map(|(source, _)| *source).enumerate();
        let lanes = lanes.filter(|&(number, _)| recorded(self.wanted.lanes, number));
        let lines = self.lines.iter().map(|(source, _)| *source).enumerate();
        let lines = lines.filter(|&(number, _)| recorded(self.wanted.edges, number));
        let timeline = &self.rig.timeline;
        let complete = lanes.chain(lines).map(|(_, source)| timeline.complete_until(source)).min();
        complete.map_or(self.now(), |until| Ticks(until.as_nanos()).min(self.now()))
    }
}
