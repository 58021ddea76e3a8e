//! A loader on a pseudo-terminal.

mod host;

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use host::*;
use rigor_esp_loader::{Boot, Chip, Fault, Loader, MemoryFlash, Mode, Server};
use rigor_pty::Pty;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;

/// Only ends a hang.
const HANG: Timespec = Timespec { tv_sec: 60, tv_nsec: 0 };

fn served(boot: Boot) -> Server<MemoryFlash> {
    let loader = Loader::new(Chip::Esp32C3, MAC, MemoryFlash::new(SECTORS));
    Server::start(loader, Pty::open().expect("a pseudo-terminal"), boot)
}

fn user_of(path: &Path) -> File {
    let flags = OFlags::NOCTTY.bits() as i32;
    OpenOptions::new().read(true).write(true).custom_flags(flags).open(path).expect("it can be opened")
}

/// What comes until it ends with `end`, or without it until the port is gone.
fn read_until(user: &mut File, end: &[u8]) -> Vec<u8> {
    let mut read = Vec::new();
    while end.is_empty() || !read.ends_with(end) {
        let ready = poll(&mut [PollFd::new(user, PollFlags::IN)], Some(&HANG)).expect("poll works");
        assert!(ready == 1, "no more comes after {}", String::from_utf8_lossy(&read));
        let mut bytes = [0; 4096];
        match user.read(&mut bytes) {
            Ok(count) if count > 0 => read.extend(&bytes[..count]),
            _ if end.is_empty() => return read,
            ended => panic!("{ended:?} after {}", String::from_utf8_lossy(&read)),
        }
    }
    read
}

/// The first `count` frames that come.
fn read_frames(user: &mut File, count: usize) -> Vec<Vec<u8>> {
    let mut line = Vec::new();
    while line.iter().filter(|byte| **byte == 0xC0).count() < 2 * count {
        line.extend(read_until(user, &[0xC0]));
    }
    frames(&line)
}

#[test]
fn a_host_flashes_it_through_the_port() {
    let server = served(Boot::Flash);
    let mut user = user_of(server.path());
    server.loader().enter_download();
    let said = read_until(&mut user, b"waiting for download\r\n");
    assert!(said.starts_with(b"ESP-ROM:esp32c3-"));

    user.write_all(&sync()).expect("it is read");
    assert_eq!(read_frames(&mut user, 8).len(), 8);
    let image = noise(3000);
    for line in [
        request(0x0D, &words([0, 0]), 0),
        request(0x02, &words([3000, 1, 3000, 0x1000]), 0),
        block(0x03, 0, &image),
    ] {
        user.write_all(&line).expect("it is read");
        let said = read_frames(&mut user, 1);
        assert_eq!(answer(Mode::Rom, &said[0]).status, OK);
    }
    assert!(server.loader().flash().bytes()[0x1000..0x1000 + 3000] == image);

    // The host resets it, and its boot pin is high.
    user.write_all(&request(0x04, &words([0]), 0)).expect("it is read");
    read_until(&mut user, b"(SPI_FAST_FLASH_BOOT)\r\n");
    assert_eq!(server.loader().mode(), Mode::Application);
    server.stop().expect("nothing was wrong");
}

#[test]
fn with_the_boot_pin_low_a_reset_leads_back_into_the_loader() {
    let server = served(Boot::Download);
    let mut user = user_of(server.path());
    server.loader().enter_download();
    read_until(&mut user, b"waiting for download\r\n");
    user.write_all(&request(0x0D, &words([0, 0]), 0)).expect("it is read");
    user.write_all(&request(0x02, &words([0, 0, 1024, 0]), 0)).expect("it is read");
    user.write_all(&request(0x04, &words([0]), 0)).expect("it is read");
    read_until(&mut user, b"waiting for download\r\n");
    assert_eq!(server.loader().mode(), Mode::Rom);
}

#[test]
fn a_disconnected_port_is_gone() {
    let server = served(Boot::Download);
    let mut user = user_of(server.path());
    server.loader().inject(Fault::Disconnect { request: 1 });
    server.loader().enter_download();
    read_until(&mut user, b"waiting for download\r\n");
    assert!(server.is_plugged());
    user.write_all(&sync()).expect("it is read");
    assert_eq!(read_until(&mut user, b""), b"", "its end is all that is read");
    server.stop().expect("a fault is no error");
}

#[test]
fn it_ends_with_its_owner() {
    let server = served(Boot::Download);
    let mut user = user_of(server.path());
    drop(server);
    assert_eq!(read_until(&mut user, b""), b"");
}

#[test]
fn a_host_that_does_not_read_holds_nobody_up() {
    let server = served(Boot::Download);
    let mut user = user_of(server.path());
    server.loader().enter_download();
    read_until(&mut user, b"waiting for download\r\n");
    // Eight answers to each, and room for 4 KiB.
    user.write_all(&sync().repeat(60)).expect("it is read");
    server.stop().expect("nothing was wrong");
}
