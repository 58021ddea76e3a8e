//! What a firmware takes of a chip's memories, and what it may take.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::requirement::Requirement;
use crate::unit::Unit;

/// Memories of one firmware that a result keeps.
pub const MAX_MEMORIES: usize = 64;

/// A memory that firmware takes some of.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Memory {
    /// What has to be stored of it: code, constants, initial values of variables.
    Flash,
    /// What its linker reserves of the RAM: variables, and the regions of heap and stacks.
    Ram,
    /// What a task, of this name, reserved for its stack when it started.
    Stack(String),
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Memory::Flash => f.write_str("flash"),
            Memory::Ram => f.write_str("RAM"),
            Memory::Stack(task) => write!(f, "stack of {task}"),
        }
    }
}

/// How much of a memory a firmware takes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemoryUse {
    /// Which memory.
    pub of: Memory,
    /// How much it takes.
    pub bytes: u64,
    /// How much it may take, if a requirement says so.
    pub limit: Option<MemoryLimit>,
}

impl MemoryUse {
    /// Whether it takes no more than it may; `None` if nobody says what that is.
    pub fn holds(&self) -> Option<bool> {
        self.limit.as_ref().map(|limit| self.bytes <= limit.bytes)
    }
}

/// As in `flash 412345 of 1572864 bytes (26 %)`.
impl fmt::Display for MemoryUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let MemoryUse { of, bytes, limit } = self;
        match limit {
            None => write!(f, "{of} {bytes} bytes"),
            Some(limit) if limit.bytes == *bytes => write!(f, "{of} {bytes} bytes, all that it may take"),
            Some(limit) => {
                let share = 100.0 * *bytes as f64 / limit.bytes.max(1) as f64;
                write!(f, "{of} {bytes} of {} bytes ({share:.0} %)", limit.bytes)
            }
        }
    }
}

/// How much of a memory a firmware may take.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemoryLimit {
    /// What the requirement is called.
    pub name: String,
    /// At most so much.
    pub bytes: u64,
    /// Where it stands: the requirement's id, and where its source says so.
    pub source: String,
}

impl MemoryLimit {
    /// The limit that `requirement` sets; `None` if it has no upper one in bytes.
    pub fn of(requirement: &Requirement) -> Option<Self> {
        let budget = requirement.budget.as_ref().filter(|budget| budget.unit() == Unit::Bytes)?;
        let (_, most) = budget.comparison().limits();
        // A budget's numbers are whole up to 2^53, and what is not a number of bytes is no limit of them.
        (most.is_finite() && most >= 0.0).then(|| MemoryLimit {
            name: requirement.title.clone(),
            bytes: most as u64,
            source: format!("{}: {}", requirement.id, requirement.clause),
        })
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::requirement::Catalogue;

    fn limit(budget: &str) -> Option<MemoryLimit> {
        let text = format!(
            "schema = 1\nsystem = \"toy\"\ntitle = \"Toy\"\n[[requirement]]\nid = \"T-ONE\"\ntitle = \"image fits\"\n\
             clause = \"spec 5\"\ntext = \"It fits.\"\nclass = \"must\"\n{budget}"
        );
        MemoryLimit::of(&Catalogue::parse(&text, "toy.toml").expect("a valid catalogue").requirements[0])
    }

    #[rstest]
    #[case("unit = \"bytes\", bound = \"max\", at_most = 1572864", Some(1_572_864))]
    #[case("unit = \"bytes\", bound = \"every\", equals = 8192", Some(8192))]
    #[case("unit = \"bytes\", bound = \"min\", at_least = 512", None)]
    #[case("unit = \"ms\", bound = \"max\", at_most = 5", None)]
    fn a_limit_is_an_upper_one_in_bytes(#[case] budget: &str, #[case] expected: Option<u64>) {
        let found = limit(&format!("budget = {{ quantity = \"size\", {budget} }}"));
        assert_eq!(found.as_ref().map(|limit| limit.bytes), expected);
        if let Some(limit) = found {
            assert_eq!((limit.name.as_str(), limit.source.as_str()), ("image fits", "T-ONE: spec 5"));
        }
    }

    #[test]
    fn without_a_budget_there_is_no_limit() {
        assert_eq!(limit(""), None);
    }

    #[test]
    fn more_than_the_limit_does_not_hold() {
        let limit =
            limit("budget = { quantity = \"size\", unit = \"bytes\", bound = \"max\", at_most = 100 }");
        let take = |bytes| MemoryUse { of: Memory::Flash, bytes, limit: limit.clone() };
        assert_eq!([99, 100, 101].map(|bytes| take(bytes).holds()), [Some(true), Some(true), Some(false)]);
        assert_eq!(take(150).to_string(), "flash 150 of 100 bytes (150 %)");
        let stack = MemoryUse { of: Memory::Stack("idle".to_owned()), bytes: 8, limit: None };
        assert_eq!((stack.to_string().as_str(), stack.holds()), ("stack of idle 8 bytes", None));
    }
}
