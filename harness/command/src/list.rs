//! `rigor list`: what there is to run, to ask and to break.

mod matrix;

use std::process::ExitCode;

use clap::ValueEnum;
use rigor_core::requirement::Requirement;
use rigor_core::result::{EXIT_HARNESS, EXIT_OK, EXIT_UNDECIDED};
use rigor_reports::visible;
use rigor_rigs::file::{BackEnd, RigFile};
use rigor_runner::engine::workspace_root;
use rigor_runner::{Suite, suggest};
use serde::Serialize;

use crate::Systems;
use crate::choices::{FoundRig, rig_files};
use crate::error::CommandError;
use crate::print::{columns, complain, print};
use matrix::{NoMatrix, matrix};

/// List systems, requirements, cases, rigs or faults.
///
/// Nothing is run and no rig is touched.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  rigor list systems
  rigor list requirements K1-LED               those with K1-LED in their id, title or text
  rigor list cases --json | jq -r '.[].name'   for other programs
  rigor list rigs                              every rig file below rigs/, and what is wrong with it
  rigor list rigs --github-matrix              a job of a workflow for each rig file that names runner labels
  rigor list faults                            what --fault and RIGOR_FAULT can put into a rig

Exit codes: 0; 3 if nothing contains the text, or a catalogue, a list of faults or a rig file is malformed;
2 if no rig file names runner labels, so that a workflow would run nothing.")]
pub(crate) struct Arguments {
    /// What to list.
    what: What,
    /// Only those with this text in them, of either case.
    #[arg(value_name = "TEXT")]
    text: Option<String>,
    /// As a JSON array, one object each.
    #[arg(long)]
    json: bool,
    /// Of rigs: those that name the labels of a runner, as a matrix for GitHub, on one line.
    #[arg(long, conflicts_with_all = ["json", "text"])]
    github_matrix: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum What {
    /// What can be tested.
    Systems,
    /// What is asked of them.
    Requirements,
    /// What decides the requirements.
    Cases,
    /// What cases run on.
    Rigs,
    /// What can be wrong with a rig on purpose.
    Faults,
}

/// Something that can be listed.
trait Listed: Serialize {
    /// What it is called, for suggestions.
    fn name(&self) -> &str;
    /// Its line, cell by cell.
    fn cells(&self) -> Vec<String>;
}

pub(crate) fn run(arguments: &Arguments, systems: Systems) -> Result<ExitCode, CommandError> {
    if arguments.github_matrix {
        return github_matrix(arguments.what);
    }
    let suites = systems.suites?;
    match arguments.what {
        What::Systems => show("system", suites.iter().map(System::of).collect(), arguments)?,
        What::Requirements => {
            let listed = suites.iter().flat_map(|suite| {
                suite.catalogue().requirements.iter().map(move |each| Asked::of(suite, each))
            });
            show("requirement", listed.collect(), arguments)?;
        }
        What::Cases => {
            let listed = suites.iter().flat_map(|suite| {
                suite.cases().iter().map(|case| Case {
                    system: suite.system(),
                    name: case.name(),
                    full_name: case.full_name(suite.system()),
                    requirements: case.decides(),
                    long: case.is_long(),
                })
            });
            show("case", listed.collect(), arguments)?;
        }
        What::Rigs => {
            let root = workspace_root()?;
            let found = rig_files(&root);
            show("rig", found.iter().filter_map(Rig::of).collect(), arguments)?;
            if any_is_broken(&found) {
                return Ok(ExitCode::from(EXIT_HARNESS));
            }
        }
        What::Faults => {
            let listed = suites.iter().flat_map(|suite| {
                suite.faults().faults.iter().map(|fault| Fault {
                    system: suite.system(),
                    name: &fault.name,
                    family: fault.model.family(),
                    models: &fault.models,
                    claimed_by: fault.claimed_by.iter().map(ToString::to_string).collect(),
                })
            });
            show("fault", listed.collect(), arguments)?;
        }
    }
    Ok(ExitCode::from(EXIT_OK))
}

/// Says what is wrong with rig files, if anything is.
fn any_is_broken(found: &[FoundRig]) -> bool {
    let broken: Vec<&String> = found.iter().filter_map(|file| file.rig.as_ref().err()).collect();
    for complaint in &broken {
        complain(&format!("{complaint}\n"));
    }
    !broken.is_empty()
}

/// The rigs with runners of their own. None at all if a file is malformed: a bench that is left out by
/// mistake is one that nobody looks after.
fn github_matrix(what: What) -> Result<ExitCode, CommandError> {
    if !matches!(what, What::Rigs) {
        let text = "--github-matrix is about rigs; write `rigor list rigs --github-matrix`";
        return Err(CommandError::Refused(text.to_owned()));
    }
    let found = rig_files(&workspace_root()?);
    if any_is_broken(&found) {
        return Ok(ExitCode::from(EXIT_HARNESS));
    }
    match matrix(found.iter().filter_map(|file| file.rig.as_ref().ok())) {
        Ok(matrix) => {
            let json = serde_json::to_string(&matrix)
                .map_err(|error| CommandError::Refused(format!("the matrix cannot be written: {error}")))?;
            print(&format!("{json}\n"));
            Ok(ExitCode::from(EXIT_OK))
        }
        Err(nothing @ NoMatrix::Empty) => {
            complain(&format!("{nothing}\n"));
            Ok(ExitCode::from(EXIT_UNDECIDED))
        }
        Err(wrong) => Err(CommandError::Refused(wrong.to_string())),
    }
}

fn show<T: Listed>(
    what: &'static str,
    mut listed: Vec<T>,
    arguments: &Arguments,
) -> Result<(), CommandError> {
    if let Some(text) = &arguments.text {
        let wanted = text.to_lowercase();
        let has = |each: &T| each.cells().iter().any(|cell| cell.to_lowercase().contains(&wanted));
        let (kept, others): (Vec<T>, Vec<T>) = listed.into_iter().partition(has);
        if kept.is_empty() {
            let names: Vec<&str> = others.iter().map(T::name).collect();
            let otherwise = format!("leave the text out to see all {}", names.len());
            let remedy = suggest::remedy(text, &names, &otherwise);
            return Err(CommandError::Unknown { what, name: text.clone(), remedy });
        }
        listed = kept;
    }
    if arguments.json {
        let json = serde_json::to_string_pretty(&listed)
            .map_err(|error| CommandError::Refused(format!("the list cannot be written as JSON: {error}")))?;
        print(&format!("{json}\n"));
    } else {
        let rows: Vec<Vec<String>> = listed.iter().map(T::cells).collect();
        print(&columns(&rows));
    }
    Ok(())
}

#[derive(Serialize)]
struct System<'a> {
    name: &'a str,
    title: &'a str,
    requirements: usize,
    planned: usize,
    cases: usize,
    faults: usize,
}

