//! One process of an emulator: started with the descriptors that it is to have and no others, listened to,
//! and ended.
//!
//! It never outlives its owner. A dropped one is killed and waited for, on a panic too, and the kernel kills
//! it when the thread that started it ends, however it ends (`PR_SET_PDEATHSIG`). The thread is meant, and
//! not the whole process: so a [`Process`] cannot be handed to another thread, which might live longer.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Read};
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, FdFlags, fcntl_dupfd_cloexec, fcntl_getfd, fcntl_setfd, ioctl_fionbio};
use rustix::process::{Signal, getpid, getppid, set_parent_process_death_signal};

use super::error::{Ending, LastWords, QemuError, When};

/// Bytes of its standard error that are kept: the newest ones.
const MAX_SAID: usize = 4096;
/// A process whose pipes are closed is on its way out. One that is not gone after this time is killed.
const GRACE: Duration = Duration::from_secs(1);
/// Above all numbers that an emulator is to find descriptors under.
const ABOVE_ALL: RawFd = 64;

/// A process of an emulator. Ends with its owner.
pub(super) struct Process {
    child: Child,
    /// Until it is closed.
    stderr: Option<ChildStderr>,
    /// The newest bytes of it.
    said: Vec<u8>,
    /// Keeps it in the thread whose end is its end.
    thread: PhantomData<*const ()>,
}

