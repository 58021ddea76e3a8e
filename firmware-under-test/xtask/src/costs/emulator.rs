//! The emulator that counts: started, listened to, and ended in time.

use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Signal, getpid, getppid, set_parent_process_death_signal};

use crate::error::TaskError;

/// How long it may take to say its version.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes that are taken of what it says. All counts together are a few thousand.
const MOST_SAID: u64 = 64 * 1024;

/// An emulator of the port's machine.
#[derive(Debug)]
pub(super) struct Emulator {
    program: PathBuf,
    version: String,
}

impl Emulator {
    /// The one that `program` names, a path or a name in the search path.
    ///
    /// # Errors
    /// [`TaskError::NotInstalled`] if there is none, [`TaskError::Program`] if it does not say its version.
    pub(super) fn find(program: impl Into<PathBuf>) -> Result<Self, TaskError> {
        let program = program.into();
        let mut command = Command::new(&program);
        let said = listen(command.arg("--version"), PATIENCE)?;
        let version = said.lines().next().unwrap_or_default().trim();
        match version.strip_prefix("QEMU emulator version ") {
            Some(version) => {
                let number = version.split(' ').next().unwrap_or(version);
                Ok(Emulator { program, version: format!("QEMU {number}") })
            }
            None => Err(complaint(program.as_os_str(), format!("says {version:?}, so it is no QEMU"))),
        }
    }

    /// Its name and version.
    pub(super) fn version(&self) -> &str {
        &self.version
    }

    /// Runs `image`, one nanosecond of its clock an instruction; what it says on its serial port.
    ///
    /// # Errors
    /// [`TaskError::Program`] if it does not end within `patience`.
    pub(super) fn run(&self, image: &Path, patience: Duration) -> Result<String, TaskError> {
        let mut command = Command::new(&self.program);
        command.args(["-M", "virt", "-smp", "1", "-m", "64M", "-display", "none", "-nodefaults"]);
        command.args(["-monitor", "none", "-serial", "stdio", "-icount", "shift=0", "-bios"]).arg(image);
        listen(&mut command, patience)
    }
}

/// A child that does not outlive its owner.
struct Kept(Child);

impl Drop for Kept {
    fn drop(&mut self) {
        // One that has ended by itself cannot be killed.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn complaint(program: &OsStr, what: String) -> TaskError {
    TaskError::Program { program: program.to_string_lossy().into_owned(), what }
}

/// What `command` writes to its standard output until it ends, however it ends.
fn listen(command: &mut Command, patience: Duration) -> Result<String, TaskError> {
    let program = command.get_program().to_owned();
    let complain = |what: String| complaint(&program, what);
    let until = Instant::now() + patience;
    end_with_this_thread(command);
    let spawned = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
    let mut child = Kept(spawned.map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => TaskError::NotInstalled {
            what: "qemu-system-riscv32, which counts the instructions",
            install: "apt-get install qemu-system-misc",
        },
        _ => complain(format!("cannot be started ({error})")),
    })?);
    let Some(output) = child.0.stdout.take() else { return Err(complain("has no output".to_owned())) };
    let (sender, said) = mpsc::channel();
    // It ends with the child, which does not outlive this function.
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let read = output.take(MOST_SAID + 1).read_to_end(&mut bytes);
        // Nobody listens any more if it came too late.
        let _ = sender.send(read.map(|_| bytes));
    });
    let late = || complain(format!("did not end within {} s", patience.as_secs_f32()));
    let said = said.recv_timeout(patience).map_err(|_| late())?;
    let said = said.map_err(|error| complain(format!("cannot be listened to ({error})")))?;
    if said.len() as u64 > MOST_SAID {
        return Err(complain(format!("says more than {MOST_SAID} bytes")));
    }
    while child.0.try_wait().map_err(|error| complain(error.to_string()))?.is_none() {
        if Instant::now() >= until {
            return Err(late());
        }
        thread::sleep(Duration::from_millis(2));
    }
    Ok(String::from_utf8_lossy(&said).into_owned())
}

/// Lets the child of `command` be killed when this thread ends, however it ends.
fn end_with_this_thread(command: &mut Command) {
    let owner = getpid();
    let prepare = move || {
        set_parent_process_death_signal(Some(Signal::KILL))?;
        // It may have died before the signal was set; then somebody else is the parent.
        if getppid() == Some(owner) { Ok(()) } else { Err(rustix::io::Errno::CHILD.into()) }
    };
    // SAFETY: `prepare` makes nothing but system calls.
    unsafe { command.pre_exec(prepare) };
}
