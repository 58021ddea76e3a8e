//! The loop that keeps a board in step with the host's clock, and everything around it attended to.
//!
//! One thread owns all of it. A turn lets the board live up to the present moment, hands on what it did,
//! and sleeps until the board has something to do again or somebody outside wants something.

use std::cell::Cell;
use std::io;
use std::time::{Duration, Instant as HostInstant};

use rigor_core::rig::Rig;
use rigor_core::timeline::Cursor;
use rigor_core::{Instant, Kind};

use crate::SimulateError;
use crate::arguments::Arguments;
use crate::bridge::Bridge;
use crate::console::{Console, Line};
use crate::frames::FrameFile;
use crate::pace::Pace;
use crate::scene::Scene;
use crate::stop::Stop;
use crate::wait::{Ready, Wanted};

/// The board lives at most this long before the outside is attended to, in time of the host.
const SLICE: Duration = Duration::from_millis(10);
/// How often a slice looks at the host's clock: every so many steps of the board.
const STEPS: u32 = 64;
/// A board that does nothing is looked at this often.
const IDLE: Duration = Duration::from_millis(500);
/// What was on the timeline this long ago is forgotten.
const KEPT: Duration = Duration::from_secs(1);
/// Complaints about a slow host come no more often, in time of the host.
const COMPLAINT_PERIOD: Duration = Duration::from_secs(5);

/// A rig in real time.
pub(crate) struct Simulation {
    rig: Rig,
    pace: Pace,
    pub(crate) bridge: Option<Bridge>,
    pub(crate) console: Console,
    line: Line,
    scene: Scene,
    frames: Option<FrameFile>,
    flows: Option<Cursor>,
    prints: Option<Cursor>,
    /// When the board is to end.
    end: Instant,
    complained: Option<(HostInstant, Duration)>,
    forgotten: Instant,
}

impl Simulation {
    /// Of `rig`, on which nothing has happened yet.
    pub(crate) fn new(
        rig: Rig,
        arguments: &Arguments,
        baud: u32,
        bridge: Option<Bridge>,
        console: Console,
        frames: Option<FrameFile>,
    ) -> Self {
        let now = rig.timeline.now();
        let start = |source| rig.timeline.cursor_at_start(source);
        Simulation {
            pace: Pace::new(HostInstant::now(), now, arguments.speed),
            bridge,
            console,
            line: Line::new(baud),
            scene: Scene::new(&rig),
            frames,
            flows: rig.parts.net.as_ref().map(|part| start(part.source())),
            prints: rig.parts.console.as_ref().map(|part| start(part.source())),
            end: arguments.length.map_or(Instant::MAX, |length| now + length),
            complained: None,
            forgotten: now,
            rig,
        }
    }

    /// Runs it until somebody asks for the end.
    ///
    /// # Errors
    /// If the bench, the console or a file fails.
    pub(crate) fn run(&mut self, stop: &Stop) -> Result<(), SimulateError> {
        if let Some(power) = &self.rig.parts.power {
            power.on()?;
        }
        self.pace = Pace::new(HostInstant::now(), self.now(), self.pace.speed());
        while !stop.is_asked() && self.now() < self.end {
            let in_step = self.advance(HostInstant::now())?;
            self.collect()?;
            let limit = if in_step { self.rest(HostInstant::now()) } else { Duration::ZERO };
            let ready = self.wait(stop, limit)?;
            self.attend(&ready)?;
        }
        self.collect()
    }

    fn now(&self) -> Instant {
        self.rig.timeline.now()
    }

    /// Lets the board live up to `now`, or for a slice; whether it got there.
    fn advance(&mut self, now: HostInstant) -> Result<bool, SimulateError> {
        let lag = self.pace.lag(now, self.now());
        self.complain(now, lag);
        let target = self.pace.target(now).min(self.end);
        let steps = Cell::new(0_u32);
        let enough = || {
            steps.set(steps.get().wrapping_add(1));
            steps.get().is_multiple_of(STEPS) && now.elapsed() > SLICE
        };
        self.rig.drive.run(target, &enough)?;
        Ok(self.now() >= target)
    }

    fn complain(&mut self, now: HostInstant, lag: Duration) {
        let given_up = self.pace.given_up();
        let (last, known) = self.complained.unwrap_or((now, Duration::ZERO));
        let due = self.complained.is_none() || now.duration_since(last) >= COMPLAINT_PERIOD;
        if given_up > known && due {
            eprintln!(
                "the host is too slow: the board is {} ms behind, and has been given {:.1} s less than passed; \
                 try a lower --speed",
                lag.as_millis(),
                given_up.as_secs_f64()
            );
            self.complained = Some((now, given_up));
        }
    }

    /// Hands on what the board has done.
    fn collect(&mut self) -> Result<(), SimulateError> {
        let now = self.now();
        while let Some(event) = self.flows.as_mut().and_then(Cursor::try_next) {
            if let (Kind::Flow(flow), Some(bridge)) = (&event.kind, &mut self.bridge) {
                bridge.event(flow)?;
            }
        }
        while let Some(event) = self.prints.as_mut().and_then(Cursor::try_next) {
            if let Kind::Serial(serial) = &event.kind {
                self.console.print(&serial.bytes).map_err(SimulateError::Console)?;
            }
        }
        let mut written: io::Result<()> = Ok(());
        let file = &mut self.frames;
        self.scene.collect(now, |strip, number, frame| {
            if let Some(file) = file.as_mut().filter(|_| written.is_ok()) {
                written = file.frame(&strip.signal, number, frame);
            }
        });
        let flushed = written.and_then(|()| self.frames.as_mut().map_or(Ok(()), FrameFile::flush));
        flushed.map_err(SimulateError::Frames)?;
        if now.since(self.forgotten) > KEPT {
            self.forgotten = now;
            self.rig.timeline.forget_before(now - KEPT);
        }
        Ok(())
    }

    /// How long nothing is to be done.
    fn rest(&self, now: HostInstant) -> Duration {
        let next = self.rig.drive.next_event().map_or(self.end, |next| next.min(self.end));
        self.pace.until(next, now).map_or(IDLE, |rest| rest.min(IDLE))
    }

    fn wait(&self, stop: &Stop, limit: Duration) -> Result<Ready, SimulateError> {
        let mut wanted = Wanted::default();
        stop.wanted(&mut wanted);
        if let Some(bridge) = &self.bridge {
            bridge.wanted(HostInstant::now(), &mut wanted);
        }
        self.console.wanted(&self.line, self.now(), &mut wanted);
        wanted.wait(limit).map_err(SimulateError::Wait)
    }

    /// What came from outside happens on the board at the moment at which it came.
    fn attend(&mut self, ready: &Ready) -> Result<(), SimulateError> {
        let now = HostInstant::now();
        self.advance(now)?;
        if let Some(bridge) = &mut self.bridge {
            bridge.attend(ready, now)?;
        }
        let typed = self.console.attend(ready).map_err(SimulateError::Console)?;
        self.type_in(&typed)
    }

    fn type_in(&mut self, bytes: &[u8]) -> Result<(), SimulateError> {
        if let Some(console) = self.rig.parts.console.as_ref().filter(|_| !bytes.is_empty()) {
            self.line.type_in(bytes.len(), self.rig.timeline.now());
            console.write(bytes)?;
        }
        Ok(())
    }
}
