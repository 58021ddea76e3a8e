//! `rigor faults`: every requirement against every fault.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use rigor_core::kill::{FaultsResult, KillMatrix, Tried};
use rigor_core::result::EXIT_UNDECIDED;
use rigor_reports::store::{RunFolder, write_atomically};
use rigor_rigs::fault::{Fault, FaultList, Model};
use rigor_rigs::file::{BackEnd, QemuBoard};
use rigor_rigs::{Firmwares, Order, RigFile};
use rigor_runner::campaign::Campaign;
use rigor_runner::case::Case;
use rigor_runner::engine::{Begun, Complaints, Environment};
use rigor_runner::{Suite, suggest};

use crate::Systems;
use crate::choices::RigArguments;
use crate::error::CommandError;
use crate::print::{complain, print};

/// Show that every case can fail: all requirements against all faults
///
/// Runs the suite once for each known fault, on a virtual rig with that one thing wrong with it,
/// and prints which requirements turn red. A device that QEMU emulates in exact time can have the
/// firmware's faults; the others are left out there. A fault is claimed by the requirements that must
/// notice it.
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
#[command(after_help = "Examples:
  rigor faults                                everything; the matrix goes to faults.json
  rigor faults --fault red-first              one fault, while you write its case
  rigor faults --case picture --case cadence  some cases only, against the faults that they claim
  rigor faults --rig rigs/qemu --fault red-first --claiming
                                              a defect of the firmware, on a device that QEMU emulates
  rigor list faults                           what there is

A whole matrix is minutes of work: build for it with `cargo run --release --bin rigor -- faults`.

Exit codes:
  0  every claim is kept, and every `must` that the rig can decide turns red under some fault
  1  a fault survives, a claim is broken or a `must` is unproven
  2  the rig cannot be had, so nothing was tried
  3  the harness fails, or a list of faults, a rig file or the command line is malformed")]
pub(crate) struct Arguments {
    /// Only this system's suite.
    #[arg(long, value_name = "SYSTEM", visible_alias = "suite")]
    system: Option<String>,
    /// Trials at once [default: the number of cores].
    #[arg(long, value_name = "N")]
    jobs: Option<NonZeroUsize>,
    /// Only this fault; may be given several times.
    #[arg(long, value_name = "NAME")]
    fault: Vec<String>,
    /// Only cases whose full name contains this; may be given several times.
    #[arg(long, value_name = "TEXT")]
    case: Vec<String>,
    /// Only cases that decide what claims one of the faults. Whether others turn red is not asked then.
    #[arg(long)]
    claiming: bool,
    #[command(flatten)]
    rigs: RigArguments,
}

pub(crate) fn run(arguments: &Arguments, systems: Systems) -> Result<ExitCode, CommandError> {
    let Systems { suites, firmwares } = systems;
    let suites = suites?;
    let environment = Environment::read(arguments.rigs.choices()?)?;
    let jobs =
        arguments.jobs.or_else(|| std::thread::available_parallelism().ok()).map_or(1, NonZeroUsize::get);
    let campaigns = campaigns(arguments, suites, &firmwares, &environment, jobs)?;
    for campaign in &campaigns {
        let interrupt = Arc::new(AtomicBool::new(false));
        let order = Order::new(&campaign.rig, &campaign.firmwares, campaign.seed, &interrupt);
        // On a rig that cannot be had, every fault would seem to survive.
        if let Err(refusal) = rigor_rigs::take(&order) {
            complain(&format!("rig `{}`: {refusal}\n", campaign.rig.name));
            return Ok(ExitCode::from(EXIT_UNDECIDED));
        }
    }
    let begun = Begun::now();
    // Before anything runs: nobody should learn at the end that nothing can be kept.
    let folder = RunFolder::create(&environment.out, &begun.id)?;
    let matrices = campaigns.iter().map(campaign).collect();
    let result =
        FaultsResult::new(begun.id.clone(), begun.started(), begun.wall_ms(), environment.seed, matrices);
    print(&rigor_reports::kill::render(&result));
    let path = folder.path().join("faults.json");
    let json = result.to_json().map_err(|error| {
        CommandError::Refused(format!("the matrix could not be kept: {}: {error}", path.display()))
    })?;
    write_atomically(&path, json.as_bytes())?;
    print(&format!("\nmatrix: {}\n", path.display()));
    Ok(ExitCode::from(result.exit_code))
}