impl Process {
    /// Starts `binary`. Of this process' descriptors it gets those of `handed`, each under the number beside
    /// it, and no others.
    pub(super) fn start(
        binary: &Path,
        arguments: &[OsString],
        handed: &[(RawFd, BorrowedFd<'_>)],
    ) -> Result<Self, QemuError> {
        let mut command = Command::new(binary);
        // A group of its own: Ctrl-C on the terminal is for the harness, which ends it in its own time.
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).process_group(0);
        command.stderr(Stdio::piped());
        let refused = |error: io::Error| QemuError::Host {
            what: "a process of it",
            why: error.to_string(),
            remedy: "end other processes, or raise their limits (ulimit -n, ulimit -u)",
        };
        let _reserved = hand_over(&mut command, handed).map_err(refused)?;
        let mut child = command.spawn().map_err(refused)?;
        let stderr = child.stderr.take();
        let process = Process { child, stderr, said: Vec::new(), thread: PhantomData };
        if let Some(stderr) = &process.stderr {
            ioctl_fionbio(stderr, true).map_err(|error| refused(error.into()))?;
        }
        Ok(process)
    }

    /// Waits until `wanted` is readable or its other end is gone, or it has said something, at most for
    /// `limit`. Whether `wanted` is.
    pub(super) fn wait(&mut self, wanted: BorrowedFd<'_>, limit: Duration) -> Result<bool, QemuError> {
        let limit = Timespec {
            tv_sec: i64::try_from(limit.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: limit.subsec_nanos().into(),
        };
        let wanted = PollFd::from_borrowed_fd(wanted, PollFlags::IN);
        let ready = match &self.stderr {
            Some(stderr) => {
                let mut both = [wanted, PollFd::new(stderr, PollFlags::IN)];
                poll(&mut both, Some(&limit)).map(|_| both.map(|fd| !fd.revents().is_empty()))
            }
            None => {
                let mut one = [wanted];
                poll(&mut one, Some(&limit)).map(|_| [!one[0].revents().is_empty(), false])
            }
        };
        let [wanted, says] = match ready {
            Ok(ready) => ready,
            Err(Errno::INTR) => return Ok(false),
            Err(error) => {
                return Err(QemuError::Host {
                    what: "the wait for it",
                    why: error.to_string(),
                    remedy: "free memory of the host",
                });
            }
        };
        if says {
            self.listen();
        }
        Ok(wanted)
    }

    /// Takes in what it has said, so that it is not held up by a full pipe. A bounded amount at a time: it
    /// may never end.
    pub(super) fn listen(&mut self) {
        let mut bytes = [0; 16 * 1024];
        let Some(stderr) = &mut self.stderr else { return };
        match stderr.read(&mut bytes) {
            Ok(0) => self.stderr = None,
            Ok(count) => {
                self.said.extend(&bytes[..count]);
                self.said.drain(..self.said.len().saturating_sub(MAX_SAID));
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            Err(_) => self.stderr = None,
        }
    }

    /// How it ended, if it has.
    pub(super) fn ended(&mut self) -> Option<Ending> {
        // It cannot fail for a child that nobody else waits for.
        self.child.try_wait().ok().flatten().map(ending)
    }

    /// What became of it, now that its pipes are closed or it is given up.
    pub(super) fn obituary(&mut self, when: When) -> QemuError {
        let until = Instant::now() + GRACE;
        let how = loop {
            match self.ended() {
                Some(how) => break how,
                None if Instant::now() < until => thread::sleep(Duration::from_millis(1)),
                None => break self.kill(),
            }
        };
        let last_words = self.last_words();
        let remedy = last_words.remedy(match when {
            When::AtStart | When::Sometime => {
                "correct `[qemu]` in the rig file, or install another version of QEMU"
            }
            When::AfterBells(_) => {
                "run it again; if it ends again at the same place, it is the image that ends it"
            }
        });
        QemuError::Died { how, when, last_words, remedy }
    }

    /// The end of what it has said.
    pub(super) fn last_words(&mut self) -> LastWords {
        // Four times what is kept: whatever is left in the pipe of one that has ended.
        (0..4).for_each(|_| self.listen());
        LastWords::of(&self.said)
    }

    /// Ends it, if it has not ended, and waits until it has.
    pub(super) fn kill(&mut self) -> Ending {
        let _ = self.child.kill();
        // Nothing outlives this signal, so this wait ends; it cannot fail for a child that nobody else waits
        // for.
        self.child.wait().map_or(Ending::Signal(Signal::KILL.as_raw()), ending)
    }

    #[cfg(test)]
    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

fn ending(status: ExitStatus) -> Ending {
    match (status.code(), status.signal()) {
        (Some(code), _) => Ending::Code(code),
        (None, signal) => Ending::Signal(signal.unwrap_or_default()),
    }
}

/// Lets the child of `command` be killed when this thread ends.
pub(crate) fn end_with_this_thread(command: &mut Command) {
    let owner = getpid();
    let prepare = move || {
        set_parent_process_death_signal(Some(Signal::KILL))?;
        // It may have died before the signal was set; then somebody else is the parent.
        if getppid() == Some(owner) { Ok(()) } else { Err(Errno::CHILD.into()) }
    };
    // SAFETY: `prepare` makes nothing but system calls.
    unsafe { command.pre_exec(prepare) };
}

/// Lets the child of `command` have `handed` and end with this thread. What is returned has to live until it
/// was spawned.
fn hand_over(command: &mut Command, handed: &[(RawFd, BorrowedFd<'_>)]) -> io::Result<Vec<OwnedFd>> {
    // Between fork and exec nothing is allocated or locked: all that is prepared here. Copies beyond all
    // numbers that are wanted cannot be overwritten before they are handed over.
    let copies = handed.iter().map(|(number, fd)| Ok((*number, fcntl_dupfd_cloexec(fd, ABOVE_ALL)?)));
    let copies = copies.collect::<io::Result<Vec<(RawFd, OwnedFd)>>>()?;
    let reserved = reserve(&copies)?;
    let inherited = inherited()?;
    end_with_this_thread(command);
    let prepare = move || {
        for &number in &inherited {
            // SAFETY: it is borrowed for one call, which fails if it was closed meanwhile.
            let fd = unsafe { BorrowedFd::borrow_raw(number) };
            let _ = fcntl_setfd(fd, FdFlags::CLOEXEC);
        }
        for (number, fd) in &copies {
            // SAFETY: in the child, and up to its exec, this number is nobody's: `reserve` has kept it from
            // the standard library's own pipe. It is not dropped, because the emulator is to find it open.
            let mut place = ManuallyDrop::new(unsafe { OwnedFd::from_raw_fd(*number) });
            rustix::io::dup2(fd, &mut place)?;
        }
        Ok(())
    };
    // SAFETY: `prepare` makes nothing but system calls.
    unsafe { command.pre_exec(prepare) };
    Ok(reserved)
}

/// Occupies the numbers that the child is to find descriptors under, as far as they are free, so that the
/// pipe by which the standard library hears of a failed exec does not get one of them.
fn reserve(copies: &[(RawFd, OwnedFd)]) -> io::Result<Vec<OwnedFd>> {
    let numbers = copies.iter().map(|(number, _)| *number);
    let Some((last, (_, any))) = numbers.max().zip(copies.first()) else { return Ok(Vec::new()) };
    let mut reserved = Vec::new();
    loop {
        let fd = fcntl_dupfd_cloexec(any, 3)?;
        if rustix::fd::AsRawFd::as_raw_fd(&fd) > last {
            return Ok(reserved);
        }
        reserved.push(fd);
    }
}

/// Descriptors of this process that a child would inherit: what whoever started it has left open.
fn inherited() -> io::Result<Vec<RawFd>> {
    let numbers = fs::read_dir("/proc/self/fd")?.filter_map(Result::ok);
    let numbers = numbers.filter_map(|entry| entry.file_name().to_str()?.parse::<RawFd>().ok());
    let left_open = |&number: &RawFd| {
        // SAFETY: it is borrowed for one call, which fails if it was closed meanwhile.
        let fd = unsafe { BorrowedFd::borrow_raw(number) };
        number > 2 && fcntl_getfd(fd).is_ok_and(|flags| !flags.contains(FdFlags::CLOEXEC))
    };
    Ok(numbers.filter(left_open).collect())
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use rustix::pipe::{PipeFlags, pipe_with};

    use super::super::stand_in;
    use super::*;

    /// Waits for what never comes, until `seen`.
    fn wait_until(name: &str, seen: impl Fn(&Process) -> bool) {
        let (never, _other_end) = pipe_with(PipeFlags::CLOEXEC).expect("a pipe");
        let mut process = Process::start(&stand_in(name), &[], &[]).expect("a process");
        let until = Instant::now() + Duration::from_secs(60);
        while !seen(&process) {
            assert!(Instant::now() < until, "{:?}", process.last_words());
            assert_eq!(process.wait(never.as_fd(), Duration::from_millis(50)), Ok(false));
        }
    }

    #[test]
    fn what_it_says_is_kept_within_bounds() {
        wait_until("floods", |process| {
            assert!(process.said.len() <= MAX_SAID);
            process.said.len() == MAX_SAID
        });
    }

    #[test]
    fn one_that_says_no_more_is_not_listened_to_for_ever() {
        wait_until("falls-silent", |process| process.stderr.is_none());
    }

    /// With each number of descriptors that are open already: one of them lets the standard library's own
    /// come to where the emulator's is wanted.
    #[test]
    #[ignore = "another test starts it by itself"]
    fn starts_what_cannot_be_executed() {
        let (end, _other_end) = pipe_with(PipeFlags::CLOEXEC).expect("a pipe");
        let mut taken = Vec::new();
        for _ in 0..20 {
            let told = Process::start(Path::new("/dev/null/qemu"), &[], &[(12, end.as_fd())]).err();
            assert!(matches!(told, Some(QemuError::Host { .. })), "after {}", taken.len());
            taken.push(fcntl_dupfd_cloexec(&end, 3).expect("a descriptor"));
        }
    }

    #[test]
    fn a_program_that_cannot_be_executed_is_refused_whatever_descriptors_are_free() {
        // Alone in its process, so that the numbers are what they are.
        let status = Command::new(std::env::current_exe().expect("this binary"))
            .args(["--exact", "qemu::process::tests::starts_what_cannot_be_executed", "--ignored"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        assert!(status.expect("a process").success());
    }
}
