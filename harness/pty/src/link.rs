//! The name that lasts: a symbolic link beside the number that the system gives.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::PtyError;

/// Where Linux has its pseudo-terminals.
const TERMINALS: &str = "/dev/pts";

/// A link that we made. Removed when it is dropped, unless somebody has put something else in its place.
#[derive(Debug)]
pub(crate) struct Link {
    name: PathBuf,
    target: PathBuf,
}

impl Link {
    /// # Errors
    /// [`PtyError::Taken`], [`PtyError::Link`].
    pub(crate) fn make(name: PathBuf, target: &Path) -> Result<Self, PtyError> {
        let mut made = symlink(target, &name);
        if made.as_ref().is_err_and(|error| error.kind() == ErrorKind::AlreadyExists) {
            if !is_left_over(&name) {
                return Err(PtyError::Taken { path: name });
            }
            made = fs::remove_file(&name).and_then(|()| symlink(target, &name));
        }
        match made {
            Ok(()) => Ok(Link { name, target: target.to_owned() }),
            Err(reason) => Err(PtyError::Link { path: name, reason }),
        }
    }

    pub(crate) fn name(&self) -> &Path {
        &self.name
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        if fs::read_link(&self.name).is_ok_and(|target| target == self.target) {
            // Nothing can be done about it here, and the next owner replaces what is left over.
            let _ = fs::remove_file(&self.name);
        }
    }
}

/// Whether a process that was killed left it: a link to a pseudo-terminal that is no more.
fn is_left_over(name: &Path) -> bool {
    fs::read_link(name).is_ok_and(|target| target.parent() == Some(Path::new(TERMINALS)) && !target.exists())
}
