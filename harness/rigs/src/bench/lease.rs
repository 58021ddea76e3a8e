//! Whose bench it is: a lock of the kernel's for each port of the rig file, and beside it a record of who has it.
//!
//! The lock ends with the process that holds it, however that ends, so a record of somebody who is gone means nothing:
//! it is read only while the lock is held. Locks are in `leases` of the host's state (`state.rs`).

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::error::BenchError;
use super::state;
use crate::file::Bench;
use crate::ports::{Host, PortName};

/// How often a lock is looked at that somebody else holds.
const LOOK: Duration = Duration::from_millis(20);
/// A record is a few words.
const MAX_RECORD: u64 = 1024;
/// How long a bench may be somebody else's before nobody waits for it any more: a long case, and its attempts.
pub(super) const LEASED_WITHIN: Duration = Duration::from_secs(1_800);
/// Who has it for longer than this is told of.
const UNTOLD: Duration = Duration::from_secs(1);

/// The bench is ours until this is dropped.
#[derive(Debug)]
pub struct Lease {
    /// One for each port, locked.
    locks: Vec<File>,
}

impl Drop for Lease {
    /// To close them would not be enough: a program that another thread starts at this moment has them open too until it
    /// runs.
    fn drop(&mut self) {
        for file in &self.locks {
            // If it fails, it ends with the last who has the file open.
            let _ = flock(file, FlockOperation::Unlock);
        }
    }
}

impl Lease {
    /// Waits for the bench `name` until everybody else has left it, or `within` is over, or `interrupt` is set. `why` is
    /// what those who wait for us are told.
    ///
    /// # Errors
    /// [`BenchError::Host`] with who has it.
    pub(super) fn wait(
        name: &str,
        bench: &Bench,
        why: &str,
        within: Duration,
        interrupt: &AtomicBool,
    ) -> Result<Self, BenchError> {
        Lease::wait_in(&state::folder("leases"), name, &resources(bench), why, within, interrupt)
    }

    /// The same, as long as any case waits; who has the bench is told to `waiting` if that takes more than a moment.
    ///
    /// # Errors
    /// As [`Lease::wait`].
    pub(super) fn wait_told(
        name: &str,
        bench: &Bench,
        why: &str,
        interrupt: &AtomicBool,
        waiting: &mut dyn FnMut(&str),
    ) -> Result<Self, BenchError> {
        match Lease::wait(name, bench, why, UNTOLD, interrupt) {
            Ok(lease) => Ok(lease),
            Err(error) => {
                waiting(&error.to_string());
                Lease::wait(name, bench, why, LEASED_WITHIN, interrupt)
            }
        }
    }

    fn wait_in(
        folder: &Path,
        name: &str,
        resources: &[String],
        why: &str,
        within: Duration,
        interrupt: &AtomicBool,
    ) -> Result<Self, BenchError> {
        let refused = |what: String| {
            move |why: std::io::Error| BenchError::Host {
                what,
                why: why.to_string(),
                remedy: "set XDG_STATE_HOME to a folder that you may write to",
            }
        };
        std::fs::create_dir_all(folder)
            .map_err(refused(format!("the folder {} for leases", folder.display())))?;
        let deadline = Instant::now() + within;
        let mut lease = Lease { locks: Vec::new() };
        for resource in resources {
            let path = folder.join(format!("{resource}.lease"));
            let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
            let mut file = open.map_err(refused(format!("the lease {}", path.display())))?;
            loop {
                match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                    Ok(()) => break,
                    Err(Errno::WOULDBLOCK | Errno::INTR) => {}
                    Err(why) => return Err(refused(format!("the lease {}", path.display()))(why.into())),
                }
                if Instant::now() >= deadline || interrupt.load(Ordering::Relaxed) {
                    return Err(BenchError::Host {
                        what: format!("the bench `{name}` is not free"),
                        why: holder(&mut file),
                        remedy: "wait until that has ended, or end it",
                    });
                }
                std::thread::sleep(LOOK);
            }
            // Who waits reads it; that it could not be written keeps nobody out.
            let _ = write_record(&mut file, name, why);
            lease.locks.push(file);
        }
        Ok(lease)
    }
}

/// What of a bench nobody else may use meanwhile: its ports, by names that stay, in an order that all agree on.
fn resources(bench: &Bench) -> Vec<String> {
    let ports = bench.controller.iter().chain(&bench.console);
    let mut names: Vec<String> = ports.map(resource).collect();
    names.sort();
    names.dedup();
    names
}

/// The name of a port's lease. By whichever name a rig file knows it, it is the same port.
fn resource(name: &PortName) -> String {
    let host = Host::default();
    let path = host.resolve(name).ok();
    let device = path.as_deref().and_then(|path| host.device_at(path));
    let serial = device.and_then(|device| device.usb?.serial);
    match (serial, name) {
        (Some(serial), _) => plain(&format!("usb-{serial}")),
        (None, PortName::UsbSerial(serial)) => plain(&format!("usb-{serial}")),
        (None, PortName::Path(path)) => {
            plain(&std::fs::canonicalize(path).unwrap_or_else(|_| path.clone()).display().to_string())
        }
    }
}

