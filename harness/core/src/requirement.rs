//! What is asked: the machine-readable form of a system's specification.
//!
//! `suites/<system>/requirements.toml` lists every requirement once:
//!
//! ```toml
//! schema = 1
//! system = "prism-k1"
//! title = "PRISM K1 LED controller"
//!
//! [[requirement]]
//! id = "K1-LED-002"
//! title = "frame period"
//! clause = "section 5"
//! text = "Frames leave at 120 per second."
//! class = "must"
//! budget = { quantity = "frame period", unit = "ms", bound = "mean", nominal = 8.333, tolerance_percent = 5 }
//! reading = "Pass within 5 %: the source gives no tolerance for the mean, only for jitter."
//! ```
//!
//! Ids are never reused. [`Catalogue::parse`] reads the file and reports everything that is wrong
//! with it at once; [`Catalogue::cross_check`] compares it with the cases that exist.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::budget::Budget;

mod file;
mod reader;

pub use file::{CatalogueError, CatalogueErrors, Problem};

/// The version of the catalogue's schema that this crate reads.
pub const SCHEMA: i64 = 1;

/// The largest catalogue that is read, in bytes.
pub const MAX_FILE: usize = 1 << 20;

/// The longest id, in characters: ids are a column of the terminal table.
pub const MAX_ID: usize = 32;

/// The stable name of a requirement, such as `K1-LED-002`: two or more groups of capital ASCII
/// letters and digits, joined by `-`, at most [`MAX_ID`] characters.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RequirementId(String);

/// A text is no requirement's id.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("`{text}` is no requirement id; {advice}")]
pub struct MalformedId {
    /// The text, shortened and made printable.
    pub text: String,
    /// What to write instead.
    pub advice: String,
}

impl RequirementId {
    /// The id that `text` spells.
    ///
    /// # Errors
    /// [`MalformedId`], with the nearest well-formed id if there is an obvious one.
    pub fn new(text: &str) -> Result<Self, MalformedId> {
        if is_id(text) {
            return Ok(RequirementId(text.to_owned()));
        }
        let repaired = text.trim().to_ascii_uppercase().replace(['_', ' ', '.', '/'], "-");
        let advice = if text.len() > MAX_ID {
            format!("write at most {MAX_ID} characters, as in `K1-LED-002`")
        } else if is_id(&repaired) {
            format!("write `{repaired}`")
        } else {
            "write groups of capital letters and digits joined by `-`, as in `K1-LED-002`".to_owned()
        };
        Err(MalformedId { text: quote(text), advice })
    }

    /// The id's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_id(text: &str) -> bool {
    let group = |group: &str| {
        !group.is_empty() && group.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
    };
    text.len() <= MAX_ID && text.contains('-') && text.split('-').all(group)
}

/// `text` for an error message: printable, and short however long the file made it.
pub(crate) fn quote(text: &str) -> String {
    const SHOWN: usize = 60;
    let mut shown: String = text.chars().take(SHOWN).flat_map(char::escape_debug).collect();
    if text.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    shown
}

impl TryFrom<String> for RequirementId {
    type Error = MalformedId;
    fn try_from(text: String) -> Result<Self, MalformedId> {
        RequirementId::new(&text)
    }
}

impl std::str::FromStr for RequirementId {
    type Err = MalformedId;
    fn from_str(text: &str) -> Result<Self, MalformedId> {
        RequirementId::new(text)
    }
}

impl From<RequirementId> for String {
    fn from(id: RequirementId) -> String {
        id.0
    }
}

impl AsRef<str> for RequirementId {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// Lets maps keyed by id be asked with a `&str`.
impl std::borrow::Borrow<str> for RequirementId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RequirementId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// What a failure means for the run.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// A failure is a failure of the product.
    Must,
    /// A failure is shown and does not gate.
    Should,
    /// There is nothing to fail: the figure is wanted for the record.
    Report,
}

impl Class {
    /// Every class with its name in catalogues and results.
    pub const ALL: [(&'static str, Class); 3] =
        [("must", Class::Must), ("should", Class::Should), ("report", Class::Report)];
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Class::Must => "must",
            Class::Should => "should",
            Class::Report => "report",
        })
    }
}

/// One entry of a catalogue. No text is empty or holds control characters.
#[derive(Clone, PartialEq, Debug)]
pub struct Requirement {
    /// Stable and unique.
    pub id: RequirementId,
    /// Two to four words for tables; at most 40 characters.
    pub title: String,
    /// Where the source says so.
    pub clause: String,
    /// The requirement in one sentence.
    pub text: String,
    /// What a failure means.
    pub class: Class,
    /// What is allowed, if a figure decides.
    pub budget: Option<Budget>,
    /// The reading chosen where sources disagree, and why.
    pub reading: Option<String>,
    /// Why no case decides it yet, and on which rig it will be decided.
    pub planned: Option<String>,
    /// The file that it stands in, for messages.
    pub file: Arc<str>,
    /// Line of its header there, from 1.
    pub line: usize,
}

/// The requirements of one system.
#[derive(Clone, PartialEq, Debug)]
pub struct Catalogue {
    /// Name of the file, for messages.
    pub file: String,
    /// Short name of the system, such as `prism-k1`: groups of lower-case letters and digits
    /// joined by `-`.
    pub system: String,
    /// The system's name for people.
    pub title: String,
    /// In the order of the file, no id twice, at least one.
    pub requirements: Vec<Requirement>,
}

