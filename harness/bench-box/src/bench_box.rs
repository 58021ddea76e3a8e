//! The box itself: waits for a host on all channels at once, and does what it asks for.

use std::cell::Cell;
use std::os::fd::AsFd;
use std::path::Path;
use std::time::{Duration, Instant as HostInstant};

use rigor_controller::message::Refusal;
use rigor_controller::stepped::{Crossed, Proceed, Stands};
use rigor_controller::{Answer, Command, Identity, Request, Said, Ticks};
use rigor_core::Rig;
use rigor_esp_loader::Departure;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::BoxError;
use crate::chip::State;
use crate::console::Console;
use crate::device::{Crossing, Device};
use crate::ports::{Door, Ports};
use crate::talk::Talk;

/// Ticks of the controller's clock in a second: nanoseconds, so that no figure of the board is rounded.
const CLOCK_HZ: u32 = 1_000_000_000;
/// The device runs at most so long at a time, on its own clock: an answer is never long in coming.
const STRIDE: u64 = 1_000_000_000;
/// What the host has counted arrives within this, unless somebody says otherwise.
const ARRIVAL: Duration = Duration::from_secs(10);
/// A port that nobody has open is looked at this often.
const LOOK: Duration = Duration::from_millis(10);
/// How often a device that runs on and on is interrupted to look whether somebody still waits for it.
const ERRAND: Duration = Duration::from_millis(200);

/// Makes the boards: each call a new one, as it comes from the factory.
pub type Factory<'a> = Box<dyn Fn() -> Result<Rig, rigor_rigs::Refusal> + 'a>;

/// A request that waits for what the host says it has sent.
struct Waiting {
    id: u16,
    proceed: Proceed,
    until: HostInstant,
}

/// A bench in a box. Its ports and their names go with it.
pub struct BenchBox<'a> {
    factory: Factory<'a>,
    talk: Talk,
    console: Console,
    ports: Ports,
    device: Device,
    /// What the device has put across.
    sent: Crossed,
    /// What the host knows of that.
    told: Crossed,
    opened: Option<u32>,
    waiting: Option<Waiting>,
    /// What the host has counted arrives within this, or never.
    arrival: Duration,
}

impl<'a> BenchBox<'a> {
    /// A box whose serial ports are in `folder` (which is there) and whose services are behind `doors`.
    ///
    /// # Errors
    /// [`BoxError`], with what to do about it.
    pub fn open(folder: &Path, doors: Vec<Door>, factory: Factory<'a>) -> Result<Self, BoxError> {
        let ports = Ports::open(doors).map_err(|(Door { service, here, .. }, reason)| BoxError::Port {
            service,
            port: here,
            reason,
        })?;
        Ok(BenchBox {
            device: Device::new(factory()?),
            talk: Talk::open(folder.join("controller"))?,
            console: Console::open(folder.join("console"))?,
            ports,
            factory,
            sent: Crossed::default(),
            told: Crossed::default(),
            opened: None,
            waiting: None,
            arrival: ARRIVAL,
        })
    }

    /// Waits at most for so long for what a host has counted: 10 s if nobody says otherwise.
    pub fn wait_at_most(&mut self, arrival: Duration) {
        self.arrival = arrival;
    }

    /// Where the controller is.
    pub fn controller(&self) -> &Path {
        self.talk.line().path()
    }

    /// Where the console is.
    pub fn console(&self) -> &Path {
        self.console.line().path()
    }

    /// Where the services are.
    pub fn doors(&self) -> impl Iterator<Item = &Door> {
        self.ports.doors()
    }

    /// The parts of the board that is in it.
    pub fn parts(&self) -> &rigor_core::rig::Parts {
        self.device.parts()
    }

    /// Waits until a host wants something, or `wake` can be read, and does it. `stop` ends what takes long.
    ///
    /// # Errors
    /// [`BoxError`], and the box is good for nothing any more.
    pub fn turn(&mut self, wake: &impl AsFd, stop: &dyn Fn() -> bool) -> Result<(), BoxError> {
        self.wait(wake)?;
        self.attend()?;
        while !stop() && self.proceed_if_arrived(stop)? {
            let Some(request) = self.talk.next() else { break };
            self.obey(request, stop)?;
        }
        self.flush()
    }

