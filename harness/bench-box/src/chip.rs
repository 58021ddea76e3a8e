//! Supply, reset and strap of the device, and what it does by them.

use std::rc::Rc;
use std::time::Duration;

use rigor_core::part::{Power, Reset};
use rigor_core::verdict::RigError;

/// A virtual board has no reset that can be held, so it is pulsed again and again: more often than the boot
/// ROM needs to hand over, which is 50 ms.
pub(crate) const HOLD: Duration = Duration::from_millis(10);

/// What the chip does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum State {
    /// It has no supply.
    Off,
    /// Its reset is low.
    Held,
    /// Its ROM waits for a program on the console.
    Loader,
    /// It runs its firmware, or is about to.
    Runs,
}

pub(crate) struct Chip {
    power: Option<Rc<dyn Power>>,
    reset: Option<Rc<dyn Reset>>,
    state: State,
    reset_is_low: bool,
    strap_is_low: bool,
    /// How often it has begun anew.
    starts: u32,
}

impl Chip {
    /// Without supply if it can be switched, else running.
    pub(crate) fn new(power: Option<Rc<dyn Power>>, reset: Option<Rc<dyn Reset>>) -> Self {
        let state = if power.is_some() { State::Off } else { State::Runs };
        Chip { power, reset, state, reset_is_low: false, strap_is_low: false, starts: 0 }
    }

    pub(crate) fn state(&self) -> State {
        self.state
    }

    /// Another number each time that it begins anew.
    pub(crate) fn starts(&self) -> u32 {
        self.starts
    }

    pub(crate) fn has_power(&self) -> bool {
        self.power.is_some()
    }

    pub(crate) fn has_reset(&self) -> bool {
        self.reset.is_some()
    }

    /// Whether it has to be kept from its firmware, every [`HOLD`].
    pub(crate) fn is_kept(&self) -> bool {
        matches!(self.state, State::Held | State::Loader)
    }

    /// Keeps it from its firmware for another [`HOLD`].
    pub(crate) fn keep(&self) -> Result<(), RigError> {
        if self.is_kept() { self.pulse() } else { Ok(()) }
    }

    /// Switches the supply.
    pub(crate) fn switch(&mut self, on: bool) -> Result<(), RigError> {
        let Some(power) = &self.power else { return Ok(()) };
        match (on, self.state) {
            (true, State::Off) => {
                power.on()?;
                (self.state, self.starts) = (self.after_reset(), self.starts + 1);
                self.keep()?;
            }
            (false, _) => {
                power.off()?;
                self.state = State::Off;
            }
            (true, _) => {}
        }
        Ok(())
    }

    /// Pulls the reset line, or lets go of it.
    pub(crate) fn pull_reset(&mut self, low: bool) -> Result<(), RigError> {
        let was_low = std::mem::replace(&mut self.reset_is_low, low);
        if self.state != State::Off && was_low != low {
            self.start()?;
        }
        Ok(())
    }

    /// Pulls the strap, or lets go of it. Nobody looks before the next reset ends.
    pub(crate) fn pull_strap(&mut self, low: bool) {
        self.strap_is_low = low;
    }

    /// The chip resets itself, or its reset line has changed.
    pub(crate) fn start(&mut self) -> Result<(), RigError> {
        (self.state, self.starts) = (self.after_reset(), self.starts + 1);
        self.pulse()
    }

    /// The loader leaves for the firmware, whatever the strap says.
    pub(crate) fn leave_loader(&mut self) -> Result<(), RigError> {
        (self.state, self.starts) = (State::Runs, self.starts + 1);
        self.pulse()
    }

    fn after_reset(&self) -> State {
        match (self.reset_is_low, self.strap_is_low) {
            (true, _) => State::Held,
            (false, true) => State::Loader,
            (false, false) => State::Runs,
        }
    }

    fn pulse(&self) -> Result<(), RigError> {
        self.reset.as_ref().map_or(Ok(()), |reset| reset.pulse())
    }
}
