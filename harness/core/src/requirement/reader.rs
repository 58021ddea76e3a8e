//! Reads a TOML document field by field and notes everything that is wrong, with its line.
//!
//! Serde would stop at the first error and know no lines after it; a catalogue's author wants all
//! of them.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::file::{CatalogueError, CatalogueErrors, Problem};
use super::{nearest, quote};

/// More problems than this are counted, not listed.
pub(super) const MAX_PROBLEMS: usize = 100;

/// Collects problems and knows where lines begin.
pub(super) struct Notes<'a> {
    file: &'a str,
    /// Offset of the first byte of each line.
    line_starts: Vec<usize>,
    errors: Vec<CatalogueError>,
    unlisted: usize,
}

impl<'a> Notes<'a> {
    pub(super) fn new(text: &str, file: &'a str) -> Self {
        let after_newlines = text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(i, _)| i + 1);
        let line_starts = std::iter::once(0).chain(after_newlines).collect();
        Notes { file, line_starts, errors: Vec::new(), unlisted: 0 }
    }

    /// The line, from 1, that holds the byte at `offset`.
    pub(super) fn line(&self, offset: usize) -> usize {
        self.line_starts.partition_point(|start| *start <= offset)
    }

    /// How many problems there are so far.
    pub(super) fn count(&self) -> usize {
        self.errors.len() + self.unlisted
    }

    /// Notes a problem with what stands at `offset`.
    pub(super) fn add(&mut self, offset: usize, problem: Problem) {
        if self.errors.len() < MAX_PROBLEMS {
            let line = self.line(offset);
            self.errors.push(CatalogueError { file: self.file.to_owned(), line, problem });
        } else {
            self.unlisted += 1;
        }
    }

    /// `value` if nothing was noted. Problems are sorted by line.
    pub(super) fn conclude<T>(mut self, value: Option<T>) -> Result<T, CatalogueErrors> {
        match value {
            Some(value) if self.errors.is_empty() => Ok(value),
            _ => {
                self.errors.sort_by_key(|error| error.line);
                Err(CatalogueErrors { errors: self.errors, unlisted: self.unlisted })
            }
        }
    }
}

/// One table of the document.
pub(super) struct Section<'t, 'i> {
    table: &'t DeTable<'i>,
    /// Where a missing field is missed.
    offset: usize,
}

impl<'t, 'i> Section<'t, 'i> {
    /// The table that begins at `offset`. Notes every field that is not in `known`.
    pub(super) fn new(
        table: &'t DeTable<'i>,
        offset: usize,
        known: &[&'static str],
        notes: &mut Notes<'_>,
    ) -> Self {
        for key in table.keys().filter(|key| !known.contains(&key.get_ref().as_ref())) {
            let advice = match nearest(key.get_ref(), known.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("the fields here are {}", list(known, "and")),
            };
            notes.add(key.span().start, Problem::UnknownField { field: quote(key.get_ref()), advice });
        }
        Section { table, offset }
    }

    /// Where the table begins.
    pub(super) fn offset(&self) -> usize {
        self.offset
    }

    /// The field's value, if it is there.
    pub(super) fn get(&self, field: &str) -> Option<&'t Spanned<DeValue<'i>>> {
        self.table.get(field)
    }

    /// Where the field's value stands, or else the table.
    pub(super) fn offset_of(&self, field: &str) -> usize {
        self.get(field).map_or(self.offset, |value| value.span().start)
    }

    fn wrong_type(
        &self,
        span: Range<usize>,
        field: &'static str,
        expected: &'static str,
        notes: &mut Notes<'_>,
    ) {
        notes.add(span.start, Problem::WrongType { field, expected });
    }

    /// Notes that a field which every such table needs is not there.
    pub(super) fn missing(&self, field: &'static str, example: &'static str, notes: &mut Notes<'_>) {
        notes.add(self.offset, Problem::Missing { field, example });
    }

    /// A string, as it stands.
    pub(super) fn string(&self, field: &'static str, notes: &mut Notes<'_>) -> Option<&'t str> {
        let value = self.get(field)?;
        let text = value.get_ref().as_str();
        if text.is_none() {
            self.wrong_type(value.span(), field, "a string in quotes", notes);
        }
        text
    }

    /// A text for people: not empty, printable, at most `longest` characters.
    pub(super) fn text(&self, field: &'static str, longest: usize, notes: &mut Notes<'_>) -> Option<String> {
        let text = self.string(field, notes)?;
        match problem_of_text(field, text, longest) {
            None => Some(text.to_owned()),
            Some(problem) => {
                notes.add(self.offset_of(field), problem);
                None
            }
        }
    }

    /// As [`Section::text`], for a field that must be there.
    pub(super) fn required_text(
        &self,
        field: &'static str,
        longest: usize,
        example: &'static str,
        notes: &mut Notes<'_>,
    ) -> Option<String> {
        if self.get(field).is_none() {
            self.missing(field, example, notes);
        }
        self.text(field, longest, notes)
    }

    /// A number, whole or not.
    pub(super) fn number(&self, field: &'static str, notes: &mut Notes<'_>) -> Option<f64> {
        let value = self.get(field)?;
        let number = as_number(value.get_ref());
        if number.is_none() {
            self.wrong_type(value.span(), field, "a number", notes);
        }
        number
    }

    /// A whole number.
    pub(super) fn whole(&self, field: &'static str, notes: &mut Notes<'_>) -> Option<i64> {
        let value = self.get(field)?;
        let whole = match value.get_ref() {
            DeValue::Integer(integer) => i64::from_str_radix(integer.as_str(), integer.radix()).ok(),
            _ => None,
        };
        if whole.is_none() {
            self.wrong_type(value.span(), field, "a whole number", notes);
        }
        whole
    }

    /// Two numbers in brackets.
    pub(super) fn pair(&self, field: &'static str, notes: &mut Notes<'_>) -> Option<[f64; 2]> {
        let value = self.get(field)?;
        let pair = value.get_ref().as_array().and_then(|array| {
            let numbers: Option<Vec<f64>> =
                array.iter().take(3).map(|item| as_number(item.get_ref())).collect();
            <[f64; 2]>::try_from(numbers?).ok()
        });
        if pair.is_none() {
            self.wrong_type(value.span(), field, "two numbers, as in `[5.0, 7.0]`", notes);
        }
        pair
    }
}

/// Why `text` is no text for people of at most `longest` characters.
pub(super) fn problem_of_text(field: &'static str, text: &str, longest: usize) -> Option<Problem> {
    if text.trim().is_empty() {
        Some(Problem::Empty { field })
    } else if text.chars().any(char::is_control) {
        Some(Problem::ControlCharacter { field })
    } else if text.chars().count() > longest {
        Some(Problem::TooLong { field, longest })
    } else {
        None
    }
}

fn as_number(value: &DeValue<'_>) -> Option<f64> {
    match value {
        // Wider than 64 bits only parses as a double, and the budget's own check refuses it.
        DeValue::Integer(integer) => i64::from_str_radix(integer.as_str(), integer.radix())
            .map(|whole| whole as f64)
            .ok()
            .or_else(|| integer.as_str().parse().ok()),
        DeValue::Float(float) => float.as_str().parse().ok(),
        _ => None,
    }
}

/// `` `a`, `b` and `c` ``, with `joint` for the "and".
pub(super) fn list(names: &[&str], joint: &str) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} {joint} {last}", others.join(", ")),
        None => String::new(),
    }
}
