//! A loader on a pseudo-terminal.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rigor_pty::{Pty, PtyError};

use crate::chip::Boot;
use crate::flash::FlashChip;
use crate::loader::{Departure, Loader};

/// How long the thread waits for bytes before it looks whether it is to end, or the loader has something to
/// say by itself.
const LOOK: Duration = Duration::from_millis(10);
/// How long what is said may wait for a host that does not read. Then it is lost, as on any line.
const PATIENCE: Duration = Duration::from_secs(2);

/// A loader on a pseudo-terminal, on a thread of its own, which ends with this.
pub struct Server<F> {
    loader: Arc<Mutex<Loader<F>>>,
    path: PathBuf,
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<(), PtyError>>>,
}

impl<F: FlashChip + Send + 'static> Server<F> {
    /// Has `loader` speak on `pty`. When a host resets the chip it starts as `boot` says, what the level of
    /// its boot pin would.
    pub fn start(loader: Loader<F>, pty: Pty, boot: Boot) -> Self {
        let path = pty.path().to_owned();
        let loader = Arc::new(Mutex::new(loader));
        let ends = Arc::new(AtomicBool::new(false));
        let thread = {
            let (loader, ends) = (loader.clone(), ends.clone());
            thread::spawn(move || speak(&loader, pty, boot, &ends))
        };
        Server { loader, path, ends, thread: Some(thread) }
    }

    /// What a tool opens.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The loader, to reset it, to look at its flash or to make something wrong. Nobody is served meanwhile.
    pub fn loader(&self) -> MutexGuard<'_, Loader<F>> {
        lock(&self.loader)
    }

    /// Whether the port is still there: [`crate::Fault::Disconnect`] takes it away.
    pub fn is_plugged(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }

    /// Ends it.
    ///
    /// # Errors
    /// What ended the port before, if it was not a fault that did.
    ///
    /// # Panics
    /// With the panic of the flash, if there was one.
    pub fn stop(mut self) -> Result<(), PtyError> {
        self.ends.store(true, Ordering::Relaxed);
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(ended)) => ended,
            Some(Err(panic)) => std::panic::resume_unwind(panic),
            None => Ok(()),
        }
    }
}

impl<F> Drop for Server<F> {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A panic of its own has been told on that thread.
            let _ = thread.join();
        }
    }
}

fn lock<F>(loader: &Mutex<Loader<F>>) -> MutexGuard<'_, Loader<F>> {
    // A panic of the flash leaves the loader with nobody listening, which is a state like any other.
    loader.lock().unwrap_or_else(PoisonError::into_inner)
}

fn speak<F: FlashChip>(
    loader: &Mutex<Loader<F>>,
    mut pty: Pty,
    boot: Boot,
    ends: &AtomicBool,
) -> Result<(), PtyError> {
    while !ends.load(Ordering::Relaxed) {
        let heard = pty.read(Instant::now() + LOOK)?;
        let (said, departure) = {
            let mut loader = lock(loader);
            loader.receive(&heard);
            (loader.take_said(), loader.take_departure())
        };
        send(&mut pty, &said, ends)?;
        match departure {
            Some(Departure::Unplugged) => return Ok(()),
            Some(Departure::Reset) => {
                let mut loader = lock(loader);
                match boot {
                    Boot::Download => loader.enter_download(),
                    Boot::Flash => loader.run(),
                }
            }
            Some(Departure::Application | Departure::Crash) | None => {}
        }
    }
    Ok(())
}

/// Sends what can be sent before it is given up, or all is to end.
fn send(pty: &mut Pty, said: &[u8], ends: &AtomicBool) -> Result<(), PtyError> {
    let given_up = Instant::now() + PATIENCE;
    let mut rest = said;
    while !rest.is_empty() && !ends.load(Ordering::Relaxed) && Instant::now() < given_up {
        match pty.write(rest, Instant::now() + LOOK) {
            Ok(()) => return Ok(()),
            Err(PtyError::Stuck { left, .. }) => rest = &rest[rest.len() - left..],
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
