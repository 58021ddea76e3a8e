//! The device as a whole.

use rigor_core::Instant;
use rigor_core::event::{DeviceEvent, ResetCause};

/// What it does.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum State {
    /// It has no supply.
    #[default]
    Off,
    /// It has, and its firmware has not begun.
    Booting,
    /// Its firmware runs, since then and for this reason.
    Running(Instant, ResetCause),
}

/// What is known of it.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Device {
    /// What it does.
    pub state: State,
    /// How often it has started.
    pub starts: u64,
    /// How often its firmware gave up.
    pub crashes: u64,
}

impl Device {
    pub(super) fn event(&mut self, at: Instant, what: &DeviceEvent) {
        self.state = match what {
            DeviceEvent::PowerOff => State::Off,
            DeviceEvent::PowerOn | DeviceEvent::Crashed(_) => State::Booting,
            DeviceEvent::Started(cause) => State::Running(at, *cause),
        };
        self.starts += u64::from(matches!(what, DeviceEvent::Started(_)));
        self.crashes += u64::from(matches!(what, DeviceEvent::Crashed(_)));
    }
}

/// A cause, for people.
pub(crate) fn cause(cause: ResetCause) -> &'static str {
    match cause {
        ResetCause::PowerOn => "power on",
        ResetCause::Pin => "reset pin",
        ResetCause::Software => "its own wish",
        ResetCause::Panic => "a crash",
        ResetCause::Watchdog => "its watchdog",
    }
}