/// By which name a board is known on this host from day to day: as the rig file names its console's port, or else its
/// controller's. Where that leads now does not matter, because it may lead nowhere just when something is wrong.
/// Nothing if the name is the kernel's own for a pseudo-terminal: the next one that is opened gets it.
pub(super) fn board(bench: &Bench) -> Option<String> {
    let name = bench.console.iter().chain(&bench.controller).next();
    match name {
        None => Some("no-port".to_owned()),
        Some(PortName::UsbSerial(serial)) => Some(plain(&format!("usb-{serial}"))),
        Some(PortName::Path(path)) if path.starts_with("/dev/pts") => None,
        Some(PortName::Path(path)) => Some(plain(&path.display().to_string())),
    }
}

fn plain(text: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
    text.chars().map(plain).take(200).collect()
}

fn write_record(file: &mut File, name: &str, why: &str) -> std::io::Result<()> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let plain =
        |text: &str| text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(200).collect::<String>();
    let record = format!("{} {since} {} {}\n", std::process::id(), plain(name).replace(' ', "-"), plain(why));
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(record.as_bytes())
}

/// Who has the lock of `file`, in words.
fn holder(file: &mut File) -> String {
    let mut text = String::new();
    let read = file.rewind().and_then(|()| file.take(MAX_RECORD).read_to_string(&mut text));
    let mut words = text.trim_end().splitn(4, ' ');
    let (pid, since, name, why) = (words.next(), words.next(), words.next(), words.next());
    match (read, pid, since.and_then(|since| since.parse::<u64>().ok()), name, why) {
        (Ok(_), Some(pid), Some(since), Some(name), Some(why)) => {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
            let plain: String = format!("`{why}` on `{name}`")
                .chars()
                .map(|c| if c.is_control() { ' ' } else { c })
                .collect();
            format!("process {pid} has had it for {} s, for {plain}", now.saturating_sub(since))
        }
        _ => "another process has it".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    fn wait(folder: &Path, ports: &[&str], why: &str, within: Duration) -> Result<Lease, String> {
        let ports: Vec<String> = ports.iter().map(|&port| port.to_owned()).collect();
        Lease::wait_in(folder, "desk", &ports, why, within, &AtomicBool::new(false))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn one_at_a_time_and_the_other_is_told_who_has_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let first = wait(folder.path(), &["a", "b"], "a\u{1b}[2Jcase", LONG).expect("free");
        let told = wait(folder.path(), &["b", "c"], "other", Duration::ZERO).expect_err("taken");
        let expected = format!("process {} has had it for ", std::process::id());
        assert!(told.starts_with("the bench `desk` is not free: ") && told.contains(&expected), "{told}");
        assert!(told.contains("for `a [2Jcase` on `desk`; wait until"), "{told}");
        drop(wait(folder.path(), &["c"], "another board", Duration::ZERO).expect("free"));
        drop(first);
        drop(wait(folder.path(), &["b", "c"], "other", Duration::ZERO).expect("free again"));
    }

    #[test]
    fn who_waits_gets_it_and_a_record_of_the_dead_means_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("a.lease"), "1 0 desk somebody who was killed\n").expect("a file");
        let first =
            wait(folder.path(), &["a"], "first", Duration::ZERO).expect("the lock tells, not the record");
        let path = folder.path().to_owned();
        let second = std::thread::spawn(move || wait(&path, &["a"], "second", LONG).map(|_| ()));
        std::thread::sleep(Duration::from_millis(30));
        drop(first);
        second.join().expect("no panic").expect("it is free in time");
    }

    #[test]
    fn a_bench_is_free_again_whoever_else_still_has_the_lock_open() {
        let folder = tempfile::tempdir().expect("a folder");
        let first = wait(folder.path(), &["a", "b"], "first", LONG).expect("free");
        // As a program has them that another thread has just begun to start.
        let started: Vec<File> =
            first.locks.iter().map(|lock| lock.try_clone().expect("a descriptor")).collect();
        drop(first);
        drop(wait(folder.path(), &["a", "b"], "second", Duration::ZERO).expect("free again"));
        drop(started);
    }

    #[test]
    fn somebody_who_is_interrupted_waits_no_longer() {
        let folder = tempfile::tempdir().expect("a folder");
        let _first = wait(folder.path(), &["a"], "first", LONG).expect("free");
        let interrupt = Arc::new(AtomicBool::new(true));
        let told = Lease::wait_in(folder.path(), "desk", &["a".to_owned()], "x", LONG, &interrupt);
        assert!(told.is_err());
    }

    #[test]
    fn damaged_records_are_no_trouble() {
        for record in ["", "\n", "x", "1 2 3", "1 x y z", "\u{0}\u{ff}"] {
            let folder = tempfile::tempdir().expect("a folder");
            let _first = wait(folder.path(), &["a"], "first", LONG).expect("free");
            std::fs::write(folder.path().join("a.lease"), record).expect("a file");
            let told = wait(folder.path(), &["a"], "second", Duration::ZERO).expect_err("taken");
            assert!(told.contains("another process has it"), "{told}");
        }
    }
}
