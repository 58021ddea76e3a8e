//! What users of the port see, and what its owner sees of them.

use std::fs::{File, OpenOptions, read_link};
use std::io::{Read, Write};
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rigor_pty::{Pty, PtyError};
use rstest::rstest;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::io::Errno;

/// Only ends a hang.
const HANG: Timespec = Timespec { tv_sec: 60, tv_nsec: 0 };

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

fn user_of(path: &Path) -> File {
    let flags = OFlags::NOCTTY.bits() as i32;
    OpenOptions::new().read(true).write(true).custom_flags(flags).open(path).expect("it can be opened")
}

/// The next `count` bytes that a user reads.
fn read_by(user: &mut File, count: usize) -> Vec<u8> {
    let mut read = Vec::new();
    while read.len() < count {
        let ready = poll(&mut [PollFd::new(user, PollFlags::IN)], Some(&HANG)).expect("poll works");
        assert!(ready == 1, "only {} bytes of {count} came", read.len());
        let mut chunk = vec![0; count - read.len()];
        let length = user.read(&mut chunk).expect("it is open");
        read.extend(&chunk[..length]);
    }
    read
}

fn all_bytes() -> Vec<u8> {
    (0..=255).collect()
}

/// Whether the other end is gone.
fn ended(user: &mut File) -> bool {
    match user.read(&mut [0; 16]) {
        Ok(count) => count == 0,
        Err(error) => error.raw_os_error() == Some(Errno::IO.raw_os_error()),
    }
}

#[test]
fn bytes_pass_both_ways_as_they_are() {
    let mut pty = Pty::open().expect("a pseudo-terminal");
    for _ in 0..2 {
        let mut user = user_of(pty.path());
        pty.write(&all_bytes(), soon()).expect("there is room");
        assert_eq!(read_by(&mut user, 256), all_bytes());

        user.write_all(&all_bytes()).expect("there is room");
        let mut came = Vec::new();
        while came.len() < 256 {
            came.extend(pty.read(soon()).expect("it works"));
        }
        assert_eq!(came, all_bytes(), "and nothing is echoed");
    }
}

#[test]
fn its_owner_knows_whether_somebody_has_it_open() {
    let mut pty = Pty::open().expect("a pseudo-terminal");
    for _ in 0..3 {
        assert!(!pty.has_user().expect("it works"));
        let mut user = user_of(pty.path());
        assert!(pty.has_user().expect("it works"));
        let another = user_of(pty.path());
        user.write_all(b"last words").expect("there is room");
        drop(user);
        assert!(pty.has_user().expect("it works"));
        drop(another);
        assert!(!pty.has_user().expect("it works"));
        assert_eq!(pty.read(soon()).expect("it works"), b"last words", "what was sent is not lost");
    }
}

#[test]
fn a_read_ends_at_its_deadline_with_and_without_a_user() {
    let mut pty = Pty::open().expect("a pseudo-terminal");
    for limit in [Duration::ZERO, Duration::from_millis(20)] {
        let deadline = Instant::now() + limit;
        assert_eq!(pty.read(deadline).expect("it works"), b"");
        assert!(Instant::now() >= deadline);
        let _user = user_of(pty.path());
        let deadline = Instant::now() + limit;
        assert_eq!(pty.read(deadline).expect("it works"), b"");
        assert!(Instant::now() >= deadline);
    }
}

#[test]
fn a_read_that_began_without_a_user_hears_the_next_one() {
    let mut pty = Pty::open().expect("a pseudo-terminal");
    let path = pty.path().to_owned();
    let user = thread::spawn(move || {
        thread::sleep(Duration::from_millis(20));
        user_of(&path).write_all(b"here").expect("there is room");
    });
    assert_eq!(pty.read(soon()).expect("it works"), b"here");
    user.join().expect("it ends");
}

#[rstest]
fn what_nobody_takes_is_an_error_that_says_how_much(#[values(false, true)] opened: bool) {
    let mut pty = Pty::open().expect("a pseudo-terminal");
    let _user = opened.then(|| user_of(pty.path()));
    let error = pty
        .write(&vec![b'x'; 1 << 20], Instant::now() + Duration::from_millis(20))
        .expect_err("the kernel does not keep so much");
    let path = pty.path().to_owned();
    assert!(
        matches!(&error, PtyError::Stuck { path: of, left } if *of == path && (1..1 << 20).contains(left)),
        "{error}"
    );
}

