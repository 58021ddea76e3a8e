//! A program of others, run to its end or to a deadline.

use std::ffi::{OsStr, OsString};
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process_group};

/// Bytes of each of its outputs that are kept: the first ones.
const MAX_SAID: usize = 64 * 1024;
/// Characters of them that a complaint repeats.
const MAX_REPEATED: usize = 300;

/// Why a program did not do what it was started for.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ToolError {
    /// It cannot be started.
    #[error(
        "{program} cannot be started: {reason}; install it (`apt-get install {package}`), or correct its path"
    )]
    Absent {
        /// What was to be started.
        program: String,
        /// The system's answer.
        reason: String,
        /// Where Debian has it.
        package: &'static str,
    },
    /// It was still at it, and was killed.
    #[error(
        "{program} was not done after {limit:?} and was ended; unplug the instrument and plug it in again"
    )]
    Late {
        /// What was started.
        program: String,
        /// The deadline.
        limit: Duration,
    },
    /// It says that it could not.
    #[error("{program} {arguments}: {said}; {remedy}")]
    Refused {
        /// What was started.
        program: String,
        /// How.
        arguments: String,
        /// What it said of the reason.
        said: String,
        /// What to do.
        remedy: &'static str,
    },
}

/// A program, and how it is to be found.
#[derive(Clone, Debug)]
pub(super) struct Tool {
    /// A name that is looked up in `PATH`, or a path.
    pub(super) program: OsString,
    /// The Debian package that has it.
    pub(super) package: &'static str,
    /// What usually helps when it refuses.
    pub(super) remedy: &'static str,
    /// It is killed when it takes longer.
    pub(super) limit: Duration,
}

/// Ends a child and all that it has started, and waits for it.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        if let Some(group) = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Tool {
    /// Runs it with `arguments`. What it has said on its standard output, if it says that all went well.
    pub(super) fn run(&self, arguments: &[impl AsRef<OsStr>]) -> Result<String, ToolError> {
        let until = Instant::now() + self.limit;
        let mut command = Command::new(&self.program);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // A group of its own: Ctrl-C on the terminal is for the harness, which ends it in its own time. And
        // what people read would be in their language.
        command.process_group(0).env("LC_ALL", "C");
        crate::qemu::end_with_this_thread(&mut command);
        let mut child = Ended(command.spawn().map_err(|reason| self.absent(&reason))?);
        let pipes = (child.0.stdout.take().map(OwnedFd::from), child.0.stderr.take().map(OwnedFd::from));
        let late = || ToolError::Late { program: self.name(), limit: self.limit };
        let said = listen([pipes.0, pipes.1], until).map_err(|reason| self.absent(&reason))?;
        let [out, err] = said.ok_or_else(late)?;
        // Who has closed both is about to end.
        let status = loop {
            match child.0.try_wait().map_err(|reason| self.absent(&reason))? {
                Some(status) => break status,
                None if Instant::now() < until => thread::sleep(Duration::from_millis(1)),
                None => return Err(late()),
            }
        };
        if status.success() {
            return Ok(out);
        }
        let said = if err.trim().is_empty() { &out } else { &err };
        let said = if said.trim().is_empty() { format!("it ended with {status}") } else { said.clone() };
        Err(self.refused(arguments, &said))
    }

    /// What it said is no success.
    pub(super) fn refused(&self, arguments: &[impl AsRef<OsStr>], said: &str) -> ToolError {
        let arguments: Vec<_> =
            arguments.iter().map(|argument| argument.as_ref().to_string_lossy()).collect();
        let said: String = said.split_whitespace().collect::<Vec<_>>().join(" ");
        let said = said.chars().filter(|c| !c.is_control()).take(MAX_REPEATED).collect();
        let (program, remedy) = (self.name(), self.remedy);
        ToolError::Refused { program, arguments: arguments.join(" "), said, remedy }
    }

    fn name(&self) -> String {
        self.program.to_string_lossy().into_owned()
    }

    fn absent(&self, reason: &io::Error) -> ToolError {
        ToolError::Absent { program: self.name(), reason: reason.to_string(), package: self.package }
    }
}

