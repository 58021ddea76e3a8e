//! The console on a pseudo-terminal, for programs that want a serial port.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::io::{Errno, ioctl_fionbio};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, QueueSelector, tcflush, tcgetattr, tcsetattr};

use super::TYPED_BYTES;
use crate::wait::{Ready, Wanted};

/// Bytes that wait for a reader, besides the 4 KiB in the kernel.
const MAX_WAITING: usize = 64 * 1024;

/// A pseudo-terminal in raw mode: 8 bits, no echo, nothing translated. It ends with its owner; who has it
/// open then reads its end.
///
/// Nobody needs to have it open. What nobody reads is lost, the oldest first, as on a line that nobody
/// listens to.
pub struct Pty {
    owner: OwnedFd,
    /// Open for as long as the owner, so that what other programs do with the line's settings and in what
    /// order they come and go changes nothing for the next.
    user: OwnedFd,
    path: PathBuf,
    waiting: VecDeque<u8>,
}

impl Pty {
    /// A new one.
    ///
    /// # Errors
    /// If the system has none left.
    pub fn open() -> io::Result<Self> {
        let owner = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        ioctl_fionbio(&owner, true)?;
        grantpt(&owner)?;
        unlockpt(&owner)?;
        let path = PathBuf::from(OsString::from_vec(ptsname(&owner, Vec::new())?.into_bytes()));
        let user = rustix::fs::open(&path, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty())?;
        let mut settings = tcgetattr(&user)?;
        settings.make_raw();
        tcsetattr(&user, OptionalActions::Now, &settings)?;
        Ok(Pty { owner, user, path, waiting: VecDeque::new() })
    }

    /// What other programs open.
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn wanted<'a>(&'a self, takes_input: bool, wanted: &mut Wanted<'a>) {
        wanted.either(&self.owner, takes_input, !self.waiting.is_empty());
    }

    pub(super) fn attend(&mut self, ready: &Ready) -> io::Result<Vec<u8>> {
        if ready.writable(&self.owner) {
            self.pass_on()?;
        }
        if !ready.readable(&self.owner) {
            return Ok(Vec::new());
        }
        let mut bytes = vec![0; TYPED_BYTES];
        match rustix::io::read(&self.owner, &mut bytes) {
            Ok(count) => bytes.truncate(count),
            Err(Errno::AGAIN | Errno::INTR) => bytes.clear(),
            Err(error) => return Err(error.into()),
        }
        Ok(bytes)
    }

    pub(super) fn print(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.waiting.extend(bytes);
        self.pass_on()?;
        if self.waiting.len() > MAX_WAITING {
            // What the kernel holds is older than what waits here.
            tcflush(&self.user, QueueSelector::IFlush)?;
            let excess = self.waiting.len() - MAX_WAITING;
            self.waiting.drain(..excess);
            self.pass_on()?;
        }
        Ok(())
    }

    fn pass_on(&mut self) -> io::Result<()> {
        while !self.waiting.is_empty() {
            let (bytes, _) = self.waiting.as_slices();
            match rustix::io::write(&self.owner, bytes) {
                Ok(count) => drop(self.waiting.drain(..count)),
                Err(Errno::AGAIN) => break,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{File, OpenOptions};
    use std::io::{Read, Write};
    use std::os::unix::fs::OpenOptionsExt;
    use std::time::Duration;

    use super::*;

    fn user_of(pty: &Pty) -> File {
        let flags = OFlags::NOCTTY.bits() as i32;
        OpenOptions::new().read(true).write(true).custom_flags(flags).open(pty.path()).expect("it is there")
    }

    fn typed(pty: &mut Pty) -> Vec<u8> {
        let mut wanted = Wanted::default();
        pty.wanted(true, &mut wanted);
        let ready = wanted.wait(Duration::from_secs(5)).expect("poll works");
        pty.attend(&ready).expect("it works")
    }

    #[test]
    fn bytes_pass_both_ways_as_they_are() {
        let mut pty = Pty::open().expect("a pseudo-terminal");
        let mut user = user_of(&pty);
        let all: Vec<u8> = (0..=255).collect();
        pty.print(&all).expect("there is room");
        let mut read = [0; 256];
        user.read_exact(&mut read).expect("it comes");
        assert_eq!(read[..], all);

        user.write_all(&all).expect("there is room");
        let mut came = Vec::new();
        while came.len() < all.len() {
            came.extend(typed(&mut pty));
        }
        assert_eq!(came, all, "and nothing is echoed to the user");
        assert!(pty.waiting.is_empty());
    }

    #[test]
    fn it_ends_with_its_owner() {
        let pty = Pty::open().expect("a pseudo-terminal");
        let path = pty.path().to_path_buf();
        let mut user = user_of(&pty);
        drop(pty);
        let ended = match user.read(&mut [0; 16]) {
            Ok(count) => count == 0,
            Err(error) => error.raw_os_error() == Some(Errno::IO.raw_os_error()),
        };
        assert!(ended);
        drop(user);
        assert!(!path.exists());
    }

    #[test]
    fn users_may_come_and_go() {
        let mut pty = Pty::open().expect("a pseudo-terminal");
        for round in 0..3_u8 {
            let mut user = user_of(&pty);
            pty.print(&[round]).expect("there is room");
            let mut read = [9];
            user.read_exact(&mut read).expect("it comes");
            assert_eq!(read, [round]);
        }
    }

    #[test]
    fn of_what_nobody_reads_the_newest_is_kept() {
        let mut pty = Pty::open().expect("a pseudo-terminal");
        for number in 0..100_000_u32 {
            pty.print(format!("{number:07}\n").as_bytes()).expect("it never blocks");
        }
        assert!(pty.waiting.len() <= MAX_WAITING);
        pty.print(b"end").expect("it never blocks");
        let mut user = user_of(&pty);
        let (mut seen, mut piece) = (Vec::new(), [0; 4096]);
        while !seen.ends_with(b"end") {
            let count = user.read(&mut piece).expect("it comes");
            seen.extend(&piece[..count]);
            pty.pass_on().expect("it never blocks");
        }
        assert!(seen.len() > MAX_WAITING / 2);
        assert!(String::from_utf8_lossy(&seen).contains("0099999\nend"));
    }
}
