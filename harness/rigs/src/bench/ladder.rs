//! The ladder that a bench climbs when it has failed under a case: from what costs least to what costs most.
//!
//! Each rung is climbed once in a case. After each the bench is looked at, and if it is well the case is tried again; what
//! no rung can change (somebody else has the port, the rig file is wrong) is left as it is. A bench that nothing helps
//! is taken out of service, and so is one on which case after case fails although it looks well: a person has to look.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rigor_controller::message::{Drive, Wire};
use rigor_core::recovery::{Climbed, Recovery, Step};
use rigor_core::verdict::RigError;

use super::bell::Bell;
use super::controller::Controller;
use super::error::BenchError;
use super::health::{Ledger, ago};
use super::lines::{self, Lines};
use super::supply::Supply;
use super::{RESET_PULSE, find, taken};
use crate::file::bench::{PowerVia, ResetVia};
use crate::file::{Bench, RigFile};
use crate::instrument::usb;
use crate::ports::Host;
use crate::serial::SerialError;
use crate::{Firmwares, Order};

/// The rungs that may help.
const RUNGS: [Step; 3] = [Step::Reset, Step::ReEnumerate, Step::PortPower];
/// A board without supply forgets everything in this time.
const FORGETS: Duration = Duration::from_secs(2);
/// A port that vanished is there again by then.
const COMES_BACK: Duration = Duration::from_secs(10);
/// How often it is looked for.
const LOOK: Duration = Duration::from_millis(100);

/// A bench in the hands of a case, which may have to be helped.
pub struct Service<'a> {
    file: &'a RigFile,
    bench: &'a Bench,
    ledger: Ledger,
    /// Rungs that were climbed in this case.
    climbed: usize,
}

impl<'a> Service<'a> {
    /// The service of the bench of `file`, whose lease the caller has. One that was taken out of service because a port was
    /// not there is looked at again.
    ///
    /// # Errors
    /// [`RigError`] if the bench is out of service, with what to do.
    pub(crate) fn of(
        file: &'a RigFile,
        bench: &'a Bench,
        interrupt: &Arc<AtomicBool>,
    ) -> Result<Self, RigError> {
        let mut ledger = Ledger::of(bench);
        if ledger.absence().is_some_and(|absence| absence.unplugged) {
            let mut means = Wires { file, bench, interrupt: interrupt.clone() };
            means.check().and_then(|()| ledger.put_back()).map_err(|error| RigError(error.to_string()))?;
        }
        if let Some(absence) = ledger.absence() {
            return Err(RigError(format!(
                "the bench `{}` was taken out of service {}: {}; put that right, then `rigor doctor --rig {} \
                 --back-in-service`",
                file.name,
                ago(absence.since),
                absence.reason,
                file.path
            )));
        }
        Ok(Service { file, bench, ledger, climbed: 0 })
    }

    /// The bench has failed under `case` with `fault`: does about it what can be done, and says what that was and
    /// whether the case is to be tried again. Once `interrupt` is set no further rung is climbed, and what the bench looks
    /// like then is held against nobody.
    pub fn recover(&mut self, case: &str, fault: &str, interrupt: &Arc<AtomicBool>) -> (Recovery, bool) {
        let mut means = Wires { file: self.file, bench: self.bench, interrupt: interrupt.clone() };
        let (mut steps, outcome) = climb(&mut means, &mut self.climbed);
        let noted = match &outcome {
            Climb::Well | Climb::Interrupted => self.ledger.stumbled(case, fault),
            Climb::NoHelp(error) => {
                let stumbled = self.ledger.stumbled(case, fault);
                let reason = format!("nothing has helped: {error}");
                stumbled.and_then(|()| self.leave(&reason, is_unplugged(error), &mut steps))
            }
            // Who has a port open, or a wrong line in a rig file, is no reason to leave a board alone.
            Climb::Hopeless => self.ledger.stumbled(case, fault),
            Climb::Exhausted => self.ledger.failed(case, fault).and_then(|too_often| {
                if too_often {
                    self.leave(&format!("case after case failed, at last: {fault}"), false, &mut steps)
                } else {
                    Ok(())
                }
            }),
        };
        let mut recovery = Recovery { fault: fault.to_owned(), steps };
        if let Err(error) = noted {
            recovery.steps.push(Climbed {
                step: Step::OutOfService,
                helped: false,
                told: Some(error.to_string()),
            });
        }
        (recovery, matches!(outcome, Climb::Well))
    }

