//! The libraries `core` and `alloc` for the chip, made once for each compiler that came without.
//!
//! A whole one is never half there: it is built in a folder of its own and then renamed, and whoever comes
//! meanwhile waits for it.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest, Sha256};

use crate::compiler::{System, quoted};
use crate::error::TaskError;
use crate::port::Port;

/// What is built. `alloc` brings `core` and `compiler_builtins` with it.
const LIBRARIES: [&str; 3] = ["core", "alloc", "compiler_builtins"];

/// Without link-time optimisation, which would leave nothing but bitcode, and with bitcode besides the
/// code, so that firmware can be optimised as a whole. With what backtraces need: line tables, and frame
/// pointers, as in the libraries that rustup brings.
const MANIFEST: &str = r#"[package]
name = "sysroot"
version = "0.0.0"
edition = "2024"
[workspace]
[lib]
path = "lib.rs"
[profile.release]
panic = "abort"
lto = "off"
debug = "line-tables-only"
"#;
const FLAGS: &str = "-Cembed-bitcode=yes -Cforce-frame-pointers=yes";

/// What the names of folders begin with in which a library is not finished.
const UNFINISHED: &str = "unfinished-";

/// The folder that serves `system` as `--sysroot`, built now if it is not there.
///
/// # Errors
/// [`TaskError`] if it cannot be built or kept.
pub(crate) fn of(system: &System, port: &Port) -> Result<PathBuf, TaskError> {
    let sysroots = port.sysroots();
    fs::create_dir_all(&sysroots).map_err(TaskError::io("make the folder", &sysroots))?;
    let sysroot = sysroots.join(key(system, port.target));
    let _lock = lock(&sysroots.join("lock"), "the compiler's library")?;
    if !sysroot.exists() {
        discard_unfinished(&sysroots)?;
        // Of its own: a compiler whose caller was killed may still write to the last one.
        let work = sysroots.join(format!("{UNFINISHED}{}", std::process::id()));
        let built = build(system, port.target, &work);
        let kept =
            built.and_then(|whole| fs::rename(whole, &sysroot).map_err(TaskError::io("rename to", &sysroot)));
        discard_unfinished(&sysroots)?;
        kept?;
    }
    Ok(sysroot)
}

