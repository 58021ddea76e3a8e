//! Lines, as they are completed.

use std::collections::VecDeque;
use std::time::Instant;

use super::{Port, SerialError};

/// Longest line in bytes, without its end. A longer one is given in pieces.
pub const MAX_LINE: usize = 4096;

/// A line that was heard.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Line {
    /// When its last byte was there, on the host's clock.
    pub at: Instant,
    /// Its bytes, without LF and the CRs before it.
    pub bytes: Vec<u8>,
}

impl Line {
    /// The line as text; what is not UTF-8 is replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }
}

/// The lines of a port.
pub struct Lines {
    port: Port,
    /// The line that is not complete, at most [`MAX_LINE`] bytes.
    begun: Vec<u8>,
    /// Lines that came together with one that was wanted.
    waiting: VecDeque<Line>,
}

impl Lines {
    /// What `port` says from now on.
    pub fn of(port: Port) -> Self {
        Lines { port, begun: Vec::new(), waiting: VecDeque::new() }
    }

    /// The port, to write to it.
    pub fn port(&mut self) -> &mut Port {
        &mut self.port
    }

    /// The next line, or `None` if none is complete before `deadline`.
    ///
    /// # Errors
    /// [`SerialError::Gone`].
    pub fn next(&mut self, deadline: Instant) -> Result<Option<Line>, SerialError> {
        loop {
            if let Some(line) = self.waiting.pop_front() {
                return Ok(Some(line));
            }
            let chunk = self.port.read(deadline)?;
            if chunk.bytes.is_empty() {
                return Ok(None);
            }
            self.take(&chunk.bytes, chunk.at);
        }
    }

    /// The first line that `matches`, reading over all others. `wanted` says in words which it is.
    ///
    /// # Errors
    /// [`SerialError::Absent`] if none comes before `deadline`, [`SerialError::Gone`].
    pub fn expect(
        &mut self,
        wanted: &str,
        deadline: Instant,
        mut matches: impl FnMut(&Line) -> bool,
    ) -> Result<Line, SerialError> {
        let begun = Instant::now();
        let mut last = None;
        while let Some(line) = self.next(deadline)? {
            if matches(&line) {
                return Ok(line);
            }
            last = Some(line);
        }
        let last = last.map(|line| line.text());
        Err(SerialError::Absent { wanted: wanted.to_owned(), waited: begun.elapsed(), last })
    }