    /// The case has come to an end that is not the bench's fault.
    pub fn went_well(&mut self) {
        // Who cannot write it down could not write the faults down either, and has said so.
        let _ = self.ledger.went_well();
    }

    fn leave(&mut self, reason: &str, unplugged: bool, steps: &mut Vec<Climbed>) -> Result<(), BenchError> {
        self.ledger.take_out(reason, unplugged)?;
        steps.push(Climbed { step: Step::OutOfService, helped: false, told: None });
        Ok(())
    }
}

/// What climbing came to.
#[derive(Debug)]
enum Climb {
    /// The bench is well again.
    Well,
    /// It is not, and all rungs were climbed.
    NoHelp(BenchError),
    /// It is not, and no rung could change that.
    Hopeless,
    /// It looks well, and all rungs were climbed before.
    Exhausted,
    /// Somebody wanted the end before that was known.
    Interrupted,
}

/// What a rung is climbed by.
trait Means {
    fn check(&mut self) -> Result<(), BenchError>;
    fn take(&mut self, step: Step) -> Result<(), BenchError>;
    /// Whether somebody wants the end: what a check says from then on is not the bench's doing.
    fn is_interrupted(&self) -> bool;
}

/// Climbs from rung `next` on until the bench is well.
fn climb(means: &mut dyn Means, next: &mut usize) -> (Vec<Climbed>, Climb) {
    let mut steps = Vec::new();
    let looked = means.check();
    if means.is_interrupted() {
        return (steps, Climb::Interrupted);
    }
    let mut wrong = match looked {
        Err(error) if is_hopeless(&error) => return (steps, Climb::Hopeless),
        Err(error) => Some(error),
        Ok(()) if *next >= RUNGS.len() => return (steps, Climb::Exhausted),
        Ok(()) => None,
    };
    while let Some(&step) = RUNGS.get(*next) {
        *next += 1;
        let told = match means.take(step).map(|()| means.check()) {
            // It may have helped, and nobody will know.
            _ if means.is_interrupted() => {
                steps.push(Climbed { step, helped: false, told: Some("the run was interrupted".to_owned()) });
                return (steps, Climb::Interrupted);
            }
            // What cannot be done helps nobody: a bench that looked well before does not become so by it.
            Err(error) => Some(error.to_string()),
            Ok(Ok(())) => {
                steps.push(Climbed { step, helped: true, told: None });
                return (steps, Climb::Well);
            }
            Ok(Err(error)) => {
                let told = error.to_string();
                wrong = Some(error);
                Some(told)
            }
        };
        steps.push(Climbed { step, helped: false, told });
    }
    match wrong {
        Some(error) => (steps, Climb::NoHelp(error)),
        // It was well all the time, and nothing could be done.
        None => (steps, Climb::Exhausted),
    }
}

/// Whether no rung of the ladder changes anything about it.
fn is_hopeless(error: &BenchError) -> bool {
    matches!(
        error,
        BenchError::Serial(SerialError::Busy { .. })
            | BenchError::Frame { .. }
            | BenchError::Lacks { .. }
            | BenchError::Host { .. }
    )
}

/// Whether a port is not there.
fn is_unplugged(error: &BenchError) -> bool {
    match error {
        BenchError::NotPluggedIn { .. } => true,
        BenchError::Serial(SerialError::Open { reason, .. }) => reason.kind() == std::io::ErrorKind::NotFound,
        _ => false,
    }
}

/// The bench itself.
struct Wires<'a> {
    file: &'a RigFile,
    bench: &'a Bench,
    interrupt: Arc<AtomicBool>,
}

