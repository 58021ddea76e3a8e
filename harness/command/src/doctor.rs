//! `rigor doctor`: what this machine can do, and what to install for the rest.

pub(crate) mod bench;
mod devices;
#[cfg(target_os = "linux")]
mod emulated;
mod place;
mod rig;
mod tool;

use std::process::ExitCode;

use rigor_core::result::{EXIT_OK, EXIT_UNDECIDED};
use rigor_reports::visible;
use rigor_rigs::bench::examine::Absent;
use serde::Serialize;

use crate::Systems;
use crate::choices::one_rig;
use crate::error::CommandError;
use crate::print::{columns, print};

/// Say what this machine can do, and what to install for the rest
///
/// Takes the default virtual rigs and lets their firmware run for a moment; looks for the emulators and the
/// images of the other rigs, for tools, serial ports, GPIO chips and USB adapters, and for what a person
/// needs to see anything. Opens no port: that
/// could reset a board.
///
/// With --rig it looks at one rig instead, and opens and acts on everything that its file names. Of a bench it
/// takes the lease, asks the controller who it is and whether it has the wires, has it send edges to itself (how
/// many come back, how late, how evenly), holds its clock against the host's, and opens the console. If all of that
/// is well it starts the board: what does it say, does it answer an empty line, and how long is the way to each of
/// its services? Each line says what was found, and the line below it what to do.
///
/// A bench that fails under a case is helped: reset, USB devices made to appear anew, supply off and on. One that
/// nothing helps is taken out of service, and every case on it is a rig fault from then on, until somebody has
/// looked and says --back-in-service.
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
#[command(after_help = "Examples:
  rigor doctor
  rigor doctor --json | jq -r '.checks[] | select(.status == \"missing\") | .remedy'
  rigor doctor --rig rigs/bench/desk-prism-k1.toml     a bench, before the first case
  rigor doctor --rig desk-prism-k1 --back-in-service   when what was wrong with it is put right
  rigor doctor --rig rigs/bench-in-a-box.toml          with `rigor simulate prism-k1 --bench` beside it

What a status means:
  ok        as it should be
  missing   it is not there, and something needs it
  unusable  it is there and cannot be used as it is
  unknown   nobody can tell from here; cases run all the same
  WRONG     cases on this rig would end as rig faults
  BROKEN    the default virtual rigs do not work

Exit codes:
  0  the default virtual rigs work, whatever else is missing; with --rig, nothing is wrong with that rig
  2  one of them does not; something is wrong
  3  the suites or the rig file are malformed, or the command line is wrong")]
pub(crate) struct Arguments {
    /// A rig file, or a rig's name: look at this rig, and act on it.
    #[arg(long, value_name = "RIG")]
    rig: Option<String>,
    /// Let everybody use the bench again that was taken out of service, if nothing is wrong with it now.
    #[arg(long, requires = "rig")]
    back_in_service: bool,
    /// As JSON, for other programs.
    #[arg(long)]
    json: bool,
}

/// What came of a check.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Status {
    /// It is there and can be used.
    Ok,
    /// It is not there, and something needs it.
    Missing,
    /// It is there and cannot be used as it is.
    Unusable,
    /// Nobody can tell from here, and it keeps nothing from working.
    Unknown,
    /// The rig that was asked about does not work with it.
    Wrong,
    /// Without it nothing works.
    Broken,
}

impl Status {
    fn name(self) -> &'static str {
        match self {
            Status::Ok => "ok",
            Status::Missing => "missing",
            Status::Unusable => "unusable",
            Status::Unknown => "unknown",
            Status::Wrong => "WRONG",
            Status::Broken => "BROKEN",
        }
    }
}

/// One thing that was looked at. Texts are harmless on a terminal.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
struct Check {
    /// What kind of thing: a heading.
    group: &'static str,
    /// What was looked at.
    name: String,
    status: Status,
    /// What was found.
    found: String,
    /// What it is good for.
    purpose: &'static str,
    /// What to do if it is not as it should be.
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
}

