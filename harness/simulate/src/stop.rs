//! How a simulation is asked to end, and that it does.
//!
//! A signal wakes the simulation's thread, which ends by itself and gives everything back. Firmware that
//! keeps that thread for good, or a terminal that nobody reads, cannot stop it: what owns the signals waits
//! `PATIENCE` and then ends the process, the terminal as it was.

use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::{Handle, Signals};

use crate::wait::Wanted;

/// How long a simulation that was asked to end may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// What a shell expects of a process that SIGINT has ended (128 and the signal's number).
const EXIT_KILLED: i32 = 130;

/// Hears the signals that ask for the end, as long as it lives.
pub(crate) struct Stop {
    asked: Arc<AtomicBool>,
    woken_by: UnixStream,
    signals: Handle,
    /// Its end tells the listener that the simulation is over.
    over: Option<Sender<()>>,
    listener: Option<JoinHandle<()>>,
}

impl Stop {
    /// Listens for Ctrl-C, SIGTERM and SIGHUP. A signal also sets `interrupt`, which stops firmware that
    /// calls into the board without end; `last_act` is done before the process is ended by force.
    ///
    /// # Errors
    /// If the signals, a socket pair or a thread cannot be had.
    pub(crate) fn listen(interrupt: Arc<AtomicBool>, last_act: fn()) -> io::Result<Self> {
        let asked = Arc::new(AtomicBool::new(false));
        let (mut wakes, woken_by) = UnixStream::pair()?;
        let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
        let handle = signals.handle();
        let (over, is_over) = channel::<()>();
        let heard = asked.clone();
        let listener = std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
            if signals.forever().next().is_none() {
                return;
            }
            heard.store(true, Ordering::Relaxed);
            interrupt.store(true, Ordering::Relaxed);
            // It cannot be full, and a reader that is gone needs no waking.
            let _ = wakes.write_all(&[0]);
            if is_over.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
                last_act();
                // At once: an orderly exit would wait for whoever has the standard output.
                signal_hook::low_level::exit(EXIT_KILLED);
            }
        })?;
        Ok(Stop { asked, woken_by, signals: handle, over: Some(over), listener: Some(listener) })
    }

    /// Whether somebody wants the end.
    pub(crate) fn is_asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }

    /// Can be read once somebody wants the end.
    pub(crate) fn wakes(&self) -> &UnixStream {
        &self.woken_by
    }

    pub(crate) fn wanted<'a>(&'a self, wanted: &mut Wanted<'a>) {
        wanted.readable(&self.woken_by);
    }
}

impl Drop for Stop {
    fn drop(&mut self) {
        self.over.take();
        self.signals.close();
        if let Some(listener) = self.listener.take() {
            // It ends now; a panic of its own has been reported already.
            let _ = listener.join();
        }
    }
}
