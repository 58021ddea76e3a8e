//! Questions: to a person at a terminal, or to nobody.

use std::io::{self, BufRead, Read, Write};

use super::plugged::{Found, PortAnswer, PortChoice};
use crate::error::CommandError;

/// Longer lines are nobody's answer.
const MAX_ANSWER: u64 = 1024;

/// Who can be asked.
pub(super) trait Ask {
    /// One of a few words. `flag` says the same.
    fn one_of(&mut self, flag: &'static str, question: &str, words: &[&str]) -> Result<String, CommandError>;
    /// One of the ports that are plugged in, another one, or none.
    fn port(
        &mut self,
        flag: &'static str,
        question: &str,
        found: &[Found],
    ) -> Result<Option<PortChoice>, CommandError>;
    /// Any text; `otherwise` if nothing is said.
    fn text(&mut self, question: &str, otherwise: &str) -> Result<String, CommandError>;
    /// Nothing more is asked.
    fn all_is_said(&mut self) -> Result<(), CommandError>;
}

/// Who writes lines.
pub(super) struct Asker<R, W> {
    answers: R,
    screen: W,
}

impl<R: BufRead, W: Write> Asker<R, W> {
    pub(super) fn new(answers: R, screen: W) -> Self {
        Asker { answers, screen }
    }

    fn say(&mut self, text: &str) {
        // Who went away answers nothing either.
        let _ = self.screen.write_all(text.as_bytes()).and_then(|()| self.screen.flush());
    }

    fn line(&mut self) -> Result<String, CommandError> {
        let mut line = Vec::new();
        let read = (&mut self.answers).take(MAX_ANSWER).read_until(b'\n', &mut line);
        let ended = |source: io::Error| {
            CommandError::Refused(format!("no answer can be read: {source}; nothing is written"))
        };
        if read.map_err(ended)? == 0 {
            return Err(CommandError::Refused("the answers have ended; nothing is written".to_owned()));
        }
        Ok(String::from_utf8_lossy(&line).trim().to_owned())
    }
}

impl<R: BufRead, W: Write> Ask for Asker<R, W> {
    fn one_of(
        &mut self,
        _flag: &'static str,
        question: &str,
        words: &[&str],
    ) -> Result<String, CommandError> {
        loop {
            self.say(&format!("{question} ({}) ", words.join(", ")));
            let answer = self.line()?;
            if words.contains(&answer.as_str()) {
                return Ok(answer);
            }
        }
    }

    fn port(
        &mut self,
        _flag: &'static str,
        question: &str,
        found: &[Found],
    ) -> Result<Option<PortChoice>, CommandError> {
        let mut list = format!("{question}\n");
        for (number, device) in found.iter().enumerate() {
            list.push_str(&format!("  {}  {}\n", number + 1, device.shown));
        }
        if found.is_empty() {
            list.push_str("  nothing is plugged in that looks like it\n");
        }
        self.say(&list);
        let otherwise = if found.is_empty() { "none" } else { "1" };
        loop {
            let answer =
                self.text("A number of the list, a path, a USB serial number, or none", otherwise)?;
            match answer.parse::<usize>() {
                // A serial number can be all digits; the numbers of the list are short.
                Ok(number) if answer.len() <= 2 => {
                    match number.checked_sub(1).and_then(|index| found.get(index)) {
                        Some(device) => return Ok(Some(device.choice.clone())),
                        None => self.say("There is no such number.\n"),
                    }
                }
                _ => match answer.parse() {
                    Ok(PortAnswer(choice)) => return Ok(choice),
                    Err(error) => self.say(&format!("{error}.\n")),
                },
            }
        }
    }

    fn text(&mut self, question: &str, otherwise: &str) -> Result<String, CommandError> {
        self.say(&format!("{question} [{otherwise}] "));
        let answer = self.line()?;
        Ok(if answer.is_empty() { otherwise.to_owned() } else { answer })
    }

    fn all_is_said(&mut self) -> Result<(), CommandError> {
        Ok(())
    }
}

/// Where there is no terminal. What has a default has it; the rest is named in one go.
#[derive(Default)]
pub(super) struct Nobody {
    flags: Vec<&'static str>,
}

impl Ask for Nobody {
    fn one_of(
        &mut self,
        flag: &'static str,
        _question: &str,
        _words: &[&str],
    ) -> Result<String, CommandError> {
        self.flags.push(flag);
        Ok(String::new())
    }

    fn port(
        &mut self,
        flag: &'static str,
        _question: &str,
        _found: &[Found],
    ) -> Result<Option<PortChoice>, CommandError> {
        self.flags.push(flag);
        Ok(None)
    }

    fn text(&mut self, _question: &str, otherwise: &str) -> Result<String, CommandError> {
        Ok(otherwise.to_owned())
    }

    fn all_is_said(&mut self) -> Result<(), CommandError> {
        if self.flags.is_empty() {
            return Ok(());
        }
        Err(CommandError::Refused(format!(
            "there is no terminal to ask at; say it with {} (`rigor rig new --help` explains them, and `rigor devices` \
             lists ports)",
            self.flags.join(", ")
        )))
    }
}
