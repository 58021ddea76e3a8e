//! The firmware's log on the UART, in ESP-IDF's line format.
//!
//! `I (1234) tag: message` and CR LF; the number is milliseconds since the start; no colours.
//! A line is formatted on its task's stack, where others may come in between, and then put into a
//! bounded ring in one go, which never blocks the caller: the playback task, which must not miss its
//! frame, logs like everybody else. A task of low priority drains the ring to the UART. A line that
//! does not fit is dropped whole, and a later line says how many were. As in ESP-IDF, the line of a task
//! that was interrupted before it was put into the ring follows the younger one of who interrupted it.
//!
//! The console's answers go through the same ring, so lines are never torn.

use alloc::boxed::Box;
use core::fmt::{self, Write as _};

use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
use embassy_sync::signal::Signal;
use embassy_time::Instant;
use embedded_io_async::Write;
use portable_atomic_util::Arc;

use crate::guarded::{Guarded, assert_shareable};

/// Bytes that wait for the UART at most. Holds the whole boot log, of which the UART (115,200
/// baud: 11.5 bytes per millisecond) can send little while the boot sequence runs.
pub const RING_BYTES: usize = 8 * 1024;

/// Bytes of the longest line with its end; a longer one is dropped. Names have at most 63 bytes, and no
/// line has more than one of them and 150 bytes beside.
pub const LINE_BYTES: usize = 256;

/// How many bytes the log task hands to the UART at once.
const CHUNK_BYTES: usize = 128;

struct Ring {
    bytes: Box<[u8]>,
    /// Index of the oldest byte.
    start: usize,
    /// Bytes of complete lines.
    len: usize,
    /// Lines dropped and not yet reported.
    dropped: u32,
    /// Lines dropped since the start.
    dropped_total: u32,
}

/// A line under way.
struct Line {
    bytes: [u8; LINE_BYTES],
    len: usize,
}

impl Line {
    /// The line of `args` with its CR LF; `None` when it is longer than [`LINE_BYTES`].
    fn of(args: fmt::Arguments<'_>) -> Option<Self> {
        let mut line = Self { bytes: [0; LINE_BYTES], len: 0 };
        line.write_fmt(args).ok()?;
        line.push(b'\r').ok()?;
        line.push(b'\n').ok()?;
        Some(line)
    }

    fn push(&mut self, byte: u8) -> fmt::Result {
        *self.bytes.get_mut(self.len).ok_or(fmt::Error)? = byte;
        self.len += 1;
        Ok(())
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl fmt::Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            // A line stays one line whatever a client put into a name.
            self.push(if byte.is_ascii_control() { b'?' } else { byte })?;
        }
        Ok(())
    }
}

impl Ring {
    /// Appends one line. False when it does not fit; then nothing is appended.
    fn append(&mut self, line: &Line) -> bool {
        let line = line.bytes();
        let capacity = self.bytes.len();
        if line.len() > capacity - self.len {
            return false;
        }
        let end = (self.start + self.len) % capacity;
        let (here, around) = line.split_at(line.len().min(capacity - end));
        self.bytes[end..end + here.len()].copy_from_slice(here);
        self.bytes[..around.len()].copy_from_slice(around);
        self.len += line.len();
        true
    }

    /// Appends the report of dropped lines when there are some. False when it does not fit. It
    /// alone is formatted while others wait, for only then is the number known; it is short and rare.
    fn append_dropped(&mut self, millis: u64) -> bool {
        let dropped = self.dropped;
        if dropped == 0 {
            return true;
        }
        let report = Line::of(format_args!("W ({millis}) log: {dropped} lines dropped"));
        let done = report.is_some_and(|report| self.append(&report));
        if done {
            self.dropped = 0;
        }
        done
    }

    fn drop_one(&mut self) {
        self.dropped = self.dropped.saturating_add(1);
        self.dropped_total = self.dropped_total.saturating_add(1);
    }

    fn take(&mut self, into: &mut [u8]) -> usize {
        let count = into.len().min(self.len);
        let capacity = self.bytes.len();
        let (here, around) = into[..count].split_at_mut(count.min(capacity - self.start));
        here.copy_from_slice(&self.bytes[self.start..self.start + here.len()]);
        around.copy_from_slice(&self.bytes[..around.len()]);
        self.start = (self.start + count) % capacity;
        self.len -= count;
        count
    }
}

