//! What we conclude, and whose fault it is.
//!
//! Error types follow the layers, so that `?` keeps the blame: a [`ProductError`] is the
//! firmware's, a [`RigError`] the bench's, a [`HarnessError`] ours, and [`Inconclusive`] says that
//! nobody can tell. [`Blame`] joins them.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The conclusion about one requirement, mildest first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It holds.
    Pass,
    /// Nothing was tried; the reason says why.
    NotRun,
    /// It was tried and nobody can tell.
    Inconclusive,
    /// The bench failed.
    RigFault,
    /// The harness failed.
    HarnessBug,
    /// The product does not meet it.
    Fail,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Verdict::Pass => "PASS",
            Verdict::NotRun => "NOT RUN",
            Verdict::Inconclusive => "INCONCLUSIVE",
            Verdict::RigFault => "RIG FAULT",
            Verdict::HarnessBug => "HARNESS BUG",
            Verdict::Fail => "FAIL",
        })
    }
}

/// The product did something that its specification forbids.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct ProductError(pub String);

/// The bench does not work.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct RigError(pub String);

/// The harness or a case is wrong.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct HarnessError(pub String);

/// The evidence does not suffice.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct Inconclusive(pub String);

/// Why a case could not reach a finding, with the layer that is to blame.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Blame {
    /// The firmware under test.
    #[error(transparent)]
    Product(#[from] ProductError),
    /// The bench.
    #[error(transparent)]
    Rig(#[from] RigError),
    /// Us.
    #[error(transparent)]
    Harness(#[from] HarnessError),
    /// Nobody can tell.
    #[error(transparent)]
    Inconclusive(#[from] Inconclusive),
}

impl Blame {
    /// The verdict on every requirement that the case would have decided.
    pub fn verdict(&self) -> Verdict {
        match self {
            Blame::Product(_) => Verdict::Fail,
            Blame::Rig(_) => Verdict::RigFault,
            Blame::Harness(_) => Verdict::HarnessBug,
            Blame::Inconclusive(_) => Verdict::Inconclusive,
        }
    }
}

impl From<crate::timeline::TimelineError> for Blame {
    fn from(error: crate::timeline::TimelineError) -> Self {
        HarnessError(error.to_string()).into()
    }
}
