//! Whether the default virtual rigs work: each is taken, and its firmware runs for a moment.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use rigor_core::Instant;
use rigor_reports::visible;
use rigor_rigs::file::BackEnd;
use rigor_rigs::{Firmwares, Order, RigFile};
use rigor_runner::engine::{Choices, Environment};

use super::{Check, Status};
use crate::Systems;
use crate::error::CommandError;

/// On the rig's clock.
const MOMENT: Duration = Duration::from_millis(100);

pub(super) fn checks(systems: Systems) -> Result<Vec<Check>, CommandError> {
    let known: Vec<String> = systems.suites?.iter().map(|suite| suite.system().to_owned()).collect();
    let environment = match Environment::read(Choices::default()) {
        Ok(environment) => environment,
        Err(complaints) => {
            let remedy = "run from within the workspace, with its rig files as they should be";
            return Ok(vec![Check {
                group: "rigs",
                name: "rigs/virtual".to_owned(),
                status: Status::Broken,
                found: visible(&complaints.to_string()),
                purpose: "the requirements",
                remedy: Some(remedy.to_owned()),
            }]);
        }
    };
    let rigs = environment.rigs.iter().filter(|rig| matches!(rig.back_end, BackEnd::Virtual(_)));
    let tried = rigs.map(|rig| {
        if known.contains(&rig.dut) {
            check_of(rig, &systems.firmwares)
        } else {
            check(rig, Err(format!("no suite is for `{}`", rig.dut)))
        }
    });
    Ok(tried.collect())
}

/// Whether one rig works.
pub(super) fn check_of(rig: &RigFile, firmwares: &Firmwares) -> Check {
    check(rig, works(rig, firmwares))
}

fn check(rig: &RigFile, result: Result<String, String>) -> Check {
    let name = format!("{} ({})", rig.name, visible(&rig.path));
    let (status, found, remedy) = match result {
        Ok(found) => (Status::Ok, found, None),
        Err(found) => (Status::Broken, found, Some("rigs/README.md describes rig files".to_owned())),
    };
    Check { group: "rigs", name, status, found: visible(&found), purpose: "the requirements", remedy }
}

fn works(file: &RigFile, firmwares: &Firmwares) -> Result<String, String> {
    let run = || {
        let interrupt = Arc::new(AtomicBool::new(false));
        let mut rig = rigor_rigs::take(&Order::new(file, firmwares, 1, &interrupt))
            .map_err(|refusal| format!("it cannot be taken: {refusal}"))?;
        if let Some(power) = &rig.parts.power {
            power.on().map_err(|error| format!("it cannot be switched on: {error}"))?;
        }
        let until = Instant::ZERO + MOMENT;
        rig.drive.run(until, &|| false).map_err(|error| format!("its clock stands: {error}"))?;
        rig.drive.self_check().map_err(|error| format!("its self-check: {error}"))?;
        Ok(format!("taken, and its firmware ran for {MOMENT:?}"))
    };
    // A broken model must not end the diagnosis.
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|_| Err("its model panicked".to_owned()))
}
