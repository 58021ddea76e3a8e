//! The table as a source file, and the comparison of two.

use std::fmt;

use super::told::Told;
use crate::error::TaskError;
use crate::port::TARGET;

/// By how much a count may differ from the table before it is a difference. Compilers differ a little.
pub(super) const TOLERANCE_PERCENT: u32 = 10;

/// How many instructions are charged as so many cycles (`cost.rs`: 128 for 100).
pub(super) fn instructions_of(cycles: u64) -> u64 {
    cycles * 100 / 128
}

/// Instructions for so many items.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Count {
    pub(super) items: u32,
    pub(super) instructions: u32,
}

/// A table of counts, and where they come from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Table {
    /// Each constant's name, and one count or two.
    entries: Vec<(String, Vec<Count>)>,
    /// The lines on compiler and emulator.
    source: [String; 2],
}

const BEGIN: &str =
    "//! What the firmware's computing takes, written by `cargo xtask firmware costs`.\n//!\n";
const MIDDLE: &str =
    "//!\n//! Each is a list of counts: so many items, and the instructions for all of them.\n\n";

/// With a mark between each three digits.
fn digits(number: u32) -> String {
    let text = number.to_string();
    let marked = |(index, digit): (usize, char)| {
        let mark = index > 0 && (text.len() - index).is_multiple_of(3);
        mark.then_some('_').into_iter().chain([digit])
    };
    text.chars().enumerate().flat_map(marked).collect()
}

/// The file.
impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(BEGIN)?;
        for line in &self.source {
            writeln!(f, "//! {line}")?;
        }
        f.write_str(MIDDLE)?;
        for (name, counts) in &self.entries {
            let one = |count: &Count| format!("({}, {})", digits(count.items), digits(count.instructions));
            let counts: Vec<String> = counts.iter().map(one).collect();
            writeln!(
                f,
                "pub(super) const {name}: [(u32, u32); {}] = [{}];",
                counts.len(),
                counts.join(", ")
            )?;
        }
        Ok(())
    }
}

impl Table {
    /// What `told` comes to.
    pub(super) fn new(told: &Told, compiler: &str, emulator: &str) -> Self {
        let constant = |name: &str| name.to_uppercase().replace('-', "_");
        let entries = told.entries.iter().map(|(name, counts)| (constant(name), counts.clone())).collect();
        let source = [
            format!("Compiler: {compiler} for {TARGET}, `opt-level = \"{}\"`.", told.level),
            format!("Emulator: {emulator}, `-icount shift=0`."),
        ];
        Table { entries, source }
    }

    /// Reads the file.
    ///
    /// # Errors
    /// [`TaskError::Counts`] if it is not as it would be written.
    pub(super) fn read(text: &str) -> Result<Self, TaskError> {
        let strange = || TaskError::Counts {
            what:
                "the table is not as this command writes it; get it back from version control, or delete it"
                    .to_owned(),
        };
        let mut lines = text.strip_prefix(BEGIN).ok_or_else(strange)?.lines();
        let mut source = || lines.next()?.strip_prefix("//! ").map(str::to_owned);
        let source = source().zip(source()).ok_or_else(strange)?;
        let mut entries = Vec::new();
        for line in lines.filter(|line| line.starts_with("pub(super) const ")) {
            entries.push(entry(line).ok_or_else(strange)?);
        }
        let table = Table { entries, source: source.into() };
        if table.to_string() == text { Ok(table) } else { Err(strange()) }
    }

    /// Looks that nothing is missing that the firmware charges by.
    ///
    /// # Errors
    /// [`TaskError::Counts`] names what is missing.
    pub(super) fn has_all_of(&self, present: &Table) -> Result<(), TaskError> {
        let missing = present.entries.iter().find(|(name, _)| self.counts(name).is_none());
        match missing {
            None => Ok(()),
            Some((name, _)) => Err(TaskError::Counts {
                what: format!(
                    "the image did not count what the table calls {name}; count it there, or remove its line \
                     from the table"
                ),
            }),
        }
    }

    fn counts(&self, name: &str) -> Option<&[Count]> {
        self.entries.iter().find(|(known, _)| known == name).map(|(_, counts)| counts.as_slice())
    }

    /// What of `counted` is not as it stands here, a line for each.
    pub(super) fn differences(&self, counted: &Table) -> Vec<String> {
        let mut lines = Vec::new();
        for (name, counts) in &counted.entries {
            match self.counts(name) {
                Some(known) if known.len() == counts.len() => {
                    let pairs = known.iter().zip(counts).filter(|(known, count)| differ(**known, **count));
                    lines.extend(pairs.map(|(known, count)| {
                        format!("  {name:<14} {:<24} is now {count}", known.to_string())
                    }));
                }
                Some(known) => {
                    lines.push(format!("  {name:<14} {} counts, are now {}", known.len(), counts.len()));
                }
                None => lines.push(format!("  {name:<14} is new")),
            }
        }
        lines
    }
}

/// For people.
impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} for {}", digits(self.instructions), digits(self.items))
    }
}

fn differ(known: Count, count: Count) -> bool {
    let beyond = |known: u32, count: u32| {
        u64::from(known.abs_diff(count)) * 100 > u64::from(known) * u64::from(TOLERANCE_PERCENT)
    };
    beyond(known.items, count.items) || beyond(known.instructions, count.instructions)
}

/// One line of the file.
fn entry(line: &str) -> Option<(String, Vec<Count>)> {
    let (name, rest) = line.strip_prefix("pub(super) const ")?.split_once(": ")?;
    let counts = rest.split_once("= [(")?.1.strip_suffix(")];")?;
    let number = |text: &str| text.replace('_', "").parse::<u32>().ok();
    let count = |text: &str| {
        let (items, instructions) = text.split_once(", ")?;
        Some(Count { items: number(items)?, instructions: number(instructions)? })
    };
    Some((name.to_owned(), counts.split("), (").map(count).collect::<Option<Vec<_>>>()?))
}
