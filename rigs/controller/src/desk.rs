//! The desk, at which requests are answered and everything that was recorded becomes reports, one after the other.
//!
//! It runs at the lowest priority and never waits for the host: where the outbox has no room, all stays where
//! it is until there is some, or until it is run over and lost, which is then said.

use embassy_futures::select::select;
use embassy_time::{Duration, Instant, Timer};
use rigor_controller::message::{Answer, Command, Identity, Refusal, Said, Wanted, Waveform, Wire};
use rigor_controller::{Request, Ticks};

use crate::bus::Bus;
use crate::clock;
use crate::edges::Edges;
use crate::host::{self, Incoming, REQUESTS};
use crate::lanes::Lanes;
use crate::outbox::Outbox;
use crate::waveforms::{self, Done, STEPS};
use crate::wires::{self, Driven};

/// What was recorded is said so often.
const PACE: Duration = Duration::from_micros(500);
/// How far it is complete is said so often; a quarter of what was promised.
const HEARTBEAT: Duration = Duration::from_millis(5);
/// What the controller calls itself.
const NAME: &str = concat!("rigor-pico ", env!("CARGO_PKG_VERSION"));
/// Edges of the loop-back at most, and ticks between them at least.
const MOST_EDGES: u16 = 128;
const LEAST_SPACING: u32 = 50 * clock::PER_MICRO;

/// The desk.
pub(crate) struct Desk {
    outbox: Outbox,
    lanes: Lanes,
    edges: Edges,
    bus: Bus,
    serial: u64,
    /// Who asked who it is, is told what happens.
    has_host: bool,
    /// A step that is not said yet.
    step: Option<Done>,
    beat: Instant,
}

impl Desk {
    /// With nobody in front of it.
    pub(crate) fn new(outbox: Outbox, lanes: Lanes, edges: Edges, bus: Bus, serial: u64) -> Self {
        Desk { outbox, lanes, edges, bus, serial, has_host: false, step: None, beat: Instant::MIN }
    }

    /// For ever.
    pub(crate) async fn run(mut self) -> ! {
        let mut more = false;
        loop {
            if !more {
                select(REQUESTS.ready_to_receive(), Timer::after(PACE)).await;
            }
            if host::has_gone() {
                self.leave();
            }
            more = self.turn();
        }
    }

    /// A little of everything; whether there may be more of it at once.
    fn turn(&mut self) -> bool {
        if self.outbox.has_room()
            && let Ok(incoming) = REQUESTS.try_receive()
        {
            self.take(incoming);
        }
        if !self.has_host {
            if host::speaks_otherwise() {
                // That there is somebody, and which version he speaks, is all that such a host understands of it.
                self.outbox.say(Said::Complete { until: clock::now() });
            }
            self.outbox.dispatch();
            return false;
        }
        // What is complete is known before anything is said, so that nothing comes in between.
        let now = clock::now();
        let told = self.tell_steps();
        let more = self.lanes.pump(&mut self.outbox)
            | self.edges.pump(&mut self.outbox)
            | self.bus.pump(&mut self.outbox);
        if Instant::now() >= self.beat && told {
            self.lanes.tell_losses(&mut self.outbox);
            let until = self.edges.complete().min(now);
            let until =
                [self.lanes.complete(), self.bus.complete()].into_iter().flatten().fold(until, Ticks::min);
            if self.outbox.say(Said::Complete { until }) {
                self.beat = Instant::now() + HEARTBEAT;
            }
        }
        if !more {
            self.outbox.dispatch();
        }
        more
    }

    /// Tells the steps of waveforms; whether there was room for all.
    fn tell_steps(&mut self) -> bool {
        loop {
            let Some(Done { wire, at, drive }) = self.step.take().or_else(|| STEPS.try_receive().ok()) else {
                return true;
            };
            if !self.outbox.say(Said::Driven { wire, at, drive }) {
                self.step = Some(Done { wire, at, drive });
                return false;
            }
        }
    }

    fn take(&mut self, Incoming { request: Request { id, command }, received }: Incoming) {
        let answer = match command {
            Command::Identify => {
                self.leave();
                self.outbox.begin();
                self.has_host = true;
                Answer::Identity(self.identity())
            }
            Command::ReadClock => Answer::Clock { received, sent: clock::now() },
            command => self.act(command).map_or_else(Answer::Refused, |at| Answer::Done { at }),
        };
        // There was room before the request was taken.
        self.outbox.say(Said::Answer { id, answer });
    }

    fn act(&mut self, command: Command) -> Result<Ticks, Refusal> {
        match command {
            // It is driven by `LoopBack` and nothing else.
            Command::Drive { wire: Wire::LoopBack, .. }
            | Command::Play(Waveform { wire: Wire::LoopBack, .. }) => Err(Refusal::NoSuchWire),
            Command::Drive { wire, drive } => {
                let pin = Driven::of(wire)?;
                pin.accepts(drive)?;
                Ok(waveforms::drive(wire, pin, drive))
            }
            Command::Play(waveform) => waveforms::play(waveform),
            Command::Record(wanted) => self.record(wanted),
            Command::LoopBack { edges, spacing } => {
                if edges == 0 || edges > MOST_EDGES || spacing < LEAST_SPACING {
                    return Err(Refusal::OutOfRange);
                }
                waveforms::square(Wire::LoopBack, edges, spacing)
            }
            Command::Proceed(_) => Err(Refusal::NotStepped),
            Command::Identify | Command::ReadClock => Ok(clock::now()),
        }
    }

    fn record(&mut self, wanted: Wanted) -> Result<Ticks, Refusal> {
        if usize::from(wanted.lanes) >= 1 << wires::LANES.len() {
            return Err(Refusal::NoSuchWire);
        }
        self.edges.record(wanted.edges);
        self.lanes.record(wanted.lanes);
        self.bus.record(wanted.bus);
        Ok(clock::now())
    }

    /// Ends all that a host has asked for.
    fn leave(&mut self) {
        self.has_host = false;
        waveforms::stop_all();
        self.lanes.record(0);
        self.edges.record(0);
        self.bus.record(false);
        self.step = None;
        while STEPS.try_receive().is_ok() {}
    }

    fn identity(&self) -> Identity {
        Identity {
            name: NAME.try_into().unwrap_or_default(),
            serial: self.serial,
            clock_hz: clock::HZ,
            lanes: wires::LANES.len() as u8,
            inputs: wires::INPUTS.len() as u8,
            lines: wires::LINES.len() as u8,
            has_reset: true,
            has_power: true,
            has_bus: true,
            has_loop_back: true,
            stepped: false,
        }
    }
}