struct Inner {
    ring: Guarded<Ring>,
    /// Wakes the log task.
    filled: Signal<CriticalSectionRawMutex, ()>,
    /// Wakes the console task, the only one that ever waits for room.
    drained: Signal<CriticalSectionRawMutex, ()>,
}

/// A handle to the log; clones share it.
#[derive(Clone)]
pub struct Log(Arc<Inner>);

const _: () = assert_shareable::<Log>();

impl Log {
    /// An empty log of [`RING_BYTES`].
    #[must_use]
    #[allow(clippy::new_without_default, reason = "a default would hide an allocation")]
    pub fn new() -> Self {
        Self::with_capacity(RING_BYTES)
    }

    fn with_capacity(bytes: usize) -> Self {
        Self(Arc::new(Inner {
            ring: Guarded::new(Ring {
                bytes: alloc::vec![0; bytes].into_boxed_slice(),
                start: 0,
                len: 0,
                dropped: 0,
                dropped_total: 0,
            }),
            filled: Signal::new(),
            drained: Signal::new(),
        }))
    }

    /// Logs what happens in normal operation.
    pub fn info(&self, tag: &str, message: fmt::Arguments<'_>) {
        self.line('I', tag, message);
    }

    /// Logs what is not as it should be but was coped with.
    pub fn warning(&self, tag: &str, message: fmt::Arguments<'_>) {
        self.line('W', tag, message);
    }

    /// Logs what could not be coped with.
    pub fn error(&self, tag: &str, message: fmt::Arguments<'_>) {
        self.line('E', tag, message);
    }

    /// Logs a line without level, time and tag.
    pub fn raw(&self, line: fmt::Arguments<'_>) {
        self.append(line);
    }

    /// Like [`raw`](Self::raw), but waits until the line fits instead of dropping it. For the
    /// console's answers only: one task at a time may wait here. A line that is longer than
    /// [`LINE_BYTES`] is dropped.
    pub async fn raw_waiting(&self, line: fmt::Arguments<'_>) {
        while !self.settled(line) {
            self.0.drained.wait().await;
        }
        self.0.filled.signal(());
    }

    /// Appends `line`, or drops it when it would never fit; false when it may fit later. Not within
    /// the loop above, where the formatted line would be part of the console task for good.
    fn settled(&self, line: fmt::Arguments<'_>) -> bool {
        let line = Line::of(line);
        self.0.ring.with(|ring| {
            let done = line.as_ref().is_some_and(|line| ring.append(line));
            let hopeless = !done && (line.is_none() || ring.len == 0);
            if hopeless {
                ring.drop_one();
            }
            done || hopeless
        })
    }

    /// Lines dropped since the start because the ring was full.
    #[must_use]
    pub fn dropped_lines(&self) -> u32 {
        self.0.ring.with(|ring| ring.dropped_total)
    }

    fn line(&self, level: char, tag: &str, message: fmt::Arguments<'_>) {
        let millis = Instant::now().as_millis();
        self.append(format_args!("{level} ({millis}) {tag}: {message}"));
    }

    fn append(&self, line: fmt::Arguments<'_>) {
        let line = Line::of(line);
        let millis = Instant::now().as_millis();
        self.0.ring.with(|ring| {
            // The report comes first, where the lines are missing.
            let done = ring.append_dropped(millis) && line.is_some_and(|line| ring.append(&line));
            if !done {
                ring.drop_one();
            }
        });
        self.0.filled.signal(());
    }

    /// Takes the oldest bytes out and says how many.
    fn take(&self, into: &mut [u8]) -> usize {
        let count = self.0.ring.with(|ring| {
            if ring.len == 0 && ring.dropped > 0 {
                ring.append_dropped(Instant::now().as_millis());
            }
            ring.take(into)
        });
        if count > 0 {
            self.0.drained.signal(());
        }
        count
    }

