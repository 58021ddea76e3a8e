//! `rigor doctor`: what this machine can do, and what to install for the rest.

mod devices;
#[cfg(target_os = "linux")]
mod emulated;
mod place;
mod rig;
mod tool;

use std::process::ExitCode;

use rigor_core::result::{EXIT_OK, EXIT_UNDECIDED};
use serde::Serialize;

use crate::Systems;
use crate::error::CommandError;
use crate::print::{columns, print};

/// Say what this machine can do, and what to install for the rest
///
/// Takes the default virtual rigs and lets their firmware run for a moment; looks for the emulators and the
/// images of the other rigs, for tools, serial ports, GPIO chips and USB adapters, and for what a person
/// needs to see anything. Opens no port: that
/// could reset a board.
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
#[command(after_help = "Examples:
  rigor doctor
  rigor doctor --json | jq -r '.checks[] | select(.status == \"missing\") | .remedy'

Exit codes:
  0  the default virtual rigs work, whatever else is missing
  2  one of them does not
  3  the suites are malformed")]
pub(crate) struct Arguments {
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
    /// Without it nothing works.
    Broken,
}

impl Status {
    fn name(self) -> &'static str {
        match self {
            Status::Ok => "ok",
            Status::Missing => "missing",
            Status::Unusable => "unusable",
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

pub(crate) fn run(arguments: &Arguments, systems: Systems) -> Result<ExitCode, CommandError> {
    let mut checks = rig::checks(systems)?;
    #[cfg(target_os = "linux")]
    checks.extend(emulated::checks());
    checks.extend(place::checks());
    checks.extend(tool::checks());
    checks.extend(devices::checks());
    let ready = checks.iter().all(|check| check.status != Status::Broken);
    let diagnosis = Diagnosis { ready, checks };
    if arguments.json {
        let text = serde_json::to_string_pretty(&diagnosis)
            .map_err(|error| CommandError::Refused(format!("not to be written as JSON: {error}")))?;
        print(&format!("{text}\n"));
    } else {
        print(&told(&diagnosis));
    }
    Ok(ExitCode::from(if ready { EXIT_OK } else { EXIT_UNDECIDED }))
}

fn told(diagnosis: &Diagnosis) -> String {
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
    text.push_str(if diagnosis.ready {
        "\nthe default virtual rigs work: rigor run --short\n"
    } else {
        "\na default virtual rig does not work\n"
    });
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

the default virtual rigs work: rigor run --short
";
        assert_eq!(told(&Diagnosis { ready: true, checks }), expected);
    }
}
