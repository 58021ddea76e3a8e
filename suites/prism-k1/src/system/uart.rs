//! The UART test commands: every answer is held against what the command did.
//!
//! A command that should work has an effect on the strip or in the flash chip; one that should not
//! has none. `OK` without the effect and `ERR` with it are both untrue.

use std::collections::BTreeMap;
use std::time::Duration;

use rigor_core::distribution::Distribution;
use rigor_core::unit::Unit;
use rigor_core::verdict::{Blame, ProductError};
use rigor_runner::need::{Clock, Console, Device, Leds, Picture};
use rigor_runner::{Findings, Outcome, Suite};

use crate::kit::{self, Storage};
use crate::p11;
use crate::tlv::crc32;

pub(super) fn add_to(suite: &mut Suite) {
    suite.case("uart_commands", &["K1-SYS-009", "K1-SYS-013"], uart_commands);
}

/// An answer comes within this long, an upload's end apart (our bound).
const ANSWER_LIMIT: Duration = Duration::from_secs(2);
/// A command changes the strip within this long (our bound).
const EFFECT_LIMIT: Duration = Duration::from_secs(1);
/// How long nothing may change.
const QUIET: Duration = Duration::from_millis(50);
/// A colour with three different channels, none of them full, so that brightness and gamma show.
const COLOUR: [u8; 3] = [200, 128, 40];
/// In the name of every upload that is refused.
const REFUSED: &str = "uart-refused";
/// Longest command line (specification, section 9.1).
const LINE_LIMIT: usize = 2048;

/// The serial line, and the views of what the device at its other end does.
struct Terminal {
    console: Console,
    leds: Leds,
    storage: Storage,
    clock: Clock,
    /// One sample a working command: 1 where it was not answered with `OK`.
    unanswered: Vec<f64>,
    /// One sample a refused command: 1 where it was not answered with `ERR` and a word.
    unrefused: Vec<f64>,
    /// The commands that were answered with an untruth, and how.
    untrue: Vec<String>,
    /// The files that no refused command may touch.
    files: BTreeMap<String, Vec<u8>>,
    /// The partition when these files were last found to be untouched.
    image: Vec<u8>,
}

impl Terminal {
    /// Types a command; its answer, empty if there is none.
    async fn ask(&mut self, command: &str, limit: Duration) -> Result<String, Blame> {
        self.console.write(command)?;
        self.console.write("\n")?;
        // 87 µs a byte: the line has to get there first.
        let typing = Duration::from_micros(87) * command.len() as u32;
        let deadline = self.clock.now() + typing + limit;
        while let Some(line) = self.console.next_line(deadline).await {
            if line.text == "OK" || line.text == "ERR" || line.text.starts_with("ERR ") {
                return Ok(line.text);
            }
        }
        Ok(String::new())
    }

    /// A command that works; whether it was answered with `OK`.
    async fn works(&mut self, command: &str, limit: Duration) -> Result<(), Blame> {
        let answer = self.ask(command, limit).await?;
        self.unanswered.push(f64::from(u8::from(answer != "OK")));
        if answer != "OK" {
            self.untrue.push(format!("{} was answered with {answer:?}", shortened(command)));
        }
        Ok(())
    }

    /// What has to follow from the last command that [works](Self::works).
    fn effect(&mut self, of: &str, seen: bool) {
        if !seen {
            self.unrefused.push(1.0);
            self.untrue.push(format!("{of} had no effect"));
        }
    }

    /// Whether the strip shows one colour everywhere, each channel within one step of this.
    async fn strip_turns(&self, colour: [u8; 3]) -> Result<bool, Blame> {
        let wanted = format!("{colour:?}");
        match self.leds.expect(&wanted, EFFECT_LIMIT, |picture| is_all(picture, colour)).await {
            Ok(_) => Ok(true),
            Err(Blame::Product(_)) => Ok(false),
            Err(other) => Err(other),
        }
    }

    /// Whether every file is as it was and none is there whose upload was refused. What an upload
    /// under way keeps for itself does not count.
    async fn files_are_untouched(&mut self) -> Result<bool, Blame> {
        let image = self.storage.image().await?;
        if image == self.image {
            return Ok(true);
        }
        let now = kit::files_of(&kit::mount(&image)?)?;
        self.image = image;
        let kept = self.files.iter().all(|(path, bytes)| now.get(path) == Some(bytes));
        Ok(kept && !now.keys().any(|path| path.contains(REFUSED)))
    }