impl<'a> System<'a> {
    fn of(suite: &'a Suite) -> Self {
        let requirements = &suite.catalogue().requirements;
        System {
            name: suite.system(),
            title: &suite.catalogue().title,
            requirements: requirements.len(),
            planned: requirements.iter().filter(|each| each.planned.is_some()).count(),
            cases: suite.cases().len(),
            faults: suite.faults().faults.len(),
        }
    }
}

impl Listed for System<'_> {
    fn name(&self) -> &str {
        self.name
    }

    fn cells(&self) -> Vec<String> {
        vec![
            self.name.to_owned(),
            format!("{} requirements ({} planned)", self.requirements, self.planned),
            format!("{} cases", self.cases),
            format!("{} faults", self.faults),
            self.title.to_owned(),
        ]
    }
}

#[derive(Serialize)]
struct Asked<'a> {
    id: &'a str,
    system: &'a str,
    title: &'a str,
    clause: &'a str,
    text: &'a str,
    class: String,
    budget: Option<String>,
    reading: Option<&'a str>,
    planned: Option<&'a str>,
    cases: Vec<&'a str>,
}

impl<'a> Asked<'a> {
    fn of(suite: &'a Suite, requirement: &'a Requirement) -> Self {
        let id = requirement.id.as_str();
        let deciding = suite.cases().iter().filter(|case| case.decides().iter().any(|decided| decided == id));
        Asked {
            id,
            system: suite.system(),
            title: &requirement.title,
            clause: &requirement.clause,
            text: &requirement.text,
            class: requirement.class.to_string(),
            budget: requirement.budget.as_ref().map(ToString::to_string),
            reading: requirement.reading.as_deref(),
            planned: requirement.planned.as_deref(),
            cases: deciding.map(|case| case.name()).collect(),
        }
    }
}