/// The catalogue and the cases do not fit each other.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CrossCheckError {
    /// A hole nobody owns up to.
    #[error(
        "{file}:{line}: no case decides `{id}`; write a case that names it, or say in `planned` why there is none yet and on which rig it will be decided"
    )]
    Undecided {
        /// The catalogue's file.
        file: String,
        /// Line of the requirement.
        line: usize,
        /// The requirement.
        id: RequirementId,
    },
    /// The plan has been carried out.
    #[error("{file}:{line}: `{id}` is `planned`, but case `{case}` decides it; remove `planned`")]
    NoLongerPlanned {
        /// The catalogue's file.
        file: String,
        /// Line of the requirement.
        line: usize,
        /// The requirement.
        id: RequirementId,
        /// The first case that decides it.
        case: String,
    },
    /// A misspelt or missing id.
    #[error("{file}: case `{case}` decides `{id}`, which the catalogue does not have; {advice}")]
    UnknownId {
        /// The catalogue's file.
        file: String,
        /// The case.
        case: String,
        /// What it names.
        id: String,
        /// What to do.
        advice: String,
    },
    /// A case without a purpose.
    #[error("{file}: case `{case}` decides no requirement; name at least one id of the catalogue")]
    DecidesNothing {
        /// The catalogue's file.
        file: String,
        /// The case.
        case: String,
    },
}

impl Catalogue {
    /// Reads the text of a catalogue; `file` names it in messages.
    ///
    /// ```
    /// use rigor_core::requirement::Catalogue;
    ///
    /// let errors = Catalogue::parse("schema = 1\nsystem = \"toy\"\ntitel = \"Toy\"", "toy.toml");
    /// let told = errors.expect_err("misspelt and without requirements").to_string();
    /// assert!(told.contains("toy.toml:3: unknown field `titel`; did you mean `title`?"), "{told}");
    /// ```
    ///
    /// # Errors
    /// [`CatalogueErrors`]: everything that is wrong (at most 100 problems), each with its line
    /// and what to write instead. After a syntax error only syntax errors are reported, for the
    /// rest of the file cannot be trusted.
    pub fn parse(text: &str, file: &str) -> Result<Catalogue, CatalogueErrors> {
        file::parse(text, file)
    }

    /// Takes in requirements from elsewhere: a group that several systems share. What
    /// [`Catalogue::parse`] checks of a requirement is checked of each, and that no id is taken
    /// already. All are taken in or none.
    ///
    /// # Errors
    /// [`CatalogueErrors`]: everything that is wrong, in the order of `more`.
    pub fn extend(&mut self, more: Vec<Requirement>) -> Result<(), CatalogueErrors> {
        file::check_more(&self.requirements, &more)?;
        self.requirements.extend(more);
        Ok(())
    }

    /// The requirement of this id.
    pub fn get(&self, id: &str) -> Option<&Requirement> {
        self.requirements.iter().find(|requirement| requirement.id.as_str() == id)
    }

    /// Checks that catalogue and cases fit: every id is decided by a case or planned, never both;
    /// every id that a case names exists; every case names at least one.
    ///
    /// `decided` yields each case's name with the ids that it decides.
    ///
    /// # Errors
    /// Every misfit: those of requirements in the order of the file, then those of cases in the
    /// order of `decided`.
    pub fn cross_check<'a, Name, Id>(
        &self,
        decided: impl IntoIterator<Item = (Name, &'a [Id])>,
    ) -> Result<(), Vec<CrossCheckError>>
    where
        Name: AsRef<str>,
        Id: AsRef<str> + 'a,
    {
        let known: BTreeSet<&str> = self.requirements.iter().map(|r| r.id.as_str()).collect();
        let mut first_case: BTreeMap<&'a str, String> = BTreeMap::new();
        let mut of_cases = Vec::new();
        for (case, ids) in decided {
            let case = case.as_ref();
            if ids.is_empty() {
                of_cases
                    .push(CrossCheckError::DecidesNothing { file: self.file.clone(), case: case.to_owned() });
            }
            for id in ids {
                let id: &'a str = id.as_ref();
                if known.contains(id) {
                    first_case.entry(id).or_insert_with(|| case.to_owned());
                } else {
                    of_cases.push(CrossCheckError::UnknownId {
                        file: self.file.clone(),
                        case: case.to_owned(),
                        id: quote(id),
                        advice: advice(id, &known),
                    });
                }
            }
        }
        let mut errors = Vec::new();
        for requirement in &self.requirements {
            let (file, line, id) = (requirement.file.to_string(), requirement.line, requirement.id.clone());
            match (first_case.get(requirement.id.as_str()), &requirement.planned) {
                (None, None) => errors.push(CrossCheckError::Undecided { file, line, id }),
                (Some(case), Some(_)) => {
                    errors.push(CrossCheckError::NoLongerPlanned { file, line, id, case: case.clone() })
                }
                _ => {}
            }
        }
        errors.extend(of_cases);
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }
}

fn advice(id: &str, known: &BTreeSet<&str>) -> String {
    match nearest(id, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "add it to the catalogue or correct the case".to_owned(),
    }
}

/// The one of `candidates` that is at most two edits away from `text`, if any; the first of the
/// nearest. Long texts are not compared, so that hostile input costs nothing.
pub(crate) fn nearest<'a>(text: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    const LONGEST: usize = 64;
    if text.len() > LONGEST {
        return None;
    }
    candidates
        .into_iter()
        .filter(|candidate| candidate.len() <= LONGEST)
        .map(|candidate| (edits(text.as_bytes(), candidate.as_bytes()), candidate))
        .filter(|(edits, candidate)| *edits <= 2 && *edits < candidate.len())
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, candidate)| candidate)
}

/// Levenshtein distance.
fn edits(a: &[u8], b: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests;
