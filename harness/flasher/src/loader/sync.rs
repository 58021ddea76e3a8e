//! Whether a loader is there: the first word of its protocol, and what else is heard.
//!
//! The protocol is esptool's "Serial Protocol": frames of SLIP (RFC 1055), each with a direction, a command, a length
//! and a checksum.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use serialport::SerialPort;

const END: u8 = 0xC0;
const SYNC: u8 = 0x08;
/// Requests per second, as esptool sends them.
const PAUSE: Duration = Duration::from_millis(100);
/// Bytes that are kept of what is heard.
const KEPT: usize = 2048;
/// Characters of it that are told.
const TOLD: usize = 100;

/// A request to synchronise, as a frame: four bytes and 32 times 0x55, by which the ROM finds the rate.
fn request() -> Vec<u8> {
    let mut frame = vec![END, 0x00, SYNC, 36, 0, 0, 0, 0, 0, 0x07, 0x07, 0x12, 0x20];
    frame.extend([0x55; 32]);
    frame.push(END);
    frame
}

/// Asks for a loader until one answers or `patience` is over.
///
/// # Errors
/// What was heard instead, in words.
pub(super) fn synchronise(port: &mut dyn SerialPort, patience: Duration) -> Result<(), Silence> {
    let deadline = Instant::now() + patience;
    let mut heard = Vec::new();
    port.set_timeout(PAUSE).map_err(gone)?;
    while Instant::now() < deadline {
        write(port, &request())?;
        let next = (Instant::now() + PAUSE).min(deadline);
        while Instant::now() < next {
            let mut bytes = [0; 256];
            match port.read(&mut bytes) {
                Ok(0) => return Err(Silence::Gone("end of the line".to_owned())),
                Ok(count) => heard.extend(&bytes[..count]),
                Err(error) if matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::Interrupted) => {}
                Err(error) => return Err(Silence::Gone(error.to_string())),
            }
            if answers(&heard) {
                return Ok(());
            }
            heard.drain(..heard.len().saturating_sub(KEPT));
        }
    }
    Err(Silence::Heard(told(&heard)))
}

fn write(port: &mut dyn SerialPort, bytes: &[u8]) -> Result<(), Silence> {
    match port.write_all(bytes) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::TimedOut => {
            Err(Silence::Heard("the board takes no bytes".to_owned()))
        }
        Err(error) => Err(Silence::Gone(error.to_string())),
    }
}

fn gone(error: serialport::Error) -> Silence {
    Silence::Gone(error.to_string())
}

/// Why no loader was found.
#[derive(Debug)]
pub(super) enum Silence {
    /// Something else was heard, or nothing.
    Heard(String),
    /// The port is no more.
    Gone(String),
}

/// Whether an answer to the request is in `heard`.
fn answers(heard: &[u8]) -> bool {
    heard.windows(3).any(|window| window == [END, 0x01, SYNC])
}

/// What came instead, for people: the last line that has any letters.
fn told(heard: &[u8]) -> String {
    if heard.is_empty() {
        return "nothing is heard there".to_owned();
    }
    let text = String::from_utf8_lossy(heard);
    let readable = |line: &&str| line.chars().filter(char::is_ascii_alphanumeric).count() * 2 > line.len();
    match text.lines().map(str::trim).filter(|line| line.len() > 3).rfind(readable) {
        Some(line) => format!(
            "a firmware talks there: `{}`",
            line.chars().take(TOLD).flat_map(char::escape_debug).collect::<String>()
        ),
        None => "what is heard there are no frames of the loader's".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_found_within_noise() {
        assert!(answers(b"rst:0x1\r\n\xC0\x01\x08\x04\0\x07\x07\x12\x20"));
        assert!(!answers(&request()), "an echo is no answer");
        assert!(!answers(b"\xC0\x01\x0A"));
    }

    #[test]
    fn what_is_heard_is_told_in_a_line() {
        assert_eq!(told(b""), "nothing is heard there");
        assert_eq!(
            told(b"I (10) boot\r\nI (312) main: ready\x1b[0m\r\n\xff"),
            "a firmware talks there: `I (312) main: ready\\u{1b}[0m`"
        );
        assert_eq!(told(&[0xFF, 0xFE, 0x00, 0x80]), "what is heard there are no frames of the loader's");
    }
}
