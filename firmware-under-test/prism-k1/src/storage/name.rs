//! The name under which a pattern is stored.

use core::fmt;
use core::ops::Deref;

use crate::defect::{self, Defect};

/// Bytes that a name has at most (specification section 2.2).
pub const MAX_NAME_BYTES: usize = 63;

/// What an upload without a usable name is called (specification sections 2.2 and 15 b).
const UNNAMED: &str = "pattern";

/// A pattern's name in normal form: 1 to 63 of `a-z`, `0-9`, `-` and `_`.
///
/// Upload, PLAY and DELETE all go through the same normal form (the reference firmware's DELETE
/// does not), and the name is used whole in the file's path, so two names collide only when their
/// normal forms are equal.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PatternName(heapless::String<MAX_NAME_BYTES>);

impl PatternName {
    /// The normal form of what a client sent (specification section 2.2): lower-case; the first
    /// `.` and every `/` and `\` dropped; other bytes than letters, digits, `-` and `_` become
    /// `_`; nothing left becomes `pattern`; cut at 63 bytes.
    #[must_use]
    pub fn normalised(raw: &[u8]) -> Self {
        let mut name = heapless::String::new();
        let mut dot_seen = false;
        for byte in raw {
            if name.len() == 40 && defect::present(Defect::NamesCutAt40) {
                break;
            }
            let letter = match byte.to_ascii_lowercase() {
                _ if byte.is_ascii_uppercase() && defect::present(Defect::NameKeepsCase) => char::from(*byte),
                b'.' if !dot_seen => {
                    dot_seen = true;
                    continue;
                }
                b'/' | b'\\' => continue,
                kept @ (b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_') => char::from(kept),
                _ => '_',
            };
            if name.push(letter).is_err() {
                break;
            }
        }
        if name.is_empty() { Self::unnamed() } else { Self(name) }
    }

    /// `pattern`: what an upload of profile n, which carries no name, is stored under
    /// (specification section 15 b).
    #[must_use]
    pub fn unnamed() -> Self {
        let mut name = heapless::String::new();
        // Seven bytes fit into 63.
        let _ = name.push_str(UNNAMED);
        Self(name)
    }

    /// Whether this is the name of profile n's uploads.
    #[must_use]
    pub fn is_unnamed(&self) -> bool {
        self.as_str() == UNNAMED
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name of a stored file, when it is one that this firmware could have written.
    pub(crate) fn of_stored(text: &str) -> Option<Self> {
        let name = Self::normalised(text.as_bytes());
        (name.as_str() == text).then_some(name)
    }
}

impl Deref for PatternName {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PatternName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normal(raw: &str) -> alloc::string::String {
        PatternName::normalised(raw.as_bytes()).as_str().into()
    }

    #[test]
    fn the_rules_of_section_2_2() {
        for (raw, expected) in [
            ("Test.prism", "testprism"),
            ("a.b.c", "ab_c"),
            ("../../etc/passwd", "___etcpasswd"),
            ("dir\\FILE 1", "dirfile_1"),
            ("flow-fall_2", "flow-fall_2"),
            ("", "pattern"),
            (".", "pattern"),
            ("///", "pattern"),
            ("\u{e4}", "__"),
            ("graph.json", "graphjson"),
        ] {
            assert_eq!(normal(raw), expected, "{raw:?}");
        }
    }

    #[test]
    fn long_names_are_cut_at_63_and_do_not_collide_before() {
        let long = "x".repeat(200);
        assert_eq!(normal(&long).len(), 63);
        let (a, b) = (alloc::format!("{}a", "y".repeat(50)), alloc::format!("{}b", "y".repeat(50)));
        assert_ne!(normal(&a), normal(&b));
    }

    #[test]
    fn a_normal_form_is_its_own() {
        for raw in ["Test.prism", "....", "a b", "\u{fffd}", "0"] {
            let once = PatternName::normalised(raw.as_bytes());
            assert_eq!(PatternName::normalised(once.as_bytes()), once);
            assert_eq!(PatternName::of_stored(once.as_str()), Some(once));
        }
        assert_eq!(PatternName::of_stored("A"), None);
        assert_eq!(PatternName::of_stored(""), None);
    }
}
