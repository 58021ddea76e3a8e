//! The schema of `requirements.toml`.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use toml::de::{DeTable, DeValue};

use super::reader::{MAX_PROBLEMS, Notes, Section, list, problem_of_text};
use super::{Catalogue, Class, MAX_FILE, MalformedId, Requirement, RequirementId, SCHEMA, quote};
use crate::budget::{BoundName, Budget, BudgetError, BudgetTable};
use crate::unit::Unit;

const DOCUMENT_FIELDS: [&str; 4] = ["schema", "system", "title", "requirement"];
const REQUIREMENT_FIELDS: [&str; 8] =
    ["id", "title", "clause", "text", "class", "budget", "reading", "planned"];
const BUDGET_FIELDS: [&str; 12] = [
    "quantity",
    "unit",
    "bound",
    "share_percent",
    "nominal",
    "tolerance_percent",
    "tolerance",
    "at_most",
    "at_least",
    "between",
    "equals",
    "min_samples",
];

/// Longest title, in characters: a column of the terminal table.
const MAX_TITLE: usize = 40;
/// Longest name of a quantity, in characters: reasons begin with it.
const MAX_QUANTITY: usize = 80;
/// Longest other text, in characters.
const MAX_TEXT: usize = 1000;

/// What can be wrong with a catalogue.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum Problem {
    /// Larger than [`MAX_FILE`].
    #[error("the file has {size} bytes; a catalogue has at most {MAX_FILE}, so split the system in two")]
    FileTooLarge {
        /// Its size in bytes.
        size: usize,
    },
    /// Not TOML.
    #[error("this is not TOML: {0}")]
    Syntax(String),
    /// A catalogue of another age.
    #[error("`schema` is {found}, but this harness reads {SCHEMA}; write `schema = {SCHEMA}`")]
    Schema {
        /// What the file says.
        found: i64,
    },
    /// Misspelt or out of place.
    #[error("unknown field `{field}`; {advice}")]
    UnknownField {
        /// The field.
        field: String,
        /// What to write instead.
        advice: String,
    },
    /// Not there.
    #[error("`{field}` is missing; write {example}")]
    Missing {
        /// The field.
        field: &'static str,
        /// What it could look like.
        example: &'static str,
    },
    /// A string where a number belongs, and the like.
    #[error("`{field}` has the wrong type; write {expected}")]
    WrongType {
        /// The field.
        field: &'static str,
        /// What belongs there.
        expected: &'static str,
    },
    /// Nothing between the quotes.
    #[error("`{field}` is empty; write a sentence or remove the field")]
    Empty {
        /// The field.
        field: &'static str,
    },
    /// Line breaks, escape sequences and the like, which would garble every report.
    #[error("`{field}` holds a control character; write it as one line of plain text")]
    ControlCharacter {
        /// The field.
        field: &'static str,
    },
    /// It would not fit a table.
    #[error("`{field}` is too long; write at most {longest} characters")]
    TooLong {
        /// The field.
        field: &'static str,
        /// The limit.
        longest: usize,
    },
    /// Not of the form `prism-k1`.
    #[error("`{0}` is no system's name; write lower-case letters and digits joined by `-`, as in `prism-k1`")]
    SystemName(String),
    /// Not of the form `K1-LED-002`.
    #[error(transparent)]
    Id(#[from] MalformedId),
    /// Ids are unique.
    #[error("`{id}` is already the id of line {first}; take a new one, ids are never reused")]
    Duplicate {
        /// The id.
        id: RequirementId,
        /// Where it was first.
        first: usize,
    },
    /// Ids are unique in all that a system is asked.
    #[error("`{id}` is already the id of {place}; take a new one, ids are never reused")]
    Taken {
        /// The id.
        id: RequirementId,
        /// Where it was first: file and line.
        place: String,
    },
    /// A word from a short list.
    #[error("`{found}` is no {field}; write one of {allowed}")]
    UnknownWord {
        /// The field.
        field: &'static str,
        /// Its value.
        found: String,
        /// What it can be.
        allowed: String,
    },
    /// The budget makes no sense.
    #[error(transparent)]
    Budget(#[from] BudgetError),
}

/// A problem and its place.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
#[error("{file}:{line}: {problem}")]
pub struct CatalogueError {
    /// The catalogue's file.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// What is wrong and what to write instead.
    #[source]
    pub problem: Problem,
}

/// Everything that is wrong with a catalogue, in the order of lines, one per line.
#[derive(Clone, PartialEq, Debug)]
pub struct CatalogueErrors {
    /// At least one, at most 100.
    pub errors: Vec<CatalogueError>,
    /// How many more there were.
    pub unlisted: usize,
}

impl fmt::Display for CatalogueErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.errors.iter().enumerate() {
            write!(f, "{}{error}", if index == 0 { "" } else { "\n" })?;
        }
        match self.unlisted {
            0 => Ok(()),
            more => write!(f, "\n… and {more} more"),
        }
    }
}