/// Runs one system's faults, with a line on the standard error for each that is done.
fn campaign(campaign: &Campaign) -> KillMatrix {
    let all = campaign.faults.len();
    campaign.run(&|fault: &Tried, done: usize| {
        let kept = fault.claimed_by.len() - fault.broken_claims().count();
        complain(&format!(
            "[{done:>3}/{all}] {}: {kept} of {} claims kept, reddens {}, ran {} of {} cases, {:.1} s\n",
            fault.name,
            fault.claimed_by.len(),
            fault.red().count(),
            fault.cases - fault.repeated,
            fault.cases,
            fault.wall_ms as f64 / 1000.0
        ));
    })
}

/// A campaign for each chosen suite that has faults.
fn campaigns(
    arguments: &Arguments,
    suites: Vec<Suite>,
    firmwares: &Firmwares,
    environment: &Environment,
    jobs: usize,
) -> Result<Vec<Campaign>, CommandError> {
    let systems: Vec<String> = suites.iter().map(|suite| suite.system().to_owned()).collect();
    if let Some(wanted) = arguments.system.as_ref().filter(|wanted| !systems.contains(wanted)) {
        return Err(unknown("system", wanted, &systems, &format!("name one of: {}", systems.join(", "))));
    }
    let mut campaigns = Vec::new();
    let mut known: BTreeSet<String> = BTreeSet::new();
    let mut case_names: Vec<String> = Vec::new();
    for suite in suites {
        if arguments.system.as_ref().is_some_and(|wanted| wanted != suite.system()) {
            continue;
        }
        let complaints = misfits(&suite, firmwares);
        if !complaints.is_empty() {
            return Err(Complaints(complaints).into());
        }
        let rig = breakable_rig(environment, suite.system())?;
        let listed = suite.faults().faults.clone();
        known.extend(listed.iter().map(|fault| fault.name.clone()));
        let all = listed.len();
        let named = |fault: &Fault| arguments.fault.contains(&fault.name);
        let (fitting, others): (Vec<Fault>, Vec<Fault>) =
            listed.into_iter().partition(|fault| fault.model.fits(&rig.back_end));
        if let Some(fault) = others.iter().find(|fault| named(fault)) {
            let (name, family, rig) = (&fault.name, fault.model.family(), &rig.name);
            let text = format!(
                "the fault `{name}` is one of the {family}, and a device on the rig `{rig}` can have only those of the firmware; name a virtual rig with --rig"
            );
            return Err(CommandError::Refused(text));
        }
        if !others.is_empty() && arguments.fault.is_empty() {
            let (count, rig) = (others.len(), &rig.name);
            complain(&format!(
                "{count} of {all} faults are left out: a device on the rig `{rig}` can have only those of the firmware\n"
            ));
        }
        let faults: Vec<Fault> =
            fitting.into_iter().filter(|fault| arguments.fault.is_empty() || named(fault)).collect();
        let system = suite.system().to_owned();
        let (catalogue, cases) = suite.into_parts();
        let every = cases.len();
        case_names.extend(cases.iter().map(|case| case.name().to_owned()));
        let chosen =
            |name: &str| arguments.case.is_empty() || arguments.case.iter().any(|text| name.contains(text));
        let claims = |case: &Case| {
            let claims = |fault: &Fault| {
                fault.claimed_by.iter().any(|id| case.decides().iter().any(|decided| id.as_str() == decided))
            };
            !arguments.claiming || faults.iter().any(claims)
        };
        let chosen = |case: &Arc<Case>| chosen(&case.full_name(&system)) && claims(case);
        let cases: Vec<_> = cases.into_iter().filter(chosen).collect();
        let complete = faults.len() == all && cases.len() == every;
        let faults = if cases.len() == every { faults } else { claimed_by(&cases, faults) };
        campaigns.push(Campaign {
            catalogue,
            cases,
            faults,
            complete,
            rig,
            firmwares: firmwares.clone(),
            seed: environment.seed,
            jobs,
            onlooker: rigor_runner::progress::line(),
        });
    }
    if let Some(name) = arguments.fault.iter().find(|name| !known.contains(*name)) {
        let known: Vec<String> = known.into_iter().collect();
        return Err(unknown("fault", name, &known, "`rigor list faults` shows those that there are"));
    }
    if campaigns.iter().all(|campaign| campaign.cases.is_empty()) {
        let text = arguments.case.join("`, `");
        let otherwise = "`rigor list cases` shows those that there are";
        return Err(unknown("case", &text, &case_names, otherwise));
    }
    if campaigns.iter().all(|campaign| campaign.faults.is_empty()) {
        let text = "none of the chosen cases decides a requirement that claims a chosen fault; \
            choose others, or add the claim to suites/<system>/faults.toml";
        return Err(CommandError::Refused(text.to_owned()));
    }
    Ok(campaigns)
}