/// Everything, for other programs.
#[derive(Serialize)]
struct Diagnosis {
    /// Whether the default virtual rigs work.
    ready: bool,
    checks: Vec<Check>,
}

/// What a diagnosis comes to, if all is well and if not.
struct Ending {
    well: String,
    ill: String,
}

pub(crate) fn run(arguments: &Arguments, systems: Systems) -> Result<ExitCode, CommandError> {
    let (checks, ending) = match &arguments.rig {
        Some(rig) => of_rig(rig, arguments.back_in_service, &systems)?,
        None => of_machine(systems)?,
    };
    let ready = checks.iter().all(|check| !matches!(check.status, Status::Broken | Status::Wrong));
    let diagnosis = Diagnosis { ready, checks };
    if arguments.json {
        let text = serde_json::to_string_pretty(&diagnosis)
            .map_err(|error| CommandError::Refused(format!("not to be written as JSON: {error}")))?;
        print(&format!("{text}\n"));
    } else {
        print(&told(&diagnosis, &ending));
    }
    Ok(ExitCode::from(if ready { EXIT_OK } else { EXIT_UNDECIDED }))
}

fn of_machine(systems: Systems) -> Result<(Vec<Check>, Ending), CommandError> {
    let mut checks = rig::checks(systems)?;
    #[cfg(target_os = "linux")]
    checks.extend(emulated::checks());
    checks.extend(place::checks());
    checks.extend(tool::checks());
    checks.extend(devices::checks());
    let well = "the default virtual rigs work: rigor run --short".to_owned();
    Ok((checks, Ending { well, ill: "a default virtual rig does not work".to_owned() }))
}

fn of_rig(rig: &str, back: bool, systems: &Systems) -> Result<(Vec<Check>, Ending), CommandError> {
    let (file, root) = one_rig(rig)?;
    let shown = visible(&file.path);
    let absent = if back { Absent::ComesBack } else { Absent::StaysSo };
    let well = format!("{} is well: rigor run --short --rig {shown}", file.name);
    let ill = format!("{} is not well; put right what is WRONG, and ask again", file.name);
    Ok((bench::checks(&file, &root, systems, absent)?, Ending { well, ill }))
}

fn told(diagnosis: &Diagnosis, ending: &Ending) -> String {
    let mut text = String::new();
    let mut group = "";
    let mut rest = diagnosis.checks.as_slice();
    while let Some(first) = rest.first() {
        let (own, others) = rest.split_at(rest.iter().take_while(|check| check.group == first.group).count());
        rest = others;
        if !group.is_empty() {
            text.push('\n');
        }
        group = first.group;
        text.push_str(&format!("{group}\n"));
        let cells = |check: &Check| {
            let (status, found) = (check.status.name(), check.found.as_str());
            vec![format!("  {status:<8}"), check.name.clone(), found.to_owned(), check.purpose.to_owned()]
        };
        let lines = columns(&own.iter().map(cells).collect::<Vec<_>>());
        for (line, check) in lines.lines().zip(own) {
            text.push_str(&format!("{line}\n"));
            if let Some(remedy) = &check.remedy {
                text.push_str(&format!("            -> {remedy}\n"));
            }
        }
    }
    let ending = if diagnosis.ready { &ending.well } else { &ending.ill };
    text.push_str(&format!("\n{ending}\n"));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_remedy_stands_below_what_it_is_for() {
        let check = |group, name: &str, status, remedy: Option<&str>| Check {
            group,
            name: name.to_owned(),
            status,
            found: "found".to_owned(),
            purpose: "purpose",
            remedy: remedy.map(str::to_owned),
        };
        let checks = vec![
            check("rigs", "a", Status::Ok, None),
            check("tools", "bb", Status::Missing, Some("install it")),
            check("tools", "c", Status::Ok, None),
        ];
        let expected = "\
rigs
  ok        a  found  purpose

tools
  missing   bb  found  purpose
            -> install it
  ok        c   found  purpose

all is well
";
        let ending = Ending { well: "all is well".to_owned(), ill: "it is not".to_owned() };
        assert_eq!(told(&Diagnosis { ready: true, checks }, &ending), expected);
    }
}