    /// What the strip shows, if it shows one picture only.
    async fn still_picture(&self) -> Result<Option<Vec<u8>>, Blame> {
        let mut pictures =
            self.leds.record(QUIET).await?.pictures().into_iter().map(|picture| picture.rgb_bytes());
        let first = pictures.next();
        Ok(first.filter(|first| pictures.all(|next| next == *first)))
    }

    /// The same, if that can be seen without an interruption: what plays must be there at the next command.
    async fn keeps_files(&mut self) -> Result<bool, Blame> {
        Ok(!self.storage.is_read_beside_firmware()? || self.files_are_untouched().await?)
    }

    /// A command that is refused and changes neither strip nor flash.
    async fn refused(&mut self, command: &str) -> Result<(), Blame> {
        let before = self.still_picture().await?;
        let answer = self.ask(command, ANSWER_LIMIT).await?;
        let refused = answer.strip_prefix("ERR ").is_some_and(|word| !word.trim().is_empty());
        self.unrefused.push(f64::from(u8::from(!refused)));
        if !refused {
            self.untrue.push(format!("{} was answered with {answer:?}", shortened(command)));
        }
        let after = self.still_picture().await?;
        let effect = before.is_none() || after != before || !self.keeps_files().await?;
        if effect && answer != "OK" {
            self.unanswered.push(1.0);
            self.untrue.push(format!("{} took effect and was answered with {answer:?}", shortened(command)));
        }
        Ok(())
    }
}

/// For messages.
fn shortened(command: &str) -> String {
    let head: String = command.chars().take(40).collect();
    if head.len() < command.len() {
        format!("`{head}...` ({} bytes)", command.len())
    } else {
        format!("`{head}`")
    }
}

/// Every pixel is this colour, each channel within one step.
fn is_all(picture: &Picture, colour: [u8; 3]) -> bool {
    let pixels = picture.rgb_bytes();
    !pixels.is_empty()
        && pixels.chunks(3).all(|pixel| pixel.iter().zip(colour).all(|(is, wanted)| is.abs_diff(wanted) <= 1))
}

/// RFC 4648, section 4.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let bits =
            group.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
        for digit in 0..4 {
            let value = bits >> (18 - 6 * digit) & 0x3F;
            text.push(if digit <= group.len() { char::from(DIGITS[value as usize]) } else { '=' });
        }
    }
    text
}

/// What `COLOUR` becomes at this brightness (0 to 255).
fn dimmed(brightness: u8) -> [u8; 3] {
    COLOUR.map(|channel| (f64::from(channel) * f64::from(brightness) / 255.0).round() as u8)
}

/// What `COLOUR` becomes with this gamma (specification, section 7).
fn corrected(gamma: f64) -> [u8; 3] {
    COLOUR.map(|channel| (255.0 * (f64::from(channel) / 255.0).powf(gamma) + 0.5).floor() as u8)
}

async fn uart_commands(
    mut console: Console,
    leds: Leds,
    storage: Storage,
    clock: Clock,
    device: Device,
) -> Outcome {
    kit::settled(&mut console).await?;
    let begun = clock.now();
    let mut terminal = Terminal {
        console,
        leds,
        storage,
        clock,
        unanswered: Vec::new(),
        unrefused: Vec::new(),
        untrue: Vec::new(),
        files: BTreeMap::new(),
        image: Vec::new(),
    };
    terminal.works("STATUS", ANSWER_LIMIT).await?;
    // Without a pattern to play nothing else can be told.
    if upload(&mut terminal, "uart-colour", &p11::solid(COLOUR)).await? {
        terminal.files = terminal.storage.files().await?;
        commands_that_work(&mut terminal).await?;
        malformed_commands(&mut terminal).await?;
        uploads_that_fail(&mut terminal).await?;
        if !terminal.files_are_untouched().await? {
            terminal.unanswered.push(1.0);
            terminal.untrue.push("a refused command or upload changed the storage".to_owned());
        }
    }
    if device.starts_since(begun) > 0 {
        return Err(ProductError("the device restarted".to_owned()).into());
    }
    let seen =
        terminal.untrue.first().map(|first| format!("{first}; such answers: {}", terminal.untrue.len()));
    let mut findings = Findings::new();
    for (id, samples) in [("K1-SYS-009", terminal.unanswered), ("K1-SYS-013", terminal.unrefused)] {
        match &seen {
            Some(seen) if samples.iter().any(|sample| *sample > 0.0) => findings.observed(id, false, seen),
            _ => findings.measured(id, Distribution::new(Unit::Count, samples)?),
        };
    }
    Ok(findings)
}

