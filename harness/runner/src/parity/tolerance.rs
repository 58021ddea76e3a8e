//! What two rigs may differ by, and why: `rigs/parity.toml`.

use serde::{Deserialize, Serialize};

use super::{Difference, FIGURES, MEASURED, What};

/// The schema that this code reads.
const SCHEMA: i64 = 1;

/// Larger files are no lists of tolerances, in bytes.
const MAX_FILE_BYTES: usize = 1024 * 1024;

/// How far two figures may be apart: `absolute` and `relative` times the larger one together.
#[derive(Clone, Copy, PartialEq, Default, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Bounds {
    /// In the figures' own unit; microseconds for latencies.
    pub absolute: Option<f64>,
    /// A part of the larger figure, 0.1 for 10 %.
    pub relative: Option<f64>,
}

impl Bounds {
    pub(super) fn hold(&self, (a, b): (f64, f64)) -> bool {
        let allowed = self.absolute.unwrap_or(0.0) + self.relative.unwrap_or(0.0) * a.abs().max(b.abs());
        (a - b).abs() <= allowed
    }

    fn is_empty(&self) -> bool {
        self.absolute.is_none() && self.relative.is_none()
    }

    fn is_sound(&self) -> bool {
        [self.absolute, self.relative].iter().flatten().all(|bound| bound.is_finite() && *bound >= 0.0)
    }
}

/// Why a difference is no surprise.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// One of the rigs models the device wrongly.
    ModelError,
    /// The firmware is built from other parts there.
    PortDifference,
    /// A rig says that it cannot do this.
    DocumentedLimit,
}

impl Cause {
    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            Cause::ModelError => "model error",
            Cause::PortDifference => "port difference",
            Cause::DocumentedLimit => "documented limit",
        }
    }
}

/// An entry of the file: which differences it declares. Patterns hold `*` for anything and `|` between
/// alternatives; what is left out matches all.
#[derive(Clone, PartialEq, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Tolerance {
    /// The lane: `console`, `net 0`, `verdict`.
    #[serde(default = "anything")]
    pub lane: String,
    /// How they differ.
    #[serde(default)]
    pub what: Option<What>,
    /// The case's name.
    #[serde(default = "anything")]
    pub case: String,
    /// What it is about, as either rig has it.
    #[serde(default = "anything")]
    pub text: String,
    /// How far figures may be apart; without bounds any distance is declared.
    #[serde(default)]
    pub absolute: Option<f64>,
    /// See [`Bounds::relative`].
    #[serde(default)]
    pub relative: Option<f64>,
    /// Whose it is.
    pub cause: Cause,
    /// Why, in a sentence.
    pub reason: String,
}

fn anything() -> String {
    "*".to_owned()
}

/// What is wrong with the file.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{path}: {what}")]
pub struct ToleranceError {
    path: String,
    what: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    schema: i64,
    #[serde(default)]
    latency: Bounds,
    #[serde(default)]
    figures: Bounds,
    #[serde(default)]
    tolerance: Vec<Tolerance>,
}

/// The whole file.
#[derive(Clone, PartialEq, Default, Debug)]
pub struct Tolerances {
    /// What every latency may differ by.
    pub latency: Bounds,
    /// What every figure of a whole case may differ by, and every one that a requirement is judged by.
    pub figures: Bounds,
    /// The declared differences; the first that matches counts.
    pub entries: Vec<Tolerance>,
}

