//! Which image ran: the firmware of a virtual board is part of this program.

use std::sync::LazyLock;

/// SHA-256 of this program's file in hexadecimal; `None` if the system does not give it away.
pub(super) fn of_this_program() -> Option<&'static str> {
    static HASH: LazyLock<Option<String>> =
        LazyLock::new(|| std::env::current_exe().and_then(|path| rigor_image::hash_of_file(&path)).ok());
    HASH.as_deref()
}