    fn wait(&self, wake: &impl AsFd) -> Result<(), BoxError> {
        let mut wanted = vec![PollFd::new(wake, PollFlags::IN)];
        let mut limit = self
            .waiting
            .as_ref()
            .map_or(ARRIVAL, |waiting| waiting.until.saturating_duration_since(HostInstant::now()));
        for (line, flags) in
            [(self.talk.line(), self.talk.wanted()), (self.console.line(), self.console.line().wanted())]
        {
            if line.has_user()? {
                wanted.push(PollFd::new(line, flags));
            } else {
                limit = limit.min(LOOK);
            }
        }
        self.ports.wanted(&mut wanted);
        let limit = Timespec {
            tv_sec: i64::try_from(limit.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: limit.subsec_nanos().into(),
        };
        match poll(&mut wanted, Some(&limit)) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(reason) => Err(BoxError::Wait(reason.into())),
        }
    }

    /// Takes in whatever has come, and lets go what can.
    fn attend(&mut self) -> Result<(), BoxError> {
        self.talk.attend()?;
        self.ports.attend();
        match self.console.attend()? {
            Some(Departure::Application) => self.device.chip().leave_loader()?,
            Some(Departure::Reset | Departure::Crash) => self.device.chip().start()?,
            Some(Departure::Unplugged) | None => return Ok(()),
        }
        self.change_hands()
    }

    /// Gives the console to whoever has it after the chip has begun anew.
    fn change_hands(&mut self) -> Result<(), BoxError> {
        let flash = self.device.parts().flash.clone();
        let flash = flash.filter(|_| self.device.state() == State::Loader);
        Ok(self.console.change_hands(self.device.starts(), flash)?)
    }

    /// Lets go what can. A request that was taken in here would wait until somebody says something else.
    fn flush(&mut self) -> Result<(), BoxError> {
        self.console.flush()?;
        self.talk.flush()?;
        Ok(())
    }

    fn obey(&mut self, Request { id, command }: Request, stop: &dyn Fn() -> bool) -> Result<(), BoxError> {
        let done = |at, result: Result<(), Refusal>| match result {
            Ok(()) => Answer::Done { at },
            Err(refusal) => Answer::Refused(refusal),
        };
        match command {
            Command::Identify => {
                self.begin()?;
                self.talk.answer(id, Answer::Identity(self.identity()));
            }
            Command::ReadClock => {
                let now = self.device.now();
                self.talk.answer(id, Answer::Clock { received: now, sent: now });
            }
            Command::Drive { wire, drive } => {
                let result = self.device.drive(wire, drive)?;
                self.change_hands()?;
                self.look();
                self.talk.answer(id, done(self.device.now(), result));
            }
            Command::Play(waveform) => {
                let result = self.device.play(waveform);
                self.talk.answer(id, done(self.device.now(), result));
                self.play_on()?;
                self.look();
            }
            Command::Record(wanted) => {
                let result = self.device.record(wanted);
                self.talk.answer(id, done(self.device.now(), result));
            }
            Command::LoopBack { edges, spacing } => {
                let result = self.device.loop_back(edges, spacing);
                self.talk.answer(id, done(self.device.now(), result));
            }
            Command::Proceed(proceed) => {
                self.waiting = Some(Waiting { id, proceed, until: HostInstant::now() + self.arrival });
                self.attend()?;
                self.proceed_if_arrived(stop)?;
            }
        }
        Ok(())
    }

    /// Everything as at the beginning, with a board from the factory.
    fn begin(&mut self) -> Result<(), BoxError> {
        self.ports.begin();
        self.device = Device::new((self.factory)()?);
        self.console.begin(self.device.starts())?;
        (self.opened, self.waiting) = (None, None);
        (self.sent, self.told) = (Crossed::default(), Crossed::default());
        self.talk.begin();
        Ok(())
    }

