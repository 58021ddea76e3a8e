//! Why a subcommand could not do what it was asked to.

use std::path::PathBuf;

use rigor_reports::store::StoreError;
use rigor_runner::SuiteError;
use rigor_runner::engine::Complaints;

/// What keeps a subcommand from its work. None of it is the product's fault: the process exits with
/// [`EXIT_HARNESS`](rigor_core::result::EXIT_HARNESS).
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommandError {
    /// A catalogue or a list of faults is malformed.
    #[error(transparent)]
    Suite(#[from] SuiteError),
    /// Suites, rig files and choices do not fit together.
    #[error(transparent)]
    Complaints(#[from] Complaints),
    /// What would be found out could not be kept, or what was kept cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The operating system refused.
    #[error("cannot {action} {}: {source}; {remedy}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Its answer.
        source: std::io::Error,
        /// What to do about it.
        remedy: &'static str,
    },
    /// Something was asked for that does not exist.
    #[error("no {what} is called `{}`; {remedy}", rigor_reports::visible(name))]
    Unknown {
        /// Of which kind.
        what: &'static str,
        /// What was written.
        name: String,
        /// What to write instead.
        remedy: String,
    },
    /// What was asked for cannot be done; the text says why and what to do.
    #[error("{0}")]
    Refused(String),
}