impl std::error::Error for CatalogueErrors {}

pub(super) fn parse(text: &str, file: &str) -> Result<Catalogue, CatalogueErrors> {
    if text.len() > MAX_FILE {
        let mut notes = Notes::new("", file);
        notes.add(0, Problem::FileTooLarge { size: text.len() });
        return notes.conclude(None);
    }
    let mut notes = Notes::new(text, file);
    let (document, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        for error in errors {
            let offset = error.span().map_or(0, |span| span.start);
            notes.add(offset, Problem::Syntax(error.message().replace('\n', ", ")));
        }
        return notes.conclude(None);
    }
    let catalogue = read_document(document.get_ref(), file, &mut notes);
    notes.conclude(catalogue)
}

fn read_document(table: &DeTable<'_>, file: &str, notes: &mut Notes<'_>) -> Option<Catalogue> {
    let section = Section::new(table, 0, &DOCUMENT_FIELDS, notes);
    if section.get("schema").is_none() {
        section.missing("schema", "`schema = 1` on the first line", notes);
    }
    if let Some(found) = section.whole("schema", notes).filter(|found| *found != SCHEMA) {
        notes.add(section.offset_of("schema"), Problem::Schema { found });
    }
    let system = section
        .required_text("system", MAX_TITLE, "the system's folder name, as in `system = \"prism-k1\"`", notes)
        .filter(|system| {
            let valid = is_system(system);
            if !valid {
                notes.add(section.offset_of("system"), Problem::SystemName(quote(system)));
            }
            valid
        });
    let title = section.required_text(
        "title",
        MAX_TEXT,
        "the system's name for people, as in `title = \"PRISM K1 LED controller\"`",
        notes,
    );
    let requirements = read_requirements(&section, &Arc::from(file), notes);
    Some(Catalogue { file: file.to_owned(), system: system?, title: title?, requirements })
}

fn is_system(text: &str) -> bool {
    let group = |group: &str| {
        !group.is_empty() && group.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
    };
    text.split('-').all(group)
}

/// Everything that is wrong with `more`, if it is to stand beside `known`.
pub(super) fn check_more(known: &[Requirement], more: &[Requirement]) -> Result<(), CatalogueErrors> {
    let mut places: BTreeMap<&RequirementId, &Requirement> = known.iter().map(|had| (&had.id, had)).collect();
    let mut errors = Vec::new();
    for one in more {
        let texts = [
            ("title", Some(&one.title), MAX_TITLE),
            ("clause", Some(&one.clause), MAX_TEXT),
            ("text", Some(&one.text), MAX_TEXT),
            ("reading", one.reading.as_ref(), MAX_TEXT),
            ("planned", one.planned.as_ref(), MAX_TEXT),
        ];
        let mut problems: Vec<Problem> = texts
            .iter()
            .filter_map(|(field, text, max)| problem_of_text(field, text.as_ref()?, *max))
            .collect();
        if let Some(first) = places.insert(&one.id, one) {
            let place = format!("{}:{}", first.file, first.line);
            problems.push(Problem::Taken { id: one.id.clone(), place });
        }
        let error = |problem| CatalogueError { file: one.file.to_string(), line: one.line, problem };
        errors.extend(problems.into_iter().map(error));
    }
    if errors.is_empty() {
        return Ok(());
    }
    let unlisted = errors.len().saturating_sub(MAX_PROBLEMS);
    errors.truncate(MAX_PROBLEMS);
    Err(CatalogueErrors { errors, unlisted })
}

fn read_requirements(section: &Section<'_, '_>, file: &Arc<str>, notes: &mut Notes<'_>) -> Vec<Requirement> {
    const EXAMPLE: &str = "at least one `[[requirement]]` table";
    let Some(value) = section.get("requirement") else {
        section.missing("requirement", EXAMPLE, notes);
        return Vec::new();
    };
    let Some(array) = value.get_ref().as_array() else {
        let problem =
            Problem::WrongType { field: "requirement", expected: "`[[requirement]]`, in double brackets" };
        notes.add(value.span().start, problem);
        return Vec::new();
    };
    if array.is_empty() {
        section.missing("requirement", EXAMPLE, notes);
    }
    let mut requirements = Vec::new();
    let mut line_of_id: BTreeMap<RequirementId, usize> = BTreeMap::new();
    for item in array.iter() {
        let offset = item.span().start;
        let Some(table) = item.get_ref().as_table() else {
            let problem = Problem::WrongType { field: "requirement", expected: "`[[requirement]]` tables" };
            notes.add(offset, problem);
            continue;
        };
        let section = Section::new(table, offset, &REQUIREMENT_FIELDS, notes);
        let id = read_id(&section, notes);
        if let Some(id) = &id {
            let offset = section.offset_of("id");
            if let Some(&first) = line_of_id.get(id) {
                notes.add(offset, Problem::Duplicate { id: id.clone(), first });
            } else {
                line_of_id.insert(id.clone(), notes.line(offset));
            }
        }
        requirements.extend(read_requirement(id, &section, file, notes));
    }
    requirements
}

