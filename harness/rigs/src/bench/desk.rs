//! The bench itself: our ends of the board's wires, the time in which they live, and the parts that act on them.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant as HostInstant};

use rigor_controller::Ticks;
use rigor_controller::message::{Drive as Pull, Step, Waveform, Wire};
use rigor_core::event::{ConnectionId, DeviceEvent, Flow, ResetCause};
use rigor_core::part::{self, Recipient};
use rigor_core::qualification::Qualification;
use rigor_core::rig::Drive;
use rigor_core::verdict::RigError;
use rigor_core::{Instant, Kind, Source, Timeline};

use super::RESET_PULSE;
use super::bell::Bell;
use super::console::Console;
use super::controller::Controller;
use super::device::Device;
use super::error::BenchError;
use super::lease::Lease;
use super::lines::{Lines, RISEN};
use super::loader::{self, Job, Line as LoaderLine};
use super::mapping::ticks_in;
use super::net::{Happened, Net, Unknown};
use super::stamps::Stamps;
use super::supply::Supply;
use super::time::{SCHEDULING, Time};
use super::whereabouts::Lookup;
use super::wires::Wires;
use crate::file::bench::{Chip, ResetVia};
use crate::instrument::modem;

/// The port of a board is there so soon after its supply, on a host that has to load a driver first too.
pub(super) const APPEARS_WITHIN: Duration = Duration::from_secs(10);
/// The ROM of a chip says something as soon as it starts; a board of which nothing was heard by then is not heard at all.
const SPEAKS_WITHIN: Duration = Duration::from_secs(10);
/// How often it is looked for.
pub(super) const LOOK: Duration = Duration::from_millis(5);

/// Our ends of the wires.
pub(super) struct Ends {
    pub(super) timeline: Timeline,
    pub(super) bell: Bell,
    pub(super) controller: Option<Controller>,
    pub(super) console: Option<Console>,
    pub(super) net: Option<Net>,
    pub(super) net_source: Source,
    /// Who finds out where the device is, if the rig file has only its name.
    pub(super) lookup: Option<Lookup>,
    /// When the network was heard last.
    pub(super) net_last: Instant,
    pub(super) stamps: Stamps,
    pub(super) wires: Wires,
    pub(super) device: Device,
}

impl Ends {
    /// Records what happened on the network, each thing when `place` says.
    pub(super) fn record_net(
        &mut self,
        happened: Vec<Happened>,
        place: impl Fn(std::time::Instant) -> (Instant, Duration),
    ) {
        for Happened { at, connection, what } in happened {
            let (at, uncertainty) = place(at);
            self.stamps.hear(uncertainty, &self.timeline);
            // The order is that in which it happened; both clocks may differ by a little.
            self.net_last = self.net_last.max(at);
            let kind = Kind::Flow(Flow { connection, what });
            let _ = self.timeline.push(self.net_source, self.net_last, uncertainty, kind);
        }
    }

    /// Takes in where the device is, if somebody has said so.
    pub(super) fn locate(&mut self) -> Result<(), BenchError> {
        let Some(net) = &mut self.net else { return Ok(()) };
        let told = match net.asks() {
            None => None,
            Some(Unknown::Console) => {
                self.console.as_mut().and_then(|console| console.boot_log.address.take())
            }
            Some(Unknown::Name(_)) => self.lookup.as_ref().and_then(Lookup::try_next),
        };
        told.map_or(Ok(()), |address| net.know(address))
    }

    fn controller(&mut self) -> Result<&mut Controller, BenchError> {
        let none = || BenchError::Other("the rig file names no [controller]; add it".to_owned());
        self.controller.as_mut().ok_or_else(none)
    }
}

/// Who reads and writes the flash chip, and until when.
pub(super) struct Programmer {
    pub(super) chip: Chip,
    pub(super) interrupt: Arc<AtomicBool>,
}

