//! The rigs that have runners of their own, as GitHub makes jobs of them.

use std::collections::BTreeMap;

use rigor_rigs::RigFile;
use rigor_rigs::file::{BackEnd, Bench};
use serde::Serialize;

/// Jobs that GitHub makes of one matrix at most.
/// <https://docs.github.com/en/actions/reference/limits>
const MAX_JOBS: usize = 256;

/// A matrix of a workflow: `strategy: { matrix: <this> }`.
#[derive(Serialize)]
pub(super) struct Matrix<'a> {
    include: Vec<Job<'a>>,
}

/// One job of it.
#[derive(Serialize)]
struct Job<'a> {
    rig: &'a str,
    dut: &'a str,
    /// From the root of the workspace.
    path: &'a str,
    /// What `runs-on` wants: a runner that has all of these.
    labels: &'a [String],
}

/// Why there is no matrix.
#[derive(PartialEq, Debug, thiserror::Error)]
pub(super) enum NoMatrix {
    /// A night in which nothing runs must not be green.
    #[error(
        "no rig file names `labels`, so no job would run; write, for example, \
         `labels = [\"self-hosted\", \"rigor-desk\"]` below `[bench]`"
    )]
    Empty,
    /// Jobs, results and histories go by the name.
    #[error("{0} and {1} are both called `{2}`; give each rig with `labels` a `name` of its own")]
    SameName(String, String, String),
    /// GitHub takes no more.
    #[error("{0} rig files name `labels`, and GitHub makes {MAX_JOBS} jobs of a matrix at most; split them")]
    TooMany(usize),
}

/// A job for each rig file with labels.
pub(super) fn matrix<'a>(rigs: impl IntoIterator<Item = &'a RigFile>) -> Result<Matrix<'a>, NoMatrix> {
    let mut include = Vec::new();
    let mut named = BTreeMap::new();
    for rig in rigs {
        let BackEnd::Bench(Bench { labels, .. }) = &rig.back_end else { continue };
        if labels.is_empty() {
            continue;
        }
        if let Some(other) = named.insert(rig.name.as_str(), rig.path.as_str()) {
            return Err(NoMatrix::SameName(other.to_owned(), rig.path.clone(), rig.name.clone()));
        }
        include.push(Job { rig: &rig.name, dut: &rig.dut, path: &rig.path, labels });
    }
    match include.len() {
        0 => Err(NoMatrix::Empty),
        jobs if jobs > MAX_JOBS => Err(NoMatrix::TooMany(jobs)),
        _ => Ok(Matrix { include }),
    }
}