impl Means for Wires<'_> {
    /// Takes it as a case would.
    fn check(&mut self) -> Result<(), BenchError> {
        let firmwares = Firmwares::new();
        let order = Order { leased: true, ..Order::new(self.file, &firmwares, 0, &self.interrupt) };
        let rig = taken(&order, self.bench, None)?;
        let well = |told: Result<(), RigError>| told.map_err(|RigError(error)| BenchError::Other(error));
        rig.parts.power.as_ref().map_or(Ok(()), |power| well(power.on()))?;
        well(rig.drive.self_check())
    }

    fn take(&mut self, step: Step) -> Result<(), BenchError> {
        match step {
            Step::Reset => self.reset(),
            Step::ReEnumerate => self.re_enumerate(),
            Step::PortPower => self.power(),
            Step::OutOfService => Ok(()),
        }
    }

    fn is_interrupted(&self) -> bool {
        self.interrupt.load(Ordering::Relaxed)
    }
}

impl Wires<'_> {
    /// Whoever opens a controller makes it let go of everything first.
    fn controller(&self) -> Result<Controller, BenchError> {
        match &self.bench.controller {
            Some(name) => Controller::open(&find(name, "controller")?, &Bell::new()?),
            None => Err(BenchError::Other("the rig file names no [controller]".to_owned())),
        }
    }

    fn reset(&self) -> Result<(), BenchError> {
        match &self.bench.reset {
            Some(ResetVia::Gpio { .. }) => {
                let lines = Lines::of(self.bench.reset.as_ref(), &lines::of_the_kernel)?;
                lines.map_or(Ok(()), |mut lines| lines.pulse())
            }
            Some(ResetVia::Controller) => {
                let mut controller = self.controller()?;
                controller.drive(Wire::Reset, Drive::Low)?;
                self.pause(&controller, RESET_PULSE);
                controller.drive(Wire::Reset, Drive::Release)?;
                Ok(())
            }
            // Opened again, such a board is reset by `taken`.
            Some(ResetVia::ModemLines) => Ok(()),
            None if self.bench.controller.is_some() => self.controller().map(|_| ()),
            // Its port is opened anew at least.
            None => Ok(()),
        }
    }

    fn re_enumerate(&self) -> Result<(), BenchError> {
        let host = Host::default();
        let names = self.bench.controller.iter().chain(&self.bench.console);
        let ports: Vec<PathBuf> = names.filter_map(|name| host.resolve(name).ok()).collect();
        let mut devices: Vec<PathBuf> = ports.iter().filter_map(|port| host.usb_device_of(port)).collect();
        devices.dedup();
        if devices.is_empty() {
            return Err(BenchError::Other("none of its ports is on USB now".to_owned()));
        }
        for device in devices {
            usb::re_enumerate(&device).map_err(|error| BenchError::Other(error.to_string()))?;
        }
        self.await_ports();
        Ok(())
    }

    fn power(&self) -> Result<(), BenchError> {
        let Some(via) = &self.bench.power else {
            return Err(BenchError::Other("the rig file has no [power]".to_owned()));
        };
        let mut controller = if *via == PowerVia::Controller { Some(self.controller()?) } else { None };
        let supply = Supply::of(via);
        supply.switch(false, controller.as_mut())?;
        if !controller.as_ref().is_some_and(|controller| controller.identity().stepped) {
            std::thread::sleep(FORGETS);
        }
        supply.switch(true, controller.as_mut())?;
        self.await_ports();
        Ok(())
    }

    /// Waits so long, unless the board is a simulated one, whose clock stands.
    fn pause(&self, controller: &Controller, time: Duration) {
        if !controller.identity().stepped {
            std::thread::sleep(time);
        }
    }

    /// Waits until all ports are there again, or will not be.
    fn await_ports(&self) {
        let deadline = Instant::now() + COMES_BACK;
        let host = Host::default();
        let names = || self.bench.controller.iter().chain(&self.bench.console);
        let is_there = |name| host.resolve(name).is_ok_and(|path| path.exists());
        while Instant::now() < deadline && !self.is_interrupted() && !names().all(is_there) {
            std::thread::sleep(LOOK);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A bench of which a test says what each look at it and each rung comes to.
    struct Double {
        checks: Vec<Result<(), BenchError>>,
        impossible: Vec<Step>,
        taken: Vec<Step>,
        interrupted_by: Option<Step>,
    }

    impl Means for Double {
        fn check(&mut self) -> Result<(), BenchError> {
            self.checks.remove(0)
        }
        fn take(&mut self, step: Step) -> Result<(), BenchError> {
            if self.impossible.contains(&step) {
                return Err(BenchError::Other("there is none".to_owned()));
            }
            self.taken.push(step);
            Ok(())
        }
        fn is_interrupted(&self) -> bool {
            self.interrupted_by.is_some_and(|step| self.taken.contains(&step))
        }
    }

    fn ill() -> Result<(), BenchError> {
        Err(BenchError::Other("it is silent".to_owned()))
    }

    fn double(checks: Vec<Result<(), BenchError>>, impossible: &[Step]) -> Double {
        Double { checks, impossible: impossible.to_vec(), taken: Vec::new(), interrupted_by: None }
    }

    #[test]
    fn the_cheapest_rung_that_helps_is_the_last_that_is_climbed() {
        let mut next = 0;
        let mut bench = double(vec![ill(), ill(), Ok(())], &[]);
        let (steps, climb_) = climb(&mut bench, &mut next);
        assert!(matches!(climb_, Climb::Well));
        assert_eq!(bench.taken, [Step::Reset, Step::ReEnumerate]);
        let helped: Vec<_> = steps.iter().map(|step| (step.step, step.helped)).collect();
        assert_eq!(helped, [(Step::Reset, false), (Step::ReEnumerate, true)]);
        assert_eq!(steps[0].told.as_deref(), Some("it is silent"));
        // It fails again in the same case: no rung is climbed twice.
        let mut bench = double(vec![Ok(()), Ok(())], &[]);
        let (_, climb_) = climb(&mut bench, &mut next);
        assert!(matches!(climb_, Climb::Well));
        assert_eq!(bench.taken, [Step::PortPower]);
        let mut bench = double(vec![Ok(())], &[]);
        let (steps, climb_) = climb(&mut bench, &mut next);
        assert!(matches!(climb_, Climb::Exhausted) && steps.is_empty());
    }

    #[test]
    fn who_is_interrupted_holds_nothing_against_the_bench() {
        let mut bench = double(vec![ill(), ill(), ill(), ill()], &[]);
        bench.interrupted_by = Some(Step::ReEnumerate);
        let (steps, climb_) = climb(&mut bench, &mut 0);
        assert!(matches!(climb_, Climb::Interrupted), "{climb_:?}");
        assert_eq!(bench.taken, [Step::Reset, Step::ReEnumerate]);
        assert_eq!(steps[1].told.as_deref(), Some("the run was interrupted"));
    }

    #[test]
    fn a_bench_that_nothing_helps_is_told_apart_from_one_that_cannot_be_helped() {
        let (steps, climb_) = climb(&mut double(vec![ill(), ill(), ill()], &[Step::ReEnumerate]), &mut 0);
        assert!(matches!(climb_, Climb::NoHelp(_)), "{climb_:?}");
        assert_eq!(steps.len(), 3);
        assert_eq!(steps[1].told.as_deref(), Some("there is none"));
        let busy = || Err(SerialError::Busy { path: "/dev/ttyACM0".into() }.into());
        let mut bench = double(vec![busy()], &[]);
        let (steps, climb_) = climb(&mut bench, &mut 0);
        assert!(matches!(climb_, Climb::Hopeless) && steps.is_empty() && bench.taken.is_empty());
        // It looks well, and there is nothing to do anything by.
        let (steps, climb_) = climb(&mut double(vec![Ok(())], &RUNGS), &mut 0);
        assert!(matches!(climb_, Climb::Exhausted) && steps.len() == 3, "{climb_:?}");
    }
}