    /// The log task's body: sends what the ring holds, for ever. A UART that refuses bytes loses
    /// them; there is nowhere else to say so.
    pub async fn drain<W: Write>(self, mut uart: W) {
        let mut chunk = [0; CHUNK_BYTES];
        loop {
            let count = self.take(&mut chunk);
            if count == 0 {
                self.0.filled.wait().await;
                continue;
            }
            let _ = uart.write_all(&chunk[..count]).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::String;
    use alloc::vec::Vec;

    use super::*;

    fn contents(log: &Log) -> String {
        let mut out = Vec::new();
        let mut chunk = [0; 5];
        loop {
            let count = log.take(&mut chunk);
            if count == 0 {
                return String::from_utf8(out).unwrap();
            }
            out.extend_from_slice(&chunk[..count]);
        }
    }

    #[test]
    fn lines_have_the_format_of_esp_idf() {
        let log = Log::new();
        log.info("storage", format_args!("free={} KB", 7));
        log.warning("a", format_args!("b"));
        log.error("c", format_args!("d"));
        log.raw(format_args!("OK"));
        assert_eq!(contents(&log), "I (0) storage: free=7 KB\r\nW (0) a: b\r\nE (0) c: d\r\nOK\r\n");
    }

    #[test]
    fn control_characters_cannot_start_a_new_line() {
        let log = Log::new();
        log.info("t", format_args!("x\r\nE (0) y: z\u{1b}[m"));
        assert_eq!(contents(&log), "I (0) t: x??E (0) y: z?[m\r\n");
    }

    #[test]
    fn a_line_that_does_not_fit_is_dropped_whole_and_reported_in_its_place() {
        let log = Log::with_capacity(64);
        log.raw(format_args!("{:40}|", 1));
        log.raw(format_args!("{:40}|", 2));
        log.raw(format_args!("{:40}|", 3));
        assert_eq!(log.dropped_lines(), 2);
        let first = contents(&log);
        assert_eq!(first.lines().count(), 2, "{first}");
        assert!(first.ends_with("W (0) log: 2 lines dropped\r\n"), "{first}");
        log.raw(format_args!("back"));
        assert_eq!(contents(&log), "back\r\n");
    }

    #[test]
    fn the_longest_line_is_whole_and_a_longer_one_is_dropped_whole() {
        let log = Log::new();
        log.raw(format_args!("{:1$}", "", LINE_BYTES - 2));
        log.raw(format_args!("{:1$}", "", LINE_BYTES - 1));
        assert_eq!(log.dropped_lines(), 1);
        assert_eq!(contents(&log).len(), LINE_BYTES + "W (0) log: 1 lines dropped\r\n".len());
        crate::testing::run(log.raw_waiting(format_args!("{:1$}", "", LINE_BYTES - 1)));
        assert_eq!(log.dropped_lines(), 2);
    }

    #[test]
    fn lines_of_many_tasks_are_never_torn() {
        let log = Log::with_capacity(400);
        let taken = std::thread::scope(|scope| {
            let writers = [b'a', b'b', b'c'].map(|letter| {
                let log = log.clone();
                scope.spawn(move || {
                    let text = String::from_utf8(alloc::vec![letter; 50]).unwrap();
                    for _ in 0..2000 {
                        log.raw(format_args!("{text}"));
                    }
                })
            });
            let mut taken = contents(&log);
            while writers.iter().any(|writer| !writer.is_finished()) {
                taken.push_str(&contents(&log));
            }
            taken
        });
        let taken = taken + &contents(&log);
        let (reports, whole): (Vec<&str>, Vec<&str>) = taken.lines().partition(|line| line.starts_with('W'));
        assert!(reports.iter().all(|line| line.ends_with(" lines dropped")), "{reports:?}");
        assert!(whole.iter().all(|line| line.len() == 50 && line.bytes().all(|b| b == line.as_bytes()[0])));
        assert_eq!(whole.len() + log.dropped_lines() as usize, 6000);
    }

    #[test]
    fn a_message_may_log_while_it_is_formatted() {
        struct Talkative<'a>(&'a Log);
        impl fmt::Display for Talkative<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.raw(format_args!("first"));
                f.write_str("second")
            }
        }
        let log = Log::new();
        log.raw(format_args!("{}", Talkative(&log)));
        assert_eq!(contents(&log), "first\r\nsecond\r\n");
    }

    #[test]
    fn the_ring_wraps_without_losing_order() {
        let log = Log::with_capacity(32);
        for number in 0..100 {
            log.raw(format_args!("line {number}"));
            assert_eq!(contents(&log), alloc::format!("line {number}\r\n"));
        }
        assert_eq!(log.dropped_lines(), 0);
    }
}
