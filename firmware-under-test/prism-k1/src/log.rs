//! The firmware's log on the UART, in ESP-IDF's line format.
//!
//! `I (1234) tag: message` and CR LF; the number is milliseconds since the start; no colours.
//! A line is formatted straight into a bounded ring, which never blocks the caller: the playback
//! task, which must not miss its frame, logs like everybody else. A task of low priority drains the
//! ring to the UART. A line that does not fit is dropped whole, and a later line says how many were.
//!
//! The console's answers go through the same ring, so lines are never torn.

use alloc::boxed::Box;
use alloc::rc::Rc;
use core::cell::RefCell;
use core::fmt::{self, Write as _};

use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
use embassy_sync::signal::Signal;
use embassy_time::Instant;
use embedded_io_async::Write;

/// Bytes that wait for the UART at most. Holds the whole boot log, of which the UART (115,200
/// baud: 11.5 bytes per millisecond) can send little while the boot sequence runs.
pub const RING_BYTES: usize = 8 * 1024;

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

/// Appends a line behind the complete ones; it counts only when `commit`ted.
struct Line<'a> {
    ring: &'a mut Ring,
    len: usize,
}

impl Line<'_> {
    fn push(&mut self, byte: u8) -> fmt::Result {
        let capacity = self.ring.bytes.len();
        let used = self.ring.len + self.len;
        if used >= capacity {
            return Err(fmt::Error);
        }
        let at = (self.ring.start + used) % capacity;
        self.ring.bytes[at] = byte;
        self.len += 1;
        Ok(())
    }

    fn commit(self) {
        self.ring.len += self.len;
    }
}

impl fmt::Write for Line<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            // A line stays one line whatever a client put into a name.
            self.push(if byte.is_ascii_control() { b'?' } else { byte })?;
        }
        Ok(())
    }
}

impl Ring {
    /// Appends one line with its CR LF. False when it does not fit; then nothing is appended.
    fn append(&mut self, args: fmt::Arguments<'_>) -> bool {
        let mut line = Line { ring: self, len: 0 };
        let done = line.write_fmt(args).is_ok() && line.push(b'\r').is_ok() && line.push(b'\n').is_ok();
        if done {
            line.commit();
        }
        done
    }

    /// Appends the report of dropped lines when there are some. False when it does not fit.
    fn append_dropped(&mut self, millis: u64) -> bool {
        let dropped = self.dropped;
        if dropped == 0 {
            return true;
        }
        let done = self.append(format_args!("W ({millis}) log: {dropped} lines dropped"));
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
        for byte in &mut into[..count] {
            *byte = self.bytes[self.start];
            self.start = (self.start + 1) % self.bytes.len();
        }
        self.len -= count;
        count
    }
}

struct Inner {
    ring: RefCell<Ring>,
    /// Wakes the log task.
    filled: Signal<CriticalSectionRawMutex, ()>,
    /// Wakes the console task, the only one that ever waits for room.
    drained: Signal<CriticalSectionRawMutex, ()>,
}

/// A handle to the log; clones share it.
#[derive(Clone)]
pub struct Log(Rc<Inner>);

impl Log {
    /// An empty log of [`RING_BYTES`].
    #[must_use]
    #[allow(clippy::new_without_default, reason = "a default would hide an allocation")]
    pub fn new() -> Self {
        Self::with_capacity(RING_BYTES)
    }

    fn with_capacity(bytes: usize) -> Self {
        Self(Rc::new(Inner {
            ring: RefCell::new(Ring {
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
    /// console's answers only: one task at a time may wait here. A line that is longer than the
    /// whole ring is dropped.
    pub async fn raw_waiting(&self, line: fmt::Arguments<'_>) {
        loop {
            {
                let mut ring = self.0.ring.borrow_mut();
                if ring.append(line) {
                    break;
                }
                if ring.len == 0 {
                    ring.drop_one();
                    break;
                }
            }
            self.0.drained.wait().await;
        }
        self.0.filled.signal(());
    }

    /// Lines dropped since the start because the ring was full.
    #[must_use]
    pub fn dropped_lines(&self) -> u32 {
        self.0.ring.borrow().dropped_total
    }

    fn line(&self, level: char, tag: &str, message: fmt::Arguments<'_>) {
        let millis = Instant::now().as_millis();
        self.append(format_args!("{level} ({millis}) {tag}: {message}"));
    }

    fn append(&self, line: fmt::Arguments<'_>) {
        // Already borrowed only when a message logs while it is being formatted. Such a line is
        // lost: losing it beats ending the firmware.
        if let Ok(mut ring) = self.0.ring.try_borrow_mut() {
            // The report comes first, where the lines are missing.
            let done = ring.append_dropped(Instant::now().as_millis()) && ring.append(line);
            if !done {
                ring.drop_one();
            }
        }
        self.0.filled.signal(());
    }

    /// Takes the oldest bytes out and says how many.
    fn take(&self, into: &mut [u8]) -> usize {
        let count = {
            let mut ring = self.0.ring.borrow_mut();
            if ring.len == 0 && ring.dropped > 0 {
                ring.append_dropped(Instant::now().as_millis());
            }
            ring.take(into)
        };
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
    fn the_ring_wraps_without_losing_order() {
        let log = Log::with_capacity(32);
        for number in 0..100 {
            log.raw(format_args!("line {number}"));
            assert_eq!(contents(&log), alloc::format!("line {number}\r\n"));
        }
        assert_eq!(log.dropped_lines(), 0);
    }
}
