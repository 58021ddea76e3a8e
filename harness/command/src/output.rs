//! Where a subcommand's product goes: to a file, whole or not at all, or to the standard output.

use std::io::{IsTerminal, Write};
use std::path::Path;

use rigor_reports::store::{StoreError, write_atomically};

use crate::error::CommandError;
use crate::print::print;

fn write(path: &Path, bytes: &[u8]) -> Result<(), CommandError> {
    write_atomically(path, bytes).map_err(|error| match error {
        StoreError::Io { action, path, source } => {
            let remedy = "check that the folder exists and may be written, or name another file";
            CommandError::Io { action, path, source, remedy }
        }
        other => other.into(),
    })
}

/// Writes `text` to `path` and says so, or to the standard output.
pub(crate) fn text(path: Option<&Path>, text: &str) -> Result<(), CommandError> {
    match path {
        Some(path) => {
            write(path, text.as_bytes())?;
            print(&format!("{}\n", path.display()));
        }
        None => print(text),
    }
    Ok(())
}

/// Writes `bytes` to `path` and says so, or to the standard output unless that is a terminal.
pub(crate) fn bytes(path: Option<&Path>, bytes: &[u8]) -> Result<(), CommandError> {
    match path {
        Some(path) => {
            write(path, bytes)?;
            print(&format!("{}\n", path.display()));
        }
        None if std::io::stdout().is_terminal() => {
            let text = "a picture is nothing for a terminal; name a file with -o";
            return Err(CommandError::Refused(text.to_owned()));
        }
        None => {
            // A reader that went away is no reason to complain.
            let _ = std::io::stdout().write_all(bytes);
        }
    }
    Ok(())
}