impl Listed for Asked<'_> {
    fn name(&self) -> &str {
        self.id
    }

    fn cells(&self) -> Vec<String> {
        let class = if self.planned.is_some() { "planned" } else { &self.class };
        vec![self.id.to_owned(), class.to_owned(), self.title.to_owned(), self.text.to_owned()]
    }
}

#[derive(Serialize)]
struct Case<'a> {
    name: &'a str,
    system: &'a str,
    full_name: String,
    requirements: &'a [String],
    long: bool,
}

impl Listed for Case<'_> {
    fn name(&self) -> &str {
        self.name
    }

    fn cells(&self) -> Vec<String> {
        let long = if self.long { "long" } else { "" };
        vec![self.full_name.clone(), long.to_owned()]
    }
}

#[derive(Serialize)]
struct Rig {
    name: String,
    dut: String,
    back_end: &'static str,
    path: String,
    parts: Vec<String>,
}

impl Rig {
    fn of(file: &FoundRig) -> Option<Self> {
        let rig = file.rig.as_ref().ok()?;
        let (back_end, parts) = match &rig.back_end {
            BackEnd::Virtual(_) | BackEnd::Qemu(_) | BackEnd::Bench(_) => (rig.back_end.name(), parts(rig)),
            BackEnd::Replay(replay) => {
                let recording = replay.recording.display();
                ("replay", vec![format!("as recorded in {}", visible(&recording.to_string()))])
            }
        };
        let (name, dut, path) = (rig.name.clone(), rig.dut.clone(), rig.path.clone());
        Some(Rig { name, dut, back_end, path, parts })
    }
}

/// The parts that the file names, in its words.
fn parts(rig: &RigFile) -> Vec<String> {
    let present = [
        ("power", rig.power.is_some()),
        ("reset", rig.reset.is_some()),
        ("console", rig.console.is_some()),
        ("flash", rig.flash.is_some()),
        ("net", rig.net.is_some()),
        ("air", rig.air.is_some()),
        ("scheduler", rig.scheduler.is_some()),
        ("stress", rig.stress.is_some()),
    ];
    let named = present.into_iter().filter(|(_, present)| *present).map(|(name, _)| name.to_owned());
    let leds = rig.leds.iter().map(|lane| visible(&lane.signal));
    let pins = rig.pins.iter().map(|wire| visible(&wire.signal));
    named.chain(leds).chain(pins).collect()
}

impl Listed for Rig {
    fn name(&self) -> &str {
        &self.name
    }

    fn cells(&self) -> Vec<String> {
        let parts = self.parts.join(", ");
        vec![self.name.clone(), self.dut.clone(), self.back_end.to_owned(), self.path.clone(), parts]
    }
}

#[derive(Serialize)]
struct Fault<'a> {
    name: &'a str,
    system: &'a str,
    family: &'a str,
    models: &'a str,
    claimed_by: Vec<String>,
}

impl Listed for Fault<'_> {
    fn name(&self) -> &str {
        self.name
    }

    fn cells(&self) -> Vec<String> {
        let claimed_by = self.claimed_by.join(" ");
        vec![self.name.to_owned(), self.family.to_owned(), self.models.to_owned(), claimed_by]
    }
}
