//! A hand on a bench outside of cases: for whoever brings firmware onto its board.
//!
//! It takes the lease, as a case does, and holds the wires by which a chip comes into its loader. The console's port
//! itself is left to whoever speaks to the loader.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use rigor_controller::message::{Drive, Wire};

use super::bell::Bell;
use super::controller::Controller;
use super::desk::{APPEARS_WITHIN, LOOK};
use super::error::BenchError;
use super::lease::Lease;
use super::lines::{self, Lines};
use super::supply::Supply;
use super::{RESET_PULSE, check_wires, find, pulls_strap};
use crate::file::{Bench, RigFile};

/// A supply has come up by then, and so has the resistor at the chip's reset.
const SUPPLIED: Duration = Duration::from_millis(200);
/// The ROM has read the strap by then.
const STRAPPED: Duration = Duration::from_millis(50);

/// How a chip came into its loader.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Entered {
    /// By the bench: it answers there.
    ByBench,
    /// Not yet: whoever opens the port pulls DTR and RTS.
    ByModemLines,
}

/// The hand. What it drives is let go when it is dropped; a supply that the controller switches is off then.
pub struct Hand {
    controller: Option<Controller>,
    lines: Option<Lines>,
    console: PathBuf,
    _lease: Lease,
}

impl Hand {
    /// Takes the bench of `file` for `why`, switched on. Waits up to half an hour for whoever has it, who is told to
    /// `waiting`, unless `interrupt` is set.
    ///
    /// # Errors
    /// [`BenchError`] with what is not there, or who has it.
    pub fn take(
        file: &RigFile,
        bench: &Bench,
        why: &str,
        interrupt: &AtomicBool,
        waiting: &mut dyn FnMut(&str),
    ) -> Result<Self, BenchError> {
        let Some(name) = &bench.console else {
            let text = "the rig file has no [console], and the loader of the chip speaks there; add it";
            return Err(BenchError::Other(text.to_owned()));
        };
        let lease = Lease::wait_told(&file.name, bench, why, interrupt, waiting)?;
        let controller = match &bench.controller {
            Some(name) => Some(Controller::open(&find(name, "controller")?, &Bell::new()?)?),
            None => None,
        };
        check_wires(file, bench, controller.as_ref())?;
        let lines = Lines::of(bench.reset.as_ref(), &lines::of_the_kernel)?;
        let mut hand = Hand { controller, lines, console: PathBuf::new(), _lease: lease };
        if let Some(via) = &bench.power {
            Supply::of(via).switch(true, hand.controller.as_mut())?;
            hand.pause(SUPPLIED);
        }
        // The port of many a board is its own, and there only with a supply.
        let deadline = Instant::now() + if bench.power.is_some() { APPEARS_WITHIN } else { Duration::ZERO };
        hand.console = loop {
            match find(name, "console") {
                Ok(path) if path.exists() || Instant::now() >= deadline => break path,
                Err(error) if Instant::now() >= deadline => return Err(error),
                _ => std::thread::sleep(LOOK),
            }
        };
        Ok(hand)
    }

    /// Where the loader speaks.
    pub fn port(&self) -> &Path {
        &self.console
    }

    /// Has the chip start its loader, as far as `bench` can.
    ///
    /// # Errors
    /// [`BenchError`] if the controller does not do it.
    pub fn enter_loader(&mut self, bench: &Bench) -> Result<Entered, BenchError> {
        if !pulls_strap(bench) {
            return Ok(Entered::ByModemLines);
        }
        self.drive(Wire::Boot, Drive::Low)?;
        self.pulse()?;
        self.pause(STRAPPED);
        self.drive(Wire::Boot, Drive::Release)?;
        Ok(Entered::ByBench)
    }

    /// Starts the firmware of a chip that the bench brought into its loader.
    ///
    /// # Errors
    /// [`BenchError`] if the controller does not do it.
    pub fn start(&mut self) -> Result<(), BenchError> {
        self.drive(Wire::Boot, Drive::Release)?;
        self.pulse()
    }

    fn pulse(&mut self) -> Result<(), BenchError> {
        self.drive(Wire::Reset, Drive::Low)?;
        self.pause(RESET_PULSE);
        self.drive(Wire::Reset, Drive::Release)
    }

    fn drive(&mut self, wire: Wire, drive: Drive) -> Result<(), BenchError> {
        match (&mut self.lines, &mut self.controller) {
            (Some(lines), _) => lines.pull(wire, drive == Drive::Low),
            (None, Some(controller)) => controller.drive(wire, drive).map(|_| ()),
            (None, None) => Err(BenchError::Other("the rig file names no [controller]; add it".to_owned())),
        }
    }

    /// Waits so long, unless the board is a simulated one, whose clock stands.
    fn pause(&self, time: Duration) {
        if !self.controller.as_ref().is_some_and(|controller| controller.identity().stepped) {
            std::thread::sleep(time);
        }
    }
}
