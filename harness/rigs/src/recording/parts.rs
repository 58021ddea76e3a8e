//! Parts that record how they are called and what they answer.

use std::rc::Rc;
use std::time::Duration;

use rigor_core::Source;
use rigor_core::event::ConnectionId;
use rigor_core::part::{
    Air, Capture, Console, Drive, Flash, Net, Network, Pin, Power, Recipient, Reset, Scheduler, Stress,
};
use rigor_core::rig::Parts;
use rigor_core::time::nanos;
use rigor_core::verdict::RigError;

use super::op::Call;
use super::recorder::{Recording, Reply, with_recording};

/// A part with its recording.
pub(super) struct Recorded<P: ?Sized> {
    pub(super) part: Rc<P>,
    pub(super) recording: Recording,
}

/// The same parts, each with the recording.
pub(super) fn recorded(parts: Parts, recording: &Recording) -> Parts {
    // Every part is named, so that a new one cannot be forgotten.
    let Parts {
        console,
        power,
        reset,
        flash,
        net,
        air,
        scheduler,
        stress,
        capture,
        pins,
        leds,
        gauges,
        ports,
        forwards,
        lacking,
    } = parts;
    Parts {
        console: console.map(|part| with_recording(part, recording) as Rc<dyn Console>),
        power: power.map(|part| with_recording(part, recording) as Rc<dyn Power>),
        reset: reset.map(|part| with_recording(part, recording) as Rc<dyn Reset>),
        flash: flash.map(|part| with_recording(part, recording) as Rc<dyn Flash>),
        net: net.map(|part| recorded_net(NET, part, recording)),
        air: air.map(|part| with_recording(part, recording) as Rc<dyn Air>),
        scheduler: scheduler.map(|part| with_recording(part, recording) as Rc<dyn Scheduler>),
        stress: stress.map(|part| with_recording(part, recording) as Rc<dyn Stress>),
        capture: capture.map(|part| with_recording(part, recording) as Rc<dyn Capture>),
        pins: pins
            .into_iter()
            .map(|(signal, part)| {
                let pin = RecordedPin { name: pin_call(&signal), part, recording: recording.clone() };
                (signal, Rc::new(pin) as Rc<dyn Pin>)
            })
            .collect(),
        leds,
        gauges,
        ports,
        forwards,
        lacking,
    }
}

impl<P: ?Sized> Recorded<P> {
    /// A call that returns nothing.
    fn order(&self, call: Call, act: impl FnOnce() -> Result<(), RigError>) -> Result<(), RigError> {
        self.recording.call(call, act, |()| Reply::Nothing)
    }
}

impl Console for Recorded<dyn Console> {
    fn write(&self, bytes: &[u8]) -> Result<(), RigError> {
        self.order(console_write(bytes), || self.part.write(bytes))
    }
    fn source(&self) -> Source {
        self.part.source()
    }
}

impl Power for Recorded<dyn Power> {
    fn on(&self) -> Result<(), RigError> {
        self.order(power_on(), || self.part.on())
    }
    fn off(&self) -> Result<(), RigError> {
        self.order(power_off(), || self.part.off())
    }
    fn source(&self) -> Source {
        self.part.source()
    }
}

impl Reset for Recorded<dyn Reset> {
    fn pulse(&self) -> Result<(), RigError> {
        self.order(reset_pulse(), || self.part.pulse())
    }
}

impl Flash for Recorded<dyn Flash> {
    fn read(&self, address: u32, length: u32) -> Result<Vec<u8>, RigError> {
        let read = || self.part.read(address, length);
        self.recording.call(flash_read(address, length), read, |bytes| Reply::Bytes(bytes))
    }
    fn write(&self, address: u32, bytes: &[u8]) -> Result<(), RigError> {
        self.order(flash_write(address, bytes), || self.part.write(address, bytes))
    }
    fn interrupts(&self) -> Result<bool, RigError> {
        self.recording.call(
            flash_interrupts(),
            || self.part.interrupts(),
            |does| Reply::Number((*does).into()),
        )
    }
    fn busy_source(&self) -> Option<Source> {
        self.part.busy_source()
    }
}

