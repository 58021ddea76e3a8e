//! Whether there is a QEMU, which, and what it emulates.

use std::collections::HashMap;
use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::error::QemuError;
use super::process::end_with_this_thread;

/// The oldest that is known to do what rigs need: shared memory of the machine, semihosting into inherited
/// descriptors, a clock that counts instructions and stands still meanwhile.
const MINIMUM: Version = Version { major: 7, minor: 2, patch: 0 };

/// A program that does not say its version within this time does not say it at all.
const PATIENCE: Duration = Duration::from_secs(30);
/// Bytes of an answer that are looked at: a list of all machines is shorter.
const MAX_ANSWER: u64 = 64 * 1024;

/// A version of QEMU.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Version {
    /// The 7 of 7.2.22.
    pub major: u16,
    /// The 2.
    pub minor: u16,
    /// The 22; 0 if it is not said.
    pub patch: u16,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

/// A QEMU that rigs can use.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Installed {
    /// Where it is.
    pub path: PathBuf,
    /// What it says of itself.
    pub version: Version,
}

/// The QEMU that `binary` names: a path, or a name that is looked up in `PATH`. A program is asked for its
/// version once in the life of this process.
///
/// # Errors
/// [`QemuError`] if there is none, or none that rigs can use.
pub fn installed(binary: &Path) -> Result<Installed, QemuError> {
    static ASKED: Mutex<Option<HashMap<PathBuf, Result<Version, QemuError>>>> = Mutex::new(None);
    let path = find(binary).ok_or_else(|| QemuError::NotFound { binary: binary.to_owned() })?;
    // Others wait meanwhile: they would ask the same. What a panic left is as good as nothing.
    let mut asked = ASKED.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let known = asked.get_or_insert_default();
    let version = known.entry(path.clone()).or_insert_with(|| ask(&path, PATIENCE)).clone()?;
    Ok(Installed { path, version })
}

/// Whether the QEMU at `path` emulates `machine`, as `-machine` is told: its name, and settings behind a comma.
/// It is asked once in the life of this process.
pub fn emulates(path: &Path, machine: &str) -> bool {
    static ASKED: Mutex<Option<HashMap<PathBuf, String>>> = Mutex::new(None);
    let mut asked = ASKED.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let known = asked.get_or_insert_default();
    // One that does not answer has none.
    let ask = || answer(path, &["-machine", "help"], PATIENCE).unwrap_or_default();
    let machines = known.entry(path.to_owned()).or_insert_with(ask);
    let name = machine.split(',').next().unwrap_or_default();
    machines.lines().any(|line| line.split_whitespace().next() == Some(name))
}

/// The file that `binary` names, if somebody may execute it.
fn find(binary: &Path) -> Option<PathBuf> {
    if binary.components().count() > 1 {
        return Some(binary.to_owned()).filter(|path| is_executable(path));
    }
    let folders = std::env::var_os("PATH")?;
    std::env::split_paths(&folders).map(|folder| folder.join(binary)).find(|path| is_executable(path))
}

fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

fn ask(path: &Path, patience: Duration) -> Result<Version, QemuError> {
    let complain = |complaint: String| QemuError::NoVersion { binary: path.to_owned(), complaint };
    let said = answer(path, &["--version"], patience).map_err(complain)?;
    let version = parse(&said).ok_or_else(|| complain("does not say that it is one".to_owned()))?;
    if version < MINIMUM {
        return Err(QemuError::TooOld { binary: path.to_owned(), version, minimum: MINIMUM });
    }
    Ok(version)
}

/// What `path` writes to its standard output if it is told `arguments`.
fn answer(path: &Path, arguments: &[&str], patience: Duration) -> Result<String, String> {
    let mut command = Command::new(path);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    end_with_this_thread(&mut command);
    let mut child = command.spawn().map_err(|error| format!("cannot be executed ({error})"))?;
    let ended = wait(&mut child, patience);
    if ended.is_none() {
        let _ = child.kill();
        let _ = child.wait();
        return Err(format!("did not end within {patience:?}"));
    }
    let mut said = Vec::new();
    if let Some(out) = child.stdout.take() {
        out.take(MAX_ANSWER).read_to_end(&mut said).map_err(|error| format!("cannot be read ({error})"))?;
    }
    Ok(String::from_utf8_lossy(&said).into_owned())
}