/// Types a whole upload in two lines of data; whether it is stored.
async fn upload(terminal: &mut Terminal, name: &str, file: &[u8]) -> Result<bool, Blame> {
    terminal.works(&format!("BEGIN {name} {} {:08x}", file.len(), crc32(file)), ANSWER_LIMIT).await?;
    let chunk = file.len().div_ceil(2);
    for (index, bytes) in file.chunks(chunk).enumerate() {
        terminal.works(&format!("DATA {} {}", index * chunk, base64(bytes)), ANSWER_LIMIT).await?;
    }
    terminal.works("END", kit::COMMIT_LIMIT).await?;
    let stored = terminal.storage.files().await?.values().any(|stored| stored == file);
    terminal.effect("the upload", stored);
    Ok(stored)
}

/// Each command once, with what it does to strip and flash. Leaves [`COLOUR`] on the strip.
async fn commands_that_work(terminal: &mut Terminal) -> Result<(), Blame> {
    let steps = [
        ("PLAY uart-colour", COLOUR),
        ("B 128 0", dimmed(128)),
        ("B 255 0", COLOUR),
        ("G 220 0", corrected(2.2)),
        ("G 100 0", COLOUR),
        ("STOP", [0; 3]),
        ("PLAY uart-colour", COLOUR),
    ];
    for (command, colour) in steps {
        terminal.works(command, ANSWER_LIMIT).await?;
        let seen = terminal.strip_turns(colour).await?;
        terminal.effect(command, seen);
    }
    Ok(())
}

/// Unknown, malformed, or about something that is not there.
async fn malformed_commands(terminal: &mut Terminal) -> Result<(), Blame> {
    for command in [
        "REBOOT",
        "status",
        "PLAY",
        "PLAY no-such-pattern",
        "B",
        "B 128",
        "B 256 0",
        "B -1 0",
        "G",
        "G 2.2 0",
        "BEGIN uart-refused",
        "BEGIN uart-refused 0 0",
        "BEGIN uart-refused 262145 0",
        "BEGIN uart-refused ten 0",
        "BEGIN uart-refused 10 xyz",
        "DATA 0 AAAA",
        "END",
    ] {
        terminal.refused(command).await?;
    }
    Ok(())
}

/// Uploads in which one line is wrong. An END that lacks something ends each, none is stored, and
/// the next upload works.
async fn uploads_that_fail(terminal: &mut Terminal) -> Result<(), Blame> {
    let file = p11::solid([1, 2, 3]);
    let (size, crc) = (file.len(), crc32(&file));
    let whole = base64(&file);
    let too_long = "A".repeat(LINE_LIMIT + 400);
    let beyond = size - 3;
    let wrong_crc = crc ^ 1;
    let end = || "END".to_owned();
    let attempts: [(u32, &[String], &[String]); 5] = [
        (crc, &[], &["DATA 0 ????".to_owned(), end()]),
        (crc, &[], &[format!("DATA 0 {too_long}"), end()]),
        (crc, &[], &[format!("DATA {beyond} {whole}"), end()]),
        (crc, &[format!("DATA 0 {}", base64(&file[..48]))], &[end()]),
        (wrong_crc, &[format!("DATA 0 {whole}")], &[end()]),
    ];
    for (crc, working, wrong) in attempts {
        terminal.works(&format!("BEGIN {REFUSED} {size} {crc:08x}"), ANSWER_LIMIT).await?;
        for command in working {
            terminal.works(command, ANSWER_LIMIT).await?;
        }
        for command in wrong {
            terminal.refused(command).await?;
        }
    }
    upload(terminal, "uart-good", &file).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    /// RFC 4648, section 10.
    #[rstest]
    #[case("", "")]
    #[case("f", "Zg==")]
    #[case("fo", "Zm8=")]
    #[case("foo", "Zm9v")]
    #[case("foobar", "Zm9vYmFy")]
    fn base64_equals_the_rfc_s_vectors(#[case] bytes: &str, #[case] text: &str) {
        assert_eq!(base64(bytes.as_bytes()), text);
    }

    /// Steps that a test of a brightness or a gamma that does nothing would miss.
    #[test]
    fn brightness_and_gamma_change_the_colour_visibly() {
        for other in [dimmed(128), corrected(2.2)] {
            assert!(other.iter().zip(COLOUR).all(|(a, b)| a.abs_diff(b) > 10), "{other:?}");
        }
    }
}
