//! Parts that answer what they answered when they were recorded.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use rigor_core::Source;
use rigor_core::event::ConnectionId;
use rigor_core::part::{
    Air, Capture, Console, Drive, Flash, Net, Network, Pin, Power, Recipient, Reset, Scheduler, Stress,
};
use rigor_core::verdict::RigError;

use super::script::Script;
use crate::recording::parts as calls;
use crate::recording::{Call, Returned};

/// A part of the recorded rig.
pub(super) struct Replayed {
    pub(super) script: Rc<RefCell<Script>>,
    /// Where it is observed, if it is.
    pub(super) source: Option<Source>,
}

fn answer<T>(
    script: &RefCell<Script>,
    call: &Call,
    fitting: impl FnOnce(Returned) -> Option<T>,
) -> Result<T, RigError> {
    let returned = match script.borrow_mut().call(call)? {
        Returned::Failed(text) => return Err(RigError(text.to_string())),
        returned => returned,
    };
    fitting(returned).ok_or_else(|| RigError(format!("the recording has no fitting answer to {call}")))
}

fn nothing(returned: Returned) -> Option<()> {
    matches!(returned, Returned::Nothing).then_some(())
}

impl Replayed {
    fn order(&self, call: &Call) -> Result<(), RigError> {
        answer(&self.script, call, nothing)
    }

    fn observed(&self) -> Source {
        self.source.expect("parts that are observed are made with their lane")
    }
}

impl Console for Replayed {
    fn write(&self, bytes: &[u8]) -> Result<(), RigError> {
        self.order(&calls::console_write(bytes))
    }
    fn source(&self) -> Source {
        self.observed()
    }
}

impl Power for Replayed {
    fn on(&self) -> Result<(), RigError> {
        self.order(&calls::power_on())
    }
    fn off(&self) -> Result<(), RigError> {
        self.order(&calls::power_off())
    }
    fn source(&self) -> Source {
        self.observed()
    }
}

impl Reset for Replayed {
    fn pulse(&self) -> Result<(), RigError> {
        self.order(&calls::reset_pulse())
    }
}

impl Flash for Replayed {
    fn read(&self, address: u32, length: u32) -> Result<Vec<u8>, RigError> {
        answer(&self.script, &calls::flash_read(address, length), |returned| match returned {
            Returned::Bytes(bytes) => Some(bytes),
            _ => None,
        })
    }
    fn write(&self, address: u32, bytes: &[u8]) -> Result<(), RigError> {
        self.order(&calls::flash_write(address, bytes))
    }
    fn interrupts(&self) -> Result<bool, RigError> {
        answer(&self.script, &calls::flash_interrupts(), |returned| match returned {
            Returned::Number(does) => Some(does != 0),
            _ => None,
        })
    }
    fn busy_source(&self) -> Option<Source> {
        self.source
    }
}

/// A network of the recorded rig.
pub(super) struct ReplayedNet {
    way: calls::Way,
    script: Rc<RefCell<Script>>,
    source: Source,
}

impl ReplayedNet {
    /// The link to the device.
    pub(super) fn link(script: Rc<RefCell<Script>>, source: Source) -> Self {
        ReplayedNet { way: calls::NET, script, source }
    }

    fn open(&self, call: &Call) -> Result<ConnectionId, RigError> {
        answer(&self.script, call, |returned| match returned {
            Returned::Number(number) => u32::try_from(number).ok().map(ConnectionId),
            _ => None,
        })
    }
}

impl Net for ReplayedNet {
    fn connect(&self, port: u16) -> Result<ConnectionId, RigError> {
        self.open(&self.way.connect(port))
    }
    fn send(&self, connection: ConnectionId, bytes: &[u8]) -> Result<(), RigError> {
        answer(&self.script, &self.way.send(connection, bytes), nothing)
    }
    fn finish(&self, connection: ConnectionId) -> Result<(), RigError> {
        answer(&self.script, &self.way.finish(connection), nothing)
    }
    fn reset(&self, connection: ConnectionId) -> Result<(), RigError> {
        answer(&self.script, &self.way.reset(connection), nothing)
    }
    fn vanish(&self, connection: ConnectionId) -> Result<(), RigError> {
        answer(&self.script, &self.way.vanish(connection), nothing)
    }
    fn datagrams(&self, port: u16, to: Recipient) -> Result<ConnectionId, RigError> {
        self.open(&self.way.datagrams(port, to))
    }
    fn source(&self) -> Source {
        self.source
    }
}

/// The recorded rig's own Wi-Fi.
pub(super) struct ReplayedAir {
    pub(super) script: Rc<RefCell<Script>>,
    pub(super) source: Source,
    /// Of the network behind it.
    pub(super) net: Source,
}

impl Air for ReplayedAir {
    fn put_up(&self, network: &Network) -> Result<(), RigError> {
        answer(&self.script, &calls::air_put_up(network), nothing)
    }
    fn take_down(&self) -> Result<(), RigError> {
        answer(&self.script, &calls::air_take_down(), nothing)
    }
    fn net(&self) -> Rc<dyn Net> {
        Rc::new(ReplayedNet { way: calls::AIR, script: self.script.clone(), source: self.net })
    }
    fn source(&self) -> Source {
        self.source
    }
}

impl Capture for Replayed {
    fn begin(&self, source: Source) -> Result<(), RigError> {
        self.order(&calls::capture_begin(source))
    }
}

impl Scheduler for Replayed {
    fn record(&self) -> Result<(), RigError> {
        self.order(&calls::scheduler_record())
    }
}

impl Stress for Replayed {
    fn occupy(&self, core: usize, priority: u8, duration: Duration) -> Result<(), RigError> {
        self.order(&calls::stress_occupy(core, priority, duration))
    }
    fn take_memory(&self, free: usize) -> Result<(), RigError> {
        self.order(&calls::stress_take_memory(free))
    }
    fn cut_up_memory(&self, percent: u8) -> Result<(), RigError> {
        self.order(&calls::stress_cut_up_memory(percent))
    }
    fn give_memory_back(&self) -> Result<(), RigError> {
        self.order(&calls::stress_give_memory_back())
    }
}

/// A wire of the recorded rig.
pub(super) struct ReplayedPin {
    name: String,
    script: Rc<RefCell<Script>>,
    source: Source,
}

impl ReplayedPin {
    pub(super) fn new(signal: &str, script: Rc<RefCell<Script>>, source: Source) -> Self {
        ReplayedPin { name: calls::pin_call(signal), script, source }
    }
}

impl Pin for ReplayedPin {
    fn drive(&self, drive: Drive) -> Result<(), RigError> {
        answer(&self.script, &calls::pin_drive(&self.name, drive), nothing)
    }
    fn source(&self) -> Source {
        self.source
    }
}
