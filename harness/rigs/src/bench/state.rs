//! Where a host keeps what it knows of its benches, for all processes of a user.

use std::path::PathBuf;

/// The folder for what is called `name`: in `$XDG_STATE_HOME/rigor`, or `~/.local/state/rigor`, or else below
/// `/tmp/rigor-<user>`.
pub(super) fn folder(name: &str) -> PathBuf {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = absolute("XDG_STATE_HOME").or_else(|| Some(absolute("HOME")?.join(".local/state")));
    match state {
        Some(state) => state.join("rigor").join(name),
        None => PathBuf::from(format!("/tmp/rigor-{}", rustix::process::getuid().as_raw())).join(name),
    }
}
