//! The thread on which the library runs, and the scissors for its line.

use std::mem::ManuallyDrop;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::fs::FlockOperation;

use super::SerialSettings;
use super::session::{Session, Trouble};
use crate::error::FlashError;

/// How long the thread is waited for after its line was cut. A read that had begun goes on to its own time-out, and a
/// driver that waits for a device to take bytes until that is pulled; the thread ends then, and has nothing any more.
const GRACE: Duration = Duration::from_millis(500);

type Job = Box<dyn FnOnce(&mut Session) + Send>;

/// How a job shows that it goes on: bytes that are done.
pub(super) type Signs<'a> = dyn Fn(u32) + 'a;

enum Sign<T> {
    Alive(u32),
    Done(Result<T, Trouble>),
}

/// A thread that has a port.
pub(super) struct Worker {
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
    /// Of the port, which lives as long as the thread does.
    line: RawFd,
    settings: SerialSettings,
}

impl Worker {
    /// Opens the port of `settings`.
    pub(super) fn open(settings: &SerialSettings) -> Result<Self, FlashError> {
        let mut session = Session::open(settings)?;
        let line = session.line();
        let (jobs, queue) = mpsc::channel::<Job>();
        // A panic of the library's ends the job, whose asker notices, and not the thread: the port stays open.
        let run = move || {
            for job in queue {
                drop(catch_unwind(AssertUnwindSafe(|| job(&mut session))));
            }
        };
        let thread = std::thread::Builder::new().name("flasher".to_owned()).spawn(run).map_err(|reason| {
            FlashError::Open { port: settings.port.clone(), reason: format!("no thread for it: {reason}") }
        })?;
        Ok(Worker { jobs: Some(jobs), thread: Some(thread), line, settings: settings.clone() })
    }

    /// Has the thread do `job`. `heard` hears its signs.
    pub(super) fn ask<T: Send + 'static>(
        &mut self,
        doing: String,
        job: impl FnOnce(&mut Session, &Signs<'_>) -> Result<T, Trouble> + Send + 'static,
        heard: &mut dyn FnMut(u32),
    ) -> Result<T, FlashError> {
        let (tell, signs) = mpsc::channel();
        let job = move |session: &mut Session| {
            // Nobody hears it who gave up.
            let done = job(session, &|bytes| drop(tell.send(Sign::Alive(bytes))));
            drop(tell.send(Sign::Done(done)));
        };
        if let Some(jobs) = &self.jobs {
            // A thread that is no more is noticed below.
            drop(jobs.send(Box::new(job)));
        }
        match self.wait(&signs, heard) {
            Ok(done) => done.map_err(|trouble| trouble.tell(&self.settings, doing)),
            Err(RecvTimeoutError::Timeout) => {
                self.cut();
                Err(FlashError::Stalled { doing, waited: self.settings.patience.sign })
            }
            Err(RecvTimeoutError::Disconnected) => {
                Err(FlashError::Rejected { doing, reason: "its answer made no sense".to_owned() })
            }
        }
    }

    fn wait<T>(
        &self,
        signs: &Receiver<Sign<T>>,
        heard: &mut dyn FnMut(u32),
    ) -> Result<Result<T, Trouble>, RecvTimeoutError> {
        loop {
            match signs.recv_timeout(self.settings.patience.sign)? {
                Sign::Alive(bytes) => heard(bytes),
                Sign::Done(done) => return Ok(done),
            }
        }
    }

    /// Puts the end of a pipe that nobody writes to in the place of the port: whatever reads, writes or sets anything
    /// up there fails from now on.
    fn cut(&mut self) {
        let Ok((nobody, _)) = rustix::pipe::pipe() else { return };
        // SAFETY: the session keeps the port open until the thread ends, which it does not before `jobs` is dropped,
        // so the descriptor is the port's. It stays so: here it is neither closed nor kept.
        let mut line = ManuallyDrop::new(unsafe { OwnedFd::from_raw_fd(self.line) });
        // A read that waits has the port open until its own time-out: the next one must not find it locked.
        let _ = rustix::fs::flock(&*line, FlockOperation::Unlock);
        let _ = rustix::termios::ioctl_tiocnxcl(&*line);
        // If that fails, the thread is left to the library's own time-outs.
        let _ = rustix::io::dup2(&nobody, &mut line);
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.jobs = None;
        let Some(thread) = self.thread.take() else { return };
        let deadline = Instant::now() + GRACE;
        while !thread.is_finished() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(1));
        }
        if thread.is_finished() {
            // A panic of the library was told when it came.
            let _ = thread.join();
        }
    }
}
