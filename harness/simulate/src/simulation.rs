//! The loop that keeps a board in step with the host's clock, and everything around it attended to.
//!
//! One thread owns all of it. A turn lets the board live up to the present moment, hands on what it did,
//! and sleeps until the board has something to do again or somebody outside wants something.

use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant as HostInstant};

use rigor_core::host::HostDelay;
use rigor_core::part::{Drive, Pin};
use rigor_core::rig::Rig;
use rigor_core::timeline::Cursor;
use rigor_core::{Instant, Kind};

use crate::SimulateError;
use crate::arguments::Arguments;
use crate::bridge::Bridge;
use crate::console::{Console, Line};
use crate::frames::FrameFile;
use crate::pace::{Pace, Speed, Speedometer};
use crate::ready::Whereabouts;
use crate::scene::{Scene, State};
use crate::stop::Stop;
use crate::view::{Act, Keeping, Shown, View};
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

/// A key has no release in a terminal: a button is held for this long, in time of the board.
const PRESS: Duration = Duration::from_millis(150);

/// A device that lives in the host's time is let go on for so long before the outside is attended to.
const MOMENT: Duration = Duration::from_millis(1);

/// What is put around a rig.
pub(crate) struct Surroundings {
    pub(crate) bridge: Option<Bridge>,
    pub(crate) console: Console,
    pub(crate) view: View,
    pub(crate) frames: Option<FrameFile>,
    pub(crate) whereabouts: Whereabouts,
}

