//! WebSocket conformance: rows that any echo server has to pass.
//!
//! RFC 6455 as a table. `rows/*.toml` hold, section by section, what a client sends and what may come
//! of it; each row is one case and has two verdicts, *behaviour* and *close* (see [`verdict`]), which
//! are requirements of their own: `WS-5-1-03-B` and `WS-5-1-03-C` are row 3 of section 5.1. What is
//! tried is modelled on what the public conformance suites for WebSocket try; no row is theirs.
//!
//! A system takes them in with one line in its suite, if its device echoes messages somewhere:
//!
//! ```
//! use rigor_core::requirement::Catalogue;
//! use rigor_runner::Suite;
//! use suite_websocket::Endpoint;
//!
//! # let own = "schema = 1\nsystem = \"toy\"\ntitle = \"Toy\"\n[[requirement]]\nid = \"TOY-SYS-001\"\n\
//! #     title = \"x\"\nclause = \"1\"\ntext = \"It is.\"\nclass = \"must\"\nplanned = \"Not yet.\"";
//! let mut suite = Suite::new(Catalogue::parse(own, "toy.toml")?);
//! suite_websocket::add_to(
//!     &mut suite,
//!     &Endpoint { port: "ws".to_owned(), path: "/echo".to_owned(), message_max: None },
//! )?;
//! assert!(suite.cases().len() > 100);
//! # Ok::<(), rigor_core::requirement::CatalogueErrors>(())
//! ```
//!
//! The rows know nothing of rigs: [`talk`] is the conversation of a row without input or output,
//! [`socket`] drives it over a socket of this host, for servers that are no firmware. The crate's
//! tests do that with an independent implementation, so that a wrong row is found out.
//!
//! | Grade | What it is | Verdict |
//! |---|---|---|
//! | strict | what RFC 6455 asks for | pass |
//! | tolerated | what it leaves open, or a public suite calls non-strict | pass; what was seen begins with `non-strict` |
//! | broken | anything else | fail, if the row's class is `must` or `should` |
//!
//! What public suites call informational is a row of class `report`: it is recorded and cannot fail.

pub mod limits;
pub mod plan;
pub mod script;
pub mod socket;
pub mod table;
pub mod talk;
pub mod verdict;

mod rig;
mod words;

use std::sync::Arc;

use rigor_core::requirement::CatalogueErrors;
use rigor_runner::Suite;
use rigor_runner::case::Case;

pub use limits::Limits;
pub use plan::Planned;
pub use script::Endpoint;
pub use table::{Group, Row, TableError};

/// What the requests of rows over a rig call the server.
const HOST: &str = "device";

macro_rules! files {
    ($($name:literal,)+) => {
        [$((concat!("suites/websocket/rows/", $name), include_str!(concat!("../rows/", $name))),)+]
    };
}

/// Every file of rows: its name and its text.
const FILES: &[(&str, &str)] = &files![
    "4-2-1-request.toml",
    "4-2-2-answer.toml",
    "4-4-version.toml",
    "5-1-masking.toml",
    "5-2-framing.toml",
    "5-4-fragmentation.toml",
    "5-5-control.toml",
    "5-5-1-close.toml",
    "5-5-2-ping.toml",
    "5-5-3-pong.toml",
    "5-6-data.toml",
    "7-1-1-ending.toml",
    "7-4-codes.toml",
    "8-1-utf-8.toml",
];

/// The section and number of the row of a client that only wants to be served.
const ALIVE: (&str, u8) = ("5.6", 1);

/// All rows.
///
/// # Panics
/// Never: the files are embedded, and the crate's tests read them.
pub fn groups() -> Vec<Group> {
    let read = |(file, text): &(&str, &str)| Group::parse(file, text);
    let groups: Result<Vec<Group>, TableError> = FILES.iter().map(read).collect();
    groups.expect("the embedded files are well-formed: a test reads them")
}

/// All rows, made for `endpoint`.
///
/// # Panics
/// Never, as [`groups`].
pub fn planned(endpoint: &Endpoint, host: &str) -> Vec<Planned> {
    let groups = groups();
    let alive = groups
        .iter()
        .filter(|group| group.clause == ALIVE.0)
        .flat_map(|group| &group.rows)
        .find(|row| row.number == ALIVE.1)
        .expect("the row is embedded: a test looks for it");
    plan::plan(&groups, alive, endpoint, host, &Limits::built_in())
}

/// Adds a case for each row, and its two requirements, to the suite of a system whose device echoes
/// messages at `endpoint`.
///
/// # Errors
/// [`CatalogueErrors`] if the system has requirements of these ids itself.
pub fn add_to(suite: &mut Suite, endpoint: &Endpoint) -> Result<(), CatalogueErrors> {
    let planned = planned(endpoint, HOST);
    suite.require(planned.iter().flat_map(|one| [one.behaviour.clone(), one.close.clone()]).collect())?;
    for one in planned {
        let one = Arc::new(one);
        let (name, ids) = (one.name.clone(), [one.behaviour.id.clone(), one.close.id.clone()]);
        let ids = ids.each_ref().map(AsRef::as_ref);
        suite.add(Case::new(name, &ids, move |net, clock| rig::decide(net, clock, one.clone())));
    }
    Ok(())
}