/// A name that another compiler, another target, or another way of building does not have.
fn key(system: &System, target: &str) -> String {
    let made_of = [system.version.as_str(), MANIFEST, FLAGS, target].join("\n");
    Sha256::digest(made_of).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// Waits until nobody else holds the lock `path`. Whoever holds it and dies lets go of it.
///
/// # Errors
/// [`TaskError::Io`] if there can be no lock.
pub(crate) fn lock(path: &Path, on: &str) -> Result<File, TaskError> {
    let refused = |source| TaskError::Io { action: "lock", path: path.to_owned(), source };
    let file = File::create(path).map_err(refused)?;
    match file.try_lock() {
        Ok(()) => return Ok(file),
        Err(TryLockError::Error(error)) => return Err(refused(error)),
        Err(TryLockError::WouldBlock) => eprintln!("waiting for somebody else who builds {on}"),
    }
    file.lock().map_err(refused)?;
    Ok(file)
}

/// Removes what was begun and not ended.
fn discard_unfinished(sysroots: &Path) -> Result<(), TaskError> {
    let entries = sysroots.read_dir().map_err(TaskError::io("list", sysroots))?;
    for entry in entries.flatten() {
        if entry.file_name().to_string_lossy().starts_with(UNFINISHED) {
            fs::remove_dir_all(entry.path()).map_err(TaskError::io("remove", entry.path()))?;
        }
    }
    Ok(())
}

/// Builds the library below `work`, and returns the folder that has all of it.
fn build(system: &System, target: &str, work: &Path) -> Result<PathBuf, TaskError> {
    eprintln!("building core and alloc for {target}, once for this compiler");
    fs::create_dir_all(work).map_err(TaskError::io("make the folder", work))?;
    for (name, text) in [("Cargo.toml", MANIFEST), ("lib.rs", "#![no_std]\n")] {
        let path = work.join(name);
        fs::write(&path, text).map_err(TaskError::io("write", &path))?;
    }
    let folder = work.join("target");
    let mut command = Command::new(system.programs.join("cargo"));
    system.prepare(&mut command).current_dir(work);
    // The compiler is the packages' own, so the library of the same packages may ask for what is not
    // stable yet.
    command.env("RUSTC_BOOTSTRAP", "1").env("CARGO_UNSTABLE_BUILD_STD", "core,alloc").env("RUSTFLAGS", FLAGS);
    command.args(["build", "--release", "--target", target, "--target-dir"]).arg(&folder);
    let vendored = system.library.join("vendor");
    if vendored.exists() {
        // What the library is made of came with it: nothing is downloaded.
        let vendored = quoted(&vendored.display().to_string());
        command.args(["--offline", "--config", "source.crates-io.replace-with=\"library\"", "--config"]);
        command.arg(format!("source.library.directory={vendored}"));
    }
    let what = format!("building the library for {target}");
    run(&mut command, &what)?;

    let whole = work.join("sysroot");
    let made = folder.join(target).join("release/deps");
    let folder = whole.join("lib/rustlib").join(target).join("lib");
    fs::create_dir_all(&folder).map_err(TaskError::io("make the folder", &folder))?;
    for library in LIBRARIES {
        let file = made_library(&made, library).ok_or_else(|| TaskError::Program {
            program: system.programs.join("cargo").display().to_string(),
            what: format!("it left no {library} in {}", made.display()),
        })?;
        let to = folder.join(file.file_name().unwrap_or_default());
        fs::copy(&file, &to).map_err(TaskError::io("copy to", &to))?;
    }
    Ok(whole)
}

/// The compiled library of this name.
fn made_library(folder: &Path, name: &str) -> Option<PathBuf> {
    let prefix = format!("lib{name}-");
    let is_it = |path: &PathBuf| {
        let file = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        file.starts_with(&prefix) && file.ends_with(".rlib")
    };
    folder.read_dir().ok()?.filter_map(|file| Some(file.ok()?.path())).find(is_it)
}

/// Runs `command`, whose words go to the terminal.
///
/// # Errors
/// [`TaskError::Failed`] with `what` it was to do.
pub(crate) fn run(command: &mut Command, what: &str) -> Result<(), TaskError> {
    let status = command.status().map_err(|error| TaskError::Program {
        program: command.get_program().to_string_lossy().into_owned(),
        what: error.to_string(),
    })?;
    if status.success() { Ok(()) } else { Err(TaskError::Failed { what: what.to_owned() }) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::port::TARGET;

    /// A compiler whose cargo leaves what `script` says, where it is told to.
    fn system(folder: &Path, version: &str, script: &str) -> System {
        let cargo = folder.join("cargo");
        // The last argument is the folder.
        let script = format!(
            "for last; do :; done\nmade=\"$last/{TARGET}/release/deps\"\nmkdir -p \"$made\"\n{script}"
        );
        crate::stand_in::write(&cargo, &script);
        let library = folder.join("library");
        System::of_parts(folder, version, &library, &folder.join("ld.lld"))
    }

    const WHOLE: &str =
        "for name in core alloc compiler_builtins; do echo $name > \"$made/lib$name-1.rlib\"; done";

    fn libraries(sysroot: &Path) -> usize {
        sysroot.join("lib/rustlib").join(TARGET).join("lib").read_dir().map_or(0, Iterator::count)
    }

    fn port(root: &Path) -> Port {
        Port::qemu_virt(root)
    }

    #[test]
    fn it_is_built_once_for_each_compiler() {
        let root = tempfile::tempdir().unwrap();
        let port = port(root.path());
        let first = of(&system(root.path(), "1.96.0", WHOLE), &port).unwrap();
        assert_eq!(libraries(&first), 3);
        let again = of(&system(root.path(), "1.96.0", "exit 1"), &port).unwrap();
        assert_eq!(again, first);
        let other = of(&system(root.path(), "1.97.0", WHOLE), &port).unwrap();
        assert_ne!(other, first);
    }

    #[test]
    fn what_is_not_whole_is_never_taken() {
        let root = tempfile::tempdir().unwrap();
        let port = port(root.path());
        let left = || port.sysroots().read_dir().unwrap().count();
        let error = of(&system(root.path(), "1.96.0", "exit 1"), &port).expect_err("cargo failed");
        assert_eq!(error.exit_code(), 1, "{error}");
        let error = of(&system(root.path(), "1.96.0", "echo > \"$made/libcore-1.rlib\""), &port);
        assert!(error.expect_err("it has no alloc").to_string().contains("left no alloc"));
        assert_eq!(left(), 1, "nothing but the lock");
        // Somebody was killed in the middle of it.
        fs::create_dir_all(port.sysroots().join("unfinished-1/sysroot/lib")).unwrap();
        let sysroot = of(&system(root.path(), "1.96.0", WHOLE), &port).unwrap();
        assert_eq!((libraries(&sysroot), left()), (3, 2));
    }

    #[test]
    fn two_at_once_build_it_once() {
        let root = tempfile::tempdir().unwrap();
        let count = root.path().join("count");
        let script = format!("echo >> {}\nsleep 0.3\n{WHOLE}", count.display());
        let system = system(root.path(), "1.96.0", &script);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| of(&system, &port(root.path())).unwrap());
            }
        });
        assert_eq!(fs::read_to_string(&count).unwrap().lines().count(), 1);
    }
}