/// A rig in real time.
pub(crate) struct Simulation {
    /// First, so that a view is closed before a board that it shows is gone.
    view: View,
    rig: Rig,
    /// Nobody but the host has a hand on its clock.
    in_host_time: bool,
    pace: Pace,
    speedometer: Speedometer,
    bridge: Option<Bridge>,
    console: Console,
    whereabouts: Whereabouts,
    pins: Vec<String>,
    /// Buttons that are held, and until when.
    held: Vec<(Instant, Rc<dyn Pin>)>,
    quits: bool,
    drawn: HostInstant,
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
    pub(crate) fn new(rig: Rig, arguments: &Arguments, baud: u32, around: Surroundings) -> Self {
        let (host, now) = (HostInstant::now(), rig.timeline.now());
        let Surroundings { bridge, console, view, frames, whereabouts } = around;
        let start = |source| rig.timeline.cursor_at_start(source);
        Simulation {
            view,
            in_host_time: HostDelay::of(&rig.timeline).is_some(),
            pace: Pace::new(host, now, arguments.speed),
            speedometer: Speedometer::new(host, now, arguments.speed),
            bridge,
            console,
            whereabouts,
            pins: rig.parts.pins.keys().cloned().collect(),
            held: Vec::new(),
            quits: false,
            drawn: host,
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
        while !(stop.is_asked() || self.quits) && self.now() < self.end {
            let in_step = self.advance(HostInstant::now())?;
            self.collect()?;
            let now = HostInstant::now();
            self.show(now)?;
            let limit = if in_step { self.rest(now) } else { Duration::ZERO };
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
        let lag = self.lag(now);
        self.complain(now, lag);
        let target = if self.in_host_time { self.now() + MOMENT } else { self.pace.target(now) };
        let target = target.min(self.end);
        let steps = Cell::new(0_u32);
        let enough = || {
            steps.set(steps.get().wrapping_add(1));
            steps.get().is_multiple_of(STEPS) && now.elapsed() > SLICE
        };
        self.rig.drive.run(target, &enough)?;
        Ok(self.now() >= target)
    }

    /// How far the board's clock is behind, where it could be elsewhere.
    fn lag(&mut self, now: HostInstant) -> Duration {
        let board = self.now();
        if self.in_host_time { Duration::ZERO } else { self.pace.lag(now, board) }
    }

    fn complain(&mut self, now: HostInstant, lag: Duration) {
        let given_up = self.pace.given_up();
        if self.view.has_terminal() {
            return; // The view says it.
        }
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
        if self.in_host_time {
            return Duration::ZERO;
        }
        let released = self.held.iter().map(|(until, _)| *until);
        let next = released.chain(self.rig.drive.next_event()).chain([self.end]).min().unwrap_or(self.end);
        let picture = self.view.until_due(self.drawn, now).unwrap_or(IDLE);
        self.pace.until(next, now).map_or(IDLE, |rest| rest.min(IDLE)).min(picture)
    }

    /// A new picture, if it is time for one.
    fn show(&mut self, now: HostInstant) -> Result<(), SimulateError> {
        if self.view.until_due(self.drawn, now) != Some(Duration::ZERO) {
            return Ok(());
        }
        self.drawn = now;
        let (board, lag) = (self.now(), self.lag(now));
        let shown = Shown {
            now: board,
            scene: &self.scene,
            whereabouts: &self.whereabouts,
            clients: self.bridge.as_ref().map(|bridge| bridge.clients().collect()),
            pins: &self.pins,
            keeping: Keeping {
                measured: self.speedometer.read(now, board),
                wanted: self.pace.speed().factor(),
                lag,
                given_up: self.pace.given_up(),
                is_paused: self.pace.is_paused(),
                is_the_hosts: self.in_host_time,
            },
        };
        self.view.draw(&shown).map_err(SimulateError::View)
    }

    fn wait(&self, stop: &Stop, limit: Duration) -> Result<Ready, SimulateError> {
        let mut wanted = Wanted::default();
        stop.wanted(&mut wanted);
        if let Some(bridge) = &self.bridge {
            bridge.wanted(HostInstant::now(), &mut wanted);
        }
        self.console.wanted(&self.line, self.now(), &mut wanted);
        self.view.wanted(&mut wanted);
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
        self.type_in(&typed)?;
        for act in self.view.attend(ready).map_err(SimulateError::View)? {
            self.act(&act, now)?;
        }
        self.release()
    }

    fn act(&mut self, act: &Act, now: HostInstant) -> Result<(), SimulateError> {
        let parts = &self.rig.parts;
        match act {
            Act::Quit => self.quits = true,
            Act::Reset => parts.reset.as_ref().map_or(Ok(()), |reset| reset.pulse())?,
            Act::Power => {
                if let Some(power) = &parts.power {
                    if self.scene.device.state == State::Off { power.on() } else { power.off() }?;
                }
            }
            Act::Pause | Act::Faster | Act::Slower if self.in_host_time => {}
            Act::Pause if self.pace.is_paused() => self.pace.go_on(now),
            Act::Pause => self.pace.pause(self.now()),
            Act::Faster => self.change_speed(now, Speed::faster),
            Act::Slower => self.change_speed(now, Speed::slower),
            Act::Press(number) => {
                if let Some(pin) = parts.pins.values().nth(*number).cloned() {
                    pin.drive(Drive::Low)?;
                    self.held.push((self.now() + PRESS, pin));
                }
            }
            Act::Type(bytes) => self.type_in(bytes)?,
        }
        Ok(())
    }

    fn change_speed(&mut self, now: HostInstant, change: fn(Speed) -> Speed) {
        let paused = self.pace.is_paused();
        self.pace.change_speed(now, self.now(), change(self.pace.speed()));
        if paused {
            self.pace.pause(self.now());
        }
    }

    /// Lets go of buttons that were held long enough.
    fn release(&mut self) -> Result<(), SimulateError> {
        let now = self.now();
        for (_, pin) in self.held.extract_if(.., |(until, _)| *until <= now) {
            pin.drive(Drive::Release)?;
        }
        Ok(())
    }

    fn type_in(&mut self, bytes: &[u8]) -> Result<(), SimulateError> {
        if let Some(console) = self.rig.parts.console.as_ref().filter(|_| !bytes.is_empty()) {
            self.line.type_in(bytes.len(), self.rig.timeline.now());
            console.write(bytes)?;
        }
        Ok(())
    }
}
