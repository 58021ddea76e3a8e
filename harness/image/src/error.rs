//! What can be wrong with an image.

use std::io;
use std::path::PathBuf;

/// Why a file cannot serve as an image.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// Nobody has built it.
    #[error("there is no image {}; build it: `cargo xtask firmware build`", path.display())]
    Missing {
        /// Where it should be.
        path: PathBuf,
    },
    /// What it was built from has changed.
    #[error(
        "the image {} is older than {}, which it was built from; build it again: `cargo xtask firmware build`",
        path.display(),
        newer.display()
    )]
    Stale {
        /// The image.
        path: PathBuf,
        /// The first of its sources that is newer, or is gone.
        newer: PathBuf,
    },
    /// The operating system refused.
    #[error("cannot read {}: {source}; check that it is a file that may be read", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Its answer.
        source: io::Error,
    },
    /// It is no image that could run, or a damaged one.
    #[error("{} {what}; {instead}", path.display())]
    Unfit {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, as the predicate of a sentence.
        what: String,
        /// What to do about it.
        instead: &'static str,
    },
}
