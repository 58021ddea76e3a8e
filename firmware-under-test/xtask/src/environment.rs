//! What the caller's environment may say to a build: nothing that would change the image.
//!
//! `cargo xtask` is itself run by a cargo, which leaves its own traces there, and flags for the host
//! (`RUSTFLAGS` above all, which takes the place of those in the port's `.cargo/config.toml`) would end up in
//! the firmware.

use std::ffi::OsStr;
use std::process::Command;

/// Where cargo finds what it downloads, how it tells of its progress, and how much it does at once.
const KEPT: [&str; 9] = [
    "CARGO_HOME",
    "CARGO_HTTP_",
    "CARGO_NET_",
    "CARGO_REGISTR",
    "CARGO_SOURCE_",
    "CARGO_TERM_",
    "CARGO_BUILD_JOBS",
    "RUST_BACKTRACE",
    "RUSTUP_",
];

/// Takes from `command` what the caller's environment would tell a build.
pub(crate) fn clean(command: &mut Command) -> &mut Command {
    for (name, _) in std::env::vars_os() {
        if is_meant_for_builds(&name) {
            command.env_remove(name);
        }
    }
    command
}

/// Which variables a build must not hear of; `RUSTUP_TOOLCHAIN`, which names the active toolchain, is none.
fn is_meant_for_builds(name: &OsStr) -> bool {
    let Some(name) = name.to_str() else { return false };
    let read_by_builds = name.starts_with("CARGO") || name.starts_with("RUST");
    read_by_builds && !KEPT.iter().any(|kept| name.starts_with(kept))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_an_image_is_left_out() {
        let out = [
            "RUSTFLAGS",
            "CARGO",
            "CARGO_ENCODED_RUSTFLAGS",
            "CARGO_TARGET_DIR",
            "CARGO_TARGET_RISCV32IMAC_UNKNOWN_NONE_ELF_RUSTFLAGS",
            "CARGO_PROFILE_RELEASE_LTO",
            "CARGO_MANIFEST_DIR",
            "RUSTC",
            "RUSTC_WRAPPER",
            "RUSTC_BOOTSTRAP",
            "RUSTDOCFLAGS",
        ];
        for name in out {
            assert!(is_meant_for_builds(OsStr::new(name)), "{name}");
        }
        for name in
            ["PATH", "HOME", "CARGO_HOME", "CARGO_NET_OFFLINE", "CARGO_TERM_COLOR", "RUSTUP_TOOLCHAIN"]
        {
            assert!(!is_meant_for_builds(OsStr::new(name)), "{name}");
        }
    }
}