    fn take(&mut self, bytes: &[u8], at: Instant) {
        for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
            let (text, is_end) = match piece.split_last() {
                Some((b'\n', text)) => (text, true),
                _ => (piece, false),
            };
            for part in text.chunks(MAX_LINE) {
                if self.begun.len() + part.len() > MAX_LINE {
                    self.give(at);
                }
                self.begun.extend(part);
            }
            if is_end {
                while self.begun.last() == Some(&b'\r') {
                    self.begun.pop();
                }
                self.give(at);
            }
        }
    }

    fn give(&mut self, at: Instant) {
        let bytes = std::mem::take(&mut self.begun);
        self.waiting.push_back(Line { at, bytes });
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::os::fd::OwnedFd;
    use std::os::unix::ffi::OsStringExt;
    use std::path::PathBuf;
    use std::time::Duration;

    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(60);

    /// The device's end of a pseudo-terminal, and where the other is.
    fn terminal() -> (OwnedFd, PathBuf) {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let device = openpt(flags).expect("a pseudo-terminal");
        grantpt(&device).and_then(|()| unlockpt(&device)).expect("a pseudo-terminal");
        let name = ptsname(&device, Vec::new()).expect("a name").into_bytes();
        (device, PathBuf::from(OsString::from_vec(name)))
    }

    /// The device's end of a pseudo-terminal, and lines at the other.
    fn line() -> (OwnedFd, Lines) {
        let (device, path) = terminal();
        let port = Port::open(&path, 115_200).expect("a port");
        (device, Lines::of(port))
    }

    fn soon() -> Instant {
        Instant::now() + PATIENCE
    }

    fn say(device: &OwnedFd, bytes: &[u8]) {
        let mut rest = bytes;
        while !rest.is_empty() {
            let count = rustix::io::write(device, rest).expect("it is read");
            rest = &rest[count..];
        }
    }

    #[test]
    fn a_line_is_given_with_its_last_byte_and_not_before() {
        let (device, mut lines) = line();
        say(&device, b"one\r\r\ntw");
        assert_eq!(lines.next(soon()).expect("a port").map(|line| line.text()).as_deref(), Some("one"));
        assert_eq!(lines.next(Instant::now()).expect("a port"), None);
        say(&device, b"o\n\n");
        assert_eq!(lines.next(soon()).expect("a port").map(|line| line.text()).as_deref(), Some("two"));
        assert_eq!(lines.next(soon()).expect("a port").map(|line| line.bytes), Some(Vec::new()));
    }

    #[test]
    fn what_came_with_the_wanted_line_comes_after_it() {
        let (device, mut lines) = line();
        say(&device, b"a\nwanted\nb\xff\n");
        let found = lines.expect("the wanted one", soon(), |line| line.bytes == b"wanted").expect("it came");
        assert_eq!(found.text(), "wanted");
        assert_eq!(lines.next(soon()).expect("a port").map(|line| line.bytes), Some(b"b\xff".to_vec()));
        let absent = lines.expect("another", Instant::now(), |_| true).expect_err("nothing came");
        assert!(absent.to_string().starts_with("no line was another within"), "{absent}");
    }

    #[test]
    fn a_line_without_an_end_is_given_in_pieces() {
        let (device, mut lines) = line();
        let writer = std::thread::spawn(move || {
            say(&device, &[b'x'; 3 * MAX_LINE + 5]);
            say(&device, b"\n");
            device
        });
        let mut got = 0;
        while got < 3 * MAX_LINE + 5 {
            let piece = lines.next(soon()).expect("a port").expect("a piece");
            assert!(piece.bytes.len() <= MAX_LINE);
            got += piece.bytes.len();
        }
        assert_eq!(got, 3 * MAX_LINE + 5);
        drop(writer.join());
    }

    #[test]
    fn both_directions_are_raw_and_a_gone_device_is_an_error() {
        let (device, mut lines) = line();
        lines.port().write(b"\x03\x04\r\n", soon()).expect("there is room");
        let mut heard = [0; 4];
        let mut count = 0;
        while count < heard.len() {
            count += rustix::io::read(&device, &mut heard[count..]).expect("it comes");
        }
        assert_eq!(&heard, b"\x03\x04\r\n");
        assert_eq!(lines.next(Instant::now()).expect("a port"), None, "and nothing is echoed");
        drop(device);
        assert!(matches!(lines.next(soon()), Err(SerialError::Gone { .. })));
    }

    #[test]
    fn a_line_is_free_again_whoever_else_still_has_it_open() {
        let (device, path) = terminal();
        let first = Port::open_alone(&path, 115_200).expect("a terminal");
        // As a program has it that another thread has just begun to start.
        let started = rustix::io::fcntl_dupfd_cloexec(&first, 0).expect("a descriptor");
        let again = first.again();
        drop(first);
        let taken = Port::open_alone(&path, 115_200).err().expect("it is still somebody's");
        assert!(matches!(taken, SerialError::Busy { .. }), "{taken}");
        drop(again);
        Port::open_alone(&path, 115_200).expect("it is free");
        drop((started, device));
    }

    #[test]
    fn who_does_not_read_is_not_waited_for_without_end() {
        let (_device, mut lines) = line();
        let stuck = lines.port().write(&[0; 1 << 20], Instant::now() + Duration::from_millis(20));
        assert!(matches!(stuck, Err(SerialError::Stuck { left, .. }) if left > 0));
        let missing = Port::open("/dev/no-such-port".as_ref(), 115_200).err().expect("it is not there");
        assert!(missing.to_string().contains("plug the device in"), "{missing}");
    }
}
