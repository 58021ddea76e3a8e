//! What the console tells of the device's life: that it starts, and why, and that its firmware gave up.
//!
//! The chip's ROM says why it starts (`rst:0xc (RTC_SW_CPU_RST)`, ESP32-S3 technical reference manual, chapter
//! "Reset and Clock"); ESP-IDF, esp-backtrace and our own ports say why a firmware gave up.

use std::net::Ipv4Addr;

use rigor_core::Instant;
use rigor_core::event::{DeviceEvent, ResetCause};

use super::whereabouts::told_in;

/// Longer lines tell nothing more.
const MAX_LINE: usize = 512;
/// What a line begins with in which PRISM K1's own panic handlers say why it gives up.
const PANIC: &str = "panic: ";
/// What a line has in it with which others do.
const CRASHES: [&str; 5] =
    ["panicked at", "Guru Meditation Error", "abort() was called", "assert failed:", "stack overflow"];

/// Reads the console.
#[derive(Default)]
pub(super) struct BootLog {
    line: Vec<u8>,
    told: Vec<(Instant, DeviceEvent)>,
    /// The rig started the device, whose ROM has not said so yet.
    expected: bool,
    /// The firmware gave up, and has not started anew.
    crashed: bool,
    /// The address on the network that it has told last, until somebody takes it.
    pub(super) address: Option<Ipv4Addr>,
}

impl BootLog {
    /// The rig itself has started the device: what its ROM says of it is nothing new.
    pub(super) fn expect_start(&mut self) {
        self.expected = true;
        self.crashed = false;
        self.line.clear();
    }

    /// `bytes` have come, the last of them at `at`.
    pub(super) fn take(&mut self, bytes: &[u8], at: Instant) {
        for &byte in bytes {
            if byte == b'\n' {
                let line = std::mem::take(&mut self.line);
                self.read(&String::from_utf8_lossy(&line), at);
            } else if self.line.len() < MAX_LINE {
                self.line.push(byte);
            }
        }
    }

    /// What it has told since.
    pub(super) fn told(&mut self) -> Vec<(Instant, DeviceEvent)> {
        std::mem::take(&mut self.told)
    }

    fn read(&mut self, line: &str, at: Instant) {
        let line = line.trim_end();
        self.address = told_in(line).or(self.address);
        if let Some(cause) = cause_of(line) {
            let crashed = std::mem::take(&mut self.crashed);
            if std::mem::take(&mut self.expected) {
                return;
            }
            let cause = if crashed && cause == ResetCause::Software { ResetCause::Panic } else { cause };
            self.told.push((at, DeviceEvent::Started(cause)));
        } else if !self.crashed
            && (line.starts_with(PANIC) || CRASHES.iter().any(|crash| line.contains(crash)))
        {
            self.crashed = true;
            self.told.push((at, DeviceEvent::Crashed(line.into())));
        }
    }
}

/// Why the chip starts, if the line is its ROM's.
fn cause_of(line: &str) -> Option<ResetCause> {
    let (_, rest) = line.split_once("rst:0x")?;
    let name = rest.split_once('(')?.1.split_once(')')?.0;
    Some(match name {
        "POWERON" | "POWERON_RESET" => ResetCause::PowerOn,
        name if name.contains("WDT") => ResetCause::Watchdog,
        name if name.contains("SW_") || name.ends_with("_SW") => ResetCause::Software,
        // The pin has no number of its own: EN starts the chip as its supply does.
        _ => ResetCause::Pin,
    })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn told(text: &str) -> Vec<DeviceEvent> {
        let mut log = BootLog::default();
        for byte in text.bytes() {
            log.take(&[byte], Instant::ZERO);
        }
        log.told().into_iter().map(|(_, event)| event).collect()
    }

    #[rstest]
    #[case("rst:0x1 (POWERON),boot:0x8 (SPI_FAST_FLASH_BOOT)\r\n", ResetCause::PowerOn)]
    #[case("rst:0xc (RTC_SW_CPU_RST),boot:0x8\n", ResetCause::Software)]
    #[case("rst:0x8 (TG1WDT_SYS_RST),boot:0x8\n", ResetCause::Watchdog)]
    #[case("rst:0x15 (USB_UART_CHIP_RESET),boot:0x8\n", ResetCause::Pin)]
    fn a_start_has_a_cause(#[case] line: &str, #[case] cause: ResetCause) {
        assert_eq!(told(line), [DeviceEvent::Started(cause)]);
        assert_eq!(told(line.trim_end()), [], "the line is not whole");
        let mut log = BootLog::default();
        log.expect_start();
        log.take(line.as_bytes(), Instant::ZERO);
        assert_eq!(log.told(), [], "the rig did it");
        log.take(line.as_bytes(), Instant::ZERO);
        assert_eq!(log.told().len(), 1, "and not this one");
    }

    #[test]
    fn a_crash_is_told_once_and_explains_the_start_after_it() {
        let text = "I (12) boot\nthread 'main' panicked at src/main.rs:1:2:\nassert failed: x\n\
                    rst:0xc (RTC_SW_CPU_RST),boot:0x8\npanicked at b.rs\n";
        let expected = [
            DeviceEvent::Crashed("thread 'main' panicked at src/main.rs:1:2:".into()),
            DeviceEvent::Started(ResetCause::Panic),
            DeviceEvent::Crashed("panicked at b.rs".into()),
        ];
        assert_eq!(told(text), expected);
    }

    #[test]
    fn our_own_ports_give_up_in_words_of_their_own() {
        let text = "\r\npanic: index out of bounds\r\nat src/lib.rs:3:5\r\nBacktrace: 0x42001234\r\nRebooting...\r\n\
                    I (1) k1: no panic: all is well\r\n";
        assert_eq!(told(text), [DeviceEvent::Crashed("panic: index out of bounds".into())]);
    }

    #[test]
    fn an_endless_line_takes_no_memory() {
        let mut log = BootLog::default();
        log.take(&vec![b'x'; 1 << 20], Instant::ZERO);
        assert!(log.line.len() <= MAX_LINE && log.told().is_empty());
    }
}
