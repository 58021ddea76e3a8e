//! What an image that counts says: a line for each count, one for each task, and an end.
//!
//! ```text
//! count <name> <items> <instructions>
//! task <name> <instructions> <cycles>
//! end <counts> opt-level=<level>
//! failed <why>
//! ```

use std::fmt::Write as _;

use super::table::Count;
use crate::error::TaskError;

/// All that was said.
#[derive(Debug)]
pub(super) struct Told {
    /// What was counted, in the order in which it was said.
    pub(super) entries: Vec<(String, Vec<Count>)>,
    /// The level of optimisation.
    pub(super) level: String,
    /// Each task's name, instructions, and the cycles that were charged for them.
    tasks: Vec<(String, u64, u64)>,
}

fn garbled(what: impl Into<String>) -> TaskError {
    TaskError::Counts { what: what.into() }
}

impl Told {
    /// Reads all of it.
    ///
    /// # Errors
    /// [`TaskError::Counts`] for anything that is not whole.
    pub(super) fn read(said: &str) -> Result<Self, TaskError> {
        let mut told = Told { entries: Vec::new(), level: String::new(), tasks: Vec::new() };
        let mut counts: usize = 0;
        let mut ended = false;
        for line in said.lines() {
            let line = line.trim_end();
            if let Some(why) = line.strip_prefix("failed ") {
                return Err(garbled(format!("the image failed: {why}")));
            }
            let no_line = || garbled(format!("the image said {line:?}, which is nothing that it may say"));
            if ended {
                return Err(no_line());
            }
            let words: Vec<&str> = line.split(' ').collect();
            match words[..] {
                ["count", name, items, instructions] => {
                    let number = |word: &str| word.parse::<u32>().map_err(|_| no_line());
                    told.take(name, Count { items: number(items)?, instructions: number(instructions)? })?;
                    counts += 1;
                }
                ["task", name, instructions, cycles] => {
                    let number = |word: &str| word.parse().map_err(|_| no_line());
                    told.tasks.push((name.to_owned(), number(instructions)?, number(cycles)?));
                }
                ["end", announced, level] => {
                    let level = level.strip_prefix("opt-level=").ok_or_else(no_line)?;
                    level.clone_into(&mut told.level);
                    if announced.parse() != Ok(counts) {
                        return Err(garbled(format!(
                            "the image told {announced} counts, and {counts} arrived"
                        )));
                    }
                    ended = true;
                }
                _ => return Err(no_line()),
            }
        }
        if !ended || counts == 0 {
            return Err(garbled(format!("the image ended in the middle, after {counts} counts")));
        }
        Ok(told)
    }

    fn take(&mut self, name: &str, count: Count) -> Result<(), TaskError> {
        let is_letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if !name.bytes().all(is_letter) || !name.starts_with(|first: char| first.is_ascii_lowercase()) {
            return Err(garbled(format!("the image names a count {name:?}")));
        }
        if count.instructions == 0 {
            return Err(garbled(format!("the image counted nothing for `{name}`")));
        }
        match self.entries.iter_mut().find(|(known, _)| known == name) {
            // A second count is for more of the same.
            Some((_, counts)) => match counts[..] {
                [few] if few.items < count.items && few.instructions <= count.instructions => {
                    counts.push(count);
                }
                _ => return Err(garbled(format!("the counts of `{name}` do not grow with their items"))),
            },
            None => self.entries.push((name.to_owned(), vec![count])),
        }
        Ok(())
    }

    /// For people: how much of what each task takes the firmware says that it takes.
    pub(super) fn coverage(&self) -> String {
        let mut text = String::from("  task          instructions  charged as");
        for (name, instructions, cycles) in self.tasks.iter().filter(|(.., cycles)| *cycles > 0) {
            let charged = super::table::instructions_of(*cycles);
            // Writing to a text does not fail.
            let _ = write!(text, "\n  {name:<13} {instructions:>12} {charged:>11}");
        }
        text
    }
}
