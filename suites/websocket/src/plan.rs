//! The rows made for an endpoint: a case and two requirements each.

use rigor_core::requirement::{Requirement, RequirementId};

use crate::limits::Limits;
use crate::script::{Endpoint, Script};
use crate::table::{Group, Row};
use crate::words;

/// A row made for an endpoint.
#[derive(Clone, PartialEq, Debug)]
pub struct Planned {
    /// Name of its case.
    pub name: String,
    /// What it says of the server's behaviour.
    pub behaviour: Requirement,
    /// What it says of the end of the connection.
    pub close: Requirement,
    pub(crate) endpoint: Endpoint,
    pub(crate) script: Script,
    /// The conversation of a client that comes after.
    pub(crate) alive: Script,
    pub(crate) limits: Limits,
    sent: String,
}

/// The rows of `groups` for `endpoint`, without those about a limit that it has not got. `alive` is
/// the row of a client that only wants to be served; `host` is what its requests call the server.
pub fn plan(groups: &[Group], alive: &Row, endpoint: &Endpoint, host: &str, limits: &Limits) -> Vec<Planned> {
    let Some(alive) = Script::new(alive, endpoint, host, limits) else { return Vec::new() };
    let rows = groups.iter().flat_map(|group| group.rows.iter().map(move |row| (group, row)));
    rows.filter_map(|(group, row)| {
        let script = Script::new(row, endpoint, host, limits)?;
        let digits = group.clause.replace('.', "-");
        let sent = words::sent(row, endpoint);
        let requirement = |aspect: &str, title: String, expected: String| {
            Some(Requirement {
                id: RequirementId::new(&format!("WS-{digits}-{:02}-{aspect}", row.number)).ok()?,
                title,
                clause: format!("RFC 6455 section {}", group.clause),
                text: format!("{} Sent: {sent}. Expected: {expected}.", group.rule),
                class: row.class,
                budget: None,
                reading: row.reading.clone(),
                planned: None,
                file: group.file.as_str().into(),
                line: row.line,
            })
        };
        let expected = format!("{}, within {:?}", words::expected(&script), limits.answer);
        let behaviour = requirement("B", row.title.clone(), expected)?;
        let expected = format!("{}, TCP ended within {:?}", words::expected_close(&script), limits.end);
        let close = requirement("C", format!("{}, close", row.title), expected)?;
        Some(Planned {
            name: format!("ws_{}_{:02}_{}", digits.replace('-', "_"), row.number, row.identifier()),
            behaviour,
            close,
            endpoint: endpoint.clone(),
            script,
            alive: alive.clone(),
            limits: *limits,
            sent,
        })
    })
    .collect()
}

impl Planned {
    /// The row's script, for drivers other than a rig.
    pub fn script(&self) -> &Script {
        &self.script
    }

    /// What was sent, and what was expected as `requirement` says it.
    pub(crate) fn case_in_words(&self, requirement: &Requirement) -> String {
        let expected = if requirement.id == self.behaviour.id {
            words::expected(&self.script)
        } else {
            words::expected_close(&self.script)
        };
        format!("expected {expected}; sent {}", self.sent)
    }
}