    fn identity(&self) -> Identity {
        let name = concat!("rigor bench in a box ", env!("CARGO_PKG_VERSION"));
        Identity {
            name: name.try_into().unwrap_or_default(),
            serial: 0,
            clock_hz: CLOCK_HZ,
            lanes: self.device.lanes(),
            inputs: self.device.lines(),
            lines: self.device.lines(),
            has_reset: self.device.parts().reset.is_some(),
            has_power: self.device.parts().power.is_some(),
            has_bus: false,
            has_loop_back: true,
            stepped: true,
        }
    }

    /// Lets the device run if somebody wants that and all that the host has sent is there; whether nobody
    /// waits for it any more.
    fn proceed_if_arrived(&mut self, stop: &dyn Fn() -> bool) -> Result<bool, BoxError> {
        let Some(Waiting { id, proceed, until }) = &self.waiting else { return Ok(true) };
        let (id, Proceed { until: ticks, crossed: counted }) = (*id, *proceed);
        let mut arrived = self.ports.arrived(counted.opened);
        arrived.console = self.console.arrived();
        if !covers(&arrived, &counted) {
            // Who waits for an answer says nothing meanwhile; another host does.
            if HostInstant::now() < *until && !self.talk.has_request() {
                return Ok(false);
            }
            eprintln!("the bench's host has counted {counted:?}, and only {arrived:?} has come");
            self.waiting = None;
            self.talk.answer(id, Answer::Refused(Refusal::OutOfRange));
            return Ok(true);
        }
        self.waiting = None;
        self.hand_over(&counted)?;
        self.run(ticks, stop)?;
        self.talk.say(Said::Complete { until: self.device.complete_until() });
        let (at, crossed, opened) = (self.device.now(), self.sent, self.opened.take());
        self.talk.answer(id, Answer::Stands(Stands { at, crossed, opened }));
        self.told = crossed;
        Ok(true)
    }

    /// Gives the board what the host has sent.
    fn hand_over(&mut self, counted: &Crossed) -> Result<(), BoxError> {
        let typed = self.console.take(counted.console);
        if !typed.is_empty() {
            self.device.type_in(&typed)?;
        }
        if let Some(net) = self.device.net() {
            self.ports.hand_over(counted, &*net)?;
        }
        Ok(())
    }

    fn run(&mut self, until: Ticks, stop: &dyn Fn() -> bool) -> Result<(), BoxError> {
        self.look();
        if self.play_on()? || self.sent != self.told || self.opened.is_some() {
            self.look();
            return Ok(());
        }
        let until = until.min(self.device.now() + STRIDE);
        let looked = Cell::new(HostInstant::now());
        let talk = &self.talk;
        let enough = || {
            if looked.get().elapsed() < ERRAND {
                return false;
            }
            looked.set(HostInstant::now());
            // Who waits for an answer says nothing meanwhile, and stays.
            stop() || talk.is_called()
        };
        self.device.run(until, &enough)?;
        self.look();
        if self.play_on()? {
            self.look();
        }
        Ok(())
    }

    fn play_on(&mut self) -> Result<bool, BoxError> {
        let any = self.device.play_on(&mut |said| self.talk.say(said))?;
        self.change_hands()?;
        Ok(any)
    }

    /// Says and puts across what the device has done. A connection that it has taken is told by the next
    /// answer, and what came after that one by the answer after it.
    fn look(&mut self) {
        while self.opened.is_none()
            && let Some(crossing) = self.device.look(&mut |said| self.talk.say(said))
        {
            match crossing {
                Crossing::Printed(bytes) => {
                    self.sent.console += bytes.len() as u64;
                    self.console.print(&bytes);
                }
                Crossing::Flow(flow) => self.opened = self.ports.event(&flow, &mut self.sent),
            }
        }
    }
}

/// Whether `arrived` has all that was `counted`.
fn covers(arrived: &Crossed, counted: &Crossed) -> bool {
    arrived.console >= counted.console
        && arrived.opened >= counted.opened
        && arrived.network >= counted.network
        && arrived.ended >= counted.ended
}
