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
        if wire == Wire::Reset && !low {
            self.let_go(wire)?;
            thread::sleep(RISEN);
        }
        Ok(gpio::pull(self.line(wire)?, low)?)
    }

    /// Lets the pin that `wire` names go, and does not look: on a board without supply nothing pulls it up.
    ///
    /// # Errors
    /// [`GpioError::Lost`], or that there is no such line.
    pub(super) fn let_go(&mut self, wire: Wire) -> Result<(), BenchError> {
        Ok(self.line(wire)?.pull(false)?)
    }

    fn line(&mut self, wire: Wire) -> Result<&mut dyn gpio::Wire, BenchError> {
        match (wire, &mut self.boot) {
            (Wire::Reset, _) => Ok(self.reset.as_mut()),
            (Wire::Boot, Some(boot)) => Ok(boot.as_mut()),
            (Wire::Boot, None) => {
                Err(BenchError::Other("[reset] of the rig file names no line `boot`; add it".to_owned()))
            }
            (other, _) => Err(BenchError::Other(format!(
                "no line of this host is wired to {other:?}; that is a mistake of the harness"
            ))),
        }
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

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use rigor_core::event::Level;
    use rstest::rstest;

    use super::*;
    use crate::instrument::modem::Start;

    /// A chip behind two wires with pull-ups: starts when its reset rises, and looks at its strap then.
    #[derive(Default)]
    struct Chip {
        pulled: [bool; 2],
        started: Vec<Start>,
        /// A wire that something else holds at a level.
        stuck: Option<(usize, Level)>,
    }

    const RESET: usize = 0;
    const STRAP: usize = 1;

    impl Chip {
        fn level(&self, wire: usize) -> Level {
            match self.stuck {
                Some((stuck, level)) if stuck == wire => level,
                _ if self.pulled[wire] => Level::Low,
                _ => Level::High,
            }
        }

        fn pull(&mut self, wire: usize, low: bool) {
            let before = self.level(RESET);
            self.pulled[wire] = low;
            if before == Level::Low && self.level(RESET) == Level::High {
                let loader = self.level(STRAP) == Level::Low;
                self.started.push(if loader { Start::Loader } else { Start::Firmware });
            }
        }
    }

    /// One of its wires. It stands in for the kernel, and proves nothing about that.
    struct Strand {
        place: Place,
        wire: usize,
        chip: Rc<RefCell<Chip>>,
    }

    impl gpio::Wire for Strand {
        fn place(&self) -> &Place {
            &self.place
        }

        fn pull(&mut self, low: bool) -> Result<(), GpioError> {
            self.chip.borrow_mut().pull(self.wire, low);
            Ok(())
        }

        fn level(&self) -> Result<Level, GpioError> {
            Ok(self.chip.borrow().level(self.wire))
        }
    }

    fn lines() -> (Rc<RefCell<Chip>>, Lines) {
        let chip = Rc::new(RefCell::new(Chip::default()));
        let strand = |wire: usize| {
            let place = Place { chip: "/dev/gpiochip0".into(), line: wire as u32 };
            Box::new(Strand { place, wire, chip: chip.clone() }) as Box<dyn gpio::Wire>
        };
        let lines = Lines { reset: strand(RESET), boot: Some(strand(STRAP)) };
        (chip, lines)
    }

    /// As a hand brings a chip into `start`.
    fn reset(lines: &mut Lines, start: Start) -> Result<(), BenchError> {
        lines.pull(Wire::Boot, start == Start::Loader)?;
        lines.pulse()?;
        lines.pull(Wire::Boot, false)
    }

    #[rstest]
    fn a_reset_starts_what_it_should_once_and_lets_go(
        #[values(Start::Firmware, Start::Loader)] start: Start,
    ) {
        let (chip, mut lines) = lines();
        reset(&mut lines, start).expect("nothing is stuck");
        assert_eq!(chip.borrow().started, [start]);
        assert_eq!(chip.borrow().pulled, [false, false]);
    }

    #[rstest]
    #[case(RESET, Level::High, "it was pulled low, and the wire stays high")]
    #[case(RESET, Level::Low, "it was let go, and the wire stays low")]
    #[case(STRAP, Level::High, "it was pulled low, and the wire stays high")]
    fn a_wire_that_does_not_follow_is_told_and_let_go(
        #[case] wire: usize,
        #[case] level: Level,
        #[case] says: &str,
    ) {
        let (chip, mut lines) = lines();
        chip.borrow_mut().stuck = Some((wire, level));
        let error = reset(&mut lines, Start::Loader).expect_err("it is stuck");
        assert!(error.to_string().starts_with(&format!("/dev/gpiochip0:{wire}: {says}")), "{error}");
        drop(lines);
        assert_eq!(chip.borrow().pulled, [false, false]);
    }

    #[test]
    fn a_strap_is_let_go_where_nothing_pulls_it_up() {
        let (chip, mut lines) = lines();
        lines.pull(Wire::Boot, true).expect("it follows");
        chip.borrow_mut().stuck = Some((STRAP, Level::Low));
        lines.pull(Wire::Boot, false).expect_err("with a supply that is a wrong wire");
        lines.pull(Wire::Boot, true).expect("it follows");
        lines.let_go(Wire::Boot).expect("nobody looks");
        assert_eq!(chip.borrow().pulled, [false, false]);
    }

    #[test]
    fn a_strap_that_the_rig_file_does_not_name_is_pulled_by_nobody() {
        let (chip, mut lines) = lines();
        lines.boot = None;
        let told = lines.pull(Wire::Boot, true).expect_err("there is none").to_string();
        assert!(told.contains("names no line `boot`; add it"), "{told}");
        lines.pulse().expect("the reset has one");
        assert_eq!(chip.borrow().started, [Start::Firmware]);
    }
}