/// `name` is no `what`; the remedy is the nearest of `known`, or `otherwise`.
fn unknown(what: &'static str, name: &str, known: &[String], otherwise: &str) -> CommandError {
    let remedy = suggest::remedy(name, known, otherwise);
    CommandError::Unknown { what, name: name.to_owned(), remedy }
}

/// Of `faults` those that one of `cases` has to notice, each with the claims that these can keep.
fn claimed_by(cases: &[Arc<Case>], faults: Vec<Fault>) -> Vec<Fault> {
    let decided: BTreeSet<&str> = cases.iter().flat_map(|case| case.decides()).map(String::as_str).collect();
    let kept = |mut fault: Fault| {
        fault.claimed_by.retain(|id| decided.contains(id.as_str()));
        (!fault.claimed_by.is_empty()).then_some(fault)
    };
    faults.into_iter().filter_map(kept).collect()
}

/// What does not fit together: claims of unknown requirements or of such that no case decides, and
/// defects of the firmware that no fault of the list names.
fn misfits(suite: &Suite, firmwares: &Firmwares) -> Vec<String> {
    let FaultList { path, faults } = suite.faults();
    let decided: BTreeSet<&str> =
        suite.cases().iter().flat_map(|case| case.decides()).map(String::as_str).collect();
    let mut complaints = Vec::new();
    for fault in faults {
        for id in fault.claimed_by.iter().filter(|id| !decided.contains(id.as_str())) {
            complaints.push(format!(
                "{path}: `{}` is claimed by {id}, which no case decides; correct the claim or write the case",
                fault.name
            ));
        }
    }
    let Some(firmware) = firmwares.get(suite.system()) else { return complaints };
    let known = firmware.defects();
    let named: BTreeSet<&str> = faults
        .iter()
        .filter_map(|fault| match &fault.model {
            Model::Firmware(defect) => Some(defect.as_str()),
            _ => None,
        })
        .collect();
    for defect in known.iter().filter(|defect| !named.contains(**defect)) {
        complaints.push(format!("{path}: no fault gives the firmware its defect `{defect}`; add an entry"));
    }
    for defect in named.iter().filter(|defect| !known.contains(defect)) {
        complaints
            .push(format!("{path}: the firmware has no defect `{defect}`; it has: {}", known.join(", ")));
    }
    complaints
}

/// The rig that can have faults: a virtual one, or a device that is emulated in exact time, which can have
/// a firmware's.
fn breakable_rig(environment: &Environment, system: &str) -> Result<RigFile, CommandError> {
    let breakable = |rig: &&RigFile| match &rig.back_end {
        BackEnd::Virtual(_) => true,
        BackEnd::Qemu(qemu) => matches!(qemu.board, QemuBoard::Exact(_)),
        BackEnd::Replay(_) | BackEnd::Bench(_) => false,
    };
    environment.rigs.iter().filter(|rig| rig.dut == system).find(breakable).cloned().ok_or_else(|| {
        let text = format!(
            "no virtual rig holds `{system}`, and none of QEMU's in exact time; faults need one: name its file with --rig"
        );
        CommandError::Refused(text)
    })
}