struct RecordedNet {
    way: Way,
    recorded: Recorded<dyn Net>,
}

fn recorded_net(way: Way, part: Rc<dyn Net>, recording: &Recording) -> Rc<dyn Net> {
    Rc::new(RecordedNet { way, recorded: Recorded { part, recording: recording.clone() } })
}

impl RecordedNet {
    fn open(
        &self,
        call: Call,
        open: impl FnOnce(&dyn Net) -> Result<ConnectionId, RigError>,
    ) -> Result<ConnectionId, RigError> {
        let Recorded { part, recording } = &self.recorded;
        recording.call(call, || open(&**part), |id| Reply::Number(id.0.into()))
    }
}

impl Net for RecordedNet {
    fn connect(&self, port: u16) -> Result<ConnectionId, RigError> {
        self.open(self.way.connect(port), |net| net.connect(port))
    }
    fn send(&self, connection: ConnectionId, bytes: &[u8]) -> Result<(), RigError> {
        let call = self.way.send(connection, bytes);
        self.recorded.order(call, || self.recorded.part.send(connection, bytes))
    }
    fn finish(&self, connection: ConnectionId) -> Result<(), RigError> {
        self.recorded.order(self.way.finish(connection), || self.recorded.part.finish(connection))
    }
    fn reset(&self, connection: ConnectionId) -> Result<(), RigError> {
        self.recorded.order(self.way.reset(connection), || self.recorded.part.reset(connection))
    }
    fn cannot_vanish(&self) -> Option<String> {
        self.recorded.part.cannot_vanish()
    }
    fn vanish(&self, connection: ConnectionId) -> Result<(), RigError> {
        self.recorded.order(self.way.vanish(connection), || self.recorded.part.vanish(connection))
    }
    fn datagrams(&self, port: u16, to: Recipient) -> Result<ConnectionId, RigError> {
        self.open(self.way.datagrams(port, to), |net| net.datagrams(port, to))
    }
    fn source(&self) -> Source {
        self.recorded.part.source()
    }
}

impl Air for Recorded<dyn Air> {
    fn put_up(&self, network: &Network) -> Result<(), RigError> {
        self.order(air_put_up(network), || self.part.put_up(network))
    }
    fn take_down(&self) -> Result<(), RigError> {
        self.order(air_take_down(), || self.part.take_down())
    }
    fn net(&self) -> Rc<dyn Net> {
        recorded_net(AIR, self.part.net(), &self.recording)
    }
    fn source(&self) -> Source {
        self.part.source()
    }
}

impl Scheduler for Recorded<dyn Scheduler> {
    fn record(&self) -> Result<(), RigError> {
        self.order(scheduler_record(), || self.part.record())
    }
}

impl Capture for Recorded<dyn Capture> {
    fn begin(&self, source: Source) -> Result<(), RigError> {
        self.order(capture_begin(source), || self.part.begin(source))
    }
}

impl Stress for Recorded<dyn Stress> {
    fn occupy(&self, core: usize, priority: u8, duration: Duration) -> Result<(), RigError> {
        let call = stress_occupy(core, priority, duration);
        self.order(call, || self.part.occupy(core, priority, duration))
    }
    fn take_memory(&self, free: usize) -> Result<(), RigError> {
        self.order(stress_take_memory(free), || self.part.take_memory(free))
    }
    fn cut_up_memory(&self, percent: u8) -> Result<(), RigError> {
        self.order(stress_cut_up_memory(percent), || self.part.cut_up_memory(percent))
    }
    fn give_memory_back(&self) -> Result<(), RigError> {
        self.order(stress_give_memory_back(), || self.part.give_memory_back())
    }
}

struct RecordedPin {
    name: String,
    part: Rc<dyn Pin>,
    recording: Recording,
}

impl Pin for RecordedPin {
    fn drive(&self, drive: Drive) -> Result<(), RigError> {
        self.recording.call(pin_drive(&self.name, drive), || self.part.drive(drive), |()| Reply::Nothing)
    }
    fn source(&self) -> Source {
        self.part.source()
    }
}

