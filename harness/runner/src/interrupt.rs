//! Ctrl-C, and the polite way to end a process: a run ends early, and leaves its record all the same.
//!
//! At the first signal no further case begins, those that run come to their ends, and what was not tried counts as
//! [not run](rigor_core::result::NotRun::Interrupted). A case on a bench may take minutes, and its board is somebody's:
//! it is cut, counts as not run too, and the bench lets go of its wires. At the second signal the process ends at once,
//! as it would have without this: locks and children of its own end with it, and there is no record.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::{Handle, Signals};
use signal_hook::low_level::emulate_default_handler;

/// What is told when somebody wants the end.
pub const TOLD: &str = "interrupted: no further case begins, and those that run come to their ends, on a bench at once; \
                        once more ends all of them, and leaves no record";

/// Who listens to signals. Dropping it ends that.
pub struct Interrupt {
    asked: Arc<AtomicBool>,
    signals: Handle,
    thread: Option<JoinHandle<()>>,
}

impl Interrupt {
    /// Listens to SIGINT, SIGTERM and SIGHUP from now on. At the first of them `asked` is set, which is the
    /// [session's](crate::engine::Session::ending), and `tell` is given [`TOLD`].
    ///
    /// # Errors
    /// If the system gives no such signals, or no thread.
    pub fn listen(asked: Arc<AtomicBool>, tell: impl Fn(&str) + Send + 'static) -> io::Result<Self> {
        let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
        let handle = signals.handle();
        let flag = asked.clone();
        let run = move || {
            for signal in signals.forever() {
                if flag.swap(true, Ordering::SeqCst) {
                    // Of these three signals each ends the process; there is nobody left who could hear an error.
                    let _ = emulate_default_handler(signal);
                }
                tell(TOLD);
            }
        };
        let thread = std::thread::Builder::new().name("interrupt".to_owned()).spawn(run)?;
        Ok(Interrupt { asked, signals: handle, thread: Some(thread) })
    }

    /// Whether somebody wants the end.
    pub fn is_asked(&self) -> bool {
        self.asked.load(Ordering::SeqCst)
    }
}

impl Drop for Interrupt {
    fn drop(&mut self) {
        self.signals.close();
        if let Some(thread) = self.thread.take() {
            // It has nothing to say.
            let _ = thread.join();
        }
    }
}
