//! A thread that listens to a serial port, so that bytes have the instant at which they were there, whatever
//! the case does meanwhile.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, eventfd};

use super::bell::Bell;
use crate::serial::{Chunk, Port, SerialError};

/// How often a listener that nothing wakes looks whether it is still wanted.
const LOOK: Duration = Duration::from_secs(1);
/// How often it looks for a port that has vanished.
const SEARCH: Duration = Duration::from_millis(20);
/// Chunks that wait for the bench: some MiB of a flood, then the port has to wait.
const MAX_WAITING: usize = 1024;

/// What a listener tells.
pub(super) enum Heard {
    /// Bytes came.
    Bytes(Chunk),
    /// The port vanished at that instant.
    Gone(Instant, SerialError),
    /// It is there again.
    Back(Instant, Port),
}

/// Where a port is to be found when it has vanished.
pub(super) type Find = Box<dyn Fn() -> Option<Port> + Send>;

/// The thread. Ends when this is dropped.
pub(super) struct Listener {
    heard: Receiver<Heard>,
    ended: Arc<AtomicBool>,
    /// Wakes it when it has ended.
    end: Arc<OwnedFd>,
    thread: Option<JoinHandle<()>>,
}

impl Listener {
    /// Listens to `port`, and rings for all that it tells. Follows a port that vanishes, or is not there yet, as `find`
    /// says; without it that is the end.
    pub(super) fn start(
        name: &str,
        port: Option<Port>,
        bell: Bell,
        find: Option<Find>,
    ) -> std::io::Result<Self> {
        let (sender, heard) = sync_channel(MAX_WAITING);
        let ended = Arc::new(AtomicBool::new(false));
        let end = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        let teller = Teller { sender, bell, ended: ended.clone(), end: end.clone() };
        let thread =
            std::thread::Builder::new().name(name.to_owned()).spawn(move || listen(port, &teller, find))?;
        Ok(Listener { heard, ended, end, thread: Some(thread) })
    }

    /// What it has heard since, if anything.
    pub(super) fn try_next(&self) -> Option<Heard> {
        self.heard.try_recv().ok()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        // It can only be refused where it was written to some 2^64 times.
        let _ = rustix::io::write(&*self.end, &1_u64.to_ne_bytes());
        if let Some(thread) = self.thread.take() {
            // It has nothing to say any more.
            let _ = thread.join();
        }
    }
}

struct Teller {
    sender: SyncSender<Heard>,
    bell: Bell,
    ended: Arc<AtomicBool>,
    end: Arc<OwnedFd>,
}

impl Teller {
    fn is_over(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }

    /// Whether anybody still listens.
    fn tell(&self, heard: Heard) -> bool {
        let mut heard = heard;
        loop {
            match self.sender.try_send(heard) {
                Ok(()) => {
                    self.bell.ring();
                    return true;
                }
                Err(TrySendError::Disconnected(_)) => return false,
                Err(TrySendError::Full(_)) if self.is_over() => return false,
                Err(TrySendError::Full(back)) => {
                    heard = back;
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
        }
    }
}

fn listen(port: Option<Port>, teller: &Teller, find: Option<Find>) {
    let mut listened = port;
    while !teller.is_over() {
        let Some(port) = &mut listened else {
            let Some(found) = find.as_ref().and_then(|find| search(find, teller)) else { return };
            let writer = found.again();
            listened = Some(found);
            if !teller.tell(Heard::Back(Instant::now(), writer)) {
                return;
            }
            continue;
        };
        match port.read_unless(&*teller.end, Instant::now() + LOOK) {
            Ok(chunk) if chunk.bytes.is_empty() => {}
            Ok(chunk) => {
                if !teller.tell(Heard::Bytes(chunk)) {
                    return;
                }
            }
            Err(error) => {
                listened = None;
                if !teller.tell(Heard::Gone(Instant::now(), error)) {
                    return;
                }
            }
        }
    }
}

/// The port, once it is there again.
fn search(find: &Find, teller: &Teller) -> Option<Port> {
    while !teller.is_over() {
        if let Some(port) = find() {
            return Some(port);
        }
        std::thread::sleep(SEARCH);
    }
    None
}
