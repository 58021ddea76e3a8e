//! Tools of others: which are here, in which version, and how to get the rest.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rigor_reports::visible;

use super::{Check, Status};

/// A program that something here wants.
struct Tool {
    /// What it is called among people.
    name: &'static str,
    /// What its file may be called, the best name first.
    programs: &'static [&'static str],
    /// How it is asked for its version.
    version: &'static str,
    purpose: &'static str,
    /// How to get it.
    install: &'static str,
}

const TOOLS: &[Tool] = &[
    Tool {
        name: "QEMU for RISC-V",
        programs: &["qemu-system-riscv32"],
        version: "--version",
        purpose: "emulated rigs, which need 7.2 or newer",
        install: "sudo apt-get install qemu-system-misc",
    },
    Tool {
        name: "sigrok-cli",
        programs: &["sigrok-cli"],
        version: "--version",
        purpose: "independent decoders of LEDs and serial lines, and capturing with logic analysers",
        install: "sudo apt-get install sigrok-cli",
    },
    Tool {
        name: "tshark",
        programs: &["tshark"],
        version: "--version",
        purpose: "an independent reader of the packets that a run leaves",
        install: "sudo apt-get install tshark",
    },
    Tool {
        name: "a browser",
        programs: &["chromium", "chromium-browser", "google-chrome", "chrome", "firefox"],
        version: "--version",
        purpose: "looking at report.html; the check of the page needs Chromium",
        install: "sudo apt-get install chromium",
    },
    Tool {
        name: "espflash",
        programs: &["espflash"],
        version: "--version",
        purpose: "another way to write to ESP32 boards; `rigor flash` needs only --features espflash",
        install: "cargo install espflash --locked",
    },
    Tool {
        name: "probe-rs",
        programs: &["probe-rs"],
        version: "--version",
        purpose: "another way to debug probes; `rigor probe` needs only --features probe-rs",
        install: "cargo install probe-rs-tools --locked",
    },
    Tool {
        name: "Python with pip",
        programs: &["python3"],
        version: "--version",
        purpose: "the independent reader of the device's file system",
        install: "sudo apt-get install python3 python3-venv",
    },
];

/// A version that takes longer is none.
const PATIENCE: Duration = Duration::from_secs(10);
/// Characters of a version.
const MAX_VERSION: usize = 70;

pub(super) fn checks() -> Vec<Check> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    // Side by side: some take a second to say who they are.
    std::thread::scope(|scope| {
        let asked: Vec<_> = TOOLS.iter().map(|tool| scope.spawn(|| check(tool, &folders))).collect();
        asked.into_iter().filter_map(|asked| asked.join().ok()).collect()
    })
}

fn check(tool: &Tool, folders: &[PathBuf]) -> Check {
    let found = tool.programs.iter().find_map(|program| find(program, folders));
    let (status, found) = match &found {
        None => (Status::Missing, "not in $PATH".to_owned()),
        Some(program) => match version(program, tool.version, PATIENCE) {
            Ok(version) => (Status::Ok, version),
            Err(why) => (Status::Unusable, format!("{}: {why}", program.display())),
        },
    };
    Check {
        group: "tools",
        name: tool.name.to_owned(),
        status,
        found: visible(&found),
        purpose: tool.purpose,
        remedy: (status != Status::Ok).then(|| tool.install.to_owned()),
    }
}

/// The first file of this name that may be executed.
fn find(program: &str, folders: &[PathBuf]) -> Option<PathBuf> {
    folders.iter().map(|folder| folder.join(program)).find(|path| is_executable(path))
}

#[cfg(unix)]
fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_executable(path: &Path) -> bool {
    path.is_file()
}

/// The first line with a digit that `program` says of its version.
fn version(program: &Path, argument: &str, patience: Duration) -> Result<String, String> {
    let mut child = Command::new(program)
        .arg(argument)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| error.to_string())?;
    let until = Instant::now() + patience;
    loop {
        match child.try_wait() {
            Ok(Some(_)) => break,
            Ok(None) if Instant::now() < until => std::thread::sleep(Duration::from_millis(5)),
            _ => {
                // It says too much or nothing.
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!("no answer to {argument} within {patience:?}"));
            }
        }
    }
    let output = child.wait_with_output().map_err(|error| error.to_string())?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    let line = said.lines().map(str::trim).find(|line| line.contains(|c: char| c.is_ascii_digit()));
    match line {
        Some(line) if output.status.success() => Ok(line.chars().take(MAX_VERSION).collect()),
        _ => Err(format!("it does not answer to {argument}")),
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_hangs_fails_or_babbles_is_none() {
        let shell = |script: &str, patience| {
            let folder =
                std::env::temp_dir().join(format!("rigor-doctor-{}-{}", std::process::id(), script.len()));
            std::fs::create_dir_all(&folder).unwrap();
            let path = folder.join("tool");
            // By another process: one that this process has open for writing is open in every child that
            // another test starts just then, and cannot be executed until that is another program.
            let write = r#"printf '#!/bin/sh\n%s\n' "$1" > "$0" && chmod 755 "$0""#;
            let written = Command::new("sh").args(["-c", write]).arg(&path).arg(script).status();
            assert!(written.unwrap().success());
            let found = find("tool", &[PathBuf::from("/nowhere"), folder.clone()]);
            let said = version(&found.unwrap(), "--version", patience);
            std::fs::remove_dir_all(&folder).unwrap();
            said
        };
        assert_eq!(shell("echo warning; echo tool 1.2", PATIENCE), Ok("tool 1.2".to_owned()));
        assert!(shell("echo 1.2; exit 4", PATIENCE).is_err());
        assert!(shell("exec sleep 60", Duration::from_millis(50)).unwrap_err().contains("no answer"));
        assert!(shell("exec yes 1", Duration::from_millis(50)).is_err());
        assert_eq!(find("no-such-tool", &[PathBuf::from("/bin")]), None);
    }
}