/// What comes out of both pipes until both have ended; nothing if that is not so at `until`.
fn listen(pipes: [Option<OwnedFd>; 2], until: Instant) -> io::Result<Option<[String; 2]>> {
    let mut open: Vec<(usize, std::fs::File)> =
        pipes.into_iter().enumerate().filter_map(|(index, pipe)| Some((index, pipe?.into()))).collect();
    let mut said = [Vec::new(), Vec::new()];
    let mut bytes = [0; 4096];
    while !open.is_empty() {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(None);
        }
        let limit = Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: left.subsec_nanos().into(),
        };
        let mut fds: Vec<PollFd<'_>> =
            open.iter().map(|(_, pipe)| PollFd::from_borrowed_fd(pipe.as_fd(), PollFlags::IN)).collect();
        match poll(&mut fds, Some(&limit)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let ready: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
        let mut next = Vec::new();
        for ((index, mut pipe), ready) in open.into_iter().zip(ready) {
            let count = if ready { pipe.read(&mut bytes)? } else { usize::MAX };
            match count {
                0 => continue,
                usize::MAX => {}
                // What is too much is read and forgotten, so that nobody waits for it to be taken.
                count => said[index].extend(&bytes[..count.min(MAX_SAID.saturating_sub(said[index].len()))]),
            }
            next.push((index, pipe));
        }
        open = next;
    }
    Ok(Some(said.map(|said| String::from_utf8_lossy(&said).into_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(limit: Duration) -> Tool {
        Tool { program: "sh".into(), package: "dash", remedy: "look at it", limit }
    }

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn what_it_says_is_handed_on_and_what_it_refuses_is_told() {
        assert_eq!(shell(LONG).run(&["-c", "echo yes; echo no >&2"]), Ok("yes\n".to_owned()));
        let refused = shell(LONG)
            .run(&["-c", "echo out; printf 'not\\n\\033[2J here' >&2; exit 4"])
            .expect_err("it did");
        let text = refused.to_string();
        assert!(text.ends_with(": not [2J here; look at it"), "{text}");
        let refused = shell(LONG).run(&["-c", "exit 4"]).expect_err("it did").to_string();
        assert!(refused.contains("ended with exit status: 4"), "{refused}");
    }

    #[test]
    fn one_that_is_not_there_is_named_with_its_package() {
        let tool = Tool { program: "/nowhere/uhubctl".into(), package: "uhubctl", ..shell(LONG) };
        let text = tool.run(&["-v"]).expect_err("it is not there").to_string();
        assert!(
            text.contains("/nowhere/uhubctl cannot be started") && text.contains("install uhubctl"),
            "{text}"
        );
    }

    #[test]
    fn one_that_never_ends_is_ended_with_all_that_it_started() {
        let mark = std::env::temp_dir().join(format!("rigor-tool-{}", std::process::id()));
        // Its own child holds the pipes, and would leave a mark if it lived on after the next line.
        let script = format!("(sleep 3600; touch {0}) & echo $! > {0}.pid; sleep 3600", mark.display());
        let late = shell(Duration::from_millis(500)).run(&["-c", &script]);
        assert!(matches!(late, Err(ToolError::Late { .. })), "{late:?}");
        let pid = std::fs::read_to_string(mark.with_extension("pid"));
        let _ = std::fs::remove_file(mark.with_extension("pid"));
        // On a busy machine it may not have got that far; then there is nobody to be left over.
        if let Some(pid) = pid.ok().and_then(|pid| pid.trim().parse::<u32>().ok()) {
            let until = Instant::now() + LONG;
            let state = || std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            while state().contains(") ") && !state().contains(") Z") {
                assert!(Instant::now() < until, "it lives on: {}", state());
                std::thread::sleep(Duration::from_millis(10));
            }
        }
    }

    #[test]
    fn one_that_says_no_more_is_not_waited_for_either() {
        let late = shell(Duration::from_millis(500)).run(&["-c", "exec >&- 2>&-; exec sleep 3600"]);
        assert!(matches!(late, Err(ToolError::Late { .. })), "{late:?}");
    }

    #[test]
    fn a_flood_is_kept_within_bounds_and_does_not_hold_it_up() {
        let said = shell(LONG).run(&["-c", "head -c 1000000 /dev/zero | tr '\\0' x"]).expect("it ends");
        assert_eq!(said.len(), MAX_SAID);
    }
}