fn read_id(section: &Section<'_, '_>, notes: &mut Notes<'_>) -> Option<RequirementId> {
    if section.get("id").is_none() {
        section.missing("id", "a new id, as in `id = \"K1-LED-002\"`", notes);
    }
    let text = section.string("id", notes)?;
    RequirementId::new(text).map_err(|error| notes.add(section.offset_of("id"), Problem::Id(error))).ok()
}

fn read_requirement(
    id: Option<RequirementId>,
    section: &Section<'_, '_>,
    file: &Arc<str>,
    notes: &mut Notes<'_>,
) -> Option<Requirement> {
    let title = section.required_text(
        "title",
        MAX_TITLE,
        "two to four words, as in `title = \"frame period\"`",
        notes,
    );
    let clause = section.required_text(
        "clause",
        MAX_TEXT,
        "where the source says so, as in `clause = \"section 5\"`",
        notes,
    );
    let text = section.required_text("text", MAX_TEXT, "the requirement in one sentence", notes);
    if section.get("class").is_none() {
        section.missing("class", "`class = \"must\"`, \"should\" or \"report\"", notes);
    }
    let class = read_word("class", &Class::ALL, section, notes);
    let budget = match section.get("budget") {
        None => Some(None),
        Some(value) => match value.get_ref() {
            DeValue::Table(table) => read_budget(table, value.span().start, notes).map(Some),
            _ => {
                let problem = Problem::WrongType {
                    field: "budget",
                    expected: "a table, as in `budget = { quantity = \"frame period\", unit = \"ms\", at_most = 16.67 }`",
                };
                notes.add(value.span().start, problem);
                None
            }
        },
    };
    let reading = section.text("reading", MAX_TEXT, notes);
    let planned = section.text("planned", MAX_TEXT, notes);
    Some(Requirement {
        id: id?,
        title: title?,
        clause: clause?,
        text: text?,
        class: class?,
        budget: budget?,
        reading,
        planned,
        file: file.clone(),
        line: notes.line(section.offset()),
    })
}

fn read_budget(table: &DeTable<'_>, offset: usize, notes: &mut Notes<'_>) -> Option<Budget> {
    let noted = notes.count();
    let section = &Section::new(table, offset, &BUDGET_FIELDS, notes);
    let quantity = section.required_text(
        "quantity",
        MAX_QUANTITY,
        "what is measured, as in `quantity = \"frame period\"`",
        notes,
    );
    if section.get("unit").is_none() {
        section.missing("unit", "the unit of its numbers, as in `unit = \"ms\"`", notes);
    }
    let unit = read_word("unit", &Unit::ALL.map(|unit| (unit.name(), unit)), section, notes);
    let bound = match section.get("bound") {
        None => Some(BoundName::default()),
        Some(_) => read_word("bound", &BoundName::ALL, section, notes),
    };
    let min_samples = section.whole("min_samples", notes).and_then(|count| {
        let valid = u64::try_from(count).ok();
        if valid.is_none() {
            notes.add(section.offset_of("min_samples"), Problem::Budget(BudgetError::NoSamples));
        }
        valid
    });
    let mut table = BudgetTable::new(String::new(), Unit::Count);
    table.share_percent = section.number("share_percent", notes);
    table.nominal = section.number("nominal", notes);
    table.tolerance_percent = section.number("tolerance_percent", notes);
    table.tolerance = section.number("tolerance", notes);
    table.at_most = section.number("at_most", notes);
    table.at_least = section.number("at_least", notes);
    table.between = section.pair("between", notes);
    table.equals = section.number("equals", notes);
    table.min_samples = min_samples;
    (table.quantity, table.unit, table.bound) = (quantity?, unit?, bound?);
    if notes.count() > noted {
        // A misspelt field or a number of the wrong type would now be missed as well.
        return None;
    }
    match table.check() {
        Ok(budget) => Some(budget),
        Err(errors) => {
            for error in errors {
                let offset = error.field().map_or(section.offset(), |field| section.offset_of(field));
                notes.add(offset, Problem::Budget(error));
            }
            None
        }
    }
}

fn read_word<T: Copy>(
    field: &'static str,
    words: &[(&'static str, T)],
    section: &Section<'_, '_>,
    notes: &mut Notes<'_>,
) -> Option<T> {
    let found = section.string(field, notes)?;
    let word = words.iter().find(|(word, _)| *word == found);
    if word.is_none() {
        let names: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let problem = Problem::UnknownWord { field, found: quote(found), allowed: list(&names, "or") };
        notes.add(section.offset_of(field), problem);
    }
    word.map(|(_, value)| *value)
}
