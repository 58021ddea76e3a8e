//! A bench that fails on purpose, so that blame can be shown to fall where it belongs.
//!
//! These are not faults of the device or of the air between: the product must not be blamed for any
//! of them. Each says which verdict it must lead to instead.

use std::num::NonZeroU32;
use std::panic::resume_unwind;
use std::rc::Rc;
use std::time::Duration;

use rigor_board::Board;
use rigor_core::event::{ConnectionId, Gap, Kind};
use rigor_core::part::{Capture, Console, Net, Recipient};
use rigor_core::rig::Drive;
use rigor_core::verdict::{RigError, Verdict};
use rigor_core::{Instant, Rig, Source, Timeline};
use serde::Deserialize;

/// Something wrong with the bench. Times are on the rig's clock.
#[derive(Clone, Copy, PartialEq, Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum RigFault {
    /// The rig cannot be taken, as one whose instrument is still starting.
    Unavailable {
        /// How many attempts at a case fail before one succeeds.
        attempts: NonZeroU32,
    },
    /// The rig's network adapter goes away: nothing passes any more, and asked it says so.
    LinkDies {
        /// When, in milliseconds.
        at_ms: u32,
    },
    /// The serial adapter is not plugged in: its console stays empty, and asked it says so.
    ConsoleUnplugged {},
    /// The instrument that watches wires is not plugged in: asked to watch one it says so.
    AnalyserUnplugged {},
    /// What moves the rig's clock stops answering.
    ClockDies {
        /// When, in milliseconds.
        at_ms: u32,
    },
    /// The instrument that captures the first LED lane, or the console where there is none, runs out of
    /// memory and says that it has lost data.
    CaptureGap {
        /// From when on, in milliseconds.
        at_ms: u32,
        /// How much, in milliseconds.
        length_ms: u32,
    },
    /// The harness's own code panics.
    Panics {
        /// When, in milliseconds.
        at_ms: u32,
    },
}

impl RigFault {
    /// What a requirement that is hit by it must come to.
    pub fn verdict(&self) -> Verdict {
        match self {
            RigFault::Unavailable { .. }
            | RigFault::LinkDies { .. }
            | RigFault::ConsoleUnplugged {}
            | RigFault::AnalyserUnplugged {}
            | RigFault::ClockDies { .. } => Verdict::RigFault,
            RigFault::CaptureGap { .. } => Verdict::Inconclusive,
            RigFault::Panics { .. } => Verdict::HarnessBug,
        }
    }

    /// Whether the rig can be taken in the attempt of this number, from 0.
    ///
    /// # Errors
    /// [`RigError`] if not.
    pub(crate) fn check_available(&self, attempt: u32) -> Result<(), RigError> {
        match self {
            RigFault::Unavailable { attempts } if attempt < attempts.get() => Err(RigError(format!(
                "the rig does not answer (attempt {}); look whether its instrument has started",
                attempt + 1
            ))),
            _ => Ok(()),
        }
    }

    /// When it strikes.
    fn at(&self) -> Option<Instant> {
        match *self {
            RigFault::LinkDies { at_ms }
            | RigFault::ClockDies { at_ms }
            | RigFault::CaptureGap { at_ms, .. }
            | RigFault::Panics { at_ms } => Some(Instant::ZERO + Duration::from_millis(at_ms.into())),
            RigFault::Unavailable { .. } | RigFault::ConsoleUnplugged {} | RigFault::AnalyserUnplugged {} => {
                None
            }
        }
    }
}

/// `rig`, whose device is `board`, with a bench that fails as `fault` says.
pub(crate) fn fail(mut rig: Rig, board: Rc<Board>, fault: RigFault) -> Rig {
    let captured = rig.parts.leds.first().map(|lane| lane.source);
    let captured = captured.or_else(|| rig.parts.console.as_ref().map(|console| console.source()));
    match fault {
        RigFault::ConsoleUnplugged {} if rig.parts.console.is_some() => {
            let source = rig.timeline.source("console.unplugged");
            rig.parts.console = Some(Rc::new(Unplugged(source)));
        }
        RigFault::AnalyserUnplugged {} => rig.parts.capture = Some(Rc::new(NoAnalyser)),
        RigFault::LinkDies { .. } => {
            rig.parts.net = rig.parts.net.map(|net| -> Rc<dyn Net> {
                Rc::new(DyingNet {
                    net,
                    timeline: rig.timeline.clone(),
                    from: fault.at().unwrap_or(Instant::MAX),
                })
            });
        }
        _ => {}
    }
    rig.drive = Box::new(Failing {
        drive: rig.drive,
        board,
        fault,
        timeline: rig.timeline.clone(),
        captured,
        pending: true,
    });
    rig
}

