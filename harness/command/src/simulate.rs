//! `rigor simulate`: what is to be wrong with the board stands in its suite, of which `rigor_simulate` knows nothing.

use std::process::ExitCode;

use rigor_rigs::fault::Model;
use rigor_runner::Suite;
use rigor_runner::suggest;
use rigor_simulate::Arguments;

use crate::Systems;
use crate::error::CommandError;

pub(crate) fn run(arguments: &Arguments, systems: Systems) -> Result<ExitCode, CommandError> {
    let Systems { suites, firmwares } = systems;
    let fault = match &arguments.fault {
        // A board can be looked at while its suite is being written.
        None => None,
        Some(name) => Some(fault(name, &arguments.system, &suites?)?),
    };
    Ok(rigor_simulate::command(arguments, &firmwares, fault.as_ref()))
}

/// The fault `name` of the suite of `system`.
fn fault(name: &str, system: &str, suites: &[Suite]) -> Result<Model, CommandError> {
    let of_system = suites.iter().filter(|suite| suite.system() == system);
    let faults: Vec<_> = of_system.flat_map(|suite| &suite.faults().faults).collect();
    if let Some(fault) = faults.iter().find(|fault| fault.name == name) {
        return Ok(fault.model.clone());
    }
    let known: Vec<String> = faults.iter().map(|fault| fault.name.clone()).collect();
    let remedy = suggest::remedy(name, &known, "`rigor list faults` shows those that there are");
    Err(CommandError::Unknown { what: "fault", name: name.to_owned(), remedy })
}
