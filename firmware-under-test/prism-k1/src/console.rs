//! Test commands on the UART (specification section 9.1).
//!
//! Lines end with LF, CR is ignored; each is answered with `OK` or `ERR <word>`. Answers say what
//! really happened. They go through the log's ring, so log lines and answers never mix.

use alloc::boxed::Box;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use embassy_time::{Duration, Instant, Timer, with_deadline, with_timeout};
use embedded_io_async::Read;
use firmware_platform::Cpu;

use crate::cost;
use crate::defect::{self, Defect};
use crate::protocol::check_file_size;
use crate::protocol::session::Services;
use crate::protocol::upload::Upload;
use crate::storage::PatternName;

/// Bytes of a line at most, its end not counted (specification section 9.1).
pub const LINE_MAX: usize = 2048;
/// An upload whose next line does not come in time is given up: nobody else could upload.
pub const UPLOAD_IDLE: Duration = Duration::from_secs(5);
/// How long a command may take: longer than the flash takes for the longest pattern at its slowest.
const COMMAND_DEADLINE: Duration = Duration::from_secs(90);
/// Pause after the UART reported an error.
const RETRY: Duration = Duration::from_millis(10);

/// A command.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Command<'a> {
    /// `STATUS`: whether the device is well.
    Status,
    /// `PLAY <name>`.
    Play(&'a str),
    /// `STOP`.
    Stop,
    /// `B <0-255> <ms>`: brightness.
    Brightness(u8, u16),
    /// `G <gamma_x100> <ms>`.
    Gamma(u16, u16),
    /// `BEGIN <name> <size dec> <crc hex>`.
    Begin(&'a str, u32, u32),
    /// `DATA <offset dec> <base64>`.
    Data(u32, &'a str),
    /// `END`.
    End,
}

/// Reads a line.
///
/// # Errors
///
/// The word that follows `ERR `.
pub fn parse(line: &[u8]) -> Result<Command<'_>, &'static str> {
    let line = core::str::from_utf8(line).map_err(|_| "unknown")?;
    let mut words = line.split_ascii_whitespace();
    let verb = words.next().unwrap_or_default();
    let (first, second, third) = (words.next(), words.next(), words.next());
    let args = (first, second, third, words.next());
    match verb {
        "STATUS" => Ok(Command::Status),
        "STOP" => Ok(Command::Stop),
        "END" => Ok(Command::End),
        "PLAY" => match args {
            (Some(name), None, ..) => Ok(Command::Play(name)),
            _ => Err("play"),
        },
        "B" => match args {
            (Some(target), Some(ms), None, _) => match (target.parse(), ms.parse::<u32>()) {
                (Ok(target), Ok(ms)) => Ok(Command::Brightness(target, ramp(ms))),
                _ => Err("b args"),
            },
            _ => Err("b args"),
        },
        "G" => match args {
            (Some(gamma), Some(ms), None, _) => match (gamma.parse(), ms.parse::<u32>()) {
                (Ok(gamma), Ok(ms)) => Ok(Command::Gamma(gamma, ramp(ms))),
                _ => Err("g args"),
            },
            _ => Err("g args"),
        },
        "BEGIN" => match args {
            (Some(name), Some(size), Some(crc), None) => {
                let crc = crc.strip_prefix("0x").unwrap_or(crc);
                match (size.parse(), u32::from_str_radix(crc, 16)) {
                    (Ok(size), Ok(crc)) => Ok(Command::Begin(name, size, crc)),
                    _ => Err("begin args"),
                }
            }
            _ => Err("begin args"),
        },
        "DATA" => match args {
            (Some(offset), Some(text), None, _) => match offset.parse() {
                Ok(offset) => Ok(Command::Data(offset, text)),
                Err(_) => Err("data off"),
            },
            _ => Err("data args"),
        },
        _ => Err("unknown"),
    }
}

/// What does not even fit the type is longer than any limit, which playback applies.
fn ramp(ms: u32) -> u16 {
    u16::try_from(ms).unwrap_or(u16::MAX)
}

/// What a received byte completes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Completed {
    /// Nothing yet, or an empty line.
    Nothing,
    /// A line of this many bytes.
    Line(usize),
    /// A line that was too long.
    TooLong,
}

/// Puts lines together.
struct Lines {
    buffer: Box<[u8]>,
    len: usize,
    /// The line under way is too long: everything up to its end is thrown away.
    overflow: bool,
}

impl Lines {
    fn new() -> Self {
        Self { buffer: alloc::vec![0; LINE_MAX].into_boxed_slice(), len: 0, overflow: false }
    }

    fn push(&mut self, byte: u8) -> Completed {
        match byte {
            b'\n' => {
                let len = core::mem::take(&mut self.len);
                match (core::mem::take(&mut self.overflow), len) {
                    (true, _) => Completed::TooLong,
                    (false, 0) => Completed::Nothing,
                    (false, len) => Completed::Line(len),
                }
            }
            b'\r' => Completed::Nothing,
            _ => {
                match self.buffer.get_mut(self.len) {
                    Some(place) => {
                        *place = byte;
                        self.len += 1;
                    }
                    None => self.overflow = true,
                }
                Completed::Nothing
            }
        }
    }
}

/// The console task's body: serves the UART for ever.
pub async fn task<R: Read, C: Cpu>(mut uart: R, services: Services<C>) {
    let log = services.log.clone();
    log.info("uart_test", format_args!("UART test mode ready at 115200 bps"));
    log.raw_waiting(format_args!("PRISM UART test mode ready")).await;
    let mut lines = Lines::new();
    let mut upload = Upload::new(services.storage.clone(), log.clone());
    let mut chunk = [0; 64];
    let mut last_line = Instant::now();
    loop {
        let received = if upload.is_open() {
            match with_deadline(last_line + UPLOAD_IDLE, uart.read(&mut chunk)).await {
                Ok(received) => received,
                Err(_) => {
                    log.warning("uart_test", format_args!("No data for {} ms", UPLOAD_IDLE.as_millis()));
                    upload.abort();
                    continue;
                }
            }
        } else {
            uart.read(&mut chunk).await
        };
        let count = match received {
            Ok(count) if count > 0 => count.min(chunk.len()),
            _ => {
                Timer::after(RETRY).await;
                continue;
            }
        };
        for byte in &chunk[..count] {
            let answer = match lines.push(*byte) {
                Completed::Nothing => continue,
                Completed::TooLong => Err("line"),
                Completed::Line(len) => match parse(&lines.buffer[..len]) {
                    Ok(command) => {
                        let done =
                            with_timeout(COMMAND_DEADLINE, execute(command, &services, &mut upload)).await;
                        done.unwrap_or(Err("timeout"))
                    }
                    Err(word) => Err(word),
                },
            };
            services.cpu.work(cost::CONSOLE_LINE);
            let answer = match answer {
                Err(_) if defect::present(Defect::UartAlwaysOk) => Ok(()),
                Ok(()) if defect::present(Defect::UartAlwaysErr) => Err("unknown"),
                answer => answer,
            };
            match answer {
                Ok(()) => log.raw_waiting(format_args!("OK")).await,
                Err(word) => log.raw_waiting(format_args!("ERR {word}")).await,
            }
            last_line = Instant::now();
        }
    }
}

/// Does what a line asks for; the error is the word that follows `ERR `.
async fn execute<C: Cpu>(
    command: Command<'_>,
    services: &Services<C>,
    upload: &mut Upload,
) -> Result<(), &'static str> {
    let playback = &services.playback;
    match command {
        Command::Status => services.storage.free_bytes().await.map(drop).map_err(|_| "status"),
        Command::Play(name) => {
            playback.play(&PatternName::normalised(name.as_bytes())).await.map_err(|_| "play")
        }
        Command::Stop => {
            playback.stop();
            Ok(())
        }
        Command::Brightness(target, ms) => {
            playback.brightness(target, ms);
            Ok(())
        }
        Command::Gamma(x100, ms) => {
            playback.gamma(x100, ms);
            Ok(())
        }
        Command::Begin(name, size, crc) => {
            check_file_size(size).map_err(|_| "begin")?;
            upload
                .begin(&PatternName::normalised(name.as_bytes()), size, Some(crc))
                .await
                .map_err(|_| "begin")
        }
        Command::Data(offset, text) => {
            services.cpu.work(cost::times(cost::BASE64_PER_BYTE, text.len()));
            let mut block = services.pools.alloc(base64::decoded_len_estimate(text.len())).ok_or("mem")?;
            let len = STANDARD.decode_slice(text, &mut block).map_err(|_| "b64")?;
            block.truncate(len);
            upload.data(offset, block, 0).await.map_err(|_| "data")
        }
        Command::End => upload.end(None).await.map(drop).map_err(|_| "end"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_read() {
        for (line, command) in [
            ("STATUS", Command::Status),
            ("PLAY flow-fall", Command::Play("flow-fall")),
            ("STOP", Command::Stop),
            ("B 128 500", Command::Brightness(128, 500)),
            ("B 0 70000", Command::Brightness(0, 65_535)),
            ("G 220 0", Command::Gamma(220, 0)),
            ("BEGIN multi 256 29058C73", Command::Begin("multi", 256, 0x2905_8C73)),
            ("BEGIN multi 256 0x29058c73", Command::Begin("multi", 256, 0x2905_8C73)),
            ("DATA 1024 AAEC", Command::Data(1024, "AAEC")),
            ("  END ", Command::End),
        ] {
            assert_eq!(parse(line.as_bytes()), Ok(command), "{line}");
        }
    }

    #[test]
    fn errors_have_the_specifications_words() {
        for (line, word) in [
            ("", "unknown"),
            ("status", "unknown"),
            ("REBOOT", "unknown"),
            ("PLAY", "play"),
            ("PLAY a b", "play"),
            ("B", "b args"),
            ("B 256 0", "b args"),
            ("B -1 0", "b args"),
            ("B 1 2 3", "b args"),
            ("G 65536 0", "g args"),
            ("G 1.0 0", "g args"),
            ("G 220", "g args"),
            ("BEGIN a 1", "begin args"),
            ("BEGIN a x 0", "begin args"),
            ("BEGIN a 1 z", "begin args"),
            ("BEGIN a 1 0 0", "begin args"),
            ("DATA", "data args"),
            ("DATA 1", "data args"),
            ("DATA x AA==", "data off"),
            ("DATA 4294967296 AA==", "data off"),
        ] {
            assert_eq!(parse(line.as_bytes()), Err(word), "{line}");
        }
        assert_eq!(parse(&[0xFF, 0xFE]), Err("unknown"));
    }

    fn feed(lines: &mut Lines, bytes: &[u8]) -> Completed {
        bytes.iter().map(|byte| lines.push(*byte)).last().unwrap()
    }

    #[test]
    fn an_overlong_line_is_refused_and_the_next_one_is_whole() {
        let mut lines = Lines::new();
        assert_eq!(feed(&mut lines, b"STOP\r\n"), Completed::Line(4));
        assert_eq!(feed(&mut lines, b"\r\n"), Completed::Nothing);
        for _ in 0..LINE_MAX {
            assert_eq!(lines.push(b'x'), Completed::Nothing);
        }
        assert_eq!(lines.push(b'\n'), Completed::Line(LINE_MAX));
        for _ in 0..10 * LINE_MAX {
            assert_eq!(lines.push(b'x'), Completed::Nothing);
        }
        assert_eq!(lines.push(b'\n'), Completed::TooLong);
        assert_eq!(feed(&mut lines, b"END\n"), Completed::Line(3));
    }
}