/// Whether `child` has ended in time. One that says more than a pipe holds never does.
fn wait(child: &mut Child, patience: Duration) -> Option<()> {
    let until = Instant::now() + patience;
    loop {
        match child.try_wait() {
            Ok(Some(_)) => return Some(()),
            Ok(None) if Instant::now() < until => std::thread::sleep(Duration::from_millis(2)),
            _ => return None,
        }
    }
}

/// The version in `QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7)` and the like.
fn parse(said: &str) -> Option<Version> {
    let (_, rest) = said.split_once("QEMU emulator version ")?;
    let number = rest.split(|c: char| !c.is_ascii_digit() && c != '.').next()?;
    let mut parts = number.split('.').map(|part| part.parse::<u16>().ok());
    let (major, minor) = (parts.next()??, parts.next()??);
    Some(Version { major, minor, patch: parts.next().flatten().unwrap_or(0) })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::super::stand_in;
    use super::*;

    #[rstest]
    #[case("QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18+b3)\nCopyright", Some((7, 2, 22)))]
    #[case("QEMU emulator version 9.2.2 (esp_develop_9.2.2_20260417)", Some((9, 2, 2)))]
    #[case("warning: x\nQEMU emulator version 10.1.50-dirty", Some((10, 1, 50)))]
    #[case("QEMU emulator version 8.0", Some((8, 0, 0)))]
    #[case("QEMU emulator version 8", None)]
    #[case("QEMU emulator version 99999.1", None)]
    #[case("QEMU emulator version ", None)]
    #[case("bash 5.2.15", None)]
    fn a_version_is_read_from_what_qemu_says(#[case] said: &str, #[case] expected: Option<(u16, u16, u16)>) {
        let expected = expected.map(|(major, minor, patch)| Version { major, minor, patch });
        assert_eq!(parse(said), expected);
    }

    #[test]
    fn what_is_no_qemu_is_told_apart() {
        let short = Duration::from_millis(200);
        let told = |name: &str, patience| ask(&stand_in(name), patience).expect_err("no QEMU").to_string();
        let old = told("too-old", PATIENCE);
        assert!(old.contains("is QEMU 6.2.0, and rigs need 7.2.0 or newer; install it"), "{old}");
        let mute = told("says-no-version", PATIENCE);
        assert!(mute.contains("--version` does not say that it is one, so it is no QEMU;"), "{mute}");
        let slow = told("hangs-over-its-version", short);
        assert!(slow.contains("--version` did not end within 200ms"), "{slow}");
        let babble = told("babbles-over-its-version", short);
        assert!(babble.contains("--version` did not end within 200ms"), "{babble}");
        let text = ask(Path::new("/dev/null"), PATIENCE).expect_err("no program").to_string();
        assert!(text.contains("`/dev/null --version` cannot be executed"), "{text}");
        assert_eq!(ask(&stand_in("exchanges"), PATIENCE), Ok(Version { major: 7, minor: 2, patch: 22 }));
    }

    #[test]
    fn what_is_missing_is_said_with_how_to_get_it() {
        for missing in ["no-such-emulator", "/no/such/emulator", "/dev/null"] {
            let text = installed(Path::new(missing)).expect_err("it is missing").to_string();
            assert!(text.starts_with(&format!("`{missing}` is not there")), "{text}");
            assert!(text.contains("apt-get install qemu-system-misc"), "{text}");
        }
    }

    #[test]
    fn a_machine_is_one_of_those_that_it_lists() {
        let fork = stand_in("qemu-of-espressif");
        for machine in ["esp32s3", "esp32c3", "esp32c3,memory-backend=ram"] {
            assert!(emulates(&fork, machine), "{machine}");
        }
        for machine in ["esp32", "esp32s", "Espressif", "virt", ""] {
            assert!(!emulates(&fork, machine), "{machine}");
        }
        assert!(!emulates(Path::new("/dev/null"), "esp32c3"));
    }

    #[test]
    fn a_program_is_asked_once() {
        let path = stand_in("exchanges");
        let first = installed(&path).expect("a stand-in");
        assert_eq!(
            first,
            Installed { path: path.clone(), version: Version { major: 7, minor: 2, patch: 22 } }
        );
        assert_eq!(installed(&path), Ok(first));
    }
}
