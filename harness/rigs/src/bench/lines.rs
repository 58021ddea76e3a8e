//! The reset pin and the strap of the board on lines of the host itself.

use std::thread;
use std::time::Duration;

use rigor_controller::message::Wire;

use super::RESET_PULSE;
use super::error::BenchError;
use crate::file::bench::ResetVia;
use crate::instrument::gpio::{self, GpioError, OpenDrain, Place};

/// Behind the capacitor at EN, 1 uF after 10 kilohms, a released reset is high by then, and the ROM has read the strap.
pub(super) const RISEN: Duration = Duration::from_millis(50);

/// Takes the line at a place.
pub(super) type Take<'a> = &'a dyn Fn(Place) -> Result<Box<dyn gpio::Wire>, GpioError>;

/// Both lines. They are let go when this is dropped.
pub(super) struct Lines {
    reset: Box<dyn gpio::Wire>,
    boot: Option<Box<dyn gpio::Wire>>,
}

/// A line of the kernel's.
pub(super) fn of_the_kernel(place: Place) -> Result<Box<dyn gpio::Wire>, GpioError> {
    Ok(Box::new(OpenDrain::take(place)?))
}

impl Lines {
    /// Those that `via` names, if it names any.
    ///
    /// # Errors
    /// [`GpioError::Refused`] if there are none such, or somebody has them.
    pub(super) fn of(via: Option<&ResetVia>, take: Take<'_>) -> Result<Option<Self>, GpioError> {
        let Some(ResetVia::Gpio { reset, boot }) = via else { return Ok(None) };
        let boot = boot.clone().map(take).transpose()?;
        Ok(Some(Lines { reset: take(reset.clone())?, boot }))
    }

    /// Pulls the pin that `wire` names low, or lets it go, and looks whether it follows. Takes 50 ms where a pin rises
    /// slowly.
    ///
    /// # Errors
    /// What [`gpio::pull`] says, or that there is no such line.
    pub(super) fn pull(&mut self, wire: Wire, low: bool) -> Result<(), BenchError> {
        let is_reset = wire == Wire::Reset;
        let line = if is_reset { Some(&mut self.reset) } else { self.boot.as_mut() };
        let none = || BenchError::Other("[reset] of the rig file names no line `boot`; add it".to_owned());
        let line = line.ok_or_else(none)?;
        if is_reset && !low {
            line.pull(false)?;
            thread::sleep(RISEN);
        }
        Ok(gpio::pull(line.as_mut(), low)?)
    }

    /// Resets the chip.
    ///
    /// # Errors
    /// As [`Lines::pull`].
    pub(super) fn pulse(&mut self) -> Result<(), BenchError> {
        self.pull(Wire::Reset, true)?;
        thread::sleep(RESET_PULSE);
        self.pull(Wire::Reset, false)
    }
}

impl Drop for Lines {
    /// The strap last: a chip whose reset ends with the strap low is in its loader.
    fn drop(&mut self) {
        let _ = self.reset.pull(false);
        if let Some(boot) = &mut self.boot {
            let _ = boot.pull(false);
        }
    }
}