// How calls are written down. Whoever replays them says them in the same words.

pub(crate) fn console_write(bytes: &[u8]) -> Call {
    Call::with_bytes("console.write", &[], bytes)
}

pub(crate) fn power_on() -> Call {
    Call::new("power.on", &[])
}

pub(crate) fn power_off() -> Call {
    Call::new("power.off", &[])
}

pub(crate) fn reset_pulse() -> Call {
    Call::new("reset.pulse", &[])
}

pub(crate) fn flash_read(address: u32, length: u32) -> Call {
    Call::new("flash.read", &[address.into(), length.into()])
}

pub(crate) fn flash_interrupts() -> Call {
    Call::new("flash.interrupts", &[])
}

pub(crate) fn flash_write(address: u32, bytes: &[u8]) -> Call {
    Call::with_bytes("flash.write", &[address.into()], bytes)
}

/// Which network a call concerns.
#[derive(Clone, Copy)]
pub(crate) struct Way(&'static str);

/// The link to the device.
pub(crate) const NET: Way = Way("net");
/// The way over the rig's own Wi-Fi.
pub(crate) const AIR: Way = Way("air.net");

impl Way {
    fn call(self, method: &str, numbers: &[u64]) -> Call {
        Call::new(&format!("{}.{method}", self.0), numbers)
    }

    pub(crate) fn connect(self, port: u16) -> Call {
        self.call("connect", &[port.into()])
    }

    pub(crate) fn send(self, connection: ConnectionId, bytes: &[u8]) -> Call {
        Call::with_bytes(&format!("{}.send", self.0), &[connection.0.into()], bytes)
    }

    pub(crate) fn finish(self, connection: ConnectionId) -> Call {
        self.call("finish", &[connection.0.into()])
    }

    pub(crate) fn reset(self, connection: ConnectionId) -> Call {
        self.call("reset", &[connection.0.into()])
    }

    pub(crate) fn vanish(self, connection: ConnectionId) -> Call {
        self.call("vanish", &[connection.0.into()])
    }

    pub(crate) fn datagrams(self, port: u16, to: Recipient) -> Call {
        match to {
            Recipient::Device(theirs) => self.call("datagrams", &[port.into(), theirs.into()]),
            Recipient::Group(group, theirs) => {
                self.call("datagrams", &[port.into(), theirs.into(), u32::from(group).into()])
            }
        }
    }
}

pub(crate) fn air_put_up(network: &Network) -> Call {
    // No name holds a NUL, so that no two networks read alike.
    let told = format!("{}\0{}", network.ssid, network.password.as_deref().unwrap_or_default());
    Call::with_bytes("air.put_up", &[network.password.is_some().into()], told.as_bytes())
}

pub(crate) fn air_take_down() -> Call {
    Call::new("air.take_down", &[])
}

pub(crate) fn scheduler_record() -> Call {
    Call::new("scheduler.record", &[])
}

pub(crate) fn capture_begin(source: Source) -> Call {
    Call::new("capture.begin", &[source.index() as u64])
}

pub(crate) fn stress_occupy(core: usize, priority: u8, duration: Duration) -> Call {
    Call::new("stress.occupy", &[core as u64, priority.into(), nanos(duration)])
}

pub(crate) fn stress_take_memory(free: usize) -> Call {
    Call::new("stress.take_memory", &[free as u64])
}

pub(crate) fn stress_cut_up_memory(percent: u8) -> Call {
    Call::new("stress.cut_up_memory", &[percent.into()])
}

pub(crate) fn stress_give_memory_back() -> Call {
    Call::new("stress.give_memory_back", &[])
}

/// The name of the calls of the pin of this signal.
pub(crate) fn pin_call(signal: &str) -> String {
    format!("pin[{signal}].drive")
}

pub(crate) fn pin_drive(name: &str, drive: Drive) -> Call {
    let level = match drive {
        Drive::Low => 0,
        Drive::High => 1,
        Drive::Release => 2,
    };
    Call::new(name, &[level])
}