impl Tolerances {
    /// Reads the text of the file at `path`, which is only named.
    ///
    /// # Errors
    /// What is malformed, with the remedy.
    pub fn parse(path: &str, text: &str) -> Result<Self, ToleranceError> {
        let wrong = |what: String| ToleranceError { path: path.to_owned(), what };
        if text.len() > MAX_FILE_BYTES {
            return Err(wrong(format!("larger than {MAX_FILE_BYTES} bytes; declare less, with patterns")));
        }
        let file: File = toml::from_str(text).map_err(|error| wrong(error.to_string()))?;
        if file.schema != SCHEMA {
            return Err(wrong(format!("`schema = {}` is unknown; write {SCHEMA}", file.schema)));
        }
        for (index, entry) in file.tolerance.iter().enumerate() {
            if entry.reason.trim().is_empty() {
                return Err(wrong(format!("tolerance {} has no `reason`; say why in a sentence", index + 1)));
            }
        }
        let of_entries = file.tolerance.iter().map(Tolerance::bounds);
        if !of_entries.chain([file.latency, file.figures]).all(|bounds| bounds.is_sound()) {
            return Err(wrong("a bound is negative or no number; write 0 or more".to_owned()));
        }
        Ok(Tolerances { latency: file.latency, figures: file.figures, entries: file.tolerance })
    }

    /// Whether it is what any two rigs differ by.
    pub(super) fn is_usual(&self, difference: &Difference) -> bool {
        let bounds = match difference.what {
            What::Latency => &self.latency,
            What::Figure if [FIGURES, MEASURED].contains(&difference.lane.as_str()) => &self.figures,
            _ => return false,
        };
        difference.values().is_some_and(|values| bounds.hold(values))
    }

    /// The place of the entry that declares `difference` in `case`.
    pub fn declared(&self, case: &str, difference: &Difference) -> Option<usize> {
        self.entries.iter().position(|entry| entry.declares(case, difference))
    }

    /// The entries that none of `rows` names: nothing differs there any more.
    pub fn stale<'a>(&self, rows: impl IntoIterator<Item = &'a super::Row>) -> Vec<usize> {
        let used: std::collections::BTreeSet<usize> =
            rows.into_iter().filter_map(|row| row.declared).collect();
        (0..self.entries.len()).filter(|place| !used.contains(place)).collect()
    }
}

impl Tolerance {
    fn bounds(&self) -> Bounds {
        Bounds { absolute: self.absolute, relative: self.relative }
    }

    fn declares(&self, case: &str, difference: &Difference) -> bool {
        let texts = [&difference.a, &difference.b];
        self.what.is_none_or(|what| what == difference.what)
            && matches(&self.lane, &difference.lane)
            && matches(&self.case, case)
            && texts.into_iter().flatten().any(|side| matches(&self.text, &side.text))
            && (self.bounds().is_empty()
                || difference.values().is_some_and(|values| self.bounds().hold(values)))
    }
}

/// Whether `text` is what one of the patterns between `|` describes, whose `*` stand for anything.
fn matches(patterns: &str, text: &str) -> bool {
    patterns.split('|').any(|pattern| matches_one(pattern, text))
}

fn matches_one(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, between)) = parts.split_last() else { return rest.is_empty() };
    for part in between {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_hold_anything_at_their_stars() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("net*", "net 4", true),
            ("net", "net 4", false),
            ("*heap*", "I SYS: heap 3", true),
            ("a*b*c", "a-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("ab*ba", "aba", false),
            ("leds.*|flash", "flash", true),
            ("leds.*|flash", "leds.1", true),
            ("leds.*|flash", "leds", false),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn a_malformed_file_is_refused_with_its_place() {
        let refused =
            |text: &str| Tolerances::parse("rigs/parity.toml", text).map_err(|error| error.to_string());
        assert!(refused("schema = 1").is_ok());
        assert!(refused("schema = 2").is_err_and(|error| error.starts_with("rigs/parity.toml: ")));
        assert!(refused("schema = 1\n[latency]\nabsolute = -1.0").is_err());
        let entry = "schema = 1\n[[tolerance]]\ncause = \"model-error\"\nreason = ";
        assert!(refused(&format!("{entry}\"  \"")).is_err());
        assert!(refused(&format!("{entry}\"because\"")).is_ok());
        assert!(refused(&format!("{entry}\"because\"\nwhy = 1")).is_err());
    }
}