#[test]
fn much_passes_to_a_user_that_reads() {
    let mut pty = Pty::open().expect("a pseudo-terminal");
    let sent: Vec<u8> = (0..1_000_000_u32).map(|number| (number / 251) as u8).collect();
    let mut user = user_of(pty.path());
    let length = sent.len();
    let reader = thread::spawn(move || read_by(&mut user, length));
    pty.write(&sent, soon()).expect("it is read");
    assert!(reader.join().expect("it ends") == sent);
}

#[test]
fn it_ends_with_its_owner_also_by_a_panic() {
    let folder = tempfile::tempdir().expect("a folder");
    let name = folder.path().join("port");
    let path = name.clone();
    let (plugged, users) = std::sync::mpsc::channel();
    let owner = thread::spawn(move || {
        let pty = Pty::named(&path).expect("a pseudo-terminal");
        plugged.send(user_of(pty.path())).expect("somebody listens");
        std::panic::resume_unwind(Box::new("a panic"));
    });
    let mut user = users.recv().expect("it was plugged in");
    assert!(owner.join().is_err());
    assert!(ended(&mut user));
    assert!(name.symlink_metadata().is_err());
}

#[test]
fn a_port_can_be_pulled_and_plugged_in_again_under_its_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let name = folder.path().join("port");
    let mut pty = Pty::named(&name).expect("a pseudo-terminal");
    for round in [b"one", b"two"] {
        assert_eq!(pty.path(), name);
        let mut user = user_of(&name);
        pty.write(round, soon()).expect("there is room");
        assert_eq!(read_by(&mut user, round.len()), round);

        let unplugged = pty.unplug();
        assert!(ended(&mut user));
        assert!(name.symlink_metadata().is_err(), "as udev does it, the name goes with the port");
        pty = unplugged.replug().expect("a pseudo-terminal");
    }
    drop(pty);
    assert!(name.symlink_metadata().is_err());
}

#[test]
fn a_port_without_a_name_can_be_plugged_in_again() {
    let unplugged = Pty::open().expect("a pseudo-terminal").unplug();
    let pty = unplugged.replug().expect("a pseudo-terminal");
    assert!(pty.path().exists());
}

#[test]
fn a_link_that_a_killed_process_left_is_replaced() {
    let folder = tempfile::tempdir().expect("a folder");
    let name = folder.path().join("port");
    symlink("/dev/pts/4000000", &name).expect("a link");
    let pty = Pty::named(&name).expect("a pseudo-terminal");
    assert!(read_link(&name).expect("a link").exists());
    drop(pty);
    assert!(name.symlink_metadata().is_err());
}

#[test]
fn what_is_not_ours_keeps_its_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let name = folder.path().join("port");
    let refused = || {
        let error = Pty::named(&name).expect_err("the name is taken");
        assert!(matches!(&error, PtyError::Taken { path } if *path == name), "{error}");
        assert!(error.to_string().contains("remove it"), "{error}");
    };

    std::fs::write(&name, "a file").expect("a file");
    refused();
    assert_eq!(std::fs::read(&name).expect("it is there"), b"a file");
    std::fs::remove_file(&name).expect("it is there");

    symlink("elsewhere", &name).expect("a link");
    refused();
    assert_eq!(read_link(&name).expect("a link"), Path::new("elsewhere"));
    std::fs::remove_file(&name).expect("it is there");

    let other = Pty::named(&name).expect("a pseudo-terminal");
    refused();
    user_of(other.path());
}

#[test]
fn what_somebody_puts_in_its_place_is_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let name = folder.path().join("port");
    let pty = Pty::named(&name).expect("a pseudo-terminal");
    std::fs::remove_file(&name).expect("it is there");
    symlink("/dev/null", &name).expect("a link");
    drop(pty);
    assert_eq!(read_link(&name).expect("a link"), Path::new("/dev/null"));
}

#[test]
fn a_name_that_cannot_be_made_is_an_error_that_names_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let name = folder.path().join("nowhere/port");
    let error = Pty::named(&name).expect_err("there is no such folder");
    assert!(matches!(&error, PtyError::Link { path, .. } if *path == name), "{error}");
}
