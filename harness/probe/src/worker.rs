//! The thread on which the library runs: nobody waits for it without an end.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::Duration;

use probe_rs::Session;

use crate::error::ProbeError;

type Job = Box<dyn FnOnce(&mut Session) + Send>;

/// How a job shows that it goes on: bytes that are done.
pub(crate) type Signs<'a> = dyn Fn(u32) + 'a;

enum Sign<T> {
    Alive(u32),
    Done(Result<T, ProbeError>),
}

/// A thread that has a session with a chip.
///
/// Dropping it lets go of the probe as soon as the library has ended what it was doing; a transfer that hangs in the
/// system's USB driver cannot be cut, and keeps the thread and nothing else until the probe is pulled.
pub(crate) struct Worker {
    jobs: Sender<Job>,
    patience: Duration,
}

impl Worker {
    /// Opens a session. `patience` is how long any job may give no sign.
    pub(crate) fn open(
        patience: Duration,
        open: impl FnOnce() -> Result<Session, ProbeError> + Send + 'static,
    ) -> Result<Self, ProbeError> {
        let doing = "attaching to the chip".to_owned();
        let (jobs, queue) = mpsc::channel::<Job>();
        let (tell, signs) = mpsc::channel();
        let run = move || {
            let opened = catch_unwind(AssertUnwindSafe(open)).unwrap_or_else(|_| Err(panicked("attaching")));
            let mut session = match opened {
                Ok(session) => session,
                Err(error) => return drop(tell.send(Sign::Done(Err(error)))),
            };
            drop(tell.send(Sign::Done(Ok(()))));
            for job in queue {
                drop(catch_unwind(AssertUnwindSafe(|| job(&mut session))));
            }
        };
        let thread = std::thread::Builder::new().name("probe".to_owned()).spawn(run);
        thread.map_err(|error| ProbeError::Failed {
            doing: doing.clone(),
            reason: format!("no thread for it: {error}"),
        })?;
        wait(&signs, patience, &doing, &mut |_| {})?;
        Ok(Worker { jobs, patience })
    }

    /// Has the thread do `job`. `heard` hears its signs.
    pub(crate) fn ask<T: Send + 'static>(
        &self,
        doing: String,
        job: impl FnOnce(&mut Session, &Signs<'_>) -> Result<T, ProbeError> + Send + 'static,
        heard: &mut dyn FnMut(u32),
    ) -> Result<T, ProbeError> {
        let (tell, signs) = mpsc::channel();
        let job = move |session: &mut Session| {
            // Nobody hears it who gave up.
            let done = job(session, &|bytes| drop(tell.send(Sign::Alive(bytes))));
            drop(tell.send(Sign::Done(done)));
        };
        // A thread that is no more is noticed by the channel of its signs.
        drop(self.jobs.send(Box::new(job)));
        wait(&signs, self.patience, &doing, heard)
    }
}

fn wait<T>(
    signs: &Receiver<Sign<T>>,
    patience: Duration,
    doing: &str,
    heard: &mut dyn FnMut(u32),
) -> Result<T, ProbeError> {
    loop {
        match signs.recv_timeout(patience) {
            Ok(Sign::Alive(bytes)) => heard(bytes),
            Ok(Sign::Done(done)) => return done,
            Err(RecvTimeoutError::Timeout) => {
                return Err(ProbeError::Stalled { doing: doing.to_owned(), waited: patience });
            }
            Err(RecvTimeoutError::Disconnected) => return Err(panicked(doing)),
        }
    }
}

fn panicked(doing: &str) -> ProbeError {
    ProbeError::Failed { doing: doing.to_owned(), reason: "its library gave up".to_owned() }
}