/// The bench. Ours until it is dropped.
pub(super) struct Desk {
    pub(super) ends: Ends,
    pub(super) time: Box<dyn Time>,
    pub(super) programmer: Programmer,
    /// What switches the board's supply, if anything does.
    pub(super) supply: Option<Supply>,
    /// What pulls its reset pin, if anything does.
    pub(super) reset_via: Option<ResetVia>,
    /// What pulls it if the host itself does.
    pub(super) lines: Option<Lines>,
    /// What it has found out of itself.
    pub(super) figures: Qualification,
    pub(super) _lease: Option<Lease>,
}

impl Desk {
    fn run(&mut self, until: Instant, woken: &dyn Fn() -> bool) -> Result<(), BenchError> {
        self.time.run(&mut self.ends, until, woken)
    }

    fn acted(&mut self) -> Result<(), BenchError> {
        self.time.acted(&mut self.ends)
    }

    /// Drives `wire`; since when.
    fn pull(&mut self, wire: Wire, drive: Pull) -> Result<Instant, BenchError> {
        if let (Wire::Reset | Wire::Boot, Some(lines)) = (wire, &mut self.lines) {
            match drive {
                Pull::Release if !self.ends.device.powered => lines.let_go(wire)?,
                _ => lines.pull(wire, drive == Pull::Low)?,
            }
            self.time.catch_up(&mut self.ends)?;
            return Ok(self.ends.timeline.now());
        }
        let at = self.ends.controller()?.drive(wire, drive)?;
        Ok(self.time.instant(at).max(self.ends.timeline.now()))
    }

    fn note(&mut self, at: Instant, event: DeviceEvent) {
        self.ends.device.note(at, Duration::ZERO, event, &self.ends.timeline);
    }

    /// Switches the supply on. Nothing if it is on.
    pub(super) fn power_on(&mut self) -> Result<(), BenchError> {
        if self.ends.device.powered {
            return Ok(());
        }
        self.time.catch_up(&mut self.ends)?;
        let was_there = self.ends.console.as_ref().is_none_or(Console::is_there);
        let at = self.switch(true)?;
        self.ends.device.powered = true;
        self.note(at, DeviceEvent::PowerOn);
        if !was_there {
            self.await_console()?;
        }
        if let Some(console) = &mut self.ends.console {
            console.excuse(false);
        }
        match (was_there, &self.reset_via) {
            (true, _) => self.starts(at, ResetCause::PowerOn),
            // Nobody has heard what it said before its port was there: it begins once more.
            (false, Some(_)) => self.reset(),
            (false, None) => {
                if let Some(console) = &mut self.ends.console {
                    console.record_late(at, self.ends.timeline.now());
                }
                self.starts(at, ResetCause::PowerOn)
            }
        }
    }

    fn power_off(&mut self) -> Result<(), BenchError> {
        if !self.ends.device.powered {
            return Ok(());
        }
        self.time.catch_up(&mut self.ends)?;
        if let Some(console) = &mut self.ends.console {
            console.excuse(true);
        }
        let at = self.switch(false)?;
        self.ends.device.powered = false;
        self.note(at, DeviceEvent::PowerOff);
        self.acted()
    }

    /// Switches the supply; since when it is so.
    fn switch(&mut self, on: bool) -> Result<Instant, BenchError> {
        match &self.supply {
            Some(Supply::Hub(_)) => {
                let supply = self.supply.clone();
                supply.map_or(Ok(()), |supply| supply.switch(on, None))?;
                self.time.catch_up(&mut self.ends)?;
                Ok(self.ends.timeline.now())
            }
            Some(Supply::Controller) | None => {
                self.pull(Wire::Power, if on { Pull::High } else { Pull::Low })
            }
        }
    }