struct Failing {
    drive: Box<dyn Drive>,
    board: Rc<Board>,
    fault: RigFault,
    timeline: Timeline,
    /// The lane that an instrument captures.
    captured: Option<Source>,
    /// It has not struck yet.
    pending: bool,
}

impl Failing {
    fn has_struck(&self) -> bool {
        self.fault.at().is_some_and(|at| self.timeline.now() >= at)
    }

    /// The instrument has lost what it saw from now on. A lane that something is being shifted out on
    /// is about to be told of what began earlier, so the gap has to wait for that.
    fn lose(&mut self, length: Duration) -> Result<(), RigError> {
        let now = self.timeline.now();
        let Some(lane) = self.captured.filter(|&lane| self.timeline.complete_until(lane) >= now) else {
            return Ok(());
        };
        self.pending = false;
        let gap = Gap { length, reason: "the instrument's memory was full".into() };
        self.timeline
            .push(lane, now, Duration::ZERO, Kind::Gap(gap))
            .map_err(|error| RigError(format!("the instrument's gap came too late: {error}")))
    }
}

impl Drive for Failing {
    fn run(&mut self, until: Instant, woken: &dyn Fn() -> bool) -> Result<(), RigError> {
        // Not past the instant at which it strikes, and a gap looks for its moment from there on.
        const STEP: Duration = Duration::from_millis(1);
        let until = match self.fault.at().filter(|_| self.pending) {
            Some(at) if self.timeline.now() < at => until.min(at),
            Some(_) => until.min(self.timeline.now() + STEP),
            None => until,
        };
        self.drive.run(until, woken)?;
        if !self.pending || !self.has_struck() {
            return Ok(());
        }
        match self.fault {
            RigFault::CaptureGap { length_ms, .. } => {
                return self.lose(Duration::from_millis(length_ms.into()));
            }
            RigFault::LinkDies { .. } => self.board.unplug_link(),
            RigFault::ClockDies { .. } => {
                return Err(RigError("the rig's clock does not answer; look at its instrument".into()));
            }
            // Without the report on the standard error, which is for panics that nobody wants.
            RigFault::Panics { .. } => resume_unwind(Box::new("the bench's model panics on purpose")),
            RigFault::Unavailable { .. } | RigFault::ConsoleUnplugged {} | RigFault::AnalyserUnplugged {} => {
            }
        }
        self.pending = false;
        Ok(())
    }

    fn self_check(&self) -> Result<(), RigError> {
        match self.fault {
            RigFault::LinkDies { .. } if self.has_struck() => Err(link_is_gone()),
            RigFault::ConsoleUnplugged {} => Err(console_is_gone()),
            _ => self.drive.self_check(),
        }
    }
}

fn link_is_gone() -> RigError {
    RigError("the rig's network adapter is gone; plug it in again".into())
}

fn console_is_gone() -> RigError {
    RigError("the console's serial adapter is not there; plug it in".into())
}

struct Unplugged(Source);

impl Console for Unplugged {
    fn write(&self, _bytes: &[u8]) -> Result<(), RigError> {
        Err(console_is_gone())
    }
    fn source(&self) -> Source {
        self.0
    }
}

struct NoAnalyser;

impl Capture for NoAnalyser {
    fn begin(&self, _source: Source) -> Result<(), RigError> {
        Err(RigError("the rig's logic analyser is not there; plug it in".into()))
    }
}

struct DyingNet {
    net: Rc<dyn Net>,
    timeline: Timeline,
    from: Instant,
}

impl DyingNet {
    fn alive(&self) -> Result<&dyn Net, RigError> {
        if self.timeline.now() < self.from { Ok(&*self.net) } else { Err(link_is_gone()) }
    }
}

impl Net for DyingNet {
    fn connect(&self, port: u16) -> Result<ConnectionId, RigError> {
        self.alive()?.connect(port)
    }
    fn send(&self, connection: ConnectionId, bytes: &[u8]) -> Result<(), RigError> {
        self.alive()?.send(connection, bytes)
    }
    fn finish(&self, connection: ConnectionId) -> Result<(), RigError> {
        self.alive()?.finish(connection)
    }
    fn reset(&self, connection: ConnectionId) -> Result<(), RigError> {
        self.alive()?.reset(connection)
    }
    fn cannot_vanish(&self) -> Option<String> {
        self.net.cannot_vanish()
    }
    fn vanish(&self, connection: ConnectionId) -> Result<(), RigError> {
        self.alive()?.vanish(connection)
    }
    fn datagrams(&self, port: u16, to: Recipient) -> Result<ConnectionId, RigError> {
        self.alive()?.datagrams(port, to)
    }
    fn source(&self) -> Source {
        self.net.source()
    }
}