    /// Waits for a port that appears when the board has its supply.
    fn await_console(&mut self) -> Result<(), BenchError> {
        let deadline = HostInstant::now() + APPEARS_WITHIN;
        loop {
            self.time.catch_up(&mut self.ends)?;
            let Some(console) = self.ends.console.as_ref().filter(|console| !console.is_there()) else {
                return Ok(());
            };
            if HostInstant::now() >= deadline {
                return Err(console.never_appeared(APPEARS_WITHIN));
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Pulses the reset pin. Nothing without a supply.
    pub(super) fn reset(&mut self) -> Result<(), BenchError> {
        if !self.ends.device.powered {
            return Ok(());
        }
        self.time.catch_up(&mut self.ends)?;
        match self.reset_via {
            Some(ResetVia::ModemLines) => return self.reset_by_modem(),
            Some(ResetVia::Gpio { .. }) => return self.reset_by_gpio(),
            Some(ResetVia::Controller) | None => {}
        }
        let controller = self.ends.controller()?;
        if controller.identity().stepped {
            // Its clock stands still between two words: there the pulse has no length.
            let at = self.pull_reset()?;
            return self.starts(at, ResetCause::Pin);
        }
        let ticks = u32::try_from(ticks_in(controller.identity().clock_hz, RESET_PULSE)).unwrap_or(u32::MAX);
        let steps = [Step { drive: Pull::Low, ticks }, Step { drive: Pull::Release, ticks: 0 }];
        let steps = steps.into_iter().collect();
        controller.play(Waveform { wire: Wire::Reset, at: None, steps })?;
        // When it is released the controller says so, and that is the device's start.
        self.expect_start();
        self.acted()
    }

    /// Has the lanes recorded from now on, all of them: whoever asks for one asks for the others next.
    fn capture(&mut self) -> Result<(), BenchError> {
        if !self.ends.wires.want_lanes() {
            return Ok(());
        }
        self.time.catch_up(&mut self.ends)?;
        let wanted = self.ends.wires.wanted();
        let since = self.ends.controller()?.record(wanted)?;
        let since = self.time.instant(since).max(self.ends.timeline.now());
        self.ends.wires.begin_lanes(since);
        Ok(())
    }

    /// Does `job` with the flash chip by the loader in the chip's ROM; what was read. A device with a supply begins anew
    /// after it.
    fn flash(&mut self, job: Job<'_>) -> Result<Vec<u8>, BenchError> {
        self.time.catch_up(&mut self.ends)?;
        let runs = self.ends.device.powered;
        self.pull(Wire::Boot, Pull::Low)?;
        if runs {
            self.hold_reset()?;
            // All that the firmware has said is with us before the loader says anything.
            self.acted()?;
            self.pull(Wire::Reset, Pull::Release)?;
        } else {
            // It comes up with the boot pin low, and its firmware never runs.
            self.pull(Wire::Power, Pull::High)?;
            self.await_console()?;
        }
        let done = self.with_loader(|line, programmer| {
            let is_over = || programmer.interrupt.load(Ordering::Relaxed);
            loader::serve(line, programmer.chip, job, &is_over)
        });
        // Whatever came of it, the board is left as it was found.
        let left = if runs { self.hold_reset() } else { self.pull(Wire::Power, Pull::Low).map(drop) };
        left?;
        // What the loader has said since is not the firmware's.
        self.with_loader(|_, _| ());
        self.pull(Wire::Boot, Pull::Release)?;
        if runs {
            let at = self.pull(Wire::Reset, Pull::Release)?;
            match self.lines {
                Some(_) => self.started_by_host(SCHEDULING + RISEN)?,
                None => self.starts(at, ResetCause::Pin)?,
            }
        } else {
            self.acted()?;
        }
        // A rig file with this table and without a console is refused.
        Ok(done.unwrap_or(Ok(Vec::new()))?)
    }

    /// Has `talk` speak with the chip's loader, on the console's line if there is one.
    fn with_loader<T>(&mut self, talk: impl FnOnce(&mut dyn LoaderLine, &Programmer) -> T) -> Option<T> {
        let Ends { console, bell, .. } = &mut self.ends;
        console.as_mut().map(|console| talk(&mut console.loader(bell), &self.programmer))
    }

    /// Resets the chip, whoever has it then.
    fn pull_reset(&mut self) -> Result<Instant, BenchError> {
        self.hold_reset()?;
        self.pull(Wire::Reset, Pull::Release)
    }

    /// Holds the reset pin, long enough to be noticed.
    fn hold_reset(&mut self) -> Result<(), BenchError> {
        self.pull(Wire::Reset, Pull::Low)?;
        let stepped = self.ends.controller.as_ref().is_some_and(|controller| controller.identity().stepped);
        if !stepped {
            std::thread::sleep(RESET_PULSE);
        }
        Ok(())
    }

    /// Pulses it by DTR and RTS of the console's port. They are released at the end of that, and nobody has a better
    /// clock for it than the host's.
    fn reset_by_modem(&mut self) -> Result<(), BenchError> {
        let none = || BenchError::Other("the rig file names no [console]; add it".to_owned());
        let console = self.ends.console.as_ref().ok_or_else(none)?;
        let port = console.port()?;
        modem::reset(port, port.path(), modem::Wiring::of(port.path()), modem::Start::Firmware)?;
        self.started_by_host(SCHEDULING)
    }

    /// Pulses it by a line of the host's.
    fn reset_by_gpio(&mut self) -> Result<(), BenchError> {
        if let Some(lines) = &mut self.lines {
            lines.pulse()?;
        }
        self.started_by_host(SCHEDULING + RISEN)
    }

    /// The chip has just started, up to `within` ago.
    fn started_by_host(&mut self, within: Duration) -> Result<(), BenchError> {
        self.expect_start();
        self.time.catch_up(&mut self.ends)?;
        let at = self.ends.timeline.now();
        let event = DeviceEvent::Started(ResetCause::Pin);
        self.ends.device.note(at, within, event, &self.ends.timeline);
        self.acted()
    }

    fn starts(&mut self, at: Instant, cause: ResetCause) -> Result<(), BenchError> {
        self.expect_start();
        self.note(at, DeviceEvent::Started(cause));
        self.acted()
    }

    fn expect_start(&mut self) {
        if let Some(console) = &mut self.ends.console {
            console.boot_log.expect_start();
        }
    }

    fn check(&mut self) -> Result<(), BenchError> {
        if let Some(console) = &self.ends.console {
            console.check()?;
            let starts = self.supply.is_some() || self.reset_via.is_some();
            if starts && self.ends.device.powered && self.ends.timeline.now() >= Instant::ZERO + SPEAKS_WITHIN
            {
                console.check_heard()?;
            }
        }
        if let Some(net) = &self.ends.net {
            net.check()?;
        }
        if let Some(controller) = &mut self.ends.controller {
            controller.read_clock()?;
        }
        Ok(())
    }
}

/// The bench, by everybody who has a hand on it.
#[derive(Clone)]
pub(super) struct Handle(Rc<RefCell<Desk>>);

impl Handle {
    pub(super) fn new(desk: Desk) -> Self {
        Handle(Rc::new(RefCell::new(desk)))
    }

    pub(super) fn line(&self, line: u8, source: Source) -> Rc<dyn part::Pin> {
        Rc::new(Line { desk: self.clone(), line, source })
    }

    fn act(&self, action: impl FnOnce(&mut Desk) -> Result<(), BenchError>) -> Result<(), RigError> {
        let mut desk = self.0.borrow_mut();
        action(&mut desk)?;
        Ok(desk.acted()?)
    }

    fn on_net<T>(&self, action: impl FnOnce(&mut Net) -> Result<T, BenchError>) -> Result<T, RigError> {
        let mut desk = self.0.borrow_mut();
        let none = || BenchError::Other("the rig file names no [net]; add it".to_owned());
        let result = action(desk.ends.net.as_mut().ok_or_else(none)?)?;
        desk.acted()?;
        Ok(result)
    }
}

impl Drive for Handle {
    fn run(&mut self, until: Instant, woken: &dyn Fn() -> bool) -> Result<(), RigError> {
        Ok(self.0.borrow_mut().run(until, woken)?)
    }

    fn self_check(&self) -> Result<(), RigError> {
        Ok(self.0.borrow_mut().check()?)
    }

    fn qualification(&self) -> Option<Qualification> {
        Some(self.0.borrow().figures.clone())
    }
}

impl part::Console for Handle {
    fn write(&self, bytes: &[u8]) -> Result<(), RigError> {
        self.act(|desk| match &mut desk.ends.console {
            Some(console) => console.type_in(bytes, Duration::ZERO),
            None => Ok(()),
        })
    }
    fn source(&self) -> Source {
        let desk = self.0.borrow();
        desk.ends
            .console
            .as_ref()
            .map_or_else(|| desk.ends.timeline.source("console"), |console| console.source)
    }
}

impl part::Power for Handle {
    fn on(&self) -> Result<(), RigError> {
        Ok(self.0.borrow_mut().power_on()?)
    }
    fn off(&self) -> Result<(), RigError> {
        Ok(self.0.borrow_mut().power_off()?)
    }
    fn source(&self) -> Source {
        self.0.borrow().ends.device.source
    }
}

impl part::Reset for Handle {
    fn pulse(&self) -> Result<(), RigError> {
        Ok(self.0.borrow_mut().reset()?)
    }
}

impl part::Flash for Handle {
    fn read(&self, address: u32, length: u32) -> Result<Vec<u8>, RigError> {
        Ok(self.0.borrow_mut().flash(Job::Read(address, length))?)
    }
    fn write(&self, address: u32, bytes: &[u8]) -> Result<(), RigError> {
        Ok(self.0.borrow_mut().flash(Job::Write(address, bytes)).map(drop)?)
    }
    fn interrupts(&self) -> Result<bool, RigError> {
        Ok(self.0.borrow().ends.device.powered)
    }
    fn busy_source(&self) -> Option<Source> {
        None
    }
}

impl part::Capture for Handle {
    fn begin(&self, _: Source) -> Result<(), RigError> {
        Ok(self.0.borrow_mut().capture()?)
    }
}

impl part::Net for Handle {
    fn connect(&self, port: u16) -> Result<ConnectionId, RigError> {
        self.on_net(|net| net.connect(port))
    }
    fn send(&self, connection: ConnectionId, bytes: &[u8]) -> Result<(), RigError> {
        self.on_net(|net| {
            net.send(connection, bytes);
            Ok(())
        })
    }
    fn finish(&self, connection: ConnectionId) -> Result<(), RigError> {
        self.on_net(|net| {
            net.finish(connection);
            Ok(())
        })
    }
    fn reset(&self, connection: ConnectionId) -> Result<(), RigError> {
        self.on_net(|net| {
            net.reset(connection);
            Ok(())
        })
    }
    fn cannot_vanish(&self) -> Option<String> {
        Some(
            "a bench's end of a connection is this host's, which always says that it leaves; run the case on a virtual \
             rig"
                .to_owned(),
        )
    }
    fn vanish(&self, _: ConnectionId) -> Result<(), RigError> {
        Err(RigError(part::Net::cannot_vanish(self).unwrap_or_default()))
    }
    fn datagrams(&self, port: u16, _: Recipient) -> Result<ConnectionId, RigError> {
        Err(RigError(format!(
            "a bench carries no datagrams yet, for UDP port {port} either; run the case on a virtual rig"
        )))
    }
    fn source(&self) -> Source {
        self.0.borrow().ends.net_source
    }
}

/// An open-drain line of the controller.
struct Line {
    desk: Handle,
    line: u8,
    source: Source,
}

impl part::Pin for Line {
    fn drive(&self, drive: part::Drive) -> Result<(), RigError> {
        let pull = match drive {
            part::Drive::Low => Pull::Low,
            part::Drive::Release => Pull::Release,
            // The controller refuses it, and says why.
            part::Drive::High => Pull::High,
        };
        let mut desk = self.desk.0.borrow_mut();
        let desk = &mut *desk;
        desk.time.catch_up(&mut desk.ends)?;
        let at: Ticks = desk.ends.controller()?.drive(Wire::Line(self.line), pull)?;
        let at = desk.time.instant(at);
        desk.ends.wires.driven(self.line, pull, at);
        Ok(desk.acted()?)
    }
    fn source(&self) -> Source {
        self.source
    }
}
